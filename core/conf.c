/* conf.c: see conf.h. What a file says is read in ini.c; here is what holds it, and what the command line says. */
#include "conf.h"

#include <stdlib.h>
#include <string.h>

char *jvc_where_text(struct jvc_where where)
{
    return where.file ? jvc_format("%s:%d", where.file, where.line) : jvc_strdup("command line");
}

void jvc_conf_reads(struct jvc_conf *conf, const char *key, const char *path, struct jvc_where where)
{
    conf->reads = jvc_room(conf->reads, conf->n_reads, sizeof *conf->reads);
    conf->reads[conf->n_reads++] = (struct jvc_read){key, jvc_conf_own(conf, jvc_strdup(path)), where};
}

struct jvc_section *jvc_conf_section(struct jvc_conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->n; i++)
        if (!strcmp(conf->sections[i].name, name)) return &conf->sections[i];
    return NULL;
}

bool jvc_conf_may_have(struct jvc_conf *conf, const char *name)
{
    return conf->incomplete || (strcmp(name, "pipeline") && jvc_conf_section(conf, name));
}

struct jvc_entry *jvc_section_entry(struct jvc_section *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->entries[i].name, name)) return &s->entries[i];
    return NULL;
}

struct jvc_entry *jvc_section_take(struct jvc_section *s, const char *name)
{
    struct jvc_entry *e = jvc_section_entry(s, name);
    if (!e) return NULL;
    e->used = true;
    return e->value ? e : NULL;
}

/* Whether a cut between two bytes falls within a word. */
static bool within_word(char a, char b)
{
    return jvc_name_ok(&a, 1) && jvc_name_ok(&b, 1);
}

bool jvc_holds_word(const char *line, size_t n, const char *text)
{
    size_t len = strlen(text);
    if (!len) return false;
    for (const char *at = line, *end = line + n; (at = memmem(at, (size_t)(end - at), text, len)); at++) {
        bool begins = at == line || !within_word(at[-1], *at);
        if (begins && (at + len == end || !within_word(at[len - 1], at[len]))) return true;
    }
    return false;
}

/* Line i of the value: what stands behind the key, then the indented lines. */
static jv_str line_of(const struct jvc_entry *e, size_t i)
{
    const char *line = e->raw + (i ? e->more[i - 1].at : 0);
    const char *end = i < e->n_more ? e->raw + e->more[i].at : line + strlen(line);
    return (jv_str){line, (size_t)(end - line)};
}

/* The only line that holds `text`, or that is held by it; else the entry's first. */
static struct jvc_where only_line(const struct jvc_entry *e, const char *text, bool held)
{
    struct jvc_where where = e->where;
    size_t found = 0, n = strlen(text);
    for (size_t i = 0; i <= e->n_more; i++) {
        jv_str line = line_of(e, i);
        while (held && line.n && strchr(" \t\n", line.p[line.n - 1])) line.n--;
        char *item = jvc_strndup(line.p, line.n);
        bool fits = held ? jvc_holds_word(text, n, item) : jvc_holds_word(line.p, line.n, text);
        free(item);
        if (!fits) continue;
        found++;
        if (i) where.line = e->more[i - 1].line;
    }
    return found == 1 ? where : e->where;
}

struct jvc_where jvc_entry_line(const struct jvc_entry *e, const char *text)
{
    return only_line(e, text, false);
}

struct jvc_where jvc_entry_line_in(const struct jvc_entry *e, const char *text)
{
    return only_line(e, text, true);
}

struct jvc_where jvc_entry_item(const struct jvc_entry *e, size_t i, size_t n)
{
    struct jvc_where where = e->where;
    size_t first = !e->n_more || e->more[0].at; /* items before the indented lines */
    if (n == first + e->n_more && i >= first) where.line = e->more[i - first].line;
    return where;
}

void jvc_section_indented(struct jvc_conf *conf, const struct jvc_entry *e,
    bool (*known)(const void *of, const char *key, size_t n), const void *of)
{
    for (size_t i = 0; i < e->n_more; i++) {
        const char *line = e->raw + e->more[i].at, *end = line, *rest;
        while (*end && !strchr(" \t=\n", *end)) end++;
        for (rest = end; *rest == ' ' || *rest == '\t';) rest++;
        if (*rest == '=' && known(of, line, (size_t)(end - line)))
            jvc_problem(conf, (struct jvc_where){e->where.file, e->more[i].line, NULL},
                "`%.*s =` is indented, so it belongs to the value of `%s`: unindent it, or put the text into a file "
                "and use @file",
                (int)(end - line), line, e->name);
    }
}

void *jvc_conf_own(struct jvc_conf *conf, void *p)
{
    conf->owned = jvc_room(conf->owned, conf->n_owned, sizeof *conf->owned);
    return conf->owned[conf->n_owned++] = p;
}

void jvc_problem(struct jvc_conf *conf, struct jvc_where where, const char *fmt, ...)
{
    va_list ap;
    char *text;
    if (conf->n_problems >= JVC_PROBLEMS_KEPT) {
        conf->n_problems++;
        return;
    }
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0) text = jvc_strdup("out of memory");
    va_end(ap);
    jvc_make_printable(text);
    conf->problems = jvc_room(conf->problems, conf->n_problems, sizeof *conf->problems);
    conf->problems[conf->n_problems++] = (struct jvc_problem){where, jvc_conf_own(conf, text)};
}

