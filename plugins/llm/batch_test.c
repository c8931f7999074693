/*
 * batch_test.c: jv_llm.so over jv_cpu.so on tiny models: what an answer is, to the last bit of its probabilities, does
 * not depend on its company, on threads, on the size of steps or cache, on what is found there, or on being sent back.
 * Arguments: the built jv_llm.so (jv_cpu.so lies beside it), and the top source folder.
 */
#include "stage_rig.h"

#include <pthread.h>

enum { PROMPTS = 24, TOKENS = 20, MOST_TOKENS = 120, ANSWERS = 3 };

static const char *const models[][3] = {
    {"llama", "llama", "q8_0"},
    {"mixed", "llama", "mixed"},
    {"mixed_k", "llama", "mixed_k"},
    {"qwen2", "qwen2", "q4_1"},
    {"gemma3", "gemma3", "q8_0"},
};

static int make_models(void **state)
{
    if (make_folder(state) != 0) return -1;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) make(models[i][0], models[i][1], models[i][2], "");
    return 0;
}

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

/* All that can be told of one answer, or of a score. */
typedef struct told {
    int32_t finish;
    size_t n_text, n;
    char text[8 * MOST_TOKENS];
    int32_t token[MOST_TOKENS];
    double logprob[MOST_TOKENS], second[MOST_TOKENS];
} told;

typedef struct ask {
    chain *p;
    pthread_t thread;
    char prompt[256];
    llm_request req;
    bool scores;
    int32_t rc;
    jv_err err;
    int64_t cached, tokens_in;
    told told[ANSWERS];
} ask;

/* Prompts that begin as others do and part from them within a block and at its end; some are drawn, some have several
 * answers, some are texts to be scored. */
static void make_ask(ask *a, chain *p, int i)
{
    static const size_t parts[] = {0, 5, 32, 40, 64};
    static const char front[] = "The quick brown fox jumps over the lazy dog; why does it do so, then?";
    uint32_t random = (uint32_t)i * 2654435761u + 12345;
    size_t n = parts[i % 5], more = 1 + (size_t)i * 7 % 60;
    *a = (ask){.p = p, .scores = i % 6 == 5};
    memcpy(a->prompt, front, n);
    for (size_t k = 0; k < more; k++) {
        random = random * 1664525u + 1013904223u;
        a->prompt[n + k] = (char)('!' + (random >> 24) % 90);
    }
    a->req = (llm_request){
        .struct_size = sizeof a->req,
        .priority = i % 4 == 1 ? JV_LIVE : JV_BATCH,
        .template_mode = LLM_TEMPLATE_NONE,
        .reasoning = LLM_REASONING_INLINE,
        .prompt = {a->prompt, strlen(a->prompt)},
        .answers = i % 8 == 3 ? ANSWERS : 1,
        .max_tokens = TOKENS,
        .thinking_tokens = -1,
        .temperature = i % 3 == 0 ? 0 : 0.8,
        .top_p = i % 3 == 2 ? 0.9 : 1,
        .repetition_penalty = i % 7 == 2 ? 1.1 : 1,
        .seed = (uint64_t)i,
        .logprobs = 2,
    };
}

static int32_t on_token(void *user, const llm_score *s)
{
    told *t = user;
    assert_true(t->n < MOST_TOKENS);
    t->token[t->n] = s->token;
    t->logprob[t->n] = s->logprob;
    t->second[t->n++] = s->top_logprob[1];
    return 0;
}

static void run_score(ask *a)
{
    llm_score_request req = {.struct_size = sizeof req,
        .bos = LLM_BOS_NO,
        .text = a->req.prompt,
        .top = 2,
        .context = 50,
        .stride = 30,
        .on_token = on_token,
        .user = &a->told[0]};
    llm_score_total total = {.struct_size = sizeof total};
    a->rc = api_of(a->p)->score(mock_context(a->p->model), &req, &total, &a->err);
}

