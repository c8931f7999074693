/* option.c: see option.h. */
#include "option.h"

#include <string.h>

static bool is_path(const jv_opt *o)
{
    return jvc_range_path(o->range) > JVC_TEXT;
}

bool jvc_option_is_stdin(const jv_opt *o, jv_str path)
{
    return o->type == JV_OPT_LIST && jvc_range_path(o->range) == JVC_PATH_READ && path.n == 1 && *path.p == '-';
}

/* One text of n bytes: an option's value, an item of a list, a value of a map. */
static int32_t set_text(const jv_opt *o, jv_str *out, jv_str value, const char *dir, struct jvc_arena *mem, jv_err *err)
{
    size_t before = 0;
    if (is_path(o)) {
        if (memchr(value.p, '\n', value.n)) return jv_fail(err, JV_BAD, "a path of several lines");
        if (dir && value.n && value.p[0] != '/' && !jvc_option_is_stdin(o, value)) before = strlen(dir) + 1;
    }
    char *text = jvc_arena_get(mem, before + value.n + 1);
    if (!text) return jv_fail(err, JV_FATAL, "no memory for a value of %zu bytes", value.n);
    if (before) snprintf(text, before + 1, "%s/", dir);
    memcpy(text + before, value.p, value.n);
    text[before + value.n] = 0;
    *out = (jv_str){text, before + value.n};
    return JV_OK;
}

/* ---- lists ---- */

/* An item in quotes, which keep commas and blanks; "" within them is one quote. `at` stands behind the first quote and
 * goes behind the last. The text goes to `text`, which has room for it. */
static int32_t quoted_item(const char **at, char *text, size_t *n, jv_err *err)
{
    const char *s = *at;
    for (*n = 0; *s && *s != '\n'; text[(*n)++] = *s++) {
        if (*s != '"') continue;
        if (s[1] != '"') break;
        s++;
    }
    if (*s != '"') return jv_fail(err, JV_BAD, "a quote without its end");
    *at = s + 1;
    return JV_OK;
}

/* The next item, up to the separator, into `text`. *quoted: it stood in quotes. */
static int32_t next_item(const char **at, char separator, char *text, size_t *n, bool *quoted, jv_err *err)
{
    const char *s = *at + strspn(*at, " \t");
    *quoted = *s == '"';
    if (*quoted) {
        s++;
        if (quoted_item(&s, text, n, err) < 0) return JV_BAD;
        s += strspn(s, " \t");
        if (*s && *s != separator) return jv_fail(err, JV_BAD, "text after a closing quote");
    } else {
        const char *end = strchrnul(s, separator);
        *n = (size_t)(end - s);
        while (*n && strchr(" \t", s[*n - 1])) --*n;
        memcpy(text, s, *n);
        s = end;
    }
    *at = s;
    return JV_OK;
}

static size_t count(const char *s, char c)
{
    size_t n = 0;
    for (; (s = strchr(s, c)); s++) n++;
    return n;
}

/* Items are cut at line breaks when there are several lines, where empty lines are none; else at commas, where an
 * empty item is an error. */
static int32_t set_list(const jv_opt *o, jv_list *list, const char *value, const char *dir, struct jvc_arena *mem,
    jv_err *err)
{
    char separator = strchr(value, '\n') ? '\n' : ',';
    size_t n_text = 0, n = 0;
    bool quoted;
    *list = (jv_list){0};
    if (!value[strspn(value, " \t\n")]) return JV_OK;
    char *text = jvc_arena_get(mem, strlen(value) + 1);
    jv_str *v = jvc_arena_get(mem, (count(value, separator) + 1) * sizeof *v);
    if (!text || !v) return jv_fail(err, JV_FATAL, "no memory for a list");
    for (const char *at = value;; at++) {
        int32_t rc = next_item(&at, separator, text, &n_text, &quoted, err);
        if (rc < 0) return rc;
        if (quoted && !n_text && is_path(o)) return jv_fail(err, JV_BAD, "an empty path");
        if (n_text || quoted) {
            rc = set_text(o, &v[n], (jv_str){text, n_text}, dir, mem, err);
            if (rc < 0) return rc;
            n++;
        } else if (separator == ',') {
            return jv_fail(err, JV_BAD, "an empty item");
        }
        if (!*at) break;
    }
    *list = (jv_list){v, n};
    return JV_OK;
}

