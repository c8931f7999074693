/*
 * net.c: the transformers of net_keys.c's families: their tensors, and the order of operations. Reading order: tensors
 * (the tables), net_open, memory, net_start, net_forward.
 *
 * A layer, of all families (what one has not is left out):
 *   x += post(out(attention(norm'(q(norm(x))), norm'(k(norm(x))), v(norm(x)))))
 *   x += post(down(act(gate(norm(x))) * up(norm(x))))
 */
#include "net_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* A width of the model that a tensor has for rows or columns. */
enum { ONE, WIDTH, HEADS, KV, FF, VOCABULARY, HEAD, PAIRS };

typedef struct tensor_row {
    const char *name; /* of a layer's tensor: what follows "blk.N." */
    uint8_t rows, columns;
    uint8_t vector;  /* 1: must be F32: norms, biases, factors */
    uint8_t needed;  /* by which families */
    uint8_t allowed; /* in which families; in the others it would change results, and is refused */
} tensor_row;

enum {
    ATTN_NORM,
    Q,
    K,
    V,
    O,
    Q_BIAS,
    K_BIAS,
    V_BIAS,
    O_BIAS,
    Q_NORM,
    K_NORM,
    ATTN_POST,
    FFN_NORM,
    GATE,
    UP,
    DOWN,
    GATE_BIAS,
    UP_BIAS,
    DOWN_BIAS,
    FFN_POST,
    PER_LAYER
};

static const tensor_row layer_rows[PER_LAYER] = {
    [ATTN_NORM] = {"attn_norm.weight", ONE, WIDTH, 1, NET_ALL, NET_ALL},
    [Q] = {"attn_q.weight", HEADS, WIDTH, 0, NET_ALL, NET_ALL},
    [K] = {"attn_k.weight", KV, WIDTH, 0, NET_ALL, NET_ALL},
    [V] = {"attn_v.weight", KV, WIDTH, 0, NET_ALL, NET_ALL},
    [O] = {"attn_output.weight", WIDTH, HEADS, 0, NET_ALL, NET_ALL},
    [Q_BIAS] = {"attn_q.bias", ONE, HEADS, 1, NET_QWEN2, NET_LLAMA | NET_QWEN2},
    [K_BIAS] = {"attn_k.bias", ONE, KV, 1, NET_QWEN2, NET_LLAMA | NET_QWEN2},
    [V_BIAS] = {"attn_v.bias", ONE, KV, 1, NET_QWEN2, NET_LLAMA | NET_QWEN2},
    [O_BIAS] = {"attn_output.bias", ONE, WIDTH, 1, 0, NET_LLAMA},
    [Q_NORM] = {"attn_q_norm.weight", ONE, HEAD, 1, NET_GEMMA3, NET_GEMMA3},
    [K_NORM] = {"attn_k_norm.weight", ONE, HEAD, 1, NET_GEMMA3, NET_GEMMA3},
    [ATTN_POST] = {"post_attention_norm.weight", ONE, WIDTH, 1, NET_GEMMA3, NET_GEMMA3},
    [FFN_NORM] = {"ffn_norm.weight", ONE, WIDTH, 1, NET_ALL, NET_ALL},
    [GATE] = {"ffn_gate.weight", FF, WIDTH, 0, NET_ALL, NET_ALL},
    [UP] = {"ffn_up.weight", FF, WIDTH, 0, NET_ALL, NET_ALL},
    [DOWN] = {"ffn_down.weight", WIDTH, FF, 0, NET_ALL, NET_ALL},
    [GATE_BIAS] = {"ffn_gate.bias", ONE, FF, 1, 0, 0},
    [UP_BIAS] = {"ffn_up.bias", ONE, FF, 1, 0, 0},
    [DOWN_BIAS] = {"ffn_down.bias", ONE, WIDTH, 1, 0, NET_LLAMA},
    [FFN_POST] = {"post_ffw_norm.weight", ONE, WIDTH, 1, NET_GEMMA3, NET_GEMMA3},
};

