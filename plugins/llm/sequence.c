/* sequence.c: the table of blocks of one sequence. */
#include "sequence.h"

#include <stdlib.h>
#include <string.h>

uint32_t blocks_of(uint64_t n)
{
    return (uint32_t)((n + BK_KV_BLOCK - 1) / BK_KV_BLOCK);
}

int32_t sequence_init(sequence *s, const int32_t *tokens, uint32_t n, uint32_t most, jv_err *err)
{
    *s = (sequence){.n = n, .most = most, .want = n - 1};
    s->tokens = malloc(most * sizeof *s->tokens);
    s->blocks = malloc(blocks_of(most) * sizeof *s->blocks);
    if (!s->tokens || !s->blocks) return jv_fail(err, JV_FATAL, "no memory for a sequence of %u tokens", most);
    memcpy(s->tokens, tokens, n * sizeof *tokens);
    return JV_OK;
}

void sequence_destroy(sequence *s)
{
    free(s->tokens);
    free(s->blocks);
    *s = (sequence){0};
}

void sequence_push(sequence *s, int32_t id)
{
    s->tokens[s->n++] = id;
}

static uint32_t last_shared(const sequence *s)
{
    return s->shared ? s->blocks[s->shared - 1] : BLOCK_NONE;
}

/* Tokens up to `end` are done without being computed. */
static void skip(sequence *s, uint32_t end)
{
    uint32_t from = s->done > s->seen ? s->done : s->seen;
    if (end > from) s->reused += end - from;
    s->done = end;
}

/* Block `at` of the table becomes one of the tree's, and what it was, if anything, is given back. */
static void adopt(sequence *s, radix *tree, uint32_t at, uint32_t id)
{
    radix_hold(tree, id);
    if (at < s->n_blocks)
        radix_drop(tree, s->blocks[at]);
    else
        s->n_blocks++;
    s->blocks[at] = id;
    uint32_t end = (at + 1) * BK_KV_BLOCK;
    if (s->done < end) skip(s, end);
}

void sequence_share(sequence *s, kv_pool *p)
{
    for (; s->cache; s->shared++) {
        uint32_t at = s->shared, begin = at * BK_KV_BLOCK, end = begin + BK_KV_BLOCK, same;
        if (end > s->done && end > s->want) break;
        uint32_t id = radix_nearest(&p->tree, last_shared(s), s->tokens + begin, BK_KV_BLOCK, &same);
        if (same == BK_KV_BLOCK)
            adopt(s, &p->tree, at, id);
        else if (end <= s->done)
            radix_insert(&p->tree, last_shared(s), s->tokens + begin, s->blocks[at]);
        else
            break;
    }
}

/* The tree's block that begins as the tokens behind the shared ones do: that beginning is copied. */
static int32_t copy_part(sequence *s, kv_pool *p, jv_err *err)
{
    uint32_t n = s->want - s->done, same;
    if (n > BK_KV_BLOCK) n = BK_KV_BLOCK;
    uint32_t from = radix_nearest(&p->tree, last_shared(s), s->tokens + s->done, n, &same);
    if (same == 0) return JV_OK;
    int32_t rc = JV_OK;
    radix_hold(&p->tree, from); /* or it might be the one that is taken */
    uint32_t to = radix_take(&p->tree);
    if (to != BLOCK_NONE) {
        s->blocks[s->n_blocks++] = to;
        rc = p->copy(p->self, to, from, same, err);
        skip(s, s->done + same);
        p->parted += same < n;
    }
    radix_drop(&p->tree, from);
    return rc;
}

int32_t sequence_enter(sequence *s, kv_pool *p, uint32_t spare, jv_err *err)
{
    sequence_share(s, p);
    uint64_t need = (uint64_t)blocks_of(s->n) - s->n_blocks + spare;
    if (radix_available(&p->tree) < need) {
        sequence_leave(s, p);
        return 0;
    }
    int32_t rc = s->cache ? copy_part(s, p, err) : JV_OK;
    return rc == JV_OK ? sequence_room(s, p, err) : rc;
}

/* Makes block `at` of the table one that nobody else holds, with what is done of it. */
static int32_t own(sequence *s, kv_pool *p, uint32_t at, jv_err *err)
{
    bool held = at < s->n_blocks;
    uint32_t was = held ? s->blocks[at] : BLOCK_NONE, begin = at * BK_KV_BLOCK;
    if (held && p->blocks.refs[was] == 1) return 1;
    uint32_t to = radix_take(&p->tree);
    if (to == BLOCK_NONE) return 0;
    s->blocks[at] = to;
    if (!held) {
        s->n_blocks++;
        return 1;
    }
    int32_t rc = s->done > begin ? p->copy(p->self, to, was, s->done - begin, err) : JV_OK;
    radix_drop(&p->tree, was);
    return rc == JV_OK ? 1 : rc;
}

int32_t sequence_room(sequence *s, kv_pool *p, jv_err *err)
{
    int32_t rc = 1;
    for (uint32_t at = s->done / BK_KV_BLOCK; at < blocks_of(s->n) && rc == 1; at++) rc = own(s, p, at, err);
    return rc;
}

void sequence_fork(const sequence *s, sequence *child, kv_pool *p)
{
    for (uint32_t i = 0; i < s->n_blocks; i++) {
        radix_hold(&p->tree, s->blocks[i]);
        child->blocks[i] = s->blocks[i];
    }
    child->n_blocks = s->n_blocks;
    child->done = s->done;
    child->shared = s->shared;
}

void sequence_leave(sequence *s, kv_pool *p)
{
    while (s->n_blocks) radix_drop(&p->tree, s->blocks[--s->n_blocks]);
    if (s->done > s->seen) s->seen = s->done;
    s->done = s->shared = 0;
}
