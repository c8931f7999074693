"""core/jevons.h against the last release: each of its constants, which tests/abi/layout.c has, and all that abidiff sees, which
tests/abi/jevons.abi has. Members and their types: header_test.py."""

import os
import platform
import re
import shutil
import subprocess
import unittest

import jv

CORE = os.path.join(jv.SOURCE, "core")
FOLDER = os.path.join(jv.SOURCE, "tests", "abi")
MAY_CHANGE = {"JV_ABI_MINOR"}


class Abi(jv.Case):
    def compile(self, *args):
        p = subprocess.run(["gcc", "-std=gnu17", *args], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return p.returncode == 0, p.stdout.decode()

    def test_constants(self):
        """With another value of any of them layout.c does not compile: so each has a row there."""
        with open(os.path.join(CORE, "jevons.h"), encoding="utf-8") as f:
            header = f.read()
        constants = re.findall(r"^#define (JV_[A-Z0-9_]+) (\(?-?\d+u?\)?|U?INT\d+_M\w+)(?=\s)", header, re.M)
        self.assertGreater(len(constants), 40)
        for name, value in constants:
            with self.subTest(name):
                other = f"#define {name} ({value} ^ 1)"
                self.write("jevons.h", header.replace(f"#define {name} {value}", other))
                ok, told = self.compile("-fsyntax-only", "-I.", os.path.join(FOLDER, "layout.c"))
                self.assertEqual(ok, name in MAY_CHANGE, told)
                self.assertTrue(ok or f"{name} has another value" in told, told)

    @unittest.skipUnless(shutil.which("abidiff"), "no abidiff")
    @unittest.skipUnless(platform.machine() == "x86_64", "the last release is known as of x86_64")
    def test_abidiff(self):
        ok, told = self.compile("-g", "-shared", "-fPIC", "-I", CORE, "-o", "new.so", os.path.join(FOLDER, "all.c"))
        self.assertTrue(ok, told)
        p = subprocess.run(["abidiff", "--suppressions", os.path.join(FOLDER, "growth.suppr"), os.path.join(FOLDER, "jevons.abi"), self.path("new.so")],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(p.returncode, 0, p.stdout.decode() + "If this is meant, and the release is still to come: ./jv abi --update")


if __name__ == "__main__":
    jv.main()
