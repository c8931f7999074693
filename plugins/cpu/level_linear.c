/*
 * level_linear.c: a panel of weights times a tile of x, for all types of weights, widths of tiles and levels from one
 * text: a type is a row of constants (pack_format_of) and the few lines below where types differ; it and the width are
 * constants wherever these functions are inlined.
 *
 * One value is made in one order, whatever the width: the products of a block as integers, exactly, block after block
 * in ascending columns added to one float:
 *     types of 32     sum = fma(I, d * scale_x, sum), then with m: sum = fma(m, scale_x * sum_x, sum)
 *     types of 256    I = sum of scale * products, M = sum of min * sum_x, both integers;
 *                     sum = fma(I, d * scale_x, sum), then sum = fma(M, -dmin * scale_x, sum)
 *     floats          sum = fma(w, x, sum), column after column
 */
#include "level_linear.h"
#include "simd.h"

#include <stddef.h>

/* How far before its use a line is asked for: 4 to 16 KiB made no difference. The processor sees the stream by itself,
 * too, but too late, at every width. It is asked into the second cache: the first one can wait for few lines at a time,
 * and what reads those of x waits behind them (eight rows of Q8_0 took half as long again). */
#define AHEAD 8192
#define INTO_SECOND 2

#define AT_ONCE 4 /* columns whose sums of a group are made side by side: what hides the latency of a product */

SIMD_INLINE void prefetch(const uint8_t *p, uint32_t bytes)
{
    SIMD_UNROLL
    for (uint32_t i = 0; i < bytes; i += PACK_LINE) __builtin_prefetch(p + AHEAD + i, 0, INTO_SECOND);
}

/* Step j of the group's bits above the lowest four, where they belong. */
SIMD_INLINE vi high_bits(pack_format f, vi high, int j)
{
    int left = 4 - j * ((int)f.bits - 4);
    return left >= 0 ? vi_sll(high, (unsigned)left) : vi_srl(high, (unsigned)-left);
}

/* A group to a vector for each step: weights as bytes. */
SIMD_INLINE void unpack(pack_format f, const uint8_t *p, vi *w)
{
    const int steps = (int)f.group / 4, half = steps / 2;
    if (f.bits == 8) {
        SIMD_UNROLL
        for (int j = 0; j < steps; j++) w[j] = vi_weight8(vi_load(p + j * PACK_LINE));
        return;
    }
    const vi low = vi_set(0x0f0f0f0f), above = vi_set(((1 << f.bits) - 16) * 0x01010101);
    const uint8_t *nibbles = f.bits > 4 ? p + PACK_LINE : p;
    SIMD_UNROLL
    for (int z = 0; z < half; z++) {
        vi n = vi_load(nibbles + z * PACK_LINE);
        w[z] = vi_and(n, low);
        w[z + half] = vi_and(vi_srl(n, 4), low);
    }
    if (f.bits == 4) return;
    vi high = vi_load(p);
    SIMD_UNROLL
    for (int j = 0; j < steps; j++) w[j] = vi_or_and(w[j], high_bits(f, high, j), above);
}

/* What a sum of products starts from: the offset of all weights of the group, taken off at once. */
SIMD_INLINE vi start(pack_format f, const int32_t *minus_sum)
{
    const uint32_t offset = f.bits == 8 ? SIMD_WEIGHT8_OFFSET : f.offset;
    return offset ? vi_sll(vi_set(*minus_sum), (unsigned)__builtin_ctz(offset)) : vi_zero();
}

/* sum[i] of a group, for `n` rows of x from `c` on; x: of this group, (width, 32). */
SIMD_INLINE void group_sums(pack_format f, const vi *w, const int8_t *x, const int32_t *minus_sum, int n, vi *sum)
{
    SIMD_UNROLL
    for (int i = 0; i < n; i++) sum[i] = start(f, minus_sum + i);
    vi_dots(sum, w, (int)f.group / 4, (int)f.bits, x, 32, n);
}

/* ---- types of 32 ---- */

SIMD_INLINE void multiply_blocks(pack_format f, int width, const uint8_t *p, uint64_t columns, const linear_tile *x,
    float *restrict to)
{
    const int at_once = width < AT_ONCE ? width : AT_ONCE;
    const int8_t *q = x->values;
    const float *scale = x->scale, *scaled_sum = x->scaled_sum;
    const int32_t *minus_sum = x->minus_sum;
    vf sum[LINEAR_MAX_WIDTH];
    SIMD_UNROLL
    for (int c = 0; c < width; c++) sum[c] = vf_zero();
    for (uint64_t k = 0; k < columns; k += f.columns) {
        const uint8_t *header = p;
        prefetch(p, f.header);
        p += f.header;
        SIMD_UNROLL
        for (uint32_t g = 0; g < f.columns / 32; g++) {
            vi w[8];
            vf d = vf_load_f16(header + 32 * g), m = f.minimum ? vf_load_f16(header + 32) : vf_zero();
            prefetch(p, pack_group_bytes(f));
            unpack(f, p, w);
            SIMD_UNROLL
            for (int c = 0; c < width; c += at_once) {
                vi s[AT_ONCE];
                group_sums(f, w, q + c * 32, minus_sum + c, at_once, s);
                SIMD_UNROLL
                for (int i = 0; i < at_once; i++) {
                    sum[c + i] = vf_fma(vf_from_vi(s[i]), vf_mul(d, vf_set(scale[c + i])), sum[c + i]);
                    if (f.minimum) sum[c + i] = vf_fma(m, vf_set(scaled_sum[c + i]), sum[c + i]);
                }
            }
            p += pack_group_bytes(f);
            q += width * 32;
            scale += width;
            scaled_sum += width;
            minus_sum += width;
        }
    }
    SIMD_UNROLL
    for (int c = 0; c < width; c++) vf_store(to + c * SIMD_LANES, sum[c]);
}

