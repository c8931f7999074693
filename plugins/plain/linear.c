/*
 * linear.c: weights times activations. Rows of the weight are shared out among the threads; a block of a weight's row
 * is unpacked once and used for all rows of a tile of the batch, so that many tokens cost less each than one.
 *
 * Every value is made in one order that depends on neither: quantised weights add block after block to one float
 *     acc += scale_x * (d * sum(q_w q_x) + m * sum(q_x))
 * where both sums are integers; floats are summed in LANES partial sums (numbers.h). Then the bias is added, then, if
 * asked for, the value that was there. Nothing here names an instruction set: the loops are simple enough for the
 * compiler to find the multiply-and-add of 16-bit integers by itself.
 */
#include "numbers.h"
#include "plain.h"

#include <math.h>

#define PART_BYTES (64u << 10) /* of weights that a thread takes at a time, roughly */
#define STRIP 16               /* blocks of a row whose floats are made together */

typedef struct linear_job {
    bk_tensor *out;
    const bk_tensor *w[2]; /* one, or gate and up */
    const bk_tensor *bias;
    const bk_tensor *x;
    uint32_t n_w, n;
    bool add;
} linear_job;

/* One block of a weight, unpacked: w = d * q + m. */
typedef struct unpacked {
    int16_t q[BLOCK];
    float d, m;
} unpacked;

/* ---- activations to integers ---- */

/* q = x / scale to the nearest integer, ties away from zero, at most 127 in size. A block that holds an infinity or
 * NaN gets a NaN for a scale, so that what is computed from it is NaN, too. */
static void quantise_block(const float *restrict x, int16_t *restrict q, float *scale, float *sum)
{
    uint32_t most = 0; /* the bits of |x| compare like |x|, with NaN above all */
    for (int i = 0; i < BLOCK; i++) {
        uint32_t a = bits_of(x[i]) & 0x7fffffff;
        most = a > most ? a : most;
    }
    float d = float_of(most) / 127.0f;
    bool zero = d == 0, special = most >= 0x7f800000;
    float divisor = zero || special ? 1.0f : d;
    int32_t total = 0;
    for (int i = 0; i < BLOCK; i++) {
        float v = zero || special ? 0.0f : x[i] / divisor;
        v = v > 127.0f ? 127.0f : v < -127.0f ? -127.0f : v; /* only a d that is subnormal can be that far off */
        int32_t t = (int32_t)v;
        float rest = v - (float)t; /* exact */
        t += (rest >= 0.5f) - (rest <= -0.5f);
        q[i] = (int16_t)t;
        total += t;
    }
    *scale = special ? NAN : d;
    *sum = (float)total;
}

static uint32_t tile_height(uint32_t tile, uint32_t n)
{
    uint32_t left = n - tile * TILE;
    return left < TILE ? left : TILE;
}

/* Rows of x are shared out in tiles. */
static void quantise_part(void *job, uint32_t part, uint32_t parts)
{
    const linear_job *j = job;
    const bk_tensor *x = j->x;
    uint64_t blocks = x->columns / BLOCK;
    uint32_t tiles = (j->n + TILE - 1) / TILE;
    uint32_t end = (uint32_t)part_begin(tiles, part + 1, parts);
    for (uint32_t tile = (uint32_t)part_begin(tiles, part, parts); tile < end; tile++) {
        uint32_t h = tile_height(tile, j->n);
        for (uint32_t r = 0; r < h; r++) {
            const float *row = x->f32 + ((uint64_t)tile * TILE + r) * x->columns;
            for (uint64_t b = 0; b < blocks; b++) {
                uint64_t at = (uint64_t)tile * TILE * blocks + b * h + r;
                quantise_block(row + b * BLOCK, x->q + at * BLOCK, &x->scale[at], &x->sum[at]);
            }
        }
    }
}

/* ---- blocks of weights ---- */

static inline float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return half_to_float(h);
}

static inline void unpack_nibbles(const uint8_t *restrict p, int16_t offset, int16_t *restrict q)
{
    for (int i = 0; i < BLOCK / 2; i++) {
        q[i] = (int16_t)((p[i] & 15) - offset);
        q[i + BLOCK / 2] = (int16_t)((p[i] >> 4) - offset);
    }
}

static inline void unpack(uint32_t type, const uint8_t *p, unpacked *u)
{
    u->d = half_at(p);
    u->m = 0;
    if (type == BK_Q8_0) {
        const int8_t *q = (const int8_t *)p + 2;
        for (int i = 0; i < BLOCK; i++) u->q[i] = q[i];
    } else if (type == BK_Q4_1) {
        u->m = half_at(p + 2);
        unpack_nibbles(p + 4, 0, u->q);
    } else {
        unpack_nibbles(p + 2, 8, u->q);
    }
}

