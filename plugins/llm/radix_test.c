/*
 * radix_test.c: the pool, the tree of prefixes and the sequences that use them, under long rows of random operations
 * (fixed seeds), against models that are slow and obvious.
 */
#include "sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK BK_KV_BLOCK

static uint64_t state;

static uint32_t below(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % n);
}

/* Tokens that are often the same for a while: alike in front, different at places of a few kinds. */
static void make_tokens(int32_t *to, uint32_t n)
{
    static const uint32_t places[] = {0, 1, 17, 31};
    memset(to, 0, n * sizeof *to);
    for (uint32_t i = 0; i < n; i += BLOCK) {
        uint32_t at = i + places[below(4)];
        if (at < n && below(3)) to[at] = (int32_t)below(4) - 1;
    }
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

static void test_blocks(void **unused)
{
    enum { N = 13 };
    uint32_t refs[N] = {0}, taken = 0;
    blocks b;
    jv_err err;
    state = 1;
    assert_int_equal(blocks_init(&b, N, &err), JV_OK);
    for (int i = 0; i < 100000; i++) {
        uint32_t id = below(N);
        if (below(3) == 0) {
            id = blocks_take(&b);
            assert_true(taken == N ? id == BLOCK_NONE : id < N && refs[id] == 0);
            if (id != BLOCK_NONE) taken++, refs[id] = 1;
        } else if (refs[id] && below(2)) {
            blocks_hold(&b, id);
            refs[id]++;
        } else if (refs[id]) {
            assert_int_equal(blocks_drop(&b, id), --refs[id]);
            taken -= refs[id] == 0;
        }
        assert_int_equal(b.n_free, N - taken);
        for (uint32_t k = 0; k < N; k++) assert_int_equal(b.refs[k], refs[k]);
    }
    blocks_destroy(&b);
}

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

enum { POOL = 24, READERS = 6, DEEP = 5 };

/* What the tree should be: its nodes in any order, and since when each has been idle. */
typedef struct naive_node {
    bool there;
    uint32_t parent;
    int32_t tokens[BLOCK];
    uint32_t readers;
    uint64_t idle_since; /* a count of drops */
} naive_node;

typedef struct world {
    blocks pool;
    radix tree;
    naive_node node[POOL];
    uint32_t path[READERS][DEEP], depth[READERS]; /* what each reader holds */
    uint64_t now;
} world;

static uint32_t same_tokens(const int32_t *a, const int32_t *b, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && a[i] == b[i]) i++;
    return i;
}

static uint32_t naive_nearest(const world *w, uint32_t parent, const int32_t *tokens, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < POOL; i++) {
        const naive_node *k = &w->node[i];
        uint32_t same = k->there && k->parent == parent ? same_tokens(k->tokens, tokens, n) : 0;
        if (same > best) best = same;
    }
    return best;
}

static uint32_t naive_oldest(const world *w)
{
    uint32_t best = BLOCK_NONE;
    for (uint32_t i = 0; i < POOL; i++)
        if (w->node[i].there && !w->node[i].readers &&
            (best == BLOCK_NONE || w->node[i].idle_since < w->node[best].idle_since))
            best = i;
    return best;
}

static uint32_t take(world *w)
{
    uint32_t expected = w->pool.n_free ? BLOCK_NONE : naive_oldest(w), id = radix_take(&w->tree);
    if (expected != BLOCK_NONE) {
        assert_int_equal(id, expected);
        for (uint32_t i = 0; i < POOL; i++) assert_false(w->node[i].there && w->node[i].parent == id);
        w->node[id].there = false;
    }
    return id;
}

/* A reader follows a path as far as the tree has it, and adds a few nodes. */
static void enter(world *w, uint32_t reader)
{
    int32_t tokens[DEEP * BLOCK];
    uint32_t at = BLOCK_NONE, depth = 1 + below(DEEP);
    make_tokens(tokens, depth * BLOCK);
    for (uint32_t i = 0; i < depth; i++) {
        const int32_t *t = tokens + i * BLOCK;
        uint32_t same, part = 1 + below(BLOCK), id = radix_nearest(&w->tree, at, t, part, &same);
        assert_int_equal(same, naive_nearest(w, at, t, part));
        assert_true(same ? same_tokens(w->node[id].tokens, t, part) == same : id == BLOCK_NONE);
        id = radix_nearest(&w->tree, at, t, BLOCK, &same);
        assert_int_equal(same, naive_nearest(w, at, t, BLOCK));
        if (same == BLOCK) {
            radix_hold(&w->tree, id);
        } else {
            id = take(w);
            if (id == BLOCK_NONE) break;
            radix_insert(&w->tree, at, t, id);
            w->node[id] = (naive_node){.there = true, .parent = at};
            memcpy(w->node[id].tokens, t, sizeof w->node[id].tokens);
        }
        w->node[id].readers++;
        w->path[reader][w->depth[reader]++] = at = id;
    }
}

