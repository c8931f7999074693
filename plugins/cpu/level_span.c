/*
 * level_span.c: what rows get of one span, in the order level_attention.h settles: scores, softmax, values. Blocks of
 * rows times a few vectors are summed in registers; which rows stand together changes no sum.
 */
#include "level_span.h"

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
#define FEW 4 /* rows of a block that are done with keys and values faster than memory brings more */
_Static_assert(TILE_ROWS % MAX_HEIGHT == 0, "blocks of rows fill a tile");

/* ---- scores ---- */

SIMD_INLINE uint64_t size_of(uint32_t type)
{
    return type == BK_F32 ? 4 : type == BK_F16 ? 2 : 1;
}

/* 16 numbers of a type of caches. Q8_0 is still to be scaled. */
SIMD_INLINE vf load(uint32_t type, const uint8_t *p)
{
    if (type == BK_F32) return vf_load((const float *)(const void *)p);
    if (type == BK_F16) return vf_load_f16(p);
    return vf_from_vi(vi_load_s8(p));
}

/* Has memory bring lines that begin within n bytes at p. */
SIMD_INLINE void ask_for(const uint8_t *p, uint64_t n)
{
    SIMD_UNROLL
    for (uint64_t at = 0; at < n; at += 64) __builtin_prefetch(p + at, 0, 2);
}

/* sum[r][i] += x of row r (h of them, `stride` apart) times vector i of w. */
SIMD_INLINE void multiply(vf sum[][MAX_WIDTH], const float *x, uint64_t stride, const vf *by, int h, int w)
{
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        vf a = vf_set(x[r * stride]);
        SIMD_UNROLL
        for (int i = 0; i < w; i++) sum[r][i] = vf_fma(a, by[i], sum[r][i]);
    }
}

/* Rows row..row+h-1 times groups g..g+w-1 of keys. */
SIMD_INLINE void score_block(tile *t, uint32_t type, int h, int w, uint32_t row, uint32_t g)
{
    const float *q = t->q + row * Q_STRIDE;
    const uint64_t dim = t->dim, step = type == BK_Q8_0 ? BK_BLOCK : dim;
    vf sum[MAX_HEIGHT][MAX_WIDTH], factor[MAX_WIDTH], key[MAX_WIDTH];
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        SIMD_UNROLL
        for (int i = 0; i < w; i++) sum[r][i] = vf_zero();
    }
    for (uint64_t begin = 0; begin < dim; begin += step) {
        if (type == BK_Q8_0) {
            SIMD_UNROLL
            for (int i = 0; i < w; i++) factor[i] = vf_load(t->key_scales[g + i] + begin / BK_BLOCK * CPU_LANES);
        }
        for (uint64_t d = begin; d < begin + step; d++) {
            SIMD_UNROLL
            for (int i = 0; i < w; i++) {
                key[i] = load(type, t->keys[g + i] + d * CPU_LANES * size_of(type));
                if (h <= FEW && d * size_of(type) % 4 == 0)
                    ask_for(t->next_keys[g + i] + d * CPU_LANES * size_of(type), 4 * CPU_LANES);
                if (type == BK_Q8_0) key[i] = vf_mul(key[i], factor[i]);
            }
            multiply(sum, q + d, Q_STRIDE, key, h, w);
        }
    }
    vf scale = vf_set(t->j->a->scale);
    float *to = t->p + row * P_STRIDE + g * CPU_LANES;
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        SIMD_UNROLL
        for (int i = 0; i < w; i++) vf_store(to + r * P_STRIDE + i * CPU_LANES, vf_mul(sum[r][i], scale));
    }
}

/* A block's scores of all groups its rows see. Groups beyond those that are there have the keys of one that is. */
SIMD_INLINE void score_rows(tile *t, uint32_t type, int h, int w, uint32_t row, uint32_t low, uint32_t high)
{
    for (uint32_t g = low / CPU_LANES / w * w; g * CPU_LANES < high; g += w) score_block(t, type, h, w, row, g);
}

/* ---- softmax ---- */

