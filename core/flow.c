/* flow.c: calls of process, verdicts, and where a buffer goes next. */
#include "pipeline.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_PAUSE_MS 10000 /* between two tries */

/* What few records need stands apart, so that the way of the others is a short one. */
#define SELDOM __attribute__((cold, noinline))

_Thread_local struct jvc_call *jvc_current_call;

/* ---- calls ---- */

/* Not the whole struct: the error's text alone is half a kilobyte, and this runs once a batch. */
void jvc_call_enter(struct jvc_call *c, struct jvc_stage *s)
{
    c->outer = jvc_current_call;
    c->stage = s;
    c->b = NULL;
    c->scratch = NULL;
    c->late = NULL;
    c->n_scratch = c->n_late = 0;
    c->arena = (struct jvc_arena){0};
    c->open = NULL;
    c->full = false;
    c->nested_ns = 0;
    memset(c->through, 0, sizeof c->through);
    memset(c->in, 0, sizeof c->in);
    memset(c->out, 0, sizeof c->out);
    c->err.code = 0;
    c->err.reason = NULL;
    c->err.text[0] = 0;
    jvc_current_call = c;
}

/* A buffer that was made and not given away is the plugin's fault, unless that has failed itself and says why. */
static void lost_buffer(struct jvc_call *c)
{
    jv_buf *b = c->open;
    jv_err err = c->err;
    c->open = b->next;
    b->next = b->prev = NULL;
    b->open = false;
    err.text[sizeof err.text - 1] = 0;
    if (err.code != JV_FATAL) jv_fail(&err, JV_FATAL, "the plugin made this record and did not emit it");
    if (!jvc_node_cancelled(b->node)) jvc_pipeline_fail(c->stage, b, &err);
    jvc_drop_cancelled(c->stage, b, c->stage->kind == JVC_SOURCE ? &c->stage->after : &c->stage->kids);
}

void jvc_call_next(struct jvc_call *c)
{
    while (c->open) lost_buffer(c);
    for (size_t i = 0; i < c->n_scratch; i++) free(c->scratch[i]);
    for (size_t i = 0; i < c->n_late; i++) jvc_block_release(c->late[i]);
    c->n_scratch = c->n_late = 0;
    jvc_arena_free(&c->arena);
}

void jvc_call_leave(struct jvc_call *c)
{
    struct jvc_stage *s = c->stage;
    jvc_call_next(c);
    free(c->scratch);
    free(c->late);
    for (int lane = 0; lane < JVC_LANES; lane++) {
        uint32_t in = c->through[lane] + c->in[lane], out = c->through[lane] + c->out[lane];
        if (in) jvc_count(&s->flow[lane].in, in);
        if (out) jvc_count(&s->flow[lane].out, out);
    }
    jvc_current_call = c->outer;
}

static struct jvc_flow *flow_of(struct jvc_stage *s, const jv_buf *b)
{
    return &s->flow[b->lane];
}

/* ---- where a buffer goes ---- */

static inline void enqueue(struct jvc_stage *r, jv_buf *b)
{
    if (!jvc_is_mine(r)) {
        jvc_post(r, b);
        return;
    }
    r->pending[r->n_pending++] = b;
    if (r->n_pending >= r->strand->quota) jvc_stage_run(r);
}

void jvc_enqueue(struct jvc_stage *r, jv_buf *b)
{
    enqueue(r, b);
}

SELDOM static void copy_value(jv_buf *b, const struct jvc_move *m)
{
    const struct jvc_value *from = &b->v[m->from];
    struct jvc_value *to = &b->v[m->to];
    if (from->block) atomic_fetch_add_explicit(&from->block->refs, 1, memory_order_relaxed);
    jvc_block_release(to->block);
    *to = *from;
}

/* Fields that lie elsewhere by this way than where the stage reads them. */
SELDOM void jvc_move_fields(const struct jvc_input *in, jv_buf *b)
{
    for (uint32_t i = 0; i < in->n_moves; i++) copy_value(b, &in->moves[i]);
}

/* Fields that the stage may set and left alone. */
static void carry_fields(const struct jvc_stage *s, jv_buf *b)
{
    for (uint32_t i = 0; i < s->n_carries; i++)
        if (!b->v[s->carries[i].to].set) copy_value(b, &s->carries[i]);
}

/* To reader i of a port. */
static inline void hand(const struct jvc_port *port, uint32_t i, jv_buf *b)
{
    struct jvc_stage *r = port->to[i];
    if (r->n_inputs > 1) jvc_move_fields(&r->inputs[port->input[i]], b);
    if (!r->gate)
        enqueue(r, b);
    else if (r->def->flags & JV_MERGE)
        jvc_merge_arrive(r, b);
    else
        jvc_gate_arrive(r, b);
}

