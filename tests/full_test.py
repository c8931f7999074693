"""What takes no more: a full device, a disk that fills up, a pipe that nobody reads. It is told, and what was written is whole."""

import json
import os
import resource
import shutil
import subprocess
import unittest

import jv
from faults import NUMBERS, SINKS, Faults


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
        self.assertEqual((table["rejected"], table["stages"]["v"]["rejected"]), (0, 0))
        self.assertGreaterEqual(table["stages"]["v"]["cancelled"], 1)
        self.assertEqual(self.settled(result)[3], 1)

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


if __name__ == "__main__":
    jv.main()
