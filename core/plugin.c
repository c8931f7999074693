/* plugin.c: see plugin.h. */
#include "plugin.h"
#include "option.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "jv_"
#define SUFFIX ".so"
#define MAX_FOLDERS 64

static char *folders[MAX_FOLDERS];
static size_t n_folders;
static struct jvc_plugin **loaded;
static size_t n_loaded;

static void add_folder(char *path)
{
    if (n_folders == MAX_FOLDERS)
        free(path);
    else
        folders[n_folders++] = path;
}

void jvc_plugin_folders(const char *const *plugin_path, size_t n)
{
    char exe[4096];
    while (n_folders) free(folders[--n_folders]);
    for (size_t i = 0; i < n; i++) add_folder(jvc_strdup(plugin_path[i]));
    ssize_t len = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[len > 0 ? len : 0] = 0;
    char *slash = strrchr(exe, '/');
    if (slash) add_folder(jvc_format("%.*s/plugins", (int)(slash - exe), exe));
    add_folder(jvc_strdup(JVC_PLUGIN_DIR));
}

const void *jvc_row(const void *table, uint32_t stride, uint32_t i)
{
    if (!table) return NULL;
    const char *row = (const char *)table + (size_t)stride * i;
    const char *const *name = (const void *)row; /* the first member of every row is its name */
    return *name ? row : NULL;
}

/* One line of a refusal: what the plugin has, what the host wants. */
static int32_t size_fits(const char *what, uint32_t theirs, size_t ours, jv_err *err)
{
    if (theirs == ours) return JV_OK;
    return jv_fail(err, JV_BAD, "its %s has %u bytes, the host's %zu: it was built against another jevons.h", what,
        theirs, ours);
}

