/*
 * request_test.c: what a request may say, and what becomes of its prompt: the template of a file, the token for the
 * beginning, an open <think>, control tokens only where the template has written them.
 */
#include "request.h"

#include <math.h>

#include "tokenizer_build.h"

enum { BOS = 256, EOS, THINK, CLOSE };

static const text_and_type added[] = {{"<s>", 3, 0}, {"</s>", 3, 0}, {"<think>", 4, 0}, {"</think>", 3, 0}, {NULL, 0, 0}};

static const vocab_spec vocabulary = {.pre = "gpt-2",
    .added = added,
    .keys = {{"tokenizer.ggml.bos_token_id", GGUF_U32, BOS}, {"tokenizer.ggml.eos_token_id", GGUF_U32, EOS},
        {"tokenizer.ggml.add_bos_token", GGUF_BOOL, 1}}};

static chat *talk;

/* The vocabulary and these templates as a file; either may be null. */
static void load_file(const char *template, const char *with_tools)
{
    chat_free(talk);
    talk = NULL;
    drop();
    now.file = build(&vocabulary);
    uint64_t n_keys;
    memcpy(&n_keys, now.file.p + 16, sizeof n_keys);
    n_keys += (template != NULL) + (with_tools != NULL);
    memcpy(now.file.p + 16, &n_keys, sizeof n_keys);
    if (template) add_string_key(&now.file, "tokenizer.chat_template", template);
    if (with_tools) add_string_key(&now.file, "tokenizer.chat_template.tool_use", with_tools);
    if (gguf_open_memory(now.file.p, now.file.n, &now.g, &now.err) != JV_OK) fail_msg("no file: %s", now.err.text);
    if (tokenizer_new(now.g, &now.t, &now.err) != JV_OK) fail_msg("no tokenizer: %s", now.err.text);
    assert_int_equal(chat_new(now.g, now.t, &talk, &now.err), JV_OK);
}

static int unload(void **state)
{
    chat_free(talk);
    talk = NULL;
    drop();
    return 0;
}

static jv_str str(const char *s)
{
    return (jv_str){s, strlen(s)};
}

static llm_request plain(void)
{
    return (llm_request){.struct_size = sizeof(llm_request),
        .answers = 1,
        .max_tokens = 10,
        .thinking_tokens = -1,
        .top_p = 1,
        .repetition_penalty = 1,
        .logprobs = -1};
}

/* ---- checks ---- */

static void refused_request(const llm_request *q, const char *why)
{
    jv_err err = {0};
    if (request_check(q, 100, &err) != JV_BAD || !strstr(err.text, why)) fail_msg("\"%s\", not: %s", err.text, why);
}

#define REFUSED(why, ...)                                                                                              \
    do {                                                                                                               \
        llm_request q_ = plain();                                                                                      \
        llm_request *q = &q_;                                                                                          \
        __VA_ARGS__;                                                                                                   \
        refused_request(q, why);                                                                                       \
    } while (0)

static void test_numbers(void **state)
{
    llm_request right = plain();
    jv_err err;
    assert_int_equal(request_check(&right, 100, &err), JV_OK);
    REFUSED("a request of 8 bytes", q->struct_size = 8);
    REFUSED("priority is 9", q->priority = 9);
    REFUSED("reasoning is 4", q->reasoning = 4);
    REFUSED("answers is 0", q->answers = 0);
    REFUSED("answers is 1025", q->answers = 1025);
    REFUSED("max_tokens is 0", q->max_tokens = 0);
    REFUSED("logprobs is 1001", q->logprobs = 1001);
    REFUSED("temperature is -1", q->temperature = -1);
    REFUSED("temperature is nan", q->temperature = NAN);
    REFUSED("temperature is inf", q->temperature = INFINITY);
    REFUSED("top_p is 0", q->top_p = 0);
    REFUSED("top_p is 1.5", q->top_p = 1.5);
    REFUSED("min_p is -0.1", q->min_p = -0.1);
    REFUSED("min_p is nan", q->min_p = NAN);
    REFUSED("top_k is -1", q->top_k = -1);
    REFUSED("presence_penalty is nan", q->presence_penalty = NAN);
    REFUSED("frequency_penalty is 101", q->frequency_penalty = 101);
    REFUSED("repetition_penalty is 0", q->repetition_penalty = 0);
    REFUSED("a limit for thinking", q->reasoning = LLM_REASONING_INLINE; q->thinking_tokens = 0);
}

static void test_texts(void **state)
{
    jv_str stops[65], longest = {NULL, 1025};
    for (int i = 0; i < 65; i++) stops[i] = str("x");
    REFUSED("template_mode is 2", q->template_mode = 2);
    REFUSED("messages and a prompt", q->messages = str("[]"); q->prompt = str("x"));
    REFUSED("messages and a prompt", q->messages = str("[]"); q->system = str("x"));
    REFUSED("a system message: there is no place", q->template_mode = LLM_TEMPLATE_NONE; q->system = str("x"));
    REFUSED("messages: there is no place", q->template_mode = LLM_TEMPLATE_NONE; q->messages = str("[]"));
    REFUSED("tools: there is no place", q->template_mode = LLM_TEMPLATE_NONE; q->tools = str("[]"));
    REFUSED("values for a template: there is no", q->template_mode = LLM_TEMPLATE_NONE; q->values = str("{}"));
    REFUSED("65 stop strings", q->stop = stops; q->n_stop = 65);
    stops[1] = str("");
    REFUSED("stop string 1 has 0 bytes", q->stop = stops; q->n_stop = 2);
    REFUSED("stop string 0 has 1025 bytes", q->stop = &longest; q->n_stop = 1);
}

