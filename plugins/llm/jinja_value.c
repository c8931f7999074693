/* jinja_value.c: the values a caller makes to render with. They are his until he frees them; a render looks at
 * them through jj_import, which copies their structure and shares their bytes. */
#include "jinja_impl.h"

#include <stdlib.h>
#include <string.h>

struct jinja_value {
    int type; /* V_NONE, V_BOOL, V_INT, V_FLOAT, V_STRING, V_LIST, V_MAP */
    union {
        bool b;
        int64_t i;
        double d;
        struct {
            char *p;        /* n bytes */
            uint8_t *trust; /* n bytes */
            size_t n;
        } s;
        struct {
            jinja_value **v; /* of a map: key, value, ... */
            size_t n, cap;
        } kids;
    };
    jinja_value *next; /* while it is being freed */
};

static jinja_value *new_value(int type)
{
    jinja_value *v = calloc(1, sizeof *v);
    if (v) v->type = type;
    return v;
}

jinja_value *jinja_null(void)
{
    return new_value(V_NONE);
}

jinja_value *jinja_bool(bool b)
{
    jinja_value *v = new_value(V_BOOL);
    if (v) v->b = b;
    return v;
}

jinja_value *jinja_int(int64_t i)
{
    jinja_value *v = new_value(V_INT);
    if (v) v->i = i;
    return v;
}

jinja_value *jinja_float(double d)
{
    jinja_value *v = new_value(V_FLOAT);
    if (v) v->d = d;
    return v;
}

jinja_value *jinja_string(jv_str s, bool trusted)
{
    jinja_value *v = new_value(V_STRING);
    if (!v) return NULL;
    v->s.p = malloc(s.n + 1);
    v->s.trust = malloc(s.n + 1);
    v->s.n = s.n;
    if (!v->s.p || !v->s.trust) {
        jinja_value_free(v);
        return NULL;
    }
    if (s.n > 0) memcpy(v->s.p, s.p, s.n);
    memset(v->s.trust, trusted, s.n);
    return v;
}

jinja_value *jinja_list(void)
{
    return new_value(V_LIST);
}

jinja_value *jinja_map(void)
{
    return new_value(V_MAP);
}

static int32_t add(jinja_value *to, jinja_value *v)
{
    if (to->kids.n == to->kids.cap) {
        size_t cap = to->kids.cap > 0 ? 2 * to->kids.cap : 8;
        jinja_value **p = cap <= SIZE_MAX / sizeof *p ? realloc(to->kids.v, cap * sizeof *p) : NULL;
        if (!p) return JV_FATAL;
        to->kids.v = p;
        to->kids.cap = cap;
    }
    to->kids.v[to->kids.n++] = v;
    return JV_OK;
}

int32_t jinja_append(jinja_value *to, jinja_value *v)
{
    if (v && to->type == V_LIST && add(to, v) == JV_OK) return JV_OK;
    jinja_value_free(v);
    return JV_FATAL;
}

int32_t jinja_put(jinja_value *to, const char *key, jinja_value *v)
{
    jinja_value *k = jinja_string((jv_str){key, strlen(key)}, false);
    if (v && k && to->type == V_MAP && add(to, k) == JV_OK) {
        if (add(to, v) == JV_OK) return JV_OK;
        to->kids.n--;
    }
    jinja_value_free(k);
    jinja_value_free(v);
    return JV_FATAL;
}

/* Without recursion: values may be nested as deep as somebody's JSON was. */
void jinja_value_free(jinja_value *v)
{
    while (v) {
        jinja_value *next = v->next;
        if (v->type == V_STRING) {
            free(v->s.p);
            free(v->s.trust);
        } else if (v->type == V_LIST || v->type == V_MAP) {
            for (size_t i = 0; i < v->kids.n; i++) {
                v->kids.v[i]->next = next;
                next = v->kids.v[i];
            }
            free(v->kids.v);
        }
        free(v);
        v = next;
    }
}

static value import_kids(job *j, const jinja_value *v)
{
    if (++j->depth > JJ_MAX_DEPTH) jj_fail(j, "a value given to the template is nested deeper than %d", JJ_MAX_DEPTH);
    value out;
    if (v->type == V_LIST) {
        list *l = jj_new_list(j, v->kids.n, K_LIST);
        for (size_t i = 0; i < l->n; i++) l->v[i] = jj_import(j, v->kids.v[i]);
        out = jj_list_value(l);
    } else {
        map *m = jj_new_map(j, v->kids.n / 2);
        for (size_t i = 0; i < v->kids.n; i += 2, m->n++) {
            m->key[m->n] = jj_import(j, v->kids.v[i]);
            m->v[m->n] = jj_import(j, v->kids.v[i + 1]);
        }
        out = (value){.type = V_MAP, .map = m};
    }
    j->depth--;
    return out;
}

value jj_import(job *j, const jinja_value *v)
{
    switch (v->type) {
    case V_BOOL: return jj_bool(v->b);
    case V_INT: return jj_int(v->i);
    case V_FLOAT: return jj_float(v->d);
    case V_STRING: return jj_string(j, (text){v->s.p, v->s.trust, v->s.n});
    case V_LIST:
    case V_MAP: return import_kids(j, v);
    default: return jj_none();
    }
}
