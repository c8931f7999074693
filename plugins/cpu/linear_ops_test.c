/*
 * linear_ops_test.c: what linear.c does around the products, at every level that this processor has: norm, bias, what
 * was there before, several weights, gates, rows by index. Products themselves are linear_test.c's.
 */
#include "linear_kit.h"

enum { ROWS = 37, N = 19 };

/* A vector: a weight of type F32 with one row. */
static bk_tensor vector(uint64_t n)
{
    bk_tensor t = activation(1, n);
    t.kind = CPU_WEIGHT;
    return t;
}

static void check_near(double got, double want, double bound, const char *what, uint64_t i)
{
    if (isnan(want) ? !isnan(got) : !(got == want || fabs(got - want) <= bound))
        fail_msg("%s: number %lu is %.9g, not %.9g", what, (unsigned long)i, got, want);
}

/* out = norm(x) w^T + bias + out, of floats: no rounding to integers hides an error of the norm. */
static void norm_bias_and_add(void **state)
{
    static const uint32_t widths[] = {16, 100, 576};
    pool *p = threads(3);
    for (uint32_t l = 0; l < n_levels; l++)
        for (int i = 0; i < 3; i++) {
            uint32_t columns = widths[i];
            weight w = make_weight(p, BK_F32, ROWS, columns);
            bk_tensor x = activation(N, columns), out = activation(N, ROWS), norm = vector(columns), bias = vector(ROWS);
            bk_tensor before = activation(N, ROWS);
            memcpy(before.f32, out.f32, N * ROWS * 4);
            cpu c = context(levels[l], p);
            linear_run(&c, &(bk_linear){.n = N,
                               .x = &x,
                               .norm = &norm,
                               .eps = 1e-3f,
                               .n_parts = 1,
                               .add = 1,
                               .part = {{&out, &w.t, &bias}}});
            for (uint32_t t = 0; t < N; t++) {
                const float *row = x.f32 + t * columns;
                double squares = 0;
                for (uint32_t k = 0; k < columns; k++) squares += (double)row[k] * row[k];
                double factor = 1 / sqrt(squares / columns + 1e-3f);
                for (uint32_t r = 0; r < ROWS; r++) {
                    double sum = 0;
                    for (uint32_t k = 0; k < columns; k++) sum += row[k] * factor * norm.f32[k] * weight_at(&w, r, k);
                    sum += (double)bias.f32[r] + before.f32[t * ROWS + r];
                    check_near(out.f32[t * ROWS + r], sum, 1e-6 * columns, levels[l]->name, t * ROWS + r);
                }
            }
            free_weight(&w);
            bk_tensor *all[] = {&x, &out, &norm, &bias, &before};
            for (int k = 0; k < 5; k++) free_activation(all[k]);
        }
    pool_free(p);
}

/* Three weights at once, of which each takes x in another form, give the bytes of three operations. */
static void parts_are_as_if_alone(void **state)
{
    static const uint32_t types[] = {BK_Q6_K, BK_Q5_0, BK_BF16};
    pool *p = threads(2);
    for (uint32_t l = 0; l < n_levels; l++) {
        cpu c = context(levels[l], p);
        bk_tensor x = activation(N, 512), norm = vector(512), out[3], alone[3];
        weight w[3];
        bk_linear all = {.n = N, .x = &x, .norm = &norm, .eps = 1e-5f, .n_parts = 3};
        for (int i = 0; i < 3; i++) {
            w[i] = make_weight(p, types[i], ROWS + 16 * (uint32_t)i, 512);
            out[i] = activation(N, w[i].t.rows);
            alone[i] = activation(N, w[i].t.rows);
            all.part[i] = (bk_part){&out[i], &w[i].t, NULL};
        }
        linear_run(&c, &all);
        for (int i = 0; i < 3; i++) {
            linear_run(&c, &(bk_linear){.n = N,
                               .x = &x,
                               .norm = &norm,
                               .eps = 1e-5f,
                               .n_parts = 1,
                               .part = {{&alone[i], &w[i].t, NULL}}});
            assert_memory_equal(out[i].f32, alone[i].f32, N * w[i].t.rows * 4);
            free_weight(&w[i]);
            free_activation(&out[i]);
            free_activation(&alone[i]);
        }
        free_activation(&x);
        free_activation(&norm);
    }
    pool_free(p);
}

static double act(uint32_t which, double a)
{
    if (which == BK_SILU) return a / (1 + exp(-a));
    return a / (1 + exp(-2 * sqrt(2 / acos(-1)) * (a + 0.044715 * a * a * a))); /* (1 + tanh(u)) / 2 = 1 / (1 + e^-2u) */
}

