/*
 * backend_attention.c: attention of any backend. A scene is some sequences with queries, keys and values for each of
 * their tokens. What a token gets is computed here in double by the definition; and it must be the same to the byte
 * however the tokens come: one by one, whole prompts, cut anywhere, sequences together, in whatever blocks.
 */
#include "backend_tests.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEQUENCES 4
#define BLOCKS 64
#define LAYERS 2
#define CAPACITY 512 /* tokens of a batch */

typedef struct shape {
    uint32_t heads, kv_heads, dim, rope_dims, pairs, window;
    bool norms, factors;
} shape;

static const shape shapes[] = {
    {9, 3, 64, 64, BK_ROPE_ADJACENT, 0, false, false},
    {4, 2, 64, 64, BK_ROPE_HALVES, 0, false, true},
    {12, 2, 128, 128, BK_ROPE_HALVES, 0, false, false},
    {4, 1, 256, 256, BK_ROPE_HALVES, 40, true, false},
    {2, 2, 80, 32, BK_ROPE_HALVES, 0, true, true},
    {5, 1, 96, 96, BK_ROPE_ADJACENT, 100, false, false},
    {3, 1, 20, 6, BK_ROPE_ADJACENT, 1, true, false},
    {26, 1, 32, 0, BK_ROPE_HALVES, 33, false, false},
    {1, 1, 1, 0, BK_ROPE_HALVES, 0, false, false},
};

typedef struct scene {
    shape s;
    uint32_t type;              /* of the cache */
    uint32_t length[SEQUENCES]; /* 0: no such sequence */
    float *q[SEQUENCES], *k[SEQUENCES], *v[SEQUENCES], *out[SEQUENCES];
    float q_norm[256], k_norm[256], factors[128];
    bk_attention a; /* without its tensors */
} scene;

static uint64_t q_width(const scene *s)
{
    return (uint64_t)s->s.heads * s->s.dim;
}

static uint64_t kv_width(const scene *s)
{
    return (uint64_t)s->s.kv_heads * s->s.dim;
}

static scene *scene_new(const shape *s, uint32_t type, const uint32_t *length)
{
    scene *c = calloc(1, sizeof *c);
    c->s = *s;
    c->type = type;
    kit_seed(77);
    for (int i = 0; i < SEQUENCES; i++) {
        c->length[i] = length[i];
        c->q[i] = kit_floats(length[i] * q_width(c), 3);
        c->k[i] = kit_floats(length[i] * kv_width(c), 3);
        c->v[i] = kit_floats(length[i] * kv_width(c), 3);
        c->out[i] = calloc(length[i] * q_width(c) + 1, sizeof(float));
    }
    for (uint32_t i = 0; i < s->dim; i++) {
        c->q_norm[i] = kit_uniform() + 1.5f;
        c->k_norm[i] = kit_uniform() + 1.5f;
    }
    for (uint32_t i = 0; i < s->rope_dims / 2; i++) c->factors[i] = kit_uniform() + 2;
    c->a = (bk_attention){.struct_size = sizeof c->a,
        .layer = 1,
        .heads = s->heads,
        .kv_heads = s->kv_heads,
        .head_dim = s->dim,
        .window = s->window,
        .scale = 1 / sqrtf((float)s->dim),
        .eps = 1e-5f,
        .rope_pairs = s->pairs,
        .rope_dims = s->rope_dims,
        .rope_base = 10000};
    return c;
}

static void scene_free(scene *c)
{
    for (int i = 0; i < SEQUENCES; i++) {
        free(c->q[i]);
        free(c->k[i]);
        free(c->v[i]);
        free(c->out[i]);
    }
    free(c);
}

/* ---- in double --------------------------------------------------------------------------------------------------- */

