/*
 * generate: answers a prompt with a model.
 *
 *     [generate]
 *     plugin = llm/generate
 *     model = model
 *     in = prompt                 field with the question; out = answer, finish: stop or length
 *     template = chat             chat: the file's chat template; none: the prompt is the text to go on with
 *     system =                    a system message, with template = chat
 *     max_tokens = 256
 *     temperature = 0             0: always the likeliest token, the right thing for documents
 *     top_p = 1
 *     seed = auto                 auto: made from the record's id, so that a record gets the same draws at every run
 *
 * system, max_tokens, temperature, top_p and seed may come with the record, in its field `params`: {"temperature": 0.7}.
 * Prompt and max_tokens must fit the model's context together, else the record is rejected. Nothing in a prompt or
 * system message is read as a control token. The answer streams as partials where the next stage takes them.
 */
#include "stages.h"

#include <string.h>

enum { IN, OUT, FINISH, SECONDS, SECONDS_WAIT, SECONDS_PREFILL, SECONDS_DECODE };
enum { TOKENS_IN, TOKENS_OUT, CUT, BYTES_LOST };

const jv_field generate_fields[] = {
    [IN] = {"in", JV_UTF8, JV_IN, "prompt", "the question"},
    [OUT] = {"out", JV_UTF8, JV_OUT, "answer", "what the model answers"},
    [FINISH] = {"finish", JV_UTF8, JV_OUT, "finish", "stop: the model ended its turn; length: max_tokens were made"},
    [SECONDS] = {"seconds", JV_F64, JV_OUT | JV_MEASURED, "seconds", "from the record's arrival to the answer's end"},
    [SECONDS_WAIT] = {"seconds_wait", JV_F64, JV_OUT | JV_MEASURED, "seconds_wait", "waiting for the model"},
    [SECONDS_PREFILL] = {"seconds_prefill", JV_F64, JV_OUT | JV_MEASURED, "seconds_prefill", "reading the prompt"},
    [SECONDS_DECODE] = {"seconds_decode", JV_F64, JV_OUT | JV_MEASURED, "seconds_decode", "making the answer"},
    {0},
};

const jv_counter generate_counters[] = {
    [TOKENS_IN] = {"tokens_in", "token", "tokens of the prompts, templates included", 0, 0},
    [TOKENS_OUT] = {"tokens_out", "token", "tokens made", 0, 0},
    [CUT] = {"cut", "answer", "answers that max_tokens ended before the model did", 0, 0},
    [BYTES_LOST] = {"bytes_lost", "byte", "bytes of prompts the vocabulary has no token for: left out", 0, 0},
    {0},
};

const jv_opt generate_options[] = {
    JV_OPT(struct generate, model, NULL, LLM_SERVICE, "the model's section"),
    JV_OPT(struct generate, template, "chat", "chat|none",
        "chat: the file's chat template; none: the prompt is the text to go on with"),
    JV_OPTF(struct generate, system, JV_PER_RECORD, "", "", "a system message; only with template = chat"),
    JV_OPTF(struct generate, max_tokens, JV_PER_RECORD, "256", "1..1048576", "most tokens to make"),
    JV_OPTF(struct generate, temperature, JV_PER_RECORD, "0", "0..100",
        "how far draws stray from the likeliest token; 0: not at all"),
    JV_OPTF(struct generate, top_p, JV_PER_RECORD, "1", "0..1",
        "draw among the likeliest tokens that hold this much probability together; above 0"),
    JV_OPTF(struct generate, seed, JV_PER_RECORD, "auto", "auto|0..", "of the draws; auto: made from the record's id"),
    {0},
};

/* What holds for the section's options and for those of each record. */
static int32_t check_options(const struct generate *g, jv_err *err)
{
    if (!(g->top_p > 0)) return jv_fail(err, JV_BAD, "top_p = %g: it must be above 0", g->top_p);
    if (g->template == LLM_TEMPLATE_NONE && *g->system)
        return jv_fail(err, JV_BAD, "system needs template = chat: there is no place for it without");
    return JV_OK;
}

