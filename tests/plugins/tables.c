/*
 * tables.c: stages that declare one of everything, for what `inspect` prints of it. They do nothing with a record.
 */
#include "jevons.h"

struct tables {
    int64_t number;
    double real;
    const char *text, *path;
    int32_t choice;
    jv_list list;
    jv_ref ref;
    jv_map to;
};

static const jv_opt opts[] = {
    JV_OPTF(struct tables, number, JV_PER_RECORD, "auto", "auto|1..64", "a number"),
    JV_OPTF(struct tables, real, JV_PER_RECORD | JV_NEUTRAL, "0.5", "0..1", "a real number"),
    JV_OPT(struct tables, text, "a ` quote", "", "a text"),
    JV_OPTF(struct tables, path, JV_NEUTRAL, NULL, "path", "a file"),
    JV_OPT(struct tables, choice, NULL, "red|green", "a choice"),
    JV_OPT(struct tables, list, "", "", "a list"),
    JV_OPT(struct tables, ref, NULL, "test.tables/1", "a section"),
    JV_OPT(struct tables, to, NULL, "", "a map"),
    {0},
};

static const jv_field fields[] = {
    {"in", JV_I32S, JV_IN | JV_OPTIONAL, "numbers", "whole numbers"},
    {"out", JV_F32S, JV_OUT | JV_MEASURED, "reals", "real numbers"},
    {0},
};

static const jv_port ports[] = {
    {"out", "the first", 0, 0},
    {"rest", "the second", JV_OPTIONAL, 0},
    {"to.*", "one for each key", 0, 0},
    {0},
};

static const jv_counter counters[] = {{"spins", "turn", "turns of it", JV_MEASURED, 0}, {0}};

static const struct {
    uint32_t size;
} api = {sizeof api};
static const jv_service services[] = {{"test.tables/1", &api}, {0}};

static int32_t process(void *ctx, jv_buf *b, jv_err *err)
{
    return JV_OK;
}

static int32_t poll(void *ctx, jv_err *err)
{
    return JV_END;
}

static const jv_stage stages[] = {
    {.name = "filter",
        .brief = "one of | everything",
        .flags = JV_PARALLEL | JV_PARTIALS | JV_MERGE | JV_RESULT,
        .ctx_size = sizeof(struct tables),
        .threads = JV_PER_CORE,
        .fields = fields,
        .ports = ports,
        .opts = opts,
        .counters = counters,
        .process = process},
    {.name = "split",
        .brief = "one to many",
        .flags = JV_PARALLEL | JV_SPLIT,
        .threads = 7,
        .ports = ports,
        .opts = opts,
        .ctx_size = sizeof(struct tables),
        .process = process},
    {.name = "sink", .brief = "an end", .flags = JV_ORDERED, .process = process},
    {.name = "source",
        .brief = "a beginning",
        .flags = JV_ENDLESS,
        .ports = (const jv_port[]){{"out", "records", 0, 0}, {0}},
        .poll = poll},
    {.name = "resource", .brief = "for others", .services = services},
};
JV_PLUGIN("tables", "1.2", "MIT", stages);
