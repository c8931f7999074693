/*
 * nfc.c: Unicode Normalization Form C (UAX #15) by utf8proc, line by line. utf8proc orders combining marks by
 * insertion, which takes quadratic time on a long row of them, so rows are put in order here before it composes.
 */
#include <string.h>

#include "clean.h"

#include <utf8proc.h>

#define FORM (UTF8PROC_STABLE | UTF8PROC_COMPOSE)
#define SHORT_ROW 16

/* Below U+0300 nothing combines: UTF-8 lead bytes up to 0xcb. */
static bool may_change(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] >= 0xcc) return true;
    return false;
}

static size_t line_length(const char *s, size_t n)
{
    const char *nl = memchr(s, '\n', n);
    return nl ? (size_t)(nl - s) + 1 : n;
}

/* The canonical decomposition of s[0..n), unordered; out null: only its length. */
static size_t decompose(const char *s, size_t n, int32_t *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        int32_t c, unused = 0;
        utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)(n - i), &c);
        if (k < 1) break; /* no UTF-8: not from fix_encoding */
        utf8proc_ssize_t made = utf8proc_decompose_char(c, out ? out + len : NULL, out ? 4 : 0, FORM, &unused);
        len += (size_t)made;
        i += (size_t)k;
    }
    return len;
}

static int class_of(int32_t c)
{
    return (unsigned char)utf8proc_get_property(c)->combining_class;
}

/* Orders a row of n marks by their class, equal ones as they stand. `spare` has room for n. */
static void order_row(int32_t *row, size_t n, int32_t *spare)
{
    if (n <= SHORT_ROW) {
        for (size_t i = 1; i < n; i++) {
            int32_t c = row[i];
            size_t k = i;
            for (; k > 0 && class_of(row[k - 1]) > class_of(c); k--) row[k] = row[k - 1];
            row[k] = c;
        }
        return;
    }
    size_t first[257] = {0};
    for (size_t i = 0; i < n; i++) first[class_of(row[i]) + 1]++;
    for (size_t k = 1; k < 257; k++) first[k] += first[k - 1];
    for (size_t i = 0; i < n; i++) spare[first[class_of(row[i])]++] = row[i];
    memcpy(row, spare, n * sizeof *row);
}

static void order(int32_t *text, size_t n, int32_t *spare)
{
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && class_of(text[i]) != 0) i++;
        if (i - from > 1) order_row(text + from, i - from, spare);
        if (i == from) i++;
    }
}

size_t nfc_room(const char *s, size_t n)
{
    size_t most = 0;
    for (size_t i = 0, line; i < n; i += line) {
        line = line_length(s + i, n - i);
        size_t need = may_change(s + i, line) ? decompose(s + i, line, NULL) : 0;
        if (need > most) most = need;
    }
    return most ? 2 * most + 4 : 0; /* the decomposition, a row to order, what decompose may touch behind */
}

size_t fix_nfc(const char *s, size_t n, char *out, int32_t *room, int64_t *count)
{
    size_t len = 0;
    for (size_t i = 0, line; i < n; i += line) {
        line = line_length(s + i, n - i);
        if (!may_change(s + i, line)) {
            memcpy(out + len, s + i, line);
            len += line;
            continue;
        }
        size_t k = decompose(s + i, line, room), from = len;
        order(room, k, room + k);
        utf8proc_ssize_t composed = utf8proc_normalize_utf32(room, (utf8proc_ssize_t)k, FORM);
        for (utf8proc_ssize_t j = 0; j < composed; j++)
            len += (size_t)utf8proc_encode_char(room[j], (utf8proc_uint8_t *)out + len);
        count[COUNT_NFC] += len - from != line || memcmp(out + from, s + i, line) != 0;
    }
    return len;
}
