/*
 * json_fuzz.c: the reader of flat JSON, and a record's own options from it. What it reads another reader must read too,
 * numbers beyond that one's range apart.
 */
#include "json.h"
#include "params.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct ctx {
    int64_t number, size;
    double share;
    const char *text;
    int32_t flag;
    jv_list list;
    jv_map to;
};

static const jv_opt rows[] = {
    JV_OPTF(struct ctx, number, JV_PER_RECORD, "auto", "auto|1..64", ""),
    JV_OPTF(struct ctx, size, JV_PER_RECORD, "1K", "bytes 1..4G", ""),
    JV_OPTF(struct ctx, share, JV_PER_RECORD, "0.5", "0..2", ""),
    JV_OPTF(struct ctx, text, JV_PER_RECORD, "", "", ""),
    JV_OPTF(struct ctx, flag, JV_PER_RECORD, "no", "no|yes", ""),
    JV_OPTF(struct ctx, list, JV_PER_RECORD, "", "", ""),
    JV_OPTF(struct ctx, to, JV_PER_RECORD, "", "", ""),
    {0},
};

static void must(bool holds)
{
    if (!holds) abort();
}

static void check_text(const char *s, size_t n)
{
    must(strlen(s) == n && jvc_utf8_valid(s, n, NULL));
}

static void check_list(const jv_list *list)
{
    for (size_t i = 0; i < list->n; i++) check_text(list->v[i].p, list->v[i].n);
}

static void check_other_reader(const char *text, size_t n)
{
    json_error_t error;
    json_t *other = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    must(other || json_error_code(&error) == json_error_numeric_overflow);
    json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ctx section = {.number = 1, .text = "as it was"};
    static const char *const known[] = {"other", NULL};
    const struct jvc_params_of of = {rows, &section, sizeof section, known};
    const char *text = (const char *)data;
    struct jvc_arena mem = {0};
    struct jvc_json json;
    struct ctx c;
    jv_err err;
    if (jvc_json_read(&json, text, size, &mem, &err) == JV_OK) {
        check_other_reader(text, size);
        for (uint32_t i = 0; i < json.n; i++)
            if (json.v[i].text.p) check_text(json.v[i].text.p, json.v[i].text.n);
    } else {
        must(err.code == JV_BAD && *err.text);
    }
    int32_t rc = jvc_params_apply(&of, (jv_str){text, size}, &c, &mem, &err);
    must(rc == JV_OK || (rc == JV_BAD && jvc_utf8_valid(err.text, strlen(err.text), NULL)));
    check_text(c.text, strlen(c.text));
    check_list(&c.list);
    check_list(&c.to.key);
    check_list(&c.to.val);
    must(c.to.key.n == c.to.val.n && (c.flag == 0 || c.flag == 1) && c.share >= 0 && c.share <= 2);
    jvc_arena_free(&mem);
    return 0;
}
