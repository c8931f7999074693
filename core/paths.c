/*
 * paths.c: the paths of a pipeline, looked at before anything opens: what is to be read is there, what is to be written
 * can be made, nobody writes a file that somebody reads or another one writes, and standard input has one reader.
 */
#include "option.h"
#include "pipeline.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_SEEN 10000 /* of a folder, for one that is near */

/* One path, or a source on standard input, and what becomes of it. */
struct use {
    struct jvc_stage *s;    /* null: [pipeline] */
    const char *key, *path; /* key null: the section as a whole */
    struct jvc_where where;
    enum { READS, MATCHES, WRITES } how;
    bool standard_input, by_default; /* by_default: the dead-letter file, where the INI file names none */
    bool compared;                   /* others must not write it: no device, no folder, no fifo */
    bool there;
    dev_t dev; /* of what is there */
    ino_t ino;
    size_t at;  /* among all */
    char *real; /* the path from the root, with links followed as far as it exists: so many bytes */
    size_t n_real;
};

struct uses {
    struct use *v;
    size_t n;
};

static const char *section_of(const struct use *x)
{
    return x->s ? x->s->sec->name : "pipeline";
}

/* Who is at fault, for a message; to be freed. */
static char *subject(const struct use *x)
{
    return x->key ? jvc_format("`%s`", x->key) : jvc_format("[%s]", section_of(x));
}

/* ---- one path ---- */

/* The name that is nearest to the last one of a path that is not there. */
static const char *near_name(struct jvc_nearest *near, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? jvc_strndup(path, (size_t)(slash - path) + 1) : jvc_strdup(".");
    DIR *dir = opendir(folder);
    const struct dirent *e;
    *near = (struct jvc_nearest){.name = slash ? slash + 1 : path};
    for (int i = 0; dir && i < NAMES_SEEN && (e = readdir(dir)); i++)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) jvc_nearest_try(near, e->d_name);
    if (dir) closedir(dir);
    free(folder);
    return jvc_nearest_hint(near);
}

static void cannot_read(struct jvc_conf *conf, const struct use *x)
{
    struct jvc_nearest near;
    int reason = errno;
    jvc_problem(conf, x->where, "`%s`: %s cannot be read: %s%s", x->key, x->path, strerror(reason),
        reason == ENOENT ? near_name(&near, x->path) : "");
}

/* Whether a file that is not there can be made. */
static bool can_be_made(struct jvc_conf *conf, const struct use *x)
{
    struct jvc_nearest near;
    const char *slash = strrchr(x->path, '/');
    if (slash && !slash[1]) {
        jvc_problem(conf, x->where, "`%s`: %s names a folder, not a file", x->key, x->path);
        return false;
    }
    char *folder = slash ? jvc_strndup(x->path, (size_t)(slash - x->path) + 1) : jvc_strdup("./");
    bool ok = access(folder, W_OK | X_OK) == 0;
    int reason = errno;
    char *name = jvc_strndup(folder, strlen(folder) - 1);
    if (!ok)
        jvc_problem(conf, x->where, "`%s`: %s cannot be made in %s: %s%s", x->key, x->path, folder, strerror(reason),
            reason == ENOENT ? near_name(&near, name) : "");
    free(name);
    free(folder);
    return ok;
}

static bool is_pattern(const struct use *x)
{
    return x->how == MATCHES && !x->there && strpbrk(x->path, "*?[");
}

static bool can_be_used(struct jvc_conf *conf, const struct use *x, mode_t mode)
{
    if (x->standard_input) {
        int flags = fcntl(STDIN_FILENO, F_GETFL);
        if (flags >= 0 && (flags & O_ACCMODE) != O_WRONLY) return true;
        char *who = subject(x);
        jvc_problem(conf, x->where, "%s: standard input is %s", who, flags < 0 ? "closed" : "not open for reading");
        free(who);
        return false;
    }
    if (x->how != WRITES) {
        if (is_pattern(x) || access(x->path, R_OK) == 0) return true;
        cannot_read(conf, x);
        return false;
    }
    if (!strcmp(x->path, "/dev/stdout")) return true; /* whoever made it may be somebody else */
    if (!x->there) return can_be_made(conf, x);
    if (!S_ISDIR(mode) && access(x->path, W_OK) == 0) return true;
    jvc_problem(conf, x->where, "`%s`: %s %s%s", x->key, x->path,
        S_ISDIR(mode) ? "is a folder" : "cannot be written: ", S_ISDIR(mode) ? "" : strerror(errno));
    return false;
}

