/*
 * jinja_lex.c: a template to tokens. White space goes by Jinja's rules with trim_blocks and lstrip_blocks on: the
 * newline after a {% %} or {# #} goes, blanks between the start of a line and such a tag go, `-` takes all white
 * space on its side and `+` keeps it.
 */
#include "jinja_impl.h"

#include <stdlib.h>
#include <string.h>

typedef struct lexer {
    job *j;
    text src;
    size_t at;
    token *token;
    size_t n, cap;
    char open[JJ_MAX_DEPTH]; /* brackets */
    int n_open;
} lexer;

static token *add(lexer *x, int type, size_t at, size_t end)
{
    if (x->n == x->cap) {
        size_t cap = x->cap > 0 ? 2 * x->cap : 64;
        token *t = jj_array(x->j, cap, sizeof *t);
        if (x->n > 0) memcpy(t, x->token, x->n * sizeof *t);
        x->token = t;
        x->cap = cap;
    }
    token *t = &x->token[x->n++];
    *t = (token){.type = (uint8_t)type, .at = (uint32_t)at, .text = jj_sub(x->src, at, end)};
    return t;
}

static bool looking_at(const lexer *x, size_t at, const char *s)
{
    size_t n = strlen(s);
    return n <= x->src.n - at && memcmp(x->src.p + at, s, n) == 0;
}

static size_t skip_space(const lexer *x, size_t at)
{
    while (at < x->src.n) {
        uint32_t c;
        size_t len = jj_next(x->src, at, &c);
        if (!jj_is_space(c)) break;
        at += len;
    }
    return at;
}

/* The end of the text from..to without the white space before `to`; with `in_line`, only if it reaches back to a
 * line's start. */
static size_t strip_end(const lexer *x, size_t from, size_t to, bool in_line)
{
    size_t end = to;
    while (end > from) {
        size_t at = end - 1;
        while (at > from && ((unsigned char)x->src.p[at] & 0xc0) == 0x80) at--;
        if (in_line && x->src.p[at] == '\n') return end;
        uint32_t c;
        jj_next(x->src, at, &c);
        if (!jj_is_space(c)) return in_line ? to : end;
        end = at;
    }
    return in_line && from > 0 && x->src.p[from - 1] != '\n' ? to : end;
}

/* ---- what stands in tags ---- */

static uint32_t hex(lexer *x, size_t at, int digits)
{
    uint32_t c = 0;
    for (int i = 0; i < digits; i++) {
        char d = at + (size_t)i < x->src.n ? x->src.p[at + (size_t)i] : 0;
        int v = d >= '0' && d <= '9' ? d - '0' : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10 : -1;
        if (v < 0) jj_fail(x->j, "an escape in this string lacks hexadecimal digits");
        c = c << 4 | (uint32_t)v;
    }
    return c;
}

/* One escape of Python's; at: after the backslash. Returns where it ends. An unknown one stands for itself. */
static size_t escape(lexer *x, size_t at, buf *b)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char e = x->src.p[at++];
    const char *simple = strchr(from, e);
    if (e == '\n') return at;
    if (e && simple) {
        jj_put_bytes(b, &to[simple - from], 1, true);
    } else if (e == 'x' || e == 'u' || e == 'U') {
        int digits = e == 'x' ? 2 : e == 'u' ? 4 : 8;
        uint32_t c = hex(x, at, digits);
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) jj_fail(x->j, "an escape in this string names no character");
        jj_put_char(b, c, true);
        return at + (size_t)digits;
    } else if (e >= '0' && e <= '7') {
        uint32_t c = (uint32_t)(e - '0');
        for (int i = 0; i < 2 && at < x->src.n && x->src.p[at] >= '0' && x->src.p[at] <= '7'; i++)
            c = 8 * c + (uint32_t)(x->src.p[at++] - '0');
        jj_put_char(b, c, true);
    } else if (e == 'N') {
        jj_fail(x->j, "characters by name (\\N) are not supported");
    } else {
        jj_puts(b, "\\");
        return at - 1;
    }
    return at;
}

