"""Running pipelines: order, verdicts, children, streams, cancelling, signals, exit statuses, the end table."""

import json
import os
import signal
import subprocess
import time

import jv

NUMBERS = "[n]\nplugin = probe/numbers\nkeep = 1\n"
WORK = "[w]\nplugin = probe/work\n"
OUT = "[o]\nplugin = stdout\nin = {}\n"
PARALLEL = NUMBERS + WORK + "[v]\nplugin = probe/verdict\nin = work\n" + OUT.format("work")
SERIAL = NUMBERS + "[v]\nplugin = probe/verdict\n" + OUT.format("text")


class Flow(jv.Case):
    def test_order_is_kept_behind_many_threads(self):
        result = self.jevons("run", self.ini(PARALLEL), "n.count=300", "v.on=none")
        self.assertEqual(result.lines, [f"w{i}" for i in range(300)])
        self.assertEqual(result.status, 0)

    def test_one_thread_gives_the_same(self):
        ini = self.ini(PARALLEL)
        many, one = (self.jevons("run", "--quiet", ini, "v.on=none", f"w.threads={t}") for t in (8, 1))
        self.assertEqual(many.out, one.out)

    def test_a_small_window(self):
        for window in (1, 2, 7):
            result = self.jevons("run", self.ini(PARALLEL), "n.count=50", f"n.in_flight={window}", "v.on=none")
            self.assertEqual(result.lines, [f"w{i}" for i in range(50)])

    def test_children_stand_in_their_parents_place(self):
        result = self.jevons("run", self.ini(PARALLEL), "w.plugin=probe/split", "w.split=30", "n.count=20", "v.on=none")
        self.assertEqual(result.lines, [f"{i}.{chr(97 + k % 26)}" for i in range(20) for k in range(30)])

    def test_more_children_than_outputs_are_kept(self):
        result = self.jevons("run", self.ini(PARALLEL), "w.plugin=probe/split", "w.split=5000", "n.count=3", "w.ms=0ms", "v.on=none")
        self.assertEqual(len(result.lines), 15000)

    def test_two_farms(self):
        ini = self.ini(NUMBERS + WORK + "[w2]\nplugin = probe/split\nin = work\nout = twice\nsplit = 2\n" + OUT.format("twice"))
        self.assertEqual(self.jevons("run", ini, "n.count=100").lines, [f"w{i}.{c}" for i in range(100) for c in "ab"])

    def test_a_tee_gives_each_every_record(self):
        ini = self.ini(NUMBERS + WORK + "[a]\nplugin = jsonl\npath = a.jsonl\nfields = id, work\n"
                       "[w2]\nplugin = probe/work\nfrom = w\nin = work\nout = twice\n[b]\nplugin = jsonl\npath = b.jsonl\nfields = id, work, twice\n")
        self.assertEqual(self.jevons("run", ini, "n.count=60").status, 0)
        a, b = ([json.loads(x) for x in self.read(n).splitlines()] for n in ("a.jsonl", "b.jsonl"))
        self.assertEqual(a, [{"id": str(i), "work": f"w{i}"} for i in range(60)])
        self.assertEqual(b, [{"id": str(i), "work": f"w{i}", "twice": f"ww{i}"} for i in range(60)])

    def test_branches_of_a_tee_know_nothing_of_each_other(self):
        """Counters, and the numbers of children, are those of the branch."""
        branch = "[v{0}]\nplugin = probe/verdict\non = none\nfrom = n\n[w{0}]\nplugin = probe/split\nsplit = 4\n" \
                 "[o{0}]\nplugin = jsonl\npath = {0}.jsonl\nfields = id, work\n[t{0}]\nplugin = jsonl\npath = t{0}.jsonl\nfields = looked_at\nfrom = v{0}\n"
        ini = self.ini(NUMBERS + branch.format("a") + branch.format("b"))
        self.assertEqual(self.jevons("run", ini, "n.count=100").status, 0)
        expected = [{"id": f"{i}/{k}", "work": f"{i}.{c}"} for i in range(100) for k, c in enumerate("abcd")]
        for name in "ab":
            self.assertEqual([json.loads(x) for x in self.read(name + ".jsonl").splitlines()], expected)
            self.assertEqual({x for x in self.read(f"t{name}.jsonl").splitlines()}, {b'{"looked_at":1}'})

    def test_two_sources(self):
        ini = self.ini(NUMBERS + "[a]\nplugin = jsonl\npath = a.jsonl\nfields = id\n[m]\nplugin = probe/numbers\n[b]\nplugin = jsonl\npath = b.jsonl\nfields = square\n")
        result = self.jevons("run", ini)
        self.assertEqual(result.status, 0, result.err)
        self.assertEqual((len(self.read("a.jsonl").splitlines()), len(self.read("b.jsonl").splitlines())), (10, 10))

    def test_ports_are_named_as_they_are_read(self):
        ini = "[n]\nplugin = text\ntext = x\n[p]\nplugin = prompt\ntext = {text}\n"
        self.check_problems(self.ini(ini + "[q]\nplugin = prompt\ntext = {error}\nfrom = p, p.rejected\n[z]\nplugin = null\n"),
                            [(9, "`text`: it reads `error`, which p.rejected (t.ini:4) makes but which does not come by way of p (t.ini:4)")])
        self.check_problems(self.ini(ini + "out = p\n[q]\nplugin = prompt\ntext = {p}\nfrom = p, p.rejected\n[z]\nplugin = null\n"),
                            [(10, "`text`: it reads `p`, which p (t.ini:4) makes but which does not come by way of p.rejected (t.ini:4)")])
        self.check_problems(self.ini(ini + "[z]\nplugin = null\n[a]\nplugin = prompt\ntext = a\nfrom = p.rejected\n[b]\nplugin = prompt\ntext = b\nfrom = p.rejected\n"
                                     "[c]\nplugin = null\nfrom = a, b\n"), [(19, "[c] would get each record of [p.rejected] twice, by [a] and by [b]")])
        self.write("t.ini", ini + "[z]\nplugin = null\n[y]\nplugin = null\nfrom = z.rejected\n")
        self.assertIn("      y (null), reads z.rejected", self.jevons("check", "t.ini").lines)
        self.assertRegex(self.jevons("graph", "t.ini").text, r'"z" -> "y" \[label="rejected"\]')

    def test_a_start_that_fails_costs_no_output(self):
        """Sinks start behind all that may fail between the sources and them."""
        self.write("o", "old\n")
        ini = self.ini("[n]\nplugin = probe/numbers\n[o]\nplugin = jsonl\npath = o\n[m]\nplugin = probe/numbers\n[v]\nplugin = probe/verdict\nwhat = unstartable\n[z]\nplugin = null\n")
        self.assertEqual(self.jevons("run", ini).status, 1)
        self.assertEqual(self.read("o"), b"old\n")

    def test_a_plugin_without_a_reason(self):
        ini = self.ini("[n]\nplugin = probe/numbers\n[v]\nplugin = probe/verdict\nwhat = mute\n[z]\nplugin = null\n")
        self.assertIn("v (t.ini:3): the plugin gives no reason (record 3)", self.jevons("run", ini).err)

    def test_a_mismatch_names_both(self):
        self.write("t.ini", "[in]\nplugin = files\nas = bytes\npath = t.ini\n[p]\nplugin = prompt\ntext = {text}\n[z]\nplugin = null\n")
        self.check_problems("t.ini", [(7, "`text`: it reads `text` as utf8, but in (t.ini:1) makes it bytes")])

    def test_references(self):
        ini = self.ini(NUMBERS + "[u]\nplugin = probe/user\nthing = it\n[it]\nplugin = probe/thing\n" + "[o]\nplugin = null\nfrom = u\n")
        self.assertEqual(self.jevons("run", ini).status, 0)
        self.check_problems(ini, [(0, "`thing`: no section [its], did you mean `it`?")], "u.thing=its", "n.keep=0")
        self.check_problems(ini, [(0, "[n] (t.ini:1) is no probe.thing/1")], "u.thing=n", "n.keep=0")


