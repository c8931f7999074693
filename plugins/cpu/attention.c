/*
 * attention.c: cuts attention into items of work and shares them out; level_attention.c does them.
 *
 * An item is a tile of rows of one kv head of one run: tokens of a prompt times the query heads that read the kv head.
 * Where there would be few items for the threads, or one that takes long beside the others (a long sequence that writes
 * its answer), an item does a part of the spans only and leaves the sums of each; they are joined when all are done.
 * The sums of a span and the order of joining them are the same either way.
 */
#include "attention.h"
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 4096         /* of one round */
#define ITEMS_PER_THREAD 8 /* so many, where spans allow */
#define PARTIAL_HEADS 16   /* query heads on each kv head that one sequence may leave all its spans of, */
#define PARTIAL_FLOATS (UINT64_C(1) << 22) /* but no more than these */
#define ROPES 4                            /* tables of angles kept: models turn in one way or two */

/* Angles and what they were made from. */
typedef struct rope_table {
    uint32_t dims; /* 0: none yet */
    double base;
    float factor[CPU_MAX_HEAD_DIM / 2];
} rope_table;

struct attention_room {
    rope_table rope[ROPES];
    double *turns;      /* (ROPES, ROPE_DIGITS, ROPE_VALUES, 2, head_dim / 2) */
    uint64_t rope_size; /* doubles of one */
    uint32_t next_rope; /* the one to be replaced */
    float *partial;
    uint64_t partial_size; /* floats */
    share share;
    attention_item item[ITEMS];
};

/* One call. */
typedef struct work {
    attention_job j;
    const cpu *c;
    attention_room *room;
    bool appended;    /* keys and values of all tokens are in the cache */
    uint64_t limit;   /* spans of an item */
    uint32_t n_items; /* of this round */
    uint64_t used;    /* floats of room->partial */
    uint64_t split_rows;
} work;

/* ---- room ---- */

static uint64_t partial_size(const bk_kv_shape *s)
{
    uint64_t spans = ((uint64_t)s->blocks * BK_KV_BLOCK + SPAN - 1) / SPAN;
    uint64_t row = (s->head_dim + CPU_LANES - 1) / CPU_LANES * CPU_LANES + 2;
    uint64_t heads = (uint64_t)s->kv_heads * PARTIAL_HEADS;
    return heads > PARTIAL_FLOATS || spans * heads > PARTIAL_FLOATS / row ? PARTIAL_FLOATS : spans * heads * row;
}

static uint64_t rope_size(const bk_kv_shape *s)
{
    return (uint64_t)ROPE_DIGITS * ROPE_VALUES * 2 * (s->head_dim / 2);
}

uint64_t attention_room_bytes(const bk_kv_shape *s)
{
    return sizeof(attention_room) + partial_size(s) * sizeof(float) + ROPES * rope_size(s) * sizeof(double);
}

attention_room *attention_room_new(const bk_kv_shape *s)
{
    attention_room *r = aligned_alloc(_Alignof(attention_room), sizeof *r);
    if (!r) return NULL;
    memset(r, 0, sizeof *r);
    r->rope_size = rope_size(s);
    r->turns = calloc(ROPES * r->rope_size + 1, sizeof *r->turns); /* heads of 1 turn nothing */
    r->partial_size = partial_size(s);
    r->partial = calloc(r->partial_size, sizeof *r->partial);
    if (r->turns && r->partial) return r;
    attention_room_free(r);
    return NULL;
}

void attention_room_free(attention_room *r)
{
    if (!r) return;
    free(r->turns);
    free(r->partial);
    free(r);
}

/* ---- angles ---- */

static void fill_turns(const rope_table *t, double *turn)
{
    uint32_t pairs = t->dims / 2;
    for (uint32_t i = 0; i < pairs; i++) {
        double frequency = pow(t->base, -2.0 * i / t->dims) / (double)t->factor[i];
        for (uint32_t digit = 0; digit < ROPE_DIGITS; digit++)
            for (uint32_t value = 0; value < ROPE_VALUES; value++) {
                double angle = ldexp(value, (int)(digit * ROPE_BITS)) * frequency;
                double *to = turn + ((uint64_t)digit * ROPE_VALUES + value) * 2 * pairs + i;
                to[0] = cos(angle);
                to[pairs] = sin(angle);
            }
    }
}

