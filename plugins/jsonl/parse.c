/* parse.c: see parse.h. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

#include "../rows/json.h"
#include "../utf8.h"

int32_t jsonl_parser_init(struct jsonl_parser *c, jv_err *err)
{
    size_t n = c->columns->n ? c->columns->n : 1;
    c->values = calloc(n, sizeof *c->values);
    c->cells = calloc(n, sizeof *c->cells);
    return c->values && c->cells ? JV_OK : jv_fail(err, JV_FATAL, "no memory for %zu columns", n);
}

void jsonl_parser_free(struct jsonl_parser *c)
{
    free(c->values);
    free(c->cells);
    free(c->members);
    row_free(&c->arena);
    row_free(&c->rest);
    row_free(&c->id);
    row_free(&c->keys);
    *c = (struct jsonl_parser){0};
}

static struct utf8_shown show(jv_str s)
{
    return utf8_show(s.p, s.n);
}

static int32_t no_memory(jv_err *err)
{
    return jv_fail(err, JV_FATAL, "no memory for a row");
}

/* ---- the object -------------------------------------------------------------------------------------------------- */

static int32_t no_json(const struct json *j, size_t *at, jv_err *err)
{
    *at = j->at;
    if (j->at == j->n) return jv_fail(err, JV_BAD, "no JSON: %s, and the row ends", j->what);
    size_t len = utf8_char(j->p + j->at, j->n - j->at);
    return jv_fail(err, JV_BAD, "no JSON: %s, found `%s`", j->what, utf8_show(j->p + j->at, len).text);
}

static int32_t no_object(struct json *j, size_t *at, jv_err *err)
{
    jv_str value;
    size_t from = j->at;
    j->depth = 0;
    if (!json_value(j, &value) || !json_end(j)) return no_json(j, at, err);
    *at = from;
    return jv_fail(err, JV_BAD, "the row is %s, wanted an object", json_kind(value));
}

static int32_t add_member(struct jsonl_parser *c, jv_str key, jv_str value, jv_err *err)
{
    if (c->n_members == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64; /* at most one for four bytes of a row */
        struct jsonl_member *v = realloc(c->members, cap * sizeof *v);
        if (!v) return no_memory(err);
        c->members = v;
        c->cap = cap;
    }
    size_t from = c->keys.n;
    json_text(&c->keys, key);
    c->members[c->n_members++] = (struct jsonl_member){
        .raw = {key.p, (size_t)(value.p + value.n - key.p)},
        .value = value,
        .key = {NULL, c->keys.n - from},
        .key_at = from,
    };
    return JV_OK;
}

/* Fills `members`. */
static int32_t walk(struct jsonl_parser *c, struct json *j, size_t *at, jv_err *err)
{
    jv_str key, value;
    int more = 1;
    c->n_members = 0;
    row_reset(&c->keys);
    j->depth = 1;
    j->at++;
    for (bool first = true; more == 1; first = false) {
        more = json_member(j, first, &key, &value);
        int32_t rc = more == 1 ? add_member(c, key, value, err) : JV_OK;
        if (rc != JV_OK) return rc;
    }
    if (more < 0 || !json_end(j)) return no_json(j, at, err);
    if (c->keys.failed) return no_memory(err);
    for (size_t i = 0; i < c->n_members; i++) /* now they stay where they are; empty ones point somewhere too */
        c->members[i].key.p = c->keys.p ? c->keys.p + c->members[i].key_at : "";
    return JV_OK;
}

/* ---- its members ------------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const struct jsonl_member *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = memcmp(x->key.p, y->key.p, n);
    if (order) return order;
    if (x->key.n != y->key.n) return x->key.n < y->key.n ? -1 : 1;
    return x->raw.p < y->raw.p ? -1 : x->raw.p > y->raw.p;
}

/* Sorts the members. */
static int32_t check_keys(struct jsonl_parser *c, const char *p, size_t *at, jv_err *err)
{
    if (c->n_members) qsort(c->members, c->n_members, sizeof *c->members, by_key);
    for (size_t i = 1; i < c->n_members; i++) {
        jv_str key = c->members[i].key, before = c->members[i - 1].key;
        if (key.n != before.n || memcmp(key.p, before.p, key.n)) continue;
        *at = (size_t)(c->members[i].raw.p - p);
        return jv_fail(err, JV_BAD, "the key `%s` is there twice", show(key).text);
    }
    return JV_OK;
}

