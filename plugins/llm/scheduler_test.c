/*
 * scheduler_test.c: over the toy of scheduler_rig.h each answer must be the one its prompt gives alone, whatever the
 * company, the size of the cache, of the steps, and who is sent back or gives up meanwhile; and all get their turn.
 */
#include "scheduler_rig.h"

enum { MANY = 40 };

/* The same bytes in all mixes of steps, company and room. */
static void test_mixes(void **unused)
{
    static const uint32_t chunks[] = {1, 16, 100, 512}, sequences[] = {1, 2, 7, 32}, pools[] = {7, 8, 20, 400};
    uint64_t preempted = 0, recomputed = 0, evicted = 0, reused = 0, parted = 0;
    request *r = calloc(MANY, sizeof *r);
    for (uint32_t mixed = 0; mixed < 64; mixed++) {
        uint64_t seed = mixed;
        toy *t = toy_new(pools[mixed / 16], sequences[mixed / 4 % 4], chunks[mixed % 4]);
        sched *s = start(t);
        for (uint32_t i = 0; i < MANY; i++) make_request(&r[i], &seed);
        if (mixed % 7 == 6)
            ask_all(r, MANY, s, t, false);
        else
            ask_together(r, MANY, s, t);
        for (uint32_t i = 0; i < MANY; i++) check_answers(&r[i]);
        sched_stats sum = sched_stats_of(s);
        assert_int_equal(sum.jobs, MANY);
        assert_true(sum.most_blocks <= t->blocks && sum.most_running <= t->sequences);
        preempted += sum.preempted;
        evicted += sum.evicted;
        reused += sum.reused;
        recomputed += sum.recomputed;
        parted += sum.parted;
        stop(s, t);
    }
    assert_true(preempted > 50 && recomputed > 500 && evicted > 1000 && reused > 10000 && parted > 100);
    free(r);
}

/* Those who give up are gone within a step, and the others do not notice. */
static void test_cancelled(void **unused)
{
    request *r = calloc(MANY, sizeof *r);
    for (uint64_t round = 0; round < 8; round++) {
        uint64_t seed = 100 + round;
        toy *t = toy_new(round % 2 ? 9 : 60, 8, 40);
        sched *s = start(t);
        for (uint32_t i = 0; i < MANY; i++) {
            make_request(&r[i], &seed);
            if (i % 3 == 0) r[i].stop_at = 1 + (int)below(&seed, 60);
        }
        ask_all(r, MANY, s, t, true);
        uint32_t cancelled = 0;
        for (uint32_t i = 0; i < MANY; i++) {
            if (r[i].verdict != JV_CANCELLED) check_answers(&r[i]);
            assert_true(r[i].verdict == JV_OK || i % 3 == 0);
            cancelled += r[i].verdict == JV_CANCELLED;
        }
        assert_true(cancelled > 0);
        stop(s, t);
    }
    free(r);
}

/* One that nobody wants does not finish its step; its place is the next one's. */
static void test_cancelled_in_step(void **unused)
{
    uint64_t seed = 5;
    request r[2];
    toy *t = toy_new(20, 1, 16);
    sched *s = start(t);
    for (int i = 0; i < 2; i++) make_request(&r[i], &seed);
    r[0].stop_at = 4;
    atomic_store(&t->gate, 1);
    ask_all(r, 1, s, t, true);
    assert_int_equal(r[0].verdict, JV_CANCELLED);
    assert_int_equal(atomic_load(&t->steps), 0);
    atomic_store(&t->gate, 0);
    ask_all(r + 1, 1, s, t, true);
    check_answers(&r[1]);
    stop(s, t);
}

/* What breaks in a step ends those who were in it; the next ones find all in order. */
static void test_broken_step(void **unused)
{
    uint64_t seed = 9;
    request *r = calloc(MANY, sizeof *r);
    toy *t = toy_new(30, 8, 40);
    sched *s = start(t);
    uint32_t broken = 0;
    t->fail_in = 12;
    for (uint32_t i = 0; i < MANY; i++) make_request(&r[i], &seed);
    ask_all(r, MANY, s, t, true);
    for (uint32_t i = 0; i < MANY; i++) {
        if (r[i].verdict == JV_OK) check_answers(&r[i]);
        broken += r[i].verdict == JV_FATAL;
    }
    assert_in_range(broken, 1, 8);
    stop(s, t);
    free(r);
}

