/* wire.c: who reads whom: `from` to edges, and these with the refs to an order. What might only follow from a mistake that
 * was told is not told. */
#include "option.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

static struct jvc_stage *stage_named(struct jvc_pipeline *pl, const char *name)
{
    for (uint32_t i = 0; i < pl->n; i++)
        if (!strcmp(pl->stages[i]->sec->name, name)) return pl->stages[i];
    return NULL;
}

static void connect(struct jvc_stage *s, struct jvc_stage *up, uint32_t port, struct jvc_where where)
{
    struct jvc_port *p = &up->ports[port];
    s->inputs = jvc_room(s->inputs, s->n_inputs, sizeof *s->inputs);
    s->inputs[s->n_inputs++] = (struct jvc_input){.up = up, .port = port, .where = where};
    p->to = jvc_room(p->to, p->n, sizeof *p->to);
    p->input = jvc_room(p->input, p->n, sizeof *p->input);
    p->input[p->n] = s->n_inputs - 1;
    p->to[p->n++] = s;
}

/* Something that is not known may read s (null: any stage): that nobody reads its ports is not told. */
static void may_be_read(struct jvc_pipeline *pl, const struct jvc_stage *s)
{
    for (uint32_t i = 0; i < pl->n; i++)
        for (uint32_t p = 0; (!s || s == pl->stages[i]) && p < pl->stages[i]->n_ports; p++)
            pl->stages[i]->ports[p].optional = true;
}

static void no_stage(struct jvc_pipeline *pl, struct jvc_where where, const char *name)
{
    struct jvc_nearest near = {.name = name};
    if (jvc_conf_may_have(&pl->conf, name)) return;
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind != JVC_RESOURCE) jvc_nearest_try(&near, pl->stages[i]->sec->name);
    may_be_read(pl, near.best ? stage_named(pl, near.best) : NULL);
    jvc_problem(&pl->conf, where, strcmp(name, "pipeline") ? "`from`: no stage [%s]%s" : "`from`: [%s] is no stage%s",
        name, jvc_nearest_hint(&near));
}

static void no_port(const struct jvc_stage *up, struct jvc_where where, const char *port)
{
    struct jvc_nearest near = {.name = port};
    char list[300] = "";
    for (uint32_t i = 0; i <= up->n_ports; i++) {
        size_t n = strlen(list);
        jvc_nearest_try(&near, up->ports[i].name);
        snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", up->ports[i].name);
    }
    jvc_problem(&up->pl->conf, where, "`from`: [%s] has no port `%s`%s it has %s", up->sec->name, port,
        near.best ? jvc_nearest_hint(&near) : ";", list);
}

/* One of the names of `from`: STAGE or STAGE.PORT. */
static void connect_named(struct jvc_stage *s, const char *text, struct jvc_where where)
{
    struct jvc_conf *conf = &s->pl->conf;
    const char *dot = strchr(text, '.');
    char *name = jvc_conf_own(conf, jvc_strndup(text, dot ? (size_t)(dot - text) : strlen(text)));
    struct jvc_stage *up = stage_named(s->pl, name);
    if (!up) {
        no_stage(s->pl, where, name);
        return;
    }
    uint32_t port = 0;
    while (dot && port <= up->n_ports && strcmp(up->ports[port].name, dot + 1)) port++;
    if (up == s) {
        jvc_problem(conf, where, "`from`: [%s] reads itself", name);
    } else if (up->kind == JVC_RESOURCE || (!dot && !up->n_ports)) {
        jvc_problem(conf, where, "`from`: [%s] is a %s: nothing comes out of it%s", name,
            up->kind == JVC_SINK ? "sink" : "resource", up->kind == JVC_SINK ? " but what it rejects (.rejected)" : "");
        may_be_read(s->pl, NULL);
    } else if (port > up->n_ports) {
        no_port(up, where, dot + 1);
        may_be_read(s->pl, up);
    } else {
        for (uint32_t i = 0; i < s->n_inputs; i++)
            if (s->inputs[i].up == up && s->inputs[i].port == port) {
                jvc_problem(conf, where, "`from`: %s stands there twice", text);
                return;
            }
        connect(s, up, port, where);
    }
}

/* The names of a `from`, cut at commas as any list; at least one, or it is told. */
static jv_list names_of(struct jvc_pipeline *pl, const struct jvc_entry *e)
{
    static const jv_opt row = {.name = "from", .type = JV_OPT_LIST, .def = "", .range = "", .help = ""};
    jv_list names = {0};
    jv_err err;
    if (jvc_option_set(&row, &names, &pl->conf, e->value, NULL, &err) < 0)
        jvc_problem(&pl->conf, e->where, "`from`: %s", err.text);
    else if (!names.n)
        jvc_problem(&pl->conf, e->where, "`from`: no stage");
    if (!names.n) may_be_read(pl, NULL);
    return names;
}

static void connect_all(struct jvc_stage *s, const struct jvc_entry *e)
{
    jv_list names = names_of(s->pl, e);
    for (size_t i = 0; i < names.n; i++) connect_named(s, names.v[i].p, jvc_entry_item(e, i, names.n));
    s->cut_off = s->n_inputs < names.n;
}

