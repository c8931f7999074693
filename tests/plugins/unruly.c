/*
 * unruly: a filter and a source that break a rule of the interface, whichever is asked for, to test that the mock host
 * tells; and a filter that uses a row of any number, whether it has one or not, for what the host makes of that.
 */
#include <stdbool.h>
#include <string.h>

#include "jevons.h"

#define RULES                                                                                                          \
    "none|row|utf8|unwritten|behind|input|number|item|view|port|done|verdict|mute|lines|dot|reason|cancelled|fork|"    \
    "merge|lease|counter|mistaken|late"

enum {
    NONE,
    ROW,
    UTF8,
    UNWRITTEN,
    BEHIND,
    INPUT,
    NUMBER,
    ITEM,
    VIEW,
    PORT,
    DONE,
    VERDICT,
    MUTE,
    LINES,
    DOT,
    REASON,
    CANCELLED,
    FORK,
    MERGE,
    LEASE,
    COUNTER,
    MISTAKEN,
    LATE
};
enum { IN, OUT, NUMBERS };

struct unruly {
    const jv_host *h;
    int32_t rule;
};

static int32_t unruly_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct unruly *u = ctx;
    u->h = h;
    if (u->rule == MISTAKEN) h->log(h, JV_LOG_MISTAKE, "what the user wrote is wrong");
    return JV_OK;
}

/* Rows that are none read as absent. */
static bool reads_nothing(const jv_host *h, const jv_buf *b, int32_t row)
{
    return !h->get(h, b, row).p && h->get_i64(h, b, row, 7) == 7 && h->get_f64(h, b, row, 0.5) == 0.5;
}

/* What is wrong with a field that is set. */
static int32_t break_field(const struct unruly *u, jv_buf *b, jv_err *err)
{
    const jv_host *h = u->h;
    char *p;
    switch (u->rule) {
    case NONE:
        return reads_nothing(h, b, -1) && reads_nothing(h, b, 99) ? JV_OK : jv_fail(err, JV_BAD, "a row is there");
    case ROW: h->put(h, b, 99, 1, err); break;
    case INPUT: h->put(h, b, IN, 1, err); break;
    case NUMBER: h->put_i64(h, b, OUT, 1); break;
    case ITEM: h->put(h, b, NUMBERS, 5, err); break;
    case UNWRITTEN: h->put(h, b, OUT, 1, err); break;
    case VIEW: h->view(h, b, NUMBERS, b, IN, 0, 4, err); break;
    case UTF8:
        p = h->put(h, b, OUT, 1, err);
        if (p) *p = '\xff';
        break;
    case BEHIND:
        p = h->put(h, b, OUT, 1, err);
        if (p) memcpy(p, "ab", 2);
        break;
    }
    return JV_OK;
}

static int32_t unruly_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct unruly *u = ctx;
    const jv_host *h = u->h;
    switch (u->rule) {
    case PORT: return 1;
    case DONE: return JV_DONE;
    case VERDICT: return 77;
    case MUTE: return JV_BAD;
    case LINES: return jv_fail(err, JV_BAD, "two\nlines");
    case DOT: return jv_fail(err, JV_BAD, "a full stop.");
    case REASON: return JV_DROP;
    case CANCELLED: return jv_fail(err, JV_CANCELLED, "nobody asked");
    case FORK: return h->fork(h, b, err) ? JV_OK : JV_FATAL;
    case MERGE: return h->children(h, b) ? JV_OK : JV_FATAL;
    case LEASE: return h->lease(h, 1) ? JV_OK : JV_FATAL;
    case COUNTER: return h->count(h, b, 0, 1), JV_OK;
    case LATE: return h->log(h, JV_LOG_MISTAKE, "what the user wrote is wrong"), JV_OK;
    default: return break_field(u, b, err);
    }
}

static const jv_field fields[] = {
    [IN] = {"in", JV_UTF8, JV_IN, "text", "a text"},
    [OUT] = {"out", JV_UTF8, JV_OUT, "out", "another"},
    [NUMBERS] = {"numbers", JV_I32S, JV_OUT, "numbers", "numbers"},
    {0},
};
static const jv_port ports[] = {{"out", "what comes of it", 0, 0}, {0}};
static const jv_opt opts[] = {JV_OPT(struct unruly, rule, "none", RULES, "which rule is broken"), {0}};

