/*
 * stdin: a source that reads standard input, a record for each line or one for all of it.
 *
 *     [ask]
 *     plugin = stdin
 *
 * The id is the offset of the line's first byte from where reading began. An empty line is a record, an empty input
 * is none; a last line without newline counts. In text mode a carriage return before the newline is taken off and
 * the line must be UTF-8. A line that is longer than max_line or no UTF-8 is rejected with its numbers, and reading
 * goes on behind it.
 *
 * A pipe ends, so this is a finite source: a run interrupted before the end of the input has not done its work, and
 * says so.
 */
#include "jevons.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../utf8.h"

#define FIRST_BUFFER 65536 /* bytes; doubled as long as a line needs more */

enum { BYTES };
enum { LINES, WHOLE };
enum { AS_TEXT, AS_BYTES };

struct input {
    const jv_host *h;
    int32_t split, as;
    int64_t max_line, max_size;
    const char *out;
    int32_t out_row;
    size_t max; /* max_line or max_size */
    char *buf;  /* buf[begin..end) is read and not given away; up to `seen` it holds no newline */
    size_t cap;
    size_t begin, seen, end;
    size_t thrown;   /* bytes of the present line thrown away because it is too long */
    uint64_t offset; /* of the present line's first byte */
    bool eof;
};

/* What one record is made of. n: with what was thrown away; a newline is not in it. */
struct line {
    const char *p;
    size_t n;
    size_t consumed; /* of the buffer, the newline too */
};

static const jv_counter stdin_counters[] = {
    [BYTES] = {"bytes", "byte", "read from standard input, newlines included", 0, 0},
    {0},
};

static const jv_opt stdin_opts[] = {
    JV_OPT(struct input, split, "lines", "lines|whole", "a record for each line, or one for all"),
    JV_OPT(struct input, as, "text", "text|bytes", "text: must be UTF-8, CR LF ends a line"),
    JV_OPT(struct input, max_line, "1M", "bytes 1..1T", "split = lines: longer lines are rejected"),
    JV_OPT(struct input, max_size, "64M", "bytes 1..1T", "split = whole: more is rejected"),
    JV_OPT(struct input, out, "text", "", "the field for the line"),
    {0},
};

static int32_t stdin_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct input *c = ctx;
    c->h = h;
    c->max = (size_t)(c->split == LINES ? c->max_line : c->max_size);
    c->out_row = h->field(h, c->out, c->as == AS_TEXT ? JV_UTF8 : JV_BYTES, JV_OUT, err);
    return c->out_row < 0 ? c->out_row : JV_OK;
}

/* A line may be longer than any first guess, and outlives the call that read its beginning: the buffer is the
 * plugin's own. */
static int32_t make_room(struct input *c, jv_err *err)
{
    if (c->begin) memmove(c->buf, c->buf + c->begin, c->end - c->begin);
    c->seen -= c->begin;
    c->end -= c->begin;
    c->begin = 0;
    if (c->end < c->cap) return JV_OK;
    size_t cap = c->cap ? 2 * c->cap : FIRST_BUFFER; /* a longer line than max + cap is never kept: no overflow */
    char *buf = realloc(c->buf, cap);
    if (!buf) return jv_fail(err, JV_FATAL, "no memory for a line of %zu bytes", cap);
    c->buf = buf;
    c->cap = cap;
    return JV_OK;
}

static int32_t stdin_start(void *ctx, jv_err *err)
{
    struct input *c = ctx;
    if (isatty(STDIN_FILENO)) c->h->log(c->h, JV_LOG_INFO, "reading the terminal; Ctrl-D on an empty line ends");
    return make_room(c, err);
}

/* JV_OK: something was read, or the end was seen. */
static int32_t fill(struct input *c, jv_err *err)
{
    int32_t rc = make_room(c, err);
    if (rc != JV_OK) return rc;
    for (;;) {
        if (c->h->wait(c->h, STDIN_FILENO, POLLIN, -1) == JV_STOPPED) return JV_STOPPED;
        ssize_t got = read(STDIN_FILENO, c->buf + c->end, c->cap - c->end);
        if (got >= 0) {
            c->eof = got == 0;
            c->end += (size_t)got;
            return JV_OK;
        }
        if (errno != EINTR && errno != EAGAIN)
            return jv_fail(err, JV_FATAL, "standard input cannot be read: %s", strerror(errno));
    }
}

