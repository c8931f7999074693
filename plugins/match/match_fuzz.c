/*
 * match_fuzz.c: a pattern (the first line) and a text (the rest). A search in windows must find what one call of PCRE2
 * finds, group by group, whatever the pattern.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../utf8.h"
#include "search.h"

#define STEPS 20000

static int32_t not_cancelled(const jv_host *h, const jv_buf *b)
{
    return 0;
}

static void die(const char *what)
{
    fprintf(stderr, "match_fuzz: %s\n", what);
    abort();
}

/* Both searches of one text; they may differ only where either ran into a bound. */
static void compare(const struct search *g, const struct pattern *p, jv_str text)
{
    jv_err err;
    struct quest q = {NULL, text, quest_now() + INT64_C(10000000000)};
    struct space s, whole;
    if (space_open(g, &s, &err) < 0 || space_open(g, &whole, &err) < 0) die("no memory");
    int32_t found = find_in(g, &q, p, &s, &err);
    int rc = pcre2_match(p->code, (PCRE2_SPTR)text.p, text.n, 0, PCRE2_NO_UTF_CHECK, whole.found, whole.bounds);
    if (found >= 0 && (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)) {
        if (found != (rc >= 0)) die("a search in windows finds something else");
        size_t n = 2 * ((size_t)p->groups + 1) * sizeof(PCRE2_SIZE);
        if (found && memcmp(pcre2_get_ovector_pointer(s.found), pcre2_get_ovector_pointer(whole.found), n))
            die("a search in windows finds another place");
    }
    space_close(&s);
    space_close(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const jv_host host = {.cancelled = not_cancelled};
    const char *line = size ? memchr(data, '\n', size) : NULL;
    size_t n = line ? (size_t)(line - (const char *)data) : size;
    char *text = malloc(n + 1);
    if (!text) die("no memory");
    if (n) memcpy(text, data, n);
    text[n] = 0;
    struct pattern p = {0};
    jv_err err;
    if (line && pattern_compile(&p, text, false, &err) == JV_OK) {
        struct search g = {.h = &host, .steps = STEPS, .memory = 1 << 20, .time = 10000, .groups = p.groups};
        jv_str rest = {line + 1, utf8_valid(line + 1, size - n - 1)};
        compare(&g, &p, rest);
    }
    pcre2_code_free(p.code);
    free(text);
    return 0;
}
