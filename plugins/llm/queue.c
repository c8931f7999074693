/* queue.c: two lists of those who wait, in order of arrival. */
#include "queue.h"

#include <stddef.h>

int queue_before(const queued *a, const queued *b)
{
    return a->class != b->class ? a->class < b->class : a->ticket < b->ticket;
}

void queue_put(queue *q, queued *item)
{
    queued **at = &q->first[item->class];
    while (*at && !queue_before(item, *at)) at = &(*at)->next;
    item->next = *at;
    *at = item;
}

queued *queue_next(const queue *q)
{
    return q->first[QUEUE_LIVE] ? q->first[QUEUE_LIVE] : q->first[QUEUE_BATCH];
}

void queue_take(queue *q, queued *next)
{
    queue_remove(q, next);
    queued *batch = q->first[QUEUE_BATCH];
    if (next->class == QUEUE_BATCH || !batch) {
        q->passed = 0;
    } else if (++q->passed == QUEUE_SHARE) {
        queue_remove(q, batch);
        batch->class = QUEUE_LIVE;
        queue_put(q, batch);
        q->passed = 0;
    }
}

void queue_remove(queue *q, queued *item)
{
    queued **at = &q->first[item->class];
    while (*at && *at != item) at = &(*at)->next;
    if (*at) *at = item->next;
    item->next = NULL;
}
