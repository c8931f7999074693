/* setup.c: what one section says, into one stage: host keys, options, the fields it reads and sets. */
#include "option.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

#define PARALLEL_MOST "1..1024"

const char *jvc_type_name(int32_t type)
{
    static const char *const names[] = {"any", "utf8", "bytes", "json", "i64", "f64", "i32s", "f32s"};
    return type >= 0 && type <= JV_F32S ? names[type] : "unknown";
}

static struct jvc_where place_of_key(const struct jvc_stage *s, const char *key)
{
    struct jvc_entry *e = jvc_section_entry(s->sec, key);
    return e ? e->where : s->sec->where;
}

/* A whole number of the host's own keys; `value` keeps its default when the key is absent. */
static void host_number(struct jvc_stage *s, const char *key, const char *range, int64_t *value)
{
    jv_err err;
    struct jvc_entry *e = jvc_section_take(s->sec, key);
    if (e && jvc_option_number(e->value, range, value, &err) < 0)
        jvc_problem(&s->pl->conf, e->where, "`%s`: %s", key, err.text);
}

static void source_lane(struct jvc_stage *s)
{
    struct jvc_entry *e = jvc_section_take(s->sec, "priority");
    int word = e ? jvc_option_word("live|batch", e->value) : 1;
    if (word < 0) jvc_problem(&s->pl->conf, e->where, "`priority`: \"%.60s\" is none of live|batch", e->value);
    s->lane = word == 0 ? JVC_LIVE : JVC_LATER;
}

static void host_keys(struct jvc_stage *s)
{
    int64_t window = 4096;
    s->threads = s->def->threads == JV_PER_CORE ? s->pl->cores : s->def->threads ? (int64_t)s->def->threads : 1;
    s->retries = s->pl->retries;
    s->stop_on_error = s->pl->stop_on_error;
    host_number(s, "threads", PARALLEL_MOST, &s->threads);
    host_number(s, "retries", "0..1000", &s->retries);
    if (s->kind == JVC_SOURCE) host_number(s, "in_flight", "1..1000000", &window);
    s->window = (uint32_t)window;
    if (s->threads > 1 && !(s->def->flags & JV_PARALLEL))
        jvc_problem(&s->pl->conf, place_of_key(s, "threads"), "`threads`: %s runs in one thread only", s->def->name);
    if (s->kind == JVC_SOURCE) source_lane(s);
    struct jvc_entry *e = jvc_section_take(s->sec, "on_error");
    int word = e ? jvc_option_word("reject|stop", e->value) : -1;
    if (e && word < 0) jvc_problem(&s->pl->conf, e->where, "`on_error`: \"%.60s\" is none of reject|stop", e->value);
    if (e && word >= 0) s->stop_on_error = word == 1;
    if (jvc_section_entry(s->sec, "from")) jvc_section_entry(s->sec, "from")->used = true; /* for wire.c */
    for (size_t i = JVC_N_HOST_KEYS; jvc_host_keys[i]; i++) {
        e = jvc_section_entry(s->sec, jvc_host_keys[i]);
        if (!e) continue;
        e->used = true;
        jvc_problem(&s->pl->conf, e->where, "`%s`: not in this version", e->name);
    }
}

/* A ref: the named section's stage and the service wanted of it. The stage is opened later, its place is known now. */
static int32_t set_ref(struct jvc_stage *s, const jv_opt *o, const char *value, jv_err *err)
{
    jv_ref *ref = (jv_ref *)(void *)((char *)s->ctx + o->offset);
    if (!*value) return JV_OK;
    struct jvc_stage *to = NULL;
    struct jvc_nearest near = {.name = value};
    for (uint32_t i = 0; i < s->pl->n; i++) {
        struct jvc_stage *x = s->pl->stages[i];
        if (!strcmp(x->sec->name, value)) to = x;
        for (uint32_t k = 0; JVC_SERVICE(x->desc, x->def, k); k++)
            if (!strcmp(JVC_SERVICE(x->desc, x->def, k)->id, o->range)) jvc_nearest_try(&near, x->sec->name);
    }
    if (!to && jvc_conf_may_have(&s->pl->conf, value)) {
        s->faulty = true;
        return JV_OK;
    }
    if (!to) return jv_fail(err, JV_BAD, "no section [%.60s]%s", value, jvc_nearest_hint(&near));
    for (uint32_t k = 0; JVC_SERVICE(to->desc, to->def, k); k++) {
        const jv_service *v = JVC_SERVICE(to->desc, to->def, k);
        if (strcmp(v->id, o->range)) continue;
        *ref = (jv_ref){v->api, to->ctx};
        s->refs = jvc_room(s->refs, s->n_refs, sizeof *s->refs);
        s->refs[s->n_refs++] = to;
        return JV_OK;
    }
    return jv_fail(err, JV_BAD, "[%s] (%s) is no %s", value, to->place, o->range);
}

