/*
 * bench.h: the service by which a model is measured, "jv.model.bench/1": one piece of work, alone on the model, beside
 * what the machine could do at most, measured in the same breath.
 */
#ifndef LLM_BENCH_H
#define LLM_BENCH_H

#include "jevons.h"

#define LLM_BENCH_SERVICE "jv.model.bench/1"

/* Either prefill tokens of one sequence, or decode tokens each of `sequences`; behind `context` tokens of each
 * sequence's own, which are not timed. Tokens are random, prompts unlike each other. */
typedef struct llm_bench_work {
    uint32_t struct_size;
    uint32_t prefill, decode;       /* one of them is 0 */
    uint32_t sequences;             /* 1.., at most what the model takes at once; with prefill: 1 */
    uint32_t context;               /* 0.. with prefill, 1.. with decode */
    uint32_t seed;                  /* of the tokens */
    int32_t (*stopped)(void *user); /* nonzero: JV_CANCELLED; may be null */
    void *user;
} llm_bench_work;

typedef struct llm_bench_result {
    uint32_t struct_size;
    uint32_t reserved;
    double seconds;      /* by the clock */
    uint64_t tokens;     /* made or read in that time */
    uint64_t bytes;      /* of weights that this had to read, each step once */
    uint64_t products;   /* multiply-and-adds with weights that this had to do */
    double read_bytes;   /* the machine's limits, per second: bytes of the same weights read, ... */
    double dot_products; /* ... and products of 8-bit integers */
} llm_bench_result;

typedef struct llm_bench_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* JV_OK; BAD: this work is more than the model has room for; CANCELLED; FATAL. Blocks; others who want the model
     * wait meanwhile. */
    int32_t (*measure)(void *self, const llm_bench_work *work, llm_bench_result *result, jv_err *err);
    /* Of the backend: threads that compute, and the name of the instruction set, valid until close. */
    uint32_t (*threads)(void *self);
    const char *(*isa)(void *self);
} llm_bench_api;

#endif
