/*
 * utf8.h: is this UTF-8, and how is it shown to a person? For the plugins that read or write outside bytes.
 *
 * Well-formed is what table 3-7 of the Unicode Standard says: shortest form, no surrogates, nothing above U+10FFFF.
 * Noncharacters are characters here.
 */
#ifndef JV_UTF8_TOOLS_H
#define JV_UTF8_TOOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The bytes a character takes that begins with `lead`; 0 where none does. */
static inline size_t utf8_length(unsigned char lead)
{
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* The bytes of the whole, well-formed character at s[0..n); 0 where there is none. */
static inline size_t utf8_char(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t len = n ? utf8_length(p[0]) : 0;
    if (len < 2) return len;
    if (n < len) return 0;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return len;
}

/* How many bytes at the front of s[0..n) are well-formed: n if all are, else the offset of the first that is not. */
static inline size_t utf8_valid(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        while (n - i >= sizeof eight) { /* most text is mostly ASCII: eight bytes at a time */
            memcpy(&eight, s + i, sizeof eight);
            if (eight & UINT64_C(0x8080808080808080)) break;
            i += sizeof eight;
        }
        if (i == n) break;
        size_t len = utf8_char(s + i, n - i);
        if (!len) return i;
        i += len;
    }
    return n;
}

/* 1 when the character at s is a control character (C0, DEL, C1): nothing to send to a terminal as it is. */
static inline bool utf8_control(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    return len == 1 ? p[0] < 0x20 || p[0] == 0x7f : len == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

/* Writes s[0..n) to out with control characters and bytes that are no UTF-8 as \xNN, ended by a NUL, cut between
 * characters where it does not fit. Returns the length of the whole, as snprintf does: >= cap means it was cut. */
static inline size_t utf8_escape(char *out, size_t cap, const char *s, size_t n)
{
    size_t want = 0, end = 0; /* end: what out holds */
    for (size_t i = 0; i < n;) {
        size_t len = utf8_char(s + i, n - i), take = len ? len : 1;
        char piece[4 * 4 + 1];
        size_t m = 0;
        if (len && !utf8_control(s + i, len)) {
            memcpy(piece, s + i, len);
            m = len;
        } else {
            for (size_t k = 0; k < take; k++)
                m += (size_t)snprintf(piece + m, sizeof piece - m, "\\x%02x", (unsigned)(unsigned char)s[i + k]);
        }
        if (end == want && want + m < cap) {
            memcpy(out + end, piece, m);
            end += m;
        }
        want += m;
        i += take;
    }
    if (cap) out[end] = 0;
    return want;
}

/* A name for a message: escaped, and "..." where it is too long to be shown whole. Three of them fit into a jv_err. */
struct utf8_shown {
    char text[150];
};

static inline struct utf8_shown utf8_show(const char *s, size_t n)
{
    struct utf8_shown shown;
    const size_t cap = sizeof shown.text - 3;
    if (utf8_escape(shown.text, cap, s, n) >= cap) strcat(shown.text, "...");
    return shown;
}

#endif
