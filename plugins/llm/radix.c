/* radix.c: the tree of cached prefixes. The children of a node are a treap (Seidel, Aragon, doi:10.1007/BF01940876):
 * a search passes both neighbours of what is looked for, and one of these begins most like it. */
#include "radix.h"

#include <stdlib.h>
#include <string.h>

int32_t radix_init(radix *r, blocks *pool, jv_err *err)
{
    *r = (radix){.pool = pool, .children = BLOCK_NONE, .oldest = BLOCK_NONE, .newest = BLOCK_NONE};
    r->node = calloc(pool->n, sizeof *r->node);
    return r->node ? JV_OK : jv_fail(err, JV_FATAL, "no memory for the index of %u blocks", pool->n);
}

void radix_destroy(radix *r)
{
    free(r->node);
    *r = (radix){0};
}

uint64_t radix_bytes(uint32_t n_blocks)
{
    return (uint64_t)n_blocks * (sizeof(radix_node) + 2 * sizeof(uint32_t));
}

/* ---- children ---------------------------------------------------------------------------------------------------- */

static uint32_t *children_of(radix *r, uint32_t parent)
{
    return parent == BLOCK_NONE ? &r->children : &r->node[parent].children;
}

/* How many tokens of both are the same from the front. */
static uint32_t common(const int32_t *a, const int32_t *b, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && a[i] == b[i]) i++;
    return i;
}

static bool before(const int32_t *a, const int32_t *b)
{
    uint32_t i = common(a, b, BK_KV_BLOCK);
    return i < BK_KV_BLOCK && a[i] < b[i];
}

/* The treap's random heights; the number of a block is none of the user's doing. */
static uint32_t height(uint32_t id)
{
    id = (id ^ id >> 16) * UINT32_C(0x7feb352d);
    id = (id ^ id >> 15) * UINT32_C(0x846ca68b);
    return id ^ id >> 16;
}

uint32_t radix_nearest(const radix *r, uint32_t parent, const int32_t *tokens, uint32_t n, uint32_t *same)
{
    uint32_t best = BLOCK_NONE, at = parent == BLOCK_NONE ? r->children : r->node[parent].children;
    *same = 0;
    while (at != BLOCK_NONE && *same < n) {
        const radix_node *node = &r->node[at];
        uint32_t i = common(node->tokens, tokens, n);
        if (i > *same) {
            *same = i;
            best = at;
        }
        at = i < n && tokens[i] < node->tokens[i] ? node->left : node->right;
    }
    return best;
}

/* Puts id below `at` and returns what is topmost then. */
static uint32_t put_child(radix *r, uint32_t at, uint32_t id)
{
    radix_node *node = r->node;
    if (at == BLOCK_NONE) return id;
    uint32_t up;
    if (before(node[id].tokens, node[at].tokens)) {
        up = node[at].left = put_child(r, node[at].left, id);
        if (height(up) <= height(at)) return at;
        node[at].left = node[up].right;
        node[up].right = at;
    } else {
        up = node[at].right = put_child(r, node[at].right, id);
        if (height(up) <= height(at)) return at;
        node[at].right = node[up].left;
        node[up].left = at;
    }
    return up;
}

/* Two treaps, all of the first before all of the second, to one. */
static uint32_t join(radix *r, uint32_t a, uint32_t b)
{
    if (a == BLOCK_NONE) return b;
    if (b == BLOCK_NONE) return a;
    if (height(a) > height(b)) {
        r->node[a].right = join(r, r->node[a].right, b);
        return a;
    }
    r->node[b].left = join(r, a, r->node[b].left);
    return b;
}

static void remove_child(radix *r, uint32_t id)
{
    const radix_node *gone = &r->node[id];
    uint32_t *at = children_of(r, gone->parent);
    while (*at != id) at = before(gone->tokens, r->node[*at].tokens) ? &r->node[*at].left : &r->node[*at].right;
    *at = join(r, gone->left, gone->right);
}

void radix_insert(radix *r, uint32_t parent, const int32_t *tokens, uint32_t id)
{
    radix_node *node = &r->node[id];
    *node = (radix_node){.parent = parent, .in_tree = true};
    node->children = node->left = node->right = node->older = node->newer = BLOCK_NONE;
    memcpy(node->tokens, tokens, sizeof node->tokens);
    uint32_t *top = children_of(r, parent);
    *top = put_child(r, *top, id);
    blocks_hold(r->pool, id);
    r->n++;
}

/* ---- idle ones --------------------------------------------------------------------------------------------------- */

static void idle_add(radix *r, uint32_t id)
{
    radix_node *node = &r->node[id];
    node->older = r->newest;
    node->newer = BLOCK_NONE;
    *(r->newest == BLOCK_NONE ? &r->oldest : &r->node[r->newest].newer) = id;
    r->newest = id;
    r->n_idle++;
}

static void idle_remove(radix *r, uint32_t id)
{
    const radix_node *node = &r->node[id];
    *(node->older == BLOCK_NONE ? &r->oldest : &r->node[node->older].newer) = node->newer;
    *(node->newer == BLOCK_NONE ? &r->newest : &r->node[node->newer].older) = node->older;
    r->n_idle--;
}

uint32_t radix_available(const radix *r)
{
    return r->pool->n_free + r->n_idle;
}

uint32_t radix_take(radix *r)
{
    uint32_t id = r->oldest;
    if (r->pool->n_free || id == BLOCK_NONE) return blocks_take(r->pool);
    idle_remove(r, id); /* without children: those would be older */
    remove_child(r, id);
    r->node[id].in_tree = false;
    r->n--;
    r->evicted++;
    blocks_drop(r->pool, id);
    return blocks_take(r->pool);
}

void radix_hold(radix *r, uint32_t id)
{
    if (r->node[id].in_tree && r->pool->refs[id] == 1) idle_remove(r, id);
    blocks_hold(r->pool, id);
}

void radix_drop(radix *r, uint32_t id)
{
    if (blocks_drop(r->pool, id) == 1 && r->node[id].in_tree) idle_add(r, id);
}
