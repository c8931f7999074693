/*
 * oracle: a model that answers many questions at a time, and a stage that asks it.
 *
 *     [model]
 *     plugin = oracle/model
 *
 *     [ask]
 *     plugin = oracle/ask
 *     model = model
 *
 * The answer is the words of the question, with a space between. It is made word by word, a word of each question in
 * turn, questions of priority live first. A question whose last word is `...` is thought about until it is cancelled.
 * `ask` streams the answer while it is made; a record may set `words` in its params.
 */
#include "oracle.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define LISTEN_MS 5 /* while there is nothing to say: how often it is asked whether a question is cancelled */

static const jv_port ports[] = {{"out", "the questions with their answers", 0, 0}, {0}};

/* ---- model: a resource ------------------------------------------------------------------------------------------- */

/* Lives on the stack of the thread that asks. */
struct job {
    const oracle_question *q;
    struct job *next;
    size_t at; /* bytes of the text that are answered */
    int64_t words;
    bool thinking, over;
    int32_t rc;
    jv_err *err;
    pthread_cond_t finished;
};

struct model {
    const jv_host *h;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct job *first;
    int64_t answered, freed;
    bool started, closing;
};

static int32_t model_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct model *m = ctx;
    pthread_condattr_t attr;
    m->h = h;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attr);
    pthread_condattr_destroy(&attr);
    return JV_OK;
}

static void append(struct model *m, struct job *j)
{
    struct job **end = &m->first;
    while (*end) end = &(*end)->next;
    j->next = NULL;
    *end = j;
}

/* After this the job is gone: its thread returns from `ask`. */
static void finish(struct model *m, struct job *j, int32_t rc)
{
    m->answered += rc == JV_OK;
    m->freed += rc == JV_CANCELLED;
    j->rc = rc;
    j->over = true;
    pthread_cond_signal(&j->finished);
}

static void free_cancelled(struct model *m)
{
    for (struct job **at = &m->first; *at;) {
        struct job *j = *at;
        if (!j->q->cancelled(j->q->arg)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        finish(m, j, jv_fail(j->err, JV_CANCELLED, "cancelled after %lld words", (long long)j->words));
    }
}

/* The first question that has something to be said about, of those that go first; taken out. */
static struct job *take(struct model *m)
{
    struct job **best = NULL;
    for (struct job **at = &m->first; *at; at = &(*at)->next)
        if (!(*at)->thinking && (!best || (*at)->q->priority < (*best)->q->priority)) best = at;
    struct job *j = best ? *best : NULL;
    if (j) *best = j->next;
    return j;
}

/* Says the next word. JV_OK: there may be more; JV_DONE: that was all, or < 0. */
static int32_t say_word(struct job *j)
{
    const oracle_question *q = j->q;
    char word[256];
    size_t n = 0, from = j->at;
    while (from < q->n && q->text[from] == ' ') from++;
    while (from + n < q->n && q->text[from + n] != ' ') n++;
    if (n == 0 || j->words == q->words) return JV_DONE;
    if (n == 3 && from + n == q->n && !memcmp(q->text + from, "...", 3)) return j->thinking = true, JV_OK;
    if (n + 1 > sizeof word)
        return jv_fail(j->err, JV_BAD, "a word of %zu bytes; %zu are the most", n, sizeof word - 1);
    word[0] = ' ';
    memcpy(word + 1, q->text + from, n);
    j->at = from + n;
    size_t first = j->words++ == 0;
    return q->piece(q->arg, word + first, n + 1 - first, j->err);
}

static void wait_for_work(struct model *m)
{
    struct timespec t;
    if (!m->first) {
        pthread_cond_wait(&m->wake, &m->lock);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += LISTEN_MS * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&m->wake, &m->lock, &t);
}

static void *model_run(void *ctx)
{
    struct model *m = ctx;
    pthread_mutex_lock(&m->lock);
    while (!m->closing) {
        free_cancelled(m);
        struct job *j = take(m);
        if (!j) {
            wait_for_work(m);
            continue;
        }
        pthread_mutex_unlock(&m->lock);
        int32_t rc = say_word(j);
        pthread_mutex_lock(&m->lock);
        if (rc == JV_OK)
            append(m, j);
        else
            finish(m, j, rc == JV_DONE ? JV_OK : rc);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static int32_t model_start(void *ctx, jv_err *err)
{
    struct model *m = ctx;
    int rc = pthread_create(&m->thread, NULL, model_run, m);
    m->started = rc == 0;
    return rc ? jv_fail(err, JV_FATAL, "no thread: %s", strerror(rc)) : JV_OK;
}

static int32_t model_ask(void *self, const oracle_question *q, jv_err *err)
{
    struct model *m = self;
    struct job j = {.q = q, .err = err};
    pthread_cond_init(&j.finished, NULL);
    pthread_mutex_lock(&m->lock);
    append(m, &j);
    pthread_cond_signal(&m->wake);
    while (!j.over) pthread_cond_wait(&j.finished, &m->lock);
    pthread_mutex_unlock(&m->lock);
    pthread_cond_destroy(&j.finished);
    return j.rc;
}

/* Whoever asks is closed before: no question is open. */
static void model_close(void *ctx)
{
    struct model *m = ctx;
    if (!m->h) return;
    if (m->started) {
        pthread_mutex_lock(&m->lock);
        m->closing = true;
        pthread_cond_signal(&m->wake);
        pthread_mutex_unlock(&m->lock);
        pthread_join(m->thread, NULL);
        m->h->log(m->h, JV_LOG_INFO, "%lld answered, %lld cancelled", (long long)m->answered, (long long)m->freed);
    }
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
}

static const oracle_api model_api = {.struct_size = sizeof model_api, .ask = model_ask};
static const jv_service model_services[] = {{ORACLE, &model_api}, {0}};

/* ---- ask: a stage with many calls at once, each blocked in the model --------------------------------------------- */

enum { IN, OUT };
enum { TOKENS };

struct ask {
    const jv_host *h;
    jv_ref model;
    int64_t words;
};

static const jv_field ask_fields[] = {
    [IN] = {"in", JV_UTF8, JV_IN, "text", "the question"},
    [OUT] = {"out", JV_UTF8, JV_OUT, "answer", "the answer"},
    {0},
};

static const jv_opt ask_opts[] = {
    JV_OPT(struct ask, model, NULL, ORACLE, "whom to ask"),
    JV_OPTF(struct ask, words, JV_PER_RECORD, "1000", "1..1000000", "the longest answer, in words"),
    {0},
};

static const jv_counter ask_counters[] = {[TOKENS] = {"tokens", "token", "words of answers", 0, 0}, {0}};

static int32_t ask_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct ask *)ctx)->h = h;
    return JV_OK;
}

