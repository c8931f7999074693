/*
 * strand.c: the threads that stages run in. A strand takes what waits in its inbox, live before batch, and works through
 * it stage by stage: each stage runs over all that is pending before the next one does, so that its code and data are
 * warm and the clock is read once for many buffers. How many it takes at once follows from how long a pass lasts: up to
 * 64 where stages are quick, one where a stage is slow, so that nothing that is done waits for what is not.
 *
 * Inboxes do not refuse, so no thread ever waits for another one to take what it has; only a stage that splits waits
 * (in `emit`) while the inbox behind it is long, which is safe because strands form no circles.
 */
#include "pipeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INBOX_MOST 1024 /* buffers, beyond which a stage that splits waits */
#define QUICK_NS 200000 /* a pass in which every stage took less may be larger */
#define SLOW_NS 1000000 /* one in which a stage took more must be smaller */
#define LOOK_EVERY 8    /* buffers: how often the clock is read within a batch */
#define WORKER_NS 50000 /* what a thread of a PARALLEL stage takes at once should last about so long */

_Thread_local struct jvc_thread *jvc_me;

/* ---- inboxes ---- */

static bool must_wait(const struct jvc_strand *st)
{
    const struct jvc_call *c = jvc_current_call;
    return c && (c->stage->def->flags & JV_SPLIT) && atomic_load(&st->waiting) > INBOX_MOST &&
           !atomic_load(&st->pl->cancelled);
}

static void wake(struct jvc_strand *st, size_t n)
{
    for (uint32_t i = 0; i < st->sleepers && i < n; i++) pthread_cond_signal(&st->work);
}

static void post_list(struct jvc_strand *st, int lane, struct jvc_list *l)
{
    size_t n = l->n;
    pthread_mutex_lock(&st->lock);
    while (must_wait(st)) pthread_cond_wait(&st->room, &st->lock);
    jvc_list_join(&st->lanes[lane], l);
    atomic_fetch_add_explicit(&st->waiting, n, memory_order_relaxed);
    wake(st, n);
    pthread_mutex_unlock(&st->lock);
}

void jvc_post(struct jvc_stage *r, jv_buf *b)
{
    struct jvc_strand *st = r->strand;
    int lane = b->lane;
    struct jvc_list one = {0}, *l = jvc_me && !b->partial ? &jvc_me->outs[st->at * JVC_LANES + (uint32_t)lane] : &one;
    b->at = r;
    jvc_list_add(l, b);
    if (l != &one) jvc_me->kept++;
    if (l != &one && l->n < JVC_BATCH) return;
    if (l != &one) jvc_me->kept -= l->n;
    post_list(st, lane, l);
}

void jvc_post_all(struct jvc_thread *me)
{
    if (!me->kept) return;
    struct jvc_pipeline *pl = me->strand->pl;
    for (uint32_t i = 0; i < pl->n_strands * JVC_LANES; i++)
        if (me->outs[i].n) post_list(&pl->strands[i / JVC_LANES], (int)(i % JVC_LANES), &me->outs[i]);
    me->kept = 0;
}

void jvc_strand_kick(struct jvc_strand *st)
{
    if (jvc_me && jvc_me->strand == st) return; /* this thread's pass comes by */
    pthread_mutex_lock(&st->lock);
    st->kicked = true;
    wake(st, 1);
    pthread_mutex_unlock(&st->lock);
}

void jvc_strand_wake(struct jvc_strand *st)
{
    pthread_mutex_lock(&st->lock);
    pthread_cond_broadcast(&st->work);
    pthread_cond_broadcast(&st->room);
    pthread_mutex_unlock(&st->lock);
}

/* Sleeps until there is something to do, or nothing more will come. Under the lock. */
static void wait_for_work(struct jvc_strand *st)
{
    if (atomic_load(&st->waiting) || st->kicked || !st->feeders) return;
    int64_t t0 = jvc_now();
    st->sleepers++;
    while (!atomic_load(&st->waiting) && !st->kicked && st->feeders) pthread_cond_wait(&st->work, &st->lock);
    st->sleepers--;
    jvc_count(&st->stages[0]->wait_ns, jvc_now() - t0);
}

