/*
 * conf.h: an INI file as sections and entries, each with the file and line it came from, after includes, overrides and
 * the expansion of ${...} and @file. Knows nothing of plugins. Mistakes are collected, not reported one by one.
 */
#ifndef JVC_CONF_H
#define JVC_CONF_H

#include "util.h"

#define JVC_NAME_MOST 49u /* bytes of a key or section: inih keeps 50, NUL included */
#define JVC_VALUE_MOST (1u << 20)
#define JVC_PROBLEMS_KEPT 1000
#define JVC_PROBLEMS_SHOWN 100

struct jvc_where {
    const char *file; /* as the user named it; null: the command line */
    int line;
    const char *section; /* of an override; else null */
};

/* "FILE:LINE" or "command line"; to be freed. */
char *jvc_where_text(struct jvc_where where);

struct jvc_entry {
    const char *name, *raw; /* as written; raw keeps line breaks of a value of several lines */
    const char *value;      /* expanded; null until jvc_conf_read is done, or when expansion failed */
    const char *dir;        /* what a relative path in the value is relative to; null: the working directory */
    struct jvc_where where;
    bool used;                                                   /* somebody knew this key */
    bool literal;                                                /* from the command line: nothing is expanded */
    enum { JVC_RAW, JVC_UNDER_WAY, JVC_DONE, JVC_FAILED } state; /* of its expansion */
    char *grown; /* a raw of several lines, n_grown bytes of cap_grown; freed with the entry */
    size_t n_grown, cap_grown;
    struct jvc_more { /* its indented lines, to find keys that were indented by mistake */
        size_t at;
        int line;
    } * more;
    size_t n_more;
};

struct jvc_section {
    const char *name;
    const char *dir; /* what a relative path that is a default is relative to; null: the working directory */
    struct jvc_where where;
    bool after_lost; /* a section that was found wrong stands right above: what that would be is not known */
    struct jvc_entry *entries;
    size_t n;
};

struct jvc_conf {
    struct jvc_section *sections; /* in the order of the file */
    size_t n, n_entries;          /* sections; keys in all of them */
    struct jvc_problem {
        struct jvc_where where;
        char *text;
    } * problems;
    size_t n_problems;          /* those found; the first JVC_PROBLEMS_KEPT are kept */
    struct jvc_read {           /* a file that all this comes from: the pipeline's own, an included one, an @file */
        const char *key, *path; /* key null: the pipeline's own */
        struct jvc_where where; /* where it is asked for */
    } * reads;
    size_t n_reads;
    void **owned; /* everything that entries point to, freed together */
    size_t n_owned;
    struct jvc_arena mem; /* what options point to */
    size_t expanded;      /* bytes of all values, bounded */
    int includes;
    bool full;       /* larger than any pipeline: the rest was not read */
    bool ends_lost;  /* the last section was found wrong, see `after_lost` */
    bool incomplete; /* something was not read, a file or the rest of one: what is not there may stand in it */
    bool gap;        /* what was not read stands right above the section that comes next */
    bool lost_reads; /* one that was found wrong has a `from` */
};

/* Reads a file and n overrides ("section.key=value"). What is wrong stands in conf->problems. */
void jvc_conf_read(struct jvc_conf *conf, const char *path, char *const *overrides, size_t n);
void jvc_conf_free(struct jvc_conf *conf);
/* The steps of it: the file with all that it includes (ini.c). */
void jvc_ini_read(struct jvc_conf *conf, const char *path);
/* Every entry's value (expand.c). */
void jvc_expand_all(struct jvc_conf *conf);
/* A text in which ${...} stands for the environment alone, owned by conf; null: a problem was told. */
char *jvc_expand_environment(struct jvc_conf *conf, const char *key, const char *raw, struct jvc_where where);

/* Remembers such a file; the path is copied. */
void jvc_conf_reads(struct jvc_conf *conf, const char *key, const char *path, struct jvc_where where);

struct jvc_entry *jvc_conf_add(struct jvc_conf *conf, struct jvc_section *s, struct jvc_entry e);
struct jvc_section *jvc_conf_add_section(struct jvc_conf *conf, const char *name, struct jvc_where where);

struct jvc_section *jvc_conf_section(struct jvc_conf *conf, const char *name);
/* Whether a stage of that name may be meant to be there all the same: its section has a mistake that was told, or may
 * stand in what was not read. */
bool jvc_conf_may_have(struct jvc_conf *conf, const char *name);
struct jvc_entry *jvc_section_entry(struct jvc_section *s, const char *name);
/* The same, marking the entry as known; null when it is not there or its value could not be expanded. */
struct jvc_entry *jvc_section_take(struct jvc_section *s, const char *name);

/* The line of the entry that holds `text`, whole words of it, if just one line does; else its first. */
struct jvc_where jvc_entry_line(const struct jvc_entry *e, const char *text);
/* The other way round: the line of the entry that `text` holds. */
struct jvc_where jvc_entry_line_in(const struct jvc_entry *e, const char *text);
bool jvc_holds_word(const char *line, size_t n, const char *text);
/* The line of item i of n of a list: its own, where the value has one a line. */
struct jvc_where jvc_entry_item(const struct jvc_entry *e, size_t i, size_t n);

/* Tells of lines of the entry that begin like a key: hardly meant as text of the key above. `known` says of n bytes
 * whether they are one; its first argument is `of`. */
void jvc_section_indented(struct jvc_conf *conf, const struct jvc_entry *e,
    bool (*known)(const void *of, const char *key, size_t n), const void *of);

/* Keeps p until jvc_conf_free and returns it. */
void *jvc_conf_own(struct jvc_conf *conf, void *p);

JV_PRINTF(3, 4) void jvc_problem(struct jvc_conf *conf, struct jvc_where where, const char *fmt, ...);
/* Writes the problems to stderr, "file:line: text", by file and line; answers how many. */
size_t jvc_problems_print(const struct jvc_conf *conf);

#endif
