/*
 * engine_bench.c: one piece of work, timed, on a cache of its own. Between the steps that are timed the machine shows
 * what it could do at most: it reads all weights once, and multiplies for a moment. So a busy neighbour slows both, and
 * their ratio keeps its meaning.
 */
#include "engine.h"
#include "logits.h"
#include "sample.h"

#include <stdlib.h>

#define DOT_MS 5 /* a measurement of the multipliers */

typedef struct bench {
    engine *e;
    const llm_bench_work *work;
    llm_bench_result *result;
    net_stop stop;
    bk_kv *kv;
    uint32_t per_sequence; /* blocks */
    uint32_t *blocks;      /* (sequences, per_sequence): indices of the cache */
    bk_run *runs;          /* (sequences) */
    int32_t *ids;          /* (tokens of a step) */
    float *logits;         /* (sequences, vocabulary) */
    float *best;           /* logits.h */
    const bk_tensor **weights;
    uint32_t n_weights;
    uint64_t random;
    double read_seconds, dot_seconds;
    uint64_t read_bytes, dots;
    uint64_t steps, rows; /* timed: passes over the weights, rows of logits */
} bench;

static uint32_t vocabulary_of(const engine *e)
{
    return net_shape_of(e->net)->vocabulary;
}

static int32_t random_id(bench *b)
{
    return (int32_t)(random_next(&b->random) % vocabulary_of(b->e));
}

/* Through the network: `n` tokens each of the sequences first..first + n_runs - 1, from position pos on. */
static int32_t forward(bench *b, uint32_t first, uint32_t n_runs, uint32_t pos, uint32_t n, jv_err *err)
{
    for (uint32_t i = 0; i < n_runs; i++)
        b->runs[i] = (bk_run){n, pos, b->blocks + (size_t)(first + i) * b->per_sequence};
    bk_batch batch = {sizeof batch, n_runs * n, n_runs, 0, b->runs, b->kv};
    return net_forward(b->e->net, b->ids, &batch, &b->stop, err);
}

/* The likeliest token behind each sequence, which is the next step's. */
static int32_t choose(bench *b, uint32_t n, jv_err *err)
{
    uint32_t vocabulary = vocabulary_of(b->e);
    int32_t index[SCHED_LOGIT_ROWS];
    for (uint32_t i = 0; i < n; i++) index[i] = (int32_t)i;
    int32_t rc = net_logits(b->e->net, index, n, b->logits, err);
    for (uint32_t i = 0; i < n && rc == JV_OK; i++) {
        logits l = {.v = b->logits + (size_t)i * vocabulary,
            .n = vocabulary,
            .blocks = (vocabulary + LOGITS_BLOCK - 1) / LOGITS_BLOCK,
            .best = b->best};
        rc = logits_scan(&l, err);
        b->ids[i] = l.id;
    }
    return rc;
}

/* Random tokens of one sequence, in portions of the model's batch; only the last needs logits. */
static int32_t read_tokens(bench *b, uint32_t which, uint32_t pos, uint32_t n, jv_err *err)
{
    int32_t rc = JV_OK;
    for (uint32_t at = 0; at < n && rc == JV_OK;) {
        uint32_t part = n - at < b->e->chunk ? n - at : b->e->chunk;
        for (uint32_t i = 0; i < part; i++) b->ids[i] = random_id(b);
        rc = forward(b, which, 1, pos + at, part, err);
        at += part;
    }
    return rc;
}

static void measure_limits(bench *b)
{
    const engine *e = b->e;
    double start = sched_clock();
    b->read_bytes += e->bk->read_pass(e->bk_self, b->weights, b->n_weights);
    double middle = sched_clock();
    b->dots += e->bk->dot_pass(e->bk_self, DOT_MS);
    b->read_seconds += middle - start;
    b->dot_seconds += sched_clock() - middle;
}

/* ---- the two kinds of work --------------------------------------------------------------------------------------- */

static int32_t prefill_step(bench *b, uint32_t pos, uint32_t n, bool last, jv_err *err)
{
    int32_t index = (int32_t)n - 1;
    for (uint32_t i = 0; i < n; i++) b->ids[i] = random_id(b);
    double start = sched_clock();
    int32_t rc = forward(b, 0, 1, pos, n, err);
    if (rc == JV_OK && last) rc = net_logits(b->e->net, &index, 1, b->logits, err);
    b->result->seconds += sched_clock() - start;
    b->result->tokens += n;
    b->rows += last;
    return rc;
}

static int32_t decode_step(bench *b, uint32_t pos, jv_err *err)
{
    uint32_t n = b->work->sequences;
    double start = sched_clock();
    int32_t rc = forward(b, 0, n, pos, 1, err);
    if (rc == JV_OK) rc = choose(b, n, err);
    b->result->seconds += sched_clock() - start;
    b->result->tokens += n;
    b->rows += n;
    return rc;
}

