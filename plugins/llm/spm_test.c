/*
 * spm_test.c: vocabularies of SentencePiece: joining by scores against a search that tries every pair, spaces, bytes,
 * user-defined and control tokens, long runs; and those that are at fault.
 */
#include "tokenizer_build.h"

#include <math.h>

#define SP "\u2581"

static const text_and_type abc[] = {{"a", 1, -1}, {"b", 1, -2}, {"c", 1, -3}, {SP, 1, -4}, {"ab", 1, -9}, {"bc", 1, -8},
    {"aa", 1, -8}, {SP "a", 1, -8.5f}, {"aaa", 1, -8}, {"\u00E9", 1, -5}, {0}};
enum { A = 256, B, C, SPACE, AB, BC, AA, SPACE_A, AAA, E_ACUTE };

static const number_key no_prefix = {"tokenizer.ggml.add_space_prefix", GGUF_BOOL, 0};

static void test_scores(void **state)
{
    sound(&(vocab_spec){.spm = true, .added = abc, .keys = {no_prefix}});
    assert_ids(encode("abc", 3, false), IDS(A, BC)); /* bc before ab */
    assert_ids(encode("aab", 3, false), IDS(AA, B));
    assert_ids(encode("aaa", 3, false), IDS(AAA));
    assert_ids(encode("aaaa", 4, false), IDS(AAA, A)); /* aaa and the second aa have one score: the leftmost first */
    assert_ids(encode("ba a", 4, false), IDS(B, A, SPACE_A));
    assert_ids(encode("\u00E9", 2, false), IDS(E_ACUTE));
}

static void test_spaces(void **state)
{
    sound(&(vocab_spec){.spm = true, .added = abc});
    assert_ids(encode("a", 1, false), IDS(SPACE_A));
    assert_ids(encode(" a", 2, false), IDS(SPACE, SPACE_A));
    assert_ids(encode(SP "a", 4, false), IDS(SPACE, SPACE_A)); /* the character itself is a space too */
    assert_int_equal(encode("", 0, false)->n, 0);
    static const text_and_type marked[] = {{"a", 1, -1}, {SP, 1, -4}, {SP "a", 1, -8}, {"<s>", 3, 0}, {"<u>", 4, 0}, {0}};
    sound(&(vocab_spec){.spm = true, .added = marked});
    assert_ids(encode("a<s>a<u>a", 9, true), IDS(258, 259, 258, 260, 258));
    assert_ids(encode("<u><u>", 6, false), IDS(260, 260));
    jv_str piece = tokenizer_piece(now.t, 258);
    assert_int_equal(piece.n, 2);
    assert_memory_equal(piece.p, " a", 2);
    assert_int_equal(tokenizer_piece(now.t, 259).n, 0);
    assert_int_equal(tokenizer_piece(now.t, 260).n, 3);
    assert_int_equal(tokenizer_piece(now.t, '\n').n, 1);
    assert_int_equal(*tokenizer_piece(now.t, '\n').p, '\n');
}

/* What is no character is cut by its first byte, and becomes bytes. */
static void test_bytes(void **state)
{
    sound(&(vocab_spec){.spm = true, .added = abc, .keys = {no_prefix}});
    assert_ids(encode("\xFF", 1, false), IDS(0xFF));
    assert_ids(encode("\xC3", 1, false), IDS(0xC3));
    assert_ids(encode("\xE2"
                      "ab",
                   3, false),
        IDS(0xE2, 'a', 'b'));
    assert_ids(encode("\xE2"
                      "abc",
                   4, false),
        IDS(0xE2, 'a', 'b', C));
    assert_ids(encode("\xC3 ", 2, false), IDS(0xC3, 0xE2, 0x96, 0x81));
    assert_ids(encode("\0\n", 2, false), IDS(0, '\n'));
    assert_ids(encode("<0x0A>", 6, true), IDS('<', '0', 'x', '0', 'A', '>'));
    sound(&(vocab_spec){.spm = true, .no_bytes = true, .added = abc, .keys = {no_prefix}});
    assert_ids(encode("a\xFFz", 3, false), IDS(A - 256));
    assert_int_equal(now.list.lost, 2);
}

/* Untrusted text makes no control token, neither by joining nor as a character; user-defined ones it does. */
static void test_control(void **state)
{
    static const text_and_type added[] = {{"a", 1, -1}, {"b", 1, -1}, {"ab", 3, 0}, {"abb", 1, 0}, {"\u00E9", 3, 0},
        {"bb", 4, 0}, {0}};
    sound(&(vocab_spec){.spm = true, .added = added, .keys = {no_prefix}});
    assert_ids(encode("ab", 2, false), IDS(256, 257));
    assert_ids(encode("ab", 2, true), IDS(258));
    assert_ids(encode("abb", 3, false), IDS(256, 261));
    assert_ids(encode("\u00E9", 2, false), IDS(0xC3, 0xA9));
    assert_ids(encode("\u00E9", 2, true), IDS(260));
}

