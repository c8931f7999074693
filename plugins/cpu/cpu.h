/*
 * cpu.h: what the files of the cpu backend share.
 *
 * A LEVEL is an instruction set. The files level_*.c are compiled once for each, with CPU_LEVEL defined to its name and
 * the compiler's flags for it; each exports one const table of functions, whose name ends with the level's. Everything
 * else is compiled for any processor of the architecture and reaches those tables through struct cpu. Code that a
 * level's file shares with others therefore has to be `static inline`: a function of the same name compiled twice would
 * be linked once, with either's instructions.
 *
 * Shapes as in backend.h: (rows, columns), the last index fastest.
 */
#ifndef CPU_H
#define CPU_H

#include "../llm/backend.h"
#include "arena.h"
#include "pool.h"

#define CPU_LANES 16         /* numbers in a vector of kernels, whatever the registers hold */
#define CPU_MAX_HEAD_DIM 256 /* bounds the buffers attention keeps on the stack */

#define CPU_WEIGHT 1
#define CPU_ACTIVATION 2

struct bk_tensor {
    uint32_t kind;          /* CPU_WEIGHT, CPU_ACTIVATION */
    uint32_t type;          /* of a weight: BK_* */
    uint64_t rows, columns; /* activation: capacity, width */
    /* A weight: ceil(rows / CPU_LANES) panels, each with all columns of CPU_LANES rows (pack.h); aligned to 64. */
    uint8_t *panels;
    uint64_t panel_bytes;
    /* An activation: (capacity, width), rows right behind each other. A vector, which is a weight of type F32 with one
     * row: its elements in order (it has panels, too). Aligned to 64; behind the last element there are zeroes up to a
     * multiple of CPU_LANES elements. */
    float *f32;
    /* Of an activation: room for the integers that `linear` makes of its rows, linear_room(capacity, width) bytes,
     * aligned to 64. Also of an x that is const: what an operation leaves there is of no use to the next. */
    uint8_t *room;
};

/* ---- levels ---- */

#define CPU_JOIN2(a, b) a##_##b
#define CPU_JOIN(a, b) CPU_JOIN2(a, b)
#define CPU_NAME(name) CPU_JOIN(name, CPU_LEVEL) /* in level_*.c: const linear_kernels CPU_NAME(linear_kernels) */

typedef struct linear_kernels linear_kernels;       /* level_linear.h */
typedef struct math_kernels math_kernels;           /* level_math.h */
typedef struct attention_kernels attention_kernels; /* level_attention.h */
typedef struct limits_kernels limits_kernels;       /* level_limits.h */

typedef struct cpu_level {
    const char *name; /* as the option `isa` says it */
    const char *what; /* for the start line */
    const linear_kernels *linear;
    const math_kernels *math;
    const attention_kernels *attention;
    const limits_kernels *limits;
} cpu_level;

/* isa.c: level i of those compiled in, the plainest first; null past the last. */
const cpu_level *cpu_level_at(uint32_t i);
/* Whether this processor and its system have all that the level's code uses. */
bool cpu_level_runs(const cpu_level *level);

/* ---- the context: first argument of all functions of the table ---- */

typedef struct cpu {
    int64_t cores;
    int32_t isa;
    const jv_host *h;
    uint32_t threads;
    const cpu_level *level; /* set by open */
    pool *pool;             /* from start to close */
    arena memory;           /* of tensors */
    char line[96];          /* describe */
} cpu;

#endif
