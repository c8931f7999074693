/* Tests of jsonl/write: files, what a line looks like (read back with jansson), and full disks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mockhost.h"

static const char *so;
static char top[] = "/tmp/jv_jsonl_XXXXXX";

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    return remove(path);
}

static int setup(void **state)
{
    strcpy(top + strlen(top) - 6, "XXXXXX");
    return mkdtemp(top) && chdir(top) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    return chdir("/") == 0 ? nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS) : -1;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static mock *new_sink(const char *ini)
{
    mock *m = mock_new(so, "write");
    mock_set(m, ini);
    mock_column(m, "text", JV_UTF8, 0);
    mock_column(m, "raw", JV_BYTES, 0);
    mock_column(m, "data", JV_JSON, 0);
    mock_column(m, "n", JV_I64, 0);
    mock_column(m, "x", JV_F64, 0);
    mock_column(m, "seconds", JV_F64, JV_MEASURED);
    return m;
}

static mock *started(const char *ini)
{
    mock *m = new_sink(ini);
    jv_err err;
    int32_t rc = mock_open(m, &err);
    if (rc == JV_OK) rc = mock_start(m, &err);
    if (rc != JV_OK) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_OK);
    return m;
}

static void deliver(mock *m, jv_buf *b)
{
    jv_err err;
    int32_t rc = mock_process(m, b, &err);
    if (rc != JV_OK) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_OK);
}

static void finish(mock *m)
{
    jv_err err;
    assert_int_equal(mock_flush(m, &err), JV_OK);
    mock_free(m);
}

static char *content(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    static char text[1 << 20];
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

static void make(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static jv_buf *named(mock *m, const char *id, const char *text)
{
    jv_buf *b = mock_record(m, id);
    mock_put(b, "text", text);
    return b;
}

static void expect_fails(const char *ini, bool at_open, const char *why)
{
    mock *m = new_sink(ini);
    jv_err err;
    int32_t rc = mock_open(m, &err);
    assert_true(at_open ? rc < 0 : rc == JV_OK);
    if (!at_open) assert_true(mock_start(m, &err) < 0);
    if (!strstr(err.text, why)) print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, why));
    mock_free(m);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void test_all_columns(void **state)
{
    mock *m = started("path = out");
    jv_buf *b = named(m, "a/1", "two\nlines");
    mock_put_n(b, "raw", "\xff\0", 2);
    mock_put(b, "data", "{\"k\":\n [1,\r\n2]}");
    mock_put_i64(b, "n", -3);
    mock_put_f64(b, "x", 0.1);
    mock_put_f64(b, "seconds", 5); /* measured: not asked for */
    deliver(m, b);
    static const char first[] = "{\"id\":\"a/1\",\"text\":\"two\\nlines\",\"raw\":{\"base64\":\"/wA=\"},"
                                "\"data\":{\"k\":  [1,  2]},\"n\":-3,\"x\":0.1}\n";
    assert_string_equal(content("out"), first); /* there before the end: it can be followed */
    deliver(m, mock_record(m, "b"));
    assert_string_equal(content("out") + strlen(first),
        "{\"id\":\"b\",\"text\":null,\"raw\":null,\"data\":null,\"n\":null,\"x\":null}\n");
    assert_int_equal(mock_count(m, "rows"), 2);
    assert_int_equal(mock_count(m, "bytes"), strlen(content("out")));
    finish(m);
}

static void test_chosen_fields(void **state)
{
    mock *m = started("path = out\nfields = seconds, text, id");
    jv_buf *b = named(m, "a", "");
    mock_put_f64(b, "seconds", 1e100);
    deliver(m, b);
    assert_string_equal(content("out"), "{\"seconds\":1e+100,\"text\":\"\",\"id\":\"a\"}\n");
    finish(m);
    expect_fails("path = out\nfields = id, nothing", true, "nothing");
    expect_fails("path = out\nfields = id, text, id", true, "`fields` names `id` twice");
}

