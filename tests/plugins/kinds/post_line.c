/*
 * post_line.c: takes a request apart: `PRIORITY [NAME=VALUE ...]: TEXT`.
 */
#include "post.h"

#include <string.h>

#include "../../../plugins/utf8.h"

/* `NAME=VALUE` as a member of a JSON object. The signs that are let through need no escape. */
static bool add_param(struct asked *a, const char *word)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.*#=";
    const char *value = strchr(word, '=');
    if (!value || value == word || word[strspn(word, good)]) return false;
    a->params_n += (size_t)snprintf(a->params + a->params_n, sizeof a->params - a->params_n, "%s\"%.*s\": \"%s\"",
        a->params_n > 1 ? ", " : "", (int)(value - word), word, value + 1);
    return a->params_n < sizeof a->params - 1;
}

const char *post_take_apart(struct asked *a, char *line, size_t n)
{
    char *colon = memchr(line, ':', n), *rest;
    if (!colon || memchr(line, 0, (size_t)(colon - line))) return "no colon";
    *colon = 0;
    a->text = (jv_str){colon + 1, n - (size_t)(colon + 1 - line)};
    while (a->text.n && *a->text.p == ' ') a->text.p++, a->text.n--;
    a->good = utf8_valid(a->text.p, a->text.n);
    const char *word = strtok_r(line, " ", &rest);
    a->priority = !word ? 0 : !strcmp(word, "live") ? JV_LIVE : !strcmp(word, "batch") ? JV_BATCH : 0;
    if (!a->priority) return "neither live nor batch";
    a->params[0] = '{';
    a->params_n = 1;
    while ((word = strtok_r(NULL, " ", &rest)))
        if (!add_param(a, word)) return "a param that is none";
    a->params[a->params_n++] = '}';
    return NULL;
}
