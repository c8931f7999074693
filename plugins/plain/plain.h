/* plain.h: what the files of the plain backend share. Shapes as in backend.h: (rows, columns), the last index
 * fastest. */
#ifndef PLAIN_H
#define PLAIN_H

#include "../llm/backend.h"

#include <stdbool.h>

#define MAX_CORES 256
#define BLOCK 32         /* columns that share a scale */
#define TILE 16          /* rows of a batch that go through a weight together */
#define MAX_HEAD_DIM 256 /* bounds the buffers attention keeps on the stack */
#define MAX_GROUP 256    /* query heads that read one key-value head */

#define WEIGHT 1
#define ACTIVATION 2

/* Weights: the bytes of the file, unchanged. Activations: f32, and room for the integers `linear` makes of them. */
struct bk_tensor {
    uint32_t kind; /* WEIGHT or ACTIVATION */
    uint32_t type; /* BK_* */
    uint64_t rows, columns;
    const uint8_t *bytes; /* weight */
    uint64_t row_bytes;   /* weight */
    float *f32;           /* activation: (capacity, width) */
    /* The first n rows as integers, in tiles of up to TILE rows (fewer in the last) so that a tile is read front to
     * back: (tile, block, row of the tile, 32), and one scale and one sum of integers for each block, (tile, block,
     * row of the tile). */
    int16_t *q;
    float *scale, *sum;
};

/* Keys and values: (layer, kv head, position, head_dim), keys first, then values. */
struct bk_kv {
    bk_kv_shape shape;
    uint8_t *keys, *values;
};

/* ---- pool.c: threads that wait to take part in a loop ---- */

typedef struct pool pool;
/* Does part `part` of `parts`; parts may run at the same time and in any order. */
typedef void pool_work(void *job, uint32_t part, uint32_t parts);

pool *pool_new(uint32_t threads, jv_err *err); /* the caller of pool_run is one of them */
void pool_free(pool *p);                       /* null is fine */
void pool_run(pool *p, uint32_t parts, pool_work *work, void *job);

/* The half-open range of `n` things that is part `part` of `parts`. */
static inline uint64_t part_begin(uint64_t n, uint32_t part, uint32_t parts)
{
    return n / parts * part + (n % parts * part) / parts;
}

/* ---- the context, and the operations of the table that have a file of their own ---- */

struct plain {
    int64_t cores;
    const jv_host *h;
    uint32_t threads;
    pool *pool;
    char line[64]; /* describe */
};

/* linear.c */
int32_t plain_linear(void *self, bk_tensor *out, const bk_tensor *w, const bk_tensor *bias, const bk_tensor *x,
    int32_t add, uint32_t n, jv_err *err);
int32_t plain_gated(void *self, bk_tensor *out, const bk_tensor *gate, const bk_tensor *up, const bk_tensor *x,
    uint32_t n, jv_err *err);

/* attention.c */
int32_t plain_check_heads(void *self, const bk_attention *a, jv_err *err);
uint64_t plain_kv_bytes(void *self, const bk_kv_shape *shape);
bk_kv *plain_kv_new(void *self, const bk_kv_shape *shape, jv_err *err);
void plain_kv_free(void *self, bk_kv *kv);
int32_t plain_rope_append(void *self, bk_tensor *q, bk_tensor *k, const bk_tensor *v, const bk_rope *rope,
    const bk_attention *a, const bk_batch *batch, jv_err *err);
int32_t plain_attend(void *self, bk_tensor *out, const bk_tensor *q, const bk_attention *a, const bk_batch *batch,
    jv_err *err);

/* plain.c: an activation of at least n rows and of this width (0: any), or FATAL naming the operation and the
 * operand. */
int32_t plain_need(const bk_tensor *t, const char *what, uint64_t width, uint32_t n, jv_err *err);
/* A weight of that shape. */
int32_t plain_need_weight(const bk_tensor *t, const char *what, uint64_t rows, uint64_t columns, jv_err *err);

#endif
