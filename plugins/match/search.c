/* search.c: see search.h. */
#include "search.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../utf8.h"

#define MAX_PATTERN 65536    /* bytes of a pattern */
#define FIRST_WINDOW 16      /* bytes in which the first window's matches may begin */
#define QUICK_WINDOW 1000000 /* ns: one that takes less is followed by a wider one */
#define LONG_WINDOW 8000000  /* ns: one that takes more, by a narrower one */

/* ---- patterns ---- */

static const char *message_of(int code, char text[128])
{
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)text, 128) < 0) strcpy(text, "unknown error");
    return text;
}

/* Whether a pattern may speak of the place where a search begins, or of going on from another: there, windows show. It
 * does no harm to think so of one that does not. */
static bool sees_windows(const char *text)
{
    return strstr(text, "\\G") || strstr(text, "(*SKIP") || strstr(text, "(*COMMIT");
}

static pcre2_code *compile(const char *text, size_t n, uint32_t flags, int *code, PCRE2_SIZE *at)
{
    pcre2_compile_context *bounds = pcre2_compile_context_create(NULL);
    *code = PCRE2_ERROR_NOMEMORY;
    *at = 0;
    if (!bounds) return NULL;
    pcre2_set_max_pattern_length(bounds, MAX_PATTERN);
    pcre2_code *made = pcre2_compile((PCRE2_SPTR)text, n, flags, code, at, bounds);
    pcre2_compile_context_free(bounds);
    return made;
}

int32_t pattern_compile(struct pattern *p, const char *text, bool ignore_case, jv_err *err)
{
    char message[128];
    int code;
    PCRE2_SIZE at;
    uint32_t options, flags = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT |
                              PCRE2_NO_START_OPTIMIZE; /* it looks beyond a window for a place to begin */
    struct utf8_shown shown = utf8_show(text, strlen(text));
    p->text = text;
    p->code = compile(text, strlen(text), flags | (ignore_case ? PCRE2_CASELESS : 0), &code, &at);
    if (!p->code)
        return jv_fail(err, JV_BAD, "`pattern`: '%s' at byte %zu: %s", shown.text, (size_t)at, message_of(code, message));
    pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &p->groups);
    pcre2_pattern_info(p->code, PCRE2_INFO_ALLOPTIONS, &options);
    p->at_once = options & PCRE2_ANCHORED || sees_windows(text);
    return JV_OK;
}

bool pattern_group(const struct pattern *p, const struct space *s, const char *name, size_t *at, size_t *n)
{
    PCRE2_SPTR first, last;
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(s->found);
    int width = pcre2_substring_nametable_scan(p->code, (PCRE2_SPTR)name, &first, &last);
    if (width <= 0) return false;
    for (; first <= last; first += width) { /* more than one where the pattern allows equal names */
        uint32_t group = (uint32_t)first[0] << 8 | first[1];
        if (place[2 * group] == PCRE2_UNSET) continue;
        *at = place[2 * group];
        *n = place[2 * group + 1] - *at;
        return true;
    }
    return false;
}

/* ---- spaces ---- */

int32_t space_open(const struct search *g, struct space *s, jv_err *err)
{
    s->found = pcre2_match_data_create(g->groups + 1, NULL);
    s->bounds = pcre2_match_context_create(NULL);
    if (!s->found || !s->bounds) return jv_fail(err, JV_FATAL, "no memory to search with");
    pcre2_set_match_limit(s->bounds, (uint32_t)g->steps);
    pcre2_set_depth_limit(s->bounds, (uint32_t)g->steps);
    pcre2_set_heap_limit(s->bounds, (uint32_t)(g->memory / 1024));
    return JV_OK;
}

void space_close(struct space *s)
{
    pcre2_match_data_free(s->found);
    pcre2_match_context_free(s->bounds);
}

/* ---- searching ---- */

int64_t quest_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int32_t explain(const struct search *g, const struct quest *q, const struct pattern *p, int code, jv_err *err)
{
    char message[128];
    struct utf8_shown shown = utf8_show(p->text, strlen(p->text));
    switch (code) {
    case PCRE2_ERROR_NOMEMORY: return jv_fail(err, JV_FATAL, "no memory to search %zu bytes", q->text.n);
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
        return jv_fail(err, JV_BAD, "pattern '%s' runs away: more than steps = %lld in a text of %zu bytes", shown.text,
            (long long)g->steps, q->text.n);
    case PCRE2_ERROR_HEAPLIMIT:
        return jv_fail(err, JV_BAD, "pattern '%s' runs away: it wants more than memory = %lld for a text of %zu bytes",
            shown.text, (long long)g->memory, q->text.n);
    default:
        return jv_fail(err, JV_BAD, "pattern '%s' in a text of %zu bytes: %s", shown.text, q->text.n,
            message_of(code, message));
    }
}

/* JV_OK while there is time. */
static int32_t go_on(const struct search *g, const struct quest *q, const struct pattern *p, int64_t now, jv_err *err)
{
    if (g->h->cancelled(g->h, q->b)) return jv_fail(err, JV_CANCELLED, "cancelled");
    if (now < q->until) return JV_OK;
    return jv_fail(err, JV_BAD, "pattern '%s' runs away: more than time = %lld ms in a text of %zu bytes",
        utf8_show(p->text, strlen(p->text)).text, (long long)g->time, q->text.n);
}

int32_t find_in(const struct search *g, const struct quest *q, const struct pattern *p, struct space *s, jv_err *err)
{
    size_t window = FIRST_WINDOW, at = 0;
    int64_t before = 0;
    for (;;) {
        size_t last = p->at_once || q->text.n - at < window ? q->text.n : at + window;
        pcre2_set_offset_limit(s->bounds, last);
        int rc = pcre2_match(p->code, (PCRE2_SPTR)q->text.p, q->text.n, at, PCRE2_NO_UTF_CHECK, s->found, s->bounds);
        if (rc >= 0) return 1;
        if (rc != PCRE2_ERROR_NOMATCH) return explain(g, q, p, rc, err);
        if (last == q->text.n) return 0;
        for (at = last + 1; at < q->text.n && (q->text.p[at] & 0xc0) == 0x80;) at++;
        int64_t now = quest_now();
        int32_t ok = go_on(g, q, p, now, err);
        if (ok < 0) return ok;
        if (!before || now - before < QUICK_WINDOW) window *= 2;
        if (before && now - before > LONG_WINDOW && window > 1) window /= 2;
        before = now;
    }
}
