/*
 * mock_table.c: the functions of the jv_host table that have to do with records, and the table itself.
 */
#include "mock_impl.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* ---- log --------------------------------------------------------------------------------------------------------- */

/* With the lock. The same twice in a row is told once. */
static void add_mistake(mock *m, const char *line)
{
    char *all, *last = m->mistakes ? strrchr(m->mistakes, '\n') : NULL;
    if (m->mistakes && !strcmp(last ? last + 1 : m->mistakes, line)) return;
    if (m->state != 1) mk_die("a mistake told elsewhere than in open: %s", line);
    if (asprintf(&all, "%s%s%s", m->mistakes ? m->mistakes : "", m->mistakes ? "\n" : "", line) < 0)
        mk_die("out of memory");
    free(m->mistakes);
    m->mistakes = all;
}

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
    if (level == JV_LOG_MISTAKE) add_mistake(m, line);
    m->logs = mk_push(m->logs, m->n_logs, sizeof(char *));
    m->logs[m->n_logs++] = line;
    unlock(m);
}

static void *host_scratch(const jv_host *h, size_t n, jv_err *err)
{
    mock *m = mock_of(h);
    struct call *c = call_of(m);
    if (!c) mk_die("scratch() by a thread that runs no function of this stage");
    if (mk_fails(m, err)) return NULL;
    c->scratch = mk_push(c->scratch, c->n, sizeof(void *));
    void *p = NULL;
    if (n > SIZE_MAX / 2 || posix_memalign(&p, 64, n ? n : 1)) mk_die("scratch of %zu bytes asked for", n);
    memset(p, 0xa5, n);
    return c->scratch[c->n++] = p;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

jv_buf *mk_buf_new(mock *m, const char *id, size_t n, jv_buf *parent)
{
    jv_buf *b = mk_must(calloc(1, sizeof *b));
    b->m = m;
    b->parent = parent;
    b->root = parent ? parent->root : b;
    b->priority = b->root->priority ? b->root->priority : JV_BATCH;
    b->source = b->root->source;
    b->user = b->root->user;
    b->owner = pthread_self();
    b->id = mk_must(malloc(n + 1));
    memcpy(b->id, id, n);
    b->id[n] = 0;
    for (int i = 0; parent && i < m->n_slots; i++) mk_value_share(m, &b->v[i], &parent->v[i]);
    lock(m);
    b->number = ++m->next_number;
    b->next = m->all;
    m->all = b;
    unlock(m);
    return b;
}

void mk_record_out(jv_buf *b, int32_t kind)
{
    mock *m = b->m;
    b->kind = kind;
    b->out = 0;
    lock(m);
    m->outs = mk_push(m->outs, m->n_outs, sizeof(jv_buf *));
    m->outs[m->n_outs++] = b;
    pthread_cond_broadcast(&m->grew);
    unlock(m);
}

/* With the lock held. */
static bool run_cancelled(const mock *m)
{
    return m->cancel_at == 0;
}

bool mk_over(mock *m)
{
    lock(m);
    bool over = run_cancelled(m) || (is_source(m->st) && m->stopped);
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

static int32_t check_origin(mock *m, const jv_origin *o, jv_err *err)
{
    if (!o->position.n || o->position.n > 4096 || !mk_is_utf8(o->position.p, o->position.n))
        return jv_fail(err, JV_BAD, "a position has 1 to 4096 bytes of UTF-8");
    return mk_fails(m, err) ? JV_FATAL : JV_OK;
}

static jv_buf *new_root(mock *m, const jv_origin *o)
{
    jv_buf *b = mk_buf_new(m, o->position.p, o->position.n, NULL);
    if (o->priority) b->priority = o->priority;
    b->user = o->user;
    b->source = m->ctx;
    lock(m);
    b->out = 1;
    for (jv_buf *other = b->next; other; other = other->next)
        if (!other->parent && !strcmp(other->id, b->id)) mk_die("two records at position '%s'", b->id);
    unlock(m);
    return b;
}

static jv_buf *host_begin(const jv_host *h, const jv_origin *o, jv_err *err)
{
    mock *m = mock_of(h);
    struct call *c = call_of(m);
    if (!is_source(m->st) || m->state != 3) mk_die("begin() by what is no started source");
    if (m->st->poll && !(c && c->polls)) mk_die("begin() outside poll by a source that has one");
    bool known = o->priority == JV_LIVE || o->priority == JV_BATCH;
    if (o->priority && (m->st->poll || !known)) mk_die("begin(): priority %d", o->priority);
    if (o->struct_size != sizeof *o) mk_die("begin(): struct_size is not set");
    if (mk_over(m)) return jv_fail(err, JV_STOPPED, "the run is being stopped"), NULL;
    lock(m);
    bool full = m->window && m->n_unsettled >= m->window, gone = m->gone;
    m->n_unsettled += !full;
    unlock(m);
    if (gone) mk_die("begin() after stop has returned");
    if (full) return jv_fail(err, JV_FULL, "%zu records are on their way", m->window), NULL;
    int32_t rc = check_origin(m, o, err);
    if (rc == JV_OK) return new_root(m, o);
    lock(m);
    m->n_unsettled--;
    unlock(m);
    return NULL;
}

static jv_buf *host_fork(const jv_host *h, const jv_buf *parent, jv_err *err)
{
    mock *m = mock_of(h);
    if (!(m->st->flags & JV_SPLIT)) mk_die("fork() by a stage without JV_SPLIT");
    if (!call_of(m) || call_of(m)->b != parent) mk_die("fork() of what is not the record that process was given");
    if (mk_fails(m, err)) return NULL;
    char *id = NULL;
    jv_buf *p = (jv_buf *)(uintptr_t)parent;
    if (asprintf(&id, "%s/%u", p->id, p->forks++) < 0) mk_die("out of memory");
    jv_buf *b = mk_buf_new(m, id, strlen(id), p);
    free(id);
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
    else if (is_source(m->st))
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
    if (port < 0 || port >= m->n_ports) mk_die("emit() to port %d: there are %d", port, m->n_ports);
    if (c && c->told) mk_die("emit() of '%s' after one that answered %d", b->id, c->told);
    mk_check_fields(b);
    b->port = port;
    int32_t rc = emit_answer(m, b);
    if (c) c->told = rc;
    if (b->out) mk_record_out(b, b->parent ? MOCK_CHILD : MOCK_ROOT);
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
    mk_record_out(b, MOCK_REJECT);
    lock(b->m);
    bool ended = run_cancelled(b->m);
    unlock(b->m);
    return ended ? jv_fail(err, JV_CANCELLED, "the run has ended") : JV_OK;
}

static uint32_t host_children(const jv_host *h, const jv_buf *b)
{
    if (!(mock_of(h)->st->flags & JV_MERGE) || b->held) mk_die("children() of what does not come to a merge");
    return (uint32_t)b->n_kids;
}

static const jv_buf *host_child(const jv_host *h, const jv_buf *b, uint32_t i, jv_err *err)
{
    if (i >= host_children(h, b)) mk_die("child() asks for child %u of %zu", i, b->n_kids);
    if (!b->kids[i]) *err = b->missing[i];
    return b->kids[i];
}

static int32_t host_priority(const jv_host *h, const jv_buf *b)
{
    return b->root->priority;
}

static void *host_user(const jv_host *h, const jv_buf *b, const jv_ref *source)
{
    if (b->settled) mk_die("user() of a settled record: `done` has it as an argument");
    return b->source && b->source == source->self ? b->root->user : NULL;
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
    if (b->partial) return;
    lock(m);
    m->counts[counter] += n;
    b->counts[counter] += n;
    b->root->tally[counter] += n;
    unlock(m);
}

static int64_t host_tally(const jv_host *h, const jv_buf *b, const char *counter, int64_t absent)
{
    mock *m = mock_of(h);
    lock(m);
    for (int i = 0; i < m->n_tallies; i++)
        if (!strcmp(m->tallies[i], counter)) absent = b->root->tally[i];
    unlock(m);
    return absent;
}

/* ---- the pipeline ------------------------------------------------------------------------------------------------ */

static int32_t host_lease(const jv_host *h, int32_t want)
{
    mock *m = mock_of(h);
    if (m->state != 1 && !m->starting) mk_die("lease() outside open and start");
    if (want < 0) mk_die("lease() of %d threads", want);
    int32_t left = MAX_CORES - m->leased;
    int32_t granted = want && want < left ? want : left > 0 ? left : 1;
    m->leased += granted;
    return granted;
}

static int32_t host_stats(const jv_host *h, void (*write)(void *arg, const char *text, size_t n), void *arg, jv_err *err)
{
    static const char *const pieces[] = {"{\"pipeline\":\"mock\",", "\"stages\":[]}"};
    if (mk_fails(mock_of(h), err)) return JV_FATAL;
    for (size_t i = 0; i < 2; i++) write(arg, pieces[i], strlen(pieces[i]));
    return JV_OK;
}

static void host_fail(const jv_host *h, const jv_err *why)
{
    mock *m = mock_of(h);
    if (!is_source(m->st) || m->st->poll) mk_die("fail() by what is no source without poll");
    if (!why->text[0]) mk_die("fail() without a text");
    lock(m);
    if (!m->why) m->why = mk_must(strdup(why->text));
    m->cancel_at = 0;
    unlock(m);
}

const jv_host mk_host_table = {
    .struct_size = sizeof(jv_host),
    .abi_minor = JV_ABI_MINOR,
    .log = host_log,
    .field = mk_field,
    .column = mk_column,
    .get = mk_get,
    .get_i64 = mk_get_i64,
    .get_f64 = mk_get_f64,
    .put = mk_put,
    .view = mk_view,
    .writable = mk_writable,
    .put_i64 = mk_put_i64,
    .put_f64 = mk_put_f64,
    .scratch = host_scratch,
    .id = host_id,
    .is_partial = host_is_partial,
    .priority = host_priority,
    .user = host_user,
    .begin = host_begin,
    .fork = host_fork,
    .emit = host_emit,
    .children = host_children,
    .child = host_child,
    .partial = mk_partial,
    .record = host_record,
    .cancel = host_cancel,
    .cancelled = host_cancelled,
    .wait = host_wait,
    .count = host_count,
    .tally = host_tally,
    .reject = host_reject,
    .params = mk_params,
    .lease = host_lease,
    .stats = host_stats,
    .fail = host_fail,
};
