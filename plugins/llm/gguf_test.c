/* gguf_test.c: what a sound file gives, to the byte, and which paths are no model file at all. */
#include "gguf_build.h"

#include <float.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_numbers(void **state)
{
    gguf_build b;
    jv_err err;
    uint64_t u = 0;
    double d = 0;
    bool f = false;
    put_header(&b, 2, 0, 12);
    put_key_number(&b, "u8", GGUF_U8, UINT8_MAX);
    put_key_number(&b, "u16", GGUF_U16, UINT16_MAX);
    put_key_number(&b, "u32", GGUF_U32, UINT32_MAX);
    put_key_number(&b, "u64", GGUF_U64, UINT64_MAX);
    put_key_number(&b, "i8", GGUF_I8, INT8_MAX);
    put_key_number(&b, "i16", GGUF_I16, INT16_MAX);
    put_key_number(&b, "i32", GGUF_I32, INT32_MAX);
    put_key_number(&b, "i64", GGUF_I64, INT64_MAX);
    put_key_number(&b, "minus", GGUF_I16, (uint64_t)-3);
    put_key_number(&b, "f32", GGUF_F32, 0x3e800000);
    put_key_number(&b, "f64", GGUF_F64, 0x3fe8000000000000);
    put_key_number(&b, "bool", GGUF_BOOL, 1);
    const gguf *g = sound(&b);
    static const char *const names[] = {"u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"};
    static const uint64_t most[] = {UINT8_MAX, UINT16_MAX, UINT32_MAX, UINT64_MAX, INT8_MAX, INT16_MAX, INT32_MAX,
        INT64_MAX};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(gguf_get_u64(g, names[i], &u, &err), JV_OK);
        assert_true(u == most[i]);
        assert_int_equal(gguf_get_f64(g, names[i], &d, &err), JV_BAD);
    }
    assert_int_equal(gguf_get_u64(g, "minus", &u, &err), JV_BAD);
    assert_string_equal(err.text, "key 'minus' is -3, it must not be negative");
    assert_int_equal(gguf_get_u64(g, "bool", &u, &err), JV_BAD);
    assert_string_equal(err.text, "key 'bool' is of type bool, not an integer");
    assert_int_equal(gguf_get_u64(g, "f32", &u, &err), JV_BAD);
    assert_int_equal(gguf_get_f64(g, "f32", &d, &err), JV_OK);
    assert_true(d == 0.25);
    assert_int_equal(gguf_get_f64(g, "f64", &d, &err), JV_OK);
    assert_true(d == 0.75);
    assert_int_equal(gguf_get_bool(g, "bool", &f, &err), JV_OK);
    assert_true(f);
    assert_int_equal(gguf_get_bool(g, "u8", &f, &err), JV_BAD);
    assert_string_equal(err.text, "key 'u8' is of type u8, not a bool");
    assert_int_equal(gguf_tensor_count(g), 0);
    assert_int_equal(gguf_file_size(g), b.n);
}

static void test_absent(void **state)
{
    gguf_build b;
    jv_err err = {.text = "untouched"};
    uint64_t u = 7;
    double d = 7;
    bool f = true;
    jv_str s = {"x", 1};
    gguf_array a = {.n = 7};
    put_header(&b, 3, 0, 1);
    put_key_number(&b, "abc", GGUF_U8, 1);
    const gguf *g = sound(&b);
    static const char *const absent[] = {"", "a", "ab", "abcd", "abd", "b"};
    for (int i = 0; i < 6; i++) {
        assert_int_equal(gguf_get_u64(g, absent[i], &u, &err), 1);
        assert_int_equal(gguf_get_f64(g, absent[i], &d, &err), 1);
        assert_int_equal(gguf_get_bool(g, absent[i], &f, &err), 1);
        assert_int_equal(gguf_get_string(g, absent[i], &s, &err), 1);
        assert_int_equal(gguf_get_array(g, absent[i], GGUF_U8, &a, &err), 1);
        assert_null(gguf_find_tensor(g, absent[i]));
    }
    assert_true(u == 7 && d == 7 && f && s.n == 1 && a.n == 7);
    assert_string_equal(err.text, "untouched");
}

