/* heap.h: a binary heap of numbers, the least on top (Williams, CACM 7 (6), 1964). The caller has the room. */
#ifndef HEAP_H
#define HEAP_H

#include <stddef.h>
#include <stdint.h>

static inline void heap_push(uint64_t *heap, size_t *n, uint64_t key)
{
    size_t i = (*n)++;
    for (; i > 0 && heap[(i - 1) / 2] > key; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = key;
}

/* Takes the least of n > 0. */
static inline uint64_t heap_pop(uint64_t *heap, size_t *n)
{
    uint64_t least = heap[0], last = heap[--*n];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < *n) {
        if (child + 1 < *n && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= last) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return least;
}

#endif
