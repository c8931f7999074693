/*
 * llama.c: the architecture `llama`: its keys, its tensors, and the order of operations. Reading order: tensors (the
 * table), keys, llama_open, llama_memory, llama_start, llama_forward.
 *
 * Refused, because it would change results: mixtures of experts, sliding windows, scaled rotary positions other than
 * by the tensor rope_freqs.weight, biases of the gate and up projections.
 */
#include "llama.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* A width of the model that a tensor has for rows or columns. */
enum { ONE, WIDTH, HEADS, KV, FF, VOCABULARY, PAIRS };

typedef struct tensor_row {
    const char *name; /* of a layer's tensor: what follows "blk.N." */
    uint8_t rows, columns;
    bool optional;
    bool vector; /* must be F32: norms, biases, factors */
} tensor_row;

enum { ATTN_NORM, Q, K, V, O, Q_BIAS, K_BIAS, V_BIAS, O_BIAS, FFN_NORM, GATE, UP, DOWN, DOWN_BIAS, PER_LAYER };

static const tensor_row layer_rows[PER_LAYER] = {
    [ATTN_NORM] = {"attn_norm.weight", ONE, WIDTH, false, true},
    [Q] = {"attn_q.weight", HEADS, WIDTH, false, false},
    [K] = {"attn_k.weight", KV, WIDTH, false, false},
    [V] = {"attn_v.weight", KV, WIDTH, false, false},
    [O] = {"attn_output.weight", WIDTH, HEADS, false, false},
    [Q_BIAS] = {"attn_q.bias", ONE, HEADS, true, true},
    [K_BIAS] = {"attn_k.bias", ONE, KV, true, true},
    [V_BIAS] = {"attn_v.bias", ONE, KV, true, true},
    [O_BIAS] = {"attn_output.bias", ONE, WIDTH, true, true},
    [FFN_NORM] = {"ffn_norm.weight", ONE, WIDTH, false, true},
    [GATE] = {"ffn_gate.weight", FF, WIDTH, false, false},
    [UP] = {"ffn_up.weight", FF, WIDTH, false, false},
    [DOWN] = {"ffn_down.weight", WIDTH, FF, false, false},
    [DOWN_BIAS] = {"ffn_down.bias", ONE, WIDTH, true, true},
};

enum { EMBEDDING, OUTPUT_NORM, OUTPUT, ROPE_FREQS, GLOBAL };

static const tensor_row global_rows[GLOBAL] = {
    [EMBEDDING] = {"token_embd.weight", VOCABULARY, WIDTH, false, false},
    [OUTPUT_NORM] = {"output_norm.weight", ONE, WIDTH, false, true},
    [OUTPUT] = {"output.weight", VOCABULARY, WIDTH, true, false}, /* missing: the embedding serves */
    [ROPE_FREQS] = {"rope_freqs.weight", ONE, PAIRS, true, true},
};

/* A tensor in the file, and on the backend once started. */
typedef struct slot {
    const gguf_tensor *file; /* null: an optional one that is not there */
    bk_tensor *weight;
} slot;

enum { X, NORMED, QUERY, KEY, VALUE, ATTENDED, GATED, PICKED, PICKED_NORMED, LOGITS, ACTIVATIONS };

struct llama {
    const bk_api *bk;
    void *self; /* of bk */
    const gguf *g;
    llama_shape shape;
    uint64_t used; /* tensors of the file that have a slot */
    slot global[GLOBAL];
    bk_tensor *act[ACTIVATIONS];
    slot layer[][PER_LAYER];
};

static uint64_t width_of(const llama_shape *s, uint8_t what)
{
    switch (what) {
    case WIDTH: return s->width;
    case HEADS: return (uint64_t)s->heads * s->head_dim;
    case KV: return (uint64_t)s->kv_heads * s->head_dim;
    case FF: return s->ff;
    case VOCABULARY: return s->vocabulary;
    case PAIRS: return s->rope_dims / 2;
    default: return 1;
    }
}

