/*
 * ask_test.c: generate, samples and template by themselves: what they ask a model of the test's own, what they make of
 * its answers, and what they refuse.
 */
#include "llm.h"
#include "mockhost.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *plugin, *source_dir;

/* ---- a model ---- */

enum { MOST = 8 };

typedef struct model {
    llm_request seen; /* its texts stand in the arrays below */
    char prompt[256], messages[256], tools[256], system[256], values[256], stop[MOST][64];
    llm_bias bias[MOST];
    int64_t calls, held; /* answers not given back */
    int32_t fails;       /* JV_OK: it answers */
    int32_t finish;
    bool streams;
    llm_reply reply[MOST];
    llm_token token[2];
} model;

static bool keep(char *to, jv_str text)
{
    assert_true(text.n < 256);
    memcpy(to, text.p ? text.p : "", text.n);
    to[text.n] = 0;
    return text.p != NULL;
}

static void remember(model *m, const llm_request *q)
{
    m->seen = *q;
    keep(m->prompt, q->prompt);
    keep(m->system, q->system);
    if (!keep(m->messages, q->messages)) strcpy(m->messages, "(none)");
    if (!keep(m->tools, q->tools)) strcpy(m->tools, "(none)");
    if (!keep(m->values, q->values)) strcpy(m->values, "(none)");
    assert_true(q->n_stop <= MOST && q->n_bias <= MOST);
    for (size_t i = 0; i < q->n_stop; i++) keep(m->stop[i], q->stop[i]);
    for (size_t i = 0; i < q->n_bias; i++) m->bias[i] = q->bias[i];
}

static int32_t generate(void *self, const llm_request *q, llm_answer *a, jv_err *err)
{
    static const int32_t top[] = {7, 8};
    static const double logprob[] = {-0.25, -INFINITY};
    model *m = self;
    remember(m, q);
    m->calls++;
    m->held++;
    *a = (llm_answer){.struct_size = a->struct_size, .tokens_in = 10, .tokens_cached = 4, .bytes_lost = 2};
    int32_t rc = m->fails;
    if (m->streams && rc == JV_OK) {
        llm_more more = {.struct_size = sizeof more, .channel = LLM_CHANNEL_REASONING, .text = {"Hm", 2}};
        rc = q->on_text(q->user, &more);
        more = (llm_more){.struct_size = sizeof more, .channel = LLM_CHANNEL_ANSWER, .text = {"Ye", 2}};
        if (rc == JV_OK) rc = q->on_text(q->user, &more);
    }
    if (rc == JV_OK && q->stopped(q->user)) rc = JV_CANCELLED;
    if (rc != JV_OK) return jv_fail(err, rc, "the model says no");
    m->token[0] = (llm_token){7, LLM_CHANNEL_REASONING, -0.5, NULL, NULL, 0};
    m->token[1] = (llm_token){9, LLM_CHANNEL_ANSWER, -1.5, top, logprob, 2};
    for (int64_t i = 0; i < q->answers; i++) {
        m->reply[i] = (llm_reply){.text = {"Yes.", 4},
            .reasoning = {"Hm", 2},
            .finish = m->finish,
            .stop = -1,
            .tokens = 5 + i,
            .tokens_reasoning = 2,
            .token = m->token,
            .n_token = q->logprobs >= 0 ? 2 : 0};
        a->tokens_out += 5 + i;
        a->tokens_reasoning += 2;
    }
    a->reply = m->reply;
    a->n = (size_t)q->answers;
    return JV_OK;
}

static void release_answer(void *self, llm_answer *a)
{
    model *m = self;
    m->held--;
    a->reply = NULL;
}

static int32_t check_template(void *self, jv_err *err)
{
    return JV_OK;
}

static int64_t context(void *self)
{
    return 1000;
}

static int64_t vocabulary(void *self)
{
    return 50;
}

static int32_t find(void *self, jv_str text)
{
    return text.n == 3 && memcmp(text.p, "yes", 3) == 0 ? 17 : -1;
}

static const llm_api api = {
    .struct_size = sizeof(llm_api),
    .generate = generate,
    .release_answer = release_answer,
    .check_template = check_template,
    .context = context,
    .vocabulary = vocabulary,
    .find = find,
};

