/* gguf_bad_test.c: what an unsound file is refused for, word by word, and many broken ones that must do no harm. */
#include "gguf_build.h"
#include "gguf_touch.h"

static void test_bad_headers(void **state)
{
    gguf_build b = {.n = 0};
    refused(&b, "the file is empty");
    put(&b, "PK\3\4", 4);
    refused(&b, "not a GGUF file: it does not begin with those letters");
    b.n = 0;
    put(&b, "GGUF\3", 5);
    refused(&b, "the file: a header takes 24 bytes at byte 0, the file ends at 5 (bytes missing: 19)");
    static const struct {
        uint32_t version;
        uint64_t n_tensors, n_keys;
        const char *why;
    } rows[] = {
        {0, 0, 0, "GGUF version 0, only 2 and 3 are supported"},
        {1, 0, 0, "GGUF version 1, only 2 and 3 are supported"},
        {4, 0, 0, "GGUF version 4, only 2 and 3 are supported"},
        {0x03000000, 0, 0, "a big-endian file (its version reads 0x03000000), only little-endian ones are supported"},
        {3, 65537, 0, "65537 tensors, at most 65536 are allowed"},
        {3, 0, UINT64_MAX, "18446744073709551615 keys, at most 65536 are allowed"},
        {3, 2, 3,
            "3 keys and 2 tensors: the smallest list of them takes 108 bytes at byte 24, the file ends at 24 "
            "(bytes missing: 108)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_header(&b, rows[i].version, rows[i].n_tensors, rows[i].n_keys);
        refused(&b, rows[i].why);
    }
}

static void test_bad_keys(void **state)
{
    static const struct {
        uint32_t type;
        uint64_t value;
        const char *why;
    } numbers[] = {
        {GGUF_BOOL, 2, "key 'general.alignment': a bool is 2, neither 0 nor 1"},
        {GGUF_U64, 32, "key 'general.alignment' is of type u64, not u32"},
        {GGUF_U32, 0, "key 'general.alignment' is 0, not a power of two from 32 to 65536"},
        {GGUF_U32, 16, "key 'general.alignment' is 16, not a power of two from 32 to 65536"},
        {GGUF_U32, 96, "key 'general.alignment' is 96, not a power of two from 32 to 65536"},
        {GGUF_U32, 131072, "key 'general.alignment' is 131072, not a power of two from 32 to 65536"},
        {GGUF_U32, 0x80000000, "key 'general.alignment' is 2147483648, not a power of two from 32 to 65536"},
    };
    gguf_build b;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        put_header(&b, 3, 0, 1);
        put_key_number(&b, "general.alignment", numbers[i].type, numbers[i].value);
        refused(&b, numbers[i].why);
    }
    static const struct {
        uint32_t type;
        uint64_t n;
        const char *why;
    } arrays[] = {
        {GGUF_ARRAY, 1, "key 'k': arrays of arrays are not supported"},
        {13, 1, "key 'k': items of unknown type 13"},
        {GGUF_BOOL, 3, "key 'k': a bool is 2, neither 0 nor 1"},
        {GGUF_U16, 4, "key 'k': its array takes 8 bytes at byte 49, the file ends at 52 (bytes missing: 5)"},
        {GGUF_U64, UINT64_C(1) << 61,
            "key 'k': its array has 2305843009213693952 items of type u64, their size does not fit 64 bits"},
        {GGUF_STRING, UINT64_C(1) << 61,
            "key 'k': an array of 2305843009213693952 strings, their size does not fit 64 bits"},
        {GGUF_STRING, 1,
            "key 'k': its array (lengths alone) takes 8 bytes at byte 49, the file ends at 52 (bytes missing: 5)"},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        put_header(&b, 3, 0, 1);
        put_key_array(&b, "k", arrays[i].type, arrays[i].n);
        put(&b, "\0\1\2", 3);
        refused(&b, arrays[i].why);
    }
    put_header(&b, 3, 0, 1);
    put_key_number(&b, "k", 13, 0);
    put_data(&b, 64, 0);
    refused(&b, "key 'k': a value of unknown type 13");
}

static void test_bad_names(void **state)
{
    gguf_build b;
    char name[GGUF_MAX_NAME + 2];
    put_header(&b, 3, 0, 2);
    put_key_number(&b, "same", GGUF_U32, 1);
    put_key_number(&b, "same", GGUF_U32, 1);
    refused(&b, "key 'same' is there more than once");
    put_header(&b, 3, 0, 1);
    put_key_number(&b, "", GGUF_U32, 1);
    refused(&b, "key 0: its name has 0 bytes, 1 to 255 are allowed");
    memset(name, 'n', sizeof name);
    name[GGUF_MAX_NAME] = 0;
    put_header(&b, 3, 0, 1);
    put_key_number(&b, name, GGUF_U32, 1);
    sound(&b);
    name[GGUF_MAX_NAME] = 'n';
    name[GGUF_MAX_NAME + 1] = 0;
    put_header(&b, 3, 0, 1);
    put_key_number(&b, name, GGUF_U32, 1);
    refused(&b, "key 0: its name has 256 bytes, 1 to 255 are allowed");
    put_header(&b, 3, 0, 1);
    put_key_number(&b, "\033[2J\n'\\\xc3\xa9~ok", 13, 1);
    refused(&b, "key '\\x1b[2J\\x0a\\x27\\x5c\\xc3\\xa9~ok': a value of unknown type 13");
    memset(name, '\a', GGUF_MAX_NAME);
    name[GGUF_MAX_NAME] = 0;
    put_header(&b, 3, 0, 1);
    put_key_number(&b, name, 13, 1);
    assert_null(hold(b.bytes, b.n));
    assert_non_null(strstr(held.err.text, "\\x07...': a value of unknown type 13"));
}

