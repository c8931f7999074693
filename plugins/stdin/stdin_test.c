/* Tests of the stdin source: descriptor 0 is a pipe or a file of the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mockhost.h"

static const char *so;
static int own_stdin;

/* ---- standard input ---------------------------------------------------------------------------------------------- */

static void use_as_stdin(int fd)
{
    assert_true(fd >= 0);
    if (fd == STDIN_FILENO) return; /* it was closed, so this is what open gave */
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
}

static void give_n(const void *p, size_t n)
{
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    rewind(f);
    use_as_stdin(dup(fileno(f)));
    fclose(f);
}

static void give(const char *text)
{
    give_n(text, strlen(text));
}

static int restore(void **state)
{
    return dup2(own_stdin, STDIN_FILENO) == STDIN_FILENO ? 0 : -1;
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

static int32_t drain(mock *m, jv_err *err)
{
    int32_t rc = JV_OK;
    while (rc == JV_OK) rc = mock_poll(m, err);
    return rc;
}

/* `want`: the records as ID=TEXT; with a bar behind each, rejected ones as ID!REASON. */
static void expect(const char *ini, const char *want)
{
    mock *m = started(ini);
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    char got[4000] = "";
    for (size_t i = 0; i < mock_n(m); i++) {
        const jv_buf *b = mock_at(m, i);
        bool bad = mock_kind(b) == MOCK_REJECT;
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%s%s%s|", mock_id(b), bad ? "!" : "=",
            bad ? mock_why(b) : mock_text(b, "text"));
    }
    assert_string_equal(got, want);
    mock_free(m);
}

static void test_lines(void **state)
{
    give("one\ntwo\n\nlast");
    expect("", "0=one|4=two|8=|9=last|");
    give("one\r\n\r\nt\rwo\r\r\nx\r");
    expect("", "0=one|5=|7=t\rwo\r|14=x|");
    give("\n");
    expect("", "0=|");
    give("a\n");
    expect("split = lines\nout = text", "0=a|");
}

static void test_empty(void **state)
{
    static const char *const how[] = {"split = lines", "split = whole"};
    for (int i = 0; i < 2; i++) {
        give("");
        mock *m = started(how[i]);
        jv_err err;
        assert_int_equal(drain(m, &err), JV_END);
        assert_int_equal(mock_n(m), 0);
        assert_true(mock_logged(m, "standard input is empty: no record"));
        mock_free(m);
    }
}

static void test_whole(void **state)
{
    give("one\r\ntwo\n");
    expect("split = whole", "0=one\r\ntwo\n|");
    give("\n");
    expect("split = whole", "0=\n|");
    give("12345678901");
    expect("split = whole\nmax_size = 10", "0!the input has 11 bytes, max_size is 10|");
    give("1234567890");
    expect("split = whole\nmax_size = 10", "0=1234567890|");
    give("a\xc3");
    expect("split = whole", "0!the input is not UTF-8: its byte 1 is 0xc3 (`as = bytes` and a clean stage mend it)|");
}

static void test_bytes(void **state)
{
    give_n("\xff\0\r\nb", 5);
    mock *m = started("as = bytes\nout = raw");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    jv_str s = mock_get(mock_at(m, 0), "raw");
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "\xff\0\r", 3);
    assert_int_equal(mock_type_of(mock_at(m, 0), "raw"), JV_BYTES);
    assert_int_equal(mock_count(m, "bytes"), 5);
    assert_int_equal(mock_counted(mock_at(m, 0), "bytes"), 4);
    mock_free(m);
}

static void test_bad_lines(void **state)
{
    give("123456\n12345\nab\xff\xfe\nok\n1234567");
    expect("max_line = 5", "0!the line has 6 bytes, max_line is 5|7=12345|"
                           "13!the line is not UTF-8: its byte 2 is 0xff (`as = bytes` and a clean stage mend it)|"
                           "18=ok|21!the line has 7 bytes, max_line is 5|");
}

/* Lines around the sizes of the buffer, and one far longer than it may be: offsets and texts stay right. */
static void test_long_lines(void **state)
{
    static const size_t sizes[] = {65535, 65536, 65537, 131072, 1, 200000, 5000000, 3, 262144};
    const size_t n_lines = sizeof sizes / sizeof *sizes;
    FILE *f = tmpfile();
    for (size_t i = 0; i < n_lines; i++) {
        for (size_t k = 0; k < sizes[i]; k++) putc((int)('a' + (k * 7 + i) % 26), f);
        putc('\n', f);
    }
    rewind(f);
    use_as_stdin(dup(fileno(f)));
    fclose(f);
    mock *m = started("max_line = 262144");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), n_lines);
    size_t offset = 0;
    for (size_t i = 0; i < n_lines; i++) {
        const jv_buf *b = mock_at(m, i);
        char id[30];
        snprintf(id, sizeof id, "%zu", offset);
        assert_string_equal(mock_id(b), id);
        offset += sizes[i] + 1;
        if (sizes[i] == 5000000) {
            assert_string_equal(mock_why(b), "the line has 5000000 bytes, max_line is 262144");
            continue;
        }
        jv_str s = mock_get(b, "text");
        assert_int_equal(s.n, sizes[i]);
        for (size_t k = 0; k < s.n; k++) assert_int_equal(s.p[k], (int)('a' + (k * 7 + i) % 26));
    }
    assert_int_equal(mock_count(m, "bytes"), offset);
    mock_free(m);
}

