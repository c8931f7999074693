/*
 * sample_test.c: draws against the probabilities they should have, worked out by a plain implementation of the order in
 * sample.h; large vocabularies; and the corners of the logits' range.
 */
#include "logits.h"
#include "sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 8, LARGE = 5003 };

/* Ids 1 and 6 are equal. */
static const float small[N] = {0.5f, 2.0f, -1.0f, 1.25f, -4.0f, 0.0f, 2.0f, -30.0f};

static llm_request plain(double temperature, uint64_t seed)
{
    return (llm_request){.struct_size = sizeof(llm_request),
        .temperature = temperature,
        .top_p = 1,
        .repetition_penalty = 1,
        .seed = seed,
        .answers = 1};
}

/* ---- a plain implementation ---- */

typedef struct past {
    const int32_t *prompt, *made;
    size_t n_prompt, n_made;
} past;

static const double *ranked;

static int better_first(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return ranked[x] != ranked[y] ? (ranked[x] < ranked[y] ? 1 : -1) : x - y;
}

static void penalise(const llm_request *q, const past *before, int n, double *l)
{
    for (int id = 0; id < n; id++) {
        int made = 0, seen = 0;
        for (size_t i = 0; i < before->n_made; i++) made += before->made[i] == id;
        for (size_t i = 0; i < before->n_prompt; i++) seen += before->prompt[i] == id;
        if (made || seen) l[id] = l[id] > 0 ? l[id] / q->repetition_penalty : l[id] * q->repetition_penalty;
        if (made) l[id] -= made * q->frequency_penalty + q->presence_penalty;
        for (size_t i = 0; i < q->n_bias; i++)
            if (q->bias[i].token == id) l[id] += q->bias[i].bias;
        l[id] = (float)l[id];
    }
}

/* p[id], 0 for those that cannot be drawn. */
static void expect(const llm_request *q, const float *row, const past *before, int n, double *p)
{
    double *l = calloc((size_t)n, sizeof *l), total = 0, held = 0;
    int *order = calloc((size_t)n, sizeof *order), kept = n;
    for (int i = 0; i < n; i++) l[i] = row[i];
    penalise(q, before, n, l);
    for (int i = 0; i < n; i++) order[i] = i;
    ranked = l;
    qsort(order, (size_t)n, sizeof *order, better_first);
    memset(p, 0, (size_t)n * sizeof *p);
    if (q->top_k && q->top_k < kept) kept = (int)q->top_k;
    for (int i = 0; i < kept; i++) total += p[order[i]] = exp((l[order[i]] - l[order[0]]) / q->temperature);
    for (int i = 0; i < kept; i++) {
        double weight = p[order[i]];
        if (q->top_p < 1 && i > 0 && held >= q->top_p * total) p[order[i]] = 0;
        if (weight < q->min_p) p[order[i]] = 0;
        held += weight;
    }
    total = 0;
    for (int i = 0; i < n; i++) total += p[i];
    for (int i = 0; i < n; i++) p[i] /= total;
    free(l);
    free(order);
}

/* ---- draws ---- */

static sampler *make(const llm_request *q, const past *before)
{
    jv_err err;
    sampler *s = sampler_new(q, 0);
    assert_non_null(s);
    assert_int_equal(sampler_prompt(s, before->prompt, before->n_prompt, &err), JV_OK);
    for (size_t i = 0; i < before->n_made; i++) assert_int_equal(sampler_made(s, before->made[i], &err), JV_OK);
    return s;
}

/* Quantiles of the chi-square distribution at 0.99999, by Wilson and Hilferty's approximation. */
static double quantile(int freedom)
{
    double a = 2.0 / (9.0 * freedom), c = 1 - a + 4.2649 * sqrt(a);
    return freedom * c * c * c;
}

/* Pearson's statistic; ids expected less than 5 times are counted together. A fixed seed: passes always or never. */
static void check_draws(const llm_request *q, const float *row, const past *before, int n)
{
    int draws = n == N ? 10000 : 1000;
    double *p = calloc((size_t)n, sizeof *p), sum = 0, rest = 0;
    int *count = calloc((size_t)n, sizeof *count), freedom = -1, counted = 0;
    float *v = calloc((size_t)n, sizeof *v);
    memcpy(v, row, (size_t)n * sizeof *v);
    expect(q, row, before, n, p);
    sampler *s = make(q, before);
    sample_room *room = sample_room_new((uint32_t)n);
    assert_non_null(room);
    for (int i = 0; i < draws; i++) {
        int32_t id = -1;
        jv_err err;
        assert_int_equal(sampler_draw(s, room, v, &id, &err), JV_OK);
        assert_true(id >= 0 && id < n);
        assert_true(p[id] > 0); /* never one that was cut off */
        count[id]++;
    }
    assert_memory_equal(v, row, (size_t)n * sizeof *v);
    for (int i = 0; i < n; i++) {
        double expected = p[i] * draws, d = count[i] - expected;
        if (expected < 5) rest += expected;
        if (expected < 5) counted += count[i];
        if (expected < 5) continue;
        sum += d * d / expected;
        freedom++;
    }
    if (rest >= 5) sum += (counted - rest) * (counted - rest) / rest;
    if (rest >= 5) freedom++;
    if (freedom > 0 && sum >= quantile(freedom)) fail_msg("chi-square %g, %d degrees", sum, freedom);
    sampler_free(s);
    sample_room_free(room);
    free(p);
    free(v);
    free(count);
}

