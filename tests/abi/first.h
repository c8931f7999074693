/* first.h: what the two plugins of the first release share: the services between them. */
#ifndef FIRST_H
#define FIRST_H

#include <string.h>

#include "jevons.h"

#define BOOK "first.book/1"
#define SOURCE "first.source/1" /* a table without functions: who refers to it asks for `user` */

struct book_api {
    uint32_t struct_size;
    jv_str (*word)(void *self, size_t n); /* the n-th, counted around */
};

static inline int is(jv_str s, const char *word)
{
    return s.n == strlen(word) && !memcmp(s.p, word, s.n);
}

static inline int32_t put_text(const jv_host *h, jv_buf *b, int32_t row, jv_str s, jv_err *err)
{
    char *p = h->put(h, b, row, s.n, err);
    if (!p) return JV_FATAL;
    if (s.n) memcpy(p, s.p, s.n);
    return JV_OK;
}

#endif
