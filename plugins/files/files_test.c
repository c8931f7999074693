/* Tests of the files source. Each builds a tree in a folder of its own and compares ids, texts and rejections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mockhost.h"

/* list.c once more, with allocations that fail when told to. */
static int64_t allocations_left = -1;

static bool refuse(void)
{
    return allocations_left >= 0 && allocations_left-- == 0;
}

static void *faulty_malloc(size_t n)
{
    return refuse() ? NULL : malloc(n);
}

static void *faulty_realloc(void *p, size_t n)
{
    return refuse() ? NULL : realloc(p, n);
}

static char *faulty_strdup(const char *s)
{
    return refuse() ? NULL : strdup(s);
}

#define malloc faulty_malloc
#define realloc faulty_realloc
#undef strdup
#define strdup faulty_strdup
#include "list.c"
#undef malloc
#undef realloc
#undef strdup

static const char *so;
static char top[] = "/tmp/jv_files_XXXXXX";

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

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

static void make_n(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void make(const char *path, const char *text)
{
    make_n(path, text, strlen(text));
}

static void make_dir(const char *path)
{
    assert_int_equal(mkdir(path, 0777), 0);
}

static void make_docs(void)
{
    make_dir("docs");
    make_dir("docs/b");
    make_dir("docs/.git");
    make("docs/z.txt", "zet");
    make("docs/a.txt", "a\xc3\xa9");
    make("docs/b/c.md", "");
    make("docs/.hidden", "h");
    make("docs/.git/x", "x");
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static mock *opened(const char *ini)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, ini);
    int32_t rc = mock_open(m, &err);
    if (rc != JV_OK) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_OK);
    return m;
}

static mock *started(const char *ini)
{
    mock *m = opened(ini);
    jv_err err;
    int32_t rc = mock_start(m, &err);
    if (rc != JV_OK) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_OK);
    return m;
}

static int32_t drain(mock *m, jv_err *err)
{
    int32_t rc = JV_OK;
    for (int i = 0; rc == JV_OK && i < 1000; i++) rc = mock_poll(m, err);
    return rc;
}

/* Ids in the order of emission, rejected ones in parentheses. */
static void expect_ids(const char *ini, const char *want)
{
    mock *m = started(ini);
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    char got[2000] = "";
    for (size_t i = 0; i < mock_n(m); i++) {
        bool bad = mock_kind(mock_at(m, i)) == MOCK_REJECT;
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%s%s%s%s", i ? " " : "", bad ? "(" : "", mock_id(mock_at(m, i)),
            bad ? ")" : "");
    }
    assert_string_equal(got, want);
    mock_free(m);
}

static void expect_no_open(const char *ini, const char *why)
{
    mock *m = mock_new(so, NULL);
    jv_err err;
    mock_set(m, ini);
    assert_true(mock_open(m, &err) < 0);
    if (!strstr(err.text, why)) print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, why));
    mock_free(m);
}

static void expect_no_start(const char *ini, const char *why)
{
    mock *m = opened(ini);
    jv_err err;
    assert_true(mock_start(m, &err) < 0);
    if (!strstr(err.text, why)) print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, why));
    mock_free(m);
}

/* ---- what is found ----------------------------------------------------------------------------------------------- */

static void test_folder(void **state)
{
    make_docs();
    mock *m = started("path = docs/");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), 3);
    assert_string_equal(mock_id(mock_at(m, 0)), "a.txt");
    assert_string_equal(mock_text(mock_at(m, 0), "text"), "a\xc3\xa9");
    assert_string_equal(mock_text(mock_at(m, 0), "source"), "docs/a.txt");
    assert_int_equal(mock_type_of(mock_at(m, 0), "text"), JV_UTF8);
    assert_string_equal(mock_id(mock_at(m, 1)), "b/c.md");
    assert_true(mock_has(mock_at(m, 1), "text")); /* an empty file is a record with an empty text */
    assert_string_equal(mock_text(mock_at(m, 1), "text"), "");
    assert_string_equal(mock_id(mock_at(m, 2)), "z.txt");
    assert_int_equal(mock_count(m, "bytes"), 6);
    assert_int_equal(mock_counted(mock_at(m, 2), "bytes"), 3);
    assert_true(mock_logged(m, "docs: 3 files, 2 hidden and 0 left out by include and exclude"));
    mock_free(m);
}

