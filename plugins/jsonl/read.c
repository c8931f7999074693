/*
 * jsonl/read: a source of one record for each line of JSON.
 *
 *     [questions]
 *     plugin = jsonl/read
 *     path = questions.jsonl
 *     columns.question = utf8
 *     columns.score = f64?
 *     columns.first_name = utf8 First name
 *
 * Each line holds one object. Declared columns become fields of their type; all other members go together, spelled as
 * they came and in their order, into the json field `rest`. The id is FILE:OFFSET, the byte at which the line begins,
 * or the value of a key (`id = KEY`). A row that is no JSON, no object, holds a key twice or a value that is not of its
 * column's type is rejected with the reason and the place, and the others go on.
 */
#include "stages.h"

#include <string.h>

#include "../mistakes.h"

const jv_opt reader_options[] = {
    JV_OPT(struct reader, path, NULL, "path read", "files and fifos; - is standard input"),
    JV_OPT(struct reader, columns, "", "", "columns.FIELD = TYPE[?] [KEY]: utf8, bytes, json, i64, f64, i32s, f32s"),
    JV_OPT(struct reader, id, "", "", "the key whose value is the record's id; empty: FILE:OFFSET"),
    JV_OPT(struct reader, max_row, "1M", "bytes 2..1T", "longer rows are rejected"),
    {0},
};

static int32_t read_row(void *ctx, const struct source_row *row, struct source_found *found, jv_err *err)
{
    struct reader *c = ctx;
    size_t n = row->n;
    if (n && row->p[n - 1] == '\n') n -= 1 + (n > 1 && row->p[n - 2] == '\r');
    int32_t rc = jsonl_parse(&c->parser, row->p, n, &found->at, err);
    if (c->parser.has_id) found->id = (jv_str){c->parser.id.p ? c->parser.id.p : "", c->parser.id.n};
    return rc;
}

static int32_t put_row(void *ctx, jv_buf *b, jv_err *err)
{
    struct reader *c = ctx;
    const struct row *rest = &c->parser.rest;
    int32_t rc = columns_put(&c->declared, c->h, b, c->parser.values, &c->parser.arena, err);
    return rc == JV_OK && rest->n ? source_put(c->h, b, SOURCE_REST, rest->p, rest->n, err) : rc;
}

static int32_t keep_row(void *ctx, const char *p, size_t n, jv_buf *b, jv_err *err)
{
    struct reader *c = ctx;
    return source_put_kept(c->h, b, SOURCE_REST, &c->kept, (jv_str){p, n}, err);
}

static const struct source_format format = {.read = read_row, .put = put_row, .keep = keep_row};

int32_t reader_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct reader *c = ctx;
    c->h = h;
    c->source = (struct source){
        .h = h,
        .format = &format,
        .ctx = c,
        .path = c->path,
        .max = (size_t)c->max_row,
        .bound = "max_row",
        .skip_bom = true,
    };
    int32_t rc = JV_OK;
    mistakes_add(h, source_open(&c->source, err), err, &rc);
    mistakes_add(h, columns_open(&c->declared, h, &c->columns, err), err, &rc);
    if (rc < 0) return rc;
    c->parser.columns = &c->declared;
    if (*c->id) c->parser.id_key = (jv_str){c->id, strlen(c->id)};
    return jsonl_parser_init(&c->parser, err);
}

int32_t reader_poll(void *ctx, jv_err *err)
{
    return source_poll(&((struct reader *)ctx)->source, err);
}

void reader_close(void *ctx)
{
    struct reader *c = ctx;
    source_close(&c->source);
    jsonl_parser_free(&c->parser);
    columns_free(&c->declared);
    row_free(&c->kept);
}
