/* Tests of the lines source: ends of lines, broken lines and files, and pipes. */
#include "../rows/rows_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define S(text) ((jv_str){text, sizeof text - 1})

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void test_lines(void **state)
{
    static const struct {
        const char *ini, *text, *want;
    } cases[] = {
        {"", "one\ntwo\n\nlast", "a:0 one;1|a:4 two;2|a:8 ;3|a:9 last;4|"},
        {"", "one\r\n\r\nt\rwo\r\r\nx\r", "a:0 one;1|a:5 ;2|a:7 t\\x0dwo\\x0d;3|a:14 x\\x0d;4|"},
        {"crlf = keep", "one\r\n\r\ntwo", "a:0 one\\x0d;1|a:5 \\x0d;2|a:7 two;3|"},
        {"", "\n", "a:0 ;1|"},
        {"", "a", "a:0 a;1|"},
        {"", "", ""},
        {"empty = skip", "\n\na\r\n\r\n\nb\n\n", "a:2 a;3|a:8 b;6|"},
        {"empty = skip\ncrlf = keep", "\r\n\nb", "a:0 \\x0d;1|a:3 b;3|"},
        {"", "\xef\xbb\xbfmark\n", "a:0 \xef\xbb\xbfmark;1|"},
        {"max_line = 5", "12345\n123456\n12345\r\n1234\r\n12345",
            "a:0 12345;1|"
            "a:6 !the line has 6 bytes, max_line is 5 (a line 2, byte 6)|"
            "a:13 !the line has 6 bytes, max_line is 5 (a line 3, byte 13)|a:20 1234;4|a:26 12345;5|"},
        {"max_line = 5", "123456", "a:0 !the line has 6 bytes, max_line is 5 (a line 1, byte 0)|"},
        {"", "ok\nab\xff\xfe\nok\n",
            "a:0 ok;1|a:3 !the line is not UTF-8: its byte 2 is 0xff (`as = bytes` and a clean "
            "stage mend it) (a line 2, byte 5)|a:8 ok;3|"},
        {"", "\xed\xa0\x80\n\xc3",
            "a:0 !the line is not UTF-8: its byte 0 is 0xed (`as = bytes` and a clean stage mend "
            "it) (a line 1, byte 0)|a:4 !the line is not UTF-8: its byte 0 is 0xc3 (`as = bytes` and a clean stage "
            "mend "
            "it) (a line 2, byte 4)|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].ini, "a", cases[i].text, "text,line", cases[i].want);
    expect_n("", "a", S("a\0b\n\0\n"), "text", "a:0 a\\x00b|a:4 \\x00|");
    expect_n("as = bytes\nout = raw\nline = number", "a", S("\xff\0\r\n\xfe"), "raw,number",
        "a:0 \xff\\x00;1|a:4 \xfe;2|");
}

static void test_counts(void **state)
{
    make("a", "\n\none\n\ntwo\n\n\n");
    mock *m = started("path = a\nempty = skip");
    expect_of(m, "text", "a:2 one|a:7 two|");
    assert_int_equal(mock_counted(mock_at(m, 0), "skipped"), 2);
    assert_int_equal(mock_counted(mock_at(m, 0), "bytes"), 6);
    assert_int_equal(mock_counted(mock_at(m, 1), "skipped"), 1);
    assert_int_equal(mock_counted(mock_at(m, 1), "bytes"), 5);
    assert_true(mock_logged(m, "2 empty rows at the end were skipped"));
    mock_free(m);
}

/* A rejected line is kept with its reason, but for one that is too long. */
static void test_rejected_text(void **state)
{
    make("a", "ab\xff\r\n123456789\n");
    mock *m = started("path = a\nmax_line = 4");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), 2);
    assert_string_equal(mock_text(mock_at(m, 0), "text"), "ab\\xff");
    assert_false(mock_has(mock_at(m, 1), "text")); /* though it was read as a whole, by chance */
    mock_free(m);
}

