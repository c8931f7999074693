/*
 * oracle.c: what must come of a pipeline of ground's stages: a model without threads, queues or buffers. Each record
 * goes through the graph as deep as it can before the next one starts, children in their parent's place, which is the
 * order that ORDERED stages are promised.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

enum { DELIVERED = 0, DONE = 100, DROP = 101, BAD = -1 }; /* the values of jevons.h */

struct model {
    const struct graph *g;
    struct outcome *o;
    uint64_t reach[MOST_STAGES];
    int n_merges[MOST_STAGES], merges[MOST_STAGES][MOST_STAGES]; /* of a split */
    int64_t passed[MOST_STAGES];
};

/* The children of one record as each merge sees them: what one carries, or why it did not come. */
struct family {
    int split, n;
    struct child {
        uint64_t what;
        int64_t steps;
    } child[MOST_MERGES][GROUND_CHILDREN];
};

/* Of a root: what all that comes of it adds up to. */
struct root {
    uint64_t hash;
    int64_t tally;
    int status; /* as `done` is to hear it */
};

struct record {
    struct root *root;
    struct family *family; /* of the split that it is a child of, the innermost one open */
    int index;             /* among its siblings */
    char id[40], mark[GROUND_MARK], text[64];
    size_t at, n, text_n; /* its part of the ballast; its text */
    uint64_t digest;
    int64_t steps, priority, error;
};

static void visit(struct model *m, int at, struct record r);

static uint64_t hash_of(const struct record *r, int salt)
{
    return ground_hash(r->id, strlen(r->id), (uint64_t)salt);
}

static uint64_t sum_of(const struct record *r)
{
    char ballast[MOST_BALLAST];
    for (size_t i = 0; i < r->n; i++) ballast[i] = ground_ballast(r->root->hash, r->at + i);
    uint64_t mark = ground_hash(r->mark, sizeof r->mark, 0), text = ground_hash(r->text, r->text_n, 0);
    uint64_t bytes = ground_hash(ballast, r->n, 0);
    return ground_sum(&(struct ground_load){r->digest, mark, bytes, text, r->priority, r->error});
}

/* To all that read the port. */
static void go(struct model *m, int from, int port, const struct record *r)
{
    const struct port *p = &m->g->s[from].port[port];
    m->o->sum[from].out += port != REJECTED;
    for (int i = 0; i < p->n; i++) visit(m, p->to[i], *r);
}

/* The record is known at a merge that it has come to, or at each one that it could still have come to. */
static void tell_merges(struct model *m, uint64_t merges, const struct record *r, struct child c)
{
    for (int k = 0; r->family && k < m->n_merges[r->family->split]; k++)
        if (merges >> m->merges[r->family->split][k] & 1) r->family->child[k][r->index] = c;
}

static void drop(struct model *m, int at, const struct record *r, const char *reason)
{
    m->o->sum[at].dropped++;
    tell_merges(m, m->reach[at], r, (struct child){DROP + (strlen(reason) << 32), 0});
}

static void reject(struct model *m, int at, struct record *r)
{
    m->o->sum[at].rejected++;
    if (m->g->s[at].port[REJECTED].n) {
        r->error = at;
        go(m, at, REJECTED, r);
        return;
    }
    list_add(&m->o->dead, at, r->id, r->digest, 0);
    r->root->status = BAD;
    if (m->g->s[at].stop_on_error || m->g->stop_on_error) m->o->failed = true;
    tell_merges(m, m->reach[at], r, (struct child){(uint32_t)BAD, 0});
}

/* Whether the stage lets the record pass; if so that is a step. */
static bool decide(struct model *m, int at, struct record *r)
{
    const struct stage *s = &m->g->s[at];
    enum ground_fate fate = ground_fate(hash_of(r, at), &s->odds);
    bool passes = fate == GROUND_PASS || fate == GROUND_RETRY;
    if (fate == GROUND_RETRY) m->o->sum[at].retried += s->tries;
    if (fate == GROUND_NEVER) m->o->sum[at].retried += m->g->retries;
    if (fate == GROUND_DROP) drop(m, at, r, "left out");
    if (fate == GROUND_BAD || fate == GROUND_NEVER) reject(m, at, r);
    if (fate == GROUND_FATAL) m->o->failed = true;
    bool steps = passes && !is_sink(s->kind);
    r->steps += steps;
    r->root->tally += steps;
    return passes;
}

