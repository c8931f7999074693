/*
 * backend_test.c: the conformance test of compute backends (plugins/llm/backend.h): every operation, at every level of
 * instructions that the plugin offers and this machine has, against the formulas in double; the contract that a
 * result depends on nothing but what it says; and that what does not fit is refused.
 *
 *     backend_test PLUGIN.so [SOURCE [LEVEL]]     SOURCE is not read; LEVEL: only that one
 */
#include "backend_tests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *tests_plugin, *tests_isa;

/* ---- what does not fit ------------------------------------------------------------------------------------------- */

#define REFUSED(call, part)                                                                                            \
    do {                                                                                                               \
        err = (jv_err){0};                                                                                             \
        assert_int_equal(call, JV_FATAL);                                                                              \
        if (!strstr(err.text, part)) fail_msg("\"%s\" is not in \"%s\"", part, err.text);                              \
    } while (0)

static void test_linear_refused(void **state)
{
    kit k;
    jv_err err;
    assert_true(kit_open(&k, tests_plugin, 1, NULL));
    const bk_api *api = k.api;
    kit_weight w = kit_weight_new(&k, BK_F32, 8, 32), narrow = kit_weight_new(&k, BK_F32, 8, 16),
               half = kit_weight_new(&k, BK_F16, 1, 8);
    kit_activation x = kit_activation_new(&k, 2, 32), out = kit_activation_new(&k, 2, 8),
                   other = kit_activation_new(&k, 2, 9);
    bk_linear op = {.struct_size = sizeof op, .n = 2, .x = x.t, .n_parts = 1, .part = {{out.t, w.t, NULL}}}, bad = op;
    REFUSED((bad.part[0].w = narrow.t, api->linear(k.self, &bad, &err)), "linear: w is 8 x 16; 8 x 32 is needed");
    REFUSED((bad = op, bad.part[0].out = other.t, api->linear(k.self, &bad, &err)), "linear: out");
    REFUSED((bad = op, bad.n = 3, api->linear(k.self, &bad, &err)), "linear: x is 2 x 32; 3 x 32 is needed");
    REFUSED((bad = op, bad.part[0].w = x.t, api->linear(k.self, &bad, &err)), "linear: w is an activation");
    REFUSED((bad = op, bad.x = w.t, api->linear(k.self, &bad, &err)), "linear: x is a weight");
    REFUSED((bad = op, bad.part[0].bias = w.t, api->linear(k.self, &bad, &err)), "linear: bias");
    REFUSED((bad = op, bad.part[0].bias = half.t, api->linear(k.self, &bad, &err)), "F32");
    REFUSED((bad = op, bad.norm = narrow.t, api->linear(k.self, &bad, &err)), "linear: norm");
    REFUSED((bad = op, bad.n_parts = 4, api->linear(k.self, &bad, &err)), "linear: 4 parts");
    REFUSED((bad = op, bad.n_parts = 2, bad.part[1] = bad.part[0], api->linear(k.self, &bad, &err)), "linear: out");
    bk_gated gate = {.struct_size = sizeof gate, .n = 2, .out = out.t, .x = x.t, .gate = w.t, .up = narrow.t};
    REFUSED(api->gated(k.self, &gate, &err), "gated: up");
    REFUSED((gate.up = w.t, gate.act = 7, api->gated(k.self, &gate, &err)), "gated: activation 7");
    REFUSED(api->norm_add(k.self, x.t, out.t, w.t, 0, 2, &err), "norm_add: to");
    REFUSED(api->norm_add(k.self, x.t, x.t, w.t, 0, 2, &err), "norm_add: norm");
    int32_t ids[] = {0, 8};
    REFUSED(api->embed(k.self, out.t, w.t, ids, 1, 1, &err), "embed: out");
    REFUSED(api->embed(k.self, x.t, w.t, ids, 2, 1, &err), "embed: id 8 of a table of 8");
    float to[16];
    bk_logits logits = {.struct_size = sizeof logits, .n = 2, .to = to, .x = x.t, .index = ids, .head = w.t};
    REFUSED(api->logits(k.self, &logits, &err), "logits: row 8 of 2");
    op.n = 0;
    assert_int_equal(api->linear(k.self, &op, &err), JV_OK);
    kit_weight_free(&k, &w);
    kit_weight_free(&k, &narrow);
    kit_weight_free(&k, &half);
    kit_activation_free(&k, &x);
    kit_activation_free(&k, &out);
    kit_activation_free(&k, &other);
    kit_close(&k);
}

static void test_attention_refused(void **state)
{
    kit k;
    jv_err err = {0};
    assert_true(kit_open(&k, tests_plugin, 1, NULL));
    const bk_api *api = k.api;
    kit_activation q = kit_activation_new(&k, 4, 64), kv = kit_activation_new(&k, 4, 32),
                   v = kit_activation_new(&k, 4, 32), out = kit_activation_new(&k, 4, 64);
    bk_kv_shape shape = {sizeof shape, BK_F16, 2, 2, 16, 3};
    bk_kv *pool = api->kv_new(k.self, &shape, &err);
    bk_attention a = {.struct_size = sizeof a,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 16,
        .scale = 1,
        .rope_dims = 16,
        .rope_base = 10000};
    uint32_t blocks[] = {0, 3};
    bk_run run = {4, 0, blocks};
    bk_batch batch = {.struct_size = sizeof batch, .n = 4, .n_runs = 1, .runs = &run, .kv = pool};
#define ATTEND() api->attention(k.self, out.t, q.t, kv.t, v.t, &a, &batch, &err)
    assert_int_equal(ATTEND(), JV_OK);
    REFUSED((run.pos = 30, ATTEND()), "block 3 of a pool of 3");
    REFUSED((run.pos = 0, batch.n = 3, ATTEND()), "3 tokens in runs of 4");
    REFUSED((batch.n = run.n = 5, ATTEND()), "attention: q is 4 x 64; 5 x 64 is needed");
    batch.n = run.n = 4;
    REFUSED((a.layer = 2, ATTEND()), "layer 2");
    REFUSED((a.layer = 0, a.kv_heads = 3, ATTEND()), "attention: 4 heads on 3");
    assert_int_equal(api->check_heads(k.self, &a, &err), JV_BAD);
    REFUSED((a.kv_heads = 2, a.rope_dims = 18, ATTEND()), "18");
    a.rope_dims = 16;
    REFUSED(api->attention(k.self, q.t, q.t, kv.t, v.t, &a, &batch, &err), "attention: out");
    REFUSED(api->kv_copy(k.self, pool, 3, 0, 1, &err), "kv_copy");
    REFUSED(api->kv_copy(k.self, pool, 0, 1, BK_KV_BLOCK + 1, &err), "kv_copy");
    kit_activation_free(&k, &q);
    kit_activation_free(&k, &kv);
    kit_activation_free(&k, &v);
    kit_activation_free(&k, &out);
    api->kv_free(k.self, pool);
    kit_close(&k);
}

