/* host.c: the functions a plugin calls. Their contracts stand at struct jv_host in jevons.h. */
#include "params.h"
#include "pipeline.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 50 /* how often a wait looks whether the record was cancelled */

/* The instance behind the table a plugin was given: the table is its first member. */
static struct jvc_stage *self(const jv_host *h)
{
    return (struct jvc_stage *)(uintptr_t)h;
}

static int32_t no_memory(jv_err *err)
{
    return jv_fail(err, JV_FATAL, "out of memory");
}

JV_PRINTF(3, 4) static void host_log(const jv_host *h, int32_t level, const char *fmt, ...)
{
    va_list ap;
    char text[1024];
    if (jvc_quiet && level == JV_LOG_INFO) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jvc_say("%s: %s%s", self(h)->sec->name, level >= JV_LOG_WARN ? "warning: " : "", text);
}

static int32_t host_field(const jv_host *h, const char *name, int32_t type, uint32_t access, jv_err *err)
{
    struct jvc_stage *s = self(h);
    struct jvc_row_of row = {.name = name, .type = type, .access = access};
    if (s->opened_well) return jv_fail(err, JV_FATAL, "the plugin binds field %s after open", name);
    if (jvc_bind_name(s, &row, err) < 0) return JV_BAD;
    row.name = jvc_conf_own(&s->pl->conf, jvc_strdup(name));
    s->rows = jvc_room(s->rows, s->n_rows, sizeof *s->rows);
    s->rows[s->n_rows] = row;
    return (int32_t)s->n_rows++;
}

static const jv_column *host_column(const jv_host *h, uint32_t i)
{
    struct jvc_stage *s = self(h);
    return i < s->in.n ? &s->in.v[i].c : NULL;
}

/* The row, or null for a number the plugin made up. */
static const struct jvc_row_of *row_of(const struct jvc_stage *s, int32_t row)
{
    return row >= 0 && (uint32_t)row < s->n_rows ? &s->rows[row] : NULL;
}

static jv_str host_get(const jv_host *h, const jv_buf *b, int32_t row)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    if (!r) return (jv_str){NULL, 0};
    if (r->kind == JVC_ID) return (jv_str){b->node->id, b->node->id_n};
    if (r->kind != JVC_SLOT || !b->v[r->at].block) return (jv_str){NULL, 0};
    return (jv_str){b->v[r->at].u.p, b->v[r->at].n};
}

static int64_t host_get_i64(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    if (r && r->kind == JVC_COUNT) return atomic_load_explicit(&b->counts[r->at], memory_order_relaxed);
    return r && r->kind == JVC_SLOT && r->type == JV_I64 && b->v[r->at].set ? b->v[r->at].u.i : absent;
}

static double host_get_f64(const jv_host *h, const jv_buf *b, int32_t row, double absent)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    return r && r->kind == JVC_SLOT && r->type == JV_F64 && b->v[r->at].set ? b->v[r->at].u.f : absent;
}

/* Whoever read the old bytes may go on doing so until the call returns. */
static bool release_late(struct jvc_block *old)
{
    struct jvc_call *c = jvc_current_call;
    if (!old) return true;
    if (c) {
        struct jvc_block **late = realloc(c->late, (c->n_late + 1) * sizeof *late);
        if (!late) return false;
        c->late = late;
        late[c->n_late++] = old;
    } else {
        jvc_block_release(old);
    }
    return true;
}

/* Types whose values are bytes in a block. */
static bool is_bytes(int32_t type)
{
    return type != JV_I64 && type != JV_F64;
}

static bool is_numbers(int32_t type)
{
    return type == JV_I32S || type == JV_F32S;
}

/* The value behind a row that may be set to something of that type (JV_UTF8 for all bytes), or null. */
static struct jvc_value *settable(const struct jvc_stage *s, jv_buf *b, int32_t row, int32_t type)
{
    const struct jvc_row_of *r = row_of(s, row);
    if (!r || r->kind != JVC_SLOT || !(r->access & JV_OUT)) return NULL;
    bool fits = type == JV_UTF8 ? is_bytes(r->type) : r->type == type;
    return fits ? &b->v[r->at] : NULL;
}