static void print_shape(const gguf_tensor *t, char *to, size_t size)
{
    size_t at = 0;
    for (uint32_t i = 0; i < t->n_dims && at < size; i++)
        at += (size_t)snprintf(to + at, size - at, "%s%llu", i ? " x " : "", (unsigned long long)t->ne[i]);
}

#define NO_LAYER (-1)

static const gguf_tensor *find_name(const gguf *g, const char *name, int32_t layer, char *full, size_t size)
{
    if (layer == NO_LAYER)
        snprintf(full, size, "%s", name);
    else
        snprintf(full, size, "blk.%d.%s", layer, name);
    return gguf_find_tensor(g, full);
}

/* Finds the tensor of a row; shapes in messages are written as the file has them, columns first. */
static int32_t find_tensor(llama *l, const tensor_row *row, int32_t layer, slot *s, jv_err *err)
{
    char name[64], shape[128] = "";
    const gguf_tensor *t = find_name(l->g, row->name, layer, name, sizeof name);
    if (!t && row->optional) return JV_OK;
    if (!t) return jv_fail(err, JV_BAD, "tensor %s is missing", name);
    uint64_t rows = width_of(&l->shape, row->rows), columns = width_of(&l->shape, row->columns);
    if (t->ne[0] != columns || t->ne[1] != rows || t->ne[2] != 1 || t->ne[3] != 1) {
        print_shape(t, shape, sizeof shape);
        if (row->rows == ONE)
            return jv_fail(err, JV_BAD, "tensor %s is %s, expected %llu", name, shape, (unsigned long long)columns);
        return jv_fail(err, JV_BAD, "tensor %s is %s, expected %llu x %llu", name, shape, (unsigned long long)columns,
            (unsigned long long)rows);
    }
    if (row->vector && t->type != BK_F32)
        return jv_fail(err, JV_BAD, "tensor %s is of type %s, F32 is needed", name, gguf_type_name(t->type));
    if (!l->bk->supports(l->self, t->type))
        return jv_fail(err, JV_BAD, "tensor %s is of type %s (%u), which the backend cannot use", name,
            gguf_type_name(t->type), t->type);
    s->file = t;
    l->used++;
    return JV_OK;
}

