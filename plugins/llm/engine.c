/*
 * engine.c: life of a model, and generating: render, encode, prefill in batches, then token after token.
 * One request runs at a time; the others wait in order of arrival (turn.h).
 */
#include "engine.h"
#include "sample.h"
#include "whole.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BATCH 4096
#define AUTO_CONTEXT 4096u

/* ---- life -------------------------------------------------------------------------------------------------------- */

int32_t engine_open(engine *e, const char *path, const bk_api *bk, void *bk_self, jv_err *err)
{
    e->bk = bk;
    e->bk_self = bk_self;
    int32_t rc = gguf_open(path, &e->g, err);
    if (rc == JV_OK) rc = llama_open(e->g, bk, bk_self, &e->net, err);
    if (rc == JV_OK) rc = tokenizer_new(e->g, &e->tok, err);
    if (rc == JV_OK) rc = chat_new(e->g, e->tok, &e->chat, err);
    if (rc != JV_OK) return rc;
    uint32_t rows = llama_shape_of(e->net)->vocabulary;
    if (tokenizer_size(e->tok) != rows)
        return jv_fail(err, JV_BAD, "the vocabulary has %u tokens, tensor token_embd.weight has %u rows",
            tokenizer_size(e->tok), rows);
    return JV_OK;
}

void engine_fit(engine *e, uint32_t context, uint32_t batch, uint32_t kv_type)
{
    uint32_t made_for = llama_shape_of(e->net)->context;
    e->context = context ? context : made_for < AUTO_CONTEXT ? made_for : AUTO_CONTEXT;
    e->batch = batch < e->context ? batch : e->context;
    if (e->batch > MAX_BATCH) e->batch = MAX_BATCH;
    e->kv_type = kv_type;
}

llama_need engine_memory(const engine *e)
{
    bk_kv_shape cache = llama_cache(e->net, e->kv_type, e->context);
    llama_need need = llama_memory(e->net, e->batch, &cache);
    uint64_t vocabulary = llama_shape_of(e->net)->vocabulary;
    uint64_t own = vocabulary * (LLAMA_LOGIT_ROWS * sizeof *e->logits + sizeof *e->weight + sizeof *e->heap);
    need.scratch = need.scratch > UINT64_MAX - own ? UINT64_MAX : need.scratch + own;
    need.total = need.total > UINT64_MAX - own ? UINT64_MAX : need.total + own;
    return need;
}

int32_t engine_start(engine *e, jv_err *err)
{
    size_t vocabulary = llama_shape_of(e->net)->vocabulary;
    bk_kv_shape cache = llama_cache(e->net, e->kv_type, e->context);
    turn_init(&e->turn);
    e->started = true;
    int32_t rc = llama_start(e->net, e->batch, err);
    if (rc != JV_OK) return rc;
    e->kv = e->bk->kv_new(e->bk_self, &cache, err);
    if (!e->kv) return err->code;
    e->logits = malloc(LLAMA_LOGIT_ROWS * vocabulary * sizeof *e->logits);
    e->weight = malloc(vocabulary * sizeof *e->weight);
    e->heap = malloc(vocabulary * sizeof *e->heap);
    if (!e->logits || !e->weight || !e->heap)
        return jv_fail(err, JV_FATAL, "no memory for the logits of %zu tokens", vocabulary);
    return JV_OK;
}

void engine_close(engine *e)
{
    free(e->logits);
    free(e->weight);
    free(e->heap);
    if (e->bk) e->bk->kv_free(e->bk_self, e->kv);
    if (e->started) turn_destroy(&e->turn);
    chat_free(e->chat);
    tokenizer_free(e->tok);
    llama_free(e->net);
    gguf_close(e->g);
    *e = (engine){0};
}

double engine_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int32_t engine_forward(engine *e, const int32_t *ids, uint32_t pos, uint32_t n, const llama_stop *stop, jv_err *err)
{
    int32_t at[MAX_BATCH];
    bk_kv *kv[MAX_BATCH];
    for (uint32_t i = 0; i < n; i++) {
        at[i] = (int32_t)(pos + i);
        kv[i] = e->kv;
    }
    return llama_forward(e->net, ids, &(bk_batch){sizeof(bk_batch), n, at, kv}, stop, err);
}

