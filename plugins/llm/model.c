/*
 * model: a language model from a GGUF file, of one of the families in net.h.
 *
 *     [model]
 *     plugin = llm/model
 *     path = ${HOME}/models/SmolLM2-135M-Instruct.Q4_1.gguf
 *     backend = backend           a section that computes, such as cpu
 *     context = auto              tokens of prompt and answer together; auto: what the model was made for, at most 4096
 *     kv = f16                    how keys and values are kept: f16, q8_0, f32
 *     memory = auto               bytes that weights, cache and scratch may take together: the cache of keys and values
 *                                 gets what the others leave. auto: the machine's, and a cache of four contexts, or
 *                                 of 512 tokens for each of `batch`, whichever is more
 *     batch = 32                  sequences that are worked on at once
 *     prefill_chunk = 128         tokens of prompts that go through the model in one step
 *
 * `jevons check` reads and checks all of the file but its weights' values. Offers jv.model/1 (llm.h) to any number of
 * callers at once, and jv.model.bench/1 (bench.h). batch, prefill_chunk and memory never change a result.
 */
#include "stages.h"

#include <inttypes.h>
#include <stdlib.h>

const jv_opt model_options[] = {
    JV_OPT(struct model, path, NULL, "path read", "the model, a GGUF file"),
    JV_OPT(struct model, backend, NULL, BACKEND_SERVICE, "the section that computes"),
    JV_OPT(struct model, context, "auto", "auto|16..1048576",
        "tokens of prompt and answer together; auto: what the model was made for, at most 4096"),
    JV_OPT(struct model, kv, "f16", "f16|q8_0|f32", "how keys and values are kept"),
    JV_OPTF(struct model, memory, JV_NEUTRAL, "auto", "auto|bytes 1M..",
        "most memory for weights, cache and scratch together; auto: the machine's, and a cache of four contexts "
        "or of 512 tokens for each of `batch`"),
    JV_OPTF(struct model, batch, JV_NEUTRAL, "32", "1..1024", "sequences that are worked on at once"),
    JV_OPTF(struct model, prefill_chunk, JV_NEUTRAL, "128", "1..8192",
        "tokens of prompts that go through the model in one step"),
    {0},
};

int32_t model_open(void *ctx, const jv_host *h, jv_err *err)
{
    static const uint32_t kv[] = {BK_F16, BK_Q8_0, BK_F32};
    struct model *m = ctx;
    m->h = h;
    engine_size size = {
        .context = m->context == JV_UNSET ? 0 : (uint32_t)m->context,
        .chunk = (uint32_t)m->prefill_chunk,
        .sequences = (uint32_t)m->batch,
        .kv_type = kv[m->kv],
        .memory = m->memory == JV_UNSET ? 0 : (uint64_t)m->memory,
    };
    int32_t rc = engine_open(&m->engine, m->path, m->backend.api, m->backend.self, err);
    return rc == JV_OK ? engine_fit(&m->engine, &size, err) : rc;
}

static void log_model(const struct model *m)
{
    const engine *e = &m->engine;
    const net_shape *s = net_shape_of(e->net);
    engine_need need = engine_memory(e);
    char types[128], sum[256];
    jv_str first = {0};
    jv_err why;
    net_types(e->net, types, sizeof types);
    engine_print_need(&need, sum, sizeof sum);
    m->h->log(m->h, JV_LOG_INFO, "%s: %s, %.1f million parameters (%s), %u layers, width %u", m->path, s->family,
        (double)net_parameters(e->net) / 1e6, types, s->layers, s->width);
    m->h->log(m->h, JV_LOG_INFO, "context %u tokens, batch %u, KV %s for %llu tokens, memory: %s", e->context,
        e->sequences, kv_name(e->kv_type), (unsigned long long)e->blocks * BK_KV_BLOCK, sum);
    m->h->log(m->h, JV_LOG_INFO, "backend: %s", e->bk->describe(e->bk_self));
    if (e->context > s->context)
        m->h->log(m->h, JV_LOG_WARN, "context = %u is more than the %u tokens the model was made for", e->context,
            s->context);
    uint64_t unused = net_unused(e->net, &first);
    if (unused)
        m->h->log(m->h, JV_LOG_WARN, "tensors not used: %" PRIu64 ", the first is %.*s", unused, (int)first.n, first.p);
    if (chat_check(e->chat, &why) != JV_OK) m->h->log(m->h, JV_LOG_WARN, "%s", why.text);
}