static void run_generate(ask *a)
{
    llm_answer answer = {.struct_size = sizeof answer};
    a->rc = api_of(a->p)->generate(mock_context(a->p->model), &a->req, &answer, &a->err);
    a->cached = answer.tokens_cached;
    a->tokens_in = answer.tokens_in;
    for (size_t i = 0; i < answer.n; i++) {
        const llm_reply *r = &answer.reply[i];
        told *t = &a->told[i];
        t->finish = r->finish;
        t->n_text = r->text.n;
        assert_true(r->text.n <= sizeof t->text && r->n_token <= MOST_TOKENS);
        if (r->text.n) memcpy(t->text, r->text.p, r->text.n);
        for (; t->n < r->n_token; t->n++) {
            t->token[t->n] = r->token[t->n].token;
            t->logprob[t->n] = r->token[t->n].logprob;
            t->second[t->n] = r->token[t->n].top_logprob[1];
        }
    }
    api_of(a->p)->release_answer(mock_context(a->p->model), &answer);
}

static void *run_ask(void *arg)
{
    ask *a = arg;
    if (a->scores)
        run_score(a);
    else
        run_generate(a);
    return NULL;
}

/* long_ones: short prompts with long answers, so that all grow a lot. */
static void ask_all(ask *a, chain *p, bool at_once, bool long_ones)
{
    for (int i = 0; i < PROMPTS; i++) {
        make_ask(&a[i], p, i);
        if (long_ones) {
            a[i].req.prompt.n = 1 + a[i].req.prompt.n % 40;
            a[i].req.max_tokens = 100;
        }
        if (pthread_create(&a[i].thread, NULL, run_ask, &a[i]) != 0) fail_msg("no thread");
        if (!at_once) pthread_join(a[i].thread, NULL);
    }
    for (int i = 0; i < PROMPTS && at_once; i++) pthread_join(a[i].thread, NULL);
    for (int i = 0; i < PROMPTS; i++)
        if (a[i].rc != JV_OK) fail_msg("prompt %d: %s", i, a[i].err.text);
}

static void check_same(const ask *got, const ask *expected, const char *way)
{
    for (int i = 0; i < PROMPTS; i++)
        for (int k = 0; k < ANSWERS; k++)
            if (memcmp(&got[i].told[k], &expected[i].told[k], sizeof got[i].told[k]) != 0)
                fail_msg("%s: prompt %d, answer %d: \"%.*s\", not \"%.*s\"", way, i, k, (int)got[i].told[k].n_text,
                    got[i].told[k].text, (int)expected[i].told[k].n_text, expected[i].told[k].text);
}

static int64_t cached(const ask *a)
{
    int64_t sum = 0;
    for (int i = 0; i < PROMPTS; i++) {
        assert_true(a[i].cached <= a[i].tokens_in);
        sum += a[i].cached;
    }
    return sum;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static const struct {
    int threads;
    const char *options;
} ways[] = {
    {1, "batch = 32\nprefill_chunk = 512\ncontext = 160"},
    {2, "batch = 7\nprefill_chunk = 100\ncontext = 160"},
    {2, "batch = 32\nprefill_chunk = 16\ncontext = 160"},
    {1, "batch = 32\nprefill_chunk = 1\ncontext = 160"},
    {2, "batch = 1\nprefill_chunk = 512\ncontext = 160"},
};

static void check_model(const char *name, const char *kv)
{
    static ask alone[PROMPTS], got[PROMPTS];
    char options[256];
    snprintf(options, sizeof options, "batch = 1\nprefill_chunk = 16\ncontext = 256\n%s", kv);
    chain p = open_chain(name, 1, options, NULL, NULL);
    ask_all(alone, &p, false, false);
    close_chain(&p);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        snprintf(options, sizeof options, "%s\n%s", ways[w].options, kv);
        p = open_chain(name, ways[w].threads, options, NULL, NULL);
        ask_all(got, &p, true, false);
        check_same(got, alone, options);
        ask_all(got, &p, true, false); /* now with a cache that has seen it all */
        check_same(got, alone, options);
        assert_true(cached(got) > 200);
        close_chain(&p);
    }
}

