/* util.c: see util.h. */
#include "util.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAMES_SEEN 10000 /* of a folder, for one that is near */

bool jvc_quiet;
void (*jvc_say_before)(void);

void jvc_no_memory(void)
{
    static const char text[] = "jevons: out of memory\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) _exit(1);
    _exit(1);
}

static void *must(void *p)
{
    if (!p) jvc_no_memory();
    return p;
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

struct jvc_piece {
    struct jvc_piece *next;
    _Alignas(16) char data[];
};

void *jvc_arena_get(struct jvc_arena *a, size_t n)
{
    if (n > SIZE_MAX / 2) return NULL;
    struct jvc_piece *p = malloc(sizeof *p + n);
    if (!p) return NULL;
    p->next = a->pieces;
    a->pieces = p;
    return p->data;
}

char *jvc_arena_text(struct jvc_arena *a, const char *s, size_t n)
{
    char *p = n < SIZE_MAX ? jvc_arena_get(a, n + 1) : NULL;
    if (!p) return NULL;
    if (n) memcpy(p, s, n);
    p[n] = 0;
    return p;
}

void jvc_arena_free(struct jvc_arena *a)
{
    for (struct jvc_piece *p = a->pieces, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    a->pieces = NULL;
}

bool jvc_name_ok(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z');
        if (!letter && !(s[i] >= '0' && s[i] <= '9') && s[i] != '_' && s[i] != '-') return false;
    }
    return n > 0;
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

/* Optimal string alignment distance, by three rows of the table. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][JVC_NEAREST_MOST + 1], na = strlen(a), nb = strlen(b);
    if (na > JVC_NEAREST_MOST || nb > JVC_NEAREST_MOST) return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++) rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t gap = (above[j] < row[j - 1] ? above[j] : row[j - 1]) + 1;
            size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = change < gap ? change : gap;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && above2[j - 2] + 1 < row[j]) row[j] = above2[j - 2] + 1;
        }
    }
    return rows[na % 3][nb];
}

void jvc_nearest_try(struct jvc_nearest *n, const char *candidate)
{
    size_t d = edit_distance(n->name, candidate), longest = strlen(candidate);
    if (strlen(n->name) > longest) longest = strlen(n->name);
    if (longest <= JVC_NEAREST_MOST && !strcasecmp(n->name, candidate)) d = 0;
    if (d > (longest + 2) / 3) return; /* a third of the letters differ: no longer a slip */
    if (n->best && d >= n->distance) return;
    n->best = strcpy(n->kept, candidate);
    n->distance = d;
}

const char *jvc_nearest_hint(struct jvc_nearest *n)
{
    n->hint[0] = 0;
    if (n->best) snprintf(n->hint, sizeof n->hint, ", did you mean `%s`?", n->best);
    return n->hint;
}

const char *jvc_nearest_file(struct jvc_nearest *n, const char *path)
{
    char *part = jvc_strdup(path), *name = part, *end;
    *n = (struct jvc_nearest){.name = ""};
    n->hint[0] = 0;
    for (;; name = end + 1) { /* down the folders that are there */
        end = strchrnul(name, '/');
        bool last = !*end;
        *end = 0;
        bool there = !*part || !access(part, F_OK);
        if (there && last) break;
        if (there) {
            *end = '/';
            continue;
        }
        if (name > part) name[-1] = 0;
        DIR *dir = opendir(name == part ? "." : *part ? part : "/");
        const struct dirent *e;
        n->name = name;
        for (int i = 0; dir && i < NAMES_SEEN && (e = readdir(dir)); i++)
            if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, name))
                jvc_nearest_try(n, e->d_name); /* a name that is there all the same is a link to nothing */
        if (dir) closedir(dir);
        break;
    }
    jvc_nearest_hint(n);
    n->name = ""; /* it lies in what is freed here */
    free(part);
    return n->hint;
}

void jvc_err_end(jv_err *err, int32_t rc)
{
    err->text[sizeof err->text - 1] = 0;
    if (!*err->text && (rc == JV_BAD || rc == JV_FATAL || rc == JV_RETRY))
        strcpy(err->text, "the plugin gives no reason");
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t jvc_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t jvc_tick(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

void jvc_make_printable(char *text)
{
    unsigned char *u = (unsigned char *)text, *end = u + strlen(text);
    while (u < end) {
        size_t len = utf8_length(u, (size_t)(end - u));
        bool control = *u < 0x20 || *u == 0x7f || (len == 2 && u[0] == 0xc2 && u[1] < 0xa0);
        if (!len) len = 1, control = true;
        if (control) memset(u, '?', len);
        u += len;
    }
}

void jvc_say(const char *fmt, ...)
{
    va_list ap;
    char *text, cut[1024]; /* where there is no memory: then there is something to say above all */
    va_start(ap, fmt);
    bool whole = vasprintf(&text, fmt, ap) >= 0;
    va_end(ap);
    va_start(ap, fmt);
    if (!whole && vsnprintf(text = cut, sizeof cut, fmt, ap) < 0) cut[0] = 0;
    va_end(ap);
    jvc_make_printable(text);
    flockfile(stderr);
    if (jvc_say_before) jvc_say_before();
    fprintf(stderr, "jevons: %s\n", text); /* one call: a line stays one line, whichever threads speak */
    funlockfile(stderr);
    if (whole) free(text);
}
