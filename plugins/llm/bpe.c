/*
 * Merges and their application.
 *
 * A word is a doubly linked list of symbols. Each symbol knows the rank of the merge that would join it with its right
 * neighbour; candidates wait in a binary heap as rank * 2^32 + position, so the smallest number is the next to join. A
 * candidate whose symbol has another rank by now is out of date and skipped: it is never searched for in the heap.
 */
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PROBES 1024
#define NO_RANK UINT32_MAX
#define NO_SYMBOL UINT32_MAX

typedef struct bpe_pair {
    int32_t left, right;
    uint32_t rank; /* NO_RANK: free */
} bpe_pair;

typedef struct bpe_symbol {
    uint32_t prev, next; /* NO_SYMBOL: none */
    int32_t id;          /* -1: a byte without a token */
    uint32_t rank;       /* of the merge with `next`, NO_RANK: none, or this symbol was absorbed */
} bpe_symbol;

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
    while (b->pairs[i].rank != NO_RANK && (b->pairs[i].left != left || b->pairs[i].right != right))
        i = (i + 1) & (b->n_pairs - 1);
    return b->pairs[i].rank;
}

/* A pair listed twice keeps its first rank. */
static int32_t add_pair(bpe *b, int32_t left, int32_t right, uint32_t rank, jv_err *err)
{
    uint32_t i = slot_of(b, left, right);
    for (int probes = 0; b->pairs[i].rank != NO_RANK; i = (i + 1) & (b->n_pairs - 1)) {
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

static void heap_push(uint64_t *heap, size_t *n, uint64_t key)
{
    size_t i = (*n)++;
    for (; i > 0 && heap[(i - 1) / 2] > key; i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = key;
}

static uint64_t heap_pop(uint64_t *heap, size_t *n)
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

/* Makes the pair of symbol i and its right neighbour a candidate, if a merge lists it. */
static void consider(const bpe *b, const bpe_work *w, size_t *n_heap, uint32_t i)
{
    bpe_symbol *s = &w->symbols[i];
    s->rank = NO_RANK;
    if (s->next == NO_SYMBOL || s->id < 0 || w->symbols[s->next].id < 0) return;
    s->rank = find_rank(b, s->id, w->symbols[s->next].id);
    if (s->rank != NO_RANK) heap_push(w->heap, n_heap, (uint64_t)s->rank << 32 | i);
}

/* The heap never holds more than 2n: at most n - 1 at first, and each merge takes one out and puts at most two in. */
static void merge_all(const bpe *b, const bpe_work *w, size_t n)
{
    bpe_symbol *s = w->symbols;
    size_t n_heap = 0;
    for (size_t i = 0; i < n; i++) consider(b, w, &n_heap, (uint32_t)i);
    while (n_heap > 0) {
        uint64_t best = heap_pop(w->heap, &n_heap);
        uint32_t left = (uint32_t)best, rank = (uint32_t)(best >> 32);
        if (s[left].rank != rank) continue;
        uint32_t right = s[left].next, beyond = s[right].next;
        s[left].id = b->result[rank];
        s[left].next = beyond;
        s[right].rank = NO_RANK;
        if (beyond != NO_SYMBOL) s[beyond].prev = left;
        consider(b, w, &n_heap, left);
        if (s[left].prev != NO_SYMBOL) consider(b, w, &n_heap, s[left].prev);
    }
}

static int32_t reserve(bpe_work *w, size_t n, jv_err *err)
{
    if (n <= w->cap) return JV_OK;
    bpe_work_free(w);
    size_t cap = n < 64 ? 64 : n + n / 2;
    w->symbols = malloc(cap * sizeof *w->symbols);
    w->heap = malloc(cap * 2 * sizeof *w->heap);
    if (!w->symbols || !w->heap) {
        bpe_work_free(w);
        return jv_fail(err, JV_FATAL, "no memory to merge a word of %zu bytes", n);
    }
    w->cap = cap;
    return JV_OK;
}

void bpe_work_free(bpe_work *w)
{
    free(w->symbols);
    free(w->heap);
    *w = (bpe_work){0};
}

int32_t bpe_word(const bpe *b, const char *word, size_t n, bpe_work *w, token_list *out, jv_err *err)
{
    int32_t rc = reserve(w, n, err);
    if (rc < 0 || n == 0) return rc;
    for (size_t i = 0; i < n; i++)
        w->symbols[i] = (bpe_symbol){.prev = i > 0 ? (uint32_t)i - 1 : NO_SYMBOL,
            .next = i + 1 < n ? (uint32_t)i + 1 : NO_SYMBOL,
            .id = b->v->byte_token[(uint8_t)word[i]],
            .rank = NO_RANK};
    merge_all(b, w, n);
    for (uint32_t i = 0; i != NO_SYMBOL && rc >= 0; i = w->symbols[i].next) {
        if (w->symbols[i].id >= 0)
            rc = token_list_push(out, w->symbols[i].id, err);
        else
            out->lost++;
    }
    return rc;
}
