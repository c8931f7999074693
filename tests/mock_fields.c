/*
 * mock_fields.c: the functions of the jv_host table that read and set fields. Every text has a block of its own, so
 * that a sanitizer sees each overrun, and is filled with 0xA5, so that what a stage forgot to write is no UTF-8.
 */
#include "mock_impl.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory ------------------------------------------------------------------------------------------------------ */

bool mk_fails(mock *m, jv_err *err)
{
    lock(m);
    bool now = m->fail_at == 0;
    if (m->fail_at >= 0) m->fail_at--;
    if (now) m->failed = true;
    unlock(m);
    if (now) jv_fail(err, JV_FATAL, "no memory (injected)");
    return now;
}

struct mem *mk_mem_new(mock *m, size_t n)
{
    if (n > SIZE_MAX / 2) mk_die("a text of %zu bytes asked for", n);
    struct mem *mem = mk_must(malloc(offsetof(struct mem, p) + n + 1));
    *mem = (struct mem){.refs = 1, .n = n};
    memset(mem->p, 0xa5, n);
    mem->p[n] = 0;
    lock(m);
    m->n_mem++;
    unlock(m);
    return mem;
}

void mk_mem_free(mock *m, struct mem *mem)
{
    if (mem->p[mem->n]) mk_die("a byte was written behind the %zu bytes of a field", mem->n);
    free(mem);
    m->n_mem--;
}

void mk_value_clear(mock *m, struct value *v)
{
    lock(m);
    if (v->mem && --v->mem->refs == 0) {
        if (m->depth > 0) {
            v->mem->next = m->dead;
            m->dead = v->mem;
        } else {
            mk_mem_free(m, v->mem);
        }
    }
    *v = (struct value){0};
    unlock(m);
}

