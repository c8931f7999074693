"""Stages of every kind in running pipelines: brackets, routers, joins; a server with streams, priorities, hang-ups."""

import os
import random
import resource
import signal
import socket
import time

import jv

LEDGER = "[in]\nplugin = ledger\nfiles = in.txt\nledger = ledger.tsv\n"
SHOW = "[show]\nplugin = stdout\nin = text\n"
SPLIT = "[{0}]\nplugin = bracket/split\nat = {1}\n"
JOIN = "[{0}]\nplugin = bracket/join\nwith = {1}\nmissing = ?\nlengths = lengths_{0}\nwhy = why_{0}\n"
ANSWERS = "in = answer\nout = answer\n"  # of JOIN
VERDICT = "[{0}]\nplugin = probe/verdict\non = {0}\nwhat = {1}\n"


class Lines(jv.Case):
    """A finite run over in.txt."""

    def lines(self, text, stages, *overrides, status=0):
        self.write("in.txt", text)
        result = self.jevons("run", self.ini(LEDGER + stages), *overrides)
        self.assertEqual(result.status, status, result.err)
        self.result = result
        return result.lines

    def ledger(self):
        """lines, delivered, dropped, rejected, cancelled, cost"""
        return [int(n) for n in self.read("ledger.tsv").decode().split("\t")[1:]]


class Brackets(Lines):
    ONE = SPLIT.format("cut", ",") + "{}" + JOIN.format("join", "+") + SHOW
    TWO = (SPLIT.format("outer", ";") + SPLIT.format("inner", ",") + "{}" + JOIN.format("some", "+") + JOIN.format("all", "|")
           + SHOW)

    def test_one(self):
        for threads in (1, 4):
            lines = self.lines("a,b,c\n\nd\n,\n", self.ONE.format(""), f"cut.threads={threads}", f"join.threads={threads}")
            self.assertEqual(lines, ["a+b+c", "", "d", "+"])
            self.assertEqual(self.ledger(), [4, 4, 0, 0, 0, 0])

    def test_nested(self):
        self.assertEqual(self.lines("a,b;c\n;;d\n\n", self.TWO.format("")), ["a+b|c", "||d", ""])
        self.assertEqual(self.ledger(), [3, 3, 0, 0, 0, 0])

    def test_many_out_of_order(self):
        """Children finish in any order, their parents come out in source order, whole."""
        work = "[work]\nplugin = probe/work\nms = 3ms\nout = text\n"
        text = "".join(",".join(f"{i}.{k}" for k in range(i % 9)) + "\n" for i in range(60))
        want = ["+".join(f"w{i}.{k}" for k in range(i % 9)) for i in range(60)]
        self.assertEqual(self.lines(text, self.ONE.format(work)), want)
        self.assertEqual(self.lines(text, self.ONE.format(work), "in.in_flight=1"), want)

    def test_a_child_that_falls(self):
        for what, status, delivered in (("drop", 0, [3, 3, 0, 0, 0, 0]), ("bad", 3, [3, 1, 0, 2, 0, 0])):
            lines = self.lines("a,b\nb\nc\n", self.ONE.format(VERDICT.format("b", what)), status=status)
            self.assertEqual(lines, ["a+?", "?", "c"])
            self.assertEqual(self.ledger(), delivered)

    def test_all_children_fall_in_the_inner_bracket(self):
        lines = self.lines("x,x;a\n", self.TWO.format(VERDICT.format("x", "drop")))
        self.assertEqual(lines, ["?+?|a"])

    def test_a_child_that_goes_elsewhere(self):
        sort = "[sort]\nplugin = sorter\nto.away = A\n[away]\nplugin = null\nfrom = sort.away\n"
        join = JOIN.format("join", "+") + "from = sort.rest\n"
        lines = self.lines("A1,b,A2\nA3\nc\n", SPLIT.format("cut", ",") + sort + join + SHOW)
        self.assertEqual(lines, ["?+b+?", "?", "c"])

    def test_two_ways_to_the_merge(self):
        ways = ("[sort]\nplugin = sorter\nto.long = L\n[work]\nplugin = probe/work\nout = text\nfrom = sort.long\n"
                "[hide]\nplugin = redact\nfrom = sort.rest\n")
        lines = self.lines("1,L2,3\nL4\n5\n", SPLIT.format("cut", ",") + ways + JOIN.format("join", "+")
                           + "from = work, hide\n" + SHOW)
        self.assertEqual(lines, ["#+wL2+#", "wL4", "#"])

    def test_counts_of_children_are_their_parents(self):
        lines = self.lines("12,3\n4,x\n", SPLIT.format("cut", ",") + "[hide]\nplugin = redact\n" + VERDICT.format("x", "drop")
                           + JOIN.format("join", "+") + SHOW, "in.cost=digits")
        self.assertEqual(lines, ["##+#", "#+?"])
        self.assertEqual(self.ledger(), [2, 2, 0, 0, 0, 4])

    def test_what_cannot_be(self):
        merge = JOIN.format("join", "+")
        for stages, part in ((merge + SHOW, "split"),
                             (SPLIT.format("cut", ",") + merge + JOIN.format("again", "+") + SHOW, "split"),
                             ("[sort]\nplugin = sorter\nto.a = a\n" + SPLIT.format("cut", ",") + "from = sort.a\n"
                              "[o]\nplugin = null\nfrom = cut, sort.rest\n", "split")):
            self.write("in.txt", "")
            result = self.jevons("check", self.ini(LEDGER + stages))
            self.assertEqual(result.status, 2, result.err)
            self.assertIn(part, result.err)


