/* host_records.c: what plugins call to begin, fork, give away, cancel and tell apart records. */
#include "fit.h"
#include "host.h"

#include <stdlib.h>
#include <string.h>

jv_str jvc_host_id(const jv_host *h, const jv_buf *b)
{
    return (jv_str){b->node->id, b->node->id_n};
}

int32_t jvc_host_is_partial(const jv_host *h, const jv_buf *b)
{
    return b->partial;
}

/* Remembers a buffer the running function made, until it emits it. */
static void remember(jv_buf *b)
{
    struct jvc_call *c = jvc_current_call;
    b->open = true;
    b->next = c->open;
    if (c->open) c->open->prev = b;
    c->open = b;
}

static void forget(struct jvc_stage *s, jv_buf *b)
{
    struct jvc_call *c = jvc_current_call;
    b->open = false;
    if (b->next) b->next->prev = b->prev;
    if (b->prev)
        b->prev->next = b->next;
    else if (c && c->stage == s && c->open == b)
        c->open = b->next;
    b->next = b->prev = NULL;
}

/* A thread of the source's own has given away what it began; when the last one has, the source may end. */
static void own_thread_gave(struct jvc_stage *s)
{
    pthread_mutex_lock(&s->lock);
    if (!--s->n_open) pthread_cond_broadcast(&s->room);
    pthread_mutex_unlock(&s->lock);
}