static const int32_t prompt[] = {1, 3, 3, 2}, made[] = {6, 0, 6, 6};
static const past none = {0}, some = {prompt, made, 4, 4};

static void test_temperature(void **state)
{
    for (uint64_t seed = 100; seed < 103; seed++) {
        llm_request a = plain(1, seed), b = plain(0.7, seed);
        check_draws(&a, small, &none, N);
        check_draws(&b, small, &none, N);
    }
}

static void test_cuts(void **state)
{
    static const double top_ps[] = {1, 0.9, 0.5, 1e-9}, min_ps[] = {0, 0.2, 0.9, 1};
    for (int64_t top_k = 0; top_k <= N; top_k++)
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++) {
                llm_request q = plain(1.3, (uint64_t)(top_k + 31 * i + 97 * k));
                q.top_k = top_k;
                q.top_p = top_ps[i];
                q.min_p = min_ps[k];
                check_draws(&q, small, &none, N);
            }
}

static void test_penalties(void **state)
{
    static const llm_bias bias[] = {{5, 1.5}, {6, -0.25}, {2, -INFINITY}};
    for (int which = 0; which < 16; which++) {
        llm_request q = plain(1, (uint64_t)which);
        if (which & 1) q.repetition_penalty = 1.7;
        if (which & 2) q.presence_penalty = 0.7;
        if (which & 4) q.frequency_penalty = -0.4;
        if (which & 8) q.bias = bias;
        if (which & 8) q.n_bias = 3;
        check_draws(&q, small, &some, N);
        q.top_p = 0.9;
        check_draws(&q, small, &some, N);
    }
}

/* A vocabulary of several blocks, its likeliest tokens all over it; many distinct tokens in the past. */
static void test_large(void **state)
{
    static float v[LARGE];
    static int32_t before[3000];
    uint64_t random = 7;
    for (int i = 0; i < LARGE; i++) v[i] = (float)(6 * random_unit(&random) + 6 * random_unit(&random));
    for (int i = 0; i < 3000; i++) before[i] = (int32_t)(random_next(&random) % LARGE);
    past long_past = {before, before + 1500, 1500, 1500};
    for (int which = 0; which < 8; which++) {
        llm_request q = plain(which & 1 ? 0.6 : 1.5, (uint64_t)which);
        if (which & 2) q.top_k = 50;
        if (which & 4) q.top_p = 0.8;
        check_draws(&q, v, &none, LARGE);
        q.repetition_penalty = 1.1;
        q.frequency_penalty = 0.3;
        check_draws(&q, v, &long_past, LARGE);
        q.min_p = 0.05;
        check_draws(&q, v, &long_past, LARGE);
    }
}

/* ---- the largest ---- */

static int32_t greedy(const float *l, uint32_t n)
{
    llm_request q = plain(0, 1);
    sampler *s = sampler_new(&q, 0);
    sample_room *room = sample_room_new(n);
    float v[LARGE];
    int32_t id = -1;
    jv_err err;
    memcpy(v, l, n * sizeof *v);
    assert_int_equal(sampler_draw(s, room, v, &id, &err), JV_OK);
    sampler_free(s);
    sample_room_free(room);
    return id;
}

static void test_greedy(void **state)
{
    static const float equal[] = {-1, -1, -1}, least[] = {-INFINITY, -INFINITY, -3e38f}, zeros[] = {-1, -0.0f, 0.0f};
    static float v[LARGE];
    assert_int_equal(greedy(small, N), 1);
    assert_int_equal(greedy(equal, 3), 0);
    assert_int_equal(greedy(least, 3), 2);
    assert_int_equal(greedy(zeros, 3), 1);
    for (int i = 0; i < LARGE; i++) v[i] = -(float)(i % 7) - 1;
    for (int i = 0; i < LARGE; i += 61) { /* in any place of any block, and the first of two */
        v[i] = v[LARGE - 1] = -0.5f;
        assert_int_equal(greedy(v, LARGE), i);
        v[i] = v[LARGE - 1] = -1;
    }
    v[5] = -0.0f;
    v[2000] = 0.0f; /* of another block, and equal */
    assert_int_equal(greedy(v, LARGE), 5);
}

