/*
 * tokenizer.h: text to token ids and back, as a GGUF file describes it: byte-level byte pair encoding (Sennrich et al.,
 * arXiv:1508.07909, over bytes mapped to printable characters as in GPT-2), cut beforehand by the regular expression
 * that `tokenizer.ggml.pre` names; or SentencePiece's tokens with scores (spm.h). Everything in the file is checked
 * when the tokenizer is made. Read-only afterwards: any thread.
 */
#ifndef TOKENIZER_H
#define TOKENIZER_H

#include "gguf.h"

typedef struct tokenizer tokenizer;

/* JV_OK and *out, or BAD: a model or pre-split this version does not know (named, with those it does), ids outside
 * the vocabulary, two tokens of one text, a merge of absent tokens, ...; FATAL: no memory. The gguf must outlive it.
 * Let through: bytes without a token, empty tokens (nothing becomes them), and a merge listed twice (the first
 * counts). */
int32_t tokenizer_new(const gguf *g, tokenizer **out, jv_err *err);
void tokenizer_free(tokenizer *t); /* null is fine */

uint32_t tokenizer_size(const tokenizer *t); /* ids are 0..size-1 */
int32_t tokenizer_bos(const tokenizer *t);   /* -1 where the file names none */
int32_t tokenizer_eos(const tokenizer *t);
bool tokenizer_adds_bos(const tokenizer *t); /* what the file says (absent: the default of the pre-split's family) */
/* True for every token that ends a turn or the text: eos, eot, eom and fill-in-the-middle separators, by the file's
 * keys or, as peers do, by their usual names ("<|im_end|>", ...). A token of such a name is a control token whatever
 * its type says. */
bool tokenizer_ends_turn(const tokenizer *t, int32_t id);

/* A growing list of ids; {0} is empty. Free ids with free(). */
typedef struct token_list {
    int32_t *ids;
    size_t n, cap;
    uint64_t lost; /* bytes without a token (some files lack rare control characters): left out, as peers do */
} token_list;

/* Appends one id. JV_OK or FATAL (no memory). */
int32_t token_list_push(token_list *l, int32_t id, jv_err *err);

/* Appends the ids of n bytes of text, and adds to out->lost. BOS is never added here.
 *
 * Bytes that are no UTF-8 are read as peers read them. BPE: each is one U+FFFD, but overlong forms and surrogates stand
 * for the code point they spell (never for a special token). SentencePiece: they become the tokens of their bytes.
 *
 * The texts of user-defined tokens become these tokens wherever they stand. trusted: null: no other special token is
 * parsed; else one byte per byte of text, and where all bytes of a control or unknown token's text are nonzero it
 * becomes that token. Where several overlap, the longest in the whole text stands. Text that is not trusted never gives
 * a control token.
 *
 * JV_OK, BAD (over 2^31 - 1 bytes) or FATAL (no memory). Work is O(n log n) whatever the text; memory is at most 66
 * bytes per byte of the longest word, or for SentencePiece, which does not cut words, per character between special
 * tokens; and 9 per byte of text where the vocabulary has user-defined tokens or text is trusted. */
int32_t tokenizer_encode(const tokenizer *t, jv_str text, const uint8_t *trusted, token_list *out, jv_err *err);

/* The bytes of a token: what it adds to the text, empty for control tokens. Valid as long as the tokenizer. May be
 * part of a character. */
jv_str tokenizer_piece(const tokenizer *t, int32_t id);

/* The token with exactly this text (a special token's name, say), or -1. */
int32_t tokenizer_find(const tokenizer *t, jv_str text);

#endif
