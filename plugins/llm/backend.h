/*
 * backend.h: the service a compute backend offers to a model, "jv.backend/1": coarse operations on tensors that only
 * the backend can look into, each over a whole batch of tokens that may come from many sequences.
 *
 * Shapes are written (rows, columns), the last index runs fastest. An ACTIVATION is f32, (capacity, width), of which
 * an operation uses the first n rows, a row per token. A WEIGHT is what came from the model's file, (out, in). A
 * VECTOR is a weight of type F32 with one row. Where an argument may be null its line says so.
 *
 * The result of a row depends on that row alone (and, for attention, on the positions before it in its sequence): not
 * on n, on the other rows, on threads, on how a prompt was cut into batches, or on which blocks hold a sequence. That
 * is a contract; it makes answers repeatable to the byte.
 *
 * Arithmetic of `linear`, `gated` and `logits`, the same in every backend but for the rounding of f32 sums:
 *   F32, F16, BF16 weights: products of the weight as f32 with the f32 activation, added as f32.
 *   Quantised weights: each activation row is cut into blocks of BK_BLOCK columns, for the types ..._K into blocks of
 *   BK_SUPER. Of a block d = max|x| / 127 and q = x * (127 / max|x|), rounded to nearest, ties to even, at most 127 in
 *   size (max|x| = 0, or so small that 127 / max|x| is no finite number: q = 0, d = 0; a block with an infinity or NaN
 *   makes what is computed from it NaN). Within a block of a weight the products are summed as integers, exactly;
 *   blocks are added as f32.
 * Formats: the GGUF specification of the ggml project (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 *
 * One thread at a time calls a backend's functions for one model; several models may share a backend. Operations are
 * complete when they return. Pointers passed in are borrowed for the call, except the data of `upload`. Structs begin
 * with their size, set by the caller, and only grow at the end.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "jevons.h"

#define BACKEND_SERVICE "jv.backend/1"

/* Types of weights: the numbers of the file format. w: the weight, q: its integer. */
#define BK_F32 0
#define BK_F16 1
#define BK_Q4_0 2 /* 32 weights: f16 d, 16 bytes; w = d * (q - 8); byte i holds q of i (low 4 bits) and of i + 16 */
#define BK_Q4_1 3 /* 32 weights: f16 d, f16 m, 16 bytes; w = d * q + m */
#define BK_Q5_0 6 /* 32 weights: f16 d, u32 of fifth bits, 16 bytes; w = d * (q - 16) */
#define BK_Q5_1 7 /* 32 weights: f16 d, f16 m, u32 of fifth bits, 16 bytes; w = d * q + m */
#define BK_Q8_0 8 /* 32 weights: f16 d, 32 int8; w = d * q */
/* 256 weights in 8 groups of 32: f16 d, f16 dmin, 12 bytes with 6 bits of scale and of min for each group, 128 bytes;
 * w = d * scale * q - dmin * min */
#define BK_Q4_K 12
#define BK_Q5_K 13 /* as Q4_K, with 32 bytes of fifth bits before the 128 */
/* 256 weights in 16 groups of 16: 128 bytes of low and 64 bytes of high bits, 16 int8 scales, f16 d;
 * w = d * scale * (q - 32) */
#define BK_Q6_K 14
#define BK_BF16 30

#define BK_BLOCK 32  /* columns that share a scale: of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, and of activations for them */
#define BK_SUPER 256 /* of the types ..._K, and of activations for them */

typedef struct bk_tensor bk_tensor; /* a weight or an activation */
typedef struct bk_kv bk_kv;         /* a pool of blocks of keys and values, all layers */

/* A weight as it lies in the file. */
typedef struct bk_source {
    uint32_t struct_size;
    uint32_t type;    /* BK_* */
    uint64_t rows;    /* out features; 1 for a vector */
    uint64_t columns; /* in features; a multiple of the type's block */
    const void *data; /* aligned to 32 */
    uint64_t bytes;   /* checked against type, rows and columns */
    /* 1: data lies in a private read-only mapping of a file, and the backend may let go of its pages (madvise(2),
     * MADV_DONTNEED) once it has read them. */
    uint32_t mapped;
    uint32_t reserved;
} bk_source;