static void norm_and_turn(const scene *c, double *x, const float *norm, uint32_t pos)
{
    uint32_t dim = c->s.dim, dims = c->s.rope_dims;
    double squares = 0;
    for (uint32_t d = 0; d < dim; d++) squares += x[d] * x[d];
    double factor = 1 / sqrt(squares / dim + (double)c->a.eps);
    for (uint32_t d = 0; d < dim && c->s.norms; d++) x[d] *= factor * (double)norm[d];
    for (uint32_t i = 0; i < dims / 2; i++) {
        double angle = pos * pow(c->a.rope_base, -2.0 * i / dims) / (c->s.factors ? (double)c->factors[i] : 1);
        double *u = c->s.pairs == BK_ROPE_HALVES ? &x[i] : &x[2 * i];
        double *w = c->s.pairs == BK_ROPE_HALVES ? &x[i + dims / 2] : u + 1, before = *u;
        *u = before * cos(angle) - *w * sin(angle);
        *w = before * sin(angle) + *w * cos(angle);
    }
}

/* As the cache keeps numbers. */
static void keep(uint32_t type, double *x, uint32_t dim)
{
    for (uint32_t d = 0; d < dim && type != BK_Q8_0; d++)
        x[d] = type == BK_F32 ? (double)(float)x[d] : (double)kit_to_half((float)x[d]);
    for (uint32_t b = 0; b < dim && type == BK_Q8_0; b += 32) {
        double most = 0;
        for (int i = 0; i < 32; i++) most = fmax(most, fabs(x[b + i]));
        for (int i = 0; i < 32 && most > 0; i++) x[b + i] = rint(x[b + i] * 127 / most) * most / 127;
    }
}

/* Keys and values of a sequence as the cache has them: (length, kv heads, dim). */
static double *kept(const scene *c, int seq, const float *from, bool is_key)
{
    uint32_t dim = c->s.dim;
    double *all = malloc(c->length[seq] * kv_width(c) * sizeof *all);
    for (uint64_t i = 0; i < c->length[seq] * kv_width(c); i++) all[i] = from[i];
    for (uint64_t i = 0; i < (uint64_t)c->length[seq] * c->s.kv_heads; i++) {
        if (is_key) norm_and_turn(c, all + i * dim, c->k_norm, (uint32_t)(i / c->s.kv_heads));
        keep(c->type, all + i * dim, dim);
    }
    return all;
}

static void expect_head(const scene *c, int seq, uint32_t t, uint32_t head, const double *keys, const double *values,
    double *out)
{
    uint32_t dim = c->s.dim, kv_head = head / (c->s.heads / c->s.kv_heads), window = c->s.window;
    double q[256], *p = malloc((t + 1) * sizeof *p), most = -INFINITY, sum = 0;
    uint32_t low = window && t >= window ? t - window + 1 : 0;
    for (uint32_t d = 0; d < dim; d++) q[d] = c->q[seq][t * q_width(c) + head * dim + d];
    norm_and_turn(c, q, c->q_norm, t);
    for (uint32_t i = low; i <= t; i++) {
        p[i] = 0;
        for (uint32_t d = 0; d < dim; d++) p[i] += q[d] * keys[i * kv_width(c) + kv_head * dim + d];
        p[i] *= (double)c->a.scale;
        most = fmax(most, p[i]);
    }
    memset(out, 0, dim * sizeof *out);
    for (uint32_t i = low; i <= t; i++) {
        p[i] = exp(p[i] - most);
        sum += p[i];
        for (uint32_t d = 0; d < dim; d++) out[d] += p[i] * values[i * kv_width(c) + kv_head * dim + d];
    }
    for (uint32_t d = 0; d < dim; d++) out[d] /= sum;
    free(p);
}

/* Bounds: what rounding leaves of sums of hundreds of terms; where the cache rounds, a number that lies between two of
 * the cache's may be rounded to the other one here. */
