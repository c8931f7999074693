/* Tests of csv/read and csv/write: cells and rows, what is broken, and rows that were written and are read back. */
#include "../rows/rows_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#define S(text) ((jv_str){text, sizeof text - 1})

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void test_rows(void **state)
{
    static const struct {
        const char *ini, *text, *want; /* columns t (utf8), n (i64, may be missing), and the rest */
    } cases[] = {
        {"", "t,n\na,1\nb,2\n", "f:4 a;1;-|f:8 b;2;-|"},
        {"", "t,n\r\na,1\r\nb,2", "f:5 a;1;-|f:10 b;2;-|"},
        {"", "\xef\xbb\xbft,n\na,1\n", "f:7 a;1;-|"},
        {"", "\"t\",\"n\"\n\"a\",\"1\"\n", "f:8 a;1;-|"},
        {"", "n,t\n1,a\n", "f:4 a;1;-|"},
        {"", "t,n\n\"say \"\"hi\"\"\",1\n\"\"\"\",2\n\"\",3\n", "f:4 say \"hi\";1;-|f:19 \";2;-|f:26 ;3;-|"},
        {"", "t,n\n\"two\nlines\",1\n\"two\r\nlines\r\n\n\",2\nc,3\n",
            "f:4 two\\x0alines;1;-|f:18 two\\x0d\\x0alines\\x0d\\x0a\\x0a;2;-|f:36 c;3;-|"},
        {"", "t,n\n\"a,b\",1\n\",\",2\n", "f:4 a,b;1;-|f:12 ,;2;-|"},
        {"", "t,n\n a b ,1\n", "f:4  a b ;1;-|"},
        {"", "t,n\na\rb,1\n", "f:4 a\\x0db;1;-|"},
        {"", "t,n\n,\n\"\",\n", "f:4 ;-;-|f:6 ;-;-|"},
        {"", "t,n\na,\"\"\n", "f:4 !`n` is ``, wanted i64 (f line 2, byte 6)|"},
        {"", "t,n\n\n\r\na,1\n\n", "f:7 a;1;-|"},
        {"", "\n\nt,n\na,1\n", "f:6 a;1;-|"},
        {"", "t,n,x,\"y\"\"z\"\na,1,\"1,5\",\n", "f:13 a;1;{\"x\":\"1,5\",\"y\\\"z\":\"\"}|"},
        {"", "t\na\n", "f:2 a;-;-|"},
        {"", "t,n\na\nb,1,2\nc,3\n",
            "f:4 !the row has 1 cells, the header 2 (f line 2, byte 4)|"
            "f:6 !the row has 3 cells, the header 2 (f line 3, byte 6)|f:12 c;3;-|"},
        {"", "t,n\na\"b,1\nc,2\n",
            "f:4 !a quote within a cell that does not begin with one (f line 2, byte 5)|f:10 c;2;-|"},
        {"", "t,n\n a,\"1\"x\nc,2\n",
            "f:4 !something behind the quote that closes a cell; the one that opens it is 3 bytes before (f line 2, "
            "byte 10)|f:12 c;2;-|"},
        {"", "t,n\n\"a\"\rx,1\nc,2\n",
            "f:4 !something behind the quote that closes a cell; the one that opens it is 4 bytes before (f line 2, "
            "byte 8)|f:12 c;2;-|"},
        {"", "t,n\n\"a,1\nb,2\nc,3\n",
            "f:4 !a quote that is not closed in this file (f line 2, byte 4)|f:9 b;2;-|f:13 c;3;-|"},
        {"", "t,n\nx,\"1\nb,2\n", "f:4 !a quote that is not closed in this file (f line 2, byte 6)|f:9 b;2;-|"},
        {"", "t,n\n\"a,1\n\"b\",2\nc,3\n",
            "f:4 !something behind the quote that closes a cell; the one that opens it is 6 bytes before (f line 3, "
            "byte 10)|f:9 b;2;-|f:15 c;3;-|"},
        {"", "t,n\nb,2\n\"", "f:4 b;2;-|f:8 !a quote that is not closed in this file (f line 3, byte 8)|"},
        {"", "t,n\n\"a\"\r", "f:4 !something behind the quote that closes a cell; the one that opens it is 3 bytes before (f line 2, byte 7)|"},
        {"max_row = 12", "t,n\n\"a,1\nb,2\nc,3\nd,4\ne,5\n",
            "f:4 !the row that begins here has more than 12 bytes (max_row); is a quote not closed? (f line 2, byte 4)|"
            "f:9 b;2;-|f:13 c;3;-|f:17 d;4;-|f:21 e;5;-|"},
        {"max_row = 6", "t,n\nabcd,1\nabcde,1\nb,2\n",
            "f:4 abcd;1;-|f:11 !the line has 7 bytes, max_row is 6 (f line 3, byte 11)|f:19 b;2;-|"},
        {"max_row = 6", "t,n\n\"bcdefghi,1\nb,2\n",
            "f:4 !the line has 11 bytes, max_row is 6 (f line 2, byte 4)|f:16 b;2;-|"},
        {"delimiter = ;", "t;n\n1,5;2\n\"a;b\";3\n", "f:4 1,5;2;-|f:10 a;b;3;-|"},
        {"delimiter = tab", "t\tn\na b\t2\n", "f:4 a b;2;-|"},
        {"delimiter = |", "t|n\na\"|2\n", "f:4 !a quote within a cell that does not begin with one (f line 2, byte 5)|"},
        {"header = no", "a,1\n\"b\",\nc\n",
            "f:0 a;1;-|f:4 b;-;-|f:9 !the row has 1 cells, the option `columns` 2 (f line 3, byte 9)|"},
        {"id = n", "t,n\na,7\nb,\n",
            "7 a;7;-|f:8 !its id cannot be used: a position has 1 to 4096 bytes of UTF-8 (f line 3, byte 8)|"},
        {"id = key", "t,key\na,x y\n", "x y a;-;-|"},
        {"header = no\nid = t", "a,7\n", "a a;7;-|"},
        {"", "t,n\n\xff,1\nc,2\n", "f:4 !`t` is not UTF-8: its byte 0 is 0xff (f line 2, byte 4)|f:8 c;2;-|"},
        {"", "t,n\na,1.5\nb,+1\nc,007\nd,1 \ne,99999999999999999999\nf, 1\n",
            "f:4 !`n` is a number with a fraction or an exponent, wanted i64 (f line 2, byte 6)|"
            "f:10 !`n` is `+1`, wanted i64 (f line 3, byte 12)|f:15 !`n` is `007`, wanted i64 (f line 4, byte 17)|"
            "f:21 d;1;-|f:26 !`n` holds 99999999999999999999, which is out of the range of i64 (f line 6, byte 28)|"
            "f:49 f;1;-|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char ini[200];
        snprintf(ini, sizeof ini, "columns.t = utf8\ncolumns.n = i64?\n%s", cases[i].ini);
        expect(ini, "f", cases[i].text, "t,n,rest", cases[i].want);
    }
    expect_n("columns.t = utf8\ncolumns.b = bytes", "f", S("t,b\n\0,\"\0\xff\"\n"), "t,b", "f:4 \\x00;\\x00\xff|");
}

static void test_types(void **state)
{
    static const char columns[] =
        "columns.j = json?\ncolumns.x = f64?\ncolumns.is = i32s?\ncolumns.fs = f32s?\ncolumns.b = bytes?";
    static const struct {
        const char *row, *want;
    } cases[] = {
        {"\"{\"\"a\"\": [1.50]}\",0.5,\"[1, 2]\",[0.5],\xff", "{\"a\": [1.50]};0.5;[1 2];[0.5];\xff"},
        {",,,,", "-;-;-;-;-"},
        {"null,1e3,[],[],\"\"", "null;1000;[];[];"},
        {"x,,,,", "!`j` is `x`, wanted json (f line 2, byte 12)"},
        {",nan,,,", "!`x` is `nan`, wanted f64 (f line 2, byte 13)"},
        {",1e999,,,", "!`x` holds 1e999, which is out of the range of f64 (f line 2, byte 13)"},
        {",null,,,", "!`x` is `null`, wanted f64 (f line 2, byte 13)"},
        {",.5,,,", "!`x` is `.5`, wanted f64 (f line 2, byte 13)"},
        {",[1],,,", "!`x` is an array, wanted f64 (f line 2, byte 13)"},
        {",,1 2,,", "!`is` is `1 2`, wanted i32s (f line 2, byte 14)"},
        {",,,\"[1,\"\"2\"\"]\",", "!`fs` is an array with a string in it, wanted f32s (f line 2, byte 15)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200], want[300];
        snprintf(text, sizeof text, "j,x,is,fs,b\n%s\n", cases[i].row);
        snprintf(want, sizeof want, "f:12 %s|", cases[i].want);
        expect(columns, "f", text, "j,x,is,fs,b", want);
    }
}

static void test_headers(void **state)
{
    static const struct {
        const char *text, *why; /* of a record at f:0 or where the header is */
    } cases[] = {
        {"t,m\n1,2\n", "f:0 !the header has no column `n`; it has 2, the first is `t` (f line 1, byte 0), so the file "
                       "is not read|"},
        {"n,t,n\n1,2,3\n", "f:0 !the header names `n` twice (f line 1, byte 4), so the file is not read|"},
        {"n,\xff\n1,2\n",
            "f:0 !the header's name 2, `\\xff`, is not UTF-8 (f line 1, byte 2), so the file is not read|"},
        {"n,\"t\n1,2\n", "f:0 !a quote that is not closed in this file (f line 1, byte 2), so the file is not read|"},
        {"\nn\"\n1\n",
            "f:1 !a quote within a cell that does not begin with one (f line 2, byte 2), so the file is not read|"},
        {"n\n", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect("columns.n = i64", "f", cases[i].text, "n", cases[i].why);
    char *wide = calloc(1, 40000), *to = wide;
    for (int i = 0; i <= 4096; i++) to += sprintf(to, "c%d,", i);
    expect("columns.n = i64", "f", wide, "n",
        "f:0 !the header has 4098 names, the most is 4096 (f line 1, byte 0), so the file is not read|");
    free(wide);
    make("a", "n,x\n1,2\n");
    make("b", "t\n1\n");
    make("c", "x,n\n3,4\n");
    make("d", "");
    mock *m = started("path = a, b, c, d\ncolumns.n = i64");
    expect_of(m, "n,rest",
        "a:4 1;{\"x\":\"2\"}|b:0 !the header has no column `n`; it has 1, the first is `t` (b line 1, "
        "byte 0), so the file is not read|c:4 4;{\"x\":\"3\"}|");
    assert_true(mock_logged(m, "d holds no row"));
    mock_free(m);
    expect("columns.n = i64?\nid = key", "f", "n\n1\n", "n",
        "f:0 !the header has no column `key`, which is to be the id; it has 1, the first is `n` (f line 1, byte 0), so "
        "the file is not read|");
}

static void test_rejected_text(void **state)
{
    make("f", "n\nx\r\n\"\xff\"\n");
    mock *m = started("path = f\ncolumns.n = i64");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_string_equal(mock_text(mock_at(m, 0), "rest"), "\"x\\r\"");
    assert_string_equal(mock_text(mock_at(m, 1), "rest"), "{\"base64\":\"Iv8i\"}");
    mock_free(m);
}

/* Characters of one to four bytes, quotes and line ends, each once at every place across the border of a read. */
static void test_cut_anywhere(void **state)
{
    static const char *const pieces[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\"\"", "\n", "\r\n", ","};
    enum { BORDER = 65536 };
    char *text = malloc(BORDER + 40);
    for (size_t c = 0; c < sizeof pieces / sizeof *pieces; c++) {
        size_t len = strlen(pieces[c]);
        for (size_t before = 0; before <= len + 2; before++) {
            size_t n = BORDER - before;
            memset(text, 'x', n);
            memcpy(text, "t,n\n\"", 5);
            memcpy(text + n, pieces[c], len);
            strcpy(text + n + len, "y\",1\r\nz,2");
            make_n("cut", text, strlen(text));
            mock *m = started("path = cut\ncolumns.t = utf8\ncolumns.n = i64");
            jv_err err;
            assert_int_equal(drain(m, &err), JV_END);
            assert_int_equal(mock_n(m), 2);
            assert_int_equal(mock_kind(mock_at(m, 0)), MOCK_ROOT);
            jv_str s = mock_get(mock_at(m, 0), "t");
            size_t kept = c == 4 ? 1 : len;
            assert_int_equal(s.n, n - 5 + kept + 1);
            assert_memory_equal(s.p + n - 5, pieces[c], kept);
            assert_int_equal(s.p[s.n - 1], 'y');
            assert_int_equal(mock_i64(mock_at(m, 1), "n"), 2);
            mock_free(m);
        }
    }
    free(text);
}

static const char in_bytes[] = "\xef\xbb\xbft,n\r\n\"a\"\"\r\n\xe2\x82\xac\",1\r\n\r\nb,2";

static void *write_bytes(void *arg)
{
    int fd = open("fifo", O_WRONLY);
    for (size_t i = 0; i < sizeof in_bytes - 1; i++) {
        if (write(fd, in_bytes + i, 1) != 1) return arg;
        usleep(500);
    }
    close(fd);
    return NULL;
}

/* A pipe gives what it has: a mark, a quote, a line end and a character may come in two reads. */
static void test_byte_by_byte(void **state)
{
    assert_int_equal(mkfifo("fifo", 0666), 0);
    pthread_t t;
    int failed = 0;
    assert_int_equal(pthread_create(&t, NULL, write_bytes, &failed), 0);
    mock *m = started("path = fifo\ncolumns.t = utf8\ncolumns.n = i64");
    expect_of(m, "t,n,rest", "fifo:8 a\"\\x0d\\x0a\xe2\x82\xac;1;-|fifo:24 b;2;-|");
    void *bad;
    pthread_join(t, &bad);
    assert_null(bad);
    mock_free(m);
}

/* One stray quote in a large file costs one line, whatever follows. */
static void test_stray_quote(void **state)
{
    enum { N = 200000 };
    FILE *f = fopen("f", "wb");
    fputs("t,n\n\"stray,0\n", f);
    for (int i = 1; i <= N; i++) fprintf(f, "row,%d\n", i);
    fclose(f);
    mock *m = started("path = f\ncolumns.t = utf8\ncolumns.n = i64");
    jv_err err;
    int64_t sum = 0, rejected = 0, rows = 0;
    for (int32_t rc = JV_OK; rc == JV_OK;) {
        rc = mock_poll(m, &err);
        if (rc != JV_OK) assert_int_equal(rc, JV_END);
        for (size_t i = 0; i < mock_n(m); i++) {
            bool bad = mock_kind(mock_at(m, i)) == MOCK_REJECT;
            if (bad) assert_non_null(strstr(mock_why(mock_at(m, i)), "more than 1048576 bytes (max_row)"));
            if (!bad) sum += mock_i64(mock_at(m, i), "n");
            rejected += bad;
            rows += !bad;
        }
        mock_forget(m);
    }
    assert_int_equal(rejected, 1);
    assert_int_equal(rows, N);
    assert_int_equal(sum, (int64_t)N * (N + 1) / 2);
    mock_free(m);
}

static void test_refused(void **state)
{
    make("f", "t\n");
    expect_no_open("path = f", "columns");
    expect_no_open("path = f\ncolumns.t = string", "`columns.t = string`: wanted utf8, bytes");
    static const char *const bad[] = {"", "ab", "\"", "\xc3\xa9", "\x01"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char ini[100];
        snprintf(ini, sizeof ini, "path = f\ncolumns.t = utf8\ndelimiter = %s", bad[i]);
        expect_no_open(ini, "wanted `tab` or one ASCII character other than a quote");
    }
    expect_no_open("path = f\ncolumns.t = utf8\nheader = no\nid = key",
        "`id = key` is none of `columns`, and there is no header");
    expect_no_open("path = f, f\ncolumns.t = utf8", "`path` names f twice");
}

static void test_no_memory(void **state)
{
    make("f", "t,n,x\na,1,2\n\"b\n");
    expect_survives("path = f, none\ncolumns.t = utf8\ncolumns.n = i64");
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static mock *new_writer(const char *ini)
{
    mock *m = mock_new(so, "write");
    mock_set(m, ini);
    mock_column(m, "t", JV_UTF8, 0);
    mock_column(m, "n", JV_I64, 0);
    mock_column(m, "x", JV_F64, 0);
    mock_column(m, "j", JV_JSON, 0);
    mock_column(m, "b", JV_BYTES, 0);
    mock_column(m, "is", JV_I32S, 0);
    mock_column(m, "fs", JV_F32S, 0);
    mock_column(m, "seconds", JV_F64, JV_MEASURED);
    return m;
}

static mock *writing(const char *ini)
{
    mock *m = new_writer(ini);
    jv_err err;
    int32_t rc = mock_open(m, &err);
    if (rc == JV_OK) rc = mock_start(m, &err);
    if (rc != JV_OK) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_OK);
    return m;
}

static void write_text(mock *m, const char *id, const char *text)
{
    jv_err err;
    jv_buf *b = mock_record(m, id);
    if (text) mock_put(b, "t", text);
    assert_int_equal(mock_process(m, b, &err), JV_OK);
}

static void finish(mock *m)
{
    jv_err err;
    assert_int_equal(mock_flush(m, &err), JV_OK);
    mock_free(m);
}

static void test_written_cells(void **state)
{
    static const struct {
        const char *text, *cell;
    } cases[] = {{"plain", "plain"}, {" a b ", " a b "}, {"", "\"\""}, {NULL, ""}, {"a,b", "\"a,b\""}, {"a;b", "a;b"},
        {"\"", "\"\"\"\""}, {"a\"b\"\"c", "\"a\"\"b\"\"\"\"c\""}, {"two\nlines", "\"two\nlines\""},
        {"cr\r", "\"cr\r\""}, {"\xe2\x82\xac\t'", "\xe2\x82\xac\t'"}, {"\xef\xbb\xbf", "\xef\xbb\xbf"}};
    mock *m = writing("path = out\nfields = id, t");
    char want[1000] = "id,t\n";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(m, "i", cases[i].text);
        sprintf(want + strlen(want), "i,%s\n", cases[i].cell);
    }
    assert_string_equal(content("out"), want); /* there before the end: it can be followed */
    assert_int_equal(mock_count(m, "rows"), sizeof cases / sizeof *cases);
    assert_int_equal(mock_count(m, "bytes"), strlen(want) - 5);
    finish(m);
}

static void test_written_options(void **state)
{
    mock *m = writing("path = out\nfields = t, seconds\nheader = no\nline_end = crlf\ndelimiter = ;");
    write_text(m, "i", "\xef\xbb\xbfmark");
    write_text(m, "i", "\xef\xbb\xbfmark;,");
    assert_string_equal(content("out"), "\"\xef\xbb\xbfmark\";\r\n\"\xef\xbb\xbfmark;,\";\r\n");
    finish(m);
    m = writing("path = out\nfields = t");
    write_text(m, "i", NULL); /* an empty line would be none */
    assert_string_equal(content("out"), "t\n\"\"\n");
    finish(m);
    m = writing("path = out");
    assert_string_equal(content("out"), "id,t,n,x,j,b,is,fs\n");
    jv_err err;
    jv_buf *b = mock_record(m, "a,1");
    const int32_t is[] = {1, -2};
    const float fs[] = {0.1f};
    mock_put_i64(b, "n", 0);
    mock_put_f64(b, "x", 100);
    mock_put(b, "j", "{\"k\": 1}");
    mock_put_n(b, "b", "\xff\0", 2);
    mock_put_n(b, "is", is, sizeof is);
    mock_put_n(b, "fs", fs, sizeof fs);
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    const char row[] = "\"a,1\",,0,100.0,\"{\"\"k\"\": 1}\",\xff\0,\"[1,-2]\",[0.1]\n";
    assert_memory_equal(content("out") + 19, row, sizeof row);
    b = mock_record(m, "b");
    mock_put_f64(b, "x", 1.0 / 0.0);
    assert_int_equal(mock_process(m, b, &err), JV_BAD);
    assert_string_equal(err.text, "field `x` is inf, which JSON has no number for");
    finish(m);
}

static void expect_no_write(const char *ini, bool at_open, const char *why)
{
    mock *m = new_writer(ini);
    jv_err err;
    int32_t rc = mock_open(m, &err);
    assert_true(at_open ? rc < 0 : rc == JV_OK);
    if (!at_open) assert_true(mock_start(m, &err) < 0);
    if (!strstr(err.text, why)) print_error("%s\n", err.text);
    assert_non_null(strstr(err.text, why));
    mock_free(m);
}

static void test_append(void **state)
{
    static const char append[] = "path = out\nexists = append\nfields = id, t";
    mock *m = writing(append);
    write_text(m, "1", "a");
    finish(m);
    m = writing(append);
    write_text(m, "2", "b");
    finish(m);
    assert_string_equal(content("out"), "id,t\n1,a\n2,b\n");
    expect_no_write("path = out\nexists = append\nfields = id, n", false,
        "out does not begin with the header `id,n`, so nothing can be appended");
    expect_no_write("path = out\nexists = append\nfields = id, t\nline_end = crlf", false,
        "out does not begin with the header `id,t\\x0d`");
    assert_string_equal(content("out"), "id,t\n1,a\n2,b\n");
    expect_no_write("path = out\nexists = refuse\nfields = id", true, "out is there already (exists = refuse)");
    make("out", "\xef\xbb\xbfid,t\n");
    m = writing(append);
    write_text(m, "3", "c");
    finish(m);
    assert_string_equal(content("out"), "\xef\xbb\xbfid,t\n3,c\n");
    make("out", "id,t\nhalf");
    expect_no_write(append, false, "out does not end with a newline (9 bytes)");
    make("out", "id\n");
    expect_no_write(append, false, "out does not begin with the header `id,t`");
    m = writing("path = out\nexists = append\nfields = id\nheader = no");
    write_text(m, "x", NULL);
    finish(m);
    assert_string_equal(content("out"), "id\nx\n");
    m = writing("path = out\nfields = id");
    finish(m);
    assert_string_equal(content("out"), "id\n");
}

static void test_no_writer(void **state)
{
    expect_no_write("path = out\nfields = id, id", true, "`fields` names `id` twice");
    expect_no_write("path = out\nfields = nothing", true, "nothing");
    expect_no_write("path = out\ndelimiter = ab", true, "wanted `tab` or one ASCII character");
    mock *first = writing("path = out\nfields = id");
    expect_no_write("path = out", false, "out is being written by another section or run");
    finish(first);
    mock *m = writing("path = /dev/null\nfields = id");
    finish(m);
    mock *full = new_writer("path = /dev/full");
    jv_err err;
    assert_int_equal(mock_open(full, &err), JV_OK);
    assert_int_equal(mock_start(full, &err), JV_FATAL); /* the header */
    assert_string_equal(err.text, "/dev/full cannot be written: No space left on device");
    mock_free(full);
}

/* ---- there and back ---------------------------------------------------------------------------------------------- */

/* Texts of all kinds of characters, absent ones too, come back as they were, for each delimiter and line end. */
static void test_round_trip(void **state)
{
    static const char *const ways[] = {"", "delimiter = ;", "delimiter = tab\nline_end = crlf", "header = no",
        "line_end = crlf"};
    static const char *const chars[] = {",", ";", "\t", "\"", "\n", "\r", "\r\n", " ", "a", "\xc3\xa9",
        "\xf0\x9f\x98\x80", "\xef\xbb\xbf"};
    enum { N = 500 };
    static char texts[N][60];
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        char ini[300];
        uint64_t s = w + 1;
        snprintf(ini, sizeof ini, "path = out\nfields = t, n, b\n%s", ways[w]);
        mock *m = writing(ini);
        for (int i = 0; i < N; i++) {
            jv_err err;
            jv_buf *b = mock_record(m, "i");
            texts[i][0] = 0;
            for (int k = i % 9; k > 0; k--) {
                s = s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                strcat(texts[i], chars[(s >> 33) % 12]);
            }
            if (i % 10) mock_put(b, "t", texts[i]);
            if (i % 3) mock_put_i64(b, "n", i);
            if (i % 2) mock_put_n(b, "b", "\xff\0\n", (size_t)(i % 4));
            assert_int_equal(mock_process(m, b, &err), JV_OK);
        }
        finish(m);
        snprintf(ini, sizeof ini, "path = out\ncolumns.t = utf8?\ncolumns.n = i64?\ncolumns.b = bytes?\n%s",
            strstr(ways[w], "line_end = crlf") ? w == 2 ? "delimiter = tab" : "" : ways[w]);
        m = started(ini);
        jv_err err;
        assert_int_equal(drain(m, &err), JV_END);
        assert_int_equal(mock_n(m), N);
        for (int i = 0; i < N; i++) {
            const jv_buf *b = mock_at(m, (size_t)i);
            assert_int_equal(mock_kind(b), MOCK_ROOT);
            assert_string_equal(mock_text(b, "t"), i % 10 ? texts[i] : "(absent)");
            assert_int_equal(mock_has(b, "n"), i % 3 != 0);
            assert_int_equal(mock_has(b, "b"), i % 2 != 0);
            if (i % 2) assert_memory_equal(mock_get(b, "b").p, "\xff\0\n", (size_t)(i % 4));
        }
        mock_free(m);
    }
}

int main(int argc, char **argv)
{
    so = argc < 2 ? NULL : realpath(argv[1], NULL); /* tests change the folder */
    stage = "read";
    signal(SIGPIPE, SIG_IGN); /* as the host does */
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_rows),
        T(test_types),
        T(test_headers),
        T(test_rejected_text),
        T(test_cut_anywhere),
        T(test_byte_by_byte),
        T(test_stray_quote),
        T(test_refused),
        T(test_no_memory),
        T(test_written_cells),
        T(test_written_options),
        T(test_append),
        T(test_no_writer),
        T(test_round_trip),
    };
    return !so ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
