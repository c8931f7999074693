/*
 * net_test.c: networks of all families over the backend of net_backend.c, on tiny models with random weights: their
 * probabilities against tests/net_ref.py, which shares nothing with them; which operations they are made of; batches
 * of several sequences, memory, faults, cancellation. Where jv_cpu.so lies beside the file of argument 1, its
 * probabilities and batches too.
 * Arguments: the built jv_llm.so, and the top source folder.
 */
#include "net_rig.h"

#include <math.h>

/* What the families have in common and what not, each in some model. */
static const char *const models[][3] = {
    {"llama", "llama", ""},
    {"tied", "llama", "g.tensors.pop()"},
    {"extras", "llama",
        "for i in range(2):\n"
        "    for n, w in ('attn_q', 64), ('attn_k', 32), ('attn_v', 32), ('attn_output', 64), ('ffn_down', 64):\n"
        "        vector('blk.%d.%s.bias' % (i, n), [r.random() - 0.5 for _ in range(w)])\n"
        "vector('rope_freqs.weight', [1, 1, 1.5, 2, 3, 5, 8, 8])\n"},
    {"qwen2", "qwen2", ""},
    {"gemma3", "gemma3", ""},
    {"every_other", "gemma3",
        "g.put('gemma3.attention.sliding_window_pattern', T.U32, 2)\n"
        "g.put('gemma3.rope.freq_base_swa', T.F32, 500.0)\n"
        "g.put('gemma3.attention.scale', T.F32, 0.3)\n"
        "g.put('gemma3.rope.dimension_count', T.U32, 12)\n"},
    {"flags",
        "gemma3", "g.put('gemma3.attention.sliding_window_pattern', T.ARRAY, (T.BOOL, [False, True, True, False, False, True]))\n"},
};

enum { MODELS = sizeof models / sizeof *models };

static int make_models(void **state)
{
    if (make_folder(state)) return -1;
    for (size_t i = 0; i < MODELS; i++) make(models[i][0], models[i][1], "f32", models[i][2]);
    return 0;
}

/* The logits of all tokens of some runs. */
static float *logits_of(rig *r, const int32_t *ids, const bk_run *runs, uint32_t n_runs)
{
    jv_err err = {0};
    bk_batch batch = {sizeof batch, 0, n_runs, 0, runs, r->kv};
    int32_t index[BATCH];
    for (uint32_t i = 0; i < n_runs; i++) batch.n += runs[i].n;
    assert_true(batch.n <= BATCH);
    for (int32_t i = 0; i < BATCH; i++) index[i] = i;
    float *to = malloc(batch.n * (size_t)net_shape_of(r->m)->vocabulary * sizeof *to);
    if (net_forward(r->m, ids, &batch, &(net_stop){0}, &err) != JV_OK) fail_msg("%s", err.text);
    if (net_logits(r->m, index, batch.n, to, &err) != JV_OK) fail_msg("%s", err.text);
    return to;
}

/* ---- probabilities ----------------------------------------------------------------------------------------------- */

enum { N = 20 };

static int32_t id_of(int i)
{
    return (7 * i * i + 11) % 290;
}

/* (N, vocabulary) log-probabilities of the reference. */
static double *reference(const char *name, size_t vocabulary)
{
    char line[8192];
    snprintf(line, sizeof line, "echo ");
    for (int i = 0; i < N; i++) snprintf(line + strlen(line), sizeof line - strlen(line), "%d ", id_of(i));
    snprintf(line + strlen(line), sizeof line - strlen(line), "| python3 -B %s/tests/net_ref.py %s/%s.gguf", top, dir,
        name);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    double *rows = malloc(N * vocabulary * sizeof *rows);
    for (size_t i = 0; i < N * vocabulary; i++) assert_int_equal(fscanf(f, "%lf", &rows[i]), 1);
    assert_int_equal(pclose(f), 0);
    return rows;
}

