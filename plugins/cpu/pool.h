/*
 * pool.h: threads that all take part in one piece of work, and ranges of work that they share out among themselves.
 *
 *     share_init(&job.rows, groups, step, pool_threads(p));
 *     pool_run(p, work, &job);                           // work(&job, thread, threads) on every thread
 *
 *     static void work(void *job, uint32_t thread, uint32_t threads)
 *     {
 *         ...                                            // each its part of a first half
 *         pool_barrier(j->pool);                         // until all are here
 *         uint32_t begin, end;
 *         while (share_next(&j->rows, thread, &begin, &end)) ...
 *     }
 */
#ifndef POOL_H
#define POOL_H

#include "jevons.h"

#include <stdatomic.h>
#include <stdbool.h>

#define POOL_MAX_THREADS 256

typedef struct pool pool;
typedef void pool_work(void *job, uint32_t thread, uint32_t threads);

/* threads: 1..POOL_MAX_THREADS, the caller of pool_run being one of them. Null and err (FATAL) on failure. */
pool *pool_new(uint32_t threads, jv_err *err);
void pool_free(pool *p); /* null is fine */
uint32_t pool_threads(const pool *p);
/* Calls work once on every thread, thread 0 being the caller, and returns when all have returned. Who calls while
 * another runs waits for its turn. */
void pool_run(pool *p, pool_work *work, void *job);
/* Within work, on every thread: none goes on before all have come. What was written before is seen by all after. */
void pool_barrier(pool *p);

/* Units 0..n-1. Each thread walks a part of its own in ascending order, `step` units at a time, so that its reads stay
 * one stream of memory; whose part is done takes from the ends of the others'. Which thread does a unit must therefore
 * not matter. */
typedef struct share {
    uint32_t threads, step;
    struct {
        /* begin << 32 | end of what is left of the part */
        _Alignas(64) _Atomic uint64_t left;
    } part[POOL_MAX_THREADS];
} share;

/* Before pool_run; or within, by one thread before a barrier. threads >= 1, step >= 1. */
void share_init(share *s, uint32_t n, uint32_t step, uint32_t threads);
/* False when nothing is left; else the half-open range to do. */
bool share_next(share *s, uint32_t thread, uint32_t *begin, uint32_t *end);

/* Where part `part` of `parts` equal parts of n units begins (part == parts: where the last ends). */
static inline uint64_t share_cut(uint64_t n, uint32_t part, uint32_t parts)
{
    return n / parts * part + n % parts * part / parts;
}

#endif