/* ---- every pair tried ---- */

typedef struct piece {
    size_t at, n;
} piece;

static int32_t id_of(const text_and_type *list, const char *p, size_t n)
{
    for (int32_t i = 0; list[i].text; i++)
        if (strlen(list[i].text) == n && memcmp(list[i].text, p, n) == 0) return i;
    return -1;
}

/* Joins the pair of the highest score, the leftmost of equal ones, until there is none; returns how many are left. */
static size_t join_slowly(const text_and_type *list, const char *text, piece *pieces, size_t n)
{
    for (;;) {
        int32_t best = -1;
        size_t where = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            int32_t id = id_of(list, text + pieces[i].at, pieces[i].n + pieces[i + 1].n);
            if (id >= 0 && (best < 0 || list[id].score > list[best].score)) best = id, where = i;
        }
        if (best < 0) return n;
        pieces[where].n += pieces[where + 1].n;
        memmove(pieces + where + 1, pieces + where + 2, (n - where - 2) * sizeof *pieces);
        n--;
    }
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

/* 60 vocabularies of words of a and b, with scores that are often equal. */
static void test_random(void **state)
{
    enum { WORDS = 24, LENGTH = 60 };
    uint32_t seed = 7;
    for (int round = 0; round < 60; round++) {
        static char words[WORDS][8];
        text_and_type list[WORDS + 3] = {{"a", 1, 0}, {"b", 1, 0}};
        size_t n = 2;
        for (int i = 0; i < WORDS; i++) {
            uint32_t length = 2 + draw(&seed, 5);
            for (uint32_t k = 0; k < length; k++) words[i][k] = (char)('a' + draw(&seed, 2));
            words[i][length] = 0;
            if (id_of(list, words[i], length) < 0) list[n++] = (text_and_type){words[i], 1, 2 - (float)draw(&seed, 5)};
        }
        sound(&(vocab_spec){.spm = true, .added = list, .keys = {no_prefix}});
        for (int t = 0; t < 20; t++) {
            char text[LENGTH];
            piece pieces[LENGTH];
            for (size_t i = 0; i < LENGTH; i++) {
                text[i] = (char)('a' + draw(&seed, 2));
                pieces[i] = (piece){i, 1};
            }
            size_t want = join_slowly(list, text, pieces, LENGTH);
            const token_list *got = encode(text, LENGTH, false);
            assert_int_equal(got->n, want);
            for (size_t i = 0; i < want; i++)
                assert_int_equal(got->ids[i], 256 + id_of(list, text + pieces[i].at, pieces[i].n));
        }
    }
}

/* Runs of line feeds as user-defined tokens of every length: no step of quadratic cost. */
static void test_long_runs(void **state)
{
    enum { RUNS = 31, LENGTH = 200000 };
    static char runs[RUNS][RUNS + 1];
    text_and_type list[RUNS + 3] = {{"a", 1, -1}, {"aa", 1, -2}};
    for (int i = 0; i < RUNS; i++) {
        memset(runs[i], '\n', (size_t)i + 1);
        list[i + 2] = (text_and_type){runs[i], 4, -1000};
    }
    char *text = malloc(LENGTH);
    assert_non_null(text);
    sound(&(vocab_spec){.spm = true, .added = list, .keys = {no_prefix}});
    memset(text, '\n', LENGTH);
    const token_list *l = encode(text, LENGTH, false);
    assert_int_equal(l->n, (LENGTH + RUNS - 1) / RUNS);
    assert_int_equal(l->ids[0], 258 + RUNS - 1);
    assert_int_equal(l->ids[l->n - 1], 258 + LENGTH % RUNS - 1);
    static const char *const units[] = {"a", " ", "\xE2", "\xFF", "a\n", "z"};
    static const size_t tokens[] = {LENGTH / 2, 3 * LENGTH, LENGTH, LENGTH, LENGTH, LENGTH};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        for (size_t i = 0; i < LENGTH; i++) text[i] = units[u][i % strlen(units[u])];
        assert_int_equal(encode(text, LENGTH, false)->n, tokens[u]);
    }
    free(text);
}

/* ---- at fault ---- */

