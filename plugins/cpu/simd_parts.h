/*
 * simd_parts.h: a vector is made of several registers, whose arithmetic is that of the compilers' vector extensions:
 * 2 of 32 bytes (avx2, avxvnni) or 4 of 16 bytes (sse4, portable: SSE2, NEON, or what the compiler makes of it). Only
 * what that language has no word for is by instruction. Included by simd.h.
 */
#ifndef SIMD_PARTS_H
#define SIMD_PARTS_H

#if SIMD_RANK > SIMD_RANK_portable
#include <immintrin.h>
#endif

#define SIMD_WIDE (SIMD_RANK >= SIMD_RANK_avx2)
#if SIMD_WIDE
#define SIMD_BYTES 32
#else
#define SIMD_BYTES 16
#endif
#define SIMD_PARTS (64 / SIMD_BYTES)
#define SIMD_NATIVE (SIMD_BYTES / 4) /* lanes of a part */
#define SIMD_AT_ONCE 4

typedef int32_t simd_i32 __attribute__((vector_size(SIMD_BYTES)));
typedef uint32_t simd_u32 __attribute__((vector_size(SIMD_BYTES)));
typedef int16_t simd_i16 __attribute__((vector_size(SIMD_BYTES)));
typedef float simd_f32 __attribute__((vector_size(SIMD_BYTES)));

/* The same anywhere in memory. */
typedef int32_t simd_i32_any __attribute__((vector_size(SIMD_BYTES), aligned(1), may_alias));
typedef float simd_f32_any __attribute__((vector_size(SIMD_BYTES), aligned(1), may_alias));

typedef struct vi {
    simd_i32 p[SIMD_PARTS];
} vi;

typedef struct vf {
    simd_f32 p[SIMD_PARTS];
} vf;

/* A function whose result r is made part by part; i is the part. */
#define SIMD_EACH(type, expression)                                                                                    \
    do {                                                                                                               \
        type r;                                                                                                        \
        SIMD_UNROLL                                                                                                    \
        for (int i = 0; i < SIMD_PARTS; i++) r.p[i] = (expression);                                                    \
        return r;                                                                                                      \
    } while (0)

/* ---- integers ---- */

SIMD_INLINE vi vi_set(int32_t a)
{
    SIMD_EACH(vi, a - (simd_i32){0});
}

SIMD_INLINE vi vi_zero(void)
{
    return vi_set(0);
}

SIMD_INLINE vi vi_load(const void *p)
{
    SIMD_EACH(vi, *((const simd_i32_any *)p + i));
}

SIMD_INLINE void vi_store(void *p, vi a)
{
    SIMD_UNROLL
    for (int i = 0; i < SIMD_PARTS; i++) *((simd_i32_any *)p + i) = a.p[i];
}

/* 16 bytes or halves, widened. */
#if SIMD_WIDE
SIMD_INLINE vi vi_load_s8(const void *p)
{
    SIMD_EACH(vi, (simd_i32)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)((const char *)p + 8 * i))));
}

SIMD_INLINE vi vi_load_u16(const void *p)
{
    SIMD_EACH(vi, (simd_i32)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p + i)));
}
#else
SIMD_INLINE vi vi_load_s8(const void *p)
{
    const int8_t *from = p;
    int32_t all[SIMD_LANES];
    for (int l = 0; l < SIMD_LANES; l++) all[l] = from[l];
    return vi_load(all);
}

SIMD_INLINE vi vi_load_u16(const void *p)
{
    uint16_t from[SIMD_LANES];
    int32_t all[SIMD_LANES];
    memcpy(from, p, sizeof from);
    for (int l = 0; l < SIMD_LANES; l++) all[l] = from[l];
    return vi_load(all);
}
#endif

/* The low byte of each lane. */
SIMD_INLINE void vi_store_low8(void *p, vi a)
{
    int32_t all[SIMD_LANES];
    int8_t *to = p;
    vi_store(all, a);
    for (int l = 0; l < SIMD_LANES; l++) to[l] = (int8_t)all[l];
}

