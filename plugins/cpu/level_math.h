/* level_math.h: what a level does with one row of an activation. */
#ifndef LEVEL_MATH_H
#define LEVEL_MATH_H

#include "cpu.h"

struct math_kernels {
    /* x[0..n) *= by */
    void (*scale)(float *x, float by, uint64_t n);
    /* to += x / sqrt(mean(x^2) + eps) * norm, n each */
    void (*norm_add)(float *restrict to, const float *restrict x, const float *restrict norm, float eps, uint64_t n);
};

#endif
