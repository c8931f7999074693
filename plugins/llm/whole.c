/* whole.c: incremental UTF-8 (RFC 3629). */
#include "whole.h"

#include <stdlib.h>
#include <string.h>

static int32_t append(whole *w, const void *p, size_t n, jv_err *err)
{
    if (w->cap - w->n < n + 1) {
        size_t cap = (w->cap + n) * 2 + 64;
        char *text = cap > n ? realloc(w->text, cap) : NULL;
        if (!text) return jv_fail(err, JV_FATAL, "no memory for a text of %zu bytes", w->n + n);
        w->text = text;
        w->cap = cap;
    }
    memcpy(w->text + w->n, p, n);
    w->n += n;
    w->text[w->n] = 0;
    return JV_OK;
}

/* What the bytes begin with: the length of a character, 0 for a beginning of one, -1 for neither. n >= 1. */
static int32_t character(const uint8_t *p, uint32_t n)
{
    uint32_t c = p[0], length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (!length) return -1;
    /* the second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF */
    uint8_t least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    for (uint32_t i = 1; i < length && i < n; i++, least = 0x80, most = 0xbf)
        if (p[i] < least || p[i] > most) return -1;
    return n < length ? 0 : (int32_t)length;
}

/* Moves out of `held` what is decided; with `end` all of it. */
static int32_t settle(whole *w, int end, jv_err *err)
{
    while (w->n_held) {
        int32_t length = character(w->held, w->n_held), rc;
        if (length == 0 && !end) return JV_OK;
        rc = length > 0 ? append(w, w->held, (size_t)length, err) : append(w, "\xef\xbf\xbd", 3, err);
        if (rc != JV_OK) return rc;
        uint32_t gone = length > 0 ? (uint32_t)length : 1;
        w->n_held -= gone;
        memmove(w->held, w->held + gone, w->n_held);
    }
    return JV_OK;
}

int32_t whole_add(whole *w, jv_str bytes, jv_err *err)
{
    for (size_t i = 0; i < bytes.n; i++) {
        w->held[w->n_held++] = (uint8_t)bytes.p[i]; /* at most 3 are held here: 4 are a character or none */
        int32_t rc = settle(w, 0, err);
        if (rc != JV_OK) return rc;
    }
    return JV_OK;
}

int32_t whole_end(whole *w, jv_err *err)
{
    return settle(w, 1, err);
}