/* The table for what `a` says, made where it is not there yet. */
static rope find_rope(attention_room *room, const bk_attention *a)
{
    rope_table want = {.dims = a->rope_dims, .base = a->rope_base};
    uint32_t pairs = a->rope_dims / 2, at = 0;
    for (uint32_t i = 0; i < pairs; i++) want.factor[i] = a->rope_factors ? a->rope_factors->f32[i] : 1.0f;
    for (; at < ROPES; at++)
        if (room->rope[at].dims == want.dims && room->rope[at].base == want.base &&
            memcmp(room->rope[at].factor, want.factor, sizeof want.factor) == 0)
            break;
    if (at == ROPES && pairs) {
        at = room->next_rope++ % ROPES;
        room->rope[at] = want;
        fill_turns(&want, room->turns + at * room->rope_size);
    }
    return (rope){pairs, pairs ? room->turns + at * room->rope_size : NULL};
}

/* ---- a round, on every thread ---- */

/* Tokens times kv heads, a part of them each. */
static void append_part(const work *w, uint32_t thread, uint32_t threads)
{
    const bk_batch *b = w->j.batch;
    uint32_t heads = w->j.a->kv_heads, run = 0, first = 0;
    uint64_t all = (uint64_t)b->n * heads, end = share_cut(all, thread + 1, threads);
    for (uint64_t i = share_cut(all, thread, threads); i < end; i++) {
        uint32_t row = (uint32_t)(i / heads);
        while (row - first >= b->runs[run].n) first += b->runs[run++].n;
        w->c->level->attention->append(&w->j, &b->runs[run], row - first, row, (uint32_t)(i % heads));
    }
}

static void join_item(const work *w, attention_item item, uint64_t begin, uint64_t end)
{
    for (uint32_t h = 0; h < item.heads; h++) {
        uint64_t at = (uint64_t)h * item.rows, from = begin > at ? begin - at : 0;
        uint64_t to = end <= at ? 0 : end - at < item.rows ? end - at : item.rows;
        if (from < to) w->c->level->attention->join(&w->j, &item, (uint32_t)from, (uint32_t)to);
        item.kv_head++;
        item.partial += item.all * partial_floats(w->j.kv, item.rows);
    }
}

/* Rows whose spans lie in room->partial, a part of them each. */
static void join_part(const work *w, uint32_t thread, uint32_t threads)
{
    uint64_t begin = share_cut(w->split_rows, thread, threads), end = share_cut(w->split_rows, thread + 1, threads);
    uint64_t at = 0;
    for (const attention_item *item = w->room->item; item < w->room->item + w->n_items && at < end; item++) {
        if (item->partial == UINT64_MAX || item->span != item->begin) continue;
        uint64_t rows = (uint64_t)item->heads * item->rows;
        if (begin < at + rows) join_item(w, *item, begin > at ? begin - at : 0, end - at);
        at += rows;
    }
}

static void run_round(void *job, uint32_t thread, uint32_t threads)
{
    const work *w = job;
    uint32_t begin, end;
    if (!w->appended) {
        append_part(w, thread, threads);
        pool_barrier(w->c->pool);
    }
    while (share_next(&w->room->share, thread, &begin, &end))
        for (; begin < end; begin++) w->c->level->attention->tile(&w->j, &w->room->item[begin]);
    if (!w->split_rows) return;
    pool_barrier(w->c->pool);
    join_part(w, thread, threads);
}

static void do_round(work *w)
{
    share_init(&w->room->share, w->n_items, 1, w->c->threads);
    pool_run(w->c->pool, run_round, w);
    w->appended = true;
    w->n_items = 0;
    w->used = w->split_rows = 0;
}

/* ---- items ---- */

/* The tile that begins with a row of a run: its rows, and the spans they see. */
static attention_item tile_at(const work *w, uint32_t run, uint32_t first, uint32_t row)
{
    const bk_run *r = &w->j.batch->runs[run];
    uint32_t left = r->n * w->j.group - row, window = w->j.a->window;
    attention_item item = {.first = first, .run = run, .heads = 1, .row = row, .rows = left < TILE_ROWS ? left : TILE_ROWS};
    uint32_t pos = r->pos + row / w->j.group, last = r->pos + (row + item.rows - 1) / w->j.group;
    item.begin = window && pos >= window ? (pos - window + 1) / SPAN : 0;
    item.all = last / SPAN - item.begin + 1;
    item.span = item.begin;
    item.spans = item.all;
    item.partial = UINT64_MAX;
    return item;
}

