/* turn.c: a queue of waiters under one lock. */
#include "turn.h"

#include <stddef.h>
#include <time.h>

#define ASK_NS 50000000L /* how long a waiter sleeps before it asks whether it is still wanted */

void turn_init(turn *t)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, &attr);
    pthread_condattr_destroy(&attr);
    t->first = t->last = NULL;
}

void turn_destroy(turn *t)
{
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
}

/* Takes w out of the queue, wherever it stands. */
static void leave(turn *t, waiter *w)
{
    waiter *before = NULL, **at = &t->first;
    while (*at != w) {
        before = *at;
        at = &before->next;
    }
    *at = w->next;
    if (t->last == w) t->last = before;
    pthread_cond_broadcast(&t->changed);
}

int turn_take(turn *t, waiter *w, int32_t (*stopped)(void *user), void *user)
{
    int mine = 1;
    pthread_mutex_lock(&t->lock);
    w->next = NULL;
    if (t->last)
        t->last->next = w;
    else
        t->first = w;
    t->last = w;
    while (t->first != w && mine) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += ASK_NS;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&t->changed, &t->lock, &until);
        if (t->first == w || !stopped) continue;
        pthread_mutex_unlock(&t->lock); /* the caller's function runs without our lock */
        mine = !stopped(user);
        pthread_mutex_lock(&t->lock);
    }
    if (!mine) leave(t, w);
    pthread_mutex_unlock(&t->lock);
    return mine;
}

void turn_give(turn *t, waiter *w)
{
    pthread_mutex_lock(&t->lock);
    leave(t, w);
    pthread_mutex_unlock(&t->lock);
}