SIMD_INLINE vi vi_add(vi a, vi b)
{
    SIMD_EACH(vi, a.p[i] + b.p[i]);
}

SIMD_INLINE vi vi_sub(vi a, vi b)
{
    SIMD_EACH(vi, a.p[i] - b.p[i]);
}

SIMD_INLINE vi vi_mul(vi a, vi b)
{
    SIMD_EACH(vi, a.p[i] * b.p[i]);
}

SIMD_INLINE vi vi_and(vi a, vi b)
{
    SIMD_EACH(vi, a.p[i] & b.p[i]);
}

/* a | (b & mask) */
SIMD_INLINE vi vi_or_and(vi a, vi b, vi mask)
{
    SIMD_EACH(vi, a.p[i] | (b.p[i] & mask.p[i]));
}

SIMD_INLINE simd_i32 simd_more(simd_i32 a, simd_i32 b)
{
    return (a & (a > b)) | (b & ~(a > b));
}

SIMD_INLINE vi vi_max(vi a, vi b)
{
    SIMD_EACH(vi, simd_more(a.p[i], b.p[i]));
}

/* Shifts of each lane by a constant. */
SIMD_INLINE vi vi_sll(vi a, unsigned n)
{
    SIMD_EACH(vi, (simd_i32)((simd_u32)a.p[i] << n));
}

SIMD_INLINE vi vi_srl(vi a, unsigned n)
{
    SIMD_EACH(vi, (simd_i32)((simd_u32)a.p[i] >> n));
}

SIMD_INLINE vi vi_sra(vi a, unsigned n)
{
    SIMD_EACH(vi, a.p[i] >> n);
}

SIMD_INLINE int32_t vi_sum(vi a)
{
    simd_i32 s = a.p[0];
    int32_t r = 0;
    for (int i = 1; i < SIMD_PARTS; i++) s += a.p[i];
    for (int l = 0; l < SIMD_NATIVE; l++) r += s[l];
    return r;
}

SIMD_INLINE int32_t vi_most(vi a)
{
    vi m = a;
    for (int i = 1; i < SIMD_PARTS; i++) m.p[0] = simd_more(m.p[0], a.p[i]);
    int32_t r = m.p[0][0];
    for (int l = 1; l < SIMD_NATIVE; l++) r = m.p[0][l] > r ? m.p[0][l] : r;
    return r;
}

/* ---- sums of products of small integers ---- */

/* What 8-bit weights are in registers: signed as they are (0), or unsigned, 128 more. */
#if SIMD_RANK == SIMD_RANK_sse4 || SIMD_RANK == SIMD_RANK_avx2
#define SIMD_WEIGHT8_OFFSET 0
#else
#define SIMD_WEIGHT8_OFFSET 128
#endif

SIMD_INLINE vi vi_weight8(vi a)
{
    SIMD_EACH(vi, SIMD_WEIGHT8_OFFSET ? a.p[i] ^ (int32_t)0x80808080 : a.p[i]);
}

/* The same four bytes, or two halves, of x in all lanes. */
SIMD_INLINE simd_i32 simd_quad(const void *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return four - (simd_i32){0};
}

#if SIMD_RANK == SIMD_RANK_avxvnni

SIMD_INLINE simd_i32 simd_dot16(simd_i32 sum, simd_i32 a, simd_i32 b)
{
    return (simd_i32)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)b);
}

#elif SIMD_RANK == SIMD_RANK_avx2

#define SIMD_AS(a) ((__m256i)(a))
#define SIMD_MADDUBS _mm256_maddubs_epi16
#define SIMD_SIGN _mm256_sign_epi8
#define SIMD_ABS _mm256_abs_epi8
#define SIMD_MADD _mm256_madd_epi16
#define SIMD_ADD16(to, a) __asm__("vpaddw %1, %0, %0" : "+x"(to) : "x"(a))