/* Finds the present line's end. False: more must be read. */
static bool find_line(struct input *c, struct line *l)
{
    size_t left = c->end - c->seen;
    const char *newline = c->split == LINES && left ? memchr(c->buf + c->seen, '\n', left) : NULL;
    c->seen = c->end;
    if (!newline && !c->eof) return false;
    size_t n = newline ? (size_t)(newline - c->buf) - c->begin : c->end - c->begin;
    *l = (struct line){.p = c->buf + c->begin, .n = c->thrown + n, .consumed = n + (newline != NULL)};
    return true;
}

static int32_t check(const struct input *c, const struct line *l, jv_err *err)
{
    const char *what = c->split == LINES ? "line" : "input", *bound = c->split == LINES ? "max_line" : "max_size";
    if (l->n > c->max) return jv_fail(err, JV_BAD, "the %s has %zu bytes, %s is %zu", what, l->n, bound, c->max);
    size_t valid = c->as == AS_TEXT ? utf8_valid(l->p, l->n) : l->n;
    if (valid == l->n) return JV_OK;
    return jv_fail(err, JV_BAD, "the %s is not UTF-8: its byte %zu is 0x%02x (`as = bytes` and a clean stage mend it)",
        what, valid, (unsigned)(unsigned char)l->p[valid]);
}

/* Moves behind the line; what stood in the buffer stays there until the next fill. */
static void advance(struct input *c, const struct line *l)
{
    c->offset += c->thrown + l->consumed;
    c->begin += l->consumed;
    c->seen = c->begin;
    c->thrown = 0;
}

static int32_t deliver(struct input *c, struct line *l, jv_err *err)
{
    char id[24];
    int n = snprintf(id, sizeof id, "%" PRIu64, c->offset);
    jv_origin origin = {.struct_size = sizeof origin, .position = {id, (size_t)n}};
    jv_buf *b = c->h->begin(c->h, &origin, err);
    if (!b && err->code == JV_STOPPED) return JV_END;
    if (!b && err->code == JV_FULL) {
        c->seen = c->begin; /* the same line again at the next call */
        return JV_OK;
    }
    if (!b) return err->code = JV_FATAL;
    c->h->count(c->h, b, BYTES, (int64_t)(c->thrown + l->consumed));
    int32_t rc = check(c, l, err);
    advance(c, l);
    if (rc == JV_BAD) {
        /* It cannot be read again: what came is written down with the reason. It is not passed on, UTF-8 or not. */
        const jv_err why = *err;
        size_t kept = l->n <= c->max ? l->n : 0; /* of a line that is too long most was thrown away */
        char *as_it_came = c->h->put(c->h, b, c->out_row, kept, err);
        if (!as_it_came) return JV_FATAL;
        if (kept) memcpy(as_it_came, l->p, kept);
        return c->h->reject(c->h, b, &why, err);
    }
    if (c->as == AS_TEXT && c->split == LINES && l->n && l->p[l->n - 1] == '\r') l->n--;
    char *to = c->h->put(c->h, b, c->out_row, l->n, err);
    if (!to) return JV_FATAL;
    if (l->n) memcpy(to, l->p, l->n);
    return c->h->emit(c->h, b, 0, err);
}

static int32_t stdin_poll(void *ctx, jv_err *err)
{
    struct input *c = ctx;
    for (;;) {
        struct line l;
        if (find_line(c, &l)) {
            if (l.n || l.consumed) return deliver(c, &l, err);
            if (!c->offset) c->h->log(c->h, JV_LOG_WARN, "standard input is empty: no record");
            return JV_END;
        }
        if (c->end - c->begin > c->max) { /* its end may be far: count what is skipped, keep nothing */
            c->thrown += c->end - c->begin;
            c->begin = c->seen = c->end = 0;
        }
        int32_t rc = fill(c, err);
        if (rc == JV_STOPPED) return JV_END;
        if (rc != JV_OK) return rc;
    }
}

static void stdin_close(void *ctx)
{
    struct input *c = ctx;
    free(c->buf);
    c->buf = NULL;
}

static const jv_port stdin_ports[] = {{"out", "the lines", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "stdin",
    .brief = "one record for each line of standard input, or one for all of it",
    .flags = JV_TERMINAL,
    .ctx_size = sizeof(struct input),
    .ports = stdin_ports,
    .opts = stdin_opts,
    .counters = stdin_counters,
    .open = stdin_open,
    .start = stdin_start,
    .poll = stdin_poll,
    .close = stdin_close,
}};

JV_PLUGIN("stdin", "1.0", "MIT", stages);
