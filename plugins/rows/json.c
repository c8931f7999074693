/* json.c: see json.h. */
#include "json.h"

#include <string.h>

static bool wrong(struct json *j, const char *what)
{
    j->what = what;
    return false;
}

/* The byte at `at`, or -1 at the end. */
static int peek(const struct json *j)
{
    return j->at < j->n ? (unsigned char)j->p[j->at] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

void json_space(struct json *j)
{
    while (j->at < j->n && memchr(" \t\n\r", j->p[j->at], 4)) j->at++;
}

bool json_end(struct json *j)
{
    json_space(j);
    return j->at == j->n || wrong(j, "nothing may follow the value");
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits at p, or -1. */
static int32_t hex4(const char *p, size_t n)
{
    int32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdefABCDEF", *d = i < n && p[i] ? strchr(digits, p[i]) : NULL;
        if (!d) return -1;
        v = v << 4 | (int32_t)(d - digits < 16 ? d - digits : d - digits - 6);
    }
    return v;
}

static bool is_high(int32_t u)
{
    return u >= 0xd800 && u < 0xdc00;
}

static bool is_low(int32_t u)
{
    return u >= 0xdc00 && u < 0xe000;
}

/* The character that the escape at p[0..n) means, behind its backslash, and the bytes it takes; -1 where there is none
 * so. A pair of surrogates is one escape. */
static int32_t escape(const char *p, size_t n, size_t *len)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    *len = 1;
    const char *letter = n && *p ? strchr(letters, *p) : NULL;
    if (letter) return means[letter - letters];
    if (!n || *p != 'u') return -1;
    int32_t u = hex4(p + 1, n - 1);
    *len = 5;
    if (u < 0 || is_low(u)) return -1;
    if (!is_high(u)) return u;
    if (n < 11 || p[5] != '\\' || p[6] != 'u') return -1;
    int32_t low = hex4(p + 7, n - 7);
    *len = 11;
    return is_low(low) ? 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00) : -1;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

static bool skip_string(struct json *j)
{
    j->at++;
    for (;;) {
        while (j->at < j->n && is_plain(j->p[j->at])) j->at++;
        int c = peek(j);
        if (c < 0) return wrong(j, "the string has no end");
        if (c < 0x20) return wrong(j, "a control character in a string must be escaped");
        size_t len = 0;
        if (c == '\\' && escape(j->p + j->at + 1, j->n - j->at - 1, &len) < 0)
            return wrong(j, "no such escape, or half of a surrogate pair");
        j->at += 1 + len;
        if (c == '"') return true;
    }
}

static void add_char(struct row *out, int32_t u)
{
    unsigned char b[4];
    size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; u >>= 6) b[i] = (unsigned char)(0x80 | (u & 0x3f));
    b[0] = (unsigned char)(lead[n] | u);
    row_add(out, (const char *)b, n);
}

void json_text(struct row *out, jv_str string)
{
    const char *p = string.p + 1, *end = string.p + string.n - 1;
    while (p < end) {
        const char *plain = memchr(p, '\\', (size_t)(end - p));
        if (!plain) plain = end;
        row_add(out, p, (size_t)(plain - p));
        if (plain == end) return;
        size_t len;
        add_char(out, escape(plain + 1, (size_t)(end - plain) - 1, &len));
        p = plain + 1 + len;
    }
}

/* ---- numbers and words ------------------------------------------------------------------------------------------- */

static bool skip_digits(struct json *j)
{
    if (!is_digit(peek(j))) return wrong(j, "a digit was expected");
    while (is_digit(peek(j))) j->at++;
    return true;
}

static bool skip_number(struct json *j)
{
    j->at += peek(j) == '-';
    if (peek(j) == '0')
        j->at++;
    else if (!skip_digits(j))
        return false;
    if (is_digit(peek(j))) return wrong(j, "a number does not begin with 0");
    if (peek(j) == '.') {
        j->at++;
        if (!skip_digits(j)) return false;
    }
    if (peek(j) == 'e' || peek(j) == 'E') {
        j->at++;
        j->at += peek(j) == '+' || peek(j) == '-';
        if (!skip_digits(j)) return false;
    }
    return true;
}

static bool skip_word(struct json *j, const char *w)
{
    size_t n = strlen(w);
    if (j->n - j->at < n || memcmp(j->p + j->at, w, n)) return wrong(j, "a value was expected");
    j->at += n;
    return true;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Before the next item of what `closing` ends: 1: an item follows; 0: it is closed; -1: wrong. */
static int separator(struct json *j, bool first, char closing)
{
    json_space(j);
    int c = peek(j);
    if (c == closing) return j->at++, 0;
    if (first) return 1;
    if (c != ',') return wrong(j, closing == '}' ? "`,` or `}` was expected" : "`,` or `]` was expected"), -1;
    j->at++;
    return 1;
}

int json_element(struct json *j, bool first, jv_str *value)
{
    int more = separator(j, first, ']');
    return more == 1 && !json_value(j, value) ? -1 : more;
}

int json_member(struct json *j, bool first, jv_str *key, jv_str *value)
{
    int more = separator(j, first, '}');
    if (more != 1) return more;
    json_space(j);
    size_t from = j->at;
    if (peek(j) != '"') return wrong(j, "a key was expected"), -1;
    if (!skip_string(j)) return -1;
    *key = (jv_str){j->p + from, j->at - from};
    json_space(j);
    if (peek(j) != ':') return wrong(j, "`:` was expected"), -1;
    j->at++;
    return json_value(j, value) ? 1 : -1;
}

/* Calls itself by way of its items: at most JSON_DEPTH times. */
static bool skip_container(struct json *j)
{
    if (j->depth == JSON_DEPTH) return wrong(j, "values are nested deeper than 64");
    j->depth++;
    bool object = j->p[j->at++] == '{';
    jv_str key, value;
    int more = 1;
    for (bool first = true; more == 1; first = false)
        more = object ? json_member(j, first, &key, &value) : json_element(j, first, &value);
    j->depth--;
    return more == 0;
}

static bool skip_value(struct json *j)
{
    int c = peek(j);
    switch (c) {
    case '{':
    case '[': return skip_container(j);
    case '"': return skip_string(j);
    case 't': return skip_word(j, "true");
    case 'f': return skip_word(j, "false");
    case 'n': return skip_word(j, "null");
    default: return c == '-' || is_digit(c) ? skip_number(j) : wrong(j, "a value was expected");
    }
}

bool json_value(struct json *j, jv_str *value)
{
    json_space(j);
    size_t from = j->at;
    if (!skip_value(j)) return false;
    *value = (jv_str){j->p + from, j->at - from};
    return true;
}

const char *json_kind(jv_str value)
{
    switch (value.p[0]) {
    case '{': return "an object";
    case '[': return "an array";
    case '"': return "a string";
    case 't': return "true";
    case 'f': return "false";
    case 'n': return "null";
    default: return "a number";
    }
}
