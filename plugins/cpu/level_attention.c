/*
 * level_attention.c: rows of one kv head of one run over spans of keys and values, in the order level_attention.h
 * settles. A tile of rows reads keys and values once; within it, blocks of rows times a few vectors are summed in
 * registers.
 */
#include "level_attention.h"
#include "level_append.h"
#include "simd_math.h"

#include <math.h>

#define GROUPS (SPAN / CPU_LANES)
#define SPAN_BLOCKS (SPAN / BK_KV_BLOCK)
#define BLOCK_GROUPS (BK_KV_BLOCK / CPU_LANES)

/* Heights of blocks of rows, each with as many vectors of sums beside as the registers hold. */
#if SIMD_RANK == SIMD_RANK_avx512
#define MAX_HEIGHT 12
#define SHAPES(_) _(12, 2) _(8, 2) _(6, 4) _(4, 4) _(3, 4) _(2, 4) _(1, 4)
#elif SIMD_RANK >= SIMD_RANK_avx2
#define MAX_HEIGHT 6
#define SHAPES(_) _(6, 1) _(4, 1) _(3, 2) _(2, 2) _(1, 4)
#else
#define MAX_HEIGHT 3
#define SHAPES(_) _(3, 1) _(2, 1) _(1, 2)
#endif
#define MAX_WIDTH 4
#define ROW_VECTORS ((TILE_ROWS + CPU_LANES - 1) / CPU_LANES * CPU_LANES) /* a number for each row, in whole vectors */
_Static_assert(TILE_ROWS % MAX_HEIGHT == 0, "blocks of rows fill a tile");

/* What rows see of a span. */
typedef struct view {
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
    float q[TILE_ROWS * CPU_MAX_HEAD_DIM];   /* (row, dim) */
    float p[TILE_ROWS * SPAN];               /* scores, then p */
    float out[TILE_ROWS * CPU_MAX_HEAD_DIM]; /* of the span: (row, padded) */
    float most[ROW_VECTORS], sum[ROW_VECTORS];
} tile;

/* What rows have gathered of the spans so far. */
typedef struct gathered {
    float most[ROW_VECTORS], sum[ROW_VECTORS];
    float out[TILE_ROWS * CPU_MAX_HEAD_DIM]; /* (row, padded) */
} gathered;

/* ---- scores ---- */

/* 16 numbers of a type of caches. Q8_0 is still to be scaled. */
SIMD_INLINE vf load(uint32_t type, const uint8_t *p, uint64_t at)
{
    if (type == BK_F32) return vf_load((const float *)(const void *)p + at);
    if (type == BK_F16) return vf_load_f16(p + 2 * at);
    return vf_from_vi(vi_load_s8(p + at));
}

/* Rows row..row+h-1 times groups g..g+w-1 of keys. */
SIMD_INLINE void score_block(tile *t, uint32_t type, int h, int w, uint32_t row, uint32_t g)
{
    const float *q = t->q + row * t->dim;
    const uint32_t dim = t->dim, step = type == BK_Q8_0 ? BK_BLOCK : dim;
    vf sum[MAX_HEIGHT][MAX_WIDTH], factor[MAX_WIDTH];
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        SIMD_UNROLL
        for (int i = 0; i < w; i++) sum[r][i] = vf_zero();
    }
    for (uint32_t begin = 0; begin < dim; begin += step) {
        if (type == BK_Q8_0) {
            SIMD_UNROLL
            for (int i = 0; i < w; i++) factor[i] = vf_load(t->key_scales[g + i] + begin / BK_BLOCK * CPU_LANES);
        }
        for (uint32_t d = begin; d < begin + step; d++) {
            vf key[MAX_WIDTH];
            SIMD_UNROLL
            for (int i = 0; i < w; i++) {
                key[i] = load(type, t->keys[g + i], d * CPU_LANES);
                if (type == BK_Q8_0) key[i] = vf_mul(key[i], factor[i]);
            }
            SIMD_UNROLL
            for (int r = 0; r < h; r++) {
                vf x = vf_set(q[r * dim + d]);
                SIMD_UNROLL
                for (int i = 0; i < w; i++) sum[r][i] = vf_fma(x, key[i], sum[r][i]);
            }
        }
    }
    vf scale = vf_set(t->j->a->scale);
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        SIMD_UNROLL
        for (int i = 0; i < w; i++) vf_store(t->p + (row + r) * SPAN + (g + i) * CPU_LANES, vf_mul(sum[r][i], scale));
    }
}

