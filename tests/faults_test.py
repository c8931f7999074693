"""Faults from outside, and of plugins: each is told, ends as it should, and no record is lost without a word."""

import json
import os
import random
import resource
import shutil
import signal
import stat
import string
import subprocess
import unittest

import jv

NUMBERS = "[n]\nplugin = probe/numbers\nkeep = 1\n"
SINKS = {
    "jsonl": "[o]\nplugin = jsonl/write\nfields = id, text\npath = {}\n",
    "csv": "[o]\nplugin = csv/write\nfields = id, text\nheader = no\npath = {}\n",
}


class Faults(jv.Case):
    def tearDown(self):
        """A device is a device still, whatever was told to write there."""
        for name in ("/dev/full", "/dev/null", "/dev/zero"):
            self.assertTrue(stat.S_ISCHR(os.stat(name).st_mode), name)

    def settled(self, result):
        """The records of probe/numbers: well, bad, cancelled, fatal."""
        told = [m.split("settled: ")[1] for m in result.messages if "settled: " in m][0]
        return [int(part.split()[0]) for part in told.split(", ")]

    def table(self, result):
        return json.loads([m for m in result.messages if m.startswith("{")][0])

    def adds_up(self, result):
        """Each record of the source `n` is accounted for, at each stage but the split `c`; the table."""
        table = self.table(result)
        self.assertEqual(sum(self.settled(result)), table["records"], result.err)
        for name, s in table["stages"].items():
            came = table["records"] if name == "n" else s["in"]
            if name != "c":
                self.assertEqual(came, s["out"] + s["dropped"] + s["rejected"] + s["cancelled"], (name, result.err))
        return table

    def accounted(self, ini, *overrides, **more):
        result = self.jevons("run", "--json", self.ini(ini), *overrides, **more)
        return result, self.adds_up(result)


