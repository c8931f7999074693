/*
 * sorter: sends a record where the beginning of its text says.
 *
 *     [sort]
 *     plugin = sorter
 *     to.questions = Q:
 *     to.answers = A:
 *
 *     [ask]
 *     from = sort.questions
 *
 * The first port whose value the text begins with; `rest` for all others. An empty value fits every text.
 */
#include <string.h>

#include "jevons.h"

enum { IN };

struct sorter {
    const jv_host *h;
    jv_map to;
};

static const jv_field fields[] = {[IN] = {"in", JV_UTF8, JV_IN, "text", "what decides"}, {0}};

static const jv_port ports[] = {
    {"to.*", "records whose text begins so", 0, 0},
    {"rest", "all others", JV_OPTIONAL, 0},
    {0},
};

static const jv_opt opts[] = {JV_OPT(struct sorter, to, NULL, "", "a port, and what its texts begin with"), {0}};

static int32_t sorter_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct sorter *)ctx)->h = h;
    return JV_OK;
}

static int32_t sorter_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct sorter *c = ctx;
    jv_str text = c->h->get(c->h, b, IN);
    if (!text.p) return jv_fail(err, JV_BAD, "the record has no text");
    for (size_t i = 0; i < c->to.val.n; i++) {
        jv_str begin = c->to.val.v[i];
        if (begin.n <= text.n && !memcmp(begin.p, text.p, begin.n)) return (int32_t)i;
    }
    return (int32_t)c->to.val.n; /* `rest` stands behind the ports of `to` */
}

static const jv_stage stages[] = {{
    .name = "sorter",
    .brief = "sends records where their text says",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct sorter),
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .open = sorter_open,
    .process = sorter_process,
}};

JV_PLUGIN("sorter", "1.0", "MIT", stages);
