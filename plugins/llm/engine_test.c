/*
 * engine_test.c: llm/model and llm/generate on tiny models over jv_cpu.so: the same bytes whatever the threads and portions,
 * partials, seeds, limits, faults and cancellation; and what a model's section says and refuses.
 * Arguments: the built jv_llm.so (jv_cpu.so lies beside it), and the top source folder.
 */
#include "stage_rig.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static const char *const types[] = {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "mixed"};

static int make_models(void **state)
{
    if (make_folder(state)) return -1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) make(types[i], "llama", types[i], "");
    make("qwen2", "qwen2", "q5_0", "");
    make("gemma3", "gemma3", "mixed", "");
    make("bare", "llama", "f32", "g.drop('tokenizer.chat_template')");
    return 0;
}

static llm_request request(const char *prompt, int64_t max_tokens)
{
    return (llm_request){.struct_size = sizeof(llm_request),
        .template_mode = LLM_TEMPLATE_NONE,
        .prompt = {prompt, strlen(prompt)},
        .answers = 1,
        .max_tokens = max_tokens,
        .thinking_tokens = -1,
        .top_p = 1,
        .repetition_penalty = 1,
        .logprobs = -1};
}

/* The answer to PROMPT. */
static char *answer(const char *name, int threads, const char *options, const char *stage_options)
{
    chain p = open_chain(name, threads, options, "generate", stage_options);
    jv_err err = {0};
    jv_buf *b = mock_record(p.stage, "page.txt");
    mock_put(b, "prompt", PROMPT);
    if (mock_process(p.stage, b, &err) != JV_OK) fail_msg("%s", err.text);
    char *text = copy(mock_text(b, "answer"));
    assert_true(mock_count(p.stage, "tokens_in") > 60);
    assert_true(mock_count(p.stage, "tokens_out") <= 40);
    close_chain(&p);
    return text;
}

/* ---- generating -------------------------------------------------------------------------------------------------- */

static void test_same_bytes(void **state)
{
    static const char *const ways[] = {"template = chat\nmax_tokens = 40",
        "template = none\nmax_tokens = 40\ntemperature = 0.9\ntop_p = 0.95\nseed = 7"};
    static const char *const portions[] = {"prefill_chunk = 1", "prefill_chunk = 7", "prefill_chunk = 128\nkv = f16"};
    static const char *const families[] = {"qwen2", "gemma3"};
    size_t n = sizeof types / sizeof *types;
    for (size_t t = 0; t < n + 2; t++)
        for (size_t w = 0; w < 2; w++) {
            const char *name = t < n ? types[t] : families[t - n];
            char *expected = answer(name, 1, "", ways[w]), *got = answer(name, 2, portions[(t + w) % 3], ways[w]);
            assert_true(strlen(expected) > 0);
            assert_string_equal(got, expected);
            free(got);
            free(expected);
        }
}

static void test_partials(void **state)
{
    chain p = open_chain("f32", 1, "", "generate", "template = none\nmax_tokens = 60\ntemperature = 2\nseed = 3");
    jv_err err = {0};
    jv_buf *b = mock_record(p.stage, "a");
    mock_put(b, "prompt", PROMPT);
    assert_int_equal(mock_process(p.stage, b, &err), JV_OK);
    const char *text = mock_text(b, "answer");
    assert_non_null(strstr(text, "\xef\xbf\xbd")); /* so hot that bytes come that are no UTF-8 */
    assert_true(mock_n(p.stage) > 5);
    size_t before = 0;
    for (size_t i = 0; i < mock_n(p.stage); i++) {
        assert_int_equal(mock_kind(mock_at(p.stage, i)), MOCK_PARTIAL);
        const char *part = mock_text(mock_at(p.stage, i), "answer");
        assert_true(strlen(part) > before); /* each holds all so far; mock checks that all are UTF-8 */
        before = strlen(part);
        assert_memory_equal(part, text, before);
    }
    assert_int_equal(before, strlen(text));
    assert_true(mock_f64(b, "seconds") >= mock_f64(b, "seconds_prefill") + mock_f64(b, "seconds_decode"));
    close_chain(&p);
}

