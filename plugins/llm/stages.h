/* stages.h: what plugin.c puts together: for each stage its context, its tables and its functions. */
#ifndef STAGES_H
#define STAGES_H

#include "ask.h"
#include "bench.h"
#include "engine.h"
#include "lines.h"

struct model {
    const char *path;
    jv_ref backend;
    int64_t context, memory, batch, prefill_chunk;
    int32_t kv;
    const jv_host *h;
    engine engine;
};

struct score {
    jv_ref model;
    int64_t top, context, stride;
    int32_t bos;
    const jv_host *h;
};

typedef struct bench_test {
    llm_bench_work work;
    llm_bench_result *result; /* (rounds) */
} bench_test;

struct bench {
    jv_ref model;
    jv_list prefill, behind, sequences;
    int64_t decode, context, rounds;
    int32_t format;
    const jv_host *h;
    bool table, measured, titled;
    _Atomic int32_t stop;
    bench_test *test;
    uint32_t n_tests, next; /* to be told */
};

typedef struct verify_case {
    jv_str prompt;    /* malloc'd */
    llm_token *token; /* (n): of the reference's answer */
    size_t n;
} verify_case;

struct verify {
    jv_ref reference, model;
    int64_t prompts, words, tokens, seed;
    jv_list sequences;
    const jv_host *h;
    uint32_t *at_once;  /* (sequences.n) */
    verify_case *cases; /* (prompts) */
    bool started, told;
    _Atomic int32_t stop;
    _Atomic size_t next;  /* prompt to ask for */
    pthread_mutex_t lock; /* for what follows */
    uint32_t now;         /* asked for at once */
    uint64_t n_cases, n_tokens, differences;
    int64_t n_prompt, longest; /* tokens of all prompts, and of the longest */
    lines first;               /* difference */
    jv_err err;                /* of an asker; code 0: none */
};

struct template
{
    const char *path, *default_tools, *values, *bos, *eos;
    const jv_host *h;
    char *source; /* malloc'd: of a file that is a template */
    size_t n_source;
    gguf *gguf;
    chat *chat;
};

struct tokenize {
    jv_ref model;
    const jv_host *h;
};

extern const jv_opt model_options[], generate_options[], samples_options[], score_options[], template_options[],
    tokenize_options[], bench_options[], verify_options[];
extern const jv_field generate_fields[], samples_fields[], score_fields[], template_fields[], tokenize_fields[],
    bench_fields[], verify_fields[];
extern const jv_counter generate_counters[], samples_counters[], score_counters[], tokenize_counters[];
extern const jv_service model_services[];

int32_t model_open(void *ctx, const jv_host *h, jv_err *err);
int32_t model_start(void *ctx, jv_err *err);
void model_close(void *ctx);
int32_t generate_open(void *ctx, const jv_host *h, jv_err *err);
int32_t generate_process(void *ctx, jv_buf *b, jv_err *err);
void generate_close(void *ctx);
int32_t samples_process(void *ctx, jv_buf *b, jv_err *err);
int32_t template_open(void *ctx, const jv_host *h, jv_err *err);
int32_t template_process(void *ctx, jv_buf *b, jv_err *err);
void template_close(void *ctx);
int32_t bench_open(void *ctx, const jv_host *h, jv_err *err);
int32_t bench_poll(void *ctx, jv_err *err);
void bench_stop(void *ctx);
void bench_close(void *ctx);
int32_t verify_open(void *ctx, const jv_host *h, jv_err *err);
int32_t verify_start(void *ctx, jv_err *err);
int32_t verify_poll(void *ctx, jv_err *err);
int32_t verify_flush(void *ctx, jv_err *err);
void verify_stop(void *ctx);
void verify_close(void *ctx);
int32_t score_open(void *ctx, const jv_host *h, jv_err *err);
int32_t score_process(void *ctx, jv_buf *b, jv_err *err);
int32_t tokenize_open(void *ctx, const jv_host *h, jv_err *err);
int32_t tokenize_process(void *ctx, jv_buf *b, jv_err *err);

#endif
