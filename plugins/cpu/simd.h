/*
 * simd.h: sixteen numbers at a time, written once for all levels (cpu.h). A level's file is compiled with CPU_LEVEL set
 * to its name; what a vector is made of follows from that.
 *
 *     vi   16 int32, or 64 bytes, or 32 int16         vf   16 floats
 *
 * Lane l of an operation depends on lanes l of its arguments alone, so how many registers hold a vector changes no
 * result. Sums across lanes go by one fixed tree. vf_fma rounds once where the processor has such an instruction
 * (avx2 and up, aarch64), so these levels agree to the last bit; elsewhere it rounds twice.
 *
 * Pointers need no alignment but that of their type. vf_min and vf_max answer the second argument when one is NaN.
 */
#ifndef SIMD_H
#define SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIMD_RANK_portable 0
#define SIMD_RANK_sse4 1
#define SIMD_RANK_avx2 2
#define SIMD_RANK_avxvnni 3
#define SIMD_RANK_avx512 4
#define SIMD_JOIN2(a, b) a##b
#define SIMD_JOIN(a, b) SIMD_JOIN2(a, b)
#define SIMD_RANK SIMD_JOIN(SIMD_RANK_, CPU_LEVEL)

/* Kernels are made from one text by giving it constants; that they arrive there must not be left to a heuristic. */
#define SIMD_INLINE static inline __attribute__((always_inline, unused))

/* Loops over vectors that shall stay in registers, where there are enough of these; not in builds that watch every
 * access, which would take minutes. */
#if SIMD_RANK < SIMD_RANK_avx2 || defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SIMD_UNROLL
#elif defined __clang__
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif

#define SIMD_LANES 16

SIMD_INLINE float simd_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

SIMD_INLINE uint32_t simd_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

#if SIMD_RANK == SIMD_RANK_avx512
#include "simd_avx512.h"
#else
#include "simd_parts.h"
#endif

/* ---- made of the above ---- */

/* The first n <= 16 numbers at p, and zeroes. */
SIMD_INLINE vf vf_load_part(const float *p, size_t n)
{
    float all[SIMD_LANES] = {0};
    if (n >= SIMD_LANES) return vf_load(p);
    memcpy(all, p, n * sizeof *p);
    return vf_load(all);
}

SIMD_INLINE void vf_store_part(float *p, vf a, size_t n)
{
    float all[SIMD_LANES];
    if (n >= SIMD_LANES) {
        vf_store(p, a);
        return;
    }
    vf_store(all, a);
    memcpy(p, all, n * sizeof *p);
}

/* 16 numbers of type bfloat16, the upper half of a float. */
SIMD_INLINE vf vf_load_bf16(const void *p)
{
    return vf_of_bits(vi_sll(vi_load_u16(p), 16));
}

#endif