void mk_value_share(mock *m, struct value *to, const struct value *from)
{
    struct value v = *from;
    if (v.mem) {
        lock(m);
        v.mem->refs++;
        unlock(m);
    }
    mk_value_clear(m, to);
    *to = v;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

const struct row *mk_row(const mock *m, int32_t row, bool set)
{
    if (m->state < 2) mk_die("a buffer is used before open has returned");
    if (row < 0 || row >= m->n_rows) mk_die("row %d: there are %d", row, m->n_rows);
    if (set && !(m->rows[row].access & JV_OUT)) mk_die("row %d is set, but not declared JV_OUT", row);
    return &m->rows[row];
}

static const struct value nothing;

/* A row of JV_IN reads what came, also when the stage has set the field since, any other what was set here. One that is
 * none reads as absent. */
static const struct value *read_row(const jv_buf *b, int32_t row)
{
    if (row < 0 || row >= b->m->n_rows) return &nothing;
    const struct row *r = mk_row(b->m, row, false);
    if (b->settled) mk_die("a field of a settled record is asked for; `done` has id, tally, priority and record");
    if (r->slot < 0) return &nothing;
    if (r->access & JV_IN) return b->came ? &b->came[r->slot] : &b->v[r->slot];
    return b->v[r->slot].here ? &b->v[r->slot] : &nothing;
}

struct value *mk_set_row(jv_buf *b, int32_t row, bool bytes)
{
    const struct row *r = mk_row(b->m, row, true);
    if (b->held || b->settled) mk_die("row %d of '%s' is set, which the stage may only read", row, b->id);
    if (mk_is_bytes(r->type) != bytes) mk_die("row %d is set with a function for another type", row);
    struct value *v = &b->v[r->slot];
    mk_value_clear(b->m, v);
    v->type = r->type;
    v->here = true;
    return v;
}

jv_str mk_text_of(const struct value *v)
{
    return v->mem ? (jv_str){v->mem->p + v->at, v->n} : (jv_str){0};
}

jv_str mk_get(const jv_host *h, const jv_buf *b, int32_t row)
{
    const struct value *v = read_row(b, row);
    if (v == &nothing) return (jv_str){0};
    if (b->m->rows[row].slot == 0) return (jv_str){b->id, strlen(b->id)};
    if (v->type && !mk_is_bytes(v->type)) mk_die("get() of row %d, which is a number", row);
    return mk_text_of(v);
}

int64_t mk_get_i64(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent)
{
    const struct value *v = read_row(b, row);
    if (v->type && v->type != JV_I64) mk_die("get_i64() of row %d, which is of type %d", row, v->type);
    return v->type ? v->i : absent;
}

double mk_get_f64(const jv_host *h, const jv_buf *b, int32_t row, double absent)
{
    const struct value *v = read_row(b, row);
    if (v->type && v->type != JV_F64) mk_die("get_f64() of row %d, which is of type %d", row, v->type);
    return v->type ? v->f : absent;
}

char *mk_put(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err)
{
    if (mk_fails(b->m, err)) return NULL;
    int32_t type = mk_row(b->m, row, true)->type;
    if (n % mk_item(type)) mk_die("put() of %zu bytes into row %d of type %d", n, row, type);
    struct mem *mem = mk_mem_new(b->m, n);
    struct value *v = mk_set_row(b, row, true);
    v->mem = mem;
    v->n = n;
    return mem->p;
}

static bool inside_char(const struct value *v, size_t at)
{
    return at < v->n && (v->mem->p[v->at + at] & 0xc0) == 0x80;
}

int32_t mk_view(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at, size_t n,
    jv_err *err)
{
    if (mk_fails(b->m, err)) return JV_FATAL;
    struct value v = *read_row(of, of_row);
    if (!v.mem) return jv_fail(err, JV_FATAL, "view of an absent field");
    if (at > v.n || n > v.n - at)
        return jv_fail(err, JV_FATAL, "view of %zu bytes at %zu: the field has %zu", n, at, v.n);
    int32_t type = mk_row(b->m, row, true)->type;
    if ((mk_item(type) > 1 && type != v.type) || mk_item(v.type) != mk_item(type) || at % mk_item(type) ||
        n % mk_item(type))
        mk_die("view of %zu bytes at %zu of type %d, into row %d of type %d", n, at, v.type, row, type);
    if (type == JV_UTF8 && (inside_char(&v, at) || inside_char(&v, at + n)))
        return jv_fail(err, JV_FATAL, "view cuts a character at %zu or %zu", at, at + n);
    v.at += at;
    v.built = false;
    v.here = true;
    v.n = n;
    lock(b->m);
    v.mem->refs++;
    unlock(b->m);
    *mk_set_row(b, row, true) = v;
    b->v[b->m->rows[row].slot].type = type;
    return JV_OK;
}

/* The first time it copies: mock_process holds what came. */
char *mk_writable(const jv_host *h, jv_buf *b, int32_t row, jv_err *err)
{
    mock *m = b->m;
    const struct row *out = mk_row(m, row, true);
    struct value had = b->v[out->slot];
    bool read = had.here;
    for (int i = 0; i < m->n_rows; i++) read |= m->rows[i].slot == out->slot && (m->rows[i].access & JV_IN);
    if (!mk_is_bytes(out->type)) mk_die("writable() of row %d, which is a number", row);
    if (!had.mem || !read) return jv_fail(err, JV_BAD, "field '%s' is absent", m->slots[out->slot].name), NULL;
    lock(m);
    bool shared = had.mem->refs > 1;
    unlock(m);
    if (!shared) return had.mem->p + had.at;
    if (mk_fails(m, err)) return NULL;
    struct mem *mem = mk_mem_new(m, had.n);
    if (had.n) memcpy(mem->p, had.mem->p + had.at, had.n);
    struct value *v = mk_set_row(b, row, true);
    v->mem = mem;
    v->n = had.n;
    return mem->p;
}

void mk_put_i64(const jv_host *h, jv_buf *b, int32_t row, int64_t i)
{
    struct value *v = mk_set_row(b, row, false);
    if (v->type != JV_I64) mk_die("put_i64() on row %d of type %d", row, v->type);
    v->i = i;
}

void mk_put_f64(const jv_host *h, jv_buf *b, int32_t row, double f)
{
    struct value *v = mk_set_row(b, row, false);
    if (v->type != JV_F64) mk_die("put_f64() on row %d of type %d", row, v->type);
    v->f = f;
}

void mk_check_fields(const jv_buf *b)
{
    for (int i = 0; i < b->m->n_slots; i++) {
        const struct value *v = &b->v[i];
        if (!v->mem) continue;
        if (v->mem->p[v->mem->n]) mk_die("a byte was written behind field '%s'", b->m->slots[i].name);
        if (mk_is_text(v->type) && v->type != JV_BYTES && !mk_is_utf8(v->mem->p + v->at, v->n))
            mk_die("field '%s' is passed on and is no UTF-8", b->m->slots[i].name);
    }
}

int32_t mk_partial(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err)
{
    mock *m = b->m;
    const struct row *r = mk_row(m, row, true);
    if (m->st->flags & JV_SPLIT) mk_die("partial() by a stage that splits");
    if (!mk_is_text(r->type)) mk_die("partial() on row %d of type %d", row, r->type);
    if (r->type != JV_BYTES && !mk_is_utf8(more, n)) mk_die("partial() of what is no UTF-8");
    if (mk_fails(m, err)) return JV_FATAL;
    jv_str had = b->v[r->slot].built ? mk_text_of(&b->v[r->slot]) : (jv_str){0};
    struct mem *mem = mk_mem_new(m, had.n + n);
    if (had.n) memcpy(mem->p, had.p, had.n);
    if (n) memcpy(mem->p + had.n, more, n);
    size_t all = had.n + n;
    struct value *v = mk_set_row(b, row, true);
    v->mem = mem;
    v->n = all;
    v->built = true;
    jv_buf *snap = mk_buf_new(m, b->id, strlen(b->id), NULL);
    for (int i = 0; i < m->n_slots; i++) mk_value_share(m, &snap->v[i], &b->v[i]);
    snap->partial = 1;
    mk_record_out(snap, MOCK_PARTIAL);
    return JV_OK;
}
