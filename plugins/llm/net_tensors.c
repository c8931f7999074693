/*
 * net_tensors.c: the tensors of all families, found in a file and checked against the numbers in its keys; and what is
 * told of them: parameters, types, tensors not used, work.
 */
#include "net_impl.h"

#include <math.h>
#include <string.h>

typedef struct tensor_row {
    const char *name; /* of a layer's tensor: what follows "blk.N." */
    uint8_t rows, columns;
    uint8_t vector;  /* 1: must be F32: norms, biases, factors */
    uint8_t needed;  /* by which families */
    uint8_t allowed; /* in which families; in the others it would change results, and is refused */
} tensor_row;

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

static const tensor_row global_rows[GLOBAL] = {
    [EMBEDDING] = {"token_embd.weight", VOCABULARY, WIDTH, 0, NET_ALL, NET_ALL},
    [OUTPUT_NORM] = {"output_norm.weight", ONE, WIDTH, 1, NET_ALL, NET_ALL},
    [OUTPUT] = {"output.weight", VOCABULARY, WIDTH, 0, 0, NET_ALL}, /* missing: the embedding serves */
    [OUTPUT_BIAS] = {"output.bias", ONE, VOCABULARY, 1, 0, 0},
    [ROPE_FREQS] = {"rope_freqs.weight", ONE, PAIRS, 1, 0, NET_LLAMA},
    [ROPE_LONG] = {"rope_factors_long.weight", ONE, PAIRS, 1, 0, 0},
    [ROPE_SHORT] = {"rope_factors_short.weight", ONE, PAIRS, 1, 0, 0},
};

uint64_t net_width(const net_plan *p, uint32_t what)
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
    uint64_t rows = net_width(&m->plan, row->rows), columns = net_width(&m->plan, row->columns);
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

int32_t net_find_tensors(net *m, jv_err *err)
{
    int32_t rc = JV_OK;
    for (uint32_t i = 0; i < GLOBAL && rc == JV_OK; i++)
        rc = find_tensor(m, &global_rows[i], NO_LAYER, &m->global[i], err);
    for (int32_t n = 0; n < (int32_t)m->plan.shape.layers && rc == JV_OK; n++)
        for (uint32_t i = 0; i < PER_LAYER && rc == JV_OK; i++)
            rc = find_tensor(m, &layer_rows[i], n, &m->layer[n][i], err);
    return rc == JV_OK ? check_factors(m->global[ROPE_FREQS].file, err) : rc;
}

/* ---- what it is made of ------------------------------------------------------------------------------------------ */

const slot *net_head(const net *m)
{
    return m->global[OUTPUT].file ? &m->global[OUTPUT] : &m->global[EMBEDDING];
}

bool net_has_post_norms(const net *m)
{
    return layer_rows[ATTN_POST].needed & m->plan.family;
}

slot *net_slot_at(const net *m, uint64_t i)
{
    if (i < GLOBAL) return (slot *)&m->global[i];
    i -= GLOBAL;
    return i < (uint64_t)m->plan.shape.layers * PER_LAYER ? (slot *)&m->layer[i / PER_LAYER][i % PER_LAYER] : NULL;
}

uint64_t net_parameters(const net *m)
{
    uint64_t sum = 0;
    slot *s;
    for (uint64_t i = 0; (s = net_slot_at(m, i)); i++)
        if (s->file) sum += s->file->ne[0] * s->file->ne[1]; /* bounded by the file's size */
    return sum;
}

void net_types(const net *m, char *to, size_t size)
{
    uint32_t count[64] = {0};
    slot *s;
    for (uint64_t i = 0; (s = net_slot_at(m, i)); i++)
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
    for (uint64_t i = 0; (s = net_slot_at(m, i)); i++)
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
    if (n < room) to[n] = net_head(m)->weight;
    return n + 1;
}

void net_products(const net *m, uint64_t *token, uint64_t *logits)
{
    *token = 0;
    for (uint32_t i = 0; i < m->plan.shape.layers; i++)
        for (uint32_t j = 0; j < PER_LAYER; j++)
            if (multiplies(&m->layer[i][j])) *token += m->layer[i][j].file->ne[0] * m->layer[i][j].file->ne[1];
    *logits = net_head(m)->file->ne[0] * net_head(m)->file->ne[1];
}
