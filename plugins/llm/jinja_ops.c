/* jinja_ops.c: what operators do with values: truth, equality, order, attributes, items, slices. As Python has it. */
#include "jinja_impl.h"

#include <string.h>

/* ---- lists and maps ---- */

list *jj_new_list(job *j, size_t n, int kind)
{
    list *l = jj_array(j, 1, sizeof *l);
    l->v = jj_array(j, n, sizeof *l->v);
    l->n = n;
    l->kind = kind;
    return l;
}

value jj_list_value(list *l)
{
    return (value){.type = V_LIST, .list = l};
}

value jj_pair(job *j, value a, value b)
{
    list *l = jj_new_list(j, 2, K_TUPLE);
    l->v[0] = a;
    l->v[1] = b;
    return jj_list_value(l);
}

map *jj_new_map(job *j, size_t n)
{
    map *m = jj_array(j, 1, sizeof *m);
    m->key = jj_array(j, n, sizeof *m->key);
    m->v = jj_array(j, n, sizeof *m->v);
    m->cap = n;
    return m;
}

const value *jj_map_get(job *j, const map *m, value key)
{
    if (key.type == V_MAP || (key.type == V_LIST && key.list->kind == K_LIST))
        jj_fail(j, "%s cannot be a key", jj_type_name(key));
    jj_tick(j, m->n / 32);
    for (size_t i = 0; i < m->n; i++)
        if (jj_equal(j, m->key[i], key)) return &m->v[i];
    return NULL;
}

/* Only for maps being made, and for namespaces. */
void jj_map_set(job *j, map *m, value key, value v)
{
    value *old = (value *)jj_map_get(j, m, key);
    if (old) {
        *old = v;
        return;
    }
    if (m->n == m->cap) {
        size_t cap = m->cap > 0 ? 2 * m->cap : 4;
        map *larger = jj_new_map(j, cap);
        if (m->n > 0) {
            memcpy(larger->key, m->key, m->n * sizeof *m->key);
            memcpy(larger->v, m->v, m->n * sizeof *m->v);
        }
        m->key = larger->key;
        m->v = larger->v;
        m->cap = cap;
    }
    m->key[m->n] = key;
    m->v[m->n++] = v;
}

const list *jj_items(job *j, value v)
{
    if (v.type == V_LIST && v.list->kind != K_GENERATOR) return v.list;
    list *l = NULL;
    if (v.type == V_UNDEFINED) return jj_new_list(j, 0, K_LIST);
    if (v.type == V_LIST) {
        l = jj_new_list(j, 0, K_LIST);
        l->v = v.list->v;
        l->n = v.list->n;
        v.list->n = 0;
    } else if (v.type == V_MAP) {
        l = jj_new_list(j, 0, K_LIST);
        l->v = v.map->key;
        l->n = v.map->n;
    } else if (v.type == V_STRING) {
        jj_tick(j, v.s->n / 8);
        l = jj_new_list(j, jj_length(*v.s), K_LIST);
        uint32_t c;
        for (size_t i = 0, at = 0, len; i < l->n; i++, at += len) {
            len = jj_next(*v.s, at, &c);
            l->v[i] = jj_string(j, jj_sub(*v.s, at, at + len));
        }
    } else {
        jj_fail(j, "%s cannot be iterated over", jj_type_name(v));
    }
    return l;
}

/* ---- truth, equality, order ---- */

bool jj_true(value v)
{
    switch (v.type) {
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v.b;
    case V_INT: return v.i != 0;
    case V_FLOAT: return v.d != 0;
    case V_STRING: return v.s->n > 0;
    case V_LIST: return v.list->kind == K_GENERATOR || v.list->n > 0;
    case V_MAP: return v.map->n > 0;
    default: return true;
    }
}

bool jj_as_int(value v, int64_t *i)
{
    if (v.type == V_INT)
        *i = v.i;
    else if (v.type == V_BOOL)
        *i = v.b;
    else
        return false;
    return true;
}

bool jj_as_double(value v, double *d)
{
    int64_t i;
    if (v.type == V_FLOAT)
        *d = v.d;
    else if (jj_as_int(v, &i))
        *d = (double)i;
    else
        return false;
    return true;
}

/* 2 when they have no order (NaN). long double holds each int64 and each double exactly. */
static int compare_numbers(value a, value b)
{
    int64_t i = 0, k = 0;
    long double x = jj_as_int(a, &i) ? (long double)i : a.d, y = jj_as_int(b, &k) ? (long double)k : b.d;
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

static bool is_number(value v)
{
    return v.type == V_BOOL || v.type == V_INT || v.type == V_FLOAT;
}

static bool equal_lists(job *j, const list *a, const list *b)
{
    if (a == b) return true;
    if (a->kind != b->kind || a->n != b->n || a->kind > K_RANGE) return false;
    jj_tick(j, a->n / 16);
    for (size_t i = 0; i < a->n; i++)
        if (!jj_equal(j, a->v[i], b->v[i])) return false;
    return true;
}

static bool equal_maps(job *j, const map *a, const map *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        const value *v = jj_map_get(j, b, a->key[i]);
        if (!v || !jj_equal(j, a->v[i], *v)) return false;
    }
    return true;
}