/* ---- a stage over it ---- */

static mock *prepare(model *m, const char *stage, const char *ini)
{
    mock *s = mock_new(plugin, stage);
    mock_service(s, "model", LLM_SERVICE, &api, m);
    mock_column(s, "params", JV_JSON, 0);
    mock_set(s, "model = model");
    if (ini) mock_set(s, ini);
    return s;
}

static mock *open_stage(model *m, const char *stage, const char *ini)
{
    mock *s = prepare(m, stage, ini);
    jv_err err;
    if (mock_open(s, &err) != JV_OK) fail_msg("%s", err.text);
    assert_int_equal(mock_start(s, &err), JV_OK);
    return s;
}

static void refused(const char *stage, const char *ini, const char *why)
{
    model m = {0};
    mock *s = prepare(&m, stage, ini);
    jv_err err = {0};
    if (mock_open(s, &err) != JV_BAD || !strstr(err.text, why)) fail_msg("%s: %s\nnot: %s", ini, err.text, why);
    mock_free(s);
}

static jv_buf *record(mock *s, const char *prompt, const char *params)
{
    jv_buf *b = mock_record(s, "doc.txt");
    mock_put(b, "prompt", prompt);
    if (params) mock_put(b, "params", params);
    return b;
}

static void process(mock *s, jv_buf *b, int32_t verdict)
{
    jv_err err = {0};
    int32_t rc = mock_process(s, b, &err);
    if (rc != verdict) fail_msg("%d: %s", rc, err.text);
}

/* ---- requests ---- */

static void test_defaults(void **state)
{
    model m = {0};
    mock *s = open_stage(&m, "generate", NULL);
    process(s, record(s, "Why?", NULL), JV_OK);
    const llm_request *q = &m.seen;
    assert_string_equal(m.prompt, "Why?");
    assert_string_equal(m.messages, "(none)");
    assert_string_equal(m.tools, "(none)");
    assert_string_equal(m.values, "(none)");
    assert_int_equal(q->struct_size, sizeof *q);
    assert_int_equal(q->priority, JV_BATCH);
    assert_int_equal(q->template_mode, LLM_TEMPLATE_CHAT);
    assert_int_equal(q->reasoning, LLM_REASONING_KEEP);
    assert_int_equal(q->answers, 1);
    assert_int_equal(q->max_tokens, 256);
    assert_int_equal(q->thinking_tokens, -1);
    assert_int_equal(q->logprobs, -1);
    assert_true(q->temperature == 0 && q->top_p == 1 && q->min_p == 0 && q->top_k == 0 && q->repetition_penalty == 1);
    assert_true(q->presence_penalty == 0 && q->frequency_penalty == 0 && q->n_bias == 0 && q->n_stop == 0);
    uint64_t seed = q->seed;
    process(s, record(s, "Why?", NULL), JV_OK); /* of the same id */
    assert_true(m.seen.seed == seed);
    mock_free(s);
}

static const char all[] =
    "max_tokens = 9\nreasoning = only\nthinking_tokens = 3\nstop = END, a\\nb, \\\\x\\t\ntemperature = 0.5\n"
    "top_k = 4\ntop_p = 0.9\nmin_p = 0.1\npresence_penalty = -1\nfrequency_penalty = 0.5\n"
    "repetition_penalty = 1.1\nlogit_bias.12 = -5\nlogit_bias.yes = never\nlogprobs = 2\nseed = 77\nsystem = Be "
    "brief.\ndefault_tools = [1]\nvalues = {\"x\": 1}";

