/*
 * dead.h: a row of the dead-letter file: a JSON object with the texts id, stage, place and error, and the object input.
 */
#ifndef JVC_DEAD_H
#define JVC_DEAD_H

#include "pipeline.h"

/* The row of a record that s rejected, as text of n bytes, to be freed; null: no memory. */
char *jvc_dead_row(const struct jvc_stage *s, const jv_buf *b, const jv_err *why, size_t *n);

/* Whether a file, from where it stands on, is empty or holds nothing but such rows; < 0: errno says why that is not
 * known. */
int jvc_dead_is_ours(int fd);

#endif
