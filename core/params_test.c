/* params_test.c: the strict reader of flat JSON, and a record's own options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "params.h"

/* Memory that runs out: the linker puts __wrap_malloc in the place of malloc. */
static int mallocs_left = -1; /* < 0: no limit */
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *__wrap_malloc(size_t n)
{
    if (mallocs_left == 0) return NULL;
    if (mallocs_left > 0) mallocs_left--;
    return __real_malloc(n);
}

/* ---- reading ---- */

/* What was read, written down: {"a":1} is {a=1}; a string stands in quotes as it is without escapes. */
static void write_value(char *out, size_t size, const struct jvc_json_value *v)
{
    size_t n = strlen(out);
    assert_int_equal(v->text.p ? strlen(v->text.p) : 0, v->text.n);
    if (v->key.p) n += (size_t)snprintf(out + n, size - n, "%s=", v->key.p);
    if (v->type == JVC_JSON_STRING)
        snprintf(out + n, size - n, "\"%s\" ", v->text.p);
    else if (v->type == JVC_JSON_ARRAY || v->type == JVC_JSON_OBJECT)
        snprintf(out + n, size - n, "%c%u ", v->type == JVC_JSON_ARRAY ? '[' : '{', v->n);
    else
        snprintf(out + n, size - n, "%s ", v->text.p);
}

/* `text` of n bytes; `told` is what was read, or the error. The text has no byte behind it. */
static void check_bytes(const char *text, size_t n, const char *told)
{
    struct jvc_json j;
    struct jvc_arena mem = {0};
    jv_err err;
    char got[1024] = "", *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    memcpy(exact, text, n);
    if (jvc_json_read(&j, exact, n, &mem, &err) < 0)
        snprintf(got, sizeof got, "%s", err.text);
    else
        for (uint32_t i = 0; i < j.n; i++) write_value(got, sizeof got, &j.v[i]);
    if (strcmp(got, told)) fail_msg("%.100s: %s, not %s", text, got, told);
    free(exact);
    jvc_arena_free(&mem);
}

static void check(const char *text, const char *told)
{
    check_bytes(text, strlen(text), told);
}

static void objects(void **state)
{
    check("{}", "");
    check(" \t\r\n{ } ", "");
    check("{\"a\":1,\"b\" : \"x\" , \"c\":true,\"d\":false,\"e\":null}", "a=1 b=\"x\" c=true d=false e=null ");
    check("{\"a\":[],\"b\":[1,\"2\",null],\"c\":{},\"d\":{\"x\":1,\"y\":\"2\"},\"e\":5}",
        "a=[0 b=[3 1 \"2\" null c={0 d={2 x=1 y=\"2\" e=5 ");
    check("{\"\":0}", "=0 ");
    check("{\"a\":{\"b\":1},\"b\":2}", "a={1 b=1 b=2 ");
}

static void numbers(void **state)
{
    check("{\"a\":-0,\"b\":0.50,\"c\":1E+2,\"d\":-12.5e-10,\"e\":123456789012345678901234567890}",
        "a=-0 b=0.50 c=1E+2 d=-12.5e-10 e=123456789012345678901234567890 ");
    static const char *const bad[] = {"01", "1.", ".5", "-", "+1", "1e", "1e+", "0x1", "--1", "1.e1", "Infinity", "NaN"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[40];
        struct jvc_json j;
        struct jvc_arena mem = {0};
        jv_err err;
        snprintf(text, sizeof text, "{\"a\":%s}", bad[i]);
        if (jvc_json_read(&j, text, strlen(text), &mem, &err) != JV_BAD) fail_msg("%s was read", text);
        jvc_arena_free(&mem);
    }
}

