/*
 * params.h: options as one record wants them: those of the section, and over them what the record's field `params` says,
 * a flat JSON object.
 */
#ifndef JVC_PARAMS_H
#define JVC_PARAMS_H

#include "util.h"

/* Whose options they are. */
struct jvc_params_of {
    const jv_opt *opts; /* of the stage; may be null */
    const void *ctx;    /* its context: the options as the section says */
    uint32_t ctx_size;
    const char *const *known; /* names of the options that stages of the pipeline take per record; ends with null */
};

/* Makes `into`, ctx_size bytes: the options of the context, over them those of params, all else zero. params.p null: the
 * record has none. A key that is not this stage's but one of `known` is passed over, as is the value null. What it
 * allocates belongs to `mem`, also when it fails. JV_OK; BAD, the key named; FATAL: no memory. */
int32_t jvc_params_apply(const struct jvc_params_of *of, jv_str params, void *into, struct jvc_arena *mem, jv_err *err);

#endif
