/* answer.c: see answer.h. */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "../mistakes.h"
#include "../rows/json.h"
#include "../utf8.h"

static struct utf8_shown show(jv_str s)
{
    return utf8_show(s.p, s.n);
}

static bool is(jv_str s, const char *text)
{
    return s.n == strlen(text) && !memcmp(s.p, text, s.n);
}

/* ---- what is wanted ---- */

static int32_t declare(struct column *c, jv_str name, jv_str type, jv_err *err)
{
    static const struct {
        const char *name;
        int32_t type;
    } types[] = {{"utf8", JV_UTF8}, {"bytes", JV_BYTES}, {"json", JV_JSON}, {"i64", JV_I64}, {"f64", JV_F64}};
    c->field = name.p;
    c->name = name;
    c->optional = type.n && type.p[type.n - 1] == '?';
    jv_str word = {type.p, type.n - c->optional};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (is(word, types[i].name)) c->type = types[i].type;
    if (is(name, "id") || is(name, "error"))
        return jv_fail(err, JV_BAD, "`returns.%s`: the answer's member of that name has a meaning of its own", name.p);
    if (c->type) return JV_OK;
    return jv_fail(err, JV_BAD, "`returns.%s = %s`: wanted utf8, bytes, json, i64 or f64; with a ? it may be missing",
        show(name).text, show(type).text);
}

int32_t returns_open(struct columns *c, const jv_host *h, const jv_map *declared, jv_err *err)
{
    size_t n = declared->key.n;
    c->v = calloc(n + 1, sizeof *c->v);
    if (!c->v) return jv_fail(err, JV_FATAL, "no memory for %zu fields", n);
    int32_t rc = JV_OK;
    for (; c->n < n; c->n++) {
        struct column *col = &c->v[c->n];
        int32_t one = declare(col, declared->key.v[c->n], declared->val.v[c->n], err);
        if (one == JV_OK) one = col->row = h->field(h, col->field, col->type, JV_OUT, err);
        mistakes_add(h, one, err, &rc);
    }
    return rc;
}

/* ---- what came ---- */

int32_t answer_init(struct answer *a, size_t n, jv_err *err)
{
    *a = (struct answer){.n = n};
    a->values = calloc(n + 1, sizeof *a->values);
    a->cells = calloc(n + 1, sizeof *a->cells);
    return a->values && a->cells ? JV_OK : jv_fail(err, JV_FATAL, "no memory for an answer");
}

void answer_free(struct answer *a)
{
    row_free(&a->id);
    row_free(&a->error);
    row_free(&a->arena);
    free(a->values);
    free(a->cells);
    *a = (struct answer){0};
}

static int32_t no_json(const struct json *j, jv_err *err)
{
    return jv_fail(err, JV_BAD, "it answered no JSON object (%s, byte %zu): '%s'", j->what, j->at,
        utf8_show(j->p, j->n).text);
}

static int32_t twice(jv_str name, jv_err *err)
{
    return jv_fail(err, JV_BAD, "its answer has '%s' twice", show(name).text);
}

/* `id` and `error`, which are text. */
static int32_t take_text(struct row *to, bool *has, jv_str key, jv_str value, jv_err *err)
{
    if (*has) return twice(key, err);
    if (value.p[0] != '"')
        return jv_fail(err, JV_BAD, "'%s' in its answer is %s, wanted a string", key.p[0] == 'i' ? "id" : "error",
            json_kind(value));
    *has = true;
    json_text(to, value);
    return JV_OK;
}

static int32_t take_member(struct answer *a, const struct columns *c, jv_str key, jv_str value, jv_err *err)
{
    if (is(key, "id")) return take_text(&a->id, &a->has_id, key, value, err);
    if (!c) return JV_OK;
    if (is(key, "error")) return value.p[0] == 'n' ? JV_OK : take_text(&a->error, &a->has_error, key, value, err);
    size_t i = columns_find(c, key.p, key.n);
    if (i == SIZE_MAX) return JV_OK;
    if (a->cells[i].p) return twice(key, err);
    a->cells[i] = value;
    return JV_OK;
}

static int32_t walk(struct answer *a, const struct columns *c, struct json *j, jv_err *err)
{
    jv_str key, value;
    struct row name = {0};
    int32_t rc = JV_OK;
    int more = 1;
    j->depth = 1;
    j->at++;
    for (bool first = true; rc == JV_OK && (more = json_member(j, first, &key, &value)) == 1; first = false) {
        row_reset(&name);
        json_text(&name, key);
        if (name.failed)
            rc = jv_fail(err, JV_FATAL, "no memory for an answer");
        else
            rc = take_member(a, c, (jv_str){name.p ? name.p : "", name.n}, value, err);
    }
    row_free(&name);
    if (rc < 0) return rc;
    return more == 0 && json_end(j) ? JV_OK : no_json(j, err);
}

static int32_t convert(struct answer *a, const struct columns *c, jv_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct column *col = &c->v[i];
        int32_t rc = a->cells[i].p ? column_from_json(col, a->cells[i], &a->arena, &a->values[i], err)
                                   : column_missing(col, &a->values[i], err);
        if (rc < 0) return rc;
    }
    return JV_OK;
}

int32_t answer_read(struct answer *a, const struct columns *c, jv_str line, jv_err *err)
{
    struct json j = {.p = line.p, .n = line.n};
    size_t valid = utf8_valid(line.p, line.n);
    row_reset(&a->id);
    row_reset(&a->error);
    row_reset(&a->arena);
    a->has_id = a->has_error = false;
    for (size_t i = 0; i < a->n; i++) a->cells[i] = (jv_str){0};
    if (valid < line.n) return jv_fail(err, JV_BAD, "its answer is no UTF-8 at byte %zu: '%s'", valid, show(line).text);
    json_space(&j);
    j.what = "wanted {";
    if (j.at == j.n || line.p[j.at] != '{') return no_json(&j, err);
    int32_t rc = walk(a, c, &j, err);
    if (rc == JV_OK && c && !a->has_error) rc = convert(a, c, err);
    if (a->id.failed || a->error.failed || a->arena.failed) return jv_fail(err, JV_FATAL, "no memory for an answer");
    return rc;
}
