/*
 * queue.h: sequences that wait to run. Live ones go before batch ones, within a class the one that came first.
 * Lest batch starve: when QUEUE_SHARE live ones have gone while batch ones waited, the first of these is live from then
 * on.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include <stdint.h>

#define QUEUE_SHARE 32

enum { QUEUE_LIVE, QUEUE_BATCH, QUEUE_CLASSES };

/* One that waits or runs; part of something of its owner's. */
typedef struct queued {
    struct queued *next;
    uint64_t ticket; /* lower: came earlier. Several may have the same */
    int32_t class;
} queued;

typedef struct queue {
    queued *first[QUEUE_CLASSES];
    uint32_t passed; /* live ones that went while batch ones waited, since one of these did */
} queue;

/* By class, then ticket; behind its equals. */
int queue_before(const queued *a, const queued *b);
/* Also one that ran before: its ticket puts it where it was. */
void queue_put(queue *q, queued *item);
/* Whose turn it is; null: nobody waits. */
queued *queue_next(const queue *q);
/* That one goes. */
void queue_take(queue *q, queued *next);
/* It gives up, wherever it stands; one that does not wait is fine. */
void queue_remove(queue *q, queued *item);

#endif
