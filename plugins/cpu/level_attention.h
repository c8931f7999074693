/*
 * level_attention.h: attention between attention.c, which cuts the work into items, and level_attention.c and
 * level_append.c, which do them; and where keys and values lie (kv.c).
 *
 * ONE ORDER. What a row (a token and a query head) gets is computed so, whatever its batch, its threads and its blocks:
 *   - positions are cut from 0 into spans of SPAN; of a span the row takes those it sees, in ascending order;
 *   - a score is the sum over d, ascending, of fused multiply-adds of query and key, then times `scale`;
 *   - `most` is the largest score of the span, p = exp(score - most), and their sum is that of CPU_LANES partial sums
 *     (position % CPU_LANES), each ascending, added in a fixed tree;
 *   - the weighted sum of the values is, element by element, fused multiply-adds of p and value, ascending;
 *   - spans are joined in ascending order: the sums so far and the span's are scaled to the larger `most`, then added
 *     (Milakov and Gimelshein, arXiv:1805.02867; Dao et al., arXiv:2205.14135); at the end one is divided by the other.
 * Levels without fused multiply-add round the product first.
 */
#ifndef LEVEL_ATTENTION_H
#define LEVEL_ATTENTION_H

#include "cpu.h"

#define SPAN 64      /* positions; a multiple of BK_KV_BLOCK */
#define TILE_ROWS 24 /* rows that go through keys and values together */

/*
 * Keys and values: (layer, block, kv head), each a chunk of keys, then values.
 *   keys    F32, F16: (group of CPU_LANES positions, head_dim, CPU_LANES)
 *           Q8_0: the same as int8; then f32 scales (group, head_dim / 32, CPU_LANES)
 *   values  F32, F16: (position, padded)
 *           Q8_0: (position, head_dim) as int8; then f32 scales (position, head_dim / 32)
 * `padded` is head_dim up to a multiple of CPU_LANES; what is between stays 0.
 */
struct bk_kv {
    bk_kv_shape shape;
    uint32_t padded;
    uint64_t key_bytes;   /* of a chunk */
    uint64_t chunk_bytes; /* a multiple of 64 */
    uint64_t layer_bytes;
    uint64_t bytes; /* of data */
    uint8_t *data;
    struct attention_room *room; /* attention.c: what it works in */
};

/* The chunk of a kv head of a block. */
static inline uint8_t *kv_chunk(const bk_kv *kv, uint32_t layer, uint32_t block, uint32_t kv_head)
{
    uint64_t in_layer = ((uint64_t)block * kv->shape.kv_heads + kv_head) * kv->chunk_bytes;
    return kv->data + layer * kv->layer_bytes + in_layer;
}

/* Cosine and sine of the angles by which pairs turn. A position is written in digits of ROPE_BITS bits, and its angle
 * is the sum of theirs: (digit, value of the digit, cosine or sine, pair). All in double, so that what is left of
 * rounding lies far below that of float. */
#define ROPE_BITS 6
#define ROPE_DIGITS 6 /* of 32 bits */
#define ROPE_VALUES (1 << ROPE_BITS)

typedef struct rope {
    uint32_t pairs;
    const double *turn;
} rope;

typedef struct attention_job {
    const bk_attention *a;
    const bk_batch *batch;
    const bk_kv *kv;
    uint32_t group;               /* query heads of a kv head */
    float *q, *k;                 /* (n, heads, head_dim), (n, kv_heads, head_dim) */
    const float *v;               /* as k */
    float *out;                   /* as q */
    const float *q_norm, *k_norm; /* (head_dim), or null */
    rope rope;
    float *partial; /* what items with a `partial` leave there */
} attention_job;

/* Rows of one run: row r is token r / group and, of a kv head, query head r % group. */
typedef struct attention_item {
    uint32_t first; /* row of the run's first token in the batch */
    uint32_t run;
    uint32_t kv_head, heads; /* kv heads from kv_head on; more than one only with `partial` */
    uint32_t row, rows;      /* up to TILE_ROWS */
    uint32_t span, spans;    /* to be done here; those the rows see begin with span `begin` */
    uint32_t begin, all;     /* and are `all` */
    /* Where the sums of (heads, all) spans go, partial_floats() of each, in j->partial; UINT64_MAX: this item does all
     * spans and the output. */
    uint64_t partial;
} attention_item;

/* The sums of one span: most[rows], sum[rows], and (rows, padded). */
static inline uint64_t partial_floats(const bk_kv *kv, uint32_t rows)
{
    return (uint64_t)rows * (kv->padded + 2);
}

struct attention_kernels {
    /* Norms and turns the query heads of a kv head and its key, and puts key and value into the cache: of token `t` of
     * a run, whose row in the batch is `row`. */
    void (*append)(const attention_job *j, const bk_run *run, uint32_t t, uint32_t row, uint32_t kv_head);
    /* The spans of an item. */
    void (*tile)(const attention_job *j, const attention_item *item);
    /* Joins the spans of rows [begin, end) of an item of one head, all of which lie in j->partial, to the output. */
    void (*join)(const attention_job *j, const attention_item *item, uint32_t begin, uint32_t end);
};

#endif
