/*
 * dedup: drops every record whose field has been seen before.
 *
 *     [once]
 *     plugin = dedup
 *     in = text
 *
 * Two fields are the same when all their bytes are. What is kept of a field is a hash of 256 bits (BLAKE2b, RFC 7693),
 * keyed anew in every run, so that nobody can write two texts that are taken for one, or many that crowd one end of
 * the table. By chance alone a wrong drop among 2^40 records has the probability 2^-176. The table grows up to
 * `memory`; when it is full the run ends, since to forget in silence would let repeats through.
 */
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "jevons.h"

#define HASH_BYTES 32
#define FIRST_SLOTS 1024

struct hash {
    uint64_t word[HASH_BYTES / sizeof(uint64_t)]; /* the last one is odd; all 0: an empty slot */
};

/* A table with open addressing: a hash stands at the first free slot from the one its first word names. */
struct table {
    struct hash *slot;
    uint64_t slots, used; /* slots: a power of two */
};

struct dedup {
    const jv_host *h;
    int64_t memory;
    struct table table;
    unsigned char key[crypto_generichash_KEYBYTES];
};

enum { IN };
enum { DISTINCT };

static const jv_field fields[] = {
    {"in", JV_BYTES, JV_IN, "text", "what is compared, byte for byte"},
    {0},
};

static const jv_opt opts[] = {
    JV_OPTF(struct dedup, memory, JV_NEUTRAL, "1G", "bytes 1M..", "for what has been seen; 32 bytes a field, and room"),
    {0},
};

static const jv_counter counters[] = {{"distinct", "record", "records seen for the first time", 0, 0}, {0}};

/* The slot where `hash` stands, or the free one where it would; null when it is neither there nor any free. */
static struct hash *find(const struct table *t, const struct hash *hash)
{
    for (uint64_t i = 0; i < t->slots; i++) {
        struct hash *slot = &t->slot[(hash->word[0] + i) & (t->slots - 1)];
        if (!slot->word[3] || memcmp(slot, hash, sizeof *hash) == 0) return slot;
    }
    return NULL;
}

/* Doubles the table; false when the old and the new one together do not fit into the bound, or there is no memory. */
static bool grow(struct table *t, uint64_t bound)
{
    uint64_t slots = t->slots ? 2 * t->slots : FIRST_SLOTS;
    if (slots + t->slots > bound / sizeof(struct hash)) return false;
    struct table wide = {calloc(slots, sizeof(struct hash)), slots, t->used};
    if (!wide.slot) return false;
    for (uint64_t i = 0; i < t->slots; i++)
        if (t->slot[i].word[3]) *find(&wide, &t->slot[i]) = t->slot[i];
    free(t->slot);
    *t = wide;
    return true;
}

static int32_t dedup_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct dedup *)ctx)->h = h;
    return JV_OK;
}

static int32_t dedup_start(void *ctx, jv_err *err)
{
    struct dedup *g = ctx;
    if (sodium_init() < 0) return jv_fail(err, JV_FATAL, "libsodium finds no source of random numbers");
    crypto_generichash_keygen(g->key);
    return JV_OK;
}

static int32_t dedup_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct dedup *g = ctx;
    struct table *t = &g->table;
    jv_str s = g->h->get(g->h, b, IN);
    if (!s.p) return jv_fail(err, JV_BAD, "the record has no such field to compare");
    struct hash hash;
    crypto_generichash((unsigned char *)&hash, sizeof hash, (const unsigned char *)s.p, s.n, g->key, sizeof g->key);
    hash.word[3] |= 1;
    /* Searches are short up to three quarters; beyond, they are still exact, so a table that cannot grow is filled. */
    if (t->used >= t->slots / 4 * 3) grow(t, (uint64_t)g->memory);
    struct hash *slot = find(t, &hash);
    if (slot && slot->word[3]) return jv_drop(err, "seen before");
    if (!slot || t->used >= t->slots / 16 * 15)
        return jv_fail(err, JV_FATAL,
            "%llu different fields fill %llu bytes, and twice as much beside them exceeds memory = %llu, or what the "
            "machine has",
            (unsigned long long)t->used, (unsigned long long)(t->slots * sizeof hash), (unsigned long long)g->memory);
    *slot = hash;
    t->used++;
    g->h->count(g->h, b, DISTINCT, 1);
    return JV_OK;
}

static void dedup_close(void *ctx)
{
    struct dedup *g = ctx;
    free(g->table.slot);
    g->table = (struct table){0};
}

static const jv_port ports[] = {{"out", "records whose field has not been seen before", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "dedup",
    .brief = "drops every record whose field has been seen before",
    .flags = JV_ORDERED,
    .ctx_size = sizeof(struct dedup),
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = dedup_open,
    .start = dedup_start,
    .process = dedup_process,
    .close = dedup_close,
}};

JV_PLUGIN("dedup", "1.0", "MIT", stages);
