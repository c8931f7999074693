/*
 * scheduler_rig.h: what the scheduler's tests run it over: a toy network whose logits are a hash of all tokens before,
 * read from the blocks of the cache; and requests, with what each gives alone.
 */
#ifndef SCHEDULER_RIG_H
#define SCHEDULER_RIG_H

#include "scheduler_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VOCABULARY 61
#define MOST 200 /* tokens of a sequence */
#define ANSWERS 3

/* ---- the toy ----------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static float logit(uint64_t h, int32_t v)
{
    return (float)(mix(h, (uint64_t)v) >> 40);
}

typedef struct toy {
    uint32_t blocks, chunk, sequences;
    int32_t (*token)[BK_KV_BLOCK]; /* (blocks): what stands in the cache; position p as token + p * VOCABULARY */
    uint64_t *row;                 /* of the last batch */
    atomic_int gate;               /* closed: nothing moves */
    int fail_in;                   /* steps until one fails; < 0: never */
    _Atomic uint64_t begun, steps; /* begun: also those that wait at the gate */
    const sched *s;
    uint8_t *held; /* (blocks): of the step at hand */
} toy;

static uint64_t read_row(const toy *t, const bk_run *run, uint32_t pos)
{
    uint64_t h = 1;
    for (uint32_t p = 0; p <= pos; p++) {
        int32_t token = t->token[run->blocks[p / BK_KV_BLOCK]][p % BK_KV_BLOCK] - (int32_t)p * VOCABULARY;
        assert_in_range(token, 0, VOCABULARY - 1);
        h = mix(h, (uint64_t)token);
    }
    return h;
}

/* No two runs may write to one block. */
static void check_runs(const toy *t, const bk_run *runs, uint32_t n_runs, uint32_t n)
{
    uint8_t *written = calloc(t->blocks, 1);
    uint32_t sum = 0, prompts = 0;
    for (uint32_t r = 0; r < n_runs; r++) {
        for (uint32_t b = 0; b < blocks_of(runs[r].pos + runs[r].n); b++) assert_true(runs[r].blocks[b] < t->blocks);
        for (uint32_t b = runs[r].pos / BK_KV_BLOCK; b < blocks_of(runs[r].pos + runs[r].n); b++)
            assert_int_equal(written[runs[r].blocks[b]]++, 0);
        sum += runs[r].n;
        prompts += runs[r].n > 1 ? runs[r].n : 0;
    }
    for (uint32_t r = 0; r < n_runs; r++) /* nor read one that another writes to */
        for (uint32_t b = 0; b < runs[r].pos / BK_KV_BLOCK; b++) assert_int_equal(written[runs[r].blocks[b]], 0);
    assert_int_equal(sum, n);
    assert_true(n_runs <= t->sequences && prompts <= t->chunk);
    free(written);
}

/* No block is beyond the pool, and each is free, or idle, or held by one that runs; who gave up before this step is not
 * among these. */
static void check_step(const toy *t)
{
    uint32_t sum = 0;
    memset(t->held, 0, t->blocks);
    for (uint32_t i = 0; i < t->s->n_running; i++) {
        const sched_task *task = t->s->running[i];
        assert_false(task->job->stop);
        for (uint32_t b = 0; b < task->seq.n_blocks; b++) {
            assert_true(task->seq.blocks[b] < t->blocks);
            sum += !t->held[task->seq.blocks[b]];
            t->held[task->seq.blocks[b]] = 1;
        }
    }
    assert_int_equal(radix_available(&t->s->pool.tree) + sum, t->blocks);
}

static int32_t toy_forward(void *self, const int32_t *ids, const bk_run *runs, uint32_t n_runs, uint32_t n,
    const net_stop *stop, jv_err *err)
{
    toy *t = self;
    check_step(t);
    atomic_fetch_add(&t->begun, 1);
    while (atomic_load(&t->gate) && !stop->asked(stop->user)) sched_yield();
    if (stop->asked(stop->user)) return jv_fail(err, JV_CANCELLED, "cancelled");
    if (t->fail_in >= 0 && t->fail_in-- == 0) return jv_fail(err, JV_FATAL, "the toy is broken");
    check_runs(t, runs, n_runs, n);
    for (uint32_t r = 0, at = 0; r < n_runs; r++)
        for (uint32_t pos = runs[r].pos; pos < runs[r].pos + runs[r].n; pos++, at++) {
            int32_t value = ids[at] + (int32_t)pos * VOCABULARY;
            t->token[runs[r].blocks[pos / BK_KV_BLOCK]][pos % BK_KV_BLOCK] = value;
            t->row[at] = read_row(t, &runs[r], pos);
        }
    atomic_fetch_add(&t->steps, 1);
    return JV_OK;
}

