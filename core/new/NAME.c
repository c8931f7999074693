/* NAME: sets a field to the first words of another, and counts the texts that had more. A text without any is dropped. */
#include "jevons.h"

#include <ctype.h>

struct NAME_ctx {
    int64_t words;    /* set by the host before open, from the INI file or the default below */
    const jv_host *h; /* what the host offers to this section; kept from open */
};

/* Fields are known by their row. In the INI file `in = page` makes this stage read the field `page`. */
enum { IN, OUT };
static const jv_field fields[] = {
    [IN] = {"in", JV_UTF8, JV_IN, "text", "the text"},
    [OUT] = {"out", JV_UTF8, JV_OUT, "excerpt", "its first words"},
    {0},
};

enum { SHORTENED };
static const jv_counter counters[] = {[SHORTENED] = {"shortened", "text", "texts that had more words", 0, 0}, {0}};
static const jv_port ports[] = {{"out", "records with an excerpt", 0, 0}, {0}};
static const jv_opt opts[] = {
    JV_OPT(struct NAME_ctx, words, "20", "1..", "how many words to keep"),
    {0},
};

/* The length of s up to the end of its first `most` words: cuts fall before blanks, so never inside a character. */
static size_t first_words(jv_str s, int64_t most)
{
    size_t end = 0;
    for (size_t i = 0; i < s.n && most > 0; i++) {
        if (isspace((unsigned char)s.p[i])) continue;
        end = i + 1;
        if (end == s.n || isspace((unsigned char)s.p[end])) most--;
    }
    return end;
}

static int32_t NAME_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct NAME_ctx *)ctx)->h = h;
    return JV_OK;
}

/* One record. What is returned says what becomes of it: here a port (JV_OK is the first one), dropped, or rejected. */
static int32_t NAME_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct NAME_ctx *c = ctx;
    jv_str in = c->h->get(c->h, b, IN);
    if (!in.p) return jv_fail(err, JV_BAD, "the record has no such field");
    size_t n = first_words(in, c->words);
    if (!n) return jv_drop(err, "no words");
    if (n < first_words(in, INT64_MAX)) c->h->count(c->h, b, SHORTENED, 1);
    return c->h->view(c->h, b, OUT, b, IN, 0, n, err); /* shares the memory of the text: nothing is copied */
}

static const jv_stage stages[] = {{
    .name = "NAME",
    .brief = "keeps the first words of a text",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct NAME_ctx),
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = NAME_open,
    .process = NAME_process,
}};
JV_PLUGIN("NAME", "0.1", "MIT", stages);
