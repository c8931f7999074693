/* simd_avx512.h: a vector is one register of AVX-512 (F, BW, DQ, VL, VNNI). Included by simd.h. */
#ifndef SIMD_AVX512_H
#define SIMD_AVX512_H

#include <immintrin.h>

typedef __m512i vi;
typedef __m512 vf;

/* ---- integers ---- */

SIMD_INLINE vi vi_zero(void)
{
    return _mm512_setzero_si512();
}

SIMD_INLINE vi vi_set(int32_t a)
{
    return _mm512_set1_epi32(a);
}

SIMD_INLINE vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

SIMD_INLINE void vi_store(void *p, vi a)
{
    _mm512_storeu_si512(p, a);
}

/* 16 bytes or halves, widened. */
SIMD_INLINE vi vi_load_s8(const void *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(p));
}

SIMD_INLINE vi vi_load_u16(const void *p)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(p));
}

/* The low byte of each lane. */
SIMD_INLINE void vi_store_low8(void *p, vi a)
{
    _mm_storeu_si128(p, _mm512_cvtepi32_epi8(a));
}

SIMD_INLINE vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}

SIMD_INLINE vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}

SIMD_INLINE vi vi_mul(vi a, vi b)
{
    return _mm512_mullo_epi32(a, b);
}

SIMD_INLINE vi vi_max(vi a, vi b)
{
    return _mm512_max_epi32(a, b);
}

SIMD_INLINE vi vi_and(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}

/* a | (b & mask) */
SIMD_INLINE vi vi_or_and(vi a, vi b, vi mask)
{
    return _mm512_ternarylogic_epi32(a, b, mask, 0xf8);
}

/* Shifts of each lane by a constant. */
SIMD_INLINE vi vi_sll(vi a, unsigned n)
{
    return _mm512_slli_epi32(a, n);
}

SIMD_INLINE vi vi_srl(vi a, unsigned n)
{
    return _mm512_srli_epi32(a, n);
}

SIMD_INLINE vi vi_sra(vi a, unsigned n)
{
    return _mm512_srai_epi32(a, n);
}

SIMD_INLINE int32_t vi_sum(vi a)
{
    return _mm512_reduce_add_epi32(a);
}

SIMD_INLINE int32_t vi_most(vi a)
{
    return _mm512_reduce_max_epi32(a);
}

/* ---- sums of products of small integers ---- */

/* What 8-bit weights are in registers: unsigned, 128 more than they are. */
#define SIMD_WEIGHT8_OFFSET 128

SIMD_INLINE vi vi_weight8(vi a)
{
    return _mm512_xor_si512(a, _mm512_set1_epi8(-128));
}

typedef int32_t simd_quad __attribute__((may_alias)); /* four bytes, or two halves, of x */

/* sum[i] += for each lane, over its four bytes and `steps` vectors w: w (unsigned, of `bits` bits) times x (signed, at
 * least -127), the same four bytes of x for all lanes; i = 0..n-1, x + i * stride.
 * By hand since GCC 12 does not put the broadcast into the instruction, where it is free. */
SIMD_INLINE void vi_dots(vi *sum, const vi *w, int steps, int bits, const int8_t *x, size_t stride, int n)
{
    SIMD_UNROLL
    for (int j = 0; j < steps; j++) {
        SIMD_UNROLL
        for (int i = 0; i < n; i++)
            __asm__("vpdpbusd %2%{1to16%}, %1, %0"
                    : "+v"(sum[i])
                    : "v"(w[j]), "m"(*(const simd_quad *)(const void *)(x + i * stride + 4 * j)));
    }
}

/* sum + for each lane a pair of int16 times the same pair at x. */
SIMD_INLINE vi vi_dot16(vi sum, vi a, const int16_t *x)
{
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(*(const simd_quad *)(const void *)x));
    return sum;
}

/* ---- floats ---- */

SIMD_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}

SIMD_INLINE vf vf_set(float a)
{
    return _mm512_set1_ps(a);
}

SIMD_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

SIMD_INLINE void vf_store(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}

/* 16 numbers of type binary16. */
SIMD_INLINE vf vf_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}

SIMD_INLINE void vf_store_f16(void *p, vf a)
{
    _mm256_storeu_si256(p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

SIMD_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

SIMD_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

SIMD_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

SIMD_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

/* a * b + c */
SIMD_INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

SIMD_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

SIMD_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

SIMD_INLINE vf vf_from_vi(vi a)
{
    return _mm512_cvtepi32_ps(a);
}

/* To the nearest integer, ties to even; |a| < 2^22. */
SIMD_INLINE vi vi_round(vf a)
{
    return _mm512_cvtps_epi32(a);
}

SIMD_INLINE vi vi_of_bits(vf a)
{
    return _mm512_castps_si512(a);
}

SIMD_INLINE vf vf_of_bits(vi a)
{
    return _mm512_castsi512_ps(a);
}

/* Halves onto each other: lane l to lane l + 8, + 4, + 2, + 1. */
SIMD_INLINE float vf_sum(vf a)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

SIMD_INLINE float vf_most(vf a)
{
    return _mm512_reduce_max_ps(a);
}

#endif
