/* level_math.c: rows of activations by themselves. */
#include "level_math.h"
#include "simd_math.h"

static void scale(float *x, float by, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) x[i] *= by;
}

static void norm_add(float *restrict to, const float *restrict x, const float *restrict norm, float eps, uint64_t n)
{
    float factor = simd_inverse_rms(x, n, eps);
    for (uint64_t i = 0; i < n; i++) to[i] += x[i] * factor * norm[i];
}

const math_kernels CPU_NAME(math_kernels) = {.scale = scale, .norm_add = norm_add};
