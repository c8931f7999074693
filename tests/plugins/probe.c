/*
 * probe.c: stages for testing the host: a source of numbered records, a filter that answers what a record's number asks
 * for, one that works in many threads and takes its time, one that splits, one that streams, a resource.
 */
#include "jevons.h"

#include <poll.h>
#include <stdbool.h>
#include <string.h>

/* ---- numbers: a source ------------------------------------------------------------------------------------------- */

struct numbers {
    int64_t count, every_ms, keep, cancel;
    int32_t endless, forget;
    const jv_host *h;
    int64_t next, settled[4]; /* done calls by status: ok or dropped, bad, cancelled, fatal */
    uint64_t first;
};

enum { NUMBERS_OUT, NUMBERS_SQUARE };

static int32_t numbers_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct numbers *)ctx)->h = h;
    return JV_OK;
}

static int32_t numbers_poll(void *ctx, jv_err *err)
{
    struct numbers *s = ctx;
    const jv_host *h = s->h;
    char text[24];
    if (s->next == s->count) return JV_END;
    if (s->every_ms && h->wait(h, -1, 0, s->every_ms) == JV_STOPPED) return JV_STOPPED;
    int n = snprintf(text, sizeof text, "%lld", (long long)s->next++);
    jv_buf *b =
        h->begin(h, &(jv_origin){.struct_size = sizeof(jv_origin), .position = {text, (size_t)n}, .user = s}, err);
    if (!b) return err->code;
    char *out = h->put(h, b, NUMBERS_OUT, (size_t)n, err);
    if (!out) return err->code;
    memcpy(out, text, (size_t)n);
    h->put_i64(h, b, NUMBERS_SQUARE, (s->next - 1) * (s->next - 1));
    if (s->next == 1) s->first = h->record(h, b);
    if (s->forget && s->next == 2) return JV_OK;
    int32_t rc = h->emit(h, b, 0, err);
    if (s->cancel && s->next == s->cancel) h->cancel(h, s->first);
    return rc;
}

static void numbers_done(void *ctx, void *user, const jv_buf *root, int32_t status, const jv_err *err)
{
    struct numbers *s = ctx;
    int at = status == JV_OK || status == JV_DROP ? 0 : status == JV_BAD ? 1 : status == JV_CANCELLED ? 2 : 3;
    __atomic_add_fetch(&s->settled[at], user == ctx, __ATOMIC_RELAXED);
}

static void numbers_close(void *ctx)
{
    struct numbers *s = ctx;
    if (s->h && s->keep)
        s->h->log(s->h, JV_LOG_INFO, "settled: %lld well, %lld bad, %lld cancelled, %lld fatal",
            (long long)s->settled[0], (long long)s->settled[1], (long long)s->settled[2], (long long)s->settled[3]);
}

static const jv_field numbers_fields[] = {
    {"out", JV_UTF8, JV_OUT, "text", "the number"},
    {"square", JV_I64, JV_OUT, "square", "its square"},
    {0},
};
static const jv_opt numbers_opts[] = {
    JV_OPT(struct numbers, count, "10", "0..", "how many"),
    JV_OPT(struct numbers, every_ms, "0", "ms 0..1h", "time between two"),
    JV_OPT(struct numbers, keep, "0", "0..1", "1: say at the end how the records were settled"),
    JV_OPT(struct numbers, cancel, "0", "0..", "cancel the first record after this many; 0: never"),
    JV_OPT(struct numbers, endless, "no", "no|yes", "unused by the source itself"),
    JV_OPT(struct numbers, forget, "no", "no|yes", "do not emit the second record"),
    {0},
};
static const jv_port one_port[] = {{"out", "what comes out", 0, 0}, {0}};

/* ---- verdict: a filter that does what it is told -------------------------------------------------------------------- */

struct verdict {
    const char *on, *what;
    int64_t tries;
    const jv_host *h;
    int64_t seen;
};

enum { VERDICT_IN };

static int32_t verdict_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct verdict *v = ctx;
    v->h = h;
    if (!strcmp(v->what, "silent")) return JV_BAD;
    if (!strcmp(v->what, "careless")) {
        h->log(h, JV_LOG_MISTAKE, "`on`: told first");
        h->log(h, JV_LOG_MISTAKE, "`on`: told first");
        h->log(h, JV_LOG_MISTAKE, "told of no key");
    }
    return strcmp(v->what, "refuse") ? JV_OK : jv_fail(err, JV_BAD, "told to refuse");
}

