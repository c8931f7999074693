/* tokenizer_test.c: what sound vocabularies make of texts, and 2,500 texts against llama.cpp's ids for them. */
#include "tokenizer_build.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_bytes(void **state)
{
    sound(&(vocab_spec){.pre = "gpt-2"});
    assert_int_equal(tokenizer_size(now.t), 256);
    assert_ids(encode("Aa z\n", 5, false), IDS('A', 'a', ' ', 'z', '\n'));
    assert_ids(encode("\xC3\xA9\0", 3, false), IDS(0xC3, 0xA9, 0));
    assert_int_equal(encode("", 0, true)->n, 0);
    for (int i = 0; i < 256; i++) {
        jv_str piece = tokenizer_piece(now.t, i);
        assert_int_equal(piece.n, 1);
        assert_int_equal((uint8_t)piece.p[0], i);
    }
    assert_int_equal(tokenizer_piece(now.t, -1).n, 0);
    assert_int_equal(tokenizer_piece(now.t, 256).n, 0);
    assert_int_equal(tokenizer_find(now.t, (jv_str){"A", 1}), 'A');
    assert_int_equal(tokenizer_find(now.t, (jv_str){"AA", 2}), -1);
    assert_int_equal(tokenizer_find(now.t, (jv_str){"", 0}), -1);
}

static const text_and_type letters[] = {{"ab", 1}, {"bc", 1}, {"abc", 1}, {"aa", 1}, {"aaaa", 1}, {"abcaa", 1}, {0}};
enum { AB = 256, BC, ABC, AA, AAAA, ABCAA };

static void test_merges(void **state)
{
    sound(&(vocab_spec){.pre = "gpt-2",
        .added = letters,
        .merges = (const char *[]){"b c", "a b", "a bc", "a a", "aa aa", "abc aa", "a b", NULL}});
    assert_ids(encode("abc", 3, false), IDS(ABC));
    assert_ids(encode("aab", 3, false), IDS('a', AB));
    assert_ids(encode("aaa", 3, false), IDS(AA, 'a'));
    assert_ids(encode("aaaaaaa", 7, false), IDS(AAAA, AA, 'a'));
    assert_ids(encode("abcaa", 5, false), IDS(ABCAA));
    assert_ids(encode("abcaaa", 6, false), IDS(ABCAA, 'a'));
    const char *const other_order[] = {"a b", "b c", "ab c", "a bc", NULL};
    sound(&(vocab_spec){.pre = "gpt-2", .added = letters, .merges = other_order});
    assert_ids(encode("abc", 3, false), IDS(ABC));
    assert_ids(encode("bcab", 4, false), IDS(BC, AB));
}

static const text_and_type cuts[] = {{"12", 1}, {"123", 1}, {"1234", 1}, {"'S", 1}, {"ĠĠ", 1}, {"Ġb", 1}, {"ĊĊ", 1},
    {"Ġ'", 1}, {"(b", 1}, {"++", 1}, {0}};
enum { N12 = 256, N123, N1234, QUOTE_S, TWO_SPACES, SPACE_B, TWO_LINES, SPACE_QUOTE, PAREN_B, PLUS_PLUS };

static void use_family(const char *pre)
{
    sound(&(vocab_spec){.pre = pre,
        .added = cuts,
        .merges = (const char *[]){"1 2", "12 3", "123 4", "' S", "Ġ Ġ", "Ġ b", "Ċ Ċ", "Ġ '", "( b", "+ +", NULL}});
}

static void test_families(void **state)
{
    static const char *const digits[] = {"smollm", "gpt-2", "llama-bpe", "qwen2", "default"};
    static const int32_t want[][5] = {{'1', '2', '3', '4', -1}, {N1234, -1}, {N123, '4', -1}, {'1', '2', '3', '4', -1},
        {N123, '4', -1}};
    for (int i = 0; i < 5; i++) {
        use_family(digits[i]);
        assert_ids(encode("1234", 4, false), want[i]);
        assert_ids(encode("a  b", 4, false), IDS('a', ' ', SPACE_B));
        assert_ids(encode("a  ", 3, false), IDS('a', TWO_SPACES));
        assert_ids(encode("++", 2, false), IDS(PLUS_PLUS));
    }
    use_family("gpt-2");
    assert_ids(encode("x'S", 3, false), IDS('x', '\'', 'S'));
    assert_ids(encode("!\n\n(b", 5, false), IDS('!', '\n', '\n', '(', 'b'));
    use_family("qwen2");
    assert_ids(encode("x'S", 3, false), IDS('x', QUOTE_S));
    assert_ids(encode("!\n\n(b", 5, false), IDS('!', TWO_LINES, PAREN_B));
    assert_ids(encode("12", 2, false), IDS('1', '2'));
    use_family("default");
    assert_ids(encode("a ++", 4, false), IDS('a', ' ', PLUS_PLUS));
}