static int32_t take_id(struct jsonl_parser *c, jv_str value, jv_err *err)
{
    bool text = value.p[0] == '"';
    c->has_id = true;
    if (text)
        json_text(&c->id, value);
    else if (!strcmp(json_kind(value), "a number"))
        row_add(&c->id, value.p, value.n);
    else
        return jv_fail(err, JV_BAD, "`%s` is %s, wanted a string or a number for the id", show(c->id_key).text,
            json_kind(value));
    return JV_OK;
}

/* Puts each member where it belongs: a column, the id (which may be a column too), or the rest. */
static int32_t sort_out(struct jsonl_parser *c, const char *p, size_t *at, jv_err *err)
{
    for (size_t i = 0; i < c->columns->n; i++) c->cells[i] = (jv_str){0};
    for (size_t i = 0; i < c->n_members; i++) {
        const struct jsonl_member *m = &c->members[i];
        size_t column = columns_find(c->columns, m->key.p, m->key.n);
        bool is_id = c->id_key.p && c->id_key.n == m->key.n && !memcmp(c->id_key.p, m->key.p, m->key.n);
        if (column != SIZE_MAX) c->cells[column] = m->value;
        if (is_id && !c->has_id && take_id(c, m->value, err) != JV_OK) {
            *at = (size_t)(m->value.p - p);
            return err->code;
        }
        if (column != SIZE_MAX || is_id) continue;
        row_add(&c->rest, c->rest.n ? "," : "{", 1);
        row_add(&c->rest, m->raw.p, m->raw.n);
    }
    if (c->rest.n) row_add(&c->rest, "}", 1);
    if (!c->id_key.p || c->has_id) return JV_OK;
    return jv_fail(err, JV_BAD, "`%s` is missing, which is to be the id", show(c->id_key).text);
}

static int32_t convert(struct jsonl_parser *c, const char *p, size_t *at, jv_err *err)
{
    for (size_t i = 0; i < c->columns->n; i++) {
        const struct column *col = &c->columns->v[i];
        jv_str cell = c->cells[i];
        int32_t rc = cell.p ? column_from_json(col, cell, &c->arena, &c->values[i], err)
                            : column_missing(col, &c->values[i], err);
        if (rc != JV_OK && cell.p) *at = (size_t)(cell.p - p);
        if (rc != JV_OK) return rc;
    }
    return JV_OK;
}

int32_t jsonl_parse(struct jsonl_parser *c, const char *p, size_t n, size_t *at, jv_err *err)
{
    struct json j = {.p = p, .n = n};
    row_reset(&c->arena);
    row_reset(&c->rest);
    row_reset(&c->id);
    c->has_id = false;
    size_t valid = utf8_valid(p, n);
    *at = 0;
    if (valid < n) {
        *at = valid;
        return jv_fail(err, JV_BAD, "the row is not UTF-8: its byte %zu is 0x%02x", valid,
            (unsigned)(unsigned char)p[valid]);
    }
    json_space(&j);
    if (j.at == n) return JV_DROP;
    if (p[j.at] != '{') return no_object(&j, at, err);
    *at = j.at;
    int32_t rc = walk(c, &j, at, err);
    if (rc == JV_OK) rc = sort_out(c, p, at, err);
    if (rc == JV_OK) rc = check_keys(c, p, at, err);
    if (rc == JV_OK) rc = convert(c, p, at, err);
    if (c->arena.failed || c->rest.failed || c->id.failed) return no_memory(err);
    return rc;
}
