/* lines.c: printing into memory that grows by doubling. */
#include "lines.h"

#include <stdlib.h>

int32_t lines_print(lines *l, jv_err *err, const char *fmt, ...)
{
    for (;;) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(l->text ? l->text + l->n : NULL, l->cap - l->n, fmt, ap);
        va_end(ap);
        if (n < 0) return jv_fail(err, JV_FATAL, "a number cannot be printed");
        if ((size_t)n < l->cap - l->n) {
            l->n += (size_t)n;
            return JV_OK;
        }
        size_t cap = (l->cap + (size_t)n) * 2 + 64;
        char *text = cap > l->cap ? realloc(l->text, cap) : NULL;
        if (!text) return jv_fail(err, JV_FATAL, "no memory for a text of %zu bytes", l->n + (size_t)n);
        l->text = text;
        l->cap = cap;
    }
}