/* Rows of a run are cut into tiles from the first on. The last tile sees the most, so it comes first. */
static uint32_t last_tile(const work *w, uint32_t run)
{
    return (w->j.batch->runs[run].n * w->j.group - 1) / TILE_ROWS * TILE_ROWS;
}

static uint64_t all_spans(const work *w)
{
    uint64_t sum = 0;
    for (uint32_t run = 0; run < w->j.batch->n_runs; run++)
        for (uint32_t row = 0; row <= last_tile(w, run); row += TILE_ROWS) sum += tile_at(w, run, 0, row).all;
    return sum;
}

/* Adds a tile as one item, or as several of `limit` spans when it has more and there is room for their sums. */
static void add_tile(work *w, attention_item item)
{
    uint64_t floats = item.all * item.heads * partial_floats(w->j.kv, item.rows);
    uint64_t pieces = (item.all + w->limit - 1) / w->limit;
    bool parted = (pieces > 1 || item.heads > 1) && floats <= w->room->partial_size;
    if (!parted) pieces = 1;
    if (w->n_items + pieces > ITEMS || (parted && w->used + floats > w->room->partial_size)) do_round(w);
    if (parted) {
        item.partial = w->used;
        item.spans = item.all < w->limit ? item.all : (uint32_t)w->limit;
        w->used += floats;
        w->split_rows += (uint64_t)item.heads * item.rows;
    }
    for (uint32_t end = item.begin + item.all; item.span < end; item.span += item.spans) {
        if (item.spans > end - item.span) item.spans = end - item.span;
        w->room->item[w->n_items++] = item;
    }
}

/* All kv heads of a tile: as one item or, where heads are not together, as one for each. */
static void add_heads(work *w, attention_item item, bool together)
{
    uint32_t heads = w->j.a->kv_heads;
    uint64_t floats = (uint64_t)item.all * heads * partial_floats(w->j.kv, item.rows);
    if (together && item.all > 1 && floats <= w->room->partial_size) {
        item.heads = heads;
        add_tile(w, item);
        return;
    }
    for (; item.kv_head < heads; item.kv_head++) add_tile(w, item);
}

/* A run of one tile, which reads all keys and values for few rows, does all heads of a span after each other, as long
 * as that leaves items enough. */
static void do_all(work *w)
{
    const bk_batch *b = w->j.batch;
    uint64_t spans = all_spans(w), items = (uint64_t)w->c->threads * ITEMS_PER_THREAD;
    bool together = spans >= items;
    uint64_t limit = (together ? spans : spans * w->j.a->kv_heads) / items;
    w->limit = w->c->threads == 1 ? UINT32_MAX : limit ? limit : 1;
    for (uint32_t run = 0, first = 0; run < b->n_runs; first += b->runs[run++].n) {
        uint32_t last = last_tile(w, run);
        for (uint64_t row = (uint64_t)last + TILE_ROWS; row; row -= TILE_ROWS)
            add_heads(w, tile_at(w, run, first, (uint32_t)row - TILE_ROWS), together && !last);
    }
    if (w->n_items) do_round(w);
}

/* ---- checks ---- */

int32_t cpu_check_heads(void *self, const bk_attention *a, jv_err *err)
{
    if (!a->heads || !a->kv_heads || a->heads % a->kv_heads)
        return jv_fail(err, JV_BAD, "%u heads on %u kv heads: no multiple", a->heads, a->kv_heads);
    if (!a->head_dim || a->head_dim > CPU_MAX_HEAD_DIM)
        return jv_fail(err, JV_BAD, "heads of %u; 1..%d is allowed", a->head_dim, CPU_MAX_HEAD_DIM);
    if (a->rope_dims % 2 || a->rope_dims > a->head_dim)
        return jv_fail(err, JV_BAD, "%u dimensions to turn, of %u", a->rope_dims, a->head_dim);
    if (a->rope_pairs != BK_ROPE_ADJACENT && a->rope_pairs != BK_ROPE_HALVES)
        return jv_fail(err, JV_BAD, "pairs of kind %u to turn; %d and %d are known", a->rope_pairs, BK_ROPE_ADJACENT,
            BK_ROPE_HALVES);
    return JV_OK;
}

