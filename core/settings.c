/* settings.c: the section [pipeline]. */
#include "cores.h"
#include "option.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
    int64_t retries, retry_after, threads, memory;
    jv_list plugin_path;
};

static const jv_opt settings_opts[] = {
    JV_OPT(struct settings, name, "", "", "of the pipeline"),
    JV_OPT(struct settings, dead_letter, "", "path", "where rejected records go"),
    JV_OPT(struct settings, on_error, "reject", "reject|stop", "what becomes of a record at fault"),
    JV_OPT(struct settings, retries, "3", "0..1000", "how often a stage may ask for another try"),
    JV_OPT(struct settings, retry_after, "100ms", "ms 0..10s", "the pause before the second try; doubles, up to 10 s"),
    JV_OPT(struct settings, threads, "auto", "auto|1..1024", "to compute with; auto: the cores this process may use"),
    JV_OPT(struct settings, memory, "1G", "bytes 1K..", "of texts on their way, beyond which sources wait"),
    JV_OPT(struct settings, plugin_path, "", "path", "folders of plugins, searched first"),
    {0},
};

/* A key of [pipeline] that is none of the above. */
static void unknown_setting(struct jvc_pipeline *pl, const struct jvc_entry *e)
{
    struct jvc_nearest near = {.name = e->name};
    if (jvc_option_word("journal|report|meter", e->name) >= 0) {
        jvc_problem(&pl->conf, e->where, "`%s`: not in this version", e->name);
        return;
    }
    char list[200] = "include";
    for (const jv_opt *o = settings_opts; o->name; o++) {
        size_t n = strlen(list);
        jvc_nearest_try(&near, o->name);
        snprintf(list + n, sizeof list - n, ", %s", o->name);
    }
    jvc_problem(&pl->conf, e->where, "unknown key `%s`%s [pipeline] takes %s", e->name,
        near.best ? jvc_nearest_hint(&near) : ";", list);
}

static bool is_setting(const void *none, const char *key, size_t n)
{
    const jv_opt *o = settings_opts;
    while (o->name && !jvc_option_has_key(o, key, n)) o++;
    return o->name;
}

static void check_settings(struct jvc_pipeline *pl, struct jvc_section *sec, const struct settings *s)
{
    struct jvc_entry *e;
    if ((e = jvc_section_take(sec, "name")) && (!*s->name || strpbrk(s->name, "/\n")))
        jvc_problem(&pl->conf, e->where, "`name`: \"%.60s\" is no name for a pipeline", s->name);
    if ((e = jvc_section_take(sec, "dead_letter")) && !*s->dead_letter)
        jvc_problem(&pl->conf, e->where, "`dead_letter`: no path");
    for (size_t i = 0; i < s->plugin_path.n; i++) {
        struct stat st;
        struct jvc_nearest near;
        const char *path = s->plugin_path.v[i].p;
        if (stat(path, &st) || !S_ISDIR(st.st_mode))
            jvc_problem(&pl->conf, jvc_entry_item(jvc_section_entry(sec, "plugin_path"), i, s->plugin_path.n),
                "`plugin_path`: %s is no folder%s", path, jvc_nearest_file(&near, path));
    }
}

void jvc_pipeline_settings(struct jvc_pipeline *pl, const char *file)
{
    struct settings s = {0};
    struct jvc_section *sec = jvc_conf_section(&pl->conf, "pipeline");
    jv_err err;
    for (const jv_opt *o = settings_opts; o->name; o++) {
        struct jvc_entry *e = sec ? jvc_section_take(sec, o->name) : NULL;
        if (jvc_option_set(o, &s, &pl->conf, o->def, NULL, &err) < 0)
            jvc_no_memory(); /* all else these defaults pass */
        if (e && jvc_option_set(o, &s, &pl->conf, e->value, e->dir, &err) < 0)
            jvc_problem(&pl->conf, e->where, "`%s`: %s", o->name, err.text);
    }
    if (sec) check_settings(pl, sec, &s);
    for (size_t i = 0; sec && i < sec->n; i++) {
        if (!sec->entries[i].used) unknown_setting(pl, &sec->entries[i]);
        jvc_section_indented(&pl->conf, &sec->entries[i], is_setting, NULL);
    }
    if (*s.name) pl->name = jvc_conf_own(&pl->conf, jvc_strdup(s.name));
    if (*s.dead_letter) pl->dead_path = jvc_conf_own(&pl->conf, jvc_strdup(s.dead_letter));
    pl->stop_on_error = s.on_error == 1;
    pl->retries = s.retries;
    pl->retry_after_ms = s.retry_after;
    pl->memory = s.memory;
    pl->cores_given = s.threads != JV_UNSET;
    pl->cores = (int32_t)(s.threads == JV_UNSET ? jvc_cores() : s.threads);
    const char **folders = jvc_alloc(s.plugin_path.n * sizeof *folders);
    for (size_t i = 0; i < s.plugin_path.n; i++) folders[i] = s.plugin_path.v[i].p;
    jvc_plugin_folders(folders, s.plugin_path.n);
    free(folders);
    default_names(pl, file);
}
