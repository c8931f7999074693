/* scheduler_impl.h: what the files of the scheduler share: scheduler.c (jobs and the thread), admit.c (who runs),
 * step.c (what they do). All but what the lock guards belongs to the thread. */
#ifndef SCHEDULER_IMPL_H
#define SCHEDULER_IMPL_H

#include <pthread.h>

#include "scheduler.h"

enum { TASK_NEW, TASK_WAITS, TASK_RUNS, TASK_ENDED };

struct sched {
    sched_net net;
    sched_size size;
    kv_pool pool;

    queue waiting;
    sched_task **running; /* (sequences), in the order of queue_before: the last one is the first to go back */
    uint32_t n_running;
    sched_job *jobs; /* all that are not settled */
    uint64_t ticket; /* of the next job */

    /* The step at hand; capacity = sequences + chunk. */
    int32_t *ids;     /* (capacity) */
    bk_run *runs;     /* (sequences) */
    sched_task **who; /* (sequences): whose run it is */
    uint32_t n, n_runs;
    int32_t *row;          /* (capacity): rows whose logits are wanted */
    sched_task **row_task; /* (capacity) */
    uint32_t n_rows;
    float *logits; /* (SCHED_LOGIT_ROWS, vocabulary) */

    sched_stats stats;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t work; /* for the thread, ... */
    pthread_cond_t rest; /* ... for those who wait for it */
    /* Under the lock. */
    sched_job *arrived, **last; /* in order */
    uint64_t came;              /* jobs */
    sched_stats shown;
    uint32_t inside;      /* callers */
    bool paused, working; /* working: in a step, or about to be */
    bool closing;
};

/* Whether the caller has lost interest. */
bool sched_job_stopped(sched_job *job);
/* Ends all of the job's tasks and keeps the first verdict; it is settled at the end of the step. */
void sched_job_end(sched *s, sched_job *job, int32_t verdict, const jv_err *err);
void sched_task_end(sched *s, sched_task *t);

/* Room for all that run, by sending others back if need be; then lets in who may come. */
void sched_admit(sched *s);
void sched_remove(sched *s, sched_task *t); /* from the running ones */
/* One step of all that run. */
void sched_step(sched *s);

#endif
