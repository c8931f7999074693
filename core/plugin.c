/* plugin.c: see plugin.h. */
#include "plugin.h"
#include "fit.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* Whether a file ends before what is to be mapped of it, as one does whose copying was broken off: ld.so does not look,
 * and the process would end by a signal. What else may be wrong ld.so tells. */
static bool is_cut(const char *path)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) part;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool cut = false;
    bool elf = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && read(fd, &head, sizeof head) == sizeof head &&
               !memcmp(head.e_ident, ELFMAG, SELFMAG) && head.e_phentsize == sizeof part;
    for (unsigned i = 0; elf && !cut && i < head.e_phnum; i++) {
        cut = pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)) != sizeof part;
        if (!cut && part.p_type == PT_LOAD)
            cut = part.p_offset > (ElfW(Off))st.st_size || part.p_filesz > (ElfW(Off))st.st_size - part.p_offset;
    }
    if (fd >= 0) close(fd);
    return cut;
}

/* Loads one file, once. */
static struct jvc_plugin *load(const char *path, const char *name, jv_err *err)
{
    for (size_t i = 0; i < n_loaded; i++)
        if (!strcmp(loaded[i]->name, name)) return loaded[i];
    if (is_cut(path)) {
        jv_fail(err, JV_BAD, "%s is refused: it is cut short", path);
        return NULL;
    }
    void *dso = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!dso) {
        jv_fail(err, JV_BAD, "%s does not load: %s", path, dlerror());
        return NULL;
    }
    const jv_plugin *theirs = dlsym(dso, "jv_plugin_desc");
    if (!theirs) {
        jv_fail(err, JV_BAD, "%s is refused: it exports no jv_plugin_desc: no jevons plugin", path);
        return NULL;
    }
    struct jvc_arena mem = {0};
    jv_err why;
    const jv_plugin *d = jvc_fit(theirs, name, &mem, &why);
    if (!d) {
        jv_fail(err, JV_BAD, "%s is refused: %s", path, why.text);
        jvc_arena_free(&mem);
        return NULL;
    }
    struct jvc_plugin *p = jvc_alloc(sizeof *p);
    *p = (struct jvc_plugin){jvc_strdup(path), jvc_strdup(name), d, mem};
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
    jvc_nearest_try(arg, name);
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
    struct jvc_nearest near = {.name = slash ? slash + 1 : ""};
    for (uint32_t i = 0; i < p->desc->n_stages; i++) {
        const jv_stage *s = JVC_STAGE(p->desc, i);
        if (slash && !strcmp(slash + 1, s->name)) return s;
        if (slash) jvc_nearest_try(&near, s->name);
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s/%s", n ? ", " : "", p->name, s->name);
    }
    if (slash)
        jv_fail(err, JV_BAD, "plugin %s has no such stage%s it has %s", name, near.best ? jvc_nearest_hint(&near) : ";",
            list);
    else
        jv_fail(err, JV_BAD, "plugin %s holds several stages: name one of %s", p->name, list);
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