/* act(gate) * up, whether gate and up take x in one form or in two. */
static void gates(void **state)
{
    static const uint32_t types[][2] = {{BK_Q4_1, BK_Q4_1}, {BK_Q4_K, BK_Q6_K}, {BK_Q4_K, BK_Q5_0}, {BK_F16, BK_Q8_0},
        {BK_Q8_0, BK_Q5_1}};
    pool *p = threads(2);
    for (uint32_t l = 0; l < n_levels; l++)
        for (uint32_t i = 0; i < 10; i++) {
            cpu c = context(levels[l], p);
            weight gate = make_weight(p, types[i / 2][0], ROWS, 256), up = make_weight(p, types[i / 2][1], ROWS, 256);
            bk_tensor x = activation(N, 256), norm = vector(256), out = activation(N, ROWS);
            bk_tensor g = activation(N, ROWS), u = activation(N, ROWS);
            bk_linear alone = {.n = N, .x = &x, .norm = &norm, .eps = 0, .n_parts = 1, .part = {{&g, &gate.t, NULL}}};
            linear_run(&c, &alone);
            alone.part[0] = (bk_part){&u, &up.t, NULL};
            linear_run(&c, &alone);
            linear_gated(&c,
                &(bk_gated){.n = N, .out = &out, .x = &x, .norm = &norm, .act = i % 2, .gate = &gate.t, .up = &up.t});
            for (uint64_t k = 0; k < N * ROWS; k++) {
                double want = act(i % 2, g.f32[k]) * u.f32[k];
                check_near(out.f32[k], want, 1e-6 * fabs(want) + 1e-6 * fabs(u.f32[k]), levels[l]->name, k);
            }
            free_weight(&gate);
            free_weight(&up);
            bk_tensor *all[] = {&x, &norm, &out, &g, &u};
            for (int k = 0; k < 5; k++) free_activation(all[k]);
        }
    pool_free(p);
}

/* A gate that is x itself, also where the exponential of a float is 0, subnormal or infinite. */
static void activations_of_all_sizes(void **state)
{
    static const float special[] = {0, 1e-30f, 1e30f, -1e30f, 1e37f, NAN, 88.7f, -88.7f, 103.9f, -103.9f};
    enum { COUNT = 640, SIDE = 16 };
    pool *p = threads(1);
    weight one = make_weight(p, BK_F32, SIDE, SIDE), ones = make_weight(p, BK_F32, SIDE, SIDE);
    float *identity = (float *)one.file.data, *same = (float *)ones.file.data;
    for (int i = 0; i < SIDE * SIDE; i++) identity[i] = i == 0, same[i] = i == 1;
    free(one.t.panels);
    free(ones.t.panels);
    pack(p, &one);
    pack(p, &ones);
    bk_tensor x = activation(COUNT, SIDE), out = activation(COUNT, SIDE);
    for (int i = 0; i < COUNT; i++) {
        memset(x.f32 + i * SIDE, 0, SIDE * 4);
        x.f32[i * SIDE] = i < 10 ? special[i] : (float)(i - 325) / 3;
        x.f32[i * SIDE + 1] = 1;
    }
    for (uint32_t l = 0; l < n_levels; l++)
        for (uint32_t which = BK_SILU; which <= BK_GELU; which++) {
            cpu c = context(levels[l], p);
            linear_gated(&c, &(bk_gated){.n = COUNT, .out = &out, .x = &x, .act = which, .gate = &one.t, .up = &ones.t});
            for (int i = 0; i < COUNT; i++) {
                double a = x.f32[i * SIDE], want = i == 3 ? 0 : act(which, a);
                /* gelu's argument of e grows with a^3: so does what its rounding does; 3e-37: e^-a ends there */
                double bound = (which == BK_SILU ? 4e-7 : 4e-7 * (1 + fabs(a * a * a))) * fabs(want) + 3e-37;
                check_near(out.f32[i * SIDE], want, bound, which == BK_SILU ? "silu" : "gelu", (uint64_t)i);
            }
        }
    free_weight(&one);
    free_weight(&ones);
    free_activation(&x);
    free_activation(&out);
    pool_free(p);
}

/* Rows by index are those rows, in that order. */
static void logits_by_index(void **state)
{
    static const int32_t index[] = {5, 0, 18, 5, 7, 7, 1};
    enum { COUNT = sizeof index / sizeof *index };
    pool *p = threads(2);
    for (uint32_t l = 0; l < n_levels; l++)
        for (size_t t = 0; t < REF_TYPES; t++) {
            cpu c = context(levels[l], p);
            weight head = make_weight(p, ref_types[t], ROWS, 256);
            bk_tensor x = activation(N, 256), norm = vector(256), all = activation(N, ROWS);
            float to[COUNT * ROWS];
            linear_run(&c,
                &(bk_linear){.n = N, .x = &x, .norm = &norm, .eps = 1e-6f, .n_parts = 1, .part = {{&all, &head.t, NULL}}});
            linear_logits(&c,
                &(bk_logits){.n = COUNT, .to = to, .x = &x, .index = index, .norm = &norm, .eps = 1e-6f, .head = &head.t});
            for (int i = 0; i < COUNT; i++)
                assert_memory_equal(to + i * ROWS, all.f32 + index[i] * ROWS, ROWS * sizeof(float));
            free_weight(&head);
            free_activation(&x);
            free_activation(&norm);
            free_activation(&all);
        }
    pool_free(p);
}

int main(void)
{
    find_levels();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_bias_and_add),
        cmocka_unit_test(parts_are_as_if_alone),
        cmocka_unit_test(gates),
        cmocka_unit_test(activations_of_all_sizes),
        cmocka_unit_test(logits_by_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
