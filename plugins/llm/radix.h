/*
 * radix.h: which tokens the blocks of the cache hold, so that a prompt that begins as an earlier one is not computed
 * again. A tree over token prefixes: a node is a full block, its path from the root is the text in front of it. What
 * is in the tree is never written to again.
 *
 * The tree holds each of its blocks once; who reads one holds it too, and all above it. A block that only the tree
 * holds is IDLE: it goes when room is needed, the one unused for longest first, children always before their parents.
 */
#ifndef RADIX_H
#define RADIX_H

#include "backend.h"
#include "blocks.h"

#include <stdbool.h>

typedef struct radix_node {
    int32_t tokens[BK_KV_BLOCK];
    uint32_t parent;
    uint32_t children;     /* the topmost of them, which form a treap in the order of their tokens */
    uint32_t left, right;  /* in the parent's treap */
    uint32_t older, newer; /* in the list of idle ones */
    bool in_tree;
} radix_node;

/* Nodes have the numbers of their blocks; BLOCK_NONE for a parent is the root. */
typedef struct radix {
    blocks *pool;
    radix_node *node; /* (pool->n) */
    uint32_t children;
    uint32_t oldest, newest; /* idle ones */
    uint32_t n, n_idle;      /* in the tree; of them idle */
    uint64_t evicted;        /* so far */
} radix;

/* JV_OK or FATAL (no memory). */
int32_t radix_init(radix *r, blocks *pool, jv_err *err);
void radix_destroy(radix *r); /* {0} is fine */
/* Bytes of a tree and its pool. */
uint64_t radix_bytes(uint32_t n_blocks);

/* The child of `parent` that begins most like tokens[0..n), n <= BK_KV_BLOCK; *same gets how many tokens are. 0:
 * BLOCK_NONE. */
uint32_t radix_nearest(const radix *r, uint32_t parent, const int32_t *tokens, uint32_t n, uint32_t *same);
/* Makes a block that the caller holds, and goes on holding, a child of `parent`, which has none with these tokens. */
void radix_insert(radix *r, uint32_t parent, const int32_t *tokens, uint32_t id);

/* How many blocks can be taken. */
uint32_t radix_available(const radix *r);
/* A block to write to, held by the caller: a free one, else an idle one leaves the tree. BLOCK_NONE: all are held. */
uint32_t radix_take(radix *r);
/* Of any block, in the tree or not. Paths are dropped from the deepest node up. */
void radix_hold(radix *r, uint32_t id);
void radix_drop(radix *r, uint32_t id);

#endif
