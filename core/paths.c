/*
 * paths.c: the paths of a pipeline, looked at before anything opens: what is to be read is there, and what is to be written
 * can be made. Whether two of them can be side by side is for paths_compare.c.
 */
#include "paths.h"
#include "option.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_LINKS 40 /* that lead on to each other */

char *jvc_use_subject(const struct jvc_use *x)
{
    return x->key ? jvc_format("`%s`", x->key) : jvc_format("[%s]", x->s ? x->s->sec->name : "pipeline");
}

/* ---- one path ---- */

static void cannot_read(struct jvc_conf *conf, const struct jvc_use *x)
{
    struct jvc_nearest near;
    int reason = errno;
    jvc_problem(conf, x->where, "`%s`: %s cannot be read: %s%s", x->key, x->path, strerror(reason),
        reason == ENOENT ? jvc_nearest_file(&near, x->path) : "");
}

/* What a path leads to when links at its end are followed, though nothing is there; to be freed. */
static char *led_to(const char *path)
{
    char *p = jvc_strdup(path), to[PATH_MAX];
    struct stat st;
    for (int i = 0; i < MAX_LINKS && stat(p, &st); i++) {
        ssize_t n = readlink(p, to, sizeof to);
        if (n <= 0 || (size_t)n == sizeof to) break;
        int before = *to != '/' && strrchr(p, '/') ? (int)(strrchr(p, '/') + 1 - p) : 0;
        char *next = jvc_format("%.*s%.*s", before, p, (int)n, to);
        free(p);
        p = next;
    }
    return p;
}

/* Whether a file that is not there can be made. */
static bool can_be_made(struct jvc_conf *conf, const struct jvc_use *x)
{
    struct jvc_nearest near;
    char *path = led_to(x->path), *slash = strrchr(path, '/');
    if (slash && !slash[1]) {
        jvc_problem(conf, x->where, "`%s`: %s names a folder, not a file", x->key, x->path);
        free(path);
        return false;
    }
    char *folder = slash ? jvc_strndup(path, (size_t)(slash - path) + 1) : jvc_strdup("./");
    bool ok = access(folder, W_OK | X_OK) == 0;
    int reason = errno;
    char *name = jvc_strndup(folder, strlen(folder) - 1);
    if (!ok)
        jvc_problem(conf, x->where, "`%s`: %s cannot be made in %s: %s%s", x->key, x->path, folder, strerror(reason),
            reason == ENOENT ? jvc_nearest_file(&near, name) : "");
    free(name);
    free(folder);
    free(path);
    return ok;
}

bool jvc_use_is_pattern(const struct jvc_use *x)
{
    return x->how == JVC_MATCHES && !x->there && strpbrk(x->path, "*?[");
}

static bool stdin_can_be_read(struct jvc_conf *conf, const struct jvc_use *x)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) != O_WRONLY) return true;
    char *who = jvc_use_subject(x);
    jvc_problem(conf, x->where, "%s: standard input is %s", who, flags < 0 ? "closed" : "not open for reading");
    free(who);
    return false;
}

static bool can_be_read(struct jvc_conf *conf, const struct jvc_use *x)
{
    if (jvc_use_is_pattern(x)) return true;
    if (access(x->path, x->how == JVC_ENTERS && x->folder ? X_OK : R_OK)) {
        cannot_read(conf, x);
        return false;
    }
    if (x->how == JVC_MATCHES || x->folder == (x->how == JVC_ENTERS)) return true;
    jvc_problem(conf, x->where, "`%s`: %s is %s", x->key, x->path, x->folder ? "a folder, not a file" : "no folder");
    return false;
}

static bool can_be_written(struct jvc_conf *conf, const struct jvc_use *x)
{
    if (x->standard || !strcmp(x->path, "/dev/stdout")) return true; /* whoever made it may be somebody else */
    if (!x->there) return can_be_made(conf, x);
    if (!x->folder && access(x->path, W_OK) == 0) return true;
    jvc_problem(conf, x->where, "`%s`: %s %s%s", x->key, x->path,
        x->folder ? "is a folder" : "cannot be written: ", x->folder ? "" : strerror(errno));
    return false;
}

static bool can_be_used(struct jvc_conf *conf, const struct jvc_use *x)
{
    if (x->by_default || x->configures) return true;
    if (x->how == JVC_WRITES) return can_be_written(conf, x);
    return x->standard ? stdin_can_be_read(conf, x) : can_be_read(conf, x);
}

/* Fills in `real`. */
static void find_real(struct jvc_use *x)
{
    char *path = led_to(x->path), *head = jvc_strdup(path), *real = realpath(head, NULL);
    size_t n = strlen(head);
    while (!real && n) {
        while (n && head[n - 1] == '/') n--;
        while (n && head[n - 1] != '/') n--;
        head[n] = 0;
        real = realpath(n ? head : ".", NULL);
    }
    bool root = real && !strcmp(real, "/");
    x->n_real = real ? strlen(real) : 0;
    x->real = jvc_format("%s%s%s", real ? real : "", root || !path[n] ? "" : "/", path + n);
    free(real);
    free(head);
    free(path);
}

