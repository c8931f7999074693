"""Prints entities.h: the named character references of the HTML Standard, from Python's own copy of the list.

    python3 entities.py > entities.h
"""
from html.entities import html5

print("""/*
 * entities.h: the named character references of the HTML Standard (section 13.5), sorted by name. Made by entities.py.
 * `legacy` names may stand without a semicolon.
 */
#ifndef CLEAN_ENTITIES_H
#define CLEAN_ENTITIES_H

#include <stdint.h>

#define ENTITY_LONGEST 31 /* bytes of the longest name */

struct entity {
    char name[ENTITY_LONGEST + 1];
    char text[7]; /* UTF-8 */
    uint8_t legacy;
};

// clang-format off
static const struct entity entities[] = {""")
for name in sorted(key[:-1] for key in html5 if key.endswith(";")):
    text = "".join(f"\\x{byte:02x}" for byte in html5[name + ";"].encode())
    print(f'{{"{name}", "{text}", {int(name in html5)}}},')
print("""};
// clang-format on

#endif""")
