/*
 * scheduler.h: one thread that runs a model for all who want something of it, in steps: each takes the next token of
 * every sequence that is being made and up to `chunk` tokens of prompts, whoever they are of, through the network at
 * once. What a sequence gives does not depend on its company, since no row of the network does.
 *
 * Who runs: see queue.h for the order. A sequence is let in when the cache has room for its tokens and a block for each
 * that may still grow. When the cache is full nevertheless, the one that came last goes back to the queue and is
 * computed again later; a live one also sends batch ones back to get in. What no sequence holds stays in the tree of
 * prefixes until its block is needed.
 */
#ifndef SCHEDULER_H
#define SCHEDULER_H

#include <pthread.h>
#include <stdbool.h>

#include "net.h"
#include "queue.h"
#include "sequence.h"

/* Rows of logits computed at once. */
#define SCHED_LOGIT_ROWS 32

/* What computes. JV_OK, or FATAL, or what net.h says; the thread's alone once it runs. */
typedef struct sched_net {
    void *self;
    int32_t (*forward)(void *self, const int32_t *ids, const bk_run *runs, uint32_t n_runs, uint32_t n,
        const net_stop *stop, jv_err *err);
    int32_t (*logits)(void *self, const int32_t *index, uint32_t n, float *to, jv_err *err); /* (n, vocabulary) */
    int32_t (*copy)(void *self, uint32_t to, uint32_t from, uint32_t n, jv_err *err);        /* blocks, as kv_copy */
} sched_net;

typedef struct sched_size {
    uint32_t vocabulary;
    uint32_t blocks;    /* of the cache */
    uint32_t sequences; /* that run at once */
    uint32_t chunk;     /* tokens of prompts in a step */
} sched_size;

typedef struct sched sched;
typedef struct sched_job sched_job;

/* A sequence and its place in the queue. */
typedef struct sched_task {
    queued place; /* first: one is cast to the other */
    sched_job *job;
    sequence seq;
    int32_t state; /* the scheduler's */
} sched_task;

/* What one caller wants; lies with it for the length of sched_run. */
struct sched_job {
    int32_t class; /* QUEUE_* */
    /* (n_tasks), sequences made by sequence_init, whose `most` fits the cache. The job begins with the first; the
     * others may be forked from those that run. It is settled when all that were begun have ended. */
    sched_task *task;
    uint32_t n_tasks;
    /* In the scheduler's thread: the logits behind token `want` - 1 of a sequence, which may be changed; `want` has moved
     * on. It may push tokens, and fork. A sequence has ended when no row of it is wanted any more. JV_OK, or < 0 with
     * err, which ends the job. */
    int32_t (*on_row)(sched_job *job, sched_task *t, float *logits, jv_err *err);
    /* In that thread too, in each step: nonzero ends the job with JV_CANCELLED. May be null. */
    int32_t (*stopped)(void *user);
    void *user;

    double entered; /* seconds of sched_clock: when it came to run; 0: never */

    /* The scheduler's. */
    sched *s;
    sched_job *next;
    pthread_cond_t settled;
    uint32_t running; /* tasks begun and not ended */
    int32_t verdict;
    bool stop, over, done;
    jv_err err;
};

/* Sums since the start, for the log and for tests. */
typedef struct sched_stats {
    uint64_t jobs, steps, tokens; /* tokens: through the network */
    uint64_t reused;              /* found in the tree */
    uint64_t parted;              /* prompts that began as another did, and parted from it within a block */
    uint64_t preempted;           /* sent back to the queue */
    uint64_t recomputed;          /* tokens through the network that had been there before they were sent back */
    uint64_t evicted;             /* blocks that left the tree */
    uint32_t most_blocks;         /* held at once by sequences */
    uint32_t most_running;
} sched_stats;

/* Bytes beside the network's and the cache's. */
uint64_t sched_bytes(const sched_size *size);
/* JV_OK and *out, with its thread running; FATAL: no memory or thread. */
int32_t sched_new(const sched_net *by, const sched_size *size, sched **out, jv_err *err);
/* Jobs that are still there end with JV_CANCELLED; waits until all callers are gone. Null is fine. */
void sched_free(sched *s);

/* Blocks until the job is settled. JV_OK, or what ended it. */
int32_t sched_run(sched *s, sched_job *job, jv_err *err);
/* Within on_row: `child`, a task of the same job not begun yet, goes on from `t`: it has t's done tokens, and more. */
void sched_fork(sched_task *t, sched_task *child);
/* Between these two no step is made, so that the caller may use the network. Another caller waits. */
void sched_pause(sched *s);
void sched_go_on(sched *s);
sched_stats sched_stats_of(sched *s);
double sched_clock(void); /* seconds; only goes forward */

#endif
