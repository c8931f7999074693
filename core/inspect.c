/* inspect.c: see inspect.h. */
#include "inspect.h"
#include "option.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- words that all forms share ---- */

const char *jvc_kind_name(const jv_stage *s)
{
    if (s->process) return s->ports ? "filter" : "sink";
    return s->ports ? "source" : "resource";
}

char *jvc_stage_name(const jv_plugin *d, const jv_stage *s)
{
    return d->n_stages > 1 ? jvc_format("%s/%s", d->name, s->name) : jvc_strdup(d->name);
}

const jv_port *jvc_rejected_port(const jv_stage *s)
{
    static const jv_port row = {"rejected", "records it rejects, as they came, with a field `error`", JV_OPTIONAL, 0};
    return s->process || s->ports ? &row : NULL;
}

static char *calls_at_once(const jv_stage *s)
{
    if (!s->process) return jvc_strdup(s->flags & JV_ENDLESS ? "has no end of its own" : "");
    if (!(s->flags & JV_PARALLEL)) return jvc_strdup("one record at a time");
    if (s->threads == JV_PER_CORE) return jvc_strdup("as many records at once as there are compute threads");
    if (s->threads <= 1) return jvc_strdup("one record at a time unless `threads` says otherwise");
    return jvc_format("%u records at once unless `threads` says otherwise", s->threads);
}

char *jvc_shown_traits(const jv_stage *s)
{
    static const struct {
        uint32_t flag;
        const char *means;
    } flags[] = {
        {JV_ORDERED, "in source order"},
        {JV_PARTIALS, "takes unfinished records too"},
        {JV_SPLIT, "makes several records of one"},
        {JV_MERGE, "brings together what was split"},
        {JV_RESULT, "its results are worth keeping"},
    };
    char *text = calls_at_once(s);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (!(s->flags & flags[i].flag)) continue;
        char *more = jvc_format("%s%s%s", text, *text ? ", " : "", flags[i].means);
        free(text);
        text = more;
    }
    return text;
}

/* A value to begin with, for a key that has no default. */
static void print_sample(const jv_opt *o)
{
    bool path = jvc_range_path(o->range) > JVC_TEXT;
    switch (o->type) {
    case JV_OPT_MAP: printf("%s.KEY = %s\n", o->name, path ? "FILE" : "TEXT"); break;
    case JV_OPT_REF: printf("%s = %s\n", o->name, o->name); break;
    case JV_OPT_CHOICE: printf("%s = %.*s\n", o->name, (int)strcspn(o->range, "|"), o->range); break;
    case JV_OPT_TEXT: printf("%s = %s\n", o->name, path ? "FILE" : "TEXT"); break;
    case JV_OPT_LIST: printf("%s = %s\n", o->name, path ? "FILE, FILE" : "TEXT, TEXT"); break;
    default: printf("%s = NUMBER\n", o->name);
    }
}

void jvc_print_example(const struct jvc_shown *x, const char *indent)
{
    char *name = jvc_stage_name(x->p->desc, x->s);
    printf("%s[%s]\n%splugin = %s\n", indent, x->s->name, indent, name);
    free(name);
    for (uint32_t i = 0; JVC_OPT(x->p->desc, x->s, i); i++) {
        const jv_opt *o = JVC_OPT(x->p->desc, x->s, i);
        if (o->def) continue;
        if (o->type == JV_OPT_REF) printf("%s; the name of a section that offers %s\n", indent, o->range);
        fputs(indent, stdout);
        print_sample(o);
    }
}

/* ---- for people ---- */

static void print_options(const jv_plugin *d, const jv_stage *s)
{
    char what[160];
    if (JVC_OPT(d, s, 0)) printf("\n  options\n");
    for (uint32_t i = 0; JVC_OPT(d, s, i); i++) {
        const jv_opt *o = JVC_OPT(d, s, i);
        jvc_option_describe(o, what, sizeof what);
        printf("    %-16s %s; ", o->name, what);
        if (!o->def)
            printf("required");
        else
            printf(*o->def ? "default %s" : "default empty", o->def);
        printf("%s%s\n                     %s\n", o->flags & JV_PER_RECORD ? "; per record" : "",
            o->flags & JV_NEUTRAL ? "; no result depends on it" : "", o->help);
    }
}

