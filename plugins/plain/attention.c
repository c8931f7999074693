/*
 * attention.c: rotary embedding, the cache of keys and values, and attention over it.
 *
 * Attention walks the positions in blocks of 32, counted from position 0, and keeps for each query head the largest
 * score so far, the sum of exponentials and the weighted sum of values, scaled anew when a larger score comes
 * (Milakov and Gimelshein, arXiv:1805.02867; Dao et al., arXiv:2205.14135). A block of keys and values is turned into
 * floats once and serves all heads of its group and up to 16 tokens of the sequence. Which tokens these are changes
 * nothing in the order of a single token's sums.
 */
#include "numbers.h"
#include "plain.h"

#include <math.h>
#include <stdlib.h>

#define SPAN 32 /* positions in a block */

/* ---- the cache ---- */

static uint32_t element_bytes(uint32_t type)
{
    return type == BK_F16 ? 2 : 4;
}

/* Bytes of all keys, or of all values; UINT64_MAX when that does not fit. */
static uint64_t half_bytes(const bk_kv_shape *s)
{
    uint64_t n = element_bytes(s->type);
    if (__builtin_mul_overflow(n, s->layers, &n) || __builtin_mul_overflow(n, s->kv_heads, &n) ||
        __builtin_mul_overflow(n, s->head_dim, &n) || __builtin_mul_overflow(n, s->capacity, &n))
        return UINT64_MAX;
    return n;
}

uint64_t plain_kv_bytes(void *self, const bk_kv_shape *shape)
{
    uint64_t half = half_bytes(shape);
    return half > (UINT64_MAX - 4096) / 2 ? UINT64_MAX : sizeof(bk_kv) + 2 * half;
}

bk_kv *plain_kv_new(void *self, const bk_kv_shape *s, jv_err *err)
{
    uint64_t half = half_bytes(s);
    if ((s->type != BK_F16 && s->type != BK_F32) || !half || s->head_dim > MAX_HEAD_DIM || half > SIZE_MAX / 4) {
        jv_fail(err, JV_BAD, "no cache of type %u, %u layers, %u heads of %u, %u tokens; heads of 1..%d", s->type,
            s->layers, s->kv_heads, s->head_dim, s->capacity, MAX_HEAD_DIM);
        return NULL;
    }
    bk_kv *kv = calloc(1, sizeof *kv);
    if (kv) *kv = (bk_kv){*s, calloc(1, half), calloc(1, half)}; /* zeroed pages cost nothing until they are used */
    if (kv && kv->keys && kv->values) return kv;
    plain_kv_free(self, kv);
    jv_fail(err, JV_FATAL, "no memory for a cache of %.1f MiB", (double)half * 2 / 1048576);
    return NULL;
}

void plain_kv_free(void *self, bk_kv *kv)
{
    if (!kv) return;
    free(kv->keys);
    free(kv->values);
    free(kv);
}

/* Byte offset of a position's vector in keys or values. */
static uint64_t kv_offset(const bk_kv *kv, uint32_t layer, uint32_t head, uint32_t pos)
{
    const bk_kv_shape *s = &kv->shape;
    uint64_t vector = ((uint64_t)layer * s->kv_heads + head) * s->capacity + pos;
    return vector * s->head_dim * element_bytes(s->type);
}

static void store(uint32_t type, uint8_t *to, const float *from, uint32_t n)
{
    if (type == BK_F32) {
        memcpy(to, from, n * sizeof *from);
        return;
    }
    uint16_t *h = (uint16_t *)(void *)to;
    for (uint32_t i = 0; i < n; i++) h[i] = float_to_half(from[i]);
}

static void load(uint32_t type, const uint8_t *from, float *restrict to, uint32_t n)
{
    if (type == BK_F32) {
        memcpy(to, from, n * sizeof *to);
        return;
    }
    const uint16_t *restrict h = (const uint16_t *)(const void *)from;
    for (uint32_t i = 0; i < n; i++) to[i] = half_to_float(h[i]);
}

/* ---- checks ---- */

int32_t plain_check_heads(void *self, const bk_attention *a, jv_err *err)
{
    if (!a->heads || !a->kv_heads || a->heads % a->kv_heads || a->heads / a->kv_heads > MAX_GROUP)
        return jv_fail(err, JV_BAD, "%u heads on %u key-value heads; 1..%d on each is allowed", a->heads, a->kv_heads,
            MAX_GROUP);
    if (!a->head_dim || a->head_dim > MAX_HEAD_DIM)
        return jv_fail(err, JV_BAD, "heads of %u; 1..%d is allowed", a->head_dim, MAX_HEAD_DIM);
    return JV_OK;
}

