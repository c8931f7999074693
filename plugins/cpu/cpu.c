/*
 * cpu: the compute backend for processors, compiled once for each instruction set it knows and choosing the best that
 * this machine has.
 *
 *     [backend]
 *     plugin = cpu
 *     cores = auto        threads that compute; auto: all that the pipeline has left ([pipeline] threads)
 *     isa = auto          auto: the best this processor has; else portable, sse4, avx2, avxvnni, avx512
 *
 * Offers jv.backend/1 (plugins/llm/backend.h). Weights are re-laid in memory when they are uploaded. This file: what
 * operations need to fit together, the small ones, and the stage.
 */
#include "attention.h"
#include "check.h"
#include "level_math.h"
#include "limits.h"
#include "linear.h"
#include "tensor.h"

#include <stdio.h>
#include <string.h>

static const jv_opt options[] = {
    JV_OPTF(cpu, cores, JV_NEUTRAL, "auto", "auto|1..256", "threads that compute; auto: all that the pipeline has left"),
    JV_OPT(cpu, isa, "auto", "auto|portable|sse4|avx2|avxvnni|avx512",
        "instruction set; auto: the best this processor has"),
    {0},
};
static const char *const isa_names[] = {"auto", "portable", "sse4", "avx2", "avxvnni", "avx512"};

/* ---- operations ---- */

typedef struct embed_job {
    const cpu *c;
    bk_tensor *out;
    const bk_tensor *table;
    const int32_t *ids;
    uint32_t n;
    float scale;
} embed_job;

static void embed_part(void *job, uint32_t thread, uint32_t threads)
{
    const embed_job *j = job;
    uint64_t width = j->table->columns, end = share_cut(j->n, thread + 1, threads);
    for (uint64_t t = share_cut(j->n, thread, threads); t < end; t++) {
        float *to = j->out->f32 + t * width;
        pack_row(j->table, (uint64_t)j->ids[t], to);
        if (j->scale != 1.0f) j->c->level->math->scale(to, j->scale, width);
    }
}

static int32_t embed(void *self, bk_tensor *out, const bk_tensor *table, const int32_t *ids, uint32_t n, float scale,
    jv_err *err)
{
    cpu *c = self;
    int32_t rc = check_weight(table, "embed: table", 0, 0, err);
    if (rc == JV_OK) rc = check_activation(out, "embed: out", table->columns, n, err);
    for (uint32_t t = 0; t < n && rc == JV_OK; t++)
        if (ids[t] < 0 || (uint64_t)ids[t] >= table->rows)
            rc = jv_fail(err, JV_FATAL, "embed: id %d of a table of %llu", ids[t], (unsigned long long)table->rows);
    if (rc != JV_OK || !n) return rc;
    embed_job job = {c, out, table, ids, n, scale};
    pool_run(c->pool, embed_part, &job);
    return JV_OK;
}

static int32_t linear(void *self, const bk_linear *op, jv_err *err)
{
    uint64_t width = op->x->columns;
    int32_t rc = check_activation(op->x, "linear: x", 0, op->n, err);
    if (rc == JV_OK) rc = check_vector(op->norm, "linear: norm", width, err);
    if (rc == JV_OK && (op->n_parts < 1 || op->n_parts > BK_PARTS))
        rc = jv_fail(err, JV_FATAL, "linear: %u parts; 1..%d is allowed", op->n_parts, BK_PARTS);
    for (uint32_t i = 0; i < op->n_parts && rc == JV_OK; i++) {
        const bk_part *p = &op->part[i];
        rc = check_weight(p->w, "linear: w", 0, width, err);
        if (rc == JV_OK) rc = check_vector(p->bias, "linear: bias", p->w->rows, err);
        if (rc == JV_OK) rc = check_activation(p->out, "linear: out", p->w->rows, op->n, err);
        for (uint32_t k = 0; k <= i && rc == JV_OK; k++)
            if (p->out == (k < i ? op->part[k].out : op->x))
                rc = jv_fail(err, JV_FATAL, "linear: out %u is %s", i, k < i ? "an out before it" : "x");
    }
    if (rc == JV_OK && op->n) linear_run(self, op);
    return rc;
}

static int32_t gated(void *self, const bk_gated *op, jv_err *err)
{
    uint64_t width = op->x->columns;
    int32_t rc = check_activation(op->x, "gated: x", 0, op->n, err);
    if (rc == JV_OK) rc = check_vector(op->norm, "gated: norm", width, err);
    if (rc == JV_OK) rc = check_weight(op->gate, "gated: gate", 0, width, err);
    if (rc == JV_OK) rc = check_weight(op->up, "gated: up", op->gate->rows, width, err);
    if (rc == JV_OK) rc = check_activation(op->out, "gated: out", op->gate->rows, op->n, err);
    if (rc == JV_OK && op->out == op->x) rc = jv_fail(err, JV_FATAL, "gated: out is x");
    if (rc == JV_OK && op->act != BK_SILU && op->act != BK_GELU)
        rc = jv_fail(err, JV_FATAL, "gated: activation %u; %d and %d are known", op->act, BK_SILU, BK_GELU);
    if (rc == JV_OK && op->n) linear_gated(self, op);
    return rc;
}