static void set_option(struct jvc_stage *s, const jv_opt *o)
{
    jv_err err;
    if (o->type == JV_OPT_MAP) {
        jvc_option_set_map(o, s->ctx, &s->pl->conf, s->sec);
        return;
    }
    struct jvc_entry *e = jvc_section_entry(s->sec, o->name);
    if (e) e->used = true;
    if (e && !e->value) return; /* its expansion failed and was told */
    const char *value = e ? e->value : o->def;
    if (!value) {
        char what[160];
        jvc_option_describe(o, what, sizeof what);
        jvc_problem(&s->pl->conf, s->sec->where, "[%s] needs `%s` (%s): %s", s->sec->name, o->name, what, o->help);
        return;
    }
    int32_t rc = o->type == JV_OPT_REF ? set_ref(s, o, value, &err)
                                       : jvc_option_set(o, s->ctx, &s->pl->conf, value, e ? e->dir : s->sec->dir, &err);
    if (rc < 0) jvc_problem(&s->pl->conf, e ? e->where : s->sec->where, "`%s`: %s", o->name, err.text);
}

/* The i-th key this section may have: options, then fields, then the host's; null past the end. */
static const char *key_at(const struct jvc_stage *s, uint32_t i)
{
    uint32_t n = 0;
    for (uint32_t k = 0; JVC_OPT(s->desc, s->def, k); k++, n++)
        if (n == i) return JVC_OPT(s->desc, s->def, k)->name;
    for (uint32_t k = 0; JVC_FIELD(s->desc, s->def, k); k++, n++)
        if (n == i) return JVC_FIELD(s->desc, s->def, k)->name;
    return i - n < JVC_N_HOST_KEYS ? jvc_host_keys[i - n] : NULL;
}

/* Whether a key of the host means nothing here: the window and the priority are a source's. */
static bool is_for_others(const struct jvc_stage *s, const char *key)
{
    return s->kind != JVC_SOURCE && (!strcmp(key, "in_flight") || !strcmp(key, "priority"));
}

static void unknown_key(struct jvc_stage *s, const struct jvc_entry *e)
{
    if (is_for_others(s, e->name)) {
        jvc_problem(&s->pl->conf, e->where, "`%s`: only a source has it, and [%s] is none", e->name, s->sec->name);
        return;
    }
    struct jvc_nearest near = {.name = e->name};
    char list[400] = "";
    size_t n = 0;
    const char *name;
    for (uint32_t i = 0; (name = key_at(s, i)); i++) {
        const jv_opt *o = s->def->opts;
        while (JVC_ROW(o, 0) && strcmp(o->name, name)) o++;
        bool map = JVC_ROW(o, 0) && o->type == JV_OPT_MAP;
        if (is_for_others(s, name)) continue;
        jvc_nearest_try(&near, name);
        if (n < sizeof list)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s%s", n ? ", " : "", name, map ? ".KEY" : "");
    }
    jvc_problem(&s->pl->conf, e->where, "unknown key `%s`%s [%s] takes %s", e->name,
        near.best ? jvc_nearest_hint(&near) : ";", s->sec->name, list);
}

static bool key_known(const void *stage, const char *key, size_t n)
{
    const struct jvc_stage *s = stage;
    const char *name;
    for (uint32_t i = 0; (name = key_at(s, i)); i++)
        if (!strncmp(name, key, n) && !name[n]) return true;
    for (const jv_opt *o = s->def->opts; JVC_ROW(o, 0); o++)
        if (jvc_option_has_key(o, key, n)) return true;
    return false;
}

