/* column.c: see column.h. */
#include "column.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../mistakes.h"
#include "../utf8.h"
#include "json.h"

/* In the order of the types' numbers. */
static const char *const type_names[] = {"", "utf8", "bytes", "json", "i64", "f64", "i32s", "f32s"};
#define N_TYPES (int32_t)(sizeof type_names / sizeof *type_names)

static struct utf8_shown show(jv_str s)
{
    return utf8_show(s.p, s.n);
}

/* ---- declarations ------------------------------------------------------------------------------------------------ */

static int32_t declare(struct column *c, jv_str field, jv_str spec, jv_err *err)
{
    size_t word = strcspn(spec.p, " \t"), n = word;
    c->field = field.p;
    c->optional = n && spec.p[n - 1] == '?';
    n -= c->optional;
    for (int32_t t = 1; t < N_TYPES; t++)
        if (strlen(type_names[t]) == n && !memcmp(type_names[t], spec.p, n)) c->type = t;
    if (!c->type)
        return jv_fail(err, JV_BAD,
            "`columns.%s = %s`: wanted utf8, bytes, json, i64, f64, i32s or f32s, with a `?` "
            "where it may be missing, and then the name in the file if it is another",
            field.p, show(spec).text);
    const char *name = spec.p + word + strspn(spec.p + word, " \t");
    c->name = *name ? (jv_str){name, strlen(name)} : field;
    return JV_OK;
}

size_t columns_find(const struct columns *c, const char *name, size_t n)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->v[i].name.n == n && !memcmp(c->v[i].name.p, name, n)) return i;
    return SIZE_MAX;
}

/* Of a declaration that is wrong nothing is bound; its place stays, so that others of the name are found. */
static int32_t open_column(struct columns *c, const jv_host *h, jv_str field, jv_str spec, jv_err *err)
{
    struct column *col = &c->v[c->n];
    int32_t rc = declare(col, field, spec, err);
    if (rc != JV_OK) return rc;
    size_t other = columns_find(c, col->name.p, col->name.n);
    if (other != SIZE_MAX)
        return jv_fail(err, JV_BAD, "`columns.%s` and `columns.%s` both read `%s`", col->field, c->v[other].field,
            show(col->name).text);
    col->row = h->field(h, col->field, col->type, JV_OUT, err);
    return col->row < 0 ? col->row : JV_OK;
}

int32_t columns_open(struct columns *c, const jv_host *h, const jv_map *declared, jv_err *err)
{
    size_t n = declared->key.n;
    c->v = calloc(n ? n : 1, sizeof *c->v);
    if (!c->v) return jv_fail(err, JV_FATAL, "no memory for %zu columns", n);
    int32_t rc = JV_OK;
    for (; c->n < n; c->n++) {
        mistakes_add(h, open_column(c, h, declared->key.v[c->n], declared->val.v[c->n], err), err, &rc);
    }
    return rc;
}

