/* stops.c: each string is matched for itself by Knuth, Morris and Pratt's automaton; there are few of them. */
#include "stops.h"

#include <stdlib.h>
#include <string.h>

/* back[i]: the longest proper beginning of the string that also ends its first i + 1 bytes. */
static void make_table(jv_str s, uint32_t *back)
{
    uint32_t k = 0;
    back[0] = 0;
    for (size_t i = 1; i < s.n; i++) {
        while (k && s.p[i] != s.p[k]) k = back[k - 1];
        if (s.p[i] == s.p[k]) k++;
        back[i] = k;
    }
}

int32_t stops_new(stops *s, const jv_str *v, size_t n, jv_err *err)
{
    size_t bytes = 0;
    *s = (stops){.v = v, .n = n};
    for (size_t i = 0; i < n; i++) bytes += v[i].n;
    if (n == 0) return JV_OK;
    s->matched = calloc(n, sizeof *s->matched);
    s->back = calloc(bytes, sizeof *s->back);
    if (!s->matched || !s->back) return jv_fail(err, JV_FATAL, "no memory for %zu stop strings", n);
    uint32_t *back = s->back;
    for (size_t i = 0; i < n; i++) {
        make_table(v[i], back);
        back += v[i].n;
    }
    return JV_OK;
}

void stops_free(stops *s)
{
    free(s->matched);
    free(s->back);
    *s = (stops){0};
}

int32_t stops_byte(stops *s, char c)
{
    int32_t found = -1;
    const uint32_t *back = s->back;
    for (size_t i = 0; i < s->n; i++) {
        jv_str v = s->v[i];
        uint32_t k = s->matched[i];
        if (k == v.n) k = back[k - 1];
        while (k && c != v.p[k]) k = back[k - 1];
        if (c == v.p[k]) k++;
        s->matched[i] = k;
        if (k == v.n && (found < 0 || v.n > s->v[found].n)) found = (int32_t)i;
        back += v.n;
    }
    return found;
}

size_t stops_held(const stops *s)
{
    size_t held = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->matched[i] > held) held = s->matched[i];
    return held;
}

void stops_reset(stops *s)
{
    if (s->n) memset(s->matched, 0, s->n * sizeof *s->matched);
}
