/*
 * score_test.c: llm/score and llm/tokenize on tiny models over jv_cpu.so: every probability against
 * tests/net_ref.py, windows, limits; the same bytes whatever the threads and portions; bytes without a token.
 * Arguments: the built jv_llm.so (jv_cpu.so lies beside it), and the top source folder.
 */
#include "stage_rig.h"

#include <math.h>

static const char *const types[] = {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "mixed"};

static int make_models(void **state)
{
    if (make_folder(state)) return -1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) make(types[i], "llama", types[i], "");
    make("qwen2", "qwen2", "f32", "");
    make("gemma3", "gemma3", "f32", "");
    return 0;
}

static int32_t always(void *user)
{
    return 1;
}

/* ---- probabilities ----------------------------------------------------------------------------------------------- */

enum { VOCABULARY = 512, MOST_TOKENS = 200 }; /* above the tiny model's */

typedef struct scores {
    size_t n;
    int32_t token[MOST_TOKENS];
    double logprob[MOST_TOKENS];
    double all[MOST_TOKENS][VOCABULARY]; /* by id */
    size_t n_top;
    size_t stop_at;
} scores;

static int32_t on_token(void *user, const llm_score *s)
{
    scores *all = user;
    assert_true(all->n < MOST_TOKENS && s->n_top < VOCABULARY);
    all->token[all->n] = s->token;
    all->logprob[all->n] = s->logprob;
    all->n_top = s->n_top;
    for (size_t i = 0; i < s->n_top; i++) {
        assert_true(i == 0 || s->top_logprob[i] < s->top_logprob[i - 1] ||
                    (s->top_logprob[i] == s->top_logprob[i - 1] && s->top[i] > s->top[i - 1]));
        all->all[all->n][s->top[i]] = s->top_logprob[i];
    }
    all->n++;
    return all->n == all->stop_at ? -1 : 0;
}

static int32_t score_text(chain *p, const char *text, llm_score_request req, scores *s, llm_score_total *total)
{
    jv_err err = {0};
    req.struct_size = sizeof req;
    req.text = (jv_str){text, strlen(text)};
    req.on_token = on_token;
    req.user = s;
    *total = (llm_score_total){.struct_size = sizeof *total};
    int32_t rc = api_of(p)->score(mock_context(p->model), &req, total, &err);
    if (rc == JV_BAD || rc == JV_FATAL) print_message("%s\n", err.text);
    return rc;
}

