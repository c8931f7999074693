/*
 * special.h: finds the texts of special tokens in a text: user-defined ones everywhere, control and unknown ones in its
 * trusted parts. Internal to the tokenizer; see tokenizer.h.
 */
#ifndef SPECIAL_H
#define SPECIAL_H

#include "vocab.h"

typedef struct special {
    const vocab *v;
    int32_t *ids; /* [n] in byte order of their texts, so that a text stands before those it begins */
    uint32_t n;
    uint32_t n_user;     /* how many are user-defined */
    uint32_t first[257]; /* texts that begin with byte c are ids[first[c]] up to ids[first[c + 1]] */
} special;

typedef struct special_match {
    uint32_t at, n; /* bytes of the text */
    int32_t id;
} special_match;

/* {0} is empty; free v with free(). */
typedef struct special_list {
    special_match *v;
    size_t n, cap;
} special_list;

/* JV_OK, BAD (the file is at fault) or FATAL (no memory). `s` is zeroed before; special_free takes whatever state it
 * is left in. */
int32_t special_load(special *s, const vocab *v, jv_err *err);
void special_free(special *s);

/* The special tokens of up to 2^31 - 1 bytes of text, in order and apart; where several overlap, the longest in the
 * whole text stands. All bytes of a control or unknown one have trusted[i] != 0 (null: no byte has). `out` is empty.
 * JV_OK or FATAL (no memory). */
int32_t special_find(const special *s, jv_str text, const uint8_t *trusted, special_list *out, jv_err *err);

#endif