struct jvc_entry *jvc_conf_add(struct jvc_conf *conf, struct jvc_section *s, struct jvc_entry e)
{
    s->entries = jvc_room(s->entries, s->n, sizeof *s->entries);
    s->entries[s->n] = e;
    conf->n_entries++;
    return &s->entries[s->n++];
}

struct jvc_section *jvc_conf_add_section(struct jvc_conf *conf, const char *name, struct jvc_where where)
{
    conf->sections = jvc_room(conf->sections, conf->n, sizeof *conf->sections);
    conf->sections[conf->n] = (struct jvc_section){.name = name, .where = where};
    return &conf->sections[conf->n++];
}

static void override(struct jvc_conf *conf, const char *arg)
{
    struct jvc_where where = {0};
    const char *eq = strchr(arg, '='), *dot = strchr(arg, '.');
    if (!strncmp(arg, "--", 2)) {
        jvc_problem(conf, where, "`%s`: options stand before the file", arg);
        return;
    }
    if (!eq || !dot || dot > eq || dot == arg || dot + 1 == eq) {
        jvc_problem(conf, where, "`%s`: an override is section.key=value", arg);
        return;
    }
    if (!jvc_utf8_valid(eq, strlen(eq), NULL)) {
        jvc_problem(conf, where, "the value of %.*s is not UTF-8", (int)(eq - arg), arg);
        return;
    }
    if (!strncmp(arg, "pipeline.include=", 17)) {
        jvc_problem(conf, where, "`%s`: what is included is said in the file", arg);
        return;
    }
    char *section = jvc_conf_own(conf, jvc_strndup(arg, (size_t)(dot - arg)));
    char *key = jvc_conf_own(conf, jvc_strndup(dot + 1, (size_t)(eq - dot - 1)));
    struct jvc_section *s = jvc_conf_section(conf, section);
    if (!s && !strcmp(section, "pipeline")) s = jvc_conf_add_section(conf, section, where);
    if (!s) {
        struct jvc_nearest near = {.name = section};
        if (conf->incomplete) return; /* it may stand in what was not read */
        for (size_t i = 0; i < conf->n; i++) jvc_nearest_try(&near, conf->sections[i].name);
        jvc_problem(conf, where, "%s: no section [%s]%s", arg, section, jvc_nearest_hint(&near));
        return;
    }
    struct jvc_entry *e = jvc_section_entry(s, key);
    if (!e) e = jvc_conf_add(conf, s, (struct jvc_entry){.name = key});
    free(e->more);
    free(e->grown);
    where.section = s->name;
    *e = (struct jvc_entry){.name = e->name, .raw = eq + 1, .where = where, .literal = true};
}

void jvc_conf_read(struct jvc_conf *conf, const char *path, char *const *overrides, size_t n)
{
    *conf = (struct jvc_conf){0};
    jvc_ini_read(conf, path);
    for (size_t i = 0; i < n; i++) override(conf, overrides[i]);
    jvc_expand_all(conf);
}

static int by_place(const void *a, const void *b)
{
    const struct jvc_problem *x = a, *y = b;
    int files = !x->where.file - !y->where.file;
    if (!files && x->where.file) files = strcmp(x->where.file, y->where.file);
    return files ? files : x->where.line - y->where.line;
}

size_t jvc_problems_print(const struct jvc_conf *conf)
{
    size_t kept = conf->n_problems < JVC_PROBLEMS_KEPT ? conf->n_problems : JVC_PROBLEMS_KEPT;
    size_t shown = kept < JVC_PROBLEMS_SHOWN ? kept : JVC_PROBLEMS_SHOWN;
    if (kept) qsort(conf->problems, kept, sizeof *conf->problems, by_place);
    for (size_t i = 0; i < shown; i++) {
        const struct jvc_problem *p = &conf->problems[i];
        if (p->where.file && p->where.line)
            fprintf(stderr, "%s:%d: %s\n", p->where.file, p->where.line, p->text);
        else if (p->where.section)
            fprintf(stderr, "command line: [%s] %s\n", p->where.section, p->text);
        else
            fprintf(stderr, "%s: %s\n", p->where.file ? "jevons" : "command line", p->text);
    }
    if (shown < conf->n_problems) fprintf(stderr, "jevons: and %zu more problems\n", conf->n_problems - shown);
    return conf->n_problems;
}

void jvc_conf_free(struct jvc_conf *conf)
{
    for (size_t i = 0; i < conf->n; i++) {
        for (size_t k = 0; k < conf->sections[i].n; k++) {
            free(conf->sections[i].entries[k].more);
            free(conf->sections[i].entries[k].grown);
        }
        free(conf->sections[i].entries);
    }
    for (size_t i = 0; i < conf->n_owned; i++) free(conf->owned[i]);
    jvc_arena_free(&conf->mem);
    free(conf->sections);
    free(conf->problems);
    free(conf->reads);
    free(conf->owned);
    *conf = (struct jvc_conf){0};
}
