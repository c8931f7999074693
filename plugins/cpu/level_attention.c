/*
 * level_attention.c: the items of attention: spans after each other, joined (level_attention.h).
 */
#include "level_append.h"
#include "level_span.h"

#include <math.h>

/* What rows have gathered of the spans so far. */
typedef struct gathered {
    float most[ROW_VECTORS], sum[ROW_VECTORS];
    float out[TILE_ROWS * CPU_MAX_HEAD_DIM]; /* (row, padded) */
} gathered;

/* ---- joining spans ---- */

/* Joins a span's sums of rows first..end-1 to what is gathered. */
static void join_span(gathered *g, const float *most, const float *sum, const float *out, uint32_t padded,
    uint32_t first, uint32_t end)
{
    float top[ROW_VECTORS], total[ROW_VECTORS], old[ROW_VECTORS], fresh[ROW_VECTORS];
    for (uint32_t r = first / CPU_LANES * CPU_LANES; r < end; r += CPU_LANES) {
        vf a = vf_load(g->most + r), b = vf_load(most + r), c = vf_max(a, b);
        vf x = exp_down(vf_sub(a, c)), y = exp_down(vf_sub(b, c));
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

/* Head after head of a span, as they lie in memory: that is read faster than a head's parts of all blocks. */
static void run_spans(const attention_job *j, const attention_item *item)
{
    uint32_t padded = j->kv->padded, rows = item->rows;
    tile t;
    for (uint32_t span = item->span; span < item->span + item->spans; span++)
        for (uint32_t h = 0; h < item->heads; h++) {
            attention_item one = *item;
            one.kv_head += h;
            CPU_NAME(span_start)(&t, j, &one);
            see_span(&t.see, rows, j->a->window, span);
            if (t.see.first >= t.see.end) continue;
            CPU_NAME(span_sum)(&t, span);
            uint64_t slot = (uint64_t)h * item->all + span - item->begin;
            float *to = j->partial + item->partial + slot * partial_floats(j->kv, rows);
            memcpy(to, t.most, rows * sizeof *to);
            memcpy(to + rows, t.sum, rows * sizeof *to);
            memcpy(to + 2 * rows, t.out, (uint64_t)rows * padded * sizeof *to);
        }
}

static void run_tile(const attention_job *j, const attention_item *item)
{
    tile t;
    gathered g;
    if (item->partial != UINT64_MAX) {
        run_spans(j, item);
        return;
    }
    CPU_NAME(span_start)(&t, j, item);
    gather_nothing(&g, item->rows, t.padded);
    for (uint32_t span = item->span; span < item->span + item->spans; span++) {
        see_span(&t.see, t.rows, j->a->window, span);
        if (t.see.first >= t.see.end) continue;
        CPU_NAME(span_sum)(&t, span);
        join_span(&g, t.most, t.sum, t.out, t.padded, t.see.first, t.see.end);
    }
    put_out(j, item, &g, 0, item->rows);
}

static void join_rows(const attention_job *j, const attention_item *item, uint32_t begin, uint32_t end)
{
    uint32_t padded = j->kv->padded, rows = item->rows;
    gathered g;
    view see;
    place_rows(&see, j, item);
    gather_nothing(&g, rows, padded);
    for (uint32_t span = 0; span < item->all; span++) {
        const float *part = j->partial + item->partial + span * partial_floats(j->kv, rows);
        see_span(&see, rows, j->a->window, item->begin + span);
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