/* A block's scores of all groups its rows see. Groups beyond those that are there have the keys of one that is. */
SIMD_INLINE void score_rows(tile *t, uint32_t type, int h, int w, uint32_t row, uint32_t low, uint32_t high)
{
    for (uint32_t g = low / CPU_LANES / w * w; g * CPU_LANES < high; g += w) score_block(t, type, h, w, row, g);
}

/* ---- softmax ---- */

/* All bits where the position is seen. */
SIMD_INLINE vi seen(uint32_t group, uint32_t low, uint32_t high)
{
    static const int32_t edge[3 * CPU_LANES] = {[CPU_LANES] = -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    uint32_t begin = group * CPU_LANES, out = low > begin ? low - begin : 0, in = high - begin;
    vi from = vi_load(edge + CPU_LANES - out), to = vi_load(edge + 2 * CPU_LANES - (in < CPU_LANES ? in : CPU_LANES));
    return vi_and(from, to);
}

/* Scores of a row to p, whose sum and largest score it leaves in sum and most. */
static void softmax_row(tile *t, uint32_t row)
{
    uint32_t low = t->see.low[row], high = t->see.high[row], begin = low / CPU_LANES;
    float *p = t->p + row * SPAN;
    const vi none = vi_of_bits(vf_set(-INFINITY)), all = vi_set(-1);
    vf most = vf_set(-INFINITY), sum = vf_zero();
    for (uint32_t g = begin; g * CPU_LANES < high; g++) {
        vi mask = seen(g, low, high);
        vi s = vi_and(vi_of_bits(vf_load(p + g * CPU_LANES)), mask);
        vf score = vf_of_bits(vi_or_and(s, none, vi_sub(all, mask)));
        vf_store(p + g * CPU_LANES, score);
        most = vf_max(score, most);
    }
    t->most[row] = vf_most(most);
    for (uint32_t g = begin; g * CPU_LANES < high; g++) {
        vf e = vf_exp(vf_sub(vf_load(p + g * CPU_LANES), vf_set(t->most[row])));
        vf_store(p + g * CPU_LANES, e);
        sum = vf_add(sum, e);
    }
    t->sum[row] = vf_sum(sum);
}

/* ---- values ---- */

/* Rows row..row+h-1, w vectors of a value from element d on, positions begin..end-1 of the span: added to out. */
SIMD_INLINE void value_block(tile *t, uint32_t type, int h, int w, uint32_t row, uint32_t d, uint32_t begin, uint32_t end)
{
    float *out = t->out + row * t->padded + d;
    const float *p = t->p + row * SPAN;
    vf sum[MAX_HEIGHT][MAX_WIDTH];
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        SIMD_UNROLL
        for (int i = 0; i < w; i++) sum[r][i] = vf_load(out + r * t->padded + i * CPU_LANES);
    }
    for (uint32_t k = begin; k < end;) {
        uint32_t block = k / BK_KV_BLOCK, stop = (block + 1) * BK_KV_BLOCK < end ? (block + 1) * BK_KV_BLOCK : end;
        for (; k < stop; k++) {
            uint64_t at = k % BK_KV_BLOCK * t->padded + d;
            vf value[MAX_WIDTH];
            SIMD_UNROLL
            for (int i = 0; i < w; i++) {
                value[i] = load(type, t->values[block], at + i * CPU_LANES);
                if (type == BK_Q8_0)
                    value[i] = vf_mul(value[i], vf_set(t->value_scales[block][(at + i * CPU_LANES) / BK_BLOCK]));
            }
            SIMD_UNROLL
            for (int r = 0; r < h; r++) {
                vf x = vf_set(p[r * SPAN + k]);
                SIMD_UNROLL
                for (int i = 0; i < w; i++) sum[r][i] = vf_fma(x, value[i], sum[r][i]);
            }
        }
    }
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        SIMD_UNROLL
        for (int i = 0; i < w; i++) vf_store(out + r * t->padded + i * CPU_LANES, sum[r][i]);
    }
}

