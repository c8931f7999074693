/* gguf_touch.h: reads everything a gguf offers, for tests: what open let through must be readable to the last byte. */
#ifndef GGUF_TOUCH_H
#define GGUF_TOUCH_H

#include "gguf_file.h"

#include <stdlib.h>
#include <string.h>

static inline uint64_t gguf_touch_bytes(const void *p, uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) sum = sum * 31 + ((const unsigned char *)p)[i];
    return sum;
}

static inline uint64_t gguf_touch_array(const gguf_array *a)
{
    uint64_t sum = 0, at = 0;
    for (uint64_t i = 0; i < a->n; i++) {
        if (a->type == GGUF_STRING) {
            jv_str s = gguf_array_string(a, &at);
            sum += gguf_touch_bytes(s.p, s.n);
        } else if (a->type == GGUF_F32 || a->type == GGUF_F64) {
            sum += gguf_array_f64(a, i) > 0;
        } else {
            sum += (uint64_t)gguf_array_i64(a, i);
        }
    }
    return sum;
}

/* All getters for one key, the right and the wrong ones. */
static inline uint64_t gguf_touch_key(const gguf *g, const char *name)
{
    jv_err err;
    jv_str s = {0};
    gguf_array a = {0};
    uint64_t u = 0;
    double f = 0;
    bool b = false;
    gguf_get_u64(g, name, &u, &err);
    gguf_get_f64(g, name, &f, &err);
    gguf_get_bool(g, name, &b, &err);
    if (gguf_get_string(g, name, &s, &err) == JV_OK) u += gguf_touch_bytes(s.p, s.n);
    for (uint32_t type = 0; type <= GGUF_F64 + 1; type++)
        if (gguf_get_array(g, name, type, &a, &err) == JV_OK) u += gguf_touch_array(&a);
    return u + (f > 0) + b;
}

/* A number that depends on all of it, so that nothing can be left out. Aborts when a look-up misses what is there. */
static inline uint64_t gguf_touch(const gguf *g)
{
    uint64_t sum = gguf_file_size(g);
    char name[GGUF_MAX_NAME + 1];
    for (uint64_t i = 0; i < g->n_keys; i++) {
        memcpy(name, g->keys[i].name.p, g->keys[i].name.n);
        name[g->keys[i].name.n] = 0;
        sum += gguf_touch_key(g, name);
    }
    for (uint64_t i = 0; i < gguf_tensor_count(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        memcpy(name, t->name.p, t->name.n);
        name[t->name.n] = 0;
        if (strlen(name) == t->name.n && gguf_find_tensor(g, name) != t) abort();
        sum += gguf_touch_bytes(t->data, t->bytes) + t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    return sum;
}

#endif