/* White space by its Unicode property: U+180E has not had it since Unicode 6.3. */
static void test_white_space(void **state)
{
    static const char *const not_space[] = {"\u180E", "\u200B", "\u2060", "\uFEFF", "\x1C", "\x1F"};
    static const char *const space[] = {"\t", "\v", "\xC2\x85", "\u00A0", "\u1680", "\u2003", "\u2028", "\u202F",
        "\u3000"};
    char text[16];
    use_family("gpt-2");
    for (size_t i = 0; i < sizeof not_space / sizeof *not_space; i++) {
        int n = snprintf(text, sizeof text, "  %s", not_space[i]); /* two words: a space, and a space with the rest */
        assert_int_equal(encode(text, (size_t)n, false)->ids[0], ' ');
    }
    for (size_t i = 0; i < sizeof space / sizeof *space; i++) {
        int n = snprintf(text, sizeof text, "  %s", space[i]); /* one word */
        assert_int_equal(encode(text, (size_t)n, false)->ids[0], TWO_SPACES);
    }
}

static void test_whole_words(void **state)
{
    static const text_and_type added[] = {{"xyz", 1}, {"secret", 3}, {"Ġxyz", 1}, {0}};
    sound(&(vocab_spec){.pre = "llama-bpe", .added = added});
    assert_ids(encode("xyz xyz", 7, false), IDS(256, 258));
    assert_ids(encode("secret", 6, false), IDS('s', 'e', 'c', 'r', 'e', 't'));
    sound(&(vocab_spec){.pre = "qwen2", .added = added});
    assert_ids(encode("xyz", 3, false), IDS('x', 'y', 'z'));
}

static const text_and_type specials[] = {{"<a>", 3}, {"<a><b>", 3}, {"><b>c", 4}, {"<a", 4}, {"<u>", 2}, {"\xFF!", 3},
    {0}};
enum { A = 256, A_B, B_C, OPEN_A, U, RAW }; /* B_C and OPEN_A are user-defined: they need no trust */

static void test_special(void **state)
{
    sound(&(vocab_spec){.pre = "gpt-2", .added = specials});
    assert_ids(encode("<a>", 3, false), IDS(OPEN_A, '>'));
    assert_ids(encode("<u>", 3, false), IDS('<', 'u', '>'));
    assert_ids(encode("<a><b>c", 7, false), IDS(OPEN_A, B_C));
    assert_ids(encode("<b><b>c", 7, false), IDS('<', 'b', B_C));
    assert_ids(encode("x<a>y<a", 7, true), IDS('x', A, 'y', OPEN_A));
    assert_ids(encode("<a><a><b><", 10, true), IDS(A, A_B, '<'));
    assert_ids(encode("<u>\xFF!", 5, true), IDS(U, RAW));
    /* The longest goes first, wherever it stands; the shorter one before it gives way. */
    assert_ids(encode("<a><b>c", 7, true), IDS(A_B, 'c'));
    assert_ids(encode("<<a><b>c", 8, true), IDS('<', A_B, 'c'));
    assert_ids(encode("a><b>c", 6, true), IDS('a', B_C));
    assert_int_equal(tokenizer_piece(now.t, A).n, 0);
    assert_int_equal(tokenizer_piece(now.t, U).n, 0);
    assert_int_equal(tokenizer_piece(now.t, OPEN_A).n, 2);
    assert_int_equal(tokenizer_find(now.t, (jv_str){"<a><b>", 6}), A_B);
}

static void test_trust(void **state)
{
    sound(&(vocab_spec){.pre = "gpt-2", .added = specials});
    jv_str text = {"<a><a><b>", 9};
    for (unsigned mask = 0; mask < 1u << 9; mask++) {
        uint8_t trusted[9];
        token_list l = {0};
        for (int i = 0; i < 9; i++) trusted[i] = (uint8_t)(mask >> i & 1 ? i + 1 : 0);
        assert_int_equal(tokenizer_encode(now.t, text, trusted, &l, &now.err), JV_OK);
        bool first = (mask & 7) == 7, second = (mask & 0x1F8) == 0x1F8, third = (mask & 0x38) == 0x38;
        size_t n = (first ? 1 : 2) + (second ? 1 : 3 + (third ? 1 : 2));
        assert_int_equal(l.n, n);
        assert_int_equal(l.ids[0], first ? A : OPEN_A);
        free(l.ids);
    }
}

