/*
 * linear_ref.h: for tests: weights as the file has them, read here a second time and one number after another, and
 * rows of x as backend.h says they are quantised. All in double.
 */
#ifndef LINEAR_REF_H
#define LINEAR_REF_H

#include "../llm/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t ref_types[] = {BK_F32, BK_F16, BK_BF16, BK_Q4_0, BK_Q4_1, BK_Q5_0, BK_Q5_1, BK_Q8_0, BK_Q4_K,
    BK_Q5_K, BK_Q6_K};
#define REF_TYPES (sizeof ref_types / sizeof *ref_types)

/* Columns and bytes of a block. */
static inline uint32_t ref_block(uint32_t type)
{
    return type == BK_F32 || type == BK_F16 || type == BK_BF16 ? 1 : type >= BK_Q4_K ? 256 : 32;
}

static inline uint32_t ref_bytes(uint32_t type)
{
    static const uint32_t bytes[BK_BF16 + 1] = {[BK_F32] = 4,
        [BK_F16] = 2,
        [BK_BF16] = 2,
        [BK_Q4_0] = 18,
        [BK_Q4_1] = 20,
        [BK_Q5_0] = 22,
        [BK_Q5_1] = 24,
        [BK_Q8_0] = 34,
        [BK_Q4_K] = 144,
        [BK_Q5_K] = 176,
        [BK_Q6_K] = 210};
    return bytes[type];
}

static inline double ref_half(const uint8_t *p)
{
    int h = p[0] | p[1] << 8, exponent = h >> 10 & 31, fraction = h & 1023;
    double v = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
               : exponent     ? ldexp(1024 + fraction, exponent - 25)
                              : ldexp(fraction, -24);
    return h & 0x8000 ? -v : v;
}

static inline int ref_nibble(const uint8_t *p, uint32_t i)
{
    return i < 16 ? p[i] & 15 : p[i - 16] >> 4;
}

static inline int ref_fifth(const uint8_t *p, uint32_t i)
{
    return (p[i / 8] >> i % 8 & 1) << 4;
}

/* Weight i of a block of type Q4_K or Q5_K. */
static inline double ref_k45(uint32_t type, const uint8_t *p, uint32_t i)
{
    uint32_t g = i / 32, j = g % 4;
    const uint8_t *s = p + 4, *q = p + (type == BK_Q4_K ? 16 : 48) + g / 2 * 32;
    int scale = g < 4 ? s[g] & 63 : (s[8 + j] & 15) | s[j] >> 6 << 4;
    int least = g < 4 ? s[4 + g] & 63 : s[8 + j] >> 4 | s[4 + j] >> 6 << 4;
    int v = g % 2 ? q[i % 32] >> 4 : q[i % 32] & 15;
    if (type == BK_Q5_K) v |= (p[16 + i % 32] >> g & 1) << 4;
    return ref_half(p) * scale * v - ref_half(p + 2) * least;
}

static inline double ref_k6(const uint8_t *p, uint32_t i)
{
    uint32_t half = i / 128, part = i % 128 / 32, l = i % 32;
    int low = p[half * 64 + part % 2 * 32 + l] >> (part < 2 ? 0 : 4) & 15;
    int high = p[128 + half * 32 + l] >> 2 * part & 3;
    return ref_half(p + 208) * (int8_t)p[192 + i / 16] * ((low | high << 4) - 32);
}

/* Weight i of a block. */
static inline double ref_weight(uint32_t type, const uint8_t *p, uint32_t i)
{
    float f;
    uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    switch (type) {
    case BK_F32: return memcpy(&f, p, 4), f;
    case BK_F16: return ref_half(p);
    case BK_BF16: return memcpy(&f, &bits, 4), f;
    case BK_Q4_0: return ref_half(p) * (ref_nibble(p + 2, i) - 8);
    case BK_Q4_1: return ref_half(p) * ref_nibble(p + 4, i) + ref_half(p + 2);
    case BK_Q5_0: return ref_half(p) * ((ref_nibble(p + 6, i) | ref_fifth(p + 2, i)) - 16);
    case BK_Q5_1: return ref_half(p) * (ref_nibble(p + 8, i) | ref_fifth(p + 4, i)) + ref_half(p + 2);
    case BK_Q8_0: return ref_half(p) * (int8_t)p[2 + i];
    case BK_Q6_K: return ref_k6(p, i);
    default: return ref_k45(type, p, i);
    }
}

/* What the kernels may know of a row of x for weights with blocks of `block` columns. */
static inline void ref_row(const float *x, uint64_t columns, uint32_t block, double *to)
{
    for (uint64_t k = 0; k < columns; k += block) {
        uint64_t n = columns - k < block ? columns - k : block;
        float most = 0;
        bool special = false;
        for (uint64_t i = k; i < k + n; i++) {
            special |= !isfinite(x[i]);
            most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
        }
        float inverse = 127.0f / most;
        for (uint64_t i = k; i < k + n; i++) {
            if (block == 1)
                to[i] = x[i];
            else if (special)
                to[i] = (double)NAN;
            else
                to[i] = most == 0 || !isfinite(inverse) ? 0 : (double)nearbyintf(x[i] * inverse) * (most / 127.0f);
        }
    }
}

/* ---- numbers that are the same at every run ---- */

static uint32_t ref_seed = 1;

static inline uint32_t ref_random(void)
{
    ref_seed ^= ref_seed << 13; /* Marsaglia, doi:10.18637/jss.v008.i14 */
    ref_seed ^= ref_seed >> 17;
    ref_seed ^= ref_seed << 5;
    return ref_seed;
}

static inline float ref_uniform(void)
{
    return (float)(ref_random() >> 8) * 0x1p-23f - 1;
}

/* 2^-9 to 2^-4 in size */
static inline void ref_put_half(uint8_t *p)
{
    uint16_t h = (uint16_t)((ref_random() & 0x8000) | (6 + ref_random() % 5) << 10 | (ref_random() & 1023));
    memcpy(p, &h, 2);
}

/* A block of any bytes, but scales that are plain numbers. */
static inline void ref_fill(uint32_t type, uint8_t *p)
{
    for (uint32_t i = 0; i < ref_bytes(type); i++) p[i] = (uint8_t)(ref_random() >> 9);
    float f = ref_uniform();
    switch (type) {
    case BK_F32: memcpy(p, &f, 4); break;
    case BK_BF16: memcpy(p, (uint8_t *)&f + 2, 2); break;
    case BK_Q6_K: ref_put_half(p + 208); break;
    case BK_Q4_1:
    case BK_Q5_1:
    case BK_Q4_K:
    case BK_Q5_K: ref_put_half(p + 2); /* fall through */
    default: ref_put_half(p);
    }
}

#endif