#elif SIMD_RANK == SIMD_RANK_sse4

#define SIMD_AS(a) ((__m128i)(a))
#define SIMD_MADDUBS _mm_maddubs_epi16
#define SIMD_SIGN _mm_sign_epi8
#define SIMD_ABS _mm_abs_epi8
#define SIMD_MADD _mm_madd_epi16
#define SIMD_ADD16(to, a) __asm__("paddw %1, %0" : "+x"(to) : "x"(a))

#else

/* Sums of the two halves of each lane. */
SIMD_INLINE simd_i32 simd_pairs(simd_i16 a)
{
    simd_i32 both = (simd_i32)a;
    return ((simd_i32)((simd_u32)both << 16) >> 16) + (both >> 16);
}

SIMD_INLINE simd_i32 simd_dot16(simd_i32 sum, simd_i32 a, simd_i32 b)
{
    simd_i32 low = ((simd_i32)((simd_u32)a << 16) >> 16) * ((simd_i32)((simd_u32)b << 16) >> 16);
    return sum + low + (a >> 16) * (b >> 16);
}

/* Products of 255 and 127 at most fit 16 bits. */
SIMD_INLINE simd_i32 simd_dot(simd_i32 sum, simd_i32 w, simd_i32 x)
{
    simd_i16 w0 = (simd_i16)(w & 0x00ff00ff), w1 = (simd_i16)((simd_u32)w >> 8 & 0x00ff00ff);
    simd_i16 x0 = (simd_i16)((simd_u32)x << 8), x1 = (simd_i16)x;
    /* arithmetic shifts of halves: byte 0 and 2, byte 1 and 3, with their signs */
    return sum + simd_pairs(w0 * (x0 >> 8)) + simd_pairs(w1 * (x1 >> 8));
}

#endif

#ifdef SIMD_MADDUBS

SIMD_INLINE simd_i32 simd_dot16(simd_i32 sum, simd_i32 a, simd_i32 b)
{
    return sum + (simd_i32)SIMD_MADD(SIMD_AS(a), SIMD_AS(b));
}

/* How many products of a pair, 2 * 127 * (2^bits - 1), a sum of 16 bits holds for certain. 8-bit weights are at most
 * 128 in size, their pairs at most 32512. */
SIMD_INLINE int simd_pairs_that_fit(int bits)
{
    return bits <= 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
}

/* Pairs of products in 16 bits: w is unsigned, or (8 bits) its sign goes to x. */
SIMD_INLINE simd_i16 simd_products(simd_i32 w, int bits, simd_i32 x)
{
    if (bits < 8) return (simd_i16)SIMD_MADDUBS(SIMD_AS(w), SIMD_AS(x));
    return (simd_i16)SIMD_MADDUBS(SIMD_ABS(SIMD_AS(w)), SIMD_SIGN(SIMD_AS(x), SIMD_AS(w)));
}

SIMD_INLINE void vi_dots(vi *sum, const vi *w, int steps, int bits, const int8_t *x, size_t stride, int n)
{
    const int fit = simd_pairs_that_fit(bits);
    const simd_i16 one = (simd_i16){0} + 1;
    SIMD_UNROLL
    for (int begin = 0; begin < steps; begin += fit) {
        const int end = begin + fit < steps ? begin + fit : steps;
        simd_i16 s[SIMD_AT_ONCE][SIMD_PARTS];
        SIMD_UNROLL
        for (int j = begin; j < end; j++) {
            SIMD_UNROLL
            for (int i = 0; i < n; i++) {
                simd_i32 four = simd_quad(x + i * stride + 4 * j);
                SIMD_UNROLL
                for (int p = 0; p < SIMD_PARTS; p++) {
                    simd_i16 more = simd_products(w[j].p[p], bits, four);
                    if (j == begin)
                        s[i][p] = more;
                    else
                        SIMD_ADD16(s[i][p], more);
                }
            }
        }
        SIMD_UNROLL
        for (int i = 0; i < n; i++) {
            SIMD_UNROLL
            for (int p = 0; p < SIMD_PARTS; p++)
                sum[i].p[p] = simd_dot16(sum[i].p[p], (simd_i32)s[i][p], (simd_i32)one);
        }
    }
}

