/*
 * Stages of every kind, each against the mock host: a source that hears how its records end, a filter that works in
 * place, a split and its merge, a router, a model with a stage that blocks in it, a source of requests with the sink
 * that answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mockhost.h"

static const char *plugins; /* the folder of the built files */
static char folder[] = "/tmp/kinds-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static mock *new_mock(const char *plugin, const char *stage)
{
    char so[4096];
    snprintf(so, sizeof so, "%s/jv_%s.so", plugins, plugin);
    return mock_new(so, stage);
}

/* Opened and started with these settings. */
static mock *running(mock *m, const char *ini)
{
    jv_err err;
    mock_set(m, ini);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static const char *read_file(const char *path)
{
    static char text[4096];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

/* ---- ledger ------------------------------------------------------------------------------------------------------ */

static void test_ledger(void **state)
{
    char ini[512], want[512];
    jv_err err;
    write_file(in_folder("a.txt"), "one\n\ntoo long\n");
    write_file(in_folder("b.txt"), "\xff\nlast");
    snprintf(ini, sizeof ini, "files = %s, %s\nledger = %s\ncost = tokens\nmax_line = 4", in_folder("a.txt"),
        in_folder("b.txt"), in_folder("ledger"));
    mock *m = running(new_mock("ledger", NULL), ini);
    while (mock_poll(m, &err) == JV_OK) continue;
    assert_int_equal(err.code, 0);
    assert_int_equal(mock_n(m), 5);
    static const int32_t kind[] = {MOCK_ROOT, MOCK_ROOT, MOCK_REJECT, MOCK_REJECT, MOCK_ROOT};
    static const int32_t status[] = {JV_OK, JV_DROP, JV_BAD, JV_BAD, JV_CANCELLED};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(mock_kind(mock_at(m, i)), kind[i]);
        mock_set_tally(mock_at(m, i), "tokens", (int64_t)(i + 1));
        mock_settle(m, mock_at(m, i), status[i], "so");
    }
    assert_string_equal(mock_text(mock_at(m, 4), "text"), "last");
    assert_string_equal(mock_id(mock_at(m, 2)) + strlen(in_folder("a.txt")), ":5");
    assert_string_equal(mock_why(mock_at(m, 2)), "the line has 8 bytes, max_line = 4");
    assert_int_equal(mock_count(m, "lines"), 5);
    assert_int_equal(mock_flush(m, &err), JV_OK);
    snprintf(want, sizeof want, "%s\t3\t1\t1\t1\t0\t6\n%s\t2\t0\t0\t1\t1\t9\n", in_folder("a.txt"), in_folder("b.txt"));
    assert_string_equal(read_file(in_folder("ledger")), want);
    mock_free(m);
}

/* ---- redact ------------------------------------------------------------------------------------------------------ */

static mock *new_redact(const char *ini)
{
    mock *m = new_mock("redact", NULL);
    mock_column(m, "params", JV_JSON, 0);
    mock_other_param(m, "temperature");
    return running(m, ini);
}

static void check_redact(mock *m, const char *text, const char *params, const char *want)
{
    jv_err err;
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "text", text);
    if (params) mock_put(b, "params", params);
    int32_t rc = mock_process(m, b, &err);
    assert_string_equal(rc == JV_OK ? mock_text(b, "text") : err.text, want);
    if (rc != JV_OK) assert_string_equal(mock_text(b, "text"), text);
    mock_forget(m);
}

static void test_redact(void **state)
{
    mock *m = new_redact("keep = 2");
    check_redact(m, "a1b2c3d4", NULL, "a#b#c3d4");
    check_redact(m, "12", NULL, "12");
    check_redact(m, "", NULL, "");
    check_redact(m, "123", "{\"mask\": \"*\", \"keep\": 0, \"temperature\": 0.5}", "***");
    check_redact(m, "123", "{\"mask\": \"\\u002b\", \"keep\": \"1\"}", "++3");
    check_redact(m, "123", "{}", "#23");
    check_redact(m, "123", "{\"keep\": null, \"mask\": \"-\"}", "-23");
    check_redact(m, "123", "{\"mask\": true}", "params: mask: not of its type");
    check_redact(m, "123", "{\"mask\": \"ab\"}", "mask has 2 bytes; it is one printable character of ASCII");
    check_redact(m, "123", "{\"maks\": \"a\"}", "params: maks: no option that a record may set");
    check_redact(m, "123", "{\"keep\": -1}", "keep = -1 is outside 0..");
    check_redact(m, "123", "{\"keep\": [1]}", "params: keep: not of its type");
    check_redact(m, "123", "{\"keep\": 1, \"keep\": 1}", "params: keep: it is there twice");
    check_redact(m, "123", "[]", "params: no JSON object");
    check_redact(m, "123", "{\"keep\": 1,}", "params: a string was expected");
    assert_int_equal(mock_count(m, "digits"), 2 + 3 + 2 + 1 + 1);
    mock_free(m);
}

