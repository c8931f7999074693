/*
 * net_keys.c: the families of transformers, and the keys of a model file that say how large one is. Reading order: the
 * table of families, features, heads, positions, net_plan_read.
 *
 * llama: Touvron et al., arXiv:2302.13971. qwen2: arXiv:2407.10671. gemma3: arXiv:2503.19786: norms behind each block
 * as well, heads of queries and keys normed, and windows: all but every sixth layer see only the last so many
 * positions, with a rotary base of their own.
 *
 * A key that would change results in a way that is not in this version is refused by its name.
 */
#include "net_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct family {
    const char *name; /* the value of general.architecture, and the prefix of its keys */
    uint32_t bit;
    uint32_t rope_pairs;
    uint32_t act;
    bool scaled_embedding; /* by sqrt(width) */
    uint32_t period;       /* every period-th layer sees all positions, the others have a window; 0: no windows */
    uint32_t odd_layers;   /* of a model of so many layers scores are scaled by width / heads, not by a head's size */
} family;

static const family families[] = {
    {"llama", NET_LLAMA, BK_ROPE_ADJACENT, BK_SILU, false, 0, 0},
    {"qwen2", NET_QWEN2, BK_ROPE_HALVES, BK_SILU, false, 0, 0},
    {"gemma3", NET_GEMMA3, BK_ROPE_HALVES, BK_GELU, true, 6, 62}, /* 62: the one of 27 billion */
};

enum { FAMILIES = sizeof families / sizeof *families };

#define WINDOWED_BASE 10000.0 /* rotary base of layers with a window, where the file says nothing */

/* A file's keys of one family. */
typedef struct keys {
    const gguf *g;
    const family *family;
} keys;

typedef struct key_name {
    char text[96];
} key_name;

static key_name name_of(const keys *k, const char *suffix)
{
    key_name name;
    snprintf(name.text, sizeof name.text, "%s.%s", k->family->name, suffix);
    return name;
}

/* A whole number between least and most; `fallback` when the key is absent (0: it must be there). */
static int32_t key_u32(const keys *k, const char *suffix, const uint32_t range[2], uint32_t fallback, uint32_t *to,
    jv_err *err)
{
    uint64_t v = fallback;
    key_name name = name_of(k, suffix);
    int32_t rc = gguf_get_u64(k->g, name.text, &v, err);
    if (rc < 0) return rc;
    if (rc == 1 && !fallback) return jv_fail(err, JV_BAD, "key %s is missing", name.text);
    if (v < range[0] || v > range[1])
        return jv_fail(err, JV_BAD, "key %s is %llu, %u..%u is allowed", name.text, (unsigned long long)v, range[0],
            range[1]);
    *to = (uint32_t)v;
    return JV_OK;
}

