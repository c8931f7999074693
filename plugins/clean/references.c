/*
 * references.c: character references, as in section 13.2.5.72 of the HTML Standard, but for two things: a name
 * without a semicolon is not read in front of a letter, a digit or '=', in text either (so that `?a=1&copy=2` stays),
 * and NUL and what is no character become U+FFFD.
 */
#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "entities.h"

#include <utf8proc.h>

/* What windows-1252 has at 0x80..0x9f; pages mean that when they write &#150; */
static const uint16_t windows_1252[32] = {0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030,
    0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc,
    0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178};

static int digit_of(char c, int base)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_alphanumeric(char c)
{
    return digit_of(c, 10) >= 0 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static size_t read_number(const char *s, size_t n, char *out, size_t *len)
{
    int base = n > 2 && (s[2] | 0x20) == 'x' ? 16 : 10;
    size_t i = base == 16 ? 3 : 2, first = i;
    int32_t c = 0;
    for (; i < n && digit_of(s[i], base) >= 0; i++)
        if (c <= 0x10ffff) c = c * base + digit_of(s[i], base);
    if (i == first) return 0;
    if (c >= 0x80 && c < 0xa0) c = windows_1252[c - 0x80];
    if (c == 0 || !utf8proc_codepoint_valid(c)) c = 0xfffd;
    *len = (size_t)utf8proc_encode_char(c, (utf8proc_uint8_t *)out);
    return i + (i < n && s[i] == ';');
}

static int compare_name(const void *name, const void *entity)
{
    return strcmp(name, ((const struct entity *)entity)->name);
}

static size_t read_name(const char *s, size_t n, char *out, size_t *len)
{
    char name[ENTITY_LONGEST + 1];
    size_t k = 0;
    while (1 + k < n && k < ENTITY_LONGEST && is_alphanumeric(s[1 + k])) {
        name[k] = s[1 + k];
        k++;
    }
    name[k] = 0;
    bool closed = 1 + k < n && s[1 + k] == ';';
    const size_t count = sizeof entities / sizeof *entities;
    const struct entity *e = bsearch(name, entities, count, sizeof *entities, compare_name);
    if (!e || (!closed && (!e->legacy || (1 + k < n && (s[1 + k] == '=' || is_alphanumeric(s[1 + k])))))) return 0;
    *len = strlen(e->text);
    memcpy(out, e->text, *len);
    return 1 + k + closed;
}

size_t read_reference(const char *s, size_t n, char out[REFERENCE_MAX], size_t *len)
{
    if (n < 3) return 0;
    return s[1] == '#' ? read_number(s, n, out, len) : read_name(s, n, out, len);
}

size_t fix_entities(const char *s, size_t n, char *out, int64_t *count)
{
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        size_t k = 0, took = s[i] == '&' ? read_reference(s + i, n - i, out + len, &k) : 0;
        if (took) {
            count[COUNT_ENTITIES]++;
            len += k;
            i += took;
        } else {
            out[len++] = s[i++];
        }
    }
    return len;
}