static int32_t verdict_start(void *ctx, jv_err *err)
{
    return strcmp(((struct verdict *)ctx)->what, "unstartable") ? JV_OK : jv_fail(err, JV_FATAL, "told not to start");
}

static int32_t verdict_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct verdict *v = ctx;
    const jv_host *h = v->h;
    jv_str in = h->get(h, b, VERDICT_IN);
    h->count(h, b, 0, 1);
    if (in.n != strlen(v->on) || memcmp(in.p, v->on, in.n)) return JV_OK;
    if (!strcmp(v->what, "bad")) return jv_fail(err, JV_BAD, "record %s is bad", v->on);
    if (!strcmp(v->what, "mute")) return JV_FATAL;
    if (!strcmp(v->what, "drop")) return jv_drop(err, "told to drop");
    if (!strcmp(v->what, "end")) return JV_END;
    if (!strcmp(v->what, "fatal")) return jv_fail(err, JV_FATAL, "told to fail");
    if (!strcmp(v->what, "nonsense")) return 77;
    if (!strcmp(v->what, "retry") && v->seen++ < v->tries) return jv_fail(err, JV_RETRY, "not yet");
    if (!strcmp(v->what, "fork")) return h->fork(h, b, err) ? JV_OK : err->code;
    if (!strcmp(v->what, "cancelled")) return jv_fail(err, JV_CANCELLED, "nobody asked");
    if (!strcmp(v->what, "own")) return h->emit(h, b, 0, err);
    return JV_OK;
}

static const jv_field verdict_fields[] = {{"in", JV_UTF8, JV_IN, "text", "what is compared"}, {0}};
static const jv_opt verdict_opts[] = {
    JV_OPT(struct verdict, on, "3", "", "the text of the record that is treated so"),
    JV_OPT(struct verdict, what, "bad", "",
        "bad, drop, end, fatal, nonsense, retry, fork, cancelled, own, refuse, unstartable, silent, mute, careless"),
    JV_OPT(struct verdict, tries, "1", "0..", "with retry: how often"),
    {0},
};
static const jv_counter verdict_counters[] = {{"looked_at", "record", "records compared", 0, 0}, {0}};

/* ---- work: in many threads, taking its time; streams and splits when told ------------------------------------------- */

struct work {
    int64_t ms, pieces, split;
    int32_t deaf, forget, overwrite;
    const jv_host *h;
};

enum { WORK_IN, WORK_OUT };

static int32_t work_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct work *)ctx)->h = h;
    return JV_OK;
}

/* A time that differs from record to record and is the same at every run. */
static int64_t time_for(const struct work *w, jv_str id)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < id.n; i++) hash = (hash ^ (unsigned char)id.p[i]) * 1099511628211u;
    return w->ms ? (int64_t)(hash >> 32) % (w->ms + 1) : 0;
}

/* Sleeps as a blocking service would: it does not see that the run is being stopped, only that the record is cancelled. */
static bool slept(const struct work *w, const jv_buf *b, int64_t ms)
{
    for (; ms > 0; ms -= 5) {
        if (!w->deaf && w->h->cancelled(w->h, b)) return false;
        struct pollfd none;
        poll(&none, 0, ms < 5 ? (int)ms : 5);
    }
    return w->deaf || !w->h->cancelled(w->h, b);
}

static int32_t split_record(struct work *w, jv_buf *b, jv_err *err)
{
    const jv_host *h = w->h;
    if (w->forget) return h->fork(h, b, err) ? JV_DONE : err->code;
    jv_str in = h->get(h, b, WORK_IN);
    for (int64_t i = 0; i < w->split; i++) {
        jv_buf *child = h->fork(h, b, err);
        char *out = child ? h->put(h, child, WORK_OUT, in.n + 2, err) : NULL;
        if (!out) return err->code;
        memcpy(out, in.p, in.n);
        out[in.n] = '.';
        out[in.n + 1] = (char)('a' + i % 26);
        int32_t rc = h->emit(h, child, 0, err);
        if (rc != JV_OK) return rc;
    }
    return JV_DONE;
}

