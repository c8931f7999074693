/* request.c: what a request may say, and its prompt as tokens. */
#include "request.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static int32_t check_conversation(const llm_request *q, jv_err *err)
{
    bool by_template = q->template_mode == LLM_TEMPLATE_CHAT;
    if (!by_template && q->template_mode != LLM_TEMPLATE_NONE)
        return jv_fail(err, JV_BAD, "template_mode is %d: not known", q->template_mode);
    if (q->messages.p && (q->prompt.n || q->system.n))
        return jv_fail(err, JV_BAD, "messages and a prompt or system message: the one or the other");
    if (by_template) return JV_OK;
    const char *what = q->system.n     ? "a system message"
                       : q->messages.p ? "messages"
                       : q->tools.p    ? "tools"
                       : q->values.p   ? "values for a template"
                                       : NULL;
    return what ? jv_fail(err, JV_BAD, "%s: there is no place for that without a template", what) : JV_OK;
}

static int32_t check_stops(const llm_request *q, jv_err *err)
{
    if (q->n_stop > LLM_MAX_STOPS)
        return jv_fail(err, JV_BAD, "%zu stop strings: at most %d", q->n_stop, LLM_MAX_STOPS);
    for (size_t i = 0; i < q->n_stop; i++)
        if (q->stop[i].n < 1 || q->stop[i].n > LLM_MAX_STOP_BYTES)
            return jv_fail(err, JV_BAD, "stop string %zu has %zu bytes: 1 to %d", i, q->stop[i].n, LLM_MAX_STOP_BYTES);
    return JV_OK;
}

static int32_t check_amount(const llm_request *q, jv_err *err)
{
    if (q->priority != 0 && q->priority != JV_LIVE && q->priority != JV_BATCH)
        return jv_fail(err, JV_BAD, "priority is %d: not known", q->priority);
    if (q->reasoning < LLM_REASONING_KEEP || q->reasoning > LLM_REASONING_INLINE)
        return jv_fail(err, JV_BAD, "reasoning is %d: not known", q->reasoning);
    if (q->reasoning == LLM_REASONING_INLINE && q->thinking_tokens >= 0)
        return jv_fail(err, JV_BAD, "a limit for thinking, which is not told apart from the answer");
    if (q->answers < 1 || q->answers > LLM_MAX_ANSWERS)
        return jv_fail(err, JV_BAD, "answers is %lld: 1 to %d", (long long)q->answers, LLM_MAX_ANSWERS);
    if (q->max_tokens < 1) return jv_fail(err, JV_BAD, "max_tokens is %lld: at least 1", (long long)q->max_tokens);
    if (q->logprobs > LLM_MAX_LOGPROBS)
        return jv_fail(err, JV_BAD, "logprobs is %lld: at most %d", (long long)q->logprobs, LLM_MAX_LOGPROBS);
    return check_stops(q, err);
}

#define MOST_PENALTY 100