static void refused(const vocab_spec *s, const char *why)
{
    if (load(s)) fail_msg("taken, though: %s", why);
    assert_int_equal(now.rc, JV_BAD);
    assert_string_equal(now.err.text, why);
}

static void test_refused(void **state)
{
    static const text_and_type nan_score[] = {{"a", 1, NAN}, {0}}, no_byte[] = {{"x", 6, 0}, {0}},
                               lower[] = {{"<0x0a>", 6, 0}, {0}};
    refused(&(vocab_spec){.spm = true, .no_scores = true}, "the file has no tokenizer.ggml.scores");
    refused(&(vocab_spec){.spm = true, .n_scores = 255}, "tokenizer.ggml.scores has 255 items, not 256");
    refused(&(vocab_spec){.spm = true, .n_scores = 257}, "tokenizer.ggml.scores has 257 items, not 256");
    refused(&(vocab_spec){.spm = true, .added = nan_score}, "the score of token 256 is no number");
    refused(&(vocab_spec){.spm = true, .added = no_byte},
        "token 256 is to be a byte, but its text is not <0x00>..<0xFF>");
    refused(&(vocab_spec){.spm = true, .added = lower},
        "token 256 is to be a byte, but its text is not <0x00>..<0xFF>");
    char *text = calloc(1, 1026);
    assert_non_null(text);
    memset(text, 'a', 1025);
    refused(&(vocab_spec){.spm = true, .added = (const text_and_type[]){{text, 1, 0}, {0}}},
        "a token of 1025 bytes, over 1024");
    free(text);
    assert_null(load(&(vocab_spec){.spm = true, .keys = {{"tokenizer.ggml.add_space_prefix", GGUF_U32, 1}}}));
    assert_non_null(strstr(now.err.text, "add_space_prefix"));
    refused(&(vocab_spec){.spm = true, .keys = {{"tokenizer.ggml.add_bos_token", GGUF_BOOL, 1}}},
        "tokenizer.ggml.add_bos_token is true, but the file has no tokenizer.ggml.bos_token_id");
}

static void test_bos(void **state)
{
    sound(&(vocab_spec){.spm = true});
    assert_false(tokenizer_adds_bos(now.t)); /* there is none */
    sound(&(vocab_spec){.spm = true, .keys = {{"tokenizer.ggml.bos_token_id", GGUF_U32, 7}}});
    assert_true(tokenizer_adds_bos(now.t));
    sound(&(vocab_spec){.spm = true,
        .keys = {{"tokenizer.ggml.bos_token_id", GGUF_U32, 7}, {"tokenizer.ggml.add_bos_token", GGUF_BOOL, 0}}});
    assert_false(tokenizer_adds_bos(now.t));
}

/* Infinite scores, empty texts, tokens of no kind. */
static void test_let_through(void **state)
{
    static const text_and_type added[] = {{"a", 1, -INFINITY}, {"aa", 1, INFINITY}, {"", 1, 0}, {"aaa", 5, -INFINITY},
        {"-0", 1, -0.0f}, {0}};
    sound(&(vocab_spec){.spm = true, .added = added, .keys = {no_prefix}});
    assert_ids(encode("aaa", 3, false), IDS(259));
    assert_int_equal(tokenizer_piece(now.t, 259).n, 0);
    assert_int_equal(tokenizer_piece(now.t, 258).n, 0);
}

/* Any byte of a sound file changed: refused with a reason, or it works. */
static void test_flipped_bytes(void **state)
{
    static const text_and_type added[] = {{"ab", 1, -1}, {"<s>", 3, 0}, {SP, 1, -2}, {"  ", 4, 0}, {0}};
    const vocab_spec s = {.spm = true, .added = added, .keys = {{"tokenizer.ggml.bos_token_id", GGUF_U32, 257}}};
    sound(&s);
    size_t n = now.file.n;
    for (size_t i = 0; i < n; i++) {
        drop();
        now.file = build(&s);
        now.file.p[i] ^= (uint8_t)(1u << i % 8);
        if (gguf_open_memory(now.file.p, n, &now.g, &now.err) != JV_OK) continue;
        now.rc = tokenizer_new(now.g, &now.t, &now.err);
        if (now.rc == JV_OK)
            encode("ab <s>  \xFF 12", 12, true);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scores), cmocka_unit_test(test_spaces),
        cmocka_unit_test(test_bytes), cmocka_unit_test(test_control), cmocka_unit_test(test_random),
        cmocka_unit_test(test_long_runs), cmocka_unit_test(test_refused), cmocka_unit_test(test_bos),
        cmocka_unit_test(test_let_through), cmocka_unit_test(test_flipped_bytes)};
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
