/* Tests of the null sink. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "mockhost.h"

static const char *so;

static void test_takes_all(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_column(m, "text", JV_UTF8, 0);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    jv_buf *b = mock_record(m, "a");
    mock_put(b, "text", "kept as it is");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "text"), "kept as it is");
    assert_int_equal(mock_process(m, mock_record(m, "b"), &err), JV_OK); /* without any field */
    assert_int_equal(mock_flush(m, &err), JV_OK);
    assert_int_equal(mock_n(m), 0);
    mock_free(m);
}

static void *deliver(void *arg)
{
    mock *m = arg;
    jv_err err;
    for (int i = 0; i < 1000; i++)
        if (mock_process(m, mock_record(m, "x"), &err) != JV_OK) return arg;
    return NULL;
}

static void test_parallel(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    assert_true(mock_stage(m)->flags & JV_PARALLEL);
    assert_null(mock_stage(m)->ports);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    pthread_t t[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, deliver, m), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(t[i], &failed);
        assert_null(failed);
    }
    mock_free(m);
}

static void test_no_options(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, "path = x");
    assert_int_equal(mock_open(m, &err), JV_BAD);
    mock_free(m);
}

int main(int argc, char **argv)
{
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_all),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_no_options),
    };
    return argc < 2 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
