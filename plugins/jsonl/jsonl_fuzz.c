/* jsonl_fuzz.c: any bytes as a row, with a column of each type and without: what is understood holds together, and it
 * is JSON exactly where jansson says so. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../rows/json.h"
#include "../utf8.h"
#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

#define COLUMN(name_, type_)                                                                                           \
    {                                                                                                                  \
        .field = name_, .name = {name_, sizeof name_ - 1}, .type = type_, .optional = true                             \
    }

static struct column all_types[] = {COLUMN("t", JV_UTF8), COLUMN("b", JV_BYTES), COLUMN("j", JV_JSON),
    COLUMN("n", JV_I64), COLUMN("x", JV_F64), COLUMN("is", JV_I32S), COLUMN("fs", JV_F32S)};

/* Valid and an object, whatever was in it. */
static void check_rest(const struct row *rest)
{
    struct json j = {.p = rest->p, .n = rest->n};
    jv_str value;
    check(!rest->n || (rest->p[0] == '{' && json_value(&j, &value) && json_end(&j)));
}

static void check_values(const struct jsonl_parser *c)
{
    for (size_t i = 0; i < c->columns->n; i++) {
        const struct value *v = &c->values[i];
        int32_t type = c->columns->v[i].type;
        if (!v->there) continue;
        check(v->at <= c->arena.n && v->n <= c->arena.n - v->at);
        if (v->n && (type == JV_UTF8 || type == JV_JSON)) check(utf8_valid(c->arena.p + v->at, v->n) == v->n);
        if (type == JV_I32S || type == JV_F32S) check(v->n % 4 == 0);
    }
}

/* What only one of the two refuses: jansson numbers that no double holds, keys doubled within a value, NULs in keys;
 * this one values that are nested too deeply. A NUL byte behind a number, which is no JSON, jansson passes over. */
static void compare(const char *p, size_t n, int32_t rc, const jv_err *err)
{
    json_error_t why;
    if (n && memchr(p, 0, n)) return;
    json_t *o = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    enum json_error_code code = o ? json_error_unknown : json_error_code(&why);
    if (json_is_object(o)) check(rc == JV_OK || strstr(err->text, "nested deeper"));
    if (rc == JV_OK && !o)
        check(code == json_error_numeric_overflow || code == json_error_duplicate_key ||
              code == json_error_null_byte_in_key);
    json_decref(o);
}

static void parse(const struct columns *columns, const char *id, const char *p, size_t n)
{
    struct jsonl_parser c = {.columns = columns, .id_key = {id, id ? strlen(id) : 0}};
    jv_err err = {0};
    size_t at = 0;
    check(jsonl_parser_init(&c, &err) == JV_OK);
    int32_t rc = jsonl_parse(&c, p, n, &at, &err);
    check(rc == JV_OK || rc == JV_DROP || (rc == JV_BAD && err.text[0] && at <= n));
    check(utf8_valid(err.text, strlen(err.text)) == strlen(err.text));
    if (rc == JV_OK) check_values(&c);
    if (rc == JV_OK) check_rest(&c.rest);
    if (!columns->n && !id) compare(p, n, rc, &err);
    jsonl_parser_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct columns all = {all_types, sizeof all_types / sizeof *all_types}, none = {0};
    char *p = malloc(size ? size : 1); /* of exactly that size, so that a read beyond is seen */
    check(p != NULL);
    if (size) memcpy(p, data, size);
    parse(&none, NULL, p, size);
    parse(&all, NULL, p, size);
    parse(&all, "n", p, size);
    free(p);
    return 0;
}