/* Lines around the sizes of the buffer, and some far longer than they may be: offsets and texts stay right. */
static void test_long_lines(void **state)
{
    static const size_t sizes[] = {65535, 65536, 65537, 131072, 1, 200000, 5000000, 3, 262144, 262145, 0, 7};
    const size_t n_lines = sizeof sizes / sizeof *sizes;
    FILE *f = fopen("long", "wb");
    for (size_t i = 0; i < n_lines; i++) {
        for (size_t k = 0; k < sizes[i]; k++) putc((int)('a' + (k * 7 + i) % 26), f);
        putc('\n', f);
    }
    fclose(f);
    mock *m = started("path = long\nmax_line = 262144");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), n_lines);
    size_t offset = 0;
    for (size_t i = 0; i < n_lines; i++) {
        const jv_buf *b = mock_at(m, i);
        char want[100];
        snprintf(want, sizeof want, "long:%zu", offset);
        assert_string_equal(mock_id(b), want);
        snprintf(want, sizeof want, "the line has %zu bytes, max_line is 262144 (long line %zu, byte %zu)", sizes[i],
            i + 1, offset);
        offset += sizes[i] + 1;
        if (sizes[i] > 262144) {
            assert_string_equal(mock_why(b), want);
            continue;
        }
        jv_str s = mock_get(b, "text");
        assert_int_equal(s.n, sizes[i]);
        for (size_t k = 0; k < s.n; k++) assert_int_equal(s.p[k], (int)('a' + (k * 7 + i) % 26));
    }
    assert_int_equal(mock_count(m, "bytes"), offset);
    mock_free(m);
}

/* Characters of one to four bytes, each once at every place across the border of the first read. */
static void test_cut_characters(void **state)
{
    static const char *const chars[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    enum { BORDER = 65536 };
    char *text = malloc(BORDER + 20);
    for (size_t c = 0; c < 4; c++) {
        size_t len = strlen(chars[c]);
        for (size_t before = 0; before <= len; before++) {
            size_t n = BORDER - before;
            memset(text, 'x', n);
            memcpy(text + n, chars[c], len);
            memcpy(text + n + len, "y\nz", 3);
            make_n("cut", text, n + len + 3);
            mock *m = started("path = cut");
            jv_err err;
            assert_int_equal(drain(m, &err), JV_END);
            assert_int_equal(mock_n(m), 2);
            jv_str s = mock_get(mock_at(m, 0), "text");
            assert_int_equal(s.n, n + len + 1);
            assert_memory_equal(s.p, text, s.n);
            assert_string_equal(mock_text(mock_at(m, 1), "text"), "z");
            mock_free(m);
        }
    }
    free(text);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void test_several_files(void **state)
{
    assert_int_equal(mkdir("d", 0777), 0);
    assert_int_equal(mkdir("d/e", 0777), 0);
    make("d/a", "1\n2");
    make("d/e/b", "3\n");
    make("d/empty", "");
    mock *m = started("path = d/a, d/none, d/empty, d/e, d/e/b");
    expect_of(m, "text,line",
        "a:0 1;1|a:2 2;2|none:0 !d/none cannot be opened: No such file or directory|"
        "e:0 !d/e cannot be read: Is a directory|e/b:0 3;1|");
    assert_true(mock_logged(m, "empty holds no row"));
    mock_free(m);
    char ini[300];
    snprintf(ini, sizeof ini, "path = %s/d/e/b", top); /* wherever the folder lies, the id is the same */
    m = started(ini);
    expect_of(m, "text", "b:0 3|");
    mock_free(m);
}

static void test_refused(void **state)
{
    make("a", "x");
    expect_no_open("path = a, a", "`path` names a twice");
    expect_no_open("path = a, b/", "`path`: b/ names no file");
    expect_no_open("path = a\xff", "`path`: a\\xff is not UTF-8");
    char ini[5000] = "path = ";
    memset(ini + 7, 'x', 4001);
    expect_no_open(ini, "has 4001 bytes, the most is 4000");
}

/* ---- pipes ------------------------------------------------------------------------------------------------------- */

static atomic_int lines_seen;

/* Writes the next line only when the one before has come out: a source that waits for more would never end. */
static void *write_in_turn(void *arg)
{
    int fd = arg ? *(int *)arg : open("fifo", O_WRONLY);
    for (int i = 0; i < 3; i++) {
        char line[20];
        while (atomic_load(&lines_seen) < i) usleep(500);
        int n = snprintf(line, sizeof line, "line %d\r\n", i);
        if (write(fd, line, (size_t)n) != n) return fd ? "write" : NULL;
    }
    while (atomic_load(&lines_seen) < 3) usleep(500);
    if (write(fd, "last", 4) != 4) return "write";
    close(fd);
    return NULL;
}

static void expect_in_turn(const char *ini, void *fd, const char *want)
{
    mock *m = started(ini);
    jv_err err;
    pthread_t t;
    atomic_store(&lines_seen, 0);
    assert_int_equal(pthread_create(&t, NULL, write_in_turn, fd), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mock_poll(m, &err), JV_OK);
        atomic_fetch_add(&lines_seen, 1);
    }
    expect_of(m, "text", want);
    void *failed;
    pthread_join(t, &failed);
    assert_null(failed);
    mock_free(m);
}

static void test_streams(void **state)
{
    assert_int_equal(mkfifo("fifo", 0666), 0);
    expect_in_turn("path = fifo", NULL, "fifo:0 line 0|fifo:8 line 1|fifo:16 line 2|fifo:24 last|");
    int own = dup(STDIN_FILENO), ends[2];
    assert_int_equal(pipe(ends), 0);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    expect_in_turn("path = -", &ends[1], "-:0 line 0|-:8 line 1|-:16 line 2|-:24 last|");
    dup2(own, STDIN_FILENO);
    close(own);
}

static void *stop_soon(void *arg)
{
    usleep(20000);
    mock_stop(arg);
    return NULL;
}

static void test_stop_while_waiting(void **state)
{
    assert_int_equal(mkfifo("fifo", 0666), 0);
    mock *m = started("path = fifo"); /* nobody ever writes */
    jv_err err;
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, stop_soon, m), 0);
    assert_int_equal(mock_poll(m, &err), JV_STOPPED);
    pthread_join(t, NULL);
    assert_int_equal(mock_n(m), 0);
    mock_free(m);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void test_full_window(void **state)
{
    make("a", "a\nlonger than it may be\nb\n");
    mock *m = started("path = a\nmax_line = 5");
    jv_err err;
    mock_window(m, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mock_poll(m, &err), JV_OK);
        if (i < 2) assert_int_equal(mock_poll(m, &err), JV_FULL); /* no room: the line waits */
        assert_int_equal(mock_n(m), i + 1);
        mock_settle(m, mock_at(m, i), JV_OK, NULL);
    }
    assert_string_equal(mock_text(mock_at(m, 0), "text"), "a");
    assert_non_null(strstr(mock_why(mock_at(m, 1)), "the line has 21 bytes, max_line is 5"));
    assert_string_equal(mock_text(mock_at(m, 2), "text"), "b");
    assert_int_equal(mock_poll(m, &err), JV_END);
    assert_int_equal(mock_count(m, "bytes"), 26);
    mock_free(m);
}

