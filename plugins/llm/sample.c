/* sample.c: choosing tokens, in the order that sample.h lays down. */
#include "sample.h"
#include "logits.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

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

/* ---- room -------------------------------------------------------------------------------------------------------- */

struct sample_room {
    uint32_t n, blocks;
    float *best;    /* (blocks) */
    double *sum;    /* (blocks): weights of each */
    int32_t *id;    /* (n): candidates */
    double *weight; /* (n) */
};

static uint32_t blocks_of(uint32_t vocabulary)
{
    return vocabulary / LOGITS_BLOCK + (vocabulary % LOGITS_BLOCK != 0);
}

uint64_t sample_room_bytes(uint32_t vocabulary)
{
    return sizeof(sample_room) + (uint64_t)vocabulary * (sizeof(int32_t) + sizeof(double)) +
           (uint64_t)blocks_of(vocabulary) * (sizeof(float) + sizeof(double));
}

sample_room *sample_room_new(uint32_t vocabulary)
{
    sample_room *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->n = vocabulary;
    r->blocks = blocks_of(vocabulary);
    r->best = calloc(r->blocks, sizeof *r->best);
    r->sum = calloc(r->blocks, sizeof *r->sum);
    r->id = calloc(vocabulary, sizeof *r->id);
    r->weight = calloc(vocabulary, sizeof *r->weight);
    if (r->best && r->sum && r->id && r->weight) return r;
    sample_room_free(r);
    return NULL;
}

void sample_room_free(sample_room *r)
{
    if (!r) return;
    free(r->best);
    free(r->sum);
    free(r->id);
    free(r->weight);
    free(r);
}

/* ---- what a sampler remembers ------------------------------------------------------------------------------------ */

/* A token whose logit is not taken as it is. */
typedef struct special {
    int32_t id;
    uint32_t made; /* how often it stands in the answer */
    bool in_prompt;
    float logit; /* as the model has it, while another stands in its place */
    double bias;
} special;

struct sampler {
    double scale; /* 1 / temperature; 0: greedy */
    double top_p, min_p, presence, frequency, repetition;
    uint32_t top_k; /* 0: off */
    uint64_t state; /* of the random numbers */
    special *v;     /* each token once */
    uint32_t n, cap;
    uint32_t *slot; /* (slots): 1 + index in v, by open addressing; 0: free */
    uint32_t slots; /* a power of two, at least twice cap */
};

static uint32_t *slot_of(const sampler *s, int32_t id)
{
    uint32_t at = (uint32_t)id * UINT32_C(0x9e3779b1);
    for (at ^= at >> 15;; at++) {
        uint32_t *slot = &s->slot[at & (s->slots - 1)];
        if (!*slot || s->v[*slot - 1].id == id) return slot;
    }
}

static bool grow(sampler *s)
{
    uint32_t cap = s->cap ? 2 * s->cap : 64;
    special *v = cap > s->cap && cap <= UINT32_MAX / 4 ? realloc(s->v, cap * sizeof *v) : NULL;
    if (!v) return false;
    s->v = v;
    uint32_t *slot = calloc((size_t)2 * cap, sizeof *slot);
    if (!slot) return false;
    free(s->slot);
    s->slot = slot;
    s->cap = cap;
    s->slots = 2 * cap;
    for (uint32_t i = 0; i < s->n; i++) *slot_of(s, v[i].id) = i + 1;
    return true;
}

/* The entry of a token, made when there is none. Null: no memory. */
static special *entry(sampler *s, int32_t id)
{
    if (s->n == s->cap && !grow(s)) return NULL;
    uint32_t *slot = slot_of(s, id);
    if (!*slot) {
        s->v[s->n] = (special){.id = id};
        *slot = ++s->n;
    }
    return &s->v[*slot - 1];
}

#define COLDEST 1e-30 /* 1 / temperature must be finite; no two logits are so close that this matters */

