/*
 * csv/read: a source of one record for each row of CSV (RFC 4180).
 *
 *     [people]
 *     plugin = csv/read
 *     path = people.csv
 *     columns.age = i64?
 *     columns.first_name = utf8 First name
 *
 * Columns are found by the names in each file's first row; with `header = no` they are the cells in the order in which
 * they are declared. Declared columns become fields of their type; all other cells go, as strings, into an object in
 * the json field `rest`. The id is FILE:OFFSET, the byte at which the row begins, or the value of a column (`id =
 * NAME`). A cell that is empty and has no quotes is missing where its column may be, and else an empty text.
 */
#include <stdlib.h>
#include <string.h>

#include "../mistakes.h"
#include "../utf8.h"
#include "stages.h"

#define MOST_NAMES 4096 /* in a header */

const jv_opt csv_reader_options[] = {
    JV_OPT(struct csv_reader, path, NULL, "path read", "files and fifos; - is standard input"),
    JV_OPT(struct csv_reader, header, "yes", "no|yes", "yes: the first row of each file names its columns"),
    {"delimiter", JV_OPT_TEXT, 0, offsetof(struct csv_reader, delimiter_name), 0, ",", "", CSV_DELIMITER_HELP},
    JV_OPT(struct csv_reader, columns, NULL, "",
        "columns.FIELD = TYPE[?] [NAME]: utf8, bytes, json, i64, f64, i32s, f32s"),
    JV_OPT(struct csv_reader, id, "", "", "the column whose value is the record's id; empty: FILE:OFFSET"),
    JV_OPT(struct csv_reader, max_row, "1M", "bytes 2..1T", "longer rows are rejected"),
    {0},
};

static struct utf8_shown show(jv_str s)
{
    return utf8_show(s.p, s.n);
}

static bool equal(jv_str a, jv_str b)
{
    return a.n == b.n && !memcmp(a.p, b.p, a.n);
}

/* ---- which cell is what ------------------------------------------------------------------------------------------ */

static bool is_id(const struct csv_reader *c, jv_str name)
{
    return *c->id && equal(name, (jv_str){c->id, strlen(c->id)});
}

static int32_t set_places(struct csv_reader *c, size_t n, jv_err *err)
{
    struct csv_place *v = realloc(c->places, n * sizeof *v);
    if (!v) return jv_fail(err, JV_FATAL, "no memory for %zu columns", n);
    c->places = v;
    c->n_places = n;
    return JV_OK;
}

/* Without a header the declarations are the places. */
static int32_t declared_places(struct csv_reader *c, jv_err *err)
{
    int32_t rc = set_places(c, c->declared.n, err);
    bool found = !*c->id;
    for (size_t i = 0; rc == JV_OK && i < c->n_places; i++) {
        c->places[i] = (struct csv_place){.column = i, .id = is_id(c, c->declared.v[i].name)};
        found |= c->places[i].id;
    }
    if (rc != JV_OK || found) return rc;
    return jv_fail(err, JV_BAD, "`id = %s` is none of `columns`, and there is no header", c->id);
}

static int32_t no_column(const struct csv_reader *c, jv_str name, const char *as, jv_err *err)
{
    const struct csv_cell *first = &c->cells.v[0];
    return jv_fail(err, JV_BAD, "the header has no column `%s`%s; it has %zu, the first is `%s`", show(name).text, as,
        c->cells.n, show(first->text).text);
}

/* The header's names go to `names`, as keys of `rest`. */
static int32_t name_place(struct csv_reader *c, size_t i, size_t *at, jv_err *err)
{
    const struct csv_cell *cell = &c->cells.v[i];
    *at = cell->at;
    if (utf8_valid(cell->text.p, cell->text.n) < cell->text.n)
        return jv_fail(err, JV_BAD, "the header's name %zu, `%s`, is not UTF-8", i + 1, show(cell->text).text);
    for (size_t k = 0; k < i; k++)
        if (equal(c->cells.v[k].text, cell->text))
            return jv_fail(err, JV_BAD, "the header names `%s` twice", show(cell->text).text);
    struct csv_place *place = &c->places[i];
    *place = (struct csv_place){.column = columns_find(&c->declared, cell->text.p, cell->text.n),
        .id = is_id(c, cell->text),
        .name = c->names.n};
    row_string(&c->names, cell->text.p, cell->text.n);
    row_add(&c->names, ":", 1);
    place->name_n = c->names.n - place->name;
    return JV_OK;
}

static int32_t read_header(struct csv_reader *c, size_t *at, jv_err *err)
{
    const size_t n = c->cells.n;
    if (n > MOST_NAMES) return jv_fail(err, JV_BAD, "the header has %zu names, the most is %d", n, MOST_NAMES);
    int32_t rc = set_places(c, n, err);
    row_reset(&c->names);
    for (size_t i = 0; rc == JV_OK && i < n; i++) rc = name_place(c, i, at, err);
    if (rc != JV_OK) return rc;
    if (c->names.failed) return jv_fail(err, JV_FATAL, "no memory for a header");
    *at = 0;
    bool has_id = !*c->id;
    for (size_t i = 0; i < c->declared.n; i++) c->values[i].there = false;
    for (size_t i = 0; i < n; i++) {
        has_id |= c->places[i].id;
        if (c->places[i].column != SIZE_MAX) c->values[c->places[i].column].there = true;
    }
    if (!has_id) return no_column(c, (jv_str){c->id, strlen(c->id)}, ", which is to be the id", err);
    for (size_t i = 0; i < c->declared.n; i++)
        if (!c->values[i].there && !c->declared.v[i].optional) return no_column(c, c->declared.v[i].name, "", err);
    return JV_DONE;
}

