/* tokenizer_bad_test.c: vocabularies that are at fault, each refused with its reason, and those let through on
 * purpose. */
#include "tokenizer_build.h"

#define KNOWN                                                                                                          \
    "smollm, starcoder, refact, command-r, codeshell, exaone, gpt-2, phi-2, mellum, a.x-4.0, gigachat, modern-bert, "  \
    "exaone4, llama-bpe, llama3, llama-v3, falcon3, falcon-h1, pixtral, midm-2.0, lfm2, qwen2, deepseek-r1-qwen, "     \
    "megrez, stablelm2, hunyuan, default"

static void refused(const vocab_spec *s, const char *why)
{
    if (load(s)) fail_msg("taken, though: %s", why);
    assert_int_equal(now.rc, JV_BAD);
    assert_string_equal(now.err.text, why);
}

static void test_names(void **state)
{
    refused(&(vocab_spec){.model = ""}, "the file has no tokenizer.ggml.model");
    refused(&(vocab_spec){.model = "t5"},
        "tokenizer.ggml.model is \"t5\"; known are gpt2 (byte-level BPE) and llama (SentencePiece)");
    refused(&(vocab_spec){.model = "gpt2\n\x1b\xFF"},
        "tokenizer.ggml.model is \"gpt2???\"; known are gpt2 (byte-level BPE) and llama (SentencePiece)");
    refused(&(vocab_spec){.pre = "qwen3"}, "tokenizer.ggml.pre is \"qwen3\"; known are " KNOWN);
    refused(&(vocab_spec){.pre = ""}, "tokenizer.ggml.pre is \"\"; known are " KNOWN);
    refused(&(vocab_spec){.pre = "a name\tof over forty bytes, cut short at forty"},
        "tokenizer.ggml.pre is \"a name?of over forty bytes, cut short at\"; known are " KNOWN);
}

static void test_tokens(void **state)
{
    static const text_and_type twice[] = {{"xy", 1}, {"z!", 1}, {"xy", 1}, {0}}, odd_type[] = {{"xy", 7}, {0}},
                               minus[] = {{"xy", -1}, {0}}, none[] = {{0}};
    refused(&(vocab_spec){.no_list = true}, "the file has no tokenizer.ggml.tokens");
    refused(&(vocab_spec){.no_bytes = true, .added = none}, "the file has no tokenizer.ggml.tokens");
    refused(&(vocab_spec){.added = twice}, "tokens 256 and 258 have the same text");
    refused(&(vocab_spec){.added = odd_type}, "token 256 has type 7, not 0..6");
    refused(&(vocab_spec){.added = minus}, "token 256 has type -1, not 0..6");
    refused(&(vocab_spec){.n_types = 255}, "tokenizer.ggml.token_type has 255 items, not 256");
    refused(&(vocab_spec){.n_types = 257}, "tokenizer.ggml.token_type has 257 items, not 256");
    char *text = calloc(1, 257);
    assert_non_null(text);
    memset(text, '<', 256);
    refused(&(vocab_spec){.added = (const text_and_type[]){{text, 3}, {0}}},
        "special token 256 has 256 bytes, over 255");
    text[255] = 0;
    sound(&(vocab_spec){.added = (const text_and_type[]){{text, 3}, {0}}});
    assert_ids(encode(text, 255, true), IDS(256));
    free(text);
}

static void test_merges(void **state)
{
    static const text_and_type added[] = {{"ab", 1}, {0}};
    static const struct {
        const char *merge, *why;
    } bad[] = {
        {"", "merge 1 (0 bytes) has no space between its parts"},
        {" ", "merge 1 (1 bytes) has no space between its parts"},
        {"ab", "merge 1 (2 bytes) has no space between its parts"},
        {" b", "merge 1 (2 bytes) has no space between its parts"},
        {"ab ", "the right part of merge 1 (2 + 0 bytes) is no token"},
        {"abc b", "the left part of merge 1 (3 + 1 bytes) is no token"},
        {"a bc", "the right part of merge 1 (1 + 2 bytes) is no token"},
        {"b a", "the result of merge 1 (1 + 1 bytes) is no token"},
        {"a  b", "the right part of merge 1 (1 + 2 bytes) is no token"},
        {"\xFF\xFE \xFD", "the left part of merge 1 (2 + 1 bytes) is no token"},
    };
    refused(&(vocab_spec){.no_merges = true}, "the file has no tokenizer.ggml.merges");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(&(vocab_spec){.added = added, .merges = (const char *[]){"a b", bad[i].merge, NULL}}, bad[i].why);
}