/* What a weight takes on the backend. */
typedef struct bk_weight_need {
    uint64_t bytes;        /* beside the source's own; UINT64_MAX when that does not fit or the shape cannot be */
    uint32_t reads_source; /* 1: the source stays in use until the tensor is freed, 0: only during upload */
    uint32_t reserved;
} bk_weight_need;

/* Keys and values are kept in blocks of BK_KV_BLOCK positions, each with all layers. */
#define BK_KV_BLOCK 32

typedef struct bk_kv_shape {
    uint32_t struct_size;
    uint32_t type; /* BK_F32, BK_F16, BK_Q8_0: how keys and values are kept; Q8_0 needs head_dim % 32 == 0 */
    uint32_t layers, kv_heads, head_dim;
    uint32_t blocks; /* in the pool */
} bk_kv_shape;

/* n >= 1 tokens of one sequence, at positions pos, pos + 1, ... The block that holds position p is
 * blocks[p / BK_KV_BLOCK], an index into the pool; blocks up to the last position are given. Those that the run's own
 * positions fall in are no other run's; those before may be shared. */
typedef struct bk_run {
    uint32_t n, pos;
    const uint32_t *blocks;
} bk_run;

/* What is computed at once: the tokens of run 0, then those of run 1, ...; n is their sum. No two runs are of one
 * sequence. */
typedef struct bk_batch {
    uint32_t struct_size;
    uint32_t n;
    uint32_t n_runs;
    uint32_t reserved;
    const bk_run *runs;
    bk_kv *kv;
} bk_batch;

/* One to three weights on one x, which is normed on the way: out = norm(x) w^T (+ bias). */
#define BK_PARTS 3

typedef struct bk_part {
    bk_tensor *out; /* (n, rows of w); not x */
    const bk_tensor *w;
    const bk_tensor *bias; /* a vector, or null */
} bk_part;

typedef struct bk_linear {
    uint32_t struct_size;
    uint32_t n;
    const bk_tensor *x;
    const bk_tensor *norm; /* a vector: x / sqrt(mean(x^2) + eps) * norm, row by row. Null: x as it is */
    float eps;
    uint32_t n_parts; /* 1..BK_PARTS */
    uint32_t add;     /* 1: added to what the outs hold */
    uint32_t reserved;
    bk_part part[BK_PARTS];
} bk_linear;

#define BK_SILU 0 /* x / (1 + e^-x) */
#define BK_GELU 1 /* by tanh: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) (arXiv:1606.08415) */

/* out (n, rows) = act(norm(x) gate^T) * (norm(x) up^T) (Shazeer, arXiv:2002.05202) */
typedef struct bk_gated {
    uint32_t struct_size;
    uint32_t n;
    bk_tensor *out; /* not x */
    const bk_tensor *x;
    const bk_tensor *norm; /* as in bk_linear */
    float eps;
    uint32_t act; /* BK_SILU, BK_GELU */
    const bk_tensor *gate, *up;
} bk_gated;

/* Rows of x to the logits of a vocabulary. */
typedef struct bk_logits {
    uint32_t struct_size;
    uint32_t n;
    float *to; /* (n, rows of head), the caller's memory */
    const bk_tensor *x;
    const int32_t *index;  /* (n): which rows of x */
    const bk_tensor *norm; /* as in bk_linear */
    float eps;
    uint32_t reserved;
    const bk_tensor *head; /* (vocabulary, width) */
} bk_logits;

/* Which two of a head's first `dims` elements turn together (Su et al., arXiv:2104.09864); pair i at position p turns
 * by p * base^(-2i / dims) / factor[i]. */
#define BK_ROPE_ADJACENT 0 /* 2i and 2i + 1 */
#define BK_ROPE_HALVES 1   /* i and i + dims / 2 */

typedef struct bk_attention {
    uint32_t struct_size;
    uint32_t layer;
    uint32_t heads, kv_heads, head_dim; /* heads a multiple of kv_heads; head h reads kv head h / (heads / kv_heads) */
    uint32_t window;                    /* positions a token sees, itself included; 0: all up to itself */
    float scale;                        /* of the scores before softmax */
    float eps;                          /* of the two norms */
    const bk_tensor *q_norm, *k_norm;   /* vectors (head_dim): each head normed before it turns; or null */
    uint32_t rope_pairs;                /* BK_ROPE_* */
    uint32_t rope_dims;                 /* even, <= head_dim */
    double rope_base;
    const bk_tensor *rope_factors; /* a vector (rope_dims / 2), or null: all 1 */
} bk_attention;

