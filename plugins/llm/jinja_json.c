/* jinja_json.c: the filter tojson, which is Python's json.dumps with ensure_ascii=False: `, ` and `: ` between,
 * keys in order. */
#include "jinja_impl.h"

#include <math.h>
#include <string.h>

typedef struct writer {
    buf b;
    text indent, item_separator, key_separator;
    bool indented, ascii, sorted;
    size_t level;
} writer;

static void put_value(writer *w, value v);

static void put_string(writer *w, text t)
{
    static const char from[] = "\"\\\n\r\t\f\b", to[] = "\"\\nrtfb";
    jj_walk(w->b.j, t.n);
    jj_puts(&w->b, "\"");
    for (size_t i = 0; i < t.n;) {
        uint32_t c;
        size_t len = jj_next(t, i, &c);
        const char *named = c < 0x80 && c > 0 ? strchr(from, (int)c) : NULL;
        char s[16] = "";
        if (named)
            snprintf(s, sizeof s, "\\%c", to[named - from]);
        else if (c < 0x20 || (w->ascii && c >= 0x80 && c < 0x10000))
            snprintf(s, sizeof s, "\\u%04x", c);
        else if (w->ascii && c >= 0x10000)
            snprintf(s, sizeof s, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
        if (s[0])
            jj_put_bytes(&w->b, s, strlen(s), t.trust[i]);
        else
            jj_put_bytes(&w->b, t.p + i, len, t.trust[i]);
        i += len;
    }
    jj_puts(&w->b, "\"");
}

static void put_line(writer *w)
{
    if (!w->indented) return;
    jj_puts(&w->b, "\n");
    for (size_t i = 0; i < w->level; i++) jj_put(&w->b, w->indent);
}

static void put_float(writer *w, double d)
{
    if (isnan(d))
        jj_puts(&w->b, "NaN");
    else if (isinf(d))
        jj_puts(&w->b, d > 0 ? "Infinity" : "-Infinity");
    else
        jj_put_float(&w->b, d);
}

static void put_list(writer *w, const list *l)
{
    if (l->kind > K_TUPLE)
        jj_fail(w->b.j, "%s is no JSON; make a list of it with |list",
            jj_type_name((value){.type = V_LIST, .list = (list *)l}));
    jj_puts(&w->b, "[");
    w->level++;
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0) jj_put(&w->b, w->item_separator);
        put_line(w);
        put_value(w, l->v[i]);
    }
    w->level--;
    if (l->n > 0) put_line(w);
    jj_puts(&w->b, "]");
}

static void put_key(writer *w, value key)
{
    if (key.type == V_STRING) {
        put_string(w, *key.s);
    } else if (key.type == V_NONE || key.type == V_BOOL || key.type == V_INT || key.type == V_FLOAT) {
        jj_puts(&w->b, "\"");
        put_value(w, key);
        jj_puts(&w->b, "\"");
    } else {
        jj_fail(w->b.j, "%s is no key of JSON", jj_type_name(key));
    }
}

/* The pairs of a map, by their keys if so asked: with the filter dictsort. */
static const list *pairs(writer *w, const map *m)
{
    call c = {.j = w->b.j, .self = {.type = V_MAP, .map = (map *)m}};
    const value case_sensitive = jj_bool(true);
    c.arg = &case_sensitive;
    c.n = 1;
    if (w->sorted) return jj_apply(&c, jj_find(jj_filters, (text){"dictsort", NULL, 8})).list;
    list *l = jj_new_list(w->b.j, m->n, K_LIST);
    for (size_t i = 0; i < m->n; i++) l->v[i] = jj_pair(w->b.j, m->key[i], m->v[i]);
    return l;
}

static void put_map(writer *w, const map *m)
{
    const list *items = pairs(w, m);
    jj_puts(&w->b, "{");
    w->level++;
    for (size_t i = 0; i < items->n; i++) {
        if (i > 0) jj_put(&w->b, w->item_separator);
        put_line(w);
        put_key(w, items->v[i].list->v[0]);
        jj_put(&w->b, w->key_separator);
        put_value(w, items->v[i].list->v[1]);
    }
    w->level--;
    if (m->n > 0) put_line(w);
    jj_puts(&w->b, "}");
}

static void put_value(writer *w, value v)
{
    jj_tick(w->b.j, 1);
    jj_enter(w->b.j);
    switch (v.type) {
    case V_NONE: jj_puts(&w->b, "null"); break;
    case V_BOOL: jj_puts(&w->b, v.b ? "true" : "false"); break;
    case V_INT: jj_repr(&w->b, v); break;
    case V_FLOAT: put_float(w, v.d); break;
    case V_STRING: put_string(w, *v.s); break;
    case V_LIST: put_list(w, v.list); break;
    case V_MAP: put_map(w, v.map); break;
    default: jj_fail(w->b.j, "%s is no JSON", jj_type_name(v));
    }
    w->b.j->depth--;
}

/* Parameters: ensure_ascii, indent, separators, sort_keys. */
value jj_tojson(call *c)
{
    writer w = {.b = {.j = c->j}, .key_separator = *jj_literal(c->j, ": ").s};
    w.ascii = jj_given(c->a[0]) && jj_true(c->a[0]);
    w.indented = jj_given(c->a[1]) && c->a[1].type != V_NONE;
    w.item_separator = *jj_literal(c->j, w.indented ? "," : ", ").s;
    w.sorted = jj_given(c->a[3]) && jj_true(c->a[3]);
    if (w.indented && c->a[1].type == V_STRING) {
        w.indent = *c->a[1].s;
    } else if (w.indented) {
        int64_t n = jj_arg_int(c, 1, 0);
        if (n > 1000) jj_fail(c->j, "\"tojson\" with an indent of %lld", (long long)n);
        buf b = {.j = c->j};
        for (int64_t i = 0; i < n; i++) jj_puts(&b, " ");
        w.indent = jj_text(&b);
    }
    if (jj_given(c->a[2]) && c->a[2].type != V_NONE) {
        const list *s = jj_items(c->j, c->a[2]);
        if (s->n != 2 || s->v[0].type != V_STRING || s->v[1].type != V_STRING)
            jj_fail(c->j, "\"tojson\" wants two strings as separators");
        w.item_separator = *s->v[0].s;
        w.key_separator = *s->v[1].s;
    }
    put_value(&w, c->self);
    return jj_string(c->j, jj_text(&w.b));
}
