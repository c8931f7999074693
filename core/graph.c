/* graph.c: from an INI file to a pipeline: sections to stages, and the opening of all. */
#include "option.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *jvc_stage_place(const struct jvc_stage *s)
{
    return s->named;
}

/* ---- sections to stages ---- */

static enum jvc_kind kind_of(const jv_stage *d)
{
    bool ports = JVC_ROW(d->ports, 0);
    if (!d->process) return ports ? JVC_SOURCE : JVC_RESOURCE;
    return ports ? JVC_FILTER : JVC_SINK;
}

/* A bare name of a file with several stages means the one that fits the place: its only source where nothing comes
 * in, else its only stage that takes something. Null: there is not just one. */
static const jv_stage *fitting(const struct jvc_plugin *p, bool reads)
{
    const jv_stage *found = NULL;
    for (uint32_t i = 0; i < p->desc->n_stages; i++) {
        enum jvc_kind kind = kind_of(&p->desc->stages[i]);
        if (kind == JVC_RESOURCE || (kind != JVC_SOURCE) != reads) continue;
        if (found) return NULL;
        found = &p->desc->stages[i];
    }
    return found;
}

/* Whether something comes in where the section stands. */
static bool reads_here(struct jvc_section *sec, const struct jvc_stage *above)
{
    return jvc_section_entry(sec, "from") || (above && above->kind != JVC_SINK);
}

/* A section without `plugin`, perhaps for a slip of the pen. */
static void no_plugin(struct jvc_pipeline *pl, const struct jvc_section *sec)
{
    for (size_t i = 0; i < sec->n; i++) {
        struct jvc_nearest near = {.name = sec->entries[i].name};
        if (!sec->entries[i].used) jvc_nearest_try(&near, "plugin");
        if (!near.best) continue;
        jvc_problem(&pl->conf, sec->entries[i].where, "[%s] needs `plugin`: unknown key `%s`%s", sec->name, near.name,
            jvc_nearest_hint(&near));
        return;
    }
    struct jvc_nearest near = {.name = sec->name};
    jvc_nearest_try(&near, "pipeline");
    jvc_problem(&pl->conf, sec->where,
        near.best ? "[%s] needs `plugin`, or did you mean `[pipeline]`?" : "[%s] needs `plugin`", sec->name);
}

static struct jvc_stage *add_stage(struct jvc_pipeline *pl, struct jvc_section *sec, const struct jvc_stage *above)
{
    jv_err err;
    struct jvc_plugin *plugin = NULL;
    struct jvc_entry *e = jvc_section_take(sec, "plugin");
    if (!e) {
        if (!jvc_section_entry(sec, "plugin")) no_plugin(pl, sec);
        return NULL;
    }
    if (e->n_more) {
        jvc_problem(&pl->conf, (struct jvc_where){e->where.file, e->more[0].line, NULL},
            "an indented line goes on with the value above it, and `plugin` takes one line: unindent it");
        return NULL;
    }
    const jv_stage *def = jvc_plugin_stage(e->value, &plugin, &err);
    if (!def && plugin && !strchr(e->value, '/')) def = fitting(plugin, reads_here(sec, above));
    if (!def) {
        jvc_problem(&pl->conf, e->where, "`plugin`: %s", err.text);
        return NULL;
    }
    struct jvc_stage *s = jvc_alloc(sizeof *s);
    s->host = jvc_host_table;
    s->pl = pl;
    s->sec = sec;
    s->place = jvc_conf_own(&pl->conf, jvc_where_text(sec->where));
    s->named = jvc_conf_own(&pl->conf, jvc_format("%s (%s)", sec->name, s->place));
    s->desc = plugin->desc;
    s->def = def;
    s->kind = kind_of(def);
    s->ctx = jvc_alloc(def->ctx_size);
    s->first_free = UINT32_MAX;
    s->stop_fd = s->params_slot = s->error_slot = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->room, NULL);
    pl->stages = jvc_room(pl->stages, pl->n, sizeof *pl->stages);
    pl->stages[pl->n++] = s;
    return s;
}

static void add_port(struct jvc_stage *s, const char *name, bool optional)
{
    struct jvc_conf *conf = &s->pl->conf;
    const char *stage = s->sec->name;
    bool first = !s->n_ports && strcmp(name, "rejected");
    char *from = jvc_conf_own(conf, first ? jvc_strdup(stage) : jvc_format("%s.%s", stage, name));
    s->ports = jvc_room(s->ports, s->n_ports, sizeof *s->ports);
    s->ports[s->n_ports++] = (struct jvc_port){.name = name,
        .from = from,
        .named = jvc_conf_own(conf, jvc_format("%s (%s)", from, s->place)),
        .unread = jvc_conf_own(conf, jvc_format("nobody reads its port %s", name)),
        .optional = optional};
}

