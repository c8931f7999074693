/*
 * backend.h: the service a compute backend offers to a model, "jv.backend/1": coarse operations on tensors that only
 * the backend can look into, each over a whole batch of tokens that may come from many sequences.
 *
 * Shapes are written (rows, columns), the last index runs fastest. An ACTIVATION is f32, (capacity, width), of which
 * an operation uses the first n rows, a row per token. A WEIGHT is what came from the model's file, (out, in).
 *
 * The result of a row depends on that row alone (and, for attention, on its sequence): not on n, on the other rows, on
 * threads, or on how a prompt was cut into batches. That is a contract; it makes answers repeatable to the byte.
 *
 * Arithmetic of `linear` and `gated`, the same in every backend:
 *   F32, F16 weights: products of the weight as f32 with the f32 activation.
 *   Q8_0, Q4_0, Q4_1 weights: each activation row is cut into blocks of 32 columns; d = max|x| / 127, q = x / d rounded
 *   to nearest, ties away from zero, at most 127 in size (d = 0: q = 0; a block with an infinity or NaN gives NaN).
 *   Within a block the products are summed as integers, exactly; blocks are added as f32 in ascending order.
 * Formats: the GGUF specification of the ggml project (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 *
 * One thread at a time calls a backend's operations for one model; upload and kv_new as well. Operations complete
 * before they return. Pointers passed in are borrowed for the call, except the data of `upload`.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "jevons.h"

#define BACKEND_SERVICE "jv.backend/1"

/* Types of weights: the numbers of the file format. */
#define BK_F32 0
#define BK_F16 1
#define BK_Q4_0 2 /* 32 weights: f16 d, 16 bytes; w = d * (q - 8); byte i holds weights i (low 4 bits) and i + 16 */
#define BK_Q4_1 3 /* 32 weights: f16 d, f16 m, 16 bytes; w = d * q + m */
#define BK_Q8_0 8 /* 32 weights: f16 d, 32 int8; w = d * q */

typedef struct bk_tensor bk_tensor; /* a weight or an activation */
typedef struct bk_kv bk_kv;         /* keys and values of one sequence, all layers */

/* A weight as it lies in the file. */
typedef struct bk_source {
    uint32_t struct_size;
    uint32_t type;    /* BK_* */
    uint64_t rows;    /* out features; 1 for a vector */
    uint64_t columns; /* in features; a multiple of the type's block */
    const void *data; /* valid and unchanged until the tensor is freed; aligned to 32 */
    uint64_t bytes;   /* checked against type, rows and columns */
} bk_source;

/* The shape of a sequence's cache. */
typedef struct bk_kv_shape {
    uint32_t struct_size;
    uint32_t type; /* BK_F16 or BK_F32: how keys and values are kept */
    uint32_t layers, kv_heads, head_dim;
    uint32_t capacity; /* tokens */
} bk_kv_shape;

/* Rotary embedding of pairs (2i, 2i + 1) within the first `dims` of each head (Su et al., arXiv:2104.09864): angle of
 * pair i at position p = p * base^(-2i / dims) / factor[i]. */
typedef struct bk_rope {
    uint32_t struct_size;
    uint32_t dims; /* even, <= head_dim */
    double base;
    const bk_tensor *factors; /* a weight (1, dims / 2), or null: all 1 */
} bk_rope;

/* n tokens: token t stands at position pos[t] of the sequence whose cache is kv[t]. Tokens of one sequence ascend
 * without a gap. */
typedef struct bk_batch {
    uint32_t struct_size;
    uint32_t n;
    const int32_t *pos;
    bk_kv *const *kv;
} bk_batch;

typedef struct bk_attention {
    uint32_t struct_size;
    uint32_t layer;
    uint32_t heads, kv_heads, head_dim; /* heads a multiple of kv_heads; head h reads kv head h / (heads / kv_heads) */
    float scale;                        /* of the scores before softmax */
} bk_attention;

typedef struct bk_api {
    uint32_t struct_size;
    uint32_t reserved;

    /* One line for the log: name, threads, instruction set. Valid until close. */
    const char *(*describe)(void *self);
    /* 1 when weights of this type can be used. */
    int32_t (*supports)(void *self, uint32_t type);
    /* JV_OK, or BAD: heads of this shape are more than it can do (layer and scale are not looked at). */
    int32_t (*check_heads)(void *self, const bk_attention *a, jv_err *err);

    /* Memory a tensor or cache will take on the backend, beyond the source's own bytes; so that the sum is known
     * before anything is allocated. UINT64_MAX when the product does not fit. */
    uint64_t (*weight_bytes)(void *self, uint32_t type, uint64_t rows, uint64_t columns);
    uint64_t (*activation_bytes)(void *self, uint64_t capacity, uint64_t width);
    uint64_t (*kv_bytes)(void *self, const bk_kv_shape *shape);

    /* Null and err (FATAL: no memory, BAD: a shape or type that cannot be) on failure. */
    bk_tensor *(*upload)(void *self, const bk_source *src, jv_err *err);
    bk_tensor *(*activation)(void *self, uint64_t capacity, uint64_t width, jv_err *err);
    bk_kv *(*kv_new)(void *self, const bk_kv_shape *shape, jv_err *err);
    void (*tensor_free)(void *self, bk_tensor *t); /* null is fine */
    void (*kv_free)(void *self, bk_kv *kv);        /* null is fine */

    /* Operations: JV_OK, or FATAL with err. Shapes that do not fit together are FATAL ("linear: ...").
     * In all: n <= capacity. */

    /* out (n, width) = rows ids[t] of table (vocabulary, width); ids are within the table */
    int32_t (*embed)(void *self, bk_tensor *out, const bk_tensor *table, const int32_t *ids, uint32_t n, jv_err *err);
    /* out = x / sqrt(mean(x^2) + eps) * weight, row by row; out may be x */
    int32_t (*rms_norm)(void *self, bk_tensor *out, const bk_tensor *x, const bk_tensor *weight, float eps, uint32_t n,
        jv_err *err);
    /* out (n, rows of w) = x w^T (+ bias, which may be null); add != 0: added to what out holds. out is not x */
    int32_t (*linear)(void *self, bk_tensor *out, const bk_tensor *w, const bk_tensor *bias, const bk_tensor *x,
        int32_t add, uint32_t n, jv_err *err);
    /* out (n, rows) = silu(x gate^T) * (x up^T) */
    int32_t (*gated)(void *self, bk_tensor *out, const bk_tensor *gate, const bk_tensor *up, const bk_tensor *x,
        uint32_t n, jv_err *err);
    /* Rotates q (n, heads * head_dim) in place and k (n, kv_heads * head_dim), and puts k and v at each token's
     * position of its cache. */
    int32_t (*rope_append)(void *self, bk_tensor *q, bk_tensor *k, const bk_tensor *v, const bk_rope *rope,
        const bk_attention *a, const bk_batch *batch, jv_err *err);
    /* out (n, heads * head_dim): causal attention of each token over positions 0..pos[t] of its cache */
    int32_t (*attend)(void *self, bk_tensor *out, const bk_tensor *q, const bk_attention *a, const bk_batch *batch,
        jv_err *err);
    /* out (n, width) = rows index[i] of x */
    int32_t (*take)(void *self, bk_tensor *out, const bk_tensor *x, const int32_t *index, uint32_t n, jv_err *err);
    /* Copies rows 0..n-1 of an activation to the caller's memory, n * width floats. */
    int32_t (*read)(void *self, const bk_tensor *x, float *to, uint32_t n, jv_err *err);
} bk_api;

#endif