/* A block's values, all vectors of an element from `begin` to `end` of the span. */
SIMD_INLINE void value_span(tile *t, uint32_t type, int h, int w, uint32_t row, uint32_t begin, uint32_t end)
{
    uint32_t d = 0;
    for (; d + w * CPU_LANES <= t->padded; d += w * CPU_LANES) value_block(t, type, h, w, row, d, begin, end);
    for (; d < t->padded; d += CPU_LANES) value_block(t, type, h, 1, row, d, begin, end);
}

/* One row, of any type. */
static void value_one(tile *t, uint32_t row, uint32_t begin, uint32_t end)
{
    switch (t->j->kv->shape.type) {
    case BK_F32: value_span(t, BK_F32, 1, 4, row, begin, end); break;
    case BK_F16: value_span(t, BK_F16, 1, 4, row, begin, end); break;
    default: value_span(t, BK_Q8_0, 1, 4, row, begin, end);
    }
}

/* Rows of a block, of which `first`..`last` see something: together what all of these see, what is before and after row
 * by row. So no row is given a value that it does not see: 0 times a NaN would be seen. */
SIMD_INLINE void value_rows(tile *t, uint32_t type, int h, int w, uint32_t row, uint32_t first, uint32_t last)
{
    uint32_t low = t->see.low[last], high = t->see.high[first];
    if (low > high) low = high = t->see.high[last];
    for (uint32_t r = first; r <= last; r++)
        if (t->see.low[r] < low) value_one(t, r, t->see.low[r], low < t->see.high[r] ? low : t->see.high[r]);
    if (low < high) value_span(t, type, h, w, row, low, high);
    for (uint32_t r = first; r <= last; r++)
        if (t->see.high[r] > high) value_one(t, r, high, t->see.high[r]);
}

/* ---- a span ---- */

static void see_span(view *see, const attention_job *j, const attention_item *item, uint32_t span)
{
    uint32_t begin = span * SPAN, window = j->a->window;
    see->first = see->end = 0;
    for (uint32_t r = 0; r < item->rows; r++) {
        uint32_t pos = j->batch->runs[item->run].pos + (item->row + r) / j->group;
        uint32_t low = window && pos >= window ? pos - window + 1 : 0;
        see->low[r] = low > begin ? low - begin : 0;
        see->high[r] = pos < begin ? 0 : pos - begin < SPAN ? pos - begin + 1 : SPAN;
        if (see->high[r] == 0) see->first = r + 1;
        if (see->low[r] < see->high[r]) see->end = r + 1;
    }
}

/* Where the span's keys and values are. */
static void find_span(tile *t, uint32_t span)
{
    const bk_kv *kv = t->j->kv;
    uint32_t high = t->see.high[t->see.end - 1], dim = t->dim,
             size = kv->shape.type == BK_F32   ? 4
                    : kv->shape.type == BK_F16 ? 2
                                               : 1;
    const uint8_t *chunk = NULL;
    for (uint32_t b = 0; b < SPAN_BLOCKS; b++) {
        if (b * BK_KV_BLOCK < high)
            chunk = kv_chunk(kv, t->j->a->layer, t->run->blocks[span * SPAN_BLOCKS + b], t->item->kv_head);
        const void *key_scales = chunk + BK_KV_BLOCK * dim * size,
                   *value_scales = chunk + kv->key_bytes + BK_KV_BLOCK * dim;
        t->values[b] = chunk + kv->key_bytes;
        t->value_scales[b] = value_scales;
        for (uint32_t g = 0; g < BLOCK_GROUPS; g++) {
            t->keys[b * BLOCK_GROUPS + g] = chunk + (uint64_t)g * CPU_LANES * dim * size;
            t->key_scales[b * BLOCK_GROUPS + g] = (const float *)key_scales + g * CPU_LANES * (dim / BK_BLOCK);
        }
    }
}