static void lex_string(lexer *x)
{
    size_t start = x->at++;
    char quote = x->src.p[start];
    buf b = {.j = x->j};
    for (;;) {
        size_t run = x->at;
        while (run < x->src.n && x->src.p[run] != quote && x->src.p[run] != '\\') run++;
        jj_put_bytes(&b, x->src.p + x->at, run - x->at, true);
        x->at = run + 1;
        if (run < x->src.n && x->src.p[run] == quote) break;
        if (x->at >= x->src.n) jj_fail(x->j, "this string does not end");
        x->at = escape(x, x->at, &b);
    }
    add(x, T_STRING, start, x->at)->text = b.n > 0 ? jj_text(&b) : jj_sub(x->src, 0, 0);
}

/* The end of digits with single underscores between; `at` where there are none. */
static size_t digits_end(const lexer *x, size_t at)
{
    size_t end = at;
    while (end < x->src.n && x->src.p[end] >= '0' && x->src.p[end] <= '9') {
        end++;
        if (end + 1 < x->src.n && x->src.p[end] == '_' && x->src.p[end + 1] >= '0' && x->src.p[end + 1] <= '9') end++;
    }
    return end;
}

static void lex_number(lexer *x)
{
    size_t start = x->at, end = digits_end(x, start);
    bool after_dot = start > 0 && x->src.p[start - 1] == '.', is_float = false;
    if (!after_dot && end < x->src.n && x->src.p[end] == '.' && digits_end(x, end + 1) > end + 1) {
        end = digits_end(x, end + 1);
        is_float = true;
    }
    if (!after_dot && end < x->src.n && (x->src.p[end] | 32) == 'e') {
        size_t e = end + 1 + (end + 1 < x->src.n && (x->src.p[end + 1] == '+' || x->src.p[end + 1] == '-'));
        if (digits_end(x, e) > e) {
            end = digits_end(x, e);
            is_float = true;
        }
    }
    char s[400];
    size_t n = 0;
    for (size_t i = start; i < end; i++) {
        if (n + 1 >= sizeof s) jj_fail(x->j, "this number has more than %zu digits", sizeof s - 1);
        if (x->src.p[i] != '_') s[n++] = x->src.p[i];
    }
    s[n] = 0;
    x->at = end;
    if (is_float) {
        add(x, T_FLOAT, start, end)->d = strtod(s, NULL);
        return;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v) || v > INT64_MAX)
            jj_fail(x->j, "the integer %.40s does not fit in 64 bits", s);
    char next = end < x->src.n ? x->src.p[end] : 0;
    if ((n > 1 && s[0] == '0' && v > 0) || (n == 1 && v == 0 && next && strchr("xXoObB", next)))
        jj_fail(x->j, "only decimal integers, without leading zeros, are supported");
    add(x, T_INT, start, end)->i = (int64_t)v;
}