enum { EMBEDDING, OUTPUT_NORM, OUTPUT, OUTPUT_BIAS, ROPE_FREQS, ROPE_LONG, ROPE_SHORT, GLOBAL };

static const tensor_row global_rows[GLOBAL] = {
    [EMBEDDING] = {"token_embd.weight", VOCABULARY, WIDTH, 0, NET_ALL, NET_ALL},
    [OUTPUT_NORM] = {"output_norm.weight", ONE, WIDTH, 1, NET_ALL, NET_ALL},
    [OUTPUT] = {"output.weight", VOCABULARY, WIDTH, 0, 0, NET_ALL}, /* missing: the embedding serves */
    [OUTPUT_BIAS] = {"output.bias", ONE, VOCABULARY, 1, 0, 0},
    [ROPE_FREQS] = {"rope_freqs.weight", ONE, PAIRS, 1, 0, NET_LLAMA},
    [ROPE_LONG] = {"rope_factors_long.weight", ONE, PAIRS, 1, 0, 0},
    [ROPE_SHORT] = {"rope_factors_short.weight", ONE, PAIRS, 1, 0, 0},
};

/* A tensor in the file, and on the backend once started. */
typedef struct slot {
    const gguf_tensor *file; /* null: an optional one that is not there */
    bk_tensor *weight;
} slot;

/* What a batch's tokens are turned into. */
enum { X, QUERY, KEY, VALUE, ATTENDED, GATED, BLOCK, ACTIVATIONS };

struct net {
    const bk_api *bk;
    void *self; /* of bk */
    const gguf *g;
    net_plan plan;
    uint64_t used; /* tensors of the file that have a slot */
    slot global[GLOBAL];
    bk_tensor *act[ACTIVATIONS];
    slot layer[][PER_LAYER];
};

static uint64_t width_of(const net_plan *p, uint8_t what)
{
    const net_shape *s = &p->shape;
    switch (what) {
    case WIDTH: return s->width;
    case HEADS: return (uint64_t)s->heads * s->head_dim;
    case KV: return (uint64_t)s->kv_heads * s->head_dim;
    case FF: return s->ff;
    case VOCABULARY: return s->vocabulary;
    case HEAD: return s->head_dim;
    case PAIRS: return p->wide.rope_dims / 2;
    default: return 1;
    }
}

static void print_shape(const gguf_tensor *t, char *to, size_t size)
{
    size_t at = 0;
    for (uint32_t i = 0; i < t->n_dims && at < size; i++)
        at += (size_t)snprintf(to + at, size - at, "%s%llu", i ? " x " : "", (unsigned long long)t->ne[i]);
}

/* Shape and type; shapes in messages are written as the file has them, columns first. */
static int32_t check_tensor(const net *m, const tensor_row *row, const gguf_tensor *t, const char *name, jv_err *err)
{
    char shape[128] = "";
    uint64_t rows = width_of(&m->plan, row->rows), columns = width_of(&m->plan, row->columns);
    if (t->ne[0] != columns || t->ne[1] != rows || t->ne[2] != 1 || t->ne[3] != 1) {
        print_shape(t, shape, sizeof shape);
        if (row->rows == ONE)
            return jv_fail(err, JV_BAD, "tensor %s is %s, expected %llu", name, shape, (unsigned long long)columns);
        return jv_fail(err, JV_BAD, "tensor %s is %s, expected %llu x %llu", name, shape, (unsigned long long)columns,
            (unsigned long long)rows);
    }
    if (row->vector && t->type != BK_F32)
        return jv_fail(err, JV_BAD, "tensor %s is of type %s, F32 is needed", name, gguf_type_name(t->type));
    if (!m->bk->supports(m->self, t->type))
        return jv_fail(err, JV_BAD, "tensor %s is of type %s (%u), which the backend cannot use", name,
            gguf_type_name(t->type), t->type);
    return JV_OK;
}

#define NO_LAYER (-1)

