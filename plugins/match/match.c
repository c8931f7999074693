/*
 * match: sends each record one of two ways, by whether its text fits a pattern; named groups become fields.
 *
 *     [dated]
 *     plugin = match
 *     pattern = (?<year>\d{4})-(?<month>\d\d)
 *     captures = year, month
 *
 * Patterns are Perl's, by PCRE2, one on each line; `need` says whether one has to be found in the text or all. Text is
 * UTF-8 always. A pattern that runs away on a text makes that record BAD: steps, memory and processor time are bounded.
 */
#include <stdlib.h>
#include <string.h>

#include "../mistakes.h"
#include "../utf8.h"
#include "jevons.h"
#include "search.h"

struct match {
    const jv_host *h;
    const char *pattern;
    jv_list captures;
    int32_t need, ignore_case;
    int64_t steps, memory, time;
    char *lines; /* the patterns, each ended by a NUL */
    struct pattern *patterns;
    size_t n;
    int32_t *rows; /* [captures.n] */
    struct search search;
};

enum { IN };
enum { ANY, ALL };
enum { PASS, FAIL };

static const jv_field fields[] = {
    {"in", JV_UTF8, JV_IN, "text", "the text to search"},
    {0},
};

static const jv_opt opts[] = {
    JV_OPT(struct match, pattern, NULL, "", "what to find: a regular expression, or several, one on each line"),
    JV_OPT(struct match, need, "any", "any|all", "how many of the patterns have to be found"),
    JV_OPT(struct match, ignore_case, "no", "no|yes", "whether upper and lower case are the same"),
    JV_OPT(struct match, captures, "", "", "named groups that become fields"),
    JV_OPT(struct match, steps, "10000000", "1..4294967295", "the steps a match may try from one place of the text"),
    JV_OPT(struct match, memory, "16M", "bytes 64K..1G", "what a match may take to remember where to go back to"),
    JV_OPT(struct match, time, "10s", "ms 1..", "processor time for a record"),
    {0},
};

/* In the order of PASS, FAIL. */
static const jv_counter counters[] = {
    {"matched", "record", "records in whose text it was found", 0, 0},
    {"unmatched", "record", "the others", 0, 0},
    {0},
};

/* Where a capture lies in the text. */
struct cut {
    size_t at, n;
    bool there;
};

/* ---- opening ---- */

/* Blanks at the ends of a line do not count, be it from the INI file, which keeps none, or from one it names. */
static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    for (size_t n = strlen(s); n && strchr(" \t\r", s[n - 1]); n--) s[n - 1] = 0;
    return s;
}

static int32_t open_patterns(struct match *g, jv_err *err)
{
    size_t lines = 1;
    for (const char *s = g->pattern; (s = strchr(s, '\n')); s++) lines++;
    g->lines = strdup(g->pattern);
    g->patterns = calloc(lines, sizeof *g->patterns);
    if (!g->lines || !g->patterns) return jv_fail(err, JV_FATAL, "no memory for %zu patterns", lines);
    char *rest = g->lines;
    int32_t rc = JV_OK;
    for (char *line; (line = strsep(&rest, "\n"));) {
        line = trim(line);
        if (!*line) continue;
        struct pattern *p = &g->patterns[g->n++];
        mistakes_add(g->h, pattern_compile(p, line, g->ignore_case, err), err, &rc);
        if (p->groups > g->search.groups) g->search.groups = p->groups;
    }
    return g->n ? rc : jv_fail(err, JV_BAD, "`pattern` is empty");
}

static bool has_group(const struct match *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++) {
        int rc = pcre2_substring_nametable_scan(g->patterns[i].code, (PCRE2_SPTR)name, NULL, NULL);
        if (rc != PCRE2_ERROR_NOSUBSTRING) return true; /* its number, or that there are several */
    }
    return false;
}

static int32_t open_capture(struct match *g, size_t i, jv_err *err)
{
    const char *name = g->captures.v[i].p;
    if (!has_group(g, name))
        return jv_fail(err, JV_BAD, "`captures`: no pattern has a group (?<%s>...)", utf8_show(name, strlen(name)).text);
    for (size_t k = 0; k < i; k++)
        if (strcmp(name, g->captures.v[k].p) == 0)
            return jv_fail(err, JV_BAD, "`captures`: %s stands there twice", name);
    g->rows[i] = g->h->field(g->h, name, JV_UTF8, JV_OUT, err);
    return g->rows[i] < 0 ? g->rows[i] : JV_OK;
}