static void test_options(void **state)
{
    model m = {0};
    mock *s = open_stage(&m, "generate", all);
    jv_buf *b = record(s, "Why?", NULL);
    mock_set_priority(b, JV_LIVE);
    process(s, b, JV_OK);
    const llm_request *q = &m.seen;
    assert_int_equal(q->priority, JV_LIVE);
    assert_int_equal(q->max_tokens, 9);
    assert_int_equal(q->reasoning, LLM_REASONING_ONLY);
    assert_int_equal(q->thinking_tokens, 3);
    assert_int_equal(q->n_stop, 3);
    assert_string_equal(m.stop[0], "END");
    assert_string_equal(m.stop[1], "a\nb");
    assert_string_equal(m.stop[2], "\\x\t");
    assert_true(q->temperature == 0.5 && q->top_k == 4 && q->top_p == 0.9 && q->min_p == 0.1);
    assert_true(q->presence_penalty == -1 && q->frequency_penalty == 0.5 && q->repetition_penalty == 1.1);
    assert_int_equal(q->n_bias, 2);
    assert_true(m.bias[0].token == 12 && m.bias[0].bias == -5);
    assert_true(m.bias[1].token == 17 && m.bias[1].bias == -INFINITY);
    assert_int_equal(q->logprobs, 2);
    assert_int_equal(q->seed, 77);
    assert_string_equal(m.system, "Be brief.");
    assert_string_equal(m.tools, "[1]");
    assert_string_equal(m.values, "{\"x\": 1}");
    mock_free(s);
}

/* What a record says for itself: strings as JSON has them. */
static void test_params(void **state)
{
    model m = {0};
    mock *s = open_stage(&m, "generate", all);
    process(s,
        record(s, "Why?",
            "{\"stop\": [\"\\n\", \"\\\\n\"], \"temperature\": 1, \"logit_bias\": {\"3\": 2.5}, \"reasoning\": "
            "\"drop\", "
            "\"logprobs\": \"off\", \"max_tokens\": 8}"),
        JV_OK);
    assert_int_equal(m.seen.n_stop, 2);
    assert_string_equal(m.stop[0], "\n");
    assert_string_equal(m.stop[1], "\\n");
    assert_true(m.seen.temperature == 1 && m.seen.top_k == 4);
    assert_true(m.seen.n_bias == 1 && m.bias[0].token == 3 && m.bias[0].bias == 2.5);
    assert_int_equal(m.seen.reasoning, LLM_REASONING_DROP);
    assert_int_equal(m.seen.logprobs, -1);
    assert_int_equal(m.seen.max_tokens, 8);
    static const char *const wrong[] = {"{\"top_p\": 0}", "{\"logit_bias\": {\"50\": 1}}",
        "{\"logit_bias\": {\"no\": 1}}", "{\"logit_bias\": {\"3\": \"x\"}}", "{\"logit_bias\": {\"17\": 1, \"yes\": 1}}",
        "{\"stop\": [\"\"]}", "{\"template\": \"none\"}", "{\"reasoning\": \"inline\"}", "{\"repetition_penalty\": 0}"};
    int64_t calls = m.calls;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) process(s, record(s, "Why?", wrong[i]), JV_BAD);
    assert_int_equal(m.calls, calls);
    mock_free(s);
}

static void test_messages(void **state)
{
    model m = {0};
    mock *s = prepare(&m, "generate", "input = messages\nin = talk\ndefault_tools = [1]");
    mock_column(s, "tools", JV_JSON, 0);
    jv_err err;
    assert_int_equal(mock_open(s, &err), JV_OK);
    assert_int_equal(mock_start(s, &err), JV_OK);
    jv_buf *b = mock_record(s, "x");
    mock_put(b, "talk", "[{\"role\": \"user\"}]");
    process(s, b, JV_OK);
    assert_string_equal(m.messages, "[{\"role\": \"user\"}]");
    assert_string_equal(m.prompt, "");
    assert_string_equal(m.tools, "[1]");
    mock_put(b, "tools", "[2]");
    process(s, b, JV_OK);
    assert_string_equal(m.tools, "[2]");
    mock_put(b, "params", "{\"system\": \"x\"}");
    process(s, b, JV_BAD);
    mock_free(s);
}

static void test_refused(void **state)
{
    refused("generate", "top_p = 0", "top_p is 0");
    refused("generate", "repetition_penalty = 0", "repetition_penalty is 0");
    refused("generate", "template = none\nsystem = x", "a system message: there is no place");
    refused("generate", "template = none\ndefault_tools = []", "tools: there is no place");
    refused("generate", "template = none\ninput = messages", "input = messages needs template = chat");
    refused("generate", "input = messages\nsystem = x", "system is for input = text");
    refused("generate", "max_tokens = 1000", "leaves no room");
    refused("generate", "stop = \\q", "not \\q");
    refused("generate", "stop = \\", "stop: ");
    refused("generate", "logit_bias.50 = 1", "the vocabulary ends with 49");
    refused("generate", "logit_bias.maybe = 1", "no token of that text");
    refused("generate", "logit_bias.yes = a lot", "a number is wanted");
    refused("generate", "logit_bias.yes = 1\nlogit_bias.17 = 1", "token 17 is given twice");
    refused("generate", "reasoning = inline\nthinking_tokens = 3", "not told apart");
    refused("samples", "n = 2000", "n");
}

