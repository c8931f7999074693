/*
 * level_linear_rows.c: before and after the kernels: rows of x normed and turned into a tile, and a tile's sums turned
 * into results. backend.h says what a quantised row is.
 */
#include "level_linear.h"
#include "simd_math.h"

#include <math.h>

/* 32 columns of a row, normed; columns from `n` on are 0. */
typedef struct values {
    vf a, b;
} values;

SIMD_INLINE vf load_from(const float *p, uint64_t at, uint64_t columns)
{
    if (at + SIMD_LANES <= columns) return vf_load(p + at);
    return at < columns ? vf_load_part(p + at, columns - at) : vf_zero();
}

SIMD_INLINE values load_values(const linear_rows *r, const float *x, float factor, uint64_t k)
{
    if (!x) return (values){vf_zero(), vf_zero()};
    values v = {load_from(x, k, r->columns), load_from(x, k + 16, r->columns)};
    if (r->norm) {
        v.a = vf_mul(vf_mul(v.a, vf_set(factor)), load_from(r->norm, k, r->columns));
        v.b = vf_mul(vf_mul(v.b, vf_set(factor)), load_from(r->norm, k + 16, r->columns));
    }
    return v;
}

/* The bits of the largest size among the values: they compare like the sizes, with infinity and NaN above all. */
SIMD_INLINE vi sizes(values v)
{
    const vi mask = vi_set(INT32_MAX);
    return vi_max(vi_and(vi_of_bits(v.a), mask), vi_and(vi_of_bits(v.b), mask));
}

typedef struct scaling {
    float d, inverse; /* of a block: q = x * inverse */
} scaling;

SIMD_INLINE scaling scaling_of(int32_t most_bits)
{
    float most = simd_float((uint32_t)most_bits), inverse = 127.0f / most;
    if (most_bits >= 0x7f800000) return (scaling){NAN, 0};
    if (most_bits == 0 || simd_bits(inverse) == 0x7f800000) return (scaling){0, 0};
    return (scaling){most / 127.0f, inverse};
}

typedef struct integers {
    vi a, b;
} integers;

/* 32 columns. In a block that has no scale they are 0, though NaN times 0 is not. */
SIMD_INLINE integers quantise(values v, scaling s, int8_t *to)
{
    vi keep = vi_set(s.inverse == 0 ? 0 : -1);
    integers q = {vi_and(vi_round(vf_mul(v.a, vf_set(s.inverse))), keep),
        vi_and(vi_round(vf_mul(v.b, vf_set(s.inverse))), keep)};
    vi_store_low8(to, q.a);
    vi_store_low8(to + 16, q.b);
    return q;
}

static void to_floats(const linear_rows *r, uint32_t row, const float *x, float factor)
{
    for (uint64_t k = r->begin; k < r->end; k += 32) {
        float *to = (float *)r->to.values + (k * r->width + row * 32);
        values v = load_values(r, x, factor, k);
        vf_store(to, v.a);
        vf_store(to + 16, v.b);
    }
}

static void to_blocks(const linear_rows *r, uint32_t row, const float *x, float factor)
{
    for (uint64_t k = r->begin; k < r->end; k += 32) {
        uint64_t at = k / 32 * r->width + row;
        values v = load_values(r, x, factor, k);
        scaling s = scaling_of(vi_most(sizes(v)));
        integers q = quantise(v, s, (int8_t *)r->to.values + at * 32);
        int32_t sum = vi_sum(vi_add(q.a, q.b));
        r->to.scale[at] = s.d;
        r->to.minus_sum[at] = -sum;
        r->to.scaled_sum[at] = s.d * (float)sum;
    }
}

static void to_supers(const linear_rows *r, uint32_t row, const float *x, float factor)
{
    for (uint64_t k = r->begin; k < r->end; k += BK_SUPER) {
        vi most = vi_zero();
        for (uint32_t i = 0; i < BK_SUPER; i += 32) most = vi_max(most, sizes(load_values(r, x, factor, k + i)));
        scaling s = scaling_of(vi_most(most));
        uint64_t super = k / BK_SUPER * r->width + row;
        r->to.scale[super] = s.d;
        for (uint32_t i = 0; i < BK_SUPER / 32; i++) {
            uint64_t block = k / 32 + i;
            integers q = quantise(load_values(r, x, factor, k + i * 32), s,
                (int8_t *)r->to.values + (block * r->width + row) * 32);
            int32_t first = vi_sum(q.a), second = vi_sum(q.b);
            r->to.minus_sum[2 * block * r->width + row] = -first;
            r->to.minus_sum[(2 * block + 1) * r->width + row] = -second;
            r->to.sums[super * 8 + i] = (int16_t)(first + second);
        }
    }
}

void CPU_NAME(linear_rows)(const linear_rows *r);
void CPU_NAME(linear_rows)(const linear_rows *r)
{
    for (uint32_t row = 0; row < r->width; row++) {
        const float *x = row < r->n ? r->x[row] : NULL;
        float factor = x && r->norm ? simd_inverse_rms(x, r->columns, r->eps) : 1;
        if (r->form == LINEAR_FLOATS)
            to_floats(r, row, x, factor);
        else if (r->form == LINEAR_BLOCKS)
            to_blocks(r, row, x, factor);
        else
            to_supers(r, row, x, factor);
    }
}

void CPU_NAME(linear_sums)(const linear_sums *s);
void CPU_NAME(linear_sums)(const linear_sums *s)
{
    for (uint32_t c = 0; c < s->n; c++) {
        vf v = vf_load(s->sum + c * SIMD_LANES);
        float *out = s->out + c * s->ld;
        if (s->up) v = vf_mul(s->act == BK_SILU ? vf_silu(v) : vf_gelu(v), vf_load(s->up + c * SIMD_LANES));
        if (s->bias) v = vf_add(v, vf_load(s->bias));
        if (s->add) v = vf_add(v, vf_load_part(out, s->rows));
        vf_store_part(out, v, s->rows);
    }
}
