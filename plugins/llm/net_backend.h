/*
 * net_backend.h: a backend for tests: the operations of backend.h by their formulas, F32 weights only, one element after
 * the other, in double. It counts what it is asked for and what is not given back, and fails when it is told to.
 */
#ifndef NET_BACKEND_H
#define NET_BACKEND_H

#include "backend.h"

#include <stdbool.h>

enum { B_EMBED, B_LINEAR, B_GATED, B_NORM_ADD, B_ATTENTION, B_LOGITS, B_OPERATIONS };

typedef struct net_backend {
    int64_t fail_at;              /* the how manyth call that may fail does; < 0: none */
    int64_t calls;                /* that may fail */
    int64_t live;                 /* tensors and pools not given back */
    uint64_t taken;               /* bytes of weights and activations, as told before */
    uint64_t mapped;              /* sources in mappings */
    uint32_t count[B_OPERATIONS]; /* operations */
    uint32_t parts;               /* of linear, in all */
    uint32_t windows;             /* attentions with one */
    uint32_t most_heads;          /* check_heads refuses more; 0: any */
    bool reads_source;            /* what weight_need says */
} net_backend;

/* Its functions take a net_backend as self. */
extern const bk_api net_backend_api;

#endif