class Ways(Lines):
    SORT = "[sort]\nplugin = sorter\nto.digits = 1\nto.letters = a\n"

    def test_a_router_and_a_join(self):
        ways = ("[hide]\nplugin = redact\nfrom = sort.digits\n[work]\nplugin = probe/work\nout = text\nfrom = sort.letters\n"
                + SHOW + "from = hide, work, sort.rest\n")
        text = "".join(f"{'1ax'[i % 3]}{i}\n" for i in range(60))
        want = [("#" * (1 + len(str(i))), f"wa{i}", f"x{i}")[i % 3] for i in range(60)]
        self.assertEqual(self.lines(text, self.SORT + ways), want)
        self.assertEqual(self.ledger(), [60, 60, 0, 0, 0, 0])

    def test_ports_are_those_of_the_file(self):
        self.write("in.txt", "")
        for more, part in (("[x]\nplugin = null\nfrom = sort.digits\n", "letters"),
                           ("[x]\nplugin = null\nfrom = sort.number\n", "number"),
                           ("to.rest = r\n[x]\nplugin = null\nfrom = sort.digits\n", "rest")):
            result = self.jevons("check", self.ini(LEDGER + self.SORT + more))
            self.assertEqual(result.status, 2, result.err)
            self.assertIn(part, result.err)

    def test_rejected_records_take_their_way(self):
        stages = (VERDICT.format("b", "bad") + "[work]\nplugin = probe/work\nout = text\nfrom = b.rejected\n"
                  + SHOW + "from = b, work\n")
        self.assertEqual(self.lines("a\nb\nc\n", stages), ["a", "wb", "c"])
        self.assertEqual(self.ledger(), [3, 3, 0, 0, 0, 0])

    def test_enough(self):
        lines = self.lines("a\nb\n" + "c\n" * 100000, VERDICT.format("b", "end") + SHOW)
        self.assertEqual(lines, ["a", "b"])
        read, delivered, dropped, *rest = self.ledger()
        self.assertEqual((delivered, dropped, rest), (2, read - 2, [0, 0, 0]))
        self.assertLess(read, 100002)

    def test_enough_in_one_branch(self):
        other = "[hide]\nplugin = redact\nfrom = in\n[sink]\nplugin = null\n"
        lines = self.lines("a\nb\nc\nd\n", VERDICT.format("b", "end") + SHOW + other)
        self.assertEqual(lines, ["a", "b"])
        self.assertEqual(self.ledger(), [4, 4, 0, 0, 0, 0])


