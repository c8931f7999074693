/*
 * verify: whether a model answers alike whatever its company: one model answers prompts one after the other, another,
 * of the same file, many at once; every token and every probability must be equal to the last bit.
 *
 *     [verify]
 *     plugin = llm/verify
 *     reference = alone           a model's section: asked for one answer at a time
 *     model = model               another one: asked for many at once
 *     prompts = 40                made of words drawn by `seed`; a third begin as an earlier one does, and part from
 *                                 it somewhere
 *     words = 300                 in the longest prompt
 *     tokens = 24                 of each answer; every other one is drawn, not the likeliest
 *     sequences = 1, 7, 32        how many are asked for at once, each number twice: the second time the beginnings
 *                                 are in the cache
 *     seed = 1
 *
 * What differs between the two sections is what is proven not to matter: cores, batch, prefill_chunk, memory. One
 * record, a line of JSON:
 *
 *     {"exact":true,"prompts":40,"prompt_tokens":6211,"longest_prompt":412,"cases":240,"tokens":5760,"first_difference":null}
 *
 * Where one differs first_difference is
 * {"prompt":3,"sequences":7,"token":5,"expected":[ID,LOGPROB],"got":[ID,LOGPROB]}, and the run ends with 1.
 */
#include "count.h"
#include "lines.h"
#include "sample.h"
#include "stages.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MOST_AT_ONCE 1024

enum { OUT };

const jv_field verify_fields[] = {
    [OUT] = {"out", JV_JSON, JV_OUT, "line", "the verdict"},
    {0},
};

const jv_opt verify_options[] = {
    JV_OPT(struct verify, reference, NULL, LLM_SERVICE, "a model's section: asked for one answer at a time"),
    JV_OPT(struct verify, model, NULL, LLM_SERVICE, "the section of another model of the same file: asked for many"),
    JV_OPT(struct verify, prompts, "40", "1..100000", "how many"),
    JV_OPT(struct verify, words, "300", "1..100000", "in the longest prompt"),
    JV_OPT(struct verify, tokens, "24", "1..65536", "of each answer"),
    JV_OPT(struct verify, sequences, "1, 7, 32", "", "how many are asked for at once: numbers"),
    JV_OPT(struct verify, seed, "1", "0..", "of the prompts and the draws"),
    {0},
};

int32_t verify_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct verify *v = ctx;
    v->h = h;
    if (!v->sequences.n) return jv_fail(err, JV_BAD, "sequences: at least one number is needed");
    v->at_once = calloc(v->sequences.n, sizeof *v->at_once);
    if (!v->at_once) return jv_fail(err, JV_FATAL, "no memory");
    for (size_t i = 0; i < v->sequences.n; i++) {
        int32_t rc = parse_count(v->sequences.v[i], "sequences", 1, MOST_AT_ONCE, &v->at_once[i], err);
        if (rc != JV_OK) return rc;
    }
    return JV_OK;
}

/* ---- prompts ----------------------------------------------------------------------------------------------------- */

static const char *const vocabulary[] = {"the", "river", "counts", "seven", "stones", "before", "winter", "and", "a",
    "careful", "engine", "reads", "every", "letter", "twice", ",", "because", "42", "is", "not", "enough", ".", "Why",
    "would", "anyone", "measure", "silence", "?", "河流", "很长", "été", "naïve", "\n", "int main(void)", "{", "}",
    "return", "0.5", "—", "Straße"};

/* A third of the prompts begin like an earlier one, at any byte of a word's end; the rest are words from the start. */
static int32_t make_prompt(struct verify *v, uint64_t *random, size_t i, jv_err *err)
{
    lines text = {0};
    uint64_t words = 1 + random_next(random) % (uint64_t)v->words;
    int32_t rc = JV_OK;
    if (i && random_next(random) % 3 == 0) {
        const verify_case *earlier = &v->cases[random_next(random) % i];
        size_t n = random_next(random) % (earlier->prompt.n + 1);
        while (n < earlier->prompt.n && earlier->prompt.p[n] != ' ') n++;
        rc = lines_print(&text, err, "%.*s", (int)n, earlier->prompt.p);
        words = 1 + words / 8;
    }
    for (uint64_t w = 0; w < words && rc == JV_OK; w++) {
        const char *word = vocabulary[random_next(random) % (sizeof vocabulary / sizeof *vocabulary)];
        rc = lines_print(&text, err, "%s%s", text.n ? " " : "", word);
    }
    v->cases[i].prompt = (jv_str){text.text, text.n};
    return rc;
}

