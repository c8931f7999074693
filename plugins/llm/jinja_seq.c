/* jinja_seq.c: the filters on sequences. What is lazy in Python (map, select, unique, ...) is a generator here
 * too: true even when empty, without a length, and empty once it was gone over; but its items are made at once. */
#include "jinja_seq.h"

#include <string.h>

/* ---- attributes by path, "a.0.b" ---- */

static value part_of(job *j, value v, text part)
{
    int64_t i = 0;
    bool digits = part.n > 0 && part.n < 18;
    for (size_t k = 0; k < part.n && digits; k++) {
        digits = part.p[k] >= '0' && part.p[k] <= '9';
        i = 10 * i + (part.p[k] - '0');
    }
    return jj_get_item(j, v, digits ? jj_int(i) : jj_string(j, part));
}

/* What sort, map, ... look at in an item: its attribute when one is named, in lower case unless case matters. */
typedef struct getter {
    job *j;
    value attribute; /* absent or none: the item itself */
    value absent;    /* stands for what is undefined, when given */
    bool ignore_case;
} getter;

static value get_path(const getter *g, value item, text path)
{
    for (size_t at = 0; at <= path.n;) {
        const char *dot = path.n > at ? memchr(path.p + at, '.', path.n - at) : NULL;
        size_t end = dot ? (size_t)(dot - path.p) : path.n;
        item = part_of(g->j, item, jj_sub(path, at, end));
        if (item.type == V_UNDEFINED && jj_given(g->absent)) item = g->absent;
        at = end + 1;
    }
    return item;
}

static value get(const getter *g, value item)
{
    if (g->attribute.type == V_STRING)
        item = get_path(g, item, *g->attribute.s);
    else if (jj_given(g->attribute) && g->attribute.type != V_NONE)
        item = jj_get_item(g->j, item, g->attribute);
    if (g->ignore_case && item.type == V_STRING) item = jj_change_case(g->j, *item.s, CASE_LOWER);
    return item;
}

/* The key to sort by: a tuple when the attribute is several, "age,name". */
static value get_sort_key(const getter *g, value item)
{
    if (g->attribute.type != V_STRING || g->attribute.s->n == 0 || !memchr(g->attribute.s->p, ',', g->attribute.s->n))
        return get(g, item);
    text path = *g->attribute.s;
    size_t n = 1;
    for (size_t i = 0; i < path.n; i++) n += path.p[i] == ',';
    list *keys = jj_new_list(g->j, n, K_TUPLE);
    for (size_t i = 0, at = 0; i < n; i++) {
        const char *comma = at < path.n ? memchr(path.p + at, ',', path.n - at) : NULL;
        size_t end = comma ? (size_t)(comma - path.p) : path.n;
        getter one = *g;
        one.attribute = jj_string(g->j, jj_sub(path, at, end));
        keys->v[i] = get(&one, item);
        at = end + 1;
    }
    return jj_list_value(keys);
}

static getter getter_of(call *c, value case_sensitive, value attribute)
{
    return (getter){c->j, attribute, {.type = V_ABSENT}, !jj_given(case_sensitive) || !jj_true(case_sensitive)};
}

static value undefined(call *c, const char *what)
{
    value v = jj_literal(c->j, what);
    v.type = V_UNDEFINED;
    return v;
}

/* ---- the whole ---- */

value jj_seq_length(call *c)
{
    value v = c->self;
    if (v.type == V_UNDEFINED) return jj_int(0);
    if (v.type == V_LOOP) return jj_int((int64_t)v.loop->items->n);
    if (v.type == V_MAP) return jj_int((int64_t)v.map->n);
    if (v.type == V_LIST && v.list->kind != K_GENERATOR) return jj_int((int64_t)v.list->n);
    if (v.type != V_STRING) jj_fail(c->j, "%s has no length", jj_type_name(v));
    jj_walk(c->j, v.s->n);
    return jj_int((int64_t)jj_length(*v.s));
}

value jj_seq_first(call *c)
{
    if (c->self.type == V_LIST && c->self.list->kind == K_GENERATOR && c->self.list->n > 0) {
        c->self.list->n--;
        return *c->self.list->v++;
    }
    const list *l = jj_items(c->j, c->self);
    return l->n > 0 ? l->v[0] : undefined(c, "first");
}

value jj_seq_last(call *c)
{
    if (c->self.type == V_LIST && c->self.list->kind == K_GENERATOR)
        jj_fail(c->j, "a generator has no last item; use |list|last");
    const list *l = jj_items(c->j, c->self);
    return l->n > 0 ? l->v[l->n - 1] : undefined(c, "last");
}

static list *copy(call *c, int kind)
{
    const list *from = jj_items(c->j, c->self);
    jj_tick(c->j, from->n / 16);
    list *l = jj_new_list(c->j, from->n, kind);
    if (l->n > 0) memcpy(l->v, from->v, l->n * sizeof *l->v);
    return l;
}