static void test_redact_without_memory(void **state)
{
    mock *m = new_redact("");
    jv_err err;
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "text", "007");
    mock_put(b, "params", "{\"keep\": 1}");
    int64_t k = 0;
    for (;; k++) {
        mock_fail_at(m, k);
        int32_t rc = mock_process(m, b, &err);
        if (!mock_failed(m)) break;
        assert_int_equal(rc, JV_FATAL);
    }
    assert_int_equal(k, 2); /* params, writable */
    assert_string_equal(mock_text(b, "text"), "##7");
    mock_free(m);
}

/* ---- bracket ----------------------------------------------------------------------------------------------------- */

static void test_split(void **state)
{
    mock *m = running(new_mock("bracket", "split"), "at = ;\nout = piece");
    jv_err err;
    static const char *const want[] = {"a", "", "bc", ""};
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "text", "a;;bc;");
    assert_int_equal(mock_process(m, b, &err), JV_DONE);
    assert_int_equal(mock_n(m), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(mock_text(mock_at(m, i), "piece"), want[i]);
        assert_int_equal(mock_i64(mock_at(m, i), "part"), (int64_t)i);
    }
    assert_string_equal(mock_id(mock_at(m, 3)), "r/3");
    mock_forget(m);
    b = mock_record(m, "empty");
    mock_put(b, "text", "");
    assert_int_equal(mock_process(m, b, &err), JV_DONE);
    assert_int_equal(mock_n(m), 0);
    b = mock_record(m, "cancelled");
    mock_put(b, "text", "a;b;c");
    mock_emit_at(m, 1, JV_CANCELLED);
    assert_int_equal(mock_process(m, b, &err), JV_CANCELLED);
    assert_int_equal(mock_n(m), 1);
    mock_free(m);
}

static void test_join(void **state)
{
    mock *m = running(new_mock("bracket", "join"), "with = +\nmissing = ?\nin = piece");
    jv_err err;
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "piece", "of the record");
    mock_put(mock_child(b), "piece", "a");
    mock_missing(b, JV_DROP, "too short");
    mock_put(mock_child(b), "piece", "bc");
    mock_missing(b, JV_BAD, "wrong");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "text"), "a+?+bc+?");
    assert_string_equal(mock_text(b, "why"), "too short");
    assert_string_equal(mock_text(b, "piece"), "of the record");
    static const int32_t lengths[] = {1, -1, 2, -1};
    assert_int_equal(mock_get(b, "lengths").n, sizeof lengths);
    assert_memory_equal(mock_get(b, "lengths").p, lengths, sizeof lengths);

    b = mock_record(m, "elsewhere");
    mock_missing(b, JV_DONE, "");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "text"), "?");
    assert_string_equal(mock_text(b, "why"), "it went elsewhere");

    b = mock_record(m, "none");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(mock_text(b, "text"), "");
    assert_int_equal(mock_get(b, "lengths").n, 0);
    assert_false(mock_has(b, "why"));
    mock_free(m);
}

/* ---- sorter ------------------------------------------------------------------------------------------------------ */

static int32_t sorted(mock *m, const char *text)
{
    jv_err err;
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "text", text);
    return mock_process(m, b, &err);
}

static void test_sorter(void **state)
{
    jv_err err;
    mock *m = running(new_mock("sorter", NULL), "to.questions = Q:\nto.answers = A:");
    assert_string_equal(mock_port_name(m, 0), "questions");
    assert_string_equal(mock_port_name(m, 1), "answers");
    assert_string_equal(mock_port_name(m, 2), "rest");
    assert_int_equal(sorted(m, "Q: why?"), 0);
    assert_int_equal(sorted(m, "A: because"), 1);
    assert_int_equal(sorted(m, "A"), 2);
    assert_int_equal(sorted(m, ""), 2);
    mock_free(m);
    m = new_mock("sorter", NULL);
    assert_int_equal(mock_open(m, &err), JV_BAD);
    mock_free(m);
}

