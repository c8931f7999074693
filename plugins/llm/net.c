/*
 * net.c: the order of operations of all families, and the memory they take. What a family is stands in two tables:
 * its keys in net_keys.c, its tensors in net_tensors.c.
 *
 * A layer, of all families (what one has not is left out):
 *   x += post(out(attention(norm'(q(norm(x))), norm'(k(norm(x))), v(norm(x)))))
 *   x += post(down(act(gate(norm(x))) * up(norm(x))))
 */
#include "net_impl.h"

#include <stdlib.h>

static int32_t check_heads(const net *m, jv_err *err)
{
    int32_t rc = m->bk->check_heads(m->self, &m->plan.wide, err);
    bool windows = m->plan.windowed.window > 0;
    return rc == JV_OK && windows ? m->bk->check_heads(m->self, &m->plan.windowed, err) : rc;
}

int32_t net_open(const gguf *g, const bk_api *bk, void *bk_self, net **out, jv_err *err)
{
    net_plan plan;
    int32_t rc = net_plan_read(g, &plan, err);
    if (rc != JV_OK) return rc;
    net *m = calloc(1, sizeof *m + plan.shape.layers * sizeof *m->layer);
    if (!m) return jv_fail(err, JV_FATAL, "no memory for %u layers", plan.shape.layers);
    m->bk = bk;
    m->self = bk_self;
    m->g = g;
    m->plan = plan;
    rc = check_heads(m, err);
    if (rc == JV_OK) rc = net_find_tensors(m, err);
    if (rc == JV_OK)
        *out = m;
    else
        net_free(m);
    return rc;
}

