"""Faults from outside, and of plugins: each is told, ends as it should, and no record is lost without a word."""

import fcntl
import json
import os
import random
import shutil
import signal
import stat
import string
import subprocess

import jv
from faults import NUMBERS, SINKS, Faults


class Paths(Faults):
    """What was well when the run began (paths_test.py has what was not) and is not when a stage comes to it."""

    def test_a_file_that_another_run_writes(self):
        for sink in SINKS.values():
            with open(self.path("out"), "wb") as other:
                other.write(b"of another run\n")
                other.flush()
                fcntl.flock(other, fcntl.LOCK_EX)
                result = self.jevons("run", self.ini(NUMBERS + sink.format("out")))
            self.assertEqual(result.status, 1)
            self.assertIn("o (t.ini:4): out is being written by another section or run", result.err)
            self.assertEqual(self.read("out"), b"of another run\n")

    def test_the_folder_of_the_dead_letters_vanishes(self):
        os.mkdir(self.path("dead"))
        ini = self.ini("[l]\nplugin = lines\npath = -\n[v]\nplugin = probe/verdict\n[o]\nplugin = stdout\n")
        p = subprocess.Popen([jv.JEVONS, "run", ini, "pipeline.dead_letter=dead/x.jsonl"], cwd=self.folder, env=self.environment(), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(b"one\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.readline(), b"one\n")
        shutil.rmtree(self.path("dead"))
        out, err = p.communicate(b"3\nfour\n", timeout=60)
        self.assertEqual((p.returncode, out), (1, b""))
        self.assertIn(b"v (t.ini:4): dead/x.jsonl: No such file or directory (record -:4)", err)


class DeadLetters(Faults):
    """The file they go to: this run's from its start to its end, and nothing else's."""

    INI = "[l]\nplugin = lines\npath = -\n[v]\nplugin = probe/verdict\n[o]\nplugin = stdout\n"
    DISORDER = NUMBERS + "[w]\nplugin = probe/work\nms = 1\noverwrite = yes\nthreads = 8\n[o]\nplugin = null\n"

    def row(self, name):
        return json.dumps({"id": name, "stage": "v", "place": "t.ini:4", "error": "\\\"", "input": {"text": name}}) + "\n"

    def ids(self, name="t.rejected.jsonl"):
        return [json.loads(row)["id"] for row in self.read(name).splitlines()]

    def waiting(self, *overrides):
        """A run that has rejected one record and waits for more."""
        p = subprocess.Popen([jv.JEVONS, "run", "--quiet", self.ini(self.INI), *overrides], cwd=self.folder, env=self.environment(), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdin.write(b"3\nfour\n")
        p.stdin.flush()
        self.assertEqual(p.stdout.readline(), b"four\n")
        return p

    def test_a_second_run_of_the_pipeline(self):
        p = self.waiting()
        rows = self.read("t.rejected.jsonl")
        for command in (["run", "t.ini"], ["run", "t.ini", "v.on=none"]):
            result = self.jevons(*command, stdin=b"five\n")
            self.assertEqual((result.status, result.text), (1, ""))
            self.assertIn("t.rejected.jsonl: rejected records of another run are being written there", result.err)
        self.assertEqual(self.read("t.rejected.jsonl"), rows)
        out, err = p.communicate(b"3\n", timeout=60)
        self.assertEqual((p.returncode, out), (3, b""), err)
        self.assertEqual(self.ids(), ["-:0", "-:7"])
        self.assertEqual(self.jevons("run", "t.ini", stdin=b"3\n").status, 3)
        self.assertEqual(self.ids(), ["-:0"])

    def test_a_link_stays_a_link(self):
        os.mkdir(self.path("far"))
        os.symlink("far/other", self.path("t.rejected.jsonl"))
        verdict = self.ini(NUMBERS + "[v]\nplugin = probe/verdict\n[o]\nplugin = null\n")
        for on, ids in (("3", ["3"]), ("none", []), ("4", ["4"])):
            self.assertEqual(self.jevons("run", verdict, f"v.on={on}").status, 3 if ids else 0)
            self.assertEqual(os.readlink(self.path("t.rejected.jsonl")), "far/other")
            self.assertEqual(self.ids("far/other"), ids)
        self.assertEqual(self.jevons("run", self.ini(self.DISORDER), "n.count=200").status, 3)
        self.assertEqual(os.readlink(self.path("t.rejected.jsonl")), "far/other")
        self.assertEqual(self.ids("far/other"), [str(i) for i in range(200)])
        self.assertEqual(os.listdir(self.path("far")), ["other"])

    def test_standard_output_is_shared(self):
        """By its link in /proc, as /dev/stdout is one: a mistake must not take that away from the machine."""
        os.symlink("/proc/self/fd/1", self.path("out"))
        ini = self.ini(NUMBERS + "[v]\nplugin = probe/verdict\n[o]\nplugin = null\n")
        for on, told in (("3", 3), ("none", 0)):
            with open(self.path("both"), "wb") as f:
                f.write(b"before\n")
                f.flush()
                p = subprocess.run([jv.JEVONS, "run", ini, "pipeline.dead_letter=out", f"v.on={on}"], cwd=self.folder, env=self.environment(), stdout=f,
                                   stderr=subprocess.PIPE, timeout=60)
            lines = self.read("both").decode().splitlines()
            self.assertEqual((p.returncode, lines[0]), (told, "before"), p.stderr)
            self.assertEqual([json.loads(x)["id"] for x in lines[1:]], ["3"] if told else [])
            self.assertEqual(os.readlink(self.path("out")), "/proc/self/fd/1")

    def test_a_fifo(self):
        os.mkfifo(self.path("fifo"))
        ini = self.ini(NUMBERS + "[v]\nplugin = probe/verdict\n[o]\nplugin = null\n")
        result = self.jevons("run", ini, "pipeline.dead_letter=fifo")
        self.assertEqual(result.status, 1)
        self.assertIn("v (t.ini:4): fifo: No such device or address (record 3)", result.err)
        self.assertEqual(self.jevons("run", ini, "pipeline.dead_letter=fifo", "v.on=none").status, 0)
        fd = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
        self.assertEqual(self.jevons("run", ini, "pipeline.dead_letter=fifo").status, 3)
        self.assertEqual(json.loads(os.read(fd, 4096))["id"], "3")
        os.close(fd)
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("fifo")).st_mode))

    def test_what_is_not_ours_is_left_alone(self):
        row = self.row("old")
        for text in ("precious\n", '{"id": 1}\n', '{"id": "1", "text": "x"}\n', '{"id": "1"', "\n", row + "\n", row + '{"id": "1", "stage": "x"}\n', row[:-9] + '\n[]\n' + row,
                     row.replace("place", "line"), row.replace('"input": {', '"input": [')):
            self.write("t.rejected.jsonl", text)
            result = self.jevons("run", self.ini(self.INI), stdin=b"x\n")
            self.assertEqual((result.status, result.text), (1, ""), text)
            self.assertIn("t.rejected.jsonl is there and holds no rejected records: it is left alone", result.err)
            self.assertEqual(self.read("t.rejected.jsonl").decode(), text)
        for text in ("", row, row + row, row + row[:30], row + '{"'):
            self.write("t.rejected.jsonl", text)
            self.assertEqual(self.jevons("run", self.ini(self.INI), stdin=b"x\n").status, 0, text)
            self.assertFalse(os.path.exists(self.path("t.rejected.jsonl")))

    def test_what_they_are_sorted_in_is_nobody_elses(self):
        for name in ("t.rejected.jsonl.sorting", "t.rejected.jsonl.XXXXXX"):
            self.write(name, "precious\n")
        before = set(os.listdir(self.folder))
        self.assertEqual(self.jevons("run", self.ini(self.DISORDER), "n.count=200").status, 3)
        self.assertEqual(self.ids(), [str(i) for i in range(200)])
        self.assertEqual(set(os.listdir(self.folder)) - before, {"t.ini", "t.rejected.jsonl"})
        self.assertEqual((self.read("t.rejected.jsonl.sorting"), self.read("t.rejected.jsonl.XXXXXX")), (b"precious\n", b"precious\n"))

    def test_what_came_in_their_place_is_somebody_elses(self):
        p = self.waiting()
        os.rename(self.path("t.rejected.jsonl"), self.path("moved"))
        self.write("t.rejected.jsonl", "precious\n")
        out, err = p.communicate(b"3\n", timeout=60)
        self.assertEqual((p.returncode, self.ids("moved")), (3, ["-:0", "-:7"]), err)
        self.assertEqual(self.read("t.rejected.jsonl"), b"precious\n")

    def test_a_folder_in_which_none_can_be_made(self):
        """Which is well as long as none is needed."""
        os.mkdir(self.path("gone"))
        for line, status in ((b"x\n", 0), (b"3\n", 1)):
            p = subprocess.run(["sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", jv.JEVONS, "run", self.path(self.ini(self.INI))], cwd=self.folder,
                               env=self.environment(), input=line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            os.mkdir(self.path("gone"))
            self.assertEqual(p.returncode, status, p.stderr)
        self.assertIn(b"t.rejected.jsonl: No such file or directory (record -:0)", p.stderr)


class Inputs(Faults):
    def good_and_bad(self):
        self.write("in/a.txt", "good\n")
        self.write("in/z.txt", "good too\n")
        os.symlink("nowhere", self.path("in/dangling.txt"))
        os.mkdir(self.path("in/folder.txt"))
        os.mkfifo(self.path("in/pipe.txt"))

    def test_a_folder(self):
        self.good_and_bad()
        result = self.jevons("run", self.ini("[n]\nplugin = files\npath = in\n[o]\nplugin = jsonl/write\npath = out\nfields = id\n"))
        self.assertEqual([json.loads(row)["id"] for row in self.read("out").splitlines()], ["a.txt", "z.txt"])
        self.assertIn(result.status, (0, 3))
        dead = [json.loads(row) for row in self.read("t.rejected.jsonl").splitlines()] if result.status else []
        for name in ("dangling.txt", "pipe.txt"):
            self.assertTrue(name in result.err or any(name in d["id"] for d in dead), (name, result.err))

    def test_named_files(self):
        self.good_and_bad()
        self.write("in/a.jsonl", '{"text":"good"}\n')
        self.write("in/a.csv", "text\ngood\n")
        for source, good in (("lines\n", "a.txt"), ("jsonl/read\ncolumns.text = utf8\n", "a.jsonl"), ("csv/read\ncolumns.text = utf8\n", "a.csv")):
            for bad, word in (("dangling.txt", "No such file"), ("folder.txt", "folder|directory"), ("vanished.txt", "No such file")):
                ini = self.ini(f"[n]\nplugin = {source}path = in/{bad}, in/{good}\n[o]\nplugin = jsonl/write\npath = out\nfields = id, text\n")
                result = self.jevons("run", ini)
                dead = self.read("t.rejected.jsonl").decode() if os.path.exists(self.path("t.rejected.jsonl")) else ""
                self.assertNotEqual(result.status, 0, (source, bad))
                self.assertIn(bad, result.err + dead)
                self.assertRegex(result.err + dead, word)
                if result.status == 3:
                    self.assertEqual(json.loads(self.read("out"))["text"], "good")

    def test_a_file_that_vanishes_while_the_folder_is_read(self):
        for i in range(50):
            self.write(f"in/{i:02}.txt", "x")
        p = self.start("run", self.ini("[n]\nplugin = files\npath = in\nin_flight = 1\n[w]\nplugin = probe/work\nms = 50\nthreads = 1\n[s]\nplugin = stdout\nin = work\n"))
        p.stdout.readline()
        os.unlink(self.path("in/49.txt"))
        out, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 3, err)
        self.assertEqual(len(out.splitlines()), 48)
        self.assertEqual([json.loads(row)["id"] for row in self.read("t.rejected.jsonl").splitlines()], ["49.txt"])


