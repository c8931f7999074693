/*
 * score: how likely a model finds a text, token by token; to compare models and quantisations, or texts.
 *
 *     [score]
 *     plugin = llm/score
 *     model = model
 *     in = text                   any bytes; control tokens in it are text
 *     top = 0                     how many of the likeliest tokens to report beside each
 *     context = auto              tokens in a window; auto: the model's context
 *     stride = auto               tokens a window moves on by; auto: context
 *     bos = auto                  put the token for the beginning in front: yes, no, auto: as the file says
 *
 * Each token but the first becomes a child record with the field `json`: {"token":ID,"logprob":X} and, with top,
 * "top":[[ID,X],...], best first. A last child holds {"tokens":N,"perplexity":P,"bos":true}; P is exp(-mean of the
 * logprobs), null where there are none. Logprobs are natural.
 */
#include "lines.h"
#include "stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IN, OUT };
enum { TOKENS, BYTES_LOST };

const jv_field score_fields[] = {
    [IN] = {"in", JV_BYTES, JV_IN, "text", "the text"},
    [OUT] = {"out", JV_JSON, JV_OUT, "json", "a token and its probability, or the sum"},
    {0},
};

const jv_counter score_counters[] = {
    [TOKENS] = {"tokens", "token", "tokens read", 0, 0},
    [BYTES_LOST] = {"bytes_lost", "byte", "bytes of texts the vocabulary has no token for: left out", 0, 0},
    {0},
};

const jv_opt score_options[] = {
    JV_OPT(struct score, model, NULL, LLM_SERVICE, "the model's section"),
    JV_OPT(struct score, top, "0", "0..1000", "how many of the likeliest tokens to report beside each"),
    JV_OPT(struct score, context, "auto", "auto|2..1048576", "tokens in a window; auto: the model's context"),
    JV_OPT(struct score, stride, "auto", "auto|1..1048576", "tokens a window moves on by; auto: context"),
    JV_OPT(struct score, bos, "auto", "auto|yes|no", "put the token for the beginning first; auto: as the file says"),
    {0},
};

int32_t score_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct score *s = ctx;
    const llm_api *model = s->model.api;
    int64_t most = model->context(s->model.self), context = s->context == JV_UNSET ? most : s->context;
    s->h = h;
    if (context > most)
        return jv_fail(err, JV_BAD, "context = %lld is more than the model's, %lld", (long long)context, (long long)most);
    if (s->stride != JV_UNSET && s->stride > context)
        return jv_fail(err, JV_BAD, "stride = %lld is more than context = %lld", (long long)s->stride,
            (long long)context);
    return JV_OK;
}

/* One text on its way: lines of JSON, made while the model works; children are made of them afterwards, since a
 * service's callback may not emit. */
typedef struct job {
    const jv_host *h;
    jv_buf *b;
    lines lines;
    jv_err err; /* why on_token said stop; code 0: it did not */
} job;

/* JSON has no NaN and no infinity. */
static int32_t print_finite(job *j, const char *what, double v)
{
    if (!isfinite(v)) return jv_fail(&j->err, JV_BAD, "%s is %g, which JSON cannot hold", what, v);
    return lines_print(&j->lines, &j->err, "%.9g", v);
}

static int32_t print_token(job *j, const llm_score *s)
{
    int32_t rc = lines_print(&j->lines, &j->err, "{\"token\":%d,\"logprob\":", s->token);
    if (rc == JV_OK) rc = print_finite(j, "a log probability", s->logprob);
    if (rc == JV_OK && s->n_top) rc = lines_print(&j->lines, &j->err, ",\"top\":[");
    for (size_t i = 0; i < s->n_top && rc == JV_OK; i++) {
        rc = lines_print(&j->lines, &j->err, "%s[%d,", i ? "," : "", s->top[i]);
        if (rc == JV_OK) rc = print_finite(j, "a log probability", s->top_logprob[i]);
        if (rc == JV_OK) rc = lines_print(&j->lines, &j->err, "]");
    }
    return rc == JV_OK ? lines_print(&j->lines, &j->err, "%s}\n", s->n_top ? "]" : "") : rc;
}

static int32_t on_token(void *user, const llm_score *s)
{
    return print_token(user, s);
}

static int32_t stopped(void *user)
{
    const job *j = user;
    return j->h->cancelled(j->h, j->b);
}

static int32_t print_total(job *j, const llm_score_total *t)
{
    const char *bos = t->bos ? "true" : "false";
    if (t->tokens < 2)
        return lines_print(&j->lines, &j->err, "{\"tokens\":%lld,\"perplexity\":null,\"bos\":%s}\n",
            (long long)t->tokens, bos);
    int32_t rc = lines_print(&j->lines, &j->err, "{\"tokens\":%lld,\"perplexity\":", (long long)t->tokens);
    if (rc == JV_OK) rc = print_finite(j, "the perplexity", exp(-t->logprob_sum / (double)(t->tokens - 1)));
    return rc == JV_OK ? lines_print(&j->lines, &j->err, ",\"bos\":%s}\n", bos) : rc;
}

/* A child for each line. */
static int32_t emit_lines(const job *j, jv_err *err)
{
    const jv_host *h = j->h;
    const char *end = j->lines.text + j->lines.n;
    for (const char *p = j->lines.text, *line; p < end; p = line + 1) {
        line = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)(line - p);
        jv_buf *child = h->fork(h, j->b, err);
        char *to = child ? h->put(h, child, OUT, n, err) : NULL;
        if (!to) return err->code;
        memcpy(to, p, n);
        int32_t rc = h->emit(h, child, 0, err);
        if (rc != JV_OK) return rc;
    }
    return JV_DONE;
}

int32_t score_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct score *s = ctx;
    const llm_api *model = s->model.api;
    job j = {.h = s->h, .b = b};
    llm_score_request req = {
        .struct_size = sizeof req,
        .priority = s->h->priority(s->h, b),
        .bos = s->bos,
        .text = s->h->get(s->h, b, IN),
        .top = s->top,
        .context = s->context == JV_UNSET ? 0 : s->context,
        .stride = s->stride == JV_UNSET ? 0 : s->stride,
        .on_token = on_token,
        .stopped = stopped,
        .user = &j,
    };
    llm_score_total total = {.struct_size = sizeof total};
    int32_t rc = model->score(s->model.self, &req, &total, err);
    s->h->count(s->h, b, TOKENS, total.tokens);
    s->h->count(s->h, b, BYTES_LOST, total.bytes_lost);
    if (rc == JV_OK) rc = print_total(&j, &total);
    if (j.err.code) *err = j.err;
    if (j.err.code) rc = j.err.code;
    if (rc == JV_OK) rc = emit_lines(&j, err);
    free(j.lines.text);
    return rc;
}
