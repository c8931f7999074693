/*
 * graph.h: a random pipeline as its makers and judges see it. make.c makes one from a seed, text.c writes it as INI,
 * oracle.c says what must come of it, drive.c runs it, judge.c compares that with what came, cover.c counts what the
 * graphs of a run were made of, shrink.c makes a failing one smaller.
 */
#ifndef GRAPH_H
#define GRAPH_H

#include "plugins/ground.h"

#include <stdbool.h>
#include <stdio.h>

#define LEAST_STAGES 3
#define MOST_STAGES 40
#define MOST_PORTS 3
#define REJECTED MOST_PORTS /* the implicit port, after the others */
#define MOST_READERS 4
#define MOST_FROM 4
#define MOST_OPEN 3 /* splits within splits */
#define MOST_MERGES 4
#define MOST_BALLAST 4096
#define MOST_THINGS 40 /* that cover.c names */
#define MOST_WORK 4000 /* calls of process in one graph */

enum kind {
    WELL,
    WELLS,
    SPRING,
    STEP,
    QUEUE,
    ROUTE,
    SPLIT,
    SCATTER,
    DEAL,
    MERGE,
    GATHER,
    STREAM,
    RELAY,
    LIMIT,
    SINK,
    LOG,
    WATCH,
    PEEK,
    N_KINDS
};

struct port {
    int n;
    int to[MOST_READERS];
};

struct stage {
    enum kind kind;
    int n_from, from[MOST_FROM], from_port[MOST_FROM];
    int n_ports;
    struct port port[MOST_PORTS + 1];
    int open[MOST_OPEN], n_open; /* splits that a record has gone through where it comes in, outermost first */
    uint32_t sources;            /* from which its records come, a bit each */

    struct ground_odds odds;
    int64_t slow, tries, threads, children, limit, pieces; /* as the options of ground.c */
    int of;                                                /* a sink's `of`, or -1 */
    bool stats, stop_on_error, implicit;                   /* implicit: the INI may do without `from` */
    /* sources */
    int64_t count, batch, ballast, cancel, lag, hands, in_flight;
    bool backwards, mixed;
    int priority; /* 0: the section says none */
};

struct graph {
    uint64_t seed;
    int n;
    struct stage s[MOST_STAGES];
    int64_t retries, retry_after_ms, memory; /* memory 0: not set */
    bool stop_on_error, upside_down;         /* upside_down: the INI has the last stage first */
};

static inline bool is_source(enum kind k)
{
    return k <= SPRING;
}

static inline bool is_split(enum kind k)
{
    return k == SPLIT || k == SCATTER || k == DEAL;
}

static inline bool is_merge(enum kind k)
{
    return k == MERGE || k == GATHER;
}

static inline bool is_sink(enum kind k)
{
    return k >= SINK;
}

static inline bool is_ordered(enum kind k)
{
    return k == QUEUE || k == DEAL || k == GATHER || k == LIMIT || k == LOG || k == WATCH;
}

static inline bool is_parallel(enum kind k)
{
    return !is_source(k) && !is_ordered(k) && k != PEEK;
}

/* The split that a merge closes. */
static inline int closes(const struct stage *s)
{
    return s->open[s->n_open - 1];
}

/* What it takes to be one: the same for the same seed, always legal. */
void make(struct graph *g, uint64_t seed);
/* Whether no record could come to a stage twice. */
bool legal(const struct graph *g);
/* Which stages a record at stage i may still come to, i among them; a bit each. */
uint64_t reach(const struct graph *g, int i);

/* The merges that close a split; how many. */
int merges_of(const struct graph *g, int split, int merges[MOST_STAGES]);

extern const char *const kind_names[N_KINDS];

/* The pipeline as INI, with the folder of jv_ground.so. What it writes lies beside it: `ledger`, `dead.jsonl`. */
void write_ini(const struct graph *g, FILE *f, const char *plugins);

/* ---- what comes of it ---- */

/* A record delivered, rejected into the dead letters, or (of a root) done. */
struct seen {
    int stage;
    char id[40];
    uint64_t sum; /* what the record carried; of a dead letter: its digest; of a root: its status */
    int64_t steps;
};

struct list {
    struct seen *v;
    size_t n, cap;
};

/* What went through a stage. Every record that comes in goes out, or is dropped, rejected or cancelled, except where it
 * is split: there the children go out. */
struct sums {
    int64_t in, out, dropped, rejected, cancelled, retried;
};

struct outcome {
    struct list delivered, dead, done;
    struct sums sum[MOST_STAGES];
    int64_t begun[MOST_STAGES]; /* by a source */
    bool ended[MOST_STAGES];    /* the stage said END */
    bool failed;                /* a record ends the run */
};

void list_add(struct list *l, int stage, const char *id, uint64_t sum, int64_t steps);
void outcome_free(struct outcome *o);
/* What must come of it when each source begins so many records: o->begun, the rest of *o empty. */
void oracle(const struct graph *g, struct outcome *o);

/* ---- judging ---- */

/* What a run left behind: its exit status, the ledger and the dead letters in dir. */
struct run {
    int status;
    const char *dir;
    struct sums sum[MOST_STAGES]; /* by the host's own count */
    int64_t in_flight;            /* places in windows that were not given back */
};

/* Whether all of it is as it must be; else `why` gets a line for each thing that is not. */
bool judge(const struct graph *g, const struct run *run, FILE *why);

/* ---- what was covered ---- */

/* In how many graphs each kind of stage stands, and each of the other things that cover.c names. */
struct cover {
    uint64_t size[MOST_STAGES + 1], kind[N_KINDS], thing[MOST_THINGS];
};

void cover_add(struct cover *c, const struct graph *g, const struct run *run);
void cover_join(struct cover *c, const struct cover *more);
/* Answers whether nothing is in no graph. */
bool cover_tell(const struct cover *c, FILE *f);

/* ---- running ---- */

void die(const char *what);
void path_in(char *into, size_t size, const char *dir, const char *name);
/* Before all else: the folder of jv_ground.so; answers its path. */
const char *drive_init(const char *folder);
void save_ini(const struct graph *g, const char *path);
/* One graph, in dir; answers whether all is as it must be, else `why` says what is not. cover may be null. */
bool run_graph(const struct graph *g, const char *dir, struct cover *cover, FILE *why);

/* Makes a graph that fails smaller as long as `fails` says that it still does. */
void shrink(struct graph *g, bool (*fails)(const struct graph *g));

#endif
