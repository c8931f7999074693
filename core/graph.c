/* graph.c: from an INI file to a pipeline: sections to stages, `from` to edges, refs to an order, and the opening of
 * all. */
#include "option.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *jvc_stage_place(const struct jvc_stage *s)
{
    if (!s->sec->where.file) return s->sec->name;
    return jvc_conf_own(&s->pl->conf, jvc_format("%s (%s:%d)", s->sec->name, s->sec->where.file, s->sec->where.line));
}

/* ---- [pipeline] ---- */

static void default_names(struct jvc_pipeline *pl, const char *file)
{
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
    size_t n = strlen(base);
    if (n > 4 && !strcmp(base + n - 4, ".ini")) n -= 4;
    if (!pl->name) pl->name = jvc_conf_own(&pl->conf, jvc_strndup(base, n));
    if (!pl->dead_path) pl->dead_path = jvc_conf_own(&pl->conf, jvc_format("%s.rejected.jsonl", pl->name));
}

struct settings {
    const char *name, *dead_letter;
    int32_t on_error;
    int64_t retries;
    jv_list plugin_path;
};

static const jv_opt settings_opts[] = {
    JV_OPT(struct settings, name, "", "", "of the pipeline"),
    JV_OPT(struct settings, dead_letter, "", "path", "where rejected records go"),
    JV_OPT(struct settings, on_error, "reject", "reject|stop", "what becomes of a record at fault"),
    JV_OPT(struct settings, retries, "3", "0..1000", "how often a stage may ask for another try"),
    JV_OPT(struct settings, plugin_path, "", "path", "folders of plugins, searched first"),
    {0},
};

/* A key of [pipeline] that is none of the above. */
static void unknown_setting(struct jvc_pipeline *pl, const struct jvc_entry *e)
{
    struct jvc_nearest near = {.name = e->name};
    if (jvc_option_word("journal|report|meter|threads|memory", e->name) >= 0) {
        jvc_problem(&pl->conf, e->where, "`%s`: not in this version", e->name);
        return;
    }
    for (const jv_opt *o = settings_opts; o->name; o++) jvc_nearest_try(&near, o->name);
    jvc_problem(&pl->conf, e->where,
        "unknown key `%s`%s [pipeline] takes name, dead_letter, on_error, retries, plugin_path, include", e->name,
        near.best ? jvc_nearest_hint(&near) : ";");
}

static void check_settings(struct jvc_pipeline *pl, struct jvc_section *sec, const struct settings *s)
{
    struct jvc_entry *e;
    if ((e = jvc_section_entry(sec, "name")) && (!*s->name || strchr(s->name, '/')))
        jvc_problem(&pl->conf, e->where, "`name`: \"%.60s\" is no name for a pipeline", s->name);
    if ((e = jvc_section_entry(sec, "dead_letter")) && !*s->dead_letter)
        jvc_problem(&pl->conf, e->where, "`dead_letter`: no path");
    for (size_t i = 0; i < s->plugin_path.n; i++) {
        struct stat st;
        if (stat(s->plugin_path.v[i].p, &st) || !S_ISDIR(st.st_mode))
            jvc_problem(&pl->conf, jvc_section_entry(sec, "plugin_path")->where, "`plugin_path`: %s is no folder",
                s->plugin_path.v[i].p);
    }
}

