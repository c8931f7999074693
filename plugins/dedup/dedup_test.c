/* dedup_test.c: what is the same and what is not, a table that grows, and one that is full. */
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
    mock_set(m, ini);
    mock_column(m, "meta", JV_JSON, 0);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

static int32_t process(mock *m, const char *field, const void *p, size_t n, jv_err *err)
{
    jv_buf *b = mock_record(m, "r");
    mock_put_n(b, field, p, n);
    return mock_process(m, b, err);
}

static void test_repeats(void **state)
{
    static const struct {
        const char *p;
        size_t n;
        bool again;
    } cases[] = {{"a", 1, false}, {"b", 1, false}, {"a", 1, true}, {"A", 1, false}, {"a ", 2, false}, {"", 0, false},
        {"", 0, true}, {"a\0", 2, false}, {"a\0b", 3, false}, {"a\0b", 3, true}, {"\xff\xfe", 2, false},
        {"\xff\xfe", 2, true}, {"b", 1, true}};
    mock *m = stage_new("");
    size_t distinct = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jv_err err;
        int32_t rc = process(m, "text", cases[i].p, cases[i].n, &err);
        assert_int_equal(rc, cases[i].again ? JV_DROP : JV_OK);
        if (cases[i].again) assert_string_equal(err.reason, "seen before");
        distinct += !cases[i].again;
    }
    assert_int_equal(mock_count(m, "distinct"), distinct);
    mock_free(m);
}

static void test_other_field(void **state)
{
    mock *m = stage_new("in = meta");
    jv_err err;
    assert_int_equal(process(m, "meta", "{\"a\":1}", 7, &err), JV_OK);
    assert_int_equal(process(m, "meta", "{\"a\": 1}", 8, &err), JV_OK);
    assert_int_equal(process(m, "meta", "{\"a\":1}", 7, &err), JV_DROP);
    mock_free(m);
}

static void test_absent(void **state)
{
    mock *m = stage_new("");
    jv_err err;
    assert_int_equal(mock_process(m, mock_record(m, "r"), &err), JV_BAD);
    assert_int_equal(mock_count(m, "distinct"), 0);
    mock_free(m);
}

/* Numbers as texts, so many that the table doubles several times; every one is still known afterwards. */
static void test_grows(void **state)
{
    enum { N = 20000 };
    mock *m = stage_new("");
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            char text[16];
            jv_err err;
            snprintf(text, sizeof text, "%d", i);
            assert_int_equal(process(m, "text", text, strlen(text), &err), round ? JV_DROP : JV_OK);
            if (i % 1000 == 0) mock_forget(m);
        }
    assert_int_equal(mock_count(m, "distinct"), N);
    mock_free(m);
}

static void test_full(void **state)
{
    mock *m = stage_new("memory = 1M");
    jv_err err;
    char text[16];
    int n = 0;
    int32_t rc;
    for (;; n++) {
        snprintf(text, sizeof text, "%d", n);
        rc = process(m, "text", text, strlen(text), &err);
        if (rc != JV_OK || n > 100000) break;
        if (n % 1000 == 0) mock_forget(m);
    }
    assert_int_equal(rc, JV_FATAL);
    assert_int_equal(n, 15360); /* 512 KiB beside 256 KiB: 16384 slots, 15 of 16 of them */
    assert_non_null(strstr(err.text, "15360 different"));
    assert_non_null(strstr(err.text, "memory = 1048576"));
    assert_int_equal(process(m, "text", "7", 1, &err), JV_DROP); /* what it knows it still knows */
    assert_int_equal(process(m, "text", "new", 3, &err), JV_FATAL);
    mock_free(m);
}

static void test_refused(void **state)
{
    static const char *const cases[] = {"memory = 1K", "memory = none", "ignore = case"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = mock_new(so, NULL);
        jv_err err;
        mock_set(m, cases[i]);
        assert_int_equal(mock_open(m, &err), JV_BAD);
        mock_free(m);
    }
    mock *m = mock_new(so, NULL);
    assert_true(mock_stage(m)->flags & JV_ORDERED);
    assert_false(mock_stage(m)->flags & JV_PARALLEL);
    mock_free(m);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_other_field),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
