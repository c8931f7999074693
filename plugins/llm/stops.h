/* stops.h: strings that end a text, found as it comes in, byte after byte, wherever they are cut. */
#ifndef STOPS_H
#define STOPS_H

#include "jevons.h"

typedef struct stops {
    const jv_str *v; /* (n), borrowed; none empty */
    size_t n;
    uint32_t *matched; /* (n): how many bytes of each stand at the end of the text */
    uint32_t *back;    /* Knuth, Morris and Pratt's tables, one after the other (doi:10.1137/0206024) */
} stops;

/* JV_OK or FATAL (no memory); stops_free takes what is left of it, and {0}. Together they have fewer than 2^32 bytes. */
int32_t stops_new(stops *s, const jv_str *v, size_t n, jv_err *err);
void stops_free(stops *s);

/* The next byte of the text. The index of the string that is complete with it, of several the longest; else -1. What
 * counts is which one is complete first, not which began first, so that it does not matter how much text comes at
 * once. */
int32_t stops_byte(stops *s, char c);
/* How many bytes at the end of the text may be the beginning of one. */
size_t stops_held(const stops *s);
/* As if no text had come. */
void stops_reset(stops *s);

#endif
