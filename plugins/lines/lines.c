/*
 * lines: a source of one record for each line of files, fifos or standard input.
 *
 *     [questions]
 *     plugin = lines
 *     path = questions.txt, more.txt
 *
 * The id is FILE:OFFSET, the byte at which the line begins: the same at every run. A line comes as soon as it is
 * written, also from a fifo or a pipe. The line end is no part of the text; `crlf` says whether a carriage return
 * before it is. A line that is too long or not UTF-8 is rejected with its numbers, a file that cannot be read with the
 * reason, and reading goes on behind it.
 */
#include "jevons.h"

#include <string.h>

#include "../rows/source.h"
#include "../utf8.h"

enum { LINE };
enum { AS_TEXT, AS_BYTES };
enum { STRIP, KEEP };
enum { EMPTY_KEEP, EMPTY_SKIP };

struct lines {
    const jv_host *h;
    jv_list path;
    int32_t as, crlf, empty;
    int64_t max_line;
    const char *out;
    int32_t out_row;
    jv_str text; /* of the present line */
    uint64_t number;
    struct source source;
};

static const jv_field lines_fields[] = {
    [LINE] = {"line", JV_I64, JV_OUT, "line", "the number of the line in its file, from 1"},
    {0},
};

static const jv_counter lines_counters[] = {
    [SOURCE_BYTES] = {"bytes", "byte", "read, line ends included", 0, 0},
    [SOURCE_SKIPPED] = {"skipped", "line", "empty, with empty = skip", 0, 0},
    {0},
};

static const jv_opt lines_opts[] = {
    JV_OPT(struct lines, path, NULL, "path read", "files and fifos; - is standard input"),
    JV_OPT(struct lines, as, "text", "text|bytes", "text: must be UTF-8"),
    JV_OPT(struct lines, crlf, "strip", "strip|keep", "a carriage return before the newline"),
    JV_OPT(struct lines, empty, "keep", "keep|skip", "keep: an empty line is a record"),
    JV_OPT(struct lines, max_line, "1M", "bytes 1..1T", "longer lines are rejected"),
    JV_OPT(struct lines, out, "text", "", "the field for the line"),
    {0},
};

/* ---- the format -------------------------------------------------------------------------------------------------- */

static jv_str without_end(const struct lines *c, const char *p, size_t n)
{
    bool newline = n && p[n - 1] == '\n';
    n -= newline;
    if (newline && n && p[n - 1] == '\r' && c->crlf == STRIP) n--;
    return (jv_str){p, n};
}

static int32_t lines_read(void *ctx, const struct source_row *row, struct source_found *found, jv_err *err)
{
    struct lines *c = ctx;
    c->text = without_end(c, row->p, row->n);
    c->number = row->line;
    if (!c->text.n && c->empty == EMPTY_SKIP) return JV_DROP;
    size_t valid = c->as == AS_TEXT ? utf8_valid(c->text.p, c->text.n) : c->text.n;
    if (valid == c->text.n) return JV_OK;
    found->at = valid;
    return jv_fail(err, JV_BAD, "the line is not UTF-8: its byte %zu is 0x%02x (`as = bytes` and a clean stage mend it)",
        valid, (unsigned)(unsigned char)c->text.p[valid]);
}

static int32_t lines_put(void *ctx, jv_buf *b, jv_err *err)
{
    struct lines *c = ctx;
    c->h->put_i64(c->h, b, LINE, (int64_t)c->number);
    return source_put(c->h, b, c->out_row, c->text.p, c->text.n, err);
}

/* A pipe cannot be read again: what came is written down with the reason. A field of text stays one: bytes that are no
 * UTF-8 are written \xNN there. */
static int32_t lines_keep(void *ctx, const char *p, size_t n, jv_buf *b, jv_err *err)
{
    const struct lines *c = ctx;
    jv_str text = without_end(c, p, n);
    if (c->as == AS_BYTES || utf8_valid(text.p, text.n) == text.n)
        return source_put(c->h, b, c->out_row, text.p, text.n, err);
    size_t want = utf8_escape(NULL, 0, text.p, text.n);
    char *escaped = c->h->scratch(c->h, want + 1, err);
    if (!escaped) return JV_FATAL;
    utf8_escape(escaped, want + 1, text.p, text.n);
    return source_put(c->h, b, c->out_row, escaped, want, err);
}

static const struct source_format format = {.read = lines_read, .put = lines_put, .keep = lines_keep};

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static int32_t lines_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct lines *c = ctx;
    c->h = h;
    c->source = (struct source){
        .h = h,
        .format = &format,
        .ctx = c,
        .path = c->path,
        .max = (size_t)c->max_line,
        .bound = "max_line",
    };
    int32_t rc = source_open(&c->source, err);
    if (rc != JV_OK) return rc;
    c->out_row = h->field(h, c->out, c->as == AS_TEXT ? JV_UTF8 : JV_BYTES, JV_OUT, err);
    return c->out_row < 0 ? c->out_row : JV_OK;
}

static int32_t lines_poll(void *ctx, jv_err *err)
{
    return source_poll(&((struct lines *)ctx)->source, err);
}

static void lines_close(void *ctx)
{
    source_close(&((struct lines *)ctx)->source);
}

static const jv_port lines_ports[] = {{"out", "the lines", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "lines",
    .brief = "one record for each line of files, fifos or standard input",
    .ctx_size = sizeof(struct lines),
    .fields = lines_fields,
    .ports = lines_ports,
    .opts = lines_opts,
    .counters = lines_counters,
    .open = lines_open,
    .poll = lines_poll,
    .close = lines_close,
}};

JV_PLUGIN("lines", "1.0", "MIT", stages);
