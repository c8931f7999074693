/* host_fields.c: what plugins call to read and set the fields of a buffer. */
#include "host.h"

#include <stdlib.h>
#include <string.h>

/* The row, or null for a number the plugin made up. */
static const struct jvc_row_of *row_of(const struct jvc_stage *s, int32_t row)
{
    return row >= 0 && (uint32_t)row < s->n_rows ? &s->rows[row] : NULL;
}

jv_str jvc_host_get(const jv_host *h, const jv_buf *b, int32_t row)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    if (!r) return (jv_str){NULL, 0};
    if (r->kind == JVC_ID) return (jv_str){b->node->id, b->node->id_n};
    if (r->kind != JVC_SLOT || !b->v[r->at].block) return (jv_str){NULL, 0};
    return (jv_str){b->v[r->at].u.p, b->v[r->at].n};
}

int64_t jvc_host_get_i64(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    if (r && r->kind == JVC_COUNT) return atomic_load_explicit(&b->counts[r->at], memory_order_relaxed);
    return r && r->kind == JVC_SLOT && r->type == JV_I64 && b->v[r->at].set ? b->v[r->at].u.i : absent;
}

double jvc_host_get_f64(const jv_host *h, const jv_buf *b, int32_t row, double absent)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    return r && r->kind == JVC_SLOT && r->type == JV_F64 && b->v[r->at].set ? b->v[r->at].u.f : absent;
}

/* Whoever read the old bytes may go on doing so until the call returns. */
static bool release_late(struct jvc_block *old)
{
    struct jvc_call *c = jvc_current_call;
    if (!old) return true;
    if (c) {
        struct jvc_block **late = realloc(c->late, (c->n_late + 1) * sizeof *late);
        if (!late) return false;
        c->late = late;
        late[c->n_late++] = old;
    } else {
        jvc_block_release(old);
    }
    return true;
}

/* Types whose values are bytes in a block. */
static bool is_bytes(int32_t type)
{
    return type != JV_I64 && type != JV_F64;
}

static bool is_numbers(int32_t type)
{
    return type == JV_I32S || type == JV_F32S;
}

/* The value behind a row that may be set to something of that type (JV_UTF8 for all bytes), or null. */
static struct jvc_value *settable(const struct jvc_stage *s, jv_buf *b, int32_t row, int32_t type)
{
    const struct jvc_row_of *r = row_of(s, row);
    if (!r || r->kind != JVC_SLOT || !(r->access & JV_OUT)) return NULL;
    bool fits = type == JV_UTF8 ? is_bytes(r->type) : r->type == type;
    return fits ? &b->v[r->at] : NULL;
}

static int32_t not_settable(const char *what, int32_t row, jv_err *err)
{
    return jv_fail(err, JV_FATAL, "the plugin %s row %d, which it does not declare as JV_OUT of such a type", what, row);
}

static int32_t set_bytes(const jv_host *h, jv_buf *b, int32_t row, struct jvc_value v, jv_err *err)
{
    struct jvc_value *to = settable(self(h), b, row, JV_UTF8);
    if (!to) return not_settable("sets", row, err);
    if (!release_late(to->block)) return no_memory(err);
    if (b->growing == (int32_t)(to - b->v)) b->growing = -1;
    *to = v;
    return JV_OK;
}

char *jvc_host_put(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    if (r && is_numbers(r->type) && n % 4) {
        jv_fail(err, JV_FATAL, "the plugin sets row %d, an array of numbers, to %zu bytes", row, n);
        return NULL;
    }
    struct jvc_block *block = jvc_block_new(self(h)->pl, n);
    if (!block) {
        no_memory(err);
        return NULL;
    }
    if (set_bytes(h, b, row, (struct jvc_value){.block = block, .u.p = block->data, .n = n, .set = true}, err) == JV_OK)
        return block->data;
    jvc_block_release(block);
    return NULL;
}