static int32_t check_sampling(const llm_request *q, jv_err *err)
{
    if (!(q->temperature >= 0) || isinf(q->temperature))
        return jv_fail(err, JV_BAD, "temperature is %g: 0 or more", q->temperature);
    if (!(q->top_p > 0 && q->top_p <= 1)) return jv_fail(err, JV_BAD, "top_p is %g: above 0, at most 1", q->top_p);
    if (!(q->min_p >= 0 && q->min_p <= 1)) return jv_fail(err, JV_BAD, "min_p is %g: 0 to 1", q->min_p);
    if (q->top_k < 0) return jv_fail(err, JV_BAD, "top_k is %lld: 0 or more", (long long)q->top_k);
    if (!(fabs(q->presence_penalty) <= MOST_PENALTY))
        return jv_fail(err, JV_BAD, "presence_penalty is %g: -%d to %d", q->presence_penalty, MOST_PENALTY, MOST_PENALTY);
    if (!(fabs(q->frequency_penalty) <= MOST_PENALTY))
        return jv_fail(err, JV_BAD, "frequency_penalty is %g: -%d to %d", q->frequency_penalty, MOST_PENALTY,
            MOST_PENALTY);
    if (!(q->repetition_penalty > 0 && q->repetition_penalty <= MOST_PENALTY))
        return jv_fail(err, JV_BAD, "repetition_penalty is %g: above 0, at most %d", q->repetition_penalty, MOST_PENALTY);
    return JV_OK;
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int32_t check_bias(const llm_request *q, uint32_t vocabulary, jv_err *err)
{
    if (q->n_bias > vocabulary)
        return jv_fail(err, JV_BAD, "bias for %zu tokens: the vocabulary has %u", q->n_bias, vocabulary);
    for (size_t i = 0; i < q->n_bias; i++) {
        const llm_bias *b = &q->bias[i];
        if (b->token < 0 || (uint32_t)b->token >= vocabulary)
            return jv_fail(err, JV_BAD, "bias for token %d: the vocabulary ends with %u", b->token, vocabulary - 1);
        if (!isfinite(b->bias) && b->bias != -INFINITY)
            return jv_fail(err, JV_BAD, "the bias of token %d is %g: a number, or -infinity", b->token, b->bias);
    }
    if (q->n_bias < 2) return JV_OK;
    int32_t *id = malloc(q->n_bias * sizeof *id);
    if (!id) return jv_fail(err, JV_FATAL, "no memory for the bias of %zu tokens", q->n_bias);
    for (size_t i = 0; i < q->n_bias; i++) id[i] = q->bias[i].token;
    qsort(id, q->n_bias, sizeof *id, by_id);
    int32_t twice = -1;
    for (size_t i = 1; i < q->n_bias; i++)
        if (id[i] == id[i - 1]) twice = id[i];
    free(id);
    return twice < 0 ? JV_OK : jv_fail(err, JV_BAD, "the bias of token %d is given twice", twice);
}

int32_t request_check(const llm_request *q, uint32_t vocabulary, jv_err *err)
{
    if (q->struct_size < sizeof *q)
        return jv_fail(err, JV_BAD, "a request of %u bytes: %zu are needed", q->struct_size, sizeof *q);
    int32_t rc = check_conversation(q, err);
    if (rc == JV_OK) rc = check_amount(q, err);
    if (rc == JV_OK) rc = check_sampling(q, err);
    return rc == JV_OK ? check_bias(q, vocabulary, err) : rc;
}

/* ---- the prompt -------------------------------------------------------------------------------------------------- */

/* The token for the beginning goes in front where the file asks for it and the text does not begin with it. */
static int32_t encode(const tokenizer *t, jv_str text, const uint8_t *trusted, token_list *out, jv_err *err)
{
    int32_t rc = tokenizer_encode(t, text, trusted, out, err), bos = tokenizer_bos(t);
    if (rc != JV_OK || bos < 0 || !tokenizer_adds_bos(t) || (out->n && out->ids[0] == bos)) return rc;
    rc = token_list_push(out, bos, err);
    if (rc != JV_OK) return rc;
    memmove(out->ids + 1, out->ids, (out->n - 1) * sizeof *out->ids);
    out->ids[0] = bos;
    return JV_OK;
}

static bool ends_thinking(jv_str text)
{
    static const char open[] = THINK_OPEN;
    size_t n = sizeof open - 1;
    while (text.n && strchr(" \t\r\n", text.p[text.n - 1]) && text.p[text.n - 1]) text.n--;
    return text.n >= n && memcmp(text.p + text.n - n, open, n) == 0;
}

int32_t request_encode(const llm_request *q, const chat *c, const tokenizer *t, request_prompt *out, jv_err *err)
{
    *out = (request_prompt){0};
    if (q->template_mode == LLM_TEMPLATE_NONE) {
        out->thinking = ends_thinking(q->prompt);
        return encode(t, q->prompt, NULL, &out->tokens, err);
    }
    jinja_text text;
    chat_input in = {q->prompt, q->system, q->messages, q->tools, q->values};
    int32_t rc = chat_render(c, &in, &text, err);
    if (rc == JV_OK) out->thinking = ends_thinking((jv_str){text.text, text.n});
    if (rc == JV_OK) rc = encode(t, (jv_str){text.text, text.n}, text.trusted, &out->tokens, err);
    free(text.text);
    free(text.trusted);
    return rc;
}

/* ---- thinking ---------------------------------------------------------------------------------------------------- */

int32_t reply_tags_new(const tokenizer *t, reply_tags *out, jv_err *err)
{
    static const char end[] = THINK_END;
    uint8_t trusted[sizeof end];
    memset(trusted, 1, sizeof trusted);
    *out = (reply_tags){0};
    out->open = tokenizer_find(t, (jv_str){THINK_OPEN, strlen(THINK_OPEN)});
    out->close = tokenizer_find(t, (jv_str){THINK_CLOSE, strlen(THINK_CLOSE)});
    return tokenizer_encode(t, (jv_str){end, sizeof end - 1}, trusted, &out->end, err);
}

void reply_tags_free(reply_tags *tags)
{
    free(tags->end.ids);
    *tags = (reply_tags){0};
}