static void expect_scene(const scene *c)
{
    double out[256], bound = c->type == BK_F32 ? 1e-5 : c->type == BK_F16 ? 2e-3 : 5e-2;
    for (int seq = 0; seq < SEQUENCES; seq++) {
        double *keys = kept(c, seq, c->k[seq], true), *values = kept(c, seq, c->v[seq], false);
        for (uint32_t t = 0; t < c->length[seq]; t++)
            for (uint32_t h = 0; h < c->s.heads; h++) {
                expect_head(c, seq, t, h, keys, values, out);
                for (uint32_t d = 0; d < c->s.dim; d++)
                    kit_near(c->out[seq][t * q_width(c) + h * c->s.dim + d], out[d], bound);
            }
        free(keys);
        free(values);
    }
}

/* ---- by the backend ---------------------------------------------------------------------------------------------- */

/* How tokens come: `chunk` of each sequence at a time, of all that are left together or one sequence after the other;
 * `odd` cuts differently for each sequence and turn. */
typedef struct plan {
    uint32_t chunk;
    bool together, odd, scattered; /* scattered: blocks in no order */
} plan;

typedef struct stage_set {
    kit_activation q, k, v, out;
    kit_weight q_norm, k_norm, factors;
    bk_kv *kv;
    uint32_t block[SEQUENCES][BLOCKS];
} stage_set;

static stage_set *set_new(const kit *b, scene *c, const plan *p)
{
    jv_err err = {0};
    stage_set *s = calloc(1, sizeof *s);
    s->q = kit_activation_new(b, CAPACITY, q_width(c));
    s->k = kit_activation_new(b, CAPACITY, kv_width(c));
    s->v = kit_activation_new(b, CAPACITY, kv_width(c));
    s->out = kit_activation_new(b, CAPACITY, q_width(c));
    s->q_norm = kit_vector_new(b, c->q_norm, 1, c->s.dim);
    s->k_norm = kit_vector_new(b, c->k_norm, 1, c->s.dim);
    s->factors = kit_vector_new(b, c->factors, 1, c->s.rope_dims ? c->s.rope_dims / 2 : 1);
    c->a.q_norm = c->s.norms ? s->q_norm.t : NULL;
    c->a.k_norm = c->s.norms ? s->k_norm.t : NULL;
    c->a.rope_factors = c->s.factors ? s->factors.t : NULL;
    bk_kv_shape cache = {sizeof cache, c->type, LAYERS, c->s.kv_heads, c->s.dim, BLOCKS};
    s->kv = b->api->kv_new(b->self, &cache, &err);
    assert_non_null(s->kv);
    uint32_t next = 0;
    for (int seq = 0; seq < SEQUENCES; seq++)
        for (uint32_t i = 0; i * BK_KV_BLOCK < c->length[seq]; i++, next++)
            s->block[seq][i] = p->scattered ? next * 37 % BLOCKS : next;
    assert_true(next <= BLOCKS);
    return s;
}

static void set_free(const kit *b, stage_set *s)
{
    kit_activation_free(b, &s->q);
    kit_activation_free(b, &s->k);
    kit_activation_free(b, &s->v);
    kit_activation_free(b, &s->out);
    kit_weight_free(b, &s->q_norm);
    kit_weight_free(b, &s->k_norm);
    kit_weight_free(b, &s->factors);
    b->api->kv_free(b->self, s->kv);
    free(s);
}

static void gather(float *to, float *const *from, const bk_run *runs, const int *seq, uint32_t n_runs, uint64_t width)
{
    for (uint32_t i = 0; i < n_runs; to += runs[i++].n * width)
        memcpy(to, from[seq[i]] + runs[i].pos * width, runs[i].n * width * sizeof *to);
}