/* most, sum and out of the rows that see something of the span. */
SIMD_INLINE void sum_span(tile *t, uint32_t type, uint32_t span)
{
    find_span(t, span);
    memset(t->out, 0, t->block[t->n_blocks] * t->padded * sizeof *t->out);
    for (uint32_t b = 0; b < t->n_blocks; b++) {
        uint32_t row = t->block[b], height = t->block[b + 1] - row, first = row > t->see.first ? row : t->see.first;
        uint32_t last = (row + height < t->see.end ? row + height : t->see.end) - 1;
        if (first >= t->see.end || first > last) continue;
        switch (height) {
#define BLOCK(h, w)                                                                                                    \
    case h:                                                                                                            \
        score_rows(t, type, h, w, row, t->see.low[first], t->see.high[last]);                                          \
        for (uint32_t r = first; r <= last; r++) softmax_row(t, r);                                                    \
        value_rows(t, type, h, w, row, first, last);                                                                   \
        break;
            SHAPES(BLOCK)
#undef BLOCK
        }
    }
}

static void sum_span_f32(tile *t, uint32_t span)
{
    sum_span(t, BK_F32, span);
}

static void sum_span_f16(tile *t, uint32_t span)
{
    sum_span(t, BK_F16, span);
}

static void sum_span_q8_0(tile *t, uint32_t span)
{
    sum_span(t, BK_Q8_0, span);
}

/* ---- joining spans ---- */

/* Joins a span's sums of rows first..end-1 to what is gathered. */
static void join_span(gathered *g, const float *most, const float *sum, const float *out, uint32_t padded,
    uint32_t first, uint32_t end)
{
    float top[ROW_VECTORS], total[ROW_VECTORS], old[ROW_VECTORS], fresh[ROW_VECTORS];
    for (uint32_t r = first / CPU_LANES * CPU_LANES; r < end; r += CPU_LANES) {
        vf a = vf_load(g->most + r), b = vf_load(most + r), c = vf_max(a, b);
        vf x = vf_exp(vf_sub(a, c)), y = vf_exp(vf_sub(b, c));
        vf_store(top + r, c);
        vf_store(old + r, x);
        vf_store(fresh + r, y);
        vf_store(total + r, vf_fma(vf_load(sum + r), y, vf_mul(vf_load(g->sum + r), x)));
    }
    for (uint32_t r = first; r < end; r++) {
        vf x = vf_set(old[r]), y = vf_set(fresh[r]);
        g->most[r] = top[r];
        g->sum[r] = total[r];
        for (uint32_t d = r * padded; d < (r + 1) * padded; d += CPU_LANES)
            vf_store(g->out + d, vf_fma(vf_load(out + d), y, vf_mul(vf_load(g->out + d), x)));
    }
}

static void gather_nothing(gathered *g, uint32_t rows, uint32_t padded)
{
    for (uint32_t r = 0; r < ROW_VECTORS; r++) {
        g->most[r] = -INFINITY;
        g->sum[r] = 0;
    }
    memset(g->out, 0, rows * padded * sizeof *g->out);
}

/* Row r of an item in an activation of (n, heads, head_dim). */
static inline uint64_t row_at(const attention_job *j, const attention_item *item, uint32_t r)
{
    uint32_t row = item->row + r, dim = j->a->head_dim;
    uint64_t token = item->first + row / j->group, head = item->kv_head * j->group + row % j->group;
    return (token * j->a->heads + head) * dim;
}

