/*
 * stream.c: snapshots of unfinished records. They go past the queues, for they must be quick or not at all: into stages of the
 * same strand by plain calls, to others as long as their inbox is short; and never before what stands in front of them.
 */
#include "pipeline.h"

#define SNAPSHOTS_MOST 256 /* buffers in an inbox, beyond which a snapshot is not worth adding */

void jvc_show(struct jvc_stage *r, jv_buf *b)
{
    struct jvc_call c;
    int32_t verdict = -1;
    if (!jvc_node_cancelled(b->node) && jvc_gate_is_next(r, b->node)) {
        jvc_call_enter(&c, r);
        int64_t t0 = jvc_now();
        verdict = r->def->process(r->ctx, b, &c.err);
        int64_t took = jvc_now() - t0;
        jvc_call_leave(&c);
        jvc_count(&r->busy_ns, took);
        if (jvc_current_call) jvc_current_call->nested_ns += took;
    }
    if (verdict >= 0 && (uint32_t)verdict < r->n_ports)
        jvc_stream(r, (uint32_t)verdict, b);
    else
        jvc_buf_release(r->pl, b);
}

static void show_to(struct jvc_stage *s, const struct jvc_port *port, uint32_t i, jv_buf *b)
{
    struct jvc_stage *r = port->to[i];
    if (r->n_inputs > 1) jvc_move_fields(&r->inputs[port->input[i]], b);
    if (!(r->def->flags & JV_PARTIALS) || (r->def->flags & (JV_SPLIT | JV_MERGE)))
        jvc_buf_release(r->pl, b);
    else if (r->strand == s->strand)
        jvc_show(r, b);
    else if (atomic_load(&r->strand->waiting) < SNAPSHOTS_MOST && jvc_gate_is_next(r, b->node))
        jvc_post(r, b);
    else
        jvc_buf_release(r->pl, b);
}

void jvc_stream(struct jvc_stage *s, uint32_t port, jv_buf *b)
{
    const struct jvc_port *p = &s->ports[port];
    for (uint32_t i = 0; i + 1 < p->n; i++) {
        jv_buf *copy = jvc_buf_copy(s->pl, b);
        if (copy) copy->partial = true;
        if (copy) show_to(s, p, i, copy);
    }
    if (p->n)
        show_to(s, p, p->n - 1, b);
    else
        jvc_buf_release(s->pl, b);
}
