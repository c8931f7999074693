/*
 * mock_table.c: the functions of the jv_host table. Every text has a block of its own, so that a sanitizer sees each
 * overrun, and is filled with 0xA5, so that what a stage forgot to write is no UTF-8.
 */
#include "mock_impl.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Counts an allocation; true when it is the one that is to fail. */
static bool fails(mock *m, jv_err *err)
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

static void value_share(mock *m, struct value *to, const struct value *from)
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

jv_buf *mk_buf_new(mock *m, const char *id, size_t n)
{
    jv_buf *b = mk_must(calloc(1, sizeof *b));
    b->m = m;
    b->owner = pthread_self();
    b->id = mk_must(strndup(id, n));
    lock(m);
    b->number = ++m->next_number;
    b->next = m->all;
    m->all = b;
    unlock(m);
    return b;
}

static void record_out(jv_buf *b, int32_t kind)
{
    mock *m = b->m;
    b->kind = kind;
    b->out = 0;
    lock(m);
    m->outs = mk_push(m->outs, m->n_outs, sizeof(jv_buf *));
    m->outs[m->n_outs++] = b;
    unlock(m);
}

/* ---- log --------------------------------------------------------------------------------------------------------- */

JV_PRINTF(3, 4)
static void host_log(const jv_host *h, int32_t level, const char *fmt, ...)
{
    mock *m = mock_of(h);
    char *line = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&line, fmt, ap) < 0) mk_die("out of memory");
    va_end(ap);
    if (strchr(line, '\n')) mk_die("a log line with a newline: %s", line);
    lock(m);
    m->logs = mk_push(m->logs, m->n_logs, sizeof(char *));
    m->logs[m->n_logs++] = line;
    unlock(m);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static const struct row *check_row(const mock *m, int32_t row, bool set)
{
    if (m->state < 2) mk_die("a buffer is used before open has returned");
    if (row < 0 || row >= m->n_rows) mk_die("row %d: there are %d", row, m->n_rows);
    if (set && !(m->rows[row].access & JV_OUT)) mk_die("row %d is set, but not declared JV_OUT", row);
    return &m->rows[row];
}

static const struct value *read_row(const jv_buf *b, int32_t row)
{
    static const struct value absent;
    int slot = check_row(b->m, row, false)->slot;
    return slot < 0 ? &absent : &b->v[slot];
}

static struct value *set_row(jv_buf *b, int32_t row, bool bytes)
{
    const struct row *r = check_row(b->m, row, true);
    if (mk_is_bytes(r->type) != bytes) mk_die("row %d is set with a function for another type", row);
    struct value *v = &b->v[r->slot];
    mk_value_clear(b->m, v);
    v->type = r->type;
    return v;
}

jv_str mk_text_of(const struct value *v)
{
    return v->mem ? (jv_str){v->mem->p + v->at, v->n} : (jv_str){0};
}

static jv_str host_get(const jv_host *h, const jv_buf *b, int32_t row)
{
    const struct value *v = read_row(b, row);
    if (b->m->rows[row].slot == 0) return (jv_str){b->id, strlen(b->id)};
    if (v->type && !mk_is_bytes(v->type)) mk_die("get() of row %d, which is a number", row);
    return mk_text_of(v);
}

static int64_t host_get_i64(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent)
{
    const struct value *v = read_row(b, row);
    if (v->type && v->type != JV_I64) mk_die("get_i64() of row %d, which is of type %d", row, v->type);
    return v->type ? v->i : absent;
}

static double host_get_f64(const jv_host *h, const jv_buf *b, int32_t row, double absent)
{
    const struct value *v = read_row(b, row);
    if (v->type && v->type != JV_F64) mk_die("get_f64() of row %d, which is of type %d", row, v->type);
    return v->type ? v->f : absent;
}

static char *host_put(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err)
{
    if (fails(b->m, err)) return NULL;
    struct mem *mem = mk_mem_new(b->m, n);
    struct value *v = set_row(b, row, true);
    v->mem = mem;
    v->n = n;
    return mem->p;
}

static bool inside_char(const struct value *v, size_t at)
{
    return at < v->n && (v->mem->p[v->at + at] & 0xc0) == 0x80;
}

static int32_t host_view(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at,
    size_t n, jv_err *err)
{
    if (fails(b->m, err)) return JV_FATAL;
    struct value v = *read_row(of, of_row);
    if (!v.mem) return jv_fail(err, JV_FATAL, "view of an absent field");
    if (at > v.n || n > v.n - at)
        return jv_fail(err, JV_FATAL, "view of %zu bytes at %zu: the field has %zu", n, at, v.n);
    int32_t type = check_row(b->m, row, true)->type;
    if (type == JV_UTF8 && (inside_char(&v, at) || inside_char(&v, at + n)))
        return jv_fail(err, JV_FATAL, "view cuts a character at %zu or %zu", at, at + n);
    v.at += at;
    v.built = false;
    v.n = n;
    lock(b->m);
    v.mem->refs++;
    unlock(b->m);
    *set_row(b, row, true) = v;
    b->v[b->m->rows[row].slot].type = type;
    return JV_OK;
}

