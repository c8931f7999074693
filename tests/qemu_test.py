"""Older processors than this one, by qemu: no instruction that they lack, the level named, and the bytes that the same
level gives here. `Tiny` with tiny models; `Whole`, some half an hour, the whole test of backends and the small model.

qemu has no AVX-512: a Skylake server is a Haswell to it."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

import jv

BACKEND_TEST = os.environ["JEVONS_BACKEND_TEST"]
BACKEND = os.path.join(os.path.dirname(BACKEND_TEST), "jv_cpu.so")
QEMU = shutil.which("qemu-x86_64-static")
# Processor: the level it is given, its name in the log, levels that it is refused and what it lacks for them.
PROCESSORS = {
    "Conroe": ("portable", "portable C", {"sse4": "SSE4.2"}),
    "Nehalem": ("sse4", "SSE4.2", {"avx2": "AVX2 FMA", "avxvnni": "AVX2 VNNI", "avx512": "AVX512 VNNI"}),
    "SandyBridge": ("sse4", "SSE4.2", {"avx2": "AVX2 FMA"}),  # AVX alone is not enough
    "Haswell": ("avx2", "AVX2 FMA", {"avxvnni": "AVX2 VNNI", "avx512": "AVX512 VNNI"}),
    "Skylake-Server": ("avx2", "AVX2 FMA", {"avx512": "AVX512 VNNI"}),
}


def emulate(processor, argv, **more):
    argv = [QEMU, "-cpu", processor, *argv]
    return jv.Result(subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **more))


class Emulated(jv.Case):
    def write_pipeline(self, model, prompts, tokens):
        self.ini(self.answers(model, prompts, model={"context": 128, "prefill_chunk": 40}, out={"fields": "id, answer, logprobs"},
                              answer={"threads": 3, "max_tokens": tokens, "temperature": 0.7, "logprobs": 1}))

    def compare(self, processor):
        """A run there and one of the same level here."""
        level, text, _ = PROCESSORS[processor]
        there = emulate(processor, [jv.JEVONS, "run", "t.ini", "out.path=there.jsonl"], cwd=self.folder, env=self.environment(), timeout=900)
        self.assertEqual(there.status, 0, there.err)
        self.assertIn(f"backend: cpu, 1 thread, {level} ({text})\n", there.err)
        self.assertEqual("`portable` is slow" in there.err, level == "portable", there.err)
        here = self.jevons("run", "t.ini", "backend.isa=" + level)
        if here.status == 2 and "this processor has no" in here.err:
            return  # an older one
        self.assertEqual(here.status, 0, here.err)
        self.assertEqual(self.read("there.jsonl"), self.read("out.jsonl"), processor)


class Tiny(Emulated):
    def setUp(self):
        super().setUp()
        for family, type in (("llama", "mixed"), ("gemma3", "q8_0")):
            self.tiny(family + ".gguf", "--family", family, "--type", type)

    def test_generation(self):
        for family in ("llama", "gemma3"):
            self.write_pipeline(family + ".gguf", ["a", "The quick brown fox jumps over the lazy dog. " * 2, "The quick, 42!"], 5)
            for processor in PROCESSORS:
                with self.subTest(processor=processor, family=family):
                    self.compare(processor)

    def test_what_it_lacks_is_refused(self):
        self.write_pipeline("llama.gguf", ["a"], 1)
        for processor, (_, _, refused) in PROCESSORS.items():
            for level, lacks in refused.items():
                result = emulate(processor, [jv.JEVONS, "check", "t.ini", "backend.isa=" + level], cwd=self.folder, env=self.environment(), timeout=120)
                self.assertEqual(result.status, 2, result.err)
                self.assertIn(f"command line: [backend] `isa` is {level}, but this processor has no {lacks}\n", result.err)


class Whole(Emulated):
    def test_backend_test(self):
        """All levels that there are for each, two processors at a time."""
        def one(processor, level):
            result = emulate(processor, [BACKEND_TEST, BACKEND, jv.SOURCE, level], timeout=3600)
            told = result.text + result.err
            self.assertEqual(result.status, 0, told)
            self.assertIn(f"cpu, 1 thread, {level} (", told)
            self.assertEqual(len(re.findall(r"\[ +OK \]", told)), 12, told)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(one, ("Nehalem", "Haswell", "Nehalem"), ("sse4", "avx2", "portable")))

    def test_generation(self):
        if not os.path.exists(jv.MODEL):
            self.skipTest("the model is not there")
        self.write_pipeline(jv.MODEL, ["The capital of France is", "Once upon a time there was a"], 6)
        for processor in ("Nehalem", "Haswell", "Skylake-Server"):
            with self.subTest(processor=processor):
                self.compare(processor)


if __name__ == "__main__":
    if not QEMU:
        print("skipped: no qemu-x86_64-static")
        sys.exit(77)
    jv.main()
