/*
 * limit: passes so many records and then wants no more.
 *
 *     [first]
 *     plugin = limit
 *     count = 100
 *
 * In the order of the source: the first `skip` records are dropped, of those behind them one in `every` passes,
 * beginning with the first, until `count` have passed. The last one is answered with END, so that a source whose
 * records nobody else wants stops reading.
 */
#include "jevons.h"

struct limit {
    const jv_host *h;
    int64_t count, skip, every;
    int64_t seen, passed; /* records behind the skipped ones; all of them count as seen */
    int64_t skipped;
};

static const jv_opt opts[] = {
    JV_OPT(struct limit, count, NULL, "all|1..", "how many records pass"),
    JV_OPT(struct limit, skip, "0", "0..", "how many are dropped before the first that passes"),
    JV_OPT(struct limit, every, "1", "1..", "of the others one in so many passes, the first of them first"),
    {0},
};

static int32_t limit_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct limit *)ctx)->h = h;
    return JV_OK;
}

static int32_t limit_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct limit *g = ctx;
    if (g->skipped < g->skip) {
        g->skipped++;
        return jv_drop(err, "before the first one wanted");
    }
    if (g->seen++ % g->every) return jv_drop(err, "between those wanted");
    return ++g->passed == g->count ? JV_END : JV_OK;
}

static const jv_port ports[] = {{"out", "the records that pass", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "limit",
    .brief = "passes so many records and then wants no more",
    .flags = JV_ORDERED,
    .ctx_size = sizeof(struct limit),
    .ports = ports,
    .opts = opts,
    .open = limit_open,
    .process = limit_process,
}};

JV_PLUGIN("limit", "1.0", "MIT", stages);
