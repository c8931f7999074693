/*
 * level_limits.c: reading and multiplying with nothing beside it. Reading is eight independent streams of accumulators
 * over one stream of memory, asked for well ahead; multiplying keeps as many sums going as the registers hold.
 */
#include "level_limits.h"
#include "cpu.h"
#include "simd.h"

#define AHEAD 8192 /* bytes asked for before they are read */
#define LINE 64
#define STREAMS 8

static uint64_t read_all(const uint8_t *p, uint64_t n)
{
    vi sum[STREAMS];
    for (int s = 0; s < STREAMS; s++) sum[s] = vi_zero();
    uint64_t at = 0;
    for (; at + STREAMS * LINE <= n; at += STREAMS * LINE) {
        SIMD_UNROLL
        for (int s = 0; s < STREAMS; s++) {
            __builtin_prefetch(p + at + s * LINE + AHEAD);
            sum[s] = vi_add(sum[s], vi_load(p + at + s * LINE));
        }
    }
    for (; at + LINE <= n; at += LINE) sum[0] = vi_add(sum[0], vi_load(p + at));
    for (int s = 1; s < STREAMS; s++) sum[0] = vi_add(sum[0], sum[s]);
    uint32_t left = 0;
    for (; at < n; at++) left += p[at];
    return (uint32_t)vi_sum(sum[0]) + left;
}

#define STEPS 4
#define SUMS (SIMD_RANK == SIMD_RANK_avx512 ? 16 : SIMD_RANK == SIMD_RANK_avxvnni ? 6 : 4) /* what registers hold */

static uint64_t dot_all(uint64_t rounds, int32_t *to)
{
    int8_t x[SUMS * 4 * STEPS];
    vi sum[SUMS], w[STEPS];
    for (size_t i = 0; i < sizeof x; i++) x[i] = (int8_t)i;
    for (int i = 0; i < STEPS; i++) w[i] = vi_set(0x01020304 * (i + 1));
    for (int i = 0; i < SUMS; i++) sum[i] = vi_zero();
    for (uint64_t r = 0; r < rounds; r++) {
        __asm__ volatile("" : : "r"(x) : "memory"); /* x might be other than before: nothing may be kept */
        vi_dots(sum, w, STEPS, 4, x, 4 * STEPS, SUMS);
    }
    for (int i = 1; i < SUMS; i++) sum[0] = vi_add(sum[0], sum[i]);
    *to += vi_sum(sum[0]);
    return rounds * SUMS * STEPS * LINE;
}

const limits_kernels CPU_NAME(limits_kernels) = {read_all, dot_all};
