/* option.c: see option.h. The grammar of ranges stands at jv_opt in jevons.h. */
#include "option.h"

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
    if (wrong && *r.word) return jv_fail(err, JV_BAD, "\"%.60s\" is %s, nor the word %s", value, wrong, r.word);
    if (wrong) return jv_fail(err, JV_BAD, "\"%.60s\" is %s", value, wrong);
    if (r.n_low && !parse_i64(r.low, r.n_low, r.unit, &bound) && v < bound) return bad_range(value, range, err);
    if (r.n_high && !parse_i64(r.high, r.n_high, r.unit, &bound) && v > bound) return bad_range(value, range, err);
    if (v == JV_UNSET) return bad_range(value, range, err);
    *out = v;
    return JV_OK;
}

static int32_t set_f64(const char *value, const char *range, double *out, jv_err *err)
{
    struct range r;
    char *end;
    if (!read_range(range, &r)) return jv_fail(err, JV_BAD, "its range \"%s\" is none", range);
    if (!strchr("+-.0123456789", *value)) return jv_fail(err, JV_BAD, "\"%.60s\" is not a number", value);
    double v = strtod(value, &end); /* the C locale: nobody sets another */
    if (end == value || *end || !isfinite(v) || strpbrk(value, "xX"))
        return jv_fail(err, JV_BAD, "\"%.60s\" is not a number", value);
    if ((r.n_low && v < strtod(r.low, NULL)) || (r.n_high && v > strtod(r.high, NULL)))
        return bad_range(value, range, err);
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

static int32_t set_choice(const char *value, const char *words, int32_t *out, jv_err *err)
{
    *out = jvc_option_word(words, value);
    return *out >= 0 ? JV_OK : jv_fail(err, JV_BAD, "\"%.60s\" is none of %s", value, words);
}

static char *path_of(struct jvc_conf *conf, const char *s, const char *dir)
{
    size_t n = strlen(s);
    bool as_it_is = !n || s[0] == '/' || !dir;
    return jvc_conf_own(conf, as_it_is ? jvc_strndup(s, n) : jvc_format("%s/%.*s", dir, (int)n, s));
}

/* Items are cut at line breaks when there are several lines, else at commas. "..." keeps commas and blanks; ""
 * within it is a quote. */
static int32_t next_item(const char **at, char separator, char **item, jv_err *err)
{
    const char *s = *at + strspn(*at, " \t\n"), *end;
    if (*s == '"') {
        for (end = ++s; *end && (*end != '"' || end[1] == '"'); end++) end += *end == '"';
        *item = jvc_strndup(s, (size_t)(end - s));
        char *to = *item;
        for (const char *from = to; *from; *to++ = *from++) from += *from == '"';
        *to = 0;
        bool closed = *end == '"';
        end += closed;
        end += strspn(end, " \t");
        if (!closed || (*end && *end != separator)) {
            free(*item);
            return jv_fail(err, JV_BAD, closed ? "text after a closing quote" : "a quote without its end");
        }
    } else {
        end = strchrnul(s, separator);
        size_t n = (size_t)(end - s);
        while (n && strchr(" \t", s[n - 1])) n--;
        *item = jvc_strndup(s, n);
    }
    *at = *end ? end + 1 : end;
    return JV_OK;
}

static int32_t set_list(const jv_opt *o, jv_list *list, struct jvc_conf *conf, const char *value, const char *dir,
    jv_err *err)
{
    bool paths = o->range && !strcmp(o->range, "path");
    char separator = strchr(value, '\n') ? '\n' : ',';
    jv_str *v = NULL;
    size_t n = 0;
    const char *at = value;
    while (*(at + strspn(at, " \t\n"))) {
        char *item = NULL;
        if (next_item(&at, separator, &item, err) < 0) {
            free(v);
            return JV_BAD;
        }
        char *keep = paths ? path_of(conf, item, dir) : jvc_conf_own(conf, jvc_strdup(item));
        bool empty = !*item;
        free(item);
        if (empty && separator == '\n') continue;
        if (empty) {
            free(v);
            return jv_fail(err, JV_BAD, "an empty item");
        }
        v = jvc_room(v, n, sizeof *v);
        v[n++] = (jv_str){keep, strlen(keep)};
    }
    jvc_conf_own(conf, v);
    *list = (jv_list){v, n};
    return JV_OK;
}

int32_t jvc_option_set(const jv_opt *o, void *ctx, struct jvc_conf *conf, const char *value, const char *dir, jv_err *err)
{
    void *to = (char *)ctx + o->offset;
    switch (o->type) {
    case JV_OPT_I64: return jvc_option_number(value, o->range, to, err);
    case JV_OPT_F64: return set_f64(value, o->range, to, err);
    case JV_OPT_CHOICE: return set_choice(value, o->range, to, err);
    case JV_OPT_LIST: return set_list(o, to, conf, value, dir, err);
    case JV_OPT_TEXT: {
        bool path = !strcmp(o->range, "path");
        if (path && strchr(value, '\n')) return jv_fail(err, JV_BAD, "a path of several lines");
        *(const char **)to = path ? path_of(conf, value, dir) : jvc_conf_own(conf, jvc_strdup(value));
        return JV_OK;
    }
    default: return jv_fail(err, JV_BAD, "an option of unknown type %d", o->type);
    }
}

int32_t jvc_option_check(const jv_opt *o, uint32_t ctx_size, jv_err *err)
{
    static const uint32_t sizes[] = {0, sizeof(int64_t), sizeof(double), sizeof(char *), sizeof(int32_t),
        sizeof(jv_list), sizeof(jv_ref)};
    union {
        int64_t i;
        double d;
        int32_t c;
        const char *s;
        jv_list l;
    } out;
    jv_opt at_zero = *o;
    jv_err why;
    struct jvc_conf conf = {0};
    if (o->type < JV_OPT_I64 || o->type > JV_OPT_REF || !o->help)
        return jv_fail(err, JV_BAD, "option %s has an unknown type or no help", o->name);
    if (o->offset > ctx_size || ctx_size - o->offset < sizes[o->type])
        return jv_fail(err, JV_BAD, "option %s lies outside the context", o->name);
    if (!o->range || (o->type == JV_OPT_REF && !*o->range))
        return jv_fail(err, JV_BAD, "option %s has no range", o->name);
    if (o->type == JV_OPT_REF || !o->def) return JV_OK;
    at_zero.offset = 0;
    int32_t rc = jvc_option_set(&at_zero, &out, &conf, o->def, NULL, &why);
    jvc_conf_free(&conf);
    return rc < 0 ? jv_fail(err, JV_BAD, "the default of option %s: %s", o->name, why.text) : JV_OK;
}

void jvc_option_describe(const jv_opt *o, char *text, size_t n)
{
    switch (o->type) {
    case JV_OPT_I64: snprintf(text, n, "whole number, %s", o->range); break;
    case JV_OPT_F64: snprintf(text, n, "number, %s", o->range); break;
    case JV_OPT_CHOICE: snprintf(text, n, "%s", o->range); break;
    case JV_OPT_TEXT: snprintf(text, n, "%s", strcmp(o->range, "path") ? "text" : "path"); break;
    case JV_OPT_LIST: snprintf(text, n, "list of %s", strcmp(o->range, "path") ? "texts" : "paths"); break;
    default: snprintf(text, n, "a section that offers %s", o->range);
    }
}
