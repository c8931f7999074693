"""Writes a C file with files as arrays of bytes, under their last names, for new.c: embed.py OUT.c FILE..."""

import os
import sys

out, paths = sys.argv[1], sys.argv[2:]
with open(out, "w", encoding="ascii") as f:
    f.write('#include "new.h"\n\n')
    for i, path in enumerate(paths):
        with open(path, "rb") as source:
            f.write(f"static const unsigned char file_{i}[] = {{{','.join(map(str, source.read() + bytes(1)))}}};\n")
    f.write("\nconst struct jvc_template jvc_templates[] = {\n")
    for i, path in enumerate(paths):
        f.write(f'    {{"{os.path.basename(path)}", file_{i}}},\n')
    f.write("    {0, 0},\n};\n")