void jvc_stage_configure(struct jvc_stage *s)
{
    size_t before = s->pl->conf.n_problems;
    host_keys(s);
    for (uint32_t i = 0; JVC_OPT(s->desc, s->def, i); i++) set_option(s, JVC_OPT(s->desc, s->def, i));
    jvc_stage_rows(s);
    for (size_t i = 0; i < s->sec->n; i++) {
        if (!s->sec->entries[i].used) unknown_key(s, &s->sec->entries[i]);
        jvc_section_indented(&s->pl->conf, &s->sec->entries[i], key_known, s);
        s->faulty |= !s->sec->entries[i].value; /* its expansion failed, and was told */
    }
    s->faulty |= s->pl->conf.n_problems > before;
}

static bool field_name_ok(const char *name)
{
    return *name && !strchr("0123456789", *name) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name);
}

void jvc_stage_rows(struct jvc_stage *s)
{
    for (uint32_t i = 0; JVC_FIELD(s->desc, s->def, i); i++) {
        const jv_field *f = JVC_FIELD(s->desc, s->def, i);
        struct jvc_entry *e = jvc_section_take(s->sec, f->name);
        const char *name = e ? e->value : f->field;
        if (!field_name_ok(name) || ((f->access & JV_OUT) && !strcmp(name, "id")))
            jvc_problem(&s->pl->conf, place_of_key(s, f->name), "`%s`: \"%.60s\" is no name for a field", f->name, name);
        s->rows = jvc_room(s->rows, s->n_rows, sizeof *s->rows);
        s->rows[s->n_rows++] = (struct jvc_row_of){.name = name, .type = f->type, .access = f->access};
    }
    s->n_declared = s->n_rows;
}

/* Whether a field of type `has` may be read as `wants`. */
static bool readable(int32_t has, int32_t wants)
{
    if (wants == JV_ANY || has == wants) return true;
    if (wants == JV_BYTES) return has == JV_UTF8 || has == JV_JSON;
    return wants == JV_UTF8 && has == JV_JSON;
}

/* Marks, by their place in the order, all stages from which a record may come to s. */
static void mark_above(const struct jvc_stage *s, bool *above)
{
    for (uint32_t i = 0; i < s->n_inputs; i++) {
        const struct jvc_stage *up = s->inputs[i].up;
        if (above[up->at]) continue;
        above[up->at] = true;
        mark_above(up, above);
    }
}

static bool is_set(const struct jvc_row_of *r)
{
    return r->kind == JVC_SLOT && (r->access & JV_OUT);
}

/* Marks the slots that may hold something in a buffer that comes to a stage below those. */
static void mark_slots(const struct jvc_pipeline *pl, const bool *above, bool *used)
{
    for (uint32_t i = 0; i < pl->n; i++)
        for (uint32_t k = 0; above[i] && k < pl->stages[i]->n_rows; k++)
            if (is_set(&pl->stages[i]->rows[k])) used[pl->stages[i]->rows[k].at] = true;
}

/* The slot of a field that s sets. Stages on different ways share the slots of fields of one name and type; a stage
 * below another one does not, so that what it sets can be taken away again. */
static uint32_t slot_of(const struct jvc_stage *s, const char *name, int32_t type)
{
    struct jvc_pipeline *pl = s->pl;
    bool *above = jvc_alloc(pl->n), *used = jvc_alloc(pl->n_slots);
    uint32_t found = UINT32_MAX;
    mark_above(s, above);
    mark_slots(pl, above, used);
    for (uint32_t i = 0; i < pl->n && found == UINT32_MAX; i++) {
        const struct jvc_stage *t = pl->stages[i];
        for (uint32_t k = 0; t != s && k < t->n_rows; k++) {
            const struct jvc_row_of *r = &t->rows[k];
            if (is_set(r) && !used[r->at] && r->type == type && !strcmp(r->name, name)) found = r->at;
        }
    }
    free(used);
    free(above);
    return found == UINT32_MAX ? pl->n_slots++ : found;
}