/* ---- a source ---------------------------------------------------------------------------------------------------- */

#define SOURCE_RULES "none|forget|twice|size|priority|outside|row"

enum { S_NONE, S_FORGET, S_TWICE, S_SIZE, S_PRIORITY, S_OUTSIDE, S_ROW };

static int32_t source_poll(void *ctx, jv_err *err)
{
    const struct unruly *u = ctx;
    const jv_host *h = u->h;
    jv_origin o = {.struct_size = sizeof o, .position = {"a", 1}};
    if (u->rule == S_SIZE) o.struct_size = 1;
    if (u->rule == S_PRIORITY) o.priority = JV_LIVE;
    jv_buf *b = h->begin(h, &o, err);
    if (!b) return err->code;
    if (u->rule == S_FORGET) return JV_OK;
    if (u->rule == S_ROW && !h->put(h, b, 99, 1, err)) return err->code;
    int32_t rc = h->emit(h, b, 0, err);
    return u->rule == S_TWICE ? h->emit(h, b, 0, err) : rc;
}

static int32_t source_flush(void *ctx, jv_err *err)
{
    const struct unruly *u = ctx;
    const jv_origin o = {.struct_size = sizeof o, .position = {"late", 4}};
    if (u->rule == S_OUTSIDE) u->h->begin(u->h, &o, err);
    return JV_OK;
}

/* ---- a filter that uses rows it may not have --------------------------------------------------------------------- */

#define CALLS "get|put|put_i64|put_f64|view|view_of|writable|partial"

enum { GET, PUT, PUT_I64, PUT_F64, VIEW_AS, VIEW_OF, WRITABLE, PARTIAL };

struct stray {
    const jv_host *h;
    int64_t row;
    int32_t call;
};

static int32_t stray_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct stray *)ctx)->h = h;
    return JV_OK;
}

/* What reads as something is told, so that a run shows it. */
static int32_t read_row(const jv_host *h, const jv_buf *b, int32_t row, jv_err *err)
{
    jv_str text = h->get(h, b, row);
    bool absent = !text.p && !text.n && h->get_i64(h, b, row, -7) == -7 && h->get_f64(h, b, row, -7) == -7;
    return absent ? JV_OK : jv_fail(err, JV_BAD, "row %d reads as something", row);
}

/* Answers what the host does. The functions that set a number answer nothing. */
static int32_t stray_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct stray *s = ctx;
    const jv_host *h = s->h;
    int32_t row = (int32_t)s->row;
    switch (s->call) {
    case PUT: return h->put(h, b, row, 0, err) ? JV_OK : err->code;
    case PUT_I64: return h->put_i64(h, b, row, 1), JV_OK;
    case PUT_F64: return h->put_f64(h, b, row, 1), JV_OK;
    case VIEW_AS: return h->view(h, b, row, b, IN, 0, 1, err);
    case VIEW_OF: return h->view(h, b, OUT, b, row, 0, 1, err);
    case WRITABLE: return h->writable(h, b, row, err) ? JV_OK : err->code;
    case PARTIAL: return h->partial(h, b, row, "x", 1, err);
    default: return read_row(h, b, row, err);
    }
}

static const jv_opt stray_opts[] = {
    JV_OPT(struct stray, call, "get", CALLS, "the function that is called"),
    JV_OPT(struct stray, row, "99", "-2147483648..2147483647", "with which row"),
    {0},
};

static const jv_opt source_opts[] = {JV_OPT(struct unruly, rule, "none", SOURCE_RULES, "which rule is broken"), {0}};

static const jv_stage stages[] = {
    {
        .name = "filter",
        .brief = "breaks a rule",
        .ctx_size = sizeof(struct unruly),
        .fields = fields,
        .ports = ports,
        .opts = opts,
        .open = unruly_open,
        .process = unruly_process,
    },
    {
        .name = "source",
        .brief = "breaks a rule",
        .ctx_size = sizeof(struct unruly),
        .ports = ports,
        .opts = source_opts,
        .open = unruly_open,
        .poll = source_poll,
        .flush = source_flush,
    },
    {
        .name = "stray",
        .brief = "uses a row of any number",
        .ctx_size = sizeof(struct stray),
        .fields = fields,
        .ports = ports,
        .opts = stray_opts,
        .open = stray_open,
        .process = stray_process,
    },
};

JV_PLUGIN("unruly", "1.0", "MIT", stages);
