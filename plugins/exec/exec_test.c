/* exec_test.c: commands that work, and all the ways in which they do not. The commands are in exec_test.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mockhost.h"

#define N 64 /* records at once */

static const char *so, *top;

/* A stage with a command of exec_test.py: its options but command, send and folder. Where nothing else is said the command
 * may take any time. */
static mock *stage_new(const char *mode, const char *more)
{
    const char *patience = strstr(more, "answer_within") ? "" : "answer_within = 1h\n";
    mock *m = mock_new(so, NULL);
    char ini[2000];
    mock_column(m, "text", JV_UTF8, 0);
    mock_column(m, "raw", JV_BYTES, 0);
    mock_column(m, "meta", JV_JSON, 0);
    mock_column(m, "count", JV_I64, 0);
    mock_column(m, "score", JV_F64, 0);
    snprintf(ini, sizeof ini, "command = python3, exec_test.py, %s\nfolder = %s/plugins/exec\n%s%s", mode, top,
        patience, more);
    mock_set(m, ini);
    return m;
}

static mock *stage_open(const char *mode, const char *more)
{
    mock *m = stage_new(mode, more);
    jv_err err;
    if (mock_open(m, &err) != JV_OK || mock_start(m, &err) != JV_OK) fail_msg("%s: %s", mode, err.text);
    return m;
}

static jv_buf *record_new(mock *m, const char *id, const char *text)
{
    jv_buf *b = mock_record(m, id);
    mock_put(b, "text", text);
    return b;
}

/* One record by itself; its verdict, and `says` is in what it answers. */
static void check(mock *m, const char *text, int32_t verdict, const char *says)
{
    jv_err err = {0};
    jv_buf *b = record_new(m, "a/b é.txt", text);
    int32_t rc = mock_process(m, b, &err);
    const char *said = rc == JV_OK ? mock_text(b, "out") : err.text;
    if (rc != verdict || !strstr(said, says)) fail_msg("'%s': %d, %s", text, rc, said);
}

/* ---- several at once ---- */

struct call {
    mock *m;
    jv_buf *b;
    int32_t rc;
    jv_err err;
};

static void *process(void *arg)
{
    struct call *c = arg;
    c->rc = mock_process(c->m, c->b, &c->err);
    return NULL;
}

static void process_all(struct call *calls, size_t n)
{
    pthread_t t[N];
    for (size_t i = 0; i < n; i++) assert_int_equal(pthread_create(&t[i], NULL, process, &calls[i]), 0);
    for (size_t i = 0; i < n; i++) assert_int_equal(pthread_join(t[i], NULL), 0);
}

static size_t make_calls(mock *m, struct call *calls, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char id[24];
        snprintf(id, sizeof id, "r%zu", i);
        calls[i] = (struct call){.m = m, .b = record_new(m, id, texts[i])};
    }
    return n;
}

/* ---- commands that work ---- */

static void test_echo(void **state)
{
    mock *m = stage_open("echo", "send = text\nreturns.out = utf8\nreturns.n = i64");
    jv_err err;
    jv_buf *b = record_new(m, "x \"1\"\\\n", "Größe\n\"\\\x01");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "out"), "GRÖSSE\n\"\\\x01");
    assert_int_equal(mock_i64(b, "n"), 9);
    check(m, "", JV_OK, "");
    assert_int_equal(mock_flush(m, &err), JV_OK);
    assert_int_equal(mock_logs(m), 0);
    assert_int_equal(mock_count(m, "exec_restarts"), 0);
    mock_free(m);
}

static void test_sends(void **state)
{
    mock *m = stage_open("whole_line", "send = text, raw, meta, count, score\nreturns.out = utf8");
    jv_err err;
    jv_buf *b = record_new(m, "r", "t");
    mock_put_n(b, "raw", "\xff", 1);
    mock_put(b, "meta", "{\"a\":\n1e400}");
    mock_put_i64(b, "count", -5);
    mock_put_f64(b, "score", 0.1);
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "out"), "{\"id\": \"r\", \"text\": \"t\", \"raw\": {\"base64\":\"/w==\"}, "
                                             "\"meta\": {\"a\": 1e400}, \"count\": -5, \"score\": 0.1}\n");
    b = mock_record(m, "r");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "out"),
        "{\"id\": \"r\", \"text\": null, \"raw\": null, \"meta\": null, \"count\": null, \"score\": null}\n");
    mock_put_f64(b, "score", 1.0 / 0.0);
    assert_int_equal(mock_process(m, b, &err), JV_BAD);
    assert_non_null(strstr(err.text, "score"));
    mock_free(m);
}