sampler *sampler_new(const llm_request *req, uint32_t answer)
{
    sampler *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->scale = req->temperature > 0 ? 1 / fmax(req->temperature, COLDEST) : 0;
    s->top_p = req->top_p;
    s->min_p = req->min_p;
    s->top_k = req->top_k < UINT32_MAX ? (uint32_t)req->top_k : 0;
    s->presence = req->presence_penalty;
    s->frequency = req->frequency_penalty;
    s->repetition = req->repetition_penalty;
    s->state = req->seed;
    if (answer) { /* seeds next to each other would give shifted copies of one stream */
        s->state ^= answer * UINT64_C(0xd1342543de82ef95);
        s->state = random_next(&s->state);
    }
    for (size_t i = 0; i < req->n_bias; i++) {
        special *e = entry(s, req->bias[i].token);
        if (e) e->bias = req->bias[i].bias;
        if (e) continue;
        sampler_free(s);
        return NULL;
    }
    return s;
}

void sampler_free(sampler *s)
{
    if (!s) return;
    free(s->v);
    free(s->slot);
    free(s);
}

int32_t sampler_prompt(sampler *s, const int32_t *ids, size_t n, jv_err *err)
{
    if (s->repetition == 1) return JV_OK;
    for (size_t i = 0; i < n; i++) {
        special *e = entry(s, ids[i]);
        if (!e) return jv_fail(err, JV_FATAL, "no memory for the penalties of %u tokens", s->n);
        e->in_prompt = true;
    }
    return JV_OK;
}

int32_t sampler_made(sampler *s, int32_t id, jv_err *err)
{
    if (s->repetition == 1 && s->presence == 0 && s->frequency == 0) return JV_OK;
    special *e = entry(s, id);
    if (!e) return jv_fail(err, JV_FATAL, "no memory for the penalties of %u tokens", s->n);
    e->made++;
    return JV_OK;
}

/* Steps 1 to 3. What is finite stays finite. */
static void put_penalties(sampler *s, float *v)
{
    for (uint32_t i = 0; i < s->n; i++) {
        special *e = &s->v[i];
        double l = e->logit = v[e->id];
        if (e->in_prompt || e->made) l = l > 0 ? l / s->repetition : l * s->repetition;
        if (e->made) l -= e->made * s->frequency + s->presence;
        l += e->bias;
        if (isfinite(e->logit) && isfinite(e->bias)) l = fmin(fmax(l, -FLT_MAX), FLT_MAX);
        v[e->id] = (float)l;
    }
}

