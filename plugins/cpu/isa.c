/*
 * isa.c: the levels, and which of them this processor can run. What a processor has is asked of itself (cpuid), and of
 * its system whether that saves the wider registers when threads change (xgetbv): Intel 64 and IA-32 Architectures
 * Software Developer's Manual, volume 1, sections 13.2 and 14.3, volume 2, CPUID.
 *
 * The build says with CPU_LEVELS_X86 that the levels beside `portable` have been compiled.
 */
#include "cpu.h"

#define SSE4 1u
#define AVX2 2u
#define AVX_VNNI 4u
#define AVX512 8u

#define HAS(word, bits) (((word) & (bits)) == (bits))

#ifdef CPU_LEVELS_X86

#include <cpuid.h>

/* What the system saves. */
#define XCR0_AVX 0x06u    /* xmm, ymm */
#define XCR0_AVX512 0xe6u /* and masks, upper halves, the other 16 registers */

static uint32_t system_saves(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* SSE4 ... as far as processor and system go. */
static uint32_t find_features(void)
{
    uint32_t a, b, c, d, b7 = 0, c7 = 0, a7_1 = 0, more, unused;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !HAS(c, bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT))
        return 0;
    uint32_t saved = HAS(c, bit_OSXSAVE) ? system_saves() : 0;
    if (!HAS(saved, XCR0_AVX) || !HAS(c, bit_AVX | bit_FMA | bit_F16C)) return SSE4;
    if (__get_cpuid_count(7, 0, &more, &b7, &c7, &unused) && more >= 1)
        __get_cpuid_count(7, 1, &a7_1, &unused, &unused, &unused);
    if (!HAS(b7, bit_AVX2)) return SSE4;
    bool wide = HAS(saved, XCR0_AVX512) && HAS(b7, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL);
    return SSE4 | AVX2 | (HAS(a7_1, 1u << 4) ? AVX_VNNI : 0) | (wide && HAS(c7, 1u << 11) ? AVX512 : 0);
}

#else

static uint32_t find_features(void)
{
    return 0;
}

#endif

#define DECLARE(level)                                                                                                 \
    extern const linear_kernels linear_kernels_##level;                                                                \
    extern const math_kernels math_kernels_##level;                                                                    \
    extern const attention_kernels attention_kernels_##level;                                                          \
    extern const limits_kernels limits_kernels_##level;
#define ROW(level, text, needs)                                                                                        \
    {                                                                                                                  \
        {#level, text, &linear_kernels_##level, &math_kernels_##level, &attention_kernels_##level,                     \
            &limits_kernels_##level},                                                                                  \
            needs                                                                                                      \
    }

DECLARE(portable)
#ifdef CPU_LEVELS_X86
DECLARE(sse4)
DECLARE(avx2)
DECLARE(avxvnni)
DECLARE(avx512)
#endif

static const struct {
    cpu_level level;
    uint32_t needs;
} levels[] = {
    ROW(portable, "portable C", 0),
#ifdef CPU_LEVELS_X86
    ROW(sse4, "SSE4.2", SSE4),
    ROW(avx2, "AVX2 FMA", AVX2),
    ROW(avxvnni, "AVX2 VNNI", AVX_VNNI),
    ROW(avx512, "AVX512 VNNI", AVX512),
#endif
};

const cpu_level *cpu_level_at(uint32_t i)
{
    return i < sizeof levels / sizeof *levels ? &levels[i].level : NULL;
}

bool cpu_level_runs(const cpu_level *level)
{
    for (uint32_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (&levels[i].level == level) return HAS(find_features(), levels[i].needs);
    return false;
}
