/*
 * columns.c: what can be read where. A stage reads what comes by its inputs; where several are joined, what comes by all
 * of them, and with a flag what comes by some. Where a field lies in different slots by different ways, the input says
 * what has to be moved.
 */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

static const struct jvc_column id_column = {.c = {"id", JV_UTF8, 0},
    .of = {.name = "id", .type = JV_UTF8, .kind = JVC_ID},
    .by = "the host"};

static const struct jvc_columns *columns_of(const struct jvc_input *in)
{
    return in->port == in->up->n_ports ? &in->up->bad : &in->up->out;
}

static struct jvc_column *column_named(const struct jvc_columns *c, const char *name)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (!strcmp(c->v[i].c.name, name)) return &c->v[i];
    return NULL;
}

/* A field set here hides one of that name from above. */
static void add_column(struct jvc_columns *c, struct jvc_column add)
{
    uint32_t i = 0;
    while (i < c->n && strcmp(c->v[i].c.name, add.c.name)) i++;
    if (i == c->n) {
        c->v = jvc_grow(c->v, (c->n + 1) * sizeof *c->v);
        c->n++;
    }
    c->v[i] = add;
}

static struct jvc_columns copy_of(const struct jvc_columns *c)
{
    struct jvc_columns copy = {jvc_alloc((c->n + 1) * sizeof *c->v), c->n};
    if (c->n) memcpy(copy.v, c->v, c->n * sizeof *c->v);
    return copy;
}

/* ---- joins ---- */

static bool same_slot(const struct jvc_column *a, const struct jvc_column *b)
{
    return a->of.kind == b->of.kind && a->of.at == b->of.at;
}

/* One more input brings (or does not bring) its columns. */
static void join_columns(struct jvc_columns *all, const struct jvc_input *in, const struct jvc_input *first)
{
    const struct jvc_columns *more = columns_of(in);
    for (uint32_t i = 0; i < all->n; i++) {
        struct jvc_column *a = &all->v[i], *b = column_named(more, a->c.name);
        if (!b && a->of.kind != JVC_COUNT) {
            a->c.flags |= JV_OPTIONAL;
            a->missing = in->up->ports[in->port].named;
        } else if (b) {
            if (b->c.type != a->c.type || (a->of.kind == JVC_SLOT) != (b->of.kind == JVC_SLOT)) a->differs = b->by;
            if (b->differs) a->differs = b->differs;
            if (b->c.flags & JV_OPTIONAL) a->missing = b->missing;
            a->c.flags |= b->c.flags;
            a->moved |= !same_slot(a, b);
        }
    }
    for (uint32_t i = 0; i < more->n; i++) {
        if (column_named(all, more->v[i].c.name)) continue;
        struct jvc_column c = more->v[i];
        if (c.of.kind != JVC_COUNT) {
            c.c.flags |= JV_OPTIONAL;
            c.missing = first->up->ports[first->port].named;
        }
        add_column(all, c);
    }
}

/* Columns that lie in different slots get one of their own, into which every input moves what it has. A column that
 * does not come by every input as well: its slot may hold something else there. */
static void unify_slots(struct jvc_stage *s)
{
    for (uint32_t i = 0; i < s->in.n; i++) {
        struct jvc_column *c = &s->in.v[i];
        if (c->of.kind != JVC_SLOT || c->differs || !(c->moved || (c->c.flags & JV_OPTIONAL))) continue;
        c->moved = false;
        c->of.at = s->pl->n_slots++;
        for (uint32_t k = 0; k < s->n_inputs; k++) {
            struct jvc_input *in = &s->inputs[k];
            const struct jvc_column *from = column_named(columns_of(in), c->c.name);
            if (!from) continue;
            in->moves = jvc_room(in->moves, in->n_moves, sizeof *in->moves);
            in->moves[in->n_moves++] = (struct jvc_move){from->of.at, c->of.at};
        }
    }
}

static void columns_in(struct jvc_stage *s)
{
    if (!s->n_inputs) {
        add_column(&s->in, id_column);
        return;
    }
    s->in = copy_of(columns_of(&s->inputs[0]));
    for (uint32_t k = 1; k < s->n_inputs; k++) join_columns(&s->in, &s->inputs[k], &s->inputs[0]);
    if (s->n_inputs > 1) unify_slots(s);
}

/* ---- binding ---- */

/* The field `params`, for a stage whose options records may set for themselves. */
static void find_params(struct jvc_stage *s)
{
    bool takes = false;
    for (const jv_opt *o = s->def->opts; JVC_ROW(o, 0); o++) takes |= (o->flags & JV_PER_RECORD) != 0;
    const struct jvc_column *c = takes && !s->unsure ? column_named(&s->in, "params") : NULL;
    if (!c || c->of.kind != JVC_SLOT) return;
    s->params_slot = (int32_t)c->of.at;
    if (c->differs || (c->c.type != JV_JSON && c->c.type != JV_UTF8))
        jvc_problem(&s->pl->conf, s->sec->where,
            "[%s] takes options from the field `params`, which should be json, but %s makes it %s", s->sec->name, c->by,
            jvc_type_name(c->c.type));
}

