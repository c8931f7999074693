/* chunk_test.c: where texts are cut, what holds for every text, and trouble. In the tables `|` stands between pieces.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mockhost.h"

static const char *so;

static mock *stage_new(int64_t size, int64_t overlap, const char *by)
{
    mock *m = mock_new(so, NULL);
    char ini[128];
    snprintf(ini, sizeof ini, "size = %lld\noverlap = %lld\nby = %s", (long long)size, (long long)overlap, by);
    mock_set(m, ini);
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

struct cut {
    int size, overlap;
    const char *text, *pieces;
};

/* True when the text is cut so; else says how it was. */
static bool check_cut(const struct cut *cut, const char *by)
{
    mock *m = stage_new(cut->size, cut->overlap, by);
    jv_buf *b = mock_record(m, "doc");
    mock_put(b, "text", cut->text);
    jv_err err;
    assert_int_equal(mock_process(m, b, &err), JV_DONE);
    char got[4096] = "";
    for (size_t i = 0; i < mock_n(m); i++) {
        if (i) strcat(got, "|");
        strcat(got, mock_text(mock_at(m, i), "text"));
        assert_int_equal(mock_i64(mock_at(m, i), "part"), i);
        assert_int_equal(mock_i64(mock_at(m, i), "parts"), mock_n(m));
    }
    bool same = strcmp(got, cut->pieces) == 0;
    if (!same) {
        print_error("by %s, size %d, overlap %d: '%s'\n", by, cut->size, cut->overlap, cut->text);
        print_error("  gives '%s'\n  not   '%s'\n", got, cut->pieces);
    }
    assert_int_equal(mock_count(m, "pieces"), mock_n(m));
    assert_int_equal(mock_counted(b, "pieces"), mock_n(m));
    assert_string_equal(mock_text(b, "text"), cut->text);
    mock_free(m);
    return same;
}

static void check_cuts(const struct cut *cuts, size_t n, const char *by)
{
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) wrong += !check_cut(&cuts[i], by);
    assert_int_equal(wrong, 0);
}

/* With a size just above the longest sentence of a text that is longer, each piece shows where sentences end. */
static void test_sentences(void **state)
{
    static const struct cut cuts[] = {
        {20, 0, "One two. Three four. Five six.", "One two. Three four.|Five six."},
        {2000, 0, "One two. Three.", "One two. Three."},
        {12, 0, "Is it? Yes! So...", "Is it? Yes!|So..."},
        {14, 0, "Ask Mr. Brown. He knows.", "Ask Mr. Brown.|He knows."},
        {15, 0, "Dr. Smith left. Prof. Lee came.", "Dr. Smith left.|Prof. Lee came."},
        {22, 0, "See e.g. The Book, i.e. It. Next one is here.", "See e.g. The Book,|i.e. It.|Next one is here."},
        {17, 0, "The U.S. Navy is. It has ships.", "The U.S. Navy is.|It has ships."},
        {16, 0, "J. R. Tolkien w. He did write it.", "J. R. Tolkien w.|He did write it."},
        {13, 0, "Take No. 5 in. He said No. Then left.", "Take No. 5|in.|He said No.|Then left."},
        {14, 0, "Pears etc. are. Pears etc. Then this.", "Pears etc.|are.|Pears etc.|Then this."},
        {14, 0, "Pi is 3.14 now. So what?", "Pi is 3.14|now. So what?"},
        {14, 0, "Pi is 3.14 it. So what then?", "Pi is 3.14 it.|So what then?"},
        {13, 0, "Wait... what? No... Then go.", "Wait... what?|No...|Then go."},
        {10, 0, "He said \"Go.\" Then went.", "He said|\"Go.\"|Then went."},
        {13, 0, "He said \"Go.\" Then went.", "He said \"Go.\"|Then went."},
        {14, 0, "\"Stop!\" he said. So.", "\"Stop!\" he|said. So."},
        {11, 0, "(It rains.) We go in.", "(It rains.)|We go in."},
        {16, 0, "**Bold end.** Then more.", "**Bold end.**|Then more."},
        {6, 0, "今日は。明日も。では！", "今日は。|明日も。|では！"},
        {9, 0, "今日は。明日も。では！", "今日は。明日も。|では！"},
        {6, 0, "「好。」他说。“走？”嗯。", "「好。」|他说。|“走？”嗯。"},
        {8, 0, "क ख ग। घ ङ च।", "क ख ग।|घ ङ च।"},
        {12, 0, "A title\n\nThe text is.", "A title|The text is."},
        {12, 0, "A title\r\n\r\nThe text is.", "A title|The text is."},
        {16, 0, "A line\nand more text.", "A line\nand more|text."},
        {14, 0, "1. First item. 2nd.", "1. First item.|2nd."},
        {9, 0, "  Lead.  Tail.  ", "Lead.|Tail."},
        {12, 0, "„Ja.“ Er kam. Und ging.", "„Ja.“|Er kam.|Und ging."},
        {13, 0, "„Ja.“ Er kam. Und ging.", "„Ja.“ Er kam.|Und ging."},
        {9, 0, "It's 5 a.m. Now we.", "It's 5|a.m. Now|we."},
    };
    check_cuts(cuts, sizeof cuts / sizeof *cuts, "sentences");
}

