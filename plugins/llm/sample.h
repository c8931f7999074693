/* sample.h: from logits to a token: the likeliest ones, a draw, and the sum of all probabilities. Knows nothing of
 * models. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "jevons.h"

/* Ids by value, best first, the lower id first among equals. Taking the first k of n costs n + k log n. `heap` is the
 * caller's, n ids. */
typedef struct ranking {
    const float *value;
    int32_t *heap;
    uint32_t n; /* left */
} ranking;

void ranking_init(ranking *r, const float *value, int32_t *heap, uint32_t n);
int32_t ranking_next(ranking *r); /* -1 when none is left */

/* Random numbers: SplitMix64 (Steele, Lea, Flood, doi:10.1145/2660193.2660195); any seed is as good as another. */
uint64_t random_next(uint64_t *state);
double random_unit(uint64_t *state); /* [0, 1), 53 bits */

typedef struct sampler {
    double temperature; /* 0: greedy */
    double top_p;       /* (0, 1] */
    uint64_t state;     /* of the random numbers: the seed at first */
    double *weight;     /* (n): room to work in; unused when greedy */
    int32_t *heap;      /* (n); unused when greedy or top_p = 1 */
} sampler;

/* Draws one of n ids. Greedy: the largest logit, the lowest id among equals. Else the probabilities are
 * softmax(logits / temperature), cut to the smallest set of likeliest ids that holds at least top_p. JV_OK, or BAD: a
 * logit is NaN or +infinity, or all are -infinity. */
int32_t sampler_draw(sampler *s, const float *logits, uint32_t n, int32_t *id, jv_err *err);

/* log(sum(exp(logits))), in double; BAD as above. */
int32_t log_sum_exp(const float *logits, uint32_t n, double *out, jv_err *err);

#endif