static void leave(world *w, uint32_t reader)
{
    while (w->depth[reader]) {
        uint32_t id = w->path[reader][--w->depth[reader]];
        radix_drop(&w->tree, id);
        w->node[id].readers--;
        w->node[id].idle_since = w->now++;
    }
}

static void check_world(const world *w)
{
    uint32_t n = 0, idle = 0;
    for (uint32_t i = 0; i < POOL; i++) {
        const naive_node *k = &w->node[i];
        n += k->there;
        idle += k->there && !k->readers;
        assert_int_equal(w->tree.node[i].in_tree, k->there);
        if (k->there) assert_int_equal(w->pool.refs[i], k->readers + 1);
    }
    assert_int_equal(w->tree.n, n);
    assert_int_equal(w->tree.n_idle, idle);
    assert_int_equal(w->pool.n_free, POOL - n);
    assert_int_equal(radix_available(&w->tree), POOL - n + idle);
}

static void test_tree(void **unused)
{
    jv_err err;
    for (uint64_t seed = 0; seed < 20; seed++) {
        world w = {0};
        state = seed;
        assert_int_equal(blocks_init(&w.pool, POOL, &err), JV_OK);
        assert_int_equal(radix_init(&w.tree, &w.pool, &err), JV_OK);
        for (int i = 0; i < 3000; i++) {
            uint32_t reader = below(READERS);
            if (w.depth[reader])
                leave(&w, reader);
            else
                enter(&w, reader);
            check_world(&w);
        }
        assert_true(w.tree.evicted > 100);
        radix_destroy(&w.tree);
        blocks_destroy(&w.pool);
    }
}

/* Children in ascending order, which would make a list of an unbalanced tree, are found, and go one by one. */
static void test_many_children(void **unused)
{
    enum { MANY = 5000 };
    int32_t tokens[BLOCK] = {0};
    blocks pool;
    radix tree;
    jv_err err;
    uint32_t same;
    assert_int_equal(blocks_init(&pool, MANY, &err), JV_OK);
    assert_int_equal(radix_init(&tree, &pool, &err), JV_OK);
    for (int32_t i = 0; i < MANY; i++) {
        uint32_t id = radix_take(&tree);
        tokens[3] = i;
        radix_insert(&tree, BLOCK_NONE, tokens, id);
        radix_drop(&tree, id);
    }
    for (int32_t i = 0; i < MANY; i++) {
        tokens[3] = i;
        assert_int_equal(radix_nearest(&tree, BLOCK_NONE, tokens, BLOCK, &same), i);
        assert_int_equal(same, BLOCK);
        assert_int_equal(radix_take(&tree), i);
        radix_nearest(&tree, BLOCK_NONE, tokens, BLOCK, &same);
        assert_int_equal(same, i + 1 < MANY ? 3 : 0);
    }
    radix_destroy(&tree);
    blocks_destroy(&pool);
}

/* ---- sequences --------------------------------------------------------------------------------------------------- */

enum { SEQUENCES = 7, MOST = 5 * BLOCK };

/* What stands at each position of each block. */
typedef struct store {
    kv_pool pool;
    int32_t token[POOL][BLOCK];
    sequence seq[SEQUENCES];
    bool in[SEQUENCES];
} store;

static int32_t copy_block(void *self, uint32_t to, uint32_t from, uint32_t n, jv_err *err)
{
    store *s = self;
    assert_true(to != from && to < POOL && from < POOL && n <= BLOCK);
    assert_int_equal(s->pool.blocks.refs[to], 1);
    memcpy(s->token[to], s->token[from], n * sizeof(int32_t));
    return JV_OK;
}

/* Some of the tokens that are not done yet get what a model would put there. */
static void compute(store *s, sequence *q)
{
    for (uint32_t n = 1 + below(q->n - q->done); n; n--) {
        uint32_t id = q->blocks[q->done / BLOCK];
        assert_int_equal(s->pool.blocks.refs[id], 1);
        s->token[id][q->done % BLOCK] = q->tokens[q->done];
        q->done++;
    }
    if (q->done == q->n) q->want = q->n;
    sequence_share(q, &s->pool);
}

