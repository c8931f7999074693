/* logits.h: passes over the logits of a whole vocabulary, which is cut into blocks so that most of it can be skipped. */
#ifndef LOGITS_H
#define LOGITS_H

#include "jevons.h"

#include <stdbool.h>

#define LOGITS_BLOCK 1024u

typedef struct logits {
    const float *v;
    uint32_t n;
    uint32_t blocks;
    float *best; /* (blocks): the largest of each */
    int32_t id;  /* of the largest of all, the lowest among equals */
} logits;

/* Fills l->best and l->id. JV_OK, or BAD: one is NaN or +infinity, or all are -infinity. */
int32_t logits_scan(logits *l, jv_err *err);

/* exp(x) for x <= 0, relative error below 1e-14; 0 below -700. The same everywhere, which libm's is not. */
double logits_exp(double x);
/* exp((v - the largest) * scale): 1 for the likeliest. scale > 0, finite. */
double logits_weight(const logits *l, int32_t id, double scale);
/* The weights of all, added up; and of each block, to sum (blocks). */
double logits_sum(const logits *l, double scale, double *sum);

/* Those whose weight is e^-depth or more, and maybe a few just below; in ascending order. Returns how many. */
uint32_t logits_gather(const logits *l, double scale, double depth, int32_t *id);
/* The k largest, best first, the lower id first among equals. k <= n. */
void logits_top(const logits *l, uint32_t k, int32_t *id);

/* Ids by value, best first as above, one after the other: of n costs n at first and log n each. */
typedef struct ranking {
    const float *v;
    int32_t *heap; /* the caller's: at first the n ids */
    uint32_t n;    /* left */
} ranking;

void ranking_init(ranking *r);
int32_t ranking_next(ranking *r); /* -1 when none is left; heap[n] is free then, with the new n */

#endif
