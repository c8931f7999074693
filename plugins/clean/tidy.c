/* tidy.c: control characters, characters that show nothing, white space. */
#include <string.h>

#include "clean.h"

size_t fix_control(const char *s, size_t n, char *out, int64_t *count)
{
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        bool c1 = c == 0xc2 && (unsigned char)s[i + 1] < 0xa0;
        if ((c >= ' ' && c != 0x7f && !c1) || c == '\n' || c == '\t') {
            out[len++] = s[i++];
            continue;
        }
        count[COUNT_CONTROL]++;
        bool crlf = c == '\r' && i + 1 < n && s[i + 1] == '\n';
        /* vertical tab, form feed and NEL end a line too */
        if (c == '\r' || c == '\v' || c == '\f' || (c1 && (unsigned char)s[i + 1] == 0x85)) out[len++] = '\n';
        i += 1 + (crlf || c1);
    }
    return len;
}

/* Soft hyphen, zero-width space, word joiner, invisible operators, byte order mark. Joiners (U+200C, U+200D) and the
 * marks of direction stay: scripts and emoji need them. */
static size_t invisible_length(const char *s, size_t n)
{
    static const char *const shown_not[] = {"\xc2\xad", "\xe2\x80\x8b", "\xe2\x81\xa0", "\xe2\x81\xa1", "\xe2\x81\xa2",
        "\xe2\x81\xa3", "\xe2\x81\xa4", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof shown_not / sizeof *shown_not; i++) {
        size_t k = strlen(shown_not[i]);
        if (k <= n && memcmp(s, shown_not[i], k) == 0) return k;
    }
    return 0;
}

size_t fix_invisible(const char *s, size_t n, char *out, int64_t *count)
{
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t k = c == 0xc2 || c == 0xe2 || c == 0xef ? invisible_length(s + i, n - i) : 0;
        if (k) {
            count[COUNT_INVISIBLE]++;
            i += k;
        } else {
            out[len++] = s[i++];
        }
    }
    return len;
}

/* The bytes of the blank at s[0..n): a space or tab, with `wide` any other space of the Unicode category Zs too; else
 * 0. */
static size_t blank_length(const char *s, size_t n, bool wide)
{
    if (n && (*s == ' ' || *s == '\t')) return 1;
    if (!wide || n < 2) return 0;
    if (memcmp(s, "\xc2\xa0", 2) == 0) return 2;
    if (n < 3) return 0;
    if (memcmp(s, "\xe2\x80", 2) == 0 && ((unsigned char)s[2] <= 0x8a || (unsigned char)s[2] == 0xaf)) return 3;
    return !memcmp(s, "\xe1\x9a\x80", 3) || !memcmp(s, "\xe2\x81\x9f", 3) || !memcmp(s, "\xe3\x80\x80", 3) ? 3 : 0;
}

/* Copies a line without indentation; each row of blanks becomes one space, or one tab where there was one. */
static size_t join_blanks(const char *s, size_t n, char *out, int64_t *count)
{
    size_t len = 0, indent = 0;
    while (indent < n && (s[indent] == ' ' || s[indent] == '\t')) out[len++] = s[indent++];
    for (size_t i = indent; i < n;) {
        size_t from = i, k;
        bool tab = false;
        for (; (k = blank_length(s + i, n - i, true)); i += k) tab |= s[i] == '\t';
        if (i == from) {
            out[len++] = s[i++];
            continue;
        }
        count[COUNT_SPACES] += i - from > 1;
        out[len++] = tab ? '\t' : ' ';
    }
    return len;
}

/* The length of the line s[0..n) without the blanks at its end. */
static size_t trimmed_length(const char *s, size_t n, bool wide)
{
    size_t end = 0;
    for (size_t i = 0, k; i < n; i += k) {
        k = blank_length(s + i, n - i, wide);
        if (k) continue;
        k = 1;
        end = i + 1;
    }
    return end;
}

/* Two spaces at the end of a line, in front of another of the same paragraph: they break a line in Markdown. */
static bool is_line_break(const char *blanks, size_t n, const char *rest, size_t n_rest)
{
    if (n != 2 || blanks[0] != ' ' || blanks[1] != ' ') return false;
    while (n_rest > 0 && (*rest == ' ' || *rest == '\t')) {
        rest++;
        n_rest--;
    }
    return n_rest > 0 && *rest != '\n';
}

static size_t fix_lines(const char *s, size_t n, char *out, int64_t *count, bool all)
{
    size_t len = 0, blank = 0;
    for (size_t i = 0; i < n;) {
        const char *nl = memchr(s + i, '\n', n - i);
        size_t line = nl ? (size_t)(nl - s) - i : n - i, next = i + line + (nl != NULL);
        size_t keep = trimmed_length(s + i, line, all);
        if (keep > 0 && !all && is_line_break(s + i + keep, line - keep, s + next, n - next)) keep = line;
        count[COUNT_SPACES] += keep < line;
        blank = keep ? 0 : blank + 1;
        if (blank > 2) {
            count[COUNT_SPACES] += nl != NULL;
        } else {
            if (all) {
                len += join_blanks(s + i, keep, out + len, count);
            } else {
                memcpy(out + len, s + i, keep);
                len += keep;
            }
            if (nl) out[len++] = '\n';
        }
        i = next;
    }
    return len;
}

size_t fix_spaces(const char *s, size_t n, char *out, int64_t *count)
{
    return fix_lines(s, n, out, count, false);
}

size_t fix_all_spaces(const char *s, size_t n, char *out, int64_t *count)
{
    return fix_lines(s, n, out, count, true);
}