static int32_t check_batch(const char *op, const bk_attention *a, const bk_batch *batch, jv_err *err)
{
    jv_err why;
    if (plain_check_heads(NULL, a, &why) != JV_OK) return jv_fail(err, JV_FATAL, "%s: %.400s", op, why.text);
    for (uint32_t t = 0; t < batch->n; t++) {
        const bk_kv_shape *s = &batch->kv[t]->shape;
        if (s->kv_heads != a->kv_heads || s->head_dim != a->head_dim || a->layer >= s->layers)
            return jv_fail(err, JV_FATAL,
                "%s: layer %u, %u heads of %u; the cache of token %u has %u layers, %u heads of %u", op, a->layer,
                a->kv_heads, a->head_dim, t, s->layers, s->kv_heads, s->head_dim);
        if (batch->pos[t] < 0 || (uint32_t)batch->pos[t] >= s->capacity)
            return jv_fail(err, JV_FATAL, "%s: token %u at position %d of a cache of %u", op, t, batch->pos[t],
                s->capacity);
    }
    return JV_OK;
}

/* ---- rotary embedding, and into the cache ---- */

typedef struct rope_job {
    bk_tensor *q, *k;
    const bk_tensor *v;
    const bk_attention *a;
    const bk_batch *batch;
    uint32_t pairs;
    const double *frequency; /* (pairs): radians a position */
} rope_job;

static void rotate(float *x, const float *cosine, const float *sine, uint32_t pairs)
{
    for (uint32_t i = 0; i < pairs; i++) {
        float even = x[2 * i], odd = x[2 * i + 1];
        x[2 * i] = even * cosine[i] - odd * sine[i];
        x[2 * i + 1] = even * sine[i] + odd * cosine[i];
    }
}

static void rope_part(void *job, uint32_t part, uint32_t parts)
{
    const rope_job *j = job;
    const bk_attention *a = j->a;
    uint32_t dim = a->head_dim, end = (uint32_t)part_begin(j->batch->n, part + 1, parts);
    for (uint32_t t = (uint32_t)part_begin(j->batch->n, part, parts); t < end; t++) {
        bk_kv *kv = j->batch->kv[t];
        uint32_t pos = (uint32_t)j->batch->pos[t];
        float cosine[MAX_HEAD_DIM / 2], sine[MAX_HEAD_DIM / 2];
        for (uint32_t i = 0; i < j->pairs; i++) {
            cosine[i] = (float)cos(pos * j->frequency[i]);
            sine[i] = (float)sin(pos * j->frequency[i]);
        }
        float *q = j->q->f32 + (uint64_t)t * a->heads * dim, *k = j->k->f32 + (uint64_t)t * a->kv_heads * dim;
        const float *v = j->v->f32 + (uint64_t)t * a->kv_heads * dim;
        for (uint32_t h = 0; h < a->heads; h++) rotate(q + h * dim, cosine, sine, j->pairs);
        for (uint32_t h = 0; h < a->kv_heads; h++) {
            uint64_t at = kv_offset(kv, a->layer, h, pos);
            rotate(k + h * dim, cosine, sine, j->pairs);
            store(kv->shape.type, kv->keys + at, k + h * dim, dim);
            store(kv->shape.type, kv->values + at, v + h * dim, dim);
        }
    }
}

int32_t plain_rope_append(void *self, bk_tensor *q, bk_tensor *k, const bk_tensor *v, const bk_rope *rope,
    const bk_attention *a, const bk_batch *batch, jv_err *err)
{
    struct plain *p = self;
    int32_t rc = check_batch("rope_append", a, batch, err);
    uint64_t width = (uint64_t)a->kv_heads * a->head_dim;
    if (rc == JV_OK) rc = plain_need(q, "rope_append: q", (uint64_t)a->heads * a->head_dim, batch->n, err);
    if (rc == JV_OK) rc = plain_need(k, "rope_append: k", width, batch->n, err);
    if (rc == JV_OK) rc = plain_need(v, "rope_append: v", width, batch->n, err);
    if (rc != JV_OK) return rc;
    if (rope->dims % 2 || rope->dims > a->head_dim)
        return jv_fail(err, JV_FATAL, "rope_append: %u dimensions to rotate of %u", rope->dims, a->head_dim);
    const float *factor = NULL;
    if (rope->factors) {
        if ((rc = plain_need_weight(rope->factors, "rope_append: factors", 1, rope->dims / 2, err)) != JV_OK) return rc;
        if (rope->factors->type != BK_F32) return jv_fail(err, JV_FATAL, "rope_append: the factors are not F32");
        factor = (const float *)(const void *)rope->factors->bytes;
    }
    double frequency[MAX_HEAD_DIM / 2];
    for (uint32_t i = 0; i < rope->dims / 2; i++)
        frequency[i] = pow(rope->base, -2.0 * i / rope->dims) / (factor ? (double)factor[i] : 1.0);
    rope_job job = {q, k, v, a, batch, rope->dims / 2, frequency};
    pool_run(p->pool, batch->n < p->threads * 4 ? 1 : p->threads, rope_part, &job);
    return JV_OK;
}

/* ---- attention ---- */

typedef struct attend_job {
    bk_tensor *out;
    const bk_tensor *q;
    const bk_attention *a;
    const bk_batch *batch;
    uint32_t group; /* query heads of a kv head */
} attend_job;

/* What one query head has gathered so far; its weighted sum of values lies in the output. */
typedef struct gathered {
    float most, sum;
} gathered;

