/* match_test.c: what is found, what becomes of groups, and patterns that run away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "mockhost.h"

static const char *so;

static mock *stage_new(const char *ini)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_column(m, "title", JV_UTF8, 0);
    mock_set(m, ini);
    if (mock_open(m, &err) != JV_OK) fail_msg("%s: %s", ini, err.text);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

static jv_buf *record_new(mock *m, const char *text)
{
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "text", text);
    return b;
}

static void test_found(void **state)
{
    static const struct {
        const char *ini, *text;
        int32_t port;
    } cases[] = {
        {"pattern = cat", "a cat sat", 0},
        {"pattern = cat", "a CAT sat", 1},
        {"pattern = cat\nignore_case = yes", "a CAT sat", 0},
        {"pattern = É\nignore_case = yes", "é", 0},
        {"pattern = ^\\d{1,3}$", "123", 0},
        {"pattern = ^\\d{1,3}$", "1234", 1},
        {"pattern = ^b", "a\nb", 1},
        {"pattern = (?m)^b", "a\nb", 0},
        {"pattern = ^\\w+$", "häß", 0},
        {"pattern = ^.$", "漢", 0},
        {"pattern = ^$", "", 0},
        {"pattern = x", "", 1},
        {"pattern = a, b", "b", 1}, /* a comma is a comma */
        {"pattern = a, b", "a, b", 0},
        {"pattern = cat\n dog", "a dog", 0},
        {"pattern = cat\n  \n dog \n", "a cow", 1},
        {"pattern = cat\n dog\nneed = all", "a dog", 1},
        {"pattern = cat\n dog\nneed = all", "dog, cat", 0},
        {"pattern = \\Gb", "ab", 1},
        {"pattern = a(*COMMIT)x|b", "a, b", 1},
        {"pattern = aa(*SKIP)(*FAIL)|a", "aa a", 0},
        {"pattern = aa(*SKIP)(*FAIL)|a", "aa aa", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = stage_new(cases[i].ini);
        jv_err err;
        jv_buf *b = record_new(m, cases[i].text);
        int32_t rc = mock_process(m, b, &err);
        if (rc != cases[i].port) fail_msg("%s in '%s': %d", cases[i].ini, cases[i].text, rc);
        assert_string_equal(mock_text(b, "text"), cases[i].text);
        assert_int_equal(mock_count(m, "matched"), rc == 0);
        assert_int_equal(mock_count(m, "unmatched"), rc == 1);
        mock_free(m);
    }
}

/* The text is searched in windows; what lies on their edges is found as anywhere else. */
static void test_windows(void **state)
{
    mock *m = stage_new("pattern = (?<=é)é(?<word>[a-z]+)\ncaptures = word");
    for (size_t at = 0; at < 300; at++) {
        char text[700] = "", *end = text;
        jv_err err;
        for (size_t i = 0; i < at; i++) end = stpcpy(end, i % 3 ? "-" : "漢");
        strcpy(end, "éégo");
        jv_buf *b = record_new(m, text);
        assert_int_equal(mock_process(m, b, &err), 0);
        assert_string_equal(mock_text(b, "word"), "go");
        strcpy(end, "éé");
        assert_int_equal(mock_process(m, record_new(m, text), &err), 1);
        mock_forget(m);
    }
    mock_free(m);
}

static void test_captures(void **state)
{
    mock *m = stage_new("pattern = (?<year>\\d{4})-(?<month>\\d\\d)(?:-(?<day>\\d\\d))?(?<rest>x*)\n"
                        "captures = month, year, day, rest");
    jv_err err;
    jv_buf *b = record_new(m, "on 2031-07, é");
    assert_int_equal(mock_process(m, b, &err), 0);
    assert_string_equal(mock_text(b, "year"), "2031");
    assert_string_equal(mock_text(b, "month"), "07");
    assert_false(mock_has(b, "day"));
    assert_true(mock_has(b, "rest")); /* it took part, with nothing */
    assert_string_equal(mock_text(b, "rest"), "");
    assert_int_equal(mock_type_of(b, "year"), JV_UTF8);
    b = record_new(m, "on 2031");
    assert_int_equal(mock_process(m, b, &err), 1);
    assert_false(mock_has(b, "year"));
    mock_free(m);
}

