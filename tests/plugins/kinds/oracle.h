/*
 * oracle.h: the service that a section with `plugin = oracle/model` offers, "kinds.oracle/1".
 */
#ifndef ORACLE_H
#define ORACLE_H

#include "jevons.h"

#define ORACLE "kinds.oracle/1"

/* A question, kept by the caller until `ask` returns. The functions are called by a thread of the model's, one at a
 * time and none after `ask` has returned; they do not block. */
typedef struct oracle_question {
    uint32_t struct_size;
    const char *text; /* UTF-8 */
    size_t n;
    int64_t words;    /* the most to answer with */
    int32_t priority; /* JV_LIVE, JV_BATCH */
    int32_t reserved;
    void *arg;                                                            /* of the functions */
    int32_t (*piece)(void *arg, const char *text, size_t n, jv_err *err); /* a word, the space before it; < 0: no more */
    int32_t (*cancelled)(void *arg);                                      /* 1: the answer is not wanted any more */
} oracle_question;

typedef struct oracle_api {
    uint32_t struct_size;
    /* Any thread, from start to close. Blocks until the question is answered: JV_OK, JV_CANCELLED, or what piece said.
     * */
    int32_t (*ask)(void *self, const oracle_question *q, jv_err *err);
} oracle_api;

#endif
