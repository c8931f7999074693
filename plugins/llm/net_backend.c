/* net_backend.c: a backend for tests; see net_backend.h. */
#include "net_backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct bk_tensor {
    uint64_t rows, columns;
    const float *weight; /* null: an activation */
    float *value;        /* null: a weight */
};

struct bk_kv {
    bk_kv_shape shape;
    float *key, *value; /* (blocks, layers, BK_KV_BLOCK, kv_heads * head_dim); NaN where nothing was put */
};

/* True when this call is the one to fail. */
static bool fails(net_backend *b, jv_err *err)
{
    if (b->calls++ != b->fail_at) return false;
    jv_fail(err, JV_FATAL, "told to fail");
    return true;
}

static const char *describe(void *self)
{
    return "a backend for tests";
}

static int32_t supports(void *self, uint32_t type)
{
    return type == BK_F32;
}

static int32_t check_heads(void *self, const bk_attention *a, jv_err *err)
{
    const net_backend *b = self;
    if (!b->most_heads || a->heads <= b->most_heads) return JV_OK;
    return jv_fail(err, JV_BAD, "%u heads, at most %u", a->heads, b->most_heads);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bk_weight_need weight_need(void *self, uint32_t type, uint64_t rows, uint64_t columns)
{
    const net_backend *b = self;
    return (bk_weight_need){b->reads_source ? 0 : rows * columns * 4, b->reads_source, 0};
}

static uint64_t activation_bytes(void *self, uint64_t capacity, uint64_t width)
{
    return width > UINT64_MAX / 4 / capacity ? UINT64_MAX : capacity * width * 4;
}

static uint64_t kv_size(const bk_kv_shape *s)
{
    return (uint64_t)s->blocks * s->layers * BK_KV_BLOCK * s->kv_heads * s->head_dim;
}

static uint64_t kv_bytes(void *self, const bk_kv_shape *s)
{
    return 2 * 4 * kv_size(s);
}

static bk_tensor *keep(net_backend *b, bk_tensor t)
{
    bk_tensor *kept = malloc(sizeof *kept);
    *kept = t;
    b->live++;
    return kept;
}

static bk_tensor *upload(void *self, const bk_source *src, jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return NULL;
    b->taken += src->rows * src->columns * 4;
    b->mapped += src->mapped;
    return keep(b, (bk_tensor){src->rows, src->columns, src->data, NULL});
}

static bk_tensor *activation(void *self, uint64_t capacity, uint64_t width, jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return NULL;
    b->taken += capacity * width * 4;
    return keep(b, (bk_tensor){capacity, width, NULL, calloc(capacity * width, sizeof(float))});
}

static void tensor_free(void *self, bk_tensor *t)
{
    if (!t) return;
    ((net_backend *)self)->live--;
    free(t->value);
    free(t);
}

static bk_kv *kv_new(void *self, const bk_kv_shape *shape, jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return NULL;
    uint64_t n = kv_size(shape);
    bk_kv *kv = malloc(sizeof *kv);
    *kv = (bk_kv){*shape, malloc(n * sizeof(float)), malloc(n * sizeof(float))};
    memset(kv->key, 0xFF, n * sizeof(float));
    memset(kv->value, 0xFF, n * sizeof(float));
    b->live++;
    return kv;
}

static void kv_free(void *self, bk_kv *kv)
{
    if (!kv) return;
    ((net_backend *)self)->live--;
    free(kv->key);
    free(kv->value);
    free(kv);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static double dot(const float *a, const float *b, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Row i of x, normed where there is a norm, in memory of its own. */
static float *row_of(const bk_tensor *x, const bk_tensor *norm, float eps, uint64_t i)
{
    float *row = malloc(x->columns * sizeof *row);
    memcpy(row, x->value + i * x->columns, x->columns * sizeof *row);
    double scale = 1 / sqrt(dot(row, row, x->columns) / (double)x->columns + (double)eps);
    for (uint64_t c = 0; norm && c < x->columns; c++)
        row[c] = (float)((double)row[c] * scale * (double)norm->weight[c]);
    return row;
}

static int32_t embed(void *self, bk_tensor *out, const bk_tensor *table, const int32_t *ids, uint32_t n, float scale,
    jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return JV_FATAL;
    b->count[B_EMBED]++;
    for (uint64_t t = 0; t < n; t++)
        for (uint64_t c = 0; c < out->columns; c++)
            out->value[t * out->columns + c] = scale * table->weight[(uint64_t)ids[t] * table->columns + c];
    return JV_OK;
}

static int32_t linear(void *self, const bk_linear *op, jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return JV_FATAL;
    b->count[B_LINEAR]++;
    b->parts += op->n_parts;
    for (uint64_t t = 0; t < op->n; t++) {
        float *x = row_of(op->x, op->norm, op->eps, t);
        for (uint32_t i = 0; i < op->n_parts; i++) {
            const bk_part *p = &op->part[i];
            for (uint64_t r = 0; r < p->w->rows; r++) {
                double y = dot(p->w->weight + r * p->w->columns, x, p->w->columns);
                float *to = &p->out->value[t * p->out->columns + r];
                *to = (float)(y + (p->bias ? (double)p->bias->weight[r] : 0) + (op->add ? (double)*to : 0));
            }
        }
        free(x);
    }
    return JV_OK;
}

static double activate(uint32_t act, double x)
{
    return act == BK_SILU ? x / (1 + exp(-x)) : x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static int32_t gated(void *self, const bk_gated *op, jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return JV_FATAL;
    b->count[B_GATED]++;
    for (uint64_t t = 0; t < op->n; t++) {
        float *x = row_of(op->x, op->norm, op->eps, t);
        for (uint64_t r = 0; r < op->gate->rows; r++) {
            double gate = dot(op->gate->weight + r * op->gate->columns, x, op->gate->columns);
            double up = dot(op->up->weight + r * op->up->columns, x, op->up->columns);
            op->out->value[t * op->out->columns + r] = (float)(activate(op->act, gate) * up);
        }
        free(x);
    }
    return JV_OK;
}

static int32_t norm_add(void *self, bk_tensor *to, const bk_tensor *x, const bk_tensor *norm, float eps, uint32_t n,
    jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return JV_FATAL;
    b->count[B_NORM_ADD]++;
    for (uint64_t t = 0; t < n; t++) {
        float *row = row_of(x, norm, eps, t);
        for (uint64_t c = 0; c < x->columns; c++) to->value[t * to->columns + c] += row[c];
        free(row);
    }
    return JV_OK;
}

/* Norms and turns one head. */
static void turn(float *h, const bk_attention *a, const bk_tensor *norm, uint32_t pos)
{
    double scale = norm ? 1 / sqrt(dot(h, h, a->head_dim) / a->head_dim + (double)a->eps) : 1;
    for (uint32_t i = 0; norm && i < a->head_dim; i++) h[i] = (float)((double)h[i] * scale * (double)norm->weight[i]);
    for (uint32_t i = 0; i < a->rope_dims / 2; i++) {
        double angle = pos * pow(a->rope_base, -2.0 * i / a->rope_dims);
        if (a->rope_factors) angle /= (double)a->rope_factors->weight[i];
        bool halves = a->rope_pairs == BK_ROPE_HALVES;
        float *x = h + (halves ? i : 2 * i), *y = h + (halves ? i + a->rope_dims / 2 : 2 * i + 1);
        double first = (double)*x * cos(angle) - (double)*y * sin(angle);
        *y = (float)((double)*x * sin(angle) + (double)*y * cos(angle));
        *x = (float)first;
    }
}

/* Where a layer's keys or values of a position lie. */
static float *place(const bk_kv *kv, float *of, const bk_run *run, uint32_t layer, uint32_t pos)
{
    uint64_t block = run->blocks[pos / BK_KV_BLOCK], width = (uint64_t)kv->shape.kv_heads * kv->shape.head_dim;
    return of + ((block * kv->shape.layers + layer) * BK_KV_BLOCK + pos % BK_KV_BLOCK) * width;
}

/* One head of one token over the positions it sees. */
static void attend(const bk_kv *kv, const bk_run *run, const bk_attention *a, uint32_t pos, uint32_t head,
    const float *q, float *out)
{
    uint32_t first = a->window && pos + 1 > a->window ? pos + 1 - a->window : 0, n = pos + 1 - first;
    uint64_t at = (uint64_t)(head / (a->heads / a->kv_heads)) * a->head_dim;
    double *p = malloc(n * sizeof *p), most = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        p[i] = (double)a->scale * dot(q, place(kv, kv->key, run, a->layer, first + i) + at, a->head_dim);
        most = fmax(most, p[i]);
    }
    for (uint32_t i = 0; i < n; i++) sum += p[i] = exp(p[i] - most);
    for (uint32_t c = 0; c < a->head_dim; c++) {
        double y = 0;
        for (uint32_t i = 0; i < n; i++) y += p[i] * (double)place(kv, kv->value, run, a->layer, first + i)[at + c];
        out[c] = (float)(y / sum);
    }
    free(p);
}

static int32_t attention(void *self, bk_tensor *out, bk_tensor *q, bk_tensor *k, const bk_tensor *v,
    const bk_attention *a, const bk_batch *batch, jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return JV_FATAL;
    b->count[B_ATTENTION]++;
    b->windows += a->window > 0;
    uint64_t t = 0, width = (uint64_t)a->kv_heads * a->head_dim;
    for (uint32_t r = 0; r < batch->n_runs; r++) {
        const bk_run *run = &batch->runs[r];
        for (uint32_t i = 0; i < run->n; i++, t++) {
            uint32_t pos = run->pos + i;
            float *key = k->value + t * width, *query = q->value + t * q->columns;
            for (uint32_t h = 0; h < a->kv_heads; h++) turn(key + (uint64_t)h * a->head_dim, a, a->k_norm, pos);
            for (uint32_t h = 0; h < a->heads; h++) turn(query + (uint64_t)h * a->head_dim, a, a->q_norm, pos);
            memcpy(place(batch->kv, batch->kv->key, run, a->layer, pos), key, width * sizeof *key);
            memcpy(place(batch->kv, batch->kv->value, run, a->layer, pos), v->value + t * width, width * sizeof *key);
            for (uint32_t h = 0; h < a->heads; h++)
                attend(batch->kv, run, a, pos, h, query + (uint64_t)h * a->head_dim,
                    out->value + t * out->columns + (uint64_t)h * a->head_dim);
        }
    }
    return JV_OK;
}

static int32_t logits(void *self, const bk_logits *op, jv_err *err)
{
    net_backend *b = self;
    if (fails(b, err)) return JV_FATAL;
    b->count[B_LOGITS]++;
    for (uint64_t t = 0; t < op->n; t++) {
        float *x = row_of(op->x, op->norm, op->eps, (uint64_t)op->index[t]);
        for (uint64_t r = 0; r < op->head->rows; r++)
            op->to[t * op->head->rows + r] = (float)dot(op->head->weight + r * op->head->columns, x, op->head->columns);
        free(x);
    }
    return JV_OK;
}

const bk_api net_backend_api = {
    .struct_size = sizeof(bk_api),
    .describe = describe,
    .supports = supports,
    .check_heads = check_heads,
    .weight_need = weight_need,
    .activation_bytes = activation_bytes,
    .kv_bytes = kv_bytes,
    .upload = upload,
    .activation = activation,
    .kv_new = kv_new,
    .tensor_free = tensor_free,
    .kv_free = kv_free,
    .embed = embed,
    .linear = linear,
    .gated = gated,
    .norm_add = norm_add,
    .attention = attention,
    .logits = logits,
};
