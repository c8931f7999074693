/* think.c: a state machine over bytes. Both tags begin with "<" and have no other, so that after a mismatch only the
 * last byte can begin one anew. */
#include "think.h"

#include <stdlib.h>

think think_new(int32_t state)
{
    return (think){.state = state, .thought = state == THINK_INSIDE};
}

void think_free(think *t)
{
    free(t->answer.p);
    free(t->reasoning.p);
    *t = (think){0};
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int32_t append(think_text *t, char c, jv_err *err)
{
    if (t->n == t->cap) {
        size_t cap = t->cap > SIZE_MAX / 2 ? 0 : 2 * t->cap + 64;
        char *p = cap ? realloc(t->p, cap) : NULL;
        if (!p) return jv_fail(err, JV_FATAL, "no memory for an answer of %zu bytes", t->n);
        t->p = p;
        t->cap = cap;
    }
    t->p[t->n++] = c;
    return JV_OK;
}

static void match(think *t, const char *tag, char c)
{
    t->matched = c == tag[t->matched] ? t->matched + 1 : c == *tag;
}

static int32_t begin(think *t, char c, jv_err *err)
{
    uint32_t matched = t->matched;
    int32_t rc = append(&t->answer, c, err);
    if (matched == 0 && is_space(c)) return rc;
    match(t, THINK_OPEN, c);
    if (t->matched != matched + 1) {
        t->state = THINK_ANSWER;
        t->matched = 0;
    } else if (t->matched == sizeof THINK_OPEN - 1) {
        t->state = THINK_INSIDE;
        t->thought = true;
        t->matched = 0;
        t->answer.n = 0;
    }
    return rc;
}

/* What is no part of a tag up to `end`, but for white space at its end, is there to stay. */
static void settle(think *t, size_t from, size_t end)
{
    for (size_t i = from; i < end; i++)
        if (!is_space(t->reasoning.p[i])) t->sure = i + 1;
}

static int32_t inside(think *t, char c, jv_err *err)
{
    think_text *r = &t->reasoning;
    if (r->n == 0 && is_space(c)) return JV_OK;
    size_t from = r->n - t->matched;
    int32_t rc = append(r, c, err);
    if (rc != JV_OK) return rc;
    match(t, THINK_CLOSE, c);
    settle(t, from, r->n - t->matched);
    if (t->matched < sizeof THINK_CLOSE - 1) return JV_OK;
    r->n = t->sure;
    t->matched = 0;
    t->state = THINK_BEHIND;
    return JV_OK;
}

int32_t think_byte(think *t, char c, jv_err *err)
{
    if (t->state == THINK_BEGIN) return begin(t, c, err);
    if (t->state == THINK_INSIDE) return inside(t, c, err);
    if (t->state == THINK_BEHIND && is_space(c)) return JV_OK;
    t->state = THINK_ANSWER;
    return append(&t->answer, c, err);
}

void think_end(think *t)
{
    if (t->state == THINK_INSIDE) {
        settle(t, t->reasoning.n - t->matched, t->reasoning.n);
        t->reasoning.n = t->sure;
    }
    t->matched = 0;
    if (t->state == THINK_BEGIN) t->state = THINK_ANSWER;
}
