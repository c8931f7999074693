/*
 * bench: how fast a model runs here, and what share that is of what the machine could do.
 *
 *     [bench]
 *     plugin = llm/bench
 *     model = model
 *     prefill = 512               tokens of a prompt, several: a, b, c; 0: none
 *     decode = 64                 tokens to make; 0: none
 *     sequences = 1, 8, 32        how many sequences at once make them
 *     context = 128               tokens in front of those that are timed; for prefill only where `behind` says so
 *     behind = 0                  tokens in front of a prefill, several: a, b, c
 *     rounds = 5                  each figure is the median of so many, taken in turn
 *     format = auto               json: an object a line; table; auto: a table where standard output is a terminal
 *
 * A record a test, its line in `out`: {"test":"decode","tokens":64,"sequences":8,"context":128,"tok_s":...,"gb_s":...,
 * "gmac_s":...,"limit_share":...,"threads":2,"isa":"avx512","rss_mb":...}. gb_s and gmac_s are bytes of weights read and
 * integers multiplied with weights in a second, in 10^9; limit_share is the least time the machine would need for both,
 * as measured between the steps, by the time it took. Others may use the model meanwhile, but then wait.
 */
#include "bench.h"
#include "count.h"
#include "stages.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_ROUNDS 1000
#define MOST 1048576 /* of any number in a list */

enum { OUT };
enum { FORMAT_AUTO, FORMAT_JSON, FORMAT_TABLE };

const jv_field bench_fields[] = {
    [OUT] = {"out", JV_UTF8, JV_OUT | JV_MEASURED, "line", "a test and its figures"},
    {0},
};

const jv_opt bench_options[] = {
    JV_OPT(struct bench, model, NULL, LLM_BENCH_SERVICE, "the model's section"),
    JV_OPT(struct bench, prefill, "512", "", "tokens of a prompt: numbers; 0: no such test"),
    JV_OPT(struct bench, behind, "0", "", "tokens in front of those of `prefill`: numbers"),
    JV_OPT(struct bench, decode, "64", "0..1048576", "tokens to make; 0: no such test"),
    JV_OPT(struct bench, sequences, "1, 8, 32", "", "how many sequences at once make them: numbers"),
    JV_OPT(struct bench, context, "128", "1..1048576", "tokens in front of those that are made"),
    JV_OPT(struct bench, rounds, "5", "1..1000", "each figure is the median of so many"),
    JV_OPT(struct bench, format, "auto", "auto|json|table", "auto: a table where standard output is a terminal"),
    {0},
};

/* ---- which tests ------------------------------------------------------------------------------------------------- */

static void add_test(struct bench *b, uint32_t prefill, uint32_t decode, uint32_t sequences, uint32_t context)
{
    if (!prefill && !decode) return;
    b->test[b->n_tests++].work = (llm_bench_work){.struct_size = sizeof(llm_bench_work),
        .prefill = prefill,
        .decode = decode,
        .sequences = sequences,
        .context = context};
}

static int32_t list_tests(struct bench *b, jv_err *err)
{
    int32_t rc = JV_OK;
    uint32_t tokens = 0, other = 0;
    b->test = calloc(b->prefill.n * b->behind.n + b->sequences.n + 1, sizeof *b->test);
    if (!b->test) return jv_fail(err, JV_FATAL, "no memory for the tests");
    for (size_t i = 0; i < b->prefill.n * b->behind.n && rc == JV_OK; i++) {
        rc = parse_count(b->prefill.v[i / b->behind.n], "prefill", 0, MOST, &tokens, err);
        if (rc == JV_OK) rc = parse_count(b->behind.v[i % b->behind.n], "behind", 0, MOST, &other, err);
        if (rc == JV_OK) add_test(b, tokens, 0, 1, other);
    }
    for (size_t i = 0; i < b->sequences.n && rc == JV_OK; i++) {
        rc = parse_count(b->sequences.v[i], "sequences", 1, MOST, &other, err);
        if (rc == JV_OK) add_test(b, 0, (uint32_t)b->decode, other, (uint32_t)b->context);
    }
    if (rc == JV_OK && !b->n_tests)
        return jv_fail(err, JV_BAD, "prefill and decode are 0: there is nothing to measure");
    return rc;
}

int32_t bench_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct bench *b = ctx;
    b->h = h;
    b->table = b->format == FORMAT_TABLE || (b->format == FORMAT_AUTO && isatty(STDOUT_FILENO));
    return list_tests(b, err);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static int32_t stopped(void *user)
{
    struct bench *b = user;
    return atomic_load(&b->stop);
}

void bench_stop(void *ctx)
{
    struct bench *b = ctx;
    atomic_store(&b->stop, 1);
}

