/* run.c: a run from start to exit status: sources and their windows, failure, the end. */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define POLL_NS 50000 /* how long a source is polled before what it began goes on */

/* Calls a source's `stop`, once. */
static void tell_stop(struct jvc_stage *s)
{
    if (s->kind == JVC_SOURCE && s->started && s->def->stop && !atomic_exchange(&s->told_to_stop, true))
        s->def->stop(s->ctx);
}

static bool is_calling(const struct jvc_stage *s)
{
    for (const struct jvc_call *c = jvc_current_call; c; c = c->outer)
        if (c->stage == s) return true;
    return false;
}

/* A source admits no more: whatever it waits for, it hears. Its `stop` is called here, unless this is a thread that the
 * source may be waiting for there: one within a function of its, or (without poll) any but the one that waits for its
 * end. */
static void end_source(struct jvc_stage *s)
{
    eventfd_write(s->stop_fd, 1);
    pthread_mutex_lock(&s->lock);
    pthread_cond_broadcast(&s->room);
    pthread_mutex_unlock(&s->lock);
    if (s->def->poll && !is_calling(s)) tell_stop(s);
}

void jvc_pipeline_stop(struct jvc_pipeline *pl)
{
    if (atomic_exchange(&pl->stopping, true)) return;
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind == JVC_SOURCE) end_source(pl->stages[i]);
}

/* Whoever calls this finds every record cancelled when it returns, also while another thread is at the same. */
void jvc_pipeline_cancel(struct jvc_pipeline *pl)
{
    jvc_pipeline_stop(pl); /* from here on no root is begun */
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        if (s->kind != JVC_SOURCE) continue;
        pthread_mutex_lock(&s->lock);
        for (uint32_t k = 0; k < s->slots_used; k++)
            if (s->slots[k].node) atomic_store(&s->slots[k].node->cancelled, 1);
        pthread_mutex_unlock(&s->lock);
    }
    atomic_store(&pl->cancelled, true); /* after the roots: who sees this finds its record cancelled */
    eventfd_write(pl->cancel_fd, 1);
    for (uint32_t i = 0; i < pl->n_strands; i++) jvc_strand_wake(&pl->strands[i]);
}

/* Whether anybody behind s, or s itself, wants what may still come to it. */
static bool wanted(const struct jvc_stage *s)
{
    if (atomic_load(&s->ended)) return false;
    if (s->kind == JVC_SINK) return true;
    for (uint32_t p = 0; p <= s->n_ports; p++)
        for (uint32_t i = 0; i < s->ports[p].n; i++)
            if (wanted(s->ports[p].to[i])) return true;
    return false;
}

void jvc_stage_end(struct jvc_stage *s)
{
    if (atomic_exchange(&s->ended, true)) return;
    for (uint32_t i = 0; i < s->pl->n; i++) {
        struct jvc_stage *source = s->pl->stages[i];
        if (source->kind != JVC_SOURCE || wanted(source)) continue;
        if (!atomic_exchange(&source->ended, true)) end_source(source);
    }
}

void jvc_pipeline_fail(struct jvc_stage *s, const jv_buf *b, const jv_err *err)
{
    if (!atomic_exchange(&s->pl->failed, true)) /* what follows from the first failure is not news */
        jvc_say("%s: %s%s%s%s", jvc_stage_place(s), err->text, b ? " (record " : "", b ? b->node->id : "", b ? ")" : "");
    jvc_pipeline_cancel(s->pl);
}

/* Room is told when a quarter of the window is free, so that a full one is not refilled record by record. */
static bool worth_telling(const struct jvc_stage *s, uint32_t in_flight)
{
    return in_flight <= s->window - (s->window + 3) / 4;
}

void jvc_root_settled(struct jvc_node *root)
{
    struct jvc_stage *s = root->source;
    int32_t status = atomic_load(&root->status);
    if (status == JV_OK || status == JV_DROP) status = atomic_load(&root->delivered) ? JV_OK : JV_DROP;
    jv_err none = {.code = status, .reason = status == JV_DROP ? "nothing came of it" : NULL};
    atomic_fetch_add(&s->pl->roots_done, 1);
    if (status == JV_CANCELLED) atomic_fetch_add(&s->pl->roots_cancelled, 1);
    if (s->def->done)
        s->def->done(s->ctx, root->user, root->bare, status, root->err && status != JV_OK ? root->err : &none);
    pthread_mutex_lock(&s->lock);
    s->slots[root->slot].node = NULL;
    s->slots[root->slot].generation++;
    s->slots[root->slot].next_free = s->first_free;
    s->first_free = root->slot;
    uint32_t left = atomic_fetch_sub(&s->in_flight, 1) - 1;
    if (worth_telling(s, left)) pthread_cond_signal(&s->room);
    pthread_mutex_unlock(&s->lock);
}

