/* jinja_case.c: upper and lower case. Each character by Unicode's simple mapping, and the German sharp s as Python
 * has it. */
#include "jinja_impl.h"

#include <string.h>
#include <utf8proc.h>

static bool is_cased(uint32_t c)
{
    return utf8proc_isupper((utf8proc_int32_t)c) || utf8proc_islower((utf8proc_int32_t)c) ||
           utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LT;
}

enum { UPPER, LOWER, TITLE };

static void put_mapped(buf *b, text t, size_t at, int to)
{
    uint32_t c, mapped;
    size_t len = jj_next(t, at, &c);
    utf8proc_int32_t code = (utf8proc_int32_t)c;
    if (c == 0xdf && to != LOWER) {
        jj_put_bytes(b, to == UPPER ? "SS" : "Ss", 2, t.trust[at]);
        return;
    }
    mapped = (uint32_t)(to == UPPER   ? utf8proc_toupper(code)
                        : to == LOWER ? utf8proc_tolower(code)
                                      : utf8proc_totitle(code));
    if (mapped == c)
        jj_put_bytes(b, t.p + at, len, t.trust[at]); /* a byte that is no character stays as it is */
    else
        jj_put_char(b, mapped, t.trust[at]);
}

/* CASE_TITLE is the method title(), CASE_WORDS the filter title: they differ in what begins a word. */
value jj_change_case(job *j, text t, int how)
{
    jj_walk(j, t.n);
    buf b = {.j = j};
    bool begins = true; /* a word */
    uint32_t c;
    for (size_t i = 0, len; i < t.n; i += len) {
        len = jj_next(t, i, &c);
        int to = how == CASE_UPPER ? UPPER : LOWER;
        if (begins && how == CASE_WORDS)
            to = UPPER;
        else if (begins && (how == CASE_TITLE || how == CASE_CAPITAL))
            to = TITLE;
        put_mapped(&b, t, i, to);
        if (how == CASE_TITLE)
            begins = !is_cased(c);
        else if (how == CASE_WORDS)
            begins = jj_is_space(c) || (c < 0x80 && c > 0 && strchr("-({[<", (int)c));
        else
            begins = false;
    }
    return jj_string(j, jj_text(&b));
}
