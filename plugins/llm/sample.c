/* sample.c: choosing tokens. All sums are doubles over ids in ascending or ranked order, so a seed always gives the
 * same draw. */
#include "sample.h"

#include <math.h>

/* ---- ranking: a heap with the best at its root ------------------------------------------------------------------- */

static int before(const ranking *r, int32_t a, int32_t b)
{
    return r->value[a] > r->value[b] || (r->value[a] == r->value[b] && a < b);
}

static void sift_down(ranking *r, uint32_t at)
{
    for (;;) {
        uint32_t best = at, left = 2 * at + 1, right = left + 1;
        if (left < r->n && before(r, r->heap[left], r->heap[best])) best = left;
        if (right < r->n && before(r, r->heap[right], r->heap[best])) best = right;
        if (best == at) return;
        int32_t id = r->heap[at];
        r->heap[at] = r->heap[best];
        r->heap[best] = id;
        at = best;
    }
}

void ranking_init(ranking *r, const float *value, int32_t *heap, uint32_t n)
{
    *r = (ranking){value, heap, n};
    for (uint32_t i = 0; i < n; i++) heap[i] = (int32_t)i;
    for (uint32_t i = n / 2; i-- > 0;) sift_down(r, i);
}

int32_t ranking_next(ranking *r)
{
    if (r->n == 0) return -1;
    int32_t id = r->heap[0];
    r->heap[0] = r->heap[--r->n];
    sift_down(r, 0);
    return id;
}

/* ---- random numbers ---------------------------------------------------------------------------------------------- */

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double random_unit(uint64_t *state)
{
    return (double)(random_next(state) >> 11) * 0x1p-53;
}

/* ---- logits ------------------------------------------------------------------------------------------------------ */

/* The id of the largest logit, the lowest among equals. */
static int32_t largest(const float *logits, uint32_t n, int32_t *id, jv_err *err)
{
    *id = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (isnan(logits[i]) || logits[i] == INFINITY)
            return jv_fail(err, JV_BAD, "the logit of token %u is %s: the model's numbers have overflowed", i,
                isnan(logits[i]) ? "not a number" : "infinite");
        if (logits[i] > logits[*id]) *id = (int32_t)i;
    }
    if (n == 0 || logits[*id] == -INFINITY) return jv_fail(err, JV_BAD, "no token of %u has a probability", n);
    return JV_OK;
}

int32_t log_sum_exp(const float *logits, uint32_t n, double *out, jv_err *err)
{
    int32_t best, rc = largest(logits, n, &best, err);
    if (rc != JV_OK) return rc;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += exp((double)logits[i] - logits[best]);
    *out = logits[best] + log(sum);
    return JV_OK;
}

/* Ids best first until they hold top_p of the total; then a draw among them. */
static int32_t draw_top(sampler *s, const float *logits, uint32_t n, double total)
{
    ranking r;
    ranking_init(&r, logits, s->heap, n);
    double held = 0, goal = s->top_p * total;
    uint32_t kept = 0;
    while (kept < n && (kept == 0 || held < goal)) {
        int32_t id = ranking_next(&r);
        s->heap[n - ++kept] = id; /* the place the heap has just given up */
        held += s->weight[id];
    }
    double u = random_unit(&s->state) * held, sum = 0;
    for (uint32_t i = 1; i < kept; i++) {
        sum += s->weight[s->heap[n - i]];
        if (u < sum) return s->heap[n - i];
    }
    return s->heap[n - kept];
}

static int32_t draw_any(sampler *s, uint32_t n, double total, int32_t best)
{
    double u = random_unit(&s->state) * total, sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += s->weight[i];
        if (u < sum) return (int32_t)i;
    }
    return best; /* u rounded up to the total */
}

int32_t sampler_draw(sampler *s, const float *logits, uint32_t n, int32_t *id, jv_err *err)
{
    int32_t best, rc = largest(logits, n, &best, err);
    if (rc != JV_OK) return rc;
    *id = best;
    if (s->temperature == 0) return JV_OK;
    double total = 0;
    for (uint32_t i = 0; i < n; i++) {
        s->weight[i] = exp(((double)logits[i] - logits[best]) / s->temperature);
        total += s->weight[i];
    }
    *id = s->top_p < 1 ? draw_top(s, logits, n, total) : draw_any(s, n, total, best);
    return JV_OK;
}