static bool memory_is_full(const struct jvc_stage *s)
{
    return atomic_load_explicit(&s->pl->bytes, memory_order_relaxed) >= s->pl->memory && atomic_load(&s->in_flight);
}

bool jvc_window_has_room(struct jvc_stage *s)
{
    return atomic_load_explicit(&s->in_flight, memory_order_relaxed) < s->window && !memory_is_full(s);
}

static bool over(const struct jvc_stage *s)
{
    return atomic_load_explicit(&s->pl->stopping, memory_order_relaxed) ||
           atomic_load_explicit(&s->ended, memory_order_relaxed);
}

/* Memory is given back by anybody at any time: it is looked at again after a while. */
static void wait_a_while(struct jvc_stage *s)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 2000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&s->room, &s->lock, &t);
}

/* Waits for a place in the window; false when the source is to stop. */
static bool wait_for_room(struct jvc_stage *s)
{
    if (over(s)) return false;
    if (jvc_window_has_room(s)) return true;
    int64_t t0 = jvc_now();
    pthread_mutex_lock(&s->lock);
    while (!over(s) && !jvc_window_has_room(s)) {
        if (atomic_load(&s->in_flight) < s->window)
            wait_a_while(s);
        else
            pthread_cond_wait(&s->room, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    jvc_count(&s->wait_ns, jvc_now() - t0);
    return !over(s);
}

/* Polls for a little while, so that what stands behind has several to work on; the verdict of the last one. */
static int32_t poll_some(struct jvc_stage *s, jv_err *err)
{
    struct jvc_call c;
    int32_t rc;
    jvc_call_enter(&c, s);
    int64_t t0 = jvc_now(), t;
    do {
        rc = s->def->poll(s->ctx, &c.err);
        jvc_call_next(&c);
        t = jvc_now();
    } while (rc == JV_OK && t - t0 < POLL_NS && !over(s) && jvc_window_has_room(s));
    jvc_count(&s->busy_ns, t - t0 - c.nested_ns);
    *err = c.err;
    jvc_err_end(err, rc);
    if (rc == JV_FULL && !c.full) /* it would be called again and again */
        rc = jv_fail(err, JV_FATAL, "the plugin's poll answers JV_FULL (%d), which begin did not", JV_FULL);
    jvc_call_leave(&c);
    jvc_strand_pass(s->strand);
    return rc;
}

/* A source whose records come from threads of its own: there is nothing to do but to wait for its end. */
static void wait_for_end(struct jvc_stage *s)
{
    pthread_mutex_lock(&s->lock);
    while (!over(s)) pthread_cond_wait(&s->room, &s->lock);
    pthread_mutex_unlock(&s->lock);
    tell_stop(s);
    pthread_mutex_lock(&s->lock);
    while (s->n_open) pthread_cond_wait(&s->room, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void jvc_source_run(struct jvc_stage *s)
{
    jv_err err = {0};
    int32_t rc = JV_OK;
    if (!s->def->poll) {
        wait_for_end(s);
        return;
    }
    while ((rc == JV_OK || rc == JV_FULL) && wait_for_room(s)) rc = poll_some(s, &err);
    bool told_to = rc == JV_STOPPED || rc == JV_CANCELLED ? over(s) : rc == JV_FULL;
    atomic_store(&s->ended, true);
    if (atomic_load(&s->pl->stopping)) tell_stop(s);
    if (rc != JV_OK && rc != JV_END && rc != JV_FATAL && rc != JV_BAD && !told_to)
        jv_fail(&err, JV_FATAL, "the plugin's poll answers %d, which it may not", rc);
    if (rc != JV_OK && rc != JV_END && !told_to) jvc_pipeline_fail(s, NULL, &err);
}

/* Starts a stage after those it refers to. False: it failed, or the run is being stopped. */
static bool start_stage(struct jvc_stage *s)
{
    jv_err err = {0};
    struct jvc_call call;
    if (s->started) return true;
    for (uint32_t i = 0; i < s->n_refs; i++)
        if (!start_stage(s->refs[i])) return false;
    if (atomic_load(&s->pl->stopping)) return false;
    jvc_call_enter(&call, s);
    atomic_store(&s->pl->starting, s);
    int32_t rc = s->def->start ? s->def->start(s->ctx, &err) : JV_OK;
    atomic_store(&s->pl->starting, NULL);
    jvc_err_end(&err, rc);
    jvc_call_leave(&call);
    s->started = rc == JV_OK;
    if (rc == JV_CANCELLED && atomic_load(&s->pl->cancelled)) return false;
    if (rc > 0) jv_fail(&err, JV_FATAL, "the plugin's start answers %d, which it may not", rc);
    if (rc != JV_OK) jvc_pipeline_fail(s, NULL, &err);
    return rc == JV_OK;
}

/* Sinks after the stages between, for they empty what they write, which a start that fails elsewhere need not cost.
 * Sources last, but for those that others refer to: what they begin must find everything ready. */
static bool start_stages(struct jvc_pipeline *pl)
{
    for (int turn = 0; turn < 3; turn++)
        for (uint32_t i = 0; i < pl->n; i++) {
            enum jvc_kind kind = pl->stages[i]->kind;
            if ((kind == JVC_SOURCE ? 2 : kind == JVC_SINK) == turn && !start_stage(pl->stages[i])) return false;
        }
    return true;
}

bool jvc_wait_for_go(struct jvc_pipeline *pl)
{
    pthread_mutex_lock(&pl->lock);
    while (pl->go == JVC_WAIT) pthread_cond_wait(&pl->gone, &pl->lock);
    bool go = pl->go == JVC_GO;
    pthread_mutex_unlock(&pl->lock);
    return go;
}

/* All threads or none: what is begun must find everybody at work. */
static void run_threads(struct jvc_pipeline *pl)
{
    int rc = 0;
    uint32_t n = 0;
    for (; n < pl->n_strands && !rc; n++) rc = jvc_strand_start(&pl->strands[n]);
    if (rc) {
        jv_err err;
        jv_fail(&err, JV_FATAL, "no thread to be had: %s", strerror(rc));
        jvc_pipeline_fail(pl->strands[n - 1].stages[0], NULL, &err);
    }
    pthread_mutex_lock(&pl->lock);
    pl->go = rc ? JVC_NO_GO : JVC_GO;
    pthread_cond_broadcast(&pl->gone);
    pthread_mutex_unlock(&pl->lock);
    for (uint32_t i = 0; i < n; i++) jvc_strand_join(&pl->strands[i]);
}

/* After the threads, or without any: sources that began records of their own accord are stopped and their records
 * settled; then all sources are flushed. */
static void end_sources(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++)
        if (!pl->stages[i]->def->poll) tell_stop(pl->stages[i]);
    for (uint32_t i = 0; i < pl->n_strands; i++)
        while (jvc_strand_drain(&pl->strands[i])) {}
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind == JVC_SOURCE && pl->go == JVC_GO) jvc_flush(pl->stages[i]);
}

static int exit_status(struct jvc_pipeline *pl)
{
    long long cancelled = atomic_load(&pl->roots_cancelled), rejected = (long long)jvc_dead_count(pl);
    if (rejected) jvc_say("%lld rejected: %s", rejected, pl->dead_path);
    if (atomic_load(&pl->failed)) return 1;
    if (atomic_load(&pl->cut_short) || (atomic_load(&pl->cancelled) && cancelled)) {
        jvc_say("cut short: %lld finished, %lld cancelled", atomic_load(&pl->roots_done) - cancelled, cancelled);
        return 1;
    }
    return rejected ? 3 : 0;
}

int jvc_pipeline_run(struct jvc_pipeline *pl)
{
    jv_err err;
    if (!jvc_watch_begin(pl)) return 1;
    pl->started_ns = jvc_now();
    if (!jvc_dead_begin(pl, &err)) {
        jvc_say("%s", err.text);
        atomic_store(&pl->failed, true);
    } else if (start_stages(pl)) {
        run_threads(pl);
    }
    end_sources(pl);
    pl->ended_ns = jvc_now();
    atomic_store(&pl->over, true);
    if (!jvc_dead_end(pl, &err)) {
        jvc_say("%s", err.text);
        atomic_store(&pl->failed, true);
    }
    return exit_status(pl);
}
