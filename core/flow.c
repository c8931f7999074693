/* flow.c: one thread's way through the stages: calls, verdicts, and where a buffer goes next. */
#include "pipeline.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

_Thread_local struct jvc_call *jvc_current_call;

void jvc_call_enter(struct jvc_call *c, struct jvc_stage *s)
{
    *c = (struct jvc_call){.outer = jvc_current_call, .stage = s};
    jvc_current_call = c;
}

void jvc_call_leave(struct jvc_call *c)
{
    while (c->open) {
        jv_buf *b = c->open;
        jv_err err;
        c->open = b->next;
        b->next = b->prev = NULL;
        b->open = false;
        jv_fail(&err, JV_FATAL, "the plugin made this record and did not emit it");
        if (!jvc_node_cancelled(b->node)) jvc_pipeline_fail(c->stage, b, &err);
        jvc_drop_cancelled(c->stage, b);
    }
    for (size_t i = 0; i < c->n_scratch; i++) free(c->scratch[i]);
    for (size_t i = 0; i < c->n_late; i++) jvc_block_release(c->late[i]);
    free(c->scratch);
    free(c->late);
    jvc_current_call = c->outer;
}

/* One call of process, timed. What stages below took within it is theirs. */
static int32_t call_process(struct jvc_stage *s, jv_buf *b, struct jvc_task *task, jv_err *err)
{
    struct jvc_call call;
    jvc_call_enter(&call, s);
    call.task = task;
    b->task = task;
    int64_t t0 = jvc_now();
    int32_t rc = s->def->process(s->ctx, b, err);
    int64_t took = jvc_now() - t0;
    b->task = NULL;
    err->text[sizeof err->text - 1] = 0; /* the plugin may have filled it to the brim */
    jvc_call_leave(&call);
    atomic_fetch_add_explicit(&s->busy_ns, took - call.nested_ns, memory_order_relaxed);
    if (jvc_current_call) jvc_current_call->nested_ns += took;
    return rc;
}

void jvc_reject(struct jvc_stage *s, jv_buf *b, const jv_err *why)
{
    jv_err err;
    atomic_fetch_add(&s->n_rejected, 1);
    jvc_node_worsen(b->node, JV_BAD, why);
    if (!jvc_dead_write(s->pl, s, b, why, &err))
        jvc_pipeline_fail(s, b, &err);
    else if (s->stop_on_error)
        jvc_pipeline_fail(s, b, why);
    jvc_buf_release(s->pl, b);
}

void jvc_drop_cancelled(struct jvc_stage *s, jv_buf *b)
{
    jv_err why;
    atomic_fetch_add(&s->n_cancelled, 1);
    jv_fail(&why, JV_CANCELLED, "cancelled");
    jvc_node_worsen(b->node, JV_CANCELLED, &why);
    jvc_buf_release(s->pl, b);
}

static void drop(struct jvc_stage *s, jv_buf *b, const char *reason)
{
    pthread_mutex_lock(&s->lock);
    size_t i = 0;
    while (i < s->n_drops && strcmp(s->drops[i].reason, reason)) i++;
    if (i == s->n_drops) {
        s->drops = jvc_room(s->drops, s->n_drops, sizeof *s->drops);
        s->drops[s->n_drops++] = (struct jvc_drop){.reason = reason};
    }
    s->drops[i].n++;
    pthread_mutex_unlock(&s->lock);
    jvc_node_worsen(b->node, JV_DROP, NULL);
    jvc_buf_release(s->pl, b);
}

/* Waits before the next try: 100 ms, 200 ms, ... 10 s; in steps short enough to hear a cancel. */
static void back_off(const jv_buf *b, int64_t attempt)
{
    int64_t ms = 100;
    for (int64_t i = 1; i < attempt && ms < 10000; i++) ms *= 2;
    for (int64_t left = ms < 10000 ? ms : 10000; left > 0 && !jvc_node_cancelled(b->node); left -= 50)
        poll(NULL, 0, 50);
}

static void fatal(struct jvc_stage *s, jv_buf *b, const jv_err *err)
{
    jvc_node_worsen(b->node, JV_FATAL, err);
    jvc_pipeline_fail(s, b, err);
    jvc_buf_release(s->pl, b);
}

static const char *verdict_name(int32_t verdict)
{
    switch (verdict) {
    case JV_DONE: return "DONE ";
    case JV_END: return "END ";
    case JV_RETRY: return "RETRY after it emitted children, ";
    case JV_CANCELLED: return "CANCELLED for a record that nobody cancelled, ";
    case JV_FULL: return "FULL ";
    case JV_STOPPED: return "STOPPED ";
    default: return "";
    }
}

