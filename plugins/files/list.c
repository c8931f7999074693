/*
 * list.c: from paths, globs and folders to a sorted list of files. See list.h.
 *
 * A path is taken literally as far as it exists; only what is left may be a glob, so `[draft]/x.txt` finds the
 * folder `[draft]` and a pipeline file below a folder named `a*b` still works. Links are followed, but a folder is
 * never entered from within itself. What cannot be used is never left out in silence: it is an error, a warning
 * with a count, or a file of the list whose reading fails later.
 */
#include "list.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../utf8.h"

#define MAX_DEPTH 64         /* folders within folders */
#define MAX_VISITED 10000000 /* folder entries seen; links between folders can make more paths than there are files */
#define MAX_ID 4096          /* bytes */

/* A folder on the way down to where the walk is. */
struct above {
    const struct above *up;
    dev_t dev;
    ino_t ino;
    int depth;
};

/* One path's walk; the first of each kind is shown, the others are counted. */
struct walk {
    struct file_list *l;
    const struct file_rules *r;
    size_t base; /* where ids begin in a path */
    size_t files, not_matched, hidden, special, loops;
    struct utf8_shown first_special, first_loop;
};

static struct utf8_shown show(const char *s)
{
    return utf8_show(s, strlen(s));
}

static int32_t no_memory(jv_err *err)
{
    return jv_fail(err, JV_FATAL, "no memory for the list of files");
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static char *make_id(const char *rel)
{
    size_t n = strlen(rel);
    if (utf8_valid(rel, n) == n) return strdup(rel);
    size_t want = utf8_escape(NULL, 0, rel, n);
    char *id = malloc(want + 1);
    if (id) utf8_escape(id, want + 1, rel, n);
    return id;
}

static int32_t append(struct walk *w, const char *path, jv_err *err)
{
    struct file_list *l = w->l;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct file *v =
            realloc(l->v, cap * sizeof *v); /* at most MAX_VISITED and the paths of an INI value: no overflow */
        if (!v) return no_memory(err);
        l->v = v;
        l->cap = cap;
    }
    struct file f = {.path = strdup(path), .id = make_id(path + w->base)};
    if (!f.path || !f.id) {
        free(f.path);
        free(f.id);
        return no_memory(err);
    }
    l->v[l->n++] = f;
    w->files++;
    size_t n = strlen(f.id);
    if (n > MAX_ID)
        return jv_fail(err, JV_FATAL, "the path %s has %zu bytes, an id has at most %d", show(f.id).text, n, MAX_ID);
    return JV_OK;
}

static int by_id(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    int order = strcmp(x->id, y->id);
    return order ? order : strcmp(x->path, y->path);
}

int32_t file_list_sort(struct file_list *l, jv_err *err)
{
    if (l->n) qsort(l->v, l->n, sizeof *l->v, by_id);
    for (size_t i = 1; i < l->n; i++) {
        if (strcmp(l->v[i - 1].id, l->v[i].id)) continue;
        return jv_fail(err, JV_FATAL, "%s and %s would both have the id %s", show(l->v[i - 1].path).text,
            show(l->v[i].path).text, show(l->v[i].id).text);
    }
    return JV_OK;
}

void file_list_free(struct file_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].path);
        free(l->v[i].id);
    }
    free(l->v);
    *l = (struct file_list){0};
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static bool matches(const jv_list *patterns, const char *rel)
{
    for (size_t i = 0; i < patterns->n; i++)
        if (fnmatch(patterns->v[i].p, rel, 0) == 0) return true;
    return false;
}

static void note(size_t *count, struct utf8_shown *first, const char *path)
{
    if ((*count)++ == 0) *first = show(path);
}

static bool within_itself(const struct above *up, const struct stat *st)
{
    for (; up; up = up->up)
        if (up->dev == st->st_dev && up->ino == st->st_ino) return true;
    return false;
}

static int32_t walk_folder(struct walk *w, const char *path, const struct above *here, jv_err *err);