static void strings(void **state)
{
    check("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a=\"\"\\/\b\f\n\r\t\" ");
    check("{\"a\":\"\\u0041\\u00e9\\u20aC\\uD83d\\uDe00\"}", "a=\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\" ");
    check("{\"\\u0061\":\"\xc3\xa9\x7f\"}", "a=\"\xc3\xa9\x7f\" ");
    check("{\"a\":\"\\uffff\\udbff\\udfff\"}", "a=\"\xef\xbf\xbf\xf4\x8f\xbf\xbf\" ");
    check("{\"a\":\"\\u0000\"}", "\\u0000: a text holds no NUL at byte 6");
    check("{\"a\":\"\\ud800\"}", "half of a surrogate pair at byte 6");
    check("{\"a\":\"\\ud800\\u0041\"}", "half of a surrogate pair at byte 6");
    check("{\"a\":\"\\ud800\\ud800\"}", "half of a surrogate pair at byte 6");
    check("{\"a\":\"\\udc00\"}", "half of a surrogate pair at byte 6");
    check("{\"a\":\"\\u00g0\"}", "\\u without four hexadecimal digits at byte 6");
    check("{\"a\":\"\\u00", "\\u without four hexadecimal digits at byte 6");
    check("{\"a\":\"\\x\"}", "an escape that JSON does not have at byte 6");
    check("{\"a\":\"\\", "an escape that JSON does not have at byte 6");
    check("{\"a\":\"\n\"}", "a control character within a string at byte 6");
    check("{\"a\":\"b", "a string without its end, which begins at byte 5");
    check("{\"a\":\"\xff\"}", "no UTF-8 at byte 6");
    check("{\"a\":\"\xed\xa0\x80\"}", "no UTF-8 at byte 6");
    check_bytes("{\"a\":\"\0\"}", 9, "a control character within a string at byte 6");
}

static void what_is_no_flat_object(void **state)
{
    check("", "no object: { is missing at byte 0");
    check("  [1]", "no object: { is missing at byte 2");
    check("null", "no object: { is missing at byte 0");
    check("{", "no key at byte 1");
    check("{1:2}", "no key at byte 1");
    check("{\"a\"", "no colon behind a key at byte 4");
    check("{\"a\" 1}", "no colon behind a key at byte 5");
    check("{\"a\":}", "no value at byte 5");
    check("{\"a\":", "no value at byte 5");
    check("{\"a\":tru}", "no value at byte 5");
    check("{\"a\":truee}", "neither , nor } at byte 9");
    check("{\"a\":1,}", "no key at byte 7");
    check("{\"a\":1 \"b\":2}", "neither , nor } at byte 7");
    check("{\"a\":1", "neither , nor } at byte 6");
    check("{\"a\":1}x", "text behind the object at byte 7");
    check("{\"a\":1}{}", "text behind the object at byte 7");
    check("{\"a\":[1,]}", "no value at byte 8");
    check("{\"a\":[1", "neither , nor ] at byte 7");
    check("{\"a\":[1}", "neither , nor ] at byte 7");
    check("{\"a\":{\"b\":1]", "neither , nor } at byte 11");
    check("{\"a\":{1}}", "no key at byte 6");
    check("{\"a\":[[]]}", "a second level of nesting at byte 6");
    check("{\"a\":{\"b\":{}}}", "a second level of nesting at byte 10");
    check("{\"a\":1,\"b\":2,\"\\u0061\":3}", "the key \"a\" stands twice, again at byte 13");
    check("{\"a\":{\"b\":1,\"b\":2}}", "the key \"b\" stands twice, again at byte 12");
    check("{'a':1}", "no key at byte 1");
    check("{/**/}", "no key at byte 1");
    check("\xef\xbb\xbf{}", "no object: { is missing at byte 0");
}

/* "{" + n times `item` with a number in it + end */
static void check_many(const char *begin, const char *item, uint32_t n, const char *end, const char *told)
{
    size_t len = strlen(begin), size = len + (size_t)n * (strlen(item) + 10) + strlen(end) + 1;
    char *text = malloc(size);
    struct jvc_json j;
    struct jvc_arena mem = {0};
    jv_err err = {0};
    assert_non_null(text);
    strcpy(text, begin);
    for (uint32_t i = 0; i < n; i++) len += (size_t)sprintf(text + len, "%s%s%u", i ? "," : "", item, i);
    strcpy(text + len, end);
    int32_t rc = jvc_json_read(&j, text, strlen(text), &mem, &err);
    assert_string_equal(err.text, told);
    assert_int_equal(rc, *told ? JV_BAD : JV_OK);
    free(text);
    jvc_arena_free(&mem);
}

static void limits(void **state)
{
    check_many("{\"a\":[", "", JVC_JSON_VALUES - 1, "]}", "");
    check_many("{\"a\":[", "", JVC_JSON_VALUES, "]}", "more than 65536 values");
    check_many("{\"a\":{\"", "", 1, "\":1}}", "");
    char *text = malloc(JVC_JSON_MOST + 2);
    assert_non_null(text);
    memset(text, ' ', JVC_JSON_MOST + 1);
    memcpy(text, "{}", 2);
    check_bytes(text, JVC_JSON_MOST, "");
    check_bytes(text, JVC_JSON_MOST + 1, "1048577 bytes of JSON: at most 1048576 are read");
    size_t n = (size_t)sprintf(text, "{");
    for (uint32_t i = 0; i <= JVC_JSON_KEYS; i++) n += (size_t)sprintf(text + n, "%s\"k%u\":1", i ? "," : "", i);
    n += (size_t)sprintf(text + n, "}");
    check_bytes(text, n, "more than 1024 keys in one object");
    free(text);
}

