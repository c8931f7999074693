/*
 * jinja_methods.c: the methods of strings and dicts, and the functions range, dict, namespace and raise_exception.
 * The names of methods that Python has and this file lacks stand in the tables too: Python finds them before a key
 * of the same name, so they are defined, and calling one is an error that says so.
 */
#include "jinja_impl.h"

#include <string.h>

/* ---- strings ---- */

static bool strips(call *c, uint32_t code)
{
    if (!jj_given(c->a[0]) || c->a[0].type == V_NONE) return jj_is_space(code);
    text set = jj_arg_text(c, 0);
    jj_walk(c->j, set.n);
    for (size_t i = 0; i < set.n;) {
        uint32_t in_set;
        i += jj_next(set, i, &in_set);
        if (in_set == code) return true;
    }
    return false;
}

value jj_strip(call *c, int sides)
{
    text t = *c->self.s;
    uint32_t code;
    size_t before = t.n;
    while ((sides & 1) && t.n > 0) {
        size_t len = jj_next(t, 0, &code);
        if (!strips(c, code)) break;
        t = jj_sub(t, len, t.n);
    }
    while ((sides & 2) && t.n > 0) {
        size_t at = t.n - 1;
        while (at > 0 && ((unsigned char)t.p[at] & 0xc0) == 0x80) at--;
        if (jj_next(t, at, &code) != t.n - at) { /* no character: the last byte alone */
            at = t.n - 1;
            code = 0xfffd;
        }
        if (!strips(c, code)) break;
        t = jj_sub(t, 0, at);
    }
    jj_walk(c->j, before - t.n);
    return jj_string(c->j, t);
}

static value strip(call *c)
{
    return jj_strip(c, 3);
}
static value lstrip(call *c)
{
    return jj_strip(c, 1);
}
static value rstrip(call *c)
{
    return jj_strip(c, 2);
}

static value upper(call *c)
{
    return jj_change_case(c->j, *c->self.s, CASE_UPPER);
}
static value lower(call *c)
{
    return jj_change_case(c->j, *c->self.s, CASE_LOWER);
}
static value title(call *c)
{
    return jj_change_case(c->j, *c->self.s, CASE_TITLE);
}
static value capitalize(call *c)
{
    return jj_change_case(c->j, *c->self.s, CASE_CAPITAL);
}

/* Where `what` first stands in t at or after `at`; SIZE_MAX: nowhere. */
static size_t find_from(text t, text what, size_t at)
{
    if (what.n == 0) return at;
    const char *p = t.n > at ? memmem(t.p + at, t.n - at, what.p, what.n) : NULL;
    return p ? (size_t)(p - t.p) : SIZE_MAX;
}

value jj_replace(call *c)
{
    text t = *c->self.s, old = jj_arg_text(c, 0), new = jj_arg_text(c, 1);
    int64_t left = jj_arg_int(c, 2, -1);
    jj_touch(c->j, t.n);
    buf b = {.j = c->j};
    size_t at = 0;
    while (left != 0) {
        size_t found = find_from(t, old, at);
        if (found == SIZE_MAX) break;
        jj_tick(c->j, 1);
        jj_put(&b, jj_sub(t, at, found));
        jj_put(&b, new);
        at = found + old.n;
        left -= left > 0;
        if (old.n > 0) continue;
        if (at == t.n) break; /* nothing stands between all characters and at both ends */
        uint32_t code;
        size_t len = jj_next(t, at, &code);
        jj_put(&b, jj_sub(t, at, at + len));
        at += len;
    }
    jj_put(&b, jj_sub(t, at, t.n));
    return jj_string(c->j, jj_text(&b));
}

static void append(job *j, list *l, size_t *cap, text t)
{
    if (l->n == *cap) {
        *cap = *cap > 0 ? 2 * *cap : 8;
        value *v = jj_array(j, *cap, sizeof *v);
        if (l->n > 0) memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
    }
    l->v[l->n++] = jj_string(j, t);
}

/* At white space: the next word of t from *at on; false: no more. */
static bool next_word(text t, size_t *at, size_t *start, size_t *end)
{
    uint32_t code;
    size_t len;
    for (; *at < t.n; *at += len) {
        len = jj_next(t, *at, &code);
        if (!jj_is_space(code)) break;
    }
    *start = *at;
    for (; *at < t.n; *at += len) {
        len = jj_next(t, *at, &code);
        if (jj_is_space(code)) break;
    }
    *end = *at;
    return *end > *start;
}