/* Where no sentence ends within the size, the cut is at the last white space, behind the abbreviation. */
static void test_abbreviations(void **state)
{
    static const struct cut cuts[] = {
        {18, 0, "She met Mrs. Gray again. Yes.", "She met Mrs. Gray|again. Yes."},
        {16, 0, "Go to St. Louis now. Go.", "Go to St. Louis|now. Go."},
        {14, 0, "Cats vs. Dogs again. Ok.", "Cats vs. Dogs|again. Ok."},
        {12, 0, "See Fig. 3 again. Now.", "See Fig. 3|again. Now."},
        {11, 0, "On Jan. 5 it rained. Ok.", "On Jan. 5|it rained.|Ok."},
        {12, 0, "Read pp. 3 to 9. Now.", "Read pp. 3|to 9. Now."},
        {12, 0, "See vol. 9 again. Now.", "See vol. 9|again. Now."},
        {17, 0, "In approx. Two hours on.", "In approx. Two|hours on."},
        {15, 0, "Acme Inc. makes it all.", "Acme Inc. makes|it all."},
        {15, 0, "Acme Inc. Makes it all.", "Acme Inc.|Makes it all."},
        {16, 0, "The U.K. House is. Or so.", "The U.K. House|is. Or so."},
        {16, 0, "At 5 p.m. Monday it was.", "At 5 p.m. Monday|it was."},
        {17, 0, "J. R. R. Tolkien wrote.", "J. R. R. Tolkien|wrote."},
        {20, 0, "Sie kam z.B. Montag an.", "Sie kam z.B. Montag|an."},
        {21, 0, "Sie kam z. B. Montag an.", "Sie kam z. B. Montag|an."},
        {16, 0, "Das ist d. h. so gut.", "Das ist d. h. so|gut."},
        {11, 0, "Mit Nr. 5 lebt er.", "Mit Nr. 5|lebt er."},
        {17, 0, "Mit Hr. Muster ging er.", "Mit Hr. Muster|ging er."},
        {13, 0, "It is b. Then we go", "It is b.|Then we go"},
        {17, 0, "Es ist u. U. Mai. Ja.", "Es ist u. U. Mai.|Ja."},
        {14, 0, "It is b. 5. Not it is", "It is b. 5.|Not it is"},
        {14, 0, "Use a.out. Then go on", "Use a.out.|Then go on"},
        {16, 0, "Read jevons.h. Then go.", "Read jevons.h.|Then go."},
        {14, 0, "It is 1.5. Then go on.", "It is 1.5.|Then go on."},
        {14, 0, "2. Second is. 3. Not.", "2. Second is.|3. Not."},
    };
    check_cuts(cuts, sizeof cuts / sizeof *cuts, "sentences");
}