/* ---- options ---- */

struct ctx {
    int64_t number, secret;
    void *private; /* no option: zero in what a record gets */
    double share;
    const char *text;
    int32_t flag, choice;
    jv_list list;
    jv_map to, must;
    jv_ref ref;
};

static const jv_opt rows[] = {
    JV_OPTF(struct ctx, number, JV_PER_RECORD, "auto", "auto|1..64", "a number"),
    JV_OPT(struct ctx, secret, "1", "0..", "the file's alone"),
    JV_OPTF(struct ctx, share, JV_PER_RECORD, "0.5", "0..2", "a share"),
    JV_OPTF(struct ctx, text, JV_PER_RECORD, "", "", "a text"),
    JV_OPTF(struct ctx, flag, JV_PER_RECORD, "no", "no|yes", "a flag"),
    JV_OPTF(struct ctx, choice, JV_PER_RECORD, "a", "a|b", "a choice"),
    JV_OPTF(struct ctx, list, JV_PER_RECORD, "", "", "texts"),
    JV_OPTF(struct ctx, to, JV_PER_RECORD, "", "", "a map"),
    JV_OPTF(struct ctx, must, JV_PER_RECORD, NULL, "", "a map with something in it"),
    JV_OPT(struct ctx, ref, "", "x/1", "a section"),
    {0},
};

static struct ctx section = {.number = 7,
    .secret = 8,
    .private = &section,
    .share = 1.5,
    .text = "of the file",
    .flag = 1,
    .choice = 1,
    .ref = {.self = &section}};
static const char *const known[] = {"number", "temperature", "secret", "top_k", NULL};
static const struct jvc_params_of of = {rows, &section, sizeof section, known};

static int32_t apply(const char *params, struct ctx *into, struct jvc_arena *mem, jv_err *err)
{
    memset(into, 0xee, sizeof *into);
    return jvc_params_apply(&of, (jv_str){params, params ? strlen(params) : 0}, into, mem, err);
}

static void as_the_section_says(void **state)
{
    static const char *const same[] = {NULL, "{}", "{\"number\":null,\"list\":null}",
        "{\"temperature\":[1],\"top_k\":{}}", "{\"secret\":\"of another stage\"}"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct ctx c;
        struct jvc_arena mem = {0};
        jv_err err;
        assert_int_equal(apply(same[i], &c, &mem, &err), JV_OK);
        assert_true(c.number == 7 && c.secret == 8 && c.share == 1.5 && c.flag == 1 && c.choice == 1);
        assert_true(!c.private && c.ref.self == &section && !c.list.n && !c.to.key.n);
        assert_string_equal(c.text, "of the file");
        jvc_arena_free(&mem);
    }
}

static void as_the_record_says(void **state)
{
    struct ctx c;
    struct jvc_arena mem = {0};
    jv_err err;
    assert_int_equal(apply("{\"number\":12,\"share\":2.5e-1,\"text\":\"a, ${b} @c\\n\",\"flag\":false,\"choice\":\"a\","
                           "\"list\":[\"x, y\",\"\",3],\"to\":{\"a-1\":\"v\",\"B\":2},\"must\":{\"k\":\"\"}}",
                         &c, &mem, &err),
        JV_OK);
    assert_true(c.number == 12 && c.secret == 8 && c.share == 0.25 && c.flag == 0 && c.choice == 0);
    assert_string_equal(c.text, "a, ${b} @c\n");
    assert_int_equal(c.list.n, 3);
    assert_string_equal(c.list.v[0].p, "x, y");
    assert_string_equal(c.list.v[1].p, "");
    assert_string_equal(c.list.v[2].p, "3");
    assert_int_equal(c.to.key.n, 2);
    assert_string_equal(c.to.key.v[1].p, "B");
    assert_string_equal(c.to.val.v[1].p, "2");
    assert_int_equal(c.must.val.n, 1);
    jvc_arena_free(&mem);
    assert_int_equal(
        apply("{\"number\":\"auto\",\"share\":\"1\",\"text\":1.50,\"flag\":true,\"list\":[]}", &c, &mem, &err), JV_OK);
    assert_true(c.number == JV_UNSET && c.share == 1 && c.flag == 1 && !c.list.n);
    assert_string_equal(c.text, "1.50");
    jvc_arena_free(&mem);
}

