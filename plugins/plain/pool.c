/*
 * pool.c: a fork and join loop. The caller publishes a job in one atomic word, takes parts of it itself, and returns
 * when all parts are done. Threads look for a job for a few microseconds, then sleep, so that an idle model costs
 * nothing and a busy one no system call. The word holds the number of the job, the parts it has and the next part to
 * take:
 *
 *     generation (32 bits) | parts (16) | next (16)
 *
 * A part is taken by compare and exchange of the whole word. So a thread that slept through a job cannot take a part
 * of it later, and who has taken a part may read the job's fields: the job cannot end before that part is done.
 */
#include "plain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SPINS 2000 /* looks before sleeping: some microseconds */

struct pool {
    _Alignas(64) _Atomic uint64_t word;
    _Alignas(64) _Atomic uint32_t done; /* parts of the job that are done */
    _Alignas(64) _Atomic uint32_t sleepers;
    _Atomic uint32_t caller_sleeps;
    pool_work *work;
    void *job;
    pthread_mutex_t run;  /* one job at a time, also when two models share the backend */
    pthread_mutex_t lock; /* for the two conditions, quit */
    pthread_cond_t wake, joined;
    bool quit;
    uint32_t n_threads; /* started */
    pthread_t thread[];
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline uint32_t word_parts(uint64_t w)
{
    return w >> 16 & 0xffff;
}

static inline uint32_t word_next(uint64_t w)
{
    return w & 0xffff;
}

static inline bool has_work(pool *p)
{
    uint64_t w = atomic_load(&p->word);
    return word_next(w) < word_parts(w);
}

/* Takes and does parts until none is left. */
static void take_part(pool *p)
{
    uint64_t w = atomic_load(&p->word);
    for (;;) {
        if (word_next(w) >= word_parts(w)) return;
        if (!atomic_compare_exchange_weak(&p->word, &w, w + 1)) continue;
        uint32_t parts = word_parts(w);
        p->work(p->job, word_next(w), parts);
        if (atomic_fetch_add(&p->done, 1) + 1 == parts && atomic_load(&p->caller_sleeps)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->joined);
            pthread_mutex_unlock(&p->lock);
        }
        w = atomic_load(&p->word);
    }
}

static void *worker(void *arg)
{
    pool *p = arg;
    for (;;) {
        for (int i = 0; i < SPINS && !has_work(p); i++) pause_briefly();
        if (!has_work(p)) {
            pthread_mutex_lock(&p->lock);
            /* counted before the last look: pool_run publishes first, then looks for sleepers */
            atomic_fetch_add(&p->sleepers, 1);
            while (!p->quit && !has_work(p)) pthread_cond_wait(&p->wake, &p->lock);
            atomic_fetch_sub(&p->sleepers, 1);
            bool quit = p->quit;
            pthread_mutex_unlock(&p->lock);
            if (quit) return NULL;
        }
        take_part(p);
    }
}

/* Until all parts are done; the last to finish one sees caller_sleeps or we see its count. */
static void join(pool *p, uint32_t parts)
{
    for (int i = 0; i < SPINS && atomic_load(&p->done) < parts; i++) pause_briefly();
    if (atomic_load(&p->done) == parts) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, 1);
    while (atomic_load(&p->done) < parts) pthread_cond_wait(&p->joined, &p->lock);
    atomic_store(&p->caller_sleeps, 0);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(pool *p, uint32_t parts, pool_work *work, void *job)
{
    if (parts > 0xffff) parts = 0xffff;
    if (parts <= 1 || p->n_threads == 0) {
        for (uint32_t i = 0; i < parts; i++) work(job, i, parts);
        return;
    }
    pthread_mutex_lock(&p->run);
    p->work = work;
    p->job = job;
    atomic_store(&p->done, 0);
    uint64_t generation = (atomic_load(&p->word) >> 32) + 1;
    atomic_store(&p->word, generation << 32 | (uint64_t)parts << 16);
    if (atomic_load(&p->sleepers)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    take_part(p);
    join(p, parts);
    pthread_mutex_unlock(&p->run);
}

pool *pool_new(uint32_t threads, jv_err *err)
{
    size_t size = (sizeof(pool) + (threads - 1) * sizeof(pthread_t) + 63) & ~(size_t)63;
    pool *p = aligned_alloc(64, size);
    if (!p) {
        jv_fail(err, JV_FATAL, "no memory for %u threads", threads);
        return NULL;
    }
    *p = (pool){.n_threads = 0};
    pthread_mutex_init(&p->run, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->joined, NULL);
    while (p->n_threads < threads - 1) {
        if (pthread_create(&p->thread[p->n_threads], NULL, worker, p) != 0) {
            jv_fail(err, JV_FATAL, "thread %u of %u cannot be started", p->n_threads + 2, threads);
            pool_free(p);
            return NULL;
        }
        p->n_threads++;
    }
    return p;
}

void pool_free(pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->quit = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_threads; i++) pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->joined);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->run);
    free(p);
}
