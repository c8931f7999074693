/*
 * level_span.h: a tile of rows over one span of keys and values of a kv head. Rows of a tile read keys and values once.
 */
#ifndef LEVEL_SPAN_H
#define LEVEL_SPAN_H

#include "level_attention.h"
#include "simd_math.h"

#define GROUPS (SPAN / CPU_LANES)
#define SPAN_BLOCKS (SPAN / BK_KV_BLOCK)
#define BLOCK_GROUPS (BK_KV_BLOCK / CPU_LANES)

/* Numbers from row to row: constants, and no power of two, so that rows do not meet in one set of the cache. */
#define Q_STRIDE (CPU_MAX_HEAD_DIM + CPU_LANES)
#define P_STRIDE (SPAN + CPU_LANES)
#define ROW_VECTORS ((TILE_ROWS + CPU_LANES - 1) / CPU_LANES * CPU_LANES) /* a number for each row, in whole vectors */

/* What rows see of a span. */
typedef struct view {
    uint32_t pos[TILE_ROWS];
    uint32_t low[TILE_ROWS], high[TILE_ROWS]; /* positions low..high-1, counted from its begin; rising with the row */
    uint32_t first, end;                      /* rows that see any */
} view;

/* A tile of rows. Rows from `rows` on, up to the end of the last block, are computed with the others and not used. */
typedef struct tile {
    const attention_job *j;
    const attention_item *item;
    const bk_run *run;
    uint32_t dim, padded, rows;
    uint32_t n_blocks, block[TILE_ROWS + 1]; /* where blocks of rows begin; the last ends at block[n_blocks] */
    view see;
    const uint8_t *keys[GROUPS], *values[SPAN_BLOCKS];
    const float *key_scales[GROUPS], *value_scales[SPAN_BLOCKS];
    const uint8_t *next_keys[GROUPS], *next_values[SPAN_BLOCKS]; /* of the span after this one, or of this one */
    float q[TILE_ROWS * Q_STRIDE];                               /* (row, dim) */
    float p[TILE_ROWS * P_STRIDE];                               /* scores, then p: (row, position) */
    float out[TILE_ROWS * CPU_MAX_HEAD_DIM];                     /* of the span: (row, padded) */
    float most[ROW_VECTORS], sum[ROW_VECTORS];
} tile;

/* Which rows of a tile are which. */
void CPU_NAME(span_start)(tile *t, const attention_job *j, const attention_item *item);
/* t->out, most and sum of the rows that see something of a span. What they see has been looked up. */
void CPU_NAME(span_sum)(tile *t, uint32_t span);

/* Row r of an item in an activation of (n, heads, head_dim). */
static inline uint64_t row_at(const attention_job *j, const attention_item *item, uint32_t r)
{
    uint32_t row = item->row + r, dim = j->a->head_dim;
    uint64_t token = item->first + row / j->group, head = item->kv_head * j->group + row % j->group;
    return (token * j->a->heads + head) * dim;
}

/* Positions of an item's rows. */
static inline void place_rows(view *see, const attention_job *j, const attention_item *item)
{
    uint32_t pos = j->batch->runs[item->run].pos + item->row / j->group, head = item->row % j->group;
    for (uint32_t r = 0; r < item->rows; r++) {
        see->pos[r] = pos;
        if (++head == j->group) head = 0, pos++;
    }
}

/* Which positions of a span the rows see. */
static inline void see_span(view *see, uint32_t rows, uint32_t window, uint32_t span)
{
    uint32_t begin = span * SPAN;
    see->first = see->end = 0;
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t pos = see->pos[r];
        uint32_t low = window && pos >= window ? pos - window + 1 : 0;
        see->low[r] = low > begin ? low - begin : 0;
        see->high[r] = pos < begin ? 0 : pos - begin < SPAN ? pos - begin + 1 : SPAN;
        if (see->high[r] == 0) see->first = r + 1;
        if (see->low[r] < see->high[r]) see->end = r + 1;
    }
}

/* e^a to about 1e-7 relative for a <= 0, or NaN; below -87 what e^-87 is, 1e-38. As vf_exp (simd_math.h), with less to
 * care for: the sum with 1.5 * 2^23 has the rounded quotient in its low bits, which become an exponent. */
SIMD_INLINE vf exp_down(vf a)
{
    const vf shift = vf_set(0x1.8p23f);
    a = vf_max(vf_set(-87.0f), a);
    vf shifted = vf_fma(a, vf_set(0x1.715476p0f), shift), n = vf_sub(shifted, shift);
    vf r = vf_fma(n, vf_set(-0x1.62e4p-1f), a);
    r = vf_fma(n, vf_set(-0x1.7f7d1cp-20f), r);
    /* (e^r - 1) / r by its values at Chebyshev's points of |r| <= 0.347 */
    vf e = vf_fma(vf_set(0x1.6d444ap-10f), r, vf_set(0x1.123eb6p-7f));
    e = vf_fma(e, r, vf_set(0x1.5554e8p-5f));
    e = vf_fma(e, r, vf_set(0x1.55547ap-3f));
    e = vf_fma(e, r, vf_set(0.5f));
    e = vf_fma(e, r, vf_set(1.0f));
    e = vf_fma(e, r, vf_set(1.0f));
    return vf_mul(e, vf_of_bits(vi_sll(vi_add(vi_of_bits(shifted), vi_set(127)), 23)));
}

#endif
