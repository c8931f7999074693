/*
 * oracle.c: what must come of a pipeline of ground's stages: a model without threads, queues or buffers. A record goes
 * as deep as it can before the next one starts, children in their parent's place: the order ORDERED stages are promised.
 */
#include "graph.h"

#include <string.h>

enum { DELIVERED = 0, DONE = 100, DROP = 101, BAD = -1 }; /* the values of jevons.h */

/* One record of a source on its way, and what all that comes of it adds up to. */
struct model {
    const struct graph *g;
    struct outcome *o;
    uint64_t hash; /* of the source's record; the ballast follows from it */
    int64_t tally;
    int status; /* as `done` is to hear it */
};

/* What a merge gets to know of a child: what it carries, or why it did not come. */
struct child {
    uint64_t what;
    int64_t steps;
};

struct record {
    struct child *known; /* of a child, by stage: what a merge there gets to know; else null */
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

static uint64_t sum_of(const struct model *m, const struct record *r)
{
    char ballast[MOST_BALLAST];
    for (size_t i = 0; i < r->n; i++) ballast[i] = ground_ballast(m->hash, r->at + i);
    uint64_t mark = ground_hash(r->mark, sizeof r->mark, 0), text = ground_hash(r->text, r->text_n, 0);
    uint64_t bytes = ground_hash(ballast, r->n, 0);
    return ground_sum(&(struct ground_load){r->digest, mark, bytes, text, r->priority, r->error});
}

/* To all that read the port; each changes a table of its own. */
static void go(struct model *m, int from, int port, const struct record *r)
{
    const struct port *p = &m->g->s[from].port[port];
    m->o->sum[from].out += port != REJECTED;
    for (int i = 0; i < p->n; i++) visit(m, p->to[i], *r);
}

/* Each merge that the child could still have come to is told why it does not. Other stages never look. */
static void fall(struct model *m, int at, const struct record *r, uint64_t why)
{
    uint64_t lost = reach(m->g, at);
    for (int k = 0; r->known && k < m->g->n; k++)
        if (lost >> k & 1) r->known[k] = (struct child){why, 0};
}

static void drop(struct model *m, int at, const struct record *r, const char *reason)
{
    m->o->sum[at].dropped++;
    fall(m, at, r, DROP + (strlen(reason) << 32));
}

static void reject(struct model *m, int at, struct record *r)
{
    m->o->sum[at].rejected++;
    r->error = at;
    go(m, at, REJECTED, r);
    if (m->g->s[at].port[REJECTED].n) return;
    list_add(&m->o->dead, at, r->id, r->digest, 0);
    m->status = BAD;
    if (m->g->s[at].stop_on_error || m->g->stop_on_error) m->o->failed = true;
    fall(m, at, r, (uint32_t)BAD);
}

/* Whether the stage lets the record pass; if so that is a step. */
static bool decide(struct model *m, int at, struct record *r)
{
    const struct stage *s = &m->g->s[at];
    enum ground_fate fate = ground_fate(hash_of(r, at), &s->odds);
    bool passes = fate == GROUND_PASS || fate == GROUND_RETRY, steps = passes && !is_sink(s->kind);
    m->o->sum[at].retried += fate == GROUND_RETRY ? s->tries : fate == GROUND_NEVER ? m->g->retries : 0;
    if (fate == GROUND_DROP) drop(m, at, r, "left out");
    if (fate == GROUND_BAD || fate == GROUND_NEVER) reject(m, at, r);
    if (fate == GROUND_FATAL) m->o->failed = true;
    r->steps += steps;
    m->tally += steps;
    return passes;
}

/* A child of which a merge is told nothing more took a way that does not lead there. */
static void make_child(struct model *m, int at, struct record r, int index, struct child known[MOST_STAGES])
{
    size_t end = strlen(r.id);
    snprintf(r.id + end, sizeof r.id - end, "/%d", index); /* within MOST_OPEN splits: it fits */
    for (int k = 0; k < MOST_STAGES; k++) known[k] = (struct child){DONE, 0};
    uint64_t hash = hash_of(&r, at);
    r.known = known;
    r.steps = 0;
    r.at += ground_cut(hash, r.n);
    r.n /= 2;
    r.digest = ground_mix(r.digest, hash);
    go(m, at, (int)ground_port(hash, (uint32_t)m->g->s[at].n_ports), &r);
}

/* The record that was split, where all is known of its children: recursion has been to the end of each. */
static void merge(struct model *m, int at, struct record r, int n, struct child known[][MOST_STAGES])
{
    uint64_t digest = hash_of(&r, at);
    m->o->sum[at].in++;
    for (int i = 0; i < n; i++) {
        digest = ground_mix(digest, known[i][at].what);
        r.steps += known[i][at].steps;
    }
    if (!decide(m, at, &r)) return;
    r.digest = digest;
    go(m, at, 0, &r);
}

/* What a stage makes before it finds fault with the record goes its way, but the record comes to no merge then. */
static void split(struct model *m, int at, struct record *r)
{
    const struct stage *s = &m->g->s[at];
    struct child known[GROUND_CHILDREN][MOST_STAGES];
    int merges[MOST_STAGES], n_merges = merges_of(m->g, at, merges);
    uint64_t hash = hash_of(r, at);
    enum ground_fate fate = ground_fate(hash, &s->odds);
    bool late = ground_late(hash) && (fate == GROUND_DROP || fate == GROUND_BAD);
    bool makes = late || fate == GROUND_PASS || fate == GROUND_RETRY;
    int n = makes ? (int)ground_children(hash, (uint32_t)s->children) : 0;
    for (int i = 0; i < n; i++) make_child(m, at, *r, i, known[i]);
    if (!decide(m, at, r)) return;
    if (!n && !n_merges) drop(m, at, r, "nothing came of it");
    for (int k = 0; k < n_merges; k++) merge(m, merges[k], *r, n, known);
}

/* A sink, or a filter of one record to one. */
static void pass(struct model *m, int at, struct record *r)
{
    const struct stage *s = &m->g->s[at];
    uint64_t hash = hash_of(r, at);
    if (is_sink(s->kind)) {
        m->o->sum[at].out++;
        if (m->status == DROP) m->status = DELIVERED;
        list_add(&m->o->delivered, at, r->id, sum_of(m, r), r->steps);
        return;
    }
    ground_turn(r->mark, (uint64_t)at);
    r->digest = ground_mix(r->digest, (uint64_t)at);
    if (s->kind == STREAM) r->text_n = 0;
    for (uint32_t i = 0; s->kind == STREAM && i < s->pieces; i++)
        r->text_n += ground_piece(hash, i, r->text + r->text_n);
    go(m, at, (int)ground_port(hash, (uint32_t)s->n_ports), r);
    if (s->kind == LIMIT && m->o->sum[at].out == s->limit) m->o->ended[at] = true;
}

static void visit(struct model *m, int at, struct record r)
{
    enum kind k = m->g->s[at].kind;
    m->o->sum[at].in += !is_merge(k); /* there it is the record that was split that comes in */
    if (is_merge(k))
        r.known[at] = (struct child){sum_of(m, &r), r.steps};
    else if (m->o->ended[at])
        drop(m, at, &r, "nothing more is wanted");
    else if (is_split(k))
        split(m, at, &r);
    else if (decide(m, at, &r))
        pass(m, at, &r);
}

static void begin(const struct graph *g, struct outcome *o, int at, int64_t number)
{
    const struct stage *s = &g->s[at];
    struct model m = {.g = g, .o = o, .status = DROP}; /* unless something of it is delivered */
    struct record r = {.n = (size_t)s->ballast, .error = -1};
    snprintf(r.id, sizeof r.id, "%c%lld", 'a' + at, (long long)number);
    memset(r.mark, 'a', sizeof r.mark);
    r.digest = m.hash = hash_of(&r, at);
    r.priority = s->mixed ? (m.hash & 1 ? 1 : 2) : s->priority ? s->priority : 2;
    r.steps = m.tally = s->kind != SPRING; /* only in `poll` a source may count */
    if (ground_fate(m.hash, &s->odds) == GROUND_BAD)
        reject(&m, at, &r);
    else
        go(&m, at, (int)ground_port(m.hash, (uint32_t)s->n_ports), &r);
    list_add(&o->done, at, r.id, (uint64_t)m.status, m.tally);
}

void oracle(const struct graph *g, struct outcome *o)
{
    for (int i = 0; i < g->n && is_source(g->s[i].kind); i++)
        for (int64_t k = 0; k < o->begun[i]; k++) begin(g, o, i, k);
}
