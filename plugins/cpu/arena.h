/* arena.h: memory of tensors. */
#ifndef ARENA_H
#define ARENA_H

#include <pthread.h>
#include <stdint.h>

/* All zeroes it is empty: no call is needed before the first use, or after the last part is freed. From any thread. */
typedef struct arena {
    pthread_mutex_t lock;
    struct arena_piece *pieces;
} arena;

/* Zeroes, aligned to 64; null: no memory. Pages come from the system as they are first written. */
void *arena_new(arena *a, uint64_t bytes);
/* Null is fine. A piece goes back to the system when all that was cut from it is freed. */
void arena_free(arena *a, void *p);

#endif
