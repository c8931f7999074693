/* ask.c: a record and the options that hold for it to a request, and its answer to fields. */
#include "ask.h"
#include "request.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static jv_str str(const char *s)
{
    return (jv_str){s, strlen(s)};
}

/* ---- options to a request ---------------------------------------------------------------------------------------- */

/* `logit_bias.KEY`: a number is an id, else the text of a token. */
static int32_t token_of(const llm_api *model, void *self, jv_str key, int32_t *token, jv_err *err)
{
    char *end;
    long long id = strtoll(key.p, &end, 10);
    if (key.n && !*end && *key.p != '-') {
        if (id >= model->vocabulary(self))
            return jv_fail(err, JV_BAD, "logit_bias.%s: the vocabulary ends with %lld", key.p,
                (long long)model->vocabulary(self) - 1);
        *token = (int32_t)id;
        return JV_OK;
    }
    *token = model->find(self, key);
    if (*token >= 0) return JV_OK;
    return jv_fail(err, JV_BAD, "logit_bias.%s: the vocabulary has no token of that text", key.p);
}

static int32_t number_of(jv_str key, jv_str value, double *to, jv_err *err)
{
    char *end;
    *to = -INFINITY;
    if (strcmp(value.p, "never") == 0) return JV_OK;
    *to = strtod(value.p, &end);
    if (value.n && !*end && isfinite(*to)) return JV_OK;
    return jv_fail(err, JV_BAD, "logit_bias.%s = %s: a number is wanted, or never", key.p, value.p);
}

static int32_t put_bias(const struct generate *o, const jv_host *h, llm_request *req, jv_err *err)
{
    size_t n = o->logit_bias.key.n;
    if (n == 0) return JV_OK;
    llm_bias *bias = h->scratch(h, n * sizeof *bias, err);
    if (!bias) return err->code;
    for (size_t i = 0; i < n; i++) {
        jv_str key = o->logit_bias.key.v[i], value = o->logit_bias.val.v[i];
        int32_t rc = token_of(o->model.api, o->model.self, key, &bias[i].token, err);
        if (rc == JV_OK) rc = number_of(key, value, &bias[i].bias, err);
        if (rc != JV_OK) return rc;
    }
    req->bias = bias;
    req->n_bias = n;
    return JV_OK;
}

/* All but the record's own texts. */
static int32_t make_request(const struct generate *g, const struct generate *o, const jv_host *h, llm_request *req,
    jv_err *err)
{
    *req = (llm_request){
        .struct_size = sizeof *req,
        .template_mode = o->template,
        .reasoning = o->reasoning,
        .system = str(o->system),
        .tools = *o->default_tools ? str(o->default_tools) : (jv_str){0},
        .values = *o->values ? str(o->values) : (jv_str){0},
        .answers = o->n ? o->n : 1,
        .max_tokens = o->max_tokens,
        .thinking_tokens = o->thinking_tokens == JV_UNSET ? -1 : o->thinking_tokens,
        .stop = o->stop.v == g->stop.v ? g->stops : o->stop.v,
        .n_stop = o->stop.n,
        .temperature = o->temperature,
        .top_p = o->top_p,
        .min_p = o->min_p,
        .top_k = o->top_k,
        .presence_penalty = o->presence_penalty,
        .frequency_penalty = o->frequency_penalty,
        .repetition_penalty = o->repetition_penalty,
        .logprobs = o->logprobs == JV_UNSET ? -1 : o->logprobs,
    };
    int32_t rc = put_bias(o, h, req, err);
    const llm_api *model = o->model.api;
    return rc == JV_OK ? request_check(req, (uint32_t)model->vocabulary(o->model.self), err) : rc;
}

/* FNV-1a, 64 bits (https://datatracker.ietf.org/doc/html/draft-eastlake-fnv): the same id, the same seed, on any
 * machine. */