/* Nothing but a trusted text gives a control token: neither a merge nor a byte nor a whole word. */
static void test_control(void **state)
{
    static const text_and_type added[] = {{"ab", 3}, {"abc", 1}, {"bc", 1}, {0}};
    sound(&(vocab_spec){.pre = "gpt-2", .added = added, .merges = (const char *[]){"a b", "ab c", "b c", NULL}});
    assert_ids(encode("ab", 2, false), IDS('a', 'b'));
    assert_ids(encode("abc", 3, false), IDS('a', 258));
    static const text_and_type alone[] = {{"a", 3}, {"b", 1}, {0}};
    sound(&(vocab_spec){.pre = "gpt-2", .no_bytes = true, .added = alone});
    assert_ids(encode("abc", 3, false), IDS(1));
    assert_int_equal(now.list.lost, 2);
    assert_ids(encode("ab", 2, true), IDS(0, 1));
    assert_int_equal(now.list.lost, 0);
}

static void test_invalid_utf8(void **state)
{
    static const text_and_type controls[] = {{"<a>", 3}, {"<u>", 2}, {0}};
    static const char *const pairs[][2] = {{"\x80", "\uFFFD"}, {"a\x9f\xbfz", "a\uFFFD\uFFFDz"}, {"\xC3", "\uFFFD"},
        {"\xE2\x82", "\uFFFD\uFFFD"}, {"\xE2\x82x", "\uFFFD\uFFFDx"}, {"\xF0\x9F\x98 ", "\uFFFD\uFFFD\uFFFD "},
        {"\xC3\xC3\xA9", "\uFFFD\u00E9"}, {"\xFE\xFF", "\uFFFD\uFFFD"},
        {"\xF8\x88\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"}, {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
        {"\xF7\xBF\xBF\xBF", "\uFFFD\uFFFD\uFFFD\uFFFD"}, {"\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"}, {"\xC0\xAF", "/"},
        {"\xE0\x80\xAF", "/"}, {"\xF0\x80\x80\xAF", "/"}, {"\xE0\x83\xA9", "\u00E9"}, {"\xC0\xBC\x61>", "<a>"}};
    sound(&(vocab_spec){.pre = "gpt-2", .added = controls});
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        token_list want = *encode(pairs[i][1], strlen(pairs[i][1]), false);
        now.list = (token_list){0};
        const token_list *got = encode(pairs[i][0], strlen(pairs[i][0]), true);
        assert_int_equal(got->n, want.n);
        assert_memory_equal(got->ids, want.ids, want.n * sizeof *want.ids);
        free(want.ids);
    }
    assert_ids(encode("\xED\xA0\x80x\xED\xBF\xBF", 7, false), IDS(0xED, 0xA0, 0x80, 'x', 0xED, 0xBF, 0xBF));
}

static void test_lost(void **state)
{
    sound(&(vocab_spec){.pre = "smollm", .without_byte = 4});
    assert_ids(encode("a\x04\x04z", 4, false), IDS('a', 'z'));
    assert_int_equal(now.list.lost, 2);
}

/* Joined pieces are the text again, for valid UTF-8 of every length and any family. */
static void test_round_trip(void **state)
{
    static const char *const families[] = {"smollm", "gpt-2", "llama-bpe", "qwen2", "default"};
    static const char *const parts[] = {"a", "ab", " ", "\n", "\r\n", "7", "'s", "\u00E9", "\u5B57", "\U0001F600",
        "\u0301", "+", "\u3000", "bc", "\t", "\u00B2"};
    const char *const merges[] = {"a b", "a a", "b c", NULL};
    uint32_t draw = 1;
    for (int f = 0; f < 5; f++) {
        sound(&(vocab_spec){.pre = families[f], .added = letters, .merges = merges});
        for (int round = 0; round < 400; round++) {
            char text[256];
            size_t n = 0, at = 0;
            for (int i = 0; i < round % 40; i++) {
                draw = draw * 1664525u + 1013904223u;
                const char *part = parts[draw >> 28];
                memcpy(text + n, part, strlen(part));
                n += strlen(part);
            }
            const token_list *l = encode(text, n, true);
            for (size_t i = 0; i < l->n; i++) {
                jv_str piece = tokenizer_piece(now.t, l->ids[i]);
                assert_true(piece.n > 0 && piece.n <= n - at);
                assert_memory_equal(piece.p, text + at, piece.n);
                at += piece.n;
            }
            assert_int_equal(at, n);
        }
    }
}