static void test_numbers(void **state)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0.0"}, {-0.0, "-0.0"}, {1, "1.0"}, {0.1, "0.1"}, {1.0 / 3, "0.3333333333333333"},
        {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"}, {1e22, "1e+22"}, {100, "100.0"},
        {-123456000, "-123456000.0"}, {1e14, "100000000000000.0"}, {1e15, "1e+15"}, {1e-7, "1e-07"},
        {123456789012345680.0, "1.2345678901234568e+17"}, {0.30000000000000004, "0.30000000000000004"}};
    mock *m = started("path = out\nfields = x, n");
    char want[2000] = "";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        jv_buf *b = mock_record(m, "a");
        mock_put_f64(b, "x", cases[i].v);
        mock_put_i64(b, "n", i % 2 ? INT64_MIN : INT64_MAX);
        deliver(m, b);
        size_t n = strlen(want);
        snprintf(want + n, sizeof want - n, "{\"x\":%s,\"n\":%s}\n", cases[i].text,
            i % 2 ? "-9223372036854775808" : "9223372036854775807");
    }
    assert_string_equal(content("out"), want);
    static const double none[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        jv_err err;
        jv_buf *b = mock_record(m, "a");
        mock_put_f64(b, "x", none[i]);
        assert_int_equal(mock_process(m, b, &err), JV_BAD);
        assert_non_null(strstr(err.text, "which JSON has no number for"));
    }
    assert_string_equal(content("out"), want); /* nothing of a refused line */
    finish(m);
}

/* How many digits a number's text has, without the zeros that only hold a place. */
static int digits_of(const char *text)
{
    char digits[64];
    int n = 0;
    for (; strchr("-.0123456789", *text); text++)
        if (*text >= '0' && (n || *text != '0')) digits[n++] = *text;
    while (n && digits[n - 1] == '0') n--;
    return n;
}

/* Random doubles read back bit by bit, and with one digit fewer they would not. */
static void test_shortest_digits(void **state)
{
    enum { N = 3000 };
    static double v[N];
    mock *m = started("path = out\nfields = x");
    uint64_t s = 42;
    for (int i = 0; i < N; i++) {
        s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t bits = s ^ s >> 29;
        if (i % 3)
            v[i] = (double)(int64_t)(bits >> (i % 60)) / (i % 3 == 1 ? 1 : 1000);
        else
            memcpy(&v[i], &bits, sizeof bits);
        if (!isfinite(v[i])) v[i] = 0.5;
        jv_buf *b = mock_record(m, "a");
        mock_put_f64(b, "x", v[i]);
        deliver(m, b);
        mock_forget(m);
    }
    const char *line = content("out");
    for (int i = 0; i < N; i++, line = strchr(line, '\n') + 1) {
        const char *text = line + strlen("{\"x\":");
        double back = strtod(text, NULL);
        assert_memory_equal(&back, &v[i], sizeof back);
        int digits = digits_of(text);
        if (digits < 2) continue;
        char fewer[40];
        snprintf(fewer, sizeof fewer, "%.*e", digits - 2, v[i]);
        assert_true(strtod(fewer, NULL) != v[i]);
    }
    assert_string_equal(line, "");
    finish(m);
}

static void test_strings_read_back(void **state)
{
    char text[70000];
    size_t n = 0;
    for (unsigned c = 0; c < 0x3000; c++) { /* controls, quotes, U+2028; one, two and three bytes */
        if (c < 0x80) {
            text[n++] = (char)c;
        } else if (c < 0x800) {
            text[n++] = (char)(0xc0 | c >> 6);
            text[n++] = (char)(0x80 | (c & 63));
        } else {
            text[n++] = (char)(0xe0 | c >> 12);
            text[n++] = (char)(0x80 | (c >> 6 & 63));
            text[n++] = (char)(0x80 | (c & 63));
        }
    }
    static const char rare[] = "\xef\xbf\xbf\xef\xb7\x90\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"; /* noncharacters too */
    memcpy(text + n, rare, sizeof rare - 1);
    n += sizeof rare - 1;
    mock *m = started("path = out\nfields = text, raw");
    jv_buf *b = mock_record(m, "a");
    mock_put_n(b, "text", text, n);
    mock_put_n(b, "raw", text, n);
    deliver(m, b);
    const char *line = content("out");
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
    for (const char *p = line; p[1]; p++) assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    json_error_t why;
    json_t *o = json_loads(line, JSON_ALLOW_NUL, &why);
    assert_non_null(o);
    static const char *const keys[] = {"text", "raw"};
    for (int i = 0; i < 2; i++) {
        json_t *s = json_object_get(o, keys[i]);
        assert_int_equal(json_string_length(s), n);
        assert_memory_equal(json_string_value(s), text, n);
    }
    json_decref(o);
    finish(m);
}

