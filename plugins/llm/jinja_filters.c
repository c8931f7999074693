/* jinja_filters.c: the filters on texts and numbers, and the table of all filters. Those on sequences are in
 * jinja_seq.c. */
#include "jinja_impl.h"
#include "jinja_seq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

static value as_text(call *c)
{
    return jj_string(c->j, jj_str(c->j, c->self));
}

static value change_case(call *c, int how)
{
    return jj_change_case(c->j, jj_str(c->j, c->self), how);
}

static value filter_upper(call *c)
{
    return change_case(c, CASE_UPPER);
}
static value filter_lower(call *c)
{
    return change_case(c, CASE_LOWER);
}
static value filter_title(call *c)
{
    return change_case(c, CASE_WORDS);
}
static value filter_capitalize(call *c)
{
    return change_case(c, CASE_CAPITAL);
}

static value filter_trim(call *c)
{
    c->self = as_text(c);
    return jj_strip(c, 3);
}

static value filter_replace(call *c)
{
    c->self = as_text(c);
    for (int i = 0; i < 2; i++) c->a[i] = jj_string(c->j, jj_str(c->j, c->a[i]));
    if (c->a[2].type == V_NONE) c->a[2] = jj_int(-1);
    return jj_replace(c);
}

static size_t line_end(text t, size_t at, size_t *next)
{
    while (at < t.n) {
        uint32_t code;
        size_t len = jj_next(t, at, &code);
        bool ends = (code >= 10 && code <= 13) || (code >= 28 && code <= 30) || code == 0x85 || code == 0x2028 ||
                    code == 0x2029;
        if (ends) {
            *next = at + len + (code == '\r' && at + 1 < t.n && t.p[at + 1] == '\n');
            return at;
        }
        at += len;
    }
    *next = at;
    return at;
}

/* Lines after the first begin with the indent; empty ones only with `blank`. */
static value filter_indent(call *c)
{
    text t = jj_str(c->j, c->self);
    if (c->self.type != V_STRING) jj_fail(c->j, "\"indent\" wants a string, not %s", jj_type_name(c->self));
    int64_t width = c->a[0].type == V_STRING ? 0 : jj_arg_int(c, 0, 4);
    if (width > 10000) jj_fail(c->j, "\"indent\" by %lld", (long long)width);
    buf spaces = {.j = c->j};
    for (int64_t i = 0; i < width; i++) jj_puts(&spaces, " ");
    text indent = c->a[0].type == V_STRING ? *c->a[0].s : jj_text(&spaces);
    bool first = jj_given(c->a[1]) && jj_true(c->a[1]), blank = jj_given(c->a[2]) && jj_true(c->a[2]);
    jj_walk(c->j, t.n);
    buf b = {.j = c->j};
    size_t at = 0, next = 0;
    if (first) jj_put(&b, indent);
    for (;; at = next) { /* the text counts as having one more newline at its end */
        size_t end = line_end(t, at, &next);
        if (at > 0 && (blank || end > at)) jj_put(&b, indent);
        jj_put(&b, jj_sub(t, at, end));
        if (next == end) return jj_string(c->j, jj_text(&b));
        jj_puts(&b, "\n");
    }
}

/* ---- numbers ---- */

static bool digits_of(text t, char *s, size_t size) /* without the white space around and without "_" between digits */
{
    size_t n = 0;
    uint32_t code;
    for (size_t len; t.n > 0; t = jj_sub(t, len, t.n)) {
        len = jj_next(t, 0, &code);
        if (!jj_is_space(code)) break;
    }
    while (t.n > 0 && (unsigned char)t.p[t.n - 1] < 0x80 && jj_is_space((unsigned char)t.p[t.n - 1])) t.n--;
    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] == 0 || n + 1 >= size) return false;
        if (t.p[i] == '_') {
            if (i == 0 || i + 1 == t.n || !strchr("0123456789abcdefABCDEFxXoO", t.p[i - 1]) || t.p[i + 1] == '_')
                return false;
            continue;
        }
        s[n++] = t.p[i];
    }
    s[n] = 0;
    return n > 0;
}

