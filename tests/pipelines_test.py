"""The pipelines of configs/, from end to end, on a tiny random model: what is written, that it is the same at every run, faults."""

import json
import os
import sys

import jv


def config(name):
    return os.path.join(jv.SOURCE, "configs", name + ".ini")


class Pipelines(jv.Case):
    def setUp(self):
        super().setUp()
        self.model = "model.path=" + self.tiny("tiny.gguf", "--type", "q8_0")

    def documents(self):
        self.write("docs/a.html", b"<p>One &amp; <b>two</b>.</p><script>x()</script>")
        self.write("docs/b/c.txt", b"caf\xe9 \x00 broken")
        self.write("docs/zh.txt", "你好。世界。")
        return ["input.path=docs", "output.path=out.jsonl", self.model, "answer.max_tokens=8", "prompt.text={text}", "chunk.size=40"]

    def test_documents(self):
        result = self.jevons("run", config("documents"), *self.documents())
        self.assertEqual(result.status, 0, result.err)
        rows = [json.loads(x) for x in self.read("out.jsonl").splitlines()]
        self.assertEqual([r["id"] for r in rows], ["a.html/0", "b/c.txt/0", "zh.txt/0"])
        self.assertEqual([r["source"] for r in rows], ["docs/a.html", "docs/b/c.txt", "docs/zh.txt"])
        for r in rows:
            self.assertEqual(list(r), ["id", "source", "answer", "tokens_in", "tokens_out"])
            self.assertGreater(r["tokens_in"], 0)
            self.assertTrue(0 <= r["tokens_out"] <= 8)
        measured = [json.loads(x) for x in self.read("out.jsonl.measured.jsonl").splitlines()]
        self.assertEqual([m["id"] for m in measured], [r["id"] for r in rows])
        self.assertTrue(all(m["seconds"] > 0 for m in measured))

    def test_the_same_bytes_at_every_run(self):
        args = self.documents() + ["answer.temperature=1"]
        outputs = set()
        for more in (["backend.cores=1"], ["backend.cores=2"], ["model.prefill_chunk=3"], ["answer.threads=1"], ["answer.threads=7"]):
            self.assertEqual(self.jevons("run", "--quiet", config("documents"), *args, *more).status, 0)
            outputs.add(self.read("out.jsonl"))
        self.assertEqual(len(outputs), 1)
        self.assertEqual(self.jevons("run", "--quiet", config("documents"), *args, "answer.seed=5").status, 0)
        self.assertNotIn(self.read("out.jsonl"), outputs)

    def test_a_prompt_that_does_not_fit_is_rejected_with_both_numbers(self):
        self.documents()
        self.write("docs/long.txt", "word " * 400)
        result = self.jevons("run", config("documents"), *self.documents(), "chunk.size=2000", "pipeline.dead_letter=dead.jsonl")
        self.assertEqual(result.status, 3, result.err)
        dead = [json.loads(x) for x in self.read("dead.jsonl").splitlines()]
        self.assertEqual([d["id"] for d in dead], ["long.txt/0"])
        self.assertRegex(dead[0]["error"], r"\d{3,} tokens.*8.*256")
        self.assertEqual(len(self.read("out.jsonl").splitlines()), 3)

    def test_unreadable_among_good_ones(self):
        args = self.documents()
        self.write("docs/big.txt", "x" * 5000)
        result = self.jevons("run", config("documents"), *args, "input.max_size=1K")
        self.assertEqual(result.status, 3, result.err)
        self.assertIn("5000", self.read("documents.rejected.jsonl").decode())
        self.assertEqual(len(self.read("out.jsonl").splitlines()), 3)

    def test_ask(self):
        result = self.jevons("run", "--quiet", config("ask"), self.model, "question.text=hello", "answer.max_tokens=12")
        self.assertEqual(result.status, 0, result.err)
        self.assertTrue(result.text.endswith("\n"))
        self.assertEqual(result.err, "")
        again = self.jevons("run", "--quiet", config("ask"), self.model, "question.text=hello", "answer.max_tokens=12")
        self.assertEqual(again.out, result.out)

    def test_ask_needs_a_template(self):
        bare = "model.path=" + self.tiny("bare.gguf", "--no-template")
        result = self.jevons("check", config("ask"), bare)
        self.assertEqual(result.status, 2)
        self.assertIn("template", result.err)
        self.assertEqual(self.jevons("run", "--quiet", config("ask"), bare, "answer.template=none", "answer.max_tokens=4").status, 0)

    def test_tokenize(self):
        self.write("t/1", "hello <|im_end|>")
        self.write("t/2", b"\xff")
        self.write("t/3", b"")
        result = self.jevons("run", "--quiet", config("tokenize"), self.model, "text.path=t")
        self.assertEqual(result.status, 0, result.err)
        rows = [json.loads(x) for x in result.lines]
        self.assertEqual(len(rows), 3)
        self.assertTrue(all(list(r) == ["tokens"] for r in rows))
        self.assertGreater(len(rows[0]["tokens"]), 8)  # the special token's text stayed text
        self.assertEqual(rows[2]["tokens"], [])

    def test_score(self):
        self.write("t.txt", "hello hello hello")
        result = self.jevons("run", "--quiet", config("score"), self.model, "text.path=t.txt", "score.top=3")
        self.assertEqual(result.status, 0, result.err)
        rows = [json.loads(x) for x in result.lines]
        last = rows.pop()
        self.assertEqual(sorted(last), ["bos", "perplexity", "tokens"])
        self.assertEqual(last["tokens"], len(rows) + 1)
        for r in rows:
            self.assertEqual(len(r["top"]), 3)
            self.assertGreaterEqual(r["top"][0][1], r["top"][1][1])
            self.assertLessEqual(r["logprob"], r["top"][0][1] + 1e-9)
        with_bos = [json.loads(x) for x in self.jevons("run", "--quiet", config("score"), self.model, "text.path=t.txt", "score.bos=yes").lines]
        self.assertEqual((with_bos[-1]["bos"], with_bos[-1]["tokens"]), (True, last["tokens"] + 1))
        self.assertNotIn("top", with_bos[0])

    def test_bos_as_the_file_says(self):
        sys.path.insert(0, os.path.join(jv.SOURCE, "tests"))
        import tiny_gguf
        model = tiny_gguf.tiny()
        model.put("tokenizer.ggml.add_bos_token", tiny_gguf.BOOL, True)
        model.save(self.path("bos.gguf"))
        self.write("t.txt", "hello")
        for bos, expected in (("auto", True), ("no", False)):
            result = self.jevons("run", "--quiet", config("score"), "model.path=bos.gguf", "text.path=t.txt", "score.bos=" + bos)
            self.assertEqual(json.loads(result.lines[-1])["bos"], expected, result.err)
        self.assertFalse(json.loads(self.jevons("run", "--quiet", config("score"), self.model, "text.path=t.txt").lines[-1])["bos"])

    def test_answers_that_were_cut_are_counted(self):
        result = self.jevons("run", config("ask"), self.model, "answer.max_tokens=3", "question.text=hello")
        self.assertRegex(result.err, r"cut 1 answer|tokens_out [0-2] ")

    def test_score_in_windows(self):
        """A token is scored once, whatever the window; in a window that holds all before it, the same."""
        self.write("t.txt", "some words and some words and more of them")
        whole, cut = ([json.loads(x) for x in self.jevons("run", "--quiet", config("score"), self.model, "text.path=t.txt", *more).lines]
                      for more in ([], ["score.context=16", "score.stride=4"]))
        self.assertEqual([r.get("token") for r in whole], [r.get("token") for r in cut])
        self.assertEqual([r["logprob"] for r in whole[:15]], [r["logprob"] for r in cut[:15]])
        self.assertNotEqual(whole[-1]["perplexity"], cut[-1]["perplexity"])

    def test_memory_is_shown_and_bounded(self):
        result = self.jevons("run", config("ask"), self.model, "answer.max_tokens=1")
        self.assertRegex(result.err, r"model: .*weights.*KV.*scratch")
        result = self.jevons("run", config("ask"), self.model, "model.memory=1K")
        self.assertIn(result.status, (1, 2))
        self.assertRegex(result.err, r"memory")

    def test_damaged_models_are_told(self):
        with open(self.path("tiny.gguf"), "rb") as f:
            whole = f.read()
        self.write("cut.gguf", whole[:-100])
        self.write("empty.gguf", b"")
        self.write("text.gguf", b"hello")
        for name, part in (("cut", "missing"), ("empty", "empty"), ("text", "GGUF"), ("none", "No such file")):
            result = self.jevons("check", config("ask"), f"model.path={name}.gguf")
            self.assertEqual((result.status, len(result.messages)), (2, 1), result.err)
            self.assertIn(part, result.messages[0])

    def test_full_disk(self):
        result = self.jevons("run", config("documents"), *self.documents(), "output.path=/dev/full", "measured.path=m.jsonl")
        self.assertEqual(result.status, 1)
        self.assertIn("/dev/full cannot be written: No space left on device", result.err)


if __name__ == "__main__":
    jv.main()
