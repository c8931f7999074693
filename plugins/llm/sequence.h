/*
 * sequence.h: a row of tokens, and the blocks of the cache that hold their keys and values: found in the tree of
 * prefixes, taken, shared with the sequences forked from it, copied before they are written to, given back.
 */
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include "radix.h"

/* Where sequences keep their keys and values. */
typedef struct kv_pool {
    blocks blocks;
    radix tree;
    /* Copies the first n positions of block `from` to block `to`: JV_OK or FATAL. */
    int32_t (*copy)(void *self, uint32_t to, uint32_t from, uint32_t n, jv_err *err);
    void *self;
    uint64_t parted; /* prompts that went on within a block of the tree, otherwise than it does */
} kv_pool;

typedef struct sequence {
    int32_t *tokens;   /* (most) */
    uint32_t n, most;  /* known so far, and what it can come to */
    uint32_t done;     /* of tokens [0, done) keys and values are in the blocks; < n but at its end */
    uint32_t want;     /* logits are wanted of tokens [want, n) and those to come, so these are computed */
    uint32_t *blocks;  /* (most / BK_KV_BLOCK, rounded up), that of position p at p / BK_KV_BLOCK */
    uint32_t n_blocks; /* held */
    uint32_t shared;   /* of those: the first so many are in the tree */
    uint32_t seen;     /* what `done` was before it last left */
    uint32_t reused;   /* tokens it never computed, since the tree had them */
    bool cache;        /* whether it takes from the tree and gives to it */
} sequence;

/* Blocks that n tokens take. */
uint32_t blocks_of(uint64_t n);
/* `want` is n - 1 at first. JV_OK or FATAL (no memory). */
int32_t sequence_init(sequence *s, const int32_t *tokens, uint32_t n, uint32_t most, jv_err *err);
void sequence_destroy(sequence *s); /* holds no blocks; {0} is fine */
void sequence_push(sequence *s, int32_t id);

/* Where it holds nothing yet. 1: what the tree has of its first `want` tokens is its own now, and it has room for all
 * n; `spare` blocks could still be taken. 0: there is no such room, nothing is held. FATAL: a copy failed. */
int32_t sequence_enter(sequence *s, kv_pool *p, uint32_t spare, jv_err *err);
/* Full blocks that are done go to the tree; those of the next tokens that it has meanwhile come from there. */
void sequence_share(sequence *s, kv_pool *p);
/* 1: tokens [done, n) have blocks that nobody else holds. 0: no block could be taken. FATAL: a copy failed. */
int32_t sequence_room(sequence *s, kv_pool *p, jv_err *err);
/* The child, which begins with the same `done` tokens and holds nothing, shares all blocks. */
void sequence_fork(const sequence *s, sequence *child, kv_pool *p);
/* Gives all blocks back; nothing is done. What is in the tree may stay there. */
void sequence_leave(sequence *s, kv_pool *p);

#endif