/* ---- answers ---- */

static void test_answer(void **state)
{
    model m = {.streams = true, .finish = LLM_FINISH_STRING};
    mock *s = open_stage(&m, "generate", "logprobs = 2\nout = said\nthinking = thought");
    jv_buf *b = record(s, "Why?", NULL);
    process(s, b, JV_OK);
    assert_string_equal(mock_text(b, "said"), "Yes.");
    assert_string_equal(mock_text(b, "thought"), "Hm");
    assert_string_equal(mock_text(b, "finish"), "string");
    assert_string_equal(mock_text(b, "logprobs"), "[{\"token\":7,\"logprob\":-0.5,\"reasoning\":true},"
                                                  "{\"token\":9,\"logprob\":-1.5,\"top\":[[7,-0.25],[8,null]]}]");
    assert_int_equal(mock_count(s, "tokens_in"), 10);
    assert_int_equal(mock_count(s, "tokens_cached"), 4);
    assert_int_equal(mock_count(s, "tokens_out"), 5);
    assert_int_equal(mock_count(s, "tokens_reasoning"), 2);
    assert_int_equal(mock_count(s, "bytes_lost"), 2);
    assert_int_equal(mock_count(s, "cut"), 0);
    assert_int_equal(mock_n(s), 2); /* snapshots: the thinking, then also the answer */
    assert_string_equal(mock_text(mock_at(s, 0), "thought"), "Hm");
    assert_string_equal(mock_text(mock_at(s, 1), "said"), "Ye");
    m.finish = LLM_FINISH_LENGTH;
    process(s, b, JV_OK);
    assert_string_equal(mock_text(b, "finish"), "length");
    assert_int_equal(mock_count(s, "cut"), 1);
    assert_int_equal(m.held, 0);
    mock_free(s);
}

static void test_failures(void **state)
{
    model m = {.fails = JV_BAD};
    mock *s = open_stage(&m, "generate", NULL);
    process(s, record(s, "Why?", NULL), JV_BAD);
    assert_int_equal(mock_count(s, "tokens_in"), 10); /* paid all the same */
    m.fails = JV_FATAL;
    process(s, record(s, "Why?", NULL), JV_FATAL);
    m.fails = JV_OK;
    mock_cancel_at(s, 0);
    process(s, record(s, "Why?", NULL), JV_CANCELLED);
    assert_int_equal(m.held, 0);
    mock_free(s);
}

static void test_no_memory(void **state)
{
    static const char *const stages[] = {"generate", "samples"};
    for (int i = 0; i < 2; i++) {
        model m = {.streams = i == 0};
        mock *s = open_stage(&m, stages[i], "logprobs = 2\nlogit_bias.3 = 1");
        jv_err err;
        for (int64_t k = 0;; k++) {
            assert_true(k < 100);
            jv_buf *b = record(s, "Why?", NULL);
            mock_fail_at(s, k);
            int32_t rc = mock_process(s, b, &err);
            if (!mock_failed(s)) break;
            assert_int_equal(rc, JV_FATAL);
            assert_int_equal(m.held, 0);
        }
        mock_fail_at(s, -1);
        mock_free(s);
    }
}

