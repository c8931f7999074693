/*
 * other_order.c: the plugin cpu with a fault put in on purpose: tiles of 8 rows (of the widest where a level has none so
 * wide) are summed in another order, the first half of the columns, then the rest, then the two sums. The values are as
 * good as before; but a row's bytes depend on how many stand beside it, and that is what tests have to find.
 *
 * The linker gives these tables (--wrap) to whoever asks for a level's own.
 */
#include "../../plugins/cpu/level_linear.h"

#include <string.h>

/* Tiles of 1 << that many rows. */
static uint32_t faulty_width(const linear_kernels *k)
{
    return k->width < 8 ? (uint32_t)__builtin_ctz(k->width) : 3;
}

/* Where the tile's columns from `first` on lie. */
static linear_tile behind(const linear_tile *x, uint32_t type, uint64_t first, uint64_t width)
{
    const pack_format f = pack_format_of(type);
    linear_tile t = *x;
    t.values = (uint8_t *)x->values + first * width * (f.block == 1 ? sizeof(float) : 1);
    if (f.block == BK_BLOCK) {
        t.scale += first / BK_BLOCK * width;
        t.minus_sum += first / BK_BLOCK * width;
        t.scaled_sum += first / BK_BLOCK * width;
    } else if (f.block == BK_SUPER) {
        t.scale += first / BK_SUPER * width;
        t.minus_sum += first / 16 * width;
        t.sums += first / BK_SUPER * 8 * width;
    }
    return t;
}

static void in_halves(const linear_kernels *k, uint32_t type, const uint8_t *panel, uint64_t columns,
    const linear_tile *x, float *to)
{
    const pack_format f = pack_format_of(type);
    const uint32_t width = 1u << faulty_width(k);
    linear_multiply *const sound = k->multiply[type][faulty_width(k)];
    uint64_t first = columns / f.columns / 2 * f.columns;
    if (first == 0) {
        sound(panel, columns, x, to);
        return;
    }
    _Alignas(64) float rest[LINEAR_MAX_WIDTH * CPU_LANES];
    linear_tile second = behind(x, type, first, width);
    sound(panel, first, x, to);
    sound(panel + first / f.columns * pack_unit_bytes(f), columns - first, &second, rest);
    for (uint32_t i = 0; i < width * CPU_LANES; i++) to[i] += rest[i];
}

#define KERNEL(level, type)                                                                                            \
    static void level##_##type(const uint8_t *panel, uint64_t columns, const linear_tile *x, float *to)                \
    {                                                                                                                  \
        in_halves(&__real_linear_kernels_##level, BK_##type, panel, columns, x, to);                                   \
    }
#define PUT(level, type) t->multiply[BK_##type][faulty_width(t)] = level##_##type;
#define TYPES(_, level)                                                                                                \
    _(level, F32)                                                                                                      \
    _(level, F16)                                                                                                      \
    _(level, BF16)                                                                                                     \
    _(level, Q4_0)                                                                                                     \
    _(level, Q4_1)                                                                                                     \
    _(level, Q5_0)                                                                                                     \
    _(level, Q5_1)                                                                                                     \
    _(level, Q8_0)                                                                                                     \
    _(level, Q4_K)                                                                                                     \
    _(level, Q5_K)                                                                                                     \
    _(level, Q6_K)
#define LEVEL(level)                                                                                                   \
    extern const linear_kernels __real_linear_kernels_##level;                                                         \
    extern linear_kernels __wrap_linear_kernels_##level;                                                               \
    linear_kernels __wrap_linear_kernels_##level;                                                                      \
    TYPES(KERNEL, level)                                                                                               \
    __attribute__((constructor)) static void break_##level(void)                                                       \
    {                                                                                                                  \
        linear_kernels *t = &__wrap_linear_kernels_##level;                                                            \
        memcpy(t, &__real_linear_kernels_##level, sizeof *t);                                                          \
        TYPES(PUT, level)                                                                                              \
    }

LEVEL(portable)
#ifdef CPU_LEVELS_X86
LEVEL(sse4)
LEVEL(avx2)
LEVEL(avxvnni)
LEVEL(avx512)
#endif
