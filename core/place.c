/*
 * place.c: where a record stands as seen from the stages that wait for it: coming, here, never. An ORDERED stage behind
 * something that may disorder keeps a line of the places of each source, in source order; a child's stands right before
 * its parent's, which stays until the split has answered and so keeps the place of the children still to be made. What is here
 * and first in its line may pass. A merge counts for each record that was split how many of its children may still come.
 *
 * Nothing here refuses or blocks; what bounds the number of places is the sources' windows.
 */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

struct jvc_gate {
    pthread_mutex_t lock;
    struct jvc_list ready;
    atomic_size_t n_ready;
    struct {
        struct jvc_place *first, *last;
    } line[]; /* by source */
};

struct jvc_gate *jvc_gate_new(const struct jvc_pipeline *pl)
{
    struct jvc_gate *g = jvc_alloc(sizeof *g + pl->n_sources * sizeof *g->line);
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

void jvc_gate_free(struct jvc_gate *g)
{
    if (!g) return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* ---- lines: under the gate's lock ---- */

static void insert_before(struct jvc_gate *g, uint32_t line, struct jvc_place *p, struct jvc_place *next)
{
    struct jvc_place *prev = next ? next->prev : g->line[line].last;
    p->state = JVC_COMING;
    p->prev = prev;
    p->next = next;
    *(prev ? &prev->next : &g->line[line].first) = p;
    *(next ? &next->prev : &g->line[line].last) = p;
}

static void unlink_place(struct jvc_gate *g, uint32_t line, struct jvc_place *p)
{
    *(p->prev ? &p->prev->next : &g->line[line].first) = p->next;
    *(p->next ? &p->next->prev : &g->line[line].last) = p->prev;
    p->prev = p->next = NULL;
    p->state = JVC_NEVER;
}

/* Lets pass what is here and first; true when something did. */
static bool pump(struct jvc_gate *g, uint32_t line)
{
    size_t before = g->ready.n;
    for (struct jvc_place *p; (p = g->line[line].first) && p->state == JVC_HERE;) {
        unlink_place(g, line, p);
        jvc_list_add(&g->ready, p->here);
    }
    atomic_store_explicit(&g->n_ready, g->ready.n, memory_order_release);
    return g->ready.n > before;
}

void jvc_gate_take(struct jvc_stage *s)
{
    struct jvc_gate *g = s->gate;
    if (!s->ordered || !atomic_load_explicit(&g->n_ready, memory_order_acquire)) return;
    pthread_mutex_lock(&g->lock);
    for (jv_buf *b; s->n_pending < JVC_BATCH && (b = jvc_list_take(&g->ready));) s->pending[s->n_pending++] = b;
    atomic_store_explicit(&g->n_ready, g->ready.n, memory_order_relaxed);
    pthread_mutex_unlock(&g->lock);
}

bool jvc_gate_is_next(struct jvc_stage *s, const struct jvc_node *n)
{
    if (!s->ordered) return true;
    pthread_mutex_lock(&s->gate->lock);
    bool next = s->gate->line[n->source->source_at].first == &n->place[s->order_place] && !s->gate->ready.n;
    pthread_mutex_unlock(&s->gate->lock);
    return next;
}

/* ---- merges ---- */

/* What a record that was split waits with, before that merge. */
static struct jvc_wait **wait_of(const struct jvc_stage *merge, struct jvc_node *n)
{
    return &n->place[merge->merge_place].wait;
}

static void free_wait(struct jvc_pipeline *pl, struct jvc_wait *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        jvc_buf_release(pl, w->kids[i].b);
        free(w->kids[i].text);
    }
    free(w->kids);
    free(w);
}

void jvc_wait_end(struct jvc_stage *merge, struct jvc_node *n)
{
    struct jvc_wait **w = wait_of(merge, n), *old = *w;
    *w = NULL;
    if (old) free_wait(merge->pl, old);
}

bool jvc_wait_begin(struct jvc_stage *split, struct jvc_node *n)
{
    for (uint32_t i = 0; i < split->n_merges; i++) {
        struct jvc_wait **w = wait_of(split->merges[i], n);
        if (!*w && !(*w = calloc(1, sizeof **w))) return false;
        (*w)->coming = 1;
    }
    return true;
}

/* The record goes to the merge, in its own right. */
static void come_back(struct jvc_stage *merge, jv_buf *parent)
{
    if (merge->ordered)
        jvc_gate_arrive(merge, parent);
    else
        jvc_enqueue(merge, parent);
}

/* One less is coming to that merge. The last one lets the record go there, or ends a wait that nobody ends. */
static void one_less(struct jvc_stage *merge, struct jvc_node *n)
{
    struct jvc_wait **at = wait_of(merge, n), *w = *at, *over = NULL;
    jv_buf *parent = NULL;
    pthread_mutex_lock(&merge->gate->lock);
    if (!--w->coming && w->off) {
        over = w;
        *at = NULL;
    } else if (!w->coming) {
        parent = w->parent;
        w->parent = NULL;
    }
    pthread_mutex_unlock(&merge->gate->lock);
    if (over) free_wait(merge->pl, over);
    if (parent) come_back(merge, parent);
}

/* What became of a child is known: it came as b (taken), or b is null and `why` says what happened. */
static void child_known(struct jvc_stage *merge, struct jvc_node *child, jv_buf *b, const jv_err *why)
{
    struct jvc_node *parent = child->parent;
    struct jvc_place *p = &child->place[merge->merge_place];
    char *text = !b && why->code < 0 ? strdup(why->text) : NULL;
    pthread_mutex_lock(&merge->gate->lock);
    bool awaited = p->state == JVC_COMING;
    if (awaited) {
        struct jvc_kid *k = &(*wait_of(merge, parent))->kids[child->index];
        p->state = JVC_NEVER;
        *k = (struct jvc_kid){b, b ? JV_OK : why->code, b ? NULL : why->reason, text};
    }
    pthread_mutex_unlock(&merge->gate->lock);
    if (awaited) {
        one_less(merge, parent);
    } else {
        free(text);
        jvc_buf_release(merge->pl, b);
    }
}

/* Makes room for one more child; it is coming. */
static bool expect_child(struct jvc_stage *merge, struct jvc_node *child)
{
    struct jvc_wait *w = *wait_of(merge, child->parent);
    pthread_mutex_lock(&merge->gate->lock);
    bool ok = child->index < w->cap;
    if (!ok) {
        uint32_t cap = 2 * child->index + 4;
        struct jvc_kid *kids = realloc(w->kids, cap * sizeof *kids);
        if ((ok = kids != NULL)) {
            w->kids = kids;
            w->cap = cap;
        }
    }
    if (ok) {
        w->kids[child->index] = (struct jvc_kid){0};
        w->n = child->index + 1;
        w->coming++;
        child->place[merge->merge_place].state = JVC_COMING;
    }
    pthread_mutex_unlock(&merge->gate->lock);
    return ok;
}

void jvc_wait_answered(struct jvc_stage *split, jv_buf *b, bool failed)
{
    struct jvc_node *n = b->node;
    atomic_fetch_add(&n->refs, 1); /* it may end at the first merge before the second has its copy */
    for (uint32_t i = 0; i < split->n_merges; i++) {
        struct jvc_stage *merge = split->merges[i];
        if (!*wait_of(merge, n)) continue; /* there was no memory for it */
        jv_buf *copy = failed ? NULL : i + 1 == split->n_merges ? b : jvc_buf_copy(split->pl, b);
        if (!failed && !copy) {
            jv_err err;
            jv_fail(&err, JV_FATAL, "out of memory");
            jvc_pipeline_fail(split, b, &err);
        }
        pthread_mutex_lock(&merge->gate->lock);
        (*wait_of(merge, n))->parent = copy;
        (*wait_of(merge, n))->off = !copy;
        pthread_mutex_unlock(&merge->gate->lock);
        one_less(merge, n);
    }
    jvc_node_release(n);
}

/* ---- coming and leaving ---- */

void jvc_places_begin(struct jvc_stage *source, struct jvc_node *root)
{
    root->sequence = source->sequence++;
    for (uint32_t i = 0; i < source->after.n; i++) {
        uint32_t at = source->after.v[i];
        struct jvc_gate *g = source->pl->places[at].stage->gate;
        pthread_mutex_lock(&g->lock);
        insert_before(g, source->source_at, &root->place[at], NULL);
        pthread_mutex_unlock(&g->lock);
    }
}

bool jvc_places_fork(struct jvc_stage *s, struct jvc_node *child)
{
    struct jvc_pipeline *pl = s->pl;
    for (uint32_t i = 0; i < s->n_merges; i++)
        if (!expect_child(s->merges[i], child)) {
            jv_err err = {.code = JV_FATAL, .text = "out of memory"};
            jvc_places_leave(child, &s->kids, &err);
            return false;
        }
    for (uint32_t i = 0; i < s->kids.n; i++) {
        uint32_t at = s->kids.v[i];
        struct jvc_gate *g = pl->places[at].stage->gate;
        if (pl->places[at].merges) continue;
        pthread_mutex_lock(&g->lock);
        insert_before(g, child->source->source_at, &child->place[at], &child->parent->place[at]);
        pthread_mutex_unlock(&g->lock);
    }
    return true;
}

static void leave_line(struct jvc_stage *s, struct jvc_node *n)
{
    struct jvc_place *p = &n->place[s->order_place];
    uint32_t line = n->source->source_at;
    pthread_mutex_lock(&s->gate->lock);
    bool moved = false;
    if (p->state == JVC_COMING) {
        unlink_place(s->gate, line, p);
        moved = pump(s->gate, line);
    }
    pthread_mutex_unlock(&s->gate->lock);
    if (moved) jvc_strand_kick(s->strand);
}

void jvc_places_leave(struct jvc_node *n, const struct jvc_places *places, const jv_err *why)
{
    struct jvc_pipeline *pl = n->source->pl;
    for (uint32_t i = 0; i < places->n; i++) {
        uint32_t at = places->v[i];
        if (pl->places[at].merges)
            child_known(pl->places[at].stage, n, NULL, why);
        else
            leave_line(pl->places[at].stage, n);
    }
}

void jvc_gate_arrive(struct jvc_stage *s, jv_buf *b)
{
    struct jvc_gate *g = s->gate;
    struct jvc_node *n = b->node;
    pthread_mutex_lock(&g->lock);
    n->place[s->order_place].state = JVC_HERE;
    n->place[s->order_place].here = b;
    bool moved = pump(g, n->source->source_at);
    pthread_mutex_unlock(&g->lock);
    if (moved) jvc_strand_kick(s->strand);
}

void jvc_merge_arrive(struct jvc_stage *s, jv_buf *child)
{
    child_known(s, child->node, child, NULL);
}

const struct jvc_wait *jvc_wait_at(const struct jvc_stage *merge, const struct jvc_node *n)
{
    return n->place[merge->merge_place].wait;
}
