/* merge_test.c: pieces that came, pieces that did not, and texts that grow too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mockhost.h"

static const char *so;

static mock *stage_new(const char *ini)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_column(m, "answer", JV_UTF8, 0);
    mock_set(m, ini);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

/* A record with a text of its own and pieces: one letter is a text, d, b, c, w one that did not come, n one without
 * the field. */
static jv_buf *record_new(mock *m, const char *field, const char *pieces)
{
    jv_buf *b = mock_record(m, "doc");
    for (const char *p = pieces; *p; p++) {
        char text[2] = {*p, 0};
        if (*p == 'd')
            mock_missing(b, JV_DROP, "too short");
        else if (*p == 'b')
            mock_missing(b, JV_BAD, "ask: no answer");
        else if (*p == 'c')
            mock_missing(b, JV_CANCELLED, "cancelled");
        else if (*p == 'w')
            mock_missing(b, JV_DONE, "");
        else if (*p == 'n')
            mock_child(b);
        else
            mock_put(mock_child(b), field, text);
    }
    return b;
}

static void test_joins(void **state)
{
    static const struct {
        const char *ini, *pieces, *expect;
    } cases[] = {
        {"", "XYZ", "X\nY\nZ"},
        {"", "X", "X"},
        {"", "", ""},
        {"separator =", "XYZ", "XYZ"},
        {"separator = \\n\\n", "XY", "X\n\nY"},
        {"separator = \\s|\\t\\\\", "XY", "X |\t\\Y"},
        {"separator = , é ", "XY", "X, éY"},
        {"missing = skip", "XdYbZ", "X\nY\nZ"},
        {"missing = skip", "dXn", "X"},
        {"missing = note", "XdY", "X\n[part 2 of 3 is missing: too short]\nY"},
        {"missing = note", "bX", "[part 1 of 2 is missing: ask: no answer]\nX"},
        {"missing = note", "Xwn",
            "X\n[part 2 of 3 is missing: it went another way]\n[part 3 of 3 is missing: it came without the field]"},
        {"missing = note", "Xc", "X\n[part 2 of 2 is missing: it was cancelled]"},
        {"max_bytes = 5", "XYZ", "X\nY\nZ"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = stage_new(cases[i].ini);
        jv_err err;
        jv_buf *b = record_new(m, "text", cases[i].pieces);
        int64_t missing = 0;
        for (const char *p = cases[i].pieces; *p; p++) missing += strchr("dbcwn", *p) != NULL;
        assert_int_equal(mock_process(m, b, &err), JV_OK);
        assert_string_equal(mock_text(b, "text"), cases[i].expect);
        assert_int_equal(mock_counted(b, "parts_missing"), missing);
        assert_int_equal(mock_counted(b, "parts_joined"), (int64_t)strlen(cases[i].pieces) - missing);
        mock_free(m);
    }
}

static void test_fields(void **state)
{
    mock *m = stage_new("in = answer\nout = whole");
    jv_err err;
    jv_buf *b = record_new(m, "answer", "XY");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "whole"), "X\nY");
    assert_int_equal(mock_type_of(b, "whole"), JV_UTF8);
    assert_false(mock_has(b, "answer")); /* it is the pieces' */
    mock_free(m);
}

/* An empty text is a text. */
static void test_empty(void **state)
{
    mock *m = stage_new("");
    jv_err err;
    jv_buf *b = mock_record(m, "doc");
    mock_put(mock_child(b), "text", "");
    mock_put(mock_child(b), "text", "X");
    mock_put(mock_child(b), "text", "");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "text"), "\nX\n");
    assert_int_equal(mock_count(m, "parts_joined"), 3);
    mock_free(m);
}

static void test_rejects(void **state)
{
    static const struct {
        const char *ini, *pieces, *says;
    } cases[] = {
        {"", "XdYb", "2 of 4 parts are missing; part 2 of 4 is missing: too short"},
        {"", "Xb", "1 of 2 parts are missing; part 2 of 2 is missing: ask: no answer"},
        {"", "n", "it came without the field"},
        {"missing = skip", "db", "2 of 2 parts are missing"},
        {"missing = note", "w", "1 of 1 parts are missing"},
        {"max_bytes = 4", "XYZ", "longer than max_bytes = 4 at part 3 of 3"},
        {"max_bytes = 1\nmissing = note", "Xd", "at part 2 of 2"},
        {"max_bytes = 1\nseparator = ,,", "XY", "at part 2 of 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = stage_new(cases[i].ini);
        jv_err err;
        jv_buf *b = record_new(m, "text", cases[i].pieces);
        assert_int_equal(mock_process(m, b, &err), JV_BAD);
        if (!strstr(err.text, cases[i].says)) fail_msg("'%s' says: %s", cases[i].pieces, err.text);
        assert_false(mock_has(b, "text"));
        mock_free(m);
    }
}

/* A long reason is shown in part, and cut between characters. */
static void test_long_reason(void **state)
{
    mock *m = stage_new("missing = note");
    jv_err err;
    char why[480] = "";
    while (strlen(why) < sizeof why - 3) strcat(why, "é");
    jv_buf *b = mock_record(m, "doc");
    mock_missing(b, JV_BAD, why);
    mock_put(mock_child(b), "text", "X");
    assert_int_equal(mock_process(m, b, &err), JV_OK); /* the host checks that it is UTF-8 */
    assert_non_null(strstr(mock_text(b, "text"), "éé...]\nX"));
    mock_free(m);
}

static void test_refused(void **state)
{
    static const struct {
        const char *ini, *says;
    } cases[] = {{"separator = a\\", "byte 1"}, {"separator = \\r", "byte 0"}, {"max_bytes = 0", "max_bytes"},
        {"missing = ignore", "missing"}, {"separater = x", "separater"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = mock_new(so, NULL);
        jv_err err;
        mock_set(m, cases[i].ini);
        assert_int_equal(mock_open(m, &err), JV_BAD);
        if (!strstr(err.text, cases[i].says)) fail_msg("%s says: %s", cases[i].ini, err.text);
        mock_free(m);
    }
}

static void test_no_memory(void **state)
{
    mock *m = stage_new("missing = note");
    jv_err err;
    int64_t k = 0;
    for (;; k++) {
        jv_buf *b = record_new(m, "text", "XdY");
        mock_fail_at(m, k);
        int32_t rc = mock_process(m, b, &err);
        if (!mock_failed(m)) {
            assert_int_equal(rc, JV_OK);
            break;
        }
        assert_int_equal(rc, JV_FATAL);
    }
    assert_int_equal(k, 3); /* the pieces, the note, the text */
    mock_free(m);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_rejects),
        cmocka_unit_test(test_long_reason),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