/* Whether a thread of the strand has that record now. */
static bool at_work_on(const struct jvc_strand *st, const struct jvc_node *n)
{
    for (uint32_t i = 0; i < st->n_threads; i++)
        if (st->mine[i].node == n) return true;
    return false;
}

/* Of a PARALLEL stage that takes snapshots, those of a record and its final must come one after the other: what is
 * next for a record that is being worked on stays, and a snapshot has to give way. Null: there is nothing to take. */
static jv_buf *take_one(struct jvc_strand *st, struct jvc_list *l, struct jvc_list *stale)
{
    struct jvc_list left = {0};
    jv_buf *b, *found = NULL;
    while (!found && (b = jvc_list_take(l))) {
        if (!at_work_on(st, b->node))
            found = b;
        else
            jvc_list_add(b->partial ? stale : &left, b);
    }
    jvc_list_join(&left, l);
    *l = left;
    return found;
}

/* The same for a whole inbox. Under the lock. */
static size_t take_shown(struct jvc_strand *st, jv_buf **v, struct jvc_list *stale)
{
    for (int lane = 0; lane < JVC_LANES; lane++) {
        jv_buf *b = take_one(st, &st->lanes[lane], stale);
        if (!b) continue;
        jvc_me->node = b->node;
        *v = b;
        return 1;
    }
    return 0;
}

static size_t take_many(struct jvc_strand *st, jv_buf **v, size_t most)
{
    size_t share = atomic_load(&st->waiting) / st->n_threads + 1, n = 0; /* others of this strand want some too */
    if (most > share) most = share;
    for (int lane = 0; lane < JVC_LANES; lane++)
        while (n < most && st->lanes[lane].first) v[n++] = jvc_list_take(&st->lanes[lane]);
    return n;
}

/* The next buffer of a thread's batch; null: all are begun. Any thread of the strand. */
static jv_buf *next_of(struct jvc_thread *t)
{
    if (atomic_load_explicit(&t->next, memory_order_relaxed) >= t->n_batch) return NULL;
    size_t i = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
    return i < t->n_batch ? t->batch[i] : NULL;
}

/* What another thread of a PARALLEL stage took and has not begun: it may be held up by the one before. Whoever was woken
 * for it comes by here. Under the lock. */
static size_t steal(struct jvc_strand *st, jv_buf **v)
{
    for (uint32_t i = 0; st->parallel && i < st->n_threads; i++)
        if ((*v = next_of(&st->mine[i]))) return 1;
    return 0;
}

/* Takes up to `most` buffers, live ones first; *over: nothing more will ever come. */
static size_t take(struct jvc_strand *st, jv_buf **v, size_t most, bool *over)
{
    bool shown = st->parallel && (st->stages[0]->def->flags & JV_PARTIALS);
    struct jvc_list stale = {0};
    size_t n;
    pthread_mutex_lock(&st->lock);
    if (jvc_me->node) pthread_cond_broadcast(&st->work); /* who left what is next for it may take that now */
    jvc_me->node = NULL;
    for (;;) {
        n = atomic_load(&st->waiting) ? 0 : steal(st, v);
        if (n) break;
        wait_for_work(st);
        size_t waiting = atomic_load(&st->waiting);
        *over = !waiting && !st->kicked && !st->feeders;
        st->kicked = false;
        n = shown ? take_shown(st, v, &stale) : take_many(st, v, most);
        atomic_store_explicit(&st->waiting, st->lanes[JVC_LIVE].n + st->lanes[JVC_LATER].n, memory_order_relaxed);
        if (waiting > INBOX_MOST && waiting - n <= INBOX_MOST) pthread_cond_broadcast(&st->room);
        if (n || stale.n || !atomic_load(&st->waiting)) break;
        st->sleepers++; /* all that waits is for records that others have now */
        pthread_cond_wait(&st->work, &st->lock);
        st->sleepers--;
    }
    jvc_me->n_batch = n; /* begun by others only under the lock */
    atomic_store_explicit(&jvc_me->next, 0, memory_order_relaxed);
    pthread_mutex_unlock(&st->lock);
    for (jv_buf *b; (b = jvc_list_take(&stale));) jvc_buf_release(st->pl, b);
    return n;
}