static void test_selection(void **state)
{
    make_docs();
    expect_ids("path = docs\nrecursive = no", "a.txt z.txt");
    expect_ids("path = docs\nhidden = yes", ".git/x .hidden a.txt b/c.md z.txt");
    expect_ids("path = docs\ninclude = *.md, z*", "b/c.md z.txt");
    expect_ids("path = docs\nexclude = *.txt", "b/c.md");
    expect_ids("path = docs\nexclude = b", "a.txt z.txt"); /* a folder, with all in it */
    expect_ids("path = docs\nhidden = yes\nexclude = .git/*\ninclude = *x*", "a.txt z.txt");
    expect_ids("path = docs/a.txt, docs/b", "a.txt c.md");
    expect_ids("path = docs/.hidden\ninclude = *.md", ".hidden"); /* what is named is meant */
}

static void test_order_is_bytewise(void **state)
{
    make_dir("d");
    make_dir("d/a");
    make("d/a/x", "");
    make("d/a.b", "");
    make("d/B", "");
    make("d/\xc3\xa4", "");
    make("d/a0", "");
    expect_ids("path = d", "B a.b a/x a0 \xc3\xa4");
    make("e", "");
    expect_ids("path = e, d/B", "B e");
}

static void test_glob(void **state)
{
    make_docs();
    expect_ids("path = docs/*.txt", "a.txt z.txt");
    expect_ids("path = docs/*", "a.txt b/c.md z.txt");
    expect_ids("path = docs/?/*", "b/c.md");
    expect_ids("path = docs/[x-z]*", "z.txt");
    expect_ids("path = doc*/a.txt", "docs/a.txt");
    expect_ids("path = docs/.*\nhidden = yes", ".git/x .hidden"); /* and not all of `..` */
    make_dir("[x]*");
    make("[x]*/y.txt", "");
    make("[x]*/*", "star");
    expect_ids("path = [x]*/?.txt", "y.txt"); /* what exists is no pattern */
    expect_ids("path = [x]*/*", "*");
    char ini[200];
    snprintf(ini, sizeof ini, "path = %s/docs/*.txt", top);
    expect_ids(ini, "a.txt z.txt");
}

static void test_bad_paths(void **state)
{
    make_docs();
    expect_no_open("path = nothing/here", "no such file or folder: nothing/here");
    expect_no_open("path = docs, none", "no such file or folder: none");
    expect_no_open("path = docs/a.txt/b", "no such file or folder: docs/a.txt/b");
    expect_no_open("path = docs/*.pdf", "nothing matches docs/*.pdf");
    expect_no_open("path = docs/b/.*", "nothing matches docs/b/.*");
    expect_no_open("path = bad\xff*", "`path`: bad\\xff* is not UTF-8");
    expect_no_open("path = /dev/null", "/dev/null is neither a file nor a folder");
    expect_no_open("path = docs\nas = json", "as = json");
    expect_no_open("path = docs\nmax_size = 0", "max_size = 0");
}

static void test_same_id_twice(void **state)
{
    make_docs();
    make_dir("more");
    make("more/a.txt", "");
    expect_no_start("path = docs, more", "docs/a.txt and more/a.txt would both have the id a.txt");
    expect_no_start("path = docs/a.txt, docs/a.txt", "docs/a.txt and docs/a.txt would both");
}

static void test_empty_folder(void **state)
{
    make_dir("d");
    make("d/.x", "");
    mock *m = started("path = d");
    jv_err err;
    assert_int_equal(mock_poll(m, &err), JV_END);
    assert_true(mock_logged(m, "d: no file to read (1 hidden, 0 left out by include and exclude)"));
    mock_free(m);
}

static void test_vanished_before_start(void **state)
{
    make("a", "");
    mock *m = opened("path = a");
    jv_err err;
    unlink("a");
    assert_true(mock_start(m, &err) < 0);
    assert_non_null(strstr(err.text, "no such file or folder: a"));
    mock_free(m);
}

static void test_links(void **state)
{
    make_docs();
    assert_int_equal(symlink("..", "docs/b/up"), 0);
    assert_int_equal(symlink("../../docs", "docs/b/again"), 0);
    assert_int_equal(symlink("a.txt", "docs/link.txt"), 0);
    assert_int_equal(symlink("nowhere", "docs/lost"), 0);
    assert_int_equal(symlink("self", "docs/self"), 0);
    mock *m = started("path = docs");
    jv_err err;
    assert_true(mock_logged(m, "2 links not followed into a folder they lie in, the first: docs/b/"));
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), 6);
    assert_string_equal(mock_id(mock_at(m, 2)), "link.txt");
    assert_string_equal(mock_text(mock_at(m, 2), "text"), "a\xc3\xa9");
    assert_int_equal(mock_kind(mock_at(m, 3)), MOCK_REJECT);
    assert_string_equal(mock_id(mock_at(m, 3)), "lost");
    assert_string_equal(mock_why(mock_at(m, 3)), "the file cannot be opened: No such file or directory");
    assert_string_equal(mock_id(mock_at(m, 4)), "self");
    assert_int_equal(mock_kind(mock_at(m, 4)), MOCK_REJECT);
    mock_free(m);
}