/* Closing with jobs under way ends them. */
static void test_closed(void **unused)
{
    uint64_t seed = 3;
    request r[4];
    toy *t = toy_new(30, 8, 40);
    sched *s = start(t);
    atomic_store(&t->gate, 1);
    for (int i = 0; i < 4; i++) {
        make_request(&r[i], &seed);
        r[i].s = s;
        r[i].toy = t;
        assert_int_equal(pthread_create(&r[i].thread, NULL, ask, &r[i]), 0);
    }
    wait_for_jobs(s, 4);
    sched_free(s);
    for (int i = 0; i < 4; i++) {
        pthread_join(r[i].thread, NULL);
        assert_int_equal(r[i].verdict, JV_CANCELLED);
    }
    toy_free(t);
}

/* First come, first served: the step in which each gets its first row, where one after the other, each when there is room
 * for all it may come to, runs to its end; nobody is sent back. The same prompts, the same lengths. */
static void served_in_order(const request *r, uint32_t n, const toy *t, uint64_t *first)
{
    uint64_t step = 0;
    uint32_t next = 0, running = 0, held = 0;
    uint32_t *left = calloc(n, sizeof *left), *prompt = calloc(n, sizeof *prompt);
    while (next < n || running) {
        while (next < n && running < t->sequences && held + blocks_of(r[next].n + r[next].max_tokens) <= t->blocks) {
            held += blocks_of(r[next].n + r[next].max_tokens);
            prompt[next] = r[next].n;
            left[next] = r[next].n_expected[0];
            running++;
            next++;
        }
        uint32_t budget = t->chunk;
        step++;
        for (uint32_t i = 0; i < next; i++) {
            uint32_t part = prompt[i] < budget ? prompt[i] : budget;
            bool reads = prompt[i] > 0;
            budget -= part;
            prompt[i] -= part;
            if (prompt[i] || !left[i]) continue;
            if (reads) first[i] = step;
            if (--left[i]) continue;
            held -= blocks_of(r[i].n + r[i].max_tokens);
            running--;
        }
    }
    free(left);
    free(prompt);
}

enum { LOAD = 64, LOAD_BLOCKS = 8 * 6, LOAD_CHUNK = 64, LOAD_AT_ONCE = 32 };

/* All are there before a step is made: the first `live` of r are live, and come in turn with the others. */
static void ask_under_load(request *r, uint32_t live, uint64_t seed, sched *s, toy *t)
{
    atomic_store(&t->gate, 1);
    for (uint32_t i = 0; i < LOAD; i++) {
        r[i] = (request){.n = 20 + below(&seed, 40),
            .max_tokens = 130,
            .endless = true,
            .answers = 1,
            .stop_at = -1,
            .cache = true,
            .job.class = i < live ? QUEUE_LIVE : QUEUE_BATCH,
            .s = s,
            .toy = t};
        for (uint32_t k = 0; k < r[i].n; k++) r[i].prompt[k] = (int32_t)below(&seed, VOCABULARY);
        expect(&r[i]);
    }
    for (uint32_t i = 0; i < LOAD; i++) {
        request *one = live ? &r[i % 2 * live + i / 2] : &r[i];
        assert_int_equal(pthread_create(&one->thread, NULL, ask, one), 0);
        wait_for_jobs(s, i + 1);
    }
    atomic_store(&t->gate, 0);
}

/* The longest waits of those from begin to end - 1, in steps to the first row: twice that of who goes strictly one behind
 * the other is the most. */
static void check_waits(const request *r, uint32_t begin, uint32_t end, const uint64_t *in_order)
{
    uint64_t longest = 0, bound = 0;
    for (uint32_t i = begin; i < end; i++) {
        if (r[i].first_step > longest) longest = r[i].first_step;
        if (2 * in_order[i] > bound) bound = 2 * in_order[i];
    }
    assert_true(longest > 0);
    if (longest > bound) fail_msg("%llu steps, at most %llu", (unsigned long long)longest, (unsigned long long)bound);
}

/* 64 at once on a cache for 8, of one class and of both: all finish with what they give alone, and within its class no one
 * waits more than twice as long as the last one would under first come, first served. */
