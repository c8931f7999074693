/* clean_test.c: each fix by itself, what must pass byte for byte, hostile input, and no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mockhost.h"

#define FFFD "\xef\xbf\xbd"
#define LENGTH(a) (sizeof(a) / sizeof *(a))

static const char *so;

static mock *stage_new(const char *ini)
{
    mock *m = mock_new(so, NULL);
    mock_set(m, ini);
    jv_err err;
    assert_int_equal(mock_open(m, &err), JV_OK);
    assert_int_equal(mock_start(m, &err), JV_OK);
    return m;
}

/* The counters that are not 0, as `name=value` with blanks between, without the `clean_` all begin with. */
static void print_counts(mock *m, const jv_buf *b, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    for (const jv_counter *c = mock_stage(m)->counters; c->name; c++) {
        int64_t v = mock_counted(b, c->name);
        const char *name = c->name + strlen("clean_");
        if (v && n < cap) n += (size_t)snprintf(out + n, cap - n, "%s%s=%lld", n ? " " : "", name, (long long)v);
    }
}

struct clean_case {
    const char *in, *out, *counts;
};

static void check_n(mock *m, const char *in, size_t n, const struct clean_case *expect, size_t *wrong)
{
    jv_buf *b = mock_record(m, "r");
    mock_put_n(b, "text", in, n);
    const char *at = mock_get(b, "text").p;
    jv_err err;
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    assert_int_equal(mock_type_of(b, "text"), JV_UTF8);
    jv_str out = mock_get(b, "text");
    char counts[256];
    print_counts(m, b, counts, sizeof counts);
    bool same = out.n == strlen(expect->out) && memcmp(out.p, expect->out, out.n) == 0;
    if (!same || strcmp(counts, expect->counts)) {
        print_error("'%.*s'\n gives '%.*s' (%s)\n not   '%s' (%s)\n", (int)n, in, (int)out.n, out.p, counts,
            expect->out, expect->counts);
        ++*wrong;
    }
    if (out.n == n && n > 0 && memcmp(out.p, in, n) == 0) assert_ptr_equal(out.p, at); /* what is clean is not copied */
    mock_forget(m);
}

static void check_all(const char *ini, const struct clean_case *cases, size_t n)
{
    mock *m = stage_new(ini);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) check_n(m, cases[i].in, strlen(cases[i].in), &cases[i], &wrong);
    mock_free(m);
    assert_int_equal(wrong, 0);
}

#define ONLY "encoding = yes\nhtml = no\nentities = no\ncontrol = no\ninvisible = no\nnfc = no\nspaces = no\n"