static bool parse_int(job *j, text t, int64_t base, int64_t *out)
{
    char s[400];
    if (!digits_of(t, s, sizeof s)) return false;
    const char *p = s + (s[0] == '-' || s[0] == '+');
    char mark = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : 0;
    if (p[0] == '0' && mark && (p[1] | 32) == mark) p += 2;
    if (!*p) return false;
    uint64_t v = 0, max = s[0] == '-' ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    bool too_large = false;
    for (; *p; p++) {
        int d = *p >= '0' && *p <= '9' ? *p - '0' : (*p | 32) >= 'a' && (*p | 32) <= 'z' ? (*p | 32) - 'a' + 10 : 99;
        if (d >= base) return false;
        too_large = too_large || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
                    __builtin_add_overflow(v, (uint64_t)d, &v) || v > max;
    }
    if (too_large) jj_fail(j, "the integer %.40s does not fit in 64 bits", s);
    *out = s[0] == '-' ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static bool parse_float(text t, double *out)
{
    char s[400];
    if (!digits_of(t, s, sizeof s)) return false;
    const char *word = s + (s[0] == '-' || s[0] == '+');
    bool named = strcasecmp(word, "inf") == 0 || strcasecmp(word, "infinity") == 0 || strcasecmp(word, "nan") == 0;
    if (!named && strspn(word, "0123456789.eE+-") != strlen(word))
        return false; /* strtod takes more than Python does */
    char *end;
    *out = strtod(s, &end);
    return *end == 0;
}

static value to_int(call *c, double d, value absent)
{
    if (isnan(d)) return absent;
    if (!(d > -9223372036854775809.0 && d < 9223372036854775808.0))
        jj_fail(c->j, "a float does not fit in a 64 bit integer");
    return jj_int((int64_t)d);
}

static _Noreturn void undefined_number(call *c)
{
    jj_fail(c->j, "\"%.*s\" is undefined", JJ_SHOW(*c->self.s));
}

static value filter_int(call *c)
{
    value absent = jj_given(c->a[0]) ? c->a[0] : jj_int(0);
    int64_t i, base = jj_arg_int(c, 1, 10);
    double d;
    if (base < 2 || base > 36) jj_fail(c->j, "\"int\" with base %lld", (long long)base);
    if (c->self.type == V_UNDEFINED) undefined_number(c);
    if (jj_as_int(c->self, &i)) return jj_int(i);
    if (c->self.type == V_FLOAT) return to_int(c, c->self.d, absent);
    if (c->self.type != V_STRING) return absent;
    if (parse_int(c->j, *c->self.s, base, &i)) return jj_int(i);
    return parse_float(*c->self.s, &d) && isfinite(d) ? to_int(c, d, absent) : absent;
}

static value filter_float(call *c)
{
    double d;
    if (c->self.type == V_UNDEFINED) undefined_number(c);
    if (jj_as_double(c->self, &d) || (c->self.type == V_STRING && parse_float(*c->self.s, &d))) return jj_float(d);
    return jj_given(c->a[0]) ? c->a[0] : jj_float(0);
}

static value filter_abs(call *c)
{
    double d;
    if (!jj_as_double(c->self, &d)) jj_fail(c->j, "\"abs\" of %s", jj_type_name(c->self));
    if (c->self.type == V_FLOAT) return jj_float(fabs(d));
    return d < 0 ? jj_negate(c->j, c->self) : jj_arith(c->j, "+", c->self, jj_int(0));
}

static value filter_round(call *c)
{
    int64_t precision = jj_arg_int(c, 0, 0);
    text how = jj_given(c->a[1]) ? jj_arg_text(c, 1) : (text){"common", NULL, 6};
    double d, scale = pow(10, (double)precision);
    if (precision < 0 || precision > 22) jj_fail(c->j, "\"round\" to %lld digits", (long long)precision);
    if (!jj_as_double(c->self, &d)) jj_fail(c->j, "\"round\" of %s", jj_type_name(c->self));
    bool up = jj_is(how, "ceil"), down = jj_is(how, "floor");
    if (!up && !down && !jj_is(how, "common"))
        jj_fail(c->j, "\"round\" by common, ceil or floor, not \"%.*s\"", JJ_SHOW(how));
    if ((up || down) && !isfinite(d)) jj_fail(c->j, "\"round\" of a number that is not finite");
    if (up || down) return jj_float((up ? ceil(d * scale) : floor(d * scale)) / scale);
    if (c->self.type != V_FLOAT) return jj_arith(c->j, "+", c->self, jj_int(0));
    char s[400]; /* printf rounds the exact value, halves to even, as Python does */
    snprintf(s, sizeof s, "%.*f", (int)precision, d);
    return jj_float(strtod(s, NULL));
}

/* ---- any value ---- */

static value filter_default(call *c)
{
    bool falsy_too = jj_given(c->a[1]) && jj_true(c->a[1]);
    if (c->self.type != V_UNDEFINED && !(falsy_too && !jj_true(c->self))) return c->self;
    return jj_given(c->a[0]) ? c->a[0] : jj_literal(c->j, "");
}

const builtin jj_filters[] = {
    {"abs", filter_abs, "", 0},
    {"capitalize", filter_capitalize, "", 0},
    {"count", jj_seq_length, "", 0},
    {"d", filter_default, "default_value boolean", 0},
    {"default", filter_default, "default_value boolean", 0},
    {"dictsort", jj_seq_dictsort, "case_sensitive by reverse", 0},
    {"first", jj_seq_first, "", 0},
    {"float", filter_float, "default", 0},
    {"indent", filter_indent, "width first blank", 0},
    {"int", filter_int, "default base", 0},
    {"items", jj_seq_items, "", 0},
    {"join", jj_seq_join, "d attribute", 0},
    {"last", jj_seq_last, "", 0},
    {"length", jj_seq_length, "", 0},
    {"list", jj_seq_list, "", 0},
    {"lower", filter_lower, "", 0},
    {"map", jj_seq_map, NULL, 0},
    {"max", jj_seq_max, "case_sensitive attribute", 0},
    {"min", jj_seq_min, "case_sensitive attribute", 0},
    {"reject", jj_seq_reject, NULL, 0},
    {"rejectattr", jj_seq_rejectattr, NULL, 0},
    {"replace", filter_replace, "old new count", 2},
    {"reverse", jj_seq_reverse, "", 0},
    {"round", filter_round, "precision method", 0},
    {"safe", as_text, "", 0},
    {"select", jj_seq_select, NULL, 0},
    {"selectattr", jj_seq_selectattr, NULL, 0},
    {"sort", jj_seq_sort, "reverse case_sensitive attribute", 0},
    {"string", as_text, "", 0},
    {"sum", jj_seq_sum, "attribute start", 0},
    {"title", filter_title, "", 0},
    {"tojson", jj_tojson, "ensure_ascii indent separators sort_keys", 0},
    {"trim", filter_trim, "chars", 0},
    {"unique", jj_seq_unique, "case_sensitive attribute", 0},
    {"upper", filter_upper, "", 0},
    {NULL, NULL, NULL, 0},
};