static void test_samples(void **state)
{
    model m = {.finish = LLM_FINISH_LENGTH};
    mock *s = open_stage(&m, "samples", "n = 3\ntemperature = 1");
    jv_buf *b = record(s, "Why?", NULL);
    process(s, b, JV_DONE);
    assert_int_equal(m.seen.answers, 3);
    assert_int_equal(mock_n(s), 3);
    for (size_t i = 0; i < 3; i++) {
        jv_buf *child = mock_at(s, i);
        assert_int_equal(mock_i64(child, "index"), i);
        assert_string_equal(mock_text(child, "prompt"), "Why?");
        assert_string_equal(mock_text(child, "answer"), "Yes.");
        assert_string_equal(mock_text(child, "reasoning"), "Hm");
        assert_int_equal(mock_counted(child, "tokens_out"), 5 + i);
        assert_int_equal(mock_counted(child, "tokens_reasoning"), 2);
    }
    assert_int_equal(mock_count(s, "tokens_in"), 10);
    assert_int_equal(mock_count(s, "tokens_out"), 5 + 6 + 7);
    assert_int_equal(mock_count(s, "cut"), 3);
    process(s, record(s, "Why?", "{\"n\": 1}"), JV_DONE);
    assert_int_equal(mock_n(s), 4);
    m.fails = JV_BAD;
    process(s, record(s, "Why?", NULL), JV_BAD);
    assert_int_equal(m.held, 0);
    mock_free(s);
}

/* ---- template ---- */

static mock *template_stage(const char *path, const char *more)
{
    char line[4200];
    mock *s = mock_new(plugin, "template");
    snprintf(line, sizeof line, "path = %s", path);
    mock_column(s, "tools", JV_JSON, 0);
    mock_column(s, "params", JV_JSON, 0);
    mock_set(s, line);
    if (more) mock_set(s, more);
    return s;
}

static void test_template(void **state)
{
    char path[4096];
    jv_err err;
    snprintf(path, sizeof path, "%s/tests/reference/chat/qwen2.5.jinja", source_dir);
    mock *s = template_stage(path, "eos = <|im_end|>");
    if (mock_open(s, &err) != JV_OK) fail_msg("%s", err.text);
    assert_int_equal(mock_start(s, &err), JV_OK);
    jv_buf *b = mock_record(s, "x");
    mock_put(b, "messages",
        "[{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": [{\"type\": \"text\", "
        "\"text\": \"\xe4\xbd\xa0\"}]}]");
    process(s, b, JV_OK);
    assert_string_equal(mock_text(b, "text"),
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n\xe4\xbd\xa0<|im_end|>\n<|im_start|>assistant\n");
    mock_put(b, "tools", "[{\"name\": \"f\"}]");
    process(s, b, JV_OK);
    assert_non_null(strstr(mock_text(b, "text"), "<tools>\n{\"name\": \"f\"}\n</tools>"));
    mock_put(b, "messages", "[{\"role\": \"user\"}, 3]");
    process(s, b, JV_BAD);
    mock_free(s);
}

/* One that is written here, with `values`; one that is wrong; none. */
static void test_template_file(void **state)
{
    char path[] = "/tmp/ask_test.XXXXXX";
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    jv_err err;
    assert_non_null(f);
    fputs("{{ bos_token }}{{ x }}{{ messages[0].content }}", f);
    fclose(f);
    mock *s = template_stage(path, "values = {\"x\": \"-\"}\nbos = <s>");
    assert_int_equal(mock_open(s, &err), JV_OK);
    assert_int_equal(mock_start(s, &err), JV_OK);
    jv_buf *b = mock_record(s, "x");
    mock_put(b, "messages", "[{\"role\": \"user\", \"content\": \"c\"}]");
    process(s, b, JV_OK);
    assert_string_equal(mock_text(b, "text"), "<s>-c");
    mock_put(b, "params", "{\"values\": \"{}\"}");
    process(s, b, JV_OK);
    assert_string_equal(mock_text(b, "text"), "<s>c");
    mock_free(s);
    f = fopen(path, "w");
    fputs("a\n  {% if %}", f);
    fclose(f);
    s = template_stage(path, NULL);
    assert_int_equal(mock_open(s, &err), JV_BAD);
    assert_non_null(strstr(err.text, "line 2, column"));
    mock_free(s);
    f = fopen(path, "w");
    for (int i = 0; i < 70000; i++) fputs("0123456789abcdef", f);
    fclose(f);
    s = template_stage(path, NULL);
    assert_int_equal(mock_open(s, &err), JV_BAD);
    assert_non_null(strstr(err.text, "neither a GGUF file nor a template"));
    mock_free(s);
    remove(path);
    s = template_stage(path, NULL);
    assert_int_equal(mock_open(s, &err), JV_BAD);
    assert_non_null(strstr(err.text, "No such file"));
    mock_free(s);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    plugin = argv[1];
    source_dir = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_template_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
