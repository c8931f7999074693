/* special.c: a sorted list of texts, narrowed byte by byte at each place; then the matches that stand are chosen. */
#include "special.h"

#include "heap.h"

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
        s->n_user += v->type[i] == TOKEN_USER;
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

/* A text being searched. Matches that may stand wait in a heap, of each place only the longest that fits: a text of n
 * bytes with special tokens everywhere costs 8 n bytes and O(n log n) steps. */
typedef struct search {
    const special *s;
    jv_str text;
    const uint8_t *trusted; /* or null: no byte is */
    uint8_t *taken;         /* [text.n] bytes of matches that stand */
    uint64_t *heap;
    size_t n_heap;
} search;

/* The longest first, then the lowest id, then the leftmost. */
static uint64_t key_of(size_t at, size_t n, int32_t id)
{
    return (uint64_t)(MAX_BYTES - n) << 53 | (uint64_t)id << 31 | at;
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

/* The longest special token that begins at one place and takes no byte that is taken; -1: none. */
static int32_t match_at(const search *f, size_t at)
{
    const special *s = f->s;
    uint32_t lo = s->first[(uint8_t)f->text.p[at]], hi = s->first[(uint8_t)f->text.p[at] + 1];
    int32_t best = -1;
    bool trusted = true;
    for (size_t depth = 1; lo < hi && !f->taken[at + depth - 1]; depth++) {
        trusted = trusted && f->trusted && f->trusted[at + depth - 1];
        if (s->v->text[s->ids[lo]].n == depth) {
            if (trusted || !vocab_is_control(s->v, s->ids[lo])) best = s->ids[lo];
            lo++;
        }
        if (at + depth == f->text.n) break;
        int c = (uint8_t)f->text.p[at + depth];
        lo = lower_bound(s, lo, hi, depth, c);
        hi = lower_bound(s, lo, hi, depth, c + 1);
    }
    return best;
}

static void offer(search *f, size_t at)
{
    int32_t id = match_at(f, at);
    if (id >= 0) heap_push(f->heap, &f->n_heap, key_of(at, f->s->v->text[id].n, id));
}

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

static int by_place(const void *a, const void *b)
{
    const special_match *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* One that overlaps a match that stands gives way to the next shorter at its place: as that one is at least as long,
 * it covers the first or the last byte. */
static int32_t resolve(search *f, special_list *out, jv_err *err)
{
    int32_t rc = JV_OK;
    while (f->n_heap > 0 && rc >= 0) {
        uint64_t key = heap_pop(f->heap, &f->n_heap);
        size_t at = key & INT32_MAX, n = MAX_BYTES - (size_t)(key >> 53);
        if (f->taken[at]) continue;
        if (f->taken[at + n - 1]) {
            offer(f, at);
            continue;
        }
        memset(f->taken + at, 1, n);
        rc = push(out, (special_match){(uint32_t)at, (uint32_t)n, (int32_t)(key >> 31 & (VOCAB_MAX - 1))}, err);
    }
    if (out->n) qsort(out->v, out->n, sizeof *out->v, by_place);
    return rc;
}

/* Whether a special token may begin at a place. */
static bool may_begin(const special *s, jv_str text, const uint8_t *trusted, size_t at)
{
    uint8_t c = (uint8_t)text.p[at];
    return s->first[c] < s->first[c + 1] && (s->n_user || (trusted && trusted[at]));
}

int32_t special_find(const special *s, jv_str text, const uint8_t *trusted, special_list *out, jv_err *err)
{
    size_t n = 0;
    if (!trusted && !s->n_user) return JV_OK;
    for (size_t i = 0; i < text.n; i++) n += may_begin(s, text, trusted, i);
    if (n == 0) return JV_OK;
    search f = {s, text, trusted, calloc(text.n, 1), malloc(n * sizeof *f.heap), 0};
    int32_t rc = JV_FATAL;
    if (!f.taken || !f.heap) {
        jv_fail(err, JV_FATAL, "no memory to look for special tokens at %zu places", n);
    } else {
        for (size_t i = 0; i < text.n; i++)
            if (may_begin(s, text, trusted, i)) offer(&f, i);
        rc = resolve(&f, out, err);
    }
    free(f.taken);
    free(f.heap);
    return rc;
}
