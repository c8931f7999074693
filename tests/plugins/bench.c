/*
 * bench.c: stages that do next to nothing, so that what a pipeline of them costs is what the host costs
 * (tests/bench/host.py). `count` numbers records, `add` and `hop` add 1 to the number, `total` adds up what arrives and
 * writes down the sum, so that whoever measures sees that every record went through every stage.
 */
#include "jevons.h"

#include <inttypes.h>
#include <stdbool.h>
#include <time.h>

/* ---- count: a source ------------------------------------------------------------------------------------------------- */

struct count {
    int64_t records;
    const jv_host *h;
    int64_t next;
};

static int32_t count_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct count *)ctx)->h = h;
    return JV_OK;
}

static int32_t count_poll(void *ctx, jv_err *err)
{
    struct count *s = ctx;
    char digits[20], *end = digits + sizeof digits, *p = end;
    if (s->next == s->records) return JV_END;
    int64_t left = s->next;
    do *--p = (char)('0' + left % 10);
    while (left /= 10);
    jv_buf *b =
        s->h->begin(s->h, &(jv_origin){.struct_size = sizeof(jv_origin), .position = {p, (size_t)(end - p)}}, err);
    if (!b) return err->code;
    s->h->put_i64(s->h, b, 0, s->next++);
    return s->h->emit(s->h, b, 0, err);
}

static const jv_field count_fields[] = {{"out", JV_I64, JV_OUT, "number", "the number"}, {0}};
static const jv_opt count_opts[] = {JV_OPT(struct count, records, "1000", "0..", "how many"), {0}};
static const jv_port out_port[] = {{"out", "what comes out", 0, 0}, {0}};

/* ---- add, hop: filters ------------------------------------------------------------------------------------------------ */

struct add {
    const jv_host *h;
};

enum { ADD_IN, ADD_OUT };

static int32_t add_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct add *)ctx)->h = h;
    return JV_OK;
}

static int32_t add_process(void *ctx, jv_buf *b, jv_err *err)
{
    const jv_host *h = ((struct add *)ctx)->h;
    h->put_i64(h, b, ADD_OUT, h->get_i64(h, b, ADD_IN, 0) + 1);
    return JV_OK;
}

static const jv_field add_fields[] = {
    {"in", JV_I64, JV_IN, "number", "a number"},
    {"out", JV_I64, JV_OUT, "number", "the next one"},
    {0},
};

/* ---- total: a sink ---------------------------------------------------------------------------------------------------- */

struct total {
    const char *path;
    int64_t mark;
    const jv_host *h;
    int64_t records, sum, first_ns, peak_at_mark; /* of CLOCK_MONOTONIC; KiB */
};

/* What this process has occupied at most so far, in KiB; -1: it cannot be told. */
static int64_t peak_memory(void)
{
    char line[256];
    int64_t kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && kib < 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %" SCNd64, &kib) != 1) kib = -1;
    if (f) fclose(f);
    return kib;
}

static int32_t total_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct total *)ctx)->h = h;
    return JV_OK;
}

static int32_t total_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct total *t = ctx;
    if (!t->records++) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        t->first_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    if (t->records == t->mark) t->peak_at_mark = peak_memory();
    t->sum += t->h->get_i64(t->h, b, 0, 0);
    return JV_OK;
}

static int32_t total_flush(void *ctx, jv_err *err)
{
    struct total *t = ctx;
    FILE *f = fopen(t->path, "w");
    if (!f) return jv_fail(err, JV_FATAL, "%s cannot be written", t->path);
    fprintf(f,
        "{\"records\": %" PRId64 ", \"sum\": %" PRId64 ", \"first_ns\": %" PRId64 ", \"peak_at_mark\": %" PRId64
        ", \"peak\": %" PRId64 "}\n",
        t->records, t->sum, t->first_ns, t->peak_at_mark, peak_memory());
    bool failed = ferror(f);
    if (fclose(f) || failed) return jv_fail(err, JV_FATAL, "%s cannot be written", t->path);
    return JV_OK;
}

static const jv_field total_fields[] = {{"in", JV_I64, JV_IN, "number", "what is added up"}, {0}};
static const jv_opt total_opts[] = {
    JV_OPT(struct total, path, NULL, "path",
        "the file for one JSON object: records, their sum, the time of the first, the peak of memory in KiB"),
    JV_OPT(struct total, mark, "0", "0..", "write down the peak of memory after so many records too; 0: do not"),
    {0},
};

static const jv_stage stages[] = {
    {.name = "count",
        .brief = "numbers, from 0",
        .ctx_size = sizeof(struct count),
        .fields = count_fields,
        .ports = out_port,
        .opts = count_opts,
        .open = count_open,
        .poll = count_poll},
    {.name = "add",
        .brief = "adds 1",
        .ctx_size = sizeof(struct add),
        .fields = add_fields,
        .ports = out_port,
        .open = add_open,
        .process = add_process},
    {.name = "hop",
        .brief = "adds 1, in threads of its own",
        .flags = JV_PARALLEL,
        .ctx_size = sizeof(struct add),
        .threads = 2,
        .fields = add_fields,
        .ports = out_port,
        .open = add_open,
        .process = add_process},
    {.name = "total",
        .brief = "the sum of what arrives",
        .ctx_size = sizeof(struct total),
        .fields = total_fields,
        .opts = total_opts,
        .open = total_open,
        .process = total_process,
        .flush = total_flush},
};

JV_PLUGIN("bench", "1.0", "MIT", stages);