/* Where a port comes from: the key of a map that stands for it, or the section. */
static struct jvc_where port_where(const struct jvc_stage *s, const struct jvc_port *p)
{
    for (size_t i = 0; i < s->sec->n; i++) {
        const char *dot = strchr(s->sec->entries[i].name, '.');
        if (dot && dot + 1 == p->name) return s->sec->entries[i].where; /* a map's keys lie in the entries' names */
    }
    return s->sec->where;
}

static void check_ports(struct jvc_stage *s)
{
    size_t before = s->pl->conf.n_problems;
    if (s->n_ports > JV_MAX_PORTS)
        jvc_problem(&s->pl->conf, port_where(s, &s->ports[JV_MAX_PORTS]), "[%s] has %u ports: at most %d fit",
            s->sec->name, s->n_ports, JV_MAX_PORTS);
    for (uint32_t i = 0; i < s->n_ports; i++)
        for (uint32_t k = 0; k <= i; k++)
            if (!strcmp(s->ports[i].name, k < i ? s->ports[k].name : "rejected")) {
                jvc_problem(&s->pl->conf, port_where(s, &s->ports[i]), "[%s] has two ports `%s`", s->sec->name,
                    s->ports[i].name);
                s->ports[i].optional = true;
            }
    s->faulty |= s->pl->conf.n_problems > before;
}

/* The ports of the table, those that stand for the keys of a map spread out, and `rejected`. */
static void add_ports(struct jvc_stage *s)
{
    for (const jv_port *p = s->def->ports; JVC_ROW(p, 0); p++) {
        const char *dot = strchr(p->name, '.');
        if (!dot) {
            add_port(s, p->name, p->flags & JV_OPTIONAL);
            continue;
        }
        const jv_opt *o = s->def->opts;
        while (strncmp(o->name, p->name, (size_t)(dot - p->name)) || o->name[dot - p->name]) o++;
        const jv_map *map = (const jv_map *)(const void *)((char *)s->ctx + o->offset);
        for (size_t i = 0; i < map->key.n; i++) add_port(s, map->key.v[i].p, p->flags & JV_OPTIONAL);
    }
    check_ports(s);
    add_port(s, "rejected", true);
    s->n_ports--; /* counted apart */
}

/* ---- opening ---- */

/* The line of the entry that has what the text puts between the first pair of quotes, or that the text holds. */
static struct jvc_where line_meant(const struct jvc_entry *e, const char *text)
{
    const char *begin = strchr(text, '\''), *end = begin ? strchr(begin + 1, '\'') : NULL;
    if (!end) return jvc_entry_line_in(e, text);
    char *item = jvc_strndup(begin + 1, (size_t)(end - begin - 1));
    struct jvc_where where = jvc_entry_line(e, item);
    free(item);
    return where;
}

/* Whether something was told of the entry. */
static bool is_told(const struct jvc_conf *conf, const struct jvc_entry *e)
{
    int last = e->n_more ? e->more[e->n_more - 1].line : e->where.line;
    for (size_t i = 0; i < conf->n_problems && i < JVC_PROBLEMS_KEPT; i++) {
        const struct jvc_where *w = &conf->problems[i].where;
        if (w->file == e->where.file && w->line >= e->where.line && w->line <= last) return true;
    }
    return false;
}

/* Why open refused: at the line of the key with which the text begins, if it does so with one. */
static void tell_open(struct jvc_stage *s, const char *text)
{
    for (size_t i = 0; *text == '`' && i < s->sec->n; i++) {
        const struct jvc_entry *e = &s->sec->entries[i];
        size_t n = strlen(e->name);
        if (strncmp(text + 1, e->name, n) || (text[1 + n] != '`' && text[1 + n] != ' ')) continue;
        if (!s->bad_path || !is_told(&s->pl->conf, e)) jvc_problem(&s->pl->conf, line_meant(e, text), "%s", text);
        return;
    }
    if (!s->bad_path) jvc_problem(&s->pl->conf, s->sec->where, "[%s]: %s", s->sec->name, text);
}

void jvc_stage_mistake(struct jvc_stage *s, const char *text)
{
    bool again = s->told && !strcmp(s->told, text);
    s->mistaken = true;
    if (again || (s->unsure && s->looked)) return;
    tell_open(s, text);
    s->told = jvc_conf_own(&s->pl->conf, jvc_strdup(text));
}

/* The plugin's own open; false: it refused, and why was told. */
static bool call_open(struct jvc_stage *s)
{
    jv_err err = {0};
    struct jvc_call call;
    size_t before = s->pl->conf.n_problems;
    jvc_call_enter(&call, s);
    s->open = s->opening = true;
    int32_t rc = s->def->open ? s->def->open(s->ctx, &s->host, &err) : JV_OK;
    jvc_err_end(&err, rc);
    jvc_call_leave(&call);
    s->opening = false;
    if (rc == JV_OK && s->mistaken) rc = JV_BAD;
    if (rc > 0) jv_fail(&err, JV_FATAL, "the plugin's open answers %d, which it may not", rc);
    if (rc == JV_OK) s->pl->conf.n_problems = before; /* a name it can do without */
    bool told = s->mistaken || s->pl->conf.n_problems > before;
    if (rc != JV_OK && !told) jvc_stage_mistake(s, err.text);
    return rc == JV_OK;
}

