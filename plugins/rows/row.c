/* row.c: see row.h. */
#include "row.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../utf8.h"

#define FIRST_CAP 4096
#define KEEP_CAP (1 << 20) /* bytes */

void row_reset(struct row *r)
{
    if (r->cap > KEEP_CAP) row_free(r);
    r->n = 0;
    r->failed = false;
}

void row_free(struct row *r)
{
    free(r->p);
    *r = (struct row){0};
}

/* n bytes to write to, or null and `failed`. */
static char *room(struct row *r, size_t n)
{
    if (r->failed || n > SIZE_MAX / 4 || r->n > SIZE_MAX / 4) {
        r->failed = true;
        return NULL;
    }
    size_t cap = r->cap ? r->cap : FIRST_CAP;
    while (cap - r->n < n) cap *= 2;
    if (cap != r->cap) {
        char *p = realloc(r->p, cap);
        if (!p) {
            r->failed = true;
            return NULL;
        }
        r->p = p;
        r->cap = cap;
    }
    char *at = r->p + r->n;
    r->n += n;
    return at;
}

void row_add(struct row *r, const char *p, size_t n)
{
    char *at = room(r, n);
    if (at && n) memcpy(at, p, n);
}

/* The letter behind the backslash; 0 for a character that stands as it is, 'u' for one without a letter of its own. */
static char escape_of(unsigned char c)
{
    switch (c) {
    case '"': return '"';
    case '\\': return '\\';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return c < 0x20 || c == 0x7f ? 'u' : 0;
    }
}

void row_string(struct row *r, const char *s, size_t n)
{
    row_add(r, "\"", 1);
    for (size_t i = 0, plain = 0; i <= n; i++) {
        char letter = i < n ? escape_of((unsigned char)s[i]) : 0;
        if (i < n && !letter) continue;
        row_add(r, s + plain, i - plain); /* everything since the last escape at once */
        plain = i + 1;
        if (!letter) break;
        char text[8];
        int len = letter == 'u' ? snprintf(text, sizeof text, "\\u%04x", (unsigned)(unsigned char)s[i])
                                : snprintf(text, sizeof text, "\\%c", letter);
        row_add(r, text, (size_t)len);
    }
    row_add(r, "\"", 1);
}

void row_base64(struct row *r, const char *s, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)s;
    row_add(r, "{\"base64\":\"", 11);
    for (size_t i = 0; i < n && !r->failed; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0u);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], left > 1 ? digits[v >> 6 & 63] : '=',
            left > 2 ? digits[v & 63] : '='};
        row_add(r, four, sizeof four);
    }
    row_add(r, "\"}", 2);
}

void row_bytes(struct row *r, const char *s, size_t n)
{
    if (utf8_valid(s, n) == n)
        row_string(r, s, n);
    else
        row_base64(r, s, n);
}

void row_json(struct row *r, const char *s, size_t n)
{
    char *at = room(r, n);
    for (size_t i = 0; at && i < n; i++) at[i] = s[i] == '\n' || s[i] == '\r' ? ' ' : s[i];
}

void row_i64(struct row *r, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, v);
    row_add(r, text, (size_t)n);
}

/* digits: a number of them that is always enough; if d digits read back, so do d + 1: a search by halves finds the
 * fewest. */
static void add_float(struct row *r, double v, int digits, bool (*reads_back)(const char *text, double v))
{
    char text[352]; /* far less is needed; the compiler cannot know */
    int least = 1;
    while (least < digits) {
        int mid = (least + digits) / 2;
        snprintf(text, sizeof text, "%.*g", mid, v);
        if (reads_back(text, v))
            digits = mid;
        else
            least = mid + 1;
    }
    snprintf(text, sizeof text, "%.*e", digits - 1, v);
    long exponent = strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent >= digits && exponent < 15) digits = (int)exponent + 1; /* 100.0, not 1e+02; exact below 2^53 */
    int n = snprintf(text, sizeof text, "%.*g", digits, v);
    row_add(r, text, (size_t)n);
    if (!strpbrk(text, ".e")) row_add(r, ".0", 2);
}

static bool same_f64(const char *text, double v)
{
    return strtod(text, NULL) == v;
}

static bool same_f32(const char *text, double v)
{
    return (double)strtof(text, NULL) == v;
}

void row_f64(struct row *r, double v)
{
    add_float(r, v, 17, same_f64);
}

void row_f32(struct row *r, float v)
{
    add_float(r, (double)v, 9, same_f32);
}