void columns_free(struct columns *c)
{
    free(c->v);
    *c = (struct columns){0};
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int32_t unwanted(const struct column *c, const char *found, jv_err *err)
{
    return jv_fail(err, JV_BAD, "`%s` is %s, wanted %s", show(c->name).text, found, type_names[c->type]);
}

static int32_t out_of_range(const struct column *c, jv_str number, jv_err *err)
{
    return jv_fail(err, JV_BAD, "`%s` holds %s, which is out of the range of %s", show(c->name).text, show(number).text,
        type_names[c->type]);
}

static int32_t to_int(const struct column *c, jv_str json, int64_t least, int64_t most, int64_t *v, jv_err *err)
{
    char text[24]; /* JSON has no leading zeros: what is longer is out of range */
    bool whole = !memchr(json.p, '.', json.n) && !memchr(json.p, 'e', json.n) && !memchr(json.p, 'E', json.n);
    if (!whole) return unwanted(c, "a number with a fraction or an exponent", err);
    if (json.n >= sizeof text) return out_of_range(c, json, err);
    memcpy(text, json.p, json.n);
    text[json.n] = 0;
    errno = 0;
    *v = strtoll(text, NULL, 10);
    return errno || *v < least || *v > most ? out_of_range(c, json, err) : JV_OK;
}

/* A number's text with a NUL behind it: in `few` where it fits, else to be freed by number_done. Null: no memory. */
static char *number_text(jv_str json, char *few, size_t size)
{
    char *text = json.n < size ? few : malloc(json.n + 1);
    if (!text) return NULL;
    memcpy(text, json.p, json.n);
    text[json.n] = 0;
    return text;
}

static void number_done(char *text, const char *few)
{
    if (text != few) free(text);
}

static int32_t to_double(const struct column *c, jv_str json, double *v, jv_err *err)
{
    char few[64], *text = number_text(json, few, sizeof few);
    if (!text) return jv_fail(err, JV_FATAL, "out of memory");
    *v = strtod(text, NULL);
    number_done(text, few);
    return isfinite(*v) ? JV_OK : out_of_range(c, json, err);
}

static int32_t to_float(const struct column *c, jv_str json, float *v, jv_err *err)
{
    char few[64], *text = number_text(json, few, sizeof few);
    if (!text) return jv_fail(err, JV_FATAL, "out of memory");
    *v = strtof(text, NULL);
    number_done(text, few);
    return isfinite(*v) ? JV_OK : out_of_range(c, json, err);
}

static int32_t add_element(const struct column *c, jv_str json, struct row *arena, jv_err *err)
{
    if (strcmp(json_kind(json), "a number")) {
        char found[64];
        snprintf(found, sizeof found, "an array with %s in it", json_kind(json));
        return unwanted(c, found, err);
    }
    if (c->type == JV_I32S) {
        int64_t wide;
        int32_t rc = to_int(c, json, INT32_MIN, INT32_MAX, &wide, err);
        if (rc != JV_OK) return rc;
        row_add(arena, (const char *)&(int32_t){(int32_t)wide}, sizeof(int32_t));
        return JV_OK;
    }
    float v;
    int32_t rc = to_float(c, json, &v, err);
    if (rc != JV_OK) return rc;
    row_add(arena, (const char *)&v, sizeof v);
    return JV_OK;
}

static int32_t to_array(const struct column *c, jv_str json, struct row *arena, jv_err *err)
{
    if (json.p[0] != '[') return unwanted(c, json_kind(json), err);
    struct json j = {.p = json.p, .n = json.n, .at = 1};
    jv_str element;
    for (bool first = true; json_element(&j, first, &element) == 1; first = false) {
        int32_t rc = add_element(c, element, arena, err);
        if (rc != JV_OK) return rc;
    }
    return JV_OK;
}

/* Puts the bytes in the place of the base64 digits that stand at the arena's end; false where they are no base64
 * (RFC 4648, 4, with its padding). */
static bool decode_base64(struct row *arena, size_t from)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = arena->n - from, padding = 0;
    if (!size) return true; /* the arena may be none yet */
    char *s = arena->p + from, *to = s;
    while (padding < 2 && padding < size && s[size - 1 - padding] == '=') padding++;
    if (size % 4) return false;
    for (size_t i = 0; i < size; i += 4) {
        size_t n = i + 4 == size ? 3 - padding : 3; /* bytes in this group */
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            const char *d = memchr(digits, s[i + k], 64);
            if (!d && k <= n) return false;
            v = v << 6 | (d && k <= n ? (uint32_t)(d - digits) : 0);
        }
        if (v & (0xffffffu >> 8 * n)) return false; /* bits that belong to no byte are 0 */
        for (size_t k = 0; k < n; k++) *to++ = (char)(v >> (16 - 8 * k));
    }
    arena->n = (size_t)(to - arena->p);
    return true;
}