static inline uint32_t block_bytes(uint32_t type)
{
    return type == BK_Q8_0 ? 34 : type == BK_Q4_1 ? 20 : 18;
}

static inline int32_t dot_block(const int16_t *restrict a, const int16_t *restrict b)
{
    int32_t s = 0;
    for (int i = 0; i < BLOCK; i++) s += (int32_t)a[i] * b[i];
    return s;
}

/* ---- one row of a weight times a tile: acc[0..h) ---- */

/* Its caller gives type and, for a single token, h as constants, so that each gets loops of its own. */
static inline __attribute__((always_inline)) void quantised_row(uint32_t type, const uint8_t *row, const bk_tensor *x,
    uint64_t tile, uint32_t h, float *restrict acc)
{
    uint64_t blocks = x->columns / BLOCK, at = tile * TILE * blocks;
    const int16_t *restrict q = x->q + at * BLOCK;
    const float *restrict scale = x->scale + at, *restrict sum = x->sum + at;
    for (uint32_t r = 0; r < h; r++) acc[r] = 0;
    for (uint64_t b = 0; b < blocks; b++, row += block_bytes(type)) {
        unpacked u;
        int32_t s[TILE];
        unpack(type, row, &u);
        for (uint32_t r = 0; r < h; r++, q += BLOCK) s[r] = dot_block(u.q, q);
        for (uint32_t r = 0; r < h; r++, scale++, sum++) {
            float block = u.d * (float)s[r];
            if (type == BK_Q4_1) block += u.m * *sum;
            acc[r] += *scale * block;
        }
    }
}

/* The same for a full tile, with the integers of STRIP blocks made before their floats: that keeps the two loops apart,
 * and the compiler makes vectors of both. */
static inline __attribute__((always_inline)) void full_tile(uint32_t type, const uint8_t *row, const bk_tensor *x,
    uint64_t tile, float *restrict acc)
{
    uint64_t blocks = x->columns / BLOCK, at = tile * TILE * blocks;
    float total[TILE] = {0};
    for (uint64_t begin = 0; begin < blocks; begin += STRIP) {
        uint32_t n = blocks - begin < STRIP ? (uint32_t)(blocks - begin) : STRIP;
        unpacked u[STRIP];
        int32_t s[STRIP][TILE];
        for (uint32_t b = 0; b < n; b++, row += block_bytes(type)) {
            unpack(type, row, &u[b]);
            for (uint32_t r = 0; r < TILE; r++) s[b][r] = dot_block(u[b].q, x->q + (at + b * TILE + r) * BLOCK);
        }
        for (uint32_t b = 0; b < n; b++, at += TILE)
            for (uint32_t r = 0; r < TILE; r++) {
                float block = u[b].d * (float)s[b][r];
                if (type == BK_Q4_1) block += u[b].m * x->sum[at + r];
                total[r] += x->scale[at + r] * block;
            }
    }
    memcpy(acc, total, sizeof total);
}

static inline __attribute__((always_inline)) void quantised_heights(uint32_t type, const uint8_t *row,
    const bk_tensor *x, uint64_t tile, uint32_t h, float *acc)
{
    if (h == 1)
        quantised_row(type, row, x, tile, 1, acc);
    else if (h == TILE)
        full_tile(type, row, x, tile, acc);
    else
        quantised_row(type, row, x, tile, h, acc);
}

static void quantised_tile(uint32_t type, const uint8_t *row, const bk_tensor *x, uint64_t tile, uint32_t h, float *acc)
{
    if (type == BK_Q4_1)
        quantised_heights(BK_Q4_1, row, x, tile, h, acc);
    else if (type == BK_Q4_0)
        quantised_heights(BK_Q4_0, row, x, tile, h, acc);
    else
        quantised_heights(BK_Q8_0, row, x, tile, h, acc);
}

static void float_tile(uint32_t type, const uint8_t *row, const bk_tensor *x, uint64_t tile, uint32_t h, float *acc)
{
    enum { CHUNK = 4 * LANES };
    float lane[TILE][LANES] = {{0}}, w[CHUNK];
    for (uint64_t k = 0; k < x->columns; k += CHUNK) {
        uint64_t n = x->columns - k < CHUNK ? x->columns - k : CHUNK;
        if (type == BK_F32)
            memcpy(w, row + k * 4, n * 4);
        else
            for (uint64_t i = 0; i < n; i++) w[i] = half_at(row + (k + i) * 2);
        for (uint32_t r = 0; r < h; r++) dot_lanes(lane[r], w, x->f32 + (tile * TILE + r) * x->columns + k, n);
    }
    for (uint32_t r = 0; r < h; r++) acc[r] = sum_lanes(lane[r]);
}