/* How sentences end in other scripts, and marks that sit on what ends them. */
static void test_scripts(void **state)
{
    static const struct cut cuts[] = {
        {5, 0, "你好吗？我很好。", "你好吗？|我很好。"},
        {5, 0, "你好！？我很好。", "你好！？|我很好。"},
        {5, 0, "你好｡我很好｡", "你好｡|我很好｡"},
        {5, 0, "一二．三四．", "一二．|三四．"},
        {6, 0, "『好。』『好。』", "『好。』|『好。』"},
        {6, 0, "（好。）（好。）", "（好。）|（好。）"},
        {5, 0, "안녕. 잘 가요. 네.", "안녕.|잘 가요.|네."},
        {10, 0, "هل هو؟ نعم هو.", "هل هو؟|نعم هو."},
        {9, 0, "وہ ہے۔ ہم ہیں۔", "وہ ہے۔|ہم ہیں۔"},
        {8, 0, "Այո։ Ոչ նա։", "Այո։|Ոչ նա։"},
        {8, 0, "ሰላም። ነው እሱ።", "ሰላም።|ነው እሱ።"},
        {10, 0, "ខ្ញុំ។ គាត់ទៅ។", "ខ្ញុំ។|គាត់ទៅ។"},
        {9, 0, "က ခ။ ဂ ဃ င။", "က ခ။|ဂ ဃ င။"},
        {8, 0, "Да. Нет, он. Да.", "Да.|Нет, он.|Да."},
        {9, 0, "漢字。abc. Def.", "漢字。abc.|Def."},
        {11, 0,
            "e\xcc\x81t\xc3\xa9. E\xcc\x81"
            "cho.",
            "e\xcc\x81t\xc3\xa9.|E\xcc\x81"
            "cho."},
        {9, 0, "a.\xcc\x81 B c. D", "a.\xcc\x81 B c.|D"},
    };
    check_cuts(cuts, sizeof cuts / sizeof *cuts, "sentences");
}

#define E_ACUTE "e\xcc\x81" /* two characters, one cluster */
#define FAMILY                                                                                                         \
    "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7" /* five characters, one cluster */
#define FLAG "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa"                                /* two */