static void compare(const char *name, const float *logits, const double *want, size_t vocabulary, double bound)
{
    for (size_t t = 0; t < N; t++) {
        const float *row = logits + t * vocabulary;
        double sum = 0;
        for (size_t v = 0; v < vocabulary; v++) sum += exp((double)row[v]);
        for (size_t v = 0; v < vocabulary; v++) {
            double got = (double)row[v] - log(sum), expected = want[t * vocabulary + v];
            if (!(fabs(got - expected) < bound))
                fail_msg("%s: token %zu, id %zu: %.9g, expected %.9g", name, t, v, got, expected);
        }
    }
}

static void check_reference(const char *name, bool cpu, double bound)
{
    int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = id_of(i);
    rig r = {0};
    if (cpu) use_cpu(&r);
    start_net(&r, name);
    size_t v = net_shape_of(r.m)->vocabulary;
    float *logits = logits_of(&r, ids, &(bk_run){N, 0, (uint32_t[]){3}}, 1);
    double *want = reference(name, v);
    compare(name, logits, want, v, bound);
    free(want);
    free(logits);
    close_net(&r);
}

static void test_reference(void **state)
{
    for (size_t k = 0; k < MODELS; k++) check_reference(models[k][0], false, 1e-4);
}

static void test_reference_on_cpu(void **state)
{
    if (access(cpu_so, R_OK)) skip();
    for (size_t k = 0; k < MODELS; k++) check_reference(models[k][0], true, 1e-4);
}

/* Weights as the file has them, rows of 256 columns, times activations of 8 bits: these are what the bound is for (0.11
 * were seen). */
static void test_k_types_on_cpu(void **state)
{
    static const char *const types[][2] = {{"llama", "q4_k"}, {"qwen2", "q5_k"}, {"llama", "q6_k"}, {"qwen2", "mixed_k"}};
    if (access(cpu_so, R_OK)) skip();
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        make(types[k][1], types[k][0], types[k][1], "");
        check_reference(types[k][1], true, 0.2);
    }
}

/* Two sequences in three batches, cut anywhere, in blocks of any order: the same rows as each sequence alone. */
static void check_batches(bool cpu, const char *name)
{
    enum { LONG = 40, SHORT = 9 }; /* LONG takes two blocks */
    rig r = {0};
    if (cpu) use_cpu(&r);
    start_net(&r, name);
    size_t v = net_shape_of(r.m)->vocabulary;
    const uint32_t blocks[] = {5, 2}, other[] = {0}, alone[] = {7, 6};
    int32_t ids[2][LONG], mixed[BATCH];
    for (int i = 0; i < LONG; i++) ids[0][i] = id_of(i), ids[1][i] = id_of(i + 50);
    static const uint32_t cuts[3][2] = {{20, 1}, {3, 7}, {17, 1}};
    uint32_t at[2] = {0};
    for (int c = 0; c < 3; c++) {
        bk_run runs[] = {{cuts[c][0], at[0], blocks}, {cuts[c][1], at[1], other}};
        memcpy(mixed, ids[0] + at[0], cuts[c][0] * sizeof *mixed);
        memcpy(mixed + cuts[c][0], ids[1] + at[1], cuts[c][1] * sizeof *mixed);
        float *both = logits_of(&r, mixed, runs, 2);
        for (int s = 0; s < 2; s++)
            for (uint32_t i = 0; i < cuts[c][s]; i++) { /* token by token, all before it anew */
                float *one = NULL;
                for (uint32_t p = 0; p <= at[s] + i; p++) {
                    free(one);
                    one = logits_of(&r, ids[s] + p, &(bk_run){1, p, alone}, 1);
                }
                assert_memory_equal(one, both + (s * cuts[c][0] + i) * v, v * sizeof *one);
                free(one);
                i += cuts[c][s] / 3; /* some of them */
            }
        free(both);
        at[0] += cuts[c][0];
        at[1] += cuts[c][1];
    }
    assert_true(at[0] == LONG && at[1] == SHORT);
    close_net(&r);
}

static void test_batches(void **state)
{
    check_batches(false, "qwen2");
    check_batches(false, "gemma3");
}

static void test_batches_on_cpu(void **state)
{
    if (access(cpu_so, R_OK)) skip();
    for (size_t k = 0; k < MODELS; k++) check_batches(true, models[k][0]);
}