static int32_t not_settable(const char *what, int32_t row, jv_err *err)
{
    return jv_fail(err, JV_FATAL, "the plugin %s row %d, which it does not declare as JV_OUT of such a type", what, row);
}

static int32_t set_bytes(const jv_host *h, jv_buf *b, int32_t row, struct jvc_value v, jv_err *err)
{
    struct jvc_value *to = settable(self(h), b, row, JV_UTF8);
    if (!to) return not_settable("sets", row, err);
    if (!release_late(to->block)) return no_memory(err);
    if (b->growing == (int32_t)(to - b->v)) b->growing = -1;
    *to = v;
    return JV_OK;
}

static char *host_put(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    if (r && is_numbers(r->type) && n % 4) {
        jv_fail(err, JV_FATAL, "the plugin sets row %d, an array of numbers, to %zu bytes", row, n);
        return NULL;
    }
    struct jvc_block *block = jvc_block_new(self(h)->pl, n);
    if (!block) {
        no_memory(err);
        return NULL;
    }
    if (set_bytes(h, b, row, (struct jvc_value){.block = block, .u.p = block->data, .n = n, .set = true}, err) == JV_OK)
        return block->data;
    jvc_block_release(block);
    return NULL;
}

static int32_t host_view(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at,
    size_t n, jv_err *err)
{
    const struct jvc_row_of *from = row_of(self(h), of_row), *to = row_of(self(h), row);
    jv_str s = host_get(h, of, of_row);
    if (!from || !to || from->kind != JVC_SLOT || !of->v[from->at].block)
        return jv_fail(err, JV_FATAL, "the plugin views row %d, which holds no bytes", of_row);
    if (at > s.n || n > s.n - at) return jv_fail(err, JV_FATAL, "the plugin views bytes %zu+%zu of %zu", at, n, s.n);
    if (to->type == JV_UTF8 && !(jvc_utf8_boundary(s.p, s.n, at) && jvc_utf8_boundary(s.p, s.n, at + n)))
        return jv_fail(err, JV_FATAL, "the plugin cuts a character at byte %zu or %zu", at, at + n);
    bool numbers = is_numbers(to->type) || is_numbers(from->type);
    if (numbers && (from->type != to->type || at % 4 || n % 4))
        return jv_fail(err, JV_FATAL, "the plugin views %s as %s, bytes %zu+%zu", jvc_type_name(from->type),
            jvc_type_name(to->type), at, n);
    struct jvc_block *block = of->v[from->at].block;
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
    int32_t rc = set_bytes(h, b, row, (struct jvc_value){.block = block, .u.p = s.p + at, .n = n, .set = true}, err);
    if (rc < 0) jvc_block_release(block);
    return rc;
}

/* The field as it came stands in a slot of its own, so a copy is made once, and the record can still be put back. */
static char *host_writable(const jv_host *h, jv_buf *b, int32_t row, jv_err *err)
{
    struct jvc_stage *s = self(h);
    struct jvc_value *v = settable(s, b, row, JV_UTF8);
    if (!v) {
        not_settable("writes to", row, err);
        return NULL;
    }
    if (v->block && atomic_load(&v->block->refs) == 1 && v->u.p == v->block->data) return v->block->data;
    int32_t in = -1;
    for (uint32_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].access & JV_IN && !strcmp(s->rows[i].name, s->rows[row].name)) in = (int32_t)i;
    jv_str old = v->block ? (jv_str){v->u.p, v->n} : host_get(h, b, in);
    if (!old.p) {
        jv_fail(err, JV_BAD, "field %s is absent", s->rows[row].name);
        return NULL;
    }
    char *p = host_put(h, b, row, old.n, err);
    if (p && old.n) memcpy(p, old.p, old.n);
    return p;
}

/* A plugin that sets what it did not declare is broken; functions that cannot fail end the run for it. */
static void broken(const jv_host *h, const jv_buf *b, const char *what, int32_t number)
{
    jv_err err;
    jv_fail(&err, JV_FATAL, "the plugin %s %d, which it does not declare so", what, number);
    jvc_pipeline_fail(self(h), b, &err);
}