/* An entry of a folder. `exclude` spares whole folders too, `include` is for files. */
static int32_t walk_entry(struct walk *w, const char *path, const struct above *up, jv_err *err)
{
    const char *rel = path + w->base;
    if (matches(&w->r->exclude, rel)) return w->not_matched++, JV_OK;
    struct stat st;
    bool known = stat(path, &st) == 0;
    if (known && S_ISDIR(st.st_mode)) {
        if (!w->r->recursive) return JV_OK;
        if (within_itself(up, &st)) return note(&w->loops, &w->first_loop, path), JV_OK;
        struct above here = {.up = up, .dev = st.st_dev, .ino = st.st_ino, .depth = up ? up->depth + 1 : 1};
        if (here.depth > MAX_DEPTH)
            return jv_fail(err, JV_FATAL, "folders are nested deeper than %d at %s", MAX_DEPTH, show(path).text);
        return walk_folder(w, path, &here, err);
    }
    if (w->r->include.n && !matches(&w->r->include, rel)) return w->not_matched++, JV_OK;
    if (known && !S_ISREG(st.st_mode)) return note(&w->special, &w->first_special, path), JV_OK;
    return append(w, path, err);
}

static char *join(const char *dir, const char *name)
{
    size_t n = strlen(dir), size = n + strlen(name) + 2;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
    return path;
}

static int32_t walk_name(struct walk *w, const char *dir, const char *name, const struct above *here, jv_err *err)
{
    if (!strcmp(name, ".") || !strcmp(name, "..")) return JV_OK;
    if (++w->l->visited > MAX_VISITED)
        return jv_fail(err, JV_FATAL, "more than %d paths in the folders named", MAX_VISITED);
    if (name[0] == '.' && !w->r->hidden) return w->hidden++, JV_OK;
    char *path = join(dir, name);
    if (!path) return no_memory(err);
    int32_t rc = walk_entry(w, path, here, err);
    free(path);
    return rc;
}

static int32_t walk_folder(struct walk *w, const char *path, const struct above *here, jv_err *err)
{
    DIR *d = opendir(path);
    if (!d && strlen(path) <= w->base)
        return jv_fail(err, JV_FATAL, "cannot list %s: %s", show(path).text, strerror(errno));
    if (!d) return append(w, path, err); /* reading it will fail and say why */
    int32_t rc = JV_OK;
    const struct dirent *e = NULL;
    while (rc == JV_OK) {
        errno = 0;
        e = readdir(d);
        if (!e) break;
        rc = walk_name(w, path, e->d_name, here, err);
    }
    if (!e && errno) rc = jv_fail(err, JV_FATAL, "cannot list %s: %s", show(path).text, strerror(errno));
    closedir(d);
    return rc;
}

/* ---- globs ------------------------------------------------------------------------------------------------------- */

/* The length of the part of a path, up to and with a slash, that exists as it is written. */
static size_t fixed_part(char *path)
{
    size_t fixed = 0;
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        char after = slash[1];
        slash[1] = 0;
        struct stat st;
        bool there = stat(path, &st) == 0;
        slash[1] = after;
        if (!there) break;
        fixed = (size_t)(slash - path) + 1;
    }
    return fixed;
}

/* A pattern that begins with a dot matches `.` and `..` too, which would lead out of the folder. */
static bool has_dots(const char *rel)
{
    while (*rel) {
        size_t n = strcspn(rel, "/");
        if ((n == 1 && rel[0] == '.') || (n == 2 && rel[0] == '.' && rel[1] == '.')) return true;
        rel += n + (rel[n] == '/');
    }
    return false;
}

static void strip_slashes(char *path)
{
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = 0;
}

/* Matches of a path that does not exist as it is written; `fixed` gets the length of its literal part. globfree the
 * result also on failure. */
static int32_t expand(char *path, glob_t *found, size_t *fixed, jv_err *err)
{
    *found = (glob_t){0};
    *fixed = fixed_part(path);
    if (!strpbrk(path + *fixed, "*?["))
        return jv_fail(err, JV_BAD, "`path`: no such file or folder: %s", show(path).text);
    char *pattern = malloc(2 * *fixed + strlen(path + *fixed) + 1), *p = pattern;
    if (!pattern) return no_memory(err);
    for (size_t i = 0; i < *fixed; i++) {
        if (strchr("*?[\\", path[i])) *p++ = '\\';
        *p++ = path[i];
    }
    strcpy(p, path + *fixed);
    int rc = glob(pattern, GLOB_ERR | GLOB_NOSORT, NULL, found);
    free(pattern);
    if (rc == GLOB_ABORTED)
        return jv_fail(err, JV_BAD, "`path`: a folder on the way of %s cannot be read: %s", show(path).text,
            strerror(errno));
    if (rc == GLOB_NOSPACE) return no_memory(err);
    size_t kept = 0;
    for (size_t i = 0; rc == 0 && i < found->gl_pathc; i++) kept += !has_dots(found->gl_pathv[i] + *fixed);
    return kept ? JV_OK : jv_fail(err, JV_BAD, "`path`: nothing matches %s", show(path).text);
}