/* ---- what a network is made of ----------------------------------------------------------------------------------- */

static void test_operations(void **state)
{
    static const struct {
        const char *name;
        uint32_t layers, norm_adds, windows;
    } cases[] = {{"llama", 2, 0, 0}, {"extras", 2, 0, 0}, {"qwen2", 2, 0, 0}, {"gemma3", 6, 12, 5},
        {"every_other", 6, 12, 3}, {"flags", 6, 12, 3}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        rig r = {0};
        uint32_t n = cases[k].layers, *count = r.backend.count;
        start_net(&r, cases[k].name);
        free(logits_of(&r, (int32_t[]){1, 2, 3}, &(bk_run){3, 0, (uint32_t[]){0}}, 1));
        assert_int_equal(count[B_EMBED], 1);
        assert_int_equal(count[B_LINEAR], 3 * n); /* queries, keys and values as one; out; down */
        assert_int_equal(r.backend.parts, 5 * n);
        assert_int_equal(count[B_GATED], n);
        assert_int_equal(count[B_NORM_ADD], cases[k].norm_adds);
        assert_int_equal(count[B_ATTENTION], n);
        assert_int_equal(r.backend.windows, cases[k].windows);
        assert_int_equal(count[B_LOGITS], 1);
        close_net(&r);
    }
}

static void test_what_is_told(void **state)
{
    rig r = {0};
    char types[64];
    jv_str first = {0};
    start_net(&r, "gemma3");
    const net_shape *s = net_shape_of(r.m);
    assert_string_equal(s->family, "gemma3");
    assert_true(s->layers == 6 && s->width == 32 && s->heads == 2 && s->kv_heads == 1 && s->head_dim == 32);
    assert_true(s->ff == 64 && s->context == 256);
    /* a layer: q 64, k 32, v 32, out 64, gate, up and down 64 rows of 32; four norms of 32, two of 32 */
    uint64_t layer = (64 + 32 + 32 + 64 + 3 * 64) * 32, vocabulary = s->vocabulary;
    assert_int_equal(net_parameters(r.m), 6 * (layer + 6 * 32) + vocabulary * 32 + 32);
    net_types(r.m, types, sizeof types);
    assert_string_equal(types, "F32 80");
    assert_int_equal(net_unused(r.m, &first), 0);
    uint64_t token = 0, logits = 0;
    const bk_tensor *weights[64];
    net_products(r.m, &token, &logits);
    assert_int_equal(token, 6 * layer);
    assert_int_equal(logits, vocabulary * 32);
    assert_int_equal(net_weights(r.m, weights, 64), 6 * 7 + 1);
    bk_kv_shape kv = net_cache(r.m, BK_Q8_0, 9);
    assert_true(kv.type == BK_Q8_0 && kv.layers == 6 && kv.kv_heads == 1 && kv.head_dim == 32 && kv.blocks == 9);
    close_net(&r);
    make("odd", "llama", "f32", "for i in range(3): vector('extra.%d' % i, [1.0])");
    r = (rig){0};
    start_net(&r, "odd");
    assert_int_equal(net_unused(r.m, &first), 3);
    assert_true(first.n == 7 && memcmp(first.p, "extra.0", 7) == 0);
    close_net(&r);
}

static bk_weight_need vast_weight(void *self, uint32_t type, uint64_t rows, uint64_t columns)
{
    return (bk_weight_need){UINT64_MAX / 2, 0, 0};
}

static uint64_t vast_activation(void *self, uint64_t capacity, uint64_t width)
{
    return UINT64_MAX / 2;
}