static int32_t check_batch(const bk_attention *a, const bk_batch *b, jv_err *err)
{
    const bk_kv_shape *s = &b->kv->shape;
    uint64_t n = 0;
    if (s->kv_heads != a->kv_heads || s->head_dim != a->head_dim || a->layer >= s->layers)
        return jv_fail(err, JV_FATAL,
            "attention: layer %u, %u kv heads of %u; the cache has %u layers, %u kv heads of %u", a->layer, a->kv_heads,
            a->head_dim, s->layers, s->kv_heads, s->head_dim);
    for (uint32_t i = 0; i < b->n_runs; i++) {
        const bk_run *r = &b->runs[i];
        uint64_t end = (uint64_t)r->pos + r->n;
        if (!r->n || end > UINT32_MAX - SPAN || (uint64_t)r->n * (a->heads / a->kv_heads) > UINT32_MAX - TILE_ROWS)
            return jv_fail(err, JV_FATAL, "attention: run %u of %u tokens at position %u", i, r->n, r->pos);
        for (uint64_t p = 0; p * BK_KV_BLOCK < end; p++)
            if (r->blocks[p] >= s->blocks)
                return jv_fail(err, JV_FATAL, "attention: run %u, block %u of a pool of %u", i, r->blocks[p], s->blocks);
        n += r->n;
    }
    return n == b->n ? JV_OK
                     : jv_fail(err, JV_FATAL, "attention: %u tokens in runs of %llu", b->n, (unsigned long long)n);
}

static int32_t check_all(const bk_tensor *out, const bk_tensor *q, const bk_tensor *k, const bk_tensor *v,
    const bk_attention *a, const bk_batch *b, jv_err *err)
{
    jv_err why;
    if (cpu_check_heads(NULL, a, &why) != JV_OK) return jv_fail(err, JV_FATAL, "attention: %.400s", why.text);
    uint64_t width = (uint64_t)a->heads * a->head_dim, kv_width = (uint64_t)a->kv_heads * a->head_dim;
    int32_t rc = check_activation(q, "attention: q", width, b->n, err);
    if (rc == JV_OK) rc = check_activation(k, "attention: k", kv_width, b->n, err);
    if (rc == JV_OK) rc = check_activation(v, "attention: v", kv_width, b->n, err);
    if (rc == JV_OK) rc = check_activation(out, "attention: out", width, b->n, err);
    if (rc == JV_OK) rc = check_vector(a->q_norm, "attention: q_norm", a->head_dim, err);
    if (rc == JV_OK) rc = check_vector(a->k_norm, "attention: k_norm", a->head_dim, err);
    if (rc == JV_OK) rc = check_vector(a->rope_factors, "attention: rope_factors", a->rope_dims / 2, err);
    if (rc == JV_OK) rc = check_batch(a, b, err);
    if (rc == JV_OK && (out == q || out == k || out == v || q == k || q == v || k == v))
        return jv_fail(err, JV_FATAL, "attention: out, q, k and v are not four");
    return rc;
}

int32_t cpu_attention(void *self, bk_tensor *out, bk_tensor *q, bk_tensor *k, const bk_tensor *v, const bk_attention *a,
    const bk_batch *batch, jv_err *err)
{
    int32_t rc = check_all(out, q, k, v, a, batch, err);
    if (rc != JV_OK || !batch->n) return rc;
    attention_room *room = batch->kv->room;
    work w = {.c = self, .room = room};
    w.j = (attention_job){.a = a,
        .batch = batch,
        .kv = batch->kv,
        .group = a->heads / a->kv_heads,
        .q = q->f32,
        .k = k->f32,
        .v = v->f32,
        .out = out->f32,
        .q_norm = a->q_norm ? a->q_norm->f32 : NULL,
        .k_norm = a->k_norm ? a->k_norm->f32 : NULL,
        .rope = find_rope(room, a),
        .partial = room->partial};
    do_all(&w);
    return JV_OK;
}
