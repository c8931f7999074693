/*
 * net_impl.h: what the files behind net.h share: the numbers that net_keys.c reads from a file's keys, and the tensors
 * that net_tensors.c finds in it.
 */
#ifndef NET_IMPL_H
#define NET_IMPL_H

#include "net.h"

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* Families, a bit each, so that a set of them is a number. */
enum { NET_LLAMA = 1, NET_QWEN2 = 2, NET_GEMMA3 = 4, NET_ALL = 7 };

typedef struct net_plan {
    net_shape shape;
    uint32_t family; /* NET_* */
    uint32_t act;    /* BK_SILU, BK_GELU */
    float eps;
    float embedding_scale;
    bk_attention wide, windowed;     /* of layers that see all positions, and of those with a window; no tensors */
    bool has_window[NET_MAX_LAYERS]; /* which layers are which */
} net_plan;

/* JV_OK, or BAD: a key or family as net_open says. */
int32_t net_plan_read(const gguf *g, net_plan *to, jv_err *err);

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* A width of the model that a tensor has for rows or columns. */
enum { ONE, WIDTH, HEADS, KV, FF, VOCABULARY, HEAD, PAIRS };

/* Tensors of a layer. */
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

/* Those of the whole. */
enum { EMBEDDING, OUTPUT_NORM, OUTPUT, OUTPUT_BIAS, ROPE_FREQS, ROPE_LONG, ROPE_SHORT, GLOBAL };

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

/* JV_OK, or BAD: a tensor that is missing, not in this version, or does not fit. */
int32_t net_find_tensors(net *m, jv_err *err);
/* Slot i of all, or null past the end. */
slot *net_slot_at(const net *m, uint64_t i);
/* The one for logits: the embedding where there is no other. */
const slot *net_head(const net *m);
/* Whether the family has a norm behind each block. */
bool net_has_post_norms(const net *m);
/* A width by its name above. */
uint64_t net_width(const net_plan *p, uint32_t what);

#endif
