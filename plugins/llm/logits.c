/*
 * logits.c: the largest of a vocabulary's logits, the k largest, and sums of exponentials. A model's step makes one row
 * of them for each of many sequences, 150,000 numbers a row: what goes over all of them is written so that compilers
 * turn it into vector code, and all sums have one order.
 */
#include "logits.h"

#include <math.h>
#include <string.h>

/* NAME_fast: the always-inlined function NAME, compiled once for any machine and once for those with AVX2; the values
 * are the same, since neither fuses products into sums. */
#if defined(__x86_64__)
#define WITH_AVX2(name, params, args)                                                                                  \
    __attribute__((target("avx2"))) static void name##_avx2 params                                                     \
    {                                                                                                                  \
        name args;                                                                                                     \
    }                                                                                                                  \
    static void name##_fast params                                                                                     \
    {                                                                                                                  \
        if (__builtin_cpu_supports("avx2"))                                                                            \
            name##_avx2 args;                                                                                          \
        else                                                                                                           \
            name args;                                                                                                 \
    }
#else
#define WITH_AVX2(name, params, args)                                                                                  \
    static void name##_fast params                                                                                     \
    {                                                                                                                  \
        name args;                                                                                                     \
    }
#endif

/* ---- the largest ------------------------------------------------------------------------------------------------- */

/* A float as an integer that sorts as it does: compilers vectorise an integer maximum, but no float one, for which
 * order and NaN matter. Adding 0 makes -0 and 0 equal. NaN lands above +infinity or below -infinity. */
static inline int32_t key_of(float x)
{
    x += 0.0f;
    int32_t k;
    memcpy(&k, &x, sizeof k);
    return k ^ (k >> 31 & 0x7fffffff);
}

static inline float of_key(int32_t k)
{
    float x;
    k ^= k >> 31 & 0x7fffffff;
    memcpy(&x, &k, sizeof x);
    return x;
}

#define KEY_INFINITY 0x7f800000
#define KEY_MINUS_INFINITY (~KEY_INFINITY)

static inline __attribute__((always_inline)) void range_of(const float *v, uint32_t n, int32_t *least, int32_t *most)
{
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (uint32_t i = 0; i < n; i++) {
        int32_t k = key_of(v[i]);
        low = k < low ? k : low;
        high = k > high ? k : high;
    }
    if (low < *least) *least = low;
    *most = high;
}

WITH_AVX2(range_of, (const float *v, uint32_t n, int32_t *least, int32_t *most), (v, n, least, most))

/* Where the trouble is, now that there is some. */
static int32_t overflowed(const logits *l, jv_err *err)
{
    uint32_t i = 0;
    while (i + 1 < l->n && !isnan(l->v[i]) && l->v[i] != INFINITY) i++;
    return jv_fail(err, JV_BAD, "the logit of token %u is %s: the model's numbers have overflowed", i,
        isnan(l->v[i]) ? "not a number" : "infinite");
}

int32_t logits_scan(logits *l, jv_err *err)
{
    int32_t least = INT32_MAX, most = INT32_MIN, high;
    uint32_t at = 0;
    for (uint32_t b = 0; b < l->blocks; b++) {
        const float *v = l->v + (size_t)b * LOGITS_BLOCK;
        uint32_t left = l->n - b * LOGITS_BLOCK;
        range_of_fast(v, left < LOGITS_BLOCK ? left : LOGITS_BLOCK, &least, &high);
        l->best[b] = of_key(high);
        if (high > most) at = b;
        if (high > most) most = high;
    }
    if (most >= KEY_INFINITY || least < KEY_MINUS_INFINITY) return overflowed(l, err);
    if (most <= KEY_MINUS_INFINITY) return jv_fail(err, JV_BAD, "no token of %u has a probability", l->n);
    uint32_t i = at * LOGITS_BLOCK;
    while (l->v[i] != l->best[at]) i++;
    l->id = (int32_t)i;
    return JV_OK;
}

/* ---- exponentials ------------------------------------------------------------------------------------------------ */

/* x = k ln 2 + r, |r| <= ln 2 / 2; e^r by its series, whose first term left out is below 1e-14; 2^k put in as exponent.
 * ln 2 is in two parts, of which k times the first is exact. No branches, so that a loop over it becomes vector code. */
static inline double exp_of(double x)
{
    static const double round = 0x1.8p52; /* added, the integer part stands in the lowest bits */
    double shifted = x * 0x1.71547652b82fep+0 + round, k = shifted - round;
    double r = x - k * 0x1.62e42feep-1 - k * 0x1.a39ef35793c76p-33, e = 1.0 / 39916800;
    e = e * r + 1.0 / 3628800;
    e = e * r + 1.0 / 362880;
    e = e * r + 1.0 / 40320;
    e = e * r + 1.0 / 5040;
    e = e * r + 1.0 / 720;
    e = e * r + 1.0 / 120;
    e = e * r + 1.0 / 24;
    e = e * r + 1.0 / 6;
    e = e * r + 0.5;
    e = e * r + 1;
    e = e * r + 1;
    uint64_t bits, power;
    memcpy(&bits, &e, sizeof bits);
    memcpy(&power, &shifted, sizeof power);
    bits = (bits + (power << 52)) & -(uint64_t)(x >= -700);
    memcpy(&e, &bits, sizeof e);
    return e;
}

