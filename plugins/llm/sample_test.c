/* sample_test.c: draws against the probabilities they should have, and the corners of the logits' range. */
#include "sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { N = 8, DRAWS = 10000 };

/* Ids 1 and 6 are equal. */
static const float logits[N] = {0.5f, 2.0f, -1.0f, 1.25f, -4.0f, 0.0f, 2.0f, -30.0f};

static double weight[N];
static int32_t heap[N];

static sampler make(double temperature, double top_p, uint64_t seed)
{
    return (sampler){temperature, top_p, seed, weight, heap};
}

/* Pearson's statistic of DRAWS draws over the ids with an expectation of 5 or more; *freedom gets its degrees. */
static double chi_square(sampler *s, const double *p, int *freedom)
{
    int count[N] = {0};
    double sum = 0;
    *freedom = -1;
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = -1;
        jv_err err;
        assert_int_equal(sampler_draw(s, logits, N, &id, &err), JV_OK);
        assert_true(id >= 0 && id < N);
        assert_true(p[id] > 0); /* never one that was cut off */
        count[id]++;
    }
    for (int i = 0; i < N; i++) {
        if (p[i] * DRAWS < 5) continue;
        double d = count[i] - p[i] * DRAWS;
        sum += d * d / (p[i] * DRAWS);
        ++*freedom;
    }
    return sum;
}

static void probabilities(double temperature, double *p)
{
    double total = 0;
    for (int i = 0; i < N; i++) total += p[i] = exp(logits[i] / temperature);
    for (int i = 0; i < N; i++) p[i] /= total;
}

/* Quantiles of the chi-square distribution at 0.999 for 1 to 7 degrees of freedom. A fixed seed: passes always or
 * never. */
static const double quantile[] = {0, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32};

static void check_draws(double temperature, double top_p, const double *p)
{
    for (uint64_t seed = 100; seed < 103; seed++) {
        sampler s = make(temperature, top_p, seed);
        int freedom;
        double x = chi_square(&s, p, &freedom);
        assert_true(freedom >= 1);
        assert_true(x < quantile[freedom]);
    }
}

static void test_temperature(void **state)
{
    double p[N];
    probabilities(1, p);
    check_draws(1, 1, p);
    probabilities(0.7, p);
    check_draws(0.7, 1, p);
}

/* The likeliest until 0.9 is held: 1, 6 and 3 hold 0.861, 0 makes it full; 5, 2, 4 and 7 are cut off. */
static void test_top_p(void **state)
{
    static const int kept[] = {1, 6, 3, 0};
    double all[N], p[N] = {0}, held = 0;
    probabilities(1, all);
    for (int i = 0; i < 3; i++) held += all[kept[i]];
    assert_true(held < 0.9 && held + all[0] >= 0.9);
    for (int i = 0; i < 4; i++) p[kept[i]] = all[kept[i]] / (held + all[0]);
    check_draws(1, 0.9, p);
    memset(p, 0, sizeof p);
    p[1] = 1; /* the lower id of the two likeliest */
    for (uint64_t seed = 0; seed < 100; seed++) {
        sampler s = make(1, 1e-9, seed);
        int32_t id = -1;
        jv_err err;
        assert_int_equal(sampler_draw(&s, logits, N, &id, &err), JV_OK);
        assert_int_equal(id, 1);
    }
}

static int32_t greedy(const float *l, uint32_t n)
{
    sampler s = {0, 1, 1, NULL, NULL};
    int32_t id = -1;
    jv_err err;
    assert_int_equal(sampler_draw(&s, l, n, &id, &err), JV_OK);
    return id;
}

static void test_greedy(void **state)
{
    static const float equal[] = {-1, -1, -1}, least[] = {-INFINITY, -INFINITY, -3e38f}, zeros[] = {-1, -0.0f, 0.0f};
    assert_int_equal(greedy(logits, N), 1);
    assert_int_equal(greedy(equal, 3), 0);
    assert_int_equal(greedy(least, 3), 2);
    assert_int_equal(greedy(zeros, 3), 1);
}

static void test_same_seed(void **state)
{
    sampler a = make(1, 1, 42), b = make(1, 1, 42), c = make(1, 1, 43);
    int differ = 0;
    for (int i = 0; i < 200; i++) {
        int32_t x = 0, y = 0, z = 0;
        jv_err err;
        sampler_draw(&a, logits, N, &x, &err);
        sampler_draw(&b, logits, N, &y, &err);
        sampler_draw(&c, logits, N, &z, &err);
        assert_int_equal(x, y);
        differ += x != z;
    }
    assert_true(differ > 20);
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

static void test_extremes(void **state)
{
    static const float wide[] = {-3e38f, 3e38f, 0, 3e38f}, one[] = {-INFINITY, 5, -INFINITY};
    static const float nan[] = {1, NAN, 2}, inf[] = {1, 2, INFINITY}, none[] = {-INFINITY, -INFINITY};
    jv_err err;
    int32_t id = -1;
    int seen[4] = {0};
    for (uint64_t seed = 0; seed < 100; seed++) {
        static const double hot[] = {1e-300, 0.5, 100};
        sampler s = make(hot[seed % 3], seed % 2 ? 1 : 0.5, seed);
        assert_int_equal(sampler_draw(&s, wide, 4, &id, &err), JV_OK);
        seen[id]++;
        assert_int_equal(sampler_draw(&s, one, 3, &id, &err), JV_OK);
        assert_int_equal(id, 1);
    }
    assert_true(seen[1] > 0 && seen[3] > 0 && seen[0] + seen[2] == 0);
    sampler s = make(1, 1, 0);
    assert_int_equal(sampler_draw(&s, nan, 3, &id, &err), JV_BAD);
    assert_non_null(strstr(err.text, "token 1"));
    assert_int_equal(sampler_draw(&s, inf, 3, &id, &err), JV_BAD);
    assert_int_equal(sampler_draw(&s, none, 2, &id, &err), JV_BAD);
    s.temperature = 0;
    assert_int_equal(sampler_draw(&s, nan, 3, &id, &err), JV_BAD);
}

static void test_log_sum_exp(void **state)
{
    static const float big[] = {1000, 1000}, nan[] = {0, NAN};
    double v, sum = 0;
    jv_err err;
    for (int i = 0; i < N; i++) sum += exp((double)logits[i]);
    assert_int_equal(log_sum_exp(logits, N, &v, &err), JV_OK);
    assert_true(fabs(v - log(sum)) < 1e-12);
    assert_int_equal(log_sum_exp(big, 2, &v, &err), JV_OK);
    assert_true(fabs(v - 1000 - log(2)) < 1e-12);
    assert_int_equal(log_sum_exp(nan, 2, &v, &err), JV_BAD);
}

static void test_ranking(void **state)
{
    static const int32_t expected[] = {1, 6, 3, 0, 5, 2, 4, 7, -1, -1};
    ranking r;
    ranking_init(&r, logits, heap, N);
    for (int i = 0; i < 10; i++) assert_int_equal(ranking_next(&r), expected[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temperature),
        cmocka_unit_test(test_top_p),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_same_seed),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_log_sum_exp),
        cmocka_unit_test(test_ranking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
