/*
 * paths_fuzz.c: what the paths of a pipeline name, over a folder with files, links and a fifo. The input is the pipeline,
 * which lies in that folder; each section has an option of every kind of path. A section [sink...] or [source...] is on
 * standard output or input besides. Beside the usual, whatever is told: two sections never get past that are at one
 * regular file of which one writes it, be it named, or found in a folder.
 */
#include "memory_file.h"
#include "option.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct all {
    const char *read, *write, *folder;
    jv_list inputs, path, include, exclude;
    jv_map to;
};

static const jv_opt rows[] = {
    JV_OPT(struct all, read, "", "path read", ""),
    JV_OPT(struct all, write, "", "path write", ""),
    JV_OPT(struct all, folder, "", "path folder", ""),
    JV_OPT(struct all, inputs, "", "path read", ""),
    JV_OPT(struct all, path, "", "path glob", ""),
    JV_OPT(struct all, include, "", "include", ""),
    JV_OPT(struct all, exclude, "", "exclude", ""),
    JV_OPT(struct all, to, "", "path write", ""),
    {0},
};

static const jv_stage plain = {.name = "plain", .ctx_size = sizeof(struct all), .opts = rows};
static const jv_stage terminal = {.name = "terminal", .ctx_size = sizeof(struct all), .opts = rows, .flags = JV_TERMINAL};
static const jv_plugin desc = {.stage_size = sizeof(jv_stage), .opt_size = sizeof(jv_opt)};

static void must(bool holds)
{
    if (!holds) abort();
}

/* ---- the folder ---- */

static char root[64] = "/tmp/jv_paths_XXXXXX";

/* In this order; to: what a link leads to, "/" for a folder, "|" for a fifo, null for a file. */
static const struct {
    const char *name, *to;
} tree[] = {{"sub", "/"}, {"sub/deep", "/"}, {"t.ini", NULL}, {"a", NULL}, {"b.txt", NULL}, {".c", NULL},
    {"sub/a", NULL}, {"sub/deep/d", NULL}, {"fifo", "|"}, {"link", "a"}, {"to_sub", "sub"}, {"loop", "loop"},
    {"new", "sub/new"}, {"up", ".."}, {"nowhere", "none/x"}, {"null", "/dev/null"}};
#define N_TREE (sizeof tree / sizeof *tree)

static char *in_root(const char *name)
{
    return jvc_format("%s/%s", root, name);
}

static void remove_tree(void)
{
    for (size_t i = N_TREE; i-- > 0;) {
        char *path = in_root(tree[i].name);
        remove(path);
        free(path);
    }
    rmdir(root);
}

static void make_tree(void)
{
    static bool made;
    if (made) return;
    made = true;
    must(mkdtemp(root));
    atexit(remove_tree);
    for (size_t i = 0; i < N_TREE; i++) {
        char *path = in_root(tree[i].name);
        const char *to = tree[i].to;
        FILE *f = to ? NULL : fopen(path, "w");
        if (!to)
            must(f && !fclose(f));
        else if (!strcmp(to, "/"))
            must(!mkdir(path, 0700));
        else
            must(!(!strcmp(to, "|") ? mkfifo(path, 0600) : symlink(to, path)));
        free(path);
    }
}

/* ---- a pipeline ---- */

static void add_stage(struct jvc_pipeline *pl, struct jvc_section *sec)
{
    jv_err err;
    struct jvc_stage *s = jvc_alloc(sizeof *s);
    bool sink = !strncmp(sec->name, "sink", 4), source = !strncmp(sec->name, "source", 6);
    *s = (struct jvc_stage){.pl = pl, .sec = sec, .desc = &desc, .def = sink || source ? &terminal : &plain};
    s->kind = source ? JVC_SOURCE : JVC_SINK;
    s->ctx = jvc_alloc(s->def->ctx_size);
    for (const jv_opt *o = rows; o->name; o++) {
        struct jvc_entry *e = o->type == JV_OPT_MAP ? NULL : jvc_section_take(sec, o->name);
        if (e && jvc_option_set(o, s->ctx, &pl->conf, e->value, e->dir, &err) < 0)
            jvc_problem(&pl->conf, e->where, "%s", err.text);
        if (o->type == JV_OPT_MAP) jvc_option_set_map(o, s->ctx, &pl->conf, sec);
    }
    pl->stages = jvc_room(pl->stages, pl->n, sizeof *pl->stages);
    pl->stages[pl->n++] = s;
}

/* ---- what must have been told ---- */

static bool is_file(const char *path, struct stat *st)
{
    return path && *path && !stat(path, st) && S_ISREG(st->st_mode);
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return is_file(a, &x) && is_file(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether a file lies right in the folder. */
static bool lies_in(const char *file, const char *folder)
{
    struct stat st;
    const char *slash = strrchr(file, '/');
    bool link = lstat(file, &st) || S_ISLNK(st.st_mode), hidden = slash && slash[1] == '.';
    char *path = slash && is_file(file, &st) && !hidden && !link ? jvc_format("%s%s", folder, slash) : NULL;
    bool lies = path && same_file(path, file);
    free(path);
    return lies;
}

static bool list_reads(const jv_list *list, const char *written, bool folders)
{
    for (size_t i = 0; i < list->n; i++)
        if (same_file(list->v[i].p, written) || (folders && lies_in(written, list->v[i].p))) return true;
    return false;
}

static bool reads(const struct all *s, const char *written)
{
    return same_file(s->read, written) || list_reads(&s->inputs, written, false) ||
           list_reads(&s->path, written, !s->include.n && !s->exclude.n);
}

static void check_told(const struct jvc_pipeline *pl)
{
    for (size_t i = 0; i < pl->conf.n_problems && i < JVC_PROBLEMS_KEPT; i++) {
        const char *text = pl->conf.problems[i].text;
        must(*text && !strchr(text, '\n') && jvc_utf8_valid(text, strlen(text), NULL));
    }
    for (uint32_t i = 0; i < pl->n && !pl->conf.n_problems; i++) {
        const struct all *w = pl->stages[i]->ctx;
        for (uint32_t k = 0; k < pl->n && w->write && *w->write; k++) {
            const struct all *r = pl->stages[k]->ctx;
            must(!reads(r, w->write));
            must(k == i || !same_file(r->write, w->write));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jvc_pipeline pl = {0};
    make_tree();
    char *ini = in_root("t.ini"), *dead = in_root("t.rejected.jsonl");
    memory_files_clear();
    memory_file(ini, (const char *)data, size);
    jvc_conf_read(&pl.conf, ini, NULL, 0);
    pl.dead_path = dead;
    for (size_t i = 0; i < pl.conf.n; i++)
        if (strcmp(pl.conf.sections[i].name, "pipeline") != 0) add_stage(&pl, &pl.conf.sections[i]);
    jvc_paths_check(&pl);
    check_told(&pl);
    for (uint32_t i = 0; i < pl.n; i++) {
        free(pl.stages[i]->ctx);
        free(pl.stages[i]);
    }
    free(pl.stages);
    jvc_conf_free(&pl.conf);
    free(dead);
    free(ini);
    return 0;
}