static int32_t work_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct work *w = ctx;
    const jv_host *h = w->h;
    jv_str in = h->get(h, b, WORK_IN);
    char piece[16];
    if (!slept(w, b, time_for(w, h->id(h, b)))) return jv_fail(err, JV_CANCELLED, "cancelled");
    if (w->split) return split_record(w, b, err);
    for (int64_t i = 0; i < w->pieces; i++) {
        int n = snprintf(piece, sizeof piece, "%.*s:%lld ", (int)in.n, in.p, (long long)i);
        if (h->partial(h, b, WORK_OUT, piece, (size_t)n, err) < 0) return err->code;
        if (!slept(w, b, w->ms)) return jv_fail(err, JV_CANCELLED, "cancelled");
    }
    if (w->pieces) return JV_OK;
    char *out = h->put(h, b, WORK_OUT, in.n + 1, err);
    if (!out) return err->code;
    out[0] = 'w';
    memcpy(out + 1, in.p, in.n);
    return w->overwrite ? jv_fail(err, JV_BAD, "overwritten") : JV_OK;
}

static const jv_field work_fields[] = {
    {"in", JV_UTF8, JV_IN, "text", "what is worked on"},
    {"out", JV_UTF8, JV_OUT, "work", "what comes of it"},
    {0},
};
static const jv_opt work_opts[] = {
    JV_OPT(struct work, ms, "5", "ms 0..10m", "longest time for one"),
    JV_OPT(struct work, pieces, "0", "0..", "stream the result in so many pieces"),
    JV_OPT(struct work, split, "0", "0..", "make so many children instead"),
    JV_OPT(struct work, forget, "no", "no|yes", "with split: make one child and do not emit it"),
    JV_OPT(struct work, overwrite, "no", "no|yes", "set the field, then say the record is bad"),
    JV_OPT(struct work, deaf, "no", "no|yes", "do not hear a cancel"),
    {0},
};

/* ---- thing: a resource ----------------------------------------------------------------------------------------------- */

struct thing {
    const jv_host *h;
};

static const jv_service thing_services[] = {{"probe.thing/1", thing_services}, {0}};

struct user {
    jv_ref thing;
    const jv_host *h;
};

static int32_t user_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct user *u = ctx;
    u->h = h;
    return u->thing.api == thing_services && u->thing.self ? JV_OK : jv_fail(err, JV_FATAL, "the reference is empty");
}

static int32_t user_process(void *ctx, jv_buf *b, jv_err *err)
{
    return JV_OK;
}

static const jv_opt user_opts[] = {JV_OPT(struct user, thing, NULL, "probe.thing/1", "the thing it uses"), {0}};

static const jv_stage stages[] = {
    {.name = "numbers",
        .brief = "numbered records",
        .ctx_size = sizeof(struct numbers),
        .fields = numbers_fields,
        .ports = one_port,
        .opts = numbers_opts,
        .open = numbers_open,
        .poll = numbers_poll,
        .done = numbers_done,
        .close = numbers_close},
    {.name = "endless",
        .brief = "numbered records, without an end",
        .flags = JV_ENDLESS,
        .ctx_size = sizeof(struct numbers),
        .fields = numbers_fields,
        .ports = one_port,
        .opts = numbers_opts,
        .open = numbers_open,
        .poll = numbers_poll,
        .done = numbers_done,
        .close = numbers_close},
    {.name = "verdict",
        .brief = "answers as told",
        .ctx_size = sizeof(struct verdict),
        .fields = verdict_fields,
        .ports = one_port,
        .opts = verdict_opts,
        .counters = verdict_counters,
        .open = verdict_open,
        .start = verdict_start,
        .process = verdict_process},
    {.name = "work",
        .brief = "takes its time in many threads",
        .flags = JV_PARALLEL,
        .ctx_size = sizeof(struct work),
        .threads = 8,
        .fields = work_fields,
        .ports = one_port,
        .opts = work_opts,
        .open = work_open,
        .process = work_process},
    {.name = "split",
        .brief = "the same, and makes several of one",
        .flags = JV_PARALLEL | JV_SPLIT,
        .ctx_size = sizeof(struct work),
        .threads = 8,
        .fields = work_fields,
        .ports = one_port,
        .opts = work_opts,
        .open = work_open,
        .process = work_process},
    {.name = "thing", .brief = "a resource", .ctx_size = sizeof(struct thing), .services = thing_services},
    {.name = "user",
        .brief = "uses a thing",
        .ctx_size = sizeof(struct user),
        .ports = one_port,
        .opts = user_opts,
        .open = user_open,
        .process = user_process},
};

JV_PLUGIN("probe", "1.0", "MIT", stages);
