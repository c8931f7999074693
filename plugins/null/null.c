/*
 * null: a sink that keeps nothing. What comes here is delivered and counted, and that is all.
 *
 *     [rest]
 *     plugin = null
 *     from = route.rest
 */
#include "jevons.h"

struct null {
    const jv_host *h;
};

static int32_t null_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct null *)ctx)->h = h;
    return JV_OK;
}

static int32_t null_process(void *ctx, jv_buf *b, jv_err *err)
{
    return JV_OK;
}

static const jv_stage stages[] = {{
    .name = "null",
    .brief = "takes every record and keeps nothing",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct null),
    .open = null_open,
    .process = null_process,
}};

JV_PLUGIN("null", "1.0", "MIT", stages);
