/* engine_generate.c: answers to a prompt: it is read once, then each answer is a sequence of its own that goes on from
 * there. What tokens become is reply.h's matter, which tokens are chosen sample.h's. */
#include "engine.h"
#include "request.h"

#include <stdlib.h>

typedef struct one {
    reply *reply;
    sampler *sampler;
} one;

/* What stays until the answer is given back: the texts are the replies'. */
typedef struct kept {
    size_t n;
    one *one; /* (n) */
    llm_reply reply[];
} kept;

typedef struct generation {
    sched_job job; /* first: one is cast to the other */
    engine *e;
    const llm_request *req;
    llm_answer *answer;
    request_prompt prompt;
    kept *kept;
    size_t n;
    double first; /* when the first row came; 0: never */
} generation;

/* ---- one token --------------------------------------------------------------------------------------------------- */

static int32_t tell(const llm_request *req, reply *r, jv_err *err)
{
    llm_more more = {.struct_size = sizeof more};
    while (reply_more(r, &more))
        if (req->on_text && req->on_text(req->user, &more) < 0) return jv_fail(err, JV_CANCELLED, "cancelled");
    return JV_OK;
}

static int32_t push(sequence *s, sampler *by, int32_t id, jv_err *err)
{
    if (s->n == s->most) return jv_fail(err, JV_FATAL, "an answer outgrew the %u tokens it has room for", s->most);
    sequence_push(s, id);
    return sampler_made(by, id, err);
}

/* What the reply wants read besides, and a draw behind that. */
static int32_t feed(const one *o, sequence *s, jv_err *err)
{
    size_t n;
    const int32_t *ids = reply_feed(o->reply, &n);
    int32_t rc = JV_OK;
    for (size_t i = 0; i < n && rc == JV_OK; i++) rc = push(s, o->sampler, ids[i], err);
    s->want = s->n - 1;
    return rc;
}

/* Draws the next token of a sequence, which grows by it unless the answer has ended. */
static int32_t advance(generation *g, const one *o, sequence *s, float *logits, jv_err *err)
{
    engine *e = g->e;
    llm_token t = {0};
    int32_t act, rc = sampler_draw(o->sampler, e->room, logits, &t.token, err);
    if (rc == JV_OK && g->req->logprobs >= 0) rc = sample_logprobs(e->room, logits, (size_t)g->req->logprobs, &t, err);
    if (rc != JV_OK) return engine_blame(e, rc, err);
    if (tokenizer_ends_turn(e->tok, t.token))
        act = reply_end(o->reply, LLM_FINISH_STOP, err);
    else
        act = reply_token(o->reply, &t, tokenizer_piece(e->tok, t.token), err);
    if (act < 0) return act;
    rc = tell(g->req, o->reply, err);
    if (rc == JV_OK && act != REPLY_ENDED) rc = push(s, o->sampler, t.token, err);
    return rc == JV_OK && act == REPLY_FEED ? feed(o, s, err) : rc;
}

/* The prompt has been read: its blocks are every answer's. */
static int32_t begin_all(generation *g, float *logits, jv_err *err)
{
    sched_task *t = g->job.task;
    int32_t rc = advance(g, &g->kept->one[0], &t[0].seq, logits, err);
    g->first = sched_clock();
    g->answer->tokens_cached = t[0].seq.reused < g->prompt.tokens.n ? t[0].seq.reused : (int64_t)g->prompt.tokens.n;
    for (size_t i = 1; i < g->n && rc == JV_OK; i++) {
        uint32_t before = t[i].seq.n;
        rc = advance(g, &g->kept->one[i], &t[i].seq, logits, err);
        t[i].seq.want = t[i].seq.n - 1;
        if (rc == JV_OK && t[i].seq.n > before) sched_fork(&t[0], &t[i]);
    }
    return rc;
}

static int32_t on_row(sched_job *job, sched_task *t, float *logits, jv_err *err)
{
    generation *g = (generation *)job;
    if (g->first == 0) return begin_all(g, logits, err);
    return advance(g, &g->kept->one[t - job->task], &t->seq, logits, err);
}

/* ---- before ------------------------------------------------------------------------------------------------------ */

static int32_t check_fit(const engine *e, size_t prompt, int64_t max_tokens, jv_err *err)
{
    if (prompt == 0) return jv_fail(err, JV_BAD, "the prompt is empty, and the file puts no token in front");
    if (prompt > e->context || max_tokens > (int64_t)(e->context - prompt))
        return jv_fail(err, JV_BAD,
            "the prompt has %zu tokens and max_tokens is %lld: together %llu, the context holds %u", prompt,
            (long long)max_tokens, (unsigned long long)prompt + (uint64_t)max_tokens, e->context);
    return JV_OK;
}

