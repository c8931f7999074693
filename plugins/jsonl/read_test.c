/* Tests of jsonl/read: values, what is left of a row, broken rows, and rows that were written and are read back. */
#include "../rows/rows_test.h"

#include <jansson.h>

#define S(text) ((jv_str){text, sizeof text - 1})

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void test_values(void **state)
{
    static const struct {
        const char *type, *json, *want; /* of the column `v` */
    } cases[] = {
        {"utf8", "\"\"", ""},
        {"utf8", "\"a b\xc3\xa9\"", "a b\xc3\xa9"},
        {"utf8", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\\x08\\x0c\\x0a\\x0d\\x09"},
        {"utf8", "\"\\u0000\\u0041\\u00e9\\u20AC\"",
            "\\x00"
            "A\xc3\xa9\xe2\x82\xac"},
        {"utf8", "\"\\ud83d\\ude00 \\uFFFF\"", "\xf0\x9f\x98\x80 \xef\xbf\xbf"},
        {"utf8?", "null", "-"},
        {"utf8", "null", "!`v` is null, wanted utf8"},
        {"utf8", "1", "!`v` is a number, wanted utf8"},
        {"utf8?", "{}", "!`v` is an object, wanted utf8"},
        {"bytes", "\"a\\u0000\"", "a\\x00"},
        {"bytes", "{\"base64\":\"/f7/\"}", "\xfd\xfe\xff"},
        {"bytes", "{ \"base64\" : \"\\/w==\" }", "\xff"},
        {"bytes", "{\"base64\":\"\"}", ""},
        {"bytes", "{\"base64\":\"/x==\"}", "!`v` is an object other than {\"base64\": \"...\"}, wanted bytes"},
        {"bytes", "{\"base64\":\"/w=\"}", "!`v` is an object other than {\"base64\": \"...\"}, wanted bytes"},
        {"bytes", "{\"base64\":\"=w==\"}", "!`v` is an object other than {\"base64\": \"...\"}, wanted bytes"},
        {"bytes", "{\"base64\":\"/w==\",\"a\":1}", "!`v` is an object other than {\"base64\": \"...\"}, wanted bytes"},
        {"json", "{\"a\" : [1.50, 1E400]}", "{\"a\" : [1.50, 1E400]}"},
        {"json", "null", "null"},
        {"json?", "null", "-"},
        {"i64", "-9223372036854775808", "-9223372036854775808"},
        {"i64", "9223372036854775808", "!`v` holds 9223372036854775808, which is out of the range of i64"},
        {"i64", "1.0", "!`v` is a number with a fraction or an exponent, wanted i64"},
        {"i64", "1e3", "!`v` is a number with a fraction or an exponent, wanted i64"},
        {"i64", "true", "!`v` is true, wanted i64"},
        {"i64", "\"1\"", "!`v` is a string, wanted i64"},
        {"f64", "-0.10", "-0.10000000000000001"},
        {"f64", "12345678901234567890", "1.2345678901234567e+19"},
        {"f64", "1e-400", "0"},
        {"f64", "1e400", "!`v` holds 1e400, which is out of the range of f64"},
        {"i32s", "[]", "[]"},
        {"i32s", "[ 1 , -2147483648,2147483647 ]", "[1 -2147483648 2147483647]"},
        {"i32s", "[2147483648]", "!`v` holds 2147483648, which is out of the range of i32s"},
        {"i32s", "[1,2.5]", "!`v` is a number with a fraction or an exponent, wanted i32s"},
        {"i32s", "[1,[2]]", "!`v` is an array with an array in it, wanted i32s"},
        {"i32s", "7", "!`v` is a number, wanted i32s"},
        {"f32s", "[0.1,1e38,-3]", "[0.100000001 9.99999968e+37 -3]"},
        {"f32s", "[1e39]", "!`v` holds 1e39, which is out of the range of f32s"},
        {"f32s", "[null]", "!`v` is an array with null in it, wanted f32s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char ini[100], row[200], want[300];
        bool bad = cases[i].want[0] == '!';
        snprintf(ini, sizeof ini, "columns.v = %s", cases[i].type);
        snprintf(row, sizeof row, "{\"v\":%s}\n", cases[i].json);
        snprintf(want, sizeof want, "a:0 %s%s|", cases[i].want, bad ? " (a line 1, byte 5)" : "");
        expect(ini, "a", row, "v", want);
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void test_rows(void **state)
{
    static const struct {
        const char *ini, *text, *want; /* columns n and rest */
    } cases[] = {
        {"", "{\"n\":1}\n{\"n\":2}", "a:0 1;-|a:8 2;-|"},
        {"", " { \"n\" :\t1 } \r\n\r\n  \n{\"n\":2}\n\n", "a:0 1;-|a:20 2;-|"},
        {"", "\xef\xbb\xbf{\"n\":1}\n", "a:3 1;-|"},
        {"", "{\"n\":1}\n\xef\xbb\xbf{\"n\":1}\n",
            "a:0 1;-|a:8 !no JSON: a value was expected, found `\xef\xbb\xbf` (a line 2, byte 8)|"},
        {"", "{\"b\" : 0.10,\"n\":1,\"a\":1e400, \"c\":12345678901234567890,\"\":{\"n\":[ ]}}\n",
            "a:0 1;{\"b\" : 0.10,\"a\":1e400,\"c\":12345678901234567890,\"\":{\"n\":[ ]}}|"},
        {"", "{\"\\u006e\":1,\"n\\u0000\":2}\n", "a:0 1;{\"n\\u0000\":2}|"},
        {"", "{}\n{\"m\":1}\n", "a:0 !`n` is missing (a line 1, byte 0)|a:3 !`n` is missing (a line 2, byte 3)|"},
        {"columns.x = i64?", "{\"n\":1,\"x\":null}\n", "a:0 1;-|"},
        {"", "{\"n\":1,\"m\":1,\"n\":1}\n", "a:0 !the key `n` is there twice (a line 1, byte 13)|"},
        {"", "{\"m\":1,\"n\":1,\"\\u006d\":1}\n", "a:0 !the key `m` is there twice (a line 1, byte 13)|"},
        {"", "{\"n\":1,\"m\":{\"a\":1,\"a\":2}}\n", "a:0 1;{\"m\":{\"a\":1,\"a\":2}}|"},
        {"", "[1]\n3\n\"x\"\nnull\n",
            "a:0 !the row is an array, wanted an object (a line 1, byte 0)|"
            "a:4 !the row is a number, wanted an object (a line 2, byte 4)|"
            "a:6 !the row is a string, wanted an object (a line 3, byte 6)|"
            "a:10 !the row is null, wanted an object (a line 4, byte 10)|"},
        {"", "{\"n\":1\n", "a:0 !no JSON: `,` or `}` was expected, and the row ends (a line 1, byte 6)|"},
        {"", "{\"n\":1}}\n", "a:0 !no JSON: nothing may follow the value, found `}` (a line 1, byte 7)|"},
        {"", "{\"n\":1} {}\n", "a:0 !no JSON: nothing may follow the value, found `{` (a line 1, byte 8)|"},
        {"", "{\"n\":}\n", "a:0 !no JSON: a value was expected, found `}` (a line 1, byte 5)|"},
        {"", "{\"n\":1,}\n", "a:0 !no JSON: a key was expected, found `}` (a line 1, byte 7)|"},
        {"", "{n:1}\n", "a:0 !no JSON: a key was expected, found `n` (a line 1, byte 1)|"},
        {"", "{\"n\" 1}\n", "a:0 !no JSON: `:` was expected, found `1` (a line 1, byte 5)|"},
        {"", "{\"n\":[1 2]}\n", "a:0 !no JSON: `,` or `]` was expected, found `2` (a line 1, byte 8)|"},
        {"", "{\"n\":01}\n", "a:0 !no JSON: a number does not begin with 0, found `1` (a line 1, byte 6)|"},
        {"", "{\"n\":-}\n", "a:0 !no JSON: a digit was expected, found `}` (a line 1, byte 6)|"},
        {"", "{\"n\":1.}\n", "a:0 !no JSON: a digit was expected, found `}` (a line 1, byte 7)|"},
        {"", "{\"n\":1e}\n", "a:0 !no JSON: a digit was expected, found `}` (a line 1, byte 7)|"},
        {"", "{\"n\":+1}\n", "a:0 !no JSON: a value was expected, found `+` (a line 1, byte 5)|"},
        {"", "{\"n\":NaN}\n", "a:0 !no JSON: a value was expected, found `N` (a line 1, byte 5)|"},
        {"", "{\"n\":nul}\n", "a:0 !no JSON: a value was expected, found `n` (a line 1, byte 5)|"},
        {"", "{\"n\":\"x\r\n", "a:0 !no JSON: the string has no end, and the row ends (a line 1, byte 7)|"},
        {"", "{\"n\":\"\tx\"}\n",
            "a:0 !no JSON: a control character in a string must be escaped, found `\\x09` (a line 1, byte 6)|"},
        {"", "{\"n\":\"\\x\"}\n",
            "a:0 !no JSON: no such escape, or half of a surrogate pair, found `\\` (a line 1, byte 6)|"},
        {"", "{\"m\":\"\\ud800\"}\n",
            "a:0 !no JSON: no such escape, or half of a surrogate pair, found `\\` (a line 1, byte 6)|"},
        {"", "{\"m\":\"\\udc00\\ud800\"}\n",
            "a:0 !no JSON: no such escape, or half of a surrogate pair, found `\\` (a line 1, byte 6)|"},
        {"", "{\"m\":\"\\ud800\\u0041\"}\n",
            "a:0 !no JSON: no such escape, or half of a surrogate pair, found `\\` (a line 1, byte 6)|"},
        {"", "{\"m\":\"\\u12g4\"}\n",
            "a:0 !no JSON: no such escape, or half of a surrogate pair, found `\\` (a line 1, byte 6)|"},
        {"", "{\"n\":1}\n{\"n\":\"\xff\"}\n",
            "a:0 1;-|a:8 !the row is not UTF-8: its byte 6 is 0xff (a line 2, byte 14)|"},
        {"max_row = 7", "{\"n\":1}\n{\"n\":12}\n{\"n\":2}\n",
            "a:0 1;-|a:8 !the line has 8 bytes, max_row is 7 (a line 2, byte 8)|a:17 2;-|"},
        {"id = k", "{\"n\":1,\"k\":\"x y\"}\n{\"k\":17,\"n\":2}\n", "x y 1;-|17 2;-|"},
        {"id = n", "{\"n\":5,\"k\":1}\n", "5 5;{\"k\":1}|"},
        {"id = k", "{\"n\":1}\n{\"n\":1,\"k\":\"\"}\n{\"n\":1,\"k\":[]}\n{\"n\":1,\"k\":null}\n{\"n\":0.5,\"k\":\"r\"}\n",
            "a:0 !`k` is missing, which is to be the id (a line 1, byte 0)|"
            "a:8 !its id cannot be used: a position has 1 to 4096 bytes of UTF-8 (a line 2, byte 8)|"
            "a:23 !`k` is an array, wanted a string or a number for the id (a line 3, byte 34)|"
            "a:38 !`k` is null, wanted a string or a number for the id (a line 4, byte 49)|"
            "r !`n` is a number with a fraction or an exponent, wanted i64 (a line 5, byte 60)|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char ini[200];
        snprintf(ini, sizeof ini, "columns.n = i64\n%s", cases[i].ini);
        expect(ini, "a", cases[i].text, "n,rest", cases[i].want);
    }
    expect_n("columns.n = i64", "a", S("{\"n\":1\0}\n{\"n\":\"\0\"}\n"), "n",
        "a:0 !no JSON: `,` or `}` was expected, found `\\x00` (a line 1, byte 6)|"
        "a:9 !no JSON: a control character in a string must be escaped, found `\\x00` (a line 2, byte 15)|");
}

static void test_names(void **state)
{
    expect("columns.first = utf8 First name\ncolumns.n = i64?\trow \xc3\xa9\nrest = others", "a",
        "{\"First name\":\"Ada\",\"row \xc3\xa9\":3,\"n\":4,\"first\":5}\n{\"First name\":\"\"}\n", "first,n,others",
        "a:0 Ada;3;{\"n\":4,\"first\":5}|a:48 ;-;-|");
    expect("", "a", "{\"n\":4}\n{}\n", "rest", "a:0 {\"n\":4}|a:8 -|");
}

static void test_depth(void **state)
{
    char text[300] = "", want[400];
    for (int extra = 0; extra < 2; extra++) { /* the row's object is the first of 64 */
        strcpy(text, "{\"d\":");
        for (int i = 0; i < 63 + extra; i++) strcat(text, i % 2 ? "[" : "{\"\":");
        strcat(text, "0");
        for (int i = 62 + extra; i >= 0; i--) strcat(text, i % 2 ? "]" : "}");
        strcat(text, "}");
        snprintf(want, sizeof want,
            extra ? "a:0 !no JSON: values are nested deeper than 64, found `[` (a line 1, byte %d)|" : "a:0 %.*s|",
            extra ? 5 + 32 * 4 + 31 : (int)strlen(text) - 6, extra ? "" : text + 5);
        expect("columns.d = json", "a", text, "d", want);
    }
    char *deep = malloc(1000001);
    memset(deep, '[', 1000000);
    deep[1000000] = 0;
    expect("", "a", deep, "rest", "a:0 !no JSON: values are nested deeper than 64, found `[` (a line 1, byte 64)|");
    free(deep);
}

static void test_rejected_text(void **state)
{
    make_n("a", "{\"a\":\"\n{\xff\n", 10);
    mock *m = started("path = a");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_string_equal(mock_text(mock_at(m, 0), "rest"), "\"{\\\"a\\\":\\\"\"");
    assert_string_equal(mock_text(mock_at(m, 1), "rest"), "{\"base64\":\"e/8=\"}");
    mock_free(m);
}

/* A row of very many keys, all different or all the same, takes no time that grows with their square. */
static void test_many_keys(void **state)
{
    enum { N = 150000 };
    char *text = malloc(N * 12), *to = text;
    for (int i = 0; i < N; i++) to += sprintf(to, "%c\"%d\":0", i ? ',' : '{', i);
    strcpy(to, "}\n");
    make("many", text);
    mock *m = started("path = many\nmax_row = 4M");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    jv_str rest = mock_get(mock_at(m, 0), "rest");
    assert_int_equal(rest.n, strlen(text) - 1);
    assert_memory_equal(rest.p, text, rest.n);
    mock_free(m);
    free(text);
}

/* An id is given once; a row that has it again keeps its place as its id. */
static void test_ids(void **state)
{
    expect("columns.n = i64\nid = k", "a",
        "{\"k\":\"x\",\"n\":1}\n{\"k\":\"x\",\"n\":2}\n{\"k\":\"x\"}\n{\"k\":\"y\"}\n"
        "{\"k\":\"y\",\"n\":3}\n",
        "n",
        "x 1|a:16 !its id cannot be used: an earlier row has it (a line 2, byte 16)|"
        "a:32 !`n` is missing (a line 3, byte 32)|y !`n` is missing (a line 4, byte 42)|"
        "a:52 !its id cannot be used: an earlier row has it (a line 5, byte 52)|");
    enum { N = 3000 };
    FILE *f = fopen("many", "wb");
    for (int i = 0; i < 2 * N; i++) fprintf(f, "{\"k\":%d}\n", i % N * 7);
    fclose(f);
    mock *m = started("path = many\nid = k");
    jv_err err;
    assert_int_equal(drain(m, &err), JV_END);
    assert_int_equal(mock_n(m), 2 * N);
    for (size_t i = 0; i < 2 * N; i++) assert_int_equal(mock_kind(mock_at(m, i)), i < N ? MOCK_ROOT : MOCK_REJECT);
    mock_free(m);
}

/* ---- there and back ---------------------------------------------------------------------------------------------- */

/* Moves what a reader made to a writer. */
static void hand_over(mock *writer, const jv_buf *from, const char *fields)
{
    jv_buf *b = mock_record(writer, mock_id(from));
    char names[200], *left = names;
    strcpy(names, fields);
    for (const char *name; (name = strsep(&left, ","));) {
        int32_t type = mock_type_of(from, name);
        if (type == JV_I64)
            mock_put_i64(b, name, mock_i64(from, name));
        else if (type == JV_F64)
            mock_put_f64(b, name, mock_f64(from, name));
        else if (type)
            mock_put_n(b, name, mock_get(from, name).p, mock_get(from, name).n);
    }
    jv_err err;
    int32_t rc = mock_process(writer, b, &err);
    if (rc != JV_OK) print_error("%s\n", err.text);
    assert_int_equal(rc, JV_OK);
}

static mock *new_writer(const char *fields, const char *path)
{
    char ini[300];
    mock *m = mock_new(so, "write");
    snprintf(ini, sizeof ini, "path = %s\nfields = %s\nrest = rest", path, fields);
    mock_set(m, ini);
    mock_column(m, "t", JV_UTF8, 0);
    mock_column(m, "b", JV_BYTES, 0);
    mock_column(m, "j", JV_JSON, 0);
    mock_column(m, "n", JV_I64, 0);
    mock_column(m, "x", JV_F64, 0);
    mock_column(m, "is", JV_I32S, 0);
    mock_column(m, "fs", JV_F32S, 0);
    mock_column(m, "rest", JV_JSON, 0);
    return m;
}

#define COLUMNS                                                                                                        \
    "columns.t = utf8?\ncolumns.b = bytes?\ncolumns.j = json?\ncolumns.n = i64?\ncolumns.x = f64?\n"                   \
    "columns.is = i32s?\ncolumns.fs = f32s?\n"

static void round_trip(const char *from, const char *to)
{
    char ini[400];
    jv_err err;
    snprintf(ini, sizeof ini, "path = %s\nid = id\n%s", from, COLUMNS);
    mock *r = started(ini), *w = new_writer("id,t,b,j,n,x,is,fs", to);
    assert_int_equal(mock_open(w, &err), JV_OK);
    assert_int_equal(mock_start(w, &err), JV_OK);
    assert_int_equal(drain(r, &err), JV_END);
    for (size_t i = 0; i < mock_n(r); i++) {
        if (mock_kind(mock_at(r, i)) == MOCK_REJECT) print_error("%s\n", mock_why(mock_at(r, i)));
        assert_int_equal(mock_kind(mock_at(r, i)), MOCK_ROOT);
        hand_over(w, mock_at(r, i), "t,b,j,n,x,is,fs,rest");
    }
    assert_int_equal(mock_flush(w, &err), JV_OK);
    mock_free(w);
    mock_free(r);
}

static void test_round_trip(void **state)
{
    static const char first[] =
        "{\"id\":\"1\",\"t\":\"\\\"\xe2\x82\xac\\n\",\"b\":{\"base64\":\"/w==\"},\"j\":[1.50],\"n\":-7,\"x\":0.1,"
        "\"is\":[1,-2],\"fs\":[0.1,1e+30,-3.0],\"u\":0.10,\"big\":12345678901234567890,\"e\": 1E400}\n"
        "{\"id\":\"2\",\"t\":\"\",\"b\":\"text\",\"j\":{},\"n\":0,\"x\":1.0,\"is\":[],\"fs\":[],\"\\u00e9\":[ {} ]}\n"
        "{\"id\":\"3\",\"t\":null,\"b\":null,\"j\":null,\"n\":null,\"x\":null,\"is\":null,\"fs\":null}\n";
    make("a", first);
    round_trip("a", "b");
    assert_string_equal(content("b"), first); /* fields first, then the rest: byte for byte */
    make("mixed", "{\"z\":1.0,\"n\":4,\"id\":9,\"y\":{\"k\":[]},\"t\":\"x\"}\n");
    round_trip("mixed", "c");
    assert_string_equal(content("c"), "{\"id\":\"9\",\"t\":\"x\",\"b\":null,\"j\":null,\"n\":4,\"x\":null,\"is\":null,"
                                      "\"fs\":null,\"z\":1.0,\"y\":{\"k\":[]}}\n");
    round_trip("c", "d");
    char *once = strdup(content("c"));
    assert_string_equal(content("d"), once);
    free(once);
}

/* Any string that jansson understands means the same here. */
static void test_strings_as_jansson(void **state)
{
    uint64_t s = 7;
    for (int i = 0; i < 300; i++) {
        char text[400] = "{\"v\":\"", want[600];
        for (int k = 0; k < 12; k++) {
            static const char *const pieces[] = {"\\n", "\\u0041", "\\ud83d\\ude00", "\\uD800", "\\u00e9", "x",
                "\xe2\x82\xac", "\\\\", "\\\"", "\\/", "\\uDBFF\\uDFFF", "\\u001f", " "};
            s = s * UINT64_C(6364136223846793005) + 1;
            size_t piece = (s >> 33) % 40;
            strcat(text, pieces[piece < 13 ? piece : 5]);
        }
        strcat(text, "\"}");
        json_error_t why;
        json_t *o = json_loads(text, JSON_ALLOW_NUL, &why);
        make("a", text);
        mock *m = started("path = a\ncolumns.v = utf8");
        jv_err err;
        assert_int_equal(drain(m, &err), JV_END);
        const jv_buf *b = mock_at(m, 0);
        assert_int_equal(mock_kind(b), o ? MOCK_ROOT : MOCK_REJECT);
        snprintf(want, sizeof want, "%s", o ? json_string_value(json_object_get(o, "v")) : "");
        if (o) assert_string_equal(mock_text(b, "v"), want);
        json_decref(o);
        mock_free(m);
    }
}

/* ---- the writer's rest ------------------------------------------------------------------------------------------- */

static void expect_rest(const char *rest, int32_t want, const char *text)
{
    mock *m = new_writer("id,t", "out");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    jv_buf *b = mock_record(m, "i");
    if (rest) mock_put(b, "rest", rest);
    assert_int_equal(mock_process(m, b, &err), want);
    assert_string_equal(want == JV_OK ? content("out") : err.text, text);
    mock_free(m);
}

static void test_rest(void **state)
{
    expect_rest(NULL, JV_OK, "{\"id\":\"i\",\"t\":null}\n");
    expect_rest("{ }", JV_OK, "{\"id\":\"i\",\"t\":null}\n");
    expect_rest("{\"a\":\n1, \"b\" : [ ]}", JV_OK, "{\"id\":\"i\",\"t\":null,\"a\": 1,\"b\" : [ ]}\n");
    expect_rest("{\"a\":1,\"\\u0074\":1}", JV_BAD,
        "`t` is among the fields and in `rest`: a key cannot stand in a row twice");
    expect_rest("[1]", JV_BAD, "field `rest` is no object");
    expect_rest("{\"a\"}", JV_BAD, "field `rest` is no JSON: `:` was expected at byte 4");
    expect_rest("{} x", JV_BAD, "field `rest` is no JSON: nothing may follow the value at byte 3");
    mock *m = new_writer("id,rest", "out");
    jv_err err;
    assert_true(mock_open(m, &err) < 0);
    assert_string_equal(err.text, "`fields` names `rest`, which is `rest`: it would be written twice");
    mock_free(m);
    m = mock_new(so, "write"); /* of all fields, the rest is not one */
    mock_set(m, "path = out\nrest = rest");
    mock_column(m, "rest", JV_JSON, 0);
    mock_column(m, "n", JV_I64, 0);
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    jv_buf *b = mock_record(m, "i");
    mock_put(b, "rest", "{\"k\":1}");
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_string_equal(content("out"), "{\"id\":\"i\",\"n\":null,\"k\":1}\n");
    mock_free(m);
}

static void test_arrays_without_a_spelling(void **state)
{
    mock *m = new_writer("fs", "out");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    jv_buf *b = mock_record(m, "i");
    const float v[] = {1, 2.0f / 0.0f};
    mock_put_n(b, "fs", v, sizeof v);
    assert_int_equal(mock_process(m, b, &err), JV_BAD);
    assert_string_equal(err.text, "field `fs` is inf, which JSON has no number for");
    mock_free(m);
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    make("a", "x");
    expect_no_open("path = a\ncolumns.a = text",
        "`columns.a = text`: wanted utf8, bytes, json, i64, f64, i32s or f32s");
    expect_no_open("path = a\ncolumns.a = ?", "`columns.a = ?`: wanted utf8");
    expect_no_open("path = a\ncolumns.a = i64 x\ncolumns.x = f64", "`columns.x` and `columns.a` both read `x`");
    expect_no_open("path = a\nmax_row = 0", "max_row");
}

static void test_no_memory(void **state)
{
    make("a", "{\"t\":\"x\",\"n\":1,\"u\":2}\n{\n{\"t\":\"y\"}\n");
    expect_survives("path = a, none\n" COLUMNS);
}

static void test_full_window(void **state)
{
    make("a", "{\"n\":1}\n{\n{\"n\":2}\n");
    mock *m = started("path = a\ncolumns.n = i64");
    jv_err err;
    mock_window(m, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mock_poll(m, &err), JV_OK);
        if (i < 2) assert_int_equal(mock_poll(m, &err), JV_FULL);
        assert_int_equal(mock_n(m), i + 1);
        mock_settle(m, mock_at(m, i), JV_OK, NULL);
    }
    assert_int_equal(mock_i64(mock_at(m, 2), "n"), 2);
    assert_int_equal(mock_poll(m, &err), JV_END);
    mock_free(m);
}

int main(int argc, char **argv)
{
    so = argc < 2 ? NULL : realpath(argv[1], NULL); /* tests change the folder */
    stage = "read";
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_values),
        T(test_rows),
        T(test_names),
        T(test_depth),
        T(test_rejected_text),
        T(test_many_keys),
        T(test_ids),
        T(test_round_trip),
        T(test_strings_as_jansson),
        T(test_rest),
        T(test_arrays_without_a_spelling),
        T(test_refused),
        T(test_no_memory),
        T(test_full_window),
    };
    return !so ? 2 : cmocka_run_group_tests(tests, NULL, NULL);
}
