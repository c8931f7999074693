/*
 * backend_linear.c: the operations of any backend that multiply by weights, and the small ones, against what backend.h
 * says, computed in double; and that a row's bytes depend on that row alone.
 */
#include "backend_tests.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EPS 1e-5f

/* ---- in double --------------------------------------------------------------------------------------------------- */

/* What one row of x is to weights of a type: its norm, then whole numbers times a scale. `step` is the largest scale of
 * a block, 0 for floats. */
static void expect_row(uint32_t type, const float *x, const float *norm, uint64_t n, double *to, double *step)
{
    double squares = 0;
    uint32_t block = kit_block(type) == 1 ? 0 : kit_block(type);
    *step = 0;
    for (uint64_t i = 0; i < n; i++) squares += (double)x[i] * x[i];
    double factor = norm ? 1 / sqrt(squares / (double)n + (double)EPS) : 1;
    for (uint64_t i = 0; i < n; i++) to[i] = norm ? x[i] * factor * norm[i] : x[i];
    for (uint64_t b = 0; block && b < n; b += block) {
        float most = 0;
        for (uint64_t i = b; i < b + block; i++) most = fmaxf(most, fabsf((float)to[i]));
        for (uint64_t i = b; i < b + block && most > 0; i++)
            to[i] = rint((double)((float)to[i] * (127.0f / most))) * (double)(most / 127.0f);
        *step = fmax(*step, (double)(most / 127.0f));
    }
}

typedef struct dot {
    double value, size, most; /* size: the sum of the sizes of the terms; most: of a weight */
} dot;

static dot expect_dot(const kit_weight *w, uint64_t row, const double *x)
{
    dot r = {0};
    for (uint64_t i = 0; i < w->columns; i++) {
        double weight = kit_weight_at(w, row, i);
        r.value += weight * x[i];
        r.size += fabs(weight * x[i]);
        r.most = fmax(r.most, fabs(weight));
    }
    return r;
}

/* How far a float sum of n terms may be from the exact one. A quotient of x that lies half way between two integers may
 * be rounded to the other one where a norm was computed in float before: two such terms. */
static double bound_of(const dot *d, uint64_t n, double step, bool normed)
{
    return d->size * KIT_ROUNDING * (8 + sqrt((double)n)) +
           (normed ? 2 * step * d->most + d->size * 4 * KIT_ROUNDING : 0);
}

