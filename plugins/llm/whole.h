/* whole.h: bytes in any portions to whole code points: what a token adds to a text may end within a character. */
#ifndef WHOLE_H
#define WHOLE_H

#include "jevons.h"

/* A growing text that is always valid UTF-8, and the bytes of a character that is not complete yet. {0} is empty. */
typedef struct whole {
    char *text; /* malloc'd; a NUL after n bytes */
    size_t n, cap;
    uint8_t held[4];
    uint32_t n_held;
} whole;

/* Appends; a byte that is no part of valid UTF-8 becomes U+FFFD. JV_OK or FATAL (no memory). */
int32_t whole_add(whole *w, jv_str bytes, jv_err *err);
/* No more bytes will come: those held become U+FFFD each. */
int32_t whole_end(whole *w, jv_err *err);

#endif