class Verdicts(jv.Case):
    def settled(self, result):
        return [m.split("settled: ")[1] for m in result.messages if "settled: " in m][0]

    def run_with(self, ini, *overrides):
        return self.jevons("run", self.ini(ini), *overrides)

    def test_bad(self):
        for ini, on in ((SERIAL, "3"), (PARALLEL, "w3")):
            result = self.run_with(ini, f"v.on={on}")
            self.assertEqual(result.status, 3)
            self.assertEqual(len(result.lines), 9)
            dead = [json.loads(x) for x in self.read("t.rejected.jsonl").splitlines()]
            self.assertEqual(len(dead), 1)
            self.assertEqual((dead[0]["id"], dead[0]["stage"], dead[0]["error"]), ("3", "v", f"record {on} is bad"))
            self.assertTrue(dead[0]["place"].startswith("t.ini:"))
            self.assertEqual(dead[0]["input"]["text"], "3")
            self.assertEqual(dead[0]["input"]["square"], 9)
            self.assertIn("1 rejected: t.rejected.jsonl", result.err)
            self.assertEqual(self.settled(result), "9 well, 1 bad, 0 cancelled, 0 fatal")

    def test_an_old_dead_letter_file_does_not_outlive_a_good_run(self):
        self.assertEqual(self.run_with(SERIAL).status, 3)
        self.assertEqual(self.run_with(SERIAL, "v.on=none").status, 0)
        self.assertFalse(os.path.exists(self.path("t.rejected.jsonl")))

    def test_a_dead_letter_file_that_is_something_else_is_left_alone(self):
        self.write("precious.txt", "precious\n")
        result = self.run_with(SERIAL, "pipeline.dead_letter=precious.txt")
        self.assertEqual((result.status, result.text), (1, ""))
        self.assertIn("precious.txt is there and holds no rejected records", result.err)
        self.assertEqual(self.read("precious.txt"), b"precious\n")

    def test_the_dead_letter_is_the_record_as_it_came(self):
        result = self.run_with(NUMBERS + WORK + OUT.format("text"), "w.overwrite=yes", "w.out=text", "n.count=1")
        self.assertEqual(result.status, 3)
        self.assertEqual(json.loads(self.read("t.rejected.jsonl"))["input"], {"text": "0", "square": 0})

    def test_dead_letters_in_source_order(self):
        ini = NUMBERS + WORK + "[v]\nplugin = probe/verdict\nin = id\nthreads = 1\n[x]\nplugin = probe/work\nin = id\n[v2]\nplugin = probe/verdict\nin = id\n" + OUT.format("id")
        result = self.run_with(ini, "v.on=9", "v2.on=2")
        self.assertEqual(result.status, 3)
        self.assertEqual([json.loads(x)["id"] for x in self.read("t.rejected.jsonl").splitlines()], ["2", "9"])

    def test_dead_letters_of_children(self):
        result = self.run_with(PARALLEL, "w.plugin=probe/split", "w.split=3", "v.in=id", "v.on=5/1", "pipeline.dead_letter=d.jsonl")
        self.assertEqual(result.status, 3)
        self.assertEqual([json.loads(x)["id"] for x in self.read("d.jsonl").splitlines()], ["5/1"])
        self.assertEqual(len(result.lines), 29)
        self.assertEqual(self.settled(result), "9 well, 1 bad, 0 cancelled, 0 fatal")

    def test_a_dead_letter_file_that_cannot_be_written_ends_the_run(self):
        result = self.run_with(SERIAL, "pipeline.dead_letter=/dev/full")
        self.assertEqual(result.status, 1)
        self.assertIn("/dev/full", result.err)

    def test_on_error_stop(self):
        for key in ("pipeline.on_error=stop", "v.on_error=stop"):
            result = self.run_with(SERIAL, key)
            self.assertEqual((result.status, len(result.lines)), (1, 3))
            self.assertIn("v (t.ini:4): record 3 is bad (record 3)", result.err)

    def test_drop(self):
        result = self.run_with(SERIAL, "v.what=drop")
        self.assertEqual((result.status, len(result.lines)), (0, 9))
        self.assertIn("dropped 1: told to drop", result.err)
        self.assertEqual(self.settled(result), "10 well, 0 bad, 0 cancelled, 0 fatal")

    def test_retry(self):
        self.assertEqual(self.run_with(SERIAL, "v.what=retry").status, 0)
        result = self.run_with(SERIAL, "v.what=retry", "v.tries=5", "v.retries=1")
        self.assertEqual(result.status, 3)
        self.assertIn("retried 1", result.err)
        self.assertIn("not yet", self.read("t.rejected.jsonl").decode())

    def test_fatal(self):
        for ini, on in ((SERIAL, "3"), (PARALLEL, "w3")):
            result = self.run_with(ini, "v.what=fatal", f"v.on={on}", "n.count=100000")
            self.assertEqual(result.status, 1)
            self.assertRegex(result.err, r"jevons: v \(t.ini:\d+\): told to fail \(record 3\)")
            if ini is SERIAL:
                self.assertEqual(result.lines, ["0", "1", "2"])  # what had passed is finished
            else:
                self.assertEqual(result.lines, [f"w{i}" for i in range(len(result.lines))])

    def test_start_that_fails(self):
        result = self.run_with(SERIAL, "v.what=unstartable")
        self.assertEqual((result.status, result.text), (1, ""))
        self.assertIn("told not to start", result.err)

    def test_nonsense(self):
        for what, part in (("nonsense", "the plugin answers 77"), ("cancelled", "a record that nobody cancelled"),
                           ("fork", "its stage is not JV_SPLIT"), ("own", "gives away record 3, which it did not make")):
            result = self.run_with(SERIAL, "v.what=" + what)
            self.assertEqual(result.status, 1)
            self.assertIn(part, result.err)

    def test_a_source_that_says_its_window_is_full(self):
        """It is not: it would be asked for ever."""
        for after in (0, 3):
            result = self.run_with("[n]\nplugin = absurd/source\nat = poll\nanswer = -5\n[o]\nplugin = null\n", f"n.after={after}")
            self.assertEqual(result.status, 1)
            self.assertIn("n (t.ini:1): the plugin's poll answers JV_FULL (-5), which begin did not", result.err)

    def test_end(self):
        """The one that says so is the last; the source stops, and nothing is wrong with that."""
        result = self.run_with(SERIAL, "v.what=end", "n.count=1000000")
        self.assertEqual((result.status, result.lines), (0, ["0", "1", "2", "3"]))

    def test_a_buffer_that_is_forgotten_ends_the_run(self):
        for ini, key, record in ((SERIAL, "n.forget=yes", "1"), (PARALLEL, "w.forget=yes", "0/0")):
            result = self.run_with(ini, key, "w.plugin=probe/split", "w.split=1", "w.threads=1") if ini is PARALLEL else self.run_with(ini, key, "v.on=none")
            self.assertEqual(result.status, 1)
            self.assertIn(f"made this record and did not emit it (record {record})", result.err)

    def test_cancel_by_the_source(self):
        """The first record is cancelled while it is worked on; the others are not touched."""
        result = self.run_with(NUMBERS + WORK + OUT.format("work"), "w.pieces=200", "w.ms=10", "n.cancel=5", "w.threads=16")
        self.assertEqual(self.settled(result), "9 well, 0 bad, 1 cancelled, 0 fatal")
        self.assertEqual(len([x for x in result.lines if x.endswith(":199 ")]), 9)
        self.assertEqual(result.status, 0)


