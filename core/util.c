/* util.c: see util.h. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool jvc_quiet;

static void *must(void *p)
{
    if (p) return p;
    static const char text[] = "jevons: out of memory\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(1);
    _exit(1);
}

void *jvc_alloc(size_t n)
{
    return must(calloc(1, n ? n : 1));
}

void *jvc_grow(void *p, size_t n)
{
    return must(realloc(p, n ? n : 1));
}

char *jvc_strndup(const char *s, size_t n)
{
    char *p = jvc_alloc(n + 1);
    memcpy(p, s, n);
    return p;
}

char *jvc_strdup(const char *s)
{
    return jvc_strndup(s, strlen(s));
}

char *jvc_format(const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return must(n < 0 ? NULL : text);
}

void *jvc_room(void *items, size_t n, size_t item_size)
{
    if (n && (n & (n - 1))) return items; /* not at a power of two: there is room */
    size_t cap = n ? 2 * n : 1;
    if (cap > SIZE_MAX / item_size) must(NULL);
    return jvc_grow(items, cap * item_size);
}

/* Length of the character at s, 1..4, or 0 when it is not valid (overlong, surrogate, beyond U+10FFFF, cut short). */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    size_t len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return len;
}

bool jvc_utf8_valid(const char *s, size_t n, size_t *bad)
{
    const unsigned char *u = (const unsigned char *)s;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_length(u + i, n - i);
        if (!len) {
            if (bad) *bad = i;
            return false;
        }
        i += len;
    }
    return true;
}

bool jvc_utf8_boundary(const char *s, size_t n, size_t at)
{
    return at >= n || ((unsigned char)s[at] & 0xc0) != 0x80;
}

/* Levenshtein distance with one row; names are short, longer ones are not compared. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[64], na = strlen(a), nb = strlen(b);
    if (nb + 1 > sizeof row / sizeof *row || na > 64) return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < gap ? change : gap;
        }
    }
    return row[nb];
}

void jvc_nearest_try(struct jvc_nearest *n, const char *candidate)
{
    size_t d = edit_distance(n->name, candidate), longest = strlen(candidate);
    if (strlen(n->name) > longest) longest = strlen(n->name);
    if (d > (longest + 2) / 3) return; /* a third of the letters differ: no longer a slip */
    if (n->best && d >= n->distance) return;
    n->best = candidate;
    n->distance = d;
}

const char *jvc_nearest_hint(struct jvc_nearest *n)
{
    n->hint[0] = 0;
    if (n->best) snprintf(n->hint, sizeof n->hint, ", did you mean `%s`?", n->best);
    return n->hint;
}

char *jvc_read_file(const char *path, size_t most, size_t *n, jv_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        jv_fail(err, JV_FATAL, "%s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return NULL;
    }
    size_t cap = S_ISREG(st.st_mode) && (uintmax_t)st.st_size < most ? (size_t)st.st_size + 1 : most, len = 0;
    char *text = jvc_alloc(cap + 2);
    while (len <= cap) {
        ssize_t got = read(fd, text + len, cap + 1 - len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) jv_fail(err, JV_FATAL, "%s: %s", path, strerror(errno));
        if (got < 0) len = SIZE_MAX;
        if (got <= 0) break;
        len += (size_t)got;
    }
    close(fd);
    if (len == SIZE_MAX || len > most || len > cap) {
        if (len != SIZE_MAX) jv_fail(err, JV_FATAL, "%s: larger than %zu bytes, or growing", path, most);
        free(text);
        return NULL;
    }
    text[len] = 0;
    *n = len;
    return text;
}

int64_t jvc_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void jvc_make_printable(char *text)
{
    for (unsigned char *u = (unsigned char *)text; *u; u++) {
        bool c1 = u[0] == 0xc2 && u[1] >= 0x80 && u[1] <= 0x9f;
        if (*u < 0x20 || *u == 0x7f || c1) *u = '?';
        if (c1) *++u = '?';
    }
}

void jvc_say(const char *fmt, ...)
{
    va_list ap;
    char *text;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    jvc_make_printable(text);
    fprintf(stderr, "jevons: %s\n", text); /* one call: a line stays one line, whichever threads speak */
    free(text);
}