static void test_bad_tensors(void **state)
{
    static const struct {
        uint32_t type, n_dims;
        uint64_t ne[5];
        uint64_t offset;
        const char *why;
    } rows[] = {
        {0, 0, {0}, 0, "tensor 't': 0 dimensions, 1 to 4 are allowed"},
        {0, 5, {1, 1, 1, 1, 1}, 0, "tensor 't': 5 dimensions, 1 to 4 are allowed"},
        {0, 2, {4, 0}, 0, "tensor 't': dimension 1 is 0"},
        {4, 1, {32}, 0, "tensor 't': unknown type of weights 4"},
        {99, 1, {32}, 0, "tensor 't': unknown type of weights 99"},
        {8, 2, {16, 2}, 0, "tensor 't': 16 columns, but Q8_0 has blocks of 32"},
        {0, 3, {4, (1 << 30) - 1, (1 << 30) + 1}, 0,
            "tensor 't': 18446744073709551600 bytes at offset 0 are more than any file holds"},
        {0, 3, {UINT64_C(1) << 63, 2, 1}, 0,
            "tensor 't': 9223372036854775808 x 2 x 1 x 1 weights are more than any file holds"},
        {0, 2, {UINT64_C(1) << 32, UINT64_C(1) << 32}, 0,
            "tensor 't': 4294967296 x 4294967296 x 1 x 1 weights are more than any file holds"},
        {0, 1, {8}, 33, "tensor 't': offset 33 is no multiple of the alignment 32"},
        {0, 1, {8}, UINT64_MAX - 31, "tensor 't': 32 bytes at offset 18446744073709551584 are more than any file holds"},
        {0, 1, {8}, 64, "tensor 't' ends at byte 160, the file at 128 (bytes missing: 32)"},
        {0, 1, {17}, 0, "tensor 't' ends at byte 132, the file at 128 (bytes missing: 4)"},
    };
    gguf_build b;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_header(&b, 3, 1, 0);
        put_tensor(&b, "t", rows[i].type, rows[i].n_dims, rows[i].ne, rows[i].offset);
        put_data(&b, 64, 64);
        refused(&b, rows[i].why);
    }
}

/* Two tensors of 32 bytes each, the second at that offset. */
static void put_two(gguf_build *b, const char *second, uint64_t offset)
{
    put_header(b, 3, 2, 0);
    put_tensor(b, "a", 0, 1, (uint64_t[]){8}, 32);
    put_tensor(b, second, 0, 1, (uint64_t[]){8}, offset);
    put_data(b, 64, 128);
}

static void test_bad_pairs(void **state)
{
    gguf_build b;
    put_two(&b, "b", 64);
    sound(&b);
    put_two(&b, "b", 0);
    sound(&b);
    put_two(&b, "a", 64);
    refused(&b, "tensor 'a' is there more than once");
    put_two(&b, "b", 32);
    refused(&b, "tensor 'a' takes 32 bytes, but tensor 'b' begins 0 bytes after it does");
    put_header(&b, 3, 2, 0);
    put_tensor(&b, "a", 0, 1, (uint64_t[]){8}, 32);
    put_tensor(&b, "b", 0, 1, (uint64_t[]){9}, 0);
    put_data(&b, 64, 128);
    refused(&b, "tensor 'b' takes 36 bytes, but tensor 'a' begins 32 bytes after it does");
}