static void print_fields(const jv_plugin *d, const jv_stage *s)
{
    if (JVC_FIELD(d, s, 0)) printf("\n  fields (a key of this name renames it)\n");
    for (uint32_t i = 0; JVC_FIELD(d, s, i); i++) {
        const jv_field *f = JVC_FIELD(d, s, i);
        printf("    %-16s %s `%s`, %s%s%s\n                     %s\n", f->name, f->access & JV_IN ? "reads" : "sets",
            f->field, jvc_type_name(f->type), f->access & JV_OPTIONAL ? ", may be missing" : "",
            f->access & JV_MEASURED ? ", measured" : "", f->help);
    }
}

static void print_port(const jv_port *port)
{
    printf("    %-16s %s%s\n", port->name, port->help, port->flags & JV_OPTIONAL ? " (need not be read)" : "");
}

static void print_rest(const jv_plugin *d, const jv_stage *s)
{
    if (jvc_rejected_port(s)) printf("\n  ports\n");
    for (uint32_t i = 0; JVC_PORT(d, s, i); i++) print_port(JVC_PORT(d, s, i));
    if (jvc_rejected_port(s)) print_port(jvc_rejected_port(s));
    if (JVC_COUNTER(d, s, 0)) printf("\n  counters\n");
    for (uint32_t i = 0; JVC_COUNTER(d, s, i); i++) {
        const jv_counter *c = JVC_COUNTER(d, s, i);
        printf("    %-16s %s (unit: %s%s)\n", c->name, c->help, c->unit, c->flags & JV_MEASURED ? ", measured" : "");
    }
    if (JVC_SERVICE(d, s, 0)) printf("\n  services\n");
    for (uint32_t i = 0; JVC_SERVICE(d, s, i); i++) printf("    %s\n", JVC_SERVICE(d, s, i)->id);
}

static void print_stage(const struct jvc_shown *x)
{
    char *name = jvc_stage_name(x->p->desc, x->s), *traits = jvc_shown_traits(x->s);
    printf("%s %s, a %s: %s\n", name, x->p->desc->version, jvc_kind_name(x->s), x->s->brief);
    if (*traits) printf("  %s\n", traits);
    print_options(x->p->desc, x->s);
    print_fields(x->p->desc, x->s);
    print_rest(x->p->desc, x->s);
    printf("\n  example\n");
    jvc_print_example(x, "    ");
    free(name);
    free(traits);
}

static void print_stages(const struct jvc_shown *shown, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i) putchar('\n');
        print_stage(&shown[i]);
    }
}

static void print_list(const struct jvc_shown *shown, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *name = jvc_stage_name(shown[i].p->desc, shown[i].s);
        printf("%-20s %-9s %s\n", name, jvc_kind_name(shown[i].s), shown[i].s->brief);
        free(name);
    }
}

/* ---- the commands ---- */

static void refused(const char *path, const jv_err *why)
{
    jvc_say("%s", why->text);
}

/* Appends the plugin's stages, or the one asked for. */
static struct jvc_shown *add(struct jvc_shown *shown, size_t *n, const struct jvc_plugin *p, const jv_stage *only)
{
    for (uint32_t k = 0; k < p->desc->n_stages; k++) {
        const jv_stage *s = JVC_STAGE(p->desc, k);
        if (only && s != only) continue;
        shown = jvc_room(shown, *n, sizeof *shown);
        shown[(*n)++] = (struct jvc_shown){p, s};
    }
    return shown;
}