static double act(uint32_t kind, double x)
{
    if (kind == BK_SILU) return x / (1 + exp(-x));
    return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

typedef struct linear_case {
    kit_weight w[3], bias[3], norm;
    kit_activation x, out[3];
    float *from, *normed_by;
} linear_case;

#define N 19 /* rows of x */

static linear_case case_new(const kit *k, uint32_t type, uint64_t columns)
{
    static const uint64_t rows[3] = {37, 16, 5};
    linear_case c = {.x = kit_activation_new(k, N, columns)};
    c.from = kit_floats(N * columns, 3);
    c.normed_by = kit_floats(columns, 2);
    memset(c.from + 7 * columns, 0, columns * sizeof(float)); /* a row of zeroes */
    c.norm = kit_vector_new(k, c.normed_by, 1, columns);
    for (int i = 0; i < 3; i++) {
        c.w[i] = kit_weight_new(k, type, rows[i], columns);
        c.bias[i] = kit_weight_new(k, BK_F32, 1, rows[i]);
        c.out[i] = kit_activation_new(k, N, rows[i]);
    }
    return c;
}

static void case_free(const kit *k, linear_case *c)
{
    for (int i = 0; i < 3; i++) {
        kit_weight_free(k, &c->w[i]);
        kit_weight_free(k, &c->bias[i]);
        kit_activation_free(k, &c->out[i]);
    }
    kit_weight_free(k, &c->norm);
    kit_activation_free(k, &c->x);
    free(c->from);
    free(c->normed_by);
}

/* Three weights at once; the second has no bias; added to what is there where `add`. */
static void run_linear(const kit *k, const linear_case *c, bool norm, bool add, uint32_t n)
{
    jv_err err = {0};
    bk_linear op = {.struct_size = sizeof op,
        .n = n,
        .x = c->x.t,
        .norm = norm ? c->norm.t : NULL,
        .eps = EPS,
        .n_parts = 3,
        .add = add};
    for (int i = 0; i < 3; i++) op.part[i] = (bk_part){c->out[i].t, c->w[i].t, i == 1 ? NULL : c->bias[i].t};
    assert_int_equal(k->api->linear(k->self, &op, &err), JV_OK);
}

static void expect_linear(const kit *k, const linear_case *c, bool norm, bool add)
{
    double *x = malloc(c->x.width * sizeof *x), step;
    for (int i = 0; i < 3; i++) {
        uint64_t rows = c->w[i].rows;
        float *got = malloc(N * rows * sizeof *got);
        kit_read(k, &c->out[i], got, N);
        for (uint64_t t = 0; t < N; t++) {
            expect_row(c->w[i].type, c->from + t * c->x.width, norm ? c->normed_by : NULL, c->x.width, x, &step);
            for (uint64_t r = 0; r < rows; r++) {
                dot d = expect_dot(&c->w[i], r, x);
                if (i != 1) d.value += kit_weight_at(&c->bias[i], 0, r);
                double bound = bound_of(&d, c->x.width, step, norm) + 1e-6;
                kit_near(got[t * rows + r], add ? 2 * d.value : d.value, add ? 2 * bound : bound);
            }
        }
        free(got);
    }
    free(x);
}

void test_linear_values(void **state)
{
    kit k;
    assert_true(kit_open(&k, tests_plugin, 2, tests_isa));
    kit_seed(5);
    for (int i = 0; i < KIT_TYPES; i++)
        for (uint64_t blocks = 1; blocks < 4; blocks++) {
            if (!k.api->supports(k.self, kit_types[i])) continue;
            uint32_t block = kit_block(kit_types[i]);
            linear_case c = case_new(&k, kit_types[i], block == 1 ? blocks * 33 : blocks * block);
            for (int norm = 0; norm < 2; norm++) {
                kit_fill(&k, &c.x, c.from, N);
                run_linear(&k, &c, norm, false, N);
                expect_linear(&k, &c, norm, false);
                run_linear(&k, &c, norm, true, N);
                expect_linear(&k, &c, norm, true);
            }
            case_free(&k, &c);
        }
    kit_close(&k);
}

void test_gated_values(void **state)
{
    kit k;
    jv_err err = {0};
    assert_true(kit_open(&k, tests_plugin, 2, tests_isa));
    kit_seed(6);
    for (int i = 0; i < 2 * KIT_TYPES; i++) {
        uint32_t type = kit_types[i / 2], up_type = i == 2 ? BK_Q8_0 : type, kind = i % 2 ? BK_GELU : BK_SILU;
        if (!k.api->supports(k.self, type)) continue;
        linear_case c = case_new(&k, type, 256);
        kit_weight up = kit_weight_new(&k, up_type, c.w[0].rows, 256);
        bk_gated op = {.struct_size = sizeof op,
            .n = N,
            .out = c.out[0].t,
            .x = c.x.t,
            .norm = c.norm.t,
            .eps = EPS,
            .act = kind,
            .gate = c.w[0].t,
            .up = up.t};
        kit_fill(&k, &c.x, c.from, N);
        assert_int_equal(k.api->gated(k.self, &op, &err), JV_OK);
        double x[256], y[256], step, up_step;
        float *got = malloc(N * c.w[0].rows * sizeof *got);
        kit_read(&k, &c.out[0], got, N);
        for (uint64_t t = 0; t < N; t++) {
            expect_row(type, c.from + t * 256, c.normed_by, 256, x, &step);
            expect_row(up_type, c.from + t * 256, c.normed_by, 256, y, &up_step);
            for (uint64_t r = 0; r < c.w[0].rows; r++) {
                dot a = expect_dot(&c.w[0], r, x), b = expect_dot(&up, r, y);
                double da = bound_of(&a, 256, step, true), db = bound_of(&b, 256, up_step, true), g = act(kind, a.value);
                /* the slope of either function stays below 1.2 */
                double bound = 1.2 * da * (fabs(b.value) + db) + fabs(g) * db + fabs(g * b.value) * 16 * KIT_ROUNDING;
                kit_near(got[t * c.w[0].rows + r], g * b.value, bound + 1e-6);
            }
        }
        free(got);
        kit_weight_free(&k, &up);
        case_free(&k, &c);
    }
    kit_close(&k);
}

/* embed of all types, norm_add, and logits of chosen rows. */
void test_small_values(void **state)
{
    kit k;
    jv_err err = {0};
    assert_true(kit_open(&k, tests_plugin, 3, tests_isa));
    kit_seed(7);
    for (int i = 0; i < KIT_TYPES; i++) {
        if (!k.api->supports(k.self, kit_types[i])) continue;
        linear_case c = case_new(&k, kit_types[i], 512);
        const int32_t ids[] = {36, 0, 17, 17, 4}, index[] = {3, 0, 3};
        const uint64_t rows = c.w[0].rows;
        float got[5 * 512], chosen[3 * 37];
        assert_int_equal(k.api->embed(k.self, c.x.t, c.w[0].t, ids, 5, 1.5f, &err), JV_OK);
        kit_read(&k, &c.x, got, 5);
        for (int t = 0; t < 5; t++)
            for (uint64_t d = 0; d < 512; d++) {
                double v = 1.5 * kit_weight_at(&c.w[0], (uint64_t)ids[t], d);
                kit_near(got[t * 512 + d], v, fabs(v) * 4 * KIT_ROUNDING + 1e-5); /* d * q - m may cancel */
            }
        kit_activation sum = kit_activation_new(&k, N, 512);
        float *before = kit_floats(N * 512, 1), *after = malloc(N * 512 * sizeof *after);
        kit_fill(&k, &sum, before, N);
        kit_fill(&k, &c.x, c.from, N);
        assert_int_equal(k.api->norm_add(k.self, sum.t, c.x.t, c.norm.t, EPS, N, &err), JV_OK);
        kit_read(&k, &sum, after, N);
        for (int t = 0; t < N; t++) {
            double x[512], step;
            expect_row(BK_F32, c.from + t * 512, c.normed_by, 512, x, &step);
            for (uint64_t d = 0; d < 512; d++) kit_near(after[t * 512 + d], before[t * 512 + d] + x[d], 2e-6);
        }
        bk_logits op = {.struct_size = sizeof op,
            .n = 3,
            .to = chosen,
            .x = c.x.t,
            .index = index,
            .norm = c.norm.t,
            .eps = EPS,
            .head = c.w[0].t};
        assert_int_equal(k.api->logits(k.self, &op, &err), JV_OK);
        for (int t = 0; t < 3; t++) {
            double x[512], step;
            expect_row(kit_types[i], c.from + index[t] * 512, c.normed_by, 512, x, &step);
            for (uint64_t r = 0; r < rows; r++) {
                dot d = expect_dot(&c.w[0], r, x);
                kit_near(chosen[t * rows + r], d.value, bound_of(&d, 512, step, true) + 1e-6);
            }
        }
        free(before);
        free(after);
        kit_activation_free(&k, &sum);
        case_free(&k, &c);
    }
    kit_close(&k);
}

/* Whatever the number of rows and of threads, a row is the same as alone. */
static void same_alone(const kit *k, const kit *one, uint32_t type)
{
    enum { MOST = 40, WIDTH = 256, OUT = 35 };
    jv_err err = {0};
    float *from = kit_floats(MOST * WIDTH, 3), got[MOST * OUT], alone[MOST * OUT];
    kit_seed(type + 1);
    kit_weight w = kit_weight_new(k, type, OUT, WIDTH), up = kit_weight_new(k, type, OUT, WIDTH);
    kit_seed(type + 1);
    kit_weight w1 = kit_weight_new(one, type, OUT, WIDTH), up1 = kit_weight_new(one, type, OUT, WIDTH);
    kit_activation x = kit_activation_new(k, MOST, WIDTH), out = kit_activation_new(k, MOST, OUT);
    kit_activation x1 = kit_activation_new(one, 1, WIDTH), out1 = kit_activation_new(one, 1, OUT);
    for (uint32_t n = 1; n <= MOST; n += n < 20 ? 1 : 5) {
        bk_gated op = {.struct_size = sizeof op, .n = n, .out = out.t, .x = x.t, .gate = w.t, .up = up.t};
        kit_fill(k, &x, from, n);
        assert_int_equal(k->api->gated(k->self, &op, &err), JV_OK);
        kit_read(k, &out, got, n);
        for (uint32_t t = n == 1 ? 0 : n > 20 ? n - 5 : n - 1; t < n; t++) {
            bk_gated single = {.struct_size = sizeof op, .n = 1, .out = out1.t, .x = x1.t, .gate = w1.t, .up = up1.t};
            kit_fill(one, &x1, from + t * WIDTH, 1);
            assert_int_equal(one->api->gated(one->self, &single, &err), JV_OK);
            kit_read(one, &out1, alone + t * OUT, 1);
        }
        assert_memory_equal(got, alone, n * OUT * sizeof *got);
    }
    kit_weight_free(k, &w);
    kit_weight_free(k, &up);
    kit_weight_free(one, &w1);
    kit_weight_free(one, &up1);
    kit_activation_free(k, &x);
    kit_activation_free(k, &out);
    kit_activation_free(one, &x1);
    kit_activation_free(one, &out1);
    free(from);
}

void test_rows_alone(void **state)
{
    for (int threads = 1; threads <= 4; threads++) {
        kit k, one;
        assert_true(kit_open(&k, tests_plugin, threads, tests_isa));
        assert_true(kit_open(&one, tests_plugin, 1, tests_isa));
        for (int i = 0; i < KIT_TYPES; i++)
            if (k.api->supports(k.self, kit_types[i])) same_alone(&k, &one, kit_types[i]);
        kit_close(&k);
        kit_close(&one);
    }
}