/* As many keys and tensors as are allowed. Names share all but their end, the worst case for sorting. */
static void test_limits(void **state)
{
    enum { N = GGUF_MAX_KEYS, KEY = 8 + 16 + 4 + 1, TENSOR = 8 + 16 + 4 + 8 + 4 + 8 };
    size_t n = 24 + (size_t)N * (KEY + TENSOR) + (size_t)N * 32, at = 24;
    unsigned char *file = calloc(1, n + 32);
    char name[17];
    uint64_t word;
    assert_non_null(file);
    memcpy(file, "GGUF\3", 5);
    memcpy(file + 8, &(uint64_t){N}, 8);
    memcpy(file + 16, &(uint64_t){N}, 8);
    for (uint64_t i = 0; i < 2 * N; i++) {
        snprintf(name, sizeof name, "name%012u", (unsigned)(i * 7919 % N));
        file[at] = 16;
        memcpy(file + at + 8, name, 16);
        if (i >= N) {
            file[at + 24] = 1; /* dimensions: one, of 1 */
            file[at + 28] = 1;
            word = (i - N) * 32;
            memcpy(file + at + 40, &word, 8);
        }
        at += i < N ? KEY : TENSOR;
    }
    if (!hold(file, n + 32)) fail_msg("refused: %s", held.err.text);
    assert_non_null(gguf_find_tensor(held.g, "name000000065535"));
    assert_int_equal(gguf_get_u64(held.g, "name000000000000", &word, &held.err), JV_OK);
    memcpy(file + 16, &(uint64_t){N + 1}, 8);
    assert_null(hold(file, n + 32));
    assert_string_equal(held.err.text, "65537 keys, at most 65536 are allowed");
    free(file);
}

/* ---- broken on purpose ------------------------------------------------------------------------------------------- */

/* A field of each kind. */
static void put_specimen(gguf_build *b)
{
    put_header(b, 3, 2, 7);
    put_key(b, "general.architecture", GGUF_STRING);
    put_text(b, "llama");
    put_key(b, "general.alignment", GGUF_U32);
    put_u32(b, 32);
    put_key_number(b, "a.flag", GGUF_BOOL, 1);
    put_key_number(b, "a.float", GGUF_F64, 1);
    put_key_array(b, "a.list", GGUF_STRING, 3);
    put_text(b, "one");
    put_text(b, "");
    put_text(b, "three");
    put_key_array(b, "a.row", GGUF_I32, 3);
    put(b, (int32_t[]){1, -2, 3}, 12);
    put_key_array(b, "a.bits", GGUF_BOOL, 2);
    put(b, "\0\1", 2);
    put_tensor(b, "matrix", 8, 2, (uint64_t[]){32, 2}, 0);
    put_tensor(b, "vector", 0, 1, (uint64_t[]){4}, 96);
    put_data(b, 32, 112);
}

/* Opens it, and whatever comes of it must be in order. True when it was refused. */
static bool harmless(const void *bytes, size_t n)
{
    if (hold(bytes, n)) {
        gguf_touch(held.g);
        return false;
    }
    assert_int_equal(held.rc, JV_BAD);
    assert_int_equal(held.err.code, JV_BAD);
    assert_true(strlen(held.err.text) > 10);
    for (const char *c = held.err.text; *c; c++) assert_true(*c >= 0x20 && *c < 0x7f);
    return true;
}

/* Every number of the file set to the values that break readers. */
static void test_every_field(void **state)
{
    static const uint64_t values[] = {0, 1, UINT64_C(1) << 31, UINT32_MAX, UINT64_C(1) << 63, UINT64_MAX};
    gguf_build b;
    size_t tried = 0, opened = 0;
    put_specimen(&b);
    sound(&b);
    for (size_t i = 0; i < b.n_fields; i++) {
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            gguf_build broken = b;
            memcpy(broken.bytes + b.fields[i].at, &values[v], b.fields[i].width);
            bool same = !memcmp(broken.bytes, b.bytes, b.n);
            tried++;
            if (harmless(broken.bytes, b.n))
                assert_false(same);
            else
                opened++;
        }
    }
    print_message("%zu files with a changed number, %zu of them still sound\n", tried, opened);
    assert_true(opened < tried / 4);
}

/* Every length shorter than the whole is refused, with the number of bytes that are missing: of the whole file once the
 * tensors are known. */
static void test_every_truncation(void **state)
{
    gguf_build b;
    put_specimen(&b);
    const gguf *g = sound(&b);
    size_t data_at = (size_t)((const char *)gguf_tensor_at(g, 0)->data - (const char *)held.copy);
    for (size_t n = 0; n < b.n; n++) {
        unsigned long long missing = 0;
        assert_true(harmless(b.bytes, n));
        if (n == 0) continue;
        const char *said = strstr(held.err.text, "(bytes missing: ");
        assert_non_null(said);
        assert_int_equal(sscanf(said, "(bytes missing: %llu)", &missing), 1);
        assert_in_range(missing, n < data_at ? 1 : b.n - n, b.n - n);
    }
}

/* Every byte set to every value: far more than any field has meanings. */
static void test_every_byte(void **state)
{
    gguf_build b;
    size_t opened = 0;
    put_specimen(&b);
    for (size_t i = 0; i < b.n; i++) {
        for (int v = 0; v < 256; v++) {
            gguf_build broken = b;
            broken.bytes[i] = (unsigned char)v;
            opened += !harmless(broken.bytes, b.n);
        }
    }
    print_message("%zu files with a changed byte, %zu of them still sound\n", b.n * 256, opened);
    assert_true(opened >= b.n);
}

static int clean(void **state)
{
    drop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_bad_pairs),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