static void test_greedy_penalties(void **state)
{
    llm_request q = plain(0, 1);
    q.presence_penalty = 2;
    sampler *s = sampler_new(&q, 0);
    sample_room *room = sample_room_new(N);
    float v[N];
    int32_t order[N];
    jv_err err;
    memcpy(v, small, sizeof v);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(sampler_draw(s, room, v, &order[i], &err), JV_OK);
        assert_int_equal(sampler_made(s, order[i], &err), JV_OK);
    }
    static const int32_t expected[] = {1, 6, 3, 0};
    assert_memory_equal(order, expected, sizeof expected);
    assert_memory_equal(v, small, sizeof v);
    sampler_free(s);
    sample_room_free(room);
}

static void test_top(void **state)
{
    static const int32_t expected[] = {1, 6, 3, 0, 5, 2, 4, 7};
    static float v[LARGE];
    static int32_t id[LARGE], best_first[LARGE];
    static double as_double[LARGE];
    float best[8];
    jv_err err;
    uint64_t random = 3;
    logits l = {.v = small, .n = N, .blocks = 1, .best = best};
    assert_int_equal(logits_scan(&l, &err), JV_OK);
    for (uint32_t k = 0; k <= N; k++) {
        logits_top(&l, k, id);
        if (k) assert_memory_equal(id, expected, k * sizeof *id);
    }
    l = (logits){.v = v, .n = LARGE, .blocks = (LARGE + LOGITS_BLOCK - 1) / LOGITS_BLOCK, .best = best};
    for (int i = 0; i < LARGE; i++) as_double[i] = v[i] = (float)(random_next(&random) % 500); /* many equal ones */
    for (int i = 0; i < LARGE; i++) best_first[i] = i;
    ranked = as_double;
    qsort(best_first, LARGE, sizeof *best_first, better_first);
    assert_int_equal(logits_scan(&l, &err), JV_OK);
    static const uint32_t ks[] = {1, 2, 20, 1000, 1024, 1025, 3000, LARGE};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        logits_top(&l, ks[i], id);
        assert_memory_equal(id, best_first, ks[i] * sizeof *id);
    }
}

/* ---- seeds ---- */

static void draw_many(uint64_t seed, uint32_t answer, int32_t *ids, int n)
{
    llm_request q = plain(1, seed);
    sampler *s = sampler_new(&q, answer);
    sample_room *room = sample_room_new(N);
    float v[N];
    jv_err err;
    memcpy(v, small, sizeof v);
    for (int i = 0; i < n; i++) assert_int_equal(sampler_draw(s, room, v, &ids[i], &err), JV_OK);
    sampler_free(s);
    sample_room_free(room);
}

static int differ(const int32_t *a, const int32_t *b, int n)
{
    int d = 0;
    for (int i = 0; i < n; i++) d += a[i] != b[i];
    return d;
}

static void test_seeds(void **state)
{
    int32_t a[200], b[200], other[200], second[200], second_of_next[200];
    draw_many(42, 0, a, 200);
    draw_many(42, 0, b, 200);
    draw_many(43, 0, other, 200);
    draw_many(42, 1, second, 200);
    draw_many(43, 1, second_of_next, 200);
    assert_memory_equal(a, b, sizeof a);
    assert_true(differ(a, other, 200) > 20);
    assert_true(differ(a, second, 200) > 20);
    assert_true(differ(second, second_of_next, 200) > 20);
    for (int shift = 1; shift < 5; shift++) assert_true(differ(a + shift, second, 195) > 20);
}