/* ---- the format -------------------------------------------------------------------------------------------------- */

static int32_t read_cell(struct csv_reader *c, size_t i, struct source_found *found, jv_err *err)
{
    const struct csv_cell *cell = &c->cells.v[i];
    const struct csv_place *place = &c->places[i];
    if (place->id) found->id = cell->text;
    if (place->column != SIZE_MAX) {
        struct value *v = &c->values[place->column];
        found->at = cell->at;
        return column_from_cell(&c->declared.v[place->column], cell->text, cell->quoted, &c->arena, v, err);
    }
    if (place->id) return JV_OK;
    row_add(&c->rest, c->rest.n ? "," : "{", 1);
    row_add(&c->rest, c->names.p + place->name, place->name_n);
    row_bytes(&c->rest, cell->text.p, cell->text.n);
    return JV_OK;
}

static int32_t read_row(void *ctx, const struct source_row *row, struct source_found *found, jv_err *err)
{
    struct csv_reader *c = ctx;
    int32_t rc = csv_split(&c->cells, c->delimiter, row->p, row->n, err);
    if (rc != JV_OK) return rc;
    if (c->cells.n == 1 && !c->cells.v[0].text.n && !c->cells.v[0].quoted) return JV_DROP;
    if (c->header && row->first) return read_header(c, &found->at, err);
    if (c->cells.n != c->n_places)
        return jv_fail(err, JV_BAD, "the row has %zu cells, the %s %zu", c->cells.n,
            c->header ? "header" : "option `columns`", c->n_places);
    row_reset(&c->arena);
    row_reset(&c->rest);
    for (size_t i = 0; i < c->declared.n; i++) c->values[i] = (struct value){0};
    for (size_t i = 0; rc == JV_OK && i < c->cells.n; i++) rc = read_cell(c, i, found, err);
    if (rc != JV_OK) return rc;
    if (c->rest.n) row_add(&c->rest, "}", 1);
    if (!c->arena.failed && !c->rest.failed) return JV_OK;
    return jv_fail(err, JV_FATAL, "no memory for a row of %zu bytes", row->n);
}

static int32_t scan_row(void *ctx, const char *p, size_t n, bool last, struct source_scan *scan, jv_err *err)
{
    return csv_scan(((struct csv_reader *)ctx)->delimiter, p, n, last, scan, err);
}

static int32_t put_row(void *ctx, jv_buf *b, jv_err *err)
{
    struct csv_reader *c = ctx;
    int32_t rc = columns_put(&c->declared, c->h, b, c->values, &c->arena, err);
    return rc == JV_OK && c->rest.n ? source_put(c->h, b, SOURCE_REST, c->rest.p, c->rest.n, err) : rc;
}

static int32_t keep_row(void *ctx, const char *p, size_t n, jv_buf *b, jv_err *err)
{
    struct csv_reader *c = ctx;
    return source_put_kept(c->h, b, SOURCE_REST, &c->kept, (jv_str){p, n}, err);
}

static const struct source_format format = {.scan = scan_row, .read = read_row, .put = put_row, .keep = keep_row};

/* ---- the stage --------------------------------------------------------------------------------------------------- */

int32_t csv_reader_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct csv_reader *c = ctx;
    c->h = h;
    c->source = (struct source){
        .h = h,
        .format = &format,
        .ctx = c,
        .path = c->path,
        .max = (size_t)c->max_row,
        .bound = "max_row",
        .skip_bom = true,
        .header = c->header,
    };
    int32_t rc = JV_OK;
    mistakes_add(h, csv_delimiter(c->delimiter_name, &c->delimiter, err), err, &rc);
    mistakes_add(h, source_open(&c->source, err), err, &rc);
    mistakes_add(h, columns_open(&c->declared, h, &c->columns, err), err, &rc);
    if (rc < 0) return rc;
    c->values = calloc(c->declared.n ? c->declared.n : 1, sizeof *c->values);
    if (!c->values) return jv_fail(err, JV_FATAL, "no memory for %zu columns", c->declared.n);
    return c->header ? JV_OK : declared_places(c, err);
}

int32_t csv_reader_poll(void *ctx, jv_err *err)
{
    return source_poll(&((struct csv_reader *)ctx)->source, err);
}

void csv_reader_close(void *ctx)
{
    struct csv_reader *c = ctx;
    source_close(&c->source);
    columns_free(&c->declared);
    csv_cells_free(&c->cells);
    row_free(&c->names);
    row_free(&c->arena);
    row_free(&c->rest);
    row_free(&c->kept);
    free(c->places);
    free(c->values);
    c->places = NULL;
    c->values = NULL;
}