static void test_types(void **state)
{
    mock *m = stage_open("types", "send = text\nreturns.b = bytes\nreturns.j = json\nreturns.i = i64\nreturns.f = f64\n"
                                  "returns.s = utf8?");
    jv_err err;
    jv_buf *b = record_new(m, "r", "t");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_int_equal(mock_get(b, "b").n, 1);
    assert_int_equal((unsigned char)mock_get(b, "b").p[0], 0xff);
    assert_string_equal(mock_text(b, "j"), "{\"a\": [1e400, 0.10]}"); /* as it was written */
    assert_int_equal(mock_type_of(b, "j"), JV_JSON);
    assert_true(mock_i64(b, "i") == INT64_C(-9007199254740993));
    assert_true(mock_f64(b, "f") == 2);
    assert_false(mock_has(b, "s"));
    mock_free(m);
}

static void test_many_at_once(void **state)
{
    static char texts[N][16];
    const char *list[N];
    struct call calls[N];
    mock *m = stage_open("echo", "send = text\nreturns.out = utf8\nreturns.n = i64");
    assert_true(mock_stage(m)->flags & JV_PARALLEL);
    assert_int_equal(mock_stage(m)->threads, N);
    for (size_t i = 0; i < N; i++) {
        snprintf(texts[i], sizeof texts[i], "text %zu", i);
        list[i] = texts[i];
    }
    for (int round = 0; round < 3; round++) {
        process_all(calls, make_calls(m, calls, list, N));
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(calls[i].rc, JV_OK);
            assert_string_equal(mock_text(calls[i].b, "out") + 5, list[i] + 5);
        }
    }
    mock_free(m);
}

/* The command sees several lines before it has to answer. */
static void test_in_batches(void **state)
{
    static const char *const texts[] = {"a", "b", "c", "d"};
    struct call calls[4];
    mock *m = stage_open("pairs", "send = text\nreturns.out = utf8");
    process_all(calls, make_calls(m, calls, texts, 4));
    for (size_t i = 0; i < 4; i++) assert_int_equal(calls[i].rc, JV_OK);
    mock_free(m);
}

/* Lines and answers that are larger than any pipe, so that both sides have to wait for each other's pipe. */
static void test_large(void **state)
{
    enum { SIZE = 300000 };
    const char *list[8];
    struct call calls[8];
    char *text = malloc(SIZE + 1);
    assert_non_null(text);
    memset(text, 'x', SIZE);
    text[SIZE] = 0;
    for (size_t i = 0; i < 8; i++) list[i] = text;
    mock *m = stage_open("echo", "send = text\nreturns.out = utf8\nreturns.n = i64");
    process_all(calls, make_calls(m, calls, list, 8));
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(calls[i].rc, JV_OK);
        assert_int_equal(mock_get(calls[i].b, "out").n, SIZE);
    }
    mock_free(m);
    free(text);
}

static void test_surroundings(void **state)
{
    mock *m = stage_open("surroundings", "send = text\nreturns.out = utf8");
    check(m, "x", JV_OK, "exec 0 1 2 0000000000000000 True");
    mock_free(m);
}

/* ---- what a command says ---- */

static void test_answers(void **state)
{
    mock *m = stage_open("by_text", "send = text\nreturns.out = utf8\nmax_answer = 1000");
    check(m, "fine", JV_OK, "fine");
    check(m, "garbage", JV_BAD, "no JSON object (wanted {, byte 0): 'Traceback (most recent call last):'");
    check(m, "array", JV_BAD, "no JSON object");
    check(m, "latin1", JV_BAD, "no UTF-8 at byte 8");
    check(m, "number", JV_BAD, "'id' in its answer is a number, wanted a string");
    check(m, "error", JV_BAD, "the command says: no such\\x0aplace");
    check(m, "nothing", JV_BAD, "`out` is missing");
    check(m, "null", JV_BAD, "`out` is null, wanted utf8");
    check(m, "wrong", JV_BAD, "`out` is a number, wanted utf8");
    check(m, "two outs", JV_BAD, "'out' twice");
    check(m, "long", JV_BAD, "longer than max_answer = 1000 bytes");
    check(m, "endless", JV_BAD, "longer than max_answer = 1000 bytes");
    check(m, "fine", JV_OK, "fine");
    assert_int_equal(mock_count(m, "exec_restarts"), 0);
    mock_free(m);
}

static void test_optional(void **state)
{
    mock *m = stage_open("by_text", "send = text\nreturns.out = utf8?");
    check(m, "nothing", JV_OK, "(absent)");
    check(m, "null", JV_OK, "(absent)");
    check(m, "here", JV_OK, "here");
    mock_free(m);
}

static void test_nothing_returned(void **state)
{
    mock *m = stage_open("echo", "send = text");
    jv_err err;
    assert_int_equal(mock_process(m, record_new(m, "r", "x"), &err), JV_OK);
    mock_free(m);
}