/* Puts -infinity where a group's positions are not seen. */
SIMD_INLINE vf hide(vf score, uint32_t group, uint32_t low, uint32_t high)
{
    static const int32_t edge[3 * CPU_LANES] = {[CPU_LANES] = -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    uint32_t begin = group * CPU_LANES, out = low > begin ? low - begin : 0, in = high - begin;
    vi from = vi_load(edge + CPU_LANES - out), to = vi_load(edge + 2 * CPU_LANES - (in < CPU_LANES ? in : CPU_LANES));
    vi seen = vi_and(from, to), none = vi_of_bits(vf_set(-INFINITY));
    return vf_of_bits(vi_or_and(vi_and(vi_of_bits(score), seen), none, vi_sub(vi_set(-1), seen)));
}

/* Scores of rows first..last of a block to p, whose sums and largest scores it leaves in sum and most. Row after row in
 * three passes, so that the processor has many rows at work at once. */
static void softmax_rows(tile *t, uint32_t first, uint32_t last)
{
    float lanes[MAX_HEIGHT * CPU_LANES];
    for (uint32_t r = first; r <= last; r++) {
        uint32_t low = t->see.low[r], high = t->see.high[r], begin = low / CPU_LANES, end = (high - 1) / CPU_LANES;
        float *p = t->p + r * P_STRIDE;
        if (low % CPU_LANES) vf_store(p + begin * CPU_LANES, hide(vf_load(p + begin * CPU_LANES), begin, low, high));
        if (high % CPU_LANES) vf_store(p + end * CPU_LANES, hide(vf_load(p + end * CPU_LANES), end, low, high));
        vf most = vf_load(p + begin * CPU_LANES);
        for (uint32_t g = begin + 1; g <= end; g++) most = vf_max(vf_load(p + g * CPU_LANES), most);
        t->most[r] = vf_most(most);
    }
    for (uint32_t r = first; r <= last; r++) {
        uint32_t begin = t->see.low[r] / CPU_LANES, end = (t->see.high[r] - 1) / CPU_LANES;
        float *p = t->p + r * P_STRIDE;
        vf most = vf_set(t->most[r]), sum = vf_zero();
        for (uint32_t g = begin; g <= end; g++) {
            vf e = exp_down(vf_sub(vf_load(p + g * CPU_LANES), most));
            vf_store(p + g * CPU_LANES, e);
            sum = vf_add(sum, e);
        }
        vf_store(lanes + (r - first) * CPU_LANES, sum);
    }
    for (uint32_t r = first; r <= last; r++) t->sum[r] = vf_sum(vf_load(lanes + (r - first) * CPU_LANES));
}

/* ---- values ---- */

/* Rows row..row+h-1, w vectors of a value from element d on, positions begin..end-1 of the span: added to out. */
SIMD_INLINE void value_block(tile *t, uint32_t type, int h, int w, uint32_t row, uint32_t d, uint32_t begin, uint32_t end)
{
    const uint64_t padded = t->padded;
    float *out = t->out + row * padded + d;
    const float *p = t->p + row * P_STRIDE;
    vf sum[MAX_HEIGHT][MAX_WIDTH], value[MAX_WIDTH];
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        SIMD_UNROLL
        for (int i = 0; i < w; i++) sum[r][i] = vf_load(out + r * padded + i * CPU_LANES);
    }
    for (uint64_t k = begin, stop; k < end; k = stop) {
        uint64_t block = k / BK_KV_BLOCK, in_block = k % BK_KV_BLOCK;
        stop = (block + 1) * BK_KV_BLOCK < end ? (block + 1) * BK_KV_BLOCK : end;
        const uint8_t *from = t->values[block] + (in_block * padded + d) * size_of(type);
        const float *scales = t->value_scales[block] + (in_block * padded + d) / BK_BLOCK;
        const uint8_t *next = t->next_values[block] + (in_block * padded + d) * size_of(type);
        const uint64_t step = padded * size_of(type);
        for (uint64_t i = k; i < stop; i++, from += step, next += step, scales += padded / BK_BLOCK) {
            SIMD_UNROLL
            for (int v = 0; v < w; v++) {
                value[v] = load(type, from + v * CPU_LANES * size_of(type));
                if (type == BK_Q8_0)
                    value[v] = vf_mul(value[v], vf_set(scales[(d % BK_BLOCK + v * CPU_LANES) / BK_BLOCK]));
            }
            if (h <= FEW) ask_for(next, w * CPU_LANES * size_of(type));
            multiply(sum, p + i, P_STRIDE, value, h, w);
        }
    }
    SIMD_UNROLL
    for (int r = 0; r < h; r++) {
        SIMD_UNROLL
        for (int i = 0; i < w; i++) vf_store(out + r * padded + i * CPU_LANES, sum[r][i]);
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

/* Where the span's keys and values are. */
static void find_span(tile *t, uint32_t span)
{
    const bk_kv *kv = t->j->kv;
    const uint32_t *blocks = t->run->blocks + span * SPAN_BLOCKS, layer = t->j->a->layer, head = t->item->kv_head;
    uint32_t high = t->see.high[t->see.end - 1], last = t->see.pos[t->rows - 1] / BK_KV_BLOCK;
    uint64_t keys = t->dim * CPU_LANES * (kv->shape.type == BK_F32 ? 4 : kv->shape.type == BK_F16 ? 2 : 1);
    const uint8_t *chunk = NULL, *next;
    for (uint32_t g = 0; g < GROUPS; g++) {
        uint32_t b = g / BLOCK_GROUPS, i = g % BLOCK_GROUPS;
        if (g * CPU_LANES < high) chunk = kv_chunk(kv, layer, blocks[b], head);
        next = span * SPAN_BLOCKS + SPAN_BLOCKS + b <= last ? kv_chunk(kv, layer, blocks[SPAN_BLOCKS + b], head) : chunk;
        const void *key_scales = chunk + BLOCK_GROUPS * keys, *value_scales = chunk + kv->key_bytes + BLOCK_GROUPS * keys;
        t->keys[g] = chunk + i * keys;
        t->key_scales[g] = (const float *)key_scales + i * CPU_LANES * (t->dim / BK_BLOCK);
        t->values[b] = chunk + kv->key_bytes;
        t->value_scales[b] = value_scales;
        t->next_keys[g] = next + i * keys;
        t->next_values[b] = next + kv->key_bytes;
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
        softmax_rows(t, first, last);                                                                                  \
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

void CPU_NAME(span_sum)(tile *t, uint32_t span)
{
    switch (t->j->kv->shape.type) {
    case BK_F32: sum_span_f32(t, span); break;
    case BK_F16: sum_span_f16(t, span); break;
    default: sum_span_q8_0(t, span);
    }
}

void CPU_NAME(span_start)(tile *t, const attention_job *j, const attention_item *item)
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
    for (uint32_t r = 0; r < t->rows; r++)
        memcpy(t->q + r * Q_STRIDE, j->q + row_at(j, item, r), t->dim * sizeof *t->q);
    memset(t->q + t->rows * Q_STRIDE, 0, (end - t->rows) * Q_STRIDE * sizeof *t->q);
    memset(t->p + t->rows * P_STRIDE, 0, (end - t->rows) * P_STRIDE * sizeof *t->p);
    memset(t->most, 0, sizeof t->most);
    memset(t->sum, 0, sizeof t->sum);
    place_rows(&t->see, j, item);
}