/* What is said of a field that no key names may follow from a key that was meant to. */
bool jvc_stage_bind(struct jvc_stage *s)
{
    jv_err err;
    bool ok = true;
    if (s->kind == JVC_RESOURCE) return true;
    columns_in(s);
    find_params(s);
    for (uint32_t i = 0; i < s->n_declared; i++) {
        if (jvc_bind_name(s, &s->rows[i], &err) >= 0) continue;
        const struct jvc_entry *e = jvc_section_entry(s->sec, s->def->fields[i].name);
        ok = false;
        if (s->faulty && (!e || !e->value || (s->rows[i].access & JV_OUT))) continue;
        jvc_problem(&s->pl->conf, e ? e->where : s->sec->where, "[%s]: %s", s->sec->name, err.text);
    }
    return ok;
}

/* ---- behind a stage ---- */

static uint32_t counter_of(struct jvc_pipeline *pl, const jv_counter *c)
{
    for (uint32_t i = 0; i < pl->n_counters; i++)
        if (!strcmp(pl->counters[i].name, c->name)) return i;
    pl->counters = jvc_room(pl->counters, pl->n_counters, sizeof *pl->counters);
    pl->counters[pl->n_counters] = (struct jvc_counter){c->name, c->unit, c->flags};
    return pl->n_counters++;
}

/* Counters are columns too; a name that is a field's cannot be both. */
static void counter_columns(struct jvc_stage *s)
{
    for (const jv_counter *c = s->def->counters; JVC_ROW(c, 0); c++) {
        s->counters = jvc_room(s->counters, s->n_counters, sizeof *s->counters);
        s->counters[s->n_counters] = counter_of(s->pl, c);
        struct jvc_row_of of = {.name = c->name,
            .type = JV_I64,
            .access = JV_IN,
            .kind = JVC_COUNT,
            .at = s->counters[s->n_counters++]};
        const struct jvc_column *there = column_named(&s->out, c->name);
        if (there && there->of.kind != JVC_COUNT)
            jvc_problem(&s->pl->conf, s->sec->where, "[%s] counts `%s`, which is the name of a field: rename the field",
                s->sec->name, c->name);
        else
            add_column(&s->out,
                (struct jvc_column){.c = {c->name, JV_I64, c->flags & JV_MEASURED}, .of = of, .by = s->named});
    }
    s->sums = jvc_alloc(s->n_counters * sizeof *s->sums);
}

/* What a record has when it comes to s: at a merge, what it had where it was split. */
const struct jvc_columns *jvc_stage_input(const struct jvc_stage *s)
{
    if (s->kind == JVC_SOURCE) return &s->out;
    return s->def->flags & JV_MERGE && s->within ? &s->within->in : &s->in;
}

/* Behind `rejected`: what came in (of a source: what it may have set), and why. */
static void rejected_columns(struct jvc_stage *s)
{
    if (!s->ports[s->n_ports].n) return;
    s->bad = copy_of(jvc_stage_input(s));
    for (uint32_t i = 0; s->kind == JVC_SOURCE && i < s->bad.n; i++) {
        if (s->bad.v[i].of.kind != JVC_SLOT) continue;
        s->bad.v[i].c.flags |= JV_OPTIONAL;
        s->bad.v[i].missing = s->ports[s->n_ports].named;
    }
    s->error_slot = (int32_t)s->pl->n_slots++;
    struct jvc_row_of of = {.name = "error",
        .type = JV_UTF8,
        .access = JV_OUT,
        .kind = JVC_SLOT,
        .at = (uint32_t)s->error_slot};
    add_column(&s->bad, (struct jvc_column){.c = {"error", JV_UTF8, 0}, .of = of, .by = s->ports[s->n_ports].named});
}

/* Behind a merge: what the record had where it was split, and the counters of its children. */
static struct jvc_columns merged_columns(const struct jvc_stage *s)
{
    struct jvc_columns c = copy_of(jvc_stage_input(s));
    for (uint32_t i = 0; i < s->in.n; i++)
        if (s->in.v[i].of.kind == JVC_COUNT) add_column(&c, s->in.v[i]);
    return c;
}

/* A field that s reads and may set stays what it was where s leaves it alone. */
static void find_carries(struct jvc_stage *s)
{
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const struct jvc_row_of *r = &s->rows[i];
        const struct jvc_column *c = r->access & JV_OUT ? column_named(jvc_stage_input(s), r->name) : NULL;
        if (!c || c->by == s->named || c->of.kind != JVC_SLOT || c->differs || c->c.type != r->type) continue;
        s->carries = jvc_room(s->carries, s->n_carries, sizeof *s->carries);
        s->carries[s->n_carries++] = (struct jvc_move){c->of.at, r->at};
    }
}

void jvc_stage_columns(struct jvc_stage *s)
{
    s->out = s->def->flags & JV_MERGE ? merged_columns(s) : copy_of(&s->in);
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const struct jvc_row_of *r = &s->rows[i];
        if (r->access & JV_OUT)
            add_column(&s->out,
                (struct jvc_column){.c = {r->name, r->type, r->access & JV_MEASURED}, .of = *r, .by = s->named});
    }
    counter_columns(s);
    rejected_columns(s);
    find_carries(s);
}
