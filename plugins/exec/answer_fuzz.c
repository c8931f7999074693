/* answer_fuzz.c: any line as the answer of a command, for columns of each type. What is taken for text is UTF-8. */
#include <stdlib.h>

#include "../utf8.h"
#include "answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COLUMN(field_, type_, optional_)                                                                               \
    {                                                                                                                  \
        .field = field_, .name = {field_, 1}, .type = type_, .optional = optional_                                     \
    }

static struct column wanted[] = {COLUMN("u", JV_UTF8, true), COLUMN("b", JV_BYTES, true), COLUMN("j", JV_JSON, true),
    COLUMN("i", JV_I64, true), COLUMN("f", JV_F64, true), COLUMN("m", JV_UTF8, false)};
#define N (sizeof wanted / sizeof *wanted)

static void check(bool holds)
{
    if (!holds) abort();
}

static bool is_text(const char *p, size_t n)
{
    return utf8_valid(p, n) == n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct columns columns = {wanted, N};
    struct answer a;
    jv_err err = {0};
    jv_str line = {(const char *)data, size};
    check(answer_init(&a, N, &err) == JV_OK);
    int32_t id_only = answer_read(&a, NULL, line, &err);
    bool had_id = a.has_id;
    int32_t rc = answer_read(&a, &columns, line, &err);
    check(rc == JV_OK || (rc == JV_BAD && err.text[0] && is_text(err.text, strlen(err.text))));
    check(rc != JV_OK || (id_only == JV_OK && had_id == a.has_id)); /* the pump never knows less than the caller */
    check(is_text(a.id.p, a.id.n) && is_text(a.error.p, a.error.n));
    for (size_t i = 0; rc == JV_OK && !a.has_error && i < N; i++) {
        const struct value *v = &a.values[i];
        check(v->there || wanted[i].optional);
        bool text = wanted[i].type == JV_UTF8 || wanted[i].type == JV_JSON;
        if (v->there && text) check(v->at + v->n <= a.arena.n && (!v->n || is_text(a.arena.p + v->at, v->n)));
    }
    answer_free(&a);
    return 0;
}