/* Fills in `real`. */
static void find_real(struct use *x)
{
    char *head = jvc_strdup(x->path), *real = realpath(head, NULL);
    size_t n = strlen(head);
    while (!real && n) {
        while (n && head[n - 1] == '/') n--;
        while (n && head[n - 1] != '/') n--;
        head[n] = 0;
        real = realpath(n ? head : ".", NULL);
    }
    bool root = real && !strcmp(real, "/");
    x->n_real = real ? strlen(real) : 0;
    x->real = jvc_format("%s%s%s", real ? real : "", root || !x->path[n] ? "" : "/", x->path + n);
    free(real);
    free(head);
}

/* Adds a path to those that are compared with each other, or tells what is wrong with it. */
static void add(struct jvc_pipeline *pl, struct uses *u, struct use x)
{
    struct stat st;
    x.there = (x.standard_input ? fstat(STDIN_FILENO, &st) : stat(x.path, &st)) == 0;
    if (x.there) {
        x.dev = st.st_dev;
        x.ino = st.st_ino;
    }
    x.compared = x.there ? S_ISREG(st.st_mode) : !is_pattern(&x);
    if (!x.by_default && !can_be_used(&pl->conf, &x, x.there ? st.st_mode : 0)) {
        if (x.s) x.s->bad_path = true;
        return;
    }
    if (!x.standard_input) find_real(&x);
    x.at = u->n;
    u->v = jvc_room(u->v, u->n, sizeof *u->v);
    u->v[u->n++] = x;
}

/* ---- all paths ---- */

/* The line of item i of n: its own, where the list has one a line. */
static struct jvc_where item_where(const struct jvc_entry *e, size_t i, size_t n)
{
    struct jvc_where where = e->where;
    size_t first = !e->n_more || e->more[0].at; /* items before the indented lines */
    if (n == first + e->n_more && i >= first) where.line = e->more[i - first].line;
    return where;
}

static void add_values(struct jvc_pipeline *pl, struct uses *u, struct use x, const jv_opt *o, const struct jvc_entry *e)
{
    const char *member = (const char *)x.s->ctx + o->offset;
    if (o->type == JV_OPT_TEXT) {
        memcpy(&x.path, member, sizeof x.path);
        if (x.path) add(pl, u, x);
        return;
    }
    const jv_list *list = (const void *)member;
    for (size_t i = 0; i < list->n; i++) {
        x.path = list->v[i].p;
        x.where = e ? item_where(e, i, list->n) : x.s->sec->where;
        x.standard_input = jvc_option_is_stdin(o, list->v[i]);
        add(pl, u, x);
    }
}

/* A TEXT or LIST. What was wrong with the value itself is told already. */
static void add_option(struct jvc_pipeline *pl, struct uses *u, struct use x, const jv_opt *o)
{
    const struct jvc_entry *e = jvc_section_entry(x.s->sec, o->name);
    const char *value = e ? e->value : o->def;
    if (!value) return;
    x.where = e ? e->where : x.s->sec->where;
    if (value[strspn(value, " \t\n")]) {
        add_values(pl, u, x, o, e);
    } else if (!o->def || *o->def) {
        jvc_problem(&pl->conf, x.where, "`%s`: no path", o->name);
        x.s->faulty = true;
    }
}

static void add_map(struct jvc_pipeline *pl, struct uses *u, struct use x, const jv_opt *o)
{
    const jv_map *map = (const void *)((const char *)x.s->ctx + o->offset);
    size_t k = 0;
    for (size_t i = 0; i < x.s->sec->n && k < map->key.n; i++) {
        const struct jvc_entry *e = &x.s->sec->entries[i];
        if (e->name + strlen(o->name) + 1 != map->key.v[k].p) continue; /* keys lie in the entries' names */
        x.key = e->name;
        x.path = map->val.v[k++].p;
        x.where = e->where;
        add(pl, u, x);
    }
}

static void add_stage(struct jvc_pipeline *pl, struct uses *u, struct jvc_stage *s)
{
    if (s->kind == JVC_SOURCE && s->def->flags & JV_TERMINAL)
        add(pl, u, (struct use){.s = s, .where = s->sec->where, .standard_input = true});
    for (const jv_opt *o = s->def->opts; JVC_ROW(o, 0); o++) {
        int range = o->type == JV_OPT_REF ? JVC_TEXT : jvc_range_path(o->range);
        if (range <= JVC_PATH) continue;
        struct use x = {.s = s, .key = o->name};
        x.how = range == JVC_PATH_WRITE ? WRITES : range == JVC_PATH_GLOB ? MATCHES : READS;
        if (o->type == JV_OPT_MAP)
            add_map(pl, u, x, o);
        else
            add_option(pl, u, x, o);
    }
}