static int32_t find_tensors(llama *l, jv_err *err)
{
    static const char *const refused[] = {"ffn_gate.bias", "ffn_up.bias"};
    int32_t rc = JV_OK;
    for (uint32_t i = 0; i < GLOBAL && rc == JV_OK; i++)
        rc = find_tensor(l, &global_rows[i], NO_LAYER, &l->global[i], err);
    for (int32_t n = 0; n < (int32_t)l->shape.layers && rc == JV_OK; n++) {
        char name[64];
        for (uint32_t i = 0; i < PER_LAYER && rc == JV_OK; i++)
            rc = find_tensor(l, &layer_rows[i], n, &l->layer[n][i], err);
        for (uint32_t i = 0; i < 2 && rc == JV_OK; i++)
            if (find_name(l->g, refused[i], n, name, sizeof name))
                rc = jv_fail(err, JV_BAD, "tensor %s: this bias is not in this version", name);
    }
    return rc;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* A whole number between least and most; `fallback` when the key is absent (0: it must be there). */
static int32_t key_u32(const gguf *g, const char *key, uint32_t least, uint32_t most, uint32_t fallback, uint32_t *to,
    jv_err *err)
{
    uint64_t v = fallback;
    int32_t rc = gguf_get_u64(g, key, &v, err);
    if (rc < 0) return rc;
    if (rc == 1 && !fallback) return jv_fail(err, JV_BAD, "key %s is missing", key);
    if (v < least || v > most)
        return jv_fail(err, JV_BAD, "key %s is %llu, %u..%u is allowed", key, (unsigned long long)v, least, most);
    *to = (uint32_t)v;
    return JV_OK;
}

static int32_t key_f64(const gguf *g, const char *key, double least, double most, double fallback, double *to, jv_err *err)
{
    double v = fallback;
    int32_t rc = gguf_get_f64(g, key, &v, err);
    if (rc < 0) return rc;
    if (!(v >= least && v <= most)) return jv_fail(err, JV_BAD, "key %s is %g, %g..%g is allowed", key, v, least, most);
    *to = v;
    return JV_OK;
}

/* A feature that would change results: the key must be absent or hold `neutral`. */
static int32_t refuse(const gguf *g, const char *key, double neutral, jv_err *err)
{
    double v = neutral;
    uint64_t whole = 0;
    int32_t rc = gguf_get_u64(g, key, &whole, err);
    if (rc == JV_OK) v = (double)whole;
    if (rc < 0) rc = gguf_get_f64(g, key, &v, err);
    if (rc < 0) return rc;
    return v == neutral ? JV_OK : jv_fail(err, JV_BAD, "key %s is %g: not in this version", key, v);
}

static int32_t check_features(const gguf *g, jv_err *err)
{
    jv_str scaling = {0};
    int32_t rc = gguf_get_string(g, "llama.rope.scaling.type", &scaling, err);
    if (rc < 0) return rc;
    bool none = rc == JV_OK && scaling.n == 4 && memcmp(scaling.p, "none", 4) == 0;
    if (rc == JV_OK && !none)
        return jv_fail(err, JV_BAD, "key llama.rope.scaling.type is \"%.*s\": not in this version",
            (int)(scaling.n < 40 ? scaling.n : 40), scaling.p);
    /* without a type, a factor means linear scaling; with type none it means nothing */
    if (!none && (rc = refuse(g, "llama.rope.scaling.factor", 1, err)) != JV_OK) return rc;
    if ((rc = refuse(g, "llama.rope.scaling.attn_factor", 1, err)) != JV_OK) return rc;
    if ((rc = refuse(g, "llama.rope.scale_linear", 1, err)) != JV_OK) return rc;
    if ((rc = refuse(g, "llama.expert_count", 0, err)) != JV_OK) return rc;
    return refuse(g, "llama.attention.sliding_window", 0, err);
}

static int32_t check_architecture(const gguf *g, jv_err *err)
{
    jv_str name = {0};
    int32_t rc = gguf_get_string(g, "general.architecture", &name, err);
    if (rc < 0) return rc;
    if (rc == 1) return jv_fail(err, JV_BAD, "key general.architecture is missing");
    if (name.n == 5 && memcmp(name.p, "llama", 5) == 0) return JV_OK;
    return jv_fail(err, JV_BAD, "architecture \"%.*s\" is not known; known: llama", (int)(name.n < 60 ? name.n : 60),
        name.p);
}

static int32_t read_heads(const gguf *g, llama_shape *s, jv_err *err)
{
    int32_t rc = key_u32(g, "llama.attention.head_count", 1, 65536, 0, &s->heads, err);
    if (rc == JV_OK) rc = key_u32(g, "llama.attention.head_count_kv", 1, s->heads, s->heads, &s->kv_heads, err);
    if (rc != JV_OK) return rc;
    if (s->heads % s->kv_heads)
        return jv_fail(err, JV_BAD, "%u attention heads on %u key-value heads: no whole number each", s->heads,
            s->kv_heads);
    uint32_t value_dim = 0, dim = s->width % s->heads ? 0 : s->width / s->heads;
    rc = key_u32(g, "llama.attention.key_length", 2, 65536, dim, &s->head_dim, err);
    if (rc == JV_OK) rc = key_u32(g, "llama.attention.value_length", 2, 65536, s->head_dim, &value_dim, err);
    if (rc != JV_OK) return rc;
    if (value_dim != s->head_dim || s->head_dim % 2 || (uint64_t)s->heads * s->head_dim > LLAMA_MAX_WIDTH)
        return jv_fail(err, JV_BAD, "%u heads with keys of %u and values of %u: even, equal and at most %u in all",
            s->heads, s->head_dim, value_dim, LLAMA_MAX_WIDTH);
    rc = key_u32(g, "llama.rope.dimension_count", 2, s->head_dim, s->head_dim, &s->rope_dims, err);
    if (rc == JV_OK && s->rope_dims % 2)
        return jv_fail(err, JV_BAD, "key llama.rope.dimension_count is %u: not even", s->rope_dims);
    return rc;
}

static int32_t read_shape(const gguf *g, llama_shape *s, jv_err *err)
{
    double eps = 0;
    int32_t rc = key_u32(g, "llama.block_count", 1, LLAMA_MAX_LAYERS, 0, &s->layers, err);
    if (rc == JV_OK) rc = key_u32(g, "llama.embedding_length", 1, LLAMA_MAX_WIDTH, 0, &s->width, err);
    if (rc == JV_OK) rc = key_u32(g, "llama.feed_forward_length", 1, LLAMA_MAX_WIDTH, 0, &s->ff, err);
    if (rc == JV_OK) rc = key_u32(g, "llama.context_length", 1, INT32_MAX, 0, &s->context, err);
    if (rc == JV_OK) rc = read_heads(g, s, err);
    if (rc == JV_OK) rc = key_f64(g, "llama.attention.layer_norm_rms_epsilon", 0, 1, 1e-5, &eps, err);
    if (rc == JV_OK) rc = key_f64(g, "llama.rope.freq_base", 1, 1e12, 10000, &s->rope_base, err);
    s->eps = (float)eps;
    if (rc != JV_OK) return rc;
    const gguf_tensor *embedding = gguf_find_tensor(g, global_rows[EMBEDDING].name);
    if (!embedding) return jv_fail(err, JV_BAD, "tensor %s is missing", global_rows[EMBEDDING].name);
    if (embedding->ne[1] > LLAMA_MAX_VOCABULARY)
        return jv_fail(err, JV_BAD, "a vocabulary of %llu tokens: at most %u are allowed",
            (unsigned long long)embedding->ne[1], LLAMA_MAX_VOCABULARY);
    s->vocabulary = (uint32_t)embedding->ne[1];
    return JV_OK;
}

int32_t llama_open(const gguf *g, const bk_api *bk, void *bk_self, llama **out, jv_err *err)
{
    llama_shape shape = {0};
    int32_t rc = check_architecture(g, err);
    if (rc == JV_OK) rc = check_features(g, err);
    if (rc == JV_OK) rc = read_shape(g, &shape, err);
    if (rc != JV_OK) return rc;
    llama *l = calloc(1, sizeof *l + shape.layers * sizeof *l->layer);
    if (!l) return jv_fail(err, JV_FATAL, "no memory for %u layers", shape.layers);
    l->bk = bk;
    l->self = bk_self;
    l->g = g;
    l->shape = shape;
    rc = bk->check_heads(bk_self,
        &(bk_attention){sizeof(bk_attention), 0, shape.heads, shape.kv_heads, shape.head_dim, 1}, err);
    if (rc == JV_OK) rc = find_tensors(l, err);
    if (rc != JV_OK) {
        llama_free(l);
        return rc;
    }
    *out = l;
    return JV_OK;
}

/* ---- what it is made of ------------------------------------------------------------------------------------------ */

const llama_shape *llama_shape_of(const llama *l)
{
    return &l->shape;
}

/* Slot i of all, or null past the end. */
static slot *slot_at(const llama *l, uint64_t i)
{
    if (i < GLOBAL) return (slot *)&l->global[i];
    i -= GLOBAL;
    return i < (uint64_t)l->shape.layers * PER_LAYER ? (slot *)&l->layer[i / PER_LAYER][i % PER_LAYER] : NULL;
}

uint64_t llama_parameters(const llama *l)
{
    uint64_t sum = 0;
    slot *s;
    for (uint64_t i = 0; (s = slot_at(l, i)); i++)
        if (s->file) sum += s->file->ne[0] * s->file->ne[1]; /* bounded by the file's size */
    return sum;
}

void llama_types(const llama *l, char *to, size_t size)
{
    uint32_t count[64] = {0};
    slot *s;
    for (uint64_t i = 0; (s = slot_at(l, i)); i++)
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

uint64_t llama_unused(const llama *l, jv_str *first)
{
    uint64_t n = gguf_tensor_count(l->g);
    for (uint64_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_tensor_at(l->g, i);
        bool used = false;
        slot *s;
        for (uint64_t j = 0; !used && (s = slot_at(l, j)); j++) used = s->file == t;
        if (used) continue;
        *first = t->name;
        break;
    }
    return n - l->used;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* (rows, width) of each activation, for batches of `batch` tokens. */
static void activation_shape(const llama_shape *s, uint32_t which, uint32_t batch, uint64_t *rows, uint64_t *width)
{
    static const uint8_t widths[ACTIVATIONS] = {
        [X] = WIDTH,
        [NORMED] = WIDTH,
        [QUERY] = HEADS,
        [KEY] = KV,
        [VALUE] = KV,
        [ATTENDED] = HEADS,
        [GATED] = FF,
        [PICKED] = WIDTH,
        [PICKED_NORMED] = WIDTH,
        [LOGITS] = VOCABULARY,
    };
    *rows = which >= PICKED ? LLAMA_LOGIT_ROWS : batch;
    *width = width_of(s, widths[which]);
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

bk_kv_shape llama_cache(const llama *l, uint32_t type, uint32_t capacity)
{
    return (bk_kv_shape){sizeof(bk_kv_shape), type, l->shape.layers, l->shape.kv_heads, l->shape.head_dim, capacity};
}

llama_need llama_memory(const llama *l, uint32_t batch, const bk_kv_shape *cache)
{
    llama_need need = {.cache = l->bk->kv_bytes(l->self, cache)};
    slot *s;
    for (uint64_t i = 0; (s = slot_at(l, i)); i++) {
        if (!s->file) continue;
        need.mapped = add(need.mapped, s->file->bytes);
        need.copied = add(need.copied, l->bk->weight_bytes(l->self, s->file->type, s->file->ne[1], s->file->ne[0]));
    }
    for (uint32_t i = 0; i < ACTIVATIONS; i++) {
        uint64_t rows, width;
        activation_shape(&l->shape, i, batch, &rows, &width);
        need.scratch = add(need.scratch, l->bk->activation_bytes(l->self, rows, width));
    }
    need.total = add(add(need.mapped, need.copied), add(need.cache, need.scratch));
    return need;
}

int32_t llama_start(llama *l, uint32_t batch, jv_err *err)
{
    slot *s;
    for (uint64_t i = 0; (s = slot_at(l, i)); i++) {
        if (!s->file) continue;
        bk_source from = {sizeof from, s->file->type, s->file->ne[1], s->file->ne[0], s->file->data, s->file->bytes};
        s->weight = l->bk->upload(l->self, &from, err);
        if (!s->weight) return err->code;
    }
    for (uint32_t i = 0; i < ACTIVATIONS; i++) {
        uint64_t rows, width;
        activation_shape(&l->shape, i, batch, &rows, &width);
        l->act[i] = l->bk->activation(l->self, rows, width, err);
        if (!l->act[i]) return err->code;
    }
    return JV_OK;
}

void llama_free(llama *l)
{
    if (!l) return;
    slot *s;
    for (uint64_t i = 0; (s = slot_at(l, i)); i++) l->bk->tensor_free(l->self, s->weight);
    for (uint32_t i = 0; i < ACTIVATIONS; i++) l->bk->tensor_free(l->self, l->act[i]);
    free(l);
}

/* ---- forward ----------------------------------------------------------------------------------------------------- */

/* to += attention of norm(x) */
static int32_t attention_block(llama *l, uint32_t layer, const bk_batch *batch, jv_err *err)
{
    const bk_api *bk = l->bk;
    const llama_shape *s = &l->shape;
    slot *w = l->layer[layer];
    bk_tensor **a = l->act;
    uint32_t n = batch->n;
    bk_attention at = {sizeof at, layer, s->heads, s->kv_heads, s->head_dim, (float)(1 / sqrt((double)s->head_dim))};
    bk_rope rope = {sizeof rope, s->rope_dims, s->rope_base, l->global[ROPE_FREQS].weight};
    int32_t rc = bk->rms_norm(l->self, a[NORMED], a[X], w[ATTN_NORM].weight, s->eps, n, err);
    if (rc == JV_OK) rc = bk->linear(l->self, a[QUERY], w[Q].weight, w[Q_BIAS].weight, a[NORMED], 0, n, err);
    if (rc == JV_OK) rc = bk->linear(l->self, a[KEY], w[K].weight, w[K_BIAS].weight, a[NORMED], 0, n, err);
    if (rc == JV_OK) rc = bk->linear(l->self, a[VALUE], w[V].weight, w[V_BIAS].weight, a[NORMED], 0, n, err);
    if (rc == JV_OK) rc = bk->rope_append(l->self, a[QUERY], a[KEY], a[VALUE], &rope, &at, batch, err);
    if (rc == JV_OK) rc = bk->attend(l->self, a[ATTENDED], a[QUERY], &at, batch, err);
    if (rc == JV_OK) rc = bk->linear(l->self, a[X], w[O].weight, w[O_BIAS].weight, a[ATTENDED], 1, n, err);
    return rc;
}

/* to += down(silu(gate(norm(x))) * up(norm(x))) */
static int32_t feed_forward_block(llama *l, uint32_t layer, uint32_t n, jv_err *err)
{
    const bk_api *bk = l->bk;
    slot *w = l->layer[layer];
    bk_tensor **a = l->act;
    int32_t rc = bk->rms_norm(l->self, a[NORMED], a[X], w[FFN_NORM].weight, l->shape.eps, n, err);
    if (rc == JV_OK) rc = bk->gated(l->self, a[GATED], w[GATE].weight, w[UP].weight, a[NORMED], n, err);
    if (rc == JV_OK) rc = bk->linear(l->self, a[X], w[DOWN].weight, w[DOWN_BIAS].weight, a[GATED], 1, n, err);
    return rc;
}

int32_t llama_stopped(const llama_stop *stop, jv_err *err)
{
    return stop->asked && stop->asked(stop->user) ? jv_fail(err, JV_CANCELLED, "cancelled") : JV_OK;
}

int32_t llama_forward(llama *l, const int32_t *ids, const bk_batch *batch, const llama_stop *stop, jv_err *err)
{
    int32_t rc = l->bk->embed(l->self, l->act[X], l->global[EMBEDDING].weight, ids, batch->n, err);
    for (uint32_t i = 0; i < l->shape.layers && rc == JV_OK; i++) {
        rc = llama_stopped(stop, err);
        if (rc == JV_OK) rc = attention_block(l, i, batch, err);
        if (rc == JV_OK) rc = feed_forward_block(l, i, batch->n, err);
    }
    return rc;
}

int32_t llama_logits(llama *l, const int32_t *index, uint32_t n, float *to, jv_err *err)
{
    const bk_api *bk = l->bk;
    bk_tensor **a = l->act;
    const bk_tensor *head = l->global[OUTPUT].weight ? l->global[OUTPUT].weight : l->global[EMBEDDING].weight;
    int32_t rc = bk->take(l->self, a[PICKED], a[X], index, n, err);
    if (rc == JV_OK)
        rc = bk->rms_norm(l->self, a[PICKED_NORMED], a[PICKED], l->global[OUTPUT_NORM].weight, l->shape.eps, n, err);
    if (rc == JV_OK) rc = bk->linear(l->self, a[LOGITS], head, NULL, a[PICKED_NORMED], 0, n, err);
    if (rc == JV_OK) rc = bk->read(l->self, a[LOGITS], to, n, err);
    return rc;
}
