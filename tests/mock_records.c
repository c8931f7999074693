/*
 * mock_records.c: what tests put in, what came out, and trouble; see mockhost.h.
 */
#include "mock_impl.h"

#include <stdlib.h>
#include <string.h>

/* ---- records in ------------------------------------------------------------------------------------------------- */

jv_buf *mock_record(mock *m, const char *id)
{
    return mk_buf_new(m, id, strlen(id), NULL);
}

void mock_put_n(jv_buf *b, const char *field, const void *p, size_t n)
{
    int i = mk_slot_of(b, field);
    const jv_column *col = &b->m->slots[i].col;
    struct value *v = &b->v[i];
    mk_value_clear(b->m, v);
    *v = (struct value){.type = col->name ? col->type : JV_UTF8, .mem = mk_mem_new(b->m, n), .n = n};
    if (!mk_is_bytes(v->type)) mk_die("the test puts bytes into '%s', which is a number", field);
    if (n % mk_item(v->type)) mk_die("the test puts %zu bytes into '%s', an array of numbers", n, field);
    if (n) memcpy(v->mem->p, p, n);
    if (mk_is_text(v->type) && v->type != JV_BYTES && !mk_is_utf8(v->mem->p, n))
        mk_die("the test puts what is no UTF-8 into '%s'", field);
}

void mock_put(jv_buf *b, const char *field, const char *text)
{
    mock_put_n(b, field, text, strlen(text));
}

void mock_put_i64(jv_buf *b, const char *field, int64_t i)
{
    b->v[mk_slot_of(b, field)] = (struct value){.type = JV_I64, .i = i};
}

void mock_put_f64(jv_buf *b, const char *field, double f)
{
    b->v[mk_slot_of(b, field)] = (struct value){.type = JV_F64, .f = f};
}

void mock_set_partial(jv_buf *b, bool partial)
{
    b->partial = partial;
}

void mock_set_priority(jv_buf *b, int32_t priority)
{
    if (b->parent || (priority != JV_LIVE && priority != JV_BATCH)) mk_die("the test sets priority %d", priority);
    b->priority = priority;
}

void mock_set_user(jv_buf *b, const void *self, void *user)
{
    b->source = (void *)(uintptr_t)self;
    b->user = user;
}

void mock_set_tally(jv_buf *b, const char *counter, int64_t n)
{
    mock *m = b->m;
    int i = 0;
    while (i < m->n_tallies && strcmp(m->tallies[i], counter)) i++;
    if (i == MAX_COUNTERS) mk_die("more than %d counters", MAX_COUNTERS);
    if (i == m->n_tallies) m->tallies[m->n_tallies++] = mk_keep(m, counter, strlen(counter));
    b->root->tally[i] = n;
}

void mock_other_param(mock *m, const char *name)
{
    char *more = NULL;
    if (asprintf(&more, "%s %s ", m->others ? m->others : "", name) < 0) mk_die("out of memory");
    free(m->others);
    m->others = more;
}

static void add_kid(jv_buf *parent, jv_buf *kid, const jv_err *why)
{
    if (!(parent->m->st->flags & JV_MERGE)) mk_die("the test gives children to a stage without JV_MERGE");
    parent->kids = mk_push(parent->kids, parent->n_kids, sizeof *parent->kids);
    parent->missing = mk_push(parent->missing, parent->n_kids, sizeof *parent->missing);
    parent->kids[parent->n_kids] = kid;
    parent->missing[parent->n_kids++] = *why;
}

jv_buf *mock_child(jv_buf *parent)
{
    char *id = NULL;
    if (asprintf(&id, "%s/%zu", parent->id, parent->n_kids) < 0) mk_die("out of memory");
    jv_buf *b = mk_buf_new(parent->m, id, strlen(id), parent);
    free(id);
    b->held = true;
    add_kid(parent, b, &(jv_err){0});
    return b;
}

void mock_missing(jv_buf *parent, int32_t code, const char *why)
{
    jv_err err = {.code = code};
    if (code != JV_DROP && code != JV_DONE && code != JV_BAD && code != JV_CANCELLED)
        mk_die("the test says that a child is missing for %d", code);
    if (code == JV_DROP)
        err.reason = why;
    else
        snprintf(err.text, sizeof err.text, "%s", why);
    add_kid(parent, NULL, &err);
}

void mock_forget(mock *m)
{
    while (m->all) {
        jv_buf *b = m->all;
        m->all = b->next;
        for (int i = 0; i < MAX_SLOTS; i++) mk_value_clear(m, &b->v[i]);
        free(b->id);
        free(b->why);
        free(b->kids);
        free(b->missing);
        free(b);
    }
    free(m->outs);
    m->outs = NULL;
    m->n_outs = 0;
}