/* ---- oracle ------------------------------------------------------------------------------------------------------ */

struct question {
    pthread_t thread;
    mock *m;
    jv_buf *b;
    int32_t rc;
    jv_err err;
};

static void *ask(void *arg)
{
    struct question *q = arg;
    q->rc = mock_process(q->m, q->b, &q->err);
    return NULL;
}

static void test_oracle(void **state)
{
    enum { N = 8 };
    struct question q[N];
    mock *model = running(new_mock("oracle", "model"), ""), *m = new_mock("oracle", "ask");
    mock_use(m, "sage", "kinds.oracle/1", model);
    mock_column(m, "params", JV_JSON, 0);
    running(m, "model = sage");
    const jv_host *h = mock_host(m);
    for (int i = 0; i < N; i++) {
        q[i] = (struct question){.m = m, .b = mock_record(m, "q")};
        mock_put(q[i].b, "text", i ? " to be  or not" : "hm ...");
        if (i == 1) mock_put(q[i].b, "params", "{\"words\": 2}");
        assert_int_equal(pthread_create(&q[i].thread, NULL, ask, &q[i]), 0);
    }
    for (int i = 1; i < N; i++) {
        pthread_join(q[i].thread, NULL);
        assert_int_equal(q[i].rc, JV_OK);
        assert_string_equal(mock_text(q[i].b, "answer"), i == 1 ? "to be" : "to be or not");
        assert_int_equal(mock_counted(q[i].b, "tokens"), i == 1 ? 2 : 4);
    }
    mock_wait(m, 1 + 2 + 4 * (N - 2)); /* the snapshots; the one that thinks has said a word */
    h->cancel(h, h->record(h, q[0].b));
    pthread_join(q[0].thread, NULL);
    assert_int_equal(q[0].rc, JV_CANCELLED);
    assert_string_equal(q[0].err.text, "cancelled after 1 words");
    mock_free(m);
    mock_close(model);
    assert_true(mock_logged(model, "7 answered, 1 cancelled"));
    mock_free(model);
}

/* ---- post -------------------------------------------------------------------------------------------------------- */

static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

static void read_n(int fd, char *to, size_t n)
{
    for (ssize_t got; n; to += got, n -= (size_t)got) {
        got = recv(fd, to, n, 0);
        assert_true(got > 0);
    }
}

/* The next message must be this: `ID WHAT`, and its text. */
static void hear(int fd, const char *head, const char *text)
{
    char got[256] = {0}, want[256];
    snprintf(want, sizeof want, "%s %zu\n%s\n", head, strlen(text), text);
    read_n(fd, got, strlen(want));
    assert_string_equal(got, want);
}

static jv_buf *answer(mock *listen, mock *reply, jv_buf *root, const char *text)
{
    jv_buf *b = mock_record(reply, mock_id(root));
    mock_set_user(b, mock_context(listen), mock_user(root));
    mock_put(b, "text", text);
    return b;
}

