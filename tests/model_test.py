"""The pipelines of configs/ with the real small model. Without it (no network when it was to be brought) the test is skipped."""

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


if __name__ == "__main__":
    if not os.path.exists(jv.MODEL):
        print("no model at", jv.MODEL)
        sys.exit(77)
    jv.main()