static value split(call *c)
{
    text t = *c->self.s;
    bool words = !jj_given(c->a[0]) || c->a[0].type == V_NONE;
    text separator = words ? t : jj_arg_text(c, 0);
    int64_t left = jj_arg_int(c, 1, -1);
    if (!words && separator.n == 0) jj_fail(c->j, "\"split\" at an empty string");
    jj_walk(c->j, t.n);
    list *l = jj_new_list(c->j, 0, K_LIST);
    size_t cap = 0, at = 0, start, end;
    if (!words) {
        while (left != 0 && (end = find_from(t, separator, at)) != SIZE_MAX) {
            append(c->j, l, &cap, jj_sub(t, at, end));
            at = end + separator.n;
            left -= left > 0;
        }
        append(c->j, l, &cap, jj_sub(t, at, t.n));
        return jj_list_value(l);
    }
    while (next_word(t, &at, &start, &end)) {
        if (left == 0) { /* all the rest */
            append(c->j, l, &cap, jj_sub(t, start, t.n));
            break;
        }
        append(c->j, l, &cap, jj_sub(t, start, end));
        left -= left > 0;
    }
    return jj_list_value(l);
}

static bool has_end(call *c, text end, bool at_start)
{
    text t = *c->self.s;
    if (end.n > t.n) return false;
    jj_touch(c->j, end.n);
    return end.n == 0 || memcmp(at_start ? t.p : t.p + t.n - end.n, end.p, end.n) == 0;
}

/* Of one string, or of any in a tuple. */
static value has_ends(call *c, bool at_start)
{
    if (c->a[0].type != V_LIST || c->a[0].list->kind != K_TUPLE)
        return jj_bool(has_end(c, jj_arg_text(c, 0), at_start));
    const list *l = c->a[0].list;
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].type != V_STRING) jj_fail(c->j, "\"%s\" wants strings, not %s", c->name, jj_type_name(l->v[i]));
        if (has_end(c, *l->v[i].s, at_start)) return jj_bool(true);
    }
    return jj_bool(false);
}

static value startswith(call *c)
{
    return has_ends(c, true);
}
static value endswith(call *c)
{
    return has_ends(c, false);
}

static value find(call *c)
{
    text t = *c->self.s;
    jj_walk(c->j, t.n);
    size_t at = find_from(t, jj_arg_text(c, 0), 0);
    return jj_int(at == SIZE_MAX ? -1 : (int64_t)jj_length(jj_sub(t, 0, at)));
}

value jj_join(job *j, text separator, const list *items)
{
    buf b = {.j = j};
    for (size_t i = 0; i < items->n; i++) {
        jj_tick(j, 1);
        if (items->v[i].type != V_STRING) jj_fail(j, "\"join\" of %s; it wants strings", jj_type_name(items->v[i]));
        if (i > 0) jj_put(&b, separator);
        jj_put(&b, *items->v[i].s);
    }
    return jj_string(j, jj_text(&b));
}

static value join(call *c)
{
    return jj_join(c->j, *c->self.s, jj_items(c->j, c->a[0]));
}

static const builtin of_strings[] = {
    {"capitalize", capitalize, "", 0},
    {"endswith", endswith, "suffix", 1},
    {"find", find, "sub", 1},
    {"join", join, "iterable", 1},
    {"lower", lower, "", 0},
    {"lstrip", lstrip, "chars", 0},
    {"replace", jj_replace, "old new count", 2},
    {"rstrip", rstrip, "chars", 0},
    {"split", split, "sep maxsplit", 0},
    {"startswith", startswith, "prefix", 1},
    {"strip", strip, "chars", 0},
    {"title", title, "", 0},
    {"upper", upper, "", 0},
    {"casefold", 0},
    {"center", 0},
    {"count", 0},
    {"encode", 0},
    {"expandtabs", 0},
    {"format", 0},
    {"format_map", 0},
    {"index", 0},
    {"isalnum", 0},
    {"isalpha", 0},
    {"isascii", 0},
    {"isdecimal", 0},
    {"isdigit", 0},
    {"isidentifier", 0},
    {"islower", 0},
    {"isnumeric", 0},
    {"isprintable", 0},
    {"isspace", 0},
    {"istitle", 0},
    {"isupper", 0},
    {"ljust", 0},
    {"maketrans", 0},
    {"partition", 0},
    {"removeprefix", 0},
    {"removesuffix", 0},
    {"rfind", 0},
    {"rindex", 0},
    {"rjust", 0},
    {"rpartition", 0},
    {"rsplit", 0},
    {"splitlines", 0},
    {"swapcase", 0},
    {"translate", 0},
    {"zfill", 0},
    {NULL, 0},
};

/* ---- dicts, lists, loops ---- */

static value view(call *c, int kind)
{
    const map *m = c->self.map;
    list *l = jj_new_list(c->j, m->n, kind);
    jj_tick(c->j, m->n / 16);
    for (size_t i = 0; i < m->n; i++)
        l->v[i] = kind == K_KEYS ? m->key[i] : kind == K_VALUES ? m->v[i] : jj_pair(c->j, m->key[i], m->v[i]);
    return jj_list_value(l);
}

