/*
 * farm.c: a PARALLEL stage with several threads. Records wait in a list of tasks; workers take them in order and
 * process them at once; one more thread, the collector, hands on what they made: of the first task only when an
 * ORDERED stage stands behind (so that order is kept by construction), else of any. The list is bounded: who pushes
 * waits. Since workers take tasks in order, the first task is always under way, so the list always moves.
 */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

#define MAX_OUTPUTS 1024 /* of the task that is being collected; its worker waits beyond that */

struct jvc_task {
    struct jvc_task *next;
    jv_buf *input;
    jv_buf *outputs, *last; /* not collected yet */
    size_t n_outputs;
    jv_buf *snapshot; /* the newest, not collected yet */
    bool done;
};

struct jvc_farm {
    struct jvc_stage *stage;
    pthread_mutex_t lock;
    pthread_cond_t work;                 /* a task to start, or closed */
    pthread_cond_t ready;                /* something to collect, or nothing more to come */
    pthread_cond_t room;                 /* a task or outputs were collected */
    struct jvc_task *head, *tail, *next; /* next: the first not started */
    size_t n, cap;
    bool ordered, closed;
    uint32_t n_workers;
    pthread_t *workers, collector;
};

struct jvc_farm *jvc_farm_new(struct jvc_stage *s)
{
    struct jvc_farm *f = jvc_alloc(sizeof *f);
    f->stage = s;
    f->ordered = s->order_matters;
    f->cap = 2 * (size_t)s->threads;
    f->workers = jvc_alloc((size_t)s->threads * sizeof *f->workers);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->work, NULL);
    pthread_cond_init(&f->ready, NULL);
    pthread_cond_init(&f->room, NULL);
    return f;
}

void jvc_farm_push(struct jvc_farm *f, jv_buf *b)
{
    struct jvc_task *t = calloc(1, sizeof *t);
    if (!t) {
        jv_err err;
        jv_fail(&err, JV_FATAL, "out of memory");
        jvc_node_worsen(b->node, JV_FATAL, &err);
        jvc_pipeline_fail(f->stage, b, &err);
        jvc_buf_release(f->stage->pl, b);
        return;
    }
    t->input = b;
    pthread_mutex_lock(&f->lock);
    while (f->n >= f->cap) pthread_cond_wait(&f->room, &f->lock);
    if (f->tail)
        f->tail->next = t;
    else
        f->head = t;
    f->tail = t;
    if (!f->next) f->next = t;
    f->n++;
    pthread_cond_signal(&f->work);
    pthread_mutex_unlock(&f->lock);
}

void jvc_farm_close(struct jvc_farm *f)
{
    pthread_mutex_lock(&f->lock);
    f->closed = true;
    pthread_cond_broadcast(&f->work);
    pthread_cond_broadcast(&f->ready);
    pthread_mutex_unlock(&f->lock);
}

static bool collectable(const struct jvc_farm *f, const struct jvc_task *t)
{
    return !f->ordered || t == f->head;
}

void jvc_task_output(struct jvc_farm *f, struct jvc_task *t, jv_buf *b)
{
    b->next = NULL;
    pthread_mutex_lock(&f->lock);
    while (t->n_outputs >= MAX_OUTPUTS && collectable(f, t)) pthread_cond_wait(&f->room, &f->lock);
    if (t->last)
        t->last->next = b;
    else
        t->outputs = b;
    t->last = b;
    t->n_outputs++;
    pthread_cond_signal(&f->ready);
    pthread_mutex_unlock(&f->lock);
}

bool jvc_task_streams(struct jvc_farm *f, struct jvc_task *t)
{
    if (!t) return false;
    pthread_mutex_lock(&f->lock);
    bool yes = collectable(f, t);
    pthread_mutex_unlock(&f->lock);
    return yes;
}