/* What is told beforehand is what is taken; a sum that does not fit is UINT64_MAX. */
static void test_memory(void **state)
{
    for (size_t k = 0; k < MODELS; k++) {
        rig r = {0};
        start_net(&r, models[k][0]);
        net_need need = net_memory(r.m, BATCH);
        assert_int_equal(need.mapped, 0);
        assert_int_equal(need.copied + need.scratch, r.backend.taken);
        assert_true(r.backend.mapped > 0); /* of a mapped file, told to the backend */
        uint64_t weights = need.copied;
        r.backend.reads_source = true;
        need = net_memory(r.m, BATCH);
        assert_int_equal(need.mapped, weights);
        assert_int_equal(need.copied, 0);
        close_net(&r);
    }
    rig r = {0};
    start_net(&r, "llama");
    net *m = NULL;
    jv_err err = {0};
    bk_api api = net_backend_api;
    api.weight_need = vast_weight;
    api.activation_bytes = vast_activation;
    assert_int_equal(net_open(r.g, &api, r.self, &m, &err), JV_OK);
    net_need need = net_memory(m, BATCH);
    assert_true(need.copied == UINT64_MAX && need.scratch == UINT64_MAX);
    net_free(m);
    close_net(&r);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* Every call that may fail does so once: the reason arrives, and nothing is left behind. */
static void test_faults(void **state)
{
    static const char *const names[] = {"extras", "qwen2", "gemma3"};
    for (size_t k = 0; k < 3; k++) {
        bool failed = true;
        for (int64_t at = 0; failed; at++) {
            rig r = {0};
            jv_err err = {0};
            assert_int_equal(open_net(&r, names[k], &err), JV_OK);
            r.backend.fail_at = at;
            int32_t rc = net_start(r.m, BATCH, &(net_stop){0}, &err);
            bk_kv_shape shape = net_cache(r.m, BK_F32, BLOCKS);
            if (rc == JV_OK && !(r.kv = r.bk->kv_new(r.self, &shape, &err))) rc = err.code;
            bk_batch batch = {sizeof batch, 1, 1, 0, &(bk_run){1, 0, (uint32_t[]){0}}, r.kv};
            float *to = malloc(net_shape_of(r.m)->vocabulary * sizeof *to);
            if (rc == JV_OK) rc = net_forward(r.m, (int32_t[]){5}, &batch, &(net_stop){0}, &err);
            if (rc == JV_OK) rc = net_logits(r.m, (int32_t[]){0}, 1, to, &err);
            failed = r.backend.calls > at;
            assert_int_equal(rc, failed ? JV_FATAL : JV_OK);
            assert_string_equal(err.text, failed ? "told to fail" : "");
            free(to);
            close_net(&r);
        }
    }
}

static int32_t after_some(void *user)
{
    return (*(int *)user)-- == 0;
}

/* Given up before any weight, and before any layer. */
static void test_stop(void **state)
{
    rig r = {0};
    jv_err err = {0};
    int32_t rc = JV_CANCELLED, left = 0;
    assert_int_equal(open_net(&r, "gemma3", &err), JV_OK);
    for (int i = 0; i < 80; i++) {
        left = i;
        rc = net_start(r.m, BATCH, &(net_stop){after_some, &left}, &err);
        assert_int_equal(rc, JV_CANCELLED);
        assert_int_equal(r.backend.live, i);
        net_free(r.m);
        assert_int_equal(net_open(r.g, r.bk, r.self, &r.m, &err), JV_OK);
    }
    left = 80;
    assert_int_equal(net_start(r.m, BATCH, &(net_stop){after_some, &left}, &err), JV_OK);
    bk_kv_shape shape = net_cache(r.m, BK_F32, BLOCKS);
    r.kv = r.bk->kv_new(r.self, &shape, &err);
    bk_batch batch = {sizeof batch, 1, 1, 0, &(bk_run){1, 0, (uint32_t[]){0}}, r.kv};
    for (int layer = 0; layer <= 6; layer++) {
        left = layer;
        r.backend.count[B_ATTENTION] = 0;
        rc = net_forward(r.m, (int32_t[]){5}, &batch, &(net_stop){after_some, &left}, &err);
        assert_int_equal(rc, layer < 6 ? JV_CANCELLED : JV_OK);
        assert_int_equal(r.backend.count[B_ATTENTION], layer);
    }
    close_net(&r);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    set_paths(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_reference_on_cpu),
        cmocka_unit_test(test_k_types_on_cpu),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_batches_on_cpu),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_what_is_told),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, make_models, remove_folder);
}
