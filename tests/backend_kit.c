/* backend_kit.c: see backend_kit.h. */
#include "backend_kit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const uint32_t kit_types[KIT_TYPES] = {BK_F32, BK_F16, BK_BF16, BK_Q4_0, BK_Q4_1, BK_Q5_0, BK_Q5_1, BK_Q8_0, BK_Q4_K,
    BK_Q5_K, BK_Q6_K};

/* ---- a backend --------------------------------------------------------------------------------------------------- */

static bool has_option(const jv_stage *stage, const char *name)
{
    for (const jv_opt *o = stage->opts; o && o->name; o++)
        if (strcmp(o->name, name) == 0) return true;
    return false;
}

bool kit_open(kit *k, const char *so, int threads, const char *isa)
{
    char ini[64];
    jv_err err = {0};
    *k = (kit){.m = mock_new(so, NULL)};
    if (isa && !has_option(mock_stage(k->m), "isa")) {
        mock_free(k->m);
        return false;
    }
    snprintf(ini, sizeof ini, "cores = %d%s%s", threads, isa ? "\nisa = " : "", isa ? isa : "");
    mock_set(k->m, ini);
    if (mock_open(k->m, &err) != JV_OK) {
        assert_non_null(isa);
        assert_non_null(strstr(err.text, "processor"));
        mock_free(k->m);
        return false;
    }
    assert_int_equal(mock_start(k->m, &err), JV_OK);
    assert_string_equal(mock_stage(k->m)->services[0].id, BACKEND_SERVICE);
    k->api = mock_stage(k->m)->services[0].api;
    k->self = mock_context(k->m);
    return true;
}

void kit_close(kit *k)
{
    mock_free(k->m);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static uint32_t seed = 1;

void kit_seed(uint32_t s)
{
    seed = s;
}

uint32_t kit_random(void)
{
    seed ^= seed << 13; /* Marsaglia, doi:10.18637/jss.v008.i14 */
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
}

float kit_uniform(void)
{
    return (float)kit_random() * 0x1p-31f - 1;
}

float *kit_floats(uint64_t n, float most)
{
    float *v = malloc(n * sizeof *v);
    for (uint64_t i = 0; i < n; i++) v[i] = kit_uniform() * most;
    return v;
}

double kit_half(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31 ? (fraction ? NAN : INFINITY)
               : exponent     ? ldexp(1024 + fraction, exponent - 25)
                              : ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

float kit_to_half(float f)
{
    int exponent;
    frexp(f, &exponent); /* f = m * 2^exponent, m in [0.5, 1): 11 bits of it are kept, fewer below 2^-14 */
    double unit = ldexp(1, (exponent < -13 ? -13 : exponent) - 11);
    double v = rint(f / unit) * unit;
    return (float)(fabs(v) >= 65520 ? copysign(INFINITY, v) : v);
}

void kit_near(double got, double expected, double bound)
{
    if (fabs(got - expected) <= bound) return;
    fail_msg("got %.9g, expected %.9g, %.3g apart, bound %.3g", got, expected, fabs(got - expected), bound);
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* Columns and bytes of a block of the file, and where in it are numbers of binary16. */
typedef struct format {
    uint32_t type, columns, bytes, n_halves, half[2];
} format;

static const format formats[] = {
    {BK_F32, 1, 4, 0, {0}},
    {BK_F16, 1, 2, 1, {0}},
    {BK_BF16, 1, 2, 0, {0}},
    {BK_Q4_0, 32, 18, 1, {0}},
    {BK_Q4_1, 32, 20, 2, {0, 2}},
    {BK_Q5_0, 32, 22, 1, {0}},
    {BK_Q5_1, 32, 24, 2, {0, 2}},
    {BK_Q8_0, 32, 34, 1, {0}},
    {BK_Q4_K, 256, 144, 2, {0, 2}},
    {BK_Q5_K, 256, 176, 2, {0, 2}},
    {BK_Q6_K, 256, 210, 1, {208}},
};

static const format *format_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].type == type) return &formats[i];
    fail_msg("type %u", type);
    return NULL;
}

uint32_t kit_block(uint32_t type)
{
    return format_of(type)->columns;
}

uint64_t kit_row_bytes(uint32_t type, uint64_t columns)
{
    const format *f = format_of(type);
    assert_int_equal(columns % f->columns, 0);
    return columns / f->columns * f->bytes;
}

static double half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return kit_half(h);
}

/* Random bits, and numbers of binary16 of 2^-5 to 0.5 in size. */
static void fill_blocks(const format *f, uint8_t *p, uint64_t blocks)
{
    for (; blocks; blocks--, p += f->bytes) {
        for (uint32_t i = 0; i < f->bytes; i++) p[i] = (uint8_t)(kit_random() >> 7);
        for (uint32_t i = 0; i < f->n_halves; i++) {
            uint16_t h = (uint16_t)((kit_random() & 0x8000) | (10 + kit_random() % 5) << 10 | (kit_random() & 1023));
            memcpy(p + f->half[i], &h, sizeof h);
        }
        float v = kit_uniform();
        if (f->type == BK_F32) memcpy(p, &v, 4);
        if (f->type == BK_BF16) memcpy(p, (const uint8_t *)&v + 2, 2);
    }
}

static kit_weight upload(const kit *k, uint32_t type, uint64_t rows, uint64_t columns, uint8_t *bytes)
{
    jv_err err = {0};
    kit_weight w = {type, rows, columns, kit_row_bytes(type, columns), bytes, NULL};
    bk_source source = {.struct_size = sizeof source, .type = type, .rows = rows, .columns = columns, .data = bytes};
    source.bytes = rows * w.row_bytes;
    w.t = k->api->upload(k->self, &source, &err);
    assert_non_null(w.t);
    return w;
}

