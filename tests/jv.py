"""What the tests of the whole program share: a folder of their own, INI files, runs of `jevons`."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

JEVONS = os.environ["JEVONS"]
PROBE = os.environ["JEVONS_PROBE"]  # the folder of the test plugins
SOURCE = os.environ["JEVONS_SOURCE"]
MODEL = os.environ.get("JEVONS_MODEL") or os.path.join(
    os.environ.get("HOME", "/"), ".cache/jevons/SmolLM2-135M-Instruct.Q4_1.gguf")


class Result:
    def __init__(self, process):
        self.status = process.returncode
        self.out = process.stdout
        self.err = process.stderr.decode("utf-8", "replace")
        self.text = process.stdout.decode("utf-8", "replace")
        self.lines = self.text.splitlines()
        self.messages = self.err.splitlines()


class Case(unittest.TestCase):
    """A test with a folder of its own, removed at the end; the working directory of what it runs."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return name

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def ini(self, text, name="t.ini"):
        """An INI file that finds the test plugins. The text's lines keep their numbers: the setting comes last."""
        return self.write(name, text + "\n[pipeline]\nplugin_path = " + PROBE + "\n")

    def tiny(self, name, *options):
        """A tiny model with random weights: tiny_gguf.py lists the options."""
        subprocess.run([sys.executable, "-B", os.path.join(SOURCE, "tests/tiny_gguf.py"), self.path(name), *options], check=True, stdout=subprocess.DEVNULL)
        return name

    def answers(self, model, prompts, /, **more):
        """The text of a pipeline that answers these prompts with a model; more: keys of its sections beside those that it needs."""
        self.write("prompts.jsonl", "".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
        sections = {"rows": {"plugin": "jsonl", "path": "prompts.jsonl", "columns.prompt": "utf8"},
                    "backend": {"plugin": "cpu", "cores": 1},
                    "model": {"plugin": "llm/model", "path": model, "backend": "backend"},
                    "answer": {"plugin": "llm/generate", "model": "model", "template": "none"},
                    "out": {"plugin": "jsonl", "path": "out.jsonl", "fields": "id, answer"}}
        return "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in {**keys, **more.get(name, {})}.items())
                       for name, keys in sections.items())

    def environment(self, extra=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("JEVONS")}
        env.update(extra or {})
        return env

    def jevons(self, *args, env=None, stdin=b"", timeout=240):
        return Result(subprocess.run([JEVONS, *args], cwd=self.folder, env=self.environment(env), input=stdin,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout))

    def start(self, *args, env=None):
        return subprocess.Popen([JEVONS, *args], cwd=self.folder, env=self.environment(env), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def check_problems(self, ini, expected, *overrides):
        """`check` must tell exactly these problems: pairs of a line's number (0: the command line) and a part of its message."""
        result = self.jevons("check", ini, *overrides)
        told = [m for m in result.messages]
        self.assertEqual(len(told), len(expected), result.err)
        for message, (line, part) in zip(told, expected):
            place = f"{ini}:{line}: " if line else "command line: "
            self.assertTrue(message.startswith(place), f"{message!r} does not begin with {place!r}")
            self.assertIn(part, message)
        self.assertEqual(result.status, 2, result.err)


def main():
    unittest.main()
