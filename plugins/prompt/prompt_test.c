/* prompt_test.c: templates that are right, templates that are refused, records that lack a field, and no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mockhost.h"

static const char *so;

/* A prompt stage behind one that sets a text, a JSON value, raw bytes, an i64 and an f64. */
static mock *stage_new(const char *text)
{
    mock *m = mock_new(so, NULL);
    mock_column(m, "question", JV_UTF8, 0);
    mock_column(m, "meta", JV_JSON, 0);
    mock_column(m, "raw", JV_BYTES, 0);
    mock_column(m, "page", JV_I64, 0);
    mock_column(m, "score", JV_F64, 0);
    char ini[512];
    snprintf(ini, sizeof ini, "text = %s", text);
    mock_set(m, ini);
    return m;
}

static jv_buf *record_new(mock *m)
{
    jv_buf *b = mock_record(m, "a/b.txt/3");
    mock_put(b, "question", "Why {is} it?");
    mock_put(b, "meta", "{\"k\":[1]}");
    mock_put_i64(b, "page", -12);
    mock_put_f64(b, "score", 0.1);
    return b;
}

static void test_templates(void **state)
{
    static const struct {
        const char *text, *expect;
    } cases[] = {
        {"plain", "plain"},
        {"{question}", "Why {is} it?"},
        {"Q: {question} A:", "Q: Why {is} it? A:"},
        {"{question}{question}", "Why {is} it?Why {is} it?"},
        {"{id} p. {page}", "a/b.txt/3 p. -12"},
        {"{meta}", "{\"k\":[1]}"},
        {"{score}", "0.1"},
        {"{{question}}", "{question}"},
        {"{{{question}}}", "{Why {is} it?}"},
        {"}}{{", "}{"},
        {"{{{{", "{{"},
        {"{\"a\": \"x\"}}", NULL},
        {"é {page} 漢", "é -12 漢"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = stage_new(cases[i].text);
        jv_err err;
        int32_t rc = mock_open(m, &err);
        if (!cases[i].expect) {
            assert_true(rc < 0);
            mock_free(m);
            continue;
        }
        assert_int_equal(rc, JV_OK);
        assert_int_equal(mock_start(m, &err), JV_OK);
        jv_buf *b = record_new(m);
        assert_int_equal(mock_process(m, b, &err), JV_OK);
        assert_string_equal(mock_text(b, "prompt"), cases[i].expect);
        assert_int_equal(mock_type_of(b, "prompt"), JV_UTF8);
        mock_free(m);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "empty"},
        {"a {", "'{' at byte 2"},
        {"a }", "'}' at byte 2"},
        {"{}", "names no field"},
        {"{nope}", "nope"},
        {"{a{b}}", "'{' at byte 0"},
        {"{question", "not closed"},
        {"{raw}", "another type"},
        {"{ page }", "page"},
        {"{{x}", "'}' at byte 3"},
        {"{question\n }", "not closed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = stage_new(cases[i].text);
        jv_err err;
        assert_true(mock_open(m, &err) < 0);
        if (!strstr(err.text, cases[i].says)) fail_msg("'%s' says: %s", cases[i].text, err.text);
        mock_free(m);
    }
    char text[400] = "{";
    memset(text + 1, 'n', 300);
    text[301] = '}';
    mock *m = stage_new(text);
    jv_err err;
    assert_true(mock_open(m, &err) < 0);
    assert_non_null(strstr(err.text, "300"));
    mock_free(m);
    m = mock_new(so, NULL); /* no template at all */
    assert_true(mock_open(m, &err) < 0);
    mock_free(m);
}

static void test_numbers(void **state)
{
    static const struct {
        double v;
        const char *expect;
    } cases[] = {{0, "0"}, {1, "1"}, {-0.25, "-0.25"}, {1e300, "1e+300"}, {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"}, {2.5, "2.5"}};
    mock *m = stage_new("{score}");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jv_buf *b = mock_record(m, "r");
        mock_put_f64(b, "score", cases[i].v);
        assert_int_equal(mock_process(m, b, &err), JV_OK);
        assert_string_equal(mock_text(b, "prompt"), cases[i].expect);
    }
    mock_free(m);
}

static void test_absent(void **state)
{
    static const char *const names[] = {"question", "page", "score"};
    for (size_t i = 0; i < 3; i++) {
        char text[32];
        snprintf(text, sizeof text, "a {%s} b", names[i]);
        mock *m = stage_new(text);
        jv_err err;
        assert_int_equal(mock_open(m, &err), JV_OK);
        assert_int_equal(mock_start(m, &err), JV_OK);
        jv_buf *b = mock_record(m, "r");
        assert_int_equal(mock_process(m, b, &err), JV_BAD);
        assert_non_null(strstr(err.text, names[i]));
        assert_false(mock_has(b, "prompt"));
        if (i == 0) mock_put(b, "question", ""); /* empty is not absent, nor are 0 and 1 */
        if (i == 1) mock_put_i64(b, "page", 0);
        if (i == 2) mock_put_f64(b, "score", 1);
        assert_int_equal(mock_process(m, b, &err), JV_OK);
        mock_free(m);
    }
}

/* The template may read the field it sets. */
static void test_in_place(void **state)
{
    mock *m = stage_new("<{question}>\nout = question");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    jv_buf *b = record_new(m);
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "question"), "<Why {is} it?>");
    mock_free(m);
}

static void test_no_memory(void **state)
{
    mock *m = stage_new("{id}: {question} {page}");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    int64_t k = 0;
    for (;; k++) {
        jv_buf *b = record_new(m);
        mock_fail_at(m, k);
        int32_t rc = mock_process(m, b, &err);
        if (!mock_failed(m)) {
            assert_int_equal(rc, JV_OK);
            break;
        }
        assert_int_equal(rc, JV_FATAL);
    }
    assert_int_equal(k, 2); /* the pieces and the text */
    mock_free(m);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