static void test_stderr(void **state)
{
    mock *m = stage_open("stderr", "send = text\nreturns.out = utf8");
    jv_err err;
    check(m, "x", JV_OK, "X");
    assert_int_equal(mock_flush(m, &err), JV_OK); /* by then all has been read */
    assert_true(mock_logged(m, "it says: one\\x09two"));
    assert_true(mock_logged(m, "éé..."));
    assert_true(mock_logged(m, "it says: line 19999"));
    assert_true(mock_logged(m, "it says: last words"));
    mock_free(m);
}

/* ---- commands that fail ---- */

/* Alone with a new command, a record is blamed for what the command does; the next one finds it started anew. */
static void test_alone(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"die", "the command exited with status 3"},
        {"kill", "the command was ended by signal 9"},
        {"half", "exited with status 0 in the middle of an answer"},
        {"other", "answered to 'a/b é.txt' with the id 'another'"},
        {"no id", "answered to 'a/b é.txt' without an id"},
    };
    mock *m = stage_open("by_text", "send = text\nreturns.out = utf8\nrestarts = 2");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check(m, cases[i].text, JV_RETRY, cases[i].says);
        assert_true(mock_logged(m, cases[i].says));
        check(m, "fine", JV_OK, "fine");
        assert_int_equal(mock_count(m, "exec_restarts"), 2 * i + 1); /* the first one was new */
    }
    check(m, "twice", JV_OK, "x"); /* the second answer comes when nobody asks, or to the next record */
    jv_err err;
    jv_buf *b = record_new(m, "next", "fine");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "out"), "fine");
    mock_free(m);
}

/* Among many, only the one that does it is blamed; all others are answered. */
static void test_among_many(void **state)
{
    static const char *const kinds[] = {"die", "kill", "half", "other"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const char *texts[16];
        struct call calls[16];
        for (size_t i = 0; i < 16; i++) texts[i] = i == 11 ? kinds[k] : "fine";
        mock *m = stage_open("by_text", "send = text\nreturns.out = utf8");
        process_all(calls, make_calls(m, calls, texts, 16));
        for (size_t i = 0; i < 16; i++) {
            if (calls[i].rc != (i == 11 ? JV_RETRY : JV_OK)) fail_msg("%s: %zu answers %d", kinds[k], i, calls[i].rc);
            if (i != 11) assert_string_equal(mock_text(calls[i].b, "out"), "fine");
        }
        mock_free(m);
    }
}

/* One that goes after each answer is started again for each record, and none is blamed. */
static void test_once(void **state)
{
    static const char *const texts[] = {"a", "b", "c", "d"};
    struct call calls[4];
    mock *m = stage_open("once", "send = text\nreturns.out = utf8\nrestarts = 1");
    process_all(calls, make_calls(m, calls, texts, 4));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(calls[i].rc, JV_OK);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(mock_text(calls[i].b, "out"), mock_text(calls[k].b, "out"));
    }
    assert_true(mock_count(m, "exec_restarts") >= 3);
    mock_free(m);
}

static void test_restarts_end(void **state)
{
    mock *m = stage_open("by_text", "send = text\nreturns.out = utf8\nrestarts = 2");
    check(m, "fine", JV_OK, "fine");
    check(m, "die", JV_RETRY, "status 3"); /* twice: it had answered before */
    check(m, "die", JV_FATAL, "exited with status 3; that is failure 3 in a row without an answer, and restarts = 2");
    check(m, "fine", JV_FATAL, "failure 3 in a row");
    jv_err err;
    assert_int_equal(mock_flush(m, &err), JV_OK);
    mock_free(m);
}

/* A greeting on its standard output is no answer. */
static void test_first_word(void **state)
{
    mock *m = stage_open("first_word", "send = text\nreturns.out = utf8\nreturns.n = i64\nrestarts = 0");
    jv_err err;
    int32_t rc = mock_process(m, record_new(m, "r", "x"), &err);
    assert_true(rc == JV_BAD || rc == JV_FATAL);
    assert_non_null(strstr(err.text, "Hello, I am ready"));
    mock_free(m);
}

static void test_deaf_and_mute(void **state)
{
    static const char *const modes[] = {"deaf", "mute", "closes_input"};
    static char text[200000];
    memset(text, 'x', sizeof text - 1);
    for (size_t i = 0; i < 3; i++) {
        mock *m = stage_open(modes[i], "send = text\nreturns.out = utf8\nanswer_within = 400ms\nrestarts = 1");
        check(m, text, JV_RETRY, "has not answered within 400 ms");
        check(m, text, JV_FATAL, "failure 2 in a row");
        mock_free(m);
    }
}