class Pipeline:
    """A random chain of stages from text to text, as INI and as what it must do: brackets, routers whose ways meet, stages
    that take their time in many threads, stages that drop or reject."""

    def __init__(self, dice):
        self.dice = dice
        self.names = 0
        self.ini = ""
        self.start = "in"
        self.run = self.chain(3)

    def stage(self, plugin, keys=""):
        """Adds a section that reads self.start; several of those are a join."""
        self.names += 1
        name = f"s{self.names}"
        self.ini += f"[{name}]\nplugin = {plugin}\nfrom = {self.start}\n{keys}"
        self.start = name
        return name

    def chain(self, depth):
        steps = [self.dice.choice([self.hide, self.work, self.fall, self.bracket, self.ways][:5 if depth else 3])(depth)
                 for _ in range(self.dice.randint(1, 3))]

        def run(text, bad):
            for step in steps:
                text = step(text, bad) if text is not None else None
            return text
        return run

    def hide(self, depth):
        self.stage("redact", f"threads = {self.dice.randint(1, 3)}\n")
        return lambda text, bad: text.replace("1", "#")

    def work(self, depth):
        self.stage("probe/work", f"ms = {self.dice.randint(0, 2)}ms\nout = text\n")
        return lambda text, bad: "w" + text

    def fall(self, depth):
        on, what = self.dice.choice(["a", "b", "#", "wa", "wwb", "1"]), self.dice.choice(["drop", "bad"])
        self.stage("probe/verdict", f"on = {on}\nwhat = {what}\n")

        def run(text, bad):
            if text == on and what == "bad":
                bad.append(on)
            return None if text == on else text
        return run

    def bracket(self, depth):
        at, plus = ".,;"[depth - 1], "+|/"[depth - 1]
        self.stage("bracket/split", f"at = {at}\nthreads = {self.dice.randint(1, 3)}\n")
        inner = self.chain(depth - 1)
        self.stage("bracket/join", f"with = {plus}\nmissing = ?\nlengths = l{self.names}\nwhy = y{self.names}\n")

        def run(text, bad):
            parts = [inner(part, bad) for part in text.split(at)] if text else []
            return plus.join("?" if part is None else part for part in parts)
        return run

    def ways(self, depth):
        name = self.stage("sorter", "to.a = a\nto.w = w\n")
        ends, runs = [], []
        for port in ("a", "w", "rest"):
            self.start = f"{name}.{port}"
            runs.append(self.chain(depth - 1))
            ends.append(self.start)
        self.start = ", ".join(ends)
        self.stage("redact")

        def run(text, bad):
            out = runs[{"a": 0, "w": 1}.get(text[:1], 2)](text, bad)
            return None if out is None else out.replace("1", "#")
        return run


class Random(Lines):
    def test_pipelines(self):
        for seed in range(int(os.environ.get("KINDS_SEEDS", 40))):
            dice = random.Random(seed)
            pipeline = Pipeline(dice)
            lines = ["".join(dice.choices("ab1w.,;", k=dice.randint(0, 12))) for _ in range(dice.randint(1, 60))]
            want, fates = [], [0, 0, 0]
            for line in lines:
                bad = []
                text = pipeline.run(line, bad)
                want += [text] if text is not None else []
                fates[2 if bad else 1 if text is None else 0] += 1
            with self.subTest(seed=seed):
                got = self.lines("".join(line + "\n" for line in lines), pipeline.ini + SHOW + f"from = {pipeline.start}\n",
                                 f"in.in_flight={dice.choice([1, 3, 4096])}", status=3 if fates[2] else 0)
                self.assertEqual(got, want)
                self.assertEqual(self.ledger(), [len(lines)] + fates + [0, 0])


class Client:
    def __init__(self, case, path):
        self.socket = socket.socket(socket.AF_UNIX)
        case.addCleanup(self.socket.close)
        self.socket.settimeout(120)
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                case.assertIsNone(case.server.poll(), "jevons has ended")
                time.sleep(0.01)
        self.rest = b""

    def ask(self, *lines):
        self.socket.sendall(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))

    def read(self, n=None):
        """n bytes, or a line without its newline."""
        while (len(self.rest) if n is not None else self.rest.find(b"\n") + 1) < (n or 1):
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(self.rest)
            self.rest += more
        end = n if n is not None else self.rest.index(b"\n")
        taken, self.rest = self.rest[:end], self.rest[end + (n is None):]
        return taken.decode()

    def hear(self):
        """A message: (number of the request, what, text)."""
        name, what, n = self.read().split(" ")
        text = self.read(int(n))
        assert self.read(1) == "\n"
        return name.split(".", 1)[1], what, text

    def until(self, *what):
        """All messages to the first of this kind, which comes last."""
        heard = [self.hear()]
        while heard[-1][1] not in what:
            heard.append(self.hear())
        return heard

    def close(self):
        self.socket.close()


