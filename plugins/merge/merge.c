/*
 * merge: joins what became of the pieces of a record into one text; the counterpart of chunk.
 *
 *     [whole]
 *     plugin = merge
 *     in = answer
 *     out = answer
 *     separator = \n\n
 *
 * The pieces stand in the order in which they were made, whatever the order in which they came. A piece that did not
 * come (it was dropped or rejected, or went another way), or came without the field, is missing; `missing` says what
 * then happens. It keeps nothing from record to record, so any number of threads may run it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../utf8.h"
#include "jevons.h"

struct merge {
    const jv_host *h;
    const char *separator;
    int32_t missing;
    int64_t max_bytes;
    char *glue; /* the separator without its escapes */
    size_t n_glue;
};

enum { IN, OUT };
enum { REJECT, SKIP, NOTE };
enum { JOINED, MISSING };

static const jv_field fields[] = {
    {"in", JV_UTF8, JV_IN, "text", "the text of a piece"},
    {"out", JV_UTF8, JV_OUT, "text", "the texts of all pieces, joined"},
    {0},
};

static const jv_opt opts[] = {
    JV_OPT(struct merge, separator, "\\n", "", "stands between two pieces: \\n newline, \\t tab, \\s blank, \\\\ \\"),
    JV_OPT(struct merge, missing, "reject", "reject|skip|note",
        "a piece that did not come: reject the record, leave it out, or write a note in its place"),
    JV_OPT(struct merge, max_bytes, "64M", "bytes 1..", "a record whose text would be longer is rejected"),
    {0},
};

/* In the order of JOINED, MISSING. */
static const jv_counter counters[] = {
    {"parts_joined", "part", "pieces joined", 0, 0},
    {"parts_missing", "part", "pieces that did not come, or without the field", 0, 0},
    {0},
};

/* What stands in place of a missing piece: [part 3 of 10 is missing: the reason], the reason cut where it is long. */
struct note {
    char text[sizeof(struct utf8_shown) + 64];
};

/* The texts of the pieces of one record; a missing one is {0, 0} or its note. */
struct parts {
    jv_str *text;
    uint32_t n;
    int64_t joined, missing;
    struct note first; /* the first missing one */
};

static int32_t unescape(struct merge *g, jv_err *err)
{
    static const char letters[] = "nts\\", means[] = "\n\t \\";
    g->glue = malloc(strlen(g->separator) + 1);
    if (!g->glue) return jv_fail(err, JV_FATAL, "no memory for a separator of %zu bytes", strlen(g->separator));
    for (const char *s = g->separator; *s; s++) {
        const char *letter = NULL;
        if (*s == '\\') {
            s++;
            letter = *s ? strchr(letters, *s) : NULL;
            if (!letter)
                return jv_fail(err, JV_BAD, "separator: the backslash at byte %td needs one of n t s \\ behind it",
                    s - 1 - g->separator);
        }
        g->glue[g->n_glue++] = letter ? means[letter - letters] : *s;
    }
    return JV_OK;
}

static int32_t merge_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct merge *g = ctx;
    g->h = h;
    return unescape(g, err);
}

/* Why a piece is missing, in words that go on from "is missing: ". */
static const char *reason_of(const jv_buf *child, const jv_err *why)
{
    if (child) return "it came without the field";
    if (why->code == JV_DONE) return "it went another way";
    if (why->code == JV_CANCELLED) return "it was cancelled";
    if (why->code == JV_DROP) return why->reason ? why->reason : "it was dropped";
    return why->text[0] ? why->text : "it was rejected";
}

/* Reads piece i. A note is written where it is missing, to stay until process returns. */
static int32_t read_part(const struct merge *g, const jv_buf *b, struct parts *parts, uint32_t i, jv_err *err)
{
    const jv_host *h = g->h;
    jv_err why = {0};
    struct note made, *note = parts->missing ? &made : &parts->first;
    const jv_buf *child = h->child(h, b, i, &why);
    parts->text[i] = child ? h->get(h, child, IN) : (jv_str){0};
    if (parts->text[i].p) {
        parts->joined++;
        return JV_OK;
    }
    const char *reason = reason_of(child, &why);
    int n = snprintf(note->text, sizeof note->text, "[part %u of %u is missing: %s]", i + 1, parts->n,
        utf8_show(reason, strlen(reason)).text);
    parts->missing++;
    if (g->missing != NOTE) return JV_OK;
    char *kept = h->scratch(h, (size_t)n, err);
    if (!kept) return JV_FATAL;
    memcpy(kept, note->text, (size_t)n);
    parts->text[i] = (jv_str){kept, (size_t)n};
    return JV_OK;
}

/* The length of the whole; < 0 and err where it is longer than max_bytes. */
static int64_t measure(const struct merge *g, const struct parts *parts, jv_err *err)
{
    uint64_t limit = (uint64_t)g->max_bytes, total = 0;
    for (uint32_t i = 0, any = 0; i < parts->n; i++) {
        if (!parts->text[i].p) continue;
        uint64_t more = parts->text[i].n + (any ? g->n_glue : 0);
        if (more > limit - total)
            return jv_fail(err, JV_BAD, "the text is longer than max_bytes = %llu at part %u of %u",
                (unsigned long long)limit, i + 1, parts->n);
        total += more;
        any = 1;
    }
    return (int64_t)total;
}

static void join(const struct merge *g, const struct parts *parts, char *out)
{
    for (uint32_t i = 0, any = 0; i < parts->n; i++) {
        if (!parts->text[i].p) continue;
        if (any) out = mempcpy(out, g->glue, g->n_glue);
        out = mempcpy(out, parts->text[i].p, parts->text[i].n);
        any = 1;
    }
}

static int32_t refuse(const struct parts *parts, jv_err *err)
{
    const char *first = parts->first.text + 1; /* without its brackets */
    return jv_fail(err, JV_BAD, "%lld of %u parts are missing; %.*s", (long long)parts->missing, parts->n,
        (int)strlen(first) - 1, first);
}

static int32_t merge_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct merge *g = ctx;
    const jv_host *h = g->h;
    struct parts parts = {.n = h->children(h, b)};
    parts.text = h->scratch(h, (parts.n + (size_t)1) * sizeof *parts.text, err); /* there may be none */
    if (!parts.text) return JV_FATAL;
    for (uint32_t i = 0; i < parts.n; i++) {
        int32_t rc = read_part(g, b, &parts, i, err);
        if (rc < 0) return rc;
    }
    if (parts.missing) h->count(h, b, MISSING, parts.missing);
    if (parts.missing && (g->missing == REJECT || !parts.joined)) return refuse(&parts, err);
    int64_t n = measure(g, &parts, err);
    if (n < 0) return (int32_t)n;
    char *out = h->put(h, b, OUT, (size_t)n, err);
    if (!out) return JV_FATAL;
    join(g, &parts, out);
    if (parts.joined) h->count(h, b, JOINED, parts.joined);
    return JV_OK;
}

static void merge_close(void *ctx)
{
    struct merge *g = ctx;
    free(g->glue);
    g->glue = NULL;
}

static const jv_port ports[] = {{"out", "the records that were split, with the joined text", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "merge",
    .brief = "joins what became of the pieces of a record into one text",
    .flags = JV_PARALLEL | JV_MERGE,
    .ctx_size = sizeof(struct merge),
    .threads = 1,
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = merge_open,
    .process = merge_process,
    .close = merge_close,
}};

JV_PLUGIN("merge", "1.0", "MIT", stages);