static void lex_op(lexer *x)
{
    static const char *const ops[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "[", "]", "(",
        ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"};
    size_t i = 0, n = sizeof ops / sizeof *ops;
    while (i < n && !looking_at(x, x->at, ops[i])) i++;
    if (i == n) {
        uint32_t unused;
        jj_fail(x->j, "unexpected character \"%.*s\"", (int)jj_next(x->src, x->at, &unused), x->src.p + x->at);
    }
    char c = ops[i][0];
    if (strchr("([{", c)) {
        if (x->n_open == JJ_MAX_DEPTH) jj_fail(x->j, "brackets are nested deeper than %d", JJ_MAX_DEPTH);
        x->open[x->n_open++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (strchr(")]}", c)) {
        if (x->n_open == 0) jj_fail(x->j, "unexpected \"%c\"", c);
        char wanted = x->open[--x->n_open];
        if (wanted != c) jj_fail(x->j, "unexpected \"%c\" where \"%c\" should close a bracket", c, wanted);
    }
    size_t at = x->at;
    x->at += strlen(ops[i]);
    add(x, T_OP, at, x->at);
}

static bool is_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* ---- tags ---- */

/* Past the end of a tag ("%}" or "#}" behind `at`), and past the white space its sign and trim_blocks take. */
static size_t end_of_tag(const lexer *x, size_t at, bool strip, bool trim)
{
    at += 2;
    if (strip) return skip_space(x, at);
    return trim && at < x->src.n && x->src.p[at] == '\n' ? at + 1 : at;
}

static void lex_tag(lexer *x, int end_type, const char *end)
{
    size_t start = x->at;
    for (;;) {
        x->at = skip_space(x, x->at);
        x->j->at = (uint32_t)x->at;
        if (x->at >= x->src.n) {
            x->j->at = (uint32_t)(start - 2);
            jj_fail(x->j, "this tag is not closed by \"%s\"", end);
        }
        char c = x->src.p[x->at];
        bool sign =
            x->at + 1 < x->src.n && (c == '-' || (c == '+' && end_type == T_TAG_END)) && looking_at(x, x->at + 1, end);
        if (x->n_open == 0 && (sign || looking_at(x, x->at, end))) {
            size_t at = x->at;
            x->at = end_of_tag(x, at + sign, c == '-', end_type == T_TAG_END && c != '+');
            add(x, end_type, at, at + sign + 2);
            return;
        }
        if (is_name_char(c, true)) {
            size_t at = x->at;
            while (x->at < x->src.n && is_name_char(x->src.p[x->at], false)) x->at++;
            add(x, T_NAME, at, x->at);
        } else if (c >= '0' && c <= '9') {
            lex_number(x);
        } else if (c == '\'' || c == '"') {
            lex_string(x);
        } else {
            lex_op(x);
        }
    }
}

static void skip_comment(lexer *x)
{
    const char *end = x->src.p + x->at;
    size_t left = x->src.n - x->at;
    end = memmem(end, left, "#}", 2);
    if (!end) jj_fail(x->j, "this comment is not closed by \"#}\"");
    size_t at = (size_t)(end - x->src.p);
    char sign = at > x->at ? end[-1] : 0;
    x->at = end_of_tag(x, at, sign == '-', sign != '+');
}

/* The offset of the next "{{", "{%" or "{#"; the end when there is none. */
static size_t next_tag(const lexer *x)
{
    size_t at = x->at;
    while (at + 1 < x->src.n) {
        const char *p = memchr(x->src.p + at, '{', x->src.n - 1 - at);
        if (!p) break;
        at = (size_t)(p - x->src.p);
        if (p[1] == '{' || p[1] == '%' || p[1] == '#') return at;
        at++;
    }
    return x->src.n;
}

token *jj_lex(job *j)
{
    lexer x = {.j = j, .src = j->source};
    while (x.at < x.src.n) {
        size_t start = x.at, tag = next_tag(&x), end = tag;
        char kind = tag < x.src.n ? x.src.p[tag + 1] : 0, sign = tag + 2 < x.src.n ? x.src.p[tag + 2] : 0;
        if (kind && sign == '-')
            end = strip_end(&x, start, tag, false);
        else if (kind && kind != '{' && sign != '+')
            end = strip_end(&x, start, tag, true);
        if (end > start) add(&x, T_DATA, start, end);
        x.at = tag;
        if (!kind) break;
        j->at = (uint32_t)tag;
        x.at += sign == '-' || sign == '+' ? 3 : 2;
        if (kind == '#') {
            skip_comment(&x);
            continue;
        }
        add(&x, kind == '{' ? T_PRINT : T_TAG, tag, x.at);
        lex_tag(&x, kind == '{' ? T_PRINT_END : T_TAG_END, kind == '{' ? "}}" : "%}");
    }
    add(&x, T_END, x.src.n, x.src.n);
    return x.token;
}
