/* Tests of NAME, by itself, against the mock host (tests/mockhost.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mockhost.h"

static const char *so;

static mock *opened(const char *ini)
{
    jv_err err;
    mock *m = mock_new(so, NULL);
    mock_set(m, ini);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

/* What becomes of a text when two words are kept; null: dropped. */
static void keeps_two(const char *text, const char *excerpt, int64_t shortened)
{
    jv_err err;
    mock *m = opened("words = 2");
    jv_buf *b = mock_record(m, "a");
    mock_put(b, "text", text);
    assert_int_equal(mock_process(m, b, &err), excerpt ? JV_OK : JV_DROP);
    if (excerpt) assert_string_equal(mock_text(b, "excerpt"), excerpt);
    assert_int_equal(mock_count(m, "shortened"), shortened);
    mock_free(m);
}

static void test_excerpts(void **state)
{
    keeps_two("one two three", "one two", 1);
    keeps_two("one two", "one two", 0);
    keeps_two(" one \n two \n", " one \n two", 0);
    keeps_two("one", "one", 0);
    keeps_two("\xc3\xa9t\xc3\xa9 \xe5\xa4\x8f x", "\xc3\xa9t\xc3\xa9 \xe5\xa4\x8f", 1);
}

static void test_no_words(void **state)
{
    keeps_two("", NULL, 0);
    keeps_two(" \n ", NULL, 0);
}

static void test_no_field(void **state)
{
    jv_err err;
    mock *m = opened("");
    assert_int_equal(mock_process(m, mock_record(m, "a"), &err), JV_BAD);
    mock_free(m);
}

static void test_refused_options(void **state)
{
    jv_err err;
    mock *m = mock_new(so, NULL);
    mock_set(m, "words = 0");
    assert_int_equal(mock_open(m, &err), JV_BAD);
    mock_free(m);
}

int main(int argc, char **argv)
{
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_excerpts),
        cmocka_unit_test(test_no_words),
        cmocka_unit_test(test_no_field),
        cmocka_unit_test(test_refused_options),
    };
    return argc < 2 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
