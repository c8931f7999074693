/*
 * engine_test.c: the stages of jv_llm.so over jv_plain.so, on tiny models with random weights: the same bytes
 * whatever the threads and portions; probabilities against tests/llama_ref.py; limits, faults and cancellation.
 * Arguments: the built jv_llm.so (jv_plain.so lies beside it), and the top source folder.
 */
#include "llama.h"
#include "llm.h"
#include "mockhost.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char plain_so[4096], dir[32];
static const char *llm_so, *top;

static const char *const types[] = {"f32", "f16", "q8_0", "q4_0", "q4_1", "mixed"};

/* ---- models ------------------------------------------------------------------------------------------------------ */

static void run(const char *fmt, ...) JV_PRINTF(1, 2);

static void run(const char *fmt, ...)
{
    char line[16384];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    assert_true(n > 0 && (size_t)n < sizeof line);
    if (system(line) != 0) fail_msg("failed: %s", line);
}

/* A tiny model changed by a few lines of Python; `g` is the file, `T` the module. */
static void make_odd(const char *name, const char *change)
{
    run("python3 - <<'END'\nimport sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, '%s/tests')\nimport "
        "random\nimport tiny_gguf as T\n"
        "g = T.tiny('f32')\n%s\ng.save('%s/%s.gguf')\nEND\n",
        top, change, dir, name);
}

static int make_models(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/engine_test.XXXXXX");
    if (!mkdtemp(dir)) return -1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        run("python3 -B %s/tests/tiny_gguf.py %s/%s.gguf --type %s", top, dir, types[i], types[i]);
    run("python3 -B %s/tests/tiny_gguf.py %s/tied.gguf --tied", top, dir);
    run("python3 -B %s/tests/tiny_gguf.py %s/bare.gguf --no-template", top, dir);
    make_odd("extras",
        "r = random.Random(5)\n"
        "def add(n, w):\n"
        "    g.tensors.append(T.Tensor(n, [w], T.T_F32, T.encode([r.random() - 0.5 for _ in range(w)], T.T_F32)))\n"
        "for i in range(2):\n"
        "    for n, w in ('attn_q', 64), ('attn_k', 32), ('attn_v', 32), ('attn_output', 64), ('ffn_down', 64):\n"
        "        add('blk.%d.%s.bias' % (i, n), w)\n"
        "g.tensors.append(T.Tensor('rope_freqs.weight', [8], T.T_F32, T.encode([1, 1, 1.5, 2, 3, 5, 8, 8], "
        "T.T_F32)))\n");
    return 0;
}

static int remove_models(void **state)
{
    run("rm -r %s", dir);
    return 0;
}

/* ---- a chain ----------------------------------------------------------------------------------------------------- */

typedef struct chain {
    mock *backend, *model, *stage;
} chain;

static int32_t open_model(chain *p, const char *name, int threads, const char *options, jv_err *err)
{
    char ini[8192];
    *p = (chain){.backend = mock_new(plain_so, NULL), .model = mock_new(llm_so, "model")};
    snprintf(ini, sizeof ini, "cores = %d", threads);
    mock_set(p->backend, ini);
    if (mock_open(p->backend, err) != JV_OK || mock_start(p->backend, err) != JV_OK) fail_msg("%s", err->text);
    mock_use(p->model, "backend", BACKEND_SERVICE, p->backend);
    snprintf(ini, sizeof ini, "path = %s/%s.gguf\nbackend = backend\n%s", dir, name, options);
    mock_set(p->model, ini);
    int32_t rc = mock_open(p->model, err);
    return rc == JV_OK ? mock_start(p->model, err) : rc;
}

static int32_t open_stage(chain *p, const char *stage, const char *options, jv_err *err)
{
    p->stage = mock_new(llm_so, stage);
    mock_use(p->stage, "model", LLM_SERVICE, p->model);
    mock_set(p->stage, "model = model");
    mock_set(p->stage, options);
    int32_t rc = mock_open(p->stage, err);
    return rc == JV_OK ? mock_start(p->stage, err) : rc;
}

static chain open_chain(const char *name, int threads, const char *options, const char *stage, const char *stage_options)
{
    chain p;
    jv_err err = {0};
    if (open_model(&p, name, threads, options, &err) != JV_OK) fail_msg("model %s: %s", name, err.text);
    if (stage && open_stage(&p, stage, stage_options, &err) != JV_OK) fail_msg("%s: %s", stage, err.text);
    return p;
}

static void close_chain(chain *p)
{
    if (p->stage) mock_free(p->stage);
    mock_free(p->model);
    mock_free(p->backend);
}

static const llm_api *api_of(const chain *p)
{
    return mock_stage(p->model)->services[0].api;
}