/* A place in the source's window; without poll, in the lines of those that want order too. JV_OK, or why not. */
static int32_t window_take(struct jvc_stage *s, struct jvc_node *n, jv_err *err)
{
    int32_t rc = JV_OK;
    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->pl->stopping) || atomic_load(&s->ended)) {
        rc = jv_fail(err, JV_STOPPED, "the run is being stopped");
    } else if (!jvc_window_has_room(s)) {
        rc = jv_fail(err, JV_FULL, "all %u places of the window are taken, or the memory is", s->window);
    } else {
        uint32_t slot = s->first_free != UINT32_MAX ? s->first_free : s->slots_used++;
        if (slot == s->first_free) s->first_free = s->slots[slot].next_free;
        s->slots[slot].node = n;
        n->slot = slot;
        atomic_fetch_add_explicit(&s->in_flight, 1, memory_order_relaxed);
        s->n_open += !s->def->poll;
        if (!s->def->poll) jvc_places_begin(s, n);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* Whether what the plugin gives with a record makes sense, and it may begin one here and now. */
static int32_t check_begin(const struct jvc_stage *s, const jv_origin *o, jv_err *err)
{
    const struct jvc_call *c = jvc_current_call;
    if (s->kind != JVC_SOURCE) return jv_fail(err, JV_FATAL, "the plugin begins records but is no source");
    if (s->def->poll && (!c || c->stage != s))
        return jv_fail(err, JV_FATAL, "the plugin begins a record outside of poll");
    if (o->struct_size < JVC_SIZE_1_0(jv_origin, user))
        return jv_fail(err, JV_FATAL, "the plugin gives a jv_origin of %u bytes", o->struct_size);
    if (!o->position.n || o->position.n > 4096 || !jvc_utf8_valid(o->position.p, o->position.n, NULL))
        return jv_fail(err, JV_BAD, "a position is 1 to 4096 bytes of UTF-8");
    if (o->priority < 0 || o->priority > JV_BATCH || (o->priority && s->def->poll))
        return jv_fail(err, JV_FATAL, "the plugin begins a record with priority %d", o->priority);
    return JV_OK;
}

jv_buf *jvc_host_begin(const jv_host *h, const jv_origin *o, jv_err *err)
{
    struct jvc_stage *s = self(h);
    if (check_begin(s, o, err) < 0) return NULL;
    struct jvc_node *n = jvc_node_new(s, NULL, o->position.n);
    if (n) {
        memcpy((char *)n->id, o->position.p, o->position.n);
        n->user = o->user;
        n->lane = o->priority ? (o->priority == JV_LIVE ? JVC_LIVE : JVC_LATER) : s->lane;
    }
    jv_buf *b = n ? jvc_buf_new(s->pl, n) : NULL;
    int32_t rc = b ? window_take(s, n, err) : no_memory(err);
    if (rc < 0) {
        if (s->def->poll && rc == JV_FULL) jvc_current_call->full = true;
        free(n); /* never was in the window: nothing to settle */
        free(b);
        return NULL;
    }
    if (s->def->poll)
        remember(b);
    else
        b->open = true;
    return b;
}

jv_buf *jvc_host_fork(const jv_host *h, const jv_buf *parent, jv_err *err)
{
    struct jvc_stage *s = self(h);
    struct jvc_node *up = parent->node;
    struct jvc_call *c = jvc_current_call;
    char number[16];
    if (!(s->def->flags & JV_SPLIT) || !c || c->b != parent) {
        jv_fail(err, JV_FATAL,
            s->def->flags & JV_SPLIT ? "the plugin forks a record that it is not processing"
                                     : "the plugin forks, but its stage is not JV_SPLIT");
        return NULL;
    }
    uint32_t index = c->b->children;
    int digits = snprintf(number, sizeof number, "/%u", index);
    struct jvc_node *n = jvc_node_new(up->source, up, up->id_n + (size_t)digits);
    jv_buf *b = n ? jvc_buf_copy(s->pl, parent) : NULL;
    if (n) {
        memcpy((char *)n->id, up->id, up->id_n);
        memcpy((char *)n->id + up->id_n, number, (size_t)digits);
        n->index = index;
    }
    if (!b || !jvc_places_fork(s, n)) {
        jvc_buf_release(s->pl, b);
        if (n) jvc_node_release(n);
        no_memory(err);
        return NULL;
    }
    c->b->children++;
    for (uint32_t i = 0; i < s->pl->n_counters; i++) atomic_init(&b->counts[i], 0);
    jvc_node_release(b->node); /* the copy's; the child keeps its parent itself */
    b->node = n;
    remember(b);
    return b;
}

static int32_t not_made(const jv_buf *b, jv_err *err)
{
    return jv_fail(err, JV_FATAL, "the plugin gives away record %s, which it did not make", b->node->id);
}

int32_t jvc_host_emit(const jv_host *h, jv_buf *b, int32_t port, jv_err *err)
{
    struct jvc_stage *s = self(h);
    bool source = s->kind == JVC_SOURCE;
    const struct jvc_places *places = source ? &s->after : &s->kids;
    if (!b->open) return not_made(b, err);
    bool cancelled = jvc_node_cancelled(b->node), wrong = port < 0 || (uint32_t)port >= s->n_ports;
    if (s->def->poll || !source) forget(s, b);
    if (source && s->def->poll) jvc_places_begin(s, b->node); /* the order of such a source is that of emit */
    if (wrong || cancelled)
        jvc_drop_cancelled(s, b, places);
    else
        jvc_give(s, (uint32_t)port, b);
    if (source && !s->def->poll) own_thread_gave(s);
    if (wrong) return jv_fail(err, JV_FATAL, "the plugin emits to port %d of %u", port, s->n_ports);
    if (source)
        return atomic_load(&s->pl->stopping) || atomic_load(&s->ended) ? jv_fail(err, JV_END, "nothing more is wanted")
                                                                       : JV_OK;
    return cancelled || atomic_load(&s->pl->cancelled) ? jv_fail(err, JV_CANCELLED, "cancelled") : JV_OK;
}

int32_t jvc_host_reject(const jv_host *h, jv_buf *b, const jv_err *why, jv_err *err)
{
    struct jvc_stage *s = self(h);
    if (!b->open || s->kind != JVC_SOURCE) return not_made(b, err);
    if (s->def->poll) forget(s, b);
    if (s->def->poll) jvc_places_begin(s, b->node);
    if (jvc_node_cancelled(b->node))
        jvc_drop_cancelled(s, b, &s->after);
    else
        jvc_reject(s, b, why);
    if (!s->def->poll) own_thread_gave(s);
    return atomic_load(&s->pl->cancelled) ? jv_fail(err, JV_CANCELLED, "the run has ended") : JV_OK;
}

uint64_t jvc_host_record(const jv_host *h, const jv_buf *b)
{
    const struct jvc_node *root = b->node->root;
    pthread_mutex_lock(&root->source->lock);
    uint64_t generation = root->source->slots[root->slot].generation;
    pthread_mutex_unlock(&root->source->lock);
    return (generation << 32 | root->slot) + 1;
}

void jvc_host_cancel(const jv_host *h, uint64_t record)
{
    struct jvc_stage *s = self(h);
    uint64_t at = record - 1;
    if (!record || s->kind != JVC_SOURCE) return;
    pthread_mutex_lock(&s->lock);
    uint32_t slot = (uint32_t)at;
    if (slot < s->slots_used && s->slots[slot].node && s->slots[slot].generation == (uint32_t)(at >> 32))
        atomic_store(&s->slots[slot].node->cancelled, 1);
    pthread_mutex_unlock(&s->lock);
}

int32_t jvc_host_cancelled(const jv_host *h, const jv_buf *b)
{
    return jvc_node_cancelled(b->node);
}

int32_t jvc_host_priority(const jv_host *h, const jv_buf *b)
{
    return b->node->root->lane == JVC_LIVE ? JV_LIVE : JV_BATCH;
}

void *jvc_host_user(const jv_host *h, const jv_buf *b, const jv_ref *source)
{
    const struct jvc_node *root = b->node->root;
    return source->self == root->source->ctx ? root->user : NULL;
}

uint32_t jvc_host_children(const jv_host *h, const jv_buf *b)
{
    struct jvc_stage *s = self(h);
    const struct jvc_wait *w = s->def->flags & JV_MERGE ? jvc_wait_at(s, b->node) : NULL;
    return w ? w->n : 0;
}

const jv_buf *jvc_host_child(const jv_host *h, const jv_buf *b, uint32_t i, jv_err *err)
{
    if (i >= jvc_host_children(h, b)) {
        jv_fail(err, JV_FATAL, "the plugin asks for child %u of %u", i, jvc_host_children(h, b));
        return NULL;
    }
    const struct jvc_kid *k = &jvc_wait_at(self(h), b->node)->kids[i];
    if (k->b) return k->b;
    jv_fail(err, k->code, "%s", k->text ? k->text : "");
    err->reason = k->reason;
    return NULL;
}
