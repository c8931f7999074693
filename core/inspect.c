/* inspect.c: see inspect.h. */
#include "inspect.h"
#include "option.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

static const char *kind_name(const jv_stage *d)
{
    if (d->poll) return "source";
    if (!d->process) return "resource";
    return d->ports ? "filter" : "sink";
}

static void refused(const char *path, const jv_err *why)
{
    jvc_say("%s", why->text);
}

int jvc_inspect_list(const char *folder)
{
    size_t n;
    jvc_plugin_folders(&folder, folder != NULL);
    struct jvc_plugin *const *all = jvc_plugin_all(&n, refused);
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < all[i]->desc->n_stages; k++) {
            const jv_stage *s = JVC_STAGE(all[i]->desc, k);
            char name[128];
            snprintf(name, sizeof name, all[i]->desc->n_stages > 1 ? "%s/%s" : "%s", all[i]->name, s->name);
            printf("%-16s %-9s %s\n", name, kind_name(s), s->brief);
        }
    if (!n) jvc_say("no plugins found");
    return n ? 0 : 1;
}

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
        printf("\n                     %s\n", o->help);
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

static void print_rest(const jv_plugin *d, const jv_stage *s)
{
    if (JVC_PORT(d, s, 0)) printf("\n  ports\n");
    for (uint32_t i = 0; JVC_PORT(d, s, i); i++)
        printf("    %-16s %s%s\n", JVC_PORT(d, s, i)->name, JVC_PORT(d, s, i)->help,
            JVC_PORT(d, s, i)->flags & JV_OPTIONAL ? " (need not be read)" : "");
    if (JVC_COUNTER(d, s, 0)) printf("\n  counters\n");
    for (uint32_t i = 0; JVC_COUNTER(d, s, i); i++)
        printf("    %-16s %s (%ss)\n", JVC_COUNTER(d, s, i)->name, JVC_COUNTER(d, s, i)->help,
            JVC_COUNTER(d, s, i)->unit);
    if (JVC_SERVICE(d, s, 0)) printf("\n  services\n");
    for (uint32_t i = 0; JVC_SERVICE(d, s, i); i++) printf("    %s\n", JVC_SERVICE(d, s, i)->id);
}

static void print_example(const struct jvc_plugin *p, const jv_stage *s)
{
    const jv_plugin *d = p->desc;
    printf("\n  example\n    [%s]\n    plugin = %s%s%s\n", s->name, p->name, d->n_stages > 1 ? "/" : "",
        d->n_stages > 1 ? s->name : "");
    for (uint32_t i = 0; JVC_OPT(d, s, i); i++) {
        const jv_opt *o = JVC_OPT(d, s, i);
        if (!o->def) printf("    %s = ...\n", o->name);
    }
}

static void print_stage(const struct jvc_plugin *p, const jv_stage *s)
{
    printf("%s%s%s %s, a %s: %s\n", p->name, p->desc->n_stages > 1 ? "/" : "", p->desc->n_stages > 1 ? s->name : "",
        p->desc->version, kind_name(s), s->brief);
    if (s->process)
        printf("  %s%s%s\n",
            s->flags & JV_PARALLEL ? "runs in several threads when `threads` says so" : "runs in one thread",
            s->flags & JV_ORDERED ? ", gets records in source order" : "",
            s->flags & JV_PARTIALS ? ", takes unfinished records too" : "");
    print_options(p->desc, s);
    print_fields(p->desc, s);
    print_rest(p->desc, s);
    print_example(p, s);
}

/* The name within PATH/jv_NAME.so, whose folder is then searched first; or the name itself. To be freed. */
static char *name_and_folder(const char *arg)
{
    const char *slash = strrchr(arg, '/'), *file = slash ? slash + 1 : arg;
    size_t n = strlen(file);
    bool path = n > 6 && !strncmp(file, "jv_", 3) && !strcmp(file + n - 3, ".so");
    char *folder = slash ? jvc_strndup(arg, (size_t)(slash - arg) + 1) : jvc_strdup(".");
    const char *first = folder;
    jvc_plugin_folders(&first, path);
    free(folder);
    return path ? jvc_strndup(file + 3, n - 6) : jvc_strdup(arg);
}

int jvc_inspect_one(const char *arg)
{
    char *name = name_and_folder(arg);
    jv_err err;
    struct jvc_plugin *p = NULL;
    const jv_stage *s = jvc_plugin_stage(name, &p, &err);
    bool whole_file = !s && p && !strchr(name, '/');
    free(name);
    if (!s && !whole_file) {
        jvc_say("%s", err.text);
        return 2;
    }
    for (uint32_t i = 0; !s && i < p->desc->n_stages; i++) {
        if (i) putchar('\n');
        print_stage(p, JVC_STAGE(p->desc, i));
    }
    if (s) print_stage(p, s);
    return 0;
}