/* Asks tests/net_ref.py for the probabilities after the last of ids[begin..end) of each window; a row a window. */
static double *reference(const char *name, const int32_t *ids, size_t (*window)[2], size_t n, size_t vocabulary)
{
    char path[128], line[8192];
    snprintf(path, sizeof path, "%s/sequences", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < n; i++) {
        for (size_t t = window[i][0]; t < window[i][1]; t++) fprintf(f, "%d ", ids[t]);
        fputc('\n', f);
    }
    fclose(f);
    snprintf(line, sizeof line, "python3 -B %s/tests/net_ref.py %s/%s.gguf < %s", top, dir, name, path);
    f = popen(line, "r");
    assert_non_null(f);
    double *rows = malloc(n * vocabulary * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        for (size_t t = window[i][0]; t < window[i][1]; t++)
            for (size_t v = 0; v < vocabulary; v++)
                assert_int_equal(fscanf(f, "%lf", &rows[i * vocabulary + v]), 1); /* the last token's stay */
    assert_int_equal(pclose(f), 0);
    return rows;
}

/* All probabilities at all positions of a text, behind the token for the beginning, in windows of `context` that move
 * on by `stride`. */
static void check_reference(const char *name, const char *text, int64_t context, int64_t stride, int32_t bos)
{
    chain p = open_chain(name, 2, "kv = f32\nprefill_chunk = 5", NULL, NULL);
    static scores s;
    llm_score_total total;
    s = (scores){0};
    assert_int_equal(score_text(&p, text,
                         (llm_score_request){.bos = LLM_BOS_YES, .top = 1000, .context = context, .stride = stride}, &s,
                         &total),
        JV_OK);
    size_t n = (size_t)total.tokens, c = context ? (size_t)context : 256, step = stride ? (size_t)stride : c;
    assert_int_equal(total.bos, 1);
    assert_int_equal(s.n, n - 1);
    int32_t ids[MOST_TOKENS] = {bos};
    size_t window[MOST_TOKENS][2];
    for (size_t i = 1; i < n; i++) {
        ids[i] = s.token[i - 1];
        /* of the first window that holds token i behind another; without overlap, or that ends before it */
        size_t begin = 0;
        while (step < c ? begin + c <= i : begin + c < i) begin += step;
        window[i - 1][0] = begin;
        window[i - 1][1] = i;
    }
    double *expected = reference(name, ids, window, n - 1, s.n_top), sum = 0;
    for (size_t i = 0; i < n - 1; i++) {
        assert_true(s.logprob[i] == s.all[i][s.token[i]]);
        sum += s.logprob[i];
        for (size_t v = 0; v < s.n_top; v++)
            if (fabs(s.all[i][v] - expected[i * s.n_top + v]) > 1e-4)
                fail_msg("%s: token %zu, id %zu: %.9g, expected %.9g", name, i, v, s.all[i][v],
                    expected[i * s.n_top + v]);
    }
    assert_true(fabs(sum - total.logprob_sum) < 1e-9);
    free(expected);
    close_chain(&p);
}

static void test_reference(void **state)
{
    check_reference("f32", "The quick brown fox and the \xe2\x82\xac.", 0, 0, 1);
    check_reference("qwen2", "It is the thing of the others.", 0, 0, 1);
    check_reference("gemma3", "On and on, and in the end.\n\nSo", 0, 0, 2);
}

static void test_windows(void **state)
{
    check_reference("f32", "A window that moves on.", 8, 8, 1);
    check_reference("f32", "A window that moves on.", 8, 3, 1);
    check_reference("f32", "Small ones", 2, 1, 1);
    check_reference("f32", "Small ones", 2, 2, 1);
}

static void test_score_limits(void **state)
{
    static scores s;
    llm_score_total total;
    chain p = open_chain("f32", 1, "", NULL, NULL);
    s = (scores){0};
    assert_int_equal(score_text(&p, "", (llm_score_request){0}, &s, &total), JV_OK);
    assert_int_equal(total.tokens, 0);
    assert_int_equal(score_text(&p, "#", (llm_score_request){0}, &s, &total), JV_OK);
    assert_true(total.tokens == 1 && s.n == 0);
    assert_int_equal(score_text(&p, "##", (llm_score_request){.context = 257}, &s, &total), JV_BAD);
    assert_int_equal(score_text(&p, "##", (llm_score_request){.context = 1}, &s, &total), JV_BAD);
    assert_int_equal(score_text(&p, "##", (llm_score_request){.context = 8, .stride = 9}, &s, &total), JV_BAD);
    assert_int_equal(score_text(&p, "##", (llm_score_request){.top = -1}, &s, &total), JV_BAD);
    s.stop_at = 3;
    assert_int_equal(score_text(&p, "########", (llm_score_request){0}, &s, &total), JV_CANCELLED);
    assert_int_equal(s.n, 3);
    assert_int_equal(score_text(&p, "########", (llm_score_request){.stopped = always}, &s, &total), JV_CANCELLED);
    close_chain(&p);
}

/* Scores do not depend on how the text goes through the network. */
static void test_score_portions(void **state)
{
    static const char *const portions[] = {"prefill_chunk = 1", "prefill_chunk = 7", "prefill_chunk = 128"};
    static scores all, s;
    llm_score_total total;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int threads = 1; threads <= 2; threads++)
            for (int i = 0; i < 3; i++) {
                chain p = open_chain(types[t], threads, portions[i], NULL, NULL);
                s = (scores){0};
                assert_int_equal(score_text(&p, PROMPT, (llm_score_request){.top = 3}, &s, &total), JV_OK);
                if (threads == 1 && i == 0) all = s;
                assert_memory_equal(&s, &all, sizeof s);
                close_chain(&p);
            }
}

