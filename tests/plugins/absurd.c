/*
 * absurd.c: a source, a filter and a sink that answer any number at any of their functions, with a text that has no end
 * in it, emit to a port of any number, or take their time where they are: for what the host makes of that.
 */
#include "jevons.h"

#include <poll.h>
#include <string.h>

struct absurd {
    int64_t answer, port, ms;
    int32_t at;
    const jv_host *h;
    int64_t n;
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
    int32_t rc = a->n ? answer(a, POLL, err) : JV_OK;
    if (rc != JV_OK) return rc;
    if (a->n == 10) return JV_END;
    char id = (char)('0' + a->n++);
    jv_buf *b = a->h->begin(a->h, &(jv_origin){.struct_size = sizeof(jv_origin), .position = {&id, 1}}, err);
    return b ? a->h->emit(a->h, b, a->at == EMIT ? (int32_t)a->port : 0, err) : err->code;
}

static int32_t absurd_process(void *ctx, jv_buf *b, jv_err *err)
{
    return answer(ctx, PROCESS, err);
}

static int32_t absurd_flush(void *ctx, jv_err *err)
{
    return answer(ctx, FLUSH, err);
}

static const jv_port ports[] = {{"out", "records", 0, 0}, {0}};
static const jv_opt opts[] = {
    JV_OPT(struct absurd, at, "never", "open|start|poll|process|flush|emit|never", "which function answers so"),
    JV_OPT(struct absurd, answer, "77", "-2147483648..2147483647", "what it answers"),
    JV_OPT(struct absurd, port, "7", "-2147483648..2147483647", "at emit: to which port"),
    JV_OPT(struct absurd, ms, "0", "ms 0..1m", "how long that takes; it says when it is there"),
    {0},
};

static const jv_stage stages[] = {
    {
        .name = "source",
        .brief = "answers anything",
        .ctx_size = sizeof(struct absurd),
        .ports = ports,
        .opts = opts,
        .open = absurd_open,
        .start = absurd_start,
        .poll = absurd_poll,
        .flush = absurd_flush,
    },
    {
        .name = "filter",
        .brief = "answers anything",
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
