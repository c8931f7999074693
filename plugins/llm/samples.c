/*
 * samples: several answers to one prompt, each a record of its own: for choosing among them, or to learn from.
 *
 *     [samples]
 *     plugin = llm/samples
 *     model = model
 *     n = 4
 *     temperature = 0.6
 *
 * Everything else is as in llm/generate. The prompt is read once; the answers are drawn independently of each other,
 * and the first is the one that generate gives. Each child has the fields of its record, those of an answer, and
 * `index`, from 0. Answers do not stream; a merge behind brings them together.
 */
#include "stages.h"

enum { INDEX = ASK_ROWS };

const jv_field samples_fields[] = {
    [ASK_IN] = {"in", JV_UTF8, JV_IN, "prompt", "the question, or the messages"},
    [ASK_TOOLS] = {"tools", JV_JSON, JV_IN | JV_OPTIONAL, "tools", "what the model may call, a list as OpenAI has it"},
    [ASK_OUT] = {"out", JV_UTF8, JV_OUT, "answer", "what the model answers"},
    [ASK_THINKING] = {"thinking", JV_UTF8, JV_OUT, "reasoning", "what it thinks before; empty where it does not"},
    [ASK_FINISH] = {"finish", JV_UTF8, JV_OUT, "finish",
        "stop: the model ended its turn; string: a stop string came; length: max_tokens were made"},
    [ASK_PROBABILITIES] = {"probabilities", JV_JSON, JV_OUT, "logprobs", "the tokens made, with logprobs"},
    [INDEX] = {"index", JV_I64, JV_OUT, "index", "which answer, from 0"},
    {0},
};

const jv_counter samples_counters[] = {ASK_COUNTERS};

const jv_opt samples_options[] = {
    ASK_OPTIONS,
    JV_OPTF(struct generate, n, JV_PER_RECORD, "1", "1..1024", "how many answers"),
    {0},
};

/* What the callback needs. */
typedef struct job {
    const jv_host *h;
    const jv_buf *b;
} job;

static int32_t stopped(void *user)
{
    const job *j = user;
    return j->h->cancelled(j->h, j->b);
}

static int32_t emit(const jv_host *h, jv_buf *b, const llm_request *req, const llm_answer *a, size_t i, jv_err *err)
{
    const llm_reply *one = &a->reply[i];
    jv_buf *child = h->fork(h, b, err);
    int32_t rc = child ? ask_put(h, child, req, one, err) : err->code;
    if (rc != JV_OK) return rc;
    h->put_i64(h, child, INDEX, (int64_t)i);
    h->count(h, child, ASK_TOKENS_OUT, one->tokens);
    h->count(h, child, ASK_TOKENS_REASONING, one->tokens_reasoning);
    if (one->finish == LLM_FINISH_LENGTH) h->count(h, child, ASK_CUT, 1);
    return h->emit(h, child, 0, err);
}

int32_t samples_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct generate *g = ctx, o;
    const jv_host *h = g->h;
    const llm_api *model = g->model.api;
    llm_request req;
    int32_t rc = h->params(h, b, &o, err);
    if (rc == JV_OK) rc = ask_request(g, &o, b, &req, err);
    if (rc != JV_OK) return rc;
    job j = {h, b};
    req.stopped = stopped;
    req.user = &j;
    llm_answer answer = {.struct_size = sizeof answer};
    rc = model->generate(g->model.self, &req, &answer, err);
    h->count(h, b, ASK_TOKENS_IN, answer.tokens_in);
    h->count(h, b, ASK_TOKENS_CACHED, answer.tokens_cached);
    h->count(h, b, ASK_BYTES_LOST, answer.bytes_lost);
    if (rc != JV_OK) { /* no child takes these */
        h->count(h, b, ASK_TOKENS_OUT, answer.tokens_out);
        h->count(h, b, ASK_TOKENS_REASONING, answer.tokens_reasoning);
    }
    for (size_t i = 0; i < answer.n && rc == JV_OK; i++) rc = emit(h, b, &req, &answer, i, err);
    model->release_answer(g->model.self, &answer);
    return rc == JV_OK ? JV_DONE : rc;
}
