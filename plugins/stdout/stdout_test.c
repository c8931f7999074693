/* Tests of the stdout sink: descriptor 1 is a file, a pipe or a terminal of the test while the stage runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mockhost.h"

static const char *so;
static int own_stdout, captured; /* captured: where the output goes, read from its beginning */

/* ---- standard output --------------------------------------------------------------------------------------------- */

static void use_as_stdout(int fd)
{
    assert_true(fd >= 0);
    fflush(stdout);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    close(fd);
}

static int capture(void **state)
{
    char name[] = "/tmp/jv_stdout_XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    captured = dup(fd);
    use_as_stdout(fd);
    return captured < 0 ? -1 : 0;
}

static int restore(void **state)
{
    close(captured);
    return dup2(own_stdout, STDOUT_FILENO) == STDOUT_FILENO ? 0 : -1;
}

static const char *printed(void)
{
    static char text[1 << 18];
    ssize_t n = pread(captured, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = 0;
    return text;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static mock *started(const char *ini)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, ini);
    int32_t rc = mock_open(m, &err);
    if (rc == JV_OK) rc = mock_start(m, &err);
    if (rc != JV_OK) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_OK);
    return m;
}

static int32_t show(mock *m, jv_buf *b, const char *text, bool partial)
{
    jv_err err;
    mock_put(b, "text", text);
    mock_set_partial(b, partial);
    return mock_process(m, b, &err);
}

static void finish(mock *m)
{
    jv_err err;
    assert_int_equal(mock_flush(m, &err), JV_OK);
    mock_free(m);
}

static void test_whole_records(void **state)
{
    mock *m = started("");
    assert_int_equal(show(m, mock_record(m, "a"), "one", false), JV_OK);
    assert_string_equal(printed(), "one\n");
    assert_int_equal(show(m, mock_record(m, "b"), "", false), JV_OK);
    jv_err err;
    assert_int_equal(mock_process(m, mock_record(m, "c"), &err), JV_OK); /* no such field: an empty line */
    assert_int_equal(show(m, mock_record(m, "d"), "\x1b[2J\r\xc2\x9b\a", false), JV_OK);
    assert_string_equal(printed(), "one\n\n\n\x1b[2J\r\xc2\x9b\a\n"); /* in a file: as it is */
    assert_int_equal(mock_count(m, "bytes"), strlen(printed()));
    finish(m);
}

static void test_names(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, "in = answer\nnewline = no");
    mock_column(m, "answer", JV_BYTES, 0);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    jv_buf *b = mock_record(m, "a");
    mock_put_n(b, "answer", "\xff\0z", 3);
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    char got[10];
    assert_int_equal(pread(captured, got, sizeof got, 0), 6);
    assert_memory_equal(got, "\xff\0z\xff\0z", 6);
    finish(m);
}

static void test_streaming(void **state)
{
    mock *m = started("");
    jv_buf *b = mock_record(m, "a");
    show(m, b, "He", true);
    assert_string_equal(printed(), "He");
    show(m, b, "He", true);
    assert_string_equal(printed(), "He");
    show(m, b, "Hello, wo", true); /* one lost between: nothing is missing */
    assert_string_equal(printed(), "Hello, wo");
    assert_int_equal(show(m, b, "Hello, world", false), JV_OK);
    assert_string_equal(printed(), "Hello, world\n");
    b = mock_record(m, "b");
    show(m, b, "all", true);
    assert_int_equal(show(m, b, "all", false), JV_OK);
    b = mock_record(m, "c");
    show(m, b, "", true);
    assert_int_equal(show(m, b, "final only", false), JV_OK);
    assert_string_equal(printed(), "Hello, world\nall\nfinal only\n");
    assert_int_equal(mock_logs(m), 0);
    finish(m);
}

static void test_late_snapshot(void **state)
{
    mock *m = started("");
    jv_buf *b = mock_record(m, "a");
    show(m, b, "abcd", true);
    show(m, b, "ab", true); /* older than what was shown */
    assert_int_equal(show(m, b, "abcde", false), JV_OK);
    assert_string_equal(printed(), "abcde\n");
    finish(m);
}

static void test_never_final(void **state)
{
    mock *m = started("");
    show(m, mock_record(m, "a"), "half an ans", true);
    assert_int_equal(show(m, mock_record(m, "b"), "whole", false), JV_OK);
    assert_string_equal(printed(), "half an ans\nwhole\n");
    assert_true(mock_logged(m, "a record of which 11 bytes were printed as it streamed did not come to its end"));
    show(m, mock_record(m, "c"), "last", true);
    finish(m);
    assert_string_equal(printed(), "half an ans\nwhole\nlast\n");

    m = started("newline = no");
    show(m, mock_record(m, "a"), "x", true);
    assert_int_equal(show(m, mock_record(m, "b"), "y", false), JV_OK);
    assert_string_equal(printed(), "half an ans\nwhole\nlast\nxy");
    finish(m);
}

static void test_broken_promise(void **state)
{
    static const char *const finals[] = {"abX", "ab", ""};
    for (int i = 0; i < 3; i++) {
        mock *m = started("");
        jv_buf *b = mock_record(m, "a");
        jv_err err;
        show(m, b, "abc", true);
        mock_put(b, "text", finals[i]);
        mock_set_partial(b, false);
        assert_int_equal(mock_process(m, b, &err), JV_FATAL);
        assert_non_null(strstr(err.text, "does not begin with the 3 bytes printed as it streamed"));
        mock_free(m);
    }
}