class Full(Faults):
    def test_a_full_device(self):
        for sink in SINKS.values():
            result, table = self.accounted(NUMBERS + sink.format("/dev/full"))
            self.assertEqual(result.status, 1)
            self.assertIn("o (t.ini:4): /dev/full cannot be written: No space left on device (record 0)", result.err)
            self.assertEqual(table["stages"]["o"]["out"], 0)
            self.assertEqual(self.settled(result)[0], 0)

    def test_a_full_device_as_standard_output(self):
        for sink in [s.format("/dev/stdout") for s in SINKS.values()] + ["[o]\nplugin = stdout\n"]:
            with open("/dev/full", "wb") as full:
                p = subprocess.run([jv.JEVONS, "run", self.ini(NUMBERS + sink)], cwd=self.folder, stdout=full, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(p.returncode, 1)
            self.assertIn(b"No space left on device", p.stderr)

    def test_full_dead_letters(self):
        result, table = self.accounted(NUMBERS + "[v]\nplugin = probe/verdict\n[o]\nplugin = null\n", "pipeline.dead_letter=/dev/full")
        self.assertEqual(result.status, 1)
        self.assertIn("/dev/full: No space left on device (record 3)", result.err)
        self.assertNotIn("rejected: /dev/full", result.err)

    def limited(self, ini, most):
        """No file may become larger than `most` bytes: what a full disk is to a program."""
        ini = self.ini(ini)
        p = subprocess.run([jv.JEVONS, "run", "--json", ini, "n.count=500"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
        return jv.Result(p)

    def test_a_disk_that_fills_up_keeps_whole_rows(self):
        rows = {"jsonl": lambda i: f'{{"id":"{i}","text":"{i}"}}', "csv": lambda i: f"{i},{i}"}
        for name, sink in SINKS.items():
            result = self.limited(NUMBERS + sink.format("out"), 1001)
            self.assertEqual(result.status, 1)
            self.assertIn("out cannot be written: File too large", result.err)
            written = self.read("out").decode()
            self.assertTrue(written.endswith("\n"))
            lines = written.splitlines()
            self.assertGreater(len(lines), 20)
            self.assertEqual(lines, [rows[name](i) for i in range(len(lines))])
            self.assertEqual(self.table(result)["stages"]["o"]["out"], len(lines))
            self.assertEqual(self.settled(result)[0], len(lines))

    def test_dead_letters_on_a_disk_that_fills_up(self):
        result = self.limited(NUMBERS + "[w]\nplugin = probe/work\nms = 0\noverwrite = yes\nthreads = 1\n[o]\nplugin = null\n", 1001)
        self.assertEqual(result.status, 1)
        self.assertIn("t.rejected.jsonl: File too large", result.err)
        rows = self.read("t.rejected.jsonl").decode()
        self.assertTrue(rows.endswith("\n"), rows[-200:])
        self.assertTrue(all(json.loads(row)["error"] == "overwritten" for row in rows.splitlines()))
        self.assertIn(f"{len(rows.splitlines())} rejected", result.err)

    def test_nobody_reads(self):
        for sink in [s.format("/dev/stdout") for s in SINKS.values()] + ["[o]\nplugin = stdout\n"]:
            p = self.start("run", self.ini(NUMBERS + sink), "n.count=1000000")
            first = p.stdout.readline()
            p.stdout.close()
            err = p.stderr.read()
            self.assertEqual(p.wait(timeout=60), 1)
            p.stderr.close()
            self.assertTrue(first.endswith(b"\n"))
            self.assertRegex(err, rb"nobody reads (standard output|/dev/stdout) any more")


def small_disks():
    """How to get a file system of 64 KiB that nobody else sees and that goes with its last process; else why there is none."""
    told = []
    for unshare in (["unshare", "-m"], ["unshare", "-rm"]):  # as root; as anybody, where name spaces of users are allowed
        try:
            p = subprocess.run([*unshare, "mount", "-t", "tmpfs", "-o", "size=64k", "small", "/tmp"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except OSError as e:
            return None, str(e)
        if p.returncode == 0:
            return unshare, ""
        told.append(p.stdout.decode("utf-8", "replace").strip())
    return None, "; ".join(told)


UNSHARE, NO_SMALL_DISK = small_disks()


@unittest.skipUnless(UNSHARE, "no small file system can be mounted: " + NO_SMALL_DISK)
class SmallDisk(Faults):
    """A file system that fills up: `disk` while jevons runs, what is there at its end lies in `left`."""

    SCRIPT = 'mount -t tmpfs -o size=64k small disk || exit 125\nhead -c $((4096 * $0)) /dev/zero >disk/other || exit 125\n' \
             '"$@"\nstatus=$?\ncp -r disk left || exit 125\nexit $status\n'

    def on_a_small_disk(self, ini, *overrides, pages=0):
        """A run whose records must all be accounted for, with its table; of the disk's 16 pages so many are taken."""
        shutil.rmtree(self.path("left"), ignore_errors=True)
        os.makedirs(self.path("disk"), exist_ok=True)
        p = subprocess.run([*UNSHARE, "sh", "-c", self.SCRIPT, str(pages), jv.JEVONS, "run", "--json", self.ini(ini), *overrides],
                           cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        result = jv.Result(p)
        self.assertEqual(result.status, 1, result.err)
        return result, self.adds_up(result)

    def test_an_output(self):
        rows = {"jsonl": lambda i: f'{{"id":"{i}","text":"{i}"}}', "csv": lambda i: f"{i},{i}"}
        for name, sink in SINKS.items():
            for pages in (0, 15):
                result, table = self.on_a_small_disk(NUMBERS + sink.format("disk/out"), "n.count=20000", pages=pages)
                lines = self.read("left/out").decode().splitlines(keepends=True)
                self.assertGreater(len(lines), 100)
                self.assertEqual(lines, [rows[name](i) + "\n" for i in range(len(lines))])
                self.assertIn(f"o (t.ini:4): disk/out cannot be written: No space left on device (record {len(lines)})", result.err)
                self.assertEqual(table["stages"]["o"]["out"], len(lines))
                self.assertEqual(self.settled(result)[0], len(lines))
                self.assertEqual(self.settled(result)[3], 1)

    WORK = "[w]\nplugin = probe/work\nms = 1\noverwrite = yes\nthreads = {}\n[o]\nplugin = null\n"

    def dead_letters(self, threads, count):
        """With room for 16 KiB; the rows, each of them whole, and the run."""
        result, table = self.on_a_small_disk(NUMBERS + self.WORK.format(threads), "pipeline.dead_letter=disk/dead.jsonl", f"n.count={count}", pages=12)
        self.assertEqual(sorted(os.listdir(self.path("left"))), ["dead.jsonl", "other"])
        text = self.read("left/dead.jsonl").decode()
        self.assertTrue(text.endswith("\n"), text[-200:])
        rows = [json.loads(row) for row in text.splitlines()]
        self.assertTrue(all(row["error"] == "overwritten" and row["input"]["text"] == row["id"] for row in rows))
        self.assertEqual(len({row["id"] for row in rows}), len(rows))
        self.assertEqual(table["rejected"], len(rows))
        self.assertIn(f"{len(rows)} rejected: disk/dead.jsonl", result.err)
        return len(rows), result

    def test_dead_letters(self):
        n, result = self.dead_letters(threads=1, count=20000)
        self.assertGreater(n, 100)
        self.assertIn(f"w (t.ini:4): disk/dead.jsonl: No space left on device (record {n})", result.err)

    def test_dead_letters_from_several_threads(self):
        n, result = self.dead_letters(threads=8, count=20000)
        self.assertGreater(n, 100)
        self.assertRegex(result.err, r"w \(t.ini:4\): disk/dead.jsonl: No space left on device \(record \d+\)")

    def test_dead_letters_that_cannot_be_sorted(self):
        """There is room for them once, but not twice: they stay as they came."""
        n, result = self.dead_letters(threads=8, count=100)
        self.assertEqual(n, 100)
        self.assertIn("disk/dead.jsonl: No space left on device", result.err)


class Paths(Faults):
    def test_two_sinks_with_one_path(self):
        for other in ("same.jsonl", "./same.jsonl", "link.jsonl"):
            self.write("same.jsonl", "")
            if not os.path.lexists(self.path("link.jsonl")):
                os.symlink("same.jsonl", self.path("link.jsonl"))
            ini = self.ini(NUMBERS + SINKS["jsonl"].format("same.jsonl") + SINKS["jsonl"].format(other).replace("[o]", "[o2]") + "from = n\n")
            result = self.jevons("run", ini)
            self.assertEqual(result.status, 1)
            self.assertIn("is being written by another section or run", result.err)
            self.assertEqual(self.read("same.jsonl"), b"")

    def test_dead_letters_that_cannot_be_written(self):
        os.mkdir(self.path("folder"))
        bad = NUMBERS + "[v]\nplugin = probe/verdict\n[o]\nplugin = null\n"
        for path, word in (("folder", "Is a directory"), ("nowhere/x.jsonl", "No such file or directory")):
            result = self.jevons("run", self.ini(bad), "pipeline.dead_letter=" + path)
            self.assertEqual(result.status, 1)
            self.assertIn(path, result.err)
            self.assertIn(word, result.err)
        self.assertTrue(os.path.isdir(self.path("folder")))

    def test_an_output_that_cannot_be_written_is_told_by_check(self):
        os.mkdir(self.path("folder"))
        for sink in SINKS.values():
            for path, part in (("folder", "is a folder"), ("nowhere/x", "nowhere/: No such file or directory"), ("x/", "names a folder")):
                ini = self.ini("[n]\nplugin = probe/numbers\n" + sink.format(path))
                self.check_problems(ini, [(3, part)])


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
            named = rf"(0|{row})" if call == "view" else row  # a view is of two rows
            self.assertRegex(result.err, rf"u \(t.ini:4\): the plugin .*\brow {named}\b.* \(record 0\)")
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