/* ---- a prompt to tokens ------------------------------------------------------------------------------------------ */

/* Encodes and puts the token for the beginning in front, where the file asks for it and the text does not begin with
 * it. */
static int32_t encode(const engine *e, jv_str text, const uint8_t *trusted, token_list *out, jv_err *err)
{
    int32_t rc = tokenizer_encode(e->tok, text, trusted, out, err), bos = tokenizer_bos(e->tok);
    if (rc != JV_OK || bos < 0 || !tokenizer_adds_bos(e->tok) || (out->n && out->ids[0] == bos)) return rc;
    int32_t *ids = realloc(out->ids, (out->n + 1) * sizeof *ids);
    if (!ids) return jv_fail(err, JV_FATAL, "no memory for %zu tokens", out->n + 1);
    memmove(ids + 1, ids, out->n * sizeof *ids);
    ids[0] = bos;
    out->ids = ids;
    out->cap = ++out->n;
    return JV_OK;
}

static int32_t encode_prompt(const engine *e, const llm_request *req, token_list *out, jv_err *err)
{
    if (req->template_mode == LLM_TEMPLATE_NONE) return encode(e, req->prompt, NULL, out, err);
    jinja_text text;
    int32_t rc = chat_render(e->chat, req->system, req->prompt, &text, err);
    if (rc == JV_OK) rc = encode(e, (jv_str){text.text, text.n}, text.trusted, out, err);
    free(text.text);
    free(text.trusted);
    return rc;
}

static int32_t check_request(const llm_request *req, jv_err *err)
{
    if (req->struct_size < sizeof *req)
        return jv_fail(err, JV_BAD, "a request of %u bytes: %zu are needed", req->struct_size, sizeof *req);
    if (req->template_mode != LLM_TEMPLATE_CHAT && req->template_mode != LLM_TEMPLATE_NONE)
        return jv_fail(err, JV_BAD, "template_mode is %d: not known", req->template_mode);
    if (req->template_mode == LLM_TEMPLATE_NONE && req->system.n)
        return jv_fail(err, JV_BAD, "a system message of %zu bytes: there is no place for it without a template",
            req->system.n);
    if (req->max_tokens < 1) return jv_fail(err, JV_BAD, "max_tokens is %lld: at least 1", (long long)req->max_tokens);
    if (!(req->temperature >= 0) || isinf(req->temperature))
        return jv_fail(err, JV_BAD, "temperature is %g: 0 or more", req->temperature);
    if (!(req->top_p > 0 && req->top_p <= 1))
        return jv_fail(err, JV_BAD, "top_p is %g: above 0, at most 1", req->top_p);
    return JV_OK;
}

static int32_t check_fit(const engine *e, const token_list *prompt, int64_t max_tokens, jv_err *err)
{
    if (prompt->n == 0) return jv_fail(err, JV_BAD, "the prompt is empty, and the file puts no token in front");
    if (prompt->n > e->context || max_tokens > (int64_t)(e->context - prompt->n)) {
        uint64_t together = prompt->n + (uint64_t)max_tokens;
        return jv_fail(err, JV_BAD,
            "the prompt has %zu tokens and max_tokens is %lld: together %llu, the context holds %u", prompt->n,
            (long long)max_tokens, (unsigned long long)together, e->context);
    }
    return JV_OK;
}

/* ---- generating -------------------------------------------------------------------------------------------------- */

/* One request on its way. */
typedef struct run {
    engine *e;
    const llm_request *req;
    llm_answer *answer;
    token_list prompt;
    sampler sampler;
    llama_stop stop;
    whole text;
    size_t sent; /* bytes of the text that on_text got */
} run;

/* Logits of the prompt's last token lie in e->logits afterwards. */
static int32_t prefill(run *r, jv_err *err)
{
    engine *e = r->e;
    int32_t last = 0, rc = JV_OK;
    for (size_t at = 0; at < r->prompt.n && rc == JV_OK;) {
        size_t left = r->prompt.n - at;
        uint32_t n = left < e->batch ? (uint32_t)left : e->batch;
        rc = engine_forward(e, r->prompt.ids + at, (uint32_t)at, n, &r->stop, err);
        last = (int32_t)n - 1;
        at += n;
    }
    return rc == JV_OK ? llama_logits(e->net, &last, 1, e->logits, err) : rc;
}