static void test_load(void **unused)
{
    request *r = calloc(LOAD, sizeof *r);
    uint64_t preempted = 0, recomputed = 0, in_order[LOAD] = {0};
    for (uint64_t seed = 1; seed < 11; seed++) {
        uint32_t live = seed % 2 ? 0 : LOAD / 2;
        toy *t = toy_new(LOAD_BLOCKS, LOAD_AT_ONCE, LOAD_CHUNK);
        sched *s = start(t);
        ask_under_load(r, live, seed, s, t);
        served_in_order(r, LOAD, t, in_order);
        for (uint32_t i = 0; i < LOAD; i++) pthread_join(r[i].thread, NULL);
        for (uint32_t i = 0; i < LOAD; i++) check_answers(&r[i]);
        if (live) check_waits(r, 0, live, in_order);
        check_waits(r, live, LOAD, in_order);
        sched_stats sum = sched_stats_of(s);
        assert_true(sum.most_blocks <= LOAD_BLOCKS && sum.most_running > 8);
        preempted += sum.preempted;
        recomputed += sum.recomputed;
        stop(s, t);
    }
    assert_true(preempted > 0 && recomputed > 0);
    free(r);
}

/* Live ones go first, and send batch ones back; but batch is not starved. */
static void test_classes(void **unused)
{
    enum { N = 4 * QUEUE_SHARE + 2 };
    uint64_t state = 4;
    request *r = calloc(N, sizeof *r);
    toy *t = toy_new(7, 1, 64);
    sched *s = start(t);
    atomic_store(&t->gate, 1);
    for (uint32_t i = 0; i < N; i++) {
        make_request(&r[i], &state);
        r[i].job.class = i < 2 ? QUEUE_BATCH : QUEUE_LIVE;
        r[i].s = s;
        r[i].toy = t;
        assert_int_equal(pthread_create(&r[i].thread, NULL, ask, &r[i]), 0);
        wait_for_jobs(s, i + 1);
        while (!atomic_load(&t->begun)) sched_yield(); /* the first runs before a live one comes */
    }
    atomic_store(&t->gate, 0);
    uint32_t before[2] = {0};
    for (uint32_t i = 0; i < N; i++) {
        pthread_join(r[i].thread, NULL);
        check_answers(&r[i]);
        for (uint32_t k = 0; k < 2 && i >= 2; k++) before[k] += r[i].first_step < r[k].first_step;
    }
    assert_in_range(before[1], QUEUE_SHARE, 2 * QUEUE_SHARE + 1);
    assert_true(sched_stats_of(s).preempted > 0);
    stop(s, t);
    free(r);
}

/* The same prompt again is read from the cache but for its last token; one that parts within a block, up to there. */
static void test_reuse(void **unused)
{
    uint64_t state = 8;
    request r[3];
    toy *t = toy_new(50, 4, 64);
    sched *s = start(t);
    for (int i = 0; i < 3; i++) {
        make_request(&r[i], &state);
        r[i] = (request){.n = 100, .max_tokens = 1, .answers = 1, .stop_at = -1, .cache = true};
        for (uint32_t k = 0; k < 100; k++) r[i].prompt[k] = (int32_t)(k * k % VOCABULARY);
    }
    r[2].prompt[50] = 59;
    for (int i = 0; i < 3; i++) expect(&r[i]);
    ask_all(r, 3, s, t, false);
    for (int i = 0; i < 3; i++) check_answers(&r[i]);
    sched_stats sum = sched_stats_of(s);
    assert_int_equal(sum.reused, 96 + 50);
    assert_int_equal(sum.parted, 1);
    assert_int_equal(sum.recomputed, 0);
    assert_int_equal(sum.tokens, 100 + 4 + 50);
    stop(s, t);
}

static void *count_pauses(void *arg)
{
    request *r = arg;
    for (int i = 0; i < 50; i++) {
        sched_pause(r->s);
        uint64_t steps = atomic_load(&r->toy->steps);
        for (int k = 0; k < 20; k++) sched_yield();
        assert_int_equal(atomic_load(&r->toy->steps), steps);
        sched_go_on(r->s);
    }
    return NULL;
}

/* While somebody has the network for himself no step is made, and the answers are the same. */
static void test_paused(void **unused)
{
    uint64_t seed = 6;
    request *r = calloc(MANY, sizeof *r);
    toy *t = toy_new(30, 8, 40);
    sched *s = start(t);
    pthread_t other[2];
    request pauser = {.s = s, .toy = t};
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&other[i], NULL, count_pauses, &pauser), 0);
    for (uint32_t i = 0; i < MANY; i++) make_request(&r[i], &seed);
    ask_all(r, MANY, s, t, true);
    for (uint32_t i = 0; i < MANY; i++) check_answers(&r[i]);
    for (int i = 0; i < 2; i++) pthread_join(other[i], NULL);
    stop(s, t);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixes),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_cancelled_in_step),
        cmocka_unit_test(test_broken_step),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