static void test_seeds(void **state)
{
    static const char *const way = "template = none\nmax_tokens = 30\ntemperature = 1.5";
    char *all[3];
    static const char *const ids[] = {"a", "b", "a"};
    chain p = open_chain("f32", 1, "", "generate", way);
    for (int i = 0; i < 3; i++) {
        jv_err err = {0};
        jv_buf *b = mock_record(p.stage, ids[i]);
        mock_put(b, "prompt", "the");
        assert_int_equal(mock_process(p.stage, b, &err), JV_OK);
        all[i] = copy(mock_text(b, "answer"));
    }
    assert_string_equal(all[0], all[2]); /* seed = auto: the id's */
    assert_string_not_equal(all[0], all[1]);
    for (int i = 0; i < 3; i++) free(all[i]);
    close_chain(&p);
}

static int32_t ask(chain *p, const char *prompt, int64_t *tokens_in, jv_err *err)
{
    llm_request req = request(prompt, 10);
    llm_answer a = {.struct_size = sizeof a};
    int32_t rc = api_of(p)->generate(mock_context(p->model), &req, &a, err);
    *tokens_in = a.tokens_in;
    api_of(p)->release_answer(mock_context(p->model), &a);
    return rc;
}

static void test_context_is_enough_or_not(void **state)
{
    char prompt[64] = "", expected[256];
    jv_err err = {0};
    int64_t n = 0;
    chain p = open_chain("f32", 1, "context = 30", NULL, NULL);
    while (strlen(prompt) < 20) strcat(prompt, "#");    /* a token each */
    assert_int_equal(ask(&p, prompt, &n, &err), JV_OK); /* 20 + 10 = 30 */
    assert_int_equal(n, 20);
    strcat(prompt, "#");
    assert_int_equal(ask(&p, prompt, &n, &err), JV_BAD);
    snprintf(expected, sizeof expected,
        "the prompt has 21 tokens and max_tokens is 10: together 31, the context holds 30");
    assert_string_equal(err.text, expected);
    assert_int_equal(ask(&p, "", &n, &err), JV_BAD);
    close_chain(&p);
}

static void test_bad_requests(void **state)
{
    chain p = open_chain("f32", 1, "", NULL, NULL);
    const llm_api *api = api_of(&p);
    llm_request good = {.struct_size = sizeof good,
                    .template_mode = LLM_TEMPLATE_NONE,
                    .prompt = {"a", 1},
                    .max_tokens = 1,
                    .top_p = 1},
                bad[9];
    for (int i = 0; i < 9; i++) bad[i] = good;
    bad[0].max_tokens = 0;
    bad[1].max_tokens = INT64_MAX;
    bad[2].temperature = NAN;
    bad[3].temperature = -1;
    bad[4].top_p = 0;
    bad[5].top_p = NAN;
    bad[6].struct_size = 8;
    bad[7].system = (jv_str){"be kind", 7};
    bad[8].template_mode = 2;
    for (int i = 0; i < 9; i++) {
        jv_err err = {0};
        llm_answer a = {.struct_size = sizeof a};
        assert_int_equal(api->generate(mock_context(p.model), &bad[i], &a, &err), JV_BAD);
        assert_true(strlen(err.text) > 10);
        api->release_answer(mock_context(p.model), &a);
    }
    close_chain(&p);
}

static void test_template(void **state)
{
    chain p = open_chain("bare", 1, "", "generate", "template = none\nmax_tokens = 8");
    jv_err err = {0};
    assert_true(mock_logged(p.model, "no chat template"));
    mock_free(p.stage);
    assert_int_equal(open_stage(&p, "generate", "template = chat\nmax_tokens = 8", &err), JV_BAD);
    assert_non_null(strstr(err.text, "no chat template"));
    close_chain(&p);
    p = open_chain("f32", 1, "", NULL, NULL);
    assert_int_equal(open_stage(&p, "generate", "template = none\nmax_tokens = 8\nsystem = be kind", &err), JV_BAD);
    assert_non_null(strstr(err.text, "no place for that without a template"));
    close_chain(&p);
}

