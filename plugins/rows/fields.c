/* fields.c: see fields.h. */
#include "fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../mistakes.h"
#include "../utf8.h"

static struct utf8_shown show(const char *s)
{
    return utf8_show(s, strlen(s));
}

/* ---- which fields ------------------------------------------------------------------------------------------------ */

static const jv_column *find_column(const jv_host *h, const char *name)
{
    const jv_column *col;
    for (uint32_t i = 0; (col = h->column(h, i)); i++)
        if (!strcmp(col->name, name)) return col;
    return NULL;
}

static int32_t bind(struct sink_fields *f, const jv_host *h, const char *name, const char *rest, jv_err *err)
{
    const jv_column *col = find_column(h, name);
    if (rest && !strcmp(rest, name))
        return jv_fail(err, JV_BAD, "`fields` names `%s`, which is `rest`: it would be written twice", show(rest).text);
    if (col && (col->type < JV_UTF8 || col->type > JV_F32S))
        return jv_fail(err, JV_BAD, "`fields`: `%s` has type %d, which cannot be written", show(name).text, col->type);
    for (size_t i = 0; i < f->n; i++)
        if (!strcmp(f->v[i].name, name)) return jv_fail(err, JV_BAD, "`fields` names `%s` twice", show(name).text);
    /* Naming a measured field is asking for it. A name that is no column is refused by the host with the nearest
     * one. */
    uint32_t measured = col ? col->flags & JV_MEASURED : 0;
    int32_t row = h->field(h, name, JV_ANY, JV_IN | measured, err);
    if (row < 0) return row;
    if (!col) return jv_fail(err, JV_FATAL, "`fields`: `%s` is no column", show(name).text);
    f->v[f->n++] = (struct sink_field){col->name, row, col->type};
    return JV_OK;
}

int32_t fields_bind(struct sink_fields *f, const jv_host *h, const jv_list *names, const char *rest, jv_err *err)
{
    uint32_t n = 0;
    while (h->column(h, n)) n++;
    size_t most = names->n > n ? names->n : n;
    f->v = calloc(most ? most : 1, sizeof *f->v);
    if (!f->v) return jv_fail(err, JV_FATAL, "no memory for %zu fields", most);
    int32_t rc = JV_OK;
    for (size_t i = 0; i < names->n; i++) {
        mistakes_add(h, bind(f, h, names->v[i].p, rest, err), err, &rc);
    }
    for (uint32_t i = 0; rc == JV_OK && !names->n && i < n; i++) {
        const jv_column *col = h->column(h, i);
        bool wanted = !(col->flags & JV_MEASURED) && (!rest || strcmp(rest, col->name));
        if (wanted) rc = bind(f, h, col->name, NULL, err);
    }
    return rc;
}

void fields_free(struct sink_fields *f)
{
    free(f->v);
    *f = (struct sink_fields){0};
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int32_t no_number(const struct sink_field *f, double v, jv_err *err)
{
    return jv_fail(err, JV_BAD, "field `%s` is %f, which JSON has no number for", show(f->name).text, v);
}

static int32_t add_array(const struct sink_field *f, jv_str s, struct row *to, jv_err *err)
{
    row_add(to, "[", 1);
    for (size_t i = 0; i + 4 <= s.n; i += 4) {
        int32_t whole;
        float v;
        if (i) row_add(to, ",", 1);
        memcpy(&whole, s.p + i, 4);
        memcpy(&v, s.p + i, 4);
        if (f->type == JV_I32S)
            row_i64(to, whole);
        else if (isfinite(v))
            row_f32(to, v);
        else
            return no_number(f, (double)v, err);
    }
    row_add(to, "]", 1);
    return JV_OK;
}

int32_t fields_add_number(const jv_host *h, const jv_buf *b, const struct sink_field *f, struct row *to, bool *there,
    jv_err *err)
{
    *there = true;
    if (f->type == JV_I64) {
        int64_t v = h->get_i64(h, b, f->row, 0);
        *there = v || h->get_i64(h, b, f->row, 1) != 1; /* no number means "absent": two different ones are asked for */
        if (*there) row_i64(to, v);
    } else if (f->type == JV_F64) {
        double v = h->get_f64(h, b, f->row, 0);
        if (!isfinite(v)) return no_number(f, v, err);
        *there = v != 0 || h->get_f64(h, b, f->row, 1) != 1;
        if (*there) row_f64(to, v);
    } else {
        jv_str s = h->get(h, b, f->row);
        *there = s.p != NULL;
        if (*there) return add_array(f, s, to, err);
    }
    return JV_OK;
}

int32_t fields_text(const jv_host *h, const jv_buf *b, const struct sink_field *f, jv_str *text, jv_err *err)
{
    *text = h->get(h, b, f->row);
    size_t valid = text->p && f->type == JV_UTF8 ? utf8_valid(text->p, text->n) : text->n;
    if (valid == text->n) return JV_OK;
    return jv_fail(err, JV_BAD, "field `%s` is not UTF-8 at byte %zu", show(f->name).text, valid);
}
