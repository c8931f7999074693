/* jinja_text.c: strings and their trust, UTF-8, and how values look as text (Python's str() and repr()). */
#include "jinja_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- writing ---- */

static void grow(buf *b, size_t n)
{
    if (b->max > 0 && n > b->max - b->n) jj_fail(b->j, "the text made is longer than %zu bytes", b->max);
    if (n <= b->cap - b->n) return;
    if (n > JJ_MAX_MEMORY) jj_reserve(b->j, n);
    size_t cap = 2 * b->cap > b->n + n ? 2 * b->cap : b->n + n + 64;
    if (b->max > 0 && cap > b->max) cap = b->max;
    if (b->heap) { /* one more byte for the NUL at the end */
        jj_reserve(b->j, 2 * (cap - b->cap));
        char *p = realloc(b->p, cap + 1);
        if (p) b->p = p;
        uint8_t *trust = p ? realloc(b->trust, cap + 1) : NULL;
        if (!trust) jj_no_memory(b->j);
        b->trust = trust;
    } else {
        char *p = jj_alloc(b->j, cap);
        uint8_t *trust = jj_alloc(b->j, cap);
        if (b->n > 0) {
            memcpy(p, b->p, b->n);
            memcpy(trust, b->trust, b->n);
        }
        b->p = p;
        b->trust = trust;
    }
    b->cap = cap;
}

void jj_put(buf *b, text t)
{
    if (t.n == 0) return;
    jj_touch(b->j, t.n);
    grow(b, t.n);
    memcpy(b->p + b->n, t.p, t.n);
    memcpy(b->trust + b->n, t.trust, t.n);
    b->n += t.n;
}

void jj_put_bytes(buf *b, const char *p, size_t n, bool trusted)
{
    if (n == 0) return;
    grow(b, n);
    memcpy(b->p + b->n, p, n);
    memset(b->trust + b->n, trusted, n);
    b->n += n;
}

void jj_puts(buf *b, const char *s)
{
    jj_put_bytes(b, s, strlen(s), true);
}

void jj_put_char(buf *b, uint32_t c, bool trusted)
{
    utf8proc_uint8_t utf8[4];
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)c, utf8);
    jj_put_bytes(b, (const char *)utf8, (size_t)n, trusted);
}

text jj_text(const buf *b)
{
    return (text){b->p, b->trust, b->n};
}

/* ---- reading ---- */

size_t jj_next(text t, size_t at, uint32_t *c)
{
    utf8proc_int32_t code;
    size_t left = t.n - at < 4 ? t.n - at : 4;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)t.p + at, (utf8proc_ssize_t)left, &code);
    if (n < 1) {
        *c = 0xfffd;
        return 1;
    }
    *c = (uint32_t)code;
    return (size_t)n;
}

size_t jj_length(text t)
{
    size_t count = 0;
    uint32_t c;
    for (size_t at = 0; at < t.n; count++) at += jj_next(t, at, &c);
    return count;
}

size_t jj_offset(text t, size_t i)
{
    size_t at = 0;
    uint32_t c;
    for (; i > 0 && at < t.n; i--) at += jj_next(t, at, &c);
    return at;
}

bool jj_valid_utf8(const char *p, size_t n)
{
    text t = {p, NULL, n};
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t len = jj_next(t, i, &c);
        if (len == 1 && (unsigned char)p[i] >= 0x80) return false;
        i += len;
    }
    return true;
}

/* What Python's str.isspace() takes for white space. */
bool jj_is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool jj_is(text t, const char *s)
{
    return strlen(s) == t.n && memcmp(t.p, s, t.n) == 0;
}