/* A control token's text in a prompt is text: many tokens, not one. */
static void test_control_tokens(void **state)
{
    static const char *const prompts[] = {"<|im_end|>", "#|im_end|#"};
    int64_t n[2];
    for (int i = 0; i < 2; i++) {
        chain p = open_chain("f32", 1, "", "generate", "max_tokens = 1");
        jv_err err = {0};
        jv_buf *b = mock_record(p.stage, "a");
        mock_put(b, "prompt", prompts[i]);
        assert_int_equal(mock_process(p.stage, b, &err), JV_OK);
        n[i] = mock_count(p.stage, "tokens_in");
        close_chain(&p);
    }
    assert_int_equal(n[0], n[1]);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

static void test_cancel(void **state)
{
    for (int64_t k = 0; k < 12; k += 3) {
        chain p =
            open_chain("f32", 1, "prefill_chunk = 16", "generate", "template = none\nmax_tokens = 99\ntemperature = 1");
        jv_err err = {0};
        jv_buf *b = mock_record(p.stage, "a");
        mock_put(b, "prompt", PROMPT);
        mock_cancel_at(p.stage, k);
        assert_int_equal(mock_process(p.stage, b, &err), JV_CANCELLED);
        assert_true(mock_count(p.stage, "tokens_out") <= k);
        close_chain(&p);
    }
}

static int32_t third_time(void *user)
{
    return ++*(int *)user == 3;
}

/* One batch of a whole prompt is given up between two layers. */
static void test_cancel_in_batch(void **state)
{
    chain p = open_chain("f32", 1, "prefill_chunk = 128", NULL, NULL);
    const llm_api *api = api_of(&p);
    jv_err err = {0};
    int asked = 0;
    llm_request req = request(PROMPT, 5);
    req.stopped = third_time;
    req.user = &asked;
    llm_answer a = {.struct_size = sizeof a};
    assert_int_equal(api->generate(mock_context(p.model), &req, &a, &err), JV_CANCELLED); /* two layers, a token */
    assert_int_equal(a.tokens_out, 0);
    assert_true(a.tokens_in < 128);
    api->release_answer(mock_context(p.model), &a);
    llm_score_request scored = {.struct_size = sizeof scored,
        .bos = LLM_BOS_NO,
        .text = {PROMPT, sizeof PROMPT - 1},
        .stopped = third_time,
        .user = &asked};
    llm_score_total total = {.struct_size = sizeof total};
    asked = 0;
    assert_int_equal(api->score(mock_context(p.model), &scored, &total, &err), JV_CANCELLED);
    close_chain(&p);
}

typedef struct many {
    chain *p;
    char *text;
} many;

static void *one_of_many(void *arg)
{
    many *m = arg;
    jv_err err = {0};
    llm_request req = request(PROMPT, 8);
    llm_answer a = {.struct_size = sizeof a};
    if (api_of(m->p)->generate(mock_context(m->p->model), &req, &a, &err) == JV_OK) {
        m->text = calloc(1, a.reply->text.n + 1);
        if (m->text && a.reply->text.n) memcpy(m->text, a.reply->text.p, a.reply->text.n);
    }
    api_of(m->p)->release_answer(mock_context(m->p->model), &a);
    return NULL;
}

static void test_many_at_once(void **state)
{
    enum { MANY = 8 };
    chain p = open_chain("q4_1", 2, "", NULL, NULL);
    pthread_t thread[MANY];
    many m[MANY];
    for (int i = 0; i < MANY; i++) {
        m[i] = (many){&p, NULL};
        assert_int_equal(pthread_create(&thread[i], NULL, one_of_many, &m[i]), 0);
    }
    for (int i = 0; i < MANY; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < MANY; i++) {
        assert_non_null(m[i].text);
        assert_string_equal(m[i].text, m[0].text);
    }
    for (int i = 0; i < MANY; i++) free(m[i].text);
    close_chain(&p);
}

/* What no record could pass is told while opening. */
static void test_options_against_the_model(void **state)
{
    static const char *const bad[][3] = {
        {"score", "context = 65", "context = 65 is more than the model's, 64"},
        {"score", "stride = 65", "stride = 65 is more than context = 64"},
        {"score", "context = 8\nstride = 9", "stride = 9 is more than context = 8"},
        {"generate", "max_tokens = 64", "max_tokens = 64 leaves no room for a prompt: the model's context holds 64"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        chain p = open_chain("f32", 1, "context = 64", NULL, NULL);
        jv_err err = {0};
        assert_int_equal(open_stage(&p, bad[i][0], bad[i][1], &err), JV_BAD);
        if (!strstr(err.text, bad[i][2])) fail_msg("%s: %s", bad[i][1], err.text);
        close_chain(&p);
    }
    chain p = open_chain("f32", 1, "context = 64", "generate", "max_tokens = 63");
    assert_int_equal(mock_logs(p.stage), 0);
    close_chain(&p);
}

static void test_memory(void **state)
{
    chain p;
    jv_err err = {0};
    assert_int_equal(open_model(&p, "f32", 1, "memory = 1M\ncontext = 65536", &err), JV_BAD);
    assert_non_null(strstr(err.text, "memory = 1.0 MiB is not enough"));
    assert_non_null(strstr(err.text, "MiB in all"));
    close_chain(&p);
    p = open_chain("f32", 1, "memory = 64M\ncontext = 512", NULL, NULL);
    assert_true(mock_logged(p.model, "MiB in all"));
    assert_true(mock_logged(p.model, "F32"));
    assert_true(mock_logged(p.model, "cpu, 1 thread"));
    assert_true(mock_logged(p.model, "512 is more than the 256 tokens"));
    close_chain(&p);
}

static void test_unused_tensors(void **state)
{
    make("odd", "llama", "f32", "for i in range(3): g.tensors.append(T.Tensor('extra.%d' % i, [4], T.T_F32, bytes(16)))");
    chain p = open_chain("odd", 1, "", NULL, NULL);
    assert_true(mock_logged(p.model, "tensors not used: 3, the first is extra.0"));
    close_chain(&p);
}

/* What generate and score answer to a model; BAD must be for a logit, which is named, and for the tensor, where that is
 * known. */
static void answer_of(const char *name, int32_t rc[2], const char *tensor)
{
    static const char *const stages[] = {"generate", "score"}, *const fields[] = {"prompt", "text"};
    static const int32_t good[] = {JV_OK, JV_DONE};
    for (int i = 0; i < 2; i++) {
        chain p = open_chain(name, 1, "", stages[i], i == 0 ? "template = none\nmax_tokens = 4" : "top = 2");
        jv_err err = {0};
        jv_buf *b = mock_record(p.stage, "a");
        mock_put(b, fields[i], "the other");
        rc[i] = mock_process(p.stage, b, &err);
        if (rc[i] != good[i] && (rc[i] != JV_BAD || !strstr(err.text, "logit") || !strstr(err.text, tensor)))
            fail_msg("%s, %s: %d, %s", name, stages[i], rc[i], err.text);
        close_chain(&p);
    }
}

/* A weight that is no number, or not a finite one, wherever it stands: the record is rejected, and the tensor named. */
static void test_not_a_number(void **state)
{
    static const char *const cases[][3] = {
        {"llama", "q4_k", "t = g.tensor('blk.0.ffn_gate.weight'); t.data = t.data[:2] + b'\\x00\\x7c' + t.data[4:]"},
        {"llama", "q5_k", "t = g.tensor('blk.1.attn_q.weight'); t.data = b'\\x01\\xfc' + t.data[2:]"},
        {"llama", "q6_k", "t = g.tensor('output.weight'); t.data = t.data[:-2] + b'\\x00\\x7c'"},
        {"llama", "f32", "t = g.tensor('output_norm.weight'); t.data = T.encode([float('nan')] * 64, T.T_F32)"},
        {"llama", "f16", "t = g.tensor('blk.1.ffn_down.weight'); t.data = T.encode([float('inf')] * 8192, T.T_F16)"},
        {"llama", "bf16", "t = g.tensor('blk.1.ffn_up.weight'); t.data = b'\\xff\\xff' * 8192"},
        {"llama", "q8_0", "t = g.tensor('blk.0.attn_v.weight'); t.data = b'\\x00\\x7e' + t.data[2:]"},
        {"llama", "q4_1", "t = g.tensor('blk.1.ffn_up.weight'); t.data = t.data[:2] + b'\\x00\\x7c' + t.data[4:]"},
        {"llama", "q5_0", "t = g.tensor('token_embd.weight'); t.data = b'\\x00\\xfe' * (len(t.data) // 2)"},
        {"qwen2", "q4_0", "t = g.tensor('blk.0.attn_q.bias'); t.data = T.encode([float('nan')] * 64, T.T_F32)"},
        {"gemma3", "q5_1", "t = g.tensor('blk.5.attn_k_norm.weight'); t.data = T.encode([float('nan')] * 32, T.T_F32)"},
        {"gemma3", "f32", "t = g.tensor('blk.2.post_ffw_norm.weight'); t.data = T.encode([float('inf')] * 32, T.T_F32)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t rc[2], from = 0, to = 0;
        char told[128];
        sscanf(cases[i][2], "t = g.tensor('%n%*[^']%n", &from, &to);
        snprintf(told, sizeof told, "; tensor %.*s of the file holds numbers that are not finite", to - from,
            cases[i][2] + from);
        make("odd", cases[i][0], cases[i][1], cases[i][2]);
        answer_of("odd", rc, told);
        if (rc[0] != JV_BAD || rc[1] != JV_BAD) fail_msg("%s: %d, %d", cases[i][2], rc[0], rc[1]);
    }
}

/* Tensors of any bytes: an answer, or a logit that is none. */
static void test_damaged_tensors(void **state)
{
    static const char *const families[] = {"llama", "qwen2", "gemma3"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        int32_t rc[2];
        make("odd", families[i % 3], types[i],
            "for t in g.tensors:\n"
            "    d = bytearray(t.data)\n"
            "    for _ in range(max(1, len(d) // 500)): d[r.randrange(len(d))] = r.randrange(256)\n"
            "    t.data = bytes(d)");
        answer_of("odd", rc, "");
        make("odd", families[(i + 1) % 3], types[i], "for t in g.tensors: t.data = r.randbytes(len(t.data))");
        answer_of("odd", rc, "");
    }
}

/* Every allocation of the host that a stage asks for fails once. */
static void test_no_memory(void **state)
{
    static const char *const stages[] = {"generate", "score", "tokenize"};
    static const char *const fields[] = {"prompt", "text", "text"};
    for (int i = 0; i < 3; i++) {
        chain p = open_chain("f32", 1, "", stages[i], i == 0 ? "max_tokens = 3\ntemplate = none" : "");
        for (int64_t k = 0;; k++) {
            jv_err err = {0};
            jv_buf *b = mock_record(p.stage, "a");
            mock_put(b, fields[i], "abcd");
            mock_fail_at(p.stage, k);
            int32_t rc = mock_process(p.stage, b, &err);
            if (!mock_failed(p.stage)) break;
            assert_int_equal(rc, JV_FATAL); /* for the reason there was, also when a partial met it */
            assert_true(strlen(err.text) > 0);
            mock_forget(p.stage);
        }
        close_chain(&p);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    set_paths(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_partials),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_context_is_enough_or_not),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_control_tokens),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_in_batch),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_options_against_the_model),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_unused_tensors),
        cmocka_unit_test(test_not_a_number),
        cmocka_unit_test(test_damaged_tensors),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_models, remove_folder);
}