/* A table of its own for each reader but the last. */
SELDOM static void hand_copies(struct jvc_stage *s, const struct jvc_port *port, jv_buf *b)
{
    for (uint32_t i = 0; i + 1 < port->n; i++) {
        jv_buf *copy = jvc_buf_copy(s->pl, b);
        if (copy) {
            hand(port, i, copy);
        } else {
            jv_err err;
            jv_fail(&err, JV_FATAL, "out of memory");
            jvc_places_leave(b->node, &port->to[i]->reach, &err);
            jvc_node_worsen(b->node, JV_FATAL, &err);
            jvc_pipeline_fail(s, b, &err);
        }
    }
    hand(port, port->n - 1, b);
}

static const jv_err another_way = {.code = JV_DONE};

static inline void send(struct jvc_stage *s, const struct jvc_port *port, jv_buf *b)
{
    b->growing = -1; /* from here on others read it */
    if (port->lost.n) jvc_places_leave(b->node, &port->lost, &another_way);
    if (port->n == 1)
        hand(port, 0, b);
    else
        hand_copies(s, port, b);
}

SELDOM static void leave_by_unread_port(struct jvc_stage *s, const struct jvc_port *port, jv_buf *b)
{
    jv_err why = {.code = JV_DROP, .reason = port->unread};
    jvc_places_leave(b->node, &port->lost, &why); /* of a child, not what its parent may reach */
    jvc_drop(s, b, why.reason);
}

void jvc_give(struct jvc_stage *s, uint32_t port, jv_buf *b)
{
    struct jvc_call *c = jvc_current_call;
    if (!s->ports[port].n) {
        leave_by_unread_port(s, &s->ports[port], b);
        return;
    }
    if (c && c->stage == s)
        c->out[b->lane] += JVC_STATISTICS;
    else
        jvc_count(&flow_of(s, b)->out, 1);
    carry_fields(s, b);
    send(s, &s->ports[port], b);
}

/* ---- ends ---- */

/* What the stage set is taken away again: the record is as it came. */
static void put_back(const struct jvc_stage *s, jv_buf *b)
{
    for (uint32_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].kind == JVC_SLOT && (s->rows[i].access & JV_OUT)) jvc_buf_clear(b, s->rows[i].at);
}

/* What has passed s already is finished before the run ends. */
static void fail(struct jvc_stage *s, jv_buf *b, const jv_err *err)
{
    if (jvc_is_mine(s)) jvc_run_behind(s);
    jvc_pipeline_fail(s, b, err);
}

static void fatal(struct jvc_stage *s, jv_buf *b, const jv_err *err)
{
    jvc_count(&flow_of(s, b)->cancelled, 1); /* it is neither delivered nor rejected */
    fail(s, b, err); /* first: what stands behind this record in the order must not pass any more */
    jvc_places_leave(b->node, &s->after, err);
    jvc_node_worsen(b->node, JV_FATAL, err);
    jvc_buf_release(s->pl, b);
}

/* The text of an error as a field; a plugin may have filled it with anything. */
static bool set_error(struct jvc_stage *s, jv_buf *b, const jv_err *why)
{
    size_t n = strnlen(why->text, sizeof why->text - 1), bad;
    if (!jvc_utf8_valid(why->text, n, &bad)) n = bad;
    struct jvc_block *block = jvc_block_new(s->pl, n);
    if (!block) return false;
    memcpy(block->data, why->text, n);
    jvc_buf_clear(b, (uint32_t)s->error_slot);
    b->v[s->error_slot] = (struct jvc_value){.block = block, .u.p = block->data, .n = n, .set = true};
    return true;
}

static void to_dead_letters(struct jvc_stage *s, jv_buf *b, const jv_err *why)
{
    jv_err err;
    if (!jvc_dead_write(s->pl, s, b, why, &err)) {
        fatal(s, b, &err);
        return;
    }
    jvc_count(&flow_of(s, b)->rejected, 1);
    if (s->stop_on_error) fail(s, b, why);
    jvc_places_leave(b->node, &s->after, why);
    jvc_node_worsen(b->node, JV_BAD, why);
    jvc_buf_release(s->pl, b);
}

