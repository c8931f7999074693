/* engine_score.c: how likely a model finds a text: the probability of each token after those before it, in windows
 * (llm.h), each a sequence of its own. They do without the cache of prefixes: a window needs a row for nearly every
 * token, and nothing will begin as it does. */
#include "engine.h"

#include <stdlib.h>

typedef struct scoring {
    sched_job job; /* first: one is cast to the other */
    engine *e;
    const llm_score_request *req;
    llm_score_total *total;
    token_list tokens;
    size_t next; /* the token to score next */
    bool read;   /* the model came to it */
} scoring;

static int32_t check_request(const engine *e, const llm_score_request *req, jv_err *err)
{
    if (req->struct_size < sizeof *req)
        return jv_fail(err, JV_BAD, "a request of %u bytes: %zu are needed", req->struct_size, sizeof *req);
    if (req->top < 0) return jv_fail(err, JV_BAD, "top is %lld: 0 or more", (long long)req->top);
    if (req->context != 0 && (req->context < 2 || req->context > e->context))
        return jv_fail(err, JV_BAD, "context is %lld: 2 to %u, which the model's context holds",
            (long long)req->context, e->context);
    int64_t context = req->context ? req->context : e->context;
    if (req->stride < 0 || req->stride > context)
        return jv_fail(err, JV_BAD, "stride is %lld: 1 to the context of %lld", (long long)req->stride,
            (long long)context);
    if (req->bos < LLM_BOS_AUTO || req->bos > LLM_BOS_NO) return jv_fail(err, JV_BAD, "bos is %d: not known", req->bos);
    if (req->bos == LLM_BOS_YES && tokenizer_bos(e->tok) < 0)
        return jv_fail(err, JV_BAD, "bos = yes: the file names no token for the beginning");
    return JV_OK;
}

static int32_t encode(scoring *s, jv_err *err)
{
    const engine *e = s->e;
    int32_t first = tokenizer_bos(e->tok), bos = s->req->bos, rc = JV_OK;
    if (bos == LLM_BOS_YES || (bos == LLM_BOS_AUTO && first >= 0 && tokenizer_adds_bos(e->tok))) {
        rc = token_list_push(&s->tokens, first, err);
        s->total->bos = rc == JV_OK;
    }
    if (rc == JV_OK) rc = tokenizer_encode(e->tok, s->req->text, NULL, &s->tokens, err);
    s->total->bytes_lost = (int64_t)s->tokens.lost;
    return rc;
}

/* Token s->next, of which these are the logits: rows come in order. */
static int32_t on_row(sched_job *job, sched_task *t, float *logits, jv_err *err)
{
    scoring *s = (scoring *)job;
    llm_token token = {.token = s->tokens.ids[s->next]};
    int32_t rc = sample_logprobs(s->e->room, logits, (size_t)s->req->top, &token, err);
    if (rc != JV_OK) return engine_blame(s->e, rc, err);
    llm_score score = {token.token, token.logprob, token.top, token.top_logprob, token.n_top};
    s->total->logprob_sum += score.logprob;
    s->next++;
    return s->req->on_token(s->req->user, &score) < 0 ? jv_fail(err, JV_CANCELLED, "cancelled") : JV_OK;
}

/* Reads tokens begin..end-1 and scores those from s->next to `end`. */
static int32_t score_window(scoring *s, size_t begin, size_t end, jv_err *err)
{
    sched_task t = {0};
    uint32_t n = (uint32_t)(end - begin);
    int32_t rc = sequence_init(&t.seq, s->tokens.ids + begin, n, n, err);
    t.seq.want = (uint32_t)(s->next - begin - 1);
    s->job = (sched_job){.class = s->req->priority == JV_LIVE ? QUEUE_LIVE : QUEUE_BATCH,
        .task = &t,
        .n_tasks = 1,
        .on_row = on_row,
        .stopped = s->req->stopped,
        .user = s->req->user};
    if (rc == JV_OK) rc = sched_run(s->e->sched, &s->job, err);
    s->read |= s->job.entered > 0;
    sequence_destroy(&t.seq);
    return rc;
}

static int32_t score_all(scoring *s, jv_err *err)
{
    size_t context = s->req->context ? (size_t)s->req->context : s->e->context;
    size_t stride = s->req->stride ? (size_t)s->req->stride : context, n = s->tokens.n;
    int32_t rc = JV_OK;
    s->next = 1;
    for (size_t begin = 0; s->next < n && rc == JV_OK; begin += stride) {
        size_t last = begin + context - (stride < context); /* without overlap, also the token behind the window */
        rc = score_window(s, begin, last < n - 1 ? last : n - 1, err);
    }
    return rc;
}

int32_t engine_score(engine *e, const llm_score_request *req, llm_score_total *total, jv_err *err)
{
    double start = sched_clock();
    *total = (llm_score_total){.struct_size = total->struct_size};
    scoring s = {.e = e, .req = req, .total = total};
    int32_t rc = check_request(e, req, err);
    if (rc == JV_OK) rc = encode(&s, err);
    if (rc == JV_OK) rc = score_all(&s, err);
    if (s.read || rc == JV_OK) total->tokens = (int64_t)s.tokens.n;
    free(s.tokens.ids);
    total->seconds = sched_clock() - start;
    return rc;
}
