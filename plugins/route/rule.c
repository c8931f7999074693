/* rule.c: see rule.h. */
#include "rule.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../utf8.h"

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t\n");
}

/* Takes the operator at the front; the longer ones first. */
static const char *take_operator(struct rule *r, const char *s)
{
    static const struct {
        const char *text;
        int32_t op;
    } operators[] = {{"!=", RULE_IS_NOT}, {"<=", RULE_AT_MOST}, {">=", RULE_AT_LEAST}, {"<", RULE_BELOW},
        {">", RULE_ABOVE}, {"=", RULE_IS}};
    r->op = RULE_IS;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        size_t n = strlen(operators[i].text);
        if (strncmp(s, operators[i].text, n)) continue;
        r->op = operators[i].op;
        return skip_blanks(s + n);
    }
    return s;
}

/* Copies a value in quotes, from behind the first one; null and err when the last one is missing. */
static const char *take_quoted(const char *s, char *to, size_t *n, jv_err *err)
{
    for (*n = 0; *s; s++) {
        if (*s == '"' && *++s != '"') return s;
        to[(*n)++] = *s;
    }
    jv_fail(err, JV_BAD, "a quote is not closed");
    return NULL;
}

/* Copies the value at s to `to` and returns what stands behind it, null and err when it is none. */
static const char *take_value(const char *s, char separator, char *to, size_t *n, jv_err *err)
{
    s += strspn(s, " \t");
    if (*s == '"') {
        s = take_quoted(s + 1, to, n, err);
        if (!s) return NULL;
        s += strspn(s, " \t");
        if (!*s || *s == separator) return s;
        struct utf8_shown rest = utf8_show(s, strlen(s));
        jv_fail(err, JV_BAD, "'%s' stands behind a closed quote", rest.text);
        return NULL;
    }
    const char *end = strchrnul(s, separator);
    *n = (size_t)(end - s);
    while (*n && strchr(" \t", s[*n - 1])) --*n;
    if (*n && strchr("<>=!*", *s)) {
        struct utf8_shown value = utf8_show(s, *n);
        jv_fail(err, JV_BAD, "the value '%s' begins like an operator: put it in quotes if it is meant so", value.text);
        return NULL;
    }
    memcpy(to, s, *n);
    return end;
}

static int32_t parse_number(struct rule_value *v, jv_err *err)
{
    char *end;
    const char *s = v->text.p; /* ends with a NUL */
    if (v->text.n && strspn(s, "+-.0123456789eE") == v->text.n) {
        errno = 0;
        v->number.i = strtoll(s, &end, 10);
        v->number.whole = !*end && !errno;
        if (v->number.whole) return JV_OK;
        v->number.d = strtod(s, &end);
        if (!*end && isfinite(v->number.d)) return JV_OK;
    }
    return jv_fail(err, JV_BAD, "'%s' is no number, and the field is one", utf8_show(s, v->text.n).text);
}

static int32_t take_values(struct rule *r, const char *s, bool numbers, jv_err *err)
{
    char separator = strchr(s, '\n') ? '\n' : ',', *to = r->texts;
    for (;; s++) {
        struct rule_value *v = &r->v[r->n];
        size_t n;
        bool quoted = s[strspn(s, " \t")] == '"';
        s = take_value(s, separator, to, &n, err);
        if (!s) return JV_BAD;
        if (n || quoted) {
            to[n] = 0;
            v->text = (jv_str){to, n};
            to += n + 1;
            r->n++;
            if (numbers && parse_number(v, err) < 0) return JV_BAD;
        } else if (separator == ',') {
            return jv_fail(err, JV_BAD, "a value is missing: write \"\" for the empty text");
        }
        if (!*s) return JV_OK;
    }
}

int32_t rule_parse(struct rule *r, const char *text, bool numbers, jv_err *err)
{
    const char *s = skip_blanks(text);
    *r = (struct rule){0};
    if (*s == '*' && !*skip_blanks(s + 1)) return JV_OK;
    s = take_operator(r, s);
    size_t n = 1;
    for (const char *p = s; *p; p++) n += *p == ',' || *p == '\n';
    r->v = calloc(n, sizeof *r->v);
    r->texts = malloc(strlen(s) + n);
    if (!r->v || !r->texts) return jv_fail(err, JV_FATAL, "no memory for a rule of %zu bytes", strlen(text));
    int32_t rc = take_values(r, s, numbers, err);
    if (rc < 0) return rc;
    if (r->op >= RULE_BELOW && !numbers)
        return jv_fail(err, JV_BAD, "< <= > >= compare numbers, and the field is text");
    if (r->op >= RULE_BELOW && r->n != 1)
        return jv_fail(err, JV_BAD, "< <= > >= take one value, and here are %zu", r->n);
    return JV_OK;
}

bool rule_fits_text(const struct rule *r, jv_str s)
{
    if (r->op == RULE_ALL) return true;
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].text.n == s.n && memcmp(r->v[i].text.p, s.p, s.n) == 0) return r->op == RULE_IS;
    return r->op == RULE_IS_NOT;
}

/* -1, 0, 1; exact, where a conversion to double would round i. */
static int compare_mixed(int64_t i, double d)
{
    if (d >= 0x1p63) return -1;
    if (d < -0x1p63) return 1;
    int64_t whole = (int64_t)d;
    if (i != whole) return i < whole ? -1 : 1;
    double rest = d - (double)whole;
    return (rest < 0) - (rest > 0);
}

static int compare(struct rule_number a, struct rule_number b)
{
    if (a.whole && b.whole) return (a.i > b.i) - (a.i < b.i);
    if (a.whole) return compare_mixed(a.i, b.d);
    if (b.whole) return -compare_mixed(b.i, a.d);
    return (a.d > b.d) - (a.d < b.d);
}

bool rule_fits_number(const struct rule *r, struct rule_number v)
{
    if (r->op == RULE_ALL) return true;
    if (!v.whole && isnan(v.d)) return false;
    for (size_t i = 0; i < r->n; i++) {
        int order = compare(v, r->v[i].number);
        switch (r->op) {
        case RULE_BELOW: return order < 0;
        case RULE_AT_MOST: return order <= 0;
        case RULE_ABOVE: return order > 0;
        case RULE_AT_LEAST: return order >= 0;
        }
        if (order == 0) return r->op == RULE_IS;
    }
    return r->op == RULE_IS_NOT;
}

void rule_free(struct rule *r)
{
    free(r->v);
    free(r->texts);
    *r = (struct rule){0};
}