/* ---- what came out ---------------------------------------------------------------------------------------------- */

size_t mock_n(mock *m)
{
    lock(m);
    size_t n = m->n_outs;
    unlock(m);
    return n;
}

void mock_wait(mock *m, size_t n)
{
    lock(m);
    while (m->n_outs < n) pthread_cond_wait(&m->grew, &m->lock);
    unlock(m);
}

jv_buf *mock_at(mock *m, size_t i)
{
    lock(m);
    size_t n = m->n_outs;
    jv_buf *b = i < n ? m->outs[i] : NULL;
    unlock(m);
    if (!b) mk_die("the test asks for output %zu of %zu", i, n);
    return b;
}

int32_t mock_kind(const jv_buf *b)
{
    return b->kind;
}

int32_t mock_port(const jv_buf *b)
{
    return b->port;
}

const char *mock_port_name(const mock *m, int32_t port)
{
    if (port < 0 || port >= m->n_ports) mk_die("the test asks for port %d of %d", port, m->n_ports);
    return m->ports[port];
}

int32_t mock_priority(const jv_buf *b)
{
    return b->root->priority;
}

void *mock_user(const jv_buf *b)
{
    return b->root->user;
}

const char *mock_id(const jv_buf *b)
{
    return b->id;
}

const char *mock_why(const jv_buf *b)
{
    return b->why ? b->why : "(not rejected)";
}

bool mock_has(const jv_buf *b, const char *field)
{
    return b->v[mk_slot_of(b, field)].type != 0;
}

int32_t mock_type_of(const jv_buf *b, const char *field)
{
    return b->v[mk_slot_of(b, field)].type;
}

jv_str mock_get(const jv_buf *b, const char *field)
{
    return mk_text_of(&b->v[mk_slot_of(b, field)]);
}

/* A view need not end with a NUL: the copy lives as long as the options do. */
const char *mock_text(const jv_buf *b, const char *field)
{
    if (!mock_has(b, field)) return "(absent)";
    jv_str s = mock_get(b, field);
    return mk_keep(b->m, s.p ? s.p : "", s.n);
}

int64_t mock_i64(const jv_buf *b, const char *field)
{
    const struct value *v = &b->v[mk_slot_of(b, field)];
    if (v->type != JV_I64) mk_die("field '%s' has no i64", field);
    return v->i;
}

double mock_f64(const jv_buf *b, const char *field)
{
    const struct value *v = &b->v[mk_slot_of(b, field)];
    if (v->type != JV_F64) mk_die("field '%s' has no f64", field);
    return v->f;
}

static int counter_of(const mock *m, const char *name)
{
    for (int i = 0; i < m->n_counters; i++)
        if (!strcmp(m->st->counters[i].name, name)) return i;
    mk_die("stage %s has no counter '%s'", m->st->name, name);
}

int64_t mock_count(mock *m, const char *counter)
{
    return m->counts[counter_of(m, counter)];
}

int64_t mock_counted(const jv_buf *b, const char *counter)
{
    return b->counts[counter_of(b->m, counter)];
}

size_t mock_logs(mock *m)
{
    return m->n_logs;
}

bool mock_logged(mock *m, const char *part)
{
    for (size_t i = 0; i < m->n_logs; i++)
        if (strstr(m->logs[i], part)) return true;
    return false;
}

/* ---- trouble ---------------------------------------------------------------------------------------------------- */

void mock_fail_at(mock *m, int64_t k)
{
    lock(m);
    m->fail_at = k;
    m->failed = false;
    unlock(m);
}

bool mock_failed(mock *m)
{
    return m->failed;
}

void mock_emit_at(mock *m, int64_t k, int32_t code)
{
    int32_t over = is_source(m->st) ? JV_END : JV_CANCELLED;
    if (code != JV_FATAL && code != over) mk_die("to such a stage emit answers %d or %d, not %d", JV_FATAL, over, code);
    lock(m);
    m->emit_at = k;
    m->emit_code = code;
    unlock(m);
}

void mock_cancel_at(mock *m, int64_t k)
{
    lock(m);
    m->cancel_at = k;
    unlock(m);
}

void mock_window(mock *m, size_t n)
{
    m->window = n;
}

bool mock_cancelled(const jv_buf *b)
{
    lock(b->m);
    bool cancelled = b->cancelled != 0;
    unlock(b->m);
    return cancelled;
}

const char *mock_why_failed(mock *m)
{
    lock(m);
    const char *why = m->why;
    unlock(m);
    return why;
}