/* The first numbers of SplitMix64 from 0, as its paper's code gives them. */
static void test_random(void **state)
{
    uint64_t s = 0;
    assert_true(random_next(&s) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(random_next(&s) == UINT64_C(0x6e789e6aa1b965f4));
    for (int i = 0; i < 100000; i++) {
        double u = random_unit(&s);
        assert_true(u >= 0 && u < 1);
    }
}

/* ---- corners ---- */

static int32_t draw(const llm_request *q, const float *l, uint32_t n, int32_t *id, jv_err *err)
{
    float v[N];
    memcpy(v, l, n * sizeof *v);
    sampler *s = sampler_new(q, 0);
    sample_room *room = sample_room_new(n);
    int32_t rc = sampler_draw(s, room, v, id, err);
    sampler_free(s);
    sample_room_free(room);
    return rc;
}

static void test_extremes(void **state)
{
    static const float wide[] = {-3e38f, 3e38f, 0, 3e38f}, one[] = {-INFINITY, 5, -INFINITY};
    static const float nan[] = {1, NAN, 2}, minus_nan[] = {1, -NAN, 2}, inf[] = {1, 2, INFINITY},
                       nothing[] = {-INFINITY, -INFINITY};
    static const double hot[] = {1e-300, 0.5, 100};
    jv_err err;
    int32_t id = -1;
    int seen[4] = {0};
    for (uint64_t seed = 0; seed < 300; seed++) {
        llm_request q = plain(hot[seed % 3], seed);
        if (seed % 2) q.top_p = 0.9;
        if (seed % 5 == 0) q.min_p = 0.5;
        if (seed % 7 == 0) q.top_k = 3;
        assert_int_equal(draw(&q, wide, 4, &id, &err), JV_OK);
        seen[id]++;
        assert_int_equal(draw(&q, one, 3, &id, &err), JV_OK);
        assert_int_equal(id, 1);
    }
    assert_true(seen[1] > 0 && seen[3] > 0 && seen[0] + seen[2] == 0);
    for (int hotter = 0; hotter < 2; hotter++) {
        llm_request q = plain(hotter, 0);
        assert_int_equal(draw(&q, nan, 3, &id, &err), JV_BAD);
        assert_non_null(strstr(err.text, "token 1"));
        assert_int_equal(draw(&q, minus_nan, 3, &id, &err), JV_BAD);
        assert_int_equal(draw(&q, inf, 3, &id, &err), JV_BAD);
        assert_non_null(strstr(err.text, "token 2"));
        assert_int_equal(draw(&q, nothing, 2, &id, &err), JV_BAD);
    }
}

/* A bias may forbid all but one, or all; no penalty makes an infinity of what was none, nor hides one that was there. */
static void test_extreme_bias(void **state)
{
    llm_bias bias[N];
    jv_err err;
    int32_t id = -1;
    for (int32_t i = 0; i < N; i++) bias[i] = (llm_bias){i, i == 4 ? 0 : -INFINITY};
    llm_request q = plain(1, 9);
    q.bias = bias;
    q.n_bias = N;
    assert_int_equal(draw(&q, small, N, &id, &err), JV_OK);
    assert_int_equal(id, 4);
    bias[4].bias = -INFINITY;
    assert_int_equal(draw(&q, small, N, &id, &err), JV_BAD);
    static const float wide[] = {-3.4e38f, 3.4e38f, 0}, inf[] = {INFINITY, 0, 0};
    bias[0] = (llm_bias){0, -1e39};
    bias[1] = (llm_bias){1, 1e39};
    q.n_bias = 2;
    assert_int_equal(draw(&q, wide, 3, &id, &err), JV_OK);
    assert_int_equal(id, 1);
    assert_int_equal(draw(&q, inf, 3, &id, &err), JV_BAD);
}

static void test_logprobs(void **state)
{
    static const float big[] = {1000, 1000}, nan[] = {0, NAN}, one[] = {-INFINITY, 3};
    jv_err err;
    double sum = 0;
    for (int i = 0; i < N; i++) sum += exp((double)small[i]);
    sample_room *room = sample_room_new(N), *two = sample_room_new(2);
    for (int32_t id = 0; id < N; id++) {
        llm_token t = {.token = id};
        assert_int_equal(sample_logprobs(room, small, (size_t)id + 2, &t, &err), JV_OK);
        assert_true(fabs(t.logprob - (small[id] - log(sum))) < 1e-12);
        assert_int_equal(t.n_top, id + 2 < N ? id + 2 : N);
        for (size_t i = 0; i < t.n_top; i++) assert_true(fabs(t.top_logprob[i] - (small[t.top[i]] - log(sum))) < 1e-12);
        assert_int_equal(t.top[0], 1);
        assert_int_equal(t.top[1], 6);
    }
    llm_token t = {.token = 1};
    assert_int_equal(sample_logprobs(two, big, 0, &t, &err), JV_OK);
    assert_true(fabs(t.logprob + log(2)) < 1e-12);
    assert_int_equal(t.n_top, 0);
    assert_int_equal(sample_logprobs(two, one, 2, &t, &err), JV_OK);
    assert_true(t.logprob == 0 && t.top_logprob[1] == -INFINITY);
    assert_int_equal(sample_logprobs(two, nan, 0, &t, &err), JV_BAD);
    sample_room_free(room);
    sample_room_free(two);
}

static void test_exp(void **state)
{
    for (double x = 0; x > -700; x -= 0.00737) assert_true(fabs(logits_exp(x) / exp(x) - 1) < 1e-14);
    assert_true(logits_exp(0) == 1);
    assert_true(logits_exp(-701) == 0 && logits_exp(-1e300) == 0 && logits_exp(-INFINITY) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temperature),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_greedy_penalties),
        cmocka_unit_test(test_top),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_extreme_bias),
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_exp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
