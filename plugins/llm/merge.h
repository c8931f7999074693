/*
 * merge.h: joins neighbours in a row of symbols as long as a rule allows it: the pair of least rank first, of equal
 * ones the leftmost. Both kinds of vocabularies work so; the rules are theirs (bpe.c, spm.c). Internal to the
 * tokenizer.
 */
#ifndef MERGE_H
#define MERGE_H

#include "jevons.h"

#define MERGE_NEVER UINT32_MAX
#define MERGE_END UINT32_MAX

typedef struct merge_symbol {
    uint32_t prev, next; /* MERGE_END: none */
    uint32_t at, n;      /* bytes of the text */
    int32_t id;          /* its token; -1: it is none */
    uint32_t rank;       /* of the pair with `next`; MERGE_NEVER: they are not joined, or this one was absorbed */
    int32_t made;        /* what joining that pair makes */
} merge_symbol;

/* Room for one row after another; {0} is empty. */
typedef struct merge_work {
    merge_symbol *symbols; /* [cap] */
    uint64_t *heap;        /* [2 * cap] */
    size_t cap;
} merge_work;

/* The rank of joining two neighbours, and the token they make; or MERGE_NEVER. */
typedef uint32_t merge_rule(const void *self, const merge_symbol *left, const merge_symbol *right, int32_t *made);

/* Room for n symbols; what was in it is lost. JV_OK or FATAL (no memory). */
int32_t merge_reserve(merge_work *w, size_t n, jv_err *err);
void merge_work_free(merge_work *w);

/* Symbol i < n of the row, a piece of the text that is not joined yet. Symbols are set in order. */
static inline void merge_set(merge_work *w, size_t i, size_t n, merge_symbol s)
{
    s.prev = i > 0 ? (uint32_t)i - 1 : MERGE_END;
    s.next = i + 1 < n ? (uint32_t)i + 1 : MERGE_END;
    s.rank = MERGE_NEVER;
    w->symbols[i] = s;
}

/* Joins what the rule allows among symbols 0..n; what is left begins at symbol 0 and goes on at `next`. O(n log n)
 * calls of the rule at most. */
void merge_all(merge_work *w, size_t n, merge_rule *rule, const void *self);

#endif
