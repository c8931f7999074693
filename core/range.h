/*
 * range.h: numbers and words as options have them, and the ranges they must lie in.
 */
#ifndef JVC_RANGE_H
#define JVC_RANGE_H

#include "util.h"

/* What the range of a TEXT, LIST or MAP says of its texts; < 0: it is no range for them. */
enum { JVC_TEXT, JVC_PATH, JVC_PATH_READ, JVC_PATH_GLOB, JVC_PATH_WRITE, JVC_PATH_FOLDER };
int jvc_range_path(const char *range);

/* What the range of a LIST says of what a "path glob" finds in folders; < 0: nothing. */
enum { JVC_INCLUDE, JVC_EXCLUDE };
int jvc_range_filter(const char *range);

/* Whether it is a range for options of this type: it parses, and its low end is not above its high one. */
bool jvc_range_ok(int32_t type, const char *range);

/* A whole number with the range's unit; JV_OK or BAD. */
int32_t jvc_option_number(const char *value, const char *range, int64_t *out, jv_err *err);
int32_t jvc_range_f64(const char *value, const char *range, double *out, jv_err *err);
/* The index of one of the words of "a|b|c". */
int32_t jvc_range_choice(const char *value, const char *words, int32_t *out, jv_err *err);
/* The same, or -1. */
int jvc_option_word(const char *words, const char *value);

#endif
