/* range.c: see range.h. The grammar of ranges stands at jv_opt in jevons.h. */
#include "range.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct range {
    char word[32]; /* "auto" of "auto|1..", or empty */
    char unit;     /* 0, 'b' bytes, 't' milliseconds */
    const char *low, *high;
    size_t n_low, n_high; /* 0: no bound */
};

static const struct {
    const char *name;
    int64_t factor;
} byte_units[] = {{"", 1}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", (int64_t)1 << 40}},
  time_units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

/* A word and a bar, a unit, LOW..HIGH; all but the dots may be missing. */
static bool read_range(const char *s, struct range *r)
{
    *r = (struct range){0};
    const char *bar = strchr(s, '|');
    if (bar) {
        if ((size_t)(bar - s) >= sizeof r->word) return false;
        memcpy(r->word, s, (size_t)(bar - s));
        s = bar + 1;
    }
    if (!strncmp(s, "bytes ", 6))
        r->unit = 'b', s += 6;
    else if (!strncmp(s, "ms ", 3))
        r->unit = 't', s += 3;
    const char *dots = strstr(s, "..");
    if (!dots) return false;
    r->low = s;
    r->n_low = (size_t)(dots - s);
    r->high = dots + 2;
    r->n_high = strlen(r->high);
    return true;
}

/* A whole number with an optional unit; the whole text must be used. 0, or what is wrong. */
static const char *parse_i64(const char *s, size_t n, char unit, int64_t *out)
{
    char buf[32], *end;
    if (!n || n >= sizeof buf) return "not a number";
    memcpy(buf, s, n);
    buf[n] = 0;
    if (!strchr("+-0123456789", *buf)) return "not a number";
    errno = 0;
    long long v = strtoll(buf, &end, 10);
    if (end == buf) return "not a number";
    if (errno == ERANGE) return "too large for 64 bits";
    for (size_t i = 0; unit && i < 5; i++) {
        const char *name = unit == 'b' ? byte_units[i].name : time_units[i].name;
        if (strcmp(end, name)) continue;
        int64_t factor = unit == 'b' ? byte_units[i].factor : time_units[i].factor;
        return __builtin_mul_overflow(v, factor, out) ? "too large for 64 bits" : NULL;
    }
    *out = v;
    if (!*end) return NULL;
    return unit == 'b'   ? "not a number with K, M, G or T"
           : unit == 't' ? "not a number with ms, s, m or h"
                         : "not a whole number";
}

static int32_t bad_range(const char *value, const char *range, jv_err *err)
{
    return jv_fail(err, JV_BAD, "%.60s is outside %s", value, range);
}

int32_t jvc_option_number(const char *value, const char *range, int64_t *out, jv_err *err)
{
    struct range r;
    int64_t v, bound;
    if (!read_range(range, &r)) return jv_fail(err, JV_BAD, "its range \"%s\" is none", range);
    if (*r.word && !strcmp(value, r.word)) {
        *out = JV_UNSET;
        return JV_OK;
    }
    const char *wrong = parse_i64(value, strlen(value), r.unit, &v);
    if (wrong && *r.word && *wrong == 'n') /* not a number: it was meant for one or for the word */
        return jv_fail(err, JV_BAD, "\"%.60s\" is %s, nor the word %s", value, wrong, r.word);
    if (wrong) return jv_fail(err, JV_BAD, "\"%.60s\" is %s", value, wrong);
    if (r.n_low && !parse_i64(r.low, r.n_low, r.unit, &bound) && v < bound) return bad_range(value, range, err);
    if (r.n_high && !parse_i64(r.high, r.n_high, r.unit, &bound) && v > bound) return bad_range(value, range, err);
    if (v == JV_UNSET) return bad_range(value, range, err);
    *out = v;
    return JV_OK;
}

/* One end of a range, when there is one; copied out, because the dots behind it look like a decimal point. */
static bool f64_bound(const char *s, size_t n, double *v)
{
    char buf[32], *end;
    if (!n) return true;
    if (n >= sizeof buf) return false;
    memcpy(buf, s, n);
    buf[n] = 0;
    *v = strtod(buf, &end);
    return !*end && isfinite(*v);
}

int32_t jvc_range_f64(const char *value, const char *range, double *out, jv_err *err)
{
    struct range r;
    double low = -INFINITY, high = INFINITY;
    char *end;
    if (!read_range(range, &r) || !f64_bound(r.low, r.n_low, &low) || !f64_bound(r.high, r.n_high, &high))
        return jv_fail(err, JV_BAD, "its range \"%s\" is none", range);
    if (!strchr("+-.0123456789", *value)) return jv_fail(err, JV_BAD, "\"%.60s\" is not a number", value);
    double v = strtod(value, &end); /* the C locale: nobody sets another */
    if (end == value || *end || !isfinite(v) || strpbrk(value, "xX"))
        return jv_fail(err, JV_BAD, "\"%.60s\" is not a number", value);
    if (v < low || v > high) return bad_range(value, range, err);
    *out = v;
    return JV_OK;
}

int jvc_option_word(const char *words, const char *value)
{
    size_t n = strlen(value);
    for (int i = 0; *words; i++) {
        size_t len = strcspn(words, "|");
        if (len == n && !memcmp(words, value, n)) return i;
        words += len + (words[len] == '|');
    }
    return -1;
}

int32_t jvc_range_choice(const char *value, const char *words, int32_t *out, jv_err *err)
{
    int i = jvc_option_word(words, value);
    if (i < 0) return jv_fail(err, JV_BAD, "\"%.60s\" is none of %s", value, words);
    *out = i;
    return JV_OK;
}

static bool i64_range_ok(const char *range)
{
    struct range r;
    int64_t low = INT64_MIN, high = INT64_MAX;
    if (!read_range(range, &r) || (*range == '|')) return false;
    if (r.n_low && parse_i64(r.low, r.n_low, r.unit, &low)) return false;
    return !(r.n_high && parse_i64(r.high, r.n_high, r.unit, &high)) && low <= high;
}

static bool f64_range_ok(const char *range)
{
    struct range r;
    double low = -INFINITY, high = INFINITY;
    if (!read_range(range, &r) || *r.word || r.unit || *range == '|') return false;
    return f64_bound(r.low, r.n_low, &low) && f64_bound(r.high, r.n_high, &high) && low <= high;
}

/* Words with a bar between them, none empty, none twice. */
static bool words_ok(const char *words)
{
    int n = 0;
    for (const char *s = words; *s || !n; n++) {
        char word[64];
        size_t len = strcspn(s, "|");
        if (!len || len >= sizeof word || (s[len] && !s[len + 1])) return false;
        memcpy(word, s, len);
        word[len] = 0;
        if (jvc_option_word(words, word) != n) return false;
        s += len + (s[len] == '|');
    }
    return true;
}

int jvc_range_path(const char *range)
{
    return jvc_option_word("|path|path read|path glob|path write|path folder", range);
}

int jvc_range_filter(const char *range)
{
    return jvc_option_word("include|exclude", range);
}

bool jvc_range_ok(int32_t type, const char *range)
{
    switch (type) {
    case JV_OPT_I64: return i64_range_ok(range);
    case JV_OPT_F64: return f64_range_ok(range);
    case JV_OPT_CHOICE: return words_ok(range);
    case JV_OPT_REF: return *range;
    case JV_OPT_LIST: return jvc_range_path(range) >= 0 || jvc_range_filter(range) >= 0;
    default: return jvc_range_path(range) >= 0;
    }
}
