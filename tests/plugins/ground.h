/*
 * ground.h: what the stages of ground.c decide about a record: pure functions of its id and of the stage's salt, so
 * that a model of a pipeline (tests/graphs/oracle.c) can tell what must become of every record without running it.
 */
#ifndef GROUND_H
#define GROUND_H

#include <stddef.h>
#include <stdint.h>

#define GROUND_MARK 8     /* letters of the field `mark` */
#define GROUND_CHILDREN 5 /* most children of one record */

enum ground_fate { GROUND_PASS, GROUND_DROP, GROUND_BAD, GROUND_RETRY, GROUND_NEVER, GROUND_FATAL };

/* Records per thousand that meet each fate; the rest passes. RETRY passes in the end, NEVER is retried in vain. */
struct ground_odds {
    int64_t drop, bad, retry, never, fatal;
};

/* FNV-1a, then the finaliser of MurmurHash3, so that all 64 bits are good to choose by. */
static inline uint64_t ground_hash(const char *p, size_t n, uint64_t salt)
{
    uint64_t h = 14695981039346656037u ^ salt * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)p[i]) * 1099511628211u;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}

/* Folds one more thing into a digest; the order matters. */
static inline uint64_t ground_mix(uint64_t digest, uint64_t more)
{
    digest = (digest ^ more) * 0x9e3779b97f4a7c15u;
    return digest ^ digest >> 29;
}

static inline enum ground_fate ground_fate(uint64_t hash, const struct ground_odds *odds)
{
    const int64_t share[] = {odds->drop, odds->bad, odds->retry, odds->never, odds->fatal};
    int64_t at = (int64_t)(hash % 1000);
    for (int i = 0; i < 5; i++) {
        if (at < share[i]) return (enum ground_fate)(GROUND_DROP + i);
        at -= share[i];
    }
    return GROUND_PASS;
}

/* Further choices, each by other bits. */
static inline uint32_t ground_port(uint64_t hash, uint32_t n_ports)
{
    return (uint32_t)(hash >> 24 & 0xffff) % n_ports;
}

static inline uint32_t ground_children(uint64_t hash, uint32_t most)
{
    return (uint32_t)(hash >> 10 & 0xfff) % (most + 1);
}

/* Whether a stage that splits makes its children before it says that the record is at fault. */
static inline int ground_late(uint64_t hash)
{
    return (int)(hash >> 40 & 1);
}

static inline int ground_chosen(uint64_t hash, int64_t per_mille)
{
    return (int64_t)((hash >> 32) % 1000) < per_mille;
}

/* The stage's turn of the letters of `mark`. */
static inline void ground_turn(char *mark, uint64_t salt)
{
    for (int i = 0; i < GROUND_MARK; i++)
        mark[i] = (char)('a' + ((uint64_t)(mark[i] - 'a') + (salt + 1) * (uint64_t)(i + 1)) % 26);
}

/* Byte i of the ballast of a root record; the part of it that a child keeps: n bytes, half of what its parent has. */
static inline char ground_ballast(uint64_t root_hash, size_t i)
{
    return (char)('A' + (root_hash + i * 7) % 26);
}

static inline size_t ground_cut(uint64_t child_hash, size_t parent_n)
{
    return child_hash % (parent_n - parent_n / 2 + 1);
}

/* Piece i of what a stage streams: one to three letters; answers how many. */
static inline size_t ground_piece(uint64_t hash, uint32_t i, char out[3])
{
    size_t n = 1 + (hash >> (i % 16 * 4)) % 3;
    for (size_t k = 0; k < n; k++) out[k] = (char)('a' + (hash >> k * 8 ^ i) % 26);
    return n;
}

/* What a record carries: the field `digest`, hashes of `mark`, `ballast` and `text`, its priority, and the salt of the
 * stage that rejected it last, or -1. */
struct ground_load {
    uint64_t digest, mark, ballast, text;
    int64_t priority, error;
};

static inline uint64_t ground_sum(const struct ground_load *l)
{
    const uint64_t part[] = {l->mark, l->ballast, l->text, (uint64_t)l->priority, (uint64_t)l->error};
    uint64_t sum = l->digest;
    for (int i = 0; i < 5; i++) sum = ground_mix(sum, part[i]);
    return sum;
}

#endif