bool jj_same(text a, text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

text jj_sub(text t, size_t from, size_t to)
{
    if (from >= to) return (text){"", (const uint8_t *)"", 0};
    return (text){t.p + from, t.trust + from, to - from};
}

value jj_string(job *j, text t)
{
    text *s = jj_alloc(j, sizeof *s);
    *s = t;
    return (value){.type = V_STRING, .s = s};
}

value jj_literal(job *j, const char *s)
{
    buf b = {.j = j};
    jj_puts(&b, s);
    return jj_string(j, jj_text(&b));
}

/* ---- values as text ---- */

/* The shortest digits that read back as the same number, laid out as Python's repr does. */
void jj_put_float(buf *b, double d)
{
    if (isnan(d) || isinf(d)) {
        jj_puts(b, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    char s[40];
    for (int digits = 0; digits < 17; digits++) {
        snprintf(s, sizeof s, "%.*e", digits, d);
        if (strtod(s, NULL) == d) break;
    }
    int exponent = atoi(strchr(s, 'e') + 1);
    char *e = strchr(s, 'e');
    if (exponent >= 16 || exponent < -4) { /* d.ddde+xx: as it is */
        jj_puts(b, s);
        return;
    }
    char digits[24];
    int n = 0;
    for (const char *p = s; p < e; p++)
        if (*p >= '0' && *p <= '9') digits[n++] = *p;
    if (s[0] == '-') jj_puts(b, "-");
    if (exponent < 0) jj_puts(b, "0.");
    for (int i = exponent + 1; i < 0; i++) jj_puts(b, "0");
    int last = n > exponent + 2 ? n : exponent + 2; /* at least one digit after the point */
    for (int i = 0; i < (exponent < 0 ? n : last); i++) {
        if (i == exponent + 1 && exponent >= 0) jj_puts(b, ".");
        jj_put_bytes(b, i < n ? &digits[i] : "0", 1, true);
    }
}

static bool is_printable(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return c == ' ';
    default: return true;
    }
}

static void repr_text(buf *b, text t)
{
    jj_walk(b->j, t.n);
    bool single = t.n > 0 && memchr(t.p, '\'', t.n), both = single && memchr(t.p, '"', t.n);
    char quote = single && !both ? '"' : '\'';
    jj_put_bytes(b, &quote, 1, true);
    for (size_t i = 0; i < t.n;) {
        uint32_t c;
        size_t len = jj_next(t, i, &c);
        char escape[12] = "";
        if (c == (uint32_t)quote || c == '\\')
            snprintf(escape, sizeof escape, "\\%c", (char)c);
        else if (c == '\n')
            snprintf(escape, sizeof escape, "\\n");
        else if (c == '\r')
            snprintf(escape, sizeof escape, "\\r");
        else if (c == '\t')
            snprintf(escape, sizeof escape, "\\t");
        else if (!is_printable(c))
            snprintf(escape, sizeof escape, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        if (escape[0])
            jj_put_bytes(b, escape, strlen(escape), t.trust[i]);
        else
            jj_put(b, jj_sub(t, i, i + len));
        i += len;
    }
    jj_put_bytes(b, &quote, 1, true);
}

static void repr_map(buf *b, const map *m)
{
    jj_puts(b, "{");
    for (size_t i = 0; i < m->n; i++) {
        if (i > 0) jj_puts(b, ", ");
        jj_repr(b, m->key[i]);
        jj_puts(b, ": ");
        jj_repr(b, m->v[i]);
    }
    jj_puts(b, "}");
}

static void repr_list(buf *b, const list *l)
{
    static const char *const begin[] = {"[", "(", "range(", "dict_keys([", "dict_values([", "dict_items(["};
    static const char *const end[] = {"]", ")", ")", "])", "])", "])"};
    if (l->kind == K_GENERATOR) jj_fail(b->j, "a generator cannot be printed; make a list of it with |list");
    jj_puts(b, begin[l->kind]);
    if (l->kind == K_RANGE) {
        char s[80];
        snprintf(s, sizeof s, l->step == 1 ? "%lld, %lld" : "%lld, %lld, %lld", (long long)l->start, (long long)l->stop,
            (long long)l->step);
        jj_puts(b, s);
    } else {
        for (size_t i = 0; i < l->n; i++) {
            if (i > 0) jj_puts(b, ", ");
            jj_repr(b, l->v[i]);
        }
        if (l->kind == K_TUPLE && l->n == 1) jj_puts(b, ",");
    }
    jj_puts(b, end[l->kind]);
}

void jj_repr(buf *b, value v)
{
    jj_tick(b->j, 1);
    jj_enter(b->j);
    char s[32];
    switch (v.type) {
    case V_UNDEFINED: jj_puts(b, "Undefined"); break;
    case V_NONE: jj_puts(b, "None"); break;
    case V_BOOL: jj_puts(b, v.b ? "True" : "False"); break;
    case V_INT:
        snprintf(s, sizeof s, "%lld", (long long)v.i);
        jj_puts(b, s);
        break;
    case V_FLOAT: jj_put_float(b, v.d); break;
    case V_STRING: repr_text(b, *v.s); break;
    case V_LIST: repr_list(b, v.list); break;
    case V_MAP: repr_map(b, v.map); break;
    default: jj_fail(b->j, "%s cannot be printed", jj_type_name(v));
    }
    b->j->depth--;
}

void jj_print(buf *b, value v)
{
    if (v.type == V_STRING)
        jj_put(b, *v.s);
    else if (v.type != V_UNDEFINED)
        jj_repr(b, v);
}

text jj_str(job *j, value v)
{
    if (v.type == V_STRING) return *v.s;
    buf b = {.j = j};
    jj_print(&b, v);
    return jj_text(&b);
}

const char *jj_type_name(value v)
{
    static const char *const kinds[] = {"a list", "a tuple", "a range", "dict keys", "dict values", "dict items",
        "a generator"};
    static const char *const types[] = {"nothing", "an undefined value", "none", "a boolean", "an integer", "a float",
        "a string", "a list", "a dict", "a namespace", "a loop", "a macro", "a method", "a function"};
    return v.type == V_LIST ? kinds[v.list->kind] : types[v.type];
}