/* What `partial` built in an attempt that is made again would stand twice. */
static void forget_growth(jv_buf *b)
{
    if (b->growing < 0) return;
    struct jvc_value *v = &b->v[b->growing];
    jvc_block_release(v->block);
    *v = (struct jvc_value){0};
    b->growing = -1;
}

static void settle(struct jvc_stage *s, jv_buf *b, struct jvc_task *task, int32_t verdict, jv_err *err)
{
    if (verdict >= 0 && s->kind == JVC_SINK && verdict == JV_OK) {
        atomic_fetch_add(&s->n_delivered, 1);
        jvc_buf_release(s->pl, b);
    } else if (verdict >= 0 && (uint32_t)verdict < s->n_ports) {
        jvc_give(s, (uint32_t)verdict, b, task);
    } else if (verdict == JV_DONE && (s->def->flags & JV_SPLIT)) {
        if (b->children)
            jvc_buf_release(s->pl, b);
        else
            drop(s, b, "nothing came of it");
    } else if (verdict == JV_DROP) {
        drop(s, b, err->reason ? err->reason : "no reason given");
    } else if (verdict == JV_BAD || (verdict == JV_RETRY && !b->children)) {
        jvc_reject(s, b, err);
    } else if (verdict == JV_CANCELLED && jvc_node_cancelled(b->node)) {
        jvc_drop_cancelled(s, b);
    } else if (verdict == JV_FATAL) {
        fatal(s, b, err);
    } else {
        jv_fail(err, JV_FATAL, "the plugin answers %s%d, which is no verdict here", verdict_name(verdict), verdict);
        fatal(s, b, err);
    }
}

void jvc_process(struct jvc_stage *s, jv_buf *b, struct jvc_task *task)
{
    jv_err err = {0};
    if (b->partial) {
        if (!jvc_node_cancelled(b->node)) call_process(s, b, NULL, &err);
        jvc_buf_release(s->pl, b);
        return;
    }
    atomic_fetch_add_explicit(&s->n_in, 1, memory_order_relaxed);
    int32_t verdict = JV_RETRY;
    for (int64_t attempt = 0; verdict == JV_RETRY && !b->children && attempt <= s->retries; attempt++) {
        if (attempt) {
            atomic_fetch_add(&s->n_retried, 1);
            back_off(b, attempt);
            forget_growth(b);
        }
        verdict = jvc_node_cancelled(b->node) ? JV_CANCELLED : call_process(s, b, task, &err);
    }
    settle(s, b, task, verdict, &err);
}

void jvc_give(struct jvc_stage *s, uint32_t port, jv_buf *b, struct jvc_task *task)
{
    atomic_fetch_add_explicit(&s->n_out, 1, memory_order_relaxed);
    b->growing = -1; /* from here on others read it */
    b->port = (int32_t)port;
    if (task)
        jvc_task_output(s->farm, task, b);
    else
        jvc_deliver(s, port, b);
}

static void hand(struct jvc_stage *r, jv_buf *b)
{
    if (!b->partial && r->farm)
        jvc_farm_push(r->farm, b);
    else if (!b->partial || (r->def->flags & JV_PARTIALS))
        jvc_process(r, b, NULL);
    else
        jvc_buf_release(r->pl, b);
}

void jvc_deliver(struct jvc_stage *s, uint32_t port, jv_buf *b)
{
    const struct jvc_edge *e = &s->ports[port];
    for (uint32_t i = 0; i + 1 < e->n; i++) {
        jv_buf *copy = jvc_buf_copy(s->pl, b);
        if (copy) {
            copy->partial = b->partial;
            hand(e->to[i], copy);
        } else if (!b->partial) {
            jv_err err;
            jv_fail(&err, JV_FATAL, "out of memory");
            jvc_node_worsen(b->node, JV_FATAL, &err);
            jvc_pipeline_fail(s, b, &err);
        }
    }
    if (e->n)
        hand(e->to[e->n - 1], b);
    else
        jvc_buf_release(s->pl, b); /* an optional port that nobody reads */
}

void jvc_flush(struct jvc_stage *s)
{
    jv_err err = {0};
    struct jvc_call call;
    if (!s->def->flush) return;
    jvc_call_enter(&call, s);
    int32_t rc = s->def->flush(s->ctx, &err);
    err.text[sizeof err.text - 1] = 0;
    jvc_call_leave(&call);
    if (rc < 0) jvc_pipeline_fail(s, NULL, &err);
}

void jvc_finish(struct jvc_stage *s)
{
    for (uint32_t p = 0; p < s->n_ports; p++)
        for (uint32_t i = 0; i < s->ports[p].n; i++) {
            struct jvc_stage *r = s->ports[p].to[i];
            if (r->farm) {
                jvc_farm_close(r->farm);
            } else {
                jvc_flush(r);
                jvc_finish(r);
            }
        }
}
