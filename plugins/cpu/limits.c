/*
 * limits.c: what this machine can do at most: a pass that only reads the panels of weights, in the same shares and
 * order as the operations do, and one that only multiplies. Both are what benchmarks are honest against.
 */
#include "limits.h"
#include "level_limits.h"

#include <time.h>

#define READ_STEP (256u << 10) /* bytes a thread takes at a time */

typedef struct read_job {
    const cpu *c;
    const uint8_t *p;
    uint64_t bytes;
    share steps;
    _Atomic uint64_t sum; /* keeps the reads from being left out */
} read_job;

static void read_part(void *job, uint32_t thread, uint32_t threads)
{
    read_job *j = job;
    uint32_t begin, end;
    while (share_next(&j->steps, thread, &begin, &end)) {
        uint64_t at = (uint64_t)begin * READ_STEP, stop = (uint64_t)end * READ_STEP;
        if (stop > j->bytes) stop = j->bytes;
        atomic_fetch_add_explicit(&j->sum, j->c->level->limits->read(j->p + at, stop - at), memory_order_relaxed);
    }
}

uint64_t limits_read_pass(void *self, const bk_tensor *const *w, uint32_t n)
{
    cpu *c = self;
    uint64_t all = 0;
    for (uint32_t i = 0; i < n; i++) {
        read_job job = {.c = c, .p = w[i]->panels};
        job.bytes = (w[i]->rows + CPU_LANES - 1) / CPU_LANES * w[i]->panel_bytes;
        share_init(&job.steps, (uint32_t)((job.bytes + READ_STEP - 1) / READ_STEP), 1, c->threads);
        pool_run(c->pool, read_part, &job);
        all += job.bytes;
    }
    return all;
}

typedef struct dot_job {
    const cpu *c;
    uint64_t until; /* ns */
    _Atomic uint64_t products;
    _Atomic int32_t sum;
} dot_job;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void dot_part(void *job, uint32_t thread, uint32_t threads)
{
    dot_job *j = job;
    uint64_t products = 0;
    int32_t sum = 0;
    while (now_ns() < j->until) products += j->c->level->limits->dot(10000, &sum);
    atomic_fetch_add(&j->products, products);
    atomic_fetch_add(&j->sum, sum);
}

uint64_t limits_dot_pass(void *self, uint32_t ms)
{
    cpu *c = self;
    dot_job job = {.c = c, .until = now_ns() + ms * UINT64_C(1000000)};
    pool_run(c->pool, dot_part, &job);
    return job.products;
}