static void test_long_text(void **state)
{
    char text[100001];
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = (char)('a' + i % 26);
    text[sizeof text - 1] = 0;
    mock *m = started("newline = no\nraw = no");
    jv_buf *b = mock_record(m, "a");
    for (size_t n = 1; n < sizeof text - 1; n = n * 3 + 1) {
        char keep = text[n];
        text[n] = 0;
        show(m, b, text, true);
        text[n] = keep;
    }
    assert_int_equal(show(m, b, text, false), JV_OK);
    assert_string_equal(printed(), text);
    finish(m);
}

/* ---- terminals --------------------------------------------------------------------------------------------------- */

static void test_control_characters(void **state)
{
    mock *m = started("raw = no");
    assert_int_equal(show(m, mock_record(m, "a"), "a\tb\nc\x1b[31m\r\a\x7f\xc2\x9b\xc2\xa0\xc3\xa9", false), JV_OK);
    assert_string_equal(printed(), "a\tb\nc\\x1b[31m\\x0d\\x07\\x7f\\xc2\\x9b\xc2\xa0\xc3\xa9\n");
    finish(m);
}

/* A character cut by a snapshot waits for its rest; one that never comes is shown as what it is. */
static void test_cut_character(void **state)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, "raw = no\nin = raw_text");
    mock_column(m, "raw_text", JV_BYTES, 0);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    static const char text[] = "x\xf0\x9f\x98\x80\xe2\x82";
    static const char *const seen[] = {"", "x", "x", "x", "x", "x\xf0\x9f\x98\x80", "x\xf0\x9f\x98\x80",
        "x\xf0\x9f\x98\x80"};
    jv_buf *b = mock_record(m, "a");
    for (size_t n = 0; n < sizeof text; n++) {
        mock_put_n(b, "raw_text", text, n);
        mock_set_partial(b, true);
        assert_int_equal(mock_process(m, b, &err), JV_OK);
        assert_string_equal(printed(), seen[n]);
    }
    mock_set_partial(b, false);
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(printed(), "x\xf0\x9f\x98\x80\\xe2\\x82\n");
    finish(m);
}

static void test_auto_on_a_terminal(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) skip();
    use_as_stdout(open(ptsname(master), O_RDWR | O_NOCTTY));
    mock *m = started("");
    assert_int_equal(show(m, mock_record(m, "a"), "\x1bz", false), JV_OK);
    finish(m);
    m = started("raw = yes");
    assert_int_equal(show(m, mock_record(m, "a"), "\x1by", false), JV_OK);
    finish(m);
    char got[100];
    ssize_t n = 0;
    while (n < 11) { /* the terminal makes CR LF of a newline */
        ssize_t k = read(master, got + n, sizeof got - (size_t)n);
        assert_true(k > 0);
        n += k;
    }
    assert_int_equal(n, 11);
    assert_memory_equal(got, "\\x1bz\r\n\x1by\r\n", 11);
    close(master);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void test_full(void **state)
{
    use_as_stdout(open("/dev/full", O_WRONLY));
    mock *m = started("");
    jv_buf *b = mock_record(m, "a");
    jv_err err;
    show(m, b, "a", true); /* this verdict is not heard */
    mock_set_partial(b, false);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mock_process(m, b, &err), JV_FATAL);
        assert_string_equal(err.text, "standard output cannot be written: No space left on device");
    }
    assert_int_equal(mock_flush(m, &err), JV_FATAL);
    assert_int_equal(mock_count(m, "bytes"), 0);
    mock_free(m);
}

static void test_reader_gone(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    use_as_stdout(ends[1]);
    close(ends[0]);
    mock *m = started("");
    jv_buf *b = mock_record(m, "a");
    jv_err err;
    mock_put(b, "text", "a");
    assert_int_equal(mock_process(m, b, &err), JV_FATAL);
    assert_string_equal(err.text, "nobody reads standard output any more");
    mock_free(m);
}

static void *read_all(void *arg)
{
    static char got[400000];
    size_t n = 0;
    int fd = *(int *)arg;
    for (ssize_t k = 1; k > 0; n += k > 0 ? (size_t)k : 0) k = read(fd, got + n, sizeof got - 1 - n);
    got[n] = 0;
    return got;
}

static void test_slow_reader(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    use_as_stdout(ends[1]);
    mock *m = started("newline = no");
    char text[300001];
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = (char)('a' + i % 25);
    text[sizeof text - 1] = 0;
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, read_all, &ends[0]), 0);
    int32_t rc = show(m, mock_record(m, "a"), text, false);
    dup2(own_stdout, STDOUT_FILENO); /* closes the pipe */
    void *got;
    pthread_join(t, &got);
    close(ends[0]);
    assert_int_equal(rc, JV_OK);
    assert_true(strcmp(got, text) == 0);
    finish(m);
}

static void test_refused(void **state)
{
    static const char *const why[] = {"standard output is closed", "standard output is not open for writing"};
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            close(STDOUT_FILENO);
        else
            use_as_stdout(open("/dev/null", O_RDONLY));
        mock *m = mock_new(so, NULL);
        jv_err err;
        int32_t rc = mock_open(m, &err);
        mock_free(m);
        dup2(own_stdout, STDOUT_FILENO);
        assert_true(rc < 0);
        assert_non_null(strstr(err.text, why[i]));
    }
}

int main(int argc, char **argv)
{
    so = argv[1];
    signal(SIGPIPE, SIG_IGN); /* as the host does */
    own_stdout = dup(STDOUT_FILENO);
#define T(f) cmocka_unit_test_setup_teardown(f, capture, restore)
    const struct CMUnitTest tests[] = {
        T(test_whole_records),
        T(test_names),
        T(test_streaming),
        T(test_late_snapshot),
        T(test_never_final),
        T(test_broken_promise),
        T(test_long_text),
        T(test_control_characters),
        T(test_cut_character),
        T(test_auto_on_a_terminal),
        T(test_full),
        T(test_reader_gone),
        T(test_slow_reader),
        T(test_refused),
    };
    return argc < 2 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