/* Long words and long runs of anything: no step of quadratic cost, no limit of the expressions reached. */
static void test_long_runs(void **state)
{
    static const char *const families[] = {"smollm", "gpt-2", "llama-bpe", "qwen2", "default"};
    static const char *const units[] = {"a", " ", "1", "!", "\n", " \n", "'", "\u5B57", "\xFF", "\t ", "<a"};
    enum { LENGTH = 200000 };
    char *text = malloc(LENGTH);
    assert_non_null(text);
    for (int f = 0; f < 5; f++) {
        sound(&(vocab_spec){.pre = families[f], .added = letters, .merges = (const char *[]){"a a", "aa aa", NULL}});
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            size_t n = strlen(units[u]);
            for (size_t i = 0; i < LENGTH; i++) text[i] = units[u][i % n];
            size_t got = encode(text, LENGTH - LENGTH % n, false)->n;
            if (u == 0)
                assert_int_equal(got, LENGTH / 4);
            else
                assert_true(got >= LENGTH - n);
        }
    }
    free(text);
}

static void test_ids(void **state)
{
    static const text_and_type added[] = {{"<s>", 3}, {"<e>", 3}, {"<t>", 3}, {"<|im_end|>", 1}, {"<m>", 3}, {0}};
    sound(&(vocab_spec){.pre = "llama-bpe",
        .added = added,
        .keys = {{"tokenizer.ggml.bos_token_id", GGUF_U32, 256}, {"tokenizer.ggml.eos_token_id", GGUF_U32, 257},
            {"tokenizer.ggml.eot_token_id", GGUF_U32, 258}, {"tokenizer.ggml.eom_token_id", GGUF_U32, 260}}});
    assert_int_equal(tokenizer_bos(now.t), 256);
    assert_int_equal(tokenizer_eos(now.t), 257);
    assert_true(tokenizer_adds_bos(now.t));
    for (int32_t id = -1; id < 300; id++) assert_int_equal(tokenizer_ends_turn(now.t, id), id >= 257 && id <= 260);
    assert_int_equal(tokenizer_piece(now.t, 259).n, 0); /* a control token by its name */
    sound(&(vocab_spec){.pre = "llama-bpe",
        .added = added,
        .keys = {{"tokenizer.ggml.bos_token_id", GGUF_U32, 256}, {"tokenizer.ggml.add_bos_token", GGUF_BOOL, 0}}});
    assert_false(tokenizer_adds_bos(now.t));
    sound(&(vocab_spec){.pre = "qwen2",
        .added = added,
        .keys = {{"tokenizer.ggml.bos_token_id", GGUF_U32, 256}, {"tokenizer.ggml.add_bos_token", GGUF_BOOL, 1}}});
    assert_true(tokenizer_adds_bos(now.t));
    sound(&(vocab_spec){.added = added});
    assert_int_equal(tokenizer_bos(now.t), -1);
    assert_int_equal(tokenizer_eos(now.t), -1);
    assert_false(tokenizer_adds_bos(now.t));
}

/* ---- against llama.cpp ---- */

/* A number for the ids of each text, as tests/reference/reference.py sums writes it. */
static const struct {
    const char *model, *sums;
} references[] = {
    {"SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2"},
    {"Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf", "Qwen2.5"},
    {"gemma-3-270m.Q4_K_M.gguf", "gemma-3"},
    {"DeepSeek-R1-Distill-Qwen-7B.head.gguf", "R1-Qwen"},
};

static const char *top_folder;

/* A file in memory, which may be written to; null where there is none. */
static char *map_file(const char *path, size_t *n)
{
    struct stat st;
    int fd = open(path, O_RDONLY);
    if (fd < 0) return NULL;
    assert_int_equal(fstat(fd, &st), 0);
    *n = (size_t)st.st_size;
    char *p = mmap(NULL, *n, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    assert_true(p != MAP_FAILED);
    close(fd);
    return p;
}

static uint32_t sum_of(const token_list *l)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < l->n; i++)
        for (int shift = 0; shift < 32; shift += 8) h = (h ^ ((uint32_t)l->ids[i] >> shift & 0xFF)) * 16777619u;
    return h;
}