value jj_seq_list(call *c)
{
    return jj_list_value(copy(c, K_LIST));
}

value jj_seq_items(call *c)
{
    if (c->self.type != V_UNDEFINED && c->self.type != V_MAP) jj_fail(c->j, "\"items\" of %s", jj_type_name(c->self));
    list *l = copy(c, K_GENERATOR);
    for (size_t i = 0; i < l->n; i++) l->v[i] = jj_pair(c->j, l->v[i], c->self.map->v[i]);
    return jj_list_value(l);
}

value jj_seq_reverse(call *c)
{
    bool was_generator = c->self.type == V_LIST && c->self.list->kind == K_GENERATOR;
    list *l = copy(c, was_generator ? K_LIST : K_GENERATOR);
    for (size_t i = 0; i < l->n / 2; i++) {
        value v = l->v[i];
        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
    return c->self.type == V_STRING ? jj_join(c->j, (text){"", (const uint8_t *)"", 0}, l) : jj_list_value(l);
}

value jj_seq_join(call *c)
{
    getter g = {.j = c->j, .attribute = c->a[1]};
    list *l = copy(c, K_LIST);
    for (size_t i = 0; i < l->n; i++) l->v[i] = jj_string(c->j, jj_str(c->j, get(&g, l->v[i])));
    return jj_join(c->j, jj_given(c->a[0]) ? jj_str(c->j, c->a[0]) : (text){"", (const uint8_t *)"", 0}, l);
}

/* ---- each item ---- */

/* map(attribute="a", default=x), or map("filter", its arguments). */
value jj_seq_map(call *c)
{
    getter g = {.j = c->j};
    const builtin *filter = NULL;
    if (c->n == 0) {
        for (size_t i = 0; i < c->n_kw; i++) {
            if (jj_is(c->kw[i], "attribute"))
                g.attribute = c->arg[i];
            else if (jj_is(c->kw[i], "default"))
                g.absent = c->arg[i];
            else
                jj_fail(c->j, "\"map\" has no argument \"%.*s\"", JJ_SHOW(c->kw[i]));
        }
        if (!jj_given(g.attribute)) jj_fail(c->j, "\"map\" needs a filter or an attribute");
        if (g.absent.type == V_NONE) g.absent.type = V_ABSENT;
    } else {
        if (c->arg[0].type != V_STRING)
            jj_fail(c->j, "\"map\" wants the name of a filter, not %s", jj_type_name(c->arg[0]));
        filter = jj_find(jj_filters, *c->arg[0].s);
        if (!filter) jj_fail(c->j, "unknown filter \"%.*s\"", JJ_SHOW(*c->arg[0].s));
    }
    list *l = copy(c, K_GENERATOR);
    for (size_t i = 0; i < l->n; i++) {
        call one = {.j = c->j, .self = l->v[i], .arg = c->arg + 1, .kw = c->kw, .n = c->n - 1, .n_kw = c->n_kw};
        jj_tick(c->j, 1);
        jj_enter(c->j);
        l->v[i] = filter ? jj_apply(&one, filter) : get(&g, l->v[i]);
        c->j->depth--;
    }
    return jj_list_value(l);
}

/* select("test", its arguments), selectattr("attribute", "test", its arguments); without a test: what is true. */
static value choose(call *c, bool by_attribute, bool keep)
{
    size_t off = by_attribute ? 1 : 0;
    getter g = {.j = c->j};
    const builtin *test = NULL;
    if (!jj_true(c->self)) return jj_list_value(jj_new_list(c->j, 0, K_GENERATOR));
    if (by_attribute && c->n == 0) jj_fail(c->j, "\"%s\" needs the name of an attribute", c->name);
    if (by_attribute) g.attribute = c->arg[0];
    if (c->n > off) {
        if (c->arg[off].type != V_STRING)
            jj_fail(c->j, "\"%s\" wants the name of a test, not %s", c->name, jj_type_name(c->arg[off]));
        test = jj_find(jj_tests, *c->arg[off].s);
        if (!test) jj_fail(c->j, "unknown test \"%.*s\"", JJ_SHOW(*c->arg[off].s));
    }
    list *l = copy(c, K_GENERATOR);
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++) {
        value v = get(&g, l->v[i]);
        jj_tick(c->j, 1);
        if (test) {
            call one = {.j = c->j, .self = v, .arg = c->arg + off + 1, .n = c->n - off - 1};
            one.kw = c->kw;
            one.n_kw = c->n_kw;
            v = jj_apply(&one, test);
        }
        if (jj_true(v) == keep) l->v[kept++] = l->v[i];
    }
    l->n = kept;
    return jj_list_value(l);
}

