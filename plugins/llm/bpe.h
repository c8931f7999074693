/*
 * bpe.h: byte pair encoding of one word (Sennrich et al., arXiv:1508.07909): starting from single bytes, the pair of
 * neighbours whose merge stands first in the file's list is joined, the leftmost first, until no pair is listed.
 * Internal to the tokenizer; see tokenizer.h.
 */
#ifndef BPE_H
#define BPE_H

#include "merge.h"
#include "tokenizer.h"
#include "vocab.h"

typedef struct bpe {
    const vocab *v;
    uint32_t n;
    int32_t *result;        /* [n] the token that merge number i makes */
    struct bpe_pair *pairs; /* open addressing by both ids */
    uint32_t n_pairs;       /* a power of 2 */
} bpe;

/* JV_OK, BAD (the file is at fault) or FATAL. `b` is zeroed before; bpe_free takes whatever state it is left in. */
int32_t bpe_load(bpe *b, const vocab *v, const gguf *g, jv_err *err);
void bpe_free(bpe *b);

/* Appends the ids of a word of up to 2^31 - 1 bytes. O(n log n). JV_OK or FATAL (no memory). */
int32_t bpe_word(const bpe *b, const char *word, size_t n, merge_work *w, token_list *out, jv_err *err);

#endif