static void test_deep_folders(void **state)
{
    char path[500] = "d";
    make_dir(path);
    for (int i = 0; i < 63; i++) make_dir(strcat(path, "/d"));
    char file[600];
    snprintf(file, sizeof file, "%s/x", path);
    make(file, "");
    mock *m = started("path = d");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), 1);
    mock_free(m);
    make_dir(strcat(path, "/d"));
    expect_no_start("path = d", "folders are nested deeper than 64 at d/d/");
}

static void test_special_files(void **state)
{
    make_dir("d");
    make("d/a", "");
    assert_int_equal(mkfifo("d/fifo", 0666), 0);
    assert_int_equal(symlink("/dev/null", "d/null"), 0);
    expect_ids("path = d", "a"); /* and does not wait for the fifo's writer */
    mock *m = started("path = d/*");
    assert_true(mock_logged(m, "2 left out that are no files (fifos, devices, sockets), the first: d/"));
    mock_free(m);
}

/* ---- what is read ------------------------------------------------------------------------------------------------ */

static void test_rejected_and_on(void **state)
{
    make_dir("d");
    make("d/a", "fine");
    make("d/b", "not \xc3(");
    make("d/c", "gone");
    make("d/d", "12345678901");
    make("d/e", "1234567890");
    make("d/f", "fifo soon");
    mock *m = started("path = d\nmax_size = 10");
    jv_err err;
    unlink("d/c");
    unlink("d/f");
    assert_int_equal(mkfifo("d/f", 0666), 0);
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), 6);
    assert_string_equal(mock_text(mock_at(m, 0), "text"), "fine");
    assert_string_equal(mock_why(mock_at(m, 1)),
        "the file is not UTF-8: byte 4 is 0xc3 (`as = bytes` and a clean stage mend it)");
    assert_false(mock_has(mock_at(m, 1), "text"));
    assert_string_equal(mock_text(mock_at(m, 1), "source"), "d/b");
    assert_string_equal(mock_why(mock_at(m, 2)), "the file cannot be opened: No such file or directory");
    assert_string_equal(mock_why(mock_at(m, 3)), "the file has 11 bytes, max_size is 10");
    assert_string_equal(mock_text(mock_at(m, 4), "text"), "1234567890");
    assert_string_equal(mock_why(mock_at(m, 5)), "this is no file any more");
    assert_int_equal(mock_count(m, "bytes"), 14);
    mock_free(m);
}

static void test_bytes(void **state)
{
    make_n("a", "\xff\0\n", 3);
    mock *m = started("path = a\nas = bytes\nout = raw\nsource = file");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    jv_str s = mock_get(mock_at(m, 0), "raw");
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "\xff\0\n", 3);
    assert_int_equal(mock_type_of(mock_at(m, 0), "raw"), JV_BYTES);
    assert_string_equal(mock_text(mock_at(m, 0), "file"), "a");
    mock_free(m);
}

static void test_name_is_not_utf8(void **state)
{
    make_dir("d");
    make("d/caf\xe9", "x");
    make("d/caff", "y");
    mock *m = started("path = d");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), 2);
    assert_string_equal(mock_id(mock_at(m, 0)), "caf\\xe9");
    assert_string_equal(mock_why(mock_at(m, 0)), "the file's name is not UTF-8: d/caf\\xe9");
    assert_string_equal(mock_text(mock_at(m, 1), "text"), "y");
    mock_free(m);
    make("d/caf\\xe9", "z");
    expect_no_start("path = d", "d/caf\\xe9 and d/caf\\xe9 would both have the id caf\\xe9");
}

static void test_large(void **state)
{
    const size_t n = 300001;
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++) p[i] = (char)('a' + i % 26);
    make_n("big", p, n);
    mock *m = started("path = big\nmax_size = 300001");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    jv_str s = mock_get(mock_at(m, 0), "text");
    assert_int_equal(s.n, n);
    assert_memory_equal(s.p, p, n);
    mock_free(m);
    free(p);
}

