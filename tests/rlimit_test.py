"""An address space that is too small (RLIMIT_AS) for a pipeline with a model, from hardly more than the program to plenty: it
answers with the bytes it always gives, or says that memory is missing and ends with 1 or 2 (3: a record was rejected for
it); never by a signal, never in silence."""

import concurrent.futures
import os
import resource
import subprocess

import jv

# What the loader of programs, pthread_create and the rest say then.
MEMORY = ("memory", "cannot map", "failed to map", "cannot allocate", "Cannot allocate", "threads to be had", "no thread to be had", "no thread for", "does not load", "cannot be started")


class Limited(jv.Case):
    def run_in(self, limit, name):
        """Status, what was said, what was written, with so many bytes of address space; 0: as many as it likes."""
        ini = self.write(name + ".ini", self.text.replace("{}", name + ".jsonl"))
        p = subprocess.run([jv.JEVONS, "run", ini], cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=240, check=False,
                           preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))) if limit else None)
        written = self.read(name + ".jsonl") if os.path.exists(self.path(name + ".jsonl")) else b""
        return p.returncode, p.stderr.decode("utf-8", "replace"), written

    def sweep(self, model, limits):
        self.text = self.answers(model, ["the quick " * i for i in range(1, 9)], backend={"cores": 2}, model={"context": 128},
                                 answer={"threads": 4, "max_tokens": 8}, out={"path": "{}"})
        status, err, expected = self.run_in(0, "free")
        self.assertEqual((status, len(expected.splitlines())), (0, 8), err)

        def one(limit):
            """The status, and what is wrong with it, if anything is."""
            status, err, written = self.run_in(limit, str(limit))
            rows = written.splitlines()
            if status == 0:
                sound = written == expected
            else:  # 127: the loader of programs
                sound = status in (1, 2, 3, 127) and any(word in err + self.rejected(str(limit)) for word in MEMORY) and set(rows) <= set(expected.splitlines())
            return status, None if sound else f"{limit >> 10} KiB: status {status}, {len(rows)} rows, {err[:300]}"

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            told = list(pool.map(one, limits))
        self.assertEqual([wrong for _, wrong in told if wrong], [])
        self.assertTrue({0, 1, 2} <= {status for status, _ in told}, told)

    def rejected(self, name):
        path = self.path(name + ".rejected.jsonl")
        return self.read(name + ".rejected.jsonl").decode() if os.path.exists(path) else ""


class Tiny(Limited):
    def test_all_limits(self):
        self.sweep(self.tiny("tiny.gguf", "--type", "mixed"), [*range(4 << 20, 40 << 20, 256 << 10), *range(40 << 20, 800 << 20, 16 << 20)])


class Small(Limited):
    def test_some_limits(self):
        if not os.path.exists(jv.MODEL):
            self.skipTest("the model is not there")
        self.sweep(jv.MODEL, range(60 << 20, 900 << 20, 60 << 20))


if __name__ == "__main__":
    jv.main()
