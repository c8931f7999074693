"""Memory that runs out: pipelines of many kinds, with one allocation that fails, or all from one on, wherever that is.

A run then ends well with all it should have made, or says that memory is missing and leaves a beginning of it in whole
rows; it never ends by a signal, nor not at all."""

import concurrent.futures
import json
import os
import random
import subprocess
import tempfile
import unittest

import jv

LIBRARY = os.environ["JEVONS_NO_MEMORY"]
RUNS = int(os.environ.get("JEVONS_NO_MEMORY_RUNS", 160))  # of each pipeline and kind of failure, at most
# What pthread_create and ld.so say then has no such word in it.
MEMORY = ("memory", "Cannot allocate", "to be had: Resource temporarily unavailable", "does not load")

SOURCE = "[lines]\nplugin = lines\npath = in.txt\n"
NUMBERS = "[n]\nplugin = probe/numbers\ncount = 40\n"
WRITE = "[o]\nplugin = jsonl/write\npath = out\nfields = id, {}\n"

PIPELINES = {
    "chain": SOURCE + "[p]\nplugin = prompt\ntext = number {text}\n" + WRITE.format("prompt"),
    "split_merge": SOURCE + "[c]\nplugin = chunk\nsize = 3\nby = characters\n[p]\nplugin = prompt\ntext = <{text}>\nout = text\n"
                   "[m]\nplugin = merge\n" + WRITE.format("text"),
    "parallel": NUMBERS + "[w]\nplugin = probe/split\nsplit = 3\nms = 0\nthreads = 3\n[v]\nplugin = probe/work\nin = work\nout = twice\nms = 0\nthreads = 2\n"
                + WRITE.format("twice"),
    "dead_letters": NUMBERS + "[w]\nplugin = probe/split\nsplit = 2\nms = 0\nthreads = 2\n[v]\nplugin = probe/verdict\nin = work\non = 7.b\n" + WRITE.format("work"),
    "join": SOURCE + "[r]\nplugin = route\nin = line\nto.low = < 4\nto.rest = *\n[a]\nplugin = prompt\nfrom = r.low\ntext = low {text}\nout = text\n"
            "[v]\nplugin = probe/verdict\nfrom = r.rest\non = line 7, of some length\n[o]\nplugin = jsonl/write\nfrom = a, v, v.rejected\npath = out\nfields = id, text\n",
    "csv": "[csv]\nplugin = csv/read\npath = in.csv\ncolumns.a = utf8\ncolumns.b = i64\n[d]\nplugin = dedup\nin = a\n" + WRITE.format("a, b"),
    "tee": "[j]\nplugin = jsonl/read\npath = in.jsonl\ncolumns.text = utf8\n[c]\nplugin = clean\n[o]\nplugin = csv/write\npath = out\nfields = id, text\n"
           "[s]\nplugin = stdout\nfrom = c\n",
    "streams": NUMBERS + "[w]\nplugin = probe/work\npieces = 5\nms = 0\nthreads = 2\n[s]\nplugin = stdout\nin = work\n",
}


class Run:
    def __init__(self, folder, status, out, err):
        self.status, self.err = status, err
        self.rows = {"stdout": out, "out": b"", "t.rejected.jsonl": b""}
        for name in ("out", "t.rejected.jsonl"):
            if os.path.exists(os.path.join(folder, name)):
                with open(os.path.join(folder, name), "rb") as f:
                    self.rows[name] = f.read()


@unittest.skipUnless(LIBRARY, "no such library in this build")
class NoMemory(jv.Case):
    def setUp(self):
        super().setUp()
        self.write("in.txt", "".join(f"line {i}, of some length\n" for i in range(10)))
        self.write("in.csv", "a,b\n" + "".join(f"row {i % 7},{i}\n" for i in range(10)))
        self.write("in.jsonl", "".join(json.dumps({"text": f"<p>text {i}</p> &amp; more"}) + "\n" for i in range(10)))

    def run_in(self, ini, settings):
        """In a folder of its own, beside others."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            for name in ("in.txt", "in.csv", "in.jsonl"):
                os.symlink(self.path(name), os.path.join(folder, name))
            with open(os.path.join(folder, "t.ini"), "w") as f:
                f.write(ini + "[pipeline]\nplugin_path = " + jv.PROBE + "\n")
            p = subprocess.run([jv.JEVONS, "run", "--quiet", "t.ini"], cwd=folder, env=self.environment({"LD_PRELOAD": LIBRARY, **settings}),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            run = Run(folder, p.returncode, p.stdout, p.stderr.decode("utf-8", "replace"))
            left = set(os.listdir(folder)) - {"in.txt", "in.csv", "in.jsonl", "t.ini", "out", "t.rejected.jsonl"}
        self.assertEqual(left, set(), run.err)
        return run

    def judge(self, good, run):
        self.assertIn(run.status, (0, 1, 2, 3), run.err)
        told = any(word in run.err + run.rows["t.rejected.jsonl"].decode() for word in MEMORY)
        complete = all(run.rows[name].splitlines() == rows.splitlines() for name, rows in good.rows.items())
        if run.status == good.status and not told:
            self.assertTrue(complete, (run.rows, run.err))
        else:
            self.assertNotEqual(run.status, 0, run.err)
            self.assertTrue(told, (run.status, run.err))
        for name, rows in run.rows.items():
            expected = good.rows[name].splitlines()
            if name == "stdout":  # what streams may be printed in part
                self.assertTrue(good.rows[name].startswith(rows.rstrip(b"\n")), rows)
            elif name == "out":
                self.assertTrue(not rows or rows.endswith(b"\n"), rows)
                self.assertEqual(rows.splitlines(), expected[:len(rows.splitlines())])
            else:
                self.assertTrue(not rows or rows.endswith(b"\n"), rows)
                self.assertTrue(all(json.loads(row)["error"] for row in rows.splitlines()))

    def places(self, name, ini):
        """How many allocations there are before the run, and in all."""
        path = self.path(name + ".count")
        good = self.run_in(ini, {"NO_MEMORY_COUNT": path})
        self.assertIn(good.status, (0, 3), good.err)
        with open(path) as f:
            before, total = map(int, f.read().split())
        self.assertTrue(0 < before < total, (before, total))
        return good, before, total

    def sample(self, before, total):
        """All of the run, some of what is before it; the same ones each time."""
        dice = random.Random(total)
        setting_up, running = range(1, before + 1), range(before + 1, total + 10)
        return sorted(dice.sample(setting_up, min(len(setting_up), RUNS // 4)) + dice.sample(running, min(len(running), RUNS - RUNS // 4)))

    def one_pipeline(self, name):
        ini = PIPELINES[name]
        good, before, total = self.places(name, ini)
        failures = []

        def one(kind, k):
            settings = {"NO_MEMORY_AT": str(k), **({"NO_MEMORY_ALL": "yes"} if kind == "all" else {})}
            try:
                self.judge(good, self.run_in(ini, settings))
            except (AssertionError, subprocess.TimeoutExpired, ValueError) as e:
                failures.append(f"{name}, {kind} {k} of {before}..{total}: {str(e)[:2000]}")

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for kind in ("one", "all"):
                for k in self.sample(before, total):
                    pool.submit(one, kind, k)
        self.assertEqual(failures, [], f"{len(failures)} failures, the first: {failures[0] if failures else ''}")


for pipeline in PIPELINES:
    setattr(NoMemory, "test_" + pipeline, lambda self, name=pipeline: self.one_pipeline(name))


if __name__ == "__main__":
    jv.main()
