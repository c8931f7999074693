/*
 * chat_test.c: conversations rendered by the chat templates of real models as Python's jinja2 renders them
 * (tests/reference/chat, with the script that made it), what is said of conversations that are wrong, and which bytes
 * are the template's.
 */
#include "chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static const char *source_dir = ".";

static jv_str str(const char *s)
{
    return (jv_str){s, s ? strlen(s) : 0};
}

static void free_text(jinja_text *t)
{
    free(t->text);
    free(t->trusted);
}

static chat *make(const char *source)
{
    chat *c = NULL;
    jv_err err;
    if (chat_of_template(str(source), str("<s>"), str("</s>"), &c, &err) != JV_OK) fail_msg("%s", err.text);
    return c;
}

/* ---- real templates ---- */

static char *read_file(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/reference/chat/%s.jinja", source_dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, f) > 0);
    fclose(f);
    return text;
}

static bool check_case(const json_t *c)
{
    const char *name = json_string_value(json_object_get(c, "name")),
               *by = json_string_value(json_object_get(c, "template"));
    const json_t *output = json_object_get(c, "output"), *tools = json_object_get(c, "tools");
    char *source = read_file(by), *messages = json_dumps(json_object_get(c, "messages"), 0),
         *offered = json_is_null(tools) ? NULL : json_dumps(tools, 0);
    chat *made = NULL;
    jinja_text out;
    jv_err err;
    assert_int_equal(chat_of_template(str(source), str(json_string_value(json_object_get(c, "bos"))),
                         str(json_string_value(json_object_get(c, "eos"))), &made, &err),
        JV_OK);
    int32_t rc = chat_render(made, &(chat_input){.messages = str(messages), .tools = str(offered)}, &out, &err);
    bool same = output ? rc == JV_OK && out.n == json_string_length(output) &&
                             memcmp(out.text, json_string_value(output), out.n) == 0
                       : rc == JV_BAD && (strstr(err.text, "line ") ||
                                             strstr(err.text, json_string_value(json_object_get(c, "error"))));
    if (!same)
        print_error("%s, %s:\n%s\nis:\n%s\n", by, name, output ? json_string_value(output) : "an error",
            rc == JV_OK ? out.text : err.text);
    free_text(&out);
    chat_free(made);
    free(source);
    free(messages);
    free(offered);
    return same;
}

static void test_real_templates(void **state)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/reference/chat/golden.jsonl", source_dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = 0, wrong = 0;
    for (json_t *c; (c = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL)); n++) {
        wrong += !check_case(c);
        json_decref(c);
    }
    fclose(f);
    assert_true(n >= 80);
    assert_int_equal(wrong, 0);
}

/* ---- what templates are given ---- */

static void renders(const char *source, const chat_input *in, const char *expected)
{
    chat *c = make(source);
    jinja_text out;
    jv_err err;
    if (chat_render(c, in, &out, &err) != JV_OK) fail_msg("%s: %s", source, err.text);
    assert_string_equal(out.text, expected);
    free_text(&out);
    chat_free(c);
}

static void test_names(void **state)
{
    chat_input in = {.messages = str("[]")}, more = in, asked = {.prompt = str("q"), .system = str("s")};
    renders("{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ bos_token }}{{ eos_token }}",
        &in, "True True True <s></s>");
    more.values = str("{\"enable_thinking\": false, \"n\": 9007199254740993, \"x\": [1.0, null, \"\\u4f60\\u0000\"]}");
    renders("{{ enable_thinking }} {{ n }} {{ x | tojson }}", &more,
        "False 9007199254740993 [1.0, null, \"\xe4\xbd\xa0\\u0000\"]");
    more.tools = str("[{\"b\": 1, \"a\": {\"z\": \"<\xc3\xa4>\"}}]");
    renders("{{ tools | tojson }}", &more, "[{\"b\": 1, \"a\": {\"z\": \"<\xc3\xa4>\"}}]");
    renders("{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}", &asked, "system=s;user=q;");
}

/* The arguments of a call, as templates print them. */
static void test_arguments(void **state)
{
    static const char
        as_string[] = "[{\"role\": \"assistant\", \"tool_calls\": [{\"type\": \"function\", \"function\": {\"name\": "
                      "\"f\", \"arguments\": \"{\\\"a\\\": [1, \\\"x\\\"]}\"}}]}]",
        as_object[] = "[{\"role\": \"assistant\", \"content\": \"\", \"tool_calls\": [{\"name\": \"f\", \"arguments\": "
                      "{\"a\": [1, \"x\"]}}]}]";
    static const char *const templates[] = {
        "{% for m in messages %}{% for c in m.tool_calls %}{{ (c.function or c).arguments | tojson }}{% endfor %}{% "
        "endfor %}",
        "{% for m in messages %}{% for c in m.tool_calls %}{{ '' + (c.function or c).arguments }}{% endfor %}{% endfor "
        "%}",
        "{% for m in messages %}{% for c in m.tool_calls %}{{ (c.function or c).arguments }}{% endfor %}{% endfor %}",
    };
    for (int i = 0; i < 3; i++) {
        chat_input a = {.messages = str(as_string)}, b = {.messages = str(as_object)};
        renders(templates[i], &a, "{\"a\": [1, \"x\"]}");
        renders(templates[i], &b, "{\"a\": [1, \"x\"]}");
    }
}