static void test_sizes(void **state)
{
    kit k;
    jv_err err = {0};
    _Alignas(64) static uint8_t data[256];
    assert_true(kit_open(&k, tests_plugin, 1, NULL));
    const bk_api *api = k.api;
    bk_kv_shape shape = {sizeof shape, BK_F16, UINT32_MAX, UINT32_MAX, 256, UINT32_MAX};
    assert_true(api->kv_bytes(k.self, &shape) == UINT64_MAX);
    assert_null(api->kv_new(k.self, &shape, &err));
    assert_int_equal(err.code, JV_BAD);
    shape = (bk_kv_shape){sizeof shape, BK_Q8_0, 1, 1, 40, 1};
    assert_null(api->kv_new(k.self, &shape, &err));
    shape.head_dim = 64;
    assert_in_range(api->kv_bytes(k.self, &shape), 2 * 32 * 64, 64u << 20);
    assert_true(api->activation_bytes(k.self, UINT64_MAX, 2) == UINT64_MAX);
    assert_in_range(api->activation_bytes(k.self, 10, 100), 4000, 200000);
    assert_true(api->weight_need(k.self, BK_F32, UINT64_MAX / 4, 32).bytes == UINT64_MAX);
    assert_true(api->weight_need(k.self, BK_Q8_0, 1, 33).bytes == UINT64_MAX);
    assert_true(api->weight_need(k.self, 4, 1, 32).bytes == UINT64_MAX);
    assert_int_equal(api->supports(k.self, 4), 0);
    const bk_source wrong[] = {
        {sizeof *wrong, BK_Q8_0, 1, 33, data, 34, 0, 0},
        {sizeof *wrong, BK_F32, 2, 8, data, 63, 0, 0},
        {sizeof *wrong, BK_F32, 0, 8, data, 0, 0, 0},
        {sizeof *wrong, BK_F32, 8, 0, data, 0, 0, 0},
        {sizeof *wrong, 4, 1, 32, data, 18, 0, 0},
        {sizeof *wrong, BK_F32, UINT64_MAX / 2, 8, data, 0, 0, 0},
        {sizeof *wrong, BK_F32, 1, 4, data + 1, 16, 0, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(api->upload(k.self, &wrong[i], &err));
        assert_int_equal(err.code, JV_BAD);
    }
    assert_null(api->activation(k.self, 0, 8, &err));
    assert_int_equal(err.code, JV_BAD);
    api->tensor_free(k.self, NULL);
    api->kv_free(k.self, NULL);
    assert_non_null(strstr(api->describe(k.self), "1 thread"));
    kit_close(&k);
}

static void test_open(void **state)
{
    jv_err err = {0};
    mock *m = mock_new(tests_plugin, NULL);
    mock_set(m, "cores = 257");
    assert_int_equal(mock_open(m, &err), JV_BAD);
    mock_free(m);
    m = mock_new(tests_plugin, NULL); /* closed before start */
    assert_int_equal(mock_open(m, &err), JV_OK);
    mock_free(m);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

#define SKIPPED 77 /* as meson has it: this processor lacks the level that was asked for */

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    tests_plugin = argv[1];
    const struct CMUnitTest once[] = {
        cmocka_unit_test(test_linear_refused),
        cmocka_unit_test(test_attention_refused),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_open),
    };
    const struct CMUnitTest values[] = {
        cmocka_unit_test(test_linear_values),
        cmocka_unit_test(test_gated_values),
        cmocka_unit_test(test_small_values),
        cmocka_unit_test(test_rows_alone),
        cmocka_unit_test(test_attention_values),
        cmocka_unit_test(test_attention_same),
        cmocka_unit_test(test_attention_shared),
        cmocka_unit_test(test_attention_not_numbers),
    };
    static const char *const levels[] = {"portable", "sse4", "avx2", "avxvnni", "avx512"};
    int failed = cmocka_run_group_tests_name("refusals", once, NULL, NULL), ran = 0;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        kit k;
        tests_isa = levels[i];
        if (argc > 3 && strcmp(argv[3], tests_isa) != 0) continue;
        if (!kit_open(&k, tests_plugin, 1, tests_isa)) continue;
        printf("%s\n", k.api->describe(k.self));
        kit_close(&k);
        failed += cmocka_run_group_tests_name(tests_isa, values, NULL, NULL);
        ran++;
    }
    tests_isa = NULL;
    if (argc > 3) return failed ? 1 : ran ? 0 : SKIPPED;
    if (!ran) failed += cmocka_run_group_tests_name("as it is", values, NULL, NULL);
    return failed != 0;
}
