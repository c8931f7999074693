/*
 * vocab.h: the token list of a GGUF file: texts, types, the bytes each token adds to a text, and the way back from a
 * text to its id. Internal to the tokenizer; see tokenizer.h.
 */
#ifndef VOCAB_H
#define VOCAB_H

#include "gguf.h"

#define VOCAB_MAX (1u << 22) /* tokens, merges */

/* Values of `tokenizer.ggml.token_type`, the numbers of the format. */
enum { TOKEN_UNDEFINED, TOKEN_NORMAL, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE };

/* How texts of tokens are written (vocab.c). */
typedef enum vocab_kind { VOCAB_BYTES, VOCAB_SPACES } vocab_kind;

typedef struct vocab {
    uint32_t n;
    jv_str *text;             /* [n] as in the file; points into it */
    jv_str *piece;            /* [n] the bytes of the token in a text; empty for tokens that are not text */
    uint8_t *type;            /* [n] TOKEN_*, corrected by name */
    bool *ends;               /* [n] */
    size_t longest;           /* bytes of the longest text */
    int32_t byte_token[256];  /* the token of a single byte; -1: there is none */
    uint16_t letter[256];     /* a byte's code point in texts of VOCAB_BYTES, 0x21..0x143 */
    char *bytes;              /* behind `piece` */
    struct vocab_slot *slots; /* open addressing by the text's hash */
    uint32_t n_slots;         /* a power of 2 */
} vocab;

/* JV_OK, BAD (the file is at fault) or FATAL (no memory). `v` is zeroed before; vocab_free takes whatever state it
 * is left in. */
int32_t vocab_load(vocab *v, const gguf *g, vocab_kind kind, jv_err *err);
void vocab_free(vocab *v);

/* The token whose text is `a` followed by `b`, or -1. */
int32_t vocab_find(const vocab *v, jv_str a, jv_str b);

/* True for tokens that only trusted text may hold and that add nothing to a text. */
static inline bool vocab_is_control(const vocab *v, int32_t id)
{
    return v->type[id] == TOKEN_CONTROL || v->type[id] == TOKEN_UNKNOWN;
}

#endif