static void test_same_bits(void **state)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) check_model(models[i][0], "kv = f16");
    check_model("gemma3", "kv = q8_0");
}

/* Many that grow at once in a cache for a few: some go back and are computed again. */
static void test_sent_back(void **state)
{
    static ask alone[PROMPTS], got[PROMPTS];
    chain p = open_chain("llama", 1, "batch = 1\ncontext = 160", NULL, NULL);
    ask_all(alone, &p, false, true);
    close_chain(&p);
    p = open_chain("llama", 2, "batch = 32\ncontext = 160\nprefill_chunk = 64\nmemory = 1500000", NULL, NULL);
    ask_all(got, &p, true, true);
    check_same(got, alone, "a cache for a few");
    mock_close(p.model);
    assert_false(mock_logged(p.model, " 0 sequences sent back"));
    close_chain(&p);
}

/* The first of n answers is the one that is given alone; the others differ from it when drawn. */
static void test_answers(void **state)
{
    static ask one, three;
    chain p = open_chain("mixed", 1, "context = 160", NULL, NULL);
    make_ask(&one, &p, 4);
    make_ask(&three, &p, 4);
    three.req.answers = 3;
    run_ask(&one);
    run_ask(&three);
    assert_int_equal(one.rc, JV_OK);
    assert_int_equal(three.rc, JV_OK);
    assert_memory_equal(&one.told[0], &three.told[0], sizeof one.told[0]);
    assert_true(memcmp(&three.told[0], &three.told[1], sizeof one.told[0]) != 0);
    assert_true(memcmp(&three.told[1], &three.told[2], sizeof one.told[0]) != 0);
    close_chain(&p);
}

static int32_t refuse(const char *name, const char *options, char *text, size_t size)
{
    chain p;
    jv_err err = {0};
    int32_t rc = open_model(&p, name, 1, options, &err);
    snprintf(text, size, "%s", err.text);
    close_chain(&p);
    return rc;
}

static void test_memory(void **state)
{
    char text[512];
    assert_int_equal(refuse("llama", "memory = 1M\ncontext = 65536", text, sizeof text), JV_BAD);
    assert_non_null(strstr(text, "memory = 1.0 MiB is not enough for a context of 65536 tokens: weights"));
    assert_non_null(strstr(text, "MiB in all"));
    assert_int_equal(refuse("llama", "kv = q8_0", text, sizeof text), JV_BAD); /* heads of 16 */
    assert_non_null(strstr(text, "kv = q8_0: the backend cannot keep heads of 16 numbers so"));
    chain p = open_chain("llama", 1, "memory = 64M\ncontext = 100\nbatch = 3", NULL, NULL);
    assert_true(mock_logged(p.model, "context 100 tokens, batch 3, KV f16 for"));
    assert_true(mock_logged(p.model, ": 64.0 MiB in all") || mock_logged(p.model, ": 63.9 MiB in all"));
    close_chain(&p);
    p = open_chain("llama", 1, "context = 100\nbatch = 3", NULL, NULL); /* auto: a cache of three contexts of four blocks */
    assert_true(mock_logged(p.model, "KV f16 for 384 tokens"));
    close_chain(&p);
}

static void test_too_long(void **state)
{
    static ask a;
    chain p = open_chain("llama", 1, "context = 30", NULL, NULL);
    make_ask(&a, &p, 0);
    a.req.prompt = (jv_str){"#####################", 21}; /* a token each */
    a.req.max_tokens = 10;
    run_ask(&a);
    assert_int_equal(a.rc, JV_BAD);
    assert_string_equal(a.err.text, "the prompt has 21 tokens and max_tokens is 10: together 31, the context holds 30");
    a.req.prompt.n = 20;
    a.told[0] = (told){0};
    run_ask(&a);
    assert_int_equal(a.rc, JV_OK);
    close_chain(&p);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    set_paths(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_sent_back),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, make_models, remove_folder);
}
