/*
 * answer.h: a line of JSON that a command answers with, and what of it becomes fields.
 *
 *     {"id": "a.txt/3", "lang": "en", "score": 0.93}
 *     {"id": "a.txt/4", "error": "no text"}
 */
#ifndef JV_EXEC_ANSWER_H
#define JV_EXEC_ANSWER_H

#include "../rows/column.h"

struct answer {
    struct row id; /* what the member `id` means */
    bool has_id;
    struct row error; /* and `error`, unless it is null */
    bool has_error;
    struct row arena; /* the bytes behind `values` */
    struct value *values;
    jv_str *cells; /* where they stand in the line */
    size_t n;
};

/* Binds the fields that `returns.NAME = TYPE` declares: utf8, bytes, json, i64 or f64, with a `?` where the command may
 * leave it out. columns_free takes what it leaves. */
int32_t returns_open(struct columns *c, const jv_host *h, const jv_map *declared, jv_err *err);

/* Room for the values of n columns. JV_OK or JV_FATAL; answer_free takes what it leaves. */
int32_t answer_init(struct answer *a, size_t n, jv_err *err);
void answer_free(struct answer *a);
/* Reads a line; columns that are not asked for, all but `id`, may be null. JV_BAD: it is no such object. */
int32_t answer_read(struct answer *a, const struct columns *c, jv_str line, jv_err *err);

#endif