static void test_captures_of_several(void **state)
{
    mock *m = stage_new("pattern = by (?<name>\\w+)\n from (?<name>\\w+)\n at (?<place>\\w+)\ncaptures = name, place");
    jv_err err;
    jv_buf *b = record_new(m, "from Ada at home");
    assert_int_equal(mock_process(m, b, &err), 0);
    assert_string_equal(mock_text(b, "name"), "Ada");
    assert_false(mock_has(b, "place")); /* the search ends with the first pattern that is found */
    mock_free(m);
    m = stage_new("need = all\npattern = by (?<name>\\w+)\n at (?<place>\\w+)\ncaptures = name, place");
    b = record_new(m, "at home by Ada");
    assert_int_equal(mock_process(m, b, &err), 0);
    assert_string_equal(mock_text(b, "name"), "Ada");
    assert_string_equal(mock_text(b, "place"), "home");
    b = record_new(m, "by Ada");
    assert_int_equal(mock_process(m, b, &err), 1);
    assert_false(mock_has(b, "name")); /* not found: nothing is set */
    mock_free(m);
    m = stage_new("pattern = (?J)a(?<n>\\d)|b(?<n>\\d)\ncaptures = n");
    b = record_new(m, "b7");
    assert_int_equal(mock_process(m, b, &err), 0);
    assert_string_equal(mock_text(b, "n"), "7");
    mock_free(m);
    m = stage_new("pattern = (?<a>a+)*+$\ncaptures = a"); /* a try that failed leaves nothing in a group */
    b = record_new(m, "aa.");
    assert_int_equal(mock_process(m, b, &err), 0);
    assert_false(mock_has(b, "a"));
    mock_free(m);
}

/* A group may take the place of the text it was found in; one that took no part leaves a field as it was. */
static void test_captures_in_place(void **state)
{
    mock *m = stage_new("pattern = <(?<text>\\w+)>(?<title>!)?\ncaptures = text, title");
    jv_err err;
    jv_buf *b = record_new(m, "a <b> c");
    mock_put(b, "title", "kept");
    assert_int_equal(mock_process(m, b, &err), 0);
    assert_string_equal(mock_text(b, "text"), "b");
    assert_string_equal(mock_text(b, "title"), "kept");
    mock_free(m);
}

