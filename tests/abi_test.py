"""core/jevons.h against the last release, tests/abi/jevons.abi: no member has moved, none is gone; what plugins hold by
value has the same size."""

import os
import shlex
import subprocess
import xml.etree.ElementTree

import jv

BY_VALUE = {"jv_str", "jv_err", "jv_list", "jv_map", "jv_ref"}
FOLDER = os.path.join(jv.SOURCE, "tests", "abi")


def structs():
    """The structs of the last release: name, size, and its members with their offsets, in bytes."""
    tree = xml.etree.ElementTree.parse(os.path.join(FOLDER, "jevons.abi"))
    for struct in tree.iter("class-decl"):
        members = [(m.find("var-decl").get("name"), int(m.get("layout-offset-in-bits")) // 8) for m in struct.iter("data-member")]
        if members:
            yield struct.get("name"), int(struct.get("size-in-bits")) // 8, members


class Abi(jv.Case):
    def compiles(self, text):
        self.write("t.c", text)
        p = subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-std=gnu17", "-fsyntax-only", "-I",
                            os.path.join(jv.SOURCE, "core"), self.path("t.c")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return p.returncode == 0, p.stdout.decode()

    def test_nothing_has_moved(self):
        lines, seen = [], set()
        for name, size, members in structs():
            seen.add(name)
            lines += [f'_Static_assert(offsetof(struct {name}, {m}) == {at}, "{name}.{m} has moved");' for m, at in members]
            sign = "==" if name in BY_VALUE else ">="
            lines.append(f'_Static_assert(sizeof(struct {name}) {sign} {size}, "{name} has another size");')
        self.assertLess(BY_VALUE | {"jv_host", "jv_stage", "jv_plugin", "jv_opt", "jv_origin"}, seen)
        ok, told = self.compiles('#include "jevons.h"\n' + "\n".join(lines) + "\n")
        self.assertTrue(ok, told + "If this is meant, and the release is still to come: ./jv abi --update")

    def test_values_are_the_same(self):
        with open(os.path.join(FOLDER, "all.c"), encoding="utf-8") as f:
            ok, told = self.compiles(f.read())
        self.assertTrue(ok, told)

    def test_a_move_would_be_seen(self):
        ok, told = self.compiles('#include "jevons.h"\n_Static_assert(offsetof(struct jv_host, log) == 0, "log has moved");\n')
        self.assertFalse(ok)
        self.assertIn("log has moved", told)


if __name__ == "__main__":
    jv.main()