static void test_ids(void **state)
{
    static const char *const keys[] = {"bos", "eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        static const uint32_t values[] = {256, INT32_MAX, UINT32_MAX};
        char key[64], why[128];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", keys[i]);
        for (int k = 0; k < 3; k++) {
            snprintf(why, sizeof why, "%s is %u, the file has 256 tokens", key, values[k]);
            refused(&(vocab_spec){.keys = {{key, GGUF_U32, values[k]}}}, why);
        }
        sound(&(vocab_spec){.keys = {{key, GGUF_U32, 255}}});
    }
    refused(&(vocab_spec){.keys = {{"tokenizer.ggml.add_bos_token", GGUF_BOOL, 1}}},
        "tokenizer.ggml.add_bos_token is true, but the file has no tokenizer.ggml.bos_token_id");
}

/* Keys of another type than the format's are refused by gguf.h's getters; here it matters that the tokenizer asks. */
static void test_types_of_keys(void **state)
{
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "eot_token_id", "model", "pre", "tokens",
        "merges"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s", keys[i]);
        assert_null(load(&(vocab_spec){.model = strcmp(keys[i], "model") == 0 ? "" : NULL,
            .no_list = strcmp(keys[i], "tokens") == 0,
            .no_merges = strcmp(keys[i], "merges") == 0,
            .keys = {{key, GGUF_BOOL, 1}}}));
        assert_int_equal(now.rc, JV_BAD);
        assert_non_null(strstr(now.err.text, key));
    }
}

static uint32_t fnv(const char *s)
{
    uint32_t h = 2166136261u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 16777619u;
    return h;
}

/* 1,700 texts that all want the first places of the index, which has 4,096: refused before it costs anything. */
static void test_collisions(void **state)
{
    enum { N = 1700 };
    static char texts[N][12];
    static text_and_type added[N + 1];
    uint32_t n = 0;
    for (uint32_t i = 0; n < N; i++) {
        snprintf(texts[n], sizeof texts[n], "x%u", i);
        if ((fnv(texts[n]) & 4095) < 4) added[n] = (text_and_type){texts[n], 1}, n++;
    }
    assert_null(load(&(vocab_spec){.added = added}));
    assert_int_equal(now.rc, JV_BAD);
    assert_non_null(strstr(now.err.text, "the hashes of over 1024 tokens collide"));
}

/* What peers' files do have: empty texts, texts outside the byte alphabet, types that are no text, double merges. */
static void test_let_through(void **state)
{
    static const text_and_type added[] = {{"", 1}, {"", 3}, {"\u4E2D x", 1}, {"\xFF", 1}, {"<p>", 5}, {"<x>", 0},
        {"\u0144", 1}, {"ab", 6}, {0}};
    sound(&(vocab_spec){.added = added, .merges = (const char *[]){"a b", "a b", NULL}});
    static const size_t bytes_of[] = {0, 0, 5, 1, 0, 0, 2, 2};
    for (int i = 0; i < 8; i++) assert_int_equal(tokenizer_piece(now.t, 256 + i).n, bytes_of[i]);
    assert_ids(encode("\u4E2D x", 5, true), IDS(0xE4, 0xB8, 0xAD, ' ', 'x'));
    assert_ids(encode("ab", 2, true), IDS(263));
}

/* Any byte of a sound file changed: refused with a reason, or it works. */
static void test_flipped_bytes(void **state)
{
    static const text_and_type added[] = {{"ab", 1}, {"<s>", 3}, {"<|u|>", 4}, {0}};
    const vocab_spec s = {.pre = "llama-bpe",
        .added = added,
        .merges = (const char *[]){"a b", NULL},
        .keys = {{"tokenizer.ggml.bos_token_id", GGUF_U32, 257}}};
    sound(&s);
    size_t n = now.file.n;
    for (size_t i = 0; i < n; i++) {
        drop();
        now.file = build(&s);
        now.file.p[i] ^= (uint8_t)(1u << i % 8);
        if (gguf_open_memory(now.file.p, n, &now.g, &now.err) != JV_OK) continue;
        now.rc = tokenizer_new(now.g, &now.t, &now.err);
        if (now.rc == JV_OK)
            encode("ab <s><|u|> \xFF 12", 16, true);
        else
            assert_true(now.rc == JV_BAD && now.err.text[0]);
    }
}

static int clean_up(void **state)
{
    drop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_merges), cmocka_unit_test(test_ids), cmocka_unit_test(test_types_of_keys),
        cmocka_unit_test(test_collisions), cmocka_unit_test(test_let_through), cmocka_unit_test(test_flipped_bytes)};
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
