/* json.c: see json.h. */
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void jvc_json_string(FILE *f, const char *s, size_t n)
{
    static const char named[] =
        {['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['\b'] = 'b', ['\f'] = 'f'};
    fputc('"', f);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < sizeof named && named[c])
            fprintf(f, "\\%c", named[c]);
        else if (c < 0x20 || c == 0x7f)
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

void jvc_json_base64(FILE *f, const char *s, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *u = (const unsigned char *)s;
    fputc('"', f);
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)u[i] << 16 | (left > 1 ? (uint32_t)u[i + 1] << 8 : 0) | (left > 2 ? u[i + 2] : 0);
        fputc(digits[v >> 18], f);
        fputc(digits[v >> 12 & 63], f);
        fputc(left > 1 ? digits[v >> 6 & 63] : '=', f);
        fputc(left > 2 ? digits[v & 63] : '=', f);
    }
    fputc('"', f);
}

void jvc_json_double(FILE *f, double d)
{
    char text[40];
    if (!isfinite(d)) {
        fputs("null", f);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, d);
        if (strtod(text, NULL) == d) break;
    }
    fputs(text, f);
}

/* ---- reading ---- */

struct reader {
    struct jvc_json *j;
    const char *text, *s, *end; /* s: what is not read yet */
    char *out;                  /* strings without escapes, each with a NUL: never more bytes than they had */
    uint32_t cap;
    struct jvc_arena *mem;
    jv_err *err;
};

static int32_t wrong(const struct reader *r, const char *at, const char *what)
{
    return jv_fail(r->err, JV_BAD, "%s at byte %zu", what, (size_t)(at - r->text));
}

static void skip_blanks(struct reader *r)
{
    while (r->s < r->end && (*r->s == ' ' || *r->s == '\t' || *r->s == '\n' || *r->s == '\r')) r->s++;
}