/* Binds to a column that is there, if its type and the ways it comes by allow. */
static int32_t bind_column(struct jvc_row_of *row, const struct jvc_column *c, jv_err *err)
{
    if (c->differs)
        return jv_fail(err, JV_BAD, "it reads `%s` as %s, but %s makes it %s, and %s another type", row->name,
            jvc_type_name(row->type), c->by, jvc_type_name(c->c.type), c->differs);
    if (!readable(c->c.type, row->type))
        return jv_fail(err, JV_BAD, "it reads `%s` as %s, but %s makes it %s", row->name, jvc_type_name(row->type),
            c->by, jvc_type_name(c->c.type));
    if ((c->c.flags & JV_OPTIONAL) && !(row->access & JV_OPTIONAL))
        return jv_fail(err, JV_BAD, "it reads `%s`, which %s makes but which does not come by way of %s", row->name,
            c->by, c->missing);
    row->kind = c->of.kind;
    row->at = c->of.at;
    if (c->of.kind != JVC_SLOT || row->type == JV_ANY) row->type = c->c.type;
    return JV_OK;
}

/* What comes here is not known for sure: that it does not fit may follow from what was told above. */
static int32_t leave_unbound(struct jvc_row_of *row)
{
    row->kind = JVC_ABSENT;
    return JV_OK;
}

static int32_t bind_input(struct jvc_stage *s, struct jvc_row_of *row, jv_err *err)
{
    struct jvc_nearest near = {.name = row->name};
    char list[240] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < s->in.n; i++) {
        const struct jvc_column *c = &s->in.v[i];
        if (!strcmp(c->c.name, row->name))
            return bind_column(row, c, err) < 0 ? s->unsure ? leave_unbound(row) : JV_BAD : JV_OK;
        jvc_nearest_try(&near, c->c.name);
        if (n < sizeof list) n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", c->c.name);
    }
    if ((row->access & JV_OPTIONAL) || s->unsure) return leave_unbound(row);
    return jv_fail(err, JV_BAD, "no field `%s` comes here%s there are %s", row->name,
        near.best ? jvc_nearest_hint(&near) : ";", list);
}

int32_t jvc_bind_name(struct jvc_stage *s, struct jvc_row_of *row, jv_err *err)
{
    if (row->access & JV_IN) return bind_input(s, row, err);
    if (!(row->access & JV_OUT) || row->type < JV_UTF8 || row->type > JV_F32S)
        return jv_fail(err, JV_FATAL, "the plugin binds `%s` without type or access", row->name);
    if (!field_name_ok(row->name) || !strcmp(row->name, "id"))
        return jv_fail(err, JV_BAD, "\"%.60s\" is no name for a field", row->name);
    for (uint32_t i = 0; i < s->n_rows; i++) {
        const struct jvc_row_of *r = &s->rows[i];
        if (r != row && r->kind == JVC_SLOT && (r->access & JV_OUT) && !strcmp(r->name, row->name))
            return jv_fail(err, JV_BAD, "it sets `%s` twice: rename one of the two", row->name);
    }
    row->at = slot_of(s, row->name, row->type);
    row->kind = JVC_SLOT;
    return JV_OK;
}

/* The only key of the section that names a field so: in an option's value, or behind the dot of a map's key. */
static const struct jvc_entry *key_naming(const struct jvc_stage *s, const char *name)
{
    const struct jvc_entry *found = NULL;
    for (size_t i = 0; i < s->sec->n; i++) {
        const struct jvc_entry *e = &s->sec->entries[i];
        const jv_opt *o = s->def->opts;
        const char *dot = strchr(e->name, '.');
        while (JVC_ROW(o, 0) && !jvc_option_has_key(o, e->name, strlen(e->name))) o++;
        if (!JVC_ROW(o, 0) || !e->value) continue;
        if (!(dot && !strcmp(dot + 1, name)) && !jvc_holds_word(e->value, strlen(e->value), name)) continue;
        if (found) return NULL;
        found = e;
    }
    return found;
}

void jvc_name_unbound(struct jvc_stage *s, const char *name, const char *why)
{
    const struct jvc_entry *e = key_naming(s, name);
    if (e)
        jvc_problem(&s->pl->conf, jvc_entry_line(e, name), "`%s`: %s", e->name, why);
    else
        jvc_problem(&s->pl->conf, s->sec->where, "[%s]: %s", s->sec->name, why);
}