int32_t jvc_option_parse(const jv_opt *o, void *to, const char *value, const char *dir, struct jvc_arena *mem, jv_err *err)
{
    jv_str text;
    switch (o->type) {
    case JV_OPT_I64: return jvc_option_number(value, o->range, to, err);
    case JV_OPT_F64: return jvc_range_f64(value, o->range, to, err);
    case JV_OPT_CHOICE: return jvc_range_choice(value, o->range, to, err);
    case JV_OPT_LIST: return set_list(o, to, value, dir, mem, err);
    case JV_OPT_TEXT: {
        int32_t rc = set_text(o, &text, (jv_str){value, strlen(value)}, dir, mem, err);
        if (rc == JV_OK) *(const char **)to = text.p;
        return rc;
    }
    default: return jv_fail(err, JV_BAD, "type %d takes no single value", o->type);
    }
}

int32_t jvc_option_set(const jv_opt *o, void *ctx, struct jvc_conf *conf, const char *value, const char *dir, jv_err *err)
{
    return jvc_option_parse(o, (char *)ctx + o->offset, value, dir, &conf->mem, err);
}

/* ---- maps ---- */

bool jvc_option_has_key(const jv_opt *o, const char *key, size_t n)
{
    size_t len = strlen(o->name);
    if (n < len || memcmp(o->name, key, len)) return false;
    return n == len || (o->type == JV_OPT_MAP && key[len] == '.');
}

/* One entry NAME.KEY as the map's next. */
static bool map_entry(const jv_opt *o, struct jvc_conf *conf, const struct jvc_entry *e, jv_str *key, jv_str *val)
{
    const char *name = e->name + strlen(o->name) + 1;
    jv_err err;
    if (!jvc_name_ok(name, strlen(name))) {
        jvc_problem(conf, e->where, "`%s`: what follows `%s.` is letters, digits, _ and -", e->name, o->name);
        return false;
    }
    *key = (jv_str){name, strlen(name)};
    if (set_text(o, val, (jv_str){e->value, strlen(e->value)}, e->dir, &conf->mem, &err) == JV_OK) return true;
    jvc_problem(conf, e->where, "`%s`: %s", e->name, err.text);
    return false;
}

bool jvc_option_set_map(const jv_opt *o, void *ctx, struct jvc_conf *conf, struct jvc_section *sec)
{
    size_t n = 0, found = 0, len = strlen(o->name);
    bool ok = true;
    jv_str *key = jvc_arena_get(&conf->mem, sec->n * sizeof *key);
    jv_str *val = jvc_arena_get(&conf->mem, sec->n * sizeof *val);
    for (size_t i = 0; i < sec->n && key && val; i++) {
        struct jvc_entry *e = &sec->entries[i];
        if (!jvc_option_has_key(o, e->name, strlen(e->name))) continue;
        e->used = true;
        found++;
        if (!e->name[len]) jvc_problem(conf, e->where, "`%s` is a map: write `%s.KEY = value`", o->name, o->name);
        if (!e->name[len] || !e->value || !map_entry(o, conf, e, &key[n], &val[n]))
            ok = false; /* a value that could not be expanded was told */
        else
            n++;
    }
    if (!key || !val) jvc_problem(conf, sec->where, "`%s`: no memory for a map", o->name);
    if (key && val && !found && !o->def)
        jvc_problem(conf, sec->where, "[%s] needs `%s.KEY = value` at least once: %s", sec->name, o->name, o->help);
    jv_map *map = (jv_map *)(void *)((char *)ctx + o->offset);
    *map = (jv_map){{key, n}, {val, n}};
    return ok && key && val && (found || o->def);
}

/* ---- rows ---- */

static const struct {
    uint32_t size, align;
} members[] = {
    [JV_OPT_I64] = {sizeof(int64_t), _Alignof(int64_t)},
    [JV_OPT_F64] = {sizeof(double), _Alignof(double)},
    [JV_OPT_TEXT] = {sizeof(char *), _Alignof(char *)},
    [JV_OPT_CHOICE] = {sizeof(int32_t), _Alignof(int32_t)},
    [JV_OPT_LIST] = {sizeof(jv_list), _Alignof(jv_list)},
    [JV_OPT_REF] = {sizeof(jv_ref), _Alignof(jv_ref)},
    [JV_OPT_MAP] = {sizeof(jv_map), _Alignof(jv_map)},
};

