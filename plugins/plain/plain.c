/*
 * plain: a compute backend in portable C, for any processor. It is the reference for faster backends and fast enough
 * for small models: no instruction set is named, the compiler's vectors do the work.
 *
 *     [backend]
 *     plugin = plain
 *     cores = auto        threads that compute; auto: all that the pipeline has left ([pipeline] threads)
 *
 * Offers jv.backend/1 (plugins/llm/backend.h). Weights stay where the model's file is mapped. Limits: heads of at
 * most 256. Files: plain.c small operations and the table; linear.c weights; attention.c cache, rotation, attention;
 * pool.c threads.
 */
#include "plain.h"
#include "numbers.h"

#include <math.h>
#include <stdlib.h>

static const jv_opt options[] = {
    JV_OPTF(struct plain, cores, JV_NEUTRAL, "auto", "auto|1..256",
        "threads that compute; auto: all that the pipeline has left"),
    {0},
};

/* ---- tensors ---- */

int32_t plain_need(const bk_tensor *t, const char *what, uint64_t width, uint32_t n, jv_err *err)
{
    if (t->kind != ACTIVATION) return jv_fail(err, JV_FATAL, "%s is a weight, not an activation", what);
    if (t->rows < n || (width && t->columns != width))
        return jv_fail(err, JV_FATAL, "%s is %llu x %llu; %u x %llu is needed", what, (unsigned long long)t->rows,
            (unsigned long long)t->columns, n, (unsigned long long)(width ? width : t->columns));
    return JV_OK;
}

int32_t plain_need_weight(const bk_tensor *t, const char *what, uint64_t rows, uint64_t columns, jv_err *err)
{
    if (t->kind != WEIGHT) return jv_fail(err, JV_FATAL, "%s is an activation, not a weight", what);
    if ((rows && t->rows != rows) || (columns && t->columns != columns))
        return jv_fail(err, JV_FATAL, "%s is %llu x %llu; %llu x %llu is needed", what, (unsigned long long)t->rows,
            (unsigned long long)t->columns, (unsigned long long)(rows ? rows : t->rows),
            (unsigned long long)(columns ? columns : t->columns));
    return JV_OK;
}

/* Bytes of a row of n weights; 0 when the type is unknown or n is no multiple of its block. */
static uint64_t row_bytes(uint32_t type, uint64_t n)
{
    uint64_t bytes = 0, block = type == BK_F32 || type == BK_F16 ? 1 : BLOCK;
    uint64_t size = type == BK_F32    ? 4
                    : type == BK_F16  ? 2
                    : type == BK_Q4_0 ? 18
                    : type == BK_Q4_1 ? 20
                    : type == BK_Q8_0 ? 34
                                      : 0;
    return n % block || __builtin_mul_overflow(n / block, size, &bytes) ? 0 : bytes;
}

static int32_t supports(void *self, uint32_t type)
{
    return row_bytes(type, BLOCK) != 0;
}

static uint64_t weight_bytes(void *self, uint32_t type, uint64_t rows, uint64_t columns)
{
    uint64_t row = row_bytes(type, columns), all;
    return !row || __builtin_mul_overflow(row, rows, &all) ? UINT64_MAX : sizeof(bk_tensor);
}

/* The parts of an activation in one piece of memory, each aligned to 64. */
typedef struct layout {
    uint64_t q, scale, sum, end; /* byte offsets; f32 is at 0 */
} layout;

static bool lay_out(uint64_t capacity, uint64_t width, layout *l)
{
    const uint64_t most = UINT64_C(1) << 44; /* far above any memory, far below overflow of what follows */
    uint64_t cells;
    if (!capacity || !width || capacity > most || width > most || __builtin_mul_overflow(capacity, width, &cells) ||
        cells > most)
        return false;
    uint64_t blocks = width % BLOCK ? 0 : cells / BLOCK;
    l->q = (cells * 4 + 63) / 64 * 64;
    l->scale = l->q + blocks * BLOCK * 2;
    l->sum = l->scale + (blocks * 4 + 63) / 64 * 64;
    l->end = l->sum + (blocks * 4 + 63) / 64 * 64;
    return true;
}

static uint64_t activation_bytes(void *self, uint64_t capacity, uint64_t width)
{
    layout l;
    return lay_out(capacity, width, &l) ? sizeof(bk_tensor) + l.end : UINT64_MAX;
}

