"""A backend that is broken on purpose: with tiles of 8 rows it adds in another order (faulty/other_order.c). Values are as
near to the true ones as before; the test of backends and `verify` must say that rows are not what they are alone."""

import json
import os
import re
import subprocess
import unittest

import jv

FAULTY = os.environ["JEVONS_FAULTY"]
BACKEND_TEST = os.environ["JEVONS_BACKEND_TEST"]
PROMPTS, TOKENS = 14, 4


class Faulty(jv.Case):
    def verify(self, model, words, faulty):
        """What is the verdict of one that asks for seven at once."""
        more = ["pipeline.plugin_path=" + os.path.dirname(FAULTY)] if faulty else []
        return self.jevons("run", "--quiet", os.path.join(jv.SOURCE, "configs/verify.ini"), f"model.path={model}", f"alone.path={model}", "model.context=256",
                           "alone.context=256", "verify.sequences=7", f"verify.prompts={PROMPTS}", f"verify.tokens={TOKENS}", f"verify.words={words}", *more)

    def check_verdicts(self, model, words):
        sound = self.verify(model, words, False)
        self.assertEqual(sound.status, 0, sound.err)
        told = json.loads(sound.text)
        longest, prompt_tokens = told.pop("longest_prompt"), told.pop("prompt_tokens")
        self.assertTrue(10 < longest < prompt_tokens <= longest * PROMPTS, (longest, prompt_tokens))
        self.assertEqual(told, {"exact": True, "prompts": PROMPTS, "cases": 2 * PROMPTS, "tokens": 2 * PROMPTS * TOKENS, "first_difference": None})
        faulty = self.verify(model, words, True)
        self.assertEqual(faulty.status, 1, faulty.err)
        verdict = json.loads(faulty.text)
        self.assertIs(verdict["exact"], False)
        self.assertEqual((verdict["prompts"], verdict["cases"]), (PROMPTS, 2 * PROMPTS))
        first = verdict["first_difference"]
        self.assertEqual(first["sequences"], 7)
        self.assertTrue(0 <= first["prompt"] < PROMPTS and 0 <= first["token"] < TOKENS, first)
        self.assertNotEqual(first["expected"], first["got"])
        self.assertRegex(faulty.err, rf"jevons: verify .*: [1-9]\d* of {2 * PROMPTS} answers differ from those of the reference")


class Tiny(Faulty):
    def setUp(self):
        super().setUp()
        self.tiny("tiny.gguf", "--type", "q4_1")

    def test_verify(self):
        self.check_verdicts("tiny.gguf", 20)

    def test_backend_test(self):
        """It fails for rows beside others and for nothing else: the values alone are right."""
        self.ini("[backend]\nplugin = cpu\ncores = 1\n[model]\nplugin = llm/model\npath = tiny.gguf\nbackend = backend\n"
                 "[text]\nplugin = text\ntext = a\n[answer]\nplugin = llm/generate\nmodel = model\nin = text\ntemplate = none\nmax_tokens = 1\n[out]\nplugin = null\n")
        best = re.search(r"backend: cpu, 1 thread, (\w+) ", self.jevons("run", "t.ini").err)[1]
        env = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")  # a test that fails leaves what it had
        result = subprocess.run([BACKEND_TEST, FAULTY, jv.SOURCE, best], capture_output=True, text=True, check=False, env=env)
        self.assertEqual(result.returncode, 1)
        failed = re.findall(r"^\[  FAILED  \] (test_\S+)$", result.stdout + result.stderr, re.M)
        self.assertEqual(failed, ["test_rows_alone"] * 2)  # when it fails, and in the list of failures at the end


@unittest.skipUnless(os.path.exists(jv.MODEL), "the model is not there")
class Small(Faulty):
    def test_verify(self):
        self.check_verdicts(jv.MODEL, 40)


if __name__ == "__main__":
    jv.main()