class Server(jv.Case):
    HEAD = "[requests]\nplugin = post/listen\npath = s\ncost = tokens\n"
    MODEL = "[model]\nplugin = oracle/model\n"
    ASK = "[ask]\nplugin = oracle/ask\nmodel = model\n"
    REPLY = "[reply]\nplugin = post/reply\nin = answer\nsource = requests\n"

    def serve(self, stages, *overrides):
        self.server = self.start("run", self.ini(self.HEAD + stages + self.MODEL), *overrides)
        self.addCleanup(self.end)
        return self.client()

    def client(self):
        return Client(self, self.path("s"))

    def end(self):
        if self.server.poll() is None:
            self.server.kill()
        self.server.communicate()

    def stop(self, status=0):
        self.server.send_signal(signal.SIGTERM)
        return self.ended(status)

    def ended(self, status=0):
        """What it said, once it has ended by itself."""
        err = self.server.communicate(timeout=120)[1]
        self.assertEqual(self.server.returncode, status, err.decode())
        return err.decode()

    def finals(self, client, n):
        """The texts of finals in the order in which they come, with the numbers of their requests, until n are done."""
        heard = []
        while n:
            number, what, text = client.hear()
            n -= what == "done"
            heard += [(number, text)] if what == "final" else []
        return heard


class Serving(Server):
    def test_an_answer_grows_and_ends(self):
        client = self.serve(self.ASK + self.REPLY)
        text = " ".join(f"word{i}" for i in range(200))
        client.ask("live: " + text)
        heard = client.until("done")
        self.assertEqual(heard[-1], ("1", "done", "delivered 200"))
        self.assertEqual([m for m in heard if m[1] == "final"], [("1", "final", text)])
        parts = [m[2] for m in heard if m[1] == "partial"]
        self.assertEqual([m[1] for m in heard if m[1] != "begun"], ["partial"] * len(parts) + ["final", "done"])
        for part, longer in zip(parts, parts[1:] + [text]):
            self.assertTrue(longer.startswith(part))
        self.assertIn("1 answered, 0 cancelled", self.stop())

    def test_many_clients(self):
        first = self.serve(self.ASK + self.REPLY)
        clients = [first] + [self.client() for _ in range(15)]
        for i, client in enumerate(clients):
            client.ask(*(f"batch: a {i} {k}" for k in range(20)))
        for i, client in enumerate(clients):
            self.assertEqual(sorted(self.finals(client, 20)), sorted((str(k + 1), f"a {i} {k}") for k in range(20)))
        self.assertIn("320 answered, 0 cancelled", self.stop())

    def test_params(self):
        client = self.serve("[hide]\nplugin = redact\n" + self.ASK + self.REPLY)
        client.ask("live words=2 mask=*: a 1 b")
        self.assertEqual(client.until("done")[-2:], [("1", "final", "a *"), ("1", "done", "delivered 2")])
        client.ask("live wrods=2: a")
        number, what, text = client.until("done")[-1]
        self.assertTrue(text.startswith("rejected 0 "), text)
        self.assertIn("wrods", text)
        self.stop(status=3)

    def test_what_never_reaches_the_sink(self):
        client = self.serve(VERDICT.format("drop", "drop") + VERDICT.format("bad", "bad") + self.ASK + self.REPLY)
        for text, done in (("drop", "dropped 0 told to drop"), ("bad", "rejected 0 record bad is bad"), ("good", "delivered 1")):
            client.ask("live: " + text)
            what, told = client.until("done")[-1][1:]
            self.assertEqual(told[:len(done)], done)
        self.stop(status=3)

    def test_a_rejected_request_that_another_stage_answers(self):
        stages = VERDICT.format("bad", "bad") + self.ASK + "[other]\nplugin = oracle/ask\nmodel = model\nfrom = bad.rejected\n"
        client = self.serve(stages + self.REPLY + "from = ask, other\n")
        client.ask("live: bad")
        self.assertEqual(client.until("done")[-2:], [("1", "final", "bad"), ("1", "done", "delivered 1")])
        self.stop()

    def test_a_request_in_pieces(self):
        client = self.serve(SPLIT.format("cut", ",") + self.ASK + JOIN.format("join", "+") + ANSWERS + self.REPLY)
        client.ask("live: a b,c d e,f", "live: ")
        heard = [client.until("done") for _ in range(2)]
        messages = sorted(m for part in heard for m in part if m[1] != "begun")
        self.assertEqual(messages, [("1", "done", "delivered 6"), ("1", "final", "a b+c d e+f"),
                                    ("2", "done", "delivered 0"), ("2", "final", "")])
        self.stop()

    def test_pieces_are_answered_one_by_one(self):
        client = self.serve(SPLIT.format("cut", ",") + self.ASK + self.REPLY)
        client.ask("live: a b,c")
        heard = client.until("done")
        self.assertEqual(sorted(m for m in heard if m[1] == "final"), [("1/0", "final", "a b"), ("1/1", "final", "c")])
        self.assertEqual(heard[-1], ("1", "done", "delivered 3"))
        self.stop()