const net_shape *net_shape_of(const net *m)
{
    return &m->plan.shape;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Of each activation; 0: the family has no need of it. */
static uint64_t activation_width(const net *m, uint32_t which)
{
    static const uint8_t widths[ACTIVATIONS] = {
        [X] = WIDTH,
        [QUERY] = HEADS,
        [KEY] = KV,
        [VALUE] = KV,
        [ATTENDED] = HEADS,
        [GATED] = FF,
        [BLOCK] = WIDTH,
    };
    return which == BLOCK && !net_has_post_norms(m) ? 0 : net_width(&m->plan, widths[which]);
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

bk_kv_shape net_cache(const net *m, uint32_t type, uint32_t blocks)
{
    const net_shape *s = &m->plan.shape;
    return (bk_kv_shape){sizeof(bk_kv_shape), type, s->layers, s->kv_heads, s->head_dim, blocks};
}

net_need net_memory(const net *m, uint32_t batch)
{
    net_need need = {0};
    slot *s;
    for (uint64_t i = 0; (s = net_slot_at(m, i)); i++) {
        if (!s->file) continue;
        bk_weight_need w = m->bk->weight_need(m->self, s->file->type, s->file->ne[1], s->file->ne[0]);
        need.copied = add(need.copied, w.bytes);
        if (w.reads_source) need.mapped = add(need.mapped, s->file->bytes);
    }
    for (uint32_t i = 0; i < ACTIVATIONS; i++) {
        uint64_t width = activation_width(m, i);
        if (width) need.scratch = add(need.scratch, m->bk->activation_bytes(m->self, batch, width));
    }
    return need;
}

int32_t net_start(net *m, uint32_t batch, const net_stop *stop, jv_err *err)
{
    slot *s;
    gguf_will_read(m->g);
    for (uint64_t i = 0; (s = net_slot_at(m, i)); i++) {
        const gguf_tensor *t = s->file;
        if (!t) continue;
        int32_t rc = net_stopped(stop, err);
        if (rc != JV_OK) return rc;
        bk_source from = {sizeof from, t->type, t->ne[1], t->ne[0], t->data, t->bytes, gguf_mapped(m->g), 0};
        s->weight = m->bk->upload(m->self, &from, err);
        if (!s->weight) return err->code;
    }
    for (uint32_t i = 0; i < ACTIVATIONS; i++) {
        uint64_t width = activation_width(m, i);
        if (!width) continue;
        m->act[i] = m->bk->activation(m->self, batch, width, err);
        if (!m->act[i]) return err->code;
    }
    return JV_OK;
}

void net_free(net *m)
{
    if (!m) return;
    slot *s;
    for (uint64_t i = 0; (s = net_slot_at(m, i)); i++) m->bk->tensor_free(m->self, s->weight);
    for (uint32_t i = 0; i < ACTIVATIONS; i++) m->bk->tensor_free(m->self, m->act[i]);
    free(m);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* x += post(from w^T + bias); without a norm behind the block that is one operation. */
static int32_t add_block(net *m, bk_tensor *from, const slot *w, const slot *bias, const slot *post, uint32_t n,
    jv_err *err)
{
    bk_tensor **a = m->act;
    bk_linear op = {sizeof op, .n = n, .x = from, .n_parts = 1, .add = !post->weight};
    op.part[0] = (bk_part){post->weight ? a[BLOCK] : a[X], w->weight, bias->weight};
    int32_t rc = m->bk->linear(m->self, &op, err);
    if (rc == JV_OK && post->weight) rc = m->bk->norm_add(m->self, a[X], a[BLOCK], post->weight, m->plan.eps, n, err);
    return rc;
}

static int32_t attention_block(net *m, uint32_t layer, const bk_batch *batch, jv_err *err)
{
    const slot *w = m->layer[layer];
    bk_tensor **a = m->act;
    bk_linear qkv = {sizeof qkv, .n = batch->n, .x = a[X], .norm = w[ATTN_NORM].weight, .eps = m->plan.eps, .n_parts = 3,
        .part = {{a[QUERY], w[Q].weight, w[Q_BIAS].weight}, {a[KEY], w[K].weight, w[K_BIAS].weight},
            {a[VALUE], w[V].weight, w[V_BIAS].weight}}};
    bk_attention at = m->plan.has_window[layer] ? m->plan.windowed : m->plan.wide;
    at.layer = layer;
    at.q_norm = w[Q_NORM].weight;
    at.k_norm = w[K_NORM].weight;
    at.rope_factors = m->global[ROPE_FREQS].weight;
    int32_t rc = m->bk->linear(m->self, &qkv, err);
    if (rc == JV_OK) rc = m->bk->attention(m->self, a[ATTENDED], a[QUERY], a[KEY], a[VALUE], &at, batch, err);
    return rc == JV_OK ? add_block(m, a[ATTENDED], &w[O], &w[O_BIAS], &w[ATTN_POST], batch->n, err) : rc;
}

static int32_t feed_forward_block(net *m, uint32_t layer, uint32_t n, jv_err *err)
{
    const slot *w = m->layer[layer];
    bk_tensor **a = m->act;
    bk_gated op = {sizeof op, .n = n, .out = a[GATED], .x = a[X], .norm = w[FFN_NORM].weight, .eps = m->plan.eps,
        .act = m->plan.act, .gate = w[GATE].weight, .up = w[UP].weight};
    int32_t rc = m->bk->gated(m->self, &op, err);
    return rc == JV_OK ? add_block(m, a[GATED], &w[DOWN], &w[DOWN_BIAS], &w[FFN_POST], n, err) : rc;
}

int32_t net_stopped(const net_stop *stop, jv_err *err)
{
    return stop->asked && stop->asked(stop->user) ? jv_fail(err, JV_CANCELLED, "cancelled") : JV_OK;
}

int32_t net_forward(net *m, const int32_t *ids, const bk_batch *batch, const net_stop *stop, jv_err *err)
{
    int32_t rc =
        m->bk->embed(m->self, m->act[X], m->global[EMBEDDING].weight, ids, batch->n, m->plan.embedding_scale, err);
    for (uint32_t i = 0; i < m->plan.shape.layers && rc == JV_OK; i++) {
        rc = net_stopped(stop, err);
        if (rc == JV_OK) rc = attention_block(m, i, batch, err);
        if (rc == JV_OK) rc = feed_forward_block(m, i, batch->n, err);
    }
    return rc;
}

int32_t net_logits(net *m, const int32_t *index, uint32_t n, float *to, jv_err *err)
{
    bk_logits op = {sizeof op, .n = n, .to = to, .x = m->act[X], .index = index, .norm = m->global[OUTPUT_NORM].weight,
        .eps = m->plan.eps, .head = net_head(m)->weight};
    return m->bk->logits(m->self, &op, err);
}