static int32_t make_prompts(struct verify *v, jv_err *err)
{
    uint64_t random = (uint64_t)v->seed;
    v->cases = calloc((size_t)v->prompts, sizeof *v->cases);
    if (!v->cases) return jv_fail(err, JV_FATAL, "no memory for %lld prompts", (long long)v->prompts);
    int32_t rc = JV_OK;
    for (size_t i = 0; i < (size_t)v->prompts && rc == JV_OK; i++) rc = make_prompt(v, &random, i, err);
    return rc;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static int32_t stopped(void *user)
{
    const struct verify *v = user;
    return atomic_load(&v->stop);
}

static int32_t ask(struct verify *v, const jv_ref *model, size_t i, llm_answer *answer, jv_err *err)
{
    const llm_api *api = model->api;
    llm_request req = {
        .struct_size = sizeof req,
        .template_mode = LLM_TEMPLATE_NONE,
        .reasoning = LLM_REASONING_INLINE,
        .prompt = v->cases[i].prompt,
        .answers = 1,
        .max_tokens = v->tokens,
        .thinking_tokens = -1,
        .temperature = i % 2 ? 0.9 : 0,
        .top_p = i % 4 == 3 ? 0.95 : 1,
        .repetition_penalty = 1,
        .seed = (uint64_t)v->seed + i,
        .stopped = stopped,
        .user = v,
    };
    *answer = (llm_answer){.struct_size = sizeof *answer};
    return api->generate(model->self, &req, answer, err);
}

static int32_t ask_reference(struct verify *v, jv_err *err)
{
    const llm_api *api = v->reference.api;
    int32_t rc = JV_OK;
    for (size_t i = 0; i < (size_t)v->prompts && rc == JV_OK; i++) {
        llm_answer answer;
        rc = ask(v, &v->reference, i, &answer, err);
        verify_case *c = &v->cases[i];
        size_t n = rc == JV_OK ? answer.reply[0].n_token : 0;
        c->token = calloc(n + 1, sizeof *c->token);
        if (rc == JV_OK && !c->token) rc = jv_fail(err, JV_FATAL, "no memory for %zu tokens", n);
        if (rc == JV_OK && n) memcpy(c->token, answer.reply[0].token, n * sizeof *c->token);
        c->n = n;
        v->n_prompt += answer.tokens_in;
        if (answer.tokens_in > v->longest) v->longest = answer.tokens_in;
        api->release_answer(v->reference.self, &answer);
    }
    return rc;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static bool same(const llm_token *a, const llm_token *b)
{
    return a->token == b->token && memcmp(&a->logprob, &b->logprob, sizeof a->logprob) == 0;
}

/* With the lock held. */
static int32_t note_difference(struct verify *v, size_t prompt, size_t at, const llm_reply *got, jv_err *err)
{
    static const llm_token none = {.token = -1};
    const verify_case *c = &v->cases[prompt];
    const llm_token *a = at < c->n ? &c->token[at] : &none, *b = at < got->n_token ? &got->token[at] : &none;
    v->differences++;
    if (v->differences > 1) return JV_OK;
    return lines_print(&v->first, err,
        "{\"prompt\":%zu,\"sequences\":%u,\"token\":%zu,\"expected\":[%d,%.17g],\"got\":[%d,%.17g]}", prompt, v->now,
        at, a->token, a->logprob, b->token, b->logprob);
}

static int32_t compare(struct verify *v, size_t i, const llm_reply *got, jv_err *err)
{
    const verify_case *c = &v->cases[i];
    size_t at = 0;
    while (at < c->n && at < got->n_token && same(&c->token[at], &got->token[at])) at++;
    v->n_cases++;
    v->n_tokens += at;
    return at == c->n && at == got->n_token ? JV_OK : note_difference(v, i, at, got, err);
}

/* One of those who ask at once: takes prompts until none is left. */
static void *asker(void *arg)
{
    struct verify *v = arg;
    const llm_api *api = v->model.api;
    for (size_t i; (i = atomic_fetch_add(&v->next, 1)) < (size_t)v->prompts && !atomic_load(&v->stop);) {
        llm_answer answer;
        jv_err err = {0};
        int32_t rc = ask(v, &v->model, i, &answer, &err);
        pthread_mutex_lock(&v->lock);
        if (rc == JV_OK) rc = compare(v, i, &answer.reply[0], &err);
        if (rc != JV_OK && v->err.code == 0) v->err = err;
        pthread_mutex_unlock(&v->lock);
        api->release_answer(v->model.self, &answer);
        if (rc != JV_OK) break;
    }
    return NULL;
}

static int32_t ask_at_once(struct verify *v, uint32_t n, jv_err *err)
{
    pthread_t thread[MOST_AT_ONCE];
    uint32_t begun = 0;
    v->now = n;
    atomic_store(&v->next, 0);
    while (begun < n && pthread_create(&thread[begun], NULL, asker, v) == 0) begun++;
    if (begun < n) jv_fail(&v->err, JV_FATAL, "thread %u of %u cannot be started", begun + 1, n);
    if (begun < n) atomic_store(&v->stop, 1);
    for (uint32_t i = 0; i < begun; i++) pthread_join(thread[i], NULL);
    if (v->err.code == 0) return JV_OK;
    *err = v->err;
    return err->code;
}

static int32_t verify_all(struct verify *v, jv_err *err)
{
    int32_t rc = make_prompts(v, err);
    if (rc == JV_OK) rc = ask_reference(v, err);
    for (size_t i = 0; i < 2 * v->sequences.n && rc == JV_OK; i++) rc = ask_at_once(v, v->at_once[i / 2], err);
    if (rc == JV_OK && atomic_load(&v->stop)) return JV_STOPPED;
    return rc == JV_CANCELLED ? JV_STOPPED : rc;
}

/* ---- the verdict ------------------------------------------------------------------------------------------------- */

static int32_t emit_verdict(struct verify *v, jv_err *err)
{
    const jv_host *h = v->h;
    lines line = {0};
    jv_origin origin = {.struct_size = sizeof origin, .position = {"verdict", 7}};
    int32_t rc = lines_print(&line,
        err, "{\"exact\":%s,\"prompts\":%lld,\"prompt_tokens\":%lld,\"longest_prompt\":%lld,\"cases\":%llu,\"tokens\":%llu,\"first_difference\":%s}",
        v->differences ? "false" : "true", (long long)v->prompts, (long long)v->n_prompt, (long long)v->longest,
        (unsigned long long)v->n_cases, (unsigned long long)v->n_tokens, v->differences ? v->first.text : "null");
    jv_buf *b = rc == JV_OK ? h->begin(h, &origin, err) : NULL;
    if (b) {
        char *to = h->put(h, b, OUT, line.n, err);
        if (to) memcpy(to, line.text, line.n);
        rc = to ? h->emit(h, b, 0, err) : JV_FATAL;
        if (!to) h->reject(h, b, err, err);
    } else if (rc == JV_OK) {
        rc = err->code;
    }
    free(line.text);
    return rc;
}

int32_t verify_poll(void *ctx, jv_err *err)
{
    struct verify *v = ctx;
    if (v->told) return JV_END;
    int32_t rc = v->cases ? JV_OK : verify_all(v, err);
    if (rc == JV_OK) rc = emit_verdict(v, err);
    v->told = rc == JV_OK;
    return rc;
}

/* After the verdict is out: the run ends with 1 when it is not good. */
int32_t verify_flush(void *ctx, jv_err *err)
{
    const struct verify *v = ctx;
    if (!v->differences) return JV_OK;
    return jv_fail(err, JV_FATAL, "%llu of %llu answers differ from those of the reference",
        (unsigned long long)v->differences, (unsigned long long)v->n_cases);
}

int32_t verify_start(void *ctx, jv_err *err)
{
    struct verify *v = ctx;
    v->started = pthread_mutex_init(&v->lock, NULL) == 0;
    return v->started ? JV_OK : jv_fail(err, JV_FATAL, "no lock can be made");
}

void verify_stop(void *ctx)
{
    struct verify *v = ctx;
    atomic_store(&v->stop, 1);
}

void verify_close(void *ctx)
{
    struct verify *v = ctx;
    for (size_t i = 0; v->cases && i < (size_t)v->prompts; i++) {
        free((char *)v->cases[i].prompt.p);
        free(v->cases[i].token);
    }
    free(v->cases);
    free(v->at_once);
    free(v->first.text);
    if (v->started) pthread_mutex_destroy(&v->lock);
}
