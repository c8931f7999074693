/* whole_test.c: bytes in every cut give the same text, valid UTF-8, with U+FFFD for each byte that belongs nowhere. */
#include "whole.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define R "\xef\xbf\xbd" /* U+FFFD */

static const struct {
    const char *in, *out;
} cases[] = {
    {"", ""},
    {"plain", "plain"},
    {"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"},
    {"\xff\xfe", R R},
    {"\x80z", R "z"},
    {"\xc3", R},
    {"\xc3z", R "z"},
    {"\xe2\x82", R R},
    {"\xf0\x9f\x98z", R R R "z"},
    {"\xc0\xaf", R R},                        /* overlong */
    {"\xe0\x80\xaf", R R R},                  /* overlong */
    {"\xed\xa0\x80", R R R},                  /* a surrogate */
    {"\xf4\x90\x80\x80", R R R R},            /* above U+10FFFF */
    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"}, /* U+10FFFF */
    {"\xe2\xc3\xa4", R "\xc3\xa4"},           /* a beginning cut short by a character */
    {"\xf0\x9f\xe2\x82\xac", R R "\xe2\x82\xac"},
};

/* In portions of `portion` bytes; what is there in between is a beginning of what comes. */
static void check(const char *in, const char *out, size_t portion)
{
    whole w = {0};
    jv_err err;
    size_t n = strlen(in);
    for (size_t at = 0; at < n; at += portion) {
        assert_int_equal(whole_add(&w, (jv_str){in + at, n - at < portion ? n - at : portion}, &err), JV_OK);
        assert_true(w.n <= strlen(out));
        if (w.n) assert_memory_equal(w.text, out, w.n);
    }
    assert_int_equal(whole_end(&w, &err), JV_OK);
    assert_int_equal(w.n, strlen(out));
    if (w.n) assert_string_equal(w.text, out);
    free(w.text);
}

static void test_cases(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t portion = 1; portion < 6; portion++) check(cases[i].in, cases[i].out, portion);
}

static void test_held_back(void **state)
{
    whole w = {0};
    jv_err err;
    assert_int_equal(whole_add(&w, (jv_str){"a\xe2\x82", 3}, &err), JV_OK);
    assert_int_equal(w.n, 1);
    assert_int_equal(whole_add(&w, (jv_str){"\xac", 1}, &err), JV_OK);
    assert_string_equal(w.text, "a\xe2\x82\xac");
    free(w.text);
}

static void test_long(void **state)
{
    whole w = {0};
    jv_err err;
    for (int i = 0; i < 100000; i++) assert_int_equal(whole_add(&w, (jv_str){"\xe2\x82\xac", 3}, &err), JV_OK);
    assert_int_equal(w.n, 300000);
    for (size_t i = 0; i < w.n; i += 3) assert_memory_equal(w.text + i, "\xe2\x82\xac", 3);
    free(w.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
