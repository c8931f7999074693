/*
 * pool_test.c: every thread takes part in every run once, nobody passes a barrier before all have come, every unit of a
 * share is done once; with many short runs, and runs so far apart that threads sleep between them.
 */
#include "pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST_THREADS 5
#define UNITS 1000

typedef struct job {
    pool *p;
    uint32_t calls[MOST_THREADS]; /* each written by its thread alone */
    uint32_t before[MOST_THREADS];
    uint32_t wrong[MOST_THREADS]; /* what a thread did not find written after a barrier */
    share units;
    uint8_t done[UNITS];
} job;

static pool *make_pool(uint32_t threads)
{
    jv_err err = {0};
    pool *p = pool_new(threads, &err);
    assert_non_null(p);
    assert_int_equal(pool_threads(p), threads);
    return p;
}

static void count_calls(void *job_, uint32_t thread, uint32_t threads)
{
    job *j = job_;
    j->calls[thread]++;
}

static void test_runs(void **state)
{
    for (uint32_t threads = 1; threads <= MOST_THREADS; threads++) {
        job j = {.p = make_pool(threads)};
        for (uint32_t i = 1; i <= 2000; i++) {
            pool_run(j.p, count_calls, &j);
            for (uint32_t t = 0; t < MOST_THREADS; t++) assert_int_equal(j.calls[t], t < threads ? i : 0);
        }
        for (uint32_t i = 1; i <= 5; i++) {
            usleep(20000); /* all sleep by now */
            pool_run(j.p, count_calls, &j);
            for (uint32_t t = 0; t < threads; t++) assert_int_equal(j.calls[t], 2000 + i);
        }
        pool_free(j.p);
    }
}

static void meet(void *job_, uint32_t thread, uint32_t threads)
{
    job *j = job_;
    for (uint32_t round = 1; round <= 20; round++) {
        j->before[thread] = round;
        pool_barrier(j->p);
        for (uint32_t t = 0; t < threads; t++) j->wrong[thread] += j->before[t] != round;
        pool_barrier(j->p);
        if (round == 10 && thread == 0) usleep(5000); /* the others sleep at the barrier */
    }
}

static void test_barriers(void **state)
{
    for (uint32_t threads = 1; threads <= MOST_THREADS; threads++) {
        job j = {.p = make_pool(threads)};
        for (int i = 0; i < 50; i++) pool_run(j.p, meet, &j);
        for (uint32_t t = 0; t < threads; t++) assert_int_equal(j.wrong[t], 0);
        pool_free(j.p);
    }
}

static void do_units(void *job_, uint32_t thread, uint32_t threads)
{
    job *j = job_;
    uint32_t begin, end;
    while (share_next(&j->units, thread, &begin, &end)) {
        if (thread == 0) usleep(100); /* one that is slow: the others take from the end of its part */
        for (; begin < end; begin++) j->done[begin]++;
    }
}

static void test_shares(void **state)
{
    static const uint32_t counts[] = {0, 1, 2, 7, 100, UNITS}, steps[] = {1, 3, 64, 5000};
    for (uint32_t threads = 1; threads <= MOST_THREADS; threads++) {
        job *j = aligned_alloc(64, (sizeof *j + 63) / 64 * 64);
        j->p = make_pool(threads);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
                memset(j->done, 0, sizeof j->done);
                share_init(&j->units, counts[c], steps[s], threads);
                pool_run(j->p, do_units, j);
                for (uint32_t i = 0; i < UNITS; i++) assert_int_equal(j->done[i], i < counts[c]);
            }
        pool_free(j->p);
        free(j);
    }
}

/* A part is walked from its begin, others' from their ends, up to `step` at a time. */
static void test_share_order(void **state)
{
    static share s;
    uint32_t begin, end;
    share_init(&s, 10, 2, 2);
    static const uint32_t expected[][3] = {{0, 0, 2}, {1, 5, 7}, {0, 2, 4}, {0, 4, 5}, {0, 8, 10}, {1, 7, 8}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(share_next(&s, expected[i][0], &begin, &end));
        assert_int_equal(begin, expected[i][1]);
        assert_int_equal(end, expected[i][2]);
    }
    assert_false(share_next(&s, 0, &begin, &end));
    assert_false(share_next(&s, 1, &begin, &end));
}

/* Two models on one pool: their runs take turns. */
static void *many_runs(void *arg)
{
    job *j = arg;
    for (int i = 0; i < 200; i++) {
        share_init(&j->units, UNITS, 50, pool_threads(j->p));
        memset(j->done, 0, sizeof j->done);
        pool_run(j->p, do_units, j);
        for (uint32_t u = 0; u < UNITS; u++)
            if (j->done[u] != 1) return j;
    }
    return NULL;
}

static void test_two_callers(void **state)
{
    job *j[2];
    pthread_t id[2];
    void *wrong[2];
    pool *p = make_pool(3);
    for (int i = 0; i < 2; i++) {
        j[i] = aligned_alloc(64, (sizeof(job) + 63) / 64 * 64);
        j[i]->p = p;
        assert_int_equal(pthread_create(&id[i], NULL, many_runs, j[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(id[i], &wrong[i]);
        assert_null(wrong[i]);
        free(j[i]);
    }
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_share_order),
        cmocka_unit_test(test_two_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