/* ---- types of 256 ---- */

/* Of a line of four groups' scales, that of group j. */
SIMD_INLINE vi group_scale(pack_format f, vi line, int j)
{
    if (f.group == 16) return vi_sra(vi_sll(line, (unsigned)(24 - 8 * j)), 24);
    const unsigned at[4] = {0, 16, 6, 22};
    return vi_and(vi_srl(line, at[j]), vi_set(63));
}

/* The eight minimums, two halves in a lane. */
SIMD_INLINE void minimums(const uint8_t *p, vi *m)
{
    vi line0 = vi_load(p), line1 = vi_load(p + PACK_LINE), line2 = vi_load(p + 2 * PACK_LINE);
    const vi six = vi_set(0x003f003f), four = vi_set(0x000f000f), two = vi_set(0x00300030);
    m[0] = vi_and(line2, six);
    m[1] = vi_and(vi_srl(line2, 6), six);
    m[2] = vi_or_and(vi_and(vi_srl(line0, 12), four), vi_srl(line2, 8), two);
    m[3] = vi_or_and(vi_and(vi_srl(line1, 12), four), vi_srl(line2, 10), two);
}

/* Four groups whose scales share a line: total[c] += scale * sum. q: (group, width, 32) of the first of them. */
SIMD_INLINE void four_groups(pack_format f, int width, const uint8_t *p, vi line, const int8_t *q,
    const int32_t *minus_sum, vi *total)
{
    const int at_once = width < AT_ONCE ? width : AT_ONCE;
    SIMD_UNROLL
    for (int j = 0; j < 4; j++) {
        /* two groups of 16 lie in one block of 32 columns of x */
        const int8_t *x = f.group == 16 ? q + j / 2 * width * 32 + j % 2 * 16 : q + j * width * 32;
        vi w[8], scale = group_scale(f, line, j);
        prefetch(p, pack_group_bytes(f));
        unpack(f, p, w);
        SIMD_UNROLL
        for (int c = 0; c < width; c += at_once) {
            vi s[AT_ONCE];
            group_sums(f, w, x + c * 32, minus_sum + j * width + c, at_once, s);
            SIMD_UNROLL
            for (int i = 0; i < at_once; i++) total[c + i] = vi_add(total[c + i], vi_mul(scale, s[i]));
        }
        p += pack_group_bytes(f);
    }
}

SIMD_INLINE void multiply_supers(pack_format f, int width, const uint8_t *p, uint64_t columns, const linear_tile *x,
    float *restrict to)
{
    const int lines = (int)(BK_SUPER / f.group / 4);
    const int8_t *q = x->values;
    const float *scale = x->scale;
    const int32_t *minus_sum = x->minus_sum;
    const int16_t *sums = x->sums;
    for (int c = 0; c < width; c++) vf_store(to + c * SIMD_LANES, vf_zero());
    for (uint64_t k = 0; k < columns; k += BK_SUPER) {
        const uint8_t *header = p;
        vi total[LINEAR_MAX_WIDTH];
        prefetch(p, f.header);
        p += f.header;
        SIMD_UNROLL
        for (int c = 0; c < width; c++) total[c] = vi_zero();
        for (int i = 0; i < lines; i++) {
            four_groups(f, width, p, vi_load(header + i * PACK_LINE), q, minus_sum, total);
            p += 4 * pack_group_bytes(f);
            q += 4 * f.group * (uint32_t)width;
            minus_sum += 4 * width;
        }
        const uint8_t *last = header + f.header - PACK_LINE;
        vf d = vf_load_f16(last), minus_dmin = vf_sub(vf_zero(), vf_load_f16(last + 32));
        vi m[4];
        if (f.minimum) minimums(header, m);
        SIMD_UNROLL
        for (int c = 0; c < width; c++) {
            vf s = vf_load(to + c * SIMD_LANES), scale_x = vf_set(scale[c]);
            s = vf_fma(vf_from_vi(total[c]), vf_mul(d, scale_x), s);
            if (f.minimum) {
                vi t = vi_zero();
                SIMD_UNROLL
                for (int i = 0; i < 4; i++) t = vi_dot16(t, m[i], sums + 8 * c + 2 * i);
                s = vf_fma(vf_from_vi(t), vf_mul(minus_dmin, scale_x), s);
            }
            vf_store(to + c * SIMD_LANES, s);
        }
        scale += width;
        sums += 8 * width;
        if (f.group == 32) minus_sum += 8 * width; /* they are of 16 columns each */
    }
}