static void test_runs_away(void **state)
{
    static const struct {
        const char *ini;
        char fill;
        size_t n;
        const char *end, *says;
    } cases[] = {
        {"pattern = (a+)+$", 'a', 40, "!", "more than steps = 10000000 in a text of 41 bytes"},
        {"pattern = (a+)+$\nsteps = 50", 'a', 40, "!", "more than steps = 50 in"},
        {"pattern = ^(a|b)*c\nmemory = 64K", 'a', 999999, "!c", "more than memory = 65536 for a text of 1000001 bytes"},
        {"pattern = \\s+$\nsteps = 4294967295\ntime = 1ms", ' ', 1000000, "x", "more than time = 1 ms"},
        {"pattern = (?<r>a(?&r)|a)", 'a', 1000000, "", "runs away"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = stage_new(cases[i].ini);
        jv_err err;
        char *text = malloc(cases[i].n + 3);
        assert_non_null(text);
        memset(text, cases[i].fill, cases[i].n);
        strcpy(text + cases[i].n, cases[i].end);
        int32_t rc = mock_process(m, record_new(m, text), &err);
        if (rc != JV_BAD) fail_msg("%s answers %d", cases[i].ini, rc);
        if (!strstr(err.text, cases[i].says)) fail_msg("%s says: %s", cases[i].ini, err.text);
        assert_int_equal(mock_process(m, record_new(m, "other"), &err), 1); /* the stage goes on */
        free(text);
        mock_free(m);
    }
}

static void test_cancelled(void **state)
{
    mock *m = stage_new("pattern = \\s+$\nsteps = 4294967295\ntime = 1h");
    jv_err err;
    char *text = malloc(1000002);
    assert_non_null(text);
    memset(text, ' ', 1000000);
    strcpy(text + 1000000, "x");
    jv_buf *b = record_new(m, text);
    mock_cancel_at(m, 3);
    assert_int_equal(mock_process(m, b, &err), JV_CANCELLED);
    free(text);
    mock_free(m);
}

static void test_bad_records(void **state)
{
    mock *m = stage_new("pattern = x");
    jv_err err;
    assert_int_equal(mock_process(m, mock_record(m, "r"), &err), JV_BAD);
    assert_non_null(strstr(err.text, "no text"));
    mock_free(m);
}

static void test_refused(void **state)
{
    static const struct {
        const char *ini, *says;
    } cases[] = {
        {"", "pattern"},
        {"pattern =", "empty"},
        {"pattern = a(b", "`pattern`: 'a(b' at byte 3: missing closing parenthesis"},
        {"pattern = ok\n *x", "`pattern`: '*x' at byte 0: quantifier"},
        {"pattern = \\C", "\\C"},
        {"pattern = x\ncaptures = y", "no pattern has a group (?<y>...)"},
        {"pattern = (?<y>x)\ncaptures = y, y", "twice"},
        {"pattern = x\nneed = some", "need"},
        {"pattern = x\nsteps = 0", "steps"},
        {"pattern = x\nmemory = 1K", "memory"},
        {"pattern = x\ntime = 0", "time"},
        {"pattern = x\nmultiline = yes", "multiline"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = mock_new(so, NULL);
        jv_err err;
        mock_set(m, cases[i].ini);
        assert_true(mock_open(m, &err) < 0);
        if (!strstr(err.text, cases[i].says)) fail_msg("%s\nsays: %s", cases[i].ini, err.text);
        mock_free(m);
    }
    char *ini = malloc(80000);
    assert_non_null(ini);
    memset(stpcpy(ini, "pattern = "), 'x', 70000);
    ini[70010] = 0;
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, ini);
    assert_true(mock_open(m, &err) < 0);
    assert_non_null(strstr(err.text, "longer than the limit"));
    mock_free(m);
    free(ini);
}

static void *search_often(void *arg)
{
    mock *m = arg;
    for (int i = 0; i < 200; i++) {
        char text[64];
        jv_err err;
        snprintf(text, sizeof text, "%s number %d of them", i % 2 ? "é" : "no", i);
        jv_buf *b = record_new(m, text);
        if (mock_process(m, b, &err) != !(i % 2)) return arg;
        if (i % 2 && strtol(mock_text(b, "n"), NULL, 10) != i) return arg;
    }
    return NULL;
}

static void test_parallel(void **state)
{
    mock *m = stage_new("pattern = é number (?<n>\\d+)\ncaptures = n");
    pthread_t t[4];
    assert_true(mock_stage(m)->flags & JV_PARALLEL);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, search_often, m), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(t[i], &failed);
        assert_null(failed);
    }
    mock_free(m);
}

static void test_no_memory(void **state)
{
    mock *m = stage_new("pattern = (?<a>x)(?<b>y)\ncaptures = a, b");
    jv_err err;
    int64_t k = 0;
    for (;; k++) {
        jv_buf *b = record_new(m, "xy");
        mock_fail_at(m, k);
        int32_t rc = mock_process(m, b, &err);
        if (!mock_failed(m)) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, JV_FATAL);
    }
    assert_int_equal(k, 3); /* the places, and two fields */
    mock_free(m);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_captures),
        cmocka_unit_test(test_captures_of_several),
        cmocka_unit_test(test_captures_in_place),
        cmocka_unit_test(test_runs_away),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