static void pipeline_section(struct jvc_pipeline *pl)
{
    struct settings s = {.name = "", .dead_letter = "", .retries = 3};
    struct jvc_section *sec = jvc_conf_section(&pl->conf, "pipeline");
    jv_err err;
    for (const jv_opt *o = settings_opts; sec && o->name; o++) {
        struct jvc_entry *e = jvc_section_take(sec, o->name);
        if (e && jvc_option_set(o, &s, &pl->conf, e->value, e->dir, &err) < 0)
            jvc_problem(&pl->conf, e->where, "`%s`: %s", o->name, err.text);
    }
    if (sec) check_settings(pl, sec, &s);
    for (size_t i = 0; sec && i < sec->n; i++)
        if (!sec->entries[i].used) unknown_setting(pl, &sec->entries[i]);
    if (*s.name) pl->name = jvc_conf_own(&pl->conf, jvc_strdup(s.name));
    if (*s.dead_letter) pl->dead_path = jvc_conf_own(&pl->conf, jvc_strdup(s.dead_letter));
    pl->stop_on_error = s.on_error == 1;
    pl->retries = s.retries;
    const char **folders = jvc_alloc(s.plugin_path.n * sizeof *folders);
    for (size_t i = 0; i < s.plugin_path.n; i++) folders[i] = s.plugin_path.v[i].p;
    jvc_plugin_folders(folders, s.plugin_path.n);
    free(folders);
}

/* ---- sections to stages ---- */

static enum jvc_kind kind_of(const jv_stage *d)
{
    if (d->poll) return JVC_SOURCE;
    if (!d->process) return JVC_RESOURCE;
    return d->ports ? JVC_FILTER : JVC_SINK;
}

static void add_stage(struct jvc_pipeline *pl, struct jvc_section *sec)
{
    jv_err err;
    struct jvc_plugin *plugin = NULL;
    struct jvc_entry *e = jvc_section_take(sec, "plugin");
    if (!e) {
        if (!jvc_section_entry(sec, "plugin")) jvc_problem(&pl->conf, sec->where, "[%s] needs `plugin`", sec->name);
        return;
    }
    const jv_stage *def = jvc_plugin_stage(e->value, &plugin, &err);
    if (!def) {
        jvc_problem(&pl->conf, e->where, "`plugin`: %s", err.text);
        return;
    }
    struct jvc_stage *s = jvc_alloc(sizeof *s);
    s->host = jvc_host_table;
    s->pl = pl;
    s->sec = sec;
    s->desc = plugin->desc;
    s->def = def;
    s->kind = kind_of(def);
    s->ctx = jvc_alloc(def->ctx_size);
    s->first_free = UINT32_MAX;
    while (JVC_PORT(s->desc, def, s->n_ports)) s->n_ports++;
    s->ports = jvc_alloc(s->n_ports * sizeof *s->ports);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->room, NULL);
    pl->stages = jvc_room(pl->stages, pl->n, sizeof *pl->stages);
    pl->stages[pl->n++] = s;
}

/* ---- from ---- */

static struct jvc_stage *stage_named(struct jvc_pipeline *pl, const char *name)
{
    for (uint32_t i = 0; i < pl->n; i++)
        if (!strcmp(pl->stages[i]->sec->name, name)) return pl->stages[i];
    return NULL;
}

static void connect(struct jvc_stage *s, struct jvc_stage *up, uint32_t port)
{
    struct jvc_edge *e = &up->ports[port];
    s->up = up;
    e->to = jvc_room(e->to, e->n, sizeof *e->to);
    e->to[e->n++] = s;
}

static void connect_named(struct jvc_stage *s, struct jvc_entry *e)
{
    struct jvc_conf *conf = &s->pl->conf;
    const char *dot = strchr(e->value, '.');
    char *name = jvc_conf_own(conf, jvc_strndup(e->value, dot ? (size_t)(dot - e->value) : strlen(e->value)));
    struct jvc_stage *up = stage_named(s->pl, name);
    if (strchr(e->value, ',')) {
        jvc_problem(conf, e->where, "`from`: joining several stages is not in this version");
        return;
    }
    if (!up) {
        struct jvc_nearest near = {.name = name};
        for (uint32_t i = 0; i < s->pl->n; i++)
            if (s->pl->stages[i]->n_ports) jvc_nearest_try(&near, s->pl->stages[i]->sec->name);
        bool broken = jvc_conf_section(conf, name) != NULL; /* the section is there, its plugin was told missing */
        if (!broken) jvc_problem(conf, e->where, "`from`: no stage [%s]%s", name, jvc_nearest_hint(&near));
        return;
    }
    uint32_t port = 0;
    while (dot && port < up->n_ports && strcmp(JVC_PORT(up->desc, up->def, port)->name, dot + 1)) port++;
    if (up == s || !up->n_ports || port == up->n_ports) {
        if (up == s)
            jvc_problem(conf, e->where, "`from`: [%s] reads itself", name);
        else if (!up->n_ports)
            jvc_problem(conf, e->where, "`from`: [%s] is a %s: nothing comes out of it", name,
                up->kind == JVC_SINK ? "sink" : "resource");
        else
            jvc_problem(conf, e->where, "`from`: [%s] has no port `%s`; its first is `%s`", name, dot + 1,
                JVC_PORT(up->desc, up->def, 0)->name);
        return;
    }
    connect(s, up, port);
}