/* ---- floats ---- */

SIMD_INLINE vf load_floats(uint32_t type, const uint8_t *p)
{
    return type == BK_F32 ? vf_load((const float *)(const void *)p) : type == BK_F16 ? vf_load_f16(p) : vf_load_bf16(p);
}

SIMD_INLINE void multiply_floats(uint32_t type, int width, const uint8_t *p, uint64_t columns, const linear_tile *x,
    float *restrict to)
{
    const uint32_t column_bytes = pack_group_bytes(pack_format_of(type));
    const float *v = x->values;
    vf sum[LINEAR_MAX_WIDTH];
    SIMD_UNROLL
    for (int c = 0; c < width; c++) sum[c] = vf_zero();
    for (uint64_t k = 0; k < columns; k += 32, v += width * 32)
        for (uint32_t i = 0; i < 32; i += PACK_LINE / 16 / 2) {
            SIMD_UNROLL
            for (uint32_t j = 0; j < 2; j++) {
                vf w = load_floats(type, p + j * column_bytes);
                SIMD_UNROLL
                for (int c = 0; c < width; c++) sum[c] = vf_fma(w, vf_set(v[c * 32 + i + j]), sum[c]);
            }
            prefetch(p, 2 * column_bytes);
            p += 2 * column_bytes;
        }
    SIMD_UNROLL
    for (int c = 0; c < width; c++) vf_store(to + c * SIMD_LANES, sum[c]);
}

/* ---- all of them ---- */

SIMD_INLINE void multiply(uint32_t type, int width, const uint8_t *panel, uint64_t columns, const linear_tile *x,
    float *to)
{
    const pack_format f = pack_format_of(type);
    if (f.block == 1)
        multiply_floats(type, width, panel, columns, x, to);
    else if (f.block == BK_SUPER)
        multiply_supers(f, width, panel, columns, x, to);
    else
        multiply_blocks(f, width, panel, columns, x, to);
}

/* The widest tile whose sums the registers of a level hold, or nearly. Where that is not much the width is no constant:
 * it would buy little and cost three times the code. */
#define ARGUMENTS const uint8_t *panel, uint64_t columns, const linear_tile *x, float *to
#if SIMD_RANK >= SIMD_RANK_avx2
#define WIDTH(type, width)                                                                                             \
    static void multiply_##type##_##width(ARGUMENTS)                                                                   \
    {                                                                                                                  \
        multiply(BK_##type, width, panel, columns, x, to);                                                             \
    }
#else
#define ANY(type)                                                                                                      \
    static __attribute__((noinline)) void multiply_##type(int width, ARGUMENTS)                                        \
    {                                                                                                                  \
        multiply(BK_##type, width, panel, columns, x, to);                                                             \
    }
#define WIDTH(type, width)                                                                                             \
    static void multiply_##type##_##width(ARGUMENTS)                                                                   \
    {                                                                                                                  \
        multiply_##type(width, panel, columns, x, to);                                                                 \
    }
#endif
#if SIMD_RANK == SIMD_RANK_avx512
#define MOST 16
#define TYPE(type) WIDTH(type, 1) WIDTH(type, 2) WIDTH(type, 4) WIDTH(type, 8) WIDTH(type, 16)
#define ROW(type)                                                                                                      \
    [BK_##type] = {multiply_##type##_1, multiply_##type##_2, multiply_##type##_4, multiply_##type##_8,                 \
        multiply_##type##_16}
#elif SIMD_RANK >= SIMD_RANK_avx2
#define MOST 8
#define TYPE(type) WIDTH(type, 1) WIDTH(type, 2) WIDTH(type, 4) WIDTH(type, 8)
#define ROW(type) [BK_##type] = {multiply_##type##_1, multiply_##type##_2, multiply_##type##_4, multiply_##type##_8}
#else
#define MOST 4
#define TYPE(type) ANY(type) WIDTH(type, 1) WIDTH(type, 2) WIDTH(type, 4)
#define ROW(type) [BK_##type] = {multiply_##type##_1, multiply_##type##_2, multiply_##type##_4}
#endif

TYPE(F32)
TYPE(F16)
TYPE(BF16)
TYPE(Q4_0)
TYPE(Q4_1)
TYPE(Q5_0)
TYPE(Q5_1)
TYPE(Q8_0)
TYPE(Q4_K)
TYPE(Q5_K)
TYPE(Q6_K)

void CPU_NAME(linear_rows)(const linear_rows *r);
void CPU_NAME(linear_sums)(const linear_sums *s);

extern const linear_kernels CPU_NAME(linear_kernels);
const linear_kernels CPU_NAME(linear_kernels) = {
    .width = MOST,
    .rows = CPU_NAME(linear_rows),
    .sums = CPU_NAME(linear_sums),
    .multiply = {ROW(F32), ROW(F16), ROW(BF16), ROW(Q4_0), ROW(Q4_1), ROW(Q5_0), ROW(Q5_1), ROW(Q8_0), ROW(Q4_K),
        ROW(Q5_K), ROW(Q6_K)},
};