static void test_score_stage(void **state)
{
    chain p = open_chain("f32", 1, "", "score", "top = 2");
    jv_err err = {0};
    jv_buf *b = mock_record(p.stage, "a");
    mock_put(b, "text", "abc");
    assert_int_equal(mock_process(p.stage, b, &err), JV_DONE);
    assert_int_equal(mock_n(p.stage), 3);
    double sum = 0;
    for (size_t i = 0; i < 2; i++) {
        int token, id[2];
        double logprob, top_logprob[2];
        assert_int_equal(mock_kind(mock_at(p.stage, i)), MOCK_CHILD);
        assert_int_equal(sscanf(mock_text(mock_at(p.stage, i), "json"),
                             "{\"token\":%d,\"logprob\":%lf,\"top\":[[%d,%lf],[%d,%lf]]}", &token, &logprob, &id[0],
                             &top_logprob[0], &id[1], &top_logprob[1]),
            6);
        assert_true(top_logprob[0] >= top_logprob[1] && top_logprob[0] >= logprob);
        sum += logprob;
    }
    int tokens;
    double perplexity;
    assert_int_equal(sscanf(mock_text(mock_at(p.stage, 2), "json"), "{\"tokens\":%d,\"perplexity\":%lf,\"bos\":false}",
                         &tokens, &perplexity),
        2);
    assert_int_equal(tokens, 3);
    assert_true(fabs(perplexity - exp(-sum / 2)) < 1e-6 * perplexity);
    assert_int_equal(mock_count(p.stage, "tokens"), 3);
    mock_forget(p.stage);
    b = mock_record(p.stage, "b");
    mock_put(b, "text", "");
    assert_int_equal(mock_process(p.stage, b, &err), JV_DONE);
    assert_int_equal(mock_n(p.stage), 1);
    assert_string_equal(mock_text(mock_at(p.stage, 0), "json"), "{\"tokens\":0,\"perplexity\":null,\"bos\":false}");
    close_chain(&p);
}

static void test_tokenize_stage(void **state)
{
    chain p = open_chain("f32", 1, "", "tokenize", "");
    jv_err err = {0};
    jv_buf *b = mock_record(p.stage, "a");
    mock_put(b, "text", "!!\"<|im_end|>");
    assert_int_equal(mock_process(p.stage, b, &err), JV_OK);
    assert_memory_equal(mock_text(b, "json"), "{\"tokens\":[3", 12);
    assert_null(strstr(mock_text(b, "json"), ",2]")); /* no control token */
    assert_true(mock_count(p.stage, "tokens") > 3);
    mock_put(b, "text", "");
    assert_int_equal(mock_process(p.stage, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "json"), "{\"tokens\":[]}");
    close_chain(&p);
}

/* Bytes without a token are left out, and each stage counts them. */
static void test_lost_bytes(void **state)
{
    static const char *const stages[] = {"generate", "score", "tokenize"};
    static const char *const fields[] = {"prompt", "text", "text"};
    static const int32_t verdicts[] = {JV_OK, JV_DONE, JV_OK};
    make("odd", "llama", "f32",
        "t = dict((k, v) for k, _, v in g.kv)['tokenizer.ggml.tokens'][1]\n"
        "t[t.index('\\u0107')] = 'no byte'\n"); /* \u0107 stands for byte 7 */
    for (int i = 0; i < 3; i++) {
        chain p = open_chain("odd", 1, "", stages[i], i == 0 ? "template = none\nmax_tokens = 1" : "");
        jv_err err = {0};
        jv_buf *b = mock_record(p.stage, "a");
        mock_put(b, fields[i], "a\007b\007\007c");
        if (mock_process(p.stage, b, &err) != verdicts[i]) fail_msg("%s: %s", stages[i], err.text);
        assert_int_equal(mock_count(p.stage, "bytes_lost"), 3);
        assert_int_equal(mock_count(p.stage, i == 0 ? "tokens_in" : "tokens"), 3);
        close_chain(&p);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    set_paths(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_score_limits),
        cmocka_unit_test(test_score_portions),
        cmocka_unit_test(test_score_stage),
        cmocka_unit_test(test_tokenize_stage),
        cmocka_unit_test(test_lost_bytes),
    };
    return cmocka_run_group_tests(tests, make_models, remove_folder);
}
