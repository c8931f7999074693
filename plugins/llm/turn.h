/* turn.h: one at a time, first come first served, and who waits can give up. */
#ifndef TURN_H
#define TURN_H

#include <pthread.h>
#include <stdint.h>

typedef struct waiter waiter;

typedef struct turn {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    waiter *first, *last; /* the first has the turn */
} turn;

/* One that waits or has the turn; lies with its caller from turn_take to turn_give. */
struct waiter {
    waiter *next;
};

void turn_init(turn *t);
void turn_destroy(turn *t);
/* 1: the caller's turn, until turn_give. 0: `stopped` (may be null; asked at most every 50 ms) answered nonzero,
 * nothing to give back. */
int turn_take(turn *t, waiter *w, int32_t (*stopped)(void *user), void *user);
void turn_give(turn *t, waiter *w);

#endif