#else

#if SIMD_RANK == SIMD_RANK_avxvnni
SIMD_INLINE simd_i32 simd_dot(simd_i32 sum, simd_i32 w, simd_i32 x)
{
    return (simd_i32)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x);
}
#endif

SIMD_INLINE void vi_dots(vi *sum, const vi *w, int steps, int bits, const int8_t *x, size_t stride, int n)
{
    SIMD_UNROLL
    for (int j = 0; j < steps; j++) {
        SIMD_UNROLL
        for (int i = 0; i < n; i++) {
            simd_i32 four = simd_quad(x + i * stride + 4 * j);
            SIMD_UNROLL
            for (int p = 0; p < SIMD_PARTS; p++) sum[i].p[p] = simd_dot(sum[i].p[p], w[j].p[p], four);
        }
    }
}

#endif

/* sum + for each lane a pair of int16 times the same pair at x. */
SIMD_INLINE vi vi_dot16(vi sum, vi a, const int16_t *x)
{
    simd_i32 two = simd_quad(x);
    SIMD_EACH(vi, simd_dot16(sum.p[i], a.p[i], two));
}

/* ---- floats ---- */

SIMD_INLINE vf vf_set(float a)
{
    /* by its bits: a sum with zero would lose the sign of -0 */
    vi bits = vi_set((int32_t)simd_bits(a));
    SIMD_EACH(vf, (simd_f32)bits.p[i]);
}

SIMD_INLINE vf vf_zero(void)
{
    return vf_set(0);
}

SIMD_INLINE vf vf_load(const float *p)
{
    SIMD_EACH(vf, *((const simd_f32_any *)p + i));
}

SIMD_INLINE void vf_store(float *p, vf a)
{
    SIMD_UNROLL
    for (int i = 0; i < SIMD_PARTS; i++) *((simd_f32_any *)p + i) = a.p[i];
}

SIMD_INLINE vi vi_of_bits(vf a)
{
    SIMD_EACH(vi, (simd_i32)a.p[i]);
}

SIMD_INLINE vf vf_of_bits(vi a)
{
    SIMD_EACH(vf, (simd_f32)a.p[i]);
}

SIMD_INLINE vf vf_add(vf a, vf b)
{
    SIMD_EACH(vf, a.p[i] + b.p[i]);
}

SIMD_INLINE vf vf_sub(vf a, vf b)
{
    SIMD_EACH(vf, a.p[i] - b.p[i]);
}

SIMD_INLINE vf vf_mul(vf a, vf b)
{
    SIMD_EACH(vf, a.p[i] * b.p[i]);
}

SIMD_INLINE vf vf_div(vf a, vf b)
{
    SIMD_EACH(vf, a.p[i] / b.p[i]);
}

/* a * b + c */
SIMD_INLINE vf vf_fma(vf a, vf b, vf c)
{
#if SIMD_WIDE
    SIMD_EACH(vf, (simd_f32)_mm256_fmadd_ps((__m256)a.p[i], (__m256)b.p[i], (__m256)c.p[i]));
#elif defined __FP_FAST_FMAF
    vf r;
    for (int i = 0; i < SIMD_PARTS; i++)
        for (int l = 0; l < SIMD_NATIVE; l++) r.p[i][l] = __builtin_fmaf(a.p[i][l], b.p[i][l], c.p[i][l]);
    return r;
#else
    SIMD_EACH(vf, a.p[i] * b.p[i] + c.p[i]);
#endif
}

SIMD_INLINE vf vf_select(vi mask, vf a, vf b)
{
    SIMD_EACH(vf, (simd_f32)(((simd_i32)a.p[i] & mask.p[i]) | ((simd_i32)b.p[i] & ~mask.p[i])));
}

