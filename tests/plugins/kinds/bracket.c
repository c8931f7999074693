/*
 * bracket: takes texts apart and puts them together again.
 *
 *     [split]
 *     plugin = bracket/split
 *     at = ,
 *
 *     [join]
 *     plugin = bracket/join
 *     with = +
 *     missing = ?
 *
 * `split` makes a child of each piece between two `at`; of an empty text it makes none. `join` closes it: the text is
 * then that of the children in their order, with `with` between them, and `missing` (if it is not empty) in place of
 * one that did not come. It also tells the length of each child's text (-1: it did not come) and why the first one
 * fell.
 */
#include <stdbool.h>
#include <string.h>

#include "jevons.h"

static const jv_port ports[] = {{"out", "what comes of it", 0, 0}, {0}};

/* ---- split ------------------------------------------------------------------------------------------------------- */

enum { SPLIT_IN, SPLIT_OUT, SPLIT_PART };

struct split {
    const jv_host *h;
    const char *at;
};

static const jv_field split_fields[] = {
    [SPLIT_IN] = {"in", JV_UTF8, JV_IN, "text", "the text to take apart"},
    [SPLIT_OUT] = {"out", JV_UTF8, JV_OUT, "text", "the piece"},
    [SPLIT_PART] = {"part", JV_I64, JV_OUT, "part", "its place, from 0"},
    {0},
};

static const jv_opt split_opts[] = {
    JV_OPT(struct split, at, ",", "", "the character of ASCII that stands between two pieces"),
    {0},
};

static int32_t split_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct split *c = ctx;
    c->h = h;
    if (c->at[0] > 0 && !c->at[1]) return JV_OK;
    return jv_fail(err, JV_BAD, "at has %zu bytes; it is one character of ASCII", strlen(c->at));
}

static int32_t emit_piece(const struct split *c, jv_buf *b, int64_t part, const size_t cut[2], jv_err *err)
{
    const jv_host *h = c->h;
    jv_buf *child = h->fork(h, b, err);
    if (!child) return JV_FATAL;
    if (h->view(h, child, SPLIT_OUT, b, SPLIT_IN, cut[0], cut[1] - cut[0], err) < 0) return JV_FATAL;
    h->put_i64(h, child, SPLIT_PART, part);
    return h->emit(h, child, 0, err);
}

static int32_t split_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct split *c = ctx;
    jv_str text = c->h->get(c->h, b, SPLIT_IN);
    if (!text.p) return jv_fail(err, JV_BAD, "the record has no text");
    int32_t rc = JV_OK;
    size_t cut[2] = {0};
    for (int64_t part = 0; rc == JV_OK && text.n && cut[0] <= text.n; part++) {
        const char *at = memchr(text.p + cut[0], c->at[0], text.n - cut[0]);
        cut[1] = at ? (size_t)(at - text.p) : text.n;
        rc = emit_piece(c, b, part, cut, err);
        cut[0] = cut[1] + 1;
    }
    return rc == JV_OK ? JV_DONE : rc;
}

/* ---- join -------------------------------------------------------------------------------------------------------- */

enum { JOIN_IN, JOIN_OUT, JOIN_LENGTHS, JOIN_WHY };

struct join {
    const jv_host *h;
    const char *with, *missing;
};

static const jv_field join_fields[] = {
    [JOIN_IN] = {"in", JV_UTF8, JV_IN | JV_OPTIONAL, "text", "the children's texts"},
    [JOIN_OUT] = {"out", JV_UTF8, JV_OUT, "text", "all of them"},
    [JOIN_LENGTHS] = {"lengths", JV_I32S, JV_OUT, "lengths", "the bytes of each child's text; -1: it did not come"},
    [JOIN_WHY] = {"why", JV_UTF8, JV_OUT, "why", "why the first child that did not come fell; absent if all came"},
    {0},
};

static const jv_opt join_opts[] = {
    JV_OPT(struct join, with, " ", "", "what stands between two texts"),
    JV_OPT(struct join, missing, "", "", "what stands for a child that did not come; nothing if empty"),
    {0},
};

static int32_t join_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct join *)ctx)->h = h;
    return JV_OK;
}

static int32_t note_why(const struct join *c, jv_buf *b, const jv_err *fell, jv_err *err)
{
    const char *why = fell->code == JV_DROP ? fell->reason : fell->code == JV_DONE ? "it went elsewhere" : fell->text;
    char *p = c->h->put(c->h, b, JOIN_WHY, strlen(why), err);
    if (!p) return JV_FATAL;
    memcpy(p, why, strlen(why));
    return JV_OK;
}

/* Where the texts are gathered; a null `to` only counts. */
struct gathered {
    char *to;
    size_t n, texts;
};

static void add(struct gathered *g, const char *p, size_t n)
{
    if (g->to && n) memcpy(g->to + g->n, p, n);
    g->n += n;
}

static void add_text(const struct join *c, struct gathered *g, jv_str text)
{
    if (g->texts++) add(g, c->with, strlen(c->with));
    add(g, text.p, text.n);
}

static void gather(const struct join *c, const jv_buf *b, struct gathered *g)
{
    const jv_host *h = c->h;
    for (uint32_t i = 0; i < h->children(h, b); i++) {
        jv_err fell;
        const jv_buf *child = h->child(h, b, i, &fell);
        if (child)
            add_text(c, g, h->get(h, child, JOIN_IN));
        else if (*c->missing)
            add_text(c, g, (jv_str){c->missing, strlen(c->missing)});
    }
}

static int32_t put_lengths(const struct join *c, jv_buf *b, jv_err *err)
{
    const jv_host *h = c->h;
    uint32_t n = h->children(h, b);
    bool told = false;
    int32_t rc = JV_OK;
    int32_t *lengths = (int32_t *)(void *)h->put(h, b, JOIN_LENGTHS, n * sizeof *lengths, err);
    if (!lengths) return JV_FATAL;
    for (uint32_t i = 0; i < n && rc == JV_OK; i++) {
        jv_err fell;
        const jv_buf *child = h->child(h, b, i, &fell);
        size_t bytes = child ? h->get(h, child, JOIN_IN).n : 0;
        if (bytes > INT32_MAX) return jv_fail(err, JV_BAD, "the text of child %u has %zu bytes", i, bytes);
        lengths[i] = child ? (int32_t)bytes : -1;
        if (!child && !told) rc = note_why(c, b, &fell, err);
        told |= !child;
    }
    return rc;
}

static int32_t join_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct join *c = ctx;
    struct gathered g = {0};
    gather(c, b, &g);
    g = (struct gathered){.to = c->h->put(c->h, b, JOIN_OUT, g.n, err)};
    if (!g.to) return JV_FATAL;
    gather(c, b, &g);
    return put_lengths(c, b, err);
}

static const jv_stage stages[] = {
    {
        .name = "split",
        .brief = "takes a text apart",
        .flags = JV_PARALLEL | JV_SPLIT,
        .ctx_size = sizeof(struct split),
        .fields = split_fields,
        .ports = ports,
        .opts = split_opts,
        .open = split_open,
        .process = split_process,
    },
    {
        .name = "join",
        .brief = "puts together what was taken apart",
        .flags = JV_PARALLEL | JV_MERGE,
        .ctx_size = sizeof(struct join),
        .fields = join_fields,
        .ports = ports,
        .opts = join_opts,
        .open = join_open,
        .process = join_process,
    },
};

JV_PLUGIN("bracket", "1.0", "MIT", stages);