/* What a section without `from` reads. */
static void connect_above(struct jvc_stage *s, struct jvc_stage *above)
{
    struct jvc_conf *conf = &s->pl->conf;
    if (above && above->n_ports) {
        connect(s, above, 0);
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
        if (!s) {
            unknown |= strcmp(sec->name, "pipeline") != 0;
            continue;
        }
        struct jvc_entry *e = jvc_section_take(sec, "from");
        bool reads = s->kind == JVC_FILTER || s->kind == JVC_SINK;
        if (e && !reads)
            jvc_problem(&pl->conf, e->where, "`from`: a %s has no input", s->kind == JVC_SOURCE ? "source" : "resource");
        else if (e)
            connect_named(s, e);
        else if (reads && !unknown && !jvc_section_entry(sec, "from"))
            connect_above(s, above);
        if (s->kind == JVC_RESOURCE) continue;
        above = s;
        unknown = false;
    }
}

static void unread_ports(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        for (uint32_t p = 0; p < s->n_ports; p++) {
            const jv_port *port = JVC_PORT(s->desc, s->def, p);
            if (!s->ports[p].n && !(port->flags & JV_OPTIONAL))
                jvc_problem(&pl->conf, s->sec->where, "nothing reads [%s]%s%s; `plugin = null` discards", s->sec->name,
                    s->n_ports > 1 ? "." : "", s->n_ports > 1 ? port->name : "");
        }
    }
}

/* ---- order, opening ---- */

/* Puts s after what it reads and refers to. mark: 1 on the way, 2 done. */
static void visit(struct jvc_stage *s, unsigned char *mark, struct jvc_stage **order, uint32_t *n)
{
    struct jvc_pipeline *pl = s->pl;
    uint32_t at = 0;
    while (pl->stages[at] != s) at++;
    if (mark[at] == 1)
        jvc_problem(&pl->conf, s->sec->where, "[%s] leads back to itself by `from` or by what it refers to",
            s->sec->name);
    if (mark[at]) return;
    mark[at] = 1;
    if (s->up) visit(s->up, mark, order, n);
    for (uint32_t i = 0; i < s->n_refs; i++) visit(s->refs[i], mark, order, n);
    mark[at] = 2;
    order[(*n)++] = s;
}

static void put_in_order(struct jvc_pipeline *pl)
{
    unsigned char *mark = jvc_alloc(pl->n);
    struct jvc_stage **order = jvc_alloc(pl->n * sizeof *order);
    uint32_t n = 0;
    for (uint32_t i = 0; i < pl->n; i++) visit(pl->stages[i], mark, order, &n);
    free(mark);
    free(pl->stages);
    pl->stages = order;
}

