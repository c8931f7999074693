/*
 * jinja_time.c: strftime_now, which in Python tells the time of day. Here it tells the time in the name `now`, which
 * whoever renders has given: a prompt that changed with the clock would give another answer at every run. Without
 * `now` the function is not defined, and templates fall back to what they do then.
 */
#include "jinja_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* n digits; -1: there are others. */
static int number(const char *p, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return -1;
        v = 10 * v + p[i] - '0';
    }
    return v;
}

/* "2025-01-31" or "2025-01-31T12:00:00". */
static bool read_time(text t, struct tm *tm)
{
    *tm = (struct tm){0};
    if (t.n != 10 && t.n != 19) return false;
    int year = number(t.p, 4), month = number(t.p + 5, 2), day = number(t.p + 8, 2);
    if (t.p[4] != '-' || t.p[7] != '-' || year < 1 || month < 1 || month > 12 || day < 1 || day > 31) return false;
    *tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    if (t.n == 19) {
        int hour = number(t.p + 11, 2), minute = number(t.p + 14, 2), second = number(t.p + 17, 2);
        bool apart = (t.p[10] == 'T' || t.p[10] == ' ') && t.p[13] == ':' && t.p[16] == ':';
        if (!apart || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return false;
        tm->tm_hour = hour;
        tm->tm_min = minute;
        tm->tm_sec = second;
    }
    timegm(tm); /* fills in the day of the week; carries the 31st of a short month over */
    return tm->tm_mday == day;
}

/* What follows a % in a format, and neither asks for a time zone nor for a clock. */
static size_t directive(job *j, text format, size_t at)
{
    size_t n = at + 1 < format.n && format.p[at] == '-' ? 2 : 1;
    char c = at + n <= format.n ? format.p[at + n - 1] : 0;
    if (!c || !strchr("aAbBdDeFgGhHIjmMnpRStTuUVwWyY%", c))
        jj_fail(j, "\"strftime_now\" does not support \"%%%.*s\"", (int)(at + n <= format.n ? n : format.n - at),
            format.p + at);
    return n;
}

/* One directive, which `directive` has let through: that the format is no literal is the point here. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

value jj_strftime_now(call *c)
{
    text format = jj_arg_text(c, 0);
    struct tm tm;
    if (!read_time(*c->j->now, &tm))
        jj_fail(c->j, "now = \"%.*s\": a date is wanted, 2025-01-31 or 2025-01-31T12:00:00", JJ_SHOW(*c->j->now));
    buf b = {.j = c->j};
    jj_walk(c->j, format.n);
    for (size_t i = 0; i < format.n;) {
        if (format.p[i] != '%') {
            jj_put_bytes(&b, format.p + i, 1, format.trust[i]);
            i++;
            continue;
        }
        size_t n = directive(c->j, format, i + 1);
        char one[4] = "%", out[64];
        memcpy(one + 1, format.p + i + 1, n);
        one[n + 1] = 0;
        jj_put_bytes(&b, out, strftime(out, sizeof out, one, &tm), false);
        i += 1 + n;
    }
    return jj_string(c->j, jj_text(&b));
}