/* ---- a path ------------------------------------------------------------------------------------------------------ */

static char *clean(const char *path, jv_err *err)
{
    char *copy = strdup(path);
    if (copy)
        strip_slashes(copy);
    else
        no_memory(err);
    return copy;
}

int32_t file_list_check(const char *given, jv_err *err)
{
    size_t n = strlen(given);
    if (utf8_valid(given, n) != n) return jv_fail(err, JV_BAD, "`path`: %s is not UTF-8", show(given).text);
    char *path = clean(given, err);
    if (!path) return JV_FATAL;
    struct stat st;
    int32_t rc = JV_OK;
    if (stat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            rc = jv_fail(err, JV_BAD, "`path`: %s is neither a file nor a folder", show(path).text);
    } else {
        glob_t found;
        size_t fixed;
        rc = expand(path, &found, &fixed, err);
        globfree(&found);
    }
    free(path);
    return rc;
}

static void warn(const struct walk *w, const char *path)
{
    const jv_host *h = w->r->h;
    if (w->special)
        h->log(h, JV_LOG_WARN, "%s: %zu left out that are no files (fifos, devices, sockets), the first: %s",
            show(path).text, w->special, w->first_special.text);
    if (w->loops)
        h->log(h, JV_LOG_WARN, "%s: %zu links not followed into a folder they lie in, the first: %s", show(path).text,
            w->loops, w->first_loop.text);
    if (!w->files)
        h->log(h, JV_LOG_WARN, "%s: no file to read (%zu hidden, %zu left out by include and exclude)", show(path).text,
            w->hidden, w->not_matched);
    else if (w->hidden || w->not_matched)
        h->log(h, JV_LOG_INFO, "%s: %zu files, %zu hidden and %zu left out by include and exclude", show(path).text,
            w->files, w->hidden, w->not_matched);
}

/* A path that exists: ids begin at `base`, for a folder named by itself behind its own name. */
static int32_t add_path(struct walk *w, char *path, jv_err *err)
{
    struct stat st;
    bool known = stat(path, &st) == 0;
    if (known && S_ISDIR(st.st_mode)) {
        struct above here = {.dev = st.st_dev, .ino = st.st_ino, .depth = 1};
        return walk_folder(w, path, &here, err);
    }
    if (known && !S_ISREG(st.st_mode)) return note(&w->special, &w->first_special, path), JV_OK;
    return append(w, path, err);
}

static int32_t add_matches(struct walk *w, char *path, jv_err *err)
{
    glob_t found;
    int32_t rc = expand(path, &found, &w->base, err);
    for (size_t i = 0; rc == JV_OK && i < found.gl_pathc; i++) {
        if (has_dots(found.gl_pathv[i] + w->base)) continue;
        strip_slashes(found.gl_pathv[i]);
        rc = add_path(w, found.gl_pathv[i], err);
    }
    globfree(&found);
    return rc;
}

int32_t file_list_add(struct file_list *l, const struct file_rules *r, const char *given, jv_err *err)
{
    char *path = clean(given, err);
    if (!path) return JV_FATAL;
    struct walk w = {.l = l, .r = r};
    struct stat st;
    int32_t rc;
    if (lstat(path, &st) == 0) {
        size_t n = strlen(path);
        const char *slash = strrchr(path, '/');
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            w.base = n + (path[n - 1] != '/');
        else
            w.base = slash ? (size_t)(slash - path) + 1 : 0;
        rc = add_path(&w, path, err);
    } else {
        rc = add_matches(&w, path, err);
    }
    if (rc == JV_OK) warn(&w, path);
    free(path);
    return rc;
}