static int32_t check_layout(const jv_plugin *d, jv_err *err)
{
    if (memcmp(d->magic, JV_MAGIC, sizeof JV_MAGIC))
        return jv_fail(err, JV_BAD, "its jv_plugin_desc begins with \"%.7s\", not \"" JV_MAGIC "\": no jevons plugin",
            d->magic);
    if (d->abi_major != JV_ABI_MAJOR || d->abi_minor > JV_ABI_MINOR)
        return jv_fail(err, JV_BAD, "it speaks ABI %u.%u, the host %u.%u", d->abi_major, d->abi_minor, JV_ABI_MAJOR,
            JV_ABI_MINOR);
    const struct {
        const char *what;
        uint32_t theirs;
        size_t ours;
    } sizes[] = {
        {"jv_plugin", d->struct_size, sizeof(jv_plugin)},
        {"jv_stage", d->stage_size, sizeof(jv_stage)},
        {"jv_field", d->field_size, sizeof(jv_field)},
        {"jv_port", d->port_size, sizeof(jv_port)},
        {"jv_opt", d->opt_size, sizeof(jv_opt)},
        {"jv_counter", d->counter_size, sizeof(jv_counter)},
        {"jv_service", d->service_size, sizeof(jv_service)},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (size_fits(sizes[i].what, sizes[i].theirs, sizes[i].ours, err) < 0) return JV_BAD;
    return JV_OK;
}

const char *const jvc_host_keys[] = {"plugin", "from", "threads", "on_error", "retries", "in_flight", "ordered",
    "isolate", "timeout", "priority", NULL};

/* A key of a section: of the host, a field's row, or an option. Two of one name could not both be set. */
static int32_t check_key(const jv_plugin *d, const jv_stage *s, const char *key, jv_err *err)
{
    int n = 0;
    for (size_t i = 0; jvc_host_keys[i]; i++)
        if (!strcmp(key, jvc_host_keys[i]))
            return jv_fail(err, JV_BAD, "stage %s: `%s` is a key of the host", s->name, key);
    for (uint32_t i = 0; JVC_FIELD(d, s, i); i++) n += !strcmp(key, JVC_FIELD(d, s, i)->name);
    for (uint32_t i = 0; JVC_OPT(d, s, i); i++) n += !strcmp(key, JVC_OPT(d, s, i)->name);
    return n > 1 ? jv_fail(err, JV_BAD, "stage %s: `%s` stands twice among its fields and options", s->name, key) : JV_OK;
}

static int32_t check_stage(const jv_plugin *d, const jv_stage *s, jv_err *err)
{
    if (!s->name || !*s->name || !s->brief) return jv_fail(err, JV_BAD, "a stage without a name or brief");
    if (s->poll && s->process)
        return jv_fail(err, JV_BAD, "stage %s has poll and process: a source or a filter?", s->name);
    if (s->poll && !JVC_PORT(d, s, 0)) return jv_fail(err, JV_BAD, "source %s has no port", s->name);
    if (!s->poll && !s->process && s->ports)
        return jv_fail(err, JV_BAD, "stage %s has ports but neither poll nor process", s->name);
    if (s->threads > 1 && !(s->flags & JV_PARALLEL))
        return jv_fail(err, JV_BAD, "stage %s wants %u threads but is not PARALLEL", s->name, s->threads);
    if ((s->flags & JV_PARALLEL) && (s->flags & JV_ORDERED))
        return jv_fail(err, JV_BAD, "stage %s is PARALLEL and ORDERED", s->name);
    for (uint32_t i = 0; JVC_PORT(d, s, i); i++)
        if (i >= JV_MAX_PORTS) return jv_fail(err, JV_BAD, "stage %s has more than %d ports", s->name, JV_MAX_PORTS);
    for (uint32_t i = 0; JVC_FIELD(d, s, i); i++) {
        const jv_field *f = JVC_FIELD(d, s, i);
        bool in = f->access & JV_IN, out = f->access & JV_OUT;
        if (f->type < JV_UTF8 || f->type > JV_F64 || !f->field || !f->help || in == out)
            return jv_fail(err, JV_BAD, "stage %s: field row %s lacks a type, name, help, or one of JV_IN and JV_OUT",
                s->name, f->name);
        if (check_key(d, s, f->name, err) < 0) return JV_BAD;
    }
    for (uint32_t i = 0; JVC_OPT(d, s, i); i++) {
        if (jvc_option_check(JVC_OPT(d, s, i), s->ctx_size, err) < 0 || check_key(d, s, JVC_OPT(d, s, i)->name, err) < 0)
            return JV_BAD;
    }
    return JV_OK;
}

static int32_t check_plugin(const jv_plugin *d, const char *name, jv_err *err)
{
    if (check_layout(d, err) < 0) return JV_BAD;
    if (!d->name || !d->version || !d->license || !d->stages || !d->n_stages)
        return jv_fail(err, JV_BAD, "its description has holes");
    if (strcmp(d->name, name))
        return jv_fail(err, JV_BAD, "it calls itself %s: rename the file to " PREFIX "%s" SUFFIX, d->name, d->name);
    for (uint32_t i = 0; i < d->n_stages; i++)
        if (check_stage(d, JVC_STAGE(d, i), err) < 0) return JV_BAD;
    if (d->n_stages == 1 && strcmp(d->stages->name, d->name))
        return jv_fail(err, JV_BAD, "its only stage is called %s, not %s like the plugin", d->stages->name, d->name);
    return JV_OK;
}

/* Loads one file, once. */
static struct jvc_plugin *load(const char *path, const char *name, jv_err *err)
{
    for (size_t i = 0; i < n_loaded; i++)
        if (!strcmp(loaded[i]->name, name)) return loaded[i];
    void *dso = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!dso) {
        jv_fail(err, JV_BAD, "%s does not load: %s", path, dlerror());
        return NULL;
    }
    const jv_plugin *d = dlsym(dso, "jv_plugin_desc");
    jv_err why;
    if (!d || check_plugin(d, name, &why) < 0) {
        if (d)
            jv_fail(err, JV_BAD, "%s is refused: %s", path, why.text);
        else
            jv_fail(err, JV_BAD, "%s is refused: it exports no jv_plugin_desc: no jevons plugin", path);
        return NULL;
    }
    struct jvc_plugin *p = jvc_alloc(sizeof *p);
    *p = (struct jvc_plugin){jvc_strdup(path), jvc_strdup(name), d};
    loaded = jvc_room(loaded, n_loaded, sizeof *loaded);
    return loaded[n_loaded++] = p;
}