static void test_bias(void **state)
{
    llm_bias one[] = {{100, 1}}, negative[] = {{-1, 1}}, nan[] = {{3, NAN}}, inf[] = {{3, INFINITY}},
             twice[] = {{3, 1}, {5, 1}, {3, 2}}, right[] = {{99, -INFINITY}, {0, 1e30}};
    REFUSED("bias for token 100: the vocabulary ends with 99", q->bias = one; q->n_bias = 1);
    REFUSED("bias for token -1", q->bias = negative; q->n_bias = 1);
    REFUSED("bias of token 3 is nan", q->bias = nan; q->n_bias = 1);
    REFUSED("bias of token 3 is inf", q->bias = inf; q->n_bias = 1);
    REFUSED("bias of token 3 is given twice", q->bias = twice; q->n_bias = 3);
    REFUSED("bias for 101 tokens", q->bias = one; q->n_bias = 101);
    llm_request q = plain();
    jv_err err;
    q.bias = right;
    q.n_bias = 2;
    assert_int_equal(request_check(&q, 100, &err), JV_OK);
}

/* ---- prompts ---- */

static void becomes(const llm_request *q, const int32_t *ids, bool thinking)
{
    request_prompt prompt;
    jv_err err;
    if (request_encode(q, talk, now.t, &prompt, &err) != JV_OK) fail_msg("%s", err.text);
    assert_ids(&prompt.tokens, ids);
    assert_int_equal(prompt.thinking, thinking);
    free(prompt.tokens.ids);
}

static void cannot(const llm_request *q, const char *why)
{
    request_prompt prompt;
    jv_err err = {0};
    if (request_encode(q, talk, now.t, &prompt, &err) != JV_BAD || !strstr(err.text, why))
        fail_msg("\"%s\", not: %s", err.text, why);
    free(prompt.tokens.ids);
}

static void test_no_template(void **state)
{
    load_file(NULL, NULL);
    llm_request q = plain();
    q.template_mode = LLM_TEMPLATE_NONE;
    q.prompt = str("a</s>");
    becomes(&q, IDS(BOS, 'a', '<', '/', 's', '>'), false);
    q.prompt = str("");
    becomes(&q, IDS(BOS), false);
    q.prompt = str("a<think>\n ");
    becomes(&q, IDS(BOS, 'a', THINK, '\n', ' '), true);
    q.prompt = str("<think>a");
    becomes(&q, IDS(BOS, THINK, 'a'), false);
    q.prompt = str("think>");
    becomes(&q, IDS(BOS, 't', 'h', 'i', 'n', 'k', '>'), false);
    q = plain();
    cannot(&q, "no chat template");
}

static void test_template(void **state)
{
    load_file("{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}{{ '<think>\\n' }}", NULL);
    llm_request q = plain();
    q.prompt = str("a</s><s>");
    becomes(&q, IDS(BOS, 'a', '<', '/', 's', '>', '<', 's', '>', EOS, THINK, '\n'), true); /* one beginning */
    q.prompt = (jv_str){0};
    q.messages = str("[{\"role\": \"user\", \"content\": \"b\"}]");
    becomes(&q, IDS(BOS, 'b', EOS, THINK, '\n'), true);
    q.tools = str("[{\"name\": \"f\"}]");
    cannot(&q, "no place for them");
}

static void test_tool_template(void **state)
{
    llm_request q = plain();
    q.prompt = str("a");
    load_file("x", "{{ tools | map(attribute='name') | join if tools[0].name else tools[0].function.name }}</s>");
    becomes(&q, IDS(BOS, 'x'), false);
    q.tools = str("[{\"name\": \"f\"}]");
    becomes(&q, IDS(BOS, 'f', EOS), false);
    load_file("x", "{% nonsense %}");
    cannot(&q, "the file's chat template: line 1, column 4");
    q.tools = (jv_str){0};
    becomes(&q, IDS(BOS, 'x'), false);
    load_file("{% nonsense %}", NULL);
    cannot(&q, "the file's chat template: line 1, column 4");
}

static void test_tags(void **state)
{
    load_file(NULL, NULL);
    reply_tags tags;
    jv_err err;
    assert_int_equal(reply_tags_new(now.t, &tags, &err), JV_OK);
    assert_int_equal(tags.open, THINK);
    assert_int_equal(tags.close, CLOSE);
    assert_ids(&tags.end, IDS('\n', CLOSE, '\n', '\n'));
    reply_tags_free(&tags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_bias),
        cmocka_unit_test_teardown(test_no_template, unload),
        cmocka_unit_test_teardown(test_template, unload),
        cmocka_unit_test_teardown(test_tool_template, unload),
        cmocka_unit_test_teardown(test_tags, unload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
