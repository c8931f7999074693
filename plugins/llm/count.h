/* count.h: the items of a list option that are numbers. */
#ifndef COUNT_H
#define COUNT_H

#include "jevons.h"

#include <stdbool.h>

/* A whole number of least..most, most < 2^31. JV_OK, or BAD with the option's name. */
static inline int32_t parse_count(jv_str text, const char *option, uint32_t least, uint32_t most, uint32_t *to,
    jv_err *err)
{
    uint64_t v = 0;
    bool digits = text.n > 0;
    for (size_t i = 0; i < text.n && digits; i++) {
        digits = text.p[i] >= '0' && text.p[i] <= '9';
        v = v > most ? v : v * 10 + (uint64_t)(text.p[i] - '0');
    }
    if (!digits || v < least || v > most)
        return jv_fail(err, JV_BAD, "%s = %.*s: numbers of %u..%u are needed", option, (int)(text.n < 40 ? text.n : 40),
            text.p, least, most);
    *to = (uint32_t)v;
    return JV_OK;
}

#endif
