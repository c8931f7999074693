/* marks.h: where a text may be cut. One byte of flags for each byte of the text, and one for its end. */
#ifndef CHUNK_MARKS_H
#define CHUNK_MARKS_H

#include <stddef.h>
#include <stdint.h>

/* Of the character that begins here. */
#define MARK_SPACE 1u          /* it is white space (and carries no combining mark) */
#define MARK_SENTENCE_START 2u /* it begins a sentence */
#define MARK_WORD_START 4u     /* it is the first after white space */
/* Of the place in front of it. */
#define MARK_GRAPHEME 8u  /* between two grapheme clusters (UAX #29) */
#define MARK_WORD 16u     /* in front of white space at which a line may break */
#define MARK_SENTENCE 32u /* a sentence ends here: behind its closing marks, in front of white space */

/* Fills marks[0..n] for the text s[0..n). Answers n, or the offset of the first byte that is no UTF-8. Linear in n. */
size_t mark_text(const char *s, size_t n, uint8_t *marks);

#endif
