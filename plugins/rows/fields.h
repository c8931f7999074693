/*
 * fields.h: what a sink writes of a record: the fields that its option `fields` names, or all.
 */
#ifndef JV_ROWS_FIELDS_H
#define JV_ROWS_FIELDS_H

#include "row.h"

struct sink_field {
    const char *name;
    int32_t row, type;
};

struct sink_fields {
    struct sink_field *v;
    size_t n;
};

/* In `open`. Without names: `id` and every field and counter that was not measured. `rest`: one that is written
 * otherwise, which is no part of all and must not be named; null: none. */
int32_t fields_bind(struct sink_fields *f, const jv_host *h, const jv_list *names, const char *rest, jv_err *err);
void fields_free(struct sink_fields *f);

/* Adds a field that is a number, or numbers, as JSON spells them; `there` says whether it is there. JV_BAD: infinity
 * or NaN, for which there is no spelling. */
int32_t fields_add_number(const jv_host *h, const jv_buf *b, const struct sink_field *f, struct row *to, bool *there,
    jv_err *err);
/* The bytes of any other field; p is null where it is absent. JV_BAD: it should be UTF-8 and is not. */
int32_t fields_text(const jv_host *h, const jv_buf *b, const struct sink_field *f, jv_str *text, jv_err *err);

static inline bool fields_is_number(const struct sink_field *f)
{
    return f->type >= JV_I64 && f->type <= JV_F32S;
}

#endif