class Streams(jv.Case):
    def test_snapshots_give_the_text_once_and_whole(self):
        ini = self.ini(NUMBERS + WORK + OUT.format("work"))
        result = self.jevons("run", "--quiet", ini, "w.pieces=20", "w.ms=1", "n.count=12")
        self.assertEqual(result.lines, ["".join(f"{i}:{k} " for k in range(20)) for i in range(12)])

    def test_they_come_while_the_record_is_unfinished(self):
        for threads in (1, 8):
            ini = self.ini(NUMBERS + WORK + OUT.format("work"))
            p = self.start("run", ini, "w.pieces=100000", "w.ms=5", "n.count=1", f"w.threads={threads}")
            first = os.read(p.stdout.fileno(), 4)
            self.assertTrue(b"0:0 ".startswith(first) and first, first)
            self.assertIsNone(p.poll())
            p.send_signal(signal.SIGINT)  # the source has ended, nothing is left to admit: this cancels
            if threads == 1:  # the source's own thread does the work: to it the first signal means finish
                time.sleep(0.3)
                p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=30)
            self.assertEqual(p.returncode, 1, err)
            self.assertIn(b"0 finished, 1 cancelled", err)


class Signals(jv.Case):
    def interrupt(self, ini, *overrides, times=1, first=b"\n"):
        p = self.start("run", self.ini(ini), *overrides)
        got = b""
        while first not in got:
            got += os.read(p.stdout.fileno(), 1)
        for i in range(times):
            if i:
                time.sleep(0.3)
            p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=30)
        return p.returncode, (got + out).decode().splitlines(), err.decode()

    def test_a_finite_source_is_cut_short(self):
        status, lines, err = self.interrupt(SERIAL, "n.every_ms=20", "n.count=100000", "v.on=none")
        self.assertEqual(status, 1)
        self.assertIn(f"cut short: {len(lines)} finished, 0 cancelled", err)
        self.assertEqual(lines, [str(i) for i in range(len(lines))])

    def test_an_endless_source_ends_well(self):
        status, lines, err = self.interrupt(SERIAL.replace("numbers", "endless"), "n.every_ms=20", "n.count=100000", "v.on=none")
        self.assertEqual(status, 0, err)

    def test_a_service_with_a_cancelled_client_ends_well(self):
        status, lines, err = self.interrupt((NUMBERS + WORK + OUT.format("work")).replace("numbers", "endless"), "n.every_ms=5", "n.count=100000", "n.cancel=5", "w.pieces=40", "w.ms=5")
        self.assertEqual(status, 0, err)
        self.assertIn("1 cancelled, 0 fatal", err)

    def test_what_is_on_its_way_is_finished(self):
        status, lines, err = self.interrupt(PARALLEL, "n.every_ms=10", "n.count=100000", "w.ms=200", "v.on=none")
        self.assertEqual(status, 1)
        self.assertEqual(lines, [f"w{i}" for i in range(len(lines))])
        self.assertIn("0 cancelled", err)

    def test_the_second_cancels(self):
        status, lines, err = self.interrupt(NUMBERS + WORK + OUT.format("work"), "w.pieces=100000", "w.ms=20", "n.every_ms=10", "n.count=10000", times=2, first=b"0:0")
        self.assertEqual(status, 1)
        self.assertIn("cancelling", err)
        self.assertNotIn(" 0 cancelled", err)

    def test_a_deaf_stage_is_left_after_five_seconds(self):
        begun = time.monotonic()
        status, lines, err = self.interrupt(NUMBERS + WORK + OUT.format("work"), "w.pieces=100000", "w.ms=5", "w.deaf=yes", "n.count=1", times=2, first=b"0:0")
        self.assertEqual(status, 1, err)
        self.assertIn("does not hear the cancel", err)
        self.assertIn("jevons: cut short: 0 finished, 0 cancelled, 1 left on the way\n", err)
        self.assertGreater(time.monotonic() - begun, 4)

    def interrupt_start(self, *overrides, source="probe/numbers"):
        """A run with a stage that would take an hour to start, and what came of it."""
        p = self.start("run", self.ini(f"[n]\nplugin = {source}\n[m]\nplugin = slow/load\nms = 1h\n[o]\nplugin = jsonl\npath = o\nfields = id\n"), *overrides)
        first = p.stderr.readline()
        self.assertIn(b"loading", first)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        self.assertEqual(sorted(os.listdir(self.folder)), ["t.ini"], "nothing is left behind")
        return p.returncode, err.decode()

    def test_before_anything_runs_the_first_cancels(self):
        status, err = self.interrupt_start()
        self.assertEqual(status, 1, err)
        self.assertIn("jevons: cancelled before anything began\n", err)
        self.assertIn("jevons: cut short: 0 finished, 0 cancelled\n", err)
        self.assertNotIn("stopped as it loaded", err, "that follows from the cancel")

    def test_an_endless_source_that_was_not_started_ends_well(self):
        status, err = self.interrupt_start(source="slow/ticks")
        self.assertEqual(status, 0, err)

    def test_a_deaf_start_is_left(self):
        status, err = self.interrupt_start("m.deaf=yes")
        self.assertEqual(status, 1, err)
        self.assertIn("m (t.ini:3) does not hear the cancel as it starts: gone after 1 second", err)

    def test_nobody_reads(self):
        p = subprocess.run(f"{jv.JEVONS} run {self.ini(SERIAL)} n.count=1000000 v.on=none | head -n 1", shell=True, cwd=self.folder, env=self.environment(),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(p.stdout, b"0\n")
        self.assertIn(b"nobody reads standard output any more", p.stderr)


class Reports(jv.Case):
    def test_json(self):
        result = self.jevons("run", "--json", "--quiet", self.ini(SERIAL), "v.what=drop")
        table = json.loads(result.messages[0])
        self.assertEqual(table["records"], 10)
        self.assertEqual({k: table["stages"]["v"][k] for k in ("in", "out", "dropped", "rejected")}, {"in": 10, "out": 9, "dropped": 1, "rejected": 0})
        self.assertEqual(table["stages"]["v"]["counters"], {"looked_at": 10})
        self.assertEqual(table["stages"]["v"]["drops"], {"told to drop": 1})
        self.assertEqual(table["stages"]["o"]["out"], 9)

    def test_table(self):
        result = self.jevons("run", self.ini(SERIAL))
        rows = {m.split()[0]: m.split()[1:5] for m in result.messages if m and not m.startswith((" ", "jevons"))}
        self.assertEqual(rows["v"], ["10", "9", "0", "1"])
        self.assertEqual(rows["n"], ["0", "10", "0", "0"])
        self.assertRegex(result.err, r"looked_at 10 records, [0-9.]+/s")

    def test_counters_read_as_fields(self):
        ini = self.ini(NUMBERS + "[v]\nplugin = probe/verdict\non = none\n[o]\nplugin = jsonl\npath = o.jsonl\nfields = id, looked_at\n")
        self.assertEqual(self.jevons("run", ini, "n.count=2").status, 0)
        self.assertEqual([json.loads(x) for x in self.read("o.jsonl").splitlines()], [{"id": "0", "looked_at": 1}, {"id": "1", "looked_at": 1}])

    def test_check(self):
        result = self.jevons("check", self.ini(PARALLEL))
        self.assertEqual(result.status, 0)
        self.assertEqual(result.lines, ["n (probe/numbers)", "  w (probe/work), 8 threads", "    v (probe/verdict), streams", "      o (stdout)", "t.ini: no problems"])

    def test_check_starts_nothing(self):
        self.assertEqual(self.jevons("check", self.ini(SERIAL), "v.what=unstartable").status, 0)
        self.write("t.ini", "[q]\nplugin = text\ntext = x\n[o]\nplugin = jsonl\npath = o.jsonl\n")
        self.assertEqual(self.jevons("check", "t.ini").status, 0)
        self.assertFalse(os.path.exists(self.path("o.jsonl")))

    def test_usage(self):
        for args in ((), ("frobnicate",), ("run",), ("check",), ("inspect",), ("run", "--fast", "x.ini")):
            result = self.jevons(*args)
            self.assertEqual(result.status, 2, args)
            self.assertIn("usage: jevons run FILE.ini", result.err)
        self.assertEqual(self.jevons("help").status, 0)
        self.assertRegex(self.jevons("version").text, r"^jevons \d")

    def test_full_output(self):
        with open("/dev/full", "wb") as full:
            p = subprocess.run([jv.JEVONS, "plugins"], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(p.returncode, 1)
        self.assertIn(b"standard output", p.stderr)


if __name__ == "__main__":
    jv.main()