static void open_stage(struct jvc_stage *s)
{
    jv_err err = {0};
    struct jvc_call call;
    bool reads = s->kind == JVC_FILTER || s->kind == JVC_SINK;
    if (s->faulty || (reads && !s->up)) return;
    if (s->up && !s->up->opened_well) return; /* what comes here is not known; what is above was told */
    for (uint32_t i = 0; i < s->n_refs; i++)
        if (!s->refs[i]->opened_well) return;
    if (!jvc_stage_bind(s)) return;
    jvc_call_enter(&call, s);
    s->open = true;
    int32_t rc = s->def->open ? s->def->open(s->ctx, &s->host, &err) : JV_OK;
    jvc_call_leave(&call);
    if (rc < 0) {
        jvc_problem(&s->pl->conf, s->sec->where, "[%s]: %s", s->sec->name, err.text);
        return;
    }
    s->opened_well = true;
    jvc_stage_columns(s);
}

static bool ordered_behind(const struct jvc_stage *s)
{
    for (uint32_t p = 0; p < s->n_ports; p++)
        for (uint32_t i = 0; i < s->ports[p].n; i++)
            if ((s->ports[p].to[i]->def->flags & JV_ORDERED) || ordered_behind(s->ports[p].to[i])) return true;
    return false;
}

static void ready_to_run(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        for (uint32_t k = 0; s->n_ports && k < s->ports[0].n; k++)
            s->streams |= (s->ports[0].to[k]->def->flags & JV_PARTIALS) != 0;
        s->order_matters = ordered_behind(s);
        if (s->kind == JVC_SOURCE) s->slots = jvc_alloc(s->window * sizeof *s->slots);
        if (s->threads > 1 && (s->kind == JVC_FILTER || s->kind == JVC_SINK)) s->farm = jvc_farm_new(s);
    }
}

bool jvc_pipeline_open(struct jvc_pipeline *pl, const char *file, char *const *overrides, size_t n)
{
    *pl = (struct jvc_pipeline){.stop_fd = -1, .cancel_fd = -1, .over_fd = -1};
    jvc_conf_read(&pl->conf, file, overrides, n);
    pipeline_section(pl);
    default_names(pl, file);
    size_t stages = 0;
    for (size_t i = 0; i < pl->conf.n; i++) {
        if (!strcmp(pl->conf.sections[i].name, "pipeline")) continue;
        add_stage(pl, &pl->conf.sections[i]);
        stages++;
    }
    bool only_resources = stages == pl->n;
    for (uint32_t i = 0; i < pl->n; i++) only_resources &= pl->stages[i]->kind == JVC_RESOURCE;
    if (only_resources && !pl->conf.n_problems)
        jvc_problem(&pl->conf, (struct jvc_where){file, 1}, "no source: nothing to run");
    size_t before = pl->conf.n_problems;
    wire(pl);
    if (stages == pl->n && pl->conf.n_problems == before) unread_ports(pl);
    for (uint32_t i = 0; i < pl->n; i++) jvc_stage_configure(pl->stages[i]);
    put_in_order(pl);
    for (uint32_t i = 0; i < pl->n; i++) open_stage(pl->stages[i]);
    if (pl->conf.n_problems) return false;
    ready_to_run(pl);
    return true;
}

static void free_stage(struct jvc_stage *s)
{
    jvc_farm_free(s->farm);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->room);
    for (uint32_t i = 0; i < s->n_ports; i++) free(s->ports[i].to);
    free(s->ports);
    free(s->rows);
    free(s->in.v);
    free(s->out.v);
    free(s->counters);
    free(s->sums);
    free(s->refs);
    free(s->slots);
    free(s->drops);
    free(s->ctx);
    free(s);
}

void jvc_pipeline_close(struct jvc_pipeline *pl)
{
    for (uint32_t i = pl->n; i > 0; i--) {
        struct jvc_stage *s = pl->stages[i - 1];
        if (s->open && s->def->close) s->def->close(s->ctx);
    }
    for (uint32_t i = 0; i < pl->n; i++) free_stage(pl->stages[i]);
    if (pl->stop_fd >= 0) close(pl->stop_fd);
    if (pl->cancel_fd >= 0) close(pl->cancel_fd);
    if (pl->over_fd >= 0) close(pl->over_fd);
    free(pl->stages);
    free(pl->counters);
    free(pl->dead);
    jvc_conf_free(&pl->conf);
}
