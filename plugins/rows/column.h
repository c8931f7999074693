/*
 * column.h: the columns a section declares, `columns.FIELD = TYPE[?] [NAME]`, and how what stands in a file becomes the
 * value of a field.
 *
 *     columns.question = utf8
 *     columns.score = f64?                     may be missing: the field is then absent
 *     columns.first_name = utf8 First name     is called `First name` in the file
 *
 * Types: utf8, bytes, json, i64, f64, i32s, f32s. Numbers are written as JSON writes them, also in a cell of CSV.
 */
#ifndef JV_ROWS_COLUMN_H
#define JV_ROWS_COLUMN_H

#include "row.h"

struct column {
    const char *field;
    jv_str name; /* in the file */
    int32_t type, row;
    bool optional;
};

struct columns {
    struct column *v;
    size_t n;
};

/* A value on its way from a row to a field. The bytes stand in an arena that may still move: an offset. */
struct value {
    bool there;
    int64_t i;
    double f;
    size_t at, n;
};

/* Reads the declarations and binds a field to each. */
int32_t columns_open(struct columns *c, const jv_host *h, const jv_map *declared, jv_err *err);
void columns_free(struct columns *c);
/* The column of that name in the file, or SIZE_MAX. */
size_t columns_find(const struct columns *c, const char *name, size_t n);

/* What a JSON value, valid, or a cell of CSV (any bytes; `quoted`: it stood in quotes) means in this column; bytes are
 * added to the arena. JV_BAD: it means nothing there. */
int32_t column_from_json(const struct column *c, jv_str json, struct row *arena, struct value *v, jv_err *err);
int32_t column_from_cell(const struct column *c, jv_str cell, bool quoted, struct row *arena, struct value *v,
    jv_err *err);
/* Nothing stands there at all. */
int32_t column_missing(const struct column *c, struct value *v, jv_err *err);

/* Sets the fields; values that are not there leave theirs absent. */
int32_t columns_put(const struct columns *c, const jv_host *h, jv_buf *b, const struct value *v,
    const struct row *arena, jv_err *err);

#endif