int32_t jvc_host_view(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at, size_t n,
    jv_err *err)
{
    const struct jvc_row_of *from = row_of(self(h), of_row), *to = row_of(self(h), row);
    jv_str s = jvc_host_get(h, of, of_row);
    if (!settable(self(h), b, row, JV_UTF8)) return not_settable("sets", row, err);
    if (!from || from->kind != JVC_SLOT || !of->v[from->at].block)
        return jv_fail(err, JV_FATAL, "the plugin views row %d, which holds no bytes", of_row);
    if (at > s.n || n > s.n - at) return jv_fail(err, JV_FATAL, "the plugin views bytes %zu+%zu of %zu", at, n, s.n);
    if (to->type == JV_UTF8 && !(jvc_utf8_boundary(s.p, s.n, at) && jvc_utf8_boundary(s.p, s.n, at + n)))
        return jv_fail(err, JV_FATAL, "the plugin cuts a character at byte %zu or %zu", at, at + n);
    bool numbers = is_numbers(to->type) || is_numbers(from->type);
    if (numbers && (from->type != to->type || at % 4 || n % 4))
        return jv_fail(err, JV_FATAL, "the plugin views %s as %s, bytes %zu+%zu", jvc_type_name(from->type),
            jvc_type_name(to->type), at, n);
    struct jvc_block *block = of->v[from->at].block;
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
    int32_t rc = set_bytes(h, b, row, (struct jvc_value){.block = block, .u.p = s.p + at, .n = n, .set = true}, err);
    if (rc < 0) jvc_block_release(block);
    return rc;
}

/* The field as it came stands in a slot of its own, so a copy is made once, and the record can still be put back. */
char *jvc_host_writable(const jv_host *h, jv_buf *b, int32_t row, jv_err *err)
{
    struct jvc_stage *s = self(h);
    struct jvc_value *v = settable(s, b, row, JV_UTF8);
    if (!v) {
        not_settable("writes to", row, err);
        return NULL;
    }
    if (v->block && atomic_load(&v->block->refs) == 1 && v->u.p == v->block->data) return v->block->data;
    int32_t in = -1;
    for (uint32_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].access & JV_IN && !strcmp(s->rows[i].name, s->rows[row].name)) in = (int32_t)i;
    jv_str old = v->block ? (jv_str){v->u.p, v->n} : jvc_host_get(h, b, in);
    if (!old.p) {
        jv_fail(err, JV_BAD, "field %s is absent", s->rows[row].name);
        return NULL;
    }
    char *p = jvc_host_put(h, b, row, old.n, err);
    if (p && old.n) memcpy(p, old.p, old.n);
    return p;
}

void jvc_host_broken(const jv_host *h, const jv_buf *b, const char *what, int32_t number)
{
    jv_err err;
    jv_fail(&err, JV_FATAL, "the plugin %s %d, which it does not declare so", what, number);
    jvc_pipeline_fail(self(h), b, &err);
}

void jvc_host_put_i64(const jv_host *h, jv_buf *b, int32_t row, int64_t v)
{
    struct jvc_value *to = settable(self(h), b, row, JV_I64);
    if (to)
        *to = (struct jvc_value){.u.i = v, .set = true};
    else
        jvc_host_broken(h, b, "sets a whole number as row", row);
}

void jvc_host_put_f64(const jv_host *h, jv_buf *b, int32_t row, double v)
{
    struct jvc_value *to = settable(self(h), b, row, JV_F64);
    if (to)
        *to = (struct jvc_value){.u.f = v, .set = true};
    else
        jvc_host_broken(h, b, "sets a number as row", row);
}

void *jvc_host_scratch(const jv_host *h, size_t n, jv_err *err)
{
    struct jvc_call *c = jvc_current_call;
    size_t rounded = (n + 63) & ~(size_t)63;
    if (!c || rounded < n) {
        jv_fail(err, JV_FATAL, c ? "out of memory" : "the plugin asks for scratch outside of a call");
        return NULL;
    }
    void **list = realloc(c->scratch, (c->n_scratch + 1) * sizeof *list);
    void *p = list ? aligned_alloc(64, rounded ? rounded : 64) : NULL;
    if (list) c->scratch = list;
    if (p)
        c->scratch[c->n_scratch++] = p;
    else
        no_memory(err);
    return p;
}

/* Appends to the field a snapshot shows. Those who hold older snapshots see as many bytes as they always did. */
int32_t jvc_host_append(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    struct jvc_value *v = settable(self(h), b, row, JV_UTF8);
    if (!v) return not_settable("appends to", row, err);
    if (r->type != JV_UTF8 && r->type != JV_BYTES && r->type != JV_JSON) return not_settable("appends to", row, err);
    bool mine = b->growing == (int32_t)r->at;
    size_t old = mine ? v->n : 0;
    if (n > SIZE_MAX / 4 - old) return no_memory(err);
    if (!mine || n > v->block->cap - old) {
        struct jvc_block *block = jvc_block_new(self(h)->pl, (old + n) * 2 + 256);
        if (!block) return no_memory(err);
        if (old) memcpy(block->data, v->u.p, old);
        jvc_block_release(v->block);
        *v = (struct jvc_value){.block = block, .u.p = block->data, .n = old, .set = true};
        b->growing = (int32_t)r->at;
    }
    if (n) memcpy(v->block->data + old, more, n);
    v->n = old + n;
    return JV_OK;
}