size_t jvc_option_size(int32_t type)
{
    return type >= JV_OPT_I64 && type <= JV_OPT_MAP ? members[type].size : 0;
}

/* A record comes from outside: it names neither sections nor files. */
static int32_t check_flags(const jv_opt *o, jv_err *err)
{
    if (o->flags & ~(JV_PER_RECORD | JV_NEUTRAL))
        return jv_fail(err, JV_BAD, "option %s has flags %#x, the host knows %#x", o->name, o->flags,
            JV_PER_RECORD | JV_NEUTRAL);
    if ((o->flags & JV_PER_RECORD) && (o->type == JV_OPT_REF || is_path(o)))
        return jv_fail(err, JV_BAD, "option %s is JV_PER_RECORD: a record cannot name a %s", o->name,
            o->type == JV_OPT_REF ? "section" : "path");
    return JV_OK;
}

static int32_t check_default(const jv_opt *o, jv_err *err)
{
    _Alignas(16) char out[sizeof(jv_map)];
    struct jvc_arena mem = {0};
    jv_err why;
    if (!o->def || o->type == JV_OPT_REF) return JV_OK;
    if (o->type == JV_OPT_MAP && *o->def)
        return jv_fail(err, JV_BAD, "the default of option %s is \"%.60s\": a map has \"\" or none", o->name, o->def);
    if (o->type == JV_OPT_MAP) return JV_OK;
    int32_t rc = jvc_option_parse(o, out, o->def, NULL, &mem, &why);
    jvc_arena_free(&mem);
    return rc < 0 ? jv_fail(err, JV_BAD, "the default of option %s: %s", o->name, why.text) : JV_OK;
}

int32_t jvc_option_check(const jv_opt *o, uint32_t ctx_size, jv_err *err)
{
    size_t size = jvc_option_size(o->type);
    if (!jvc_name_ok(o->name, strlen(o->name)) || strlen(o->name) > JVC_NAME_MOST)
        return jv_fail(err, JV_BAD, "option `%.60s` has no name for a key: letters, digits, _ and -, at most %u",
            o->name, JVC_NAME_MOST);
    if (!size) return jv_fail(err, JV_BAD, "option %s has type %d, the host knows 1..%d", o->name, o->type, JV_OPT_MAP);
    if (!o->help) return jv_fail(err, JV_BAD, "option %s has no help", o->name);
    if (o->offset > ctx_size || ctx_size - o->offset < size)
        return jv_fail(err, JV_BAD, "option %s lies outside the context: %zu bytes at %u of %u", o->name, size,
            o->offset, ctx_size);
    if (o->offset % members[o->type].align)
        return jv_fail(err, JV_BAD, "option %s lies at %u, no multiple of %u", o->name, o->offset,
            members[o->type].align);
    if (!o->range || !jvc_range_ok(o->type, o->range))
        return jv_fail(err, JV_BAD, "the range of option %s, \"%.60s\", is none for its type", o->name,
            o->range ? o->range : "");
    int32_t rc = check_flags(o, err);
    return rc < 0 ? rc : check_default(o, err);
}

void jvc_option_describe(const jv_opt *o, char *text, size_t n)
{
    static const char *const what[] = {"text", "path", "path to read", "path or pattern to read", "path to write",
        "folder"};
    static const char *const many[] = {"texts", "paths", "paths to read", "paths and patterns to read",
        "paths to write", "folders"};
    int use = jvc_range_path(o->range);
    switch (o->type) {
    case JV_OPT_I64: snprintf(text, n, "whole number, %s", o->range); break;
    case JV_OPT_F64: snprintf(text, n, "number, %s", o->range); break;
    case JV_OPT_CHOICE: snprintf(text, n, "%s", o->range); break;
    case JV_OPT_TEXT: snprintf(text, n, "%s", what[use]); break;
    case JV_OPT_LIST: snprintf(text, n, "list of %s", use < 0 ? "patterns" : many[use]); break;
    case JV_OPT_MAP: snprintf(text, n, "%s.KEY: %s, one a key", o->name, what[use]); break;
    default: snprintf(text, n, "a section that offers %s", o->range);
    }
}