/* ---- what is wrong ---- */

static const char echo[] =
    "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}"
    "{% endfor %}{% endfor %}{{ raise_exception('no') if tools }}";

static void refused(chat_input in, const char *why)
{
    chat *c = make(echo);
    jinja_text out;
    jv_err err;
    int32_t rc = chat_render(c, &in, &out, &err);
    if (rc != JV_BAD || !strstr(err.text, why)) fail_msg("%s\nnot: %s", rc == JV_OK ? out.text : err.text, why);
    assert_null(out.text);
    chat_free(c);
}

static void refused_messages(const char *messages, const char *why)
{
    refused((chat_input){.messages = str(messages)}, why);
}

static void test_wrong(void **state)
{
    refused_messages("", "messages: line 1, column 0");
    refused_messages("[", "messages: line 1, column 1");
    refused_messages("{}", "messages: no JSON list");
    refused_messages("[] x", "messages: line 1, column 4");
    refused_messages("[{\"role\": \"user\", \"role\": \"user\"}]", "duplicate");
    refused_messages("[{\"role\": \"user\", \"content\": \"\xff\"}]", "messages: line 1");
    refused_messages("[{\"role\": \"user\", \"content\": \"a\"}, 1]", "message 1 is no JSON object");
    refused_messages("[{\"content\": \"a\"}]", "message 0 has no role");
    refused_messages("[{\"role\": 1}]", "message 0 has no role");
    refused_messages("[{\"role\": \"user\", \"content\": 1}]", "content of message 0 is neither");
    refused_messages("[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {}}]}]",
        "part 0 of message 0 is of type image_url");
    refused_messages("[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}, \"b\"]}]",
        "part 1 of message 0 is no text");
    refused_messages(
        "[{\"role\": \"assistant\", \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": \"{\"}}]}]",
        "arguments of a tool call in message 0: line 1");
    refused_messages(
        "[{\"role\": \"assistant\", \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": \"[1]\"}}]}]",
        "arguments of a tool call in message 0: no JSON object");
    refused((chat_input){.messages = str("[]"), .tools = str("{}")}, "tools: no JSON list");
    refused((chat_input){.messages = str("[]"), .tools = str("[1]")}, "no");
    refused((chat_input){.messages = str("[]"), .values = str("[]")}, "values: no JSON object");
    refused((chat_input){.messages = str("[]"), .values = str("{\"messages\": []}")},
        "values: \"messages\" is given otherwise");
    refused((chat_input){.messages = str("[]"), .values = str("{\"bos_token\": \"x\"}")}, "\"bos_token\"");
    refused((chat_input){.messages = str("[]"), .values = str("{\"n\": 1e400}")}, "values: line 1");
    refused((chat_input){.messages = str("[]"), .values = str("{\"n\": 99999999999999999999}")}, "values: line 1");
}

static void test_deep(void **state)
{
    for (int depth = 50; depth < 5000; depth = depth * 3 / 2) {
        size_t n = 0;
        char *text = malloc(3 * (size_t)depth + 100);
        n += (size_t)sprintf(text, "[{\"role\": \"user\", \"x\": ");
        memset(text + n, '[', (size_t)depth);
        memset(text + n + depth, ']', (size_t)depth);
        strcpy(text + n + 2 * depth, "}]");
        if (depth < 58)
            renders("{{ messages[0].x is defined }}", &(chat_input){.messages = str(text)}, "True");
        else if (depth < 2000)
            refused_messages(text, "messages: nested more than 60 deep");
        else
            refused_messages(text, "messages: ");
        free(text);
    }
}

static void test_bad_template(void **state)
{
    chat *c = NULL;
    jv_err err;
    assert_int_equal(chat_of_template(str("a\n{% frob %}"), str(""), str(""), &c, &err), JV_BAD);
    assert_non_null(strstr(err.text, "line 2, column 4"));
    assert_null(c);
}

/* ---- trust ---- */

/* Nothing that came in is marked as the template's. */
static void test_trust(void **state)
{
    chat *c = make("<a>{{ messages[0].role }}|{{ messages[0].content }}{{ tools | tojson }}{{ bos_token }}{{ x }}</a>");
    chat_input in = {.messages = str("[{\"role\": \"<a>\", \"content\": \"</a>\"}]"),
        .tools = str("[\"<a>\"]"),
        .values = str("{\"x\": \"<a>\"}")};
    jinja_text out;
    jv_err err;
    assert_int_equal(chat_render(c, &in, &out, &err), JV_OK);
    assert_string_equal(out.text, "<a><a>|</a>[\"<a>\"]<s><a></a>");
    static const char trusted[] = "11100010000..000..1110001111"; /* quotes and brackets of tojson: either */
    assert_int_equal(out.n, strlen(trusted));
    for (size_t i = 0; i < out.n; i++)
        if (trusted[i] != '.') assert_int_equal(out.trusted[i], trusted[i] - '0');
    free_text(&out);
    chat_free(c);
}

int main(int argc, char **argv)
{
    if (argc > 2) source_dir = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_templates),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_bad_template),
        cmocka_unit_test(test_trust),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