/* Finds the tensor of a row. */
static int32_t find_tensor(net *m, const tensor_row *row, int32_t layer, slot *s, jv_err *err)
{
    char name[64];
    if (layer == NO_LAYER)
        snprintf(name, sizeof name, "%s", row->name);
    else
        snprintf(name, sizeof name, "blk.%d.%s", layer, row->name);
    const gguf_tensor *t = gguf_find_tensor(m->g, name);
    if (!t && row->needed & m->plan.family) return jv_fail(err, JV_BAD, "tensor %s is missing", name);
    if (!t) return JV_OK;
    if (!(row->allowed & m->plan.family))
        return jv_fail(err, JV_BAD, "tensor %s: not in this version for the architecture %s", name, m->plan.shape.family);
    int32_t rc = check_tensor(m, row, t, name, err);
    if (rc != JV_OK) return rc;
    s->file = t;
    m->used++;
    return JV_OK;
}

static int32_t find_tensors(net *m, jv_err *err)
{
    int32_t rc = JV_OK;
    for (uint32_t i = 0; i < GLOBAL && rc == JV_OK; i++)
        rc = find_tensor(m, &global_rows[i], NO_LAYER, &m->global[i], err);
    for (int32_t n = 0; n < (int32_t)m->plan.shape.layers && rc == JV_OK; n++)
        for (uint32_t i = 0; i < PER_LAYER && rc == JV_OK; i++)
            rc = find_tensor(m, &layer_rows[i], n, &m->layer[n][i], err);
    return rc;
}

/* A turn is divided by its factor. */
static int32_t check_factors(const gguf_tensor *t, jv_err *err)
{
    const float *factor = t ? t->data : NULL;
    for (uint64_t i = 0; t && i < t->ne[0]; i++)
        if (!(factor[i] > 0 && isfinite(factor[i])))
            return jv_fail(err, JV_BAD, "tensor %s: factor %llu is %g, not above 0", global_rows[ROPE_FREQS].name,
                (unsigned long long)i, (double)factor[i]);
    return JV_OK;
}

static int32_t check_all(net *m, jv_err *err)
{
    int32_t rc = m->bk->check_heads(m->self, &m->plan.wide, err);
    if (rc == JV_OK && m->plan.windowed.window) rc = m->bk->check_heads(m->self, &m->plan.windowed, err);
    if (rc == JV_OK) rc = find_tensors(m, err);
    return rc == JV_OK ? check_factors(m->global[ROPE_FREQS].file, err) : rc;
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
    rc = check_all(m, err);
    if (rc == JV_OK)
        *out = m;
    else
        net_free(m);
    return rc;
}

/* ---- what it is made of ------------------------------------------------------------------------------------------ */

const net_shape *net_shape_of(const net *m)
{
    return &m->plan.shape;
}

/* Slot i of all, or null past the end. */
static slot *slot_at(const net *m, uint64_t i)
{
    if (i < GLOBAL) return (slot *)&m->global[i];
    i -= GLOBAL;
    return i < (uint64_t)m->plan.shape.layers * PER_LAYER ? (slot *)&m->layer[i / PER_LAYER][i % PER_LAYER] : NULL;
}

uint64_t net_parameters(const net *m)
{
    uint64_t sum = 0;
    slot *s;
    for (uint64_t i = 0; (s = slot_at(m, i)); i++)
        if (s->file) sum += s->file->ne[0] * s->file->ne[1]; /* bounded by the file's size */
    return sum;
}

void net_types(const net *m, char *to, size_t size)
{
    uint32_t count[64] = {0};
    slot *s;
    for (uint64_t i = 0; (s = slot_at(m, i)); i++)
        if (s->file) count[s->file->type % 64]++; /* types a backend supports are far below 64 */
    to[0] = 0;
    for (size_t at = 0; at < size;) {
        uint32_t most = 0;
        for (uint32_t i = 1; i < 64; i++)
            if (count[i] > count[most]) most = i;
        if (!count[most]) return;
        at += (size_t)snprintf(to + at, size - at, "%s%s %u", at ? ", " : "", gguf_type_name(most), count[most]);
        count[most] = 0;
    }
}

