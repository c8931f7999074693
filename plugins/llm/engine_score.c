/* engine_score.c: how likely a model finds a text: the probability of each token after those before it, in windows
 * (llm.h). */
#include "engine.h"
#include "sample.h"

#include <stdlib.h>
#include <string.h>

typedef struct scoring {
    engine *e;
    const llm_score_request *req;
    llm_score_total *total;
    llama_stop stop;
    token_list tokens;
    size_t next; /* the token to score next */
    size_t n_top;
    int32_t *top;
    double *top_logprob;
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

static int32_t prepare(scoring *s, jv_err *err)
{
    const engine *e = s->e;
    uint32_t vocabulary = llama_shape_of(e->net)->vocabulary;
    int32_t first = tokenizer_bos(e->tok), bos = s->req->bos;
    if (bos == LLM_BOS_YES || (bos == LLM_BOS_AUTO && first >= 0 && tokenizer_adds_bos(e->tok))) {
        int32_t pushed = token_list_push(&s->tokens, first, err);
        if (pushed != JV_OK) return pushed;
        s->total->bos = 1;
    }
    int32_t rc = tokenizer_encode(e->tok, s->req->text, NULL, &s->tokens, err);
    s->total->bytes_lost = (int64_t)s->tokens.lost;
    s->n_top = s->req->top < vocabulary ? (size_t)s->req->top : vocabulary;
    if (rc != JV_OK || s->n_top == 0) return rc;
    s->top = malloc(s->n_top * sizeof *s->top);
    s->top_logprob = malloc(s->n_top * sizeof *s->top_logprob);
    if (!s->top || !s->top_logprob) return jv_fail(err, JV_FATAL, "no memory for the %zu likeliest tokens", s->n_top);
    return JV_OK;
}

/* Token s->next, of which the logits are given. */
static int32_t score_token(scoring *s, const float *logits, jv_err *err)
{
    uint32_t vocabulary = llama_shape_of(s->e->net)->vocabulary;
    double norm;
    int32_t rc = log_sum_exp(logits, vocabulary, &norm, err), id = s->tokens.ids[s->next];
    if (rc != JV_OK) return rc;
    ranking r;
    if (s->n_top) ranking_init(&r, logits, s->e->heap, vocabulary);
    for (size_t i = 0; i < s->n_top; i++) {
        s->top[i] = ranking_next(&r);
        s->top_logprob[i] = logits[s->top[i]] - norm;
    }
    llm_score score = {id, logits[id] - norm, s->top, s->top_logprob, s->n_top};
    s->total->logprob_sum += score.logprob;
    s->next++;
    return s->req->on_token(s->req->user, &score) < 0 ? jv_fail(err, JV_CANCELLED, "cancelled") : JV_OK;
}

/* Rows of the last forward, of which row 0 was token `base`: row r tells the probability of token base + r + 1. */
static int32_t score_rows(scoring *s, size_t base, uint32_t n, jv_err *err)
{
    engine *e = s->e;
    uint32_t vocabulary = llama_shape_of(e->net)->vocabulary;
    while (s->next - base <= n) {
        int32_t index[LLAMA_LOGIT_ROWS];
        uint32_t rows = 0;
        for (size_t r = s->next - base - 1; r < n && rows < LLAMA_LOGIT_ROWS; r++) index[rows++] = (int32_t)r;
        int32_t rc = llama_stopped(&s->stop, err);
        if (rc == JV_OK) rc = llama_logits(e->net, index, rows, e->logits, err);
        for (uint32_t i = 0; i < rows && rc == JV_OK; i++) rc = score_token(s, e->logits + (size_t)i * vocabulary, err);
        if (rc != JV_OK) return rc;
    }
    return JV_OK;
}

/* Reads tokens begin..end-1 and scores those from s->next to `end`. */
static int32_t score_window(scoring *s, size_t begin, size_t end, jv_err *err)
{
    int32_t rc = JV_OK;
    for (size_t at = begin; at < end && rc == JV_OK;) {
        uint32_t n = end - at < s->e->batch ? (uint32_t)(end - at) : s->e->batch;
        rc = engine_forward(s->e, s->tokens.ids + at, (uint32_t)(at - begin), n, &s->stop, err);
        if (rc == JV_OK && s->next <= at + n) rc = score_rows(s, at, n, err);
        at += n;
    }
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
    double start = engine_clock();
    *total = (llm_score_total){.struct_size = total->struct_size};
    scoring s = {.e = e, .req = req, .total = total, .stop = {req->stopped, req->user}};
    int32_t rc = check_request(e, req, err);
    if (rc == JV_OK) rc = prepare(&s, err);
    bool mine = rc == JV_OK; /* a text of one token or none needs no turn */
    if (rc == JV_OK && s.tokens.n > 1) {
        waiter w;
        mine = turn_take(&e->turn, &w, req->stopped, req->user);
        rc = mine ? score_all(&s, err) : jv_fail(err, JV_CANCELLED, "cancelled");
        if (mine) turn_give(&e->turn, &w);
    }
    if (mine) total->tokens = (int64_t)s.tokens.n;
    free(s.tokens.ids);
    free(s.top);
    free(s.top_logprob);
    total->seconds = engine_clock() - start;
    return rc;
}
