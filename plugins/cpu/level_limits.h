/* level_limits.h: what a level could do at most, if there were nothing else to do: one thread's part. */
#ifndef LEVEL_LIMITS_H
#define LEVEL_LIMITS_H

#include <stdint.h>

struct limits_kernels {
    /* Reads n bytes from p, aligned to 64, as fast as this level can. Answers something that depends on all of them, so
     * that none can be left out. */
    uint64_t (*read)(const uint8_t *p, uint64_t n);
    /* Sums products of quadruples of 8-bit integers in registers, `rounds` times. Answers how many products; *sum
     * depends on all of them. */
    uint64_t (*dot)(uint64_t rounds, int32_t *sum);
};

#endif