/* One batch of runs, run i being of sequence seq[i]. */
static void run_batch(const kit *b, scene *c, stage_set *s, const bk_run *runs, const int *seq, uint32_t n_runs)
{
    jv_err err = {0};
    bk_batch batch = {.struct_size = sizeof batch, .n_runs = n_runs, .runs = runs, .kv = s->kv};
    for (uint32_t i = 0; i < n_runs; i++) batch.n += runs[i].n;
    assert_true(batch.n <= CAPACITY);
    float *q = malloc(batch.n * q_width(c) * sizeof *q), *kv = malloc(batch.n * kv_width(c) * sizeof *kv), *at = q;
    gather(q, c->q, runs, seq, n_runs, q_width(c));
    kit_fill(b, &s->q, q, batch.n);
    gather(kv, c->k, runs, seq, n_runs, kv_width(c));
    kit_fill(b, &s->k, kv, batch.n);
    gather(kv, c->v, runs, seq, n_runs, kv_width(c));
    kit_fill(b, &s->v, kv, batch.n);
    assert_int_equal(b->api->attention(b->self, s->out.t, s->q.t, s->k.t, s->v.t, &c->a, &batch, &err), JV_OK);
    kit_read(b, &s->out, q, batch.n);
    for (uint32_t i = 0; i < n_runs; at += runs[i++].n * q_width(c))
        memcpy(c->out[seq[i]] + runs[i].pos * q_width(c), at, runs[i].n * q_width(c) * sizeof *at);
    free(q);
    free(kv);
}

static void run_scene(const kit *b, scene *c, const plan *p)
{
    stage_set *s = set_new(b, c, p);
    uint32_t done[SEQUENCES] = {0}, turn = 0;
    for (;; turn++) {
        bk_run runs[SEQUENCES];
        int seq[SEQUENCES];
        uint32_t n = 0;
        for (int i = 0; i < SEQUENCES && (p->together || n == 0); i++) {
            uint32_t left = c->length[i] - done[i],
                     want = p->odd ? 1 + (turn * 7 + (uint32_t)i * 13) % p->chunk : p->chunk;
            if (!left) continue;
            runs[n] = (bk_run){left < want ? left : want, done[i], s->block[i]};
            seq[n] = i;
            done[i] += runs[n++].n;
        }
        if (!n) break;
        run_batch(b, c, s, runs, seq, n);
    }
    set_free(b, s);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static const uint32_t types[] = {BK_F32, BK_F16, BK_Q8_0};

void test_attention_values(void **state)
{
    const uint32_t length[SEQUENCES] = {150, 33, 1, 64};
    kit b;
    assert_true(kit_open(&b, tests_plugin, 2, tests_isa));
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < 3; t++) {
            if (types[t] == BK_Q8_0 && shapes[i].dim % 32) continue;
            scene *c = scene_new(&shapes[i], types[t], length);
            run_scene(&b, c, &(plan){.chunk = 100, .together = true});
            expect_scene(c);
            scene_free(c);
        }
    kit_close(&b);
}

void test_attention_same(void **state)
{
    static const plan plans[] = {{1, true, false, false}, {100, true, false, true}, {100, false, false, false},
        {31, true, true, true}, {8, true, true, false}, {33, false, false, true}};
    const uint32_t length[SEQUENCES] = {130, 65, 2, 33};
    kit one, more;
    assert_true(kit_open(&one, tests_plugin, 1, tests_isa));
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int t = 0; t < 3; t++) {
            if ((types[t] == BK_Q8_0 && shapes[i].dim % 32) || (types[t] != BK_F16 && i > 3)) continue;
            scene *alone = scene_new(&shapes[i], types[t], length), *c = scene_new(&shapes[i], types[t], length);
            const size_t every = i > 3 ? 2 : 1;
            run_scene(&one, alone, &(plan){.chunk = 1});
            for (size_t p = 0; p < sizeof plans / sizeof *plans; p += every) {
                assert_true(kit_open(&more, tests_plugin, (int)(1 + p % 4), tests_isa));
                run_scene(&more, c, &plans[p]);
                for (int s = 0; s < SEQUENCES; s++)
                    assert_memory_equal(alone->out[s], c->out[s], length[s] * q_width(c) * sizeof(float));
                kit_close(&more);
            }
            scene_free(alone);
            scene_free(c);
        }
    kit_close(&one);
}

