/*
 * plain_test.c: every operation of the plain backend against a computation of its own here, in double or in whole
 * numbers, with a stated bound; and the contract that a row's bytes depend on that row alone, whatever the batch and
 * the threads.
 */
#include "mockhost.h"

#include "../llm/backend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDING 0x1p-24 /* of a float: half a unit in the last place, relative */

static const char *plugin; /* path of jv_plain.so */

/* ---- a backend --------------------------------------------------------------------------------------------------- */

typedef struct backend {
    mock *m;
    const bk_api *api;
    void *self;
} backend;

static backend open_backend(int threads)
{
    backend b = {.m = mock_new(plugin, NULL)};
    char ini[32];
    jv_err err = {0};
    snprintf(ini, sizeof ini, "cores = %d", threads);
    mock_set(b.m, ini);
    assert_int_equal(mock_open(b.m, &err), JV_OK);
    assert_int_equal(mock_start(b.m, &err), JV_OK);
    b.api = mock_stage(b.m)->services[0].api;
    b.self = mock_context(b.m);
    assert_string_equal(mock_stage(b.m)->services[0].id, BACKEND_SERVICE);
    return b;
}

/* ---- numbers that are the same at every run ---------------------------------------------------------------------- */

static uint32_t seed;

static uint32_t random_bits(void)
{
    seed ^= seed << 13; /* Marsaglia, doi:10.18637/jss.v008.i14 */
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

static float uniform(void)
{
    return (float)random_bits() * 0x1p-31f - 1;
}

/* Half precision by its definition. */
static double half_value(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31 ? (fraction ? NAN : INFINITY)
               : exponent     ? ldexp(1024 + fraction, exponent - 25)
                              : ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

static uint16_t random_half(void)
{
    return (uint16_t)((random_bits() & 0x8000) | (10 + random_bits() % 5) << 10 |
                      (random_bits() & 1023)); /* up to 0.5 in size */
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

typedef struct weight {
    uint32_t type;
    uint64_t rows, columns, row_bytes;
    uint8_t *bytes; /* aligned to 64 */
    bk_tensor *t;
} weight;

static const uint32_t types[] = {BK_F32, BK_F16, BK_Q4_0, BK_Q4_1, BK_Q8_0};

static uint64_t bytes_of_row(uint32_t type, uint64_t columns)
{
    switch (type) {
    case BK_F32: return columns * 4;
    case BK_F16: return columns * 2;
    case BK_Q4_0: return columns / 32 * 18;
    case BK_Q4_1: return columns / 32 * 20;
    default: return columns / 32 * 34;
    }
}

static void put_half(uint8_t *p, uint16_t h)
{
    memcpy(p, &h, 2);
}

static uint16_t get_half(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    return h;
}

static void fill_row(const weight *w, uint8_t *p)
{
    uint64_t block = w->type == BK_Q8_0 ? 34 : w->type == BK_Q4_1 ? 20 : 18;
    for (uint64_t i = 0; i < w->columns && w->type == BK_F32; i++) {
        float f = uniform();
        memcpy(p + 4 * i, &f, 4);
    }
    for (uint64_t i = 0; i < w->columns && w->type == BK_F16; i++) put_half(p + 2 * i, random_half());
    if (w->type == BK_F32 || w->type == BK_F16) return;
    for (uint64_t i = 0; i < w->row_bytes; i++) p[i] = (uint8_t)(random_bits() >> 7);
    for (uint64_t b = 0; b < w->row_bytes; b += block) {
        put_half(p + b, random_half());
        if (w->type == BK_Q4_1) put_half(p + b + 2, random_half());
    }
}

static weight make_weight(const backend *b, uint32_t type, uint64_t rows, uint64_t columns)
{
    weight w = {type, rows, columns, bytes_of_row(type, columns), NULL, NULL};
    uint64_t all = rows * w.row_bytes;
    w.bytes = aligned_alloc(64, (all + 63) / 64 * 64);
    for (uint64_t r = 0; r < rows; r++) fill_row(&w, w.bytes + r * w.row_bytes);
    jv_err err = {0};
    w.t = b->api->upload(b->self, &(bk_source){sizeof(bk_source), type, rows, columns, w.bytes, all}, &err);
    assert_non_null(w.t);
    return w;
}

static void free_weight(const backend *b, weight *w)
{
    b->api->tensor_free(b->self, w->t);
    free(w->bytes);
}

/* Scale, minimum and whole number of one weight. */
static void parts_of(const weight *w, uint64_t row, uint64_t column, double *d, double *m, int *q)
{
    uint64_t b = column / 32, i = column % 32;
    const uint8_t *p = w->bytes + row * w->row_bytes + b * (w->type == BK_Q8_0 ? 34 : w->type == BK_Q4_1 ? 20 : 18);
    *d = half_value(get_half(p));
    *m = w->type == BK_Q4_1 ? half_value(get_half(p + 2)) : 0;
    if (w->type == BK_Q8_0) {
        *q = (int8_t)p[2 + i];
        return;
    }
    const uint8_t *nibbles = p + (w->type == BK_Q4_1 ? 4 : 2);
    *q = i < 16 ? nibbles[i] % 16 : nibbles[i - 16] / 16;
    if (w->type == BK_Q4_0) *q -= 8;
}

static double weight_at(const weight *w, uint64_t row, uint64_t column)
{
    const uint8_t *p = w->bytes + row * w->row_bytes;
    double d, m;
    int q;
    float f;
    if (w->type == BK_F16) return half_value(get_half(p + 2 * column));
    memcpy(&f, p + 4 * (w->type == BK_F32 ? column : 0), 4);
    if (w->type == BK_F32) return f;
    parts_of(w, row, column, &d, &m, &q);
    return d * q + m;
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

typedef struct activation {
    uint64_t rows, width;
    bk_tensor *t;
} activation;

static activation make_activation(const backend *b, uint64_t rows, uint64_t width)
{
    jv_err err = {0};
    activation a = {rows, width, b->api->activation(b->self, rows, width, &err)};
    assert_non_null(a.t);
    return a;
}

/* Fills an activation by the one way there is: rows of a table. */
static void fill(const backend *b, const activation *a, const float *from)
{
    jv_err err = {0};
    uint64_t bytes = a->rows * a->width * 4;
    float *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    int32_t *ids = malloc(a->rows * sizeof *ids);
    memcpy(data, from, bytes);
    for (uint64_t i = 0; i < a->rows; i++) ids[i] = (int32_t)i;
    bk_tensor *table =
        b->api->upload(b->self, &(bk_source){sizeof(bk_source), BK_F32, a->rows, a->width, data, bytes}, &err);
    assert_non_null(table);
    assert_int_equal(b->api->embed(b->self, a->t, table, ids, (uint32_t)a->rows, &err), JV_OK);
    b->api->tensor_free(b->self, table);
    free(ids);
    free(data);
}

static float *values(const backend *b, const activation *a, uint32_t n)
{
    jv_err err = {0};
    float *v = malloc(n * a->width * sizeof *v);
    assert_int_equal(b->api->read(b->self, a->t, v, n, &err), JV_OK);
    return v;
}

static float *random_floats(uint64_t n)
{
    float *v = malloc(n * sizeof *v);
    for (uint64_t i = 0; i < n; i++) v[i] = uniform() * 3;
    return v;
}

static void near(double got, double expected, double bound)
{
    if (fabs(got - expected) <= bound) return;
    fail_msg("got %.9g, expected %.9g, %.3g apart, bound %.3g", got, expected, fabs(got - expected), bound);
}

/* ---- linear ------------------------------------------------------------------------------------------------------ */

/* The dot product by the contract of backend.h, and the sum of the sizes of its terms. */
static double expected_dot(const weight *w, uint64_t row, const float *x, double *size)
{
    double sum = 0;
    *size = 0;
    if (w->type == BK_F32 || w->type == BK_F16) {
        for (uint64_t i = 0; i < w->columns; i++) {
            double term = weight_at(w, row, i) * x[i];
            sum += term;
            *size += fabs(term);
        }
        return sum;
    }
    for (uint64_t b = 0; b < w->columns; b += 32) {
        float most = 0;
        for (int i = 0; i < 32; i++) most = fmaxf(most, fabsf(x[b + i]));
        float scale = most / 127;
        long long products = 0, total = 0;
        double d, m;
        for (int i = 0; i < 32; i++) {
            int q, a = scale == 0 ? 0 : (int)roundf(x[b + i] / scale);
            parts_of(w, row, b + i, &d, &m, &q);
            products += q * a;
            total += a;
        }
        sum += scale * (d * products + m * total);
        *size += fabs(scale * d * products) + fabs(scale * m * total);
    }
    return sum;
}

static void check_linear(const backend *b, uint32_t type, uint64_t rows, uint64_t columns, uint32_t n, bool bias, bool add)
{
    jv_err err = {0};
    weight w = make_weight(b, type, rows, columns), bw = make_weight(b, BK_F32, 1, rows);
    activation x = make_activation(b, n, columns), out = make_activation(b, n, rows);
    float *from = random_floats(n * columns), *before = random_floats(n * rows);
    for (uint64_t i = 0; i < columns && i < 32; i++) from[i] = 0; /* a block without any value */
    fill(b, &x, from);
    fill(b, &out, before);
    assert_int_equal(b->api->linear(b->self, out.t, w.t, bias ? bw.t : NULL, x.t, add, n, &err), JV_OK);
    float *got = values(b, &out, n);
    for (uint32_t t = 0; t < n; t++)
        for (uint64_t r = 0; r < rows; r++) {
            double size, expected = expected_dot(&w, r, from + t * columns, &size);
            double extra = bias ? weight_at(&bw, 0, r) : 0, old = add ? before[t * rows + r] : 0;
            /* a rounding for each term of the longest chain of additions, and one for each product and scale */
            double chain = (double)columns / 16 + 12;
            near(got[t * rows + r], expected + extra + old, chain * ROUNDING * (size + fabs(extra) + fabs(old)));
        }
    free(got);
    free(from);
    free(before);
    free_weight(b, &w);
    free_weight(b, &bw);
    b->api->tensor_free(b->self, x.t);
    b->api->tensor_free(b->self, out.t);
}

static void test_linear(void **state)
{
    backend b = open_backend(2);
    seed = 1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        check_linear(&b, types[i], 33, 96, 5, false, false);
        check_linear(&b, types[i], 1, 32, 1, true, false);
        check_linear(&b, types[i], 7, 1536, 17, true, true);
        check_linear(&b, types[i], 200, 64, 33, false, true);
    }
    check_linear(&b, BK_F32, 3, 5, 2, false, false);
    check_linear(&b, BK_F32, 9, 83, 18, true, false);
    check_linear(&b, BK_F16, 2, 1, 1, false, true);
    check_linear(&b, BK_F16, 5, 79, 3, false, false);
    mock_free(b.m);
}

static void check_gated(const backend *b, uint32_t gate_type, uint32_t up_type)
{
    enum { ROWS = 40, COLUMNS = 64, N = 18 };
    jv_err err = {0};
    weight gate = make_weight(b, gate_type, ROWS, COLUMNS), up = make_weight(b, up_type, ROWS, COLUMNS);
    activation x = make_activation(b, N, COLUMNS), out = make_activation(b, N, ROWS);
    float *from = random_floats(N * COLUMNS);
    fill(b, &x, from);
    assert_int_equal(b->api->gated(b->self, out.t, gate.t, up.t, x.t, N, &err), JV_OK);
    float *got = values(b, &out, N);
    for (int t = 0; t < N; t++)
        for (int r = 0; r < ROWS; r++) {
            double gate_size, up_size, g = expected_dot(&gate, (uint64_t)r, from + t * COLUMNS, &gate_size);
            double u = expected_dot(&up, (uint64_t)r, from + t * COLUMNS, &up_size);
            /* silu has a slope of at most 1.1 */
            double bound = 20 * ROUNDING * (1.1 * gate_size * fabs(u) + up_size * fabs(g) + fabs(g * u));
            near(got[t * ROWS + r], g / (1 + exp(-g)) * u, bound);
        }
    free(got);
    free(from);
    free_weight(b, &gate);
    free_weight(b, &up);
    b->api->tensor_free(b->self, x.t);
    b->api->tensor_free(b->self, out.t);
}

static void test_gated(void **state)
{
    backend b = open_backend(2);
    seed = 2;
    for (size_t i = 0; i < 5; i++) check_gated(&b, types[i], types[i]);
    check_gated(&b, BK_F32, BK_Q4_1);
    mock_free(b.m);
}

/* ---- small operations -------------------------------------------------------------------------------------------- */

static void test_embed(void **state)
{
    backend b = open_backend(1);
    jv_err err = {0};
    seed = 3;
    for (size_t i = 0; i < 5; i++) {
        int32_t ids[] = {6, 0, 3, 3};
        weight w = make_weight(&b, types[i], 7, 64);
        activation out = make_activation(&b, 4, 64);
        assert_int_equal(b.api->embed(b.self, out.t, w.t, ids, 4, &err), JV_OK);
        float *got = values(&b, &out, 4);
        for (int t = 0; t < 4; t++)
            for (int c = 0; c < 64; c++) {
                double expected = weight_at(&w, (uint64_t)ids[t], (uint64_t)c);
                near(got[t * 64 + c], expected, 20 * ROUNDING * (fabs(expected) + 1));
                if (types[i] == BK_F32 || types[i] == BK_F16 || types[i] == BK_Q8_0)
                    assert_true(got[t * 64 + c] == (float)expected);
            }
        free(got);
        free_weight(&b, &w);
        b.api->tensor_free(b.self, out.t);
    }
    mock_free(b.m);
}

static void test_every_half(void **state)
{
    enum { ROWS = 2048, COLUMNS = 32 };
    backend b = open_backend(1);
    jv_err err = {0};
    weight w = make_weight(&b, BK_F16, ROWS, COLUMNS);
    int32_t *ids = malloc(ROWS * sizeof *ids);
    for (int i = 0; i < ROWS; i++) ids[i] = i;
    for (int i = 0; i < 65536; i++) put_half(w.bytes + 2 * i, (uint16_t)i);
    activation out = make_activation(&b, ROWS, COLUMNS);
    assert_int_equal(b.api->embed(b.self, out.t, w.t, ids, ROWS, &err), JV_OK);
    float *got = values(&b, &out, ROWS);
    for (int i = 0; i < 65536; i++) {
        double expected = half_value((uint16_t)i);
        assert_true(isnan(expected) ? isnan(got[i]) : got[i] == expected && !signbit(got[i]) == !signbit(expected));
    }
    free(got);
    free(ids);
    free_weight(&b, &w);
    b.api->tensor_free(b.self, out.t);
    mock_free(b.m);
}

static void test_rms_norm(void **state)
{
    backend b = open_backend(1);
    jv_err err = {0};
    seed = 4;
    for (uint64_t width = 1; width < 600; width = width * 3 + 2) {
        weight w = make_weight(&b, BK_F32, 1, width);
        activation x = make_activation(&b, 3, width);
        float *from = random_floats(3 * width);
        fill(&b, &x, from);
        assert_int_equal(b.api->rms_norm(b.self, x.t, x.t, w.t, 1e-5f, 3, &err), JV_OK);
        float *got = values(&b, &x, 3);
        for (uint64_t t = 0; t < 3; t++) {
            double sum = 0;
            for (uint64_t i = 0; i < width; i++) sum += (double)from[t * width + i] * from[t * width + i];
            for (uint64_t i = 0; i < width; i++) {
                double expected = from[t * width + i] / sqrt(sum / (double)width + (double)1e-5f) * weight_at(&w, 0, i);
                near(got[t * width + i], expected, ((double)width / 16 + 12) * ROUNDING * fabs(expected));
            }
        }
        free(got);
        free(from);
        free_weight(&b, &w);
        b.api->tensor_free(b.self, x.t);
    }
    mock_free(b.m);
}

static void test_take(void **state)
{
    backend b = open_backend(1);
    jv_err err = {0};
    int32_t index[] = {4, 0, 4};
    seed = 5;
    activation x = make_activation(&b, 5, 7), out = make_activation(&b, 3, 7);
    float *from = random_floats(35);
    fill(&b, &x, from);
    assert_int_equal(b.api->take(b.self, out.t, x.t, index, 3, &err), JV_OK);
    float *got = values(&b, &out, 3);
    for (int i = 0; i < 3; i++) assert_memory_equal(got + 7 * i, from + 7 * index[i], 28);
    index[1] = 5;
    assert_int_equal(b.api->take(b.self, out.t, x.t, index, 3, &err), JV_FATAL);
    free(got);
    free(from);
    b.api->tensor_free(b.self, x.t);
    b.api->tensor_free(b.self, out.t);
    mock_free(b.m);
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* A layer's attention over one sequence, with room for its queries, keys and values. */
typedef struct attention {
    bk_attention a;
    bk_rope rope;
    uint32_t n;
    activation q, k, v, out;
    float *query, *key, *value;
} attention;

static attention make_attention(const backend *b, uint32_t n, uint32_t heads, uint32_t kv_heads, uint32_t dim,
    uint32_t rope_dims)
{
    attention t = {
        .a = {sizeof(bk_attention), 1, heads, kv_heads, dim, 1 / sqrtf((float)dim)},
        .rope = {sizeof(bk_rope), rope_dims, 10000, NULL},
        .n = n,
        .q = make_activation(b, n, heads * dim),
        .k = make_activation(b, n, kv_heads * dim),
        .v = make_activation(b, n, kv_heads * dim),
        .out = make_activation(b, n, heads * dim),
        .query = random_floats(n * heads * dim),
        .key = random_floats(n * kv_heads * dim),
        .value = random_floats(n * kv_heads * dim),
    };
    return t;
}

static void free_attention(const backend *b, attention *t)
{
    activation *all[] = {&t->q, &t->k, &t->v, &t->out};
    for (int i = 0; i < 4; i++) b->api->tensor_free(b->self, all[i]->t);
    free(t->query);
    free(t->key);
    free(t->value);
}

static bk_kv *make_kv(const backend *b, const attention *t, uint32_t type)
{
    jv_err err = {0};
    bk_kv *kv = b->api->kv_new(b->self,
        &(bk_kv_shape){sizeof(bk_kv_shape), type, 2, t->a.kv_heads, t->a.head_dim, t->n + 3}, &err);
    assert_non_null(kv);
    return kv;
}

/* Tokens first..first+n-1 of the sequence in one batch; their outputs to out. */
static void run_attention(const backend *b, attention *t, bk_kv *kv, uint32_t first, uint32_t n, float *out)
{
    jv_err err = {0};
    int32_t pos[512];
    bk_kv *kvs[512];
    for (uint32_t i = 0; i < n; i++) {
        pos[i] = (int32_t)(first + i);
        kvs[i] = kv;
    }
    bk_batch batch = {sizeof batch, n, pos, kvs};
    uint64_t q_width = t->q.width, kv_width = t->k.width;
    fill(b, &(activation){n, q_width, t->q.t}, t->query + first * q_width);
    fill(b, &(activation){n, kv_width, t->k.t}, t->key + first * kv_width);
    fill(b, &(activation){n, kv_width, t->v.t}, t->value + first * kv_width);
    assert_int_equal(b->api->rope_append(b->self, t->q.t, t->k.t, t->v.t, &t->rope, &t->a, &batch, &err), JV_OK);
    assert_int_equal(b->api->attend(b->self, t->out.t, t->q.t, &t->a, &batch, &err), JV_OK);
    assert_int_equal(b->api->read(b->self, t->out.t, out + first * q_width, n, &err), JV_OK);
}

static void rotate(const attention *t, const float *factors, double *x, uint32_t pos)
{
    for (uint32_t i = 0; i < t->rope.dims / 2; i++) {
        double angle = pos * pow(t->rope.base, -2.0 * i / t->rope.dims) / (factors ? factors[i] : 1);
        double even = x[2 * i], odd = x[2 * i + 1];
        x[2 * i] = even * cos(angle) - odd * sin(angle);
        x[2 * i + 1] = even * sin(angle) + odd * cos(angle);
    }
}

/* One head's output at one position, by the formula. */
static void expected_attention(const attention *t, const float *factors, uint32_t pos, uint32_t head, double *out)
{
    uint32_t dim = t->a.head_dim, kv_head = head / (t->a.heads / t->a.kv_heads);
    double q[256], k[256], sum = 0, most = -INFINITY, *score = malloc((pos + 1) * sizeof *score);
    for (uint32_t d = 0; d < dim; d++) q[d] = t->query[pos * t->q.width + head * dim + d];
    rotate(t, factors, q, pos);
    for (uint32_t p = 0; p <= pos; p++) {
        for (uint32_t d = 0; d < dim; d++) k[d] = t->key[p * t->k.width + kv_head * dim + d];
        rotate(t, factors, k, p);
        score[p] = 0;
        for (uint32_t d = 0; d < dim; d++) score[p] += q[d] * k[d] * (double)t->a.scale;
        most = fmax(most, score[p]);
    }
    for (uint32_t d = 0; d < dim; d++) out[d] = 0;
    for (uint32_t p = 0; p <= pos; p++) {
        double e = exp(score[p] - most);
        sum += e;
        for (uint32_t d = 0; d < dim; d++) out[d] += e * t->value[p * t->v.width + kv_head * dim + d];
    }
    for (uint32_t d = 0; d < dim; d++) out[d] /= sum;
    free(score);
}

static void check_attention(const backend *b, uint32_t type, uint32_t n, uint32_t heads, uint32_t kv_heads,
    uint32_t dim, bool factors)
{
    attention t = make_attention(b, n, heads, kv_heads, dim, dim > 6 ? dim - 2 : dim);
    weight f = make_weight(b, BK_F32, 1, t.rope.dims / 2);
    float *factor = (float *)(void *)f.bytes;
    for (uint32_t i = 0; i < t.rope.dims / 2; i++) factor[i] = 1 + (float)i;
    if (factors) t.rope.factors = f.t;
    bk_kv *kv = make_kv(b, &t, type);
    float *got = malloc(n * t.q.width * sizeof *got);
    run_attention(b, &t, kv, 0, n, got);
    /* values are at most 3: f16 keys move a score by up to scale * sum |q| |k| 2^-11, that is 0.02 for heads of 64 */
    double bound = type == BK_F16 ? 0.05 : 3e-5, expected[256];
    for (uint32_t p = 0; p < n; p++)
        for (uint32_t h = 0; h < heads; h++) {
            expected_attention(&t, factors ? factor : NULL, p, h, expected);
            for (uint32_t d = 0; d < dim; d++) near(got[p * t.q.width + h * dim + d], expected[d], bound);
        }
    free(got);
    b->api->kv_free(b->self, kv);
    free_weight(b, &f);
    free_attention(b, &t);
}

static void test_attention(void **state)
{
    backend b = open_backend(2);
    seed = 6;
    check_attention(&b, BK_F32, 70, 9, 3, 64, false);
    check_attention(&b, BK_F32, 1, 1, 1, 2, false);
    check_attention(&b, BK_F32, 33, 4, 1, 6, true);
    check_attention(&b, BK_F32, 40, 3, 3, 256, true);
    check_attention(&b, BK_F16, 65, 4, 2, 64, false);
    mock_free(b.m);
}

/* ---- the contract: a row depends on itself alone ----------------------------------------------------------------- */

enum { MOST_ROWS = 20, OUTS = 70, INS = 18 * 32 }; /* 18 blocks: one strip of linear.c and a part of another */

/* Outputs of all operations over weights for the first n of 20 rows, one after the other. */
static float *all_rows(int threads, uint32_t type, uint32_t n)
{
    backend b = open_backend(threads);
    jv_err err = {0};
    seed = 7;
    weight w = make_weight(&b, type, OUTS, INS), u = make_weight(&b, type, OUTS, INS),
           norm = make_weight(&b, BK_F32, 1, INS);
    activation x = make_activation(&b, MOST_ROWS, INS), out = make_activation(&b, MOST_ROWS, OUTS);
    float *from = random_floats(MOST_ROWS * INS), *got = malloc(n * (2 * OUTS + INS) * sizeof *got);
    fill(&b, &x, from);
    assert_int_equal(b.api->linear(b.self, out.t, w.t, NULL, x.t, 0, n, &err), JV_OK);
    assert_int_equal(b.api->read(b.self, out.t, got, n, &err), JV_OK);
    assert_int_equal(b.api->gated(b.self, out.t, w.t, u.t, x.t, n, &err), JV_OK);
    assert_int_equal(b.api->read(b.self, out.t, got + n * OUTS, n, &err), JV_OK);
    assert_int_equal(b.api->rms_norm(b.self, x.t, x.t, norm.t, 1e-6f, n, &err), JV_OK);
    assert_int_equal(b.api->read(b.self, x.t, got + n * 2 * OUTS, n, &err), JV_OK);
    free(from);
    free_weight(&b, &w);
    free_weight(&b, &u);
    free_weight(&b, &norm);
    b.api->tensor_free(b.self, x.t);
    b.api->tensor_free(b.self, out.t);
    mock_free(b.m);
    return got;
}

static void test_rows_alone(void **state)
{
    for (size_t i = 0; i < 5; i++) {
        float *all = all_rows(1, types[i], MOST_ROWS);
        for (int threads = 1; threads <= 3; threads++)
            for (uint32_t n = 1; n <= MOST_ROWS; n++) {
                float *some = all_rows(threads, types[i], n);
                assert_memory_equal(some, all, n * OUTS * sizeof *all);
                assert_memory_equal(some + n * OUTS, all + MOST_ROWS * OUTS, n * OUTS * sizeof *all);
                assert_memory_equal(some + n * 2 * OUTS, all + MOST_ROWS * 2 * OUTS, n * INS * sizeof *all);
                free(some);
            }
        free(all);
    }
}

static float *attention_in_portions(int threads, uint32_t portion, uint32_t type)
{
    enum { N = 75 };
    backend b = open_backend(threads);
    seed = 8;
    attention t = make_attention(&b, N, 6, 2, 34, 34);
    bk_kv *kv = make_kv(&b, &t, type);
    float *got = malloc(N * t.q.width * sizeof *got);
    for (uint32_t at = 0; at < N; at += portion)
        run_attention(&b, &t, kv, at, at + portion < N ? portion : N - at, got);
    b.api->kv_free(b.self, kv);
    free_attention(&b, &t);
    mock_free(b.m);
    return got;
}

static void test_attention_alone(void **state)
{
    static const uint32_t kinds[] = {BK_F16, BK_F32};
    for (int k = 0; k < 2; k++) {
        float *all = attention_in_portions(1, 75, kinds[k]);
        for (int threads = 1; threads <= 3; threads++)
            for (uint32_t portion = 1; portion <= 20; portion++) {
                float *some = attention_in_portions(threads, portion, kinds[k]);
                assert_memory_equal(some, all, 75 * 6 * 34 * sizeof *all);
                free(some);
            }
        free(all);
    }
}

/* Tokens of two sequences in turn, in one batch. */
static void test_two_sequences(void **state)
{
    enum { N = 9, WIDTH = 4 * 16 };
    backend b = open_backend(2);
    jv_err err = {0};
    seed = 9;
    attention t = make_attention(&b, 2 * N, 4, 2, 16, 16);
    bk_kv *kv[2] = {make_kv(&b, &t, BK_F16), make_kv(&b, &t, BK_F16)}, *kvs[2 * N];
    int32_t pos[2 * N];
    for (int i = 0; i < 2 * N; i++) {
        pos[i] = i / 2;
        kvs[i] = kv[i % 2];
    }
    fill(&b, &t.q, t.query);
    fill(&b, &t.k, t.key);
    fill(&b, &t.v, t.value);
    bk_batch batch = {sizeof batch, 2 * N, pos, kvs};
    assert_int_equal(b.api->rope_append(b.self, t.q.t, t.k.t, t.v.t, &t.rope, &t.a, &batch, &err), JV_OK);
    assert_int_equal(b.api->attend(b.self, t.out.t, t.q.t, &t.a, &batch, &err), JV_OK);
    float *both = values(&b, &t.out, 2 * N);
    for (int s = 0; s < 2; s++) {
        bk_kv *own = make_kv(&b, &t, BK_F16);
        float one[2 * N * WIDTH];
        attention alone = t;
        alone.query = malloc(N * WIDTH * 4);
        alone.key = malloc(N * WIDTH * 4);
        alone.value = malloc(N * WIDTH * 4);
        for (int i = 0; i < N; i++) {
            memcpy(alone.query + i * WIDTH, t.query + (2 * i + s) * WIDTH, WIDTH * 4);
            memcpy(alone.key + i * 32, t.key + (2 * i + s) * 32, 32 * 4);
            memcpy(alone.value + i * 32, t.value + (2 * i + s) * 32, 32 * 4);
        }
        run_attention(&b, &alone, own, 0, N, one);
        for (int i = 0; i < N; i++) assert_memory_equal(one + i * WIDTH, both + (2 * i + s) * WIDTH, WIDTH * 4);
        free(alone.query);
        free(alone.key);
        free(alone.value);
        b.api->kv_free(b.self, own);
    }
    free(both);
    for (int s = 0; s < 2; s++) b.api->kv_free(b.self, kv[s]);
    free_attention(&b, &t);
    mock_free(b.m);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

#define REFUSED(call, part)                                                                                            \
    do {                                                                                                               \
        jv_err err = {0};                                                                                              \
        assert_int_equal(call, JV_FATAL);                                                                              \
        assert_non_null(strstr(err.text, part));                                                                       \
    } while (0)

static void test_shapes_refused(void **state)
{
    backend b = open_backend(1);
    weight w = make_weight(&b, BK_F32, 8, 32), narrow = make_weight(&b, BK_F32, 8, 16),
           half = make_weight(&b, BK_F16, 1, 8);
    activation x = make_activation(&b, 2, 32), out = make_activation(&b, 2, 8), other = make_activation(&b, 2, 9);
    int32_t ids[] = {0, 8};
    void *s = b.self;
    REFUSED(b.api->linear(s, out.t, narrow.t, NULL, x.t, 0, 1, &err), "linear: x");
    REFUSED(b.api->linear(s, other.t, w.t, NULL, x.t, 0, 1, &err), "linear: out");
    REFUSED(b.api->linear(s, out.t, w.t, NULL, x.t, 0, 3, &err), "linear: x is 2 x 32; 3 x 32");
    REFUSED(b.api->linear(s, out.t, x.t, NULL, x.t, 0, 1, &err), "linear: w is an activation");
    REFUSED(b.api->linear(s, out.t, w.t, w.t, x.t, 0, 1, &err), "linear: bias");
    REFUSED(b.api->linear(s, out.t, w.t, half.t, x.t, 0, 1, &err), "F32");
    REFUSED(b.api->gated(s, out.t, w.t, narrow.t, x.t, 1, &err), "gated: up");
    REFUSED(b.api->rms_norm(s, out.t, x.t, w.t, 0, 1, &err), "rms_norm");
    REFUSED(b.api->embed(s, out.t, w.t, ids, 1, &err), "embed: out");
    REFUSED(b.api->embed(s, x.t, w.t, ids, 2, &err), "embed: id 8 in a table of 8");
    REFUSED(b.api->read(s, x.t, NULL, 3, &err), "read");
    free_weight(&b, &w);
    free_weight(&b, &narrow);
    free_weight(&b, &half);
    b.api->tensor_free(s, x.t);
    b.api->tensor_free(s, out.t);
    b.api->tensor_free(s, other.t);
    mock_free(b.m);
}

static void test_attention_refused(void **state)
{
    backend b = open_backend(1);
    attention t = make_attention(&b, 2, 4, 2, 16, 16);
    bk_kv *kv = make_kv(&b, &t, BK_F32), *kvs[] = {kv, kv};
    int32_t pos[] = {0, 1}, beyond[] = {4, 5};
    bk_batch batch = {sizeof batch, 2, pos, kvs}, out_of_room = {sizeof batch, 2, beyond, kvs};
    bk_attention a = t.a;
    bk_rope odd = t.rope;
    odd.dims = 3;
    REFUSED(b.api->rope_append(b.self, t.q.t, t.k.t, t.v.t, &t.rope, &a, &out_of_room, &err),
        "position 5 of a cache of 5");
    REFUSED(b.api->rope_append(b.self, t.q.t, t.k.t, t.v.t, &odd, &a, &batch, &err), "3 dimensions");
    REFUSED(b.api->attend(b.self, t.k.t, t.q.t, &a, &batch, &err), "attend: out");
    a.layer = 2;
    REFUSED(b.api->attend(b.self, t.out.t, t.q.t, &a, &batch, &err), "layer 2");
    a.layer = 0;
    a.kv_heads = 3;
    REFUSED(b.api->attend(b.self, t.out.t, t.q.t, &a, &batch, &err), "attend: 4 heads on 3");
    jv_err err = {0};
    assert_int_equal(b.api->check_heads(b.self, &t.a, &err), JV_OK);
    assert_int_equal(b.api->check_heads(b.self, &a, &err), JV_BAD);
    a = t.a;
    a.head_dim = 257;
    assert_int_equal(b.api->check_heads(b.self, &a, &err), JV_BAD);
    assert_string_equal(err.text, "heads of 257; 1..256 is allowed");
    b.api->kv_free(b.self, kv);
    free_attention(&b, &t);
    mock_free(b.m);
}

static void test_sizes(void **state)
{
    backend b = open_backend(1);
    const bk_api *api = b.api;
    void *s = b.self;
    _Alignas(64) static uint8_t data[128];
    for (size_t i = 0; i < 5; i++) assert_int_equal(api->supports(s, types[i]), 1);
    assert_int_equal(api->supports(s, 12), 0);
    bk_kv_shape shape = {sizeof shape, BK_F16, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    assert_true(api->kv_bytes(s, &shape) == UINT64_MAX);
    assert_true(api->activation_bytes(s, UINT64_MAX, 2) == UINT64_MAX);
    assert_true(api->weight_bytes(s, BK_F32, UINT64_MAX / 4, 32) == UINT64_MAX);
    bk_source wrong[] = {
        {sizeof *wrong, BK_Q8_0, 1, 33, data, 34},
        {sizeof *wrong, BK_F32, 2, 8, data, 63},
        {sizeof *wrong, BK_F32, 0, 8, data, 0},
        {sizeof *wrong, 12, 1, 32, data, 18},
        {sizeof *wrong, BK_F32, UINT64_MAX / 2, 8, data, 0},
        {sizeof *wrong, BK_F32, 1, 4, data + 1, 16},
    };
    jv_err err = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(api->upload(s, &wrong[i], &err));
        assert_int_equal(err.code, JV_BAD);
    }
    assert_null(api->activation(s, 0, 8, &err));
    assert_null(api->kv_new(s, &shape, &err));
    assert_int_equal(err.code, JV_BAD);
    api->tensor_free(s, NULL);
    api->kv_free(s, NULL);
    mock_free(b.m);
}

/* NaN and infinity in weights and activations end as NaN or infinity, never in a crash or a number. */
static void test_not_numbers(void **state)
{
    backend b = open_backend(2);
    jv_err err = {0};
    seed = 10;
    for (size_t i = 0; i < 5; i++) {
        weight w = make_weight(&b, types[i], 9, 64);
        activation x = make_activation(&b, 3, 64), out = make_activation(&b, 3, 9);
        float *from = random_floats(3 * 64), inf = INFINITY;
        from[5] = NAN;
        from[64 + 7] = -INFINITY;
        fill(&b, &x, from);
        if (types[i] == BK_F32)
            memcpy(w.bytes + 8 * w.row_bytes, &inf, 4);
        else
            put_half(w.bytes + 8 * w.row_bytes, 0x7e00);
        assert_int_equal(b.api->linear(b.self, out.t, w.t, NULL, x.t, 0, 3, &err), JV_OK);
        float *got = values(&b, &out, 3);
        for (int r = 0; r < 9; r++) assert_false(isfinite(got[r]) || isfinite(got[9 + r]));
        assert_false(isfinite(got[2 * 9 + 8]));
        for (int r = 0; r < 8; r++) assert_true(isfinite(got[2 * 9 + r]));
        free(got);
        free(from);
        free_weight(&b, &w);
        b.api->tensor_free(b.self, x.t);
        b.api->tensor_free(b.self, out.t);
    }
    attention t = make_attention(&b, 40, 2, 1, 16, 16);
    bk_kv *kv = make_kv(&b, &t, BK_F16);
    float got[40 * 32];
    t.key[3 * 16] = NAN;
    t.value[20 * 16 + 2] = INFINITY;
    run_attention(&b, &t, kv, 0, 40, got);
    assert_true(isfinite(got[2 * 32]) && isnan(got[3 * 32]) && isnan(got[39 * 32]));
    b.api->kv_free(b.self, kv);
    free_attention(&b, &t);
    mock_free(b.m);
}

static void test_cores(void **state)
{
    jv_err err = {0};
    mock *m = mock_new(plugin, NULL);
    assert_int_equal(mock_open(m, &err), JV_OK); /* auto */
    const bk_api *api = mock_stage(m)->services[0].api;
    assert_non_null(strstr(api->describe(mock_context(m)), "thread"));
    mock_free(m);
    m = mock_new(plugin, NULL);
    mock_set(m, "cores = 257");
    assert_int_equal(mock_open(m, &err), JV_BAD);
    mock_free(m);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    plugin = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_gated),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_every_half),
        cmocka_unit_test(test_rms_norm),
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_rows_alone),
        cmocka_unit_test(test_attention_alone),
        cmocka_unit_test(test_two_sequences),
        cmocka_unit_test(test_shapes_refused),
        cmocka_unit_test(test_attention_refused),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_not_numbers),
        cmocka_unit_test(test_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
