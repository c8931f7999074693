/* route_test.c: rules that are right, rules that are refused, and where records then go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "mockhost.h"

static const char *so;

static mock *stage_new(const char *ini)
{
    mock *m = mock_new(so, NULL);
    mock_column(m, "lang", JV_UTF8, 0);
    mock_column(m, "raw", JV_BYTES, 0);
    mock_column(m, "meta", JV_JSON, 0);
    mock_column(m, "n", JV_I64, 0);
    mock_column(m, "score", JV_F64, 0);
    mock_column(m, "ids", JV_I32S, 0);
    mock_set(m, ini);
    return m;
}

static mock *stage_open(const char *ini)
{
    mock *m = stage_new(ini);
    jv_err err;
    if (mock_open(m, &err) != JV_OK) fail_msg("%s: %s", ini, err.text);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

/* The port's name, or the reason of the drop. */
static const char *way_of(mock *m, jv_buf *b)
{
    jv_err err;
    int32_t rc = mock_process(m, b, &err);
    if (rc == JV_DROP) return err.reason;
    assert_true(rc >= 0);
    return mock_port_name(m, rc);
}

static void test_text(void **state)
{
    static const struct {
        const char *rule, *fits, *fits_not;
    } cases[] = {
        {"en", "en", "EN"},
        {"= en", "en", "en "},
        {"=en", "en", "= en"},
        {"en, de", "de", "en, de"},
        {"!= en, de", "fr", "de"},
        {"!= \"\"", "x", ""},
        {"\"\"", "", " "},
        {"\"a, b\"", "a, b", "a"},
        {"\"say \"\"no\"\"\", x", "say \"no\"", "say"},
        {"\"*\"", "*", "x"},
        {"\"<b>\"", "<b>", "b"},
        {"= \"= x\"", "= x", "x"},
        {"\" a \"", " a ", "a"},
        {"a b", "a b", "ab"},
        {"10", "10", "10.0"},
        {"one\n two, three\n \"four\"", "two, three", "two"},
        {"= one\n two", "two", "one\n two"},
        {"héé", "héé", "hee"},
        {"a*b", "a*b", "axb"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char ini[200];
        snprintf(ini, sizeof ini, "in = lang\nto.yes = %s\nto.no = *", cases[i].rule);
        mock *m = stage_open(ini);
        jv_buf *b = mock_record(m, "r");
        mock_put(b, "lang", cases[i].fits);
        assert_string_equal(way_of(m, b), "yes");
        assert_string_equal(mock_text(b, "lang"), cases[i].fits);
        mock_put(b, "lang", cases[i].fits_not);
        assert_string_equal(way_of(m, b), "no");
        mock_free(m);
    }
}

static void test_whole_numbers(void **state)
{
    static const struct {
        const char *rule;
        int64_t fits, fits_not;
    } cases[] = {
        {"< 10", 9, 10},
        {"<= 10", 10, 11},
        {"> 10", 11, 10},
        {">= 10", 10, 9},
        {"= 10", 10, -10},
        {"10.0", 10, 11},
        {"1e1, -3", -3, 3},
        {"!= 1, 2", 3, 2},
        {">= -0.5", 0, -1},
        {"< 0.5", 0, 1},
        {"< -0.5", -1, 0},
        {"9223372036854775807", INT64_MAX, INT64_MAX - 1},
        {"> 9007199254740992", INT64_C(9007199254740993), INT64_C(9007199254740992)},
        {"+7", 7, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char ini[200];
        snprintf(ini, sizeof ini, "in = n\nto.yes = %s\nto.no = *", cases[i].rule);
        mock *m = stage_open(ini);
        jv_buf *b = mock_record(m, "r");
        mock_put_i64(b, "n", cases[i].fits);
        assert_string_equal(way_of(m, b), "yes");
        mock_put_i64(b, "n", cases[i].fits_not);
        assert_string_equal(way_of(m, b), "no");
        mock_free(m);
    }
    mock *m = stage_open("in = n\nto.above = >= 9223372036854775808\nto.below = < -1e300\nto.yes = < 1e19");
    jv_buf *b = mock_record(m, "r");
    mock_put_i64(b, "n", INT64_MAX); /* 1 below 2^63, which it would be as a double */
    assert_string_equal(way_of(m, b), "yes");
    mock_put_i64(b, "n", INT64_MIN);
    assert_string_equal(way_of(m, b), "yes");
    mock_free(m);
}

static void test_floats(void **state)
{
    mock *m = stage_open("in = score\nto.low = < 0.5\nto.half = 0.5\nto.big = > 9007199254740993\n"
                         "to.edge = 9007199254740992\nto.odd = != 0.75\nto.rest = *");
    static const struct {
        double v;
        const char *way;
    } cases[] = {{0, "low"}, {-INFINITY, "low"}, {0.5, "half"}, {0.75, "rest"}, {1, "odd"}, {INFINITY, "big"},
        {NAN, "rest"}, {9007199254740992.0, "edge"}, {9007199254740994.0, "big"}, {-0.0, "low"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jv_buf *b = mock_record(m, "r");
        mock_put_f64(b, "score", cases[i].v);
        assert_string_equal(way_of(m, b), cases[i].way);
    }
    assert_string_equal(way_of(m, mock_record(m, "r")), "rest"); /* absent */
    mock_free(m);
}

/* The first that fits, in the order of the file; what fits nothing is dropped. */
static void test_order(void **state)
{
    mock *m = stage_open("in = n\nto.z = < 5\nto.a = < 10\nto.m = 20");
    static const char *const way[] = {"z", "a", "no rule fits", "m"};
    static const int64_t v[] = {1, 7, 12, 20};
    for (size_t i = 0; i < 4; i++) {
        jv_buf *b = mock_record(m, "r");
        mock_put_i64(b, "n", v[i]);
        assert_string_equal(way_of(m, b), way[i]);
    }
    assert_string_equal(way_of(m, mock_record(m, "r")), "no rule fits: the field is absent");
    mock_free(m);
}

static void test_other_types(void **state)
{
    mock *m = stage_open("in = meta\nto.t = true\nto.s = \"\"\"en\"\"\"\nto.rest = *");
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "meta", "true");
    assert_string_equal(way_of(m, b), "t");
    mock_put(b, "meta", "\"en\"");
    assert_string_equal(way_of(m, b), "s");
    mock_free(m);
    m = stage_open("in = raw\nto.gif = GIF\nto.rest = *");
    b = mock_record(m, "r");
    mock_put_n(b, "raw", "\xff\xfe", 2);
    assert_string_equal(way_of(m, b), "rest");
    mock_put_n(b, "raw", "GIF", 3);
    assert_string_equal(way_of(m, b), "gif");
    mock_put_n(b, "raw", "GIF\0", 4);
    assert_string_equal(way_of(m, b), "rest");
    mock_free(m);
    m = stage_open("in = id\nto.first = 0, 1\nto.rest = !=0");
    assert_string_equal(way_of(m, mock_record(m, "1")), "first");
    assert_string_equal(way_of(m, mock_record(m, "2")), "rest");
    mock_free(m);
}

static void test_refused(void **state)
{
    static const struct {
        const char *ini, *says;
    } cases[] = {
        {"to.a = x", "in"},
        {"in = lang", "to"},
        {"in = nope\nto.a = x", "nope"},
        {"in = ids\nto.a = x", "array"},
        {"in = lang\nto.a = ", "`to.a`: a value is missing"},
        {"in = lang\nto.a = =", "`to.a`: a value is missing"},
        {"in = lang\nto.a = x,", "`to.a`: a value is missing"},
        {"in = lang\nto.a = x,,y", "`to.a`: a value is missing"},
        {"in = lang\nto.b = x\nto.a = \"x", "`to.a`: a quote is not closed"},
        {"in = lang\nto.a = \"x\" y", "`to.a`: 'y' stands behind a closed quote"},
        {"in = lang\nto.a = < 5", "`to.a`: < <= > >= compare numbers"},
        {"in = lang\nto.a = == x", "'= x' begins like an operator"},
        {"in = lang\nto.a = *x", "'*x' begins like an operator"},
        {"in = lang\nto.a = <> x", "'> x' begins like an operator"},
        {"in = n\nto.a = => 5", "'> 5' begins like an operator"},
        {"in = n\nto.a = many", "`to.a`: 'many' is no number"},
        {"in = n\nto.a = 0x10", "'0x10' is no number"},
        {"in = n\nto.a = nan", "'nan' is no number"},
        {"in = n\nto.a = 1e999", "'1e999' is no number"},
        {"in = n\nto.a = \"\"", "'' is no number"},
        {"in = n\nto.a = 1e", "'1e' is no number"},
        {"in = n\nto.a = < 5, 6", "take one value, and here are 2"},
        {"in = n\nto.a = <", "`to.a`: a value is missing"},
        {"in = lang\nto.a = *\nto.b = x", "`to.b`: nothing comes so far, since `to.a = *`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = stage_new(cases[i].ini);
        jv_err err;
        assert_true(mock_open(m, &err) < 0);
        if (!strstr(err.text, cases[i].says)) fail_msg("%s\nsays: %s", cases[i].ini, err.text);
        mock_free(m);
    }
}

static void test_too_many(void **state)
{
    char ini[1024] = "in = lang";
    for (int i = 0; i < JV_MAX_PORTS; i++)
        snprintf(ini + strlen(ini), sizeof ini - strlen(ini), "\nto.k%d = v%d", i, i);
    mock *m = stage_open(ini);
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "lang", "v30");
    assert_string_equal(way_of(m, b), "k30");
    mock_free(m);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_whole_numbers),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
