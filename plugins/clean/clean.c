/*
 * clean: makes clean text of raw bytes, one fix after the other. Text that is clean passes byte for byte, without a
 * copy.
 *
 *     [clean]
 *     plugin = clean
 *     spaces = all
 *
 * In this order: encoding (what is no UTF-8 becomes U+FFFD), html (a page becomes the text a reader sees), entities
 * (&amp; and its kin), control (control characters go, every line ends with \n), invisible (characters that show
 * nothing go), nfc (letters and their marks are put together), spaces (blanks at ends of lines, rows of blank lines).
 * Each is an option and has a counter of what it changed.
 *
 * Each fix reads one text and writes another; two blocks of scratch take turns. Time and memory are linear in the text.
 */
#include <string.h>

#include "../utf8.h"
#include "clean.h"
#include "jevons.h"

struct clean {
    const jv_host *h;
    int32_t encoding, html, entities, control, invisible, nfc, spaces;
};

enum { IN, OUT };
enum { HTML_NO, HTML_AUTO, HTML_YES };
enum { ENTITIES_NO, ENTITIES_HTML, ENTITIES_YES };
enum { SPACES_NO, SPACES_YES, SPACES_ALL };

static const jv_field fields[] = {
    {"in", JV_BYTES, JV_IN, "text", "the bytes to clean"},
    {"out", JV_UTF8, JV_OUT, "text", "the clean text"},
    {0},
};

static const jv_opt opts[] = {
    JV_OPT(struct clean, encoding, "yes", "no|yes",
        "replace bytes that are no UTF-8 by U+FFFD; no: such a record is rejected"),
    JV_OPT(struct clean, html, "auto", "no|auto|yes", "make text of HTML; auto: of what looks like HTML alone"),
    JV_OPT(struct clean, entities, "html", "no|html|yes",
        "resolve character references; html: only where HTML is made text"),
    JV_OPT(struct clean, control, "yes", "no|yes", "remove control characters but \\n and \\t; end lines with \\n"),
    JV_OPT(struct clean, invisible, "yes", "no|yes", "remove soft hyphens, zero-width spaces and byte order marks"),
    JV_OPT(struct clean, nfc, "yes", "no|yes", "Unicode normalization form C"),
    JV_OPT(struct clean, spaces, "yes", "no|yes|all",
        "trim ends of lines, at most 2 blank lines; all: also join blanks within lines"),
    {0},
};

/* In the order of COUNT_*. */
static const jv_counter counters[] = {
    {"clean_encoding", "sequence", "broken sequences replaced, byte order marks removed", 0, 0},
    {"clean_html", "tag", "tags and comments removed", 0, 0},
    {"clean_entities", "reference", "character references resolved", 0, 0},
    {"clean_control", "character", "control characters removed, ends of lines made \\n", 0, 0},
    {"clean_invisible", "character", "characters removed that show nothing", 0, 0},
    {"clean_nfc", "line", "lines that were not normalized", 0, 0},
    {"clean_spaces", "place", "ends of lines, blank lines and rows of blanks changed", 0, 0},
    {0},
};

/* A text on its way through the fixes. */
struct job {
    const struct clean *g;
    jv_str s;
    char *held, *spare; /* what s lies in, null for the field itself; what the next fix may write to */
    size_t held_size, spare_size;
    int64_t count[N_COUNTS];
    jv_err *err;
};

/* n bytes to write to, null and err when there is no memory. */
static char *room(struct job *j, size_t n)
{
    if (j->spare_size < n) {
        j->spare = j->g->h->scratch(j->g->h, n, j->err);
        j->spare_size = j->spare ? n : 0;
    }
    return j->spare;
}

/* Takes what a fix wrote to the spare block, unless it is what was there before. */
static void take(struct job *j, size_t n)
{
    if (n == j->s.n && memcmp(j->spare, j->s.p, n) == 0) return;
    char *p = j->spare;
    size_t size = j->spare_size;
    j->spare = j->held;
    j->spare_size = j->held_size;
    j->held = p;
    j->held_size = size;
    j->s = (jv_str){p, n};
}