static bool quantised(uint32_t type)
{
    return type != BK_F32 && type != BK_F16;
}

static inline void row_times_tile(const bk_tensor *w, uint64_t row, const bk_tensor *x, uint64_t tile, uint32_t h,
    float *acc)
{
    const uint8_t *bytes = w->bytes + row * w->row_bytes;
    if (quantised(w->type))
        quantised_tile(w->type, bytes, x, tile, h, acc);
    else
        float_tile(w->type, bytes, x, tile, h, acc);
}

/* ---- the loops ---- */

static inline float silu(float x)
{
    return x / (1.0f + expf(-x));
}

/* For each tile the part's rows of the weight: they stay in the second-level cache from one tile to the next. */
static void linear_part(void *job, uint32_t part, uint32_t parts)
{
    const linear_job *j = job;
    uint64_t rows = j->w[0]->rows;
    uint64_t begin = part_begin(rows, part, parts), end = part_begin(rows, part + 1, parts);
    const float *bias = j->bias ? (const float *)(const void *)j->bias->bytes : NULL;
    for (uint32_t tile = 0; tile * TILE < j->n; tile++) {
        uint32_t h = tile_height(tile, j->n);
        for (uint64_t row = begin; row < end; row++) {
            float acc[TILE], up[TILE];
            float *out = j->out->f32 + (uint64_t)tile * TILE * rows + row;
            row_times_tile(j->w[0], row, j->x, tile, h, acc);
            if (j->n_w == 2) row_times_tile(j->w[1], row, j->x, tile, h, up);
            for (uint32_t r = 0; r < h; r++, out += rows) {
                float v = j->n_w == 2 ? silu(acc[r]) * up[r] : acc[r];
                if (bias) v += bias[row];
                *out = j->add ? v + *out : v;
            }
        }
    }
}

/* Parts of about PART_BYTES, but some for each thread, and none smaller than a few rows. */
static uint32_t count_parts(const struct plain *p, const bk_tensor *w)
{
    uint64_t parts = w->rows * w->row_bytes / PART_BYTES, least = p->threads * 2;
    if (parts < least) parts = least;
    if (parts > w->rows / 8) parts = w->rows / 8;
    if (parts > 0xffff) parts = 0xffff;
    return parts < 1 || p->threads == 1 ? 1 : (uint32_t)parts;
}

static void run_linear(struct plain *p, linear_job *job)
{
    if (job->n == 0) return;
    if (quantised(job->w[0]->type) || (job->n_w == 2 && quantised(job->w[1]->type))) {
        uint32_t tiles = (job->n + TILE - 1) / TILE;
        pool_run(p->pool, tiles < p->threads ? tiles : p->threads, quantise_part, job);
    }
    pool_run(p->pool, count_parts(p, job->w[0]), linear_part, job);
}

int32_t plain_linear(void *self, bk_tensor *out, const bk_tensor *w, const bk_tensor *bias, const bk_tensor *x,
    int32_t add, uint32_t n, jv_err *err)
{
    int32_t rc = plain_need_weight(w, "linear: w", 0, 0, err);
    if (rc == JV_OK) rc = plain_need(x, "linear: x", w->columns, n, err);
    if (rc == JV_OK) rc = plain_need(out, "linear: out", w->rows, n, err);
    if (rc == JV_OK && bias) rc = plain_need_weight(bias, "linear: bias", 1, w->rows, err);
    if (rc != JV_OK) return rc;
    if (out == x) return jv_fail(err, JV_FATAL, "linear: out is x");
    if (bias && bias->type != BK_F32)
        return jv_fail(err, JV_FATAL, "linear: the bias is of type %u, not F32", bias->type);
    run_linear(self, &(linear_job){.out = out, .w = {w}, .bias = bias, .x = x, .n_w = 1, .n = n, .add = add != 0});
    return JV_OK;
}

int32_t plain_gated(void *self, bk_tensor *out, const bk_tensor *gate, const bk_tensor *up, const bk_tensor *x,
    uint32_t n, jv_err *err)
{
    int32_t rc = plain_need_weight(gate, "gated: gate", 0, 0, err);
    if (rc == JV_OK) rc = plain_need_weight(up, "gated: up", gate->rows, gate->columns, err);
    if (rc == JV_OK) rc = plain_need(x, "gated: x", gate->columns, n, err);
    if (rc == JV_OK) rc = plain_need(out, "gated: out", gate->rows, n, err);
    if (rc != JV_OK) return rc;
    if (out == x) return jv_fail(err, JV_FATAL, "gated: out is x");
    run_linear(self, &(linear_job){.out = out, .w = {gate, up}, .x = x, .n_w = 2, .n = n});
    return JV_OK;
}