double logits_exp(double x)
{
    return exp_of(x);
}

double logits_weight(const logits *l, int32_t id, double scale)
{
    return exp_of(((double)l->v[id] - (double)l->v[l->id]) * scale);
}

static inline __attribute__((always_inline)) void weigh(const float *v, uint32_t n, double best, double scale, double *to)
{
    for (uint32_t i = 0; i < n; i++) to[i] = exp_of(((double)v[i] - best) * scale);
}

WITH_AVX2(weigh, (const float *v, uint32_t n, double best, double scale, double *to), (v, n, best, scale, to))

#define LANES 8 /* sums at once: element i of a block belongs to sum i % 8, and these are added in order */

static double sum_block(const float *v, uint32_t n, double best, double scale)
{
    double weight[LOGITS_BLOCK], lane[LANES] = {0}, sum = 0;
    weigh_fast(v, n, best, scale, weight);
    for (uint32_t i = n; i % LANES; i++) weight[i] = 0;
    for (uint32_t i = 0; i < n; i += LANES)
        for (uint32_t k = 0; k < LANES; k++) lane[k] += weight[i + k];
    for (uint32_t k = 0; k < LANES; k++) sum += lane[k];
    return sum;
}

double logits_sum(const logits *l, double scale, double *sum)
{
    double total = 0, best = l->v[l->id];
    for (uint32_t b = 0; b < l->blocks; b++) {
        uint32_t at = b * LOGITS_BLOCK, n = l->n - at < LOGITS_BLOCK ? l->n - at : LOGITS_BLOCK;
        sum[b] = sum_block(l->v + at, n, best, scale);
        total += sum[b];
    }
    return total;
}

/* ---- the likeliest ----------------------------------------------------------------------------------------------- */

uint32_t logits_gather(const logits *l, double scale, double depth, int32_t *id)
{
    double least = (double)l->v[l->id] - depth / scale;
    least -= fabs(least) * 1e-9; /* rather one too many */
    uint32_t n = 0;
    for (uint32_t b = 0; b < l->blocks; b++) {
        if (l->best[b] < least) continue;
        uint32_t at = b * LOGITS_BLOCK, end = l->n - at < LOGITS_BLOCK ? l->n : at + LOGITS_BLOCK;
        for (uint32_t i = at; i < end; i++) {
            id[n] = (int32_t)i;
            n += l->v[i] >= least;
        }
    }
    return n;
}

static inline bool before(const float *v, int32_t a, int32_t b)
{
    return v[a] > v[b] || (v[a] == v[b] && a < b);
}

/* A heap whose root is the best (sign 1) or the worst (sign -1). */
static void sift_down(const float *v, int32_t *heap, uint32_t n, uint32_t at, int sign)
{
    int32_t id = heap[at];
    for (uint32_t kid; (kid = 2 * at + 1) < n; at = kid) {
        if (kid + 1 < n && before(v, heap[kid + 1], heap[kid]) == (sign > 0)) kid++;
        if (before(v, heap[kid], id) != (sign > 0)) break;
        heap[at] = heap[kid];
    }
    heap[at] = id;
}

static void make_heap(const float *v, int32_t *heap, uint32_t n, int sign)
{
    for (uint32_t i = n / 2; i-- > 0;) sift_down(v, heap, n, i, sign);
}

void ranking_init(ranking *r)
{
    make_heap(r->v, r->heap, r->n, 1);
}

int32_t ranking_next(ranking *r)
{
    if (r->n == 0) return -1;
    int32_t id = r->heap[0];
    r->heap[0] = r->heap[--r->n];
    if (r->n) sift_down(r->v, r->heap, r->n, 0, 1);
    return id;
}

/* A heap of the k best so far, the worst of them at its root: what is no better is passed over, a block at a time. */
void logits_top(const logits *l, uint32_t k, int32_t *id)
{
    if (k == 0) return;
    for (uint32_t i = 0; i < k; i++) id[i] = (int32_t)i;
    make_heap(l->v, id, k, -1);
    for (uint32_t i = k; i < l->n; i++) {
        float worst = l->v[id[0]];
        if (i % LOGITS_BLOCK == 0)
            while (i < l->n && l->best[i / LOGITS_BLOCK] <= worst) i += LOGITS_BLOCK;
        if (i >= l->n) break;
        if (l->v[i] <= worst) continue; /* an equal one has the higher id */
        id[0] = (int32_t)i;
        sift_down(l->v, id, k, 0, -1);
    }
    for (uint32_t n = k; n > 1; n--) { /* the worst goes to the end */
        int32_t worst = id[0];
        id[0] = id[n - 1];
        sift_down(l->v, id, n - 1, 0, -1);
        id[n - 1] = worst;
    }
}
