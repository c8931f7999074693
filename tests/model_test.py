"""The pipelines of configs/ with the real small model. Without it (no network when it was to be brought) the test is skipped."""

import json
import os
import signal
import sys

import jv


def config(name):
    return os.path.join(jv.SOURCE, "configs", name + ".ini")


class RealModel(jv.Case):
    def test_the_answer_streams(self):
        p = self.start("run", "--quiet", config("ask"), "question.text=Count from one to five hundred in words.", "answer.max_tokens=2000", "model.context=4096",
                       "model.path=" + jv.MODEL)
        first = os.read(p.stdout.fileno(), 1)
        self.assertTrue(first)
        self.assertIsNone(p.poll(), "it has ended before the first bytes were read")
        p.send_signal(signal.SIGINT)
        rest, err = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 1, err)
        (first + rest).decode("utf-8")
        self.assertLess(len(rest), 4000)
        self.assertIn(b"1 cancelled", err)

    def test_it_knows_something(self):
        result = self.jevons("run", "--quiet", config("ask"), "question.text=The capital of France is", "answer.template=none", "answer.max_tokens=8", "model.path=" + jv.MODEL)
        self.assertIn("Paris", result.text)

    def test_a_record_brings_its_own_options(self):
        rows = [{"prompt": "The capital of France is"}, {"prompt": "The capital of France is", "params": {"max_tokens": 2}},
                {"prompt": "The capital of France is", "params": {"max_token": 2}}, {"prompt": "x", "params": {"path": "/etc/passwd"}}]
        self.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        ini = self.ini("[rows]\nplugin = jsonl\npath = rows.jsonl\ncolumns.prompt = utf8\ncolumns.params = json?\n[backend]\nplugin = cpu\n"
                       "[model]\nplugin = llm/model\nbackend = backend\npath = " + jv.MODEL + "\n[answer]\nplugin = llm/generate\nmodel = model\n"
                       "template = none\nmax_tokens = 6\n[out]\nplugin = jsonl\npath = out.jsonl\nfields = id, answer, tokens_out\n")
        result = self.jevons("run", ini)
        self.assertEqual(result.status, 3, result.err)
        long, short = [json.loads(line) for line in self.read("out.jsonl").splitlines()]
        self.assertEqual((long["tokens_out"], short["tokens_out"]), (6, 2))
        self.assertTrue(long["answer"].startswith(short["answer"]))
        why = [json.loads(line)["error"] for line in self.read("t.rejected.jsonl").splitlines()]
        self.assertRegex(why[0], "`max_token`.*did you mean `max_tokens`")
        self.assertIn("`path`", why[1])

    def test_a_conversation_and_its_prompt(self):
        """What template.ini prints, taken as it is, is what a conversation is answered by."""
        talk = [{"role": "user", "content": "The capital of France is Paris. Say: Paris."}, {"role": "assistant", "content": "Paris."},
                {"role": "user", "content": [{"type": "text", "text": "Say it again."}]}]
        self.write("talk.jsonl", json.dumps({"messages": talk}) + "\n")
        prompt = self.jevons("run", "--quiet", config("template"), "conversations.path=talk.jsonl", "model.path=" + jv.MODEL).text
        self.assertTrue(prompt.endswith("<|im_start|>user\nSay it again.<|im_end|>\n<|im_start|>assistant\n\n"), prompt)
        ini = self.ini("[rows]\nplugin = jsonl\npath = talk.jsonl\ncolumns.messages = json\n[backend]\nplugin = cpu\n"
                       "[model]\nplugin = llm/model\nbackend = backend\npath = " + jv.MODEL + "\n[answer]\nplugin = llm/generate\nmodel = model\n"
                       "in = messages\ninput = messages\nmax_tokens = 8\nlogprobs = 2\nstop = Par\n[out]\nplugin = jsonl\npath = out.jsonl\n"
                       "fields = answer, finish, logprobs, tokens_in\n")
        result = self.jevons("run", ini)
        self.assertEqual(result.status, 0, result.err)
        row = json.loads(self.read("out.jsonl"))
        self.assertNotIn("Par", row["answer"])
        self.assertGreater(row["tokens_in"], 30)
        for token in row["logprobs"]:
            self.assertEqual(len(token["top"]), 2)
            self.assertEqual(token["top"][0], [token["token"], token["logprob"]])  # greedy


if __name__ == "__main__":
    if not os.path.exists(jv.MODEL):
        print("no model at", jv.MODEL)
        sys.exit(77)
    jv.main()