static void test_post(void **state)
{
    char ini[256];
    jv_err err;
    snprintf(ini, sizeof ini, "path = %s\ncost = tokens", in_folder("s"));
    mock *listen = running(new_mock("post", "listen"), ini), *reply = new_mock("post", "reply");
    mock_use(reply, "requests", "kinds.post/1", listen);
    running(reply, "source = requests");
    int fd = dial(in_folder("s"));
    say(fd, "live words=3 mask=*: why?\nbatch: because\nsoon: x\nlive a: x\n\nlive: a\xff\n");
    hear(fd, "1.1 begun", "");
    hear(fd, "1.2 begun", "");
    hear(fd, "1.3 refused", "neither live nor batch");
    hear(fd, "1.4 refused", "a param that is none");
    hear(fd, "1.5 refused", "no colon");
    mock_wait(listen, 3);
    jv_buf *live = mock_at(listen, 0), *batch = mock_at(listen, 1);
    assert_string_equal(mock_why(mock_at(listen, 2)), "the text is no UTF-8 at byte 1");
    mock_settle(listen, mock_at(listen, 2), JV_BAD, "no UTF-8");
    hear(fd, "1.6 done", "rejected 0 no UTF-8");
    assert_int_equal(mock_priority(live), JV_LIVE);
    assert_int_equal(mock_priority(batch), JV_BATCH);
    assert_string_equal(mock_text(live, "text"), "why?");
    assert_string_equal(mock_text(live, "params"), "{\"words\": \"3\", \"mask\": \"*\"}");
    assert_string_equal(mock_text(batch, "params"), "{}");

    jv_buf *b = answer(listen, reply, live, "for");
    mock_set_partial(b, true);
    assert_int_equal(mock_process(reply, b, &err), JV_OK);
    hear(fd, "1.1 partial", "for");
    assert_int_equal(mock_process(reply, answer(listen, reply, live, "for that"), &err), JV_OK);
    hear(fd, "1.1 final", "for that");
    mock_set_tally(live, "tokens", 2);
    mock_settle(listen, live, JV_OK, NULL);
    hear(fd, "1.1 done", "delivered 2");
    mock_settle(listen, batch, JV_BAD, "no answer");
    hear(fd, "1.2 done", "rejected 0 no answer");

    assert_int_equal(mock_process(reply, mock_record(reply, "of another source"), &err), JV_BAD);

    mock_stop(listen);
    say(fd, "live: more\n");
    hear(fd, "1.7 refused", "stopped");
    close(fd);
    mock_free(reply);
    mock_free(listen);
    assert_int_equal(access(in_folder("s"), F_OK), -1);
}

static void test_post_hang_up(void **state)
{
    char ini[256];
    jv_err err;
    snprintf(ini, sizeof ini, "path = %s", in_folder("s"));
    mock *listen = running(new_mock("post", "listen"), ini), *reply = new_mock("post", "reply");
    mock_use(reply, "requests", "kinds.post/1", listen);
    running(reply, "source = requests");
    mock_window(listen, 2);
    int gone = dial(in_folder("s"));
    say(gone, "live: a\nlive: b\nlive: c\n");
    hear(gone, "1.1 begun", "");
    hear(gone, "1.2 begun", "");
    hear(gone, "1.3 refused", "full");
    close(gone);
    while (!mock_cancelled(mock_at(listen, 0)) || !mock_cancelled(mock_at(listen, 1))) sched_yield();
    assert_int_equal(mock_process(reply, answer(listen, reply, mock_at(listen, 0), "late"), &err), JV_DROP);
    assert_string_equal(err.reason, "the client is gone");
    mock_settle(listen, mock_at(listen, 0), JV_CANCELLED, "cancelled");
    mock_settle(listen, mock_at(listen, 1), JV_CANCELLED, "cancelled");
    int fd = dial(in_folder("s")); /* the room is free again, and the socket still served */
    say(fd, "batch: d\n");
    hear(fd, "2.1 begun", "");
    mock_settle(listen, mock_at(listen, 2), JV_OK, NULL);
    hear(fd, "2.1 done", "delivered 0");
    close(fd);
    mock_stop(listen);
    mock_free(reply);
    mock_free(listen);
}

/* poll(2) refuses more descriptors than a process may have: so the thread's next one fails. */
static void test_post_fails(void **state)
{
    char ini[256];
    struct rlimit had;
    snprintf(ini, sizeof ini, "path = %s", in_folder("s"));
    mock *listen = running(new_mock("post", "listen"), ini);
    int fd = dial(in_folder("s"));
    say(fd, "live: a\n");
    hear(fd, "1.1 begun", "");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){1, had.rlim_max}), 0);
    say(fd, "?\n");
    while (!mock_why_failed(listen)) sched_yield();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &had), 0);
    assert_string_equal(mock_why_failed(listen), "poll: Invalid argument");
    mock_settle(listen, mock_at(listen, 0), JV_CANCELLED, "cancelled");
    mock_stop(listen);
    close(fd);
    mock_free(listen);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger),
        cmocka_unit_test(test_redact),
        cmocka_unit_test(test_redact_without_memory),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_sorter),
        cmocka_unit_test(test_oracle),
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_post_hang_up),
        cmocka_unit_test(test_post_fails),
    };
    if (argc < 2 || !mkdtemp(folder)) return 2;
    plugins = argv[1];
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const left[] = {"a.txt", "b.txt", "ledger"};
    for (size_t i = 0; i < 3; i++) unlink(in_folder(left[i]));
    return rmdir(folder) ? 1 : failed;
}