static void host_put_i64(const jv_host *h, jv_buf *b, int32_t row, int64_t v)
{
    struct jvc_value *to = settable(self(h), b, row, JV_I64);
    if (to)
        *to = (struct jvc_value){.u.i = v, .set = true};
    else
        broken(h, b, "sets a whole number as row", row);
}

static void host_put_f64(const jv_host *h, jv_buf *b, int32_t row, double v)
{
    struct jvc_value *to = settable(self(h), b, row, JV_F64);
    if (to)
        *to = (struct jvc_value){.u.f = v, .set = true};
    else
        broken(h, b, "sets a number as row", row);
}

static void *host_scratch(const jv_host *h, size_t n, jv_err *err)
{
    struct jvc_call *c = jvc_current_call;
    size_t rounded = (n + 63) & ~(size_t)63;
    if (!c || rounded < n) {
        jv_fail(err, JV_FATAL, c ? "out of memory" : "the plugin asks for scratch outside of a call");
        return NULL;
    }
    void **list = realloc(c->scratch, (c->n_scratch + 1) * sizeof *list);
    void *p = list ? aligned_alloc(64, rounded ? rounded : 64) : NULL;
    if (list) c->scratch = list;
    if (p)
        c->scratch[c->n_scratch++] = p;
    else
        no_memory(err);
    return p;
}

static jv_str host_id(const jv_host *h, const jv_buf *b)
{
    return (jv_str){b->node->id, b->node->id_n};
}

static int32_t host_is_partial(const jv_host *h, const jv_buf *b)
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
    if (o->struct_size < sizeof *o) /* that of the first version */
        return jv_fail(err, JV_FATAL, "the plugin gives a jv_origin of %u bytes", o->struct_size);
    if (!o->position.n || o->position.n > 4096 || !jvc_utf8_valid(o->position.p, o->position.n, NULL))
        return jv_fail(err, JV_BAD, "a position is 1 to 4096 bytes of UTF-8");
    if (o->priority < 0 || o->priority > JV_BATCH || (o->priority && s->def->poll))
        return jv_fail(err, JV_FATAL, "the plugin begins a record with priority %d", o->priority);
    return JV_OK;
}

