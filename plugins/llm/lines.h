/* lines.h: a growing text, printed into. */
#ifndef LINES_H
#define LINES_H

#include "jevons.h"

typedef struct lines {
    char *text; /* malloc'd; a NUL after n bytes */
    size_t n, cap;
} lines;

/* JV_OK or FATAL (no memory). */
JV_PRINTF(3, 4)
int32_t lines_print(lines *l, jv_err *err, const char *fmt, ...);

#endif
