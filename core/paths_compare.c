/*
 * paths_compare.c: the paths of a pipeline beside each other: nobody writes a file that somebody reads or another one
 * writes, and standard input has one reader.
 */
#include "paths.h"
#include "range.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

/* x and another one are at the same thing, which cannot be: told at x. */
static void collide(struct jvc_conf *conf, const struct jvc_use *x, const struct jvc_use *other)
{
    static const char *const does[] = {"reads", "reads", "reads", "writes"};
    if (x->by_default) {
        collide(conf, other, x);
        return;
    }
    char *who = jvc_use_subject(x), *place = jvc_where_text(other->where);
    const char *what = !x->standard ? x->path : x->how == JVC_WRITES ? "standard output" : "standard input";
    if (other->by_default)
        jvc_problem(conf, x->where,
            "%s: it %s %s, where rejected records go: name another file for either (`dead_letter`)", who, does[x->how],
            what);
    else if (other->configures && !other->key)
        jvc_problem(conf, x->where, "%s: it %s %s, which is this pipeline's own file", who, does[x->how], what);
    else if (other->configures)
        jvc_problem(conf, x->where, "%s: it %s %s, from which `%s` is read (%s)", who, does[x->how], what, other->key,
            place);
    else
        jvc_problem(conf, x->where, "%s: it %s %s, which [%s] %s%s (%s)", who, does[x->how], what,
            other->s ? other->s->sec->name : "pipeline", does[other->how],
            does[x->how] == does[other->how] ? " too" : "", place);
    free(place);
    free(who);
}

/* Same files side by side, those that are to be made behind those that are there. */
static int by_file(const void *a, const void *b)
{
    const struct jvc_use *x = a, *y = b;
    if (x->there != y->there) return x->there ? -1 : 1;
    if (!x->there) return strcmp(x->real, y->real);
    if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
    return (x->ino > y->ino) - (x->ino < y->ino);
}

static int by_file_and_order(const void *a, const void *b)
{
    const struct jvc_use *x = a, *y = b;
    int files = by_file(x, y);
    return files ? files : (x->at > y->at) - (x->at < y->at);
}

static bool is_stdout(const struct jvc_use *x)
{
    return x->path ? !strcmp(x->path, "/dev/stdout") : x->how == JVC_WRITES;
}

/* n uses of one file: nobody reads it, or nobody writes it, and one writer is enough. */
static void compare_same(struct jvc_conf *conf, const struct jvc_use *v, size_t n)
{
    const struct jvc_use *reader = NULL, *writer = NULL;
    for (size_t i = 0; i < n; i++)
        if (v[i].how != JVC_WRITES && !reader) reader = &v[i];
    for (size_t i = 0; i < n; i++) {
        if (v[i].how != JVC_WRITES) continue;
        if (reader)
            collide(conf, &v[i], reader);
        else if (writer && !(is_stdout(writer) && is_stdout(&v[i]))) /* these share it, with its position */
            collide(conf, &v[i], writer);
        else
            writer = &v[i];
    }
}

static bool matches(const jv_list *patterns, const char *path)
{
    for (size_t i = 0; i < patterns->n; i++)
        if (!fnmatch(patterns->v[i].p, path, 0)) return true;
    return false;
}

/* Whether the path, or a folder on its way, matches. */
static bool matches_on_the_way(const jv_list *patterns, const char *path)
{
    char *part = jvc_strdup(path);
    bool found = matches(patterns, part);
    for (char *slash; !found && (slash = strrchr(part, '/'));) {
        *slash = 0;
        found = matches(patterns, part);
    }
    free(part);
    return found;
}

/* Whether the stage, where it enters a folder, reads a file of this path below it. */
static bool reads_below(const struct jvc_stage *s, const char *path)
{
    for (const jv_opt *o = s->def->opts; JVC_ROW(o, 0); o++) {
        int filter = o->type == JV_OPT_LIST ? jvc_range_filter(o->range) : -1;
        const jv_list *patterns = (const void *)((const char *)s->ctx + o->offset);
        if (filter == JVC_EXCLUDE && matches_on_the_way(patterns, path)) return false;
        if (filter == JVC_INCLUDE && patterns->n && !matches(patterns, path)) return false;
    }
    return true;
}

/* Whether a folder or pattern leads to the file, be it there already or not. */
static bool leads_to(const struct jvc_use *p, const struct jvc_use *w)
{
    const int flags = FNM_PATHNAME | FNM_PERIOD;
    const char *pattern = p->real + p->n_real, *rest = w->real + p->n_real;
    if (strncmp(p->real, w->real, p->n_real)) return false;
    const char *below = rest + (*rest == '/');
    if (p->folder) return (rest != below || p->n_real == 1) && reads_below(p->s, below);
    return !fnmatch(pattern, rest, flags) ||
           (!fnmatch(pattern, rest, flags | FNM_LEADING_DIR) && reads_below(p->s, below));
}

/* What lies in a folder, or will match a pattern, is read too. */
static void compare_found(struct jvc_conf *conf, const struct jvc_uses *u)
{
    for (size_t i = 0; i < u->n; i++) {
        const struct jvc_use *p = &u->v[i];
        if (p->how != JVC_MATCHES || !(p->folder || jvc_use_is_pattern(p))) continue;
        for (size_t k = 0; k < u->n; k++) {
            const struct jvc_use *w = &u->v[k];
            if (w->how == JVC_WRITES && w->compared && w->real && leads_to(p, w)) collide(conf, w, p);
        }
    }
}

/* Sinks may share standard output, be it what it may, but not with rows of another kind: who reads it could not tell
 * them apart. */
static void compare_stdout(struct jvc_conf *conf, const struct jvc_uses *u)
{
    const struct jvc_use *dead = NULL, *sink = NULL;
    for (size_t i = 0; i < u->n; i++) {
        const struct jvc_use *x = &u->v[i];
        if (x->configures || x->how != JVC_WRITES || !is_stdout(x)) continue;
        if (!x->s) dead = x;
        if (x->s && !sink) sink = x;
    }
    if (dead && sink) collide(conf, dead, sink);
}

void jvc_paths_compare(struct jvc_conf *conf, const struct jvc_uses *u)
{
    const struct jvc_use *reader = NULL;
    struct jvc_use *same = jvc_alloc(u->n * sizeof *same);
    size_t n = 0;
    for (size_t i = 0; i < u->n; i++) {
        if (u->v[i].compared) same[n++] = u->v[i];
        if (!u->v[i].of_stdin) continue;
        if (reader) collide(conf, &u->v[i], reader);
        if (!reader) reader = &u->v[i];
    }
    compare_found(conf, u);
    compare_stdout(conf, u);
    qsort(same, n, sizeof *same, by_file_and_order);
    for (size_t i = 0, to; i < n; i = to) {
        for (to = i + 1; to < n && !by_file(&same[i], &same[to]);) to++;
        compare_same(conf, &same[i], to - i);
    }
    free(same);
}
