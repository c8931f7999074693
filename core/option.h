/*
 * option.h: values into members of a stage's context, by the rows that declare them.
 */
#ifndef JVC_OPTION_H
#define JVC_OPTION_H

#include "conf.h"
#include "range.h"

/* Whether a row makes sense: a name that can be a key, a known type and flags, a place within a context of ctx_size
 * bytes, a range and default that parse. JV_OK or BAD. */
int32_t jvc_option_check(const jv_opt *o, uint32_t ctx_size, jv_err *err);

/* Bytes of the member that an option of this type fills; 0: no such type. */
size_t jvc_option_size(int32_t type);

/* Parses `value` into the member at `to`. What it allocates belongs to `mem`. Relative paths are taken from `dir` (null:
 * as they are). REF and MAP options are not for here: the one needs the graph, the other several values. JV_OK; BAD
 * with what is wrong, without the key's name; FATAL: no memory. */
int32_t jvc_option_parse(const jv_opt *o, void *to, const char *value, const char *dir, struct jvc_arena *mem,
    jv_err *err);

/* The same into the context; what it allocates lives as long as conf. */
int32_t jvc_option_set(const jv_opt *o, void *ctx, struct jvc_conf *conf, const char *value, const char *dir,
    jv_err *err);

/* Fills a MAP option from the section's entries `NAME.KEY`, in the order of the file, and marks them as known. What is
 * wrong becomes a problem at its own line. False: something was. */
bool jvc_option_set_map(const jv_opt *o, void *ctx, struct jvc_conf *conf, struct jvc_section *sec);

/* Whether a key of n bytes is this option's: its name, or NAME.KEY of a MAP. */
bool jvc_option_has_key(const jv_opt *o, const char *key, size_t n);

/* Whether this item of the option means standard input. */
bool jvc_option_is_stdin(const jv_opt *o, jv_str path);

/* What the row accepts, in words: "whole number, 1..64", "no|yes". Into text of n bytes. */
void jvc_option_describe(const jv_opt *o, char *text, size_t n);

#endif