static void host_put_i64(const jv_host *h, jv_buf *b, int32_t row, int64_t i)
{
    struct value *v = set_row(b, row, false);
    if (v->type != JV_I64) mk_die("put_i64() on row %d of type %d", row, v->type);
    v->i = i;
}

static void host_put_f64(const jv_host *h, jv_buf *b, int32_t row, double f)
{
    struct value *v = set_row(b, row, false);
    if (v->type != JV_F64) mk_die("put_f64() on row %d of type %d", row, v->type);
    v->f = f;
}

/* The call of this stage that this thread is in, or null: a thread of the stage's own. */
static struct call *call_of(const mock *m)
{
    struct call *c = mk_call_now;
    while (c && c->m != m) c = c->up;
    return c;
}

static void *host_scratch(const jv_host *h, size_t n, jv_err *err)
{
    mock *m = mock_of(h);
    struct call *c = call_of(m);
    if (!c) mk_die("scratch() by a thread that runs no function of this stage");
    if (fails(m, err)) return NULL;
    c->scratch = mk_push(c->scratch, c->n, sizeof(void *));
    void *p = NULL;
    if (n > SIZE_MAX / 2 || posix_memalign(&p, 64, n ? n : 1)) mk_die("scratch of %zu bytes asked for", n);
    memset(p, 0xa5, n);
    return c->scratch[c->n++] = p;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

void mk_check_fields(const jv_buf *b)
{
    for (int i = 0; i < b->m->n_slots; i++) {
        const struct value *v = &b->v[i];
        if (!v->mem) continue;
        if (v->mem->p[v->mem->n]) mk_die("a byte was written behind field '%s'", b->m->slots[i].name);
        if (v->type != JV_BYTES && !mk_is_utf8(v->mem->p + v->at, v->n))
            mk_die("field '%s' is passed on and is no UTF-8", b->m->slots[i].name);
    }
}

/* With the lock held. */
static bool run_cancelled(const mock *m)
{
    return m->cancel_at == 0;
}

bool mk_over(mock *m)
{
    lock(m);
    bool over = run_cancelled(m) || (m->st->poll && m->stopped);
    unlock(m);
    return over;
}

static jv_str host_id(const jv_host *h, const jv_buf *b)
{
    return (jv_str){b->id, strlen(b->id)};
}

static int32_t host_is_partial(const jv_host *h, const jv_buf *b)
{
    return b->partial;
}

static jv_buf *host_begin(const jv_host *h, const jv_origin *o, jv_err *err)
{
    mock *m = mock_of(h);
    if (!m->st->poll) mk_die("begin() by a stage that is no source");
    if (o->struct_size != sizeof *o) mk_die("begin(): struct_size is not set");
    if (mk_over(m)) return jv_fail(err, JV_STOPPED, "the run is being stopped"), NULL;
    if (m->window && m->n_unsettled >= m->window)
        return jv_fail(err, JV_FULL, "%zu records are on their way", m->window), NULL;
    if (!o->position.n || o->position.n > 4096 || !mk_is_utf8(o->position.p, o->position.n))
        return jv_fail(err, JV_BAD, "a position has 1 to 4096 bytes of UTF-8"), NULL;
    if (fails(m, err)) return NULL;
    jv_buf *b = mk_buf_new(m, o->position.p, o->position.n);
    b->user = o->user;
    b->out = 1;
    lock(m);
    for (jv_buf *other = b->next; other; other = other->next)
        if (!other->parent && !strcmp(other->id, b->id)) mk_die("two records at position '%s'", b->id);
    m->n_unsettled++;
    unlock(m);
    return b;
}

static jv_buf *host_fork(const jv_host *h, const jv_buf *parent, jv_err *err)
{
    mock *m = mock_of(h);
    if (!(m->st->flags & JV_SPLIT)) mk_die("fork() by a stage without JV_SPLIT");
    if (fails(m, err)) return NULL;
    char *id = NULL;
    jv_buf *p = (jv_buf *)(uintptr_t)parent;
    if (asprintf(&id, "%s/%u", p->id, p->forks++) < 0) mk_die("out of memory");
    jv_buf *b = mk_buf_new(m, id, strlen(id));
    free(id);
    for (int i = 0; i < m->n_slots; i++) value_share(m, &b->v[i], &p->v[i]);
    b->parent = p;
    b->out = 1;
    return b;
}

/* What the run says to a stage that emits b: to a source that it is being stopped, to a stage that splits that the
 * record is cancelled. An answer that a test asked for, and a cancel, leave b with nobody. */
static int32_t emit_answer(mock *m, jv_buf *b)
{
    int32_t rc = JV_OK;
    lock(m);
    if (m->emit_at == 0)
        rc = m->emit_code;
    else if (m->st->poll)
        rc = m->stopped || run_cancelled(m) ? JV_END : JV_OK;
    else if (b->parent->cancelled || run_cancelled(m))
        rc = JV_CANCELLED;
    b->out = rc == JV_OK || (rc == JV_END && m->emit_at);
    if (m->emit_at > 0) m->emit_at--;
    if (rc == JV_CANCELLED && b->parent) b->parent->cancelled = 1;
    unlock(m);
    return rc;
}

static int32_t host_emit(const jv_host *h, jv_buf *b, int32_t port, jv_err *err)
{
    mock *m = mock_of(h);
    struct call *c = call_of(m);
    if (!b->out) mk_die("emit() of '%s', which is not the stage's to give", b->id);
    if (port < 0 || port >= mk_n_ports(m->st)) mk_die("emit() to port %d: there are %d", port, mk_n_ports(m->st));
    if (c && c->told) mk_die("emit() of '%s' after one that answered %d", b->id, c->told);
    mk_check_fields(b);
    b->port = port;
    int32_t rc = emit_answer(m, b);
    if (c) c->told = rc;
    if (b->out) record_out(b, b->parent ? MOCK_CHILD : MOCK_ROOT);
    if (rc == JV_OK) return rc;
    return jv_fail(err, rc, "%s",
        rc == JV_END         ? "nothing more is wanted"
        : rc == JV_CANCELLED ? "cancelled"
                             : "emit fails (injected)");
}

static int32_t host_reject(const jv_host *h, jv_buf *b, const jv_err *why, jv_err *err)
{
    if (!b->out || b->parent) mk_die("reject() of '%s', which the stage did not begin", b->id);
    if (!why->text[0]) mk_die("reject() without a text");
    b->why = mk_must(strdup(why->text));
    record_out(b, MOCK_REJECT);
    lock(b->m);
    bool ended = run_cancelled(b->m);
    unlock(b->m);
    return ended ? jv_fail(err, JV_CANCELLED, "the run has ended") : JV_OK;
}

static int32_t host_partial(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err)
{
    mock *m = b->m;
    const struct row *r = check_row(m, row, true);
    if (r->type != JV_BYTES && !mk_is_utf8(more, n)) mk_die("partial() of what is no UTF-8");
    if (fails(m, err)) return JV_FATAL;
    jv_str had = mk_text_of(&b->v[r->slot]);
    struct mem *mem = mk_mem_new(m, had.n + n);
    if (had.n) memcpy(mem->p, had.p, had.n);
    if (n) memcpy(mem->p + had.n, more, n);
    size_t all = had.n + n;
    struct value *v = set_row(b, row, true);
    v->mem = mem;
    v->n = all;
    v->built = true;
    jv_buf *snap = mk_buf_new(m, b->id, strlen(b->id));
    for (int i = 0; i < m->n_slots; i++) value_share(m, &snap->v[i], &b->v[i]);
    snap->partial = 1;
    record_out(snap, MOCK_PARTIAL);
    return JV_OK;
}

static uint64_t host_record(const jv_host *h, const jv_buf *b)
{
    return b->number;
}

static void host_cancel(const jv_host *h, uint64_t record)
{
    mock *m = mock_of(h);
    lock(m);
    for (jv_buf *b = m->all; b; b = b->next)
        if (b->number == record) b->cancelled = 1;
    unlock(m);
}

static int32_t host_cancelled(const jv_host *h, const jv_buf *b)
{
    mock *m = mock_of(h);
    lock(m);
    int32_t yes = b->cancelled || run_cancelled(m);
    if (m->cancel_at > 0) m->cancel_at--;
    unlock(m);
    return yes;
}

static int32_t host_wait(const jv_host *h, int32_t fd, int32_t events, int64_t ms)
{
    mock *m = mock_of(h);
    for (int64_t left = ms; !mk_over(m);) {
        struct pollfd p = {.fd = fd, .events = (short)events};
        int step = left < 0 || left > 10 ? 10 : (int)left;
        if (poll(&p, 1, step) > 0) return 1;
        if (left >= 0 && (left -= step) <= 0) return 0;
    }
    return JV_STOPPED;
}

static void host_count(const jv_host *h, jv_buf *b, int32_t counter, int64_t n)
{
    mock *m = mock_of(h);
    if (counter < 0 || counter >= m->n_counters) mk_die("counter %d: there are %d", counter, m->n_counters);
    lock(m);
    m->counts[counter] += n;
    b->counts[counter] += n;
    unlock(m);
}

const jv_host mk_host_table = {.struct_size = sizeof(jv_host),
    .abi_minor = JV_ABI_MINOR,
    .log = host_log,
    .field = mk_field,
    .column = mk_column,
    .get = host_get,
    .get_i64 = host_get_i64,
    .get_f64 = host_get_f64,
    .put = host_put,
    .view = host_view,
    .put_i64 = host_put_i64,
    .put_f64 = host_put_f64,
    .scratch = host_scratch,
    .id = host_id,
    .is_partial = host_is_partial,
    .begin = host_begin,
    .fork = host_fork,
    .emit = host_emit,
    .partial = host_partial,
    .record = host_record,
    .cancel = host_cancel,
    .cancelled = host_cancelled,
    .wait = host_wait,
    .count = host_count,
    .reject = host_reject};
