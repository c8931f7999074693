/*
 * slow.c: an endless source of records and a filter that takes its time for each, counts, and complains: for what is
 * shown of a run while it lasts.
 */
#include "jevons.h"

struct ticks {
    const jv_host *h;
    uint64_t n;
};

static int32_t ticks_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct ticks *)ctx)->h = h;
    return JV_OK;
}

static int32_t ticks_poll(void *ctx, jv_err *err)
{
    struct ticks *t = ctx;
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)t->n);
    jv_buf *b = t->h->begin(t->h, &(jv_origin){.struct_size = sizeof(jv_origin), .position = {text, (size_t)n}}, err);
    if (!b) return err->code;
    t->n++;
    return t->h->emit(t->h, b, 0, err);
}

struct work {
    int64_t ms, warn;
    const jv_host *h;
    int64_t n;
};

static int32_t work_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct work *)ctx)->h = h;
    return JV_OK;
}

static int32_t work_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct work *w = ctx;
    if (w->h->wait(w->h, -1, 0, w->ms) == JV_STOPPED) return jv_fail(err, JV_CANCELLED, "stopped while it worked");
    w->h->count(w->h, b, 0, 7);
    int64_t n = __atomic_add_fetch(&w->n, 1, __ATOMIC_RELAXED);
    if (w->warn && n % w->warn == 0) w->h->log(w->h, JV_LOG_WARN, "%lld done", (long long)n);
    return JV_OK;
}

static const jv_port ports[] = {{"out", "records", 0, 0}, {0}};
static const jv_counter counters[] = {{"turns", "turn", "turns of it", 0, 0}, {0}};
static const jv_opt opts[] = {
    JV_OPT(struct work, ms, "10", "ms 0..1h", "how long one takes"),
    JV_OPT(struct work, warn, "0", "0..", "warn at each so manieth"),
    {0},
};

static const jv_stage stages[] = {
    {.name = "ticks",
        .brief = "records without an end",
        .flags = JV_ENDLESS,
        .ctx_size = sizeof(struct ticks),
        .ports = ports,
        .open = ticks_open,
        .poll = ticks_poll},
    {.name = "work",
        .brief = "takes its time",
        .flags = JV_PARALLEL,
        .ctx_size = sizeof(struct work),
        .ports = ports,
        .opts = opts,
        .counters = counters,
        .open = work_open,
        .process = work_process},
};
JV_PLUGIN("slow", "1.0", "MIT", stages);
