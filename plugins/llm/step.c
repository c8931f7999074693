/* step.c: what those that run do together: their tokens through the network, and the logits to who wants them. */
#include "scheduler_impl.h"

/* ---- the batch --------------------------------------------------------------------------------------------------- */

/* The next n tokens of t, all of which have room. */
static void add_run(sched *s, sched_task *t, uint32_t n)
{
    const sequence *q = &t->seq;
    s->runs[s->n_runs] = (bk_run){n, q->done, q->blocks};
    s->who[s->n_runs++] = t;
    for (uint32_t pos = q->done; pos < q->done + n; pos++) {
        s->ids[s->n] = q->tokens[pos];
        if (pos >= q->want) {
            s->row[s->n_rows] = (int32_t)s->n;
            s->row_task[s->n_rows++] = t;
        }
        s->n++;
    }
}

/* A token of each that has one left to do, so that no answer waits for a prompt; then prompts, in parts. */
static void make_batch(sched *s)
{
    uint32_t left = s->size.chunk;
    s->n = s->n_runs = s->n_rows = 0;
    for (uint32_t i = 0; i < s->n_running; i++)
        if (s->running[i]->seq.n - s->running[i]->seq.done == 1) add_run(s, s->running[i], 1);
    for (uint32_t i = 0; i < s->n_running && left; i++) {
        uint32_t n = s->running[i]->seq.n - s->running[i]->seq.done;
        if (n == 1) continue;
        if (n > left) n = left;
        add_run(s, s->running[i], n);
        left -= n;
    }
}

/* ---- through the network ----------------------------------------------------------------------------------------- */

/* Nobody in the batch wants it any more. */
static int32_t unwanted(void *user)
{
    sched *s = user;
    pthread_mutex_lock(&s->lock);
    bool closing = s->closing;
    pthread_mutex_unlock(&s->lock);
    if (closing) return 1;
    for (uint32_t i = 0; i < s->n_runs; i++)
        if (!sched_job_stopped(s->who[i]->job)) return 0;
    return 1;
}

/* What went wrong for all went wrong for each. */
static void end_all(sched *s, int32_t verdict, const jv_err *err)
{
    for (uint32_t i = 0; i < s->n_runs; i++) sched_job_end(s, s->who[i]->job, verdict, err);
}

/* The logits of row i of the wanted ones to its task, unless that has ended meanwhile. */
static void give_row(sched *s, uint32_t i, float *logits)
{
    sched_task *t = s->row_task[i];
    sched_job *job = t->job;
    jv_err err;
    if (t->state != TASK_RUNS) return;
    t->seq.want++;
    int32_t rc = job->on_row(job, t, logits, &err);
    if (rc != JV_OK)
        sched_job_end(s, job, rc, &err);
    else if (t->seq.want == t->seq.n)
        sched_task_end(s, t);
}

static int32_t give_rows(sched *s, jv_err *err)
{
    int32_t rc = JV_OK;
    for (uint32_t at = 0, n; at < s->n_rows && rc == JV_OK; at += n) {
        n = s->n_rows - at < SCHED_LOGIT_ROWS ? s->n_rows - at : SCHED_LOGIT_ROWS;
        rc = s->net.logits(s->net.self, s->row + at, n, s->logits, err);
        for (uint32_t i = 0; i < n && rc == JV_OK; i++) give_row(s, at + i, s->logits + (size_t)i * s->size.vocabulary);
    }
    return rc;
}

void sched_step(sched *s)
{
    jv_err err;
    make_batch(s);
    if (s->n == 0) return;
    int32_t rc = s->net.forward(s->net.self, s->ids, s->runs, s->n_runs, s->n, &(net_stop){unwanted, s}, &err);
    if (rc == JV_CANCELLED) return; /* they are all dropped before the next step */
    s->stats.steps++;
    s->stats.tokens += s->n;
    for (uint32_t i = 0; i < s->n_runs && rc == JV_OK; i++) {
        sequence *q = &s->who[i]->seq;
        uint32_t begin = q->done, end = begin + s->runs[i].n, known = q->seen < end ? q->seen : end;
        if (known > begin) s->stats.recomputed += known - begin;
        q->done = end;
        sequence_share(q, &s->pool);
    }
    if (rc == JV_OK) rc = give_rows(s, &err);
    if (rc != JV_OK) end_all(s, rc, &err);
}
