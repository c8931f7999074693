/* buf.c: the life of records, buffers and the memory behind their fields. */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

struct jvc_block *jvc_block_new(size_t n)
{
    if (n > SIZE_MAX / 2) return NULL;
    struct jvc_block *b = malloc(sizeof *b + n + 1);
    if (!b) return NULL;
    atomic_init(&b->refs, 1);
    b->cap = n;
    b->data[n] = 0;
    return b;
}

void jvc_block_release(struct jvc_block *b)
{
    if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1) free(b);
}

struct jvc_node *jvc_node_new(struct jvc_stage *source, struct jvc_node *parent, size_t id_n)
{
    struct jvc_node *n = calloc(1, sizeof *n);
    char *id = malloc(id_n + 1);
    if (!n || !id) {
        free(n);
        free(id);
        return NULL;
    }
    atomic_init(&n->refs, 1);
    n->source = source;
    n->parent = parent;
    n->root = parent ? parent->root : n;
    n->id = id;
    n->id_n = id_n;
    if (parent) atomic_fetch_add(&parent->refs, 1);
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
    if (!err || badness(status) <= badness(old)) return;
    struct jvc_node *root = n->root;
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

bool jvc_node_cancelled(const struct jvc_node *n)
{
    return atomic_load_explicit(&n->root->cancelled, memory_order_relaxed) ||
           atomic_load_explicit(&n->source->pl->cancelled, memory_order_relaxed);
}

void jvc_node_release(struct jvc_node *n)
{
    while (n && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1) {
        struct jvc_node *parent = n->parent;
        int32_t status = atomic_load(&n->status);
        if (parent) {
            if (status != JV_DROP)
                jvc_node_worsen(parent, status, NULL); /* a dropped child is no fault of its parent */
        } else {
            jvc_root_settled(n);
        }
        free(n->err);
        free(n->id);
        free(n);
        n = parent;
    }
}

jv_buf *jvc_buf_new(struct jvc_pipeline *pl, struct jvc_node *node)
{
    jv_buf *b = calloc(1, sizeof *b + pl->n_slots * sizeof *b->v + pl->n_counters * sizeof *b->counts);
    if (!b) return NULL;
    b->counts = (atomic_llong *)(void *)&b->v[pl->n_slots];
    b->node = node;
    b->growing = -1;
    return b;
}

jv_buf *jvc_buf_copy(struct jvc_pipeline *pl, const jv_buf *b)
{
    jv_buf *copy = jvc_buf_new(pl, b->node);
    if (!copy) return NULL;
    atomic_fetch_add(&b->node->refs, 1);
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
    jvc_node_release(b->node);
    free(b);
}