/* ---- passes ---- */

void jvc_run_behind(struct jvc_stage *s)
{
    struct jvc_strand *st = s->strand;
    uint32_t i = 0;
    while (st->stages[i] != s) i++;
    for (i++; i < st->n; i++) jvc_stage_run(st->stages[i]);
    jvc_post_all(jvc_me);
}

static void run_pending(struct jvc_stage *s)
{
    struct jvc_strand *st = s->strand;
    struct jvc_call c;
    jvc_call_enter(&c, s);
    int64_t t0 = jvc_now(), looked = t0, tick = jvc_tick();
    for (uint32_t i = 0; i < s->n_pending; i++) {
        jvc_process(s, s->pending[i], &c);
        if (s->streams) jvc_run_behind(s); /* a snapshot of the next one must not pass this one */
        if (i % LOOK_EVERY != LOOK_EVERY - 1 || i + 1 == s->n_pending) continue;
        int64_t last = tick;
        if ((tick = jvc_tick()) == last || jvc_now() - looked < SLOW_NS) continue;
        st->quota = 1;
        jvc_run_behind(s);
        looked = jvc_now();
    }
    s->n_pending = 0;
    int64_t took = jvc_now() - t0, own = took - c.nested_ns;
    jvc_count(&s->busy_ns, own);
    if (own > st->slowest_ns) st->slowest_ns = own;
    jvc_call_leave(&c);
    if (jvc_current_call) jvc_current_call->nested_ns += took;
}

void jvc_stage_run(struct jvc_stage *s)
{
    for (;;) {
        if (s->ordered) jvc_gate_take(s);
        if (!s->n_pending) return;
        run_pending(s);
    }
}

void jvc_strand_pass(struct jvc_strand *st)
{
    st->slowest_ns = 0;
    for (uint32_t i = 0; i < st->n; i++) jvc_stage_run(st->stages[i]);
    jvc_post_all(jvc_me);
    if (st->slowest_ns > SLOW_NS)
        st->quota = st->quota / 2 + (st->quota == 1);
    else if (st->slowest_ns < QUICK_NS && st->quota < JVC_BATCH)
        st->quota *= 2;
}

/* ---- threads ---- */

/* The strand is through: its stages are flushed, and those it fed have one less to wait for. */
static void end_strand(struct jvc_strand *st)
{
    for (uint32_t i = 0; i < st->n; i++)
        if (st->stages[i]->kind != JVC_SOURCE) jvc_flush(st->stages[i]); /* a source's comes after its last `done` */
    for (uint32_t i = 0; i < st->n_feeds; i++) {
        struct jvc_strand *to = st->feeds[i];
        pthread_mutex_lock(&to->lock);
        if (!--to->feeders) pthread_cond_broadcast(&to->work);
        pthread_mutex_unlock(&to->lock);
    }
}

/* A snapshot stands behind the finals that may pass now. */
static void add_pending(struct jvc_stage *s, jv_buf *b)
{
    if (b->partial && s->ordered) jvc_gate_take(s);
    if (s->n_pending < JVC_BATCH)
        s->pending[s->n_pending++] = b;
    else
        jvc_buf_release(s->pl, b); /* a snapshot: finals never come to a gated stage this way */
}

