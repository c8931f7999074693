/* blocks.h: which blocks of a pool are in use, and by how many. Knows nothing of what they hold. */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "jevons.h"

#define BLOCK_NONE UINT32_MAX

typedef struct blocks {
    uint32_t n;      /* in the pool */
    uint32_t n_free; /* of them: nobody's */
    uint32_t *free;  /* (n), a stack: what was given back last is taken first, so that few pages are ever touched */
    uint32_t *refs;  /* (n): how many hold it */
} blocks;

/* JV_OK or FATAL (no memory). */
int32_t blocks_init(blocks *b, uint32_t n, jv_err *err);
void blocks_destroy(blocks *b); /* {0} is fine */

/* A block with one holder, or BLOCK_NONE. */
uint32_t blocks_take(blocks *b);
void blocks_hold(blocks *b, uint32_t id);
/* How many still hold it; with the last it is free. */
uint32_t blocks_drop(blocks *b, uint32_t id);

#endif