static void check_wrong(const char *params, const char *told)
{
    struct ctx c;
    struct jvc_arena mem = {0};
    jv_err err = {0};
    assert_int_equal(apply(params, &c, &mem, &err), JV_BAD);
    assert_int_equal(err.code, JV_BAD);
    assert_string_equal(err.text, told);
    jvc_arena_free(&mem);
}

static void wrong_params(void **state)
{
    check_wrong("[]", "params: no object: { is missing at byte 0");
    check_wrong("", "params: no object: { is missing at byte 0");
    check_wrong("{\"numbr\":1}", "params: unknown key `numbr`, did you mean `number`?");
    check_wrong("{\"temprature\":1}", "params: unknown key `temprature`, did you mean `temperature`?");
    check_wrong("{\"q\":1}", "params: unknown key `q`");
    check_wrong("{\"a\\nb\\u0085\":1}", "params: unknown key `a?b??`");
    check_wrong("{\"ref\":\"model\"}", "params: `ref` is for the INI file, not for a record to set");
    check_wrong("{\"number\":65}", "params: `number`: 65 is outside auto|1..64");
    check_wrong("{\"number\":1.0}", "params: `number`: \"1.0\" is not a whole number, nor the word auto");
    check_wrong("{\"number\":true}", "params: `number`: wants a string or a number");
    check_wrong("{\"number\":[1]}", "params: `number`: wants a string or a number");
    check_wrong("{\"text\":false}", "params: `text`: wants a string or a number");
    check_wrong("{\"share\":\"\"}", "params: `share`: \"\" is not a number");
    check_wrong("{\"choice\":true}", "params: `choice`: \"true\" is none of a|b");
    check_wrong("{\"list\":\"a, b\"}", "params: `list`: wants an array");
    check_wrong("{\"list\":{\"a\":1}}", "params: `list`: wants an array");
    check_wrong("{\"list\":[\"a\",null]}", "params: `list`: value 2 in it is neither string nor number");
    check_wrong("{\"to\":[1]}", "params: `to`: wants an object");
    check_wrong("{\"to\":{\"a.b\":1}}", "params: `to`: key 1 in it is none: letters, digits, _ and -");
    check_wrong("{\"to\":{\"a\":true}}", "params: `to`: value 1 in it is neither string nor number");
    check_wrong("{\"must\":{}}", "params: `must`: wants at least one key");
}

static void a_long_key_is_cut_between_characters(void **state)
{
    char params[200] = "{\"a";
    struct ctx c;
    struct jvc_arena mem = {0};
    jv_err err;
    for (int i = 0; i < 40; i++) strcat(params, "\xc3\xa9");
    strcat(params, "\":1}");
    assert_int_equal(apply(params, &c, &mem, &err), JV_BAD);
    assert_true(jvc_utf8_valid(err.text, strlen(err.text), NULL));
    jvc_arena_free(&mem);
}

/* Records are being worked on: that there is no memory for this one must not end the process. */
static void no_memory(void **state)
{
    struct ctx c;
    struct jvc_arena mem = {0};
    jv_err err;
    int32_t rc = JV_FATAL;
    int n = 0;
    for (; rc != JV_OK && n < 100; n++) {
        mallocs_left = n;
        rc = apply("{\"text\":\"a\",\"list\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17],\"to\":{\"k\":\"v\"}}", &c,
            &mem, &err);
        mallocs_left = -1;
        jvc_arena_free(&mem);
        if (rc == JV_OK) break;
        assert_int_equal(rc, JV_FATAL);
        assert_int_equal(err.code, JV_FATAL);
        assert_non_null(strstr(err.text, "no memory for"));
    }
    assert_int_equal(rc, JV_OK);
    assert_true(n >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects),
        cmocka_unit_test(numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(what_is_no_flat_object),
        cmocka_unit_test(limits),
        cmocka_unit_test(as_the_section_says),
        cmocka_unit_test(as_the_record_says),
        cmocka_unit_test(wrong_params),
        cmocka_unit_test(a_long_key_is_cut_between_characters),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
