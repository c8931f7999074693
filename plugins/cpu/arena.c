/*
 * arena.c: tensors are cut from large pieces of address space that ask for huge pages. The weights of a token are more
 * pages of 4 KiB than a processor keeps translations of; and a page of 2 MiB is one fault when it is first written.
 */
#include "arena.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PAGE (UINT64_C(2) << 20)   /* a huge one */
#define PIECE (UINT64_C(32) << 20) /* least size of a piece: what nothing fits into stays unwritten */
#define ALIGN UINT64_C(64)

typedef struct arena_piece {
    struct arena_piece *next;
    uint8_t *map, *at;    /* at: the first huge page in map */
    uint64_t bytes, used; /* from `at` on; mapped is a page more */
    uint64_t live;        /* how many parts are in use */
} arena_piece;

static arena_piece *map_piece(uint64_t bytes)
{
    arena_piece *p = malloc(sizeof *p);
    if (!p) return NULL;
    bytes = bytes < PIECE ? PIECE : (bytes + PAGE - 1) / PAGE * PAGE;
    *p = (arena_piece){.bytes = bytes};
    p->map = mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p->map == MAP_FAILED) {
        free(p);
        return NULL;
    }
    p->at = p->map + (PAGE - (uintptr_t)p->map % PAGE) % PAGE;
    madvise(p->at, p->bytes, MADV_HUGEPAGE); /* a wish: small pages do, too */
    return p;
}

void *arena_new(arena *a, uint64_t bytes)
{
    void *new = NULL;
    if (bytes > SIZE_MAX / 4) return NULL;
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    pthread_mutex_lock(&a->lock);
    arena_piece *p = a->pieces;
    while (p && p->bytes - p->used < bytes) p = p->next;
    if (!p && (p = map_piece(bytes))) {
        p->next = a->pieces;
        a->pieces = p;
    }
    if (p) {
        new = p->at + p->used;
        p->used += bytes;
        p->live++;
    }
    pthread_mutex_unlock(&a->lock);
    return new;
}

void arena_free(arena *a, void *p)
{
    if (!p) return;
    pthread_mutex_lock(&a->lock);
    arena_piece **at = &a->pieces, *piece;
    while (*at && ((uint8_t *)p < (*at)->at || (uint8_t *)p >= (*at)->at + (*at)->bytes)) at = &(*at)->next;
    piece = *at;
    if (piece && --piece->live == 0) {
        *at = piece->next;
        munmap(piece->map, piece->bytes + PAGE);
        free(piece);
    }
    pthread_mutex_unlock(&a->lock);
}
