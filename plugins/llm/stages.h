/* stages.h: what plugin.c puts together: for each stage its context, its tables and its functions. */
#ifndef STAGES_H
#define STAGES_H

#include "engine.h"

struct model {
    const char *path;
    jv_ref backend;
    int64_t context, memory, batch, prefill_chunk;
    int32_t kv;
    const jv_host *h;
    engine engine;
};

struct generate {
    jv_ref model;
    int32_t template;
    const char *system;
    int64_t max_tokens, seed;
    double temperature, top_p;
    const jv_host *h;
};

struct score {
    jv_ref model;
    int64_t top, context, stride;
    int32_t bos;
    const jv_host *h;
};

struct tokenize {
    jv_ref model;
    const jv_host *h;
};

extern const jv_opt model_options[], generate_options[], score_options[], tokenize_options[];
extern const jv_field generate_fields[], score_fields[], tokenize_fields[];
extern const jv_counter generate_counters[], score_counters[], tokenize_counters[];
extern const jv_service model_services[];

int32_t model_open(void *ctx, const jv_host *h, jv_err *err);
int32_t model_start(void *ctx, jv_err *err);
void model_close(void *ctx);
int32_t generate_open(void *ctx, const jv_host *h, jv_err *err);
int32_t generate_process(void *ctx, jv_buf *b, jv_err *err);
int32_t score_open(void *ctx, const jv_host *h, jv_err *err);
int32_t score_process(void *ctx, jv_buf *b, jv_err *err);
int32_t tokenize_open(void *ctx, const jv_host *h, jv_err *err);
int32_t tokenize_process(void *ctx, jv_buf *b, jv_err *err);

#endif
