/*
 * parse.h: a line of JSON as the values of declared columns, and what is left.
 */
#ifndef JV_JSONL_PARSE_H
#define JV_JSONL_PARSE_H

#include "../rows/column.h"

/* A member of the row's object where it stands. */
struct jsonl_member {
    jv_str raw, value; /* raw: key and value */
    jv_str key;        /* what it means; the pointer is an offset into `keys` while that may move */
    size_t key_at;
};

struct jsonl_parser {
    const struct columns *columns;
    jv_str id_key; /* {0, 0}: the row's id does not come from it */

    /* Of the row last parsed. */
    struct value *values; /* one for each column */
    struct row arena;     /* their bytes */
    struct row rest;      /* an object with the other members, as they were spelled, in their order; empty: none */
    struct row id;
    bool has_id;

    /* Its own. */
    jv_str *cells;
    struct jsonl_member *members;
    size_t n_members, cap;
    struct row keys;
};

/* columns and id_key are set, all else is zero. JV_OK or JV_FATAL. */
int32_t jsonl_parser_init(struct jsonl_parser *c, jv_err *err);
void jsonl_parser_free(struct jsonl_parser *c);

/* JV_OK; JV_DROP: only spaces; JV_BAD: why, and `at` which byte of the row; JV_FATAL: no memory. */
int32_t jsonl_parse(struct jsonl_parser *c, const char *p, size_t n, size_t *at, jv_err *err);

#endif