/* Whether the next character is c; then it is passed. */
static bool take(struct reader *r, char c)
{
    bool is = r->s < r->end && *r->s == c;
    r->s += is;
    return is;
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(struct reader *r)
{
    int32_t v = 0;
    if (r->end - r->s < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = *r->s++, low = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (low - 'a' + 10);
        else
            return -1;
    }
    return v;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

/* What stands behind \u: one code unit of UTF-16, or two that are a pair. */
static int32_t read_unicode(struct reader *r, const char *at)
{
    int32_t c = hex4(r);
    if (c < 0) return wrong(r, at, "\\u without four hexadecimal digits");
    if (c == 0) return wrong(r, at, "\\u0000: a text holds no NUL");
    if (c >= 0xd800 && c < 0xe000) {
        bool second = c < 0xdc00 && take(r, '\\') && take(r, 'u');
        int32_t low = second ? hex4(r) : -1;
        if (low < 0xdc00 || low >= 0xe000) return wrong(r, at, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    r->out = put_utf8(r->out, (uint32_t)c);
    return JV_OK;
}

/* r->s stands behind the opening quote. */
static int32_t read_string(struct reader *r, jv_str *out)
{
    static const char escapes[] =
        {['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    const char *begin = r->s - 1;
    out->p = r->out;
    while (r->s < r->end && *r->s != '"') {
        const char *at = r->s++;
        unsigned char c = (unsigned char)*at;
        if (c < 0x20) return wrong(r, at, "a control character within a string");
        if (c != '\\') {
            *r->out++ = (char)c;
        } else if (take(r, 'u')) {
            if (read_unicode(r, at) < 0) return JV_BAD;
        } else {
            unsigned char e = r->s < r->end ? (unsigned char)*r->s++ : 0;
            if (e >= sizeof escapes || !escapes[e]) return wrong(r, at, "an escape that JSON does not have");
            *r->out++ = escapes[e];
        }
    }
    if (!take(r, '"')) return wrong(r, begin, "a string without its end, which begins");
    out->n = (size_t)(r->out - out->p);
    *r->out++ = 0;
    return JV_OK;
}

static size_t digits(struct reader *r)
{
    const char *from = r->s;
    while (r->s < r->end && *r->s >= '0' && *r->s <= '9') r->s++;
    return (size_t)(r->s - from);
}

static int32_t read_number(struct reader *r, jv_str *out)
{
    const char *begin = r->s;
    take(r, '-');
    bool good = take(r, '0') || digits(r);
    if (good && take(r, '.')) good = digits(r);
    if (good && (take(r, 'e') || take(r, 'E'))) {
        if (!take(r, '+')) take(r, '-');
        good = digits(r);
    }
    if (!good) return wrong(r, begin, "no number as JSON has them");
    size_t n = (size_t)(r->s - begin);
    memcpy(r->out, begin, n);
    *out = (jv_str){r->out, n};
    r->out += n;
    *r->out++ = 0; /* at the cost of the comma or bracket that has to follow */
    return JV_OK;
}

static struct jvc_json_value *new_value(struct reader *r)
{
    if (r->j->n == JVC_JSON_VALUES) {
        jv_fail(r->err, JV_BAD, "more than %u values", JVC_JSON_VALUES);
        return NULL;
    }
    if (r->j->n == r->cap) {
        uint32_t cap = r->cap ? 2 * r->cap : 16;
        struct jvc_json_value *v = jvc_arena_get(r->mem, cap * sizeof *v);
        if (!v) {
            jv_fail(r->err, JV_FATAL, "no memory for %u JSON values", cap);
            return NULL;
        }
        if (r->cap) memcpy(v, r->j->v, r->cap * sizeof *v);
        r->j->v = v;
        r->cap = cap;
    }
    struct jvc_json_value *v = &r->j->v[r->j->n++];
    *v = (struct jvc_json_value){.at = (uint32_t)(r->s - r->text)};
    return v;
}

/* A string, number or word into v. */
static int32_t read_scalar(struct reader *r, struct jvc_json_value *v)
{
    static const char *const words[] = {[JVC_JSON_NULL] = "null", [JVC_JSON_FALSE] = "false", [JVC_JSON_TRUE] = "true"};
    if (r->s < r->end && (*r->s == '-' || (*r->s >= '0' && *r->s <= '9'))) {
        v->type = JVC_JSON_NUMBER;
        return read_number(r, &v->text);
    }
    if (take(r, '"')) {
        v->type = JVC_JSON_STRING;
        return read_string(r, &v->text);
    }
    for (int i = JVC_JSON_NULL; i <= JVC_JSON_TRUE; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(r->end - r->s) < n || memcmp(r->s, words[i], n)) continue;
        r->s += n;
        v->type = (enum jvc_json_type)i;
        v->text = (jv_str){words[i], n};
        return JV_OK;
    }
    if (r->s < r->end && (*r->s == '{' || *r->s == '[')) return wrong(r, r->s, "a second level of nesting");
    return wrong(r, r->s, "no value");
}

/* A key and its colon, unlike those of the members before, which begin at value `first` with `members` of them. */
static int32_t read_key(struct reader *r, uint32_t first, uint32_t members, jv_str *key)
{
    skip_blanks(r);
    const char *at = r->s;
    if (members == JVC_JSON_KEYS) return jv_fail(r->err, JV_BAD, "more than %u keys in one object", JVC_JSON_KEYS);
    if (!take(r, '"')) return wrong(r, at, "no key");
    if (read_string(r, key) < 0) return JV_BAD;
    for (uint32_t i = first; i < r->j->n; i += 1 + r->j->v[i].n) {
        const jv_str *old = &r->j->v[i].key;
        if (old->n == key->n && !memcmp(old->p, key->p, key->n))
            return jv_fail(r->err, JV_BAD, "the key \"%.60s\" stands twice, again at byte %zu", key->p,
                (size_t)(at - r->text));
    }
    skip_blanks(r);
    return take(r, ':') ? JV_OK : wrong(r, r->s, "no colon behind a key");
}

/* The values of an inner array or object, behind its bracket, and the bracket that ends it. */
static int32_t read_inner(struct reader *r, uint32_t of, char close)
{
    uint32_t first = r->j->n, n = 0;
    skip_blanks(r);
    if (take(r, close)) return JV_OK;
    do {
        jv_str key = {0};
        int32_t rc = close == '}' ? read_key(r, first, n, &key) : JV_OK;
        if (rc < 0) return rc;
        skip_blanks(r);
        struct jvc_json_value *v = new_value(r);
        if (!v) return r->err->code;
        v->key = key;
        rc = read_scalar(r, v);
        if (rc < 0) return rc;
        n++;
        skip_blanks(r);
    } while (take(r, ','));
    r->j->v[of].n = n;
    return take(r, close) ? JV_OK : wrong(r, r->s, close == '}' ? "neither , nor }" : "neither , nor ]");
}

static int32_t read_members(struct reader *r)
{
    uint32_t n = 0;
    skip_blanks(r);
    if (take(r, '}')) return JV_OK;
    do {
        jv_str key;
        int32_t rc = read_key(r, 0, n++, &key);
        if (rc < 0) return rc;
        skip_blanks(r);
        struct jvc_json_value *v = new_value(r);
        if (!v) return r->err->code;
        v->key = key;
        char open = r->s < r->end ? *r->s : 0;
        if (open == '[' || open == '{') {
            r->s++;
            v->type = open == '[' ? JVC_JSON_ARRAY : JVC_JSON_OBJECT;
            rc = read_inner(r, r->j->n - 1, open == '[' ? ']' : '}');
        } else {
            rc = read_scalar(r, v);
        }
        if (rc < 0) return rc;
        skip_blanks(r);
    } while (take(r, ','));
    return take(r, '}') ? JV_OK : wrong(r, r->s, "neither , nor }");
}

int32_t jvc_json_read(struct jvc_json *j, const char *text, size_t n, struct jvc_arena *mem, jv_err *err)
{
    size_t bad;
    *j = (struct jvc_json){0};
    if (n > JVC_JSON_MOST) return jv_fail(err, JV_BAD, "%zu bytes of JSON: at most %u are read", n, JVC_JSON_MOST);
    if (!jvc_utf8_valid(text, n, &bad)) return jv_fail(err, JV_BAD, "no UTF-8 at byte %zu", bad);
    struct reader r = {.j = j, .text = text, .s = text, .end = text + n, .mem = mem, .err = err};
    r.out = jvc_arena_get(mem, n);
    if (!r.out) return jv_fail(err, JV_FATAL, "no memory for %zu bytes of JSON", n);
    skip_blanks(&r);
    if (!take(&r, '{')) return wrong(&r, r.s, "no object: { is missing");
    int32_t rc = read_members(&r);
    if (rc < 0) return rc;
    skip_blanks(&r);
    return r.s == r.end ? JV_OK : wrong(&r, r.s, "text behind the object");
}
