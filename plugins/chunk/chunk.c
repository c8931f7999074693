/*
 * chunk: cuts a text into pieces, each a record of its own that shares the memory of the whole.
 *
 *     [pieces]
 *     plugin = chunk
 *     size = 2000
 *     overlap = 200
 *
 * Sizes are in characters (code points). A piece ends at the last end of a sentence that fits; a sentence longer than
 * `size` is cut at white space, a word longer than `size` between grapheme clusters, a cluster longer than `size`
 * between characters. Pieces neither begin nor end with white space. Without overlap, pieces and the white space
 * between, before and behind them are the text, byte for byte.
 *
 * With overlap, a piece begins at the earliest start of a sentence (else of a word, or in a piece without white space
 * of a cluster) from which at most `overlap` characters repeat, fewer where the next sentence would not fit
 * otherwise. Every piece begins and ends behind the one before it.
 */
#include <stdbool.h>

#include "jevons.h"
#include "marks.h"

struct chunk {
    const jv_host *h;
    int64_t size, overlap;
    int32_t by;
};

enum { IN, OUT, PART, PARTS };
enum { PIECES };
enum { BY_CHARACTERS, BY_SENTENCES };

static const jv_field fields[] = {
    {"in", JV_UTF8, JV_IN, "text", "the text to cut"},
    {"out", JV_UTF8, JV_OUT, "text", "the piece"},
    {"part", JV_I64, JV_OUT, "part", "the place of the piece, from 0"},
    {"parts", JV_I64, JV_OUT, "parts", "how many pieces the text was cut into"},
    {0},
};

static const jv_opt opts[] = {
    JV_OPT(struct chunk, size, "2000", "1..1000000000", "the longest piece, in characters (code points)"),
    JV_OPT(struct chunk, overlap, "0", "0..1000000000",
        "how many characters of a piece may repeat in the next; below size"),
    JV_OPT(struct chunk, by, "sentences", "characters|sentences",
        "where to cut: anywhere between characters, or at ends of sentences if possible"),
    {0},
};

static const jv_counter counters[] = {{"pieces", "piece", "pieces made", 0, 0}, {0}};

/* Ends and starts in order of preference; cutting by characters knows only the last. */
#define N_KINDS 3
static const uint8_t end_kinds[N_KINDS] = {MARK_SENTENCE, MARK_WORD, MARK_GRAPHEME};
static const uint8_t start_kinds[N_KINDS] = {MARK_SENTENCE_START, MARK_WORD_START, MARK_GRAPHEME};

/* A walk over the pieces; from..to is the present one, 0..0 in front of the first. Offsets in bytes, sizes in
 * characters. */
struct cutter {
    const char *s;
    const uint8_t *marks;
    size_t n; /* without the white space at the end */
    size_t size, overlap;
    size_t from, to;
    int first_kind;
};

static bool is_inside(const struct cutter *c, size_t i)
{
    return i < c->n && ((unsigned char)c->s[i] & 0xc0) == 0x80;
}

static size_t forward(const struct cutter *c, size_t i, size_t characters)
{
    for (; i < c->n && characters > 0; characters--) do
            i++;
        while (is_inside(c, i));
    return i;
}

static size_t backward(const struct cutter *c, size_t i, size_t lowest, size_t characters)
{
    for (; i > lowest && characters > 0; characters--) do
            i--;
        while (i > lowest && is_inside(c, i));
    return i;
}

static size_t count_characters(const struct cutter *c, size_t from, size_t to)
{
    size_t count = 0;
    for (size_t i = from; i < to; i++) count += !is_inside(c, i);
    return count;
}

static size_t skip_space(const struct cutter *c, size_t i)
{
    while (i < c->n && (is_inside(c, i) || c->marks[i] & MARK_SPACE)) i++;
    return i;
}

static size_t trim_end(const struct cutter *c, size_t from, size_t to)
{
    for (size_t i = to; i > from;) {
        do i--;
        while (is_inside(c, i));
        if (!(c->marks[i] & MARK_SPACE)) break;
        to = i;
    }
    return to;
}

/* Where the piece that begins at `from` ends: at the last place of the best kind behind `after`. */
static size_t find_end(const struct cutter *c, size_t from, size_t after)
{
    size_t limit = forward(c, from, c->size);
    if (limit == c->n) return limit;
    for (int k = c->first_kind; k < N_KINDS; k++)
        for (size_t i = limit; i > after; i--)
            if (c->marks[i] & end_kinds[k]) return i;
    return limit;
}

