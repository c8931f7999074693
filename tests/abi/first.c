/*
 * first.c: filters that use version 1.0 of core/jevons.h; first_ends.c has what they stand between. Together they use
 * every member of every table, every type of option and every function of the host.
 *
 * tests/abi/x86_64 holds both as the header of the first release built them. They are never built again: what
 * tests/first_test.py runs through them is what plugins in the field rely on. They were made, with gcc 12 on Debian 12, by
 *
 *     for f in first first_ends; do
 *         gcc -std=gnu17 -O1 -s -shared -fPIC -fvisibility=hidden -Wl,-z,defs -I core \
 *             -o tests/abi/x86_64/jv_$f.so tests/abi/$f.c
 *     done
 *
 * work is a filter with every type of option, cut and join take texts apart and put them together, sort is a router.
 */
#include <stdio.h>

#include "first.h"

static const jv_port one_port[] = {{"out", "all records", 0, 0}, {0}};

/* ---- work: a filter ---- */

struct work {
    const jv_host *h;
    int64_t times, most, pause;
    double scale;
    const char *mark, *also;
    int32_t shape, tried, also_row;
    jv_list drop;
    jv_ref book;
    jv_map verdict;
};

enum { WORK_IN, WORK_OUT, WORK_SCALED, WORK_NOTE, WORK_SIZES };
enum { LETTERS };
enum { PLAIN, UPPER };

static const jv_field work_fields[] = {
    [WORK_IN] = {"in", JV_UTF8, JV_IN, "text", "the text"},
    [WORK_OUT] = {"out", JV_UTF8, JV_OUT, "text", "the text, shaped"},
    [WORK_SCALED] = {"scaled", JV_F64, JV_OUT | JV_MEASURED, "scaled", "its bytes times scale"},
    [WORK_NOTE] = {"note", JV_BYTES, JV_OUT, "note", "marks and a word for each byte, built piece by piece"},
    [WORK_SIZES] = {"sizes", JV_I32S, JV_OUT, "sizes", "bytes of text and note"},
    {0},
};
static const jv_opt work_opts[] = {
    JV_OPTF(struct work, times, JV_PER_RECORD, "auto", "auto|1..9", "how many marks; auto: as many as bytes, to 3"),
    JV_OPT(struct work, most, "1K", "bytes 1..1G", "longer texts are bad"),
    JV_OPTF(struct work, pause, JV_NEUTRAL, "0", "ms 0..1h", "how long to wait"),
    JV_OPTF(struct work, scale, JV_PER_RECORD, "1", "0..10", "what to multiply with"),
    JV_OPTF(struct work, mark, JV_PER_RECORD, "*", "", "the mark"),
    JV_OPT(struct work, also, "", "", "another field to read"),
    JV_OPTF(struct work, shape, JV_PER_RECORD, "plain", "plain|upper", "letters of the text"),
    JV_OPT(struct work, drop, "", "", "texts to drop"),
    JV_OPT(struct work, book, "", BOOK, "where words come from"),
    JV_OPT(struct work, verdict, "", "", "a text and what to answer: bad, retry, fatal or end"),
    {0},
};
static const jv_counter work_counters[] = {[LETTERS] = {"letters", "letter", "letters worked on", 0, 0}, {0}};

static int32_t work_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct work *c = ctx;
    const jv_column *col;
    char line[256] = "";
    c->h = h;
    for (uint32_t i = 0; (col = h->column(h, i)); i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), " %s:%d", col->name, col->type);
    h->log(h, JV_LOG_INFO, "reads%s", line);
    c->also_row = *c->also ? h->field(h, c->also, JV_ANY, JV_IN | JV_OPTIONAL, err) : -1;
    return *c->also && c->also_row < 0 ? c->also_row : JV_OK;
}

