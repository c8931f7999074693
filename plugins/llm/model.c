/*
 * model: a language model from a GGUF file, of architecture llama.
 *
 *     [model]
 *     plugin = llm/model
 *     path = ${HOME}/models/SmolLM2-135M-Instruct.Q4_1.gguf
 *     backend = backend           a section that computes, such as plain
 *     context = auto              tokens of prompt and answer together; auto: what the model was made for, at most 4096
 *     kv = f16                    how keys and values are kept: f16, f32
 *     memory = auto               bytes that weights, cache and scratch may take together; auto: no limit
 *     prefill_chunk = 128         tokens of a prompt that go through the model at once; never changes a result
 *
 * `jevons check` reads and checks all of the file but its weights' values. Offers jv.model/1 (llm.h); one request
 * runs at a time, first come, first served.
 */
#include "stages.h"

#include <inttypes.h>
#include <stdlib.h>

const jv_opt model_options[] = {
    JV_OPT(struct model, path, NULL, "path read", "the model, a GGUF file"),
    JV_OPT(struct model, backend, NULL, BACKEND_SERVICE, "the section that computes"),
    JV_OPT(struct model, context, "auto", "auto|16..1048576",
        "tokens of prompt and answer together; auto: what the model was made for, at most 4096"),
    JV_OPT(struct model, kv, "f16", "f16|f32", "how keys and values are kept"),
    JV_OPTF(struct model, memory, JV_NEUTRAL, "auto", "auto|bytes 1M..",
        "most memory for weights, cache and scratch together; auto: no limit"),
    JV_OPTF(struct model, prefill_chunk, JV_NEUTRAL, "128", "1..4096",
        "tokens of a prompt that go through the model at once"),
    {0},
};

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576;
}

/* "weights 93.8 MiB mapped and 0.0 MiB copied, KV ..., scratch ...: 200.0 MiB in all" */
static void print_need(const llama_need *n, char *to, size_t size)
{
    if (n->total == UINT64_MAX)
        snprintf(to, size, "more than can be counted");
    else
        snprintf(to, size, "weights %.1f MiB mapped and %.1f MiB copied, KV %.1f MiB, scratch %.1f MiB: %.1f MiB in all",
            mib(n->mapped), mib(n->copied), mib(n->cache), mib(n->scratch), mib(n->total));
}

int32_t model_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct model *m = ctx;
    m->h = h;
    int32_t rc = engine_open(&m->engine, m->path, m->backend.api, m->backend.self, err);
    if (rc != JV_OK) return rc;
    engine_fit(&m->engine, m->context == JV_UNSET ? 0 : (uint32_t)m->context, (uint32_t)m->prefill_chunk,
        m->kv == 0 ? BK_F16 : BK_F32);
    llama_need need = engine_memory(&m->engine);
    char sum[256];
    print_need(&need, sum, sizeof sum);
    if (need.total == UINT64_MAX)
        return jv_fail(err, JV_BAD, "context = %u: the memory for it is %s", m->engine.context, sum);
    if (m->memory != JV_UNSET && need.total > (uint64_t)m->memory)
        return jv_fail(err, JV_BAD, "memory = %.1f MiB is not enough: %s", mib((uint64_t)m->memory), sum);
    return JV_OK;
}

static void log_model(const struct model *m)
{
    const engine *e = &m->engine;
    const llama_shape *s = llama_shape_of(e->net);
    llama_need need = engine_memory(e);
    char types[128], sum[256];
    jv_str first = {0};
    jv_err why;
    llama_types(e->net, types, sizeof types);
    print_need(&need, sum, sizeof sum);
    m->h->log(m->h, JV_LOG_INFO, "%s: llama, %.1f million parameters (%s), %u layers, width %u", m->path,
        (double)llama_parameters(e->net) / 1e6, types, s->layers, s->width);
    m->h->log(m->h, JV_LOG_INFO, "context %u tokens, KV %s, memory: %s", e->context,
        e->kv_type == BK_F16 ? "f16" : "f32", sum);
    m->h->log(m->h, JV_LOG_INFO, "backend: %s", e->bk->describe(e->bk_self));
    if (e->context > s->context)
        m->h->log(m->h, JV_LOG_WARN, "context = %u is more than the %u tokens the model was made for", e->context,
            s->context);
    uint64_t unused = llama_unused(e->net, &first);
    if (unused)
        m->h->log(m->h, JV_LOG_WARN, "tensors not used: %" PRIu64 ", the first is %.*s", unused, (int)first.n, first.p);
    if (chat_check(e->chat, &why) != JV_OK) m->h->log(m->h, JV_LOG_WARN, "%s", why.text);
}

int32_t model_start(void *ctx, jv_err *err)
{
    struct model *m = ctx;
    int32_t rc = engine_start(&m->engine, err);
    if (rc == JV_OK) log_model(m);
    return rc;
}

void model_close(void *ctx)
{
    struct model *m = ctx;
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
    free(answer->text);
    answer->text = NULL;
    answer->n = 0;
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

static const llm_api api = {
    .struct_size = sizeof(llm_api),
    .generate = generate,
    .release_answer = release_answer,
    .score = score,
    .tokenize = tokenize,
    .release_ids = release_ids,
    .check_template = check_template,
    .context = context,
};

const jv_service model_services[] = {{LLM_SERVICE, &api}, {0}};