static int32_t toy_logits(void *self, const int32_t *index, uint32_t n, float *to, jv_err *err)
{
    const toy *t = self;
    for (uint32_t i = 0; i < n; i++)
        for (int32_t v = 0; v < VOCABULARY; v++) to[i * VOCABULARY + (uint32_t)v] = logit(t->row[index[i]], v);
    return JV_OK;
}

static int32_t toy_copy(void *self, uint32_t to, uint32_t from, uint32_t n, jv_err *err)
{
    const toy *t = self;
    assert_true(to < t->blocks && from < t->blocks && to != from && n < BK_KV_BLOCK);
    memcpy(t->token[to], t->token[from], n * sizeof(int32_t));
    return JV_OK;
}

static toy *toy_new(uint32_t n_blocks, uint32_t sequences, uint32_t chunk)
{
    toy *t = calloc(1, sizeof *t);
    *t = (toy){.blocks = n_blocks, .chunk = chunk, .sequences = sequences, .fail_in = -1};
    t->token = malloc(n_blocks * sizeof *t->token);
    memset(t->token, 0xff, n_blocks * sizeof *t->token);
    t->row = calloc(sequences + chunk, sizeof *t->row);
    t->held = calloc(n_blocks, 1);
    return t;
}

static void toy_free(toy *t)
{
    free(t->token);
    free(t->row);
    free(t->held);
    free(t);
}

static sched *start(toy *t)
{
    jv_err err;
    sched *s = NULL;
    sched_net by = {t, toy_forward, toy_logits, toy_copy};
    sched_size size = {VOCABULARY, t->blocks, t->sequences, t->chunk};
    if (sched_new(&by, &size, &s, &err) != JV_OK) fail_msg("%s", err.text);
    t->s = s; /* no step is made before somebody asks for something */
    return s;
}

/* Nobody holds anything any more. */
static void stop(sched *s, toy *t)
{
    assert_int_equal(radix_available(&s->pool.tree), t->blocks);
    assert_int_equal(s->n_running, 0);
    assert_null(queue_next(&s->waiting));
    sched_free(s);
    toy_free(t);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

typedef struct request {
    sched_job job; /* first: one is cast to the other */
    sched_task task[ANSWERS];
    int32_t prompt[MOST], expected[ANSWERS][MOST], made[ANSWERS][MOST];
    uint32_t n, max_tokens, answers;
    uint32_t n_expected[ANSWERS], n_made[ANSWERS];
    bool scores;  /* logits of all tokens are wanted, nothing is made */
    bool endless; /* answers end with max_tokens only */
    bool cache;
    uint64_t sum, expected_sum;
    int stop_at; /* questions until it gives up; < 0: never */
    int32_t verdict;
    uint64_t first_step; /* of the toy: when its first row came */
    toy *toy;
    sched *s;
    pthread_t thread;
} request;

/* The next token of an answer: -1 ends it. Answers of one request differ in their draws. */
static int32_t draw(const request *r, const float *logits, uint32_t answer)
{
    int32_t best = 0;
    for (int32_t v = 1; v < VOCABULARY; v++)
        if (logits[v] > logits[best]) best = v;
    best = (best + (int32_t)answer) % VOCABULARY;
    return best == 7 && !r->endless ? -1 : best;
}

static void draw_from(uint64_t h, float *logits)
{
    for (int32_t v = 0; v < VOCABULARY; v++) logits[v] = logit(h, v);
}

/* What the request gives alone, without cache or scheduler. */
static void expect(request *r)
{
    float logits[VOCABULARY];
    uint64_t h = 1;
    for (uint32_t i = 0; i < r->n; i++) {
        h = mix(h, (uint64_t)r->prompt[i]);
        draw_from(h, logits);
        if (r->scores) r->expected_sum = mix(r->expected_sum, (uint64_t)logits[i % VOCABULARY]);
    }
    for (uint32_t a = 0; a < r->answers && !r->scores; a++) {
        uint64_t at = h;
        while (r->n_expected[a] < r->max_tokens) {
            draw_from(at, logits);
            int32_t id = draw(r, logits, a);
            if (id < 0) break;
            r->expected[a][r->n_expected[a]++] = id;
            at = mix(at, (uint64_t)id);
        }
    }
}

static void add_token(request *r, uint32_t answer, const float *logits)
{
    int32_t id = draw(r, logits, answer);
    if (id < 0) return;
    r->made[answer][r->n_made[answer]++] = id;
    if (r->n_made[answer] < r->max_tokens) sequence_push(&r->task[answer].seq, id);
}

static int32_t on_row(sched_job *job, sched_task *t, float *logits, jv_err *err)
{
    request *r = (request *)job;
    uint32_t answer = (uint32_t)(t - r->task);
    if (!r->first_step) r->first_step = atomic_load(&r->toy->steps);
    if (r->scores) {
        uint32_t i = t->seq.want - 1;
        r->sum = mix(r->sum, (uint64_t)logits[i % VOCABULARY]);
        return JV_OK;
    }
    bool first = answer == 0 && r->n_made[0] == 0 && t->seq.n == r->n;
    for (uint32_t a = 1; first && a < r->answers; a++) {
        add_token(r, a, logits);
        r->task[a].seq.want = r->n;
        if (r->task[a].seq.n > r->n) sched_fork(t, &r->task[a]);
    }
    add_token(r, answer, logits);
    return JV_OK;
}

static int32_t stopped(void *user)
{
    request *r = user;
    if (r->stop_at > 0) r->stop_at--;
    return r->stop_at == 0;
}

static void *ask(void *arg)
{
    request *r = arg;
    jv_err err;
    for (uint32_t a = 0; a < r->answers; a++) {
        assert_int_equal(sequence_init(&r->task[a].seq, r->prompt, r->n, r->n + r->max_tokens, &err), JV_OK);
        r->task[a].seq.cache = r->cache;
        if (r->scores) r->task[a].seq.want = 0;
    }
    r->job.task = r->task;
    r->job.n_tasks = r->answers;
    r->job.on_row = on_row;
    r->job.stopped = stopped;
    r->job.user = r;
    r->verdict = sched_run(r->s, &r->job, &err);
    for (uint32_t a = 0; a < r->answers; a++) sequence_destroy(&r->task[a].seq);
    return NULL;
}

static uint32_t below(uint64_t *state, uint32_t n)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*state >> 33) % n);
}