static void test_strings(void **state)
{
    gguf_build b;
    jv_err err;
    jv_str s;
    gguf_array a;
    uint64_t at = 0;
    put_header(&b, 3, 0, 4);
    put_key(&b, "empty", GGUF_STRING);
    put_text(&b, "");
    put_key(&b, "nul", GGUF_STRING);
    put_bytes(&b, "a\0b\xff", 4);
    put_key_array(&b, "list", GGUF_STRING, 3);
    put_text(&b, "one");
    put_text(&b, "");
    put_bytes(&b, "\0", 1);
    put_key_array(&b, "none", GGUF_STRING, 0);
    const gguf *g = sound(&b);
    assert_int_equal(gguf_get_string(g, "empty", &s, &err), JV_OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(gguf_get_string(g, "nul", &s, &err), JV_OK);
    assert_int_equal(s.n, 4);
    assert_memory_equal(s.p, "a\0b\xff", 4);
    assert_int_equal(gguf_get_array(g, "list", GGUF_STRING, &a, &err), JV_OK);
    assert_int_equal(a.n, 3);
    s = gguf_array_string(&a, &at);
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "one", 3);
    assert_int_equal(gguf_array_string(&a, &at).n, 0);
    s = gguf_array_string(&a, &at);
    assert_int_equal(s.n, 1);
    assert_memory_equal(s.p, "\0", 1);
    assert_null(gguf_array_string(&a, &at).p);
    assert_int_equal(gguf_get_array(g, "none", GGUF_STRING, &a, &err), JV_OK);
    assert_int_equal(a.n, 0);
    assert_int_equal(gguf_get_string(g, "list", &s, &err), JV_BAD);
    assert_string_equal(err.text, "key 'list' is an array of string, not a string");
    assert_int_equal(gguf_get_array(g, "nul", GGUF_STRING, &a, &err), JV_BAD);
    assert_string_equal(err.text, "key 'nul' is of type string, not an array of string");
    assert_int_equal(gguf_get_array(g, "list", GGUF_I32, &a, &err), JV_BAD);
    assert_string_equal(err.text, "key 'list' is an array of string, not an array of i32");
}

static void test_arrays(void **state)
{
    static const uint32_t integers[] = {GGUF_I8, GGUF_I16, GGUF_I32, GGUF_I64, GGUF_U8, GGUF_U16, GGUF_U32, GGUF_U64,
        GGUF_BOOL};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        gguf_build b;
        jv_err err;
        gguf_array a;
        uint32_t type = integers[i], size = gguf_value_size(type);
        int64_t second = i < 4 ? -2 : 1;
        put_header(&b, 3, 0, 1);
        put_key_array(&b, "row", type, 3);
        put(&b, &(int64_t){1}, size);
        put(&b, &second, size);
        put(&b, &(int64_t){0}, size);
        assert_int_equal(gguf_get_array(sound(&b), "row", type, &a, &err), JV_OK);
        assert_int_equal(a.n, 3);
        assert_int_equal(a.bytes, 3 * size);
        assert_int_equal(gguf_array_i64(&a, 0), 1);
        assert_int_equal(gguf_array_i64(&a, 1), second);
        assert_int_equal(gguf_array_i64(&a, 2), 0);
    }
    gguf_build b;
    jv_err err;
    gguf_array a;
    put_header(&b, 3, 0, 2);
    put_key_array(&b, "f32", GGUF_F32, 2);
    put(&b, &(float[]){FLT_MAX, -0.5f}, 8);
    put_key_array(&b, "f64", GGUF_F64, 2);
    put(&b, &(double[]){DBL_MAX, -0.5}, 16);
    assert_int_equal(gguf_get_array(sound(&b), "f32", GGUF_F32, &a, &err), JV_OK);
    assert_true(gguf_array_f64(&a, 0) == (double)FLT_MAX && gguf_array_f64(&a, 1) == -0.5);
    assert_int_equal(gguf_get_array(held.g, "f64", GGUF_F64, &a, &err), JV_OK);
    assert_true(gguf_array_f64(&a, 0) == DBL_MAX && gguf_array_f64(&a, 1) == -0.5);
}

