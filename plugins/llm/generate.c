/*
 * generate: answers a prompt, or a conversation, with a model.
 *
 *     [generate]
 *     plugin = llm/generate
 *     model = model
 *     in = prompt                 field with the question; out = answer
 *     input = text                text: `in` is a question; messages: a conversation, a JSON list of messages
 *     template = chat             chat: the file's chat template; none: the prompt is the text to go on with
 *     system =                    a system message
 *     default_tools = @tools.json a JSON list, where a record has no field `tools`
 *     max_tokens = 256
 *     temperature = 0             0: always the likeliest token, the right thing for documents
 *     top_k = 0, top_p = 1, min_p = 0, presence_penalty, frequency_penalty, repetition_penalty: off
 *     logit_bias.TOKEN = -5       TOKEN: an id, or a token's text; never: not this one
 *     stop = END, "\n\n"          the answer ends before any of these
 *     reasoning = keep            what becomes of <think>...</think>: keep: the field `reasoning`, drop, only, inline
 *     thinking_tokens = auto      after so many the thinking is closed, and the model goes on to answer
 *     logprobs = off              tokens with their probabilities, and so many others beside each: field `logprobs`
 *     seed = auto                 auto: made from the record's id, so that a record gets the same draws at every run
 *
 * All but the model, the template and the input may come with the record, in its field `params`: {"temperature": 0.7}.
 * Prompt and max_tokens must fit the model's context together, else the record is rejected. Nothing in a prompt or a
 * message is read as a control token. Thinking and answer stream as partials where the next stage takes them.
 */
#include "stages.h"

#include <time.h>

enum { SECONDS = ASK_ROWS, SECONDS_WAIT, SECONDS_PREFILL, SECONDS_DECODE };

const jv_field generate_fields[] = {
    [ASK_IN] = {"in", JV_UTF8, JV_IN, "prompt", "the question, or the messages"},
    [ASK_TOOLS] = {"tools", JV_JSON, JV_IN | JV_OPTIONAL, "tools", "what the model may call, a list as OpenAI has it"},
    [ASK_OUT] = {"out", JV_UTF8, JV_OUT, "answer", "what the model answers"},
    [ASK_THINKING] = {"thinking", JV_UTF8, JV_OUT, "reasoning", "what it thinks before; empty where it does not"},
    [ASK_FINISH] = {"finish", JV_UTF8, JV_OUT, "finish",
        "stop: the model ended its turn; string: a stop string came; length: max_tokens were made"},
    [ASK_PROBABILITIES] = {"probabilities", JV_JSON, JV_OUT, "logprobs", "the tokens made, with logprobs"},
    [SECONDS] = {"seconds", JV_F64, JV_OUT | JV_MEASURED, "seconds", "from the record's arrival to the answer's end"},
    [SECONDS_WAIT] = {"seconds_wait", JV_F64, JV_OUT | JV_MEASURED, "seconds_wait", "waiting for the model"},
    [SECONDS_PREFILL] = {"seconds_prefill", JV_F64, JV_OUT | JV_MEASURED, "seconds_prefill", "reading the prompt"},
    [SECONDS_DECODE] = {"seconds_decode", JV_F64, JV_OUT | JV_MEASURED, "seconds_decode", "making the answer"},
    {0},
};

const jv_counter generate_counters[] = {ASK_COUNTERS};

const jv_opt generate_options[] = {ASK_OPTIONS, {0}};

int32_t generate_open(void *ctx, const jv_host *h, jv_err *err)
{
    return ask_open(ctx, h, err);
}

void generate_close(void *ctx)
{
    ask_close(ctx);
}

/* What the callbacks need. */
typedef struct job {
    const jv_host *h;
    jv_buf *b;
    jv_err err; /* why on_text said stop; code 0: it did not */
} job;

static int32_t on_text(void *user, const llm_more *more)
{
    job *j = user;
    int32_t row = more->channel == LLM_CHANNEL_REASONING ? ASK_THINKING : ASK_OUT;
    return j->h->partial(j->h, j->b, row, more->text.p, more->text.n, &j->err);
}

static int32_t stopped(void *user)
{
    const job *j = user;
    return j->h->cancelled(j->h, j->b);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void count(const jv_host *h, jv_buf *b, const llm_answer *a)
{
    h->count(h, b, ASK_TOKENS_IN, a->tokens_in);
    h->count(h, b, ASK_TOKENS_CACHED, a->tokens_cached);
    h->count(h, b, ASK_TOKENS_OUT, a->tokens_out);
    h->count(h, b, ASK_TOKENS_REASONING, a->tokens_reasoning);
    h->count(h, b, ASK_BYTES_LOST, a->bytes_lost);
}

int32_t generate_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct generate *g = ctx, o;
    const jv_host *h = g->h;
    const llm_api *model = g->model.api;
    double start = now();
    llm_request req;
    int32_t rc = h->params(h, b, &o, err);
    if (rc == JV_OK) rc = ask_request(g, &o, b, &req, err);
    if (rc != JV_OK) return rc;
    job j = {.h = h, .b = b};
    req.on_text = on_text;
    req.stopped = stopped;
    req.user = &j;
    llm_answer answer = {.struct_size = sizeof answer};
    rc = model->generate(g->model.self, &req, &answer, err);
    count(h, b, &answer);
    if (j.err.code) *err = j.err;
    if (j.err.code) rc = j.err.code;
    /* The whole answer, also where partials have built it: a final does not depend on what became of those. */
    if (rc == JV_OK) rc = ask_put(h, b, &req, answer.reply, err);
    if (rc == JV_OK) {
        if (answer.reply->finish == LLM_FINISH_LENGTH) h->count(h, b, ASK_CUT, 1);
        h->put_f64(h, b, SECONDS, now() - start);
        h->put_f64(h, b, SECONDS_WAIT, answer.seconds_wait);
        h->put_f64(h, b, SECONDS_PREFILL, answer.seconds_prefill);
        h->put_f64(h, b, SECONDS_DECODE, answer.seconds_decode);
    }
    model->release_answer(g->model.self, &answer);
    return rc;
}
