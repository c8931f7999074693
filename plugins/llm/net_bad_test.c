/*
 * net_bad_test.c: model files that no network can be made of, each refused with its reason.
 * Arguments: the built jv_llm.so, and the top source folder.
 */
#include "net_rig.h"

static void refused(const char *family, const char *change, const char *part)
{
    rig r = {0};
    jv_err err = {0};
    make("odd", family, "f32", change);
    int32_t rc = open_net(&r, "odd", &err);
    if (rc != JV_BAD || !strstr(err.text, part)) fail_msg("%s: %d, %s", change, rc, err.text);
    close_net(&r);
}

/* One key of a family at a time: a value, and part of what is said. */
static void test_wrong_keys(void **state)
{
    static const struct {
        const char *family, *key, *type, *value, *part;
    } cases[] = {
        {"llama", "block_count", "U32", "2**32 - 1", "block_count is 4294967295, 1..1024"},
        {"llama", "block_count", "U32", "3", "tensor blk.2.attn_norm.weight is missing"},
        {"llama", "attention.head_count_kv", "U32", "3", "4 attention heads on 3 key-value heads"},
        {"llama", "attention.head_count", "U32", "0", "head_count is 0"},
        {"llama", "attention.head_count", "ARRAY", "(T.U32, [4, 4])", "head_count"},
        {"llama", "attention.key_length", "U32", "15", "keys of 15"},
        {"llama", "attention.key_length", "U32", "2**31", "key_length is 2147483648, 2..65536"},
        {"llama", "attention.value_length", "U32", "8", "values of 8"},
        {"llama", "rope.dimension_count", "U32", "18", "dimension_count is 18, 2..16"},
        {"llama", "rope.dimension_count", "U32", "7", "dimension_count is 7: not even"},
        {"llama", "attention.layer_norm_rms_epsilon", "F32", "float('nan')", "epsilon is"},
        {"llama", "rope.freq_base", "F32", "0.0", "freq_base is 0"},
        {"llama", "rope.freq_base", "F32", "float('inf')", "freq_base is inf"},
        {"llama", "rope.scaling.type", "STRING", "'yarn'", "\"yarn\": not in this version"},
        {"llama", "rope.scaling.factor", "F32", "8.0", "llama.rope.scaling.factor is 8"},
        {"llama", "rope.scaling.attn_factor", "F32", "0.5", "llama.rope.scaling.attn_factor is 0.5"},
        {"llama", "expert_count", "U32", "8", "llama.expert_count is 8: not in this version"},
        {"llama", "attention.sliding_window", "U32", "512", "llama.attention.sliding_window is 512: not in this"},
        {"llama", "attention.causal", "BOOL", "False", "llama.attention.causal is 0: not in this version"},
        {"llama", "logit_scale", "F32", "0.25", "llama.logit_scale is 0.25: not in this version"},
        {"llama", "attention.scale", "F32", "0.0", "llama.attention.scale is 0, 1e-06..1e+06"},
        {"qwen2", "rope.scaling.type", "STRING", "'linear'", "qwen2.rope.scaling.type is \"linear\": not in this"},
        {"qwen2", "expert_count", "U32", "60", "qwen2.expert_count is 60"},
        {"qwen2", "attention.sliding_window", "U32", "4096", "qwen2.attention.sliding_window is 4096"},
        {"gemma3", "attention.sliding_window", "U32", "0", "sliding_window is 0, 1..2147483647"},
        {"gemma3", "attention.sliding_window", "U32", "2**32 - 1", "sliding_window is 4294967295"},
        {"gemma3", "attention.sliding_window_pattern", "U32", "0", "sliding_window_pattern is 0, 1..1024"},
        {"gemma3", "attention.sliding_window_pattern", "F32", "6.0", "sliding_window_pattern"},
        {"gemma3", "attention.sliding_window_pattern", "ARRAY", "(T.BOOL, [True] * 5)", "has 5 flags, 6 are needed"},
        {"gemma3", "rope.freq_base_swa", "F32", "-1.0", "gemma3.rope.freq_base_swa is -1, 1..1e+12"},
        {"gemma3", "final_logit_softcapping", "F32", "30.0", "gemma3.final_logit_softcapping is 30: not in this"},
        {"gemma3", "attn_logit_softcapping", "F32", "50.0", "gemma3.attn_logit_softcapping is 50: not in this"},
        {"gemma3", "rope.scaling.factor", "F32", "8.0", "gemma3.rope.scaling.factor is 8: not in this version"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char change[256];
        snprintf(change, sizeof change, "g.put('%s.%s', T.%s, %s)", cases[i].family, cases[i].key, cases[i].type,
            cases[i].value);
        refused(cases[i].family, change, cases[i].part);
    }
}

static void test_wrong_files(void **state)
{
    refused("llama", "g.put('general.architecture', T.STRING, 'gpt5')",
        "architecture \"gpt5\" is not known; known: llama, qwen2, gemma3");
    refused("llama", "g.put('general.architecture', T.STRING, 'qwen2')", "key qwen2.block_count is missing");
    refused("llama", "g.drop('llama.block_count')", "key llama.block_count is missing");
    refused("gemma3", "g.drop('gemma3.attention.sliding_window')", "key gemma3.attention.sliding_window is missing");
    refused("llama", "g.tensor('blk.1.ffn_up.weight').ne = [128, 64]",
        "tensor blk.1.ffn_up.weight is 128 x 64, expected 64 x 128");
    refused("llama", "g.tensor('output_norm.weight').ne = [32, 2]", "tensor output_norm.weight is 32 x 2, expected 64");
    refused("llama", "t = g.tensor('blk.0.attn_q.weight'); t.type = T.T_BF16",
        "tensor blk.0.attn_q.weight is of type BF16 (30), which the backend cannot use");
    refused("llama", "t = g.tensor('blk.0.attn_norm.weight'); t.type = T.T_F16",
        "attn_norm.weight is of type F16, F32 is needed");
    refused("llama", "vector('blk.1.ffn_gate.bias', [0.0] * 128)",
        "tensor blk.1.ffn_gate.bias: not in this version for the architecture llama");
    refused("llama", "vector('output.bias', [0.0] * 300)", "tensor output.bias: not in this version");
    refused("llama", "vector('rope_factors_long.weight', [1.0] * 8)", "tensor rope_factors_long.weight: not in this");
    refused("llama", "vector('rope_freqs.weight', [1.0] * 7 + [0.0])", "rope_freqs.weight: factor 7 is 0, not above 0");
    refused("llama", "vector('rope_freqs.weight', [float('nan')] * 8)", "rope_freqs.weight: factor 0 is");
    refused("llama", "vector('blk.0.attn_q_norm.weight', [1.0] * 16)", "blk.0.attn_q_norm.weight: not in this version");
    refused("qwen2", "g.tensors = [t for t in g.tensors if t.name != 'blk.1.attn_k.bias']",
        "tensor blk.1.attn_k.bias is missing");
    refused("qwen2", "vector('blk.0.attn_output.bias', [0.0] * 64)", "blk.0.attn_output.bias: not in this version");
    refused("gemma3", "g.tensors = [t for t in g.tensors if t.name != 'blk.5.post_ffw_norm.weight']",
        "tensor blk.5.post_ffw_norm.weight is missing");
    refused("gemma3", "g.tensor('blk.0.attn_k_norm.weight').ne = [16, 2]",
        "tensor blk.0.attn_k_norm.weight is 16 x 2, expected 32");
    refused("gemma3", "vector('rope_freqs.weight', [1.0] * 16)", "rope_freqs.weight: not in this version");
}

/* What the backend cannot do with heads is asked before tensors are looked at. */
static void test_heads(void **state)
{
    rig r = {.backend.most_heads = 1};
    jv_err err = {0};
    make("gemma3", "gemma3", "f32", "");
    assert_int_equal(open_net(&r, "gemma3", &err), JV_BAD);
    assert_string_equal(err.text, "2 heads, at most 1");
    close_net(&r);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    set_paths(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_keys),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_heads),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