value jj_seq_select(call *c)
{
    return choose(c, false, true);
}
value jj_seq_reject(call *c)
{
    return choose(c, false, false);
}
value jj_seq_selectattr(call *c)
{
    return choose(c, true, true);
}
value jj_seq_rejectattr(call *c)
{
    return choose(c, true, false);
}

value jj_seq_unique(call *c)
{
    getter g = getter_of(c, c->a[0], c->a[1]);
    list *l = copy(c, K_GENERATOR);
    map *seen = jj_new_map(c->j, l->n);
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++) {
        value key = get(&g, l->v[i]);
        jj_tick(c->j, 1);
        if (jj_map_get(c->j, seen, key)) continue;
        jj_map_set(c->j, seen, key, jj_none());
        l->v[kept++] = l->v[i];
    }
    l->n = kept;
    return jj_list_value(l);
}

/* ---- order ---- */

typedef struct keyed {
    value key, v;
} keyed;

static bool goes_before(job *j, const keyed *a, const keyed *b, bool reverse)
{
    return jj_compare(j, reverse ? b->key : a->key, reverse ? a->key : b->key) == -1;
}

/* A stable merge sort, of `from` by way of `room`; returns which of the two holds the result. */
static keyed *merge_sort(job *j, keyed *from, keyed *room, size_t n, bool reverse)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t at = 0; at < n; at += 2 * width) {
            size_t a = at, a_end = at + width < n ? at + width : n, b = a_end;
            size_t b_end = at + 2 * width < n ? at + 2 * width : n;
            for (size_t i = at; i < b_end; i++) {
                bool take_b = a == a_end || (b < b_end && goes_before(j, &from[b], &from[a], reverse));
                room[i] = take_b ? from[b++] : from[a++];
            }
        }
        keyed *swap = from;
        from = room;
        room = swap;
    }
    return from;
}

static value sort_list(job *j, list *l, value (*key)(const getter *g, value item), const getter *g, bool reverse)
{
    keyed *items = jj_array(j, l->n, sizeof *items), *room = jj_array(j, l->n, sizeof *room);
    for (size_t i = 0; i < l->n; i++) items[i] = (keyed){key(g, l->v[i]), l->v[i]};
    items = merge_sort(j, items, room, l->n, reverse);
    for (size_t i = 0; i < l->n; i++) l->v[i] = items[i].v;
    return jj_list_value(l);
}

value jj_seq_sort(call *c)
{
    getter g = getter_of(c, c->a[1], c->a[2]);
    return sort_list(c->j, copy(c, K_LIST), get_sort_key, &g, jj_given(c->a[0]) && jj_true(c->a[0]));
}

/* The pairs of a map by key, or by value with by="value". */
value jj_seq_dictsort(call *c)
{
    text by = jj_given(c->a[1]) ? jj_arg_text(c, 1) : (text){"key", NULL, 3};
    if (!jj_is(by, "key") && !jj_is(by, "value"))
        jj_fail(c->j, "\"dictsort\" by key or value, not \"%.*s\"", JJ_SHOW(by));
    if (c->self.type != V_MAP) jj_fail(c->j, "\"dictsort\" of %s", jj_type_name(c->self));
    getter g = getter_of(c, c->a[0], jj_int(jj_is(by, "value")));
    list *l = copy(c, K_LIST);
    for (size_t i = 0; i < l->n; i++) l->v[i] = jj_pair(c->j, l->v[i], c->self.map->v[i]);
    return sort_list(c->j, l, get, &g, jj_given(c->a[2]) && jj_true(c->a[2]));
}

static value extreme(call *c, int order)
{
    getter g = getter_of(c, c->a[0], c->a[1]);
    const list *l = jj_items(c->j, c->self);
    if (l->n == 0) return undefined(c, c->name);
    value best = l->v[0], best_key = get(&g, best);
    for (size_t i = 1; i < l->n; i++) {
        value key = get(&g, l->v[i]);
        if (jj_compare(c->j, key, best_key) != order) continue;
        best = l->v[i];
        best_key = key;
    }
    return best;
}

value jj_seq_min(call *c)
{
    return extreme(c, -1);
}
value jj_seq_max(call *c)
{
    return extreme(c, 1);
}

value jj_seq_sum(call *c)
{
    getter g = {.j = c->j, .attribute = c->a[0]};
    value sum = jj_given(c->a[1]) ? c->a[1] : jj_int(0);
    const list *l = jj_items(c->j, c->self);
    if (sum.type == V_STRING) jj_fail(c->j, "\"sum\" does not join strings; use join");
    for (size_t i = 0; i < l->n; i++) {
        jj_tick(c->j, 1);
        sum = jj_arith(c->j, "+", sum, get(&g, l->v[i]));
    }
    return sum;
}