class Trouble(Server):
    def test_a_text_that_is_none(self):
        client = self.serve(self.ASK + self.REPLY)
        client.ask(b"live: a\xff", "live: fine")
        heard = [m for _ in range(2) for m in client.until("done") if m[1] == "done"]
        self.assertEqual(sorted(heard), [("1", "done", "rejected 0 the text is no UTF-8 at byte 1"), ("2", "done", "delivered 1")])
        self.stop(status=3)

    def test_a_run_that_ends_from_the_source_s_own_thread(self):
        client = self.serve(self.ASK + self.REPLY, "requests.on_error=stop")
        client.ask("live: a ...")
        client.until("partial")
        client.ask(b"live: \xff")
        heard = sorted(m[:2] for m in client.until("done") + client.until("done"))
        self.assertEqual([m for m in heard if m[1] == "done"], [("1", "done"), ("2", "done")])
        self.ended(status=1)

    def test_a_source_that_cannot_go_on(self):
        """poll(2) refuses more descriptors than a process may have."""
        os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # it needs descriptors of its own
        client = self.serve(self.ASK + self.REPLY)
        client.ask("live: a ...")
        client.until("partial")
        resource.prlimit(self.server.pid, resource.RLIMIT_NOFILE, (1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        client.ask("live: b")
        self.assertIn("requests (t.ini:1): poll: Invalid argument", self.ended(status=1))

    def test_a_request_before_all_have_started(self):
        """The source of requests is started before the sink that answers. A pipe that nobody reads holds the last start up."""
        os.mkfifo(self.path("ledger.tsv"))
        self.write("in.txt", "a line\n")
        client = self.serve(self.ASK + self.REPLY + LEDGER + "[rest]\nplugin = null\n")
        client.ask("live: early")
        self.assertEqual(client.hear(), ("1", "begun", ""))
        with open(self.path("ledger.tsv")) as ledger:
            self.assertEqual(client.until("done")[-1], ("1", "done", "delivered 1"))
            self.server.send_signal(signal.SIGTERM)  # status 1 where the other source has not come to its end yet
            self.server.communicate(timeout=120)
            self.assertRegex(ledger.read(), r"in.txt\t[01]\t[01]\t0\t0\t0\t0\n")

    def test_a_request_before_a_start_that_fails(self):
        os.mkfifo(self.path("ledger.tsv"))
        os.mkdir(self.path("folder"))
        self.write("in.txt", "")
        stages = self.ASK + self.REPLY + LEDGER + "[rest]\nplugin = null\n"
        stages += LEDGER.replace("[in]", "[more]").replace("ledger.tsv", "folder") + "[too]\nplugin = null\n"
        client = self.serve(stages)
        client.ask("live: early")
        self.assertEqual(client.hear(), ("1", "begun", ""))
        with open(self.path("ledger.tsv")):
            number, what, text = client.hear()
            self.assertEqual((number, what, text.split()[0]), ("1", "done", "cancelled"))
            self.assertIn("folder", self.ended(status=1))

    def test_nobody_waits_behind_one_who_thinks(self):
        """Also when calls were quick so far, so that a thread might have taken several records at once."""
        client = self.serve(self.ASK + "threads = 2\n" + self.REPLY)
        for _ in range(5):
            client.ask(*["batch: quick"] * 60)
            self.finals(client, 60)
        thinker = self.client()
        thinker.ask("batch: well ...")
        client.ask(*["batch: quick"] * 60)
        self.finals(client, 60)
        thinker.close()
        self.assertIn("360 answered, 1 cancelled", self.stop())


class HangingUp(Server):
    def test_frees_the_record(self):
        client = self.serve(self.ASK + self.REPLY)
        client.ask("live: I think ...")
        self.assertIn(client.until("partial")[-1][2], ("I", "I think"))
        client.close()
        other = self.client()
        other.ask("live: fine")
        self.assertEqual(other.until("done")[-1], ("1", "done", "delivered 1"))
        self.assertIn("1 answered, 1 cancelled", self.stop())

    def test_frees_its_children(self):
        client = self.serve(SPLIT.format("cut", ",") + self.ASK + self.REPLY)
        client.ask("live: a ...,b ...,c")
        seen = set()
        while not {"1/0", "1/1"} <= seen or ("1/2", "final", "c") not in seen:
            message = client.hear()
            seen |= {message, message[0]} if message[1] in ("partial", "final") else set()
        client.close()
        self.assertIn("1 answered, 2 cancelled", self.stop())

    def test_leaves_the_others_alone(self):
        client = self.serve(self.ASK + self.REPLY)
        other = self.client()
        other.ask("live: stays ...", "live: short")
        self.assertEqual(other.until("done")[-1], ("2", "done", "delivered 1"))
        client.ask("live: goes ...")
        client.until("partial")
        client.close()
        other.ask("live: more")
        self.assertEqual(other.until("done")[-1], ("3", "done", "delivered 1"))
        other.close()
        self.assertIn("2 answered, 2 cancelled", self.stop())

    def test_many_at_any_time(self):
        """Clients come and go; who stays gets everything, and the run ends well."""
        staying = [self.serve(SPLIT.format("cut", ",") + self.ASK + JOIN.format("join", "+") + ANSWERS + self.REPLY)]
        staying += [self.client() for _ in range(3)]
        for i in range(40):
            for client in staying:
                client.ask(f"batch: a {i},b c,d")
            going = self.client()
            going.ask(*(f"live: {'x ' * (i + k)}{'...' if k % 2 else ''},y" for k in range(i % 7)))
            for _ in range(i % 5):
                if i % 7 > 1:
                    going.hear()
            going.close()
        for client in staying:
            self.assertEqual(sorted(self.finals(client, 40)), sorted((str(i + 1), f"a {i}+b c+d") for i in range(40)))
        self.stop()

    def test_live_before_batch(self):
        """One thread, taken by a client that then hangs up; what waits goes by priority, and else in its order."""
        holder = self.serve(self.ASK + "threads = 1\n" + self.REPLY + "threads = 1\n")
        holder.ask("live: hm ...")
        holder.until("partial")
        client = self.client()
        client.ask("batch: b1", "batch: b2", "live: l1", "live: l2")
        for _ in range(4):
            client.until("begun")
        holder.close()
        self.assertEqual(self.finals(client, 4), [("3", "l1"), ("4", "l2"), ("1", "b1"), ("2", "b2")])
        self.stop()


class Stopping(Server):
    def test_the_window(self):
        client = self.serve(self.ASK + self.REPLY, "requests.in_flight=2")
        client.ask("live: a ...", "live: b ...", "live: c")
        self.assertEqual(client.until("refused")[-1], ("3", "refused", "full"))
        client.close()
        self.stop()

    def test_drains(self):
        client = self.serve(self.ASK + self.REPLY)
        other = self.client()
        other.ask("live: a ...")
        other.until("partial")
        self.server.send_signal(signal.SIGTERM)
        answered = 0
        while client.ask("live: one more") or client.until("done", "refused")[-1][1] == "done":
            answered += 1
        other.close()
        self.assertIn(f"{answered} answered, 1 cancelled", self.ended())

    def test_the_second_signal_cancels(self):
        client = self.serve(self.ASK + self.REPLY)
        client.ask("live: a ...")
        client.until("partial")
        self.server.send_signal(signal.SIGTERM)
        while client.ask("live: b") or client.until("done", "refused")[-1][1] == "done":
            pass
        self.server.send_signal(signal.SIGTERM)
        self.assertEqual(client.until("done")[-1][:2], ("1", "done"))
        self.ended(status=1)

    def test_enough(self):
        client = self.serve(VERDICT.format("last", "end") + self.ASK + self.REPLY)
        client.ask("live: first", "live: last")
        self.assertEqual(sorted(self.finals(client, 2)), [("1", "first"), ("2", "last")])
        self.assertIn("2 answered", self.ended())


if __name__ == "__main__":
    jv.main()
