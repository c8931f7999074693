/*
 * presplit.h: cuts text into the words that byte pair encoding then works on, by the regular expressions that the name
 * in `tokenizer.ggml.pre` stands for. Read-only once made: any thread.
 */
#ifndef PRESPLIT_H
#define PRESPLIT_H

#include "jevons.h"

#include <stdbool.h>

typedef struct presplit presplit;

/* JV_OK and *out; BAD: the name is not known (err lists those that are); FATAL: no memory. */
int32_t presplit_new(jv_str name, presplit **out, jv_err *err);
void presplit_free(presplit *p); /* null is fine */

bool presplit_adds_bos(const presplit *p); /* where the file does not say */
bool presplit_whole_words(
    const presplit *p); /* a word that is a token is that token, whatever the merges would make of it */

/* Gets n > 0 bytes at `at`; the words come in order and cover the text. < 0 stops. */
typedef int32_t presplit_word(void *user, size_t at, size_t n, jv_err *err);

/* `text` is valid UTF-8. JV_OK, what `word` stopped with, or FATAL (no memory). */
int32_t presplit_run(const presplit *p, jv_str text, presplit_word *word, void *user, jv_err *err);

#endif