/* Three tensors, out of order in the file, with a gap; the alignment is the file's own. */
static void test_tensors(void **state)
{
    gguf_build b;
    put_header(&b, 3, 3, 1);
    put_key_number(&b, "general.alignment", GGUF_U32, 64);
    put_tensor(&b, "z", 8, 2, (uint64_t[]){64, 2}, 128);
    put_tensor(&b, "m", 0, 4, (uint64_t[]){2, 1, 2, 3}, 0);
    put_tensor(&b, "a", 1, 1, (uint64_t[]){5}, 64);
    put_data(&b, 64, 128 + 2 * 2 * 34);
    const gguf *g = sound(&b);
    assert_int_equal(gguf_tensor_count(g), 3);
    const gguf_tensor *t = gguf_tensor_at(g, 0);
    assert_ptr_equal(t, gguf_find_tensor(g, "z"));
    assert_int_equal(t->type, 8);
    assert_int_equal(t->bytes, 136);
    assert_true(t->n_dims == 2 && t->ne[0] == 64 && t->ne[1] == 2 && t->ne[2] == 1 && t->ne[3] == 1);
    assert_int_equal(*(const unsigned char *)t->data, 128);
    t = gguf_find_tensor(g, "m");
    assert_ptr_equal(t, gguf_tensor_at(g, 1));
    assert_true(t->bytes == 48 && t->ne[3] == 3);
    assert_int_equal(((const unsigned char *)t->data - (const unsigned char *)held.copy) % 64, 0);
    assert_int_equal(*(const unsigned char *)t->data, 0);
    assert_int_equal(*(const unsigned char *)gguf_find_tensor(g, "a")->data, 64);
}

static void test_types(void **state)
{
    uint64_t bytes = 7;
    assert_string_equal(gguf_type_name(0), "F32");
    assert_string_equal(gguf_type_name(12), "Q4_K");
    static const uint32_t unknown[] = {4, 5, 31, 33, 36, 38, 42, UINT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        assert_string_equal(gguf_type_name(unknown[i]), "unknown");
        assert_false(gguf_type_bytes(unknown[i], 256, &bytes));
    }
    assert_false(gguf_type_bytes(8, 33, &bytes));
    assert_false(gguf_type_bytes(28, UINT64_C(1) << 61, &bytes));
    assert_int_equal(bytes, 7);
    assert_true(gguf_type_bytes(8, 64, &bytes));
    assert_int_equal(bytes, 68);
    assert_true(gguf_type_bytes(14, 512, &bytes));
    assert_int_equal(bytes, 420);
    assert_true(gguf_type_bytes(8, 0, &bytes));
    assert_int_equal(bytes, 0);
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/gguf_test_XXXXXX";
static char path[sizeof folder + 300];

static int make_folder(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    drop();
    return rmdir(folder);
}

/* `path` is NAME in the folder, a file of n bytes. */
static void write_file(const char *name, const void *bytes, size_t n)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void path_refused(const char *p, int32_t code, const char *why)
{
    gguf *g = NULL;
    jv_err err;
    assert_int_equal(gguf_open(p, &g, &err), code);
    assert_null(g);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, why)) fail_msg("'%s' does not say '%s'", err.text, why);
}

static void test_file(void **state)
{
    gguf_build b;
    gguf *g = NULL;
    jv_err err;
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "t", 0, 1, (uint64_t[]){2}, 0);
    put_data(&b, 32, 8);
    write_file("good", b.bytes, b.n);
    assert_int_equal(gguf_open(path, &g, &err), JV_OK);
    unlink(path);
    assert_int_equal(gguf_file_size(g), b.n);
    assert_int_equal(((const unsigned char *)gguf_find_tensor(g, "t")->data)[7], 7);
    gguf_close(g);
    gguf_close(NULL);
}

static void test_bad_paths(void **state)
{
    char name[256];
    path_refused(folder, JV_BAD, ": a folder, not a file");
    path_refused("/dev/null", JV_BAD, "/dev/null: not a regular file");
    write_file("empty", "", 0);
    path_refused(path, JV_BAD, "/empty: the file is empty");
    unlink(path);
    path_refused(path, JV_FATAL, "/empty: No such file or directory");
    assert_int_equal(mkfifo(path, 0600), 0);
    path_refused(path, JV_BAD, "/empty: not a regular file");
    unlink(path);
    memset(name, 'n', 255);
    name[255] = 0;
    write_file(name, "not a model", 11);
    path_refused(path, JV_BAD, "nnn: not a GGUF file: it does not begin with those letters");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_bad_paths),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