static void test_base64(void **state)
{
    static const char *const want[] = {"/w==", "/v8=", "/f7/", "/P3+/w=="};
    mock *m = started("path = out\nfields = raw");
    for (size_t n = 1; n <= 4; n++) {
        static const char bytes[] = "\xfc\xfd\xfe\xff";
        jv_buf *b = mock_record(m, "a");
        mock_put_n(b, "raw", bytes + 4 - n, n);
        deliver(m, b);
        char line[100];
        snprintf(line, sizeof line, "{\"raw\":{\"base64\":\"%s\"}}\n", want[n - 1]);
        const char *all = content("out");
        assert_string_equal(all + strlen(all) - strlen(line), line);
    }
    finish(m);
}

static void test_keys_are_escaped(void **state)
{
    mock *m = new_sink("path = out\nfields = a\"b\\");
    mock_column(m, "a\"b\\", JV_UTF8, 0);
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    deliver(m, mock_record(m, "a"));
    assert_string_equal(content("out"), "{\"a\\\"b\\\\\":null}\n");
    finish(m);
}

static void test_large_line(void **state)
{
    const size_t n = 9000001;
    char *text = malloc(n + 1);
    memset(text, '"', n);
    text[n] = 0;
    mock *m = started("path = out\nfields = text");
    deliver(m, named(m, "a", text));
    deliver(m, named(m, "b", "x"));
    struct stat st;
    assert_int_equal(stat("out", &st), 0);
    assert_int_equal(st.st_size, strlen("{\"text\":\"\"}\n{\"text\":\"x\"}\n") + 2 * n);
    finish(m);
    free(text);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void test_open_touches_nothing(void **state)
{
    make("out", "before\n");
    mock *m = new_sink("path = out");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    mock_free(m);
    assert_string_equal(content("out"), "before\n");
    m = new_sink("path = new");
    assert_int_equal(mock_open(m, &err), JV_OK);
    mock_free(m);
    assert_int_equal(access("new", F_OK), -1);
}

static void test_exists(void **state)
{
    make("out", "{}\n");
    mock *m = started("path = out\nexists = append\nfields = id");
    deliver(m, mock_record(m, "a"));
    finish(m);
    assert_string_equal(content("out"), "{}\n{\"id\":\"a\"}\n");
    expect_fails("path = out\nexists = refuse", true, "out is there already (exists = refuse)");
    m = started("path = out\nexists = replace\nfields = id");
    assert_string_equal(content("out"), "");
    deliver(m, mock_record(m, "b"));
    finish(m);
    assert_string_equal(content("out"), "{\"id\":\"b\"}\n");
    static const char *const how[] = {"path = n1\nexists = append", "path = n2\nexists = refuse"};
    for (int i = 0; i < 2; i++) finish(started(how[i]));
    assert_string_equal(content("n1"), "");
    assert_string_equal(content("n2"), "");
    finish(started("path = n1\nexists = append"));
    make("half", "{}\n{\"a\":");
    expect_fails("path = half\nexists = append", false, "half does not end with a newline (8 bytes)");
    assert_string_equal(content("half"), "{}\n{\"a\":");
}

static void test_appears_after_open(void **state)
{
    mock *m = new_sink("path = out\nexists = refuse");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    make("out", "mine");
    assert_int_equal(mock_start(m, &err), JV_FATAL);
    assert_non_null(strstr(err.text, "out cannot be opened: File exists"));
    mock_free(m);
    assert_string_equal(content("out"), "mine");
}

static void test_bad_paths(void **state)
{
    assert_int_equal(mkdir("d", 0777), 0); /* since the host has looked */
    make("f", "");
    expect_fails("path = d", false, "d cannot be opened: Is a directory");
    expect_fails("path = no/where", false, "no/where cannot be opened: No such file or directory");
    expect_fails("path = f/x", false, "f/x cannot be opened: Not a directory");
    expect_fails("path = out\nexists = maybe", true, "exists = maybe");
}

static void test_two_writers(void **state)
{
    mock *m = started("path = out\nfields = id");
    deliver(m, mock_record(m, "a"));
    expect_fails("path = out", false, "out is being written by another section or run");
    assert_string_equal(content("out"), "{\"id\":\"a\"}\n"); /* not emptied by the one that was refused */
    finish(m);
    finish(started("path = out"));
}

/* ---- what is no file --------------------------------------------------------------------------------------------- */

static void test_stdout(void **state)
{
    int own = dup(STDOUT_FILENO);
    int fd = open("out", O_CREAT | O_RDWR | O_APPEND, 0666);
    assert_int_equal(write(fd, "kept\n", 5), 5);
    fflush(stdout);
    dup2(fd, STDOUT_FILENO);
    mock *m = started("path = /dev/stdout\nfields = id");
    deliver(m, mock_record(m, "a"));
    finish(m);
    dup2(own, STDOUT_FILENO);
    close(own);
    close(fd);
    assert_string_equal(content("out"), "kept\n{\"id\":\"a\"}\n"); /* as the shell opened it: >> appends */
}

static void *read_all(void *arg)
{
    static char got[200000];
    size_t n = 0;
    int fd = open("fifo", O_RDONLY);
    for (ssize_t k = 1; k > 0; n += k > 0 ? (size_t)k : 0) k = read(fd, got + n, sizeof got - 1 - n);
    close(fd);
    got[n] = 0;
    return got;
}

static void test_fifo(void **state)
{
    assert_int_equal(mkfifo("fifo", 0666), 0);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, read_all, NULL), 0);
    mock *m = started("path = fifo\nfields = text");
    char text[100001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    deliver(m, named(m, "a", text)); /* more than a pipe holds: written in parts */
    finish(m);
    void *got;
    pthread_join(t, &got);
    assert_int_equal(strlen(got), strlen(text) + strlen("{\"text\":\"\"}\n"));
}