/* Hands on what is whole and was not handed on before. */
static int32_t send(run *r, jv_err *err)
{
    size_t n = r->text.n - r->sent;
    if (n == 0 || !r->req->on_text) return JV_OK;
    const char *more = r->text.text + r->sent;
    r->sent = r->text.n;
    return r->req->on_text(r->req->user, more, n) < 0 ? jv_fail(err, JV_CANCELLED, "cancelled") : JV_OK;
}

/* Draws, tells, feeds back; until the turn ends or max_tokens are made. */
static int32_t decode(run *r, jv_err *err)
{
    engine *e = r->e;
    uint32_t vocabulary = llama_shape_of(e->net)->vocabulary;
    for (;;) {
        int32_t id, row = 0, rc = llama_stopped(&r->stop, err);
        if (rc == JV_OK) rc = sampler_draw(&r->sampler, e->logits, vocabulary, &id, err);
        if (rc != JV_OK) return rc;
        if (tokenizer_ends_turn(e->tok, id)) {
            r->answer->finish = LLM_FINISH_STOP;
            break;
        }
        r->answer->tokens_out++;
        if ((rc = whole_add(&r->text, tokenizer_piece(e->tok, id), err)) != JV_OK) return rc;
        if ((rc = send(r, err)) != JV_OK) return rc;
        if (r->answer->tokens_out == r->req->max_tokens) {
            r->answer->finish = LLM_FINISH_LENGTH;
            break;
        }
        uint32_t pos = (uint32_t)(r->prompt.n + (size_t)r->answer->tokens_out - 1);
        if ((rc = engine_forward(e, &id, pos, 1, &r->stop, err)) != JV_OK) return rc;
        if ((rc = llama_logits(e->net, &row, 1, e->logits, err)) != JV_OK) return rc;
    }
    int32_t rc = whole_end(&r->text, err);
    return rc == JV_OK ? send(r, err) : rc;
}

static int32_t run_in_turn(run *r, jv_err *err)
{
    double start = engine_clock();
    r->answer->tokens_in = (int64_t)r->prompt.n; /* only now does the model read them */
    int32_t rc = prefill(r, err);
    double middle = engine_clock();
    if (rc == JV_OK) rc = decode(r, err);
    r->answer->seconds_prefill = middle - start;
    r->answer->seconds_decode = engine_clock() - middle;
    return rc;
}

int32_t engine_generate(engine *e, const llm_request *req, llm_answer *answer, jv_err *err)
{
    *answer = (llm_answer){.struct_size = answer->struct_size};
    run r = {.e = e,
        .req = req,
        .answer = answer,
        .stop = {req->stopped, req->user},
        .sampler = {req->temperature, req->top_p, req->seed, e->weight, e->heap}};
    int32_t rc = check_request(req, err);
    if (rc == JV_OK) rc = encode_prompt(e, req, &r.prompt, err);
    answer->bytes_lost = (int64_t)r.prompt.lost;
    if (rc == JV_OK) rc = check_fit(e, &r.prompt, req->max_tokens, err);
    if (rc == JV_OK) {
        waiter w;
        double start = engine_clock();
        bool mine = turn_take(&e->turn, &w, req->stopped, req->user);
        answer->seconds_wait = engine_clock() - start;
        rc = mine ? run_in_turn(&r, err) : jv_fail(err, JV_CANCELLED, "cancelled");
        if (mine) turn_give(&e->turn, &w);
    }
    free(r.prompt.ids);
    answer->text = r.text.text;
    answer->n = r.text.n;
    return rc;
}

int32_t engine_tokenize(engine *e, jv_str text, token_list *out, jv_err *err)
{
    *out = (token_list){0};
    int32_t rc = tokenizer_encode(e->tok, text, NULL, out, err);
    if (rc == JV_OK) return rc;
    free(out->ids);
    *out = (token_list){0};
    return rc;
}