static uint8_t *room(uint64_t bytes)
{
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

kit_weight kit_weight_new(const kit *k, uint32_t type, uint64_t rows, uint64_t columns)
{
    const format *f = format_of(type);
    uint8_t *bytes = room(rows * kit_row_bytes(type, columns));
    fill_blocks(f, bytes, rows * columns / f->columns);
    return upload(k, type, rows, columns, bytes);
}

kit_weight kit_vector_new(const kit *k, const float *from, uint64_t rows, uint64_t columns)
{
    uint8_t *bytes = room(rows * columns * sizeof *from);
    memcpy(bytes, from, rows * columns * sizeof *from);
    return upload(k, BK_F32, rows, columns, bytes);
}

void kit_weight_free(const kit *k, kit_weight *w)
{
    k->api->tensor_free(k->self, w->t);
    free(w->bytes);
}

/* Group g of 8: its 6 bits of scale and of minimum, out of the 12 bytes of Q4_K and Q5_K. */
static void scale_and_min(const uint8_t *p, uint32_t g, int *scale, int *min)
{
    *scale = g < 4 ? p[g] & 63 : (p[g + 4] & 15) | p[g - 4] >> 6 << 4;
    *min = g < 4 ? p[g + 4] & 63 : p[g + 4] >> 4 | p[g] >> 6 << 4;
}

static double k_at(const format *f, const uint8_t *p, uint32_t i)
{
    uint32_t g = i / 32;
    if (f->type == BK_Q6_K) {
        uint32_t half = i / 128, r = i % 128, l = r % 32, quarter = r / 32; /* 64 low, 32 high bytes for each half */
        int low = p[half * 64 + quarter % 2 * 32 + l] >> quarter / 2 * 4 & 15;
        int high = p[128 + half * 32 + l] >> quarter * 2 & 3;
        return half_at(p + 208) * (int8_t)p[192 + i / 16] * ((low | high << 4) - 32);
    }
    int scale, min;
    scale_and_min(p + 4, g, &scale, &min);
    const uint8_t *nibbles = p + (f->type == BK_Q5_K ? 48 : 16);
    int q = nibbles[g / 2 * 32 + i % 32] >> g % 2 * 4 & 15;
    if (f->type == BK_Q5_K) q |= (p[16 + i % 32] >> g & 1) << 4;
    return half_at(p) * scale * q - half_at(p + 2) * min;
}

double kit_weight_at(const kit_weight *w, uint64_t row, uint64_t column)
{
    const format *f = format_of(w->type);
    const uint8_t *p = w->bytes + row * w->row_bytes + column / f->columns * f->bytes;
    uint32_t i = (uint32_t)(column % f->columns), fifths, bits = 0;
    float v;
    switch (f->type) {
    case BK_F32: memcpy(&v, p, 4); return v;
    case BK_F16: return half_at(p);
    case BK_BF16:
        memcpy((uint8_t *)&bits + 2, p, 2);
        memcpy(&v, &bits, 4);
        return v;
    case BK_Q8_0: return half_at(p) * (int8_t)p[2 + i];
    case BK_Q4_K:
    case BK_Q5_K:
    case BK_Q6_K: return k_at(f, p, i);
    default: break;
    }
    bool five = f->type == BK_Q5_0 || f->type == BK_Q5_1, minimum = f->type == BK_Q4_1 || f->type == BK_Q5_1;
    const uint8_t *nibbles = p + f->bytes - 16;
    int q = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
    if (five) {
        memcpy(&fifths, p + (minimum ? 4 : 2), 4);
        q |= (int)(fifths >> i & 1) << 4;
    }
    return minimum ? half_at(p) * q + half_at(p + 2) : half_at(p) * (q - (five ? 16 : 8));
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

kit_activation kit_activation_new(const kit *k, uint64_t rows, uint64_t width)
{
    jv_err err = {0};
    kit_activation a = {rows, width, k->api->activation(k->self, rows, width, &err), {0}};
    assert_non_null(a.t);
    float *one = calloc(width * width, sizeof *one);
    for (uint64_t i = 0; i < width; i++) one[i * width + i] = 1;
    a.one = kit_vector_new(k, one, width, width);
    free(one);
    return a;
}

/* By the one way there is: rows of a table. */
void kit_fill(const kit *k, const kit_activation *a, const float *from, uint64_t n)
{
    jv_err err = {0};
    kit_weight table = kit_vector_new(k, from, n, a->width);
    int32_t *ids = malloc(n * sizeof *ids);
    for (uint64_t i = 0; i < n; i++) ids[i] = (int32_t)i;
    assert_int_equal(k->api->embed(k->self, a->t, table.t, ids, (uint32_t)n, 1, &err), JV_OK);
    kit_weight_free(k, &table);
    free(ids);
}

/* As logits of a head that is the identity: exact where all of a row is finite, but that -0 may come as 0. */
void kit_read(const kit *k, const kit_activation *a, float *to, uint64_t n)
{
    jv_err err = {0};
    int32_t *index = malloc(n * sizeof *index);
    for (uint64_t i = 0; i < n; i++) index[i] = (int32_t)i;
    bk_logits op = {.struct_size = sizeof op, .n = (uint32_t)n, .to = to, .x = a->t, .index = index, .head = a->one.t};
    assert_int_equal(k->api->logits(k->self, &op, &err), JV_OK);
    free(index);
}

void kit_activation_free(const kit *k, kit_activation *a)
{
    k->api->tensor_free(k->self, a->t);
    kit_weight_free(k, &a->one);
}