static void test_long_sentences(void **state)
{
    static const struct cut cuts[] = {
        {10, 0, "alpha beta gamma delta", "alpha beta|gamma|delta"},
        {4, 0, "abcdefghij", "abcd|efgh|ij"},
        {1, 0, "abc", "a|b|c"},
        {1, 0, "a b", "a|b"},
        {3, 0, "漢字漢字漢字漢", "漢字漢|字漢字|漢"},
        {3, 0, E_ACUTE E_ACUTE E_ACUTE, E_ACUTE "|" E_ACUTE "|" E_ACUTE},
        {1, 0, E_ACUTE "x", "e|\xcc\x81|x"},
        {6, 0, FAMILY FAMILY, FAMILY "|" FAMILY},
        {4, 0, FAMILY "x", "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d|\xf0\x9f\x91\xa7x"},
        {3, 0, FLAG FLAG FLAG, FLAG "|" FLAG "|" FLAG},
        {5, 0, "a\r\n\r\nb\r\nc", "a|b\r\nc"},
        {6, 0,
            "ab\xc2\xa0"
            "cd ef",
            "ab\xc2\xa0"
            "cd|ef"},
        {4, 0,
            "ab\xc2\xa0"
            "cd",
            "ab\xc2\xa0"
            "c|d"},
        {3, 0, "각각각\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "각각각|\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8"},
        {9, 0, "one\xe3\x80\x80two\xe3\x80\x80three", "one\xe3\x80\x80two|three"},
    };
    check_cuts(cuts, sizeof cuts / sizeof *cuts, "sentences");
}

static void test_characters(void **state)
{
    static const struct cut cuts[] = {
        {5, 0, "One. Two. Three.", "One.|Two.|Three|."},
        {6, 0, "abcdef ghi", "abcdef|ghi"},
        {4, 0, "abcdefghij", "abcd|efgh|ij"},
        {4, 2, "abcdefgh", "abcd|cdef|efgh"},
        {4, 3, "abcdef", "abcd|bcde|cdef"},
        {3, 1, "ab  cd", "ab|cd"},
        {3, 1, E_ACUTE E_ACUTE, E_ACUTE "|" E_ACUTE},
    };
    check_cuts(cuts, sizeof cuts / sizeof *cuts, "characters");
}

/* Characters of 1 to 4 bytes in every order, cut at every size: each piece but the last has `size` of them, whole. */
static void test_bytes(void **state)
{
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (int order = 0; order < 256; order++) {
        char text[4 * 4 + 1] = "", pieces[2 * sizeof text];
        for (int size = 1; size <= 5; size++) {
            text[0] = pieces[0] = 0;
            for (int i = 0; i < 4; i++) {
                const char *c = characters[order >> 2 * i & 3];
                if (i > 0 && i % size == 0) strcat(pieces, "|");
                strcat(text, c);
                strcat(pieces, c);
            }
            assert_true(check_cut(&(struct cut){size, 0, text, pieces}, "characters"));
            assert_true(check_cut(&(struct cut){size, 0, text, pieces}, "sentences"));
        }
    }
}

static void test_overlap(void **state)
{
    static const struct cut cuts[] = {
        {16, 8, "One two. Abc def. Xyz uvw.", "One two.|two. Abc def.|def. Xyz uvw."},
        {17, 8, "One two. Abc def. Xyz uvw.", "One two. Abc def.|Abc def. Xyz uvw."},
        {17, 4, "One two. Abc def. Xyz uvw.", "One two. Abc def.|def. Xyz uvw."},
        {9, 4, "aaa bbb ccc ddd", "aaa bbb|ccc ddd"},
        {7, 5, "aaa bbb ccc ddd", "aaa bbb|bbb ccc|ccc ddd"},
        {4, 2, "今日明日昨日", "今日明日|明日昨日"},
        {7, 6, "今日は。明日も。では！", "今日は。|日は。明日も。|明日も。では！"},
    };
    check_cuts(cuts, sizeof cuts / sizeof *cuts, "sentences");
}

static void test_empty(void **state)
{
    static const char *const texts[] = {"", " ", "\r\n\t \n", "\xc2\xa0\xe3\x80\x80"};
    mock *m = stage_new(10, 0, "sentences");
    jv_err err;
    for (size_t i = 0; i < 4; i++) {
        jv_buf *b = mock_record(m, "doc");
        mock_put(b, "text", texts[i]);
        assert_int_equal(mock_process(m, b, &err), JV_DROP);
        assert_string_equal(err.reason, "empty text");
    }
    assert_int_equal(mock_process(m, mock_record(m, "none"), &err), JV_BAD);
    assert_int_equal(mock_n(m), 0);
    mock_free(m);
}

static void test_options(void **state)
{
    static const char *const bad[] = {"size = 5\noverlap = 5", "size = 5\noverlap = 6", "size = 0", "overlap = -1",
        "by = words", "length = 3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mock *m = mock_new(so, NULL);
        mock_set(m, bad[i]);
        jv_err err;
        assert_true(mock_open(m, &err) < 0);
        mock_free(m);
    }
}

static void test_names(void **state)
{
    mock *m = mock_new(so, NULL);
    mock_set(m, "size = 3\nin = page\nout = piece\npart = n");
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    jv_buf *b = mock_record(m, "doc");
    mock_put(b, "page", "ab. cd.");
    assert_int_equal(mock_process(m, b, &err), JV_DONE);
    assert_int_equal(mock_n(m), 2);
    assert_string_equal(mock_id(mock_at(m, 1)), "doc/1");
    assert_string_equal(mock_text(mock_at(m, 1), "piece"), "cd.");
    assert_string_equal(mock_text(mock_at(m, 1), "page"), "ab. cd.");
    assert_int_equal(mock_i64(mock_at(m, 1), "n"), 1);
    assert_ptr_equal(mock_get(mock_at(m, 1), "piece").p, mock_get(b, "page").p + 4); /* no copy */
    mock_free(m);
}

static void test_trouble(void **state)
{
    mock *m = stage_new(3, 0, "sentences");
    jv_err err;
    int64_t k = 0;
    for (;; k++) {
        jv_buf *b = mock_record(m, "doc");
        mock_put(b, "text", "ab. cd. ef.");
        mock_fail_at(m, k);
        int32_t rc = mock_process(m, b, &err);
        if (!mock_failed(m)) {
            assert_int_equal(rc, JV_DONE);
            break;
        }
        assert_int_equal(rc, JV_FATAL);
        mock_forget(m);
    }
    assert_int_equal(k, 1 + 3 * 2); /* the marks; a child and a view for each piece */
    mock_fail_at(m, -1);
    static const int32_t codes[][2] = {{JV_CANCELLED, JV_CANCELLED}, {JV_FATAL, JV_FATAL}};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        mock_forget(m);
        jv_buf *b = mock_record(m, "doc");
        mock_put(b, "text", "ab. cd. ef.");
        mock_emit_at(m, 1, codes[i][0]);
        assert_int_equal(mock_process(m, b, &err), codes[i][1]);
        assert_int_equal(mock_n(m), 1);
        assert_int_equal(mock_counted(b, "pieces"), 1);
    }
    mock_free(m);
}

