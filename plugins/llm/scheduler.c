/* scheduler.c: jobs, and the thread that works on them. */
#include "scheduler_impl.h"

#include <stdlib.h>
#include <time.h>

double sched_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- jobs, in the thread ----------------------------------------------------------------------------------------- */

bool sched_job_stopped(sched_job *job)
{
    if (!job->stop && job->stopped && job->stopped(job->user)) job->stop = true;
    return job->stop;
}

void sched_task_end(sched *s, sched_task *t)
{
    if (t->state == TASK_RUNS) sched_remove(s, t);
    if (t->state == TASK_WAITS) queue_remove(&s->waiting, &t->place);
    sequence_leave(&t->seq, &s->pool);
    s->stats.reused += t->seq.reused;
    t->state = TASK_ENDED;
    if (--t->job->running == 0) t->job->over = true;
}

void sched_job_end(sched *s, sched_job *job, int32_t verdict, const jv_err *err)
{
    if (job->over) return;
    job->verdict = verdict;
    job->err = *err;
    for (uint32_t i = 0; i < job->n_tasks; i++)
        if (job->task[i].state == TASK_WAITS || job->task[i].state == TASK_RUNS) sched_task_end(s, &job->task[i]);
}

/* New ones get their place in the queue. */
static void welcome(sched *s, sched_job *arrived)
{
    while (arrived) {
        sched_job *job = arrived;
        sched_task *t = job->task;
        arrived = job->next;
        job->next = s->jobs;
        s->jobs = job;
        job->running = 1;
        t->place = (queued){.ticket = s->ticket++, .class = job->class};
        t->state = TASK_WAITS;
        queue_put(&s->waiting, &t->place);
    }
}

static void drop_stopped(sched *s, bool closing)
{
    jv_err err;
    jv_fail(&err, JV_CANCELLED, "cancelled");
    for (sched_job *job = s->jobs; job; job = job->next)
        if (closing || sched_job_stopped(job)) sched_job_end(s, job, JV_CANCELLED, &err);
}

/* Wakes those whose jobs are over: from then on these are gone. */
static void settle(sched *s)
{
    s->stats.evicted = s->pool.tree.evicted;
    s->stats.parted = s->pool.parted;
    pthread_mutex_lock(&s->lock);
    s->shown = s->stats;
    for (sched_job **at = &s->jobs; *at;) {
        sched_job *job = *at;
        if (!job->over) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->done = true;
        pthread_cond_signal(&job->settled);
    }
    pthread_mutex_unlock(&s->lock);
}

static void *work(void *arg)
{
    sched *s = arg;
    for (bool closing = false; !closing;) {
        pthread_mutex_lock(&s->lock);
        s->working = false;
        pthread_cond_broadcast(&s->rest);
        while (s->paused || (!s->arrived && !s->jobs && !s->closing)) pthread_cond_wait(&s->work, &s->lock);
        s->working = true;
        closing = s->closing;
        sched_job *arrived = s->arrived;
        s->arrived = NULL;
        s->last = &s->arrived;
        pthread_mutex_unlock(&s->lock);
        welcome(s, arrived);
        drop_stopped(s, closing);
        sched_admit(s);
        sched_step(s);
        settle(s);
    }
    return NULL;
}

/* ---- for callers ------------------------------------------------------------------------------------------------- */

int32_t sched_run(sched *s, sched_job *job, jv_err *err)
{
    job->s = s;
    job->next = NULL;
    job->verdict = JV_OK;
    job->stop = job->over = job->done = false;
    job->entered = 0;
    for (uint32_t i = 0; i < job->n_tasks; i++) {
        job->task[i].job = job;
        job->task[i].state = TASK_NEW;
    }
    pthread_cond_init(&job->settled, NULL);
    pthread_mutex_lock(&s->lock);
    s->inside++;
    if (!s->closing) {
        s->came++;
        *s->last = job;
        s->last = &job->next;
        pthread_cond_signal(&s->work);
        while (!job->done) pthread_cond_wait(&job->settled, &s->lock);
    } else {
        job->verdict = jv_fail(&job->err, JV_CANCELLED, "cancelled");
    }
    if (--s->inside == 0) pthread_cond_broadcast(&s->rest);
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&job->settled);
    if (job->verdict != JV_OK) *err = job->err;
    return job->verdict;
}