/* How many characters in front of c->to the next piece may repeat, and still end behind c->to as well as it would
 * without. */
static size_t repeatable(const struct cutter *c, size_t behind)
{
    size_t reach = forward(c, c->to, c->size);
    for (int k = c->first_kind; k < N_KINDS; k++) {
        for (size_t i = behind + 1; i <= reach; i++) {
            if (i < c->n && !(c->marks[i] & end_kinds[k])) continue;
            size_t room = c->size - count_characters(c, c->to, i);
            return room < c->overlap ? room : c->overlap;
        }
    }
    return 0;
}

/* Whether the present piece has white space inside: then the next begins with a whole word. */
static bool has_words(const struct cutter *c)
{
    for (size_t i = c->from + 1; i < c->to; i++)
        if (c->marks[i] & MARK_WORD_START) return true;
    return false;
}

static size_t find_start(const struct cutter *c)
{
    size_t behind = skip_space(c, c->to);
    if (c->overlap == 0 || c->to == 0 || behind == c->n) return behind;
    size_t lowest = backward(c, c->to, c->from + 1, repeatable(c, behind));
    int kinds = c->first_kind == 0 && has_words(c) ? N_KINDS - 1 : N_KINDS;
    for (int k = c->first_kind; k < kinds; k++)
        for (size_t i = lowest; i < c->to; i++)
            if (c->marks[i] & start_kinds[k] && !(c->marks[i] & MARK_SPACE)) return i;
    return behind;
}

/* Goes to the next piece; false behind the last. */
static bool next_piece(struct cutter *c)
{
    size_t from = find_start(c), after = from > c->to ? from : c->to;
    if (after == c->n) return false;
    size_t to = find_end(c, from, after);
    c->from = from;
    c->to = trim_end(c, from, to);
    return true;
}

static int32_t emit_piece(const struct chunk *g, jv_buf *b, const struct cutter *c, const int64_t part[2], jv_err *err)
{
    const jv_host *h = g->h;
    jv_buf *child = h->fork(h, b, err);
    if (!child) return err->code;
    int32_t rc = h->view(h, child, OUT, b, IN, c->from, c->to - c->from, err);
    if (rc < 0) return rc;
    h->put_i64(h, child, PART, part[0]);
    h->put_i64(h, child, PARTS, part[1]);
    rc = h->emit(h, child, 0, err);
    if (rc == JV_OK) h->count(h, b, PIECES, 1);
    return rc;
}

static int32_t chunk_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct chunk *g = ctx;
    g->h = h;
    if (g->overlap >= g->size)
        return jv_fail(err, JV_BAD, "`overlap = %lld` must be below `size = %lld`", (long long)g->overlap,
            (long long)g->size);
    return JV_OK;
}

static int32_t chunk_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct chunk *g = ctx;
    const jv_host *h = g->h;
    jv_str text = h->get(h, b, IN);
    if (!text.p) return jv_fail(err, JV_BAD, "the record has no text to cut");
    if (text.n >= SIZE_MAX / 2) return jv_fail(err, JV_BAD, "a text of %zu bytes is too long", text.n);
    uint8_t *marks = h->scratch(h, text.n + 1, err);
    if (!marks) return JV_FATAL;
    size_t good = mark_text(text.p, text.n, marks);
    if (good < text.n) return jv_fail(err, JV_BAD, "the text is no UTF-8 at byte %zu", good);
    struct cutter c = {.s = text.p, .marks = marks, .size = (size_t)g->size, .overlap = (size_t)g->overlap};
    c.n = text.n;
    c.n = trim_end(&c, 0, text.n);
    c.first_kind = g->by == BY_CHARACTERS ? N_KINDS - 1 : 0;
    if (c.n == 0) return jv_drop(err, "empty text");
    int64_t part[2] = {0, 0}; /* this one, of how many: the walk is cheap beside the marks, so it is made twice */
    for (struct cutter counting = c; next_piece(&counting);) part[1]++;
    for (; next_piece(&c); part[0]++) {
        int32_t rc = emit_piece(g, b, &c, part, err);
        if (rc < 0) return rc;
    }
    return JV_DONE;
}

static const jv_port ports[] = {{"out", "the pieces, as children of the text's record", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "chunk",
    .brief = "cuts a text into pieces at ends of sentences",
    .flags = JV_PARALLEL | JV_SPLIT,
    .ctx_size = sizeof(struct chunk),
    .threads = 1,
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = chunk_open,
    .process = chunk_process,
}};

JV_PLUGIN("chunk", "1.0", "MIT", stages);
