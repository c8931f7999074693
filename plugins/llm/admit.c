/* admit.c: who runs. Those that run come first, the first of them surest; what is left of slots, blocks and the step's
 * tokens goes to those that wait, strictly in their order. */
#include "scheduler_impl.h"

#include <string.h>

void sched_remove(sched *s, sched_task *t)
{
    uint32_t at = 0;
    while (s->running[at] != t) at++;
    s->n_running--;
    memmove(s->running + at, s->running + at + 1, (s->n_running - at) * sizeof *s->running);
}

static void run(sched *s, sched_task *t)
{
    uint32_t at = s->n_running++;
    while (at && queue_before(&t->place, &s->running[at - 1]->place)) {
        s->running[at] = s->running[at - 1];
        at--;
    }
    s->running[at] = t;
    t->state = TASK_RUNS;
    if (t->job->entered == 0) t->job->entered = sched_clock();
    if (s->n_running > s->stats.most_running) s->stats.most_running = s->n_running;
}

static sched_task *last_running(const sched *s)
{
    return s->n_running ? s->running[s->n_running - 1] : NULL;
}

/* Its tokens are kept, what was made included; keys and values are found in the tree later, or computed again. */
static void send_back(sched *s, sched_task *t)
{
    sched_remove(s, t);
    sequence_leave(&t->seq, &s->pool);
    t->state = TASK_WAITS;
    queue_put(&s->waiting, &t->place);
    s->stats.preempted++;
}

static void keep_room(sched *s)
{
    for (uint32_t i = 0; i < s->n_running;) {
        sched_task *t = s->running[i];
        jv_err err;
        int32_t rc = sequence_room(&t->seq, &s->pool, &err);
        if (rc == 0) send_back(s, last_running(s));
        if (rc < 0) sched_job_end(s, t->job, rc, &err);
        i = rc < 0 ? 0 : i + (uint32_t)rc;
    }
}

/* How many of those that run may still need another block. */
static uint32_t growing(const sched *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_running; i++) {
        const sequence *q = &s->running[i]->seq;
        n += q->n_blocks < blocks_of(q->most);
    }
    return n;
}

/* 1: it has blocks and a slot; 0: it has to wait. */
static int32_t enter(sched *s, sched_task *t, jv_err *err)
{
    for (;;) {
        int32_t rc = 0;
        if (s->n_running < s->size.sequences) rc = sequence_enter(&t->seq, &s->pool, growing(s), err);
        sched_task *last = last_running(s);
        if (rc != 0 || !last || last->place.class <= t->place.class) return rc;
        send_back(s, last);
    }
}

void sched_admit(sched *s)
{
    uint64_t prompts = 0; /* tokens to be read */
    keep_room(s);
    for (uint32_t i = 0; i < s->n_running; i++) {
        sequence *q = &s->running[i]->seq;
        if (q->n - q->done == 1) continue;
        sequence_share(q, &s->pool);
        prompts += q->n - q->done;
    }
    queued *next;
    while (prompts < s->size.chunk && (next = queue_next(&s->waiting))) {
        sched_task *t = (sched_task *)next;
        jv_err err;
        int32_t rc = enter(s, t, &err);
        if (rc == 0) break;
        if (rc < 0) {
            sched_job_end(s, t->job, rc, &err);
            continue;
        }
        queue_take(&s->waiting, next);
        run(s, t);
        prompts += t->seq.n - t->seq.done;
    }
    uint32_t held = s->size.blocks - radix_available(&s->pool.tree);
    if (held > s->stats.most_blocks) s->stats.most_blocks = held;
}

void sched_fork(sched_task *t, sched_task *child)
{
    sched *s = t->job->s;
    child->place = (queued){.ticket = t->place.ticket, .class = t->place.class};
    t->job->running++;
    if (s->n_running < s->size.sequences) {
        sequence_fork(&t->seq, &child->seq, &s->pool);
        run(s, child);
    } else {
        child->state = TASK_WAITS;
        queue_put(&s->waiting, &child->place);
    }
}
