/*
 * spm.h: SentencePiece vocabularies (Kudo and Richardson, arXiv:1808.06226) as the files of the llama and gemma
 * families have them: tokens with scores; neighbours whose joined text is a token are joined, the one of the highest
 * score first, the leftmost of equal ones. Spaces are written as U+2581; a character that is no token becomes the
 * tokens of its bytes. Internal to the tokenizer; see tokenizer.h.
 */
#ifndef SPM_H
#define SPM_H

#include "merge.h"
#include "tokenizer.h"
#include "vocab.h"

/* Bytes of a token's text, so that the search for a joined text is bounded. */
#define SPM_MAX_TEXT 1024

typedef struct spm {
    const vocab *v;
    uint32_t *rank;    /* [v->n] the higher the score, the lower */
    bool space_before; /* text at the beginning or behind a special token gets a space before it */
} spm;

/* JV_OK, BAD (the file is at fault) or FATAL. `s` is zeroed before; spm_free takes whatever state it is left in. */
int32_t spm_load(spm *s, const vocab *v, const gguf *g, jv_err *err);
void spm_free(spm *s);

/* Appends the ids of a text without special tokens. O(n log n) for a text of n bytes. JV_OK, BAD (over 2^31 - 1 bytes
 * once spaces are written as they are here) or FATAL (no memory). */
int32_t spm_text(const spm *s, jv_str text, merge_work *w, token_list *out, jv_err *err);

#endif