/* A section that is no stage, for what it lacks was told, may read what stands above or what it names. */
static void unknown_reader(struct jvc_pipeline *pl, struct jvc_section *sec, const struct jvc_stage *above)
{
    const struct jvc_entry *from = jvc_section_take(sec, "from");
    if (!from) {
        if (above || jvc_section_entry(sec, "from")) may_be_read(pl, jvc_section_entry(sec, "from") ? NULL : above);
        return;
    }
    jv_list names = names_of(pl, from);
    for (size_t i = 0; i < names.n; i++) {
        size_t n = strcspn(names.v[i].p, ".");
        for (uint32_t k = 0; k < pl->n; k++) {
            const char *name = pl->stages[k]->sec->name;
            if (!strncmp(name, names.v[i].p, n) && !name[n]) may_be_read(pl, pl->stages[k]);
        }
    }
}

/* What a section without `from` reads. */
static void connect_above(struct jvc_stage *s, struct jvc_stage *above)
{
    struct jvc_conf *conf = &s->pl->conf;
    if (above && above->n_ports) {
        connect(s, above, 0, s->sec->where);
    } else if (above) {
        jvc_problem(conf, s->sec->where, "[%s] stands below the sink [%s]: say with `from` what it reads", s->sec->name,
            above->sec->name);
    } else {
        jvc_problem(conf, s->sec->where, "[%s] reads nothing: no source stands above it", s->sec->name);
    }
}

static void wire(struct jvc_pipeline *pl)
{
    struct jvc_stage *above = NULL; /* the nearest stage section above, resources left out */
    bool unknown = false;           /* or it is one whose plugin was told missing: what it would be is not known */
    for (size_t i = 0; i < pl->conf.n; i++) {
        struct jvc_section *sec = &pl->conf.sections[i];
        struct jvc_stage *s = stage_named(pl, sec->name);
        if (sec->after_lost && above) may_be_read(pl, above);
        unknown |= sec->after_lost;
        if (!s && !strcmp(sec->name, "pipeline")) continue;
        if (!s) {
            unknown_reader(pl, sec, above);
            unknown = true;
            continue;
        }
        struct jvc_entry *e = jvc_section_take(sec, "from");
        bool reads = s->kind == JVC_FILTER || s->kind == JVC_SINK;
        if (e && !reads)
            jvc_problem(&pl->conf, e->where, "`from`: a %s has no input", s->kind == JVC_SOURCE ? "source" : "resource");
        else if (e)
            connect_all(s, e);
        else if (reads && !unknown && !jvc_section_entry(sec, "from"))
            connect_above(s, above);
        else if (reads && !e && jvc_section_entry(sec, "from"))
            may_be_read(pl, NULL); /* its expansion failed and was told */
        s->cut_off |= reads && !s->n_inputs;
        if (s->kind == JVC_RESOURCE) continue;
        above = s;
        unknown = false;
    }
    bool any = pl->conf.lost_reads || pl->conf.incomplete;
    if (any || pl->conf.ends_lost) may_be_read(pl, any ? NULL : above);
}

static void unread_ports(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        for (uint32_t p = 0; p < s->n_ports; p++) {
            const struct jvc_port *port = &s->ports[p];
            if (!port->n && !port->optional)
                jvc_problem(&pl->conf, s->sec->where, "nothing reads [%s]%s%s; `plugin = null` discards", s->sec->name,
                    s->n_ports > 1 ? "." : "", s->n_ports > 1 ? port->name : "");
        }
    }
}

/* ---- order ---- */

enum visited { NEW, UNDER_WAY, TOLD, DONE };

/* Puts s after what it reads and refers to, and tells cycles, each once: what stands on one, or below, is cut off. */
static void visit(struct jvc_stage *s, enum visited *mark, struct jvc_stage **order, uint32_t *n)
{
    if (mark[s->at] == UNDER_WAY) {
        jvc_problem(&s->pl->conf, s->n_inputs ? s->inputs[0].where : s->sec->where,
            "[%s] leads back to itself by `from` or by what it refers to", s->sec->name);
        mark[s->at] = TOLD;
        s->cut_off = true;
    }
    if (mark[s->at] != NEW) return;
    mark[s->at] = UNDER_WAY;
    for (uint32_t i = 0; i < s->n_inputs; i++) {
        visit(s->inputs[i].up, mark, order, n);
        s->cut_off |= s->inputs[i].up->cut_off;
    }
    for (uint32_t i = 0; i < s->n_refs; i++) visit(s->refs[i], mark, order, n);
    mark[s->at] = DONE;
    order[(*n)++] = s;
}

static void put_in_order(struct jvc_pipeline *pl)
{
    enum visited *mark = jvc_alloc(pl->n * sizeof *mark);
    struct jvc_stage **order = jvc_alloc(pl->n * sizeof *order);
    uint32_t n = 0;
    for (uint32_t i = 0; i < pl->n; i++) pl->stages[i]->at = i;
    for (uint32_t i = 0; i < pl->n; i++) visit(pl->stages[i], mark, order, &n);
    free(mark);
    free(pl->stages);
    pl->stages = order;
    for (uint32_t i = 0; i < pl->n; i++) pl->stages[i]->at = i;
}

void jvc_pipeline_wire(struct jvc_pipeline *pl)
{
    wire(pl);
    unread_ports(pl);
    put_in_order(pl);
}