SIMD_INLINE vf vf_max(vf a, vf b)
{
    vi more;
    for (int i = 0; i < SIMD_PARTS; i++) more.p[i] = a.p[i] > b.p[i];
    return vf_select(more, a, b);
}

SIMD_INLINE vf vf_min(vf a, vf b)
{
    vi less;
    for (int i = 0; i < SIMD_PARTS; i++) less.p[i] = a.p[i] < b.p[i];
    return vf_select(less, a, b);
}

SIMD_INLINE vf vf_from_vi(vi a)
{
    SIMD_EACH(vf, __builtin_convertvector(a.p[i], simd_f32));
}

/* To the nearest integer, ties to even; |a| < 2^22: a sum with 1.5 * 2^23 has no bits left for a fraction. */
SIMD_INLINE vi vi_round(vf a)
{
    vf shifted = vf_add(a, vf_set(0x1.8p23f));
    return vi_sub(vi_of_bits(shifted), vi_set(0x4b400000));
}

/* 16 numbers of type binary16. */
SIMD_INLINE vf vf_load_f16(const void *p)
{
#if SIMD_WIDE
    SIMD_EACH(vf, (simd_f32)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p + i)));
#else
    /* Exact for all values. Normal numbers get the exponent's bias moved by 112, infinity and NaN twice that. Subnormal
     * ones are put behind the leading bit of 2^-14, which is then taken off. */
    vi h = vi_load_u16(p), size = vi_sll(vi_and(h, vi_set(0x7fff)), 13);
    vi normal = vi_add(size, vi_set(112 << 23));
    vf tiny = vf_sub(vf_of_bits(vi_add(size, vi_set(113 << 23))), vf_set(0x1p-14f));
    vi is_tiny, is_special;
    for (int i = 0; i < SIMD_PARTS; i++) {
        is_tiny.p[i] = size.p[i] < 1 << 23;
        is_special.p[i] = size.p[i] >= 31 << 23;
    }
    normal = vi_add(normal, vi_and(is_special, vi_set(112 << 23)));
    vf r = vf_select(is_tiny, tiny, vf_of_bits(normal));
    return vf_of_bits(vi_or_and(vi_of_bits(r), vi_sll(h, 16), vi_set(INT32_MIN)));
#endif
}

#if !SIMD_WIDE
/* Rounds to nearest, ties to even; too large becomes infinity. */
SIMD_INLINE uint16_t simd_half(float f)
{
    uint32_t bits = simd_bits(f), sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff)); /* NaN */
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00);                    /* 65520 and more */
    if (a < 0x38800000)                                                       /* below 2^-14: let an addition round */
        return (uint16_t)(sign | (simd_bits(simd_float(a) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | (a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13);
}
#endif

SIMD_INLINE void vf_store_f16(void *p, vf a)
{
#if SIMD_WIDE
    for (int i = 0; i < SIMD_PARTS; i++)
        _mm_storeu_si128((__m128i *)p + i, _mm256_cvtps_ph((__m256)a.p[i], _MM_FROUND_TO_NEAREST_INT));
#else
    float all[SIMD_LANES];
    uint16_t half[SIMD_LANES];
    vf_store(all, a);
    for (int l = 0; l < SIMD_LANES; l++) half[l] = simd_half(all[l]);
    memcpy(p, half, sizeof half);
#endif
}

/* Halves onto each other: lane l to lane l + 8, + 4, + 2, + 1. */
SIMD_INLINE float vf_sum(vf a)
{
    float s[SIMD_LANES];
    vf_store(s, a);
    for (int half = SIMD_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) s[l] += s[l + half];
    return s[0];
}

SIMD_INLINE float vf_most(vf a)
{
    float all[SIMD_LANES];
    vf_store(all, a);
    float r = all[0];
    for (int l = 1; l < SIMD_LANES; l++) r = all[l] > r ? all[l] : r;
    return r;
}

#endif
