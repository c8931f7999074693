/* reply.c: tokens to text, and when that ends (reply.h). */
#include "reply.h"
#include "stops.h"
#include "whole.h"

#include <stdlib.h>
#include <string.h>

#define GRACE 8 /* tokens by which thinking may exceed its limit, so that no character or tag is torn */

struct reply {
    const llm_request *req;
    const reply_tags *tags;
    uint32_t answer;
    bool ended;
    int32_t finish, stop;
    whole bytes; /* what is whole of them goes on at once */
    think think;
    stops stops;
    size_t scanned;    /* bytes of the answer that `stops` has seen */
    int64_t tokens;    /* made */
    int64_t opened;    /* of those: when the thinking began */
    int64_t reasoning; /* of those: up to the end of the thinking */
    size_t sent[2];    /* bytes handed on, of each channel */
    llm_token *token;  /* (n_token), when they are asked for */
    size_t n_token, cap_token, told;
    int32_t *top; /* (cap_token, n_top) */
    double *top_logprob;
    size_t n_top;
};

static jv_str str(const char *s)
{
    return (jv_str){s, strlen(s)};
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

reply *reply_new(const llm_request *req, const reply_tags *tags, uint32_t answer, bool thinking, jv_err *err)
{
    reply *r = calloc(1, sizeof *r);
    if (!r) {
        jv_fail(err, JV_FATAL, "no memory for an answer");
        return NULL;
    }
    r->req = req;
    r->tags = tags;
    r->answer = answer;
    r->stop = -1;
    bool apart = req->reasoning != LLM_REASONING_INLINE;
    r->think = think_new(!apart ? THINK_ANSWER : thinking ? THINK_INSIDE : THINK_BEGIN);
    size_t n_stop = req->reasoning == LLM_REASONING_ONLY ? 0 : req->n_stop; /* no answer to look at */
    if (stops_new(&r->stops, req->stop, n_stop, err) == JV_OK) return r;
    reply_free(r);
    return NULL;
}

void reply_free(reply *r)
{
    if (!r) return;
    free(r->bytes.text);
    think_free(&r->think);
    stops_free(&r->stops);
    free(r->token);
    free(r->top);
    free(r->top_logprob);
    free(r);
}

/* ---- tokens that are kept ---------------------------------------------------------------------------------------- */

static int32_t grow(reply *r, jv_err *err)
{
    size_t cap = 2 * r->cap_token + 64;
    llm_token *token = realloc(r->token, cap * sizeof *token);
    if (token) r->token = token;
    int32_t *top = token && r->n_top ? realloc(r->top, cap * r->n_top * sizeof *top) : NULL;
    if (top) r->top = top;
    double *logprob = top ? realloc(r->top_logprob, cap * r->n_top * sizeof *logprob) : NULL;
    if (logprob) r->top_logprob = logprob;
    if (!token || (r->n_top && !logprob))
        return jv_fail(err, JV_FATAL, "no memory for the probabilities of %zu tokens", cap);
    r->cap_token = cap;
    return JV_OK;
}

static int32_t keep_token(reply *r, const llm_token *t, jv_err *err)
{
    if (r->req->logprobs < 0) return JV_OK;
    if (r->n_token == 0) r->n_top = t->n_top; /* the same for all: as many as asked for, or the vocabulary has */
    int32_t rc = r->n_token == r->cap_token ? grow(r, err) : JV_OK;
    if (rc != JV_OK) return rc;
    size_t at = r->n_token++;
    r->token[at] = *t;
    r->token[at].channel = LLM_CHANNEL_ANSWER;
    if (r->n_top) {
        memcpy(r->top + at * r->n_top, t->top, r->n_top * sizeof *r->top);
        memcpy(r->top_logprob + at * r->n_top, t->top_logprob, r->n_top * sizeof *r->top_logprob);
    }
    return JV_OK;
}

/* Their likeliest lie where the last growth has left them. */
static void point(const reply *r, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        r->token[i].top = r->n_top ? r->top + i * r->n_top : NULL;
        r->token[i].top_logprob = r->n_top ? r->top_logprob + i * r->n_top : NULL;
    }
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* Shows the answer to the stop strings, as far as it is one. */
static void scan(reply *r)
{
    think_text *answer = &r->think.answer;
    while (r->scanned < answer->n - (r->think.state == THINK_BEGIN ? r->think.matched : 0)) {
        r->stop = stops_byte(&r->stops, answer->p[r->scanned++]);
        if (r->stop < 0) continue;
        answer->n = r->scanned -= r->req->stop[r->stop].n;
        r->finish = LLM_FINISH_STRING;
        r->ended = true;
        return;
    }
}

/* Hands on the characters that are whole. */
static int32_t part(reply *r, jv_err *err)
{
    int32_t rc = JV_OK;
    for (size_t i = 0; i < r->bytes.n && rc == JV_OK && !r->ended; i++) {
        bool thought = r->think.thought;
        rc = think_byte(&r->think, r->bytes.text[i], err);
        if (rc == JV_OK && r->think.thought != thought) { /* what has come until now was no answer */
            stops_reset(&r->stops);
            r->scanned = 0;
        }
        if (rc == JV_OK) scan(r);
    }
    r->bytes.n = 0;
    return rc;
}

/* More of the sequence, of `n` tokens. */
static int32_t take(reply *r, jv_str bytes, size_t n, jv_err *err)
{
    bool before = r->think.state < THINK_BEHIND, thought = r->think.thought;
    int32_t rc = whole_add(&r->bytes, bytes, err);
    if (rc == JV_OK) rc = part(r, err);
    r->tokens += (int64_t)n;
    if (!thought && r->think.thought) r->opened = r->tokens;
    if (!before || !r->think.thought) return rc;
    r->reasoning = r->tokens;
    for (size_t i = r->n_token; i-- > 0 && r->token[i].channel != LLM_CHANNEL_REASONING;)
        r->token[i].channel = LLM_CHANNEL_REASONING;
    return rc;
}

/* ---- what to do next --------------------------------------------------------------------------------------------- */

int32_t reply_end(reply *r, int32_t finish, jv_err *err)
{
    int32_t rc = r->ended ? JV_OK : whole_end(&r->bytes, err);
    if (rc == JV_OK) rc = part(r, err);
    if (rc != JV_OK) return rc;
    think_end(&r->think);
    if (!r->ended) {
        r->finish = finish;
        r->ended = true;
        scan(r);
    }
    return REPLY_ENDED;
}

/* Thinking has gone on for as long as it may. */
static bool thought_enough(const reply *r)
{
    int64_t most = r->req->thinking_tokens, thought = r->tokens - r->opened;
    if (most < 0 || r->think.state != THINK_INSIDE || thought < most) return false;
    return (r->bytes.n_held == 0 && r->think.matched == 0) || thought - most >= GRACE;
}

static int32_t next(reply *r, jv_err *err)
{
    int64_t left = r->req->max_tokens - r->tokens;
    bool done = r->req->reasoning == LLM_REASONING_ONLY && r->think.state >= THINK_BEHIND;
    if (r->ended || done) return reply_end(r, LLM_FINISH_STOP, err);
    if (left <= 0) return reply_end(r, LLM_FINISH_LENGTH, err);
    if (!thought_enough(r)) return REPLY_DRAW;
    if (r->req->reasoning == LLM_REASONING_ONLY || (int64_t)r->tags->end.n >= left) /* no room for an answer */
        return reply_end(r, LLM_FINISH_LENGTH, err);
    int32_t rc = whole_end(&r->bytes, err);
    if (rc == JV_OK) rc = take(r, str(THINK_END), r->tags->end.n, err);
    return rc == JV_OK ? REPLY_FEED : rc;
}

int32_t reply_begin(reply *r, jv_err *err)
{
    return next(r, err);
}

int32_t reply_token(reply *r, const llm_token *t, jv_str piece, jv_err *err)
{
    if (t->token == r->tags->open) piece = str(THINK_OPEN);
    if (t->token == r->tags->close) piece = str(THINK_CLOSE);
    int32_t rc = keep_token(r, t, err);
    if (rc == JV_OK) rc = take(r, piece, 1, err);
    return rc == JV_OK ? next(r, err) : rc;
}

const int32_t *reply_feed(const reply *r, size_t *n)
{
    *n = r->tags->end.n;
    return r->tags->end.ids;
}

/* ---- what has come of it ----------------------------------------------------------------------------------------- */

/* Bytes of a channel that nothing to come takes back. */
static size_t ready(const reply *r, int32_t channel)
{
    int32_t reasoning = r->req->reasoning;
    if (channel == LLM_CHANNEL_REASONING) return reasoning == LLM_REASONING_DROP ? 0 : r->think.sure;
    if (reasoning == LLM_REASONING_ONLY || r->think.state == THINK_BEGIN) return 0;
    return r->ended ? r->think.answer.n : r->scanned - stops_held(&r->stops);
}

static bool more_of(reply *r, int32_t channel, llm_more *more)
{
    const think_text *t = channel == LLM_CHANNEL_REASONING ? &r->think.reasoning : &r->think.answer;
    size_t from = r->sent[channel], to = ready(r, channel);
    if (from >= to) return false;
    r->sent[channel] = to;
    while (r->told < r->n_token && r->token[r->told].channel > channel) r->told++;
    size_t first = r->told;
    while (r->told < r->n_token && r->token[r->told].channel == channel) r->told++;
    point(r, first, r->told);
    *more = (llm_more){.struct_size = sizeof *more,
        .answer = (int32_t)r->answer,
        .channel = channel,
        .text = {t->p + from, to - from},
        .tokens = r->told > first ? r->token + first : NULL,
        .n_tokens = r->told - first};
    return true;
}

bool reply_more(reply *r, llm_more *more)
{
    return more_of(r, LLM_CHANNEL_REASONING, more) || more_of(r, LLM_CHANNEL_ANSWER, more);
}

llm_reply reply_result(const reply *r)
{
    point(r, 0, r->n_token);
    return (llm_reply){
        .text = {r->think.answer.p, ready(r, LLM_CHANNEL_ANSWER)},
        .reasoning = {r->think.reasoning.p, ready(r, LLM_CHANNEL_REASONING)},
        .finish = r->finish,
        .stop = r->stop,
        .tokens = r->tokens,
        .tokens_reasoning = r->reasoning,
        .token = r->token,
        .n_token = r->n_token,
    };
}