/* Whether the run has been cancelled while the weights were loaded. */
static int32_t run_cancelled(void *user)
{
    const struct model *m = user;
    return m->h->wait(m->h, -1, 0, 0) == JV_STOPPED;
}

int32_t model_start(void *ctx, jv_err *err)
{
    struct model *m = ctx;
    int32_t rc = engine_start(&m->engine, &(net_stop){run_cancelled, m}, err);
    if (rc == JV_OK) log_model(m);
    return rc;
}

/* What the scheduler did in all that time. */
static void log_work(const struct model *m)
{
    sched_stats s = sched_stats_of(m->engine.sched);
    if (!s.steps) return;
    m->h->log(m->h, JV_LOG_INFO,
        "%" PRIu64 " requests in %" PRIu64 " steps of %.1f tokens; %" PRIu64 " tokens found in the cache, %" PRIu64
        " prompts parted within a block, %" PRIu64 " blocks evicted; %" PRIu64 " sequences sent back, %" PRIu64
        " tokens computed again; at most %u at once, in %u of %u blocks",
        s.jobs, s.steps, (double)s.tokens / (double)s.steps, s.reused, s.parted, s.evicted, s.preempted, s.recomputed,
        s.most_running, s.most_blocks, m->engine.blocks);
}

void model_close(void *ctx)
{
    struct model *m = ctx;
    if (m->engine.sched) log_work(m);
    engine_close(&m->engine);
}

/* ---- the service ------------------------------------------------------------------------------------------------- */

static int32_t generate(void *self, const llm_request *req, llm_answer *answer, jv_err *err)
{
    struct model *m = self;
    return engine_generate(&m->engine, req, answer, err);
}

static void release_answer(void *self, llm_answer *answer)
{
    engine_release_answer(answer);
}

static int32_t score(void *self, const llm_score_request *req, llm_score_total *total, jv_err *err)
{
    struct model *m = self;
    return engine_score(&m->engine, req, total, err);
}

static int32_t tokenize(void *self, jv_str text, int32_t **ids, size_t *n, uint64_t *lost, jv_err *err)
{
    struct model *m = self;
    token_list list;
    int32_t rc = engine_tokenize(&m->engine, text, &list, err);
    *ids = list.ids;
    *n = list.n;
    *lost = list.lost;
    return rc;
}

static void release_ids(void *self, int32_t *ids)
{
    free(ids);
}

static int32_t check_template(void *self, jv_err *err)
{
    struct model *m = self;
    return chat_check(m->engine.chat, err);
}

static int64_t context(void *self)
{
    const struct model *m = self;
    return m->engine.context;
}

static int64_t vocabulary(void *self)
{
    const struct model *m = self;
    return net_shape_of(m->engine.net)->vocabulary;
}

static int32_t find(void *self, jv_str text)
{
    const struct model *m = self;
    return tokenizer_find(m->engine.tok, text);
}

static jv_str piece(void *self, int32_t token)
{
    const struct model *m = self;
    bool known = token >= 0 && (uint32_t)token < net_shape_of(m->engine.net)->vocabulary;
    return known ? tokenizer_piece(m->engine.tok, token) : (jv_str){0};
}

static const llm_api api = {
    .struct_size = sizeof(llm_api),
    .generate = generate,
    .release_answer = release_answer,
    .score = score,
    .tokenize = tokenize,
    .release_ids = release_ids,
    .check_template = check_template,
    .context = context,
    .vocabulary = vocabulary,
    .find = find,
    .piece = piece,
};

static int32_t measure(void *self, const llm_bench_work *work, llm_bench_result *result, jv_err *err)
{
    struct model *m = self;
    return engine_bench(&m->engine, work, result, err);
}

static uint32_t threads(void *self)
{
    const struct model *m = self;
    return m->engine.bk->threads(m->engine.bk_self);
}

static const char *isa(void *self)
{
    const struct model *m = self;
    return m->engine.bk->isa(m->engine.bk_self);
}

static const llm_bench_api bench_api = {
    .struct_size = sizeof(llm_bench_api),
    .measure = measure,
    .threads = threads,
    .isa = isa,
};

const jv_service model_services[] = {{LLM_SERVICE, &api}, {LLM_BENCH_SERVICE, &bench_api}, {0}};
