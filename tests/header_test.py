"""core/jevons.h with each compiler and language it promises; a plugin in C++; what `./jv abi` lets pass and what not."""

import os
import re
import shutil
import subprocess
import unittest

import jv

CORE = os.path.join(jv.SOURCE, "core")
FOLDER = os.path.join(jv.SOURCE, "tests", "abi")
STRICT = ["-Wall", "-Wextra", "-Wpadded", "-pedantic", "-Werror", "-I", CORE]
COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]
COMPILERS_CC = [c for c in ("g++", "clang++") if shutil.which(c)]


class Compile(jv.Case):
    def compile(self, *command):
        p = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return p.returncode, p.stdout.decode("utf-8", "replace")

    def compiles(self, *command):
        status, told = self.compile(*command)
        self.assertEqual(status, 0, f"{command}\n{told}")


class Languages(Compile):
    def test_c(self):
        self.assertTrue(COMPILERS, "neither gcc nor clang")
        for compiler in COMPILERS:
            for std in ("c11", "c17", "gnu17"):
                self.compiles(compiler, f"-std={std}", *STRICT, "-fsyntax-only", os.path.join(FOLDER, "alone.c"))

    @unittest.skipUnless(COMPILERS_CC, "no C++ compiler")
    def test_cc(self):
        for compiler in COMPILERS_CC:
            for std in ("c++17", "c++20"):
                self.compiles(compiler, f"-std={std}", *STRICT, "-fsyntax-only", "-x", "c++", os.path.join(FOLDER, "alone.c"))

    def test_wrong_member(self):
        """An option whose member is of none of the seven types does not compile."""
        for compiler, args in [(c, ["-xc", "-std=c11"]) for c in COMPILERS] + [(c, ["-xc++", "-std=c++17"]) for c in COMPILERS_CC]:
            for member, good in (("int64_t", True), ("short", False), ("float", False), ("char *", False)):
                self.write("t.c", f'#include "jevons.h"\nstruct t {{ {member} m; }};\n'
                           'const jv_opt opt = JV_OPT(struct t, m, "", "", "");\n')
                status, told = self.compile(compiler, *args, "-I", CORE, "-fsyntax-only", "t.c")
                self.assertEqual(status == 0, good, f"{compiler} {member}\n{told}")

    @unittest.skipUnless(COMPILERS_CC, "no C++ compiler")
    def test_plugin_in_cc(self):
        for compiler in COMPILERS_CC:
            self.compiles(compiler, "-std=c++17", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-z,defs", *STRICT[:2], *STRICT[3:],
                          "-o", "jv_cc.so", os.path.join(FOLDER, "plugin.cc"))
            ini = self.write("t.ini", "[in]\nplugin = lines\npath = in.txt\n[cc]\nplugin = cc\ndrop = no, never\nshape = marked\n"
                             "[out]\nplugin = stdout\n[pipeline]\nplugin_path = .\n")
            self.write("in.txt", "a\nno\nlonger than ten\né\n")
            result = self.jevons("run", ini, "cc.times=3")
            self.assertEqual(result.lines, ["a-a-a!", "é-é-é!"], result.err)
            self.assertEqual(result.status, 3)
            self.assertIn("15 bytes, at most 10", self.read("t.rejected.jsonl").decode())
            self.assertIn("dropped 1: on the list", result.err)
            self.assertIn("texts 2", result.err)


class Header(Compile):
    """Copies of the header with one struct changed."""

    GROW = ("jv_host", "jv_origin", "jv_column", "jv_field", "jv_port", "jv_opt", "jv_counter", "jv_service", "jv_stage", "jv_plugin")
    NEVER = ("jv_str", "jv_err", "jv_list", "jv_map", "jv_ref")

    def setUp(self):
        super().setUp()
        with open(os.path.join(CORE, "jevons.h"), encoding="utf-8") as f:
            self.header = re.sub(r"(?s)/\*.*?\*/", "", f.read())

    def inside(self, name, change):
        text, n = re.subn(rf"(?ms)^(typedef )?struct {name} \{{.*?^\}}", lambda m: change(m[0]), self.header)
        self.assertEqual(n, 1, name)
        self.assertNotEqual(text, self.header, name)
        return text

    def grown(self, name):
        return self.inside(name, lambda s: s[:-1] + "    void *later;\n}")

    def wedged(self, name):
        """One header for each member, with another one in front of it."""
        for k in range(len(re.search(rf"(?s)struct {name} \{{(.*?)\n\}}", self.header)[1].split(";")) - 1):
            yield self.inside(name, lambda s: re.sub(r"((?:\{|;)(?:[^;]*;){%d})" % k, r"\1 void *wedge;", s, count=1))


class Layout(Header):
    def fits(self, header):
        self.write("jevons.h", header)
        with open(os.path.join(FOLDER, "layout.c"), encoding="utf-8") as f:
            self.write("layout.c", f.read())
        return self.compile(COMPILERS[0], "-std=gnu17", "-w", "-fsyntax-only", "-I.", "layout.c")

    def test_the_header(self):
        status, told = self.fits(self.header)
        self.assertEqual(status, 0, told)

    def test_at_the_end(self):
        for name in self.GROW + self.NEVER:
            self.assertEqual(self.fits(self.grown(name))[0] == 0, name in self.GROW, name)

    def test_in_front_of_any_member(self):
        """So each member has a row."""
        for name in self.GROW + self.NEVER:
            for header in self.wedged(name):
                status, told = self.fits(header)
                self.assertNotEqual(status, 0, header)
                self.assertIn(" has moved", told)

    def test_another_type(self):
        for old, new in (("int32_t row, int64_t v);", "int32_t row, int32_t v);"), ("double absent);", "float absent);"),
                         ("char text[496]", "char text[500]"), ("uint32_t abi_minor;", "int32_t abi_minor;")):
            self.assertIn(old, self.header)
            status, told = self.fits(self.header.replace(old, new))
            self.assertNotEqual(status, 0, old)
            self.assertRegex(told, "is of another type|has another size")


@unittest.skipUnless(shutil.which("abidiff"), "no abidiff")
class Abidiff(Header):
    """What abidiff sees and what growth.suppr hides."""

    def setUp(self):
        super().setUp()
        self.build(self.header, "old.so")

    def build(self, header, name):
        self.write("jevons.h", header)
        self.compiles(COMPILERS[0], "-std=gnu17", "-w", "-g", "-shared", "-fPIC", "-I.", "-o", name, os.path.join(FOLDER, "all.c"))

    def fits(self, header):
        self.build(header, "new.so")
        status, told = self.compile("abidiff", "--suppressions", os.path.join(FOLDER, "growth.suppr"), "old.so", "new.so")
        self.assertFalse(status & 3, told)  # errors of abidiff's own; 4: a change, 8: one that cannot fit
        return status == 0

    def test_the_same(self):
        self.assertTrue(self.fits(self.header))

    def test_at_the_end(self):
        for name in self.GROW + self.NEVER:
            self.assertEqual(self.fits(self.grown(name)), name in self.GROW, name)

    def test_in_the_middle(self):
        for name in self.GROW + self.NEVER:
            self.assertFalse(self.fits(next(self.wedged(name))), name)


if __name__ == "__main__":
    jv.main()