static bool plugin_name_ok(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(name);
}

/* The name within "jv_NAME.so", to be freed, or null. */
static char *name_of_file(const char *file)
{
    size_t n = strlen(file), around = strlen(PREFIX SUFFIX);
    if (n <= around || strncmp(file, PREFIX, strlen(PREFIX)) || strcmp(file + n - strlen(SUFFIX), SUFFIX)) return NULL;
    char *name = jvc_strndup(file + strlen(PREFIX), n - around);
    if (plugin_name_ok(name)) return name;
    free(name);
    return NULL;
}

/* Calls `each` for every plugin file, the first folder's before the next one's. */
static void each_file(void (*each)(void *arg, const char *path, const char *name), void *arg)
{
    for (size_t i = 0; i < n_folders; i++) {
        DIR *dir = opendir(folders[i]);
        for (struct dirent *e; dir && (e = readdir(dir));) {
            char *name = name_of_file(e->d_name), *path = jvc_format("%s/%s", folders[i], e->d_name);
            if (name) each(arg, path, name);
            free(name);
            free(path);
        }
        if (dir) closedir(dir);
    }
}

static void try_name(void *arg, const char *path, const char *name)
{
    struct jvc_nearest *near = arg;
    char *keep = jvc_strdup(name);
    const char *before = near->best;
    jvc_nearest_try(near, keep);
    if (near->best == before)
        free(keep);
    else
        free((char *)before);
}

static struct jvc_plugin *find(const char *name, jv_err *err)
{
    if (!plugin_name_ok(name)) {
        jv_fail(err, JV_BAD, "`%.60s` is no name of a plugin", name);
        return NULL;
    }
    for (size_t i = 0; i < n_folders; i++) {
        char *path = jvc_format("%s/" PREFIX "%s" SUFFIX, folders[i], name);
        bool there = !access(path, F_OK);
        struct jvc_plugin *p = there ? load(path, name, err) : NULL;
        free(path);
        if (there) return p;
    }
    struct jvc_nearest near = {.name = name};
    each_file(try_name, &near);
    jv_fail(err, JV_BAD, "no plugin %s (" PREFIX "%s" SUFFIX ")%s `jevons plugins` lists those there are", name, name,
        near.best ? jvc_nearest_hint(&near) : ";");
    free((char *)near.best);
    return NULL;
}

const jv_stage *jvc_plugin_stage(const char *name, struct jvc_plugin **plugin, jv_err *err)
{
    const char *slash = strchr(name, '/');
    char *file = slash ? jvc_strndup(name, (size_t)(slash - name)) : jvc_strdup(name);
    struct jvc_plugin *p = find(file, err);
    free(file);
    if (!p) return NULL;
    *plugin = p;
    if (!slash && p->desc->n_stages == 1) return JVC_STAGE(p->desc, 0);
    char list[256] = "";
    for (uint32_t i = 0; i < p->desc->n_stages; i++) {
        const jv_stage *s = JVC_STAGE(p->desc, i);
        if (slash && !strcmp(slash + 1, s->name)) return s;
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s/%s", n ? ", " : "", p->name, s->name);
    }
    jv_fail(err, JV_BAD,
        slash ? "plugin %s has no such stage; it has %s" : "plugin %s holds several stages: name one of %s",
        slash ? name : p->name, list);
    return NULL;
}

static void load_one(void *arg, const char *path, const char *name)
{
    void (**refused)(const char *, const jv_err *) = arg;
    jv_err err;
    if (!load(path, name, &err) && *refused) (*refused)(path, &err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct jvc_plugin *const *)a)->name, (*(struct jvc_plugin *const *)b)->name);
}

struct jvc_plugin *const *jvc_plugin_all(size_t *n, void (*refused)(const char *path, const jv_err *why))
{
    each_file(load_one, &refused);
    if (n_loaded) qsort(loaded, n_loaded, sizeof *loaded, by_name);
    *n = n_loaded;
    return loaded;
}