void jvc_task_snapshot(struct jvc_farm *f, struct jvc_task *t, jv_buf *b)
{
    pthread_mutex_lock(&f->lock);
    jv_buf *old = t->snapshot;
    t->snapshot = b;
    pthread_cond_signal(&f->ready);
    pthread_mutex_unlock(&f->lock);
    jvc_buf_release(f->stage->pl, old);
}

static void *worker_main(void *arg)
{
    struct jvc_farm *f = arg;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (!f->next && !f->closed) pthread_cond_wait(&f->work, &f->lock);
        struct jvc_task *t = f->next;
        if (!t) break;
        f->next = t->next;
        pthread_mutex_unlock(&f->lock);
        jv_buf *b = t->input;
        t->input = NULL;
        jvc_process(f->stage, b, t);
        pthread_mutex_lock(&f->lock);
        t->done = true;
        pthread_cond_signal(&f->ready);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* The first task with something to collect, and the one before it; null: none yet. */
static struct jvc_task *pick(const struct jvc_farm *f, struct jvc_task **before)
{
    *before = NULL;
    for (struct jvc_task *t = f->head; t; *before = t, t = t->next) {
        if (t->outputs || t->snapshot || t->done) return t;
        if (f->ordered) return NULL;
    }
    return NULL;
}

static void unlink_task(struct jvc_farm *f, struct jvc_task *t, struct jvc_task *before)
{
    if (before)
        before->next = t->next;
    else
        f->head = t->next;
    if (f->tail == t) f->tail = before;
    f->n--;
}

/* Takes what a task has now; true when the task is over and was unlinked. Called and left with the lock held. */
static bool collect(struct jvc_farm *f, struct jvc_task *t, struct jvc_task *before)
{
    struct jvc_pipeline *pl = f->stage->pl;
    jv_buf *list = t->outputs, *snapshot = t->snapshot;
    bool over = t->done;
    t->outputs = t->last = t->snapshot = NULL;
    t->n_outputs = 0;
    if (over) unlink_task(f, t, before);
    pthread_cond_broadcast(&f->room);
    pthread_mutex_unlock(&f->lock);
    if (snapshot && !list && !over)
        jvc_deliver(f->stage, 0, snapshot);
    else
        jvc_buf_release(pl, snapshot);
    while (list) {
        jv_buf *b = list;
        list = b->next;
        b->next = NULL;
        jvc_deliver(f->stage, (uint32_t)b->port, b);
    }
    pthread_mutex_lock(&f->lock);
    return over;
}

static void *collector_main(void *arg)
{
    struct jvc_farm *f = arg;
    struct jvc_task *t, *before;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        int64_t t0 = jvc_now();
        while (!(t = pick(f, &before)) && !(f->closed && !f->head)) pthread_cond_wait(&f->ready, &f->lock);
        atomic_fetch_add_explicit(&f->stage->wait_ns, jvc_now() - t0, memory_order_relaxed);
        if (!t) break;
        if (collect(f, t, before)) free(t);
    }
    pthread_mutex_unlock(&f->lock);
    jvc_flush(f->stage);
    jvc_finish(f->stage);
    return NULL;
}

int jvc_farm_start(struct jvc_farm *f)
{
    int rc = pthread_create(&f->collector, NULL, collector_main, f);
    f->stage->has_thread = !rc;
    for (uint32_t n = (uint32_t)f->stage->threads; !rc && f->n_workers < n; f->n_workers += !rc)
        rc = pthread_create(&f->workers[f->n_workers], NULL, worker_main, f);
    return rc;
}

void jvc_farm_join(struct jvc_farm *f)
{
    if (!f->stage->has_thread) return;
    for (uint32_t i = 0; i < f->n_workers; i++) pthread_join(f->workers[i], NULL);
    pthread_join(f->collector, NULL);
}

void jvc_farm_free(struct jvc_farm *f)
{
    if (!f) return;
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->work);
    pthread_cond_destroy(&f->ready);
    pthread_cond_destroy(&f->room);
    free(f->workers);
    free(f);
}
