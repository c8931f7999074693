/*
 * rows_test.h: what the tests of sources and sinks of rows share: a folder of their own, files in it, and what came of
 * them as one text.
 *
 *     expect("columns.n = i64?", "a.jsonl", "{\"n\":1}\n{}\n{\"n\":\"x\"}\n", "n",
 *         "a.jsonl:0 1|a.jsonl:8 -|a.jsonl:11 !`n` is a string, wanted i64 (a.jsonl line 3, byte 16)|");
 */
#ifndef JV_ROWS_TEST_H
#define JV_ROWS_TEST_H

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

static const char *so, *stage; /* what is tested; stage: null where the plugin has one */
static char top[] = "/tmp/jv_rows_XXXXXX";

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *where)
{
    return remove(path);
}

static inline int setup(void **state)
{
    strcpy(top + strlen(top) - 6, "XXXXXX");
    return mkdtemp(top) && chdir(top) == 0 ? 0 : -1;
}

static inline int teardown(void **state)
{
    return chdir("/") == 0 ? nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS) : -1;
}

static inline void make_n(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void make(const char *path, const char *text)
{
    make_n(path, text, strlen(text));
}

static inline char *content(const char *path)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static inline mock *started_as(const char *what, const char *ini)
{
    mock *m = mock_new(so, what);
    jv_err err;
    mock_set(m, ini);
    int32_t rc = mock_open(m, &err);
    if (rc == JV_OK) rc = mock_start(m, &err);
    if (rc != JV_OK) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_OK);
    return m;
}

static inline mock *started(const char *ini)
{
    return started_as(stage, ini);
}

static inline void expect_no_open(const char *ini, const char *why)
{
    mock *m = mock_new(so, stage);
    jv_err err;
    mock_set(m, ini);
    assert_true(mock_open(m, &err) < 0);
    if (!strstr(err.text, why)) print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, why));
    mock_free(m);
}

static inline int32_t drain(mock *m, jv_err *err)
{
    int32_t rc = JV_OK;
    while (rc == JV_OK) rc = mock_poll(m, err);
    return rc;
}

/* ---- what came out ----------------------------------------------------------------------------------------------- */

static inline void show_numbers(FILE *f, jv_str s, bool whole)
{
    for (size_t i = 0; i + 4 <= s.n; i += 4) {
        int32_t n;
        float v;
        memcpy(&n, s.p + i, 4);
        memcpy(&v, s.p + i, 4);
        fputs(i ? " " : "[", f);
        if (whole)
            fprintf(f, "%d", n);
        else
            fprintf(f, "%.9g", (double)v);
    }
    fputs(s.n ? "]" : "[]", f);
}

/* `-` where it is absent; control characters and NULs as \xNN. */
static inline void show_field(FILE *f, const jv_buf *b, const char *name)
{
    int32_t type = mock_type_of(b, name);
    if (!type)
        fputs("-", f);
    else if (type == JV_I64)
        fprintf(f, "%lld", (long long)mock_i64(b, name));
    else if (type == JV_F64)
        fprintf(f, "%.17g", mock_f64(b, name));
    else if (type == JV_I32S || type == JV_F32S)
        show_numbers(f, mock_get(b, name), type == JV_I32S);
    else
        for (jv_str s = mock_get(b, name); s.n; s.p++, s.n--)
            if ((unsigned char)*s.p < 0x20)
                fprintf(f, "\\x%02x", (unsigned)(unsigned char)*s.p);
            else
                fputc(*s.p, f);
}

/* All records as `ID FIELD;FIELD|`, rejected ones as `ID !WHY|`. To be freed. */
static inline char *shown(mock *m, const char *fields)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    for (size_t i = 0; i < mock_n(m); i++) {
        const jv_buf *b = mock_at(m, i);
        bool bad = mock_kind(b) == MOCK_REJECT;
        fprintf(f, "%s %s", mock_id(b), bad ? "!" : "");
        if (bad) fputs(mock_why(b), f);
        char names[200], *left = names;
        strcpy(names, fields);
        for (const char *name; !bad && (name = strsep(&left, ",")) != NULL;) {
            show_field(f, b, name);
            if (left) fputc(';', f);
        }
        fputc('|', f);
    }
    assert_int_equal(fclose(f), 0);
    return text;
}

static inline void expect_of(mock *m, const char *fields, const char *want)
{
    jv_err err;
    int32_t rc = drain(m, &err);
    if (rc != JV_END) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_END);
    char *got = shown(m, fields);
    assert_string_equal(got, want);
    free(got);
}

/* A file of these bytes, read: `fields` are those to show, separated by commas. */
static inline void expect_n(const char *ini, const char *name, jv_str text, const char *fields, const char *want)
{
    char all[2000];
    make_n(name, text.p, text.n);
    snprintf(all, sizeof all, "path = %s\n%s", name, ini);
    mock *m = started(all);
    expect_of(m, fields, want);
    mock_free(m);
}

static inline void expect(const char *ini, const char *name, const char *text, const char *fields, const char *want)
{
    expect_n(ini, name, (jv_str){text, strlen(text)}, fields, want);
}

/* Every allocation of the host's fails once, over the same file: the run ends each time, in the end with all rows. */
static inline void expect_survives(const char *ini)
{
    for (int64_t k = 0;; k++) {
        mock *m = started(ini);
        jv_err err;
        mock_fail_at(m, k);
        int32_t rc = drain(m, &err);
        bool failed = mock_failed(m);
        assert_int_equal(rc, failed ? JV_FATAL : JV_END);
        mock_free(m);
        if (failed) continue;
        assert_true(k > 3);
        return;
    }
}

#endif
