/* mockhost.c: a stage's life, and what tests call; see mockhost.h. */
#include "mock_impl.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

_Thread_local struct call *mk_call_now;

_Noreturn void mk_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("mock host: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

void *mk_must(void *p)
{
    if (!p) mk_die("out of memory");
    return p;
}

void *mk_push(void *array, size_t n, size_t size)
{
    return (n & (n - 1)) && n ? array : mk_must(realloc(array, (n ? 2 * n : 1) * size));
}

/* ---- a stage's life --------------------------------------------------------------------------------------------- */

static void call_begin(mock *m, struct call *c)
{
    *c = (struct call){.up = mk_call_now, .m = m};
    mk_call_now = c;
    lock(m);
    m->depth++;
    unlock(m);
}

/* Frees what the call borrowed, and asks after what it made and did not give away: only FATAL excuses that, for it ends
 * the run anyway. */
static void call_end(struct call *c, int32_t rc)
{
    mock *m = c->m;
    for (size_t i = 0; i < c->n; i++) free(c->scratch[i]);
    free(c->scratch);
    mk_call_now = c->up;
    lock(m);
    size_t left = 0;
    for (jv_buf *b = m->all; b; b = b->next) {
        if (!b->out || !pthread_equal(b->owner, pthread_self())) continue;
        b->out = 0;
        left++;
    }
    m->depth--;
    while (m->depth == 0 && m->dead) {
        struct mem *mem = m->dead;
        m->dead = mem->next;
        mk_mem_free(m, mem);
    }
    unlock(m);
    if (left && rc != JV_FATAL) mk_die("%zu forked or begun buffers were not emitted", left);
    if (c->told && rc != c->told) mk_die("emit answered %d, and the stage %d", c->told, rc);
}

static int32_t checked(int32_t rc, const jv_err *err)
{
    if (rc >= 0) return rc;
    if (err->code != rc) mk_die("answered %d, but err has code %d", rc, err->code);
    if (!err->text[0] || strchr(err->text, '\n'))
        mk_die("answered %d; err's text is not one line: '%s'", rc, err->text);
    size_t n = strlen(err->text);
    if (err->text[n - 1] == '.' && (n < 2 || err->text[n - 2] != '.'))
        mk_die("err's text ends with a full stop: %s", err->text);
    if (!mk_is_utf8(err->text, n)) mk_die("err's text is no UTF-8");
    return rc;
}

mock *mock_new(const char *so, const char *stage)
{
    void *dl = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    const jv_plugin *d = dl ? dlsym(dl, "jv_plugin_desc") : NULL;
    if (!d) mk_die("%s", dlerror());
    mk_check_descriptor(d, so);
    if (!stage && d->n_stages != 1) mk_die("%s holds %u stages: name one", so, d->n_stages);
    mock *m = mk_must(calloc(1, sizeof *m));
    for (uint32_t i = 0; i < d->n_stages; i++)
        if (!stage || !strcmp(d->stages[i].name, stage)) m->st = &d->stages[i];
    if (!m->st) mk_die("%s has no stage '%s'", so, stage);
    mk_check_stage(m->st);
    m->h = mk_host_table;
    m->fail_at = m->emit_at = m->cancel_at = -1;
    pthread_mutex_init(&m->lock, NULL);
    while (m->st->counters && m->st->counters[m->n_counters].name) m->n_counters++;
    if (m->n_counters > MAX_COUNTERS) mk_die("more than %d counters", MAX_COUNTERS);
    m->ctx = mk_must(calloc(1, m->st->ctx_size ? m->st->ctx_size : 1));
    mock_column(m, "id", JV_UTF8, 0);
    return m;
}

int32_t mock_open(mock *m, jv_err *err)
{
    *err = (jv_err){0};
    if (m->state) mk_die("opened twice");
    m->state = 1;
    int32_t rc = mk_configure(m, err);
    if (rc < 0) return m->state = 4, rc; /* the stage never saw it: no close either */
    struct call c;
    call_begin(m, &c);
    rc = m->st->open ? m->st->open(m->ctx, &m->h, err) : JV_OK;
    call_end(&c, rc);
    m->state = 2;
    return checked(rc, err);
}

/* Without a look at the answer. */
static int32_t bare_call(mock *m, int32_t (*f)(void *, jv_err *), jv_err *err)
{
    *err = (jv_err){0};
    if (m->state != 2 && m->state != 3) mk_die("the stage is not open");
    if (!f) return JV_OK;
    struct call c;
    call_begin(m, &c);
    int32_t rc = f(m->ctx, err);
    call_end(&c, rc);
    return rc;
}

static int32_t simple_call(mock *m, int32_t (*f)(void *, jv_err *), jv_err *err)
{
    return checked(bare_call(m, f, err), err);
}

int32_t mock_start(mock *m, jv_err *err)
{
    int32_t rc = simple_call(m, m->st->start, err);
    m->state = 3;
    return rc;
}

int32_t mock_poll(mock *m, jv_err *err)
{
    if (m->state != 3 || !m->st->poll) mk_die("poll of what is no started source");
    int32_t rc = bare_call(m, m->st->poll, err);
    bool told_to = rc == JV_FULL || ((rc == JV_STOPPED || rc == JV_CANCELLED) && mk_over(m));
    if (told_to) return rc; /* `wait` fills no err */
    if (rc != JV_OK && rc != JV_END && rc != JV_BAD && rc != JV_FATAL) mk_die("poll answered %d, which it may not", rc);
    return checked(rc, err);
}

int32_t mock_flush(mock *m, jv_err *err)
{
    return simple_call(m, m->st->flush, err);
}

/* forks: how many the record had before. */
static void check_verdict(mock *m, const jv_buf *b, uint32_t forks, int32_t rc, const jv_err *err)
{
    const jv_stage *st = m->st;
    int n = mk_n_ports(st);
    bool delivered = rc == JV_OK && !st->ports;
    if (rc < JV_CANCELLED || rc > JV_DROP) mk_die("process answered %d, which is no verdict", rc);
    if (rc >= 0 && rc < JV_DONE && rc >= n && !delivered) mk_die("process answered port %d of %d", rc, n);
    if (rc >= 0 && rc < JV_DONE) mk_check_fields(b);
    if (rc == JV_DROP && (err->code != JV_DROP || !err->reason)) mk_die("DROP without a reason");
    if (rc == JV_DONE && !(st->flags & JV_SPLIT)) mk_die("DONE by a stage without JV_SPLIT");
    if (rc == JV_DONE && b->forks == forks) mk_die("DONE, and no child stands for the record");
    if (rc == JV_RETRY && b->forks != forks) mk_die("RETRY after children were forked");
    if (rc == JV_CANCELLED && !b->cancelled && !mk_over(m)) mk_die("CANCELLED for a record that nobody cancelled");
}

static bool same_value(const struct value *a, const struct value *b)
{
    return a->type == b->type && a->mem == b->mem && a->at == b->at && a->n == b->n && a->i == b->i &&
           !memcmp(&a->f, &b->f, sizeof a->f);
}

/* After RETRY the buffer is as it came: what `partial` built is taken away here, all else the stage left alone. */
static void check_retry(mock *m, jv_buf *b, const struct value *before)
{
    for (int i = 0; i < m->n_slots; i++) {
        if (b->v[i].built) mk_value_clear(m, &b->v[i]);
        if (!same_value(&before[i], &b->v[i])) mk_die("RETRY, but field '%s' is not as it came", m->slots[i].name);
    }
}

int32_t mock_process(mock *m, jv_buf *b, jv_err *err)
{
    if (m->state != 3 || !m->st->process) mk_die("process of what is no started filter or sink");
    struct value before[MAX_SLOTS];
    for (int i = 0; i < m->n_slots; i++) b->v[i].built = false;
    memcpy(before, b->v, sizeof before);
    uint32_t forks = b->forks;
    *err = (jv_err){0};
    struct call c;
    call_begin(m, &c);
    int32_t rc = m->st->process(m->ctx, b, err);
    if (rc == JV_RETRY) check_retry(m, b, before);
    check_verdict(m, b, forks, rc, err);
    call_end(&c, rc);
    return checked(rc, err);
}

void mock_stop(mock *m)
{
    lock(m);
    m->stopped = true;
    unlock(m);
    if (m->st->stop) m->st->stop(m->ctx);
}

void mock_close(mock *m)
{
    if ((m->state == 2 || m->state == 3) && m->st->close) {
        struct call c;
        call_begin(m, &c);
        m->st->close(m->ctx);
        call_end(&c, JV_OK);
    }
    m->state = 4;
}

void mock_free(mock *m)
{
    mock_close(m);
    mock_forget(m);
    if (m->n_mem) mk_die("%lld texts were not given back", (long long)m->n_mem);
    for (size_t i = 0; i < m->n_texts; i++) free(m->texts[i]);
    for (size_t i = 0; i < m->n_logs; i++) free(m->logs[i]);
    for (int i = 0; i < m->n_slots; i++) free(m->slots[i].name);
    for (int i = 0; i < m->n_services; i++) free(m->services[i].section);
    free(m->texts);
    free(m->logs);
    free(m->ctx);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void *mock_context(mock *m)
{
    return m->ctx;
}

const jv_host *mock_host(mock *m)
{
    return &m->h;
}

const jv_stage *mock_stage(mock *m)
{
    return m->st;
}

/* ---- records in ------------------------------------------------------------------------------------------------- */

jv_buf *mock_record(mock *m, const char *id)
{
    return mk_buf_new(m, id, strlen(id));
}

void mock_put_n(jv_buf *b, const char *field, const void *p, size_t n)
{
    int i = mk_slot_of(b, field);
    const jv_column *col = &b->m->slots[i].col;
    struct value *v = &b->v[i];
    mk_value_clear(b->m, v);
    *v = (struct value){.type = col->name ? col->type : JV_UTF8, .mem = mk_mem_new(b->m, n), .n = n};
    if (!mk_is_bytes(v->type)) mk_die("the test puts text into '%s', which is a number", field);
    if (n) memcpy(v->mem->p, p, n);
    if (v->type != JV_BYTES && !mk_is_utf8(v->mem->p, n)) mk_die("the test puts what is no UTF-8 into '%s'", field);
}

void mock_put(jv_buf *b, const char *field, const char *text)
{
    mock_put_n(b, field, text, strlen(text));
}

void mock_put_i64(jv_buf *b, const char *field, int64_t i)
{
    b->v[mk_slot_of(b, field)] = (struct value){.type = JV_I64, .i = i};
}

void mock_put_f64(jv_buf *b, const char *field, double f)
{
    b->v[mk_slot_of(b, field)] = (struct value){.type = JV_F64, .f = f};
}

void mock_set_partial(jv_buf *b, bool partial)
{
    b->partial = partial;
}

void mock_forget(mock *m)
{
    while (m->all) {
        jv_buf *b = m->all;
        m->all = b->next;
        for (int i = 0; i < MAX_SLOTS; i++) mk_value_clear(m, &b->v[i]);
        free(b->id);
        free(b->why);
        free(b);
    }
    free(m->outs);
    m->outs = NULL;
    m->n_outs = 0;
}

/* ---- what came out ---------------------------------------------------------------------------------------------- */

size_t mock_n(mock *m)
{
    return m->n_outs;
}

jv_buf *mock_at(mock *m, size_t i)
{
    if (i >= m->n_outs) mk_die("the test asks for output %zu of %zu", i, m->n_outs);
    return m->outs[i];
}

int32_t mock_kind(const jv_buf *b)
{
    return b->kind;
}

int32_t mock_port(const jv_buf *b)
{
    return b->port;
}

const char *mock_id(const jv_buf *b)
{
    return b->id;
}

const char *mock_why(const jv_buf *b)
{
    return b->why ? b->why : "(not rejected)";
}

bool mock_has(const jv_buf *b, const char *field)
{
    return b->v[mk_slot_of(b, field)].type != 0;
}

int32_t mock_type_of(const jv_buf *b, const char *field)
{
    return b->v[mk_slot_of(b, field)].type;
}

jv_str mock_get(const jv_buf *b, const char *field)
{
    return mk_text_of(&b->v[mk_slot_of(b, field)]);
}

/* A view need not end with a NUL: the copy lives as long as the options do. */
const char *mock_text(const jv_buf *b, const char *field)
{
    if (!mock_has(b, field)) return "(absent)";
    jv_str s = mock_get(b, field);
    return mk_keep(b->m, s.p ? s.p : "", s.n);
}

int64_t mock_i64(const jv_buf *b, const char *field)
{
    const struct value *v = &b->v[mk_slot_of(b, field)];
    if (v->type != JV_I64) mk_die("field '%s' has no i64", field);
    return v->i;
}

double mock_f64(const jv_buf *b, const char *field)
{
    const struct value *v = &b->v[mk_slot_of(b, field)];
    if (v->type != JV_F64) mk_die("field '%s' has no f64", field);
    return v->f;
}

static int counter_of(const mock *m, const char *name)
{
    for (int i = 0; i < m->n_counters; i++)
        if (!strcmp(m->st->counters[i].name, name)) return i;
    mk_die("stage %s has no counter '%s'", m->st->name, name);
}

int64_t mock_count(mock *m, const char *counter)
{
    return m->counts[counter_of(m, counter)];
}

int64_t mock_counted(const jv_buf *b, const char *counter)
{
    return b->counts[counter_of(b->m, counter)];
}

size_t mock_logs(mock *m)
{
    return m->n_logs;
}

bool mock_logged(mock *m, const char *part)
{
    for (size_t i = 0; i < m->n_logs; i++)
        if (strstr(m->logs[i], part)) return true;
    return false;
}

/* ---- trouble ---------------------------------------------------------------------------------------------------- */

void mock_fail_at(mock *m, int64_t k)
{
    lock(m);
    m->fail_at = k;
    m->failed = false;
    unlock(m);
}

bool mock_failed(mock *m)
{
    return m->failed;
}

void mock_emit_at(mock *m, int64_t k, int32_t code)
{
    int32_t over = m->st->poll ? JV_END : JV_CANCELLED;
    if (code != JV_FATAL && code != over) mk_die("to such a stage emit answers %d or %d, not %d", JV_FATAL, over, code);
    lock(m);
    m->emit_at = k;
    m->emit_code = code;
    unlock(m);
}

void mock_cancel_at(mock *m, int64_t k)
{
    lock(m);
    m->cancel_at = k;
    unlock(m);
}

void mock_window(mock *m, size_t n)
{
    m->window = n;
}

void mock_settle(mock *m, jv_buf *root, int32_t status, const char *text)
{
    if ((root->kind != MOCK_ROOT && root->kind != MOCK_REJECT) || root->settled)
        mk_die("the test settles what is no open root");
    root->settled = 1;
    lock(m);
    m->n_unsettled--;
    unlock(m);
    jv_err err = {.code = status};
    snprintf(err.text, sizeof err.text, "%s", text ? text : "");
    if (m->st->done) m->st->done(m->ctx, root->user, status, &err);
}

bool mock_cancelled(const jv_buf *b)
{
    return b->cancelled != 0;
}
