"""The plugin that README.md shows: built with the line given there, found, shown, run."""

import os
import re
import subprocess

import jv


class Readme(jv.Case):
    def test_the_plugin_shown(self):
        with open(os.path.join(jv.SOURCE, "README.md"), encoding="utf-8") as f:
            readme = f.read()
        code = re.search(r"```c\n(.*?)```", readme, re.S).group(1)
        command = re.search(r"^    (gcc .*upper\.c)$", readme, re.M).group(1)
        self.write("upper.c", code)
        command = command.replace("-I core", "-I " + os.path.join(jv.SOURCE, "core"))
        built = subprocess.run(command + " -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Werror", shell=True, cwd=self.folder,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(built.returncode, 0, built.stdout.decode())
        self.write("t.ini", "[pipeline]\nplugin_path = .\n[question]\nplugin = text\ntext = nine or more\n[shout]\nplugin = upper\nmin = 10\n[out]\nplugin = stdout\n")
        result = self.jevons("run", "t.ini", "question.text=loud and clear")
        self.assertEqual((result.status, result.text), (0, "LOUD AND CLEAR\n"), result.err)
        result = self.jevons("run", "t.ini", "question.text=short")
        self.assertEqual((result.status, result.text), (0, ""))
        self.assertIn("dropped 1: too short", result.err)
        self.check_problems("t.ini", [(0, "`min`: -1 is outside 0..")], "shout.min=-1")

    def test_the_pipeline_shown(self):
        with open(os.path.join(jv.SOURCE, "README.md"), encoding="utf-8") as f:
            self.write("t.ini", re.search(r"```ini\n(.*?)```", f.read(), re.S).group(1))
        self.write("sample/a.txt", "A text.")
        result = self.jevons("check", "t.ini", "model.path=/nonexistent/model.gguf")
        self.assertEqual((result.status, len(result.messages)), (2, 1), result.err)
        self.assertIn("/nonexistent/model.gguf", result.err)

    def test_every_config_is_right(self):
        """All of configs/ passes `check` on any machine that has the model, or fails for the want of it alone."""
        folder = os.path.join(jv.SOURCE, "configs")
        for name in sorted(os.listdir(folder)):
            if name.endswith(".ini"):
                result = self.jevons("check", os.path.join(folder, name), "model.path=/nonexistent/model.gguf")
                self.assertEqual(result.status, 2, result.err)
                self.assertTrue(result.messages, name)
                for message in result.messages:  # verify.ini has two sections of a model
                    self.assertIn("/nonexistent/model.gguf", message)


if __name__ == "__main__":
    jv.main()