/* Every stage that is found, by the names of their files; of `folder` alone where it is not null. To be freed. */
static struct jvc_shown *find_all(const char *folder, size_t *n)
{
    size_t n_all, len = folder ? strlen(folder) : 0;
    struct jvc_shown *shown = NULL;
    struct jvc_plugin *const *all = jvc_plugin_all(&n_all, refused);
    *n = 0;
    for (size_t i = 0; i < n_all; i++)
        if (!strncmp(all[i]->path, folder ? folder : "", len) && (!folder || all[i]->path[len] == '/'))
            shown = add(shown, n, all[i], NULL);
    if (!*n) jvc_say(folder ? "no plugins found in %s" : "no plugins found", folder);
    return shown;
}

/* Whether a folder that the user named is one; told if not. */
static bool is_folder(const char *folder)
{
    struct stat st;
    struct jvc_nearest near;
    if (!folder || (!stat(folder, &st) && S_ISDIR(st.st_mode))) return true;
    jvc_say("%s is no folder%s", folder, jvc_nearest_file(&near, folder));
    return false;
}

int jvc_inspect_list(const char *folder, bool json)
{
    size_t n;
    if (!is_folder(folder)) return 2;
    jvc_plugin_folders(&folder, folder != NULL);
    struct jvc_shown *shown = find_all(NULL, &n);
    (json ? jvc_print_json_list : print_list)(shown, n);
    free(shown);
    return n ? 0 : 1;
}

static void print_as(enum jvc_form form, const struct jvc_shown *shown, size_t n)
{
    switch (form) {
    case JVC_FOR_PEOPLE: print_stages(shown, n); break;
    case JVC_AS_JSON: jvc_print_json(shown, n); break;
    case JVC_AS_MARKDOWN: jvc_print_markdown(shown, n); break;
    }
}

int jvc_inspect_every(const char *folder, enum jvc_form form)
{
    size_t n;
    if (!is_folder(folder)) return 2;
    jvc_plugin_folders(&folder, folder != NULL);
    struct jvc_shown *shown = find_all(folder, &n);
    if (n) print_as(form, shown, n);
    free(shown);
    return n ? 0 : 1;
}

/* The name within PATH/jv_NAME.so, whose folder is then searched first; or the name itself. To be freed. */
static char *name_and_folder(const char *arg)
{
    const char *slash = strrchr(arg, '/'), *file = slash ? slash + 1 : arg;
    size_t n = strlen(file);
    bool path = n > 6 && !strncmp(file, "jv_", 3) && !strcmp(file + n - 3, ".so");
    char *folder = slash && slash != arg ? jvc_strndup(arg, (size_t)(slash - arg)) : jvc_strdup(slash ? "/" : ".");
    const char *first = folder;
    jvc_plugin_folders(&first, path);
    free(folder);
    return path ? jvc_strndup(file + 3, n - 6) : jvc_strdup(arg);
}

/* Whether it is not the name of a plugin or of one of its stages: those have one / at most, and no dot. */
static bool is_path(const char *arg)
{
    const char *slash = strchr(arg, '/');
    return strchr(arg, '.') || (slash && strchr(slash + 1, '/'));
}

int jvc_inspect_one(const char *arg, enum jvc_form form)
{
    char *name = name_and_folder(arg);
    struct jvc_nearest near;
    jv_err err;
    if (is_path(arg) && (access(arg, F_OK) || !strcmp(name, arg))) {
        jvc_say("%s %s%s", arg, access(arg, F_OK) ? "is not there" : "is no plugin: its name would be jv_NAME.so",
            jvc_nearest_file(&near, arg));
        free(name);
        return 2;
    }
    struct jvc_plugin *p = NULL;
    const jv_stage *s = jvc_plugin_stage(name, &p, &err);
    bool whole_file = !s && p && !strchr(name, '/');
    free(name);
    if (!s && !whole_file) {
        jvc_say("%s", err.text);
        return 2;
    }
    size_t n = 0;
    struct jvc_shown *shown = add(NULL, &n, p, s);
    print_as(form, shown, n);
    free(shown);
    return 0;
}
