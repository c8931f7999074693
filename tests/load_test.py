"""Many requests at once on a cache of keys and values for few: all are answered, with the bytes they get alone."""

import json
import os
import random
import re
import subprocess
import sys

import jv

CONTEXT, MANY = 256, 64
WORDS = "the quick brown fox jumps over a lazy dog and then it is not amused at all".split()


class Load(jv.Case):
    def setUp(self):
        super().setUp()
        subprocess.run([sys.executable, "-B", os.path.join(jv.SOURCE, "tests/tiny_gguf.py"), self.path("tiny.gguf"), "--type", "q8_0"], check=True)
        rng = random.Random(3)
        prompts = [" ".join(WORDS[:rng.choice((0, 4, 9))] + rng.choices(WORDS, k=rng.randint(1, 16))) for _ in range(MANY)]
        self.write("prompts.jsonl", "".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
        self.file = self.ini("[rows]\nplugin = jsonl\npath = prompts.jsonl\ncolumns.prompt = utf8\n[backend]\nplugin = cpu\ncores = 1\n"
                             f"[model]\nplugin = llm/model\nbackend = backend\npath = tiny.gguf\ncontext = {CONTEXT}\nkv = f32\nbatch = {MANY}\n"
                             "[answer]\nplugin = llm/generate\nmodel = model\ntemplate = none\nmax_tokens = 100\ntemperature = 0.8\n"
                             "[out]\nplugin = jsonl\npath = out.jsonl\nfields = id, answer, finish, tokens_out\n")

    def run_it(self, *overrides):
        """What was written; tokens of the cache, MiB of the sum; what the scheduler did."""
        result = self.jevons("run", self.file, *overrides)
        self.assertEqual(result.status, 0, result.err)
        tokens, whole = re.search(r"KV f32 for (\d+) tokens, .*: ([\d.]+) MiB in all", result.err).groups()
        work = re.search(r"(\d+) sequences sent back, .*; at most (\d+) at once, in (\d+) of (\d+) blocks", result.err)
        return self.read("out.jsonl"), int(tokens), float(whole), [int(n) for n in work.groups()]

    def test_many_on_a_cache_for_few(self):
        alone, tokens, _, _ = self.run_it("answer.threads=1")
        self.assertEqual(len(alone.splitlines()), MANY)
        self.assertEqual(tokens, 4 * CONTEXT)
        together, tokens, whole, (back, running, used, blocks) = self.run_it("model.memory=3M", f"answer.threads={MANY}")
        self.assertEqual(together, alone)
        self.assertLessEqual(whole, 3.0)
        self.assertTrue(6 * CONTEXT < tokens < 10 * CONTEXT, tokens)
        self.assertEqual(tokens, 32 * blocks)
        self.assertLessEqual(used, blocks)
        self.assertTrue(back > 0 and running > 6, (back, running))

    def test_what_never_fits_is_refused(self):
        result = self.jevons("check", self.file, "model.memory=1M", "model.context=4096")
        self.assertEqual(result.status, 2)
        self.assertRegex(result.err, r"memory = 1.0 MiB is not enough for a context of 4096 tokens: weights .* MiB in all")


if __name__ == "__main__":
    jv.main()
