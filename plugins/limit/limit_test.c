/* limit_test.c: which of the records pass, and when no more are wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mockhost.h"

static const char *so;

static mock *stage_new(const char *ini)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, ini);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

/* What becomes of each record, one letter each: p passes, e is the last, s is skipped, b lies between. */
static void check(const char *ini, const char *expect)
{
    mock *m = stage_new(ini);
    char got[64] = "";
    for (size_t i = 0; i < strlen(expect); i++) {
        jv_err err;
        int32_t rc = mock_process(m, mock_record(m, "r"), &err);
        if (rc == JV_DROP) got[i] = strstr(err.reason, "before") ? 's' : strstr(err.reason, "between") ? 'b' : '?';
        if (rc == JV_OK || rc == JV_END) got[i] = rc == JV_OK ? 'p' : 'e';
        if (rc == JV_END) break; /* the host calls no more */
    }
    assert_string_equal(got, expect);
    mock_free(m);
}

static void test_which(void **state)
{
    check("count = 1", "e");
    check("count = 3", "ppe");
    check("count = 2\nskip = 3", "ssspe");
    check("count = 3\nevery = 3", "pbbpbbe");
    check("count = 2\nevery = 2\nskip = 1", "spbe");
    check("count = 1\nevery = 1000000000000", "e");
    check("count = all", "pppppp");
    check("count = all\nskip = 2\nevery = 4", "sspbbbpbbbp");
}

static void test_refused(void **state)
{
    static const char *const cases[] = {"", "count = 0", "count = -1", "count = 1\nskip = -1", "count = 1\nevery = 0",
        "count = few", "count = 1\nof = 2"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = mock_new(so, NULL);
        jv_err err;
        mock_set(m, cases[i]);
        assert_int_equal(mock_open(m, &err), JV_BAD);
        mock_free(m);
    }
}

static void test_remembers(void **state)
{
    mock *m = stage_new("count = 1");
    assert_true(mock_stage(m)->flags & JV_ORDERED);
    assert_false(mock_stage(m)->flags & JV_PARALLEL);
    mock_free(m);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_remembers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