static bk_tensor *upload(void *self, const bk_source *s, jv_err *err)
{
    uint64_t row = row_bytes(s->type, s->columns), all;
    if (!row || !s->rows || __builtin_mul_overflow(row, s->rows, &all) || all != s->bytes || (uintptr_t)s->data % 32) {
        jv_fail(err, JV_BAD, "a weight of type %u, %llu x %llu in %llu bytes cannot be used", s->type,
            (unsigned long long)s->rows, (unsigned long long)s->columns, (unsigned long long)s->bytes);
        return NULL;
    }
    bk_tensor *t = calloc(1, sizeof *t);
    if (!t) {
        jv_fail(err, JV_FATAL, "no memory for a tensor");
        return NULL;
    }
    *t = (bk_tensor){.kind = WEIGHT,
        .type = s->type,
        .rows = s->rows,
        .columns = s->columns,
        .bytes = s->data,
        .row_bytes = row};
    return t;
}

static bk_tensor *activation(void *self, uint64_t capacity, uint64_t width, jv_err *err)
{
    layout l;
    if (!lay_out(capacity, width, &l) || l.end > SIZE_MAX / 2) {
        jv_fail(err, JV_BAD, "an activation of %llu x %llu cannot be", (unsigned long long)capacity,
            (unsigned long long)width);
        return NULL;
    }
    bk_tensor *t = calloc(1, sizeof *t);
    uint8_t *p = t ? aligned_alloc(64, l.end) : NULL;
    if (!p) {
        free(t);
        jv_fail(err, JV_FATAL, "no memory for an activation of %llu x %llu, %.1f MiB", (unsigned long long)capacity,
            (unsigned long long)width, (double)l.end / 1048576);
        return NULL;
    }
    memset(p, 0, l.end);
    void *f32 = p, *q = p + l.q, *scale = p + l.scale, *sum = p + l.sum;
    *t = (bk_tensor){.kind = ACTIVATION, .rows = capacity, .columns = width, .f32 = f32, .q = q};
    t->scale = scale;
    t->sum = sum;
    return t;
}

static void tensor_free(void *self, bk_tensor *t)
{
    if (!t) return;
    free(t->f32); /* null for a weight */
    free(t);
}

/* ---- small operations, done by the caller's thread ---- */

static inline float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return half_to_float(h);
}

/* One row of a weight as floats. */
static void row_to_floats(const bk_tensor *w, uint64_t row, float *to)
{
    const uint8_t *p = w->bytes + row * w->row_bytes;
    if (w->type == BK_F32) {
        memcpy(to, p, w->columns * 4);
    } else if (w->type == BK_F16) {
        for (uint64_t i = 0; i < w->columns; i++) to[i] = half_at(p + 2 * i);
    } else if (w->type == BK_Q8_0) {
        for (uint64_t i = 0; i < w->columns; i++)
            to[i] = half_at(p + i / BLOCK * 34) * (int8_t)p[i / BLOCK * 34 + 2 + i % BLOCK];
    } else {
        bool min = w->type == BK_Q4_1;
        for (uint64_t b = 0; b < w->columns / BLOCK; b++, p += min ? 20 : 18) {
            float d = half_at(p), m = min ? half_at(p + 2) : d * -8;
            const uint8_t *q = p + (min ? 4 : 2);
            for (int i = 0; i < BLOCK; i++) to[b * BLOCK + i] = d * (float)(q[i % 16] >> i / 16 * 4 & 15) + m;
        }
    }
}

static int32_t embed(void *self, bk_tensor *out, const bk_tensor *table, const int32_t *ids, uint32_t n, jv_err *err)
{
    int32_t rc = plain_need_weight(table, "embed: table", 0, 0, err);
    if (rc == JV_OK) rc = plain_need(out, "embed: out", table->columns, n, err);
    if (rc != JV_OK) return rc;
    for (uint32_t t = 0; t < n; t++) {
        if (ids[t] < 0 || (uint64_t)ids[t] >= table->rows)
            return jv_fail(err, JV_FATAL, "embed: id %d in a table of %llu", ids[t], (unsigned long long)table->rows);
        row_to_floats(table, (uint64_t)ids[t], out->f32 + t * table->columns);
    }
    return JV_OK;
}