/* Opens a stage, also below one that could not be opened: what comes from there is then not known for sure, and what
 * might only follow from that is not told. */
static void open_stage(struct jvc_stage *s)
{
    if (s->cut_off) return;
    for (uint32_t i = 0; i < s->n_inputs; i++) s->unsure |= s->inputs[i].up->unsure || !s->inputs[i].up->opened_well;
    bool ready = jvc_stage_bind(s) && !s->faulty;
    for (uint32_t i = 0; i < s->n_refs; i++) ready &= s->refs[i]->opened_well;
    s->opened_well = ready && call_open(s);
    jvc_stage_columns(s);
}

/* The options that records may set for themselves, of all stages. */
static void per_record_names(struct jvc_pipeline *pl)
{
    size_t n = 0;
    for (uint32_t i = 0; i < pl->n; i++)
        for (const jv_opt *o = pl->stages[i]->def->opts; JVC_ROW(o, 0); o++) {
            if (!(o->flags & JV_PER_RECORD)) continue;
            pl->per_record = jvc_room(pl->per_record, n, sizeof *pl->per_record);
            pl->per_record[n++] = o->name;
        }
    pl->per_record = jvc_room(pl->per_record, n, sizeof *pl->per_record);
    pl->per_record[n] = NULL;
}

/* Sections to stages, in the order of the file; how many sections there are. */
static size_t add_stages(struct jvc_pipeline *pl)
{
    const struct jvc_stage *above = NULL;
    size_t n = 0;
    for (size_t i = 0; i < pl->conf.n; i++) {
        if (!strcmp(pl->conf.sections[i].name, "pipeline")) continue;
        const struct jvc_stage *s = add_stage(pl, &pl->conf.sections[i], above);
        if (s && s->kind != JVC_RESOURCE) above = s;
        n++;
    }
    return n;
}

static bool only_resources(const struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind != JVC_RESOURCE) return false;
    return true;
}

bool jvc_pipeline_open(struct jvc_pipeline *pl, const char *file, char *const *overrides, size_t n)
{
    *pl = (struct jvc_pipeline){.cancel_fd = -1};
    pthread_mutex_init(&pl->lock, NULL);
    pthread_cond_init(&pl->gone, NULL);
    jvc_conf_read(&pl->conf, file, overrides, n);
    jvc_pipeline_settings(pl, file);
    size_t sections = add_stages(pl);
    if (sections == pl->n && only_resources(pl) && !pl->conf.n_problems)
        jvc_problem(&pl->conf, (struct jvc_where){file, 1, NULL}, "no source: nothing to run");
    per_record_names(pl);
    for (uint32_t i = 0; i < pl->n; i++) {
        jvc_stage_configure(pl->stages[i]);
        add_ports(pl->stages[i]);
    }
    jvc_paths_check(pl);
    jvc_pipeline_wire(pl);
    jvc_shape_check(pl);
    for (uint32_t i = 0; i < pl->n; i++) open_stage(pl->stages[i]);
    if (pl->conf.n_problems) return false;
    jvc_pipeline_shape(pl);
    return true;
}

static void free_stage(struct jvc_stage *s)
{
    jvc_gate_free(s->gate);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->room);
    for (uint32_t i = 0; s->ports && i <= s->n_ports; i++) {
        free(s->ports[i].to);
        free(s->ports[i].input);
        free(s->ports[i].lost.v);
    }
    for (uint32_t i = 0; i < s->n_inputs; i++) free(s->inputs[i].moves);
    void *const mine[] = {s->ports, s->inputs, s->rows, s->in.v, s->out.v, s->bad.v, s->counters, s->sums, s->refs,
        s->slots, s->drops, s->merges, s->reach.v, s->after.v, s->kids.v, s->settled.v, s->carries, s->ctx};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++) free(mine[i]);
    if (s->stop_fd >= 0) close(s->stop_fd);
    free(s);
}

void jvc_pipeline_close(struct jvc_pipeline *pl)
{
    for (uint32_t i = pl->n; i > 0; i--) {
        struct jvc_stage *s = pl->stages[i - 1];
        if (s->open && s->def->close) s->def->close(s->ctx);
        pl->leased -= s->leased;
    }
    jvc_watch_end(pl);
    for (uint32_t i = 0; i < pl->n_strands; i++) jvc_strand_free(&pl->strands[i]);
    for (uint32_t i = 0; i < pl->n; i++) free_stage(pl->stages[i]);
    if (pl->cancel_fd >= 0) close(pl->cancel_fd);
    pthread_mutex_destroy(&pl->lock);
    pthread_cond_destroy(&pl->gone);
    free(pl->strands);
    free(pl->places);
    free(pl->per_record);
    free(pl->stages);
    free(pl->counters);
    free(pl->dead);
    jvc_conf_free(&pl->conf);
}