/* {"base64": "..."}: how bytes that are no text are written. */
static int32_t from_base64(const struct column *c, jv_str json, struct row *arena, jv_err *err)
{
    struct json j = {.p = json.p, .n = json.n, .at = 1};
    jv_str key, value, more;
    size_t from = arena->n;
    bool one = json_member(&j, true, &key, &value) == 1 && json_member(&j, false, &more, &more) == 0 && key.n == 8 &&
               !memcmp(key.p, "\"base64\"", 8) && value.p[0] == '"';
    if (one) json_text(arena, value);
    if (arena->failed) return JV_OK; /* whoever owns the arena sees it */
    if (!one || !decode_base64(arena, from)) return unwanted(c, "an object other than {\"base64\": \"...\"}", err);
    return JV_OK;
}

/* What is not null. */
static int32_t convert(const struct column *c, jv_str json, struct row *arena, struct value *v, jv_err *err)
{
    int32_t rc = JV_OK;
    v->there = true;
    v->at = arena->n;
    if (c->type == JV_JSON) {
        row_add(arena, json.p, json.n);
    } else if (c->type == JV_I32S || c->type == JV_F32S) {
        rc = to_array(c, json, arena, err);
    } else if (c->type == JV_BYTES && json.p[0] == '{') {
        rc = from_base64(c, json, arena, err);
    } else if (c->type == JV_UTF8 || c->type == JV_BYTES) {
        if (json.p[0] != '"') return unwanted(c, json_kind(json), err);
        json_text(arena, json);
    } else if (strcmp(json_kind(json), "a number")) {
        return unwanted(c, json_kind(json), err);
    } else if (c->type == JV_I64) {
        return to_int(c, json, INT64_MIN, INT64_MAX, &v->i, err);
    } else {
        return to_double(c, json, &v->f, err);
    }
    v->n = arena->n - v->at;
    return rc;
}

int32_t column_from_json(const struct column *c, jv_str json, struct row *arena, struct value *v, jv_err *err)
{
    *v = (struct value){0};
    if (c->optional && json.p[0] == 'n') return JV_OK;
    return convert(c, json, arena, v, err);
}

int32_t column_missing(const struct column *c, struct value *v, jv_err *err)
{
    *v = (struct value){0};
    return c->optional ? JV_OK : jv_fail(err, JV_BAD, "`%s` is missing", show(c->name).text);
}

int32_t column_from_cell(const struct column *c, jv_str cell, bool quoted, struct row *arena, struct value *v, jv_err *err)
{
    bool text = c->type == JV_UTF8 || c->type == JV_BYTES;
    *v = (struct value){0};
    if (!cell.n && !quoted && (c->optional || !text)) return column_missing(c, v, err);
    size_t valid = c->type == JV_BYTES ? cell.n : utf8_valid(cell.p, cell.n);
    if (valid < cell.n)
        return jv_fail(err, JV_BAD, "`%s` is not UTF-8: its byte %zu is 0x%02x", show(c->name).text, valid,
            (unsigned)(unsigned char)cell.p[valid]);
    if (text) {
        *v = (struct value){.there = true, .at = arena->n, .n = cell.n};
        row_add(arena, cell.p, cell.n);
        return JV_OK;
    }
    struct json j = {.p = cell.p, .n = cell.n};
    jv_str json;
    if (json_value(&j, &json) && json_end(&j) && (c->type == JV_JSON || strchr("-0123456789[", json.p[0])))
        return convert(c, json, arena, v, err);
    char found[sizeof(struct utf8_shown) + 2];
    snprintf(found, sizeof found, "`%s`", show(cell).text);
    return unwanted(c, found, err);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

int32_t columns_put(const struct columns *c, const jv_host *h, jv_buf *b, const struct value *v,
    const struct row *arena, jv_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct column *col = &c->v[i];
        if (!v[i].there) continue;
        if (col->type == JV_I64) {
            h->put_i64(h, b, col->row, v[i].i);
        } else if (col->type == JV_F64) {
            h->put_f64(h, b, col->row, v[i].f);
        } else {
            char *to = h->put(h, b, col->row, v[i].n, err);
            if (!to) return JV_FATAL;
            if (v[i].n) memcpy(to, arena->p + v[i].at, v[i].n);
        }
    }
    return JV_OK;
}
