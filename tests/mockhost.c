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
    pthread_cond_init(&m->grew, NULL);
    while (m->st->counters && m->st->counters[m->n_counters].name) m->n_counters++;
    if (m->n_counters > MAX_COUNTERS) mk_die("more than %d counters", MAX_COUNTERS);
    for (; m->n_tallies < m->n_counters; m->n_tallies++) m->tallies[m->n_tallies] = m->st->counters[m->n_tallies].name;
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
    if (rc != JV_OK && rc != JV_BAD && rc != JV_FATAL) mk_die("open answered %d, which it may not", rc);
    if (rc == JV_OK && m->mistakes) mk_die("open told of mistakes and answered JV_OK: %s", m->mistakes);
    checked(rc, err);
    if (m->mistakes) snprintf(err->text, sizeof err->text, "%s", m->mistakes);
    return rc;
}

/* Without a look at the answer. */
static int32_t bare_call(mock *m, int32_t (*f)(void *, jv_err *), jv_err *err)
{
    *err = (jv_err){0};
    if (m->state != 2 && m->state != 3) mk_die("the stage is not open");
    if (!f) return JV_OK;
    struct call c;
    call_begin(m, &c);
    c.polls = f == m->st->poll;
    int32_t rc = f(m->ctx, err);
    call_end(&c, rc);
    return rc;
}

static int32_t simple_call(mock *m, int32_t (*f)(void *, jv_err *), jv_err *err)
{
    int32_t rc = bare_call(m, f, err);
    if (rc != JV_OK && rc != JV_BAD && rc != JV_FATAL) mk_die("start or flush answered %d, which it may not", rc);
    return checked(rc, err);
}

int32_t mock_start(mock *m, jv_err *err)
{
    if (m->state != 2) mk_die("started twice, or not open");
    m->starting = true;
    m->state = 3; /* a source without poll may begin records before its start returns */
    int32_t rc = simple_call(m, m->st->start, err);
    m->starting = false;
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
    int n = m->n_ports;
    bool delivered = rc == JV_OK && !st->ports;
    bool on = (rc >= 0 && rc < JV_DONE) || rc == JV_END;
    if (rc < JV_CANCELLED || rc > JV_END) mk_die("process answered %d, which is no verdict", rc);
    if (rc >= 0 && rc < JV_DONE && rc >= n && !delivered) mk_die("process answered port %d of %d", rc, n);
    if (on) mk_check_fields(b);
    if (on && st->flags & JV_SPLIT)
        mk_die("process answered %d; of a stage with JV_SPLIT the good verdict is DONE", rc);
    if (rc == JV_DROP && (err->code != JV_DROP || !err->reason)) mk_die("DROP without a reason");
    if (rc == JV_DONE && !(st->flags & JV_SPLIT)) mk_die("DONE by a stage without JV_SPLIT");
    if (rc == JV_RETRY && b->forks != forks) mk_die("RETRY after children were forked");
    if (rc == JV_CANCELLED && !b->cancelled && !mk_over(m)) mk_die("CANCELLED for a record that nobody cancelled");
}

/* What the stage set is taken back. The values of before are held while it runs, as the host does: `writable` copies.
 * */
static void put_back(mock *m, jv_buf *b, struct value *before, bool back)
{
    for (int i = 0; i < m->n_slots; i++) {
        if (back) mk_value_share(m, &b->v[i], &before[i]);
        mk_value_clear(m, &before[i]);
    }
}

static void check_record(const mock *m, const jv_buf *b)
{
    if (m->state != 3 || !m->st->process) mk_die("process of what is no started filter or sink");
    if (b->partial && !(m->st->flags & JV_PARTIALS)) mk_die("the test gives a snapshot to a stage without JV_PARTIALS");
    if (b->n_kids && !(m->st->flags & JV_MERGE)) mk_die("the test gives children to a stage without JV_MERGE");
}

int32_t mock_process(mock *m, jv_buf *b, jv_err *err)
{
    check_record(m, b);
    *err = (jv_err){0};
    lock(m);
    bool ended = m->ended;
    unlock(m);
    if (ended) return jv_drop(err, "nothing more is wanted");
    struct value before[MAX_SLOTS] = {0};
    for (int i = 0; i < m->n_slots; i++) {
        b->v[i].built = b->v[i].here = false;
        mk_value_share(m, &before[i], &b->v[i]);
    }
    uint32_t forks = b->forks;
    struct call c;
    call_begin(m, &c);
    c.b = b;
    b->came = before;
    int32_t rc = m->st->process(m->ctx, b, err);
    if (!b->partial) check_verdict(m, b, forks, rc, err);
    b->came = NULL;
    put_back(m, b, before, rc == JV_BAD || rc == JV_RETRY);
    lock(m);
    m->ended |= rc == JV_END;
    unlock(m);
    call_end(&c, rc);
    return b->partial ? rc : checked(rc, err);
}

void mock_stop(mock *m)
{
    lock(m);
    if (m->stopped) mk_die("the test stops the source twice");
    m->stopped = true;
    unlock(m);
    if (m->st->stop) m->st->stop(m->ctx);
    lock(m);
    m->gone = true;
    unlock(m);
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
    if (status == JV_DROP)
        err.reason = text;
    else
        snprintf(err.text, sizeof err.text, "%s", text ? text : "");
    if (!m->st->done) return;
    struct call c;
    call_begin(m, &c);
    m->st->done(m->ctx, root->user, root, status, &err);
    call_end(&c, JV_OK);
}

void mock_close(mock *m)
{
    for (const jv_buf *b = m->all; b; b = b->next)
        if (b->out && m->state == 3) mk_die("'%s' was begun, and neither emitted nor rejected", b->id);
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
    free(m->mistakes);
    free(m->others);
    free(m->why);
    free(m->ctx);
    pthread_cond_destroy(&m->grew);
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