int32_t generate_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct generate *g = ctx;
    const llm_api *model = g->model.api;
    g->h = h;
    int32_t rc = check_options(g, err);
    if (rc == JV_OK && g->template == LLM_TEMPLATE_CHAT) rc = model->check_template(g->model.self, err);
    if (rc == JV_OK && g->max_tokens >= model->context(g->model.self))
        return jv_fail(err, JV_BAD,
            "max_tokens = %lld leaves no room for a prompt: the model's context holds %lld tokens",
            (long long)g->max_tokens, (long long)model->context(g->model.self));
    return rc;
}

/* FNV-1a, 64 bits (https://datatracker.ietf.org/doc/html/draft-eastlake-fnv): the same id, the same seed, on any
 * machine. */
static uint64_t seed_of(jv_str id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < id.n; i++) hash = (hash ^ (uint8_t)id.p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* What the callbacks need. */
typedef struct job {
    const jv_host *h;
    jv_buf *b;
    jv_err err; /* why on_text said stop; code 0: it did not */
} job;

static int32_t on_text(void *user, const char *more, size_t n)
{
    job *j = user;
    return j->h->partial(j->h, j->b, OUT, more, n, &j->err);
}

static int32_t stopped(void *user)
{
    const job *j = user;
    return j->h->cancelled(j->h, j->b);
}

static int32_t put_text(const jv_host *h, jv_buf *b, int32_t row, const char *p, size_t n, jv_err *err)
{
    char *to = h->put(h, b, row, n, err);
    if (!to) return err->code;
    if (n) memcpy(to, p, n);
    return JV_OK;
}

/* The whole answer, also where partials have built it: a final does not depend on what became of those. */
static int32_t put_answer(const jv_host *h, jv_buf *b, const llm_answer *a, double seconds, jv_err *err)
{
    const char *finish = a->finish == LLM_FINISH_STOP ? "stop" : "length";
    int32_t rc = put_text(h, b, OUT, a->text, a->n, err);
    if (rc == JV_OK) rc = put_text(h, b, FINISH, finish, strlen(finish), err);
    h->put_f64(h, b, SECONDS, seconds);
    h->put_f64(h, b, SECONDS_WAIT, a->seconds_wait);
    h->put_f64(h, b, SECONDS_PREFILL, a->seconds_prefill);
    h->put_f64(h, b, SECONDS_DECODE, a->seconds_decode);
    return rc;
}

int32_t generate_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct generate *g = ctx;
    const jv_host *h = g->h;
    const llm_api *model = g->model.api;
    double start = engine_clock();
    struct generate o;
    int32_t rc = h->params(h, b, &o, err);
    if (rc == JV_OK) rc = check_options(&o, err);
    if (rc != JV_OK) return rc;
    job j = {.h = h, .b = b};
    llm_request req = {
        .struct_size = sizeof req,
        .template_mode = o.template,
        .prompt = h->get(h, b, IN),
        .system = {o.system, strlen(o.system)},
        .max_tokens = o.max_tokens,
        .temperature = o.temperature,
        .top_p = o.top_p,
        .seed = o.seed == JV_UNSET ? seed_of(h->id(h, b)) : (uint64_t)o.seed,
        .on_text = on_text,
        .stopped = stopped,
        .user = &j,
    };
    llm_answer answer = {.struct_size = sizeof answer};
    rc = model->generate(g->model.self, &req, &answer, err);
    h->count(h, b, TOKENS_IN, answer.tokens_in);
    h->count(h, b, TOKENS_OUT, answer.tokens_out);
    if (rc == JV_OK && answer.finish == LLM_FINISH_LENGTH) h->count(h, b, CUT, 1);
    h->count(h, b, BYTES_LOST, answer.bytes_lost);
    if (j.err.code) *err = j.err;
    if (j.err.code) rc = j.err.code;
    if (rc == JV_OK) rc = put_answer(h, b, &answer, engine_clock() - start, err);
    model->release_answer(g->model.self, &answer);
    return rc;
}