static int32_t open_captures(struct match *g, jv_err *err)
{
    int32_t rc = JV_OK;
    g->rows = calloc(g->captures.n + 1, sizeof *g->rows);
    if (!g->rows) return jv_fail(err, JV_FATAL, "no memory for %zu captures", g->captures.n);
    for (size_t i = 0; i < g->captures.n; i++) {
        mistakes_add(g->h, open_capture(g, i, err), err, &rc);
    }
    return rc;
}

static int32_t match_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct match *g = ctx;
    g->h = h;
    g->search = (struct search){.h = h, .steps = g->steps, .memory = g->memory, .time = g->time};
    int32_t rc = open_patterns(g, err);
    return rc < 0 ? rc : open_captures(g, err);
}

/* ---- a record ---- */

/* Keeps what the pattern just found gives to captures that have nothing yet. */
static void keep_cuts(const struct match *g, const struct pattern *p, const struct space *s, struct cut *cuts)
{
    for (size_t i = 0; i < g->captures.n; i++)
        if (!cuts[i].there) cuts[i].there = pattern_group(p, s, g->captures.v[i].p, &cuts[i].at, &cuts[i].n);
}

/* PASS or FAIL, or < 0. */
static int32_t try_all(const struct match *g, const struct quest *q, struct space *s, struct cut *cuts, jv_err *err)
{
    for (size_t i = 0; i < g->n; i++) {
        int32_t found = find_in(&g->search, q, &g->patterns[i], s, err);
        if (found < 0) return found;
        if (found) keep_cuts(g, &g->patterns[i], s, cuts);
        if (found && g->need == ANY) return PASS;
        if (!found && g->need == ALL) return FAIL;
    }
    return g->need == ANY ? FAIL : PASS;
}

static int32_t match_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct match *g = ctx;
    const jv_host *h = g->h;
    jv_str text = h->get(h, b, IN);
    if (!text.p) return jv_fail(err, JV_BAD, "the record has no text to search");
    size_t good = utf8_valid(text.p, text.n);
    if (good < text.n) return jv_fail(err, JV_BAD, "the text is no UTF-8 at byte %zu", good);
    struct cut *cuts = h->scratch(h, (g->captures.n + 1) * sizeof *cuts, err);
    if (!cuts) return JV_FATAL;
    memset(cuts, 0, (g->captures.n + 1) * sizeof *cuts);
    int64_t time = g->time < INT64_MAX / 2000000 ? g->time * 1000000 : INT64_MAX / 2;
    struct quest q = {b, text, quest_now() + time};
    struct space s;
    int32_t way = space_open(&g->search, &s, err);
    if (way == JV_OK) way = try_all(g, &q, &s, cuts, err);
    space_close(&s);
    if (way < 0) return way;
    h->count(h, b, way, 1);
    if (way == FAIL) return FAIL;
    for (size_t i = 0; i < g->captures.n; i++) {
        if (!cuts[i].there) continue;
        int32_t rc = h->view(h, b, g->rows[i], b, IN, cuts[i].at, cuts[i].n, err);
        if (rc < 0) return rc;
    }
    return PASS;
}

static void match_close(void *ctx)
{
    struct match *g = ctx;
    for (size_t i = 0; i < g->n; i++) pcre2_code_free(g->patterns[i].code);
    free(g->patterns);
    free(g->lines);
    free(g->rows);
    *g = (struct match){0};
}

static const jv_port ports[] = {
    {"pass", "records in whose text it was found", JV_OPTIONAL, 0},
    {"fail", "the others", JV_OPTIONAL, 0},
    {0},
};

static const jv_stage stages[] = {{
    .name = "match",
    .brief = "sends each record one of two ways, by whether its text fits a pattern",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct match),
    .threads = 1,
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = match_open,
    .process = match_process,
    .close = match_close,
}};

JV_PLUGIN("match", "1.0", "MIT", stages);