/* The verdict that stands in the map; JV_OK if there is none. */
static int32_t work_verdict(struct work *c, jv_str text, jv_err *err)
{
    for (size_t i = 0; i < c->drop.n; i++)
        if (is(text, c->drop.v[i].p)) return jv_drop(err, "on the list");
    for (size_t i = 0; i < c->verdict.key.n; i++) {
        if (!is(text, c->verdict.key.v[i].p)) continue;
        const char *what = c->verdict.val.v[i].p;
        if (!strcmp(what, "end")) return JV_END;
        if (!strcmp(what, "retry")) return c->tried++ ? JV_OK : jv_fail(err, JV_RETRY, "not yet");
        return jv_fail(err, strcmp(what, "fatal") ? JV_BAD : JV_FATAL, "the map says %s", what);
    }
    return JV_OK;
}

static int32_t work_note(const struct work *c, const struct work *p, jv_buf *b, size_t n, jv_err *err)
{
    const jv_host *h = c->h;
    const struct book_api *book = c->book.api;
    int64_t times = p->times == JV_UNSET ? (n < 3 ? (int64_t)n : 3) : p->times;
    for (int64_t i = 0; i < times; i++) {
        jv_str word = book ? book->word(c->book.self, (size_t)i) : (jv_str){"", 0};
        size_t len = strlen(p->mark) + word.n;
        char *piece = h->scratch(h, len + 1, err);
        if (!piece) return JV_FATAL;
        memcpy(piece, p->mark, strlen(p->mark));
        if (word.n) memcpy(piece + strlen(p->mark), word.p, word.n);
        int32_t rc = h->partial(h, b, WORK_NOTE, piece, len, err);
        if (rc < 0) return rc;
    }
    return JV_OK;
}

static int32_t work_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct work *c = ctx, p;
    const jv_host *h = c->h;
    jv_str text = h->get(h, b, WORK_IN);
    if (text.n > (size_t)c->most) return jv_fail(err, JV_BAD, "%zu bytes, at most %lld", text.n, (long long)c->most);
    int32_t rc = h->params(h, b, &p, err), verdict = work_verdict(c, text, err);
    if (rc < 0) return rc;
    if (verdict != JV_OK && verdict != JV_END) return verdict;
    if (h->wait(h, -1, 0, c->pause) == JV_STOPPED || h->cancelled(h, b)) return jv_fail(err, JV_CANCELLED, "cancelled");
    char *out = h->writable(h, b, WORK_OUT, err);
    if (!out) return err->code;
    for (size_t i = 0; p.shape == UPPER && i < text.n; i++)
        if (out[i] >= 'a' && out[i] <= 'z') out[i] -= 'a' - 'A';
    h->put_f64(h, b, WORK_SCALED, (double)text.n * p.scale);
    rc = work_note(c, &p, b, text.n, err);
    if (rc < 0) return rc;
    int32_t *sizes = (int32_t *)(void *)h->put(h, b, WORK_SIZES, 2 * sizeof *sizes, err);
    if (!sizes) return JV_FATAL;
    sizes[0] = (int32_t)h->get(h, b, WORK_OUT).n;
    sizes[1] = (int32_t)h->get(h, b, WORK_NOTE).n;
    h->count(h, b, LETTERS, (int64_t)text.n);
    if (c->also_row >= 0) h->log(h, JV_LOG_WARN, "also %lld", (long long)h->get_i64(h, b, c->also_row, -1));
    return verdict;
}

/* ---- cut and join: a split and its merge ---- */

struct bracket {
    const jv_host *h;
    const char *between;
};

enum { CUT_IN, CUT_OUT, CUT_PART };
enum { JOIN_IN, JOIN_OUT };

static const jv_field cut_fields[] = {
    [CUT_IN] = {"in", JV_UTF8, JV_IN, "text", "the text"},
    [CUT_OUT] = {"out", JV_UTF8, JV_OUT, "text", "a piece"},
    [CUT_PART] = {"part", JV_I64, JV_OUT, "part", "its place"},
    {0},
};
static const jv_field join_fields[] = {
    [JOIN_IN] = {"in", JV_UTF8, JV_IN, "text", "the pieces' texts"},
    [JOIN_OUT] = {"out", JV_UTF8, JV_OUT, "text", "all of them"},
    {0},
};
static const jv_opt bracket_opts[] = {JV_OPT(struct bracket, between, "-", "", "what stands between"), {0}};

