/* Special tokens: a sorted list of texts, narrowed byte by byte at each place; then the matches that stand are
 * chosen. */
#include "special.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BYTES 255 /* of a special token's text: bounds the work at each place */

/* ---- from the vocabulary ---- */

static int by_text(const void *a, const void *b, void *texts)
{
    const jv_str *x = (const jv_str *)texts + *(const int32_t *)a, *y = (const jv_str *)texts + *(const int32_t *)b;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c ? c : (x->n > y->n) - (x->n < y->n);
}

static bool is_special(const vocab *v, uint32_t id)
{
    return v->text[id].n > 0 && (vocab_is_control(v, (int32_t)id) || v->type[id] == TOKEN_USER);
}

int32_t special_load(special *s, const vocab *v, jv_err *err)
{
    s->v = v;
    for (uint32_t i = 0; i < v->n; i++) {
        if (!is_special(v, i)) continue;
        s->n++;
        if (v->text[i].n > MAX_BYTES)
            return jv_fail(err, JV_BAD, "special token %u has %zu bytes, over %d", i, v->text[i].n, MAX_BYTES);
    }
    s->ids = calloc((size_t)s->n + 1, sizeof *s->ids);
    if (!s->ids) return jv_fail(err, JV_FATAL, "no memory for %u special tokens", s->n);
    for (uint32_t i = 0, n = 0; i < v->n; i++)
        if (is_special(v, i)) s->ids[n++] = (int32_t)i;
    qsort_r(s->ids, s->n, sizeof *s->ids, by_text, v->text);
    for (uint32_t i = 0; i < s->n; i++) s->first[(uint8_t)v->text[s->ids[i]].p[0] + 1]++;
    for (int c = 0; c < 256; c++) s->first[c + 1] += s->first[c];
    return JV_OK;
}

void special_free(special *s)
{
    free(s->ids);
}

/* ---- in a text ---- */

static int32_t push(special_list *l, special_match m, jv_err *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        special_match *v = cap <= SIZE_MAX / sizeof *v ? realloc(l->v, cap * sizeof *v) : NULL;
        if (!v) return jv_fail(err, JV_FATAL, "no memory for %zu special tokens", cap);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = m;
    return JV_OK;
}

/* The first of ids[lo..hi), whose texts agree in `depth` bytes and are longer, that goes on with c or more. */
static uint32_t lower_bound(const special *s, uint32_t lo, uint32_t hi, size_t depth, int c)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if ((uint8_t)s->v->text[s->ids[mid]].p[depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* All special tokens that begin at one place. */
static int32_t match_at(const special *s, jv_str text, const uint8_t *trusted, size_t at, special_list *l, jv_err *err)
{
    uint8_t c = (uint8_t)text.p[at];
    uint32_t lo = s->first[c], hi = s->first[c + 1];
    for (size_t depth = 1; lo < hi; depth++) {
        if (s->v->text[s->ids[lo]].n == depth) {
            int32_t rc = push(l, (special_match){(uint32_t)at, (uint32_t)depth, s->ids[lo++]}, err);
            if (rc < 0) return rc;
        }
        if (at + depth == text.n || !trusted[at + depth]) break;
        c = (uint8_t)text.p[at + depth];
        lo = lower_bound(s, lo, hi, depth, c);
        hi = lower_bound(s, lo, hi, depth, c + 1);
    }
    return JV_OK;
}

static int by_length(const void *a, const void *b)
{
    const special_match *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static int by_place(const void *a, const void *b)
{
    const special_match *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* Keeps the matches that stand: the longest first, and none that overlaps one already kept. As that one is at least as
 * long, it covers the first or the last byte. */
static int32_t resolve(special_list *l, size_t n, jv_err *err)
{
    if (l->n == 0) return JV_OK;
    uint8_t *taken = calloc(n, 1);
    if (!taken) return jv_fail(err, JV_FATAL, "no memory for %zu bytes of text", n);
    qsort(l->v, l->n, sizeof *l->v, by_length);
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++) {
        special_match m = l->v[i];
        if (taken[m.at] || taken[m.at + m.n - 1]) continue;
        memset(taken + m.at, 1, m.n);
        l->v[kept++] = m;
    }
    l->n = kept;
    qsort(l->v, l->n, sizeof *l->v, by_place);
    free(taken);
    return JV_OK;
}

int32_t special_find(const special *s, jv_str text, const uint8_t *trusted, special_list *out, jv_err *err)
{
    int32_t rc = JV_OK;
    for (size_t i = 0; i < text.n && rc >= 0; i++)
        if (trusted[i]) rc = match_at(s, text, trusted, i, out, err);
    return rc < 0 ? rc : resolve(out, text.n, err);
}