static int32_t logits(void *self, const bk_logits *op, jv_err *err)
{
    int32_t rc = check_activation(op->x, "logits: x", 0, op->n, err);
    if (rc == JV_OK) rc = check_vector(op->norm, "logits: norm", op->x->columns, err);
    if (rc == JV_OK) rc = check_weight(op->head, "logits: head", 0, op->x->columns, err);
    for (uint32_t i = 0; i < op->n && rc == JV_OK; i++)
        if (op->index[i] < 0 || (uint64_t)op->index[i] >= op->x->rows)
            rc = jv_fail(err, JV_FATAL, "logits: row %d of %llu", op->index[i], (unsigned long long)op->x->rows);
    if (rc == JV_OK && op->n) linear_logits(self, op);
    return rc;
}

typedef struct norm_add_job {
    const cpu *c;
    const bk_tensor *to, *x, *norm;
    float eps;
    uint32_t n;
} norm_add_job;

static void norm_add_part(void *job, uint32_t thread, uint32_t threads)
{
    const norm_add_job *j = job;
    uint64_t width = j->x->columns, end = share_cut(j->n, thread + 1, threads);
    for (uint64_t t = share_cut(j->n, thread, threads); t < end; t++)
        j->c->level->math->norm_add(j->to->f32 + t * width, j->x->f32 + t * width, j->norm->f32, j->eps, width);
}

static int32_t norm_add(void *self, bk_tensor *to, const bk_tensor *x, const bk_tensor *norm, float eps, uint32_t n,
    jv_err *err)
{
    cpu *c = self;
    int32_t rc = check_activation(x, "norm_add: x", 0, n, err);
    if (rc == JV_OK) rc = check_activation(to, "norm_add: to", x->columns, n, err);
    if (rc == JV_OK) rc = check_vector(norm, "norm_add: norm", x->columns, err);
    if (rc == JV_OK && to == x) rc = jv_fail(err, JV_FATAL, "norm_add: to is x");
    if (rc != JV_OK || !n) return rc;
    norm_add_job job = {c, to, x, norm, eps, n};
    if (n == 1)
        c->level->math->norm_add(to->f32, x->f32, norm->f32, eps, x->columns);
    else
        pool_run(c->pool, norm_add_part, &job);
    return JV_OK;
}

/* ---- the stage ---- */

static const char *describe(void *self)
{
    return ((const cpu *)self)->line;
}

static uint32_t threads(void *self)
{
    const cpu *c = self;
    return c->threads;
}

static const char *isa(void *self)
{
    const cpu *c = self;
    return c->level->name;
}

static const bk_api api = {
    .struct_size = sizeof(bk_api),
    .describe = describe,
    .supports = cpu_supports,
    .check_heads = cpu_check_heads,
    .weight_need = cpu_weight_need,
    .activation_bytes = cpu_activation_bytes,
    .kv_bytes = cpu_kv_bytes,
    .upload = cpu_upload,
    .activation = cpu_activation,
    .kv_new = cpu_kv_new,
    .tensor_free = cpu_tensor_free,
    .kv_free = cpu_kv_free,
    .embed = embed,
    .linear = linear,
    .gated = gated,
    .norm_add = norm_add,
    .attention = cpu_attention,
    .logits = logits,
    .kv_copy = cpu_kv_copy,
    .threads = threads,
    .isa = isa,
    .read_pass = limits_read_pass,
    .dot_pass = limits_dot_pass,
};

/* The level that the option names, or the best that runs here. */
static int32_t choose_level(cpu *c, jv_err *err)
{
    const cpu_level *level, *best = NULL;
    for (uint32_t i = 0; (level = cpu_level_at(i)); i++) {
        if (c->isa && strcmp(level->name, isa_names[c->isa]) != 0) continue;
        if (cpu_level_runs(level))
            best = level;
        else if (c->isa)
            return jv_fail(err, JV_BAD, "`isa` is %s, but this processor has no %s", level->name, level->what);
    }
    if (!best) return jv_fail(err, JV_BAD, "`isa` is %s, which is for processors of another kind", isa_names[c->isa]);
    c->level = best;
    return JV_OK;
}

static int32_t cpu_open(void *ctx, const jv_host *h, jv_err *err)
{
    cpu *c = ctx;
    c->h = h;
    int32_t rc = choose_level(c, err);
    if (rc != JV_OK) return rc;
    if (!c->isa && c->level == cpu_level_at(0))
        h->log(h, JV_LOG_WARN,
            "this processor has none of the instruction sets there are kernels for: `portable` is slow");
    c->threads = (uint32_t)h->lease(h, c->cores == JV_UNSET ? 0 : (int32_t)c->cores);
    if (c->threads > POOL_MAX_THREADS) c->threads = POOL_MAX_THREADS;
    if (c->cores != JV_UNSET && c->threads < c->cores)
        h->log(h, JV_LOG_WARN, "`cores` is %lld, but of `threads` in [pipeline] %u are left", (long long)c->cores,
            c->threads);
    snprintf(c->line, sizeof c->line, "cpu, %u thread%s, %s (%s)", c->threads, c->threads == 1 ? "" : "s",
        c->level->name, c->level->what);
    return JV_OK;
}

static int32_t cpu_start(void *ctx, jv_err *err)
{
    cpu *c = ctx;
    c->pool = pool_new(c->threads, err);
    return c->pool ? JV_OK : JV_FATAL;
}

static void cpu_close(void *ctx)
{
    cpu *c = ctx;
    pool_free(c->pool);
    c->pool = NULL;
}

static const jv_service services[] = {{BACKEND_SERVICE, &api}, {0}};

static const jv_stage stages[] = {{
    .name = "cpu",
    .brief = "compute backend for processors",
    .ctx_size = sizeof(cpu),
    .opts = options,
    .services = services,
    .open = cpu_open,
    .start = cpu_start,
    .close = cpu_close,
}};

JV_PLUGIN("cpu", "0.1.0", "MIT", stages);
