/* Tests of the text source, and of utf8.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "../utf8.h"
#include "mockhost.h"

static const char *so;

static void test_one_record(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, "text = Why is the sky blue?\nid = sky");
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    assert_int_equal(mock_poll(m, &err), JV_END);
    assert_int_equal(mock_poll(m, &err), JV_END);
    assert_int_equal(mock_n(m), 1);
    assert_int_equal(mock_kind(mock_at(m, 0)), MOCK_ROOT);
    assert_string_equal(mock_id(mock_at(m, 0)), "sky");
    assert_string_equal(mock_text(mock_at(m, 0), "text"), "Why is the sky blue?");
    mock_free(m);
}

static void test_defaults_and_names(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, "text =\nout = question"); /* an empty text is a text */
    assert_int_equal(mock_open(m, &err), JV_OK);
    mock_start(m, &err);
    assert_int_equal(mock_poll(m, &err), JV_END);
    assert_string_equal(mock_id(mock_at(m, 0)), "0");
    assert_string_equal(mock_text(mock_at(m, 0), "question"), "");
    mock_free(m);

    m = mock_new(so, NULL);
    assert_int_equal(mock_open(m, &err), JV_BAD); /* `text` has no default */
    mock_free(m);
}

static void open_fails(const char *ini, const char *why)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, ini);
    assert_true(mock_open(m, &err) < 0);
    assert_non_null(strstr(err.text, why));
    mock_free(m);
}

static void test_refused(void **state)
{
    open_fails("text = abc\xff", "`text` is not UTF-8: byte 3 is 0xff");
    open_fails("text = a\nid = \xc3", "`id` is not UTF-8: byte 0 is 0xc3");
    open_fails("text = a\nid =", "`id` has 0 bytes");
    char ini[5000] = "text = a\nid = ";
    size_t n = strlen(ini);
    memset(ini + n, 'x', 4097);
    open_fails(ini, "`id` has 4097 bytes, 1 to 4096");
}

static void test_stopped(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, "text = a");
    mock_open(m, &err);
    mock_start(m, &err);
    mock_stop(m);
    assert_int_equal(mock_poll(m, &err), JV_END);
    assert_int_equal(mock_n(m), 0);
    mock_free(m);
}

static void test_no_memory(void **state)
{
    for (int64_t k = 0;; k++) {
        mock *m = mock_new(so, NULL);
        jv_err err;
        mock_set(m, "text = abc");
        mock_open(m, &err);
        mock_start(m, &err);
        mock_fail_at(m, k);
        int32_t rc = mock_poll(m, &err);
        bool failed = mock_failed(m);
        assert_int_equal(rc, failed ? JV_FATAL : JV_END);
        assert_int_equal(mock_n(m), failed ? 0 : 1);
        mock_free(m);
        if (!failed) {
            assert_int_equal(k, 2); /* begin and put */
            return;
        }
    }
}

static void test_emit_refused(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, "text = abc");
    mock_open(m, &err);
    mock_start(m, &err);
    mock_emit_at(m, 0, JV_FATAL);
    assert_int_equal(mock_poll(m, &err), JV_FATAL);
    mock_free(m);
}

/* A second way to decide, by decoding: the shortest form, no surrogates, up to U+10FFFF. */
static size_t decoded(const unsigned char *p, size_t n)
{
    uint32_t c = p[0], least = 0;
    size_t len = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 ? 4 : 0;
    if (!len || len > n) return 0;
    if (len > 1) {
        c &= 0x7fu >> len;
        least = len == 2 ? 0x80 : len == 3 ? 0x800 : 0x10000;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : len;
}

static void test_utf8_chars(void **state)
{
    static const unsigned char tails[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    const size_t k = sizeof tails;
    for (size_t i = 0; i < 256 * k * k * k; i++) {
        unsigned char p[4] = {(unsigned char)(i / (k * k * k)), tails[i / (k * k) % k], tails[i / k % k], tails[i % k]};
        for (size_t n = 1; n <= 4; n++) assert_int_equal(utf8_char((char *)p, n), decoded(p, n));
    }
}

static void test_utf8_valid(void **state)
{
    static const char text[] =
        "plain text that is long, \xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 and more of it";
    const size_t n = sizeof text - 1;
    assert_int_equal(utf8_valid(text, n), n);
    assert_int_equal(utf8_valid("", 0), 0);
    for (size_t i = 0; i < n; i++) { /* one wrong byte anywhere: found at the character it breaks */
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        copy[i] = (char)0xff;
        size_t start = i;
        while (((unsigned char)text[start] & 0xc0) == 0x80) start--;
        assert_int_equal(utf8_valid(copy, n), start);
    }
}

static void test_utf8_escape(void **state)
{
    char out[64];
    assert_int_equal(utf8_escape(out, sizeof out, "a\n\x1b\xc3\xa9\xff\xc2\x9b", 8), 1 + 4 + 4 + 2 + 4 + 8);
    assert_string_equal(out, "a\\x0a\\x1b\xc3\xa9\\xff\\xc2\\x9b");
    assert_int_equal(utf8_escape(out, 3, "a\xc3\xa9", 3), 3); /* no half characters */
    assert_string_equal(out, "a");
    assert_int_equal(utf8_escape(NULL, 0, "\xff\xff", 2), 8);
    char name[1000];
    memset(name, 'n', sizeof name);
    struct utf8_shown shown = utf8_show(name, sizeof name);
    assert_true(strlen(shown.text) < sizeof shown.text);
    assert_string_equal(shown.text + strlen(shown.text) - 4, "n...");
    assert_string_equal(utf8_show("a\tb", 3).text, "a\\x09b");
}

int main(int argc, char **argv)
{
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_record),
        cmocka_unit_test(test_defaults_and_names),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_emit_refused),
        cmocka_unit_test(test_utf8_chars),
        cmocka_unit_test(test_utf8_valid),
        cmocka_unit_test(test_utf8_escape),
    };
    return argc < 2 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
