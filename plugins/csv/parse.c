/* parse.c: see parse.h. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

/* ---- where a row ends -------------------------------------------------------------------------------------------- */

/* Where a byte finds the scan. */
enum {
    START,   /* of a cell */
    PLAIN,   /* within a cell that has no quotes */
    QUOTED,  /* within quotes, the first of which is at `mark` */
    CLOSING, /* behind a quote that closes them, or is the first of a doubled one */
    ENDING   /* behind a closing quote and a CR: a line feed must follow */
};

static int32_t broken(struct source_scan *scan, size_t at, jv_err *err)
{
    scan->at = at;
    if (scan->state == PLAIN) return jv_fail(err, JV_BAD, "a quote within a cell that does not begin with one");
    if (scan->state == QUOTED) return jv_fail(err, JV_BAD, "a quote that is not closed in this file");
    return jv_fail(err, JV_BAD,
        "something behind the quote that closes a cell; the one that opens it is %zu bytes before", at - scan->mark);
}

/* The state that byte c leads to; -1: it cannot stand here. */
static int32_t next_state(int32_t state, char c, char delimiter)
{
    switch (state) {
    case START: return c == '"' ? QUOTED : c == delimiter ? START : PLAIN;
    case PLAIN: return c == '"' ? -1 : c == delimiter ? START : PLAIN;
    case QUOTED: return c == '"' ? CLOSING : QUOTED;
    case CLOSING: return c == '"' ? QUOTED : c == delimiter ? START : c == '\r' ? ENDING : -1;
    default: return -1;
    }
}

int32_t csv_scan(char delimiter, const char *p, size_t n, bool last, struct source_scan *scan, jv_err *err)
{
    for (size_t i = scan->at; i < n; i++) {
        int32_t state = scan->state;
        if (state == QUOTED) {
            const char *quote = memchr(p + i, '"', n - i); /* whatever comes before it is text */
            if (!quote) break;
            i = (size_t)(quote - p);
        }
        if (p[i] == '\n' && state != QUOTED) {
            scan->at = i + 1;
            return 1;
        }
        int32_t next = next_state(state, p[i], delimiter);
        if (next < 0) return broken(scan, i, err);
        if (state == START && next == QUOTED) scan->mark = i;
        scan->state = next;
    }
    scan->at = n;
    if (!last) return 0;
    if (scan->state == QUOTED) return broken(scan, scan->mark, err);
    return scan->state == ENDING ? broken(scan, n - 1, err) : 1;
}

/* ---- cells ------------------------------------------------------------------------------------------------------- */

/* Copies the cell at p to `to`, without quotes. Both move behind it; the delimiter stays. */
static bool copy_cell(const char **p, const char *end, char delimiter, char **to)
{
    const char *s = *p;
    bool quoted = s < end && *s == '"';
    if (!quoted) {
        const char *stop = s < end ? memchr(s, delimiter, (size_t)(end - s)) : NULL;
        *p = stop ? stop : end;
        memcpy(*to, s, (size_t)(*p - s));
        *to += *p - s;
        return false;
    }
    for (s++; s < end;) {
        const char *quote = memchr(s, '"', (size_t)(end - s)); /* there is one: the scan has seen it */
        bool doubled = quote + 1 < end && quote[1] == '"';
        size_t n = (size_t)(quote - s) + doubled;
        memcpy(*to, s, n);
        *to += n;
        s = quote + 1 + doubled;
        if (!doubled) break;
    }
    *p = s;
    return true;
}

static int32_t make_room(struct csv_cells *c, size_t bytes, size_t cells, jv_err *err)
{
    if (bytes > c->size) {
        char *room = realloc(c->room, bytes);
        if (!room) return jv_fail(err, JV_FATAL, "no memory for a row of %zu bytes", bytes);
        c->room = room;
        c->size = bytes;
    }
    if (cells > c->cap) {
        size_t cap = 2 * cells;
        struct csv_cell *v = realloc(c->v, cap * sizeof *v);
        if (!v) return jv_fail(err, JV_FATAL, "no memory for %zu cells", cap);
        c->v = v;
        c->cap = cap;
    }
    return JV_OK;
}

int32_t csv_split(struct csv_cells *c, char delimiter, const char *p, size_t n, jv_err *err)
{
    c->n = 0;
    if (n && p[n - 1] == '\n') n -= 1 + (n > 1 && p[n - 2] == '\r');
    int32_t rc = make_room(c, n + 1, 1, err); /* a NUL takes the place of each delimiter, and one comes at the end */
    char *to = c->room;
    for (const char *begin = p, *end = p + n; rc == JV_OK; p++) {
        char *from = to;
        size_t at = (size_t)(p - begin);
        bool quoted = copy_cell(&p, end, delimiter, &to);
        c->v[c->n++] = (struct csv_cell){{from, (size_t)(to - from)}, at, quoted};
        *to++ = 0;
        if (p == end) break;
        rc = make_room(c, 0, c->n + 1, err);
    }
    return rc;
}

void csv_cells_free(struct csv_cells *c)
{
    free(c->v);
    free(c->room);
    *c = (struct csv_cells){0};
}