static int32_t key_f64(const keys *k, const char *suffix, const double range[2], double fallback, double *to, jv_err *err)
{
    double v = fallback;
    key_name name = name_of(k, suffix);
    int32_t rc = gguf_get_f64(k->g, name.text, &v, err);
    if (rc < 0) return rc;
    if (!(v >= range[0] && v <= range[1]))
        return jv_fail(err, JV_BAD, "key %s is %g, %g..%g is allowed", name.text, v, range[0], range[1]);
    *to = v;
    return JV_OK;
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

typedef struct feature {
    const char *suffix;
    double neutral; /* the value that changes nothing; of a flag 0 or 1 */
} feature;

static const feature features[] = {
    {"rope.scaling.attn_factor", 1},
    {"rope.scale_linear", 1},
    {"expert_count", 0},
    {"attn_logit_softcapping", 0},
    {"final_logit_softcapping", 0},
    {"logit_scale", 1},
    {"embedding_scale", 1},
    {"residual_scale", 1},
    {"attention.clamp_kqv", 0},
    {"attention.max_alibi_bias", 0},
    {"attention.causal", 1},
    {"use_parallel_residual", 0},
};

/* The key must be absent or hold the neutral value; it may be a number or a flag. */
static int32_t refuse(const keys *k, const char *suffix, double neutral, jv_err *err)
{
    double v = neutral;
    uint64_t whole = 0;
    bool flag = false;
    key_name name = name_of(k, suffix);
    int32_t rc = gguf_get_u64(k->g, name.text, &whole, err);
    if (rc == JV_OK) v = (double)whole;
    if (rc < 0 && (rc = gguf_get_bool(k->g, name.text, &flag, err)) == JV_OK) v = flag;
    if (rc < 0) rc = gguf_get_f64(k->g, name.text, &v, err);
    if (rc < 0) return rc;
    return v == neutral ? JV_OK : jv_fail(err, JV_BAD, "key %s is %g: not in this version", name.text, v);
}

static int32_t check_features(const keys *k, jv_err *err)
{
    jv_str scaling = {0};
    key_name name = name_of(k, "rope.scaling.type");
    int32_t rc = gguf_get_string(k->g, name.text, &scaling, err);
    if (rc < 0) return rc;
    bool none = rc == JV_OK && scaling.n == 4 && memcmp(scaling.p, "none", 4) == 0;
    if (rc == JV_OK && !none)
        return jv_fail(err, JV_BAD, "key %s is \"%.*s\": not in this version", name.text,
            (int)(scaling.n < 40 ? scaling.n : 40), scaling.p);
    /* without a type, a factor means linear scaling; with type none it means nothing */
    if (!none && (rc = refuse(k, "rope.scaling.factor", 1, err)) != JV_OK) return rc;
    if (!k->family->period && (rc = refuse(k, "attention.sliding_window", 0, err)) != JV_OK) return rc;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if ((rc = refuse(k, features[i].suffix, features[i].neutral, err)) != JV_OK) return rc;
    return JV_OK;
}

static int32_t find_family(const gguf *g, const family **to, jv_err *err)
{
    jv_str name = {0};
    char known[64] = "";
    int32_t rc = gguf_get_string(g, "general.architecture", &name, err);
    if (rc < 0) return rc;
    if (rc == 1) return jv_fail(err, JV_BAD, "key general.architecture is missing");
    for (size_t i = 0, at = 0; i < FAMILIES; i++) {
        *to = &families[i];
        if (name.n == strlen((*to)->name) && memcmp(name.p, (*to)->name, name.n) == 0) return JV_OK;
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", (*to)->name);
    }
    return jv_fail(err, JV_BAD, "architecture \"%.*s\" is not known; known: %s", (int)(name.n < 60 ? name.n : 60),
        name.p, known);
}

/* ---- heads and positions ----------------------------------------------------------------------------------------- */

static int32_t read_heads(const keys *k, net_shape *s, jv_err *err)
{
    int32_t rc = key_u32(k, "attention.head_count", (uint32_t[]){1, 65536}, 0, &s->heads, err);
    if (rc == JV_OK) rc = key_u32(k, "attention.head_count_kv", (uint32_t[]){1, s->heads}, s->heads, &s->kv_heads, err);
    if (rc != JV_OK) return rc;
    if (s->heads % s->kv_heads)
        return jv_fail(err, JV_BAD, "%u attention heads on %u key-value heads: no whole number each", s->heads,
            s->kv_heads);
    const uint32_t range[2] = {2, 65536};
    uint32_t value_dim = 0, dim = s->width % s->heads ? 0 : s->width / s->heads;
    rc = key_u32(k, "attention.key_length", range, dim, &s->head_dim, err);
    if (rc == JV_OK) rc = key_u32(k, "attention.value_length", range, s->head_dim, &value_dim, err);
    if (rc != JV_OK) return rc;
    if (value_dim != s->head_dim || s->head_dim % 2 || (uint64_t)s->heads * s->head_dim > NET_MAX_WIDTH)
        return jv_fail(err, JV_BAD, "%u heads with keys of %u and values of %u: even, equal and at most %u in all",
            s->heads, s->head_dim, value_dim, NET_MAX_WIDTH);
    return JV_OK;
}

/* Attention of layers that see all positions. */
static int32_t read_attention(const keys *k, net_plan *p, jv_err *err)
{
    const net_shape *s = &p->shape;
    bk_attention a = {sizeof a, .heads = s->heads, .kv_heads = s->kv_heads, .head_dim = s->head_dim};
    double scale = 0;
    double per = k->family->odd_layers == s->layers ? (double)(s->width / s->heads) : s->head_dim;
    a.rope_pairs = k->family->rope_pairs;
    a.eps = p->eps;
    int32_t rc = key_f64(k, "attention.scale", (double[]){1e-6, 1e6}, 1 / sqrt(per), &scale, err);
    if (rc == JV_OK) rc = key_f64(k, "rope.freq_base", (double[]){1, 1e12}, 10000, &a.rope_base, err);
    if (rc == JV_OK)
        rc = key_u32(k, "rope.dimension_count", (uint32_t[]){2, s->head_dim}, s->head_dim, &a.rope_dims, err);
    if (rc == JV_OK && a.rope_dims % 2)
        rc = jv_fail(err, JV_BAD, "key %s is %u: not even", name_of(k, "rope.dimension_count").text, a.rope_dims);
    a.scale = (float)scale;
    p->wide = a;
    return rc;
}

/* The key is a period, or a flag for each layer. */
static int32_t read_pattern(const keys *k, net_plan *p, jv_err *err)
{
    uint32_t period = 0;
    gguf_array flags;
    key_name name = name_of(k, "attention.sliding_window_pattern");
    if (gguf_get_array(k->g, name.text, GGUF_BOOL, &flags, err) == JV_OK) {
        if (flags.n != p->shape.layers)
            return jv_fail(err, JV_BAD, "key %s has %llu flags, %u are needed", name.text, (unsigned long long)flags.n,
                p->shape.layers);
        for (uint32_t i = 0; i < p->shape.layers; i++) p->has_window[i] = gguf_array_i64(&flags, i) != 0;
        return JV_OK;
    }
    int32_t rc =
        key_u32(k, "attention.sliding_window_pattern", (uint32_t[]){1, NET_MAX_LAYERS}, k->family->period, &period, err);
    for (uint32_t i = 0; i < p->shape.layers && rc == JV_OK; i++) p->has_window[i] = i % period != period - 1;
    return rc;
}

static int32_t read_windows(const keys *k, net_plan *p, jv_err *err)
{
    p->windowed = p->wide;
    if (!k->family->period) return JV_OK;
    int32_t rc = key_u32(k, "attention.sliding_window", (uint32_t[]){1, INT32_MAX}, 0, &p->windowed.window, err);
    if (rc == JV_OK)
        rc = key_f64(k, "rope.freq_base_swa", (double[]){1, 1e12}, WINDOWED_BASE, &p->windowed.rope_base, err);
    return rc == JV_OK ? read_pattern(k, p, err) : rc;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int32_t read_widths(const keys *k, net_plan *p, jv_err *err)
{
    net_shape *s = &p->shape;
    const uint32_t width[2] = {1, NET_MAX_WIDTH};
    double eps = 0;
    int32_t rc = key_u32(k, "block_count", (uint32_t[]){1, NET_MAX_LAYERS}, 0, &s->layers, err);
    if (rc == JV_OK) rc = key_u32(k, "embedding_length", width, 0, &s->width, err);
    if (rc == JV_OK) rc = key_u32(k, "feed_forward_length", width, 0, &s->ff, err);
    if (rc == JV_OK) rc = key_u32(k, "context_length", (uint32_t[]){1, INT32_MAX}, 0, &s->context, err);
    if (rc == JV_OK) rc = key_f64(k, "attention.layer_norm_rms_epsilon", (double[]){0, 1}, 1e-5, &eps, err);
    p->eps = (float)eps;
    p->embedding_scale = k->family->scaled_embedding ? sqrtf((float)s->width) : 1;
    return rc == JV_OK ? read_heads(k, s, err) : rc;
}

/* The embedding has a row for each token. */
static int32_t read_vocabulary(const gguf *g, net_shape *s, jv_err *err)
{
    const gguf_tensor *embedding = gguf_find_tensor(g, "token_embd.weight");
    if (!embedding) return jv_fail(err, JV_BAD, "tensor token_embd.weight is missing");
    if (embedding->ne[1] > NET_MAX_VOCABULARY)
        return jv_fail(err, JV_BAD, "a vocabulary of %llu tokens: at most %u are allowed",
            (unsigned long long)embedding->ne[1], NET_MAX_VOCABULARY);
    s->vocabulary = (uint32_t)embedding->ne[1];
    return JV_OK;
}

int32_t net_plan_read(const gguf *g, net_plan *to, jv_err *err)
{
    keys k = {.g = g};
    *to = (net_plan){0};
    int32_t rc = find_family(g, &k.family, err);
    if (rc != JV_OK) return rc;
    to->shape.family = k.family->name;
    to->family = k.family->bit;
    to->act = k.family->act;
    rc = check_features(&k, err);
    if (rc == JV_OK) rc = read_widths(&k, to, err);
    if (rc == JV_OK) rc = read_attention(&k, to, err);
    if (rc == JV_OK) rc = read_windows(&k, to, err);
    return rc == JV_OK ? read_vocabulary(g, &to->shape, err) : rc;
}