/* Files of /proc say that they have no bytes, and have many: they are read to their end all the same. */
static void test_size_unknown(void **state)
{
    static const char *const path = "/proc/self/environ";
    struct stat st;
    if (setenv("JV_FILES_TEST", "x", 1) || stat(path, &st) || st.st_size) skip();
    char ini[100];
    snprintf(ini, sizeof ini, "path = %s\nas = bytes", path);
    mock *m = started(ini);
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    size_t n = mock_get(mock_at(m, 0), "text").n;
    mock_free(m);
    if (n < 2) skip(); /* a process may be without an environment */
    snprintf(ini, sizeof ini, "path = %s\nas = bytes\nmax_size = %zu", path, n - 1);
    m = started(ini);
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_kind(mock_at(m, 0)), MOCK_REJECT);
    assert_non_null(strstr(mock_why(mock_at(m, 0)), "or more, max_size is"));
    mock_free(m);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void test_stop(void **state)
{
    make_docs();
    mock *m = started("path = docs");
    jv_err err;
    assert_int_equal(mock_poll(m, &err), JV_OK);
    mock_stop(m);
    assert_int_equal(mock_poll(m, &err), JV_END);
    assert_int_equal(mock_n(m), 1);
    mock_free(m);
}

static void test_full_window(void **state)
{
    make_docs();
    mock *m = started("path = docs");
    jv_err err;
    mock_window(m, 1);
    assert_int_equal(mock_poll(m, &err), JV_OK);
    assert_int_equal(mock_poll(m, &err), JV_OK); /* no room: later */
    assert_int_equal(mock_n(m), 1);
    mock_settle(m, mock_at(m, 0), JV_OK, NULL);
    assert_int_equal(mock_poll(m, &err), JV_OK);
    assert_int_equal(mock_n(m), 2);
    assert_string_equal(mock_id(mock_at(m, 1)), "b/c.md");
    mock_free(m);
}

static void test_nobody_wants_more(void **state)
{
    make_docs();
    static const int32_t answers[][2] = {{JV_END, JV_END}, {JV_FATAL, JV_FATAL}};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        mock *m = started("path = docs");
        jv_err err;
        mock_emit_at(m, 1, answers[i][0]);
        assert_int_equal(mock_poll(m, &err), JV_OK);
        assert_int_equal(mock_poll(m, &err), answers[i][1]);
        mock_free(m);
    }
}

static void test_no_memory(void **state)
{
    make_dir("d");
    make("d/a", "text");
    make("d/b", "bad \xff");
    make("d/c\xff", "named badly");
    for (int64_t k = 0;; k++) {
        mock *m = started("path = d");
        jv_err err;
        mock_fail_at(m, k);
        int32_t rc = drain(m, &err);
        bool failed = mock_failed(m);
        assert_int_equal(rc, failed ? JV_FATAL : JV_END);
        mock_free(m);
        if (failed) continue;
        assert_true(k >= 9);
        return;
    }
}

static void test_no_memory_for_the_list(void **state)
{
    make_docs();
    make("docs/b/\xff", "");
    mock *m = mock_new(so, NULL);
    const struct file_rules rules = {.h = mock_host(m), .recursive = true};
    static const char *const paths[] = {"docs", "doc*/a.txt", "docs/z.txt"};
    for (int64_t k = 0;; k++) {
        struct file_list l = {0};
        jv_err err;
        int32_t rc = JV_OK;
        allocations_left = k;
        for (size_t i = 0; rc == JV_OK && i < 3; i++) rc = file_list_check(paths[i], &err);
        for (size_t i = 0; rc == JV_OK && i < 2; i++) rc = file_list_add(&l, &rules, paths[i], &err);
        if (rc == JV_OK) rc = file_list_sort(&l, &err);
        bool failed = allocations_left < 0;
        allocations_left = -1;
        assert_int_equal(rc, failed ? JV_FATAL : JV_OK);
        if (failed)
            assert_string_equal(err.text, "no memory for the list of files");
        else
            assert_int_equal(l.n, 5);
        file_list_free(&l);
        if (failed) continue;
        assert_true(k > 20);
        break;
    }
    mock_free(m);
}

int main(int argc, char **argv)
{
    so = argc < 2 ? NULL : realpath(argv[1], NULL); /* tests change the folder */
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_folder),
        T(test_selection),
        T(test_order_is_bytewise),
        T(test_glob),
        T(test_bad_paths),
        T(test_same_id_twice),
        T(test_empty_folder),
        T(test_vanished_before_start),
        T(test_links),
        T(test_deep_folders),
        T(test_special_files),
        T(test_rejected_and_on),
        T(test_bytes),
        T(test_name_is_not_utf8),
        T(test_large),
        T(test_size_unknown),
        T(test_stop),
        T(test_full_window),
        T(test_nobody_wants_more),
        T(test_no_memory),
        T(test_no_memory_for_the_list),
    };
    return !so ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
