/* The mock host must end the program when a stage breaks a rule, and name the rule. Each case runs in a process of its
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mockhost.h"

static const char *so;

static void run_filter(const char *ini)
{
    jv_err err;
    mock *m = mock_new(so, "filter");
    mock_set(m, ini);
    if (mock_open(m, &err) != JV_OK || mock_start(m, &err) != JV_OK) exit(2);
    jv_buf *b = mock_record(m, "a");
    mock_put(b, "text", "some text");
    if (mock_process(m, b, &err) != JV_OK) exit(3);
    mock_free(m);
}

static void run_source(const char *ini)
{
    jv_err err;
    mock *m = mock_new(so, "source");
    mock_set(m, ini);
    if (mock_open(m, &err) != JV_OK || mock_start(m, &err) != JV_OK) exit(2);
    mock_poll(m, &err);
    mock_flush(m, &err);
    mock_free(m);
}

/* What it said on standard error. status: as of waitpid. */
static const char *said(void (*run)(const char *), const char *rule, int *status)
{
    static char text[1024];
    char ini[64];
    int fd[2];
    snprintf(ini, sizeof ini, "rule = %s", rule);
    assert_int_equal(pipe(fd), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        dup2(fd[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        run(ini);
        _exit(0);
    }
    close(fd[1]);
    size_t n = 0;
    for (ssize_t got = 1; got > 0; n += (size_t)got) {
        got = read(fd[0], text + n, sizeof text - 1 - n);
        assert_true(got >= 0);
    }
    text[n] = 0;
    close(fd[0]);
    assert_int_equal(waitpid(pid, status, 0), pid);
    return text;
}

static void must_end(void (*run)(const char *), const char *rule, const char *part)
{
    int status;
    const char *text = said(run, rule, &status);
    if (!WIFSIGNALED(status) || !strstr(text, part)) fail_msg("%s: status %d, said: %s", rule, status, text);
}

static void must_pass(void (*run)(const char *))
{
    int status;
    const char *text = said(run, "none", &status);
    if (status || *text) fail_msg("status %d, said: %s", status, text);
}

static void test_filter(void **state)
{
    static const char *const rules[][2] = {
        {"row", "row 99: there are 3"},
        {"utf8", "field 'out' is passed on and is no UTF-8"},
        {"unwritten", "field 'out' is passed on and is no UTF-8"},
        {"behind", "a byte was written behind field 'out'"},
        {"input", "row 0 is set, but not declared JV_OUT"},
        {"number", "row 1 is set with a function for another type"},
        {"item", "put() of 5 bytes into row 2 of type 6"},
        {"view", "view of 4 bytes at 0 of type 1, into row 2 of type 6"},
        {"port", "process answered port 1 of 1"},
        {"done", "DONE by a stage without JV_SPLIT"},
        {"verdict", "process answered port 77 of 1"},
        {"mute", "answered -1, but err has code 0"},
        {"lines", "err's text is not one line"},
        {"dot", "err's text ends with a full stop"},
        {"reason", "DROP without a reason"},
        {"cancelled", "CANCELLED for a record that nobody cancelled"},
        {"fork", "fork() by a stage without JV_SPLIT"},
        {"merge", "children() of what does not come to a merge"},
        {"lease", "lease() outside open and start"},
        {"counter", "counter 0: there are 0"},
        {"mistaken", "open told of mistakes and answered JV_OK"},
        {"late", "a mistake told elsewhere than in open"},
    };
    must_pass(run_filter);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) must_end(run_filter, rules[i][0], rules[i][1]);
}

static void test_source(void **state)
{
    static const char *const rules[][2] = {
        {"forget", "1 forked or begun buffers were not emitted"},
        {"twice", "emit() of 'a', which is not the stage's to give"},
        {"size", "begin(): struct_size is not set"},
        {"priority", "begin(): priority 1"},
        {"outside", "begin() outside poll by a source that has one"},
        {"row", "row 99: there are 0"},
    };
    must_pass(run_source);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) must_end(run_source, rules[i][0], rules[i][1]);
}

/* Options and settings that the real host would refuse. */
static void test_settings(void **state)
{
    static const char *const bad[] = {"rule = nonsense", "ruel = none", "in = text\nrule ="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        jv_err err;
        mock *m = mock_new(so, "filter");
        mock_set(m, bad[i]);
        assert_int_equal(mock_open(m, &err), JV_BAD);
        assert_true(err.text[0]);
        mock_free(m);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_source),
        cmocka_unit_test(test_settings),
    };
    if (argc < 2) return 2;
    so = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