static void test_encoding(void **state)
{
    static const struct clean_case cases[] = {
        {"", "", ""},
        {"plain", "plain", ""},
        {"\xef\xbb\xbfplain", "plain", "encoding=1"},
        {"a\x80z", "a" FFFD "z", "encoding=1"},
        {"a\xc3z", "a" FFFD "z", "encoding=1"},
        {"a\xe2\x82z", "a" FFFD "z", "encoding=1"},
        {"a\xf0\x9f\x98z", "a" FFFD "z", "encoding=1"},
        {"a\xf0\x9fz", "a" FFFD "z", "encoding=1"},
        {"\xc0\xaf", FFFD FFFD, "encoding=2"},                                     /* overlong */
        {"\xe0\x80\xaf", FFFD FFFD FFFD, "encoding=3"},                            /* overlong */
        {"\xf0\x80\x80\xaf", FFFD FFFD FFFD FFFD, "encoding=4"},                   /* overlong */
        {"\xed\xa0\x80", FFFD FFFD FFFD, "encoding=3"},                            /* a surrogate */
        {"\xed\xa0\xbd\xed\xb8\x80", FFFD FFFD FFFD FFFD FFFD FFFD, "encoding=6"}, /* CESU-8 */
        {"\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD, "encoding=4"},                   /* above U+10FFFF */
        {"\xff\xfe", FFFD FFFD, "encoding=2"},
        /* table 3-8 of the Unicode Standard */
        {"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", "a" FFFD FFFD FFFD "b" FFFD "c" FFFD FFFD "d",
            "encoding=6"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", FFFD FFFD FFFD FFFD "A", "encoding=4"},
    };
    check_all(ONLY, cases, LENGTH(cases));
    static const char whole[] = "\xc3\xa9\xe2\x82\xac\xed\x9f\xbf\xee\x80\x80\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf";
    mock *m = stage_new(ONLY);
    size_t wrong = 0, good = 0;
    for (size_t n = 0; n < sizeof whole; n++) { /* a cut inside each character, and at each end */
        if (n == sizeof whole - 1 || ((unsigned char)whole[n] & 0xc0) != 0x80) good = n;
        char expect[64];
        snprintf(expect, sizeof expect, "%.*s%s", (int)good, whole, good < n ? FFFD : "");
        check_n(m, whole, n, &(struct clean_case){whole, expect, good < n ? "encoding=1" : ""}, &wrong);
    }
    assert_int_equal(wrong, 0);
    mock_free(m);
}

static void test_encoding_no(void **state)
{
    mock *m = stage_new("encoding = no");
    jv_buf *b = mock_record(m, "r");
    mock_put(b, "text", "good \xc3\xa9 bad \xe2\x82");
    jv_err err;
    assert_int_equal(mock_process(m, b, &err), JV_BAD);
    assert_non_null(strstr(err.text, "0xe2"));
    assert_non_null(strstr(err.text, "offset 12"));
    assert_int_equal(mock_process(m, mock_record(m, "none"), &err), JV_BAD);
    mock_free(m);
}

static void test_html(void **state)
{
    static const struct clean_case cases[] = {
        {"plain", "plain", ""},
        {"a  b\n\tc", "a b c", ""},
        {"<p>One</p><p>Two</p>", "One\n\nTwo", "html=4"},
        {"a<br>b<br/>c<BR >d", "a\nb\nc\nd", "html=3"},
        {"a<br><br><br>b", "a\n\nb", "html=3"},
        {"<div>a<div>b</div>c</div>", "a\nb\nc", "html=4"},
        {"one <b>two</b>three", "one twothree", "html=2"},
        {"<b><i>a</b></i>", "a", "html=4"},
        {"<ul><li>a<li> b </ul>c", "- a\n- b\nc", "html=4"},
        {"<ul><li><p>a</p></li></ul>", "- a", "html=6"},
        {"<table><tr><td>a</td><td>b</td></tr><tr><th>c<th>d</table>", "a\tb\nc\td", "html=11"},
        {"<table><tr><td><p>a</p></td><td><p>b</p></td></tr><tr><td>c</td></tr></table>", "a\tb\nc", "html=16"},
        {"<tr><td></td><td>b</td><td></td></tr><tr><td>c", "\tb\nc", "html=10"},
        {"<pre>a  b\n  c\n</pre>d", "a  b\n  c\n\nd", "html=2"},
        {"<pre>\n x\n</pre>", " x\n", "html=2"},
        {"x<script>if (a<b) '</p>'</script>y", "xy", "html=1"},
        {"x<STYLE type=a>p{}</Style >y", "xy", "html=1"},
        {"x<script>never closed <b>y", "xnever closed y", "html=2"},
        {"a<!-- <p> -- > -->b<!-->c<!--->d<!--x--!>e", "abcde", "html=4"},
        {"a<!-- never closed <b>b", "a<!-- never closed b", "html=1"},
        {"<!DOCTYPE html><title>T</title><p>x", "T\n\nx", "html=4"},
        {"<a href=\"x>y\" title='>'>link</a>", "link", "html=2"},
        {"<a href=x\"y>link</a>", "link", "html=2"},
        {"<a href=\"never closed>link <b>x", "<a href=\"never closed>link <b>x", ""},
        {"a < b, 1<2, <3, a<", "a < b, 1<2, <3, a<", ""},
        {"a</>b</1>c<?php x ?>d<![CDATA[e]]>f", "abcdf", "html=4"},
        {"<p", "<p", ""},
        {"</", "</", ""},
        {"<!", "<!", ""},
        {"&lt;p&gt; &amp;amp; &eacute;&#x20AC;&#8364;&#150;", "<p> &amp; \xc3\xa9\xe2\x82\xac\xe2\x82\xac\xe2\x80\x93",
            "entities=7"},
        {"a&nbsp;b",
            "a\xc2\xa0"
            "b",
            "entities=1"},
        {"<svg><title>t</title><path d=''/></svg>x", "x", "html=1"},
        {"<img alt='no' src=x>y", "y", "html=1"},
        {"<p>a</p>\n\n\n<h1>b</h1>  ", "a\n\nb", "html=4"},
        {"\xe6\xbc\xa2<p>\xe5\xad\x97", "\xe6\xbc\xa2\n\n\xe5\xad\x97", "html=1"},
    };
    check_all("html = yes\nspaces = no", cases, LENGTH(cases));
    static const struct clean_case kept[] = {{"<p>&lt;&amp;</p>", "&lt;&amp;", "html=2"}};
    check_all("html = yes\nentities = no", kept, 1);
}

/* Tags within tags, tags that never end, ends that nothing began. */
static void test_broken_tags(void **state)
{
    static const struct clean_case cases[] = {
        {"<<b>a</b>>", "<a>", "html=2"},
        {"<b<i>a</i></b>", "a", "html=3"},
        {"<p <p>a", "a", "html=1"},
        {"< b>a</b>", "< b>a", "html=1"},
        {"<b >a</b\n>", "a", "html=2"},
        {"<b/>a<br/ >b<p/>c", "a\nb\n\nc", "html=3"},
        {"<a href='x'y>z</a>", "z", "html=2"},
        {"<a =\">x\" b>y", "x\" b>y", "html=1"},
        {"<a b=\"c\"d='e'>f", "f", "html=1"},
        {"<a b=c=\"d>e\">f", "e\">f", "html=1"},
        {"<a b = \"c>d\" e=>f", "f", "html=1"},
        {"<a b/=\"c>d\">e", "d\">e", "html=1"},
        {"<a\nb\n=\n'>'\n>c", "c", "html=1"},
        {"<div><p>a</div>b</p>c", "a\nb\n\nc", "html=4"},
        {"</p>a</div></b>b", "a\nb", "html=3"},
        {"<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n- b\n- c", "html=7"},
        {"<table><tr><td>a<table><tr><td>b</table><td>c</table>", "a\n\nb\tc", "html=9"},
        {"<pre><b>a\n  b</pre></b>  c  d", "a\n  b\n\nc d", "html=4"},
        {"<pre><pre>a\n b</pre>\n c</pre>d", "a\n b\n\n\n c\n\nd", "html=4"},
        {"<script><!--</script>-->x", "-->x", "html=1"},
        {"<script></scripts></script>x", "x", "html=1"},
        {"<style><p></style><p>x", "x", "html=2"},
        {"<svg><svg></svg>a</svg>b", "ab", "html=2"},
        {"a<!--<!-- -->b-->c", "ab-->c", "html=1"},
        {"a<!---->b<!-- x --->c", "abc", "html=2"},
        {"a<b", "a<b", ""},
        {"a<b>c<", "ac<", "html=1"},
        {"a&lt;b>c", "a<b>c", "entities=1"},
        {"\xf0\x9f\x98\x80<b>\xc3\xa9</b>\xe2\x82\xac", "\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac", "html=2"},
        {"<b \xf0\x9f\x98\x80=\xc3\xa9>x<\xc3\xa9>y", "x<\xc3\xa9>y", "html=1"},
    };
    check_all("html = yes\nspaces = no", cases, LENGTH(cases));
}

static void test_html_auto(void **state)
{
    static const struct clean_case cases[] = {
        {"<!DOCTYPE html>\n<p>x", "x", "html=2"},
        {" \n<HTML><body>x</body></html>", "x", "html=4"},
        {"<!-- c --><html>x</html>", "x", "html=3"},
        {"<?xml version='1.0'?>\n<html>x</html>", "x", "html=3"},
        {"\xef\xbb\xbf<html>x", "x", "encoding=1 html=1"},
        {"<div class=a>x</div>\n", "x", "html=2"},
        {"<p align=center>\n# Title\n</p>", "<p align=center>\n# Title\n</p>", ""},
        {"<p>x</p> and then prose", "<p>x</p> and then prose", ""},
        {"<?xml version='1.0'?><a>x</a>", "<?xml version='1.0'?><a>x</a>", ""},
        {"if (a<b && c>d) <p> x", "if (a<b && c>d) <p> x", ""},
        {"<pretty>x</pretty>", "<pretty>x</pretty>", ""},
        {"<htmlx>", "<htmlx>", ""},
        {"<script>x</script>", "<script>x</script>", ""},
        {"Say <b>x</b> &amp; y", "Say <b>x</b> &amp; y", ""},
    };
    check_all("", cases, LENGTH(cases));
}

static void test_entities(void **state)
{
    static const struct clean_case cases[] = {
        {"AT&amp;T &lt;b&gt; &quot;x&quot;", "AT&T <b> \"x\"", "entities=5"},
        {"&amp;lt;", "&lt;", "entities=1"},
        {"&copy 2024, &copy; &copyx ?a=1&copy=2", "\xc2\xa9 2024, \xc2\xa9 &copyx ?a=1&copy=2", "entities=2"},
        {"&hellip &hellip;", "&hellip \xe2\x80\xa6", "entities=1"},
        {"&nosuch; & &; &#; &#x; &#xg; &", "&nosuch; & &; &#; &#x; &#xg; &", ""},
        {"&#65;&#x41;&#X41;&#65 &#x41g", "AAAA Ag", "entities=5"},
        {"&#0;&#xD800;&#x110000;&#99999999999999999999;", FFFD FFFD FFFD FFFD, "entities=4"},
        {"&#128;&#x92;&#129;", "\xe2\x82\xac\xe2\x80\x99\xc2\x81", "entities=3"},
        {"&nGt;", "\xe2\x89\xab\xe2\x83\x92", "entities=1"}, /* longer than its name */
        {"&CounterClockwiseContourIntegral;", "\xe2\x88\xb3", "entities=1"},
        {"&CounterClockwiseContourIntegrals;", "&CounterClockwiseContourIntegrals;", ""},
        {"&am", "&am", ""},
        {"&amp", "&", "entities=1"},
        {"&zwnj;&zwj;", "\xe2\x80\x8c\xe2\x80\x8d", "entities=2"},
    };
    check_all("html = no\nentities = yes\ncontrol = no", cases, LENGTH(cases));
}

static void test_control(void **state)
{
    static const struct clean_case cases[] = {
        {"a\r\nb\rc\nd\r\n", "a\nb\nc\nd\n", "control=3"},
        {"a\r\r\nb", "a\n\nb", "control=2"},
        {"a\x07\x1b\x7f"
         "b\tc",
            "ab\tc", "control=3"},
        {"page\fnext\vline\xc2\x85z", "page\nnext\nline\nz", "control=3"},
        {"a\xc2\x80\xc2\x9f\xc2\xa0z", "a\xc2\xa0z", "control=2"},
        {"\r", "\n", "control=1"},
    };
    check_all("", cases, LENGTH(cases));
    mock *m = stage_new("");
    size_t wrong = 0;
    check_n(m, "a\0b\0", 4, &(struct clean_case){"", "ab", "control=2"}, &wrong);
    assert_int_equal(wrong, 0);
    mock_free(m);
    static const struct clean_case off[] = {{"a\r\nb\x07", "a\r\nb\x07", ""}};
    check_all("control = no", off, 1);
}

static void test_invisible(void **state)
{
    static const struct clean_case cases[] = {
        {"so\xc2\xad"
         "ft",
            "soft", "invisible=1"},
        {"a\xe2\x80\x8b"
         "b\xef\xbb\xbf"
         "c\xe2\x81\xa0"
         "d",
            "abcd", "invisible=3"},
        {"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", ""},
        {"\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb4", "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xb4", ""},
        {"\xc2\xae\xc2", "\xc2\xae" FFFD, "encoding=1"},
    };
    check_all("", cases, LENGTH(cases));
}

static void test_nfc(void **state)
{
    static const struct clean_case cases[] = {
        {"e\xcc\x81", "\xc3\xa9", "nfc=1"},
        {"e\xcc\x81\ne\xcc\x81"
         "e\xcc\x81\nx",
            "\xc3\xa9\n\xc3\xa9\xc3\xa9\nx", "nfc=2"},
        {"\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80", "nfc=1"},             /* Hangul, two letters */
        {"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81", "nfc=1"}, /* three */
        {"\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81", "nfc=1"},             /* a syllable and a letter */
        {"\xe2\x84\xab", "\xc3\x85", "nfc=1"},                             /* a singleton */
        {"q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87", "nfc=1"},               /* marks in their order */
        {"a\xcc\xa3\xcc\x82", "\xe1\xba\xad", "nfc=1"},
        {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc", "nfc=1"},  /* excluded from composition */
        {"\xef\xac\x81 \xc2\xb2", "\xef\xac\x81 \xc2\xb2", ""}, /* compatibility characters stay */
        {"\xcc\x81", "\xcc\x81", ""},
        {"\xea\xb0\x81 \xe6\xbc\xa2 \xd0\x99 \xf0\x9f\x98\x80", "\xea\xb0\x81 \xe6\xbc\xa2 \xd0\x99 \xf0\x9f\x98\x80", ""},
        {"\xf0\x9d\x85\x9e", "\xf0\x9d\x85\x97\xf0\x9d\x85\xa5", "nfc=1"}, /* three times as long is the worst */
        {"\xef\xac\xac", "\xd7\xa9\xd6\xbc\xd7\x81", "nfc=1"},
    };
    check_all("", cases, LENGTH(cases));
    static const struct clean_case off[] = {{"e\xcc\x81", "e\xcc\x81", ""}};
    check_all("nfc = no", off, 1);
}

static void test_spaces(void **state)
{
    static const struct clean_case cases[] = {
        {"a \nb\t\nc", "a\nb\nc", "spaces=2"},
        {"a\n\n\nb", "a\n\n\nb", ""},
        {"a\n\n\n\n\n\nb", "a\n\n\nb", "spaces=3"},
        {"a\n \n\t\n \n \nb", "a\n\n\nb", "spaces=6"},
        {"hard  \nbreak", "hard  \nbreak", ""},
        {"no break  \n\nhere  ", "no break\n\nhere", "spaces=2"},
        {"a   \nb", "a\nb", "spaces=1"},
        {"  in  dent", "  in  dent", ""},
        {"\xc2\xa0\xe3\x80\x80x", "\xc2\xa0\xe3\x80\x80x", ""},
    };
    check_all("", cases, LENGTH(cases));
    static const struct clean_case all[] = {
        {"  in  dent", "  in dent", "spaces=1"},
        {"a\xc2\xa0"
         "b\xe3\x80\x80\xe2\x80\x89"
         "c \t d\te",
            "a b c\td\te", "spaces=3"},
        {"x \xe2\x80\xaf y   ", "x y", "spaces=2"},
    };
    check_all("spaces = all", all, LENGTH(all));
}

/* What nobody asked to change. */
static void test_unchanged(void **state)
{
    static const char *const texts[] = {
        "Plain prose, in two lines.\nIt ends with a newline.\n",
        "# Markdown\n\n- item  with  two blanks\n- [link](http://a/?b=1&c=2)\n\n```c\nif (a < b && c > d)\n\treturn "
        "\"&amp;\";\n```\n",
        "<p align=\"center\">\n  <img src=\"logo.png\">\n</p>\n\n# A project\n\nText with a hard  \nbreak.\n",
        "int main(void)\n{\n    printf(\"<html>%s</html>\\n\", \"&lt;\");\n    return 0; // x   y\n}\n",
        "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x80\x80\xe3\x81\xa7\xe3\x81\x99\xe3\x80\x82\n",
        "Caf\xc3\xa9, na\xc3\xafve, \xd0\x99\xd0\xbe\xd0\xb3\xd0\xb0, "
        "\xe0\xa4\x95\xe0\xa5\x8d\xe2\x80\x8d\xe0\xa4\xb7, \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4\n",
        "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 \xf0\x9f\x87\xa9\xf0\x9f\x87\xaa "
        "\xe2\x9d\xa4\xef\xb8\x8f\n",
        "a,b,c\n1,,3\n\"x  y\",\t,z\n",
        "{\"html\": \"<p>x</p>\", \"n\": [1, 2]}",
        "<?xml version=\"1.0\"?>\n<root><p>x</p></root>\n",
    };
    mock *m = stage_new("");
    size_t wrong = 0;
    for (size_t i = 0; i < LENGTH(texts); i++)
        check_n(m, texts[i], strlen(texts[i]), &(struct clean_case){texts[i], texts[i], ""}, &wrong);
    assert_int_equal(wrong, 0);
    mock_free(m);
}

/* Inputs that make careless code take quadratic time or deep recursion; at this size that would not end. */
static void test_hostile(void **state)
{
    static const char *const atoms[] = {"<a ", "<a b=\"", "<a b='\"", "<!--", "<!-- >", "<script>", "</script ",
        "<svg><", "<pre>", "<div>", "</x>", "<!", "<td>", "&", "&#", "&#9", "&CounterClockwiseContourIntegra", "  \n",
        " \t", "\xe2\x80", "e\xcc\x81\xcc\xa3", "\xcc\xa3\xcc\x81", "<", "</"};
    const size_t most = 1 << 20;
    char *text = malloc(most + 64);
    assert_non_null(text);
    for (size_t i = 0; i < LENGTH(atoms); i++) {
        size_t n = 0, k = strlen(atoms[i]);
        for (; n < most; n += k) memcpy(text + n, atoms[i], k);
        mock *m = stage_new("html = yes\nentities = yes\nspaces = all");
        jv_buf *b = mock_record(m, "r");
        mock_put_n(b, "text", text, n);
        jv_err err;
        assert_int_equal(mock_process(m, b, &err), JV_OK);
        mock_free(m);
    }
    /* half a million marks of one class behind half a million of a higher one */
    for (size_t i = 0; i < most; i += 2) memcpy(text + i, i < most / 2 ? "\xcc\x81" : "\xcc\xa3", 2);
    mock *m = stage_new("");
    jv_buf *b = mock_record(m, "r");
    mock_put_n(b, "text", text, most);
    jv_err err;
    assert_int_equal(mock_process(m, b, &err), JV_OK);
    jv_str out = mock_get(b, "text");
    assert_int_equal(out.n, most);
    for (size_t i = 0; i < most; i += most / 64)
        assert_memory_equal(out.p + i, i < most / 2 ? "\xcc\xa3" : "\xcc\x81", 2);
    mock_free(m);
    free(text);
}

/* Any bytes at all: the mock host sees to it that what comes out is UTF-8. Cleaning twice changes nothing more. */
static void test_random(void **state)
{
    static const char *const atoms[] = {"<", ">", "</", "p", "td", "script", "<!--", "-->", "=", "\"", "'", "&", "amp",
        ";", "#x41", " ", "  ", "\n", "\r", "\xc2", "\xe2\x80", "\x8b", "e", "\xcc\x81", "\xcc\xa3", "\xef\xbb\xbf",
        "\xf0\x9f", "\xff", "a", "<pre>", "<br>", "\t", "\xc2\xa0"};
    uint64_t seed = 7;
    mock *m = stage_new("html = yes\nentities = yes\nspaces = all"), *again = stage_new("html = no\nspaces = all");
    for (int round = 0; round < 5000; round++) {
        char text[512];
        size_t n = 0;
        for (int i = 0; i < 40; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const char *atom = atoms[(seed >> 33) % LENGTH(atoms)];
            memcpy(text + n, atom, strlen(atom));
            n += strlen(atom);
        }
        jv_err err;
        jv_buf *b = mock_record(m, "r"), *b2 = mock_record(again, "r");
        mock_put_n(b, "text", text, n);
        assert_int_equal(mock_process(m, b, &err), JV_OK);
        jv_str out = mock_get(b, "text");
        mock_put_n(b2, "text", out.p, out.n);
        assert_int_equal(mock_process(again, b2, &err), JV_OK);
        jv_str out2 = mock_get(b2, "text");
        if (out2.n != out.n || (out.n && memcmp(out.p, out2.p, out.n)))
            fail_msg("round %d: '%.*s' then '%.*s'", round, (int)out.n, out.p, (int)out2.n, out2.p);
        mock_forget(m);
        mock_forget(again);
    }
    mock_free(m);
    mock_free(again);
}

static void test_no_memory(void **state)
{
    static const char text[] = "\xef\xbb\xbf<p>e\xcc\x81 &amp;\r\n\xff \x07</p> ";
    static const int64_t allocations[] = {4, 1}; /* two texts, the code points, the field; a view */
    for (int clean = 0; clean < 2; clean++) {
        mock *m = stage_new(clean ? ONLY : "html = yes\nspaces = all");
        jv_err err;
        int64_t k = 0;
        for (;; k++) {
            jv_buf *b = mock_record(m, "r");
            mock_put(b, "text", clean ? "plain" : text);
            mock_fail_at(m, k);
            int32_t rc = mock_process(m, b, &err);
            if (!mock_failed(m)) {
                assert_int_equal(rc, JV_OK);
                break;
            }
            assert_int_equal(rc, JV_FATAL);
        }
        assert_int_equal(k, allocations[clean]);
        mock_free(m);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    so = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_encoding_no),
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_broken_tags),
        cmocka_unit_test(test_html_auto),
        cmocka_unit_test(test_entities),
        cmocka_unit_test(test_control),
        cmocka_unit_test(test_invisible),
        cmocka_unit_test(test_nfc),
        cmocka_unit_test(test_spaces),
        cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