/* Whether the path names standard input, or the terminal or pipe that it is: of one that reads there another one would
 * get nothing. A file that is standard input begins anew where it is opened. */
static bool is_of_stdin(const struct jvc_use *x, const struct stat *st)
{
    static const char *const names[] = {"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"};
    struct stat in;
    if (x->how == JVC_WRITES || x->standard) return x->how != JVC_WRITES;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(x->path, names[i])) return true;
    if (!x->there || fstat(STDIN_FILENO, &in) || in.st_dev != st->st_dev || in.st_ino != st->st_ino) return false;
    return S_ISFIFO(in.st_mode) || isatty(STDIN_FILENO);
}

/* Adds a path to those that are compared with each other, or tells what is wrong with it. */
static void add(struct jvc_pipeline *pl, struct jvc_uses *u, struct jvc_use x)
{
    struct stat st = {0};
    int fd = x.how == JVC_WRITES ? STDOUT_FILENO : STDIN_FILENO;
    x.there = (x.standard ? fstat(fd, &st) : stat(x.path, &st)) == 0;
    x.folder = S_ISDIR(st.st_mode);
    x.dev = st.st_dev;
    x.ino = st.st_ino;
    x.compared = x.there ? S_ISREG(st.st_mode) : !jvc_use_is_pattern(&x);
    x.of_stdin = is_of_stdin(&x, &st);
    if (x.standard && x.how == JVC_WRITES && !x.there) return; /* closed: its stage says so */
    if (!can_be_used(&pl->conf, &x)) {
        if (x.s) x.s->bad_path = true;
        return;
    }
    if (!x.standard) find_real(&x);
    x.at = u->n;
    u->v = jvc_room(u->v, u->n, sizeof *u->v);
    u->v[u->n++] = x;
}

/* ---- all paths ---- */

static void add_values(struct jvc_pipeline *pl, struct jvc_uses *u, struct jvc_use x, const jv_opt *o,
    const struct jvc_entry *e)
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
        x.where = e ? jvc_entry_item(e, i, list->n) : x.s->sec->where;
        x.standard = jvc_option_is_stdin(o, list->v[i]);
        add(pl, u, x);
    }
}

/* A TEXT or LIST. What was wrong with the value itself is told already. */
static void add_option(struct jvc_pipeline *pl, struct jvc_uses *u, struct jvc_use x, const jv_opt *o)
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

static void add_map(struct jvc_pipeline *pl, struct jvc_uses *u, struct jvc_use x, const jv_opt *o)
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

static void add_stage(struct jvc_pipeline *pl, struct jvc_uses *u, struct jvc_stage *s)
{
    static const int how[] =
        {[JVC_PATH_READ] = JVC_READS, [JVC_PATH_GLOB] = JVC_MATCHES, [JVC_PATH_WRITE] = JVC_WRITES, [JVC_PATH_FOLDER] = JVC_ENTERS};
    if (s->def->flags & JV_TERMINAL) {
        struct jvc_use x = {.s = s, .where = s->sec->where, .standard = true};
        if (s->kind != JVC_SOURCE) x.how = JVC_WRITES;
        add(pl, u, x);
    }
    for (const jv_opt *o = s->def->opts; JVC_ROW(o, 0); o++) {
        int range = o->type == JV_OPT_REF ? JVC_TEXT : jvc_range_path(o->range);
        if (range <= JVC_PATH) continue;
        struct jvc_use x = {.s = s, .key = o->name};
        x.how = how[range];
        if (o->type == JV_OPT_MAP)
            add_map(pl, u, x, o);
        else
            add_option(pl, u, x, o);
    }
}

static void add_dead_letters(struct jvc_pipeline *pl, struct jvc_uses *u)
{
    struct jvc_section *sec = jvc_conf_section(&pl->conf, "pipeline");
    const struct jvc_entry *e = sec ? jvc_section_entry(sec, "dead_letter") : NULL;
    if (e && (!e->value || !*e->value)) return;
    struct jvc_use x = {.key = "dead_letter", .path = pl->dead_path, .how = JVC_WRITES, .by_default = !e};
    if (e) x.where = e->where;
    add(pl, u, x);
}

void jvc_paths_check(struct jvc_pipeline *pl)
{
    struct jvc_uses u = {0};
    for (size_t i = 0; i < pl->conf.n_reads; i++) {
        const struct jvc_read *r = &pl->conf.reads[i];
        add(pl, &u, (struct jvc_use){.key = r->key, .path = r->path, .where = r->where, .configures = true});
    }
    for (uint32_t i = 0; i < pl->n; i++) add_stage(pl, &u, pl->stages[i]);
    add_dead_letters(pl, &u);
    jvc_paths_compare(&pl->conf, &u);
    for (size_t i = 0; i < u.n; i++) free(u.v[i].real);
    free(u.v);
}
