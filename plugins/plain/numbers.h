/* numbers.h: half precision by its bits, and sums in one fixed order. Written for the compiler to turn into vectors of
 * whatever width the target has: the order of the additions is spelled out, so the width never changes a result. */
#ifndef NUMBERS_H
#define NUMBERS_H

#include <stdint.h>
#include <string.h>

#define LANES 16 /* partial sums of a dot product: product i goes to sum i % LANES */

static inline float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* IEEE 754 binary16 to binary32, exact for all 65,536 values. Normal numbers get the exponent's bias moved by 112,
 * infinity and NaN twice that. Subnormal ones are put behind the leading bit of 2^-14, which is then taken off.
 * Chosen by masks: a compiler may not run a floating-point operation that a condition guards, and so would make no
 * vectors of a choice written with `?:`. */
static inline float half_to_float(uint16_t h)
{
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
    uint32_t is_tiny = -(uint32_t)(magnitude < 1u << 23), is_special = -(uint32_t)(magnitude >= 31u << 23);
    uint32_t normal = magnitude + (112u << 23) + (is_special & 112u << 23);
    uint32_t tiny = bits_of(float_of(magnitude + (113u << 23)) - float_of(113u << 23));
    return float_of((tiny & is_tiny) | (normal & ~is_tiny) | (uint32_t)(h & 0x8000) << 16);
}

/* Rounds to nearest, ties to even; too large becomes infinity. */
static inline uint16_t float_to_half(float f)
{
    uint32_t bits = bits_of(f), sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);  /* NaN */
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more */
    if (a < 0x38800000)                                    /* below 2^-14: let an addition round it */
        return (uint16_t)(sign | (bits_of(float_of(a) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | (a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13);
}

/* Adds LANES partial sums in a fixed tree: halves onto each other. */
static inline float sum_lanes(const float *lane)
{
    float s[LANES / 2];
    for (int i = 0; i < LANES / 2; i++) s[i] = lane[i] + lane[i + LANES / 2];
    for (int i = 0; i < 4; i++) s[i] += s[i + 4];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

/* lane[i % LANES] += a[i] * b[i] for i = 0..n-1, each lane in ascending order. `a` must start at a multiple of LANES
 * of its row. */
static inline void dot_lanes(float *restrict lane, const float *restrict a, const float *restrict b, uint64_t n)
{
    uint64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++) lane[l] += a[i + l] * b[i + l];
    for (; i < n; i++) lane[i % LANES] += a[i] * b[i];
}

#endif