bool jj_equal(job *j, value a, value b)
{
    if (is_number(a) && is_number(b)) return compare_numbers(a, b) == 0;
    if (a.type != b.type) return false;
    if (a.type == V_STRING) {
        jj_touch(j, a.s->n);
        return jj_same(*a.s, *b.s);
    }
    if (a.type == V_NONE || a.type == V_UNDEFINED) return true;
    if (a.type != V_LIST && a.type != V_MAP) return a.list == b.list; /* the same thing? */
    jj_tick(j, 1);
    jj_enter(j);
    bool equal = a.type == V_LIST ? equal_lists(j, a.list, b.list) : equal_maps(j, a.map, b.map);
    j->depth--;
    return equal;
}

int jj_compare(job *j, value a, value b)
{
    jj_tick(j, 1);
    if (is_number(a) && is_number(b)) return compare_numbers(a, b);
    if (a.type == V_STRING && b.type == V_STRING) { /* the order of UTF-8 is that of code points */
        size_t n = a.s->n < b.s->n ? a.s->n : b.s->n;
        jj_touch(j, n);
        int order = n > 0 ? memcmp(a.s->p, b.s->p, n) : 0;
        return order != 0 ? (order < 0 ? -1 : 1) : (a.s->n > b.s->n) - (a.s->n < b.s->n);
    }
    if (a.type != V_LIST || b.type != V_LIST || a.list->kind != b.list->kind || a.list->kind > K_TUPLE)
        jj_fail(j, "%s and %s have no order", jj_type_name(a), jj_type_name(b));
    size_t n = a.list->n < b.list->n ? a.list->n : b.list->n, i = 0;
    while (i < n && jj_equal(j, a.list->v[i], b.list->v[i])) i++;
    if (i == n) return (a.list->n > n) - (b.list->n > n);
    jj_enter(j);
    int order = jj_compare(j, a.list->v[i], b.list->v[i]);
    j->depth--;
    return order;
}

bool jj_contains(job *j, value container, value v)
{
    if (container.type == V_MAP) return jj_map_get(j, container.map, v) != NULL;
    if (container.type == V_STRING) {
        if (v.type != V_STRING) jj_fail(j, "%s cannot be in a string", jj_type_name(v));
        jj_touch(j, container.s->n);
        return v.s->n == 0 || (container.s->n > 0 && memmem(container.s->p, container.s->n, v.s->p, v.s->n));
    }
    const list *items = jj_items(j, container);
    jj_tick(j, items->n / 32);
    for (size_t i = 0; i < items->n; i++)
        if (jj_equal(j, items->v[i], v)) return true;
    return false;
}

/* ---- attributes, items, slices ---- */

bool jj_is_sequence(value v)
{
    return v.type == V_STRING || (v.type == V_LIST && v.list->kind <= K_TUPLE);
}

static value undefined(job *j, text name)
{
    value v = jj_string(j, name);
    v.type = V_UNDEFINED;
    return v;
}

static value loop_attribute(job *j, const loop *l, text name)
{
    const list *items = l->items;
    int64_t i = (int64_t)l->i, n = (int64_t)items->n;
    if (jj_is(name, "index")) return jj_int(i + 1);
    if (jj_is(name, "index0")) return jj_int(i);
    if (jj_is(name, "revindex")) return jj_int(n - i);
    if (jj_is(name, "revindex0")) return jj_int(n - i - 1);
    if (jj_is(name, "first")) return jj_bool(i == 0);
    if (jj_is(name, "last")) return jj_bool(i + 1 == n);
    if (jj_is(name, "length")) return jj_int(n);
    if (jj_is(name, "depth")) return jj_int(1);
    if (jj_is(name, "depth0")) return jj_int(0);
    if (jj_is(name, "previtem")) return i > 0 ? items->v[i - 1] : undefined(j, name);
    if (jj_is(name, "nextitem")) return i + 1 < n ? items->v[i + 1] : undefined(j, name);
    if (jj_is(name, "changed")) jj_fail(j, "loop.changed is not supported");
    return undefined(j, name);
}

static bool find_method(job *j, value v, text name, value *out)
{
    const builtin *fn = jj_find_method(v, name);
    if (!fn) return false;
    method *m = jj_array(j, 1, sizeof *m);
    *m = (method){v, fn};
    *out = (value){.type = V_METHOD, .method = m};
    return true;
}