static int32_t rms_norm(void *self, bk_tensor *out, const bk_tensor *x, const bk_tensor *weight, float eps, uint32_t n,
    jv_err *err)
{
    int32_t rc = plain_need(x, "rms_norm: x", 0, n, err);
    if (rc == JV_OK) rc = plain_need(out, "rms_norm: out", x->columns, n, err);
    if (rc == JV_OK) rc = plain_need_weight(weight, "rms_norm: weight", 1, x->columns, err);
    if (rc != JV_OK) return rc;
    if (weight->type != BK_F32)
        return jv_fail(err, JV_FATAL, "rms_norm: the weight is of type %u, not F32", weight->type);
    const float *w = (const float *)(const void *)weight->bytes;
    uint64_t width = x->columns;
    for (uint32_t t = 0; t < n; t++) {
        const float *from = x->f32 + t * width;
        float *to = out->f32 + t * width, lane[LANES] = {0};
        dot_lanes(lane, from, from, width);
        float scale = 1.0f / sqrtf(sum_lanes(lane) / (float)width + eps);
        for (uint64_t i = 0; i < width; i++) to[i] = from[i] * scale * w[i];
    }
    return JV_OK;
}

static int32_t take(void *self, bk_tensor *out, const bk_tensor *x, const int32_t *index, uint32_t n, jv_err *err)
{
    int32_t rc = plain_need(x, "take: x", 0, 0, err);
    if (rc == JV_OK) rc = plain_need(out, "take: out", x->columns, n, err);
    if (rc != JV_OK) return rc;
    if (out == x) return jv_fail(err, JV_FATAL, "take: out is x");
    for (uint32_t i = 0; i < n; i++) {
        if (index[i] < 0 || (uint64_t)index[i] >= x->rows)
            return jv_fail(err, JV_FATAL, "take: row %d of %llu", index[i], (unsigned long long)x->rows);
        memcpy(out->f32 + i * x->columns, x->f32 + (uint64_t)index[i] * x->columns, x->columns * sizeof(float));
    }
    return JV_OK;
}

static int32_t read_rows(void *self, const bk_tensor *x, float *to, uint32_t n, jv_err *err)
{
    int32_t rc = plain_need(x, "read: x", 0, n, err);
    if (rc == JV_OK) memcpy(to, x->f32, n * x->columns * sizeof(float));
    return rc;
}

/* ---- the stage ---- */

static const char *describe(void *self)
{
    const struct plain *p = self;
    return p->line;
}

static const bk_api api = {
    .struct_size = sizeof(bk_api),
    .describe = describe,
    .supports = supports,
    .check_heads = plain_check_heads,
    .weight_bytes = weight_bytes,
    .activation_bytes = activation_bytes,
    .kv_bytes = plain_kv_bytes,
    .upload = upload,
    .activation = activation,
    .kv_new = plain_kv_new,
    .tensor_free = tensor_free,
    .kv_free = plain_kv_free,
    .embed = embed,
    .rms_norm = rms_norm,
    .linear = plain_linear,
    .gated = plain_gated,
    .rope_append = plain_rope_append,
    .attend = plain_attend,
    .take = take,
    .read = read_rows,
};

static int32_t plain_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct plain *p = ctx;
    p->h = h;
    p->threads = (uint32_t)h->lease(h, p->cores == JV_UNSET ? 0 : (int32_t)p->cores);
    if (p->cores != JV_UNSET && p->threads < p->cores)
        h->log(h, JV_LOG_WARN, "`cores` is %lld, but of `threads` in [pipeline] %u are left", (long long)p->cores,
            p->threads);
    snprintf(p->line, sizeof p->line, "plain, %u thread%s, portable C", p->threads, p->threads == 1 ? "" : "s");
    return JV_OK;
}

static int32_t plain_start(void *ctx, jv_err *err)
{
    struct plain *p = ctx;
    p->pool = pool_new(p->threads, err);
    if (!p->pool) return JV_FATAL;
    return JV_OK;
}

static void plain_close(void *ctx)
{
    struct plain *p = ctx;
    pool_free(p->pool);
    p->pool = NULL;
}

static const jv_service services[] = {{BACKEND_SERVICE, &api}, {0}};

static const jv_stage stages[] = {{
    .name = "plain",
    .brief = "compute backend in portable C",
    .ctx_size = sizeof(struct plain),
    .opts = options,
    .services = services,
    .open = plain_open,
    .start = plain_start,
    .close = plain_close,
}};

JV_PLUGIN("plain", "0.1.0", "MIT", stages);
