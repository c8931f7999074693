/* buf.c: the life of records, buffers and the memory behind their fields. */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

struct jvc_block *jvc_block_new(struct jvc_pipeline *pl, size_t n)
{
    if (n > SIZE_MAX / 2) return NULL;
    struct jvc_block *b = malloc(sizeof *b + n + 1);
    if (!b) return NULL;
    atomic_init(&b->refs, 1);
    b->cap = n;
    b->pl = pl;
    b->data[n] = 0;
    atomic_fetch_add_explicit(&pl->bytes, (long long)n, memory_order_relaxed);
    return b;
}

void jvc_block_release(struct jvc_block *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) return;
    atomic_fetch_sub_explicit(&b->pl->bytes, (long long)b->cap, memory_order_relaxed);
    free(b);
}

static size_t table_size(const struct jvc_pipeline *pl)
{
    return sizeof(jv_buf) + pl->n_slots * sizeof(struct jvc_value) + pl->n_counters * sizeof(atomic_llong);
}

static void table_init(const struct jvc_pipeline *pl, jv_buf *b, struct jvc_node *node)
{
    b->counts = (atomic_llong *)(void *)&b->v[pl->n_slots];
    b->node = node;
    b->lane = (uint8_t)node->root->lane;
    b->growing = -1;
}

/* A node and all that hangs on it are one piece: the node, its places, for a root the tallies and, where somebody will
 * hear of its end, a table without fields; the id. */
struct jvc_node *jvc_node_new(struct jvc_stage *source, struct jvc_node *parent, size_t id_n)
{
    const struct jvc_pipeline *pl = source->pl;
    size_t places = pl->n_places * sizeof(struct jvc_place);
    size_t tallies = parent ? 0 : pl->n_counters * sizeof(atomic_llong);
    size_t bare = parent || !source->def->done ? 0 : table_size(pl);
    struct jvc_node *n = calloc(1, sizeof *n + places + tallies + bare + id_n + 1);
    if (!n) return NULL;
    char *at = (char *)(n + 1);
    n->place = (struct jvc_place *)(void *)at;
    at += places;
    if (!parent) n->tallies = (atomic_llong *)(void *)at;
    at += tallies;
    if (bare) n->bare = (jv_buf *)(void *)at;
    n->id = at + bare;
    n->id_n = id_n;
    atomic_init(&n->refs, 1);
    n->source = source;
    n->parent = parent;
    n->root = parent ? parent->root : n;
    if (bare) table_init(pl, n->bare, n);
    if (parent) atomic_fetch_add_explicit(&parent->refs, 1, memory_order_relaxed);
    return n;
}

/* Orders statuses: the worst of a record and its children is the record's. */
static int badness(int32_t status)
{
    switch (status) {
    case JV_OK: return 0;
    case JV_DROP: return 1;
    case JV_CANCELLED: return 2;
    case JV_BAD: return 3;
    default: return 4; /* JV_FATAL */
    }
}

void jvc_node_worsen(struct jvc_node *n, int32_t status, const jv_err *err)
{
    int old = atomic_load(&n->status);
    while (badness(status) > badness(old) && !atomic_compare_exchange_weak(&n->status, &old, status)) {}
    struct jvc_node *root = n->root;
    bool heard = root->source->def->done && (status != JV_DROP || n == root); /* else nobody asks why */
    if (!err || !heard || badness(status) <= badness(old)) return;
    jv_err *copy = malloc(sizeof *copy);
    if (!copy) return; /* the status stands; only its words are missing */
    *copy = *err;
    copy->code = status;
    pthread_mutex_lock(&root->source->lock);
    if (root->err && badness(root->err->code) >= badness(status)) {
        free(copy);
    } else {
        free(root->err);
        root->err = copy;
    }
    pthread_mutex_unlock(&root->source->lock);
}

void jvc_node_release(struct jvc_node *n)
{
    while (n && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1) {
        struct jvc_node *parent = n->parent;
        int32_t status = atomic_load(&n->status);
        if (!parent)
            jvc_root_settled(n);
        else if (status != JV_DROP)
            jvc_node_worsen(parent, status, NULL); /* a dropped child is no fault of its parent */
        free(n->err);
        free(n);
        n = parent;
    }
}

jv_buf *jvc_buf_new(struct jvc_pipeline *pl, struct jvc_node *node)
{
    jv_buf *b = calloc(1, table_size(pl));
    if (b) table_init(pl, b, node);
    return b;
}

jv_buf *jvc_buf_copy(struct jvc_pipeline *pl, const jv_buf *b)
{
    jv_buf *copy = jvc_buf_new(pl, b->node);
    if (!copy) return NULL;
    atomic_fetch_add_explicit(&b->node->refs, 1, memory_order_relaxed);
    memcpy(copy->v, b->v, pl->n_slots * sizeof *b->v);
    for (uint32_t i = 0; i < pl->n_slots; i++)
        if (copy->v[i].block) atomic_fetch_add_explicit(&copy->v[i].block->refs, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < pl->n_counters; i++) atomic_init(&copy->counts[i], atomic_load(&b->counts[i]));
    return copy;
}

void jvc_buf_release(struct jvc_pipeline *pl, jv_buf *b)
{
    if (!b) return;
    for (uint32_t i = 0; i < pl->n_slots; i++) jvc_block_release(b->v[i].block);
    struct jvc_node *node = b->node;
    free(b);
    jvc_node_release(node);
}

void jvc_buf_clear(jv_buf *b, uint32_t slot)
{
    jvc_block_release(b->v[slot].block);
    b->v[slot] = (struct jvc_value){0};
    if (b->growing == (int32_t)slot) b->growing = -1;
}

void jvc_list_add(struct jvc_list *l, jv_buf *b)
{
    b->next = NULL;
    if (l->last)
        l->last->next = b;
    else
        l->first = b;
    l->last = b;
    l->n++;
}

void jvc_list_join(struct jvc_list *l, struct jvc_list *more)
{
    if (!more->first) return;
    if (l->last)
        l->last->next = more->first;
    else
        l->first = more->first;
    l->last = more->last;
    l->n += more->n;
    *more = (struct jvc_list){0};
}

jv_buf *jvc_list_take(struct jvc_list *l)
{
    jv_buf *b = l->first;
    if (!b) return NULL;
    l->first = b->next;
    if (!l->first) l->last = NULL;
    l->n--;
    b->next = NULL;
    return b;
}
