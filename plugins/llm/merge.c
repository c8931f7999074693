/*
 * merge.c: the joining of neighbours. The row is a doubly linked list. Each symbol knows the rank of joining it with
 * its right neighbour; candidates wait in a heap as rank * 2^32 + position, so that the smallest number is the next to
 * join. A candidate whose symbol has another rank by now is out of date and skipped: it is never searched for.
 */
#include "merge.h"

#include "heap.h"

#include <stdlib.h>

int32_t merge_reserve(merge_work *w, size_t n, jv_err *err)
{
    if (n <= w->cap) return JV_OK;
    merge_work_free(w);
    size_t cap = n < 64 ? 64 : n + n / 2;
    w->symbols = malloc(cap * sizeof *w->symbols);
    w->heap = malloc(cap * 2 * sizeof *w->heap);
    if (!w->symbols || !w->heap) {
        merge_work_free(w);
        return jv_fail(err, JV_FATAL, "no memory to merge %zu bytes", n);
    }
    w->cap = cap;
    return JV_OK;
}

void merge_work_free(merge_work *w)
{
    free(w->symbols);
    free(w->heap);
    *w = (merge_work){0};
}

typedef struct merger {
    merge_symbol *symbols;
    uint64_t *heap;
    size_t n_heap;
    merge_rule *rule;
    const void *self;
} merger;

/* Makes symbol i and its right neighbour a candidate, if the rule joins them. */
static void consider(merger *m, uint32_t i)
{
    merge_symbol *s = &m->symbols[i];
    s->rank = s->next == MERGE_END ? MERGE_NEVER : m->rule(m->self, s, &m->symbols[s->next], &s->made);
    if (s->rank != MERGE_NEVER) heap_push(m->heap, &m->n_heap, (uint64_t)s->rank << 32 | i);
}

/* The heap never holds more than 2n: at most n - 1 at first, and each join takes one out and puts at most two in. */
void merge_all(merge_work *w, size_t n, merge_rule *rule, const void *self)
{
    merger m = {.symbols = w->symbols, .heap = w->heap, .rule = rule, .self = self};
    merge_symbol *s = w->symbols;
    for (size_t i = 0; i < n; i++) consider(&m, (uint32_t)i);
    while (m.n_heap > 0) {
        uint64_t best = heap_pop(m.heap, &m.n_heap);
        uint32_t left = (uint32_t)best;
        if (s[left].rank != (uint32_t)(best >> 32)) continue;
        uint32_t right = s[left].next, beyond = s[right].next;
        s[left].id = s[left].made;
        s[left].n += s[right].n;
        s[left].next = beyond;
        s[right].rank = MERGE_NEVER;
        if (beyond != MERGE_END) s[beyond].prev = left;
        consider(&m, left);
        if (s[left].prev != MERGE_END) consider(&m, s[left].prev);
    }
}