/* All rounds, each through all tests, so that a busy moment of the machine hits all alike. */
static int32_t measure_all(struct bench *b, jv_err *err)
{
    const llm_bench_api *api = b->model.api;
    for (int64_t round = 0; round < b->rounds; round++)
        for (uint32_t i = 0; i < b->n_tests; i++) {
            bench_test *t = &b->test[i];
            if (!t->result) t->result = calloc((size_t)b->rounds, sizeof *t->result);
            if (!t->result) return jv_fail(err, JV_FATAL, "no memory for %lld rounds", (long long)b->rounds);
            t->work.seed = (uint32_t)round + 1;
            t->work.stopped = stopped;
            t->work.user = b;
            t->result[round].struct_size = sizeof *t->result;
            int32_t rc = api->measure(b->model.self, &t->work, &t->result[round], err);
            if (rc != JV_OK) return rc == JV_CANCELLED ? JV_STOPPED : rc;
        }
    return JV_OK;
}

/* ---- a line ------------------------------------------------------------------------------------------------------ */

enum { TOK_S, GB_S, GMAC_S, LIMIT_SHARE, FIGURES };

static double figure(const llm_bench_result *r, int which)
{
    double read = (double)r->bytes / r->read_bytes, dots = (double)r->products / r->dot_products;
    switch (which) {
    case TOK_S: return (double)r->tokens / r->seconds;
    case GB_S: return (double)r->bytes / r->seconds / 1e9;
    case GMAC_S: return (double)r->products / r->seconds / 1e9;
    default: return (read > dots ? read : dots) / r->seconds;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const struct bench *b, const bench_test *t, int which)
{
    double v[MAX_ROUNDS];
    size_t n = (size_t)b->rounds;
    for (size_t i = 0; i < n; i++) v[i] = figure(&t->result[i], which);
    qsort(v, n, sizeof *v, ascending);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

static void print_line(const struct bench *b, const bench_test *t, char *to, size_t size)
{
    const llm_bench_api *api = b->model.api;
    const llm_bench_work *w = &t->work;
    double f[FIGURES];
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    for (int i = 0; i < FIGURES; i++) f[i] = median(b, t, i);
    const char *test = w->prefill ? "prefill" : "decode";
    uint32_t tokens = w->prefill ? w->prefill : w->decode, threads = api->threads(b->model.self);
    double rss = (double)used.ru_maxrss * 1024 / 1e6;
    if (b->table)
        snprintf(to, size, "%-8s %7u %9u %8u %10.1f %7.1f %8.1f %7.0f %% %8.0f", test, tokens, w->sequences, w->context,
            f[TOK_S], f[GB_S], f[GMAC_S], f[LIMIT_SHARE] * 100, rss);
    else
        snprintf(to, size,
            "{\"test\":\"%s\",\"tokens\":%u,\"sequences\":%u,\"context\":%u,\"tok_s\":%.2f,\"gb_s\":%.3f,\"gmac_s\":%."
            "2f,"
            "\"limit_share\":%.4f,\"threads\":%u,\"isa\":\"%s\",\"rss_mb\":%.1f}",
            test, tokens, w->sequences, w->context, f[TOK_S], f[GB_S], f[GMAC_S], f[LIMIT_SHARE], threads,
            api->isa(b->model.self), rss);
}

/* A record; its id is the number of the test, since that is its place in what the INI file says. */
static int32_t emit_line(struct bench *b, const char *id, const char *line, jv_err *err)
{
    const jv_host *h = b->h;
    jv_origin origin = {.struct_size = sizeof origin, .position = {id, strlen(id)}};
    jv_buf *buf = h->begin(h, &origin, err);
    if (!buf) return err->code;
    char *to = h->put(h, buf, OUT, strlen(line), err);
    if (to) memcpy(to, line, strlen(line));
    int32_t rc = to ? JV_OK : err->code, sent = h->emit(h, buf, 0, err);
    return rc == JV_OK ? sent : rc;
}

int32_t bench_poll(void *ctx, jv_err *err)
{
    struct bench *b = ctx;
    char line[512], id[16];
    int32_t rc = b->measured ? JV_OK : measure_all(b, err);
    if (rc != JV_OK) return rc;
    b->measured = true;
    if (b->table && !b->titled) {
        snprintf(line, sizeof line, "%-8s %7s %9s %8s %10s %7s %8s %9s %8s", "test", "tokens", "sequences", "context",
            "tok/s", "GB/s", "GMAC/s", "of limit", "RSS MB");
        rc = emit_line(b, "title", line, err);
        b->titled = rc == JV_OK;
        return rc;
    }
    if (b->next == b->n_tests) return JV_END;
    print_line(b, &b->test[b->next], line, sizeof line);
    snprintf(id, sizeof id, "%u", b->next + 1);
    rc = emit_line(b, id, line, err);
    if (rc == JV_OK) b->next++;
    return rc;
}

void bench_close(void *ctx)
{
    struct bench *b = ctx;
    for (uint32_t i = 0; i < b->n_tests; i++) free(b->test[i].result);
    free(b->test);
}