static void take_penalties(const sampler *s, float *v)
{
    for (uint32_t i = 0; i < s->n; i++) v[s->v[i].id] = s->v[i].logit;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* The m first candidates of the room, with their weights. */
static int32_t draw_among(sampler *s, const sample_room *r, uint32_t m)
{
    double total = 0, sum = 0;
    for (uint32_t i = 0; i < m; i++) total += r->weight[i];
    double u = random_unit(&s->state) * total;
    for (uint32_t i = 0; i < m; i++) {
        sum += r->weight[i];
        if (u < sum) return r->id[i];
    }
    return r->id[0]; /* u rounded up to the total */
}

/* Anything of the vocabulary: first a block, then one of its tokens. */
static int32_t draw_any(sampler *s, const sample_room *r, const logits *l)
{
    double u = random_unit(&s->state) * logits_sum(l, s->scale, r->sum), sum = 0;
    uint32_t b = 0;
    while (b < r->blocks && u >= sum + r->sum[b]) sum += r->sum[b++];
    int32_t last = l->id;
    for (uint32_t i = b * LOGITS_BLOCK; i < l->n && i / LOGITS_BLOCK == b; i++) {
        double weight = logits_weight(l, (int32_t)i, s->scale);
        if (weight > 0) last = (int32_t)i;
        sum += weight;
        if (u < sum) break;
    }
    return last;
}

static void weigh(const sampler *s, const sample_room *r, const logits *l, uint32_t m)
{
    for (uint32_t i = 0; i < m; i++) r->weight[i] = logits_weight(l, r->id[i], s->scale);
}

/* How many of m ranked candidates hold top_p of their sum. */
static uint32_t cut_top_p(const sampler *s, const sample_room *r, uint32_t m)
{
    double total = 0, held = 0;
    for (uint32_t i = 0; i < m; i++) total += r->weight[i];
    uint32_t kept = 0;
    while (kept < m && (kept == 0 || held < s->top_p * total)) held += r->weight[kept++];
    return kept;
}

/* The candidates that hold top_p of all, ranked: looked for among the few likeliest first, since mostly they are there.
 * The heap gives a place free at its end for each it hands out; they are turned round at the end. */
static uint32_t nucleus(const sampler *s, const sample_room *r, const logits *l)
{
    static const double depths[] = {4, 8, 16, 32, INFINITY};
    double goal = s->top_p * logits_sum(l, s->scale, r->sum);
    uint32_t kept = 0, n = 0;
    for (uint32_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        double held = 0;
        n = logits_gather(l, s->scale, depths[i], r->id);
        ranking rank = {l->v, r->id, n};
        ranking_init(&rank);
        for (kept = 0; kept < n && (kept == 0 || held < goal);) {
            int32_t id = ranking_next(&rank);
            r->id[n - ++kept] = id;
            held += logits_weight(l, id, s->scale);
        }
        if (held >= goal) break;
    }
    for (uint32_t i = 0; i < kept && i < n - 1 - i; i++) {
        int32_t other = r->id[i];
        r->id[i] = r->id[n - 1 - i];
        r->id[n - 1 - i] = other;
    }
    weigh(s, r, l, kept);
    return kept;
}

static uint32_t cut_min_p(const sampler *s, const sample_room *r, uint32_t m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m; i++) {
        if (r->weight[i] < s->min_p) continue;
        r->id[kept] = r->id[i];
        r->weight[kept++] = r->weight[i];
    }
    return kept;
}

/* Steps 4 to 9. */
static int32_t choose(sampler *s, const sample_room *r, const logits *l)
{
    if (s->scale == 0) return l->id;
    bool few = s->top_k && s->top_k < l->n;
    if (!few && s->top_p == 1 && s->min_p == 0) return draw_any(s, r, l);
    uint32_t m;
    if (few) {
        m = s->top_k;
        logits_top(l, m, r->id);
        weigh(s, r, l, m);
        if (s->top_p < 1) m = cut_top_p(s, r, m);
    } else if (s->top_p < 1) {
        m = nucleus(s, r, l);
    } else {
        m = logits_gather(l, s->scale, -log(s->min_p), r->id);
        weigh(s, r, l, m);
    }
    return draw_among(s, r, cut_min_p(s, r, m));
}

int32_t sampler_draw(sampler *s, sample_room *r, float *v, int32_t *id, jv_err *err)
{
    logits l = {.v = v, .n = r->n, .blocks = r->blocks, .best = r->best};
    put_penalties(s, v);
    int32_t rc = logits_scan(&l, err);
    if (rc == JV_OK) *id = choose(s, r, &l);
    take_penalties(s, v);
    return rc;
}

/* ---- probabilities ----------------------------------------------------------------------------------------------- */

int32_t sample_logprobs(sample_room *r, const float *v, size_t top, llm_token *t, jv_err *err)
{
    logits l = {.v = v, .n = r->n, .blocks = r->blocks, .best = r->best};
    int32_t rc = logits_scan(&l, err);
    if (rc != JV_OK) return rc;
    double norm = v[l.id] + log(logits_sum(&l, 1, r->sum));
    t->logprob = v[t->token] - norm;
    t->n_top = top < r->n ? top : r->n;
    logits_top(&l, (uint32_t)t->n_top, r->id);
    for (size_t i = 0; i < t->n_top; i++) r->weight[i] = v[r->id[i]] - norm;
    t->top = r->id;
    t->top_logprob = r->weight;
    return JV_OK;
}
