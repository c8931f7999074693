/*
 * option.h: a value of the INI file into a member of a stage's context, by the row that declares it.
 */
#ifndef JVC_OPTION_H
#define JVC_OPTION_H

#include "conf.h"

/* Whether a row makes sense: a known type, within the context, a range and default that parse. */
int32_t jvc_option_check(const jv_opt *o, uint32_t ctx_size, jv_err *err);

/* Parses `value` into ctx + o->offset. What it allocates belongs to conf. Relative paths are taken from `dir` (null:
 * as they are). REF options are not for here: they need the graph. JV_OK or BAD with "..." without the key's name. */
int32_t jvc_option_set(const jv_opt *o, void *ctx, struct jvc_conf *conf, const char *value, const char *dir,
    jv_err *err);

/* A whole number with the range's unit, as for an option: for keys of the host. */
int32_t jvc_option_number(const char *value, const char *range, int64_t *out, jv_err *err);

/* What the row accepts, in words: "number, 1..64", "one of no, yes". Into text of n bytes. */
void jvc_option_describe(const jv_opt *o, char *text, size_t n);

/* The index of `value` among the words of "a|b|c", or -1. */
int jvc_option_word(const char *words, const char *value);

#endif