static void add_dead_letters(struct jvc_pipeline *pl, struct uses *u)
{
    struct jvc_section *sec = jvc_conf_section(&pl->conf, "pipeline");
    const struct jvc_entry *e = sec ? jvc_section_entry(sec, "dead_letter") : NULL;
    if (e && (!e->value || !*e->value)) return;
    struct use x = {.key = "dead_letter", .path = pl->dead_path, .how = WRITES, .by_default = !e};
    if (e) x.where = e->where;
    add(pl, u, x);
}

/* ---- one beside another ---- */

/* x and another one are at the same thing, which cannot be: told at x. */
static void collide(struct jvc_conf *conf, const struct use *x, const struct use *other)
{
    static const char *const does[] = {"reads", "reads", "writes"};
    char *who = subject(x), *place = jvc_where_text(other->where);
    const char *what = x->standard_input ? "standard input" : x->path;
    if (x->by_default)
        collide(conf, other, x);
    else if (other->by_default)
        jvc_problem(conf, x->where,
            "`%s`: it %s %s, where rejected records go: name another file for either (`dead_letter`)", x->key,
            does[x->how], what);
    else
        jvc_problem(conf, x->where, "%s: it %s %s, which [%s] %s%s (%s)", who, does[x->how], what, section_of(other),
            does[other->how], does[x->how] == does[other->how] ? " too" : "", place);
    free(place);
    free(who);
}

/* Same files side by side, those that are to be made behind those that are there. */
static int by_file(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    if (x->there != y->there) return x->there ? -1 : 1;
    if (!x->there) return strcmp(x->real, y->real);
    if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
    return (x->ino > y->ino) - (x->ino < y->ino);
}

static int by_file_and_order(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    int files = by_file(x, y);
    return files ? files : (x->at > y->at) - (x->at < y->at);
}

static bool is_stdout(const struct use *x)
{
    return x->path && !strcmp(x->path, "/dev/stdout");
}

/* n uses of one file: nobody reads it, or nobody writes it, and one writer is enough. */
static void compare_same(struct jvc_conf *conf, const struct use *v, size_t n)
{
    const struct use *reader = NULL, *writer = NULL;
    for (size_t i = 0; i < n; i++)
        if (v[i].how != WRITES && !reader) reader = &v[i];
    for (size_t i = 0; i < n; i++) {
        if (v[i].how != WRITES) continue;
        if (reader)
            collide(conf, &v[i], reader);
        else if (writer && !(is_stdout(writer) && is_stdout(&v[i]))) /* these share it, with its position */
            collide(conf, &v[i], writer);
        else
            writer = &v[i];
    }
}

/* A pattern reads what will match it, too. */
static void compare_patterns(struct jvc_conf *conf, const struct uses *u)
{
    for (size_t i = 0; i < u->n; i++)
        for (size_t k = 0; is_pattern(&u->v[i]) && k < u->n; k++) {
            const struct use *p = &u->v[i], *w = &u->v[k];
            if (w->how != WRITES || !w->compared || strncmp(p->real, w->real, p->n_real)) continue;
            if (!fnmatch(p->real + p->n_real, w->real + p->n_real, FNM_PATHNAME | FNM_PERIOD)) collide(conf, w, p);
        }
}

static void compare(struct jvc_conf *conf, struct uses *u)
{
    const struct use *reader = NULL;
    struct use *same = jvc_alloc(u->n * sizeof *same);
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++) {
        if (u->v[i].compared) same[n++] = u->v[i];
        if (!u->v[i].standard_input) continue;
        if (reader) collide(conf, &u->v[i], reader);
        if (!reader) reader = &u->v[i];
    }
    compare_patterns(conf, u);
    qsort(same, n, sizeof *same, by_file_and_order);
    for (size_t i = 0, to; i < n; i = to) {
        for (to = i + 1; to < n && !by_file(&same[i], &same[to]);) to++;
        compare_same(conf, &same[i], to - i);
    }
    free(same);
}

void jvc_paths_check(struct jvc_pipeline *pl)
{
    struct uses u = {0};
    for (uint32_t i = 0; i < pl->n; i++) add_stage(pl, &u, pl->stages[i]);
    add_dead_letters(pl, &u);
    compare(&pl->conf, &u);
    for (size_t i = 0; i < u.n; i++) free(u.v[i].real);
    free(u.v);
}
