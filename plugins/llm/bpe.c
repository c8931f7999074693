/* bpe.c: the list of merges of a file, and words of bytes joined by it. */
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PROBES 1024

typedef struct bpe_pair {
    int32_t left, right;
    uint32_t rank; /* MERGE_NEVER: free */
} bpe_pair;

/* ---- the list of merges ---- */

/* Fibonacci hashing (Knuth, TAOCP 6.4): the product's high half mixes both ids. */
static uint32_t slot_of(const bpe *b, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    key ^= key >> 29;
    return (uint32_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (b->n_pairs - 1);
}

static uint32_t find_rank(const bpe *b, int32_t left, int32_t right)
{
    uint32_t i = slot_of(b, left, right);
    while (b->pairs[i].rank != MERGE_NEVER && (b->pairs[i].left != left || b->pairs[i].right != right))
        i = (i + 1) & (b->n_pairs - 1);
    return b->pairs[i].rank;
}

/* A pair listed twice keeps its first rank. */
static int32_t add_pair(bpe *b, int32_t left, int32_t right, uint32_t rank, jv_err *err)
{
    uint32_t i = slot_of(b, left, right);
    for (int probes = 0; b->pairs[i].rank != MERGE_NEVER; i = (i + 1) & (b->n_pairs - 1)) {
        if (b->pairs[i].left == left && b->pairs[i].right == right) return JV_OK;
        if (++probes == MAX_PROBES)
            return jv_fail(err, JV_BAD, "the hashes of over %d merges collide; merge %u is one", MAX_PROBES, rank);
    }
    b->pairs[i] = (bpe_pair){.left = left, .right = right, .rank = rank};
    return JV_OK;
}

/* "left right", parted by the first space behind the first byte. A merge that makes a control token is never applied:
 * only trusted text may hold those. */
static int32_t add_merge(bpe *b, jv_str line, uint32_t rank, jv_err *err)
{
    const char *space = line.n > 1 ? memchr(line.p + 1, ' ', line.n - 1) : NULL;
    if (!space) return jv_fail(err, JV_BAD, "merge %u (%zu bytes) has no space between its parts", rank, line.n);
    jv_str left = {line.p, (size_t)(space - line.p)}, right = {space + 1, line.n - left.n - 1}, none = {0};
    int32_t l = vocab_find(b->v, left, none), r = vocab_find(b->v, right, none);
    int32_t made = vocab_find(b->v, left, right);
    if (l < 0 || r < 0 || made < 0) {
        const char *what = l < 0 ? "the left part" : r < 0 ? "the right part" : "the result";
        return jv_fail(err, JV_BAD, "%s of merge %u (%zu + %zu bytes) is no token", what, rank, left.n, right.n);
    }
    b->result[rank] = made;
    return vocab_is_control(b->v, made) ? JV_OK : add_pair(b, l, r, rank, err);
}

int32_t bpe_load(bpe *b, const vocab *v, const gguf *g, jv_err *err)
{
    gguf_array a;
    int32_t rc = gguf_get_array(g, "tokenizer.ggml.merges", GGUF_STRING, &a, err);
    if (rc < 0) return rc;
    if (rc > 0) return jv_fail(err, JV_BAD, "the file has no tokenizer.ggml.merges");
    if (a.n > VOCAB_MAX) return jv_fail(err, JV_BAD, "%llu merges, over %u", (unsigned long long)a.n, VOCAB_MAX);
    b->v = v;
    b->n = (uint32_t)a.n;
    b->n_pairs = 2;
    while (b->n_pairs < 2 * b->n) b->n_pairs *= 2;
    b->result = calloc((size_t)b->n + 1, sizeof *b->result);
    b->pairs = malloc(b->n_pairs * sizeof *b->pairs);
    if (!b->result || !b->pairs) return jv_fail(err, JV_FATAL, "no memory for %u merges", b->n);
    memset(b->pairs, 0xFF, b->n_pairs * sizeof *b->pairs);
    uint64_t at = 0;
    for (uint32_t i = 0; i < b->n && rc >= 0; i++) rc = add_merge(b, gguf_array_string(&a, &at), i, err);
    return rc;
}

void bpe_free(bpe *b)
{
    free(b->result);
    free(b->pairs);
}

/* ---- one word ---- */

static uint32_t join(const void *self, const merge_symbol *left, const merge_symbol *right, int32_t *made)
{
    const bpe *b = self;
    if (left->id < 0 || right->id < 0) return MERGE_NEVER;
    uint32_t rank = find_rank(b, left->id, right->id);
    if (rank != MERGE_NEVER) *made = b->result[rank];
    return rank;
}

int32_t bpe_word(const bpe *b, const char *word, size_t n, merge_work *w, token_list *out, jv_err *err)
{
    int32_t rc = merge_reserve(w, n, err);
    if (rc < 0 || n == 0) return rc;
    for (size_t i = 0; i < n; i++)
        merge_set(w, i, n, (merge_symbol){.at = (uint32_t)i, .n = 1, .id = b->v->byte_token[(uint8_t)word[i]]});
    merge_all(w, n, join, b);
    for (uint32_t i = 0; i != MERGE_END && rc >= 0; i = w->symbols[i].next) {
        if (w->symbols[i].id >= 0)
            rc = token_list_push(out, w->symbols[i].id, err);
        else
            out->lost++;
    }
    return rc;
}
