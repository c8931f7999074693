/* ids.c: see ids.h. */
#include "ids.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 1024

struct hash {
    uint64_t v[2];
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* Eight bytes at a time into two sums that mix differently; never {0, 0}. */
static struct hash hash_of(jv_str id)
{
    struct hash h = {{id.n, ~(uint64_t)id.n}};
    for (size_t i = 0; i < id.n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, id.p + i, id.n - i < 8 ? id.n - i : 8);
        h.v[0] = mix(h.v[0] ^ word);
        h.v[1] = mix(h.v[1] + (word << 32 | word >> 32)) + h.v[0];
    }
    h.v[0] = mix(h.v[0]);
    h.v[1] = mix(h.v[1]) | 1;
    return h;
}

/* Where it is, or the free place where it belongs. At least a quarter of the places are free. */
static size_t place_of(const struct ids *ids, struct hash h)
{
    size_t i = (size_t)h.v[0] & (ids->cap - 1);
    while (ids->v[i][1] && (ids->v[i][0] != h.v[0] || ids->v[i][1] != h.v[1])) i = (i + 1) & (ids->cap - 1);
    return i;
}

bool ids_has(const struct ids *ids, jv_str id)
{
    return ids->cap && ids->v[place_of(ids, hash_of(id))][1];
}

bool ids_reserve(struct ids *ids)
{
    if (ids->n < ids->cap / 4 * 3) return true;
    struct ids more = {.n = ids->n, .cap = ids->cap ? 2 * ids->cap : FIRST_CAP};
    more.v = calloc(more.cap, sizeof *more.v);
    if (!more.v) return false;
    for (size_t i = 0; i < ids->cap; i++)
        if (ids->v[i][1]) memcpy(more.v[place_of(&more, (struct hash){{ids->v[i][0], ids->v[i][1]}})], ids->v[i], 16);
    free(ids->v);
    *ids = more;
    return true;
}

void ids_add(struct ids *ids, jv_str id)
{
    struct hash h = hash_of(id);
    memcpy(ids->v[place_of(ids, h)], h.v, sizeof h.v);
    ids->n++;
}

void ids_free(struct ids *ids)
{
    free(ids->v);
    *ids = (struct ids){0};
}
