/*
 * csv/write: a sink that writes each record as one row of CSV (RFC 4180).
 *
 *     [output]
 *     plugin = csv/write
 *     path = answers.csv
 *     fields = id, answer
 *
 * Rows come in source order, below one row with the fields' names. Each is handed to the operating system before its
 * record counts as delivered, whole or not at all (see rows/output.h). A cell stands in quotes where it must: it holds
 * the delimiter, a quote or a line end, or is a text that is empty; an absent field is an empty cell without quotes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../mistakes.h"
#include "../utf8.h"
#include "stages.h"

#define BOM "\xef\xbb\xbf"
#define BOM_SIZE 3

enum { ROWS, BYTES };
enum { LF, CRLF };

const jv_counter csv_writer_counters[] = {
    [ROWS] = {"rows", "row", "rows written, without the header", 0, 0},
    [BYTES] = {"bytes", "byte", "of those rows, line ends included", 0, 0},
    {0},
};

const jv_opt csv_writer_options[] = {
    JV_OPT(struct csv_writer, path, NULL, "path write", "the file to write; /dev/stdout is standard output"),
    JV_OPT(struct csv_writer, exists, "replace", OUTPUT_EXISTS, "what to do with a file that is there"),
    JV_OPT(struct csv_writer, fields, "", "", "id, fields and counters to write; empty: id and all that was not measured"),
    JV_OPT(struct csv_writer, header, "yes", "no|yes", "a first row with the fields' names"),
    {"delimiter", JV_OPT_TEXT, 0, offsetof(struct csv_writer, delimiter_name), 0, ",", "", CSV_DELIMITER_HELP},
    JV_OPT(struct csv_writer, line_end, "lf", "lf|crlf", "what ends a row"),
    {0},
};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* A reader takes a byte order mark at the beginning of a file for none of its text, unless a quote is before it. */
static bool needs_quotes(const struct csv_writer *c, jv_str s)
{
    if (!s.n) return true;
    if (!c->begun && !c->line.n && s.n >= BOM_SIZE && !memcmp(s.p, BOM, BOM_SIZE)) return true;
    return memchr(s.p, c->delimiter, s.n) || memchr(s.p, '"', s.n) || memchr(s.p, '\n', s.n) || memchr(s.p, '\r', s.n);
}

static void add_cell(struct csv_writer *c, jv_str s)
{
    if (!needs_quotes(c, s)) {
        row_add(&c->line, s.p, s.n);
        return;
    }
    row_add(&c->line, "\"", 1);
    for (const char *end = s.p + s.n, *quote; s.p < end; s.p = quote) {
        quote = memchr(s.p, '"', (size_t)(end - s.p));
        quote = quote ? quote + 1 : end;
        row_add(&c->line, s.p, (size_t)(quote - s.p));
        if (quote[-1] == '"') row_add(&c->line, "\"", 1);
    }
    row_add(&c->line, "\"", 1);
}

static int32_t add_field(struct csv_writer *c, const jv_buf *b, const struct sink_field *f, jv_err *err)
{
    jv_str text = {0};
    bool there;
    int32_t rc;
    if (fields_is_number(f)) {
        row_reset(&c->number);
        rc = fields_add_number(c->h, b, f, &c->number, &there, err);
        text = (jv_str){c->number.p, c->number.n};
        if (rc == JV_OK && c->number.failed) rc = jv_fail(err, JV_FATAL, "no memory for numbers");
    } else {
        rc = fields_text(c->h, b, f, &text, err);
        there = text.p != NULL;
    }
    if (rc == JV_OK && there) add_cell(c, text);
    return rc;
}

/* A row of one empty cell would be an empty line, which is no row. */
static int32_t end_row(struct csv_writer *c, jv_err *err)
{
    if (!c->line.n) row_add(&c->line, "\"\"", 2);
    if (c->line_end == CRLF) row_add(&c->line, "\r", 1);
    row_add(&c->line, "\n", 1);
    if (!c->line.failed) return JV_OK;
    return jv_fail(err, JV_FATAL, "no memory for a row of more than %zu bytes", c->line.n);
}

static int32_t make_row(struct csv_writer *c, const jv_buf *b, jv_err *err)
{
    row_reset(&c->line);
    for (size_t i = 0; i < c->bound.n; i++) {
        if (i) row_add(&c->line, &c->delimiter, 1);
        int32_t rc = add_field(c, b, &c->bound.v[i], err);
        if (rc != JV_OK) return rc;
    }
    return end_row(c, err);
}

static int32_t make_header(struct csv_writer *c, jv_err *err)
{
    row_reset(&c->line);
    for (size_t i = 0; i < c->bound.n; i++) {
        const char *name = c->bound.v[i].name;
        if (i) row_add(&c->line, &c->delimiter, 1);
        add_cell(c, (jv_str){name, strlen(name)});
    }
    return end_row(c, err);
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

int32_t csv_writer_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct csv_writer *c = ctx;
    c->h = h;
    c->output = (struct output){.h = h, .path = c->path, .exists = c->exists};
    int32_t rc = JV_OK;
    mistakes_add(h, csv_delimiter(c->delimiter_name, &c->delimiter, err), err, &rc);
    mistakes_add(h, output_check(&c->output, err), err, &rc);
    mistakes_add(h, fields_bind(&c->bound, h, &c->fields, NULL, err), err, &rc);
    return rc;
}

/* Rows below another header would be read as what they are not. */
static int32_t compare_header(const struct csv_writer *c, jv_err *err)
{
    size_t want = c->line.n + BOM_SIZE;
    char *there = malloc(want);
    if (!there) return jv_fail(err, JV_FATAL, "no memory for a header of %zu bytes", want);
    ssize_t n = pread(c->output.fd, there, want, 0);
    int32_t rc = n < 0 ? output_cannot(&c->output, "read", err) : JV_OK;
    size_t skip = n >= BOM_SIZE && !memcmp(there, BOM, BOM_SIZE) ? BOM_SIZE : 0;
    bool same = n >= 0 && (size_t)n >= skip + c->line.n && !memcmp(there + skip, c->line.p, c->line.n);
    free(there);
    if (rc != JV_OK || same) return rc;
    return jv_fail(err, JV_FATAL, "%s does not begin with the header `%s`, so nothing can be appended",
        utf8_show(c->path, strlen(c->path)).text, utf8_show(c->line.p, c->line.n - 1).text);
}

int32_t csv_writer_start(void *ctx, jv_err *err)
{
    struct csv_writer *c = ctx;
    int32_t rc = output_start(&c->output, err);
    if (rc != JV_OK) return rc;
    bool begun = c->output.end > 0;
    if (c->header) rc = make_header(c, err);
    if (c->header && rc == JV_OK) rc = begun ? compare_header(c, err) : output_write(&c->output, &c->line, err);
    c->begun = begun || c->header;
    return rc;
}

int32_t csv_writer_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct csv_writer *c = ctx;
    int32_t rc = make_row(c, b, err);
    if (rc == JV_OK) rc = output_write(&c->output, &c->line, err);
    if (rc != JV_OK) return rc;
    c->begun = true;
    c->h->count(c->h, b, ROWS, 1);
    c->h->count(c->h, b, BYTES, (int64_t)c->line.n);
    return JV_OK;
}

int32_t csv_writer_flush(void *ctx, jv_err *err)
{
    return output_finish(&((struct csv_writer *)ctx)->output, err);
}

void csv_writer_close(void *ctx)
{
    struct csv_writer *c = ctx;
    output_close(&c->output);
    fields_free(&c->bound);
    row_free(&c->line);
    row_free(&c->number);
}