value jj_get_attr(job *j, value v, text name)
{
    if (v.type == V_UNDEFINED) jj_fail(j, "\"%.*s\" is undefined, so it has no \"%.*s\"", JJ_SHOW(*v.s), JJ_SHOW(name));
    value out;
    if (find_method(j, v, name, &out)) return out;
    if (v.type == V_LOOP) return loop_attribute(j, v.loop, name);
    if (v.type != V_MAP && v.type != V_NAMESPACE) return undefined(j, name);
    text key = name;
    const value *found = jj_map_get(j, v.map, (value){.type = V_STRING, .s = &key});
    return found ? *found : undefined(j, name);
}

/* The index of an item of n, counted from the end when negative. */
static bool index_of(value key, size_t n, size_t *i)
{
    int64_t k;
    if (!jj_as_int(key, &k)) return false;
    if (k < 0) k += (int64_t)n;
    *i = (size_t)k;
    return k >= 0 && (size_t)k < n;
}

value jj_get_item(job *j, value v, value key)
{
    size_t i;
    bool hashable = key.type != V_MAP && (key.type != V_LIST || key.list->kind != K_LIST);
    if (v.type == V_UNDEFINED) jj_fail(j, "\"%.*s\" is undefined, so it has no items", JJ_SHOW(*v.s));
    if (v.type == V_MAP && hashable) {
        const value *found = jj_map_get(j, v.map, key);
        if (found) return *found;
    } else if (v.type == V_LIST && v.list->kind <= K_RANGE) {
        if (index_of(key, v.list->n, &i)) return v.list->v[i];
    } else if (v.type == V_STRING && key.type != V_STRING) {
        jj_walk(j, v.s->n);
        if (index_of(key, jj_length(*v.s), &i)) {
            size_t at = jj_offset(*v.s, i);
            uint32_t c;
            return jj_string(j, jj_sub(*v.s, at, at + jj_next(*v.s, at, &c)));
        }
    }
    value out;
    if (key.type != V_STRING) return undefined(j, jj_sub((text){"item", (const uint8_t *)"\1\1\1\1", 4}, 0, 4));
    if (v.type == V_NAMESPACE || v.type == V_LOOP) return jj_get_attr(j, v, *key.s);
    return find_method(j, v, *key.s, &out) ? out : undefined(j, *key.s);
}

/* A part of a slice brought into low..high. */
static int64_t slice_part(job *j, value part, int64_t absent, size_t n, int64_t low, int64_t high)
{
    int64_t i;
    if (!jj_given(part) || part.type == V_NONE) return absent;
    if (!jj_as_int(part, &i)) jj_fail(j, "a slice goes by integers, not by %s", jj_type_name(part));
    if (i < 0) i = i < -(int64_t)n ? low : i + (int64_t)n;
    return i < low ? low : i > high ? high : i;
}

value jj_slice(job *j, value v, const value part[3])
{
    bool is_text = v.type == V_STRING;
    if (!jj_is_sequence(v)) jj_fail(j, "%s cannot be sliced", jj_type_name(v));
    size_t n = is_text ? jj_length(*v.s) : v.list->n;
    jj_walk(j, is_text ? v.s->n : 4 * n);
    int64_t step = 1, end = (int64_t)n;
    if (jj_given(part[2]) && part[2].type != V_NONE && !jj_as_int(part[2], &step))
        jj_fail(j, "a slice goes by integers, not by %s", jj_type_name(part[2]));
    if (step == 0) jj_fail(j, "a slice with step 0");
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? end - 1 : end;
    int64_t from = slice_part(j, part[0], step < 0 ? high : low, n, low, high);
    int64_t to = slice_part(j, part[1], step < 0 ? low : high, n, low, high);
    uint64_t stride = step < 0 ? 0 - (uint64_t)step : (uint64_t)step, count = 0;
    if (step > 0 && from < to) count = (uint64_t)(to - from - 1) / stride + 1;
    if (step < 0 && from > to) count = (uint64_t)(from - to - 1) / stride + 1;
    if (is_text && step == 1) {
        size_t at = jj_offset(*v.s, (size_t)from);
        text rest = jj_sub(*v.s, at, v.s->n);
        return jj_string(j, jj_sub(rest, 0, jj_offset(rest, count)));
    }
    const list *items = is_text ? jj_items(j, v) : v.list;
    list *l = jj_new_list(j, count, is_text ? K_LIST : items->kind);
    for (size_t i = 0; i < count; i++) l->v[i] = items->v[from + (int64_t)i * step];
    return is_text ? jj_join(j, jj_sub(*v.s, 0, 0), l) : jj_list_value(l);
}