/* Each position that is done holds its token; who holds a block is counted. */
static void check_store(const store *s)
{
    uint32_t refs[POOL] = {0};
    for (int i = 0; i < SEQUENCES; i++) {
        const sequence *q = &s->seq[i];
        for (uint32_t p = 0; s->in[i] && p < q->done; p++)
            assert_int_equal(s->token[q->blocks[p / BLOCK]][p % BLOCK], q->tokens[p]);
        for (uint32_t k = 0; k < q->n_blocks; k++) refs[q->blocks[k]]++;
        for (uint32_t k = 0; k < q->shared; k++) assert_true(s->pool.tree.node[q->blocks[k]].in_tree);
    }
    for (uint32_t i = 0; i < POOL; i++) {
        const radix_node *node = &s->pool.tree.node[i];
        assert_int_equal(s->pool.blocks.refs[i], refs[i] + node->in_tree);
        if (node->in_tree) assert_memory_equal(s->token[i], node->tokens, sizeof node->tokens);
    }
}

static void begin_sequence(store *s, int i)
{
    int32_t tokens[MOST];
    uint32_t n = 1 + below(MOST - 40);
    jv_err err;
    make_tokens(tokens, n);
    sequence *q = &s->seq[i];
    assert_int_equal(sequence_init(q, tokens, n, MOST, &err), JV_OK);
    q->cache = below(5) != 0;
    uint32_t spare = below(4), before = radix_available(&s->pool.tree);
    s->in[i] = sequence_enter(q, &s->pool, spare, &err) == 1;
    if (s->in[i]) {
        assert_true(radix_available(&s->pool.tree) >= spare);
        assert_int_equal(q->n_blocks, blocks_of(n));
        assert_true(q->done <= q->want && q->reused == q->done);
    } else {
        assert_true(before < blocks_of(n) + spare);
        assert_int_equal(radix_available(&s->pool.tree), before);
        sequence_destroy(q);
    }
}

static void end_sequence(store *s, int i)
{
    sequence_leave(&s->seq[i], &s->pool);
    sequence_destroy(&s->seq[i]);
    s->in[i] = false;
}

static void fork_sequence(store *s, const sequence *q, int to)
{
    jv_err err;
    if (s->in[to] || q->n == q->most) return;
    assert_int_equal(sequence_init(&s->seq[to], q->tokens, q->n, MOST, &err), JV_OK);
    sequence_push(&s->seq[to], 77);
    s->seq[to].want = q->n;
    s->seq[to].cache = q->cache;
    sequence_fork(q, &s->seq[to], &s->pool);
    s->in[to] = true;
}

/* One thing that may happen to a sequence. */
static void act(store *s, int i)
{
    sequence *q = &s->seq[i];
    jv_err err;
    if (!s->in[i]) {
        begin_sequence(s, i);
    } else if (below(25) == 0) {
        end_sequence(s, i);
    } else if (q->done < q->n) {
        if (sequence_room(q, &s->pool, &err) == 1)
            compute(s, q);
        else
            end_sequence(s, i);
    } else if (below(8) == 0) {
        fork_sequence(s, q, (int)below(SEQUENCES));
    } else if (q->n < q->most) {
        sequence_push(q, (int32_t)below(2));
    }
}

static void test_sequences(void **unused)
{
    uint64_t evicted = 0, reused = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        store s = {0};
        jv_err err;
        state = seed;
        s.pool.copy = copy_block;
        s.pool.self = &s;
        assert_int_equal(blocks_init(&s.pool.blocks, POOL, &err), JV_OK);
        assert_int_equal(radix_init(&s.pool.tree, &s.pool.blocks, &err), JV_OK);
        for (int i = 0; i < 5000; i++) {
            act(&s, (int)below(SEQUENCES));
            check_store(&s);
        }
        for (int i = 0; i < SEQUENCES; i++) {
            reused += s.seq[i].reused;
            if (s.in[i]) end_sequence(&s, i);
        }
        assert_int_equal(radix_available(&s.pool.tree), POOL);
        evicted += s.pool.tree.evicted;
        radix_destroy(&s.pool.tree);
        blocks_destroy(&s.pool.blocks);
    }
    assert_true(evicted > 100 && reused > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_many_children),
        cmocka_unit_test(test_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