void sched_pause(sched *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->paused) pthread_cond_wait(&s->rest, &s->lock);
    s->paused = true;
    while (s->working) pthread_cond_wait(&s->rest, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void sched_go_on(sched *s)
{
    pthread_mutex_lock(&s->lock);
    s->paused = false;
    pthread_cond_broadcast(&s->rest);
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

sched_stats sched_stats_of(sched *s)
{
    pthread_mutex_lock(&s->lock);
    sched_stats shown = s->shown;
    shown.jobs = s->came;
    pthread_mutex_unlock(&s->lock);
    return shown;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

uint64_t sched_bytes(const sched_size *size)
{
    uint64_t capacity = (uint64_t)size->sequences + size->chunk;
    uint64_t each = sizeof(sched_task *) + sizeof(bk_run) + sizeof(sched_task *);
    return sizeof(sched) + radix_bytes(size->blocks) + size->sequences * each +
           capacity * (2 * sizeof(int32_t) + sizeof(sched_task *)) +
           (uint64_t)size->vocabulary * SCHED_LOGIT_ROWS * sizeof(float);
}

static int32_t take_memory(sched *s, jv_err *err)
{
    const sched_size *size = &s->size;
    size_t sequences = size->sequences, capacity = sequences + size->chunk;
    int32_t rc = blocks_init(&s->pool.blocks, size->blocks, err);
    if (rc == JV_OK) rc = radix_init(&s->pool.tree, &s->pool.blocks, err);
    if (rc != JV_OK) return rc;
    s->running = calloc(sequences, sizeof *s->running);
    s->runs = calloc(sequences, sizeof *s->runs);
    s->who = calloc(sequences, sizeof *s->who);
    s->ids = calloc(capacity, sizeof *s->ids);
    s->row = calloc(capacity, sizeof *s->row);
    s->row_task = calloc(capacity, sizeof *s->row_task);
    s->logits = calloc((size_t)SCHED_LOGIT_ROWS * size->vocabulary, sizeof *s->logits);
    if (!s->running || !s->runs || !s->who || !s->ids || !s->row || !s->row_task || !s->logits)
        return jv_fail(err, JV_FATAL, "no memory for %zu sequences and the logits of %u tokens", sequences,
            size->vocabulary);
    return JV_OK;
}

int32_t sched_new(const sched_net *by, const sched_size *size, sched **out, jv_err *err)
{
    sched *s = calloc(1, sizeof *s);
    if (!s) return jv_fail(err, JV_FATAL, "no memory for a scheduler");
    s->net = *by;
    s->size = *size;
    s->pool.copy = by->copy;
    s->pool.self = by->self;
    s->last = &s->arrived;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->rest, NULL);
    int32_t rc = take_memory(s, err);
    if (rc == JV_OK) {
        s->has_thread = pthread_create(&s->thread, NULL, work, s) == 0;
        if (!s->has_thread) rc = jv_fail(err, JV_FATAL, "no thread for the model's scheduler");
    }
    if (rc == JV_OK)
        *out = s;
    else
        sched_free(s);
    return rc;
}

void sched_free(sched *s)
{
    if (!s) return;
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->closing = true;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
        pthread_mutex_lock(&s->lock);
        while (s->inside) pthread_cond_wait(&s->rest, &s->lock);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->rest);
    pthread_mutex_destroy(&s->lock);
    radix_destroy(&s->pool.tree);
    blocks_destroy(&s->pool.blocks);
    free(s->running);
    free(s->runs);
    free(s->who);
    free(s->ids);
    free(s->row);
    free(s->row_task);
    free(s->logits);
    free(s);
}