static int32_t time_steps(bench *b, jv_err *err)
{
    const llm_bench_work *w = b->work;
    uint32_t tokens = w->prefill ? w->prefill : w->decode, step = w->prefill ? b->e->chunk : 1;
    int32_t rc = JV_OK;
    for (uint32_t at = 0; at < tokens && rc == JV_OK; at += step) {
        uint32_t n = tokens - at < step ? tokens - at : step, pos = w->context + at;
        rc = w->prefill ? prefill_step(b, pos, n, at + n == tokens, err) : decode_step(b, pos, err);
        b->steps++;
        if (rc == JV_OK) measure_limits(b);
    }
    return rc;
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static int32_t take_room(bench *b, jv_err *err)
{
    const engine *e = b->e;
    const llm_bench_work *w = b->work;
    uint32_t n = w->sequences, vocabulary = vocabulary_of(e);
    b->per_sequence = (w->context + w->prefill + w->decode + BK_KV_BLOCK - 1) / BK_KV_BLOCK;
    bk_kv_shape shape = net_cache(e->net, e->kv_type, n * b->per_sequence);
    b->kv = e->bk->kv_new(e->bk_self, &shape, err);
    if (!b->kv) return err->code;
    b->n_weights = net_weights(e->net, NULL, 0);
    b->weights = calloc(b->n_weights, sizeof *b->weights);
    b->blocks = calloc(shape.blocks, sizeof *b->blocks);
    b->runs = calloc(n, sizeof *b->runs);
    b->ids = calloc(e->chunk > n ? e->chunk : n, sizeof *b->ids);
    b->logits = malloc((size_t)n * vocabulary * sizeof *b->logits);
    b->best = malloc((vocabulary / LOGITS_BLOCK + 1) * sizeof *b->best);
    if (!b->weights || !b->blocks || !b->runs || !b->ids || !b->logits || !b->best)
        return jv_fail(err, JV_FATAL, "no memory for a benchmark of %u sequences", n);
    net_weights(e->net, b->weights, b->n_weights);
    for (uint32_t i = 0; i < shape.blocks; i++) b->blocks[i] = i;
    return JV_OK;
}

static void give_room(bench *b)
{
    b->e->bk->kv_free(b->e->bk_self, b->kv);
    free(b->weights);
    free(b->blocks);
    free(b->runs);
    free(b->ids);
    free(b->logits);
    free(b->best);
}

static int32_t check_work(const engine *e, const llm_bench_work *w, jv_err *err)
{
    uint64_t each = (uint64_t)w->context + w->prefill + w->decode;
    if (w->struct_size < sizeof *w) return jv_fail(err, JV_BAD, "a struct of %u bytes", w->struct_size);
    if (!w->prefill == !w->decode) return jv_fail(err, JV_BAD, "either prefill or decode must be 0, not both");
    if (w->prefill && w->sequences != 1) return jv_fail(err, JV_BAD, "prefill is measured with one sequence");
    if (!w->sequences || w->sequences > e->sequences)
        return jv_fail(err, JV_BAD, "%u sequences: the model takes 1..%u at once", w->sequences, e->sequences);
    if (each > e->context)
        return jv_fail(err, JV_BAD, "%llu tokens in a sequence: the model's context holds %u", (unsigned long long)each,
            e->context);
    return JV_OK;
}

/* Once before the clock runs: pages are touched, threads awake, weights where they will be. */
static int32_t warm_up(bench *b, jv_err *err)
{
    const llm_bench_work *w = b->work;
    int32_t rc = JV_OK;
    for (uint32_t s = 0; s < w->sequences && rc == JV_OK; s++) {
        uint32_t n = w->context ? w->context : w->prefill < b->e->chunk ? w->prefill : b->e->chunk;
        rc = read_tokens(b, s, 0, n, err);
    }
    for (uint32_t s = 0; s < w->sequences; s++) b->ids[s] = random_id(b);
    measure_limits(b);
    b->result->bytes = b->read_bytes;
    b->read_bytes = b->dots = 0;
    b->read_seconds = b->dot_seconds = 0;
    return rc;
}

int32_t engine_bench(engine *e, const llm_bench_work *work, llm_bench_result *result, jv_err *err)
{
    bench b = {.e = e, .work = work, .result = result, .stop = {work->stopped, work->user}, .random = work->seed};
    *result = (llm_bench_result){.struct_size = result->struct_size};
    int32_t rc = check_work(e, work, err);
    if (rc != JV_OK) return rc;
    engine_alone(e);
    rc = take_room(&b, err);
    if (rc == JV_OK) rc = warm_up(&b, err);
    if (rc == JV_OK) rc = time_steps(&b, err);
    give_room(&b);
    engine_together(e);
    if (rc != JV_OK) return rc;
    uint64_t token, row;
    net_products(e->net, &token, &row);
    result->bytes *= b.steps;
    result->products = token * result->tokens + row * b.rows;
    result->read_bytes = (double)b.read_bytes / b.read_seconds;
    result->dot_products = (double)b.dots / b.dot_seconds;
    return JV_OK;
}