void jvc_reject(struct jvc_stage *s, jv_buf *b, const jv_err *why)
{
    jv_err said = {.code = JV_BAD};
    memcpy(said.text, why->text, sizeof said.text);
    said.text[sizeof said.text - 1] = 0;
    if (s->kind != JVC_SOURCE) put_back(s, b);
    b->children = 0;
    if (!s->ports[s->n_ports].n) {
        to_dead_letters(s, b, &said);
    } else if (set_error(s, b, &said)) {
        jvc_count(&flow_of(s, b)->rejected, 1);
        send(s, &s->ports[s->n_ports], b);
    } else {
        fatal(s, b, &(jv_err){.code = JV_FATAL, .text = "out of memory"});
    }
}

void jvc_drop_cancelled(struct jvc_stage *s, jv_buf *b, const struct jvc_places *places)
{
    jv_err why;
    jvc_count(&flow_of(s, b)->cancelled, 1);
    jv_fail(&why, JV_CANCELLED, "cancelled");
    jvc_places_leave(b->node, places, &why);
    jvc_node_worsen(b->node, JV_CANCELLED, &why);
    jvc_buf_release(s->pl, b);
}

/* Counts a reason; false: no memory for a new one. */
static bool count_drop(struct jvc_stage *s, const char *reason)
{
    pthread_mutex_lock(&s->lock);
    size_t i = 0;
    while (i < s->n_drops && s->drops[i].reason != reason && strcmp(s->drops[i].reason, reason)) i++;
    if (i == s->n_drops) {
        struct jvc_drop *drops = realloc(s->drops, (i + 1) * sizeof *drops);
        if (drops) {
            s->drops = drops;
            s->drops[s->n_drops++] = (struct jvc_drop){.reason = reason};
        }
    }
    bool ok = i < s->n_drops;
    if (ok) s->drops[i].n++;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void jvc_drop(struct jvc_stage *s, jv_buf *b, const char *reason)
{
    jv_err why = {.code = JV_DROP, .reason = reason};
    if (!count_drop(s, reason)) {
        fatal(s, b, &(jv_err){.code = JV_FATAL, .text = "out of memory"});
        return;
    }
    jvc_count(&flow_of(s, b)->dropped, 1);
    jvc_places_leave(b->node, &s->after, &why);
    jvc_node_worsen(b->node, JV_DROP, &why);
    jvc_buf_release(s->pl, b);
}

/* ---- process ---- */

/* Waits before the next try, in steps short enough to hear a cancel; first what is finished goes on. */
static void pause_before_retry(const struct jvc_stage *s, const jv_buf *b, int64_t attempt)
{
    int64_t ms = s->pl->retry_after_ms;
    for (int64_t i = 0; i < attempt && ms < LONGEST_PAUSE_MS; i++) ms *= 2;
    if (ms > LONGEST_PAUSE_MS) ms = LONGEST_PAUSE_MS;
    if (ms && jvc_me) jvc_post_all(jvc_me);
    for (; ms > 0 && !jvc_node_cancelled(b->node); ms -= 50) poll(NULL, 0, ms < 50 ? (int)ms : 50);
}

/* The counts of the children are their parent's from here on. */
static void add_counts(const struct jvc_stage *merge, jv_buf *b)
{
    const struct jvc_wait *w = jvc_wait_at(merge, b->node);
    for (uint32_t i = 0; w && i < w->n; i++)
        for (uint32_t k = 0; w->kids[i].b && k < merge->pl->n_counters; k++)
            atomic_fetch_add_explicit(&b->counts[k], atomic_load(&w->kids[i].b->counts[k]), memory_order_relaxed);
}

/* The verdict, when there is more to it than one call. */
SELDOM static int32_t try_often(struct jvc_stage *s, jv_buf *b, struct jvc_call *c, int32_t verdict)
{
    for (int64_t attempt = 0; verdict == JV_RETRY && !b->children && attempt < s->retries; attempt++) {
        jvc_count(&flow_of(s, b)->retried, 1);
        jvc_call_next(c);
        put_back(s, b);
        pause_before_retry(s, b, attempt);
        verdict = jvc_node_cancelled(b->node) ? JV_CANCELLED : s->def->process(s->ctx, b, &c->err);
    }
    return verdict;
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

/* A split has answered DONE. */
static void split_done(struct jvc_stage *s, jv_buf *b)
{
    if (!b->children && !s->n_merges) {
        jvc_drop(s, b, "nothing came of it");
        return;
    }
    jvc_places_leave(b->node, &s->settled, &another_way);
    put_back(s, b);
    if (s->n_merges)
        jvc_wait_answered(s, b, false);
    else
        jvc_buf_release(s->pl, b);
}

static void delivered(struct jvc_stage *s, jv_buf *b, struct jvc_call *c)
{
    c->out[b->lane] += JVC_STATISTICS;
    atomic_store_explicit(&b->node->root->delivered, true, memory_order_relaxed);
    if (s->after.n) jvc_places_leave(b->node, &s->after, &another_way);
    jvc_buf_release(s->pl, b);
}

static void settle(struct jvc_stage *s, jv_buf *b, struct jvc_call *c, int32_t verdict)
{
    bool split = s->def->flags & JV_SPLIT;
    jv_err err = c->err;
    jvc_err_end(&err, verdict);
    c->err.reason = NULL;
    if (split && s->n_merges && verdict != JV_DONE) jvc_wait_answered(s, b, true);
    if (verdict == JV_END && !split) {
        jvc_stage_end(s);
        verdict = JV_OK;
    }
    if (verdict == JV_OK && s->kind == JVC_SINK) {
        delivered(s, b, c);
    } else if (verdict >= 0 && (uint32_t)verdict < s->n_ports && !split) {
        jvc_give(s, (uint32_t)verdict, b);
    } else if (verdict == JV_DONE && split) {
        split_done(s, b);
    } else if (verdict == JV_DROP) {
        jvc_drop(s, b, err.reason ? err.reason : "no reason given");
    } else if (verdict == JV_BAD || (verdict == JV_RETRY && !b->children)) {
        jvc_reject(s, b, &err);
    } else if (verdict == JV_CANCELLED && jvc_node_cancelled(b->node)) {
        jvc_drop_cancelled(s, b, &s->after);
    } else if (verdict == JV_FATAL) {
        fatal(s, b, &err);
    } else {
        jv_fail(&err, JV_FATAL, "the plugin answers %s%d, which is no verdict here", verdict_name(verdict), verdict);
        fatal(s, b, &err);
    }
}

/* Whether process need not be called at all. */
static int32_t unwanted(const struct jvc_stage *s, const jv_buf *b, struct jvc_call *c)
{
    if (jvc_node_cancelled(b->node)) return JV_CANCELLED;
    if (atomic_load_explicit(&s->ended, memory_order_relaxed)) return jv_drop(&c->err, "nothing more is wanted");
    return JV_OK;
}

/* What a stage that splits or merges needs before it runs. */
SELDOM static int32_t prepare(struct jvc_stage *s, jv_buf *b, struct jvc_call *c)
{
    b->children = 0;
    if (s->def->flags & JV_MERGE) add_counts(s, b);
    return (s->def->flags & JV_SPLIT) && !jvc_wait_begin(s, b->node) ? jv_fail(&c->err, JV_FATAL, "out of memory")
                                                                     : JV_OK;
}

void jvc_process(struct jvc_stage *s, jv_buf *b, struct jvc_call *c)
{
    if (b->partial) {
        jvc_show(s, b);
        return;
    }
    c->b = b;
    bool bracket = s->def->flags & (JV_SPLIT | JV_MERGE);
    int32_t verdict = bracket ? prepare(s, b, c) : JV_OK;
    if (verdict == JV_OK) verdict = unwanted(s, b, c);
    if (verdict == JV_OK) verdict = s->def->process(s->ctx, b, &c->err);
    if (verdict == JV_RETRY) verdict = try_often(s, b, c, verdict);
    c->b = NULL;
    if (c->n_scratch || c->n_late || c->open || c->arena.pieces) jvc_call_next(c);
    if (bracket && (s->def->flags & JV_MERGE)) jvc_wait_end(s, b->node);
    if ((uint32_t)verdict < s->n_ports && !bracket && s->ports[verdict].n) {
        c->through[b->lane] += JVC_STATISTICS;
        carry_fields(s, b);
        send(s, &s->ports[verdict], b);
        return;
    }
    c->in[b->lane] += JVC_STATISTICS;
    if (verdict == JV_OK && s->kind == JVC_SINK)
        delivered(s, b, c);
    else
        settle(s, b, c, verdict);
}

void jvc_flush(struct jvc_stage *s)
{
    struct jvc_call c;
    if (!s->def->flush) return;
    jvc_call_enter(&c, s);
    int32_t rc = s->def->flush(s->ctx, &c.err);
    jv_err err = c.err;
    jvc_err_end(&err, rc);
    jvc_call_leave(&c);
    if (rc > 0) jv_fail(&err, JV_FATAL, "the plugin's flush answers %d, which it may not", rc);
    if (rc != JV_OK) jvc_pipeline_fail(s, NULL, &err);
}
