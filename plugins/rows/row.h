/*
 * row.h: a growing text, and how values are spelled in it.
 *
 * Texts go from the record to the row in one pass, without a tree of values in between: they may be as large as a
 * document.
 */
#ifndef JV_ROWS_ROW_H
#define JV_ROWS_ROW_H

#include <stdbool.h>

#include "jevons.h"

struct row {
    char *p;
    size_t n, cap;
    bool failed; /* no memory for what was added; the row is not to be used */
};

/* Empties it; memory beyond a size that is worth keeping is given back. */
void row_reset(struct row *r);
void row_free(struct row *r);

void row_add(struct row *r, const char *p, size_t n);
/* A JSON string with what JSON wants escaped, all else as it is. s must be UTF-8. */
void row_string(struct row *r, const char *s, size_t n);
/* {"base64": "..."}, for bytes that are no text. */
void row_base64(struct row *r, const char *s, size_t n);
/* A JSON string where the bytes are UTF-8, else as row_base64. */
void row_bytes(struct row *r, const char *s, size_t n);
/* A JSON value as it is, but on one line: newlines in valid JSON stand between tokens only. */
void row_json(struct row *r, const char *s, size_t n);
void row_i64(struct row *r, int64_t v);
/* The fewest digits that read back as v; v must be finite. Always with a point or an exponent, so that it stays a
 * float. */
void row_f64(struct row *r, double v);
void row_f32(struct row *r, float v);

#endif
