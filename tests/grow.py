"""grow.py IN OUT: jevons.h as a later minor version might have it, every struct that may grow longer by a member at its end."""

import re
import sys

with open(sys.argv[1]) as f:
    text = f.read()
text, n = re.subn(r"(#define JV_ABI_MINOR )(\d+)", lambda m: m[1] + str(int(m[2]) + 1), text)
assert n == 1
for name in ("plugin", "stage", "field", "port", "opt", "counter", "service", "origin", "column", "host"):
    text, n = re.subn(rf"(?ms)^((?:typedef )?struct jv_{name} \{{.*?^)\}}", r"\1    const void *later;\n}", text)
    assert n == 1, name
with open(sys.argv[2], "w") as f:
    f.write(text)