/* Runs a fix that writes at most `limit` bytes for each byte. */
static int32_t run(struct job *j, clean_fix *fix, size_t limit)
{
    if (j->s.n == 0) return JV_OK;
    char *out = room(j, j->s.n * limit);
    if (!out) return JV_FATAL;
    take(j, fix(j->s.p, j->s.n, out, j->count));
    return JV_OK;
}

static int32_t run_encoding(struct job *j)
{
    size_t good = utf8_valid(j->s.p, j->s.n);
    if (j->g->encoding) {
        bool bom = j->s.n >= 3 && memcmp(j->s.p, "\xef\xbb\xbf", 3) == 0;
        return good < j->s.n || bom ? run(j, fix_encoding, 3) : JV_OK;
    }
    if (good == j->s.n) return JV_OK;
    return jv_fail(j->err, JV_BAD, "byte 0x%02x at offset %zu is no UTF-8", (uint8_t)j->s.p[good], good);
}

/* Tags and references. What was HTML is not read for references again: it may speak of them. */
static int32_t run_markup(struct job *j)
{
    const struct clean *g = j->g;
    if (j->s.n > 0 && (g->html == HTML_YES || (g->html == HTML_AUTO && is_html(j->s.p, j->s.n)))) {
        char *out = room(j, 2 * j->s.n);
        if (!out) return JV_FATAL;
        take(j, html_to_text(j->s.p, j->s.n, out, j->count, g->entities != ENTITIES_NO));
        return JV_OK;
    }
    bool any = g->entities == ENTITIES_YES && j->s.n > 0 && memchr(j->s.p, '&', j->s.n);
    return any ? run(j, fix_entities, 2) : JV_OK;
}

static int32_t run_nfc(struct job *j)
{
    const jv_host *h = j->g->h;
    size_t n = nfc_room(j->s.p, j->s.n);
    if (n == 0) return JV_OK;
    int32_t *points = h->scratch(h, n * sizeof *points, j->err);
    char *out = points ? room(j, 3 * j->s.n) : NULL;
    if (!out) return JV_FATAL;
    take(j, fix_nfc(j->s.p, j->s.n, out, points, j->count));
    return JV_OK;
}

static int32_t run_all(struct job *j)
{
    const struct clean *g = j->g;
    int32_t rc = run_encoding(j);
    if (rc == JV_OK) rc = run_markup(j);
    if (rc == JV_OK && g->control) rc = run(j, fix_control, 1);
    if (rc == JV_OK && g->invisible) rc = run(j, fix_invisible, 1);
    if (rc == JV_OK && g->nfc) rc = run_nfc(j);
    if (rc == JV_OK && g->spaces) rc = run(j, g->spaces == SPACES_ALL ? fix_all_spaces : fix_spaces, 1);
    return rc;
}

static int32_t clean_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct clean *g = ctx;
    g->h = h;
    return JV_OK;
}

static int32_t clean_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct clean *g = ctx;
    const jv_host *h = g->h;
    jv_str text = h->get(h, b, IN);
    if (!text.p) return jv_fail(err, JV_BAD, "the record has no text to clean");
    if (text.n > SIZE_MAX / 64) return jv_fail(err, JV_BAD, "a text of %zu bytes is too long", text.n);
    struct job j = {.g = g, .s = text, .err = err};
    int32_t rc = run_all(&j);
    if (rc < 0) return rc;
    if (j.held) {
        char *out = h->put(h, b, OUT, j.s.n, err);
        if (!out) return JV_FATAL;
        memcpy(out, j.s.p, j.s.n);
    } else {
        rc = h->view(h, b, OUT, b, IN, 0, text.n, err);
        if (rc < 0) return rc;
    }
    for (int32_t i = 0; i < N_COUNTS; i++)
        if (j.count[i]) h->count(h, b, i, j.count[i]);
    return JV_OK;
}

static const jv_port ports[] = {{"out", "records with clean text", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "clean",
    .brief = "makes clean UTF-8 text of raw bytes and of HTML",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct clean),
    .threads = 1,
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = clean_open,
    .process = clean_process,
}};

JV_PLUGIN("clean", "1.0", "MIT", stages);