typedef struct bk_api {
    uint32_t struct_size;
    uint32_t reserved;

    /* One line for the log: name, instruction set, threads. Valid until close. */
    const char *(*describe)(void *self);
    /* 1 when weights of this type can be used. */
    int32_t (*supports)(void *self, uint32_t type);
    /* JV_OK, or BAD: heads of this shape are more than it can do (layer, scale and tensors are not looked at). */
    int32_t (*check_heads)(void *self, const bk_attention *a, jv_err *err);

    /* Memory, so that the sum is known before anything is taken. May be called before start, as the three above.
     * UINT64_MAX when a product does not fit or the shape cannot be. */
    bk_weight_need (*weight_need)(void *self, uint32_t type, uint64_t rows, uint64_t columns);
    uint64_t (*activation_bytes)(void *self, uint64_t capacity, uint64_t width);
    uint64_t (*kv_bytes)(void *self, const bk_kv_shape *shape);

    /* Null and err (FATAL: no memory, BAD: a shape or type that cannot be) on failure. A pool of blocks takes pages
     * from the system as they are first written. */
    bk_tensor *(*upload)(void *self, const bk_source *src, jv_err *err);
    bk_tensor *(*activation)(void *self, uint64_t capacity, uint64_t width, jv_err *err);
    bk_kv *(*kv_new)(void *self, const bk_kv_shape *shape, jv_err *err);
    void (*tensor_free)(void *self, bk_tensor *t); /* null is fine */
    void (*kv_free)(void *self, bk_kv *kv);        /* null is fine */

    /* Operations: JV_OK, or FATAL with err. Shapes that do not fit together are FATAL ("linear: ..."), and so are an n
     * above the capacity and an id, index or block out of range. n = 0 does nothing. */

    /* out (n, width) = scale * rows ids[t] of table (vocabulary, width) */
    int32_t (*embed)(void *self, bk_tensor *out, const bk_tensor *table, const int32_t *ids, uint32_t n, float scale,
        jv_err *err);
    int32_t (*linear)(void *self, const bk_linear *op, jv_err *err);
    int32_t (*gated)(void *self, const bk_gated *op, jv_err *err);
    /* to += x / sqrt(mean(x^2) + eps) * norm, row by row; both (n, width) */
    int32_t (*norm_add)(void *self, bk_tensor *to, const bk_tensor *x, const bk_tensor *norm, float eps, uint32_t n,
        jv_err *err);
    /* Norms and turns the heads of q (n, heads * head_dim) and k (n, kv_heads * head_dim), puts k and v at each
     * token's position, then out (n, heads * head_dim) = attention of each token over the positions it sees. What q
     * and k hold afterwards is undefined. */
    int32_t (*attention)(void *self, bk_tensor *out, bk_tensor *q, bk_tensor *k, const bk_tensor *v,
        const bk_attention *a, const bk_batch *batch, jv_err *err);
    int32_t (*logits)(void *self, const bk_logits *op, jv_err *err);
    /* Copies the first n positions of block `from` to block `to`, all layers. */
    int32_t (*kv_copy)(void *self, bk_kv *kv, uint32_t to, uint32_t from, uint32_t n, jv_err *err);

    /* For the lines of a benchmark: threads that compute, and the name of the instruction set, valid until close. */
    uint32_t (*threads)(void *self);
    const char *(*isa)(void *self);
    /* What the machine can do at most, on all threads of the backend: what benchmarks hold operations against. */
    /* Reads once every byte that operations with the n weights would read, and does nothing else. How many. */
    uint64_t (*read_pass)(void *self, const bk_tensor *const *w, uint32_t n);
    /* Multiplies and adds 8-bit integers for about `ms` milliseconds, operands in registers. How many pairs. */
    uint64_t (*dot_pass)(void *self, uint32_t ms);
} bk_api;

#endif