/* What the model's thread gets back with each word. */
struct turn {
    const jv_host *h;
    jv_buf *b;
    int64_t words;
};

static int32_t ask_piece(void *arg, const char *text, size_t n, jv_err *err)
{
    struct turn *t = arg;
    t->words++;
    t->h->count(t->h, t->b, TOKENS, 1);
    return t->h->partial(t->h, t->b, OUT, text, n, err);
}

static int32_t ask_cancelled(void *arg)
{
    const struct turn *t = arg;
    return t->h->cancelled(t->h, t->b);
}

static int32_t ask_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct ask *c = ctx;
    const jv_host *h = c->h;
    const oracle_api *api = c->model.api;
    struct ask asked;
    int32_t rc = h->params(h, b, &asked, err);
    if (rc < 0) return rc;
    jv_str question = h->get(h, b, IN);
    if (!question.p) return jv_fail(err, JV_BAD, "the record has no question");
    struct turn turn = {h, b, 0};
    const oracle_question q = {.struct_size = sizeof q,
        .text = question.p,
        .n = question.n,
        .words = asked.words,
        .priority = h->priority(h, b),
        .arg = &turn,
        .piece = ask_piece,
        .cancelled = ask_cancelled};
    rc = api->ask(c->model.self, &q, err);
    if (rc < 0) return rc;
    /* Of no words nothing was streamed: the answer is there all the same. */
    return turn.words || h->put(h, b, OUT, 0, err) ? JV_OK : JV_FATAL;
}

static const jv_stage stages[] = {
    {
        .name = "model",
        .brief = "answers questions with their own words",
        .ctx_size = sizeof(struct model),
        .services = model_services,
        .open = model_open,
        .start = model_start,
        .close = model_close,
    },
    {
        .name = "ask",
        .brief = "asks the oracle, and streams its answer",
        .flags = JV_PARALLEL | JV_RESULT,
        .ctx_size = sizeof(struct ask),
        .threads = 64,
        .fields = ask_fields,
        .ports = ports,
        .opts = ask_opts,
        .counters = ask_counters,
        .open = ask_open,
        .process = ask_process,
    },
};

JV_PLUGIN("oracle", "1.0", "MIT", stages);
