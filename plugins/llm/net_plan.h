/*
 * net_plan.h: what net_keys.c reads from a file's keys for net.c: the family, and all the numbers that its operations
 * take.
 */
#ifndef NET_PLAN_H
#define NET_PLAN_H

#include "net.h"

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

#endif
