/* blocks.c: a pool of numbered blocks, counted by reference. */
#include "blocks.h"

#include <stdlib.h>

int32_t blocks_init(blocks *b, uint32_t n, jv_err *err)
{
    *b = (blocks){.n = n, .n_free = n};
    b->free = calloc(n, sizeof *b->free);
    b->refs = calloc(n, sizeof *b->refs);
    if (!b->free || !b->refs) return jv_fail(err, JV_FATAL, "no memory for a list of %u blocks", n);
    for (uint32_t i = 0; i < n; i++) b->free[i] = n - 1 - i; /* block 0 is taken first */
    return JV_OK;
}

void blocks_destroy(blocks *b)
{
    free(b->free);
    free(b->refs);
    *b = (blocks){0};
}

uint32_t blocks_take(blocks *b)
{
    if (b->n_free == 0) return BLOCK_NONE;
    uint32_t id = b->free[--b->n_free];
    b->refs[id] = 1;
    return id;
}

void blocks_hold(blocks *b, uint32_t id)
{
    b->refs[id]++;
}

uint32_t blocks_drop(blocks *b, uint32_t id)
{
    uint32_t left = --b->refs[id];
    if (left == 0) b->free[b->n_free++] = id;
    return left;
}