static void test_nobody_wants_more(void **state)
{
    static const int32_t answers[] = {JV_END, JV_FATAL};
    make("a", "a\nb\n");
    for (size_t i = 0; i < 2; i++) {
        mock *m = started("path = a");
        jv_err err;
        mock_emit_at(m, 0, answers[i]);
        assert_int_equal(mock_poll(m, &err), answers[i]);
        mock_free(m);
    }
}

/* A line that never ends, in a process that may not grow. */
static void test_no_memory_for_a_line(void **state)
{
    mock *m = started("path = /dev/zero\nmax_line = 1T");
    /* A sanitizer's allocator ends the program instead of answering null. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    struct rlimit old;
    jv_err err;
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){64 << 20, old.rlim_max}), 0);
    int32_t rc = mock_poll(m, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(rc, JV_FATAL);
    assert_non_null(strstr(err.text, "no memory for a row of "));
#endif
    mock_free(m);
}

static void test_no_memory(void **state)
{
    make("a", "a\n\xff\nb");
    expect_survives("path = a, none");
}

int main(int argc, char **argv)
{
    so = argc < 2 ? NULL : realpath(argv[1], NULL); /* tests change the folder */
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_lines),
        T(test_counts),
        T(test_rejected_text),
        T(test_long_lines),
        T(test_cut_characters),
        T(test_several_files),
        T(test_refused),
        T(test_streams),
        T(test_stop_while_waiting),
        T(test_full_window),
        T(test_nobody_wants_more),
        T(test_no_memory_for_a_line),
        T(test_no_memory),
    };
    return !so ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
