/*
 * absurd.c: a source, a filter and a sink that answer any number at any of their functions, at once or after some
 * records, with a text that has no end in it, emit to a port of any number, or take their time where they are: for what
 * the host makes of that. The source says how its records were settled.
 */
#include "jevons.h"

#include <poll.h>
#include <string.h>

struct absurd {
    int64_t answer, port, ms, count, after;
    int32_t at;
    const jv_host *h;
    int64_t n;          /* records begun, or processed */
    int64_t settled[4]; /* done calls by status: ok or dropped, bad, cancelled, fatal */
};

enum { OPEN, START, POLL, PROCESS, FLUSH, EMIT, NEVER };

static int32_t answer(const struct absurd *a, int32_t at, jv_err *err)
{
    if (a->at != at) return JV_OK;
    if (a->ms) {
        a->h->log(a->h, JV_LOG_INFO, "here");
        poll(NULL, 0, (int)a->ms);
    }
    err->code = (int32_t)a->answer;
    memset(err->text, 'x', sizeof err->text);
    return (int32_t)a->answer;
}

static int32_t absurd_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct absurd *a = ctx;
    a->h = h;
    return answer(a, OPEN, err);
}

static int32_t absurd_start(void *ctx, jv_err *err)
{
    return answer(ctx, START, err);
}

static int32_t absurd_poll(void *ctx, jv_err *err)
{
    struct absurd *a = ctx;
    int32_t rc = a->n >= a->after ? answer(a, POLL, err) : JV_OK;
    if (rc != JV_OK) return rc;
    if (a->n == a->count) return JV_END;
    char id[24];
    size_t n = (size_t)snprintf(id, sizeof id, "%lld", (long long)a->n++);
    jv_buf *b = a->h->begin(a->h, &(jv_origin){.struct_size = sizeof(jv_origin), .position = {id, n}}, err);
    char *out = b ? a->h->put(a->h, b, 0, n, err) : NULL;
    if (!out) return err->code;
    memcpy(out, id, n);
    return a->h->emit(a->h, b, a->at == EMIT ? (int32_t)a->port : 0, err);
}

static void absurd_done(void *ctx, void *user, const jv_buf *root, int32_t status, const jv_err *err)
{
    struct absurd *a = ctx;
    int at = status == JV_OK || status == JV_DROP ? 0 : status == JV_BAD ? 1 : status == JV_CANCELLED ? 2 : 3;
    __atomic_add_fetch(&a->settled[at], 1, __ATOMIC_RELAXED);
    if (status == JV_FATAL) a->h->log(a->h, JV_LOG_INFO, "fatal: %s", err->text);
}

static void absurd_close(void *ctx)
{
    struct absurd *a = ctx;
    if (a->h)
        a->h->log(a->h, JV_LOG_INFO, "settled: %lld well, %lld bad, %lld cancelled, %lld fatal",
            (long long)a->settled[0], (long long)a->settled[1], (long long)a->settled[2], (long long)a->settled[3]);
}

static int32_t absurd_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct absurd *a = ctx;
    return __atomic_fetch_add(&a->n, 1, __ATOMIC_RELAXED) >= a->after ? answer(a, PROCESS, err) : JV_OK;
}

static int32_t absurd_flush(void *ctx, jv_err *err)
{
    return answer(ctx, FLUSH, err);
}

static const jv_field fields[] = {{"out", JV_UTF8, JV_OUT, "text", "the record's number"}, {0}};
static const jv_port ports[] = {{"out", "records", 0, 0}, {0}};
static const jv_opt opts[] = {
    JV_OPT(struct absurd, at, "never", "open|start|poll|process|flush|emit|never", "which function answers so"),
    JV_OPT(struct absurd, answer, "77", "-2147483648..2147483647", "what it answers"),
    JV_OPT(struct absurd, port, "7", "-2147483648..2147483647", "at emit: to which port"),
    JV_OPT(struct absurd, count, "10", "0..", "records of the source"),
    JV_OPT(struct absurd, after, "0", "0..", "at poll, process: so many records before it"),
    JV_OPT(struct absurd, ms, "0", "ms 0..1m", "how long that takes; it says when it is there"),
    {0},
};

static const jv_stage stages[] = {
    {
        .name = "source",
        .brief = "answers anything",
        .ctx_size = sizeof(struct absurd),
        .fields = fields,
        .ports = ports,
        .opts = opts,
        .open = absurd_open,
        .start = absurd_start,
        .poll = absurd_poll,
        .flush = absurd_flush,
        .done = absurd_done,
        .close = absurd_close,
    },
    {
        .name = "filter",
        .brief = "answers anything",
        .flags = JV_PARALLEL,
        .ctx_size = sizeof(struct absurd),
        .ports = ports,
        .opts = opts,
        .open = absurd_open,
        .start = absurd_start,
        .process = absurd_process,
        .flush = absurd_flush,
    },
    {
        .name = "sink",
        .brief = "answers anything",
        .ctx_size = sizeof(struct absurd),
        .opts = opts,
        .open = absurd_open,
        .start = absurd_start,
        .process = absurd_process,
        .flush = absurd_flush,
    },
};

JV_PLUGIN("absurd", "1.0", "MIT", stages);