static bool has_slot(const net *m, const gguf_tensor *t)
{
    slot *s;
    for (uint64_t i = 0; (s = slot_at(m, i)); i++)
        if (s->file == t) return true;
    return false;
}

uint64_t net_unused(const net *m, jv_str *first)
{
    uint64_t n = gguf_tensor_count(m->g);
    for (uint64_t i = 0; i < n && m->used < n; i++)
        if (!has_slot(m, gguf_tensor_at(m->g, i))) {
            *first = gguf_tensor_at(m->g, i)->name;
            break;
        }
    return n - m->used;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Of each activation; 0: the family has no need of it. */
static uint64_t activation_width(const net_plan *p, uint32_t which)
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
    bool post_norms = layer_rows[ATTN_POST].needed & p->family;
    return which == BLOCK && !post_norms ? 0 : width_of(p, widths[which]);
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
    for (uint64_t i = 0; (s = slot_at(m, i)); i++) {
        if (!s->file) continue;
        bk_weight_need w = m->bk->weight_need(m->self, s->file->type, s->file->ne[1], s->file->ne[0]);
        need.copied = add(need.copied, w.bytes);
        if (w.reads_source) need.mapped = add(need.mapped, s->file->bytes);
    }
    for (uint32_t i = 0; i < ACTIVATIONS; i++) {
        uint64_t width = activation_width(&m->plan, i);
        if (width) need.scratch = add(need.scratch, m->bk->activation_bytes(m->self, batch, width));
    }
    return need;
}

int32_t net_start(net *m, uint32_t batch, const net_stop *stop, jv_err *err)
{
    slot *s;
    gguf_will_read(m->g);
    for (uint64_t i = 0; (s = slot_at(m, i)); i++) {
        const gguf_tensor *t = s->file;
        if (!t) continue;
        int32_t rc = net_stopped(stop, err);
        if (rc != JV_OK) return rc;
        bk_source from = {sizeof from, t->type, t->ne[1], t->ne[0], t->data, t->bytes, gguf_mapped(m->g), 0};
        s->weight = m->bk->upload(m->self, &from, err);
        if (!s->weight) return err->code;
    }
    for (uint32_t i = 0; i < ACTIVATIONS; i++) {
        uint64_t width = activation_width(&m->plan, i);
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
    for (uint64_t i = 0; (s = slot_at(m, i)); i++) m->bk->tensor_free(m->self, s->weight);
    for (uint32_t i = 0; i < ACTIVATIONS; i++) m->bk->tensor_free(m->self, m->act[i]);
    free(m);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

static const slot *head_of(const net *m)
{
    return m->global[OUTPUT].file ? &m->global[OUTPUT] : &m->global[EMBEDDING];
}

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
        .eps = m->plan.eps, .head = head_of(m)->weight};
    return m->bk->logits(m->self, &op, err);
}

/* ---- what benchmarks count --------------------------------------------------------------------------------------- */

/* Vectors are no work to speak of. */
static bool multiplies(const slot *s)
{
    return s->file && s->file->ne[1] > 1;
}

uint32_t net_weights(const net *m, const bk_tensor **to, uint32_t room)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->plan.shape.layers; i++)
        for (uint32_t j = 0; j < PER_LAYER; j++) {
            if (!multiplies(&m->layer[i][j])) continue;
            if (n < room) to[n] = m->layer[i][j].weight;
            n++;
        }
    if (n < room) to[n] = head_of(m)->weight;
    return n + 1;
}

void net_products(const net *m, uint64_t *token, uint64_t *logits)
{
    *token = 0;
    for (uint32_t i = 0; i < m->plan.shape.layers; i++)
        for (uint32_t j = 0; j < PER_LAYER; j++)
            if (multiplies(&m->layer[i][j])) *token += m->layer[i][j].file->ne[0] * m->layer[i][j].file->ne[1];
    *logits = head_of(m)->file->ne[0] * head_of(m)->file->ne[1];
}