static void test_cancelled(void **state)
{
    const char *texts[] = {"fine", "hang", "fine", "fine"};
    struct call calls[4];
    mock *m = stage_open("by_text", "send = text\nreturns.out = utf8\nanswer_within = 1h");
    jv_err err;
    mock_cancel_at(m, 2);
    assert_int_equal(mock_process(m, record_new(m, "r", "hang"), &err), JV_CANCELLED);
    process_all(calls, make_calls(m, calls, texts, 4));
    for (size_t i = 0; i < 4; i++) assert_int_equal(calls[i].rc, JV_CANCELLED);
    assert_int_equal(mock_flush(m, &err), JV_OK); /* `wait` says at once that the run is over */
    mock_free(m);
}

/* ---- its end ---- */

static void test_stubborn(void **state)
{
    mock *m = stage_open("stubborn", "send = text\nreturns.n = i64");
    jv_err err;
    jv_buf *b = record_new(m, "r", "x");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    pid_t pid = (pid_t)mock_i64(b, "n");
    assert_int_equal(kill(-pid, 0), 0);
    mock_free(m);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

static void test_bad_end(void **state)
{
    mock *m = stage_open("bad_end", "send = text\nreturns.out = utf8");
    jv_err err;
    check(m, "x", JV_OK, "X");
    assert_int_equal(mock_flush(m, &err), JV_OK);
    assert_true(mock_logged(m, "at its end the command exited with status 7"));
    mock_free(m);
}

static size_t count_descriptors(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static void test_no_descriptor_left(void **state)
{
    size_t before = count_descriptors();
    for (int i = 0; i < 2; i++) {
        mock *m = stage_open("by_text", "send = text\nreturns.out = utf8");
        check(m, "die", JV_RETRY, "status 3");
        check(m, "fine", JV_OK, "fine");
        mock_free(m);
    }
    mock *m = stage_new("echo", "send = text");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK); /* and never started */
    mock_free(m);
    assert_int_equal(count_descriptors(), before);
}

/* ---- opening ---- */

static void test_refused(void **state)
{
    static const struct {
        const char *ini, *says;
    } cases[] = {
        {"", "send"},
        {"send =", "`send` names no field"},
        {"send = id", "the id is always sent"},
        {"send = text, text", "`send`: 'text' stands there twice"},
        {"send = nope", "nope"},
        {"send = text\ncommand =", "`command` is empty"},
        {"send = text\ncommand = no-such-program-here", "'no-such-program-here' is no program in PATH"},
        {"send = text\ncommand = ./exec_test.c", "is no file that can be executed"},
        {"send = text\ncommand = /", "is no file that can be executed"},
        {"send = text\nfolder = /nowhere", "`folder`: '/nowhere' is none"},
        {"send = text\nreturns.id = utf8", "returns.id"},
        {"send = text\nreturns.error = utf8", "returns.error"},
        {"send = text\nreturns.x = text", "`returns.x = text`: wanted utf8"},
        {"send = text\nreturns.x = ", "wanted utf8"},
        {"send = text\nanswer_within = 0", "answer_within"},
        {"send = text\nrestarts = -1", "restarts"},
        {"send = text\nmax_answer = 0", "max_answer"},
        {"send = text\nshell = yes", "shell"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mock *m = stage_new("echo", cases[i].ini);
        jv_err err;
        assert_true(mock_open(m, &err) < 0);
        if (!strstr(err.text, cases[i].says)) fail_msg("%s\nsays: %s", cases[i].ini, err.text);
        mock_free(m);
    }
}

/* A program that can be executed and is none. */
static void test_not_started(void **state)
{
    char name[] = "/tmp/jv_exec_XXXXXX", ini[100];
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd,
                         "\x7f"
                         "ELF",
                         4),
        4);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    snprintf(ini, sizeof ini, "send = text\ncommand = %s", name);
    mock *m = stage_new("echo", ini);
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_FATAL);
    assert_non_null(strstr(err.text, "cannot be started"));
    mock_free(m);
    unlink(name);
}

static void test_no_memory(void **state)
{
    mock *m = stage_open("echo", "send = text\nreturns.out = utf8\nreturns.n = i64");
    jv_err err;
    int64_t k = 0;
    for (;; k++) {
        jv_buf *b = record_new(m, "r", "x");
        mock_fail_at(m, k);
        int32_t rc = mock_process(m, b, &err);
        if (!mock_failed(m)) {
            assert_int_equal(rc, JV_OK);
            break;
        }
        assert_int_equal(rc, JV_FATAL);
    }
    assert_int_equal(k, 1); /* the text */
    mock_free(m);
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    so = argv[1];
    top = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_sends),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_in_batches),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_surroundings),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_optional),
        cmocka_unit_test(test_nothing_returned),
        cmocka_unit_test(test_stderr),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_among_many),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_restarts_end),
        cmocka_unit_test(test_first_word),
        cmocka_unit_test(test_deaf_and_mute),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_stubborn),
        cmocka_unit_test(test_bad_end),
        cmocka_unit_test(test_no_descriptor_left),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_started),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