/* Two sequences that begin alike: the second reads the first's whole blocks, and a copy of what it needs of the next. */
void test_attention_shared(void **state)
{
    const uint32_t length[SEQUENCES] = {90, 90, 0, 0}, common = 43;
    kit b;
    assert_true(kit_open(&b, tests_plugin, 2, tests_isa));
    for (int t = 0; t < 3; t++) {
        jv_err err = {0};
        scene *alone = scene_new(&shapes[0], types[t], length), *c = scene_new(&shapes[0], types[t], length);
        scene *both[] = {alone, c};
        for (int i = 0; i < 2; i++) {
            memcpy(both[i]->q[1], both[i]->q[0], common * q_width(c) * sizeof(float));
            memcpy(both[i]->k[1], both[i]->k[0], common * kv_width(c) * sizeof(float));
            memcpy(both[i]->v[1], both[i]->v[0], common * kv_width(c) * sizeof(float));
        }
        run_scene(&b, alone, &(plan){.chunk = 90});
        stage_set *s = set_new(&b, c, &(plan){0});
        s->block[1][0] = s->block[0][0];
        run_batch(&b, c, s, &(bk_run){90, 0, s->block[0]}, &(int){0}, 1);
        assert_int_equal(b.api->kv_copy(b.self, s->kv, s->block[1][1], s->block[0][1], common - BK_KV_BLOCK, &err),
            JV_OK);
        run_batch(&b, c, s, &(bk_run){90 - common, common, s->block[1]}, &(int){1}, 1);
        assert_memory_equal(alone->out[1] + common * q_width(c), c->out[1] + common * q_width(c),
            (90 - common) * q_width(c) * sizeof(float));
        /* and the first is what it was */
        run_batch(&b, c, s, &(bk_run){1, 89, s->block[0]}, &(int){0}, 1);
        assert_memory_equal(alone->out[0], c->out[0], 90 * q_width(c) * sizeof(float));
        set_free(&b, s);
        scene_free(alone);
        scene_free(c);
    }
    kit_close(&b);
}

/* What comes after a token, or lies in blocks from before, does not reach it, be it NaN. */
void test_attention_not_numbers(void **state)
{
    const uint32_t length[SEQUENCES] = {70, 0, 0, 0};
    kit b;
    assert_true(kit_open(&b, tests_plugin, 2, tests_isa));
    for (int t = 0; t < 3; t++) {
        scene *clean = scene_new(&shapes[0], types[t], length), *c = scene_new(&shapes[0], types[t], length);
        run_scene(&b, clean, &(plan){.chunk = 70});
        c->v[0][50 * kv_width(c) + 3] = NAN;
        c->k[0][60 * kv_width(c) + 3] = INFINITY;
        stage_set *s = set_new(&b, c, &(plan){0});
        jv_err err = {0};
        bk_batch batch = {.struct_size = sizeof batch, .n = 70, .n_runs = 1, .kv = s->kv};
        batch.runs = &(bk_run){70, 0, s->block[0]};
        kit_fill(&b, &s->q, c->q[0], 70);
        kit_fill(&b, &s->k, c->k[0], 70);
        kit_fill(&b, &s->v, c->v[0], 70);
        assert_int_equal(b.api->attention(b.self, s->out.t, s->q.t, s->k.t, s->v.t, &c->a, &batch, &err), JV_OK);
        float *got = malloc(70 * q_width(c) * sizeof *got);
        kit_read(&b, &s->out, got, 70);
        assert_memory_equal(got, clean->out[0], 50 * q_width(c) * sizeof *got);
        for (uint64_t i = 50 * q_width(c); i < 51 * q_width(c); i++) assert_true(isnan(got[i]));
        for (uint64_t i = 69 * q_width(c); i < 70 * q_width(c); i++) assert_true(isnan(got[i]));
        /* the same blocks again */
        run_batch(&b, clean, s, &(bk_run){50, 0, s->block[0]}, &(int){0}, 1);
        assert_memory_equal(got, clean->out[0], 50 * q_width(c) * sizeof *got);
        free(got);
        set_free(&b, s);
        scene_free(clean);
        scene_free(c);
    }
    kit_close(&b);
}