static uint64_t seed_of(jv_str id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < id.n; i++) hash = (hash ^ (uint8_t)id.p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

int32_t ask_request(const struct generate *g, const struct generate *o, jv_buf *b, llm_request *req, jv_err *err)
{
    const jv_host *h = g->h;
    int32_t rc = make_request(g, o, h, req, err);
    if (rc != JV_OK) return rc;
    jv_str in = h->get(h, b, ASK_IN), tools = h->get(h, b, ASK_TOOLS);
    if (o->input)
        req->messages = in;
    else
        req->prompt = in;
    if (o->input && *o->system) return jv_fail(err, JV_BAD, "system is for input = text: messages bring their own");
    if (tools.p && o->template == LLM_TEMPLATE_CHAT) req->tools = tools;
    req->priority = h->priority(h, b);
    req->seed = o->seed == JV_UNSET ? seed_of(h->id(h, b)) : (uint64_t)o->seed;
    return JV_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* \n, \t and \\ of an INI file; elsewhere strings have ways of their own. In place: it gets no longer. */
static int32_t unescape(jv_str from, jv_str *to, jv_err *err)
{
    char *p = malloc(from.n + 1);
    size_t n = 0;
    if (!p) return jv_fail(err, JV_FATAL, "no memory for a stop string");
    *to = (jv_str){p, 0};
    for (size_t i = 0; i < from.n; i++) {
        char c = from.p[i];
        if (c == '\\') {
            c = from.p[++i]; /* a NUL stands behind the text */
            if (c != 'n' && c != 't' && c != '\\')
                return jv_fail(err, JV_BAD, "stop: \\n, \\t and \\\\ are known, not \\%.1s in %s", from.p + i, from.p);
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        p[n++] = c;
    }
    to->n = n;
    return JV_OK;
}

int32_t ask_open(struct generate *g, const jv_host *h, jv_err *err)
{
    const llm_api *model = g->model.api;
    g->h = h;
    g->stops = calloc(g->stop.n + 1, sizeof *g->stops);
    if (!g->stops) return jv_fail(err, JV_FATAL, "no memory for %zu stop strings", g->stop.n);
    int32_t rc = JV_OK;
    for (size_t i = 0; i < g->stop.n && rc == JV_OK; i++) rc = unescape(g->stop.v[i], &g->stops[i], err);
    llm_request req;
    if (rc == JV_OK) rc = make_request(g, g, h, &req, err);
    if (rc == JV_OK && g->input && *g->system)
        return jv_fail(err, JV_BAD, "system is for input = text: messages bring their own");
    if (rc == JV_OK && g->input && g->template == LLM_TEMPLATE_NONE)
        return jv_fail(err, JV_BAD, "input = messages needs template = chat: nothing else makes a text of them");
    jv_err why;
    if (rc == JV_OK && g->template == LLM_TEMPLATE_CHAT && model->check_template(g->model.self, &why) != JV_OK)
        return jv_fail(err, why.code, "%.460s (use template = none)", why.text);
    if (rc == JV_OK && g->max_tokens >= model->context(g->model.self))
        return jv_fail(err, JV_BAD,
            "max_tokens = %lld leaves no room for a prompt: the model's context holds %lld tokens",
            (long long)g->max_tokens, (long long)model->context(g->model.self));
    return rc;
}

void ask_close(struct generate *g)
{
    for (size_t i = 0; g->stops && i < g->stop.n; i++) free((char *)g->stops[i].p);
    free(g->stops);
}

/* ---- an answer to fields ----------------------------------------------------------------------------------------- */

int32_t ask_put_text(const jv_host *h, jv_buf *b, int32_t row, jv_str text, jv_err *err)
{
    char *to = h->put(h, b, row, text.n, err);
    if (!to) return err->code;
    if (text.n) memcpy(to, text.p, text.n);
    return JV_OK;
}

/* JSON has no infinity: the logarithm of 0 is null. */
static int32_t print_logprob(lines *l, double v, jv_err *err)
{
    return isfinite(v) ? lines_print(l, err, "%.9g", v) : lines_print(l, err, "null");
}

static int32_t print_token(lines *l, const llm_token *t, jv_err *err)
{
    int32_t rc = lines_print(l, err, "%s{\"token\":%d,\"logprob\":", l->n > 1 ? "," : "", t->token);
    if (rc == JV_OK) rc = print_logprob(l, t->logprob, err);
    if (rc == JV_OK && t->channel == LLM_CHANNEL_REASONING) rc = lines_print(l, err, ",\"reasoning\":true");
    if (rc == JV_OK && t->n_top) rc = lines_print(l, err, ",\"top\":[");
    for (size_t i = 0; i < t->n_top && rc == JV_OK; i++) {
        rc = lines_print(l, err, "%s[%d,", i ? "," : "", t->top[i]);
        if (rc == JV_OK) rc = print_logprob(l, t->top_logprob[i], err);
        if (rc == JV_OK) rc = lines_print(l, err, "]");
    }
    return rc == JV_OK ? lines_print(l, err, "%s", t->n_top ? "]}" : "}") : rc;
}

static int32_t put_logprobs(const jv_host *h, jv_buf *b, const llm_reply *one, jv_err *err)
{
    lines l = {0};
    int32_t rc = lines_print(&l, err, "[");
    for (size_t i = 0; i < one->n_token && rc == JV_OK; i++) rc = print_token(&l, &one->token[i], err);
    if (rc == JV_OK) rc = lines_print(&l, err, "]");
    if (rc == JV_OK) rc = ask_put_text(h, b, ASK_PROBABILITIES, (jv_str){l.text, l.n}, err);
    free(l.text);
    return rc;
}

int32_t ask_put(const jv_host *h, jv_buf *b, const llm_request *req, const llm_reply *one, jv_err *err)
{
    static const char *const finish[] = {"stop", "string", "length"};
    int32_t rc = ask_put_text(h, b, ASK_OUT, one->text, err);
    if (rc == JV_OK) rc = ask_put_text(h, b, ASK_THINKING, one->reasoning, err);
    if (rc == JV_OK) rc = ask_put_text(h, b, ASK_FINISH, str(finish[one->finish]), err);
    return rc == JV_OK && req->logprobs >= 0 ? put_logprobs(h, b, one, err) : rc;
}