class Files(Faults):
    def test_a_megabyte_of_garbage(self):
        dice = random.Random(1)
        n = 1 << 20
        printable = string.ascii_letters + string.digits + string.punctuation + " "
        for content in (dice.randbytes(n), "".join(dice.choices(printable + "\n", k=n)), "".join(dice.choices(printable, k=n)), b"\0" * n, b"[" * n, b"\n" * n,
                        b"\xef\xbb\xbf" + b"=\n" * (n // 2), b" \t" * (n // 2), b"[a]\n" * (n // 4)):
            self.write("t.ini", content)
            for command in ("check", "run", "graph"):
                result = self.jevons(command, "t.ini", timeout=60)
                self.assertEqual(result.status, 2)
                self.assertTrue(result.err.startswith("t.ini:"), result.err[:200])
                self.assertLessEqual(len(result.messages), 101)
                self.assertTrue(all(c.isprintable() for m in result.messages for c in m))

    def test_a_long_value_from_end_to_end(self):
        template = "x" * 99_990 + " {text} end"
        ini = self.ini(NUMBERS + f"[p]\nplugin = prompt\ntext = {template}\n[o]\nplugin = jsonl/write\npath = out\nfields = prompt\n")
        self.assertEqual(self.jevons("run", ini).status, 0)
        self.assertEqual([json.loads(row)["prompt"] for row in self.read("out").splitlines()], [template.replace("{text}", str(i)) for i in range(10)])

    def test_what_is_no_plugin(self):
        """Named as one, in a folder of plugins."""
        with open(jv.PROBE + "/jv_probe.so", "rb") as f:
            whole = f.read()
        with open(jv.JEVONS, "rb") as f:
            program = f.read()
        cases = {"empty": b"", "text": b"hello\n", "cut": whole[:len(whole) // 3], "head": whole[:64], "program": program}
        for name, content in cases.items():
            self.write(f"jv_{name}.so", content)
        os.mkdir(self.path("jv_folder.so"))
        os.symlink("nowhere", self.path("jv_dangling.so"))
        for name in [*cases, "folder"]:
            self.write("t.ini", f"[n]\nplugin = {name}\n[o]\nplugin = null\n[pipeline]\nplugin_path = .\n")
            result = self.jevons("check", "t.ini")
            self.assertEqual(result.status, 2, name)
            self.assertRegex(result.err, rf"^t.ini:2: `plugin`: .*jv_{name}.so (does not load|is refused)")
            self.assertEqual(len(result.messages), 1, result.err)
        self.assertIn("null", self.jevons("plugins", ".").text)


class Nonsense(Faults):
    """Stages that answer anything at any of their functions, with a text that has no end in it."""

    INI = "[n]\nplugin = absurd/source\n[f]\nplugin = absurd/filter\n[o]\nplugin = absurd/sink\n[pipeline]\nretry_after = 1ms\nplugin_path = " + jv.PROBE + "\n"

    def answers(self, stage, at, answer):
        self.write("t.ini", self.INI)
        return self.jevons("run", "--json", "--quiet", "t.ini", f"{stage}.at={at}", f"{stage}.answer={answer}", timeout=60)

    def test_beside_the_records(self):
        for stage, line in (("n", 1), ("f", 3), ("o", 5)):
            for at, status in (("open", 2), ("start", 1), ("flush", 1)):
                for answer in (-1, -77, -(1 << 31)):
                    result = self.answers(stage, at, answer)
                    self.assertEqual(result.status, status, (stage, at, answer))
                    self.assertIn(f"t.ini:{line}", result.messages[0])
                    self.assertRegex(result.messages[0], r"[^x]x{495}$")

    def test_poll(self):
        for answer in (77, -77, 100, 101, -2, -4, -6, (1 << 31) - 1, -(1 << 31), 1):
            result = self.answers("n", "poll", answer)
            self.assertEqual(result.status, 1, answer)
            self.assertIn(f"n (t.ini:1): the plugin's poll answers {answer}, which it may not", result.err)

    def test_process(self):
        for stage in "fo":
            for answer in (77, -77, 100, -4, -5, -6, (1 << 31) - 1, -(1 << 31), 1, 30):
                result = self.answers(stage, "process", answer)
                self.assertEqual(result.status, 1, (stage, answer))
                self.assertIn(f"{answer}, which is no verdict here (record 0)", result.err)
                self.assertEqual(self.table(result)["stages"]["o"]["out"], 0)
            for answer in (-1, -2):
                result = self.answers(stage, "process", answer)
                self.assertEqual(result.status, 3)
                self.assertEqual([json.loads(row)["error"] for row in self.read("t.rejected.jsonl").splitlines()], ["x" * 495] * 10)

    def test_a_port_that_is_none(self):
        self.write("t.ini", self.INI)
        for port in (1, -1, 31, (1 << 31) - 1, -(1 << 31)):
            result = self.jevons("run", "--json", "--quiet", "t.ini", "n.at=emit", f"n.port={port}")
            self.assertEqual(result.status, 1)
            self.assertIn(f"the plugin emits to port {port} of 1", result.err)
            self.assertEqual(self.table(result)["records"], 1)

    def test_what_breaks_a_rule(self):
        """The stages that the mock host is tested with."""
        for rule, part in (("verdict", "answers 77"), ("port", "answers 1, "), ("done", "answers DONE"), ("cancelled", "nobody cancelled"), ("fork", "its stage is not JV_SPLIT")):
            ini = self.ini(NUMBERS + "[u]\nplugin = unruly/filter\n[o]\nplugin = null\n")
            result = self.jevons("run", ini, "u.rule=" + rule)
            self.assertEqual(result.status, 1, (rule, result.err))
            self.assertIn(part, result.err)
            self.assertEqual(sum(self.settled(result)[:1]), 0)
        for rule, part in (("forget", "made this record and did not emit it"), ("priority", "begins a record with priority 1"), ("outside", "")):
            result = self.jevons("run", self.ini("[u]\nplugin = unruly/source\n[l]\nplugin = limit\ncount = 3\n[o]\nplugin = null\n"), "u.rule=" + rule)
            self.assertIn(part, result.err)
            self.assertEqual(result.status, 1 if part else 0)

    def test_a_row_that_is_none(self):
        """Reads as absent; whatever else is done with it ends the run, and says which it is."""
        ini = NUMBERS + "[u]\nplugin = unruly/stray\n[o]\nplugin = null\n"
        rows = (3, 99, -1, (1 << 31) - 1, -(1 << 31))
        for row in rows:
            result, table = self.accounted(ini, "u.call=get", f"u.row={row}")
            self.assertEqual(result.status, 0, result.err)
            self.assertEqual(table["stages"]["o"]["out"], 10)
        calls = [(call, row) for call in ("put", "put_i64", "put_f64", "view", "view_of", "writable", "partial") for row in rows]
        calls += [(call, 0) for call in ("put", "put_i64", "put_f64", "view", "writable", "partial")]  # one that is read
        calls += [(call, 1) for call in ("put_i64", "put_f64")]  # one of another type
        for call, row in calls:
            result, table = self.accounted(ini, "u.call=" + call, f"u.row={row}")
            self.assertEqual(result.status, 1, (call, row))
            self.assertRegex(result.err, rf"u \(t.ini:4\): the plugin .*\brow {row}\b.* \(record 0\)")
            self.assertEqual(table["stages"]["o"]["out"], 0, (call, row))
            self.assertEqual(self.settled(result)[0], 0, (call, row))
        result = self.jevons("run", "--json", self.ini("[u]\nplugin = unruly/source\n[o]\nplugin = null\n"), "u.rule=row")
        self.assertEqual(result.status, 1)
        self.assertRegex(result.err, r"u \(t.ini:1\): the plugin sets row 99, .* \(record a\)")
        self.assertEqual(self.table(result)["stages"]["u"]["cancelled"], 1)


class Fatal(Faults):
    """A stage or a source that cannot go on, with records all over the pipeline: each is finished, or told to be cancelled."""

    SOURCE = "[n]\nplugin = absurd/source\n"
    FAILS = "[f]\nplugin = absurd/filter\nat = process\nanswer = -3\n"
    NULL = "[o]\nplugin = null\n"

    def fails(self, ini, *overrides, most=1):
        """The run, its table, and how the source heard of its records: the failing ones, at most so many, and the others."""
        result, table = self.accounted(ini, *overrides)
        self.assertEqual(result.status, 1, result.err)
        well, bad, cancelled, fatal = self.settled(result)
        self.assertEqual(bad, 0)
        self.assertEqual(table["rejected"], 0)
        self.assertEqual(table["cancelled"], cancelled)
        self.assertTrue(1 <= fatal <= most, fatal)
        self.assertEqual(sum(m.endswith("n: fatal: " + "x" * 495) for m in result.messages), fatal, result.err)
        return result, table, (well, cancelled, fatal)

    def test_a_stage(self):
        """In the source's thread: what has passed it is finished, and what comes after is not."""
        for after in (0, 1, 7, 1000):
            ini = self.SOURCE + self.FAILS + self.NULL
            result, table, (well, cancelled, fatal) = self.fails(ini, "n.count=100000", f"f.after={after}")
            self.assertRegex(result.err, rf"f \(t.ini:3\): x{{495}} \(record {after}\)")
            self.assertEqual((well, fatal), (after, 1))
            self.assertEqual(table["stages"]["o"]["out"], after)
            self.assertEqual(table["records"], after + 1 + cancelled)
            self.assertEqual(table["stages"]["f"]["cancelled"] + table["stages"]["n"]["cancelled"], cancelled + 1)

    def test_a_sink(self):
        for threads in (1, 4):
            ini = self.SOURCE + f"[w]\nplugin = probe/work\nms = 1\nthreads = {threads}\n" + self.FAILS.replace("[f]", "[o]").replace("filter", "sink")
            _, table, (well, _, _) = self.fails(ini, "n.count=1000", "o.after=20")
            self.assertEqual(well, 20)
            self.assertEqual(table["stages"]["o"]["out"], 20)

    def test_in_several_threads(self):
        """Each call that is under way may fail by itself; the first one is told."""
        ini = self.SOURCE + self.FAILS + "threads = 8\n[w]\nplugin = probe/work\nms = 1\nthreads = 4\n" + self.NULL
        result, table, (well, _, fatal) = self.fails(ini, "n.count=1000", "f.after=100", most=8)
        self.assertEqual(sum("f (t.ini:3): " in m for m in result.messages), 1)
        self.assertEqual(table["stages"]["o"]["out"], well)
        self.assertLessEqual(well, 100)

    def test_behind_a_tee(self):
        """A record that one branch has delivered and the other has not is not well."""
        ini = self.SOURCE + self.FAILS + self.NULL + "[w]\nplugin = probe/work\nfrom = n\nms = 1\nthreads = 4\n[p]\nplugin = null\n"
        _, table, (well, _, _) = self.fails(ini, "n.count=1000", "f.after=20")
        self.assertEqual(table["stages"]["o"]["out"], 20)
        self.assertLessEqual(well, 20)
        self.assertLessEqual(well, table["stages"]["p"]["out"])

    def test_of_a_child(self):
        """Its parent fails with it, at the merge or not."""
        split = "[c]\nplugin = chunk\nsize = 2\nby = characters\n"
        for end in ("[m]\nplugin = merge\n" + self.NULL, self.NULL):
            ini = self.SOURCE + split + self.FAILS + end
            result, table, (well, _, _) = self.fails(ini, "n.count=1000", "f.after=205")  # 100 of one part, then two each
            self.assertIn("(record 152/1)", result.err)
            self.assertEqual(well, 152)

    def test_a_source(self):
        """What it has emitted is finished in its thread, or cancelled elsewhere."""
        for after in (0, 1, 100):
            ini = self.SOURCE + self.NULL
            result, table = self.accounted(ini, "n.at=poll", "n.answer=-3", f"n.after={after}", "n.count=1000")
            self.assertEqual(result.status, 1)
            self.assertRegex(result.err, r"n \(t.ini:1\): x{495}\n")
            self.assertEqual(self.settled(result), [after, 0, 0, 0])
            self.assertEqual(table["stages"]["o"]["out"], after)
            ini = self.SOURCE + "[w]\nplugin = probe/work\nms = 5\nthreads = 4\n" + self.NULL
            result, table = self.accounted(ini, "n.at=poll", "n.answer=-3", f"n.after={after}", "n.count=1000")
            self.assertEqual(result.status, 1)
            well, bad, cancelled, fatal = self.settled(result)
            self.assertEqual((bad, fatal, well + cancelled), (0, 0, after))
            self.assertEqual(table["cancelled"], cancelled)
            self.assertEqual(table["stages"]["o"]["out"], well)
            w, o = table["stages"]["w"], table["stages"]["o"]
            self.assertEqual(w["cancelled"] + o["cancelled"] + table["stages"]["n"]["cancelled"], cancelled)

    def test_before_it_runs(self):
        """At a start no record is begun; after the last one all of them are well."""
        for stage in "nfo":
            ini = self.SOURCE + self.FAILS + "[o]\nplugin = absurd/sink\n"
            result, table = self.accounted(ini, "f.at=never", f"{stage}.at=start", f"{stage}.answer=-3")
            self.assertEqual((result.status, table["records"]), (1, 0))
            result, table = self.accounted(ini, "f.at=never", f"{stage}.at=flush", f"{stage}.answer=-3")
            self.assertEqual(result.status, 1)
            self.assertEqual(self.settled(result), [10, 0, 0, 0])


class Signals(Faults):
    """SIGTERM while a stage is in a function of its own, whichever that is."""

    def stopped(self, stage, at):
        self.write("t.ini", Nonsense.INI)
        p = self.start("run", "t.ini", f"{stage}.at={at}", f"{stage}.answer=0", f"{stage}.ms=300ms")
        told = b""
        while b"here" not in told:
            told += os.read(p.stderr.fileno(), 4096)
        p.send_signal(signal.SIGTERM)
        out, err = p.communicate(timeout=60)
        return p.returncode, (told + err).decode()

    def test_start(self):
        for stage in "nfo":
            status, err = self.stopped(stage, "start")
            self.assertEqual(status, 1, (stage, err))
            self.assertIn("cut short: 0 finished, 0 cancelled", err)

    def test_poll_and_process(self):
        for stage, at in (("n", "poll"), ("f", "process"), ("o", "process")):
            status, err = self.stopped(stage, at)
            self.assertIn(status, (0, 1), (stage, err))
            if status:
                self.assertRegex(err, r"cut short: \d+ finished, \d+ cancelled")

    def test_flush(self):
        """All is delivered, and nothing is left to stop."""
        for stage in "nfo":
            status, err = self.stopped(stage, "flush")
            self.assertEqual(status, 0, (stage, err))

    def test_open(self):
        """Nothing has begun: it ends the process as any other."""
        status, err = self.stopped("f", "open")
        self.assertEqual(status, -signal.SIGTERM, err)


if __name__ == "__main__":
    jv.main()