/* ---- what holds for every text ---------------------------------------------------------------------------------- */

static uint64_t seed = 20240607;

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static size_t random_text(char *out, size_t most)
{
    static const char *const atoms[] = {"a", "B", "word", " ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\r", "\t", ".",
        ". ", "! ", "?", "...", "Mr. ", "e.g. ", "3.14", "No. ", ")", "\"", "\xe2\x80\x9c", "\xe2\x80\x9d ", "漢",
        "字。", "！", "é", E_ACUTE, FAMILY, FLAG, "\xcc\x81", "\xe2\x80\x8d", "\xc2\xa0", "\xe3\x80\x80",
        "\xe2\x80\xa9", "\xe1\x84\x80", "\xe1\x85\xa1", "\xd8\x80", "0", "1. "};
    size_t n = 0;
    for (uint32_t left = draw(60); left > 0; left--) {
        const char *atom = atoms[draw(sizeof atoms / sizeof *atoms)];
        if (n + strlen(atom) > most) break;
        memcpy(out + n, atom, strlen(atom));
        n += strlen(atom);
    }
    return n;
}

/* White space, decoded by the test's own hand. */
static bool only_space(const char *s, size_t n)
{
    static const char *const spaces[] = {" ", "\t", "\n", "\r", "\xc2\xa0", "\xe3\x80\x80", "\xe2\x80\xa9"};
    while (n > 0) {
        size_t len = 0;
        for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
            if (strlen(spaces[i]) <= n && memcmp(s, spaces[i], strlen(spaces[i])) == 0) len = strlen(spaces[i]);
        if (len == 0) return false;
        s += len;
        n -= len;
    }
    return true;
}

static int64_t characters(const char *s, size_t n)
{
    int64_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

static void check_pieces(mock *m, jv_str text, int64_t size, int64_t overlap)
{
    const char *from = text.p, *to = text.p; /* of the piece before */
    for (size_t i = 0; i < mock_n(m); i++) {
        jv_str p = mock_get(mock_at(m, i), "text");
        assert_true(p.n > 0);
        assert_true(characters(p.p, p.n) <= size);
        assert_true(p.p >= text.p && p.p + p.n <= text.p + text.n);
        assert_true(p.p + p.n > to);
        assert_true(i == 0 || p.p > from);
        if (p.p < to) assert_true(characters(p.p, (size_t)(to - p.p)) <= overlap);
        if (p.p > to) assert_true(only_space(to, (size_t)(p.p - to)));
        assert_true(*p.p != '\n' && p.p[p.n - 1] != '\n');
        assert_true(*p.p != ' ' || (unsigned char)p.p[1] >= 0x80); /* a mark may sit on a blank */
        from = p.p;
        to = p.p + p.n;
    }
    assert_true(only_space(to, (size_t)(text.p + text.n - to)));
}

static void test_properties(void **state)
{
    static char text[8192];
    for (int round = 0; round < 4000; round++) {
        int64_t size = 1 + draw(draw(4) ? 12 : 60), overlap = draw(2) ? draw((uint32_t)size) : 0;
        mock *m = stage_new(size, overlap, draw(4) ? "sentences" : "characters");
        jv_buf *b = mock_record(m, "doc");
        size_t n = random_text(text, sizeof text);
        mock_put_n(b, "text", text, n);
        jv_err err;
        int32_t rc = mock_process(m, b, &err); /* the mock host checks that pieces are UTF-8 */
        assert_int_equal(rc, mock_n(m) ? JV_DONE : JV_DROP);
        assert_int_equal(rc == JV_DROP, only_space(text, n));
        if (rc == JV_DONE) check_pieces(m, mock_get(b, "text"), size, overlap);
        mock_free(m);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_abbreviations),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_long_sentences),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