/* What reference.py calls text j of the joined ones: four lines, each followed by one to five line feeds, and the name
 * of a special token. */
static size_t join_lines(const jv_str *lines, int j, char *to)
{
    static const char *const names[] = {"<bos>", "<eos>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "</s>",
        "<start_of_turn>", "<end_of_turn>", "<think>", "</think>", "<tool_call>", "<unk>", "<pad>", "<unused7>",
        "[multimodal]", "<0x0A>"};
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        memcpy(to + n, lines[4 * j + i].p, lines[4 * j + i].n);
        n += lines[4 * j + i].n;
        for (int k = 0; k <= j % 5; k++) to[n++] = '\n';
    }
    strcpy(to + n, names[j % 16]);
    return n + strlen(names[j % 16]);
}

static void expect_sum(char **at, const token_list *got, int text)
{
    uint32_t want = (uint32_t)strtoul(*at, at, 16), sum = sum_of(got);
    if (sum != want) fail_msg("text %d: the sum of %zu tokens is %08x, not %08x", text, got->n, sum, want);
    assert_int_equal(*(*at)++, '\n');
}

enum { LINES = 2000 };

static void compare_sums(const char *name, const jv_str lines[LINES])
{
    static char joined[1 << 16];
    char path[4096], sums[(LINES + LINES / 4) * 9 + 1], *at = sums;
    snprintf(path, sizeof path, "%s/tests/reference/tokens.%s.sums", top_folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(sums, 1, sizeof sums, f), sizeof sums - 1);
    fclose(f);
    sums[sizeof sums - 1] = 0;
    for (int i = 0; i < LINES; i++) expect_sum(&at, encode(lines[i].p, lines[i].n, false), i);
    for (int i = 0; i < LINES / 4; i++) expect_sum(&at, encode(joined, join_lines(lines, i, joined), false), LINES + i);
}

/* Only the keys are read: a file that is cut off behind them will do. */
static bool load_keys(const char *model, char **map, size_t *n)
{
    char path[4096];
    drop();
    snprintf(path, sizeof path, "%s/.cache/jevons/%s", getenv("HOME") ? getenv("HOME") : "", model);
    *map = map_file(path, n);
    if (!*map) return false;
    assert_true(*n > 24);
    memset(*map + 8, 0, 8); /* the number of tensors */
    if (gguf_open_memory(*map, *n, &now.g, &now.err) != JV_OK) fail_msg("%s: %s", model, now.err.text);
    if (tokenizer_new(now.g, &now.t, &now.err) != JV_OK) fail_msg("%s: %s", model, now.err.text);
    return true;
}

static void test_references_if_there(void **state)
{
    char path[4096], *map = NULL;
    size_t n_text = 0, n = 0, n_lines = 0, there = 0;
    jv_str lines[LINES];
    snprintf(path, sizeof path, "%s/tests/reference/lines.bin", top_folder);
    char *text = map_file(path, &n_text);
    assert_non_null(text);
    for (size_t at = 0; at <= n_text; at += lines[n_lines++].n + 1) {
        char *end = memchr(text + at, '\n', n_text - at);
        assert_true(n_lines < LINES);
        lines[n_lines] = (jv_str){text + at, (size_t)((end ? end : text + n_text) - text) - at};
    }
    assert_int_equal(n_lines, LINES);
    for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
        if (!load_keys(references[i].model, &map, &n)) {
            print_message("no %s: not compared\n", references[i].model);
            continue;
        }
        compare_sums(references[i].sums, lines);
        drop();
        munmap(map, n);
        there++;
    }
    munmap(text, n_text);
    if (!there) skip();
}

static int clean_up(void **state)
{
    drop();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_merges),
        cmocka_unit_test(test_families), cmocka_unit_test(test_white_space), cmocka_unit_test(test_whole_words),
        cmocka_unit_test(test_special), cmocka_unit_test(test_trust), cmocka_unit_test(test_control),
        cmocka_unit_test(test_invalid_utf8), cmocka_unit_test(test_lost), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_runs), cmocka_unit_test(test_ids), cmocka_unit_test(test_references_if_there)};
    top_folder = argc > 2 ? argv[2] : ".";
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
