/* simd_math.h: functions of floats, sixteen at a time, the same operations at every level. */
#ifndef SIMD_MATH_H
#define SIMD_MATH_H

#include "simd.h"

#include <math.h>

/* e^a to about 1e-7 relative; 0 and infinity where a float ends; NaN stays.
 * e^a = 2^n e^r with n the integer nearest to a / ln 2, so |r| <= 0.347 and what Taylor's sum to r^7 leaves out is
 * below 6e-9. ln 2 comes in two parts, the first with so few bits that n times it is exact (Cody and Waite, Software
 * Manual for the Elementary Functions, 1980). 2^n is multiplied in two halves, that of a subnormal result being no
 * float itself. */
SIMD_INLINE vf vf_exp(vf a)
{
    a = vf_max(vf_set(-104.0f), vf_min(vf_set(89.0f), a));
    vi n = vi_round(vf_mul(a, vf_set(0x1.715476p0f)));
    vf nf = vf_from_vi(n);
    vf r = vf_fma(nf, vf_set(-0x1.62e4p-1f), a);
    r = vf_fma(nf, vf_set(-0x1.7f7d1cp-20f), r);
    static const float inverse[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}; /* of factorials */
    vf e = vf_set(1.0f / 5040);
    SIMD_UNROLL
    for (int i = 0; i < 7; i++) e = vf_fma(e, r, vf_set(inverse[i]));
    vi half = vi_sra(n, 1), rest = vi_sub(n, half);
    vf first = vf_of_bits(vi_sll(vi_add(half, vi_set(127)), 23));
    vf second = vf_of_bits(vi_sll(vi_add(rest, vi_set(127)), 23));
    return vf_mul(vf_mul(e, first), second);
}

/* 1 / (1 + e^-a) times b */
SIMD_INLINE vf vf_sigmoid_of(vf a, vf b)
{
    return vf_div(b, vf_add(vf_set(1.0f), vf_exp(vf_sub(vf_zero(), a))));
}

SIMD_INLINE vf vf_silu(vf a)
{
    return vf_sigmoid_of(a, a);
}

/* a / 2 * (1 + tanh(u)), u = sqrt(2 / pi) * (a + 0.044715 a^3) (arXiv:1606.08415); (1 + tanh(u)) / 2 is
 * 1 / (1 + e^-2u). */
SIMD_INLINE vf vf_gelu(vf a)
{
    vf cube = vf_mul(vf_mul(a, a), vf_mul(a, vf_set(0.044715f)));
    return vf_sigmoid_of(vf_mul(vf_add(a, cube), vf_set(1.5957691216f)), a);
}

/* 1 / sqrt(mean of the n squares of x + eps): lane l adds what stands at l, l + 16, ... */
SIMD_INLINE float simd_inverse_rms(const float *x, uint64_t n, float eps)
{
    vf sum = vf_zero();
    uint64_t i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES) {
        vf a = vf_load(x + i);
        sum = vf_fma(a, a, sum);
    }
    if (i < n) {
        vf a = vf_load_part(x + i, n - i);
        sum = vf_fma(a, a, sum);
    }
    return 1.0f / sqrtf(vf_sum(sum) / (float)n + eps);
}

#endif