/* ---- pipes ------------------------------------------------------------------------------------------------------- */

static void *write_slowly(void *arg)
{
    static const char *const pieces[] = {"he", "llo\nwor", "ld", "\r", "\nend"};
    int fd = *(int *)arg;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (write(fd, pieces[i], strlen(pieces[i])) < 0) return arg;
        usleep(2000);
    }
    close(fd);
    return NULL;
}

static void test_pipe_in_pieces(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    use_as_stdin(ends[0]);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, write_slowly, &ends[1]), 0);
    expect("", "0=hello|6=world|13=end|");
    void *failed;
    pthread_join(t, &failed);
    assert_null(failed);
}

static void *stop_soon(void *arg)
{
    usleep(20000);
    mock_stop(arg);
    return NULL;
}

static void test_stop_while_waiting(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    use_as_stdin(ends[0]);
    assert_int_equal(write(ends[1], "a\nhalf", 6), 6);
    mock *m = started("");
    jv_err err;
    assert_int_equal(mock_poll(m, &err), JV_OK);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, stop_soon, m), 0);
    assert_int_equal(mock_poll(m, &err), JV_END); /* the writer never closes, the run ends all the same */
    pthread_join(t, NULL);
    assert_int_equal(mock_n(m), 1);
    mock_free(m);
    close(ends[1]);
}

static void test_full_window(void **state)
{
    give("a\nb\n");
    mock *m = started("");
    jv_err err;
    mock_window(m, 1);
    assert_int_equal(mock_poll(m, &err), JV_OK);
    assert_int_equal(mock_poll(m, &err), JV_OK); /* no room: the line waits */
    assert_int_equal(mock_n(m), 1);
    mock_settle(m, mock_at(m, 0), JV_OK, NULL);
    assert_int_equal(mock_poll(m, &err), JV_OK);
    assert_string_equal(mock_text(mock_at(m, 1), "text"), "b");
    mock_settle(m, mock_at(m, 1), JV_OK, NULL);
    assert_int_equal(mock_poll(m, &err), JV_END);
    assert_int_equal(mock_count(m, "bytes"), 4);
    mock_free(m);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void test_read_error(void **state)
{
    use_as_stdin(open("/tmp", O_RDONLY | O_DIRECTORY));
    mock *m = started("");
    jv_err err;
    assert_int_equal(mock_poll(m, &err), JV_FATAL);
    assert_non_null(strstr(err.text, "standard input cannot be read: Is a directory"));
    mock_free(m);
}

static void test_nobody_wants_more(void **state)
{
    static const int32_t answers[][2] = {{JV_END, JV_END}, {JV_FATAL, JV_FATAL}};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        give("a\nb\n");
        mock *m = started("");
        jv_err err;
        mock_emit_at(m, 0, answers[i][0]);
        assert_int_equal(mock_poll(m, &err), answers[i][1]);
        mock_free(m);
    }
}

static void test_no_memory(void **state)
{
    for (int64_t k = 0;; k++) {
        give("a\n\xff\nb");
        mock *m = started("");
        jv_err err;
        mock_fail_at(m, k);
        int32_t rc = drain(m, &err);
        bool failed = mock_failed(m);
        assert_int_equal(rc, failed ? JV_FATAL : JV_END);
        mock_free(m);
        if (failed) continue;
        assert_int_equal(k, 6); /* three begins, three texts, one of them rejected */
        return;
    }
}

/* A line that never ends, in a process that may not grow. */
static void test_no_memory_for_a_line(void **state)
{
    use_as_stdin(open("/dev/zero", O_RDONLY));
    mock *m = started("max_line = 1T");
    /* A sanitizer's allocator ends the program instead of answering null. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit old;
    jv_err err;
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){64 << 20, old.rlim_max}), 0);
    int32_t rc = mock_poll(m, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(rc, JV_FATAL);
    assert_non_null(strstr(err.text, "no memory for a line of "));
#endif
    mock_free(m);
}

int main(int argc, char **argv)
{
    so = argv[1];
    int null = open("/dev/null", O_RDONLY); /* a runner may have closed 0 */
    own_stdin = fcntl(STDIN_FILENO, F_GETFD) < 0 ? null : dup(STDIN_FILENO);
#define T(f) cmocka_unit_test_teardown(f, restore)
    const struct CMUnitTest tests[] = {
        T(test_lines),
        T(test_empty),
        T(test_whole),
        T(test_bytes),
        T(test_bad_lines),
        T(test_long_lines),
        T(test_pipe_in_pieces),
        T(test_stop_while_waiting),
        T(test_full_window),
        T(test_read_error),
        T(test_nobody_wants_more),
        T(test_no_memory),
        T(test_no_memory_for_a_line),
    };
    return argc < 2 ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