/* Answer i with the prompt read, as far as it can be known beforehand. *ended: nothing is to be made of it. */
static int32_t prepare(generation *g, size_t i, bool *ended, jv_err *err)
{
    const token_list *prompt = &g->prompt.tokens;
    uint32_t most = (uint32_t)(prompt->n + (size_t)g->req->max_tokens);
    one *o = &g->kept->one[i];
    sequence *s = &g->job.task[i].seq;
    o->reply = reply_new(g->req, &g->e->tags, (uint32_t)i, g->prompt.thinking, err);
    if (!o->reply) return err->code;
    o->sampler = sampler_new(g->req, (uint32_t)i);
    if (!o->sampler) return jv_fail(err, JV_FATAL, "no memory for a sampler");
    int32_t rc = sampler_prompt(o->sampler, prompt->ids, prompt->n, err);
    if (rc == JV_OK) rc = sequence_init(s, prompt->ids, (uint32_t)prompt->n, most, err);
    if (rc != JV_OK) return rc;
    s->cache = true;
    int32_t act = reply_begin(o->reply, err);
    if (act < 0) return act;
    *ended = act == REPLY_ENDED;
    rc = tell(g->req, o->reply, err);
    return rc == JV_OK && act == REPLY_FEED ? feed(o, s, err) : rc;
}

static int32_t prepare_all(generation *g, bool *ended, jv_err *err)
{
    size_t n = (size_t)g->req->answers;
    g->kept = calloc(1, sizeof *g->kept + n * sizeof *g->kept->reply);
    one *o = calloc(n, sizeof *o);
    g->job.task = calloc(n, sizeof *g->job.task);
    if (g->kept)
        g->kept->one = o;
    else
        free(o);
    if (!g->kept || !o || !g->job.task) return jv_fail(err, JV_FATAL, "no memory for %zu answers", n);
    g->n = g->kept->n = n;
    int32_t rc = JV_OK;
    for (size_t i = 0; i < n && rc == JV_OK; i++) rc = prepare(g, i, ended, err);
    return rc;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static int32_t run(generation *g, jv_err *err)
{
    llm_answer *a = g->answer;
    double start = sched_clock();
    g->job.class = g->req->priority == JV_LIVE ? QUEUE_LIVE : QUEUE_BATCH;
    g->job.n_tasks = (uint32_t)g->n;
    g->job.on_row = on_row;
    g->job.stopped = g->req->stopped;
    g->job.user = g->req->user;
    int32_t rc = sched_run(g->e->sched, &g->job, err);
    double end = sched_clock(), entered = g->job.entered > 0 ? g->job.entered : end,
           first = g->first > 0 ? g->first : end;
    if (g->job.entered > 0) a->tokens_in = (int64_t)g->prompt.tokens.n;
    a->seconds_wait = entered - start;
    a->seconds_prefill = first - entered;
    a->seconds_decode = end - first;
    return rc;
}

static void collect(const generation *g)
{
    llm_answer *a = g->answer;
    for (size_t i = 0; i < g->n; i++) {
        if (!g->kept->one[i].reply) break;
        llm_reply r = g->kept->reply[i] = reply_result(g->kept->one[i].reply);
        a->tokens_out += r.tokens;
        a->tokens_reasoning += r.tokens_reasoning;
        a->n++;
    }
    a->reply = g->kept->reply;
}

int32_t engine_generate(engine *e, const llm_request *req, llm_answer *answer, jv_err *err)
{
    *answer = (llm_answer){.struct_size = answer->struct_size};
    generation g = {.e = e, .req = req, .answer = answer};
    bool ended = false;
    int32_t rc = request_check(req, net_shape_of(e->net)->vocabulary, err);
    if (rc == JV_OK) rc = request_encode(req, e->chat, e->tok, &g.prompt, err);
    answer->bytes_lost = (int64_t)g.prompt.tokens.lost;
    if (rc == JV_OK) rc = check_fit(e, g.prompt.tokens.n, req->max_tokens, err);
    if (rc == JV_OK) rc = prepare_all(&g, &ended, err);
    if (rc == JV_OK && !ended) rc = run(&g, err);
    if (g.kept) collect(&g);
    for (size_t i = 0; i < g.n; i++) {
        sequence_destroy(&g.job.task[i].seq);
        sampler_free(g.kept->one[i].sampler);
    }
    free(g.job.task);
    free(g.prompt.tokens.ids);
    return rc;
}

void engine_release_answer(llm_answer *answer)
{
    if (!answer->reply) return;
    kept *k = (kept *)((char *)answer->reply - offsetof(kept, reply));
    for (size_t i = 0; i < k->n; i++) reply_free(k->one[i].reply);
    free(k->one);
    free(k);
    answer->reply = NULL;
    answer->n = 0;
}
