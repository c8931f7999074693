/*
 * jsonl/write: a sink that writes each record as one line of JSON.
 *
 *     [output]
 *     plugin = jsonl/write
 *     path = answers.jsonl
 *     fields = id, answer
 *     rest = rest
 *
 * Lines come in source order. Each is handed to the operating system before its record counts as delivered: it can
 * be followed with `tail -f`, and no kill of the process takes it back. A line is written whole or not at all (see
 * rows/output.h). `rest` names a field with an object whose members are written behind the fields, as they are spelled
 * there and in their order: what jsonl/read did not understand goes through unchanged.
 */
#include "stages.h"

#include <string.h>

#include "../mistakes.h"
#include "../rows/json.h"
#include "../utf8.h"

enum { ROWS, BYTES };

const jv_counter writer_counters[] = {
    [ROWS] = {"rows", "row", "lines written", 0, 0},
    [BYTES] = {"bytes", "byte", "written, newlines included", 0, 0},
    {0},
};

const jv_opt writer_options[] = {
    JV_OPT(struct writer, path, NULL, "path write", "the file to write; /dev/stdout is standard output"),
    JV_OPT(struct writer, exists, "replace", OUTPUT_EXISTS, "what to do with a file that is there"),
    JV_OPT(struct writer, fields, "", "", "id, fields and counters to write; empty: id and all that was not measured"),
    JV_OPT(struct writer, rest, "", "", "a field with an object whose members are written behind the fields"),
    {0},
};

/* ---- a line ------------------------------------------------------------------------------------------------------ */

static int32_t add_text(struct writer *c, const jv_buf *b, const struct sink_field *f, jv_err *err)
{
    jv_str text;
    int32_t rc = fields_text(c->h, b, f, &text, err);
    if (rc != JV_OK) return rc;
    if (!text.p)
        row_add(&c->line, "null", 4);
    else if (f->type == JV_JSON)
        row_json(&c->line, text.p, text.n);
    else
        row_bytes(&c->line, text.p, text.n);
    return JV_OK;
}

static int32_t add_number(struct writer *c, const jv_buf *b, const struct sink_field *f, jv_err *err)
{
    bool there;
    int32_t rc = fields_add_number(c->h, b, f, &c->line, &there, err);
    if (rc == JV_OK && !there) row_add(&c->line, "null", 4);
    return rc;
}

static int32_t add_member(struct writer *c, jv_str key, jv_str value, jv_err *err)
{
    c->key.n = 0;
    json_text(&c->key, key);
    for (size_t i = 0; i < c->bound.n; i++) {
        const char *name = c->bound.v[i].name;
        if (strlen(name) == c->key.n && !memcmp(name, c->key.p, c->key.n))
            return jv_fail(err, JV_BAD, "`%s` is among the fields and in `%s`: a key cannot stand in a row twice",
                utf8_show(name, strlen(name)).text, utf8_show(c->rest, strlen(c->rest)).text);
    }
    row_add(&c->line, ",", 1); /* a field is before it: there is no list of none */
    row_json(&c->line, key.p, (size_t)(value.p + value.n - key.p));
    return JV_OK;
}

static int32_t add_rest(struct writer *c, const jv_buf *b, jv_err *err)
{
    jv_str text = c->h->get(c->h, b, c->rest_row), key, value;
    if (!text.p) return JV_OK;
    struct json j = {.p = text.p, .n = text.n, .depth = 1};
    json_space(&j);
    if (j.at == j.n || j.p[j.at] != '{')
        return jv_fail(err, JV_BAD, "field `%s` is no object", utf8_show(c->rest, strlen(c->rest)).text);
    j.at++;
    int more = 1;
    for (bool first = true; more == 1; first = false) {
        more = json_member(&j, first, &key, &value);
        int32_t rc = more == 1 ? add_member(c, key, value, err) : JV_OK;
        if (rc != JV_OK) return rc;
    }
    if (more == 0 && json_end(&j)) return JV_OK;
    return jv_fail(err, JV_BAD, "field `%s` is no JSON: %s at byte %zu", utf8_show(c->rest, strlen(c->rest)).text,
        j.what, j.at);
}

static int32_t make_line(struct writer *c, const jv_buf *b, jv_err *err)
{
    row_reset(&c->line);
    row_reset(&c->key);
    row_add(&c->line, "{", 1);
    for (size_t i = 0; i < c->bound.n; i++) {
        const struct sink_field *f = &c->bound.v[i];
        if (i) row_add(&c->line, ",", 1);
        row_string(&c->line, f->name, strlen(f->name));
        row_add(&c->line, ":", 1);
        int32_t rc = fields_is_number(f) ? add_number(c, b, f, err) : add_text(c, b, f, err);
        if (rc != JV_OK) return rc;
    }
    int32_t rc = *c->rest ? add_rest(c, b, err) : JV_OK;
    if (rc != JV_OK) return rc;
    row_add(&c->line, "}\n", 2);
    if (!c->line.failed && !c->key.failed) return JV_OK;
    return jv_fail(err, JV_FATAL, "no memory for a line of more than %zu bytes", c->line.n);
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

int32_t writer_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct writer *c = ctx;
    c->h = h;
    c->output = (struct output){.h = h, .path = c->path, .exists = c->exists};
    int32_t rc = JV_OK;
    mistakes_add(h, output_check(&c->output, err), err, &rc);
    mistakes_add(h, fields_bind(&c->bound, h, &c->fields, *c->rest ? c->rest : NULL, err), err, &rc);
    if (*c->rest) mistakes_add(h, c->rest_row = h->field(h, c->rest, JV_JSON, JV_IN, err), err, &rc);
    return rc;
}

int32_t writer_start(void *ctx, jv_err *err)
{
    return output_start(&((struct writer *)ctx)->output, err);
}

int32_t writer_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct writer *c = ctx;
    int32_t rc = make_line(c, b, err);
    if (rc == JV_OK) rc = output_write(&c->output, &c->line, err);
    if (rc != JV_OK) return rc;
    c->h->count(c->h, b, ROWS, 1);
    c->h->count(c->h, b, BYTES, (int64_t)c->line.n);
    return JV_OK;
}

int32_t writer_flush(void *ctx, jv_err *err)
{
    return output_finish(&((struct writer *)ctx)->output, err);
}

void writer_close(void *ctx)
{
    struct writer *c = ctx;
    output_close(&c->output);
    fields_free(&c->bound);
    row_free(&c->line);
    row_free(&c->key);
}
