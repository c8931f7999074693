/*
 * pool.c: a fork and join of threads that stay. All waiting is for one word to change: a thread looks at it for some
 * tens of microseconds, which costs no system call and is longer than the gaps within a token, and then sleeps in the
 * kernel, so that an idle model costs nothing (futex(2); Drepper, "Futexes Are Tricky").
 */
#include "pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 2000 /* looks before sleeping */

/* Something to wait for. Who changes it looks at `sleepers` after, who sleeps looks at it after counting itself: in
 * the one order that sequentially consistent operations have, one of the two sees the other. */
typedef struct word {
    _Alignas(64) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
} word;

struct pool {
    word run;                              /* counts the runs */
    word working;                          /* started threads that have not returned from work */
    word passed;                           /* counts the barriers */
    _Alignas(64) _Atomic uint32_t arrived; /* at the barrier */
    pool_work *work;
    void *job;
    bool quit;
    uint32_t n_started;   /* beside the caller's */
    uint32_t threads;     /* with the caller's */
    pthread_mutex_t turn; /* held during a run */
    struct worker {
        pool *p;
        uint32_t index;
        pthread_t id;
    } worker[];
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Until the word is no longer `old`. */
static void wait_while(word *w, uint32_t old)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&w->value, memory_order_acquire) != old) return;
        pause_briefly();
    }
    atomic_fetch_add(&w->sleepers, 1);
    while (atomic_load(&w->value) == old) syscall(SYS_futex, &w->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&w->sleepers, 1);
}

/* After a change of the word. */
static void wake(word *w)
{
    if (atomic_load(&w->sleepers)) syscall(SYS_futex, &w->value, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void *worker(void *arg)
{
    const struct worker *me = arg;
    pool *p = me->p;
    for (uint32_t seen = 0;; seen++) {
        wait_while(&p->run, seen);
        if (p->quit) return NULL;
        p->work(p->job, me->index, p->threads);
        if (atomic_fetch_sub(&p->working.value, 1) == 1) wake(&p->working);
    }
}

void pool_run(pool *p, pool_work *work, void *job)
{
    pthread_mutex_lock(&p->turn);
    if (p->threads > 1) {
        p->work = work;
        p->job = job;
        atomic_store(&p->working.value, p->threads - 1);
        atomic_fetch_add(&p->run.value, 1);
        wake(&p->run);
    }
    work(job, 0, p->threads);
    for (uint32_t left; (left = atomic_load(&p->working.value));) wait_while(&p->working, left);
    pthread_mutex_unlock(&p->turn);
}

void pool_barrier(pool *p)
{
    if (p->threads == 1) return;
    uint32_t seen = atomic_load(&p->passed.value);
    if (atomic_fetch_add(&p->arrived, 1) + 1 < p->threads) {
        wait_while(&p->passed, seen);
        return;
    }
    atomic_store(&p->arrived, 0);
    atomic_fetch_add(&p->passed.value, 1);
    wake(&p->passed);
}

uint32_t pool_threads(const pool *p)
{
    return p->threads;
}

pool *pool_new(uint32_t threads, jv_err *err)
{
    size_t size = sizeof(pool) + threads * sizeof(struct worker);
    pool *p = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!p) {
        jv_fail(err, JV_FATAL, "no memory for %u threads", threads);
        return NULL;
    }
    memset(p, 0, size);
    p->threads = threads;
    pthread_mutex_init(&p->turn, NULL);
    while (p->n_started < threads - 1) {
        struct worker *w = &p->worker[p->n_started];
        *w = (struct worker){.p = p, .index = p->n_started + 1};
        if (pthread_create(&w->id, NULL, worker, w) != 0) {
            jv_fail(err, JV_FATAL, "thread %u of %u cannot be started", p->n_started + 2, threads);
            pool_free(p);
            return NULL;
        }
        p->n_started++;
    }
    return p;
}

void pool_free(pool *p)
{
    if (!p) return;
    p->quit = true;
    atomic_fetch_add(&p->run.value, 1);
    wake(&p->run);
    for (uint32_t i = 0; i < p->n_started; i++) pthread_join(p->worker[i].id, NULL);
    pthread_mutex_destroy(&p->turn);
    free(p);
}

/* ---- shares ---- */

void share_init(share *s, uint32_t n, uint32_t step, uint32_t threads)
{
    s->threads = threads;
    s->step = step;
    for (uint32_t t = 0; t < threads; t++)
        atomic_store_explicit(&s->part[t].left, share_cut(n, t, threads) << 32 | share_cut(n, t + 1, threads),
            memory_order_relaxed);
}

/* Takes up to step units of a part, from its begin or its end. */
static bool take(_Atomic uint64_t *left, uint32_t step, bool from_end, uint32_t *begin, uint32_t *end)
{
    uint64_t now = atomic_load_explicit(left, memory_order_relaxed), then;
    do {
        *begin = (uint32_t)(now >> 32);
        *end = (uint32_t)now;
        if (*begin >= *end) return false;
        if (*end - *begin > step && from_end) *begin = *end - step;
        if (*end - *begin > step) *end = *begin + step;
        then = from_end ? now >> 32 << 32 | *begin : (uint64_t)*end << 32 | (uint32_t)now;
    } while (!atomic_compare_exchange_weak_explicit(left, &now, then, memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool share_next(share *s, uint32_t thread, uint32_t *begin, uint32_t *end)
{
    if (take(&s->part[thread].left, s->step, false, begin, end)) return true;
    for (uint32_t i = 1; i < s->threads; i++)
        if (take(&s->part[(thread + i) % s->threads].left, s->step, true, begin, end)) return true;
    return false;
}