static void put_out(const attention_job *j, const attention_item *item, const gathered *g, uint32_t begin, uint32_t end)
{
    uint32_t dim = j->a->head_dim, padded = j->kv->padded;
    for (uint32_t r = begin; r < end; r++) {
        float *to = j->out + row_at(j, item, r);
        vf sum = vf_set(g->sum[r]);
        for (uint32_t d = 0; d < dim; d += CPU_LANES)
            vf_store_part(to + d, vf_div(vf_load(g->out + r * padded + d), sum), dim - d);
    }
}

/* ---- the table ---- */

static void start_tile(tile *t, const attention_job *j, const attention_item *item)
{
    t->j = j;
    t->item = item;
    t->run = &j->batch->runs[item->run];
    t->dim = j->a->head_dim;
    t->padded = j->kv->padded;
    t->rows = item->rows;
    t->n_blocks = t->block[0] = 0;
    while (t->block[t->n_blocks] < t->rows) {
        uint32_t begin = t->block[t->n_blocks], left = t->rows - begin, height = MAX_HEIGHT;
#define SMALLER(h, w)                                                                                                  \
    if ((h) >= left) height = h;
        SHAPES(SMALLER)
#undef SMALLER
        t->block[++t->n_blocks] = begin + height;
    }
    uint32_t end = t->block[t->n_blocks];
    for (uint32_t r = 0; r < t->rows; r++) memcpy(t->q + r * t->dim, j->q + row_at(j, item, r), t->dim * sizeof *t->q);
    memset(t->q + t->rows * t->dim, 0, (end - t->rows) * t->dim * sizeof *t->q);
    memset(t->p + t->rows * SPAN, 0, (end - t->rows) * SPAN * sizeof *t->p);
    memset(t->most, 0, sizeof t->most);
    memset(t->sum, 0, sizeof t->sum);
}

static void run_tile(const attention_job *j, const attention_item *item)
{
    uint32_t type = j->kv->shape.type, padded = j->kv->padded, rows = item->rows;
    void (*sum_it)(tile *, uint32_t) = type == BK_F32 ? sum_span_f32 : type == BK_F16 ? sum_span_f16 : sum_span_q8_0;
    tile t;
    gathered g;
    start_tile(&t, j, item);
    bool whole = item->partial == UINT64_MAX;
    if (whole) gather_nothing(&g, rows, padded);
    for (uint32_t span = item->span; span < item->span + item->spans; span++) {
        see_span(&t.see, j, item, span);
        if (t.see.first >= t.see.end) continue;
        sum_it(&t, span);
        if (whole) {
            join_span(&g, t.most, t.sum, t.out, padded, t.see.first, t.see.end);
            continue;
        }
        float *to = j->partial + item->partial + (span - item->begin) * partial_floats(j->kv, rows);
        memcpy(to, t.most, rows * sizeof *to);
        memcpy(to + rows, t.sum, rows * sizeof *to);
        memcpy(to + 2 * rows, t.out, (uint64_t)rows * padded * sizeof *to);
    }
    if (whole) put_out(j, item, &g, 0, rows);
}

static void join_rows(const attention_job *j, const attention_item *item, uint32_t begin, uint32_t end)
{
    uint32_t padded = j->kv->padded, rows = item->rows;
    gathered g;
    view see;
    gather_nothing(&g, rows, padded);
    for (uint32_t span = 0; span < item->all; span++) {
        const float *part = j->partial + item->partial + span * partial_floats(j->kv, rows);
        see_span(&see, j, item, item->begin + span);
        uint32_t first = see.first > begin ? see.first : begin, last = see.end < end ? see.end : end;
        if (first < last) join_span(&g, part, part + rows, part + 2 * rows, padded, first, last);
    }
    put_out(j, item, &g, begin, end);
}

const attention_kernels CPU_NAME(attention_kernels) = {
    .append = CPU_NAME(attention_append),
    .tile = run_tile,
    .join = join_rows,
};
