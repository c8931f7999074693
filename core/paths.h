/*
 * paths.h: what the sections of a pipeline, and the host itself, do with which file: found in paths.c, compared in
 * paths_compare.c.
 */
#ifndef JVC_PATHS_H
#define JVC_PATHS_H

#include "pipeline.h"

#include <sys/stat.h>

/* One path, or a stage on standard input or output, and what becomes of it. */
struct jvc_use {
    struct jvc_stage *s;    /* null: the host */
    const char *key, *path; /* key null: the section as a whole; path null: standard input or output */
    struct jvc_where where;
    enum { JVC_READS, JVC_MATCHES, JVC_ENTERS, JVC_WRITES } how;
    bool standard;      /* input or output: of a stage as a whole, or the item - of a list */
    bool by_default;    /* the dead-letter file, where the INI file names none */
    bool configures;    /* the pipeline itself is read from it */
    bool of_stdin;      /* what is read there is taken from standard input */
    bool compared;      /* others must not write it: no device, no folder, no fifo */
    bool there, folder; /* folder: it is there and one */
    dev_t dev;          /* of what is there */
    ino_t ino;
    size_t at;  /* among all */
    char *real; /* the path from the root, with links followed; as far as it exists, so many bytes; null without path */
    size_t n_real;
};

struct jvc_uses {
    struct jvc_use *v;
    size_t n;
};

/* A pattern, not a path. */
bool jvc_use_is_pattern(const struct jvc_use *x);

/* Who is at fault, for a message; to be freed. */
char *jvc_use_subject(const struct jvc_use *x);

/* Tells of every two that cannot be side by side. */
void jvc_paths_compare(struct jvc_conf *conf, const struct jvc_uses *u);

#endif