static void work_alone(struct jvc_strand *st)
{
    jv_buf *v[JVC_BATCH];
    bool over = false;
    while (!over) {
        size_t n = take(st, v, st->quota, &over);
        for (size_t i = 0; i < n; i++) add_pending(v[i]->at, v[i]);
        jvc_strand_pass(st);
    }
}

static void work_beside_others(struct jvc_strand *st)
{
    struct jvc_stage *s = st->stages[0];
    size_t quota = 1;
    bool over = false;
    for (;;) {
        size_t n = take(st, jvc_me->batch, quota, &over);
        if (over) return;
        struct jvc_call c;
        jvc_call_enter(&c, s);
        int64_t t0 = jvc_now();
        for (jv_buf *b; (b = next_of(jvc_me));) jvc_process(s, b, &c);
        int64_t took = jvc_now() - t0 - c.nested_ns;
        jvc_call_leave(&c);
        jvc_count(&s->busy_ns, took);
        if (took > WORKER_NS)
            quota = quota / 2 + (quota == 1);
        else if (n == quota && quota < JVC_BATCH && st->n_threads <= (uint32_t)st->pl->cores)
            quota *= 2; /* more threads than cores are there to block */
        jvc_post_all(jvc_me);
    }
}

static void *thread_main(void *arg)
{
    struct jvc_thread *me = arg;
    struct jvc_strand *st = me->strand;
    jvc_me = me;
    if (!jvc_wait_for_go(st->pl)) return NULL;
    if (st->parallel)
        work_beside_others(st);
    else if (st->stages[0]->kind == JVC_SOURCE)
        jvc_source_run(st->stages[0]);
    else
        work_alone(st);
    pthread_mutex_lock(&st->lock);
    bool last = !--st->n_running;
    pthread_mutex_unlock(&st->lock);
    if (last) end_strand(st);
    return NULL;
}

static void settle_waiting(struct jvc_stage *s, jv_buf *b)
{
    if (b->partial) {
        jvc_buf_release(s->pl, b);
        return;
    }
    jvc_count(&s->flow[b->lane].in, JVC_STATISTICS);
    jvc_drop_cancelled(s, b, s->def->flags & JV_MERGE ? &s->after : &s->reach);
}

bool jvc_strand_drain(struct jvc_strand *st)
{
    bool any = false;
    for (int lane = 0; lane < JVC_LANES; lane++)
        for (jv_buf *b; (b = jvc_list_take(&st->lanes[lane])); any = true) settle_waiting(b->at, b);
    for (uint32_t i = 0; i < st->n; i++)
        for (struct jvc_stage *s = st->stages[i]; s->ordered && (jvc_gate_take(s), s->n_pending); any = true)
            settle_waiting(s, s->pending[--s->n_pending]);
    return any;
}

int jvc_strand_start(struct jvc_strand *st)
{
    size_t lists = st->pl->n_strands * JVC_LANES;
    st->threads = calloc(st->n_threads, sizeof *st->threads);
    st->mine = calloc(st->n_threads, sizeof *st->mine);
    st->outs = calloc(st->n_threads * lists, sizeof *st->outs);
    if (!st->threads || !st->mine || !st->outs) return ENOMEM;
    st->n_running = st->n_threads;
    for (uint32_t i = 0; i < st->n_threads; i++) {
        st->mine[i] = (struct jvc_thread){.strand = st, .outs = &st->outs[i * lists]};
        int rc = pthread_create(&st->threads[i], NULL, thread_main, &st->mine[i]);
        if (rc) return rc;
        st->n_started++;
    }
    return 0;
}

void jvc_strand_join(struct jvc_strand *st)
{
    for (uint32_t i = 0; i < st->n_started; i++) pthread_join(st->threads[i], NULL);
}

void jvc_strand_free(struct jvc_strand *st)
{
    pthread_mutex_destroy(&st->lock);
    pthread_cond_destroy(&st->work);
    pthread_cond_destroy(&st->room);
    free(st->threads);
    free(st->mine);
    free(st->outs);
    free(st->stages);
    free(st->feeds);
}