static void make_children(struct model *m, int at, const struct record *r, struct family *f)
{
    const struct stage *s = &m->g->s[at];
    f->n = (int)ground_children(hash_of(r, at), (uint32_t)s->children);
    for (int k = 0; k < MOST_MERGES; k++)
        for (int i = 0; i < f->n; i++) f->child[k][i].what = DONE;
    for (int i = 0; i < f->n; i++) {
        struct record c = *r;
        if ((size_t)snprintf(c.id, sizeof c.id, "%s/%d", r->id, i) >= sizeof c.id) abort();
        uint64_t hash = hash_of(&c, at);
        c.family = f;
        c.index = i;
        c.steps = 0;
        c.at = r->at + ground_cut(hash, r->n);
        c.n = r->n / 2;
        c.digest = ground_mix(r->digest, hash);
        go(m, at, (int)ground_port(hash, (uint32_t)s->n_ports), &c);
    }
}

/* The record that was split, at the merge where all is known of its children. */
static void visit_merge(struct model *m, int at, struct record r, const struct family *f, const struct child *child)
{
    uint64_t digest = hash_of(&r, at);
    m->o->sum[at].in++;
    for (const struct child *c = child; c < child + f->n; c++) {
        digest = ground_mix(digest, c->what);
        r.steps += c->steps;
    }
    if (!decide(m, at, &r)) return;
    r.digest = digest;
    go(m, at, 0, &r);
}

static void visit_split(struct model *m, int at, struct record *r)
{
    uint64_t hash = hash_of(r, at);
    enum ground_fate fate = ground_fate(hash, &m->g->s[at].odds);
    struct family f = {.split = at};
    if (ground_late(hash) && (fate == GROUND_DROP || fate == GROUND_BAD)) make_children(m, at, r, &f);
    if (!decide(m, at, r)) return;
    make_children(m, at, r, &f);
    if (!f.n && !m->n_merges[at]) drop(m, at, r, "nothing came of it");
    for (int k = 0; k < m->n_merges[at]; k++) visit_merge(m, m->merges[at][k], *r, &f, f.child[k]);
}

/* A sink, or a filter of one record to one. */
static void pass(struct model *m, int at, struct record *r)
{
    const struct stage *s = &m->g->s[at];
    uint64_t hash = hash_of(r, at);
    if (is_sink(s->kind)) {
        m->o->sum[at].out++;
        if (r->root->status == DROP) r->root->status = DELIVERED;
        list_add(&m->o->delivered, at, r->id, sum_of(r), r->steps);
        return;
    }
    ground_turn(r->mark, (uint64_t)at);
    r->digest = ground_mix(r->digest, (uint64_t)at);
    if (s->kind == STREAM) r->text_n = 0;
    for (uint32_t i = 0; s->kind == STREAM && i < s->pieces; i++)
        r->text_n += ground_piece(hash, i, r->text + r->text_n);
    if (s->kind == LIMIT && ++m->passed[at] == s->limit) m->o->ended[at] = true;
    go(m, at, s->kind == ROUTE ? (int)ground_port(hash, (uint32_t)s->n_ports) : 0, r);
}

static void visit(struct model *m, int at, struct record r)
{
    const struct stage *s = &m->g->s[at];
    m->o->work++;
    m->o->sum[at].in += !is_merge(s->kind);
    if (is_merge(s->kind)) {
        tell_merges(m, (uint64_t)1 << at, &r, (struct child){sum_of(&r), r.steps});
    } else if (m->o->ended[at]) {
        drop(m, at, &r, "nothing more is wanted");
    } else if (is_split(s->kind)) {
        visit_split(m, at, &r);
    } else if (decide(m, at, &r)) {
        pass(m, at, &r);
    }
}

static void begin(struct model *m, int at, int64_t number)
{
    const struct stage *s = &m->g->s[at];
    struct root root = {.status = DROP}; /* unless something of it is delivered */
    struct record r = {.root = &root, .n = (size_t)s->ballast, .error = -1};
    snprintf(r.id, sizeof r.id, "%c%lld", 'a' + at, (long long)number);
    memset(r.mark, 'a', sizeof r.mark);
    r.digest = root.hash = hash_of(&r, at);
    r.priority = s->mixed ? (root.hash & 1 ? 1 : 2) : s->priority ? s->priority : 2;
    r.steps = root.tally = s->kind != SPRING; /* only in `poll` a source may count */
    if (ground_fate(root.hash, &s->odds) == GROUND_BAD)
        reject(m, at, &r);
    else
        go(m, at, (int)ground_port(root.hash, (uint32_t)s->n_ports), &r);
    list_add(&m->o->done, at, r.id, (uint64_t)root.status, root.tally);
}

void oracle(const struct graph *g, struct outcome *o)
{
    struct model m = {.g = g, .o = o};
    for (int i = 0; i < g->n; i++) {
        m.reach[i] = reach(g, i);
        m.n_merges[i] = merges_of(g, i, m.merges[i]);
    }
    for (int i = 0; i < g->n && is_source(g->s[i].kind); i++)
        for (int64_t k = 0; k < o->begun[i]; k++) begin(&m, i, k);
}