static void softmax_init(gathered *g, float *out, uint32_t dim)
{
    *g = (gathered){-INFINITY, 0};
    for (uint32_t d = 0; d < dim; d++) out[d] = 0;
}

/* Adds a block of n positions: keys and values are (n, dim). */
static void gather(gathered *g, float *restrict out, const float *restrict q, const float *restrict keys,
    const float *restrict values, const attend_job *j, uint32_t n)
{
    uint32_t dim = j->a->head_dim;
    float score[SPAN], most = g->most;
    for (uint32_t i = 0; i < n; i++) {
        float lane[LANES] = {0};
        dot_lanes(lane, keys + i * dim, q, dim);
        score[i] = sum_lanes(lane) * j->a->scale;
        if (score[i] > most) most = score[i];
    }
    float shrink = g->most == most ? 1.0f : expf(g->most - most), sum = g->sum * shrink;
    if (shrink != 1.0f)
        for (uint32_t d = 0; d < dim; d++) out[d] *= shrink;
    for (uint32_t i = 0; i < n; i++) {
        float p = expf(score[i] - most);
        sum += p;
        for (uint32_t d = 0; d < dim; d++) out[d] += p * values[i * dim + d];
    }
    *g = (gathered){most, sum};
}

/* Tokens first..first+n-1, which follow each other in one sequence, and one kv head. */
static void attend_run(const attend_job *j, uint32_t first, uint32_t n, uint32_t kv_head)
{
    const bk_attention *a = j->a;
    const bk_kv *kv = j->batch->kv[first];
    uint32_t dim = a->head_dim, group = j->group, type = kv->shape.type;
    uint32_t pos = (uint32_t)j->batch->pos[first], head = kv_head * group;
    uint64_t width = (uint64_t)a->heads * dim, base = first * width + (uint64_t)head * dim;
    gathered state[MAX_GROUP];
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t h = 0; h < group; h++)
            softmax_init(&state[t * group + h], j->out->f32 + base + t * width + h * dim, dim);
    for (uint32_t block = 0; block < pos + n; block += SPAN) {
        float keys[SPAN * MAX_HEAD_DIM], values[SPAN * MAX_HEAD_DIM];
        uint32_t there = pos + n - block < SPAN ? pos + n - block : SPAN;
        uint64_t at = kv_offset(kv, a->layer, kv_head, block);
        load(type, kv->keys + at, keys, there * dim);
        load(type, kv->values + at, values, there * dim);
        for (uint32_t t = 0; t < n; t++) {
            if (pos + t < block) continue;
            uint32_t seen = pos + t + 1 - block < there ? pos + t + 1 - block : there;
            for (uint32_t h = 0; h < group; h++) {
                uint64_t o = base + t * width + h * dim;
                gather(&state[t * group + h], j->out->f32 + o, j->q->f32 + o, keys, values, j, seen);
            }
        }
    }
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t h = 0; h < group; h++) {
            float *out = j->out->f32 + base + t * width + h * dim;
            for (uint32_t d = 0; d < dim; d++) out[d] /= state[t * group + h].sum;
        }
}

/* How many tokens from `first` on one run takes: at most `most`, of one sequence, without a gap. */
static uint32_t run_length(const bk_batch *batch, uint32_t first, uint32_t most)
{
    uint32_t n = 1;
    while (n < most && first + n < batch->n && batch->kv[first + n] == batch->kv[first] &&
           batch->pos[first + n] == batch->pos[first] + (int32_t)n)
        n++;
    return n;
}

static uint32_t most_tokens(uint32_t group)
{
    uint32_t n = MAX_GROUP / group;
    return n < 1 ? 1 : n > TILE ? TILE : n;
}

/* Every parts-th pair of run and kv head: later runs cost more, so they are dealt out like cards. */
static void attend_part(void *job, uint32_t part, uint32_t parts)
{
    const attend_job *j = job;
    uint32_t item = 0;
    for (uint32_t first = 0; first < j->batch->n;) {
        uint32_t n = run_length(j->batch, first, most_tokens(j->group));
        for (uint32_t h = 0; h < j->a->kv_heads; h++)
            if (item++ % parts == part) attend_run(j, first, n, h);
        first += n;
    }
}

int32_t plain_attend(void *self, bk_tensor *out, const bk_tensor *q, const bk_attention *a, const bk_batch *batch,
    jv_err *err)
{
    struct plain *p = self;
    uint64_t width = (uint64_t)a->heads * a->head_dim;
    int32_t rc = check_batch("attend", a, batch, err);
    if (rc == JV_OK) rc = plain_need(q, "attend: q", width, batch->n, err);
    if (rc == JV_OK) rc = plain_need(out, "attend: out", width, batch->n, err);
    if (rc != JV_OK) return rc;
    if (out == q) return jv_fail(err, JV_FATAL, "attend: out is q");
    attend_job job = {out, q, a, batch, a->heads / a->kv_heads};
    uint32_t parts = p->threads == 1 || batch->n == 0 ? 1 : p->threads * (batch->n > 1 ? 4 : 2);
    pool_run(p->pool, parts, attend_part, &job);
    return JV_OK;
}
