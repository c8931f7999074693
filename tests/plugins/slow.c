/*
 * slow.c: an endless source of records and a filter that takes its time for each, counts, and complains: for what is
 * shown of a run while it lasts. A filter that takes its time to start.
 */
#include "jevons.h"

#include <time.h>

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

struct load {
    int64_t ms;
    int32_t deaf;
    const jv_host *h;
};

static int32_t load_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct load *)ctx)->h = h;
    return JV_OK;
}

static int32_t load_start(void *ctx, jv_err *err)
{
    const struct load *l = ctx;
    l->h->log(l->h, JV_LOG_WARN, "loading");
    if (l->deaf) return nanosleep(&(struct timespec){l->ms / 1000, l->ms % 1000 * 1000000}, NULL) ? JV_FATAL : JV_OK;
    return l->h->wait(l->h, -1, 0, l->ms) == JV_STOPPED ? jv_fail(err, JV_CANCELLED, "stopped as it loaded") : JV_OK;
}

static int32_t load_process(void *ctx, jv_buf *b, jv_err *err)
{
    return JV_OK;
}

static const jv_opt load_opts[] = {
    JV_OPT(struct load, ms, "10", "ms 0..1h", "how long it takes"),
    JV_OPT(struct load, deaf, "no", "no|yes", "whether it hears that the run is cancelled"),
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
    {.name = "load",
        .brief = "takes its time to start",
        .ctx_size = sizeof(struct load),
        .ports = ports,
        .opts = load_opts,
        .open = load_open,
        .start = load_start,
        .process = load_process},
};
JV_PLUGIN("slow", "1.0", "MIT", stages);