static void test_reader_gone(void **state)
{
    assert_int_equal(mkfifo("fifo", 0666), 0);
    int reader = open("fifo", O_RDONLY | O_NONBLOCK);
    mock *m = started("path = fifo");
    close(reader);
    jv_err err;
    assert_int_equal(mock_process(m, mock_record(m, "a"), &err), JV_FATAL);
    assert_string_equal(err.text, "nobody reads fifo any more");
    mock_free(m);
}

static void test_devices(void **state)
{
    mock *m = started("path = /dev/null\nexists = append");
    deliver(m, mock_record(m, "a"));
    finish(m);
    m = started("path = /dev/full");
    jv_err err;
    assert_int_equal(mock_process(m, mock_record(m, "a"), &err), JV_FATAL);
    assert_string_equal(err.text, "/dev/full cannot be written: No space left on device");
    assert_int_equal(mock_count(m, "rows"), 0);
    mock_free(m);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

/* A limit on the size of files stands for a full disk: a part of the line fits, and must not stay. */
static void test_full_disk(void **state)
{
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    make("out", "{}\n");
    mock *m = started("path = out\nexists = append\nfields = id");
    deliver(m, mock_record(m, "a"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){20, old.rlim_max}), 0);
    jv_err err;
    int32_t rc = mock_process(m, mock_record(m, "b"), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(rc, JV_FATAL);
    assert_string_equal(err.text, "out cannot be written: File too large");
    assert_string_equal(content("out"), "{}\n{\"id\":\"a\"}\n");
    mock_free(m);
}

static void test_no_memory(void **state)
{
    struct rlimit old;
    const size_t n = 64 << 20;
    char *text = malloc(n + 1);
    memset(text, 'x', n);
    text[n] = 0;
    mock *m = started("path = out\nfields = text");
    jv_buf *b = named(m, "a", text);
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    /* A sanitizer's allocator ends the program instead of answering null. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){n, old.rlim_max}), 0);
    jv_err err;
    int32_t rc = mock_process(m, b, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(rc, JV_FATAL);
    assert_non_null(strstr(err.text, "no memory for a line"));
#endif
    assert_string_equal(content("out"), "");
    deliver(m, b); /* nothing is left of the failure */
    finish(m);
    free(text);
}

int main(int argc, char **argv)
{
    so = argc < 2 ? NULL : realpath(argv[1], NULL); /* tests change the folder */
    signal(SIGPIPE, SIG_IGN);                       /* as the host does */
    signal(SIGXFSZ, SIG_IGN);
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_all_columns),
        T(test_chosen_fields),
        T(test_numbers),
        T(test_shortest_digits),
        T(test_strings_read_back),
        T(test_base64),
        T(test_keys_are_escaped),
        T(test_large_line),
        T(test_open_touches_nothing),
        T(test_exists),
        T(test_appears_after_open),
        T(test_bad_paths),
        T(test_two_writers),
        T(test_stdout),
        T(test_fifo),
        T(test_reader_gone),
        T(test_devices),
        T(test_full_disk),
        T(test_no_memory),
    };
    return !so ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
