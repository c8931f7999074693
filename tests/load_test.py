"""Many requests at once on a cache of keys and values for few: all are answered, with the bytes they get alone, in the memory
that was told. (How long each waits is counted in steps by the test of the scheduler.) `Tiny` with a tiny model, `Small`
with the small one."""

import os
import random
import re
import threading

import jv

CONTEXT, MANY = 256, 64
WORDS = "the quick brown fox jumps over a lazy dog and then it is not amused at all".split()
PROGRAM = 40 << 20  # bytes of all that is not the model: threads' stacks and heaps, records, libraries


class Load(jv.Case):
    def prepare(self, model, kv, tokens):
        rng = random.Random(3)
        prompts = [" ".join(WORDS[:rng.choice((0, 4, 9))] + rng.choices(WORDS, k=rng.randint(1, 16))) for _ in range(MANY)]
        self.file = self.ini(self.answers(model, prompts, model={"context": CONTEXT, "kv": kv, "batch": MANY},
                                          answer={"max_tokens": tokens, "temperature": 0.8}, out={"fields": "id, answer, finish, tokens_out"}))

    def run_it(self, *overrides):
        """What was written; tokens of the cache, MiB of the sum; what the scheduler did; the most memory seen meanwhile."""
        process, most = self.start("run", self.file, *overrides), [0]
        watcher = threading.Thread(target=watch, args=(process, most))
        watcher.start()
        err = process.communicate(timeout=500)[1].decode("utf-8", "replace")
        watcher.join()
        self.assertEqual(process.returncode, 0, err)
        tokens, whole = re.search(r"KV f\d+ for (\d+) tokens, .*: ([\d.]+) MiB in all", err).groups()
        work = re.search(r"(\d+) sequences sent back, .*; at most (\d+) at once, in (\d+) of (\d+) blocks", err)
        return self.read("out.jsonl"), int(tokens), float(whole), [int(n) for n in work.groups()], most[0]

    def check_load(self, memory, plenty, threads):
        """On a cache for some eight contexts as with so many at once on one for all; the most memory that was its own."""
        alone, _, _, (back, _, _, _), _ = self.run_it(f"model.memory={plenty}", f"answer.threads={threads}")
        self.assertEqual(back, 0)
        self.assertEqual(len(alone.splitlines()), MANY)
        most = 0
        for _ in range(6):  # who meets whom is left to chance, and now and then nobody has to go back
            together, tokens, whole, (back, running, used, blocks), own = self.run_it(f"model.memory={memory}", f"answer.threads={MANY}")
            most = max(most, own)
            self.assertEqual(together, alone)
            self.assertLessEqual(whole, memory / (1 << 20) + 0.05)
            self.assertTrue(6 * CONTEXT < tokens < 10 * CONTEXT, tokens)
            self.assertEqual(tokens, 32 * blocks)
            self.assertLessEqual(used, blocks)
            self.assertGreater(running, 6)
            if back > 0:
                break
        self.assertGreater(back, 0)
        return most


def watch(process, most):
    """Keeps the most of what is the process's own, not a file's, until it ends."""
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
                own = re.search(r"RssAnon:\s*(\d+) kB", f.read())
        except (OSError, ProcessLookupError):
            return
        most[0] = max(most[0], int(own[1]) << 10 if own else 0)


class Tiny(Load):
    def setUp(self):
        super().setUp()
        self.prepare(self.tiny("tiny.gguf", "--type", "q8_0"), "f32", 100)

    def test_many_on_a_cache_for_few(self):
        self.check_load(3 << 20, 64 << 20, 1)

    def test_what_never_fits_is_refused(self):
        result = self.jevons("check", self.file, "model.memory=1M", "model.context=4096")
        self.assertEqual(result.status, 2)
        self.assertRegex(result.err, r"memory = 1.0 MiB is not enough for a context of 4096 tokens: weights .* MiB in all")


class Small(Load):
    def test_many_on_a_cache_for_few(self):
        if not os.path.exists(jv.MODEL):
            self.skipTest("the model is not there")
        self.prepare(jv.MODEL, "f16", 48)
        memory = 157 << 20
        self.assertLess(self.check_load(memory, 400 << 20, 16), memory + PROGRAM)


if __name__ == "__main__":
    jv.main()