static int32_t bracket_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct bracket *c = ctx;
    c->h = h;
    return strlen(c->between) == 1 ? JV_OK : jv_fail(err, JV_BAD, "between has %zu bytes, not 1", strlen(c->between));
}

static int32_t cut_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct bracket *c = ctx;
    const jv_host *h = c->h;
    jv_str text = h->get(h, b, CUT_IN);
    int64_t part = 0;
    for (size_t from = 0, to; from <= text.n; from = to + 1, part++) {
        for (to = from; to < text.n && text.p[to] != *c->between;) to++;
        jv_buf *child = h->fork(h, b, err);
        if (!child || h->view(h, child, CUT_OUT, b, CUT_IN, from, to - from, err) < 0) return JV_FATAL;
        h->put_i64(h, child, CUT_PART, part);
        int32_t rc = h->emit(h, child, 0, err);
        if (rc != JV_OK) return rc;
    }
    return JV_DONE;
}

static int32_t join_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct bracket *c = ctx;
    const jv_host *h = c->h;
    char text[1024];
    size_t n = 0;
    for (uint32_t i = 0; i < h->children(h, b); i++) {
        jv_err fell;
        const jv_buf *child = h->child(h, b, i, &fell);
        jv_str piece = child ? h->get(h, child, JOIN_IN) : (jv_str){fell.code == JV_DROP ? fell.reason : fell.text, 0};
        if (!child) piece.n = strlen(piece.p);
        if (piece.n > sizeof text - n - 1) return jv_fail(err, JV_BAD, "more than %zu bytes", sizeof text);
        if (i) text[n++] = *c->between;
        memcpy(text + n, piece.p, piece.n);
        n += piece.n;
    }
    return put_text(h, b, JOIN_OUT, (jv_str){text, n}, err);
}

/* ---- sort: a router ---- */

struct sort {
    const jv_host *h;
    jv_map to;
};

enum { SORT_IN };

static const jv_field sort_fields[] = {[SORT_IN] = {"in", JV_UTF8, JV_IN, "text", "what decides"}, {0}};
static const jv_port sort_ports[] = {
    {"to.*", "records whose text begins so", 0, 0},
    {"rest", "all others", JV_OPTIONAL, 0},
    {0},
};
static const jv_opt sort_opts[] = {JV_OPT(struct sort, to, NULL, "", "ports, and what their texts begin with"), {0}};

static int32_t sort_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct sort *)ctx)->h = h;
    return JV_OK;
}

static int32_t sort_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct sort *c = ctx;
    jv_str text = c->h->get(c->h, b, SORT_IN);
    for (size_t i = 0; i < c->to.val.n; i++) {
        jv_str begin = c->to.val.v[i];
        if (begin.n <= text.n && !memcmp(begin.p, text.p, begin.n)) return (int32_t)i;
    }
    return (int32_t)c->to.val.n;
}

/* ---- all of them ---- */

static const jv_stage stages[] = {
    {
        .name = "work",
        .brief = "a filter with every type of option",
        .flags = JV_RESULT,
        .ctx_size = sizeof(struct work),
        .threads = 1,
        .fields = work_fields,
        .ports = one_port,
        .opts = work_opts,
        .counters = work_counters,
        .open = work_open,
        .process = work_process,
    },
    {
        .name = "cut",
        .brief = "takes texts apart",
        .flags = JV_PARALLEL | JV_SPLIT,
        .ctx_size = sizeof(struct bracket),
        .threads = JV_PER_CORE,
        .fields = cut_fields,
        .ports = one_port,
        .opts = bracket_opts,
        .open = bracket_open,
        .process = cut_process,
    },
    {
        .name = "join",
        .brief = "puts texts together",
        .flags = JV_MERGE,
        .ctx_size = sizeof(struct bracket),
        .fields = join_fields,
        .ports = one_port,
        .opts = bracket_opts,
        .open = bracket_open,
        .process = join_process,
    },
    {
        .name = "sort",
        .brief = "a router",
        .ctx_size = sizeof(struct sort),
        .fields = sort_fields,
        .ports = sort_ports,
        .opts = sort_opts,
        .open = sort_open,
        .process = sort_process,
    },
};

JV_PLUGIN("first", "1.0", "MIT", stages);
