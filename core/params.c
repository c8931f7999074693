/* params.c: see params.h. */
#include "params.h"
#include "json.h"
#include "option.h"

#include <string.h>

static const jv_opt *option_of(const jv_opt *opts, const char *name)
{
    for (const jv_opt *o = opts; o && o->name; o++)
        if (!strcmp(o->name, name)) return o;
    return NULL;
}

static bool is_known(const char *const *known, const char *name)
{
    while (*known && strcmp(*known, name)) known++;
    return *known;
}

static int32_t unknown_key(const struct jvc_params_of *of, const char *key, jv_err *err)
{
    struct jvc_nearest near = {.name = key};
    if (option_of(of->opts, key))
        return jv_fail(err, JV_BAD, "`%.60s` is for the INI file, not for a record to set", key);
    for (const jv_opt *o = of->opts; o && o->name; o++)
        if (o->flags & JV_PER_RECORD) jvc_nearest_try(&near, o->name);
    for (const char *const *k = of->known; *k; k++) jvc_nearest_try(&near, *k);
    return jv_fail(err, JV_BAD, "unknown key `%.60s`%s", key, jvc_nearest_hint(&near));
}

static bool is_text(const struct jvc_json_value *v)
{
    return v->type == JVC_JSON_STRING || v->type == JVC_JSON_NUMBER;
}

/* A number or string as the INI file would have it; true and false are yes and no where these are the words. */
static int32_t set_scalar(const jv_opt *o, const struct jvc_json_value *v, void *to, struct jvc_arena *mem, jv_err *err)
{
    bool truth = v->type == JVC_JSON_TRUE || v->type == JVC_JSON_FALSE;
    if (o->type != JV_OPT_CHOICE || !truth) {
        if (!is_text(v)) return jv_fail(err, JV_BAD, "wants a string or a number");
        return jvc_option_parse(o, to, v->text.p, NULL, mem, err);
    }
    const char *word = v->type == JVC_JSON_TRUE ? "yes" : "no";
    return jvc_option_parse(o, to, jvc_option_word(o->range, word) >= 0 ? word : v->text.p, NULL, mem, err);
}

/* The n texts behind v: its items or members. */
static int32_t set_texts(const struct jvc_json_value *v, jv_list *keys, jv_list *vals, struct jvc_arena *mem, jv_err *err)
{
    jv_str *val = jvc_arena_get(mem, v->n * sizeof *val), *key = keys ? jvc_arena_get(mem, v->n * sizeof *key) : NULL;
    if (!val || (keys && !key)) return jv_fail(err, JV_FATAL, "no memory for %u texts", v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        const struct jvc_json_value *item = v + 1 + i;
        if (!is_text(item)) return jv_fail(err, JV_BAD, "value %u in it is neither string nor number", i + 1);
        if (keys && !jvc_name_ok(item->key.p, item->key.n))
            return jv_fail(err, JV_BAD, "key %u in it is none: letters, digits, _ and -", i + 1);
        val[i] = item->text;
        if (keys) key[i] = item->key;
    }
    *vals = (jv_list){val, v->n};
    if (keys) *keys = (jv_list){key, v->n};
    return JV_OK;
}

static int32_t set_member(const jv_opt *o, const struct jvc_json_value *v, void *to, struct jvc_arena *mem, jv_err *err)
{
    if (o->type == JV_OPT_LIST) {
        if (v->type != JVC_JSON_ARRAY) return jv_fail(err, JV_BAD, "wants an array");
        return set_texts(v, NULL, to, mem, err);
    }
    if (o->type == JV_OPT_MAP) {
        jv_map *map = to;
        if (v->type != JVC_JSON_OBJECT) return jv_fail(err, JV_BAD, "wants an object");
        if (!v->n && !o->def) return jv_fail(err, JV_BAD, "wants at least one key");
        return set_texts(v, &map->key, &map->val, mem, err);
    }
    return set_scalar(o, v, to, mem, err);
}

static int32_t apply_one(const struct jvc_params_of *of, const struct jvc_json_value *v, void *into,
    struct jvc_arena *mem, jv_err *err)
{
    const jv_opt *o = option_of(of->opts, v->key.p);
    jv_err why;
    if (!o || !(o->flags & JV_PER_RECORD))
        return is_known(of->known, v->key.p) ? JV_OK : unknown_key(of, v->key.p, err);
    if (v->type == JVC_JSON_NULL) return JV_OK;
    int32_t rc = set_member(o, v, (char *)into + o->offset, mem, &why);
    return rc < 0 ? jv_fail(err, rc, "`%s`: %s", o->name, why.text) : JV_OK;
}

int32_t jvc_params_apply(const struct jvc_params_of *of, jv_str params, void *into, struct jvc_arena *mem, jv_err *err)
{
    struct jvc_json json;
    jv_err why;
    memset(into, 0, of->ctx_size);
    for (const jv_opt *o = of->opts; o && o->name; o++)
        memcpy((char *)into + o->offset, (const char *)of->ctx + o->offset, jvc_option_size(o->type));
    if (!params.p) return JV_OK;
    int32_t rc = jvc_json_read(&json, params.p, params.n, mem, &why);
    for (uint32_t i = 0; rc == JV_OK && i < json.n; i += 1 + json.v[i].n)
        rc = apply_one(of, &json.v[i], into, mem, &why);
    if (rc == JV_OK) return JV_OK;
    jv_fail(err, rc, "params: %s", why.text);
    jvc_make_printable(err->text);
    return rc;
}