/* Prompts that begin alike and part anywhere, also within a block. */
static void make_request(request *r, uint64_t *seed)
{
    static const uint32_t parts[] = {0, 5, 32, 40, 64, 71, 96};
    *r = (request){.answers = 1, .cache = true, .stop_at = -1};
    r->n = 1 + below(seed, 130);
    uint32_t same = parts[below(seed, 7)];
    for (uint32_t i = 0; i < r->n; i++) r->prompt[i] = i < same ? (int32_t)(i % 5) : (int32_t)below(seed, VOCABULARY);
    r->max_tokens = 1 + below(seed, MOST - 130);
    switch (below(seed, 6)) {
    case 0: r->answers = 1 + below(seed, ANSWERS); break;
    case 1: r->scores = true; break;
    case 2: r->cache = false; break;
    }
    if (r->scores) r->cache = false;
    r->job.class = below(seed, 3) ? QUEUE_BATCH : QUEUE_LIVE;
    expect(r);
}

static void check_answers(const request *r)
{
    assert_int_equal(r->verdict, JV_OK);
    assert_int_equal(r->sum, r->expected_sum);
    for (uint32_t a = 0; a < r->answers; a++) {
        assert_int_equal(r->n_made[a], r->n_expected[a]);
        assert_memory_equal(r->made[a], r->expected[a], r->n_made[a] * sizeof(int32_t));
    }
}

static void wait_for_jobs(sched *s, uint64_t n)
{
    while (sched_stats_of(s).jobs < n) sched_yield();
}

/* All are there before a step is made. */
static void ask_together(request *r, uint32_t n, sched *s, toy *t)
{
    uint64_t before = sched_stats_of(s).jobs;
    atomic_store(&t->gate, 1);
    for (uint32_t i = 0; i < n; i++) {
        r[i].s = s;
        r[i].toy = t;
        if (pthread_create(&r[i].thread, NULL, ask, &r[i]) != 0) fail_msg("no thread");
    }
    wait_for_jobs(s, before + n);
    atomic_store(&t->gate, 0);
    for (uint32_t i = 0; i < n; i++) pthread_join(r[i].thread, NULL);
}

/* All at once; or, for each to come on a cold or warm cache of known state, one after the other. */
static void ask_all(request *r, uint32_t n, sched *s, toy *t, bool at_once)
{
    for (uint32_t i = 0; i < n; i++) {
        r[i].s = s;
        r[i].toy = t;
        if (pthread_create(&r[i].thread, NULL, ask, &r[i]) != 0) fail_msg("no thread");
        if (!at_once) pthread_join(r[i].thread, NULL);
    }
    for (uint32_t i = 0; i < n && at_once; i++) pthread_join(r[i].thread, NULL);
}

#endif