static value keys(call *c)
{
    return view(c, K_KEYS);
}
static value values(call *c)
{
    return view(c, K_VALUES);
}
static value items(call *c)
{
    return view(c, K_ITEMS);
}

static value get(call *c)
{
    const value *v = jj_map_get(c->j, c->self.map, c->a[0]);
    return v ? *v : jj_given(c->a[1]) ? c->a[1] : jj_none();
}

static const builtin of_dicts[] = {
    {"get", get, "key default", 1},
    {"items", items, "", 0},
    {"keys", keys, "", 0},
    {"values", values, "", 0},
    {"copy", 0},
    {"fromkeys", 0},
    {NULL, 0},
};

static const builtin of_lists[] = {{"copy", 0}, {"count", 0}, {"index", 0}, {NULL, 0}};

static value cycle(call *c)
{
    if (c->n == 0 || c->n_kw > 0) jj_fail(c->j, "\"cycle\" wants the values to go through");
    return c->arg[c->self.loop->i % c->n];
}

static const builtin of_loops[] = {{"cycle", cycle, NULL, 0}, {NULL, 0}};

/* What would change a value (list.append, dict.update, ...) is no method here: undefined, as in Jinja's sandbox. */
const builtin *jj_find_method(value self, text name)
{
    switch (self.type) {
    case V_STRING: return jj_find(of_strings, name);
    case V_MAP: return jj_find(of_dicts, name);
    case V_LIST: return self.list->kind <= K_TUPLE ? jj_find(of_lists, name) : NULL;
    case V_LOOP: return jj_find(of_loops, name);
    default: return NULL;
    }
}

/* ---- functions ---- */

static value range(call *c)
{
    int64_t start = jj_arg_int(c, 0, 0), stop = jj_arg_int(c, 1, 0), step = jj_arg_int(c, 2, 1);
    if (!jj_given(c->a[1])) {
        stop = start;
        start = 0;
    }
    if (step == 0) jj_fail(c->j, "\"range\" with step 0");
    uint64_t span = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    uint64_t n = (step > 0 ? start < stop : start > stop) ? (span - 1) / stride + 1 : 0;
    if (n > JJ_MAX_RANGE) jj_fail(c->j, "\"range\" of %llu numbers, more than %d", (unsigned long long)n, JJ_MAX_RANGE);
    jj_tick(c->j, n / 16);
    list *l = jj_new_list(c->j, n, K_RANGE);
    l->start = start;
    l->stop = stop;
    l->step = step;
    for (size_t i = 0; i < n; i++) l->v[i] = jj_int(start + (int64_t)i * step);
    return jj_list_value(l);
}

/* From a dict or a list of pairs, and arguments by name. */
static value make_map(call *c, int type)
{
    map *m = jj_new_map(c->j, c->n_kw);
    if (c->n > 1) jj_fail(c->j, "\"%s\" takes one argument by position, not %zu", c->name, c->n);
    const list *from = c->n == 1 ? jj_items(c->j, c->arg[0]) : NULL;
    for (size_t i = 0; from && i < from->n; i++) {
        if (c->arg[0].type == V_MAP) {
            jj_map_set(c->j, m, from->v[i], c->arg[0].map->v[i]);
            continue;
        }
        const list *pair = jj_items(c->j, from->v[i]);
        if (pair->n != 2) jj_fail(c->j, "\"%s\" wants pairs, not %zu values", c->name, pair->n);
        jj_map_set(c->j, m, pair->v[0], pair->v[1]);
    }
    for (size_t i = 0; i < c->n_kw; i++) jj_map_set(c->j, m, jj_string(c->j, c->kw[i]), c->arg[c->n + i]);
    return (value){.type = type, .map = m};
}

static value dict(call *c)
{
    return make_map(c, V_MAP);
}
static value namespace(call *c)
{
    return make_map(c, V_NAMESPACE);
}

static value raise_exception(call *c)
{
    text message = jj_str(c->j, c->a[0]);
    jj_fail(c->j, "%.*s", (int)(message.n < 400 ? message.n : 400), message.n > 0 ? message.p : "");
}

static value unsupported(call *c)
{
    jj_fail(c->j, "the function \"%s\" is not supported", c->name);
}

const builtin jj_functions[] = {
    {"range", range, "start stop step", 1},
    {"dict", dict, NULL, 0},
    {"namespace", namespace, NULL, 0},
    {"raise_exception", raise_exception, "message", 1},
    {"strftime_now", jj_strftime_now, "format", 1},
    {"lipsum", unsupported, NULL, 0},
    {"cycler", unsupported, NULL, 0},
    {"joiner", unsupported, NULL, 0},
    {NULL, NULL, NULL, 0},
};