static jv_buf *host_begin(const jv_host *h, const jv_origin *o, jv_err *err)
{
    struct jvc_stage *s = self(h);
    if (check_begin(s, o, err) < 0) return NULL;
    struct jvc_node *n = jvc_node_new(s, NULL, o->position.n);
    jv_buf *b = n ? jvc_buf_new(s->pl, n) : NULL;
    if (n) {
        memcpy((char *)n->id, o->position.p, o->position.n);
        n->user = o->user;
        n->lane = o->priority ? (o->priority == JV_LIVE ? JVC_LIVE : JVC_LATER) : s->lane;
    }
    if (!b || window_take(s, n, err) < 0) {
        if (!b) no_memory(err);
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

static jv_buf *host_fork(const jv_host *h, const jv_buf *parent, jv_err *err)
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

static int32_t host_emit(const jv_host *h, jv_buf *b, int32_t port, jv_err *err)
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

static int32_t host_reject(const jv_host *h, jv_buf *b, const jv_err *why, jv_err *err)
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

/* Appends to the field a snapshot shows. Those who hold older snapshots see as many bytes as they always did. */
static int32_t append(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err)
{
    const struct jvc_row_of *r = row_of(self(h), row);
    struct jvc_value *v = settable(self(h), b, row, JV_UTF8);
    if (!v) return not_settable("appends to", row, err);
    if (r->type != JV_UTF8 && r->type != JV_BYTES && r->type != JV_JSON) return not_settable("appends to", row, err);
    bool mine = b->growing == (int32_t)r->at;
    size_t old = mine ? v->n : 0;
    if (n > SIZE_MAX / 4 - old) return no_memory(err);
    if (!mine || n > v->block->cap - old) {
        struct jvc_block *block = jvc_block_new(self(h)->pl, (old + n) * 2 + 256);
        if (!block) return no_memory(err);
        if (old) memcpy(block->data, v->u.p, old);
        jvc_block_release(v->block);
        *v = (struct jvc_value){.block = block, .u.p = block->data, .n = old, .set = true};
        b->growing = (int32_t)r->at;
    }
    if (n) memcpy(v->block->data + old, more, n);
    v->n = old + n;
    return JV_OK;
}

static uint64_t host_record(const jv_host *h, const jv_buf *b)
{
    const struct jvc_node *root = b->node->root;
    pthread_mutex_lock(&root->source->lock);
    uint64_t generation = root->source->slots[root->slot].generation;
    pthread_mutex_unlock(&root->source->lock);
    return (generation << 32 | root->slot) + 1;
}

static void host_cancel(const jv_host *h, uint64_t record)
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

static int32_t host_cancelled(const jv_host *h, const jv_buf *b)
{
    return jvc_node_cancelled(b->node);
}

/* What this thread has finished goes on before it sleeps. */
static void before_sleep(const struct jvc_stage *s)
{
    if (!jvc_me) return;
    if (jvc_me->strand == s->strand && s->kind == JVC_SOURCE)
        jvc_strand_pass(s->strand);
    else
        jvc_post_all(jvc_me);
}

static int32_t host_wait(const jv_host *h, int32_t fd, int32_t events, int64_t ms)
{
    struct jvc_stage *s = self(h);
    int over = s->kind == JVC_SOURCE ? s->stop_fd : s->pl->cancel_fd;
    struct pollfd p[2] = {{.fd = over, .events = POLLIN}, {.fd = fd, .events = (short)events}};
    int32_t answer = 0;
    if (ms) before_sleep(s);
    int64_t t0 = jvc_now(), until = ms < 0 ? INT64_MAX : t0 / 1000000 + ms;
    const struct jvc_call *c = jvc_current_call;
    const jv_buf *at_work = c && c->stage == s ? c->b : NULL; /* whose cancel is looked for now and then */
    while (!answer) {
        int64_t left = ms < 0 ? 1000000 : until - jvc_now() / 1000000, most = at_work ? LOOK_MS : 1000000;
        int rc = poll(p, fd < 0 ? 1 : 2, (int)(left < 0 ? 0 : left < most ? left : most));
        if (rc > 0) answer = p[0].revents ? JV_STOPPED : 1;
        if (!answer && at_work && jvc_node_cancelled(at_work->node)) answer = JV_STOPPED;
        if (left <= 0 || (rc < 0 && errno != EINTR)) break;
    }
    int64_t took = jvc_now() - t0;
    jvc_count(&s->wait_ns, took);
    if (jvc_current_call) jvc_current_call->nested_ns += took; /* waiting is not being busy */
    return answer;
}

static void host_count(const jv_host *h, jv_buf *b, int32_t counter, int64_t n)
{
    struct jvc_stage *s = self(h);
    if (counter < 0 || (uint32_t)counter >= s->n_counters) broken(h, b, "counts as counter", counter);
    if (counter < 0 || (uint32_t)counter >= s->n_counters || b->partial) return;
    uint32_t at = s->counters[counter];
    jvc_count(&s->sums[counter], n);
    atomic_fetch_add_explicit(&b->counts[at], n, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->node->root->tallies[at], n, memory_order_relaxed);
}

static int64_t host_tally(const jv_host *h, const jv_buf *b, const char *counter, int64_t absent)
{
    const struct jvc_pipeline *pl = self(h)->pl;
    for (uint32_t i = 0; i < pl->n_counters; i++)
        if (!strcmp(pl->counters[i].name, counter))
            return atomic_load_explicit(&b->node->root->tallies[i], memory_order_relaxed);
    return absent;
}

static int32_t host_partial(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err)
{
    struct jvc_stage *s = self(h);
    int32_t rc = append(h, b, row, more, n, err);
    if (rc < 0 || !s->streams || b->partial || jvc_node_cancelled(b->node)) return rc;
    jv_buf *snapshot = jvc_buf_copy(s->pl, b);
    if (!snapshot) return JV_OK; /* a snapshot may vanish */
    snapshot->partial = true;
    if (jvc_me) jvc_post_all(jvc_me);
    jvc_stream(s, 0, snapshot);
    return JV_OK;
}

static int32_t host_priority(const jv_host *h, const jv_buf *b)
{
    return b->node->root->lane == JVC_LIVE ? JV_LIVE : JV_BATCH;
}

static void *host_user(const jv_host *h, const jv_buf *b, const jv_ref *source)
{
    const struct jvc_node *root = b->node->root;
    return source->self == root->source->ctx ? root->user : NULL;
}

static uint32_t host_children(const jv_host *h, const jv_buf *b)
{
    struct jvc_stage *s = self(h);
    const struct jvc_wait *w = s->def->flags & JV_MERGE ? jvc_wait_at(s, b->node) : NULL;
    return w ? w->n : 0;
}

static const jv_buf *host_child(const jv_host *h, const jv_buf *b, uint32_t i, jv_err *err)
{
    if (i >= host_children(h, b)) {
        jv_fail(err, JV_FATAL, "the plugin asks for child %u of %u", i, host_children(h, b));
        return NULL;
    }
    const struct jvc_kid *k = &jvc_wait_at(self(h), b->node)->kids[i];
    if (k->b) return k->b;
    jv_fail(err, k->code, "%s", k->text ? k->text : "");
    err->reason = k->reason;
    return NULL;
}

static int32_t host_params(const jv_host *h, const jv_buf *b, void *into, jv_err *err)
{
    const struct jvc_stage *s = self(h);
    struct jvc_call *c = jvc_current_call;
    jv_str text = {0};
    if (!c || c->stage != s) return jv_fail(err, JV_FATAL, "the plugin asks for params outside of process");
    if (s->params_slot >= 0 && b->v[s->params_slot].set)
        text = (jv_str){b->v[s->params_slot].u.p, b->v[s->params_slot].n};
    struct jvc_params_of of = {s->def->opts, s->ctx, s->def->ctx_size, s->pl->per_record};
    return jvc_params_apply(&of, text, into, &c->arena, err);
}

static void host_fail(const jv_host *h, const jv_err *why)
{
    jv_err err = *why;
    err.text[sizeof err.text - 1] = 0;
    jvc_pipeline_fail(self(h), NULL, &err);
}

static int32_t host_lease(const jv_host *h, int32_t want)
{
    struct jvc_stage *s = self(h);
    struct jvc_pipeline *pl = s->pl;
    pthread_mutex_lock(&pl->lock);
    int32_t left = pl->cores - pl->leased, granted = want > 0 && (want < left || !pl->cores_given) ? want : left;
    if (granted < 1) granted = 1;
    pl->leased += granted;
    s->leased += granted;
    pthread_mutex_unlock(&pl->lock);
    return granted;
}

static int32_t host_stats(const jv_host *h, void (*write)(void *arg, const char *text, size_t n), void *arg, jv_err *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) return no_memory(err);
    jvc_stats_write(self(h)->pl, f);
    bool whole = !ferror(f);
    whole &= !fclose(f);
    if (whole) write(arg, text, n);
    free(text);
    return whole ? JV_OK : no_memory(err);
}

const jv_host jvc_host_table = {
    .struct_size = sizeof(jv_host),
    .abi_minor = JV_ABI_MINOR,
    .log = host_log,
    .field = host_field,
    .column = host_column,
    .get = host_get,
    .get_i64 = host_get_i64,
    .get_f64 = host_get_f64,
    .put = host_put,
    .view = host_view,
    .writable = host_writable,
    .put_i64 = host_put_i64,
    .put_f64 = host_put_f64,
    .scratch = host_scratch,
    .id = host_id,
    .is_partial = host_is_partial,
    .begin = host_begin,
    .fork = host_fork,
    .emit = host_emit,
    .partial = host_partial,
    .record = host_record,
    .cancel = host_cancel,
    .cancelled = host_cancelled,
    .wait = host_wait,
    .count = host_count,
    .reject = host_reject,
    .priority = host_priority,
    .user = host_user,
    .children = host_children,
    .child = host_child,
    .tally = host_tally,
    .params = host_params,
    .lease = host_lease,
    .stats = host_stats,
    .fail = host_fail,
};