static char *copy(const char *s)
{
    char *c = strdup(s);
    assert_non_null(c);
    return c;
}

#define PROMPT                                                                                                         \
    "The quick brown fox jumps over the lazy dog, and the dog is not amused. What does it do then, and why? "          \
    "\xc3\xa4\xe2\x82\xac"

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
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t w = 0; w < 2; w++) {
            char *expected = answer(types[t], 1, "", ways[w]);
            assert_true(strlen(expected) > 0);
            for (int threads = 1; threads <= 2; threads++)
                for (size_t i = 0; i < 3; i++) {
                    char *got = answer(types[t], threads, portions[i], ways[w]);
                    assert_string_equal(got, expected);
                    free(got);
                }
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
    llm_request req = {.struct_size = sizeof req,
        .template_mode = LLM_TEMPLATE_NONE,
        .prompt = {prompt, strlen(prompt)},
        .max_tokens = 10,
        .top_p = 1};
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
    assert_non_null(strstr(err.text, "system needs template = chat"));
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
    llm_request req = {.struct_size = sizeof req,
        .template_mode = LLM_TEMPLATE_NONE,
        .prompt = {PROMPT, sizeof PROMPT - 1},
        .max_tokens = 5,
        .top_p = 1,
        .stopped = third_time,
        .user = &asked};
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

typedef struct wait_test {
    chain p;
    _Atomic int running, go_on;
} wait_test;

static int32_t hold(void *user, const char *more, size_t n)
{
    wait_test *w = user;
    atomic_store(&w->running, 1);
    while (!atomic_load(&w->go_on)) usleep(1000);
    return 0;
}

static int32_t always(void *user)
{
    return 1;
}

static void *first_request(void *arg)
{
    wait_test *w = arg;
    jv_err err = {0};
    llm_request req = {.struct_size = sizeof req,
        .template_mode = LLM_TEMPLATE_NONE,
        .prompt = {"the", 3},
        .max_tokens = 5,
        .top_p = 1,
        .on_text = hold,
        .user = w};
    llm_answer a = {.struct_size = sizeof a};
    int32_t rc = api_of(&w->p)->generate(mock_context(w->p.model), &req, &a, &err);
    api_of(&w->p)->release_answer(mock_context(w->p.model), &a);
    return (void *)(intptr_t)rc;
}

/* While one request holds the model, one that waits can give up, and the first is none the worse. */
static void test_cancel_while_waiting(void **state)
{
    wait_test w = {.p = open_chain("f32", 1, "", NULL, NULL)};
    pthread_t thread;
    jv_err err = {0};
    void *rc;
    assert_int_equal(pthread_create(&thread, NULL, first_request, &w), 0);
    while (!atomic_load(&w.running)) usleep(1000);
    llm_request req = {.struct_size = sizeof req,
        .template_mode = LLM_TEMPLATE_NONE,
        .prompt = {"on", 2},
        .max_tokens = 5,
        .top_p = 1,
        .stopped = always};
    llm_answer a = {.struct_size = sizeof a};
    assert_int_equal(api_of(&w.p)->generate(mock_context(w.p.model), &req, &a, &err), JV_CANCELLED);
    assert_int_equal(a.tokens_out, 0);
    api_of(&w.p)->release_answer(mock_context(w.p.model), &a);
    atomic_store(&w.go_on, 1);
    pthread_join(thread, &rc);
    assert_int_equal((intptr_t)rc, JV_OK);
    close_chain(&w.p);
}

typedef struct many {
    chain *p;
    char *text;
} many;

static void *one_of_many(void *arg)
{
    many *m = arg;
    jv_err err = {0};
    llm_request req = {.struct_size = sizeof req,
        .template_mode = LLM_TEMPLATE_NONE,
        .prompt = {PROMPT, sizeof PROMPT - 1},
        .max_tokens = 8,
        .top_p = 1};
    llm_answer a = {.struct_size = sizeof a};
    if (api_of(m->p)->generate(mock_context(m->p->model), &req, &a, &err) == JV_OK) m->text = strndup(a.text, a.n);
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

/* Asks tests/llama_ref.py for the probabilities after the last of ids[begin..end) of each window; a row a window. */
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
    snprintf(line, sizeof line, "python3 -B %s/tests/llama_ref.py %s/%s.gguf < %s", top, dir, name, path);
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

/* All probabilities at all positions of a text, in windows of `context` that move on by `stride`. */
static void check_reference(const char *name, const char *text, int64_t context, int64_t stride)
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
    int32_t ids[MOST_TOKENS] = {1}; /* the token for the beginning */
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
    check_reference("f32", "The quick brown fox and the \xe2\x82\xac.", 0, 0);
    check_reference("tied", "On and on, and in the end.", 0, 0);
    check_reference("extras", "It is the thing of the others.", 0, 0);
}

static void test_windows(void **state)
{
    check_reference("f32", "A window that moves on.", 8, 8);
    check_reference("f32", "A window that moves on.", 8, 3);
    check_reference("f32", "Small ones", 2, 1);
    check_reference("f32", "Small ones", 2, 2);
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
    make_odd("odd", "t = dict((k, v) for k, _, v in g.kv)['tokenizer.ggml.tokens'][1]\n"
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

/* ---- the network itself ------------------------------------------------------------------------------------------ */

static void logits_of(llama *l, const int32_t *ids, const int32_t *pos, bk_kv **kv, uint32_t n, float *to)
{
    jv_err err = {0};
    uint32_t vocabulary = llama_shape_of(l)->vocabulary;
    bk_batch batch = {sizeof batch, n, pos, kv};
    assert_int_equal(llama_forward(l, ids, &batch, &(llama_stop){0}, &err), JV_OK);
    for (int32_t i = 0; i < (int32_t)n; i++)
        assert_int_equal(llama_logits(l, &i, 1, to + (size_t)i * vocabulary, &err), JV_OK);
}

/* Tokens of two sequences in one batch give the rows that each sequence gives alone. */
static void test_two_sequences(void **state)
{
    enum { N = 12 };
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        char path[128];
        jv_err err = {0};
        gguf *g;
        llama *l;
        mock *m = mock_new(plain_so, NULL);
        mock_set(m, "cores = 2");
        assert_int_equal(mock_open(m, &err), JV_OK);
        assert_int_equal(mock_start(m, &err), JV_OK);
        const bk_api *bk = mock_stage(m)->services[0].api;
        void *self = mock_context(m);
        snprintf(path, sizeof path, "%s/%s.gguf", dir, types[k]);
        assert_int_equal(gguf_open(path, &g, &err), JV_OK);
        assert_int_equal(llama_open(g, bk, self, &l, &err), JV_OK);
        assert_int_equal(llama_start(l, N, &err), JV_OK);
        bk_kv_shape shape = llama_cache(l, BK_F16, N);
        bk_kv *kv[3], *kvs[N];
        for (int i = 0; i < 3; i++) assert_non_null(kv[i] = bk->kv_new(self, &shape, &err));
        size_t v = llama_shape_of(l)->vocabulary;
        int32_t ids[N], own[N], pos[N], from[N], count[2] = {0};
        float *both = malloc(N * v * sizeof *both), *alone = malloc(N * v * sizeof *alone);
        for (int i = 0; i < N; i++) {
            int s = i % 3 == 1; /* 0 1 0 0 1 0 ... */
            ids[i] = 10 + 7 * i;
            pos[i] = count[s]++;
            kvs[i] = kv[s];
        }
        logits_of(l, ids, pos, kvs, N, both);
        for (int s = 0; s < 2; s++) {
            int32_t n = 0, at[N];
            for (int32_t i = 0; i < N; i++) {
                if (kvs[i] != kv[s]) continue;
                own[n] = ids[i];
                from[n] = i;
                at[n] = n;
                n++;
            }
            bk_kv *third[N];
            for (int i = 0; i < N; i++) third[i] = kv[2];
            logits_of(l, own, at, third, (uint32_t)n, alone);
            for (int32_t i = 0; i < n; i++)
                assert_memory_equal(alone + (size_t)i * v, both + (size_t)from[i] * v, v * sizeof *both);
        }
        free(both);
        free(alone);
        for (int i = 0; i < 3; i++) bk->kv_free(self, kv[i]);
        llama_free(l);
        gguf_close(g);
        mock_free(m);
    }
}

/* ---- files that are wrong ---------------------------------------------------------------------------------------- */

static void check_refused(const char *change, const char *part)
{
    chain p;
    jv_err err = {0};
    make_odd("odd", change);
    int32_t rc = open_model(&p, "odd", 1, "", &err);
    if (rc != JV_BAD || !strstr(err.text, part)) fail_msg("%s: %d, %s", change, rc, err.text);
    close_chain(&p);
}

static void test_wrong_files(void **state)
{
    check_refused("g.put('general.architecture', T.STRING, 'gpt5')",
        "architecture \"gpt5\" is not known; known: llama");
    check_refused("g.drop('llama.block_count')", "key llama.block_count is missing");
    check_refused("g.put('llama.block_count', T.U32, 2**32 - 1)", "key llama.block_count is 4294967295, 1..1024");
    check_refused("g.put('llama.block_count', T.U32, 3)", "tensor blk.2.attn_norm.weight is missing");
    check_refused("g.put('llama.attention.head_count_kv', T.U32, 3)", "4 attention heads on 3 key-value heads");
    check_refused("g.put('llama.attention.head_count', T.U32, 0)", "head_count is 0");
    check_refused("g.put('llama.attention.key_length', T.U32, 15)", "keys of 15");
    check_refused("g.put('llama.rope.dimension_count', T.U32, 18)", "dimension_count is 18, 2..16");
    check_refused("g.put('llama.attention.layer_norm_rms_epsilon', T.F32, float('nan'))", "epsilon is");
    check_refused("g.put('llama.rope.freq_base', T.F32, 0.0)", "freq_base is 0");
    check_refused("g.put('llama.rope.scaling.type', T.STRING, 'yarn')", "\"yarn\": not in this version");
    check_refused("g.put('llama.rope.scaling.factor', T.F32, 8.0)", "llama.rope.scaling.factor is 8");
    check_refused("g.put('llama.rope.scaling.attn_factor', T.F32, 0.5)", "llama.rope.scaling.attn_factor is 0.5");
    check_refused("g.put('llama.attention.key_length', T.U32, 512); g.put('llama.attention.value_length', T.U32, 512)",
        "heads of 512; 1..256 is allowed");
    check_refused("g.put('llama.attention.head_count', T.U32, 257); g.put('llama.attention.head_count_kv', T.U32, 1); "
                  "g.put('llama.attention.key_length', T.U32, 16); g.put('llama.attention.value_length', T.U32, 16)",
        "257 heads on 1 key-value heads; 1..256 on each");
    check_refused("g.put('llama.expert_count', T.U32, 8)", "llama.expert_count is 8");
    check_refused("g.tensor('blk.1.ffn_up.weight').ne = [128, 64]",
        "tensor blk.1.ffn_up.weight is 128 x 64, expected 64 x 128");
    check_refused("g.tensor('output_norm.weight').ne = [32, 2]", "tensor output_norm.weight is 32 x 2, expected 64");
    check_refused("t = g.tensor('blk.0.attn_q.weight'); t.type = 30",
        "tensor blk.0.attn_q.weight is of type BF16 (30)");
    check_refused("t = g.tensor('blk.0.attn_norm.weight'); t.type = T.T_F16",
        "attn_norm.weight is of type F16, F32 is needed");
    check_refused("g.tensors.append(T.Tensor('blk.1.ffn_gate.bias', [128], T.T_F32, bytes(512)))",
        "blk.1.ffn_gate.bias: this bias");
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
    assert_true(mock_logged(p.model, "plain, 1 thread"));
    assert_true(mock_logged(p.model, "512 is more than the 256 tokens"));
    close_chain(&p);
}

static void test_unused_tensors(void **state)
{
    make_odd("odd", "for i in range(3): g.tensors.append(T.Tensor('extra.%d' % i, [4], T.T_F32, bytes(16)))");
    chain p = open_chain("odd", 1, "", NULL, NULL);
    assert_true(mock_logged(p.model, "tensors not used: 3, the first is extra.0"));
    close_chain(&p);
}

/* A weight that is not a number rejects the record and says so. */
static void test_not_a_number(void **state)
{
    make_odd("odd", "t = g.tensor('output_norm.weight'); t.data = T.encode([float('nan')] * 64, T.T_F32)");
    chain p = open_chain("odd", 1, "", "generate", "template = none\nmax_tokens = 4");
    jv_err err = {0};
    jv_buf *b = mock_record(p.stage, "a");
    mock_put(b, "prompt", "the");
    assert_int_equal(mock_process(p.stage, b, &err), JV_BAD);
    if (!strstr(err.text, "not a number")) fail_msg("%s", err.text);
    mock_free(p.stage);
    assert_int_equal(open_stage(&p, "score", "", &err), JV_OK);
    b = mock_record(p.stage, "a");
    mock_put(b, "text", "the other");
    assert_int_equal(mock_process(p.stage, b, &err), JV_BAD);
    close_chain(&p);
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
    llm_so = argv[1];
    top = argv[2];
    const char *slash = strrchr(llm_so, '/');
    snprintf(plain_so, sizeof plain_so, "%.*sjv_plain.so", slash ? (int)(slash + 1 - llm_so) : 0, llm_so);
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
        cmocka_unit_test(test_cancel_while_waiting),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_score_limits),
        cmocka_unit_test(test_score_portions),
        cmocka_unit_test(test_score_stage),
        cmocka_unit_test(test_tokenize_stage),
        cmocka_unit_test(test_lost_bytes),
        cmocka_unit_test(test_options_against_the_model),
        cmocka_unit_test(test_two_sequences),
        cmocka_unit_test(test_wrong_files),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_unused_tensors),
        cmocka_unit_test(test_not_a_number),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
