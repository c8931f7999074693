/*
 * make.c: a random legal pipeline from a seed. It grows from the sources: each new stage reads one open end or several
 * (a port that nobody reads yet), or a second time what is read already, and opens ends of its own; at last sinks
 * close what is open.
 */
#include "graph.h"

#include <string.h>

/* What occurs in this graph at all; so that some graphs are simple and each construct meets each other. */
struct flavour {
    bool joins, tees, faults, retries, fatals, slow, splits, limits, cancels, springs, streams, threads, rejected;
    bool large; /* few stages and many records, so that inboxes and batches fill */
};

struct maker {
    struct graph *g;
    struct flavour f;
    uint64_t state;
};

static uint64_t next(struct maker *m)
{
    uint64_t z = m->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int below(struct maker *m, int n)
{
    return (int)(next(m) % (uint64_t)n);
}

static bool chance(struct maker *m, int percent)
{
    return below(m, 100) < percent;
}

static int between(struct maker *m, int low, int high)
{
    return low + below(m, high - low + 1);
}

/* ---- what is legal ---- */

static uint64_t reach_from(const struct graph *g, int i, uint64_t *known)
{
    if (known[i]) return known[i];
    uint64_t all = (uint64_t)1 << i;
    for (int p = 0; p <= MOST_PORTS; p++)
        for (int k = 0; k < g->s[i].port[p].n; k++) all |= reach_from(g, g->s[i].port[p].to[k], known);
    return known[i] = all;
}

uint64_t reach(const struct graph *g, int i)
{
    uint64_t known[MOST_STAGES] = {0};
    return reach_from(g, i, known);
}

static bool apart(const struct graph *g, const int *stage, int n, uint64_t *known)
{
    uint64_t all = 0;
    for (int i = 0; i < n; i++) {
        uint64_t one = reach_from(g, stage[i], known);
        if (all & one) return false;
        all |= one;
    }
    return true;
}

int merges_of(const struct graph *g, int split, int merges[MOST_STAGES])
{
    int n = 0;
    for (int k = 0; k < g->n; k++)
        if (is_merge(g->s[k].kind) && closes(&g->s[k]) == split) merges[n++] = k;
    return n;
}

/* Readers of one port each get the record, and so does each merge of one split: their ways must never meet. */
bool legal(const struct graph *g)
{
    uint64_t known[MOST_STAGES] = {0};
    for (int i = 0; i < g->n; i++) {
        int merges[MOST_STAGES], n = merges_of(g, i, merges);
        if (n > MOST_MERGES || !apart(g, merges, n, known)) return false;
        for (int p = 0; p <= MOST_PORTS; p++)
            if (!apart(g, g->s[i].port[p].to, g->s[i].port[p].n, known)) return false;
    }
    return true;
}

/* ---- growing ---- */

struct end {
    int stage, port;
};

/* The splits that are open behind a port. */
static int open_behind(const struct graph *g, struct end e, int open[MOST_OPEN])
{
    const struct stage *s = &g->s[e.stage];
    int n = s->n_open;
    memcpy(open, s->open, sizeof s->open);
    if (is_merge(s->kind)) n--;
    if (is_split(s->kind) && e.port != REJECTED) open[n++] = e.stage;
    return n;
}

static bool same_open(const struct graph *g, struct end a, struct end b)
{
    int x[MOST_OPEN], y[MOST_OPEN];
    int n = open_behind(g, a, x);
    return n == open_behind(g, b, y) && !memcmp(x, y, (size_t)n * sizeof *x);
}

static bool is_open(const struct graph *g, struct end e)
{
    return e.port < g->s[e.stage].n_ports && !g->s[e.stage].port[e.port].n;
}

/* A stage reads one more port; it takes over what is open there. */
static void read_port(struct graph *g, int reader, struct end e)
{
    struct stage *s = &g->s[reader];
    struct port *p = &g->s[e.stage].port[e.port];
    if (!s->n_from) s->n_open = open_behind(g, e, s->open);
    s->from[s->n_from] = e.stage;
    s->from_port[s->n_from++] = e.port;
    s->sources |= g->s[e.stage].sources;
    p->to[p->n++] = reader;
}

static void unread_port(struct graph *g, int reader, struct end e)
{
    g->s[reader].n_from--;
    g->s[e.stage].port[e.port].n--;
}

/* Ends among those a new stage may read: open ones, the rest of `rejected` ports, or ports read already (a tee). */
static bool pick_end(struct maker *m, bool want_open, struct end *e)
{
    struct end some[MOST_STAGES * (MOST_PORTS + 1)];
    int n = 0;
    for (int i = 0; i < m->g->n; i++)
        for (int p = 0; p <= MOST_PORTS; p++) {
            const struct stage *s = &m->g->s[i];
            struct end here = {i, p};
            bool rejected = p == REJECTED && !want_open && m->f.rejected;
            bool tee = p < s->n_ports && m->f.tees && !want_open && s->port[p].n;
            if (is_open(m->g, here) || ((tee || rejected) && s->port[p].n < MOST_READERS)) some[n++] = here;
        }
    if (n) *e = some[below(m, n)];
    return n > 0;
}

/* A merge that is ordered checks the order of ids, which is that of the source only where it emits as it begins. */
static bool by_id(const struct graph *g, uint32_t sources)
{
    for (int i = 0; i < g->n && is_source(g->s[i].kind); i++)
        if (sources >> i & 1 && g->s[i].backwards) return false;
    return true;
}

/* Lets stage i read further open ends where records of both may meet. */
static void join_more(struct maker *m, int i, struct end first)
{
    uint32_t sources = m->g->s[i].sources;
    for (int tries = between(m, 1, 4); tries > 0 && m->g->s[i].n_from < MOST_FROM; tries--) {
        struct end e;
        if (!pick_end(m, !m->f.rejected || chance(m, 70), &e) || e.stage == i || !same_open(m->g, first, e)) continue;
        if (reach(m->g, i) >> e.stage & 1 || m->g->s[e.stage].port[e.port].n >= MOST_READERS) continue;
        if (m->g->s[i].kind == LIMIT && m->g->s[e.stage].sources != sources) continue;
        read_port(m->g, i, e);
        bool ordered = m->g->s[i].kind != GATHER || by_id(m->g, m->g->s[i].sources);
        if (!legal(m->g) || !ordered) {
            unread_port(m->g, i, e);
            m->g->s[i].sources = 0;
            for (int k = 0; k < m->g->s[i].n_from; k++) m->g->s[i].sources |= m->g->s[m->g->s[i].from[k]].sources;
        }
    }
}

static int64_t odds(struct maker *m, bool wanted, int percent, int most)
{
    return wanted && chance(m, percent) ? between(m, 1, most) : 0;
}

static void choose_options(struct maker *m, struct stage *s)
{
    const struct flavour *f = &m->f;
    bool faults = f->faults && s->kind != LIMIT;
    s->odds.drop = odds(m, faults, 30, 300);
    s->odds.bad = odds(m, faults, 30, 250);
    bool again = faults && f->retries && s->kind != RELAY && s->kind < WATCH; /* those take one for a second final */
    s->odds.retry = odds(m, again, 20, 100);
    s->odds.never = odds(m, again, 10, 40);
    s->odds.fatal = odds(m, f->fatals && s->kind != LIMIT, 10, 20);
    s->slow = odds(m, f->slow, 30, 300);
    s->tries = m->g->retries ? between(m, 1, (int)m->g->retries) : 1;
    if (!m->g->retries) s->odds.retry = 0;
    s->threads = f->threads && is_parallel(s->kind) && chance(m, 40) ? between(m, 2, 4) : 1;
    s->children = between(m, 1, GROUND_CHILDREN);
    s->limit = between(m, 1, 25);
    s->pieces = between(m, 1, 8);
    s->stats = chance(m, 3);
    s->stop_on_error = faults && !f->cancels && chance(m, 1); /* a cancel may come before the failure */
    s->implicit = chance(m, 50);
    s->of = -1;
}

/* One source alone, whose order is known beforehand and of which nothing is cancelled: else what comes behind a limit
 * depends on time. */
static bool may_limit(const struct graph *g, uint32_t sources)
{
    for (int i = 0; i < g->n && is_source(g->s[i].kind); i++)
        if (sources == 1u << i) return !g->s[i].backwards && !g->s[i].cancel;
    return false;
}

static enum kind choose_kind(struct maker *m, const struct stage *s)
{
    static const enum kind filters[] = {STEP, STEP, STEP, QUEUE, QUEUE, ROUTE, ROUTE};
    static const enum kind splits[] = {SPLIT, SCATTER, DEAL};
    if (s->n_open && chance(m, 35)) return chance(m, 50) && by_id(m->g, s->sources) ? GATHER : MERGE;
    if (m->f.splits && s->n_open < MOST_OPEN && chance(m, 25)) return splits[below(m, 3)];
    if (m->f.limits && may_limit(m->g, s->sources) && chance(m, 25)) return LIMIT;
    if (m->f.streams && chance(m, 20)) return chance(m, 60) ? STREAM : RELAY;
    return filters[below(m, 7)];
}

static void add_filter(struct maker *m)
{
    struct end e;
    if (!pick_end(m, chance(m, 75), &e)) return;
    int i = m->g->n++;
    struct stage *s = &m->g->s[i];
    read_port(m->g, i, e);
    s->kind = choose_kind(m, s);
    s->n_ports = s->kind == ROUTE || s->kind == SCATTER || s->kind == DEAL ? between(m, 1, MOST_PORTS) : 1;
    choose_options(m, s);
    if (m->f.joins && chance(m, 50)) join_more(m, i, e);
    if (!legal(m->g)) { /* one merge too many of a split, or two whose ways meet */
        while (s->n_from) unread_port(m->g, i, (struct end){s->from[s->n_from - 1], s->from_port[s->n_from - 1]});
        memset(s, 0, sizeof *s);
        m->g->n--;
    }
}

static void add_sink(struct maker *m, bool want_open)
{
    struct end e;
    if (!pick_end(m, want_open, &e)) return;
    int i = m->g->n++;
    struct stage *s = &m->g->s[i];
    read_port(m->g, i, e);
    s->kind = SINK + (enum kind)below(m, m->f.streams ? 4 : 2);
    choose_options(m, s);
    if (m->f.joins && chance(m, 70)) join_more(m, i, e);
    if (chance(m, 30)) s->of = below(m, m->g->n);
    if (s->of >= 0 && !is_source(m->g->s[s->of].kind)) s->of = -1;
}

static void add_source(struct maker *m, int count)
{
    int i = m->g->n++;
    struct stage *s = &m->g->s[i];
    s->kind = m->f.springs && chance(m, 60) ? SPRING : chance(m, 60) ? WELL : WELLS;
    if (m->f.springs && m->f.limits) s->kind = SPRING; /* one that a limit stops cannot tell whether it is finished */
    s->n_ports = s->kind == WELLS ? between(m, 1, MOST_PORTS) : 1;
    s->sources = 1u << i;
    s->of = -1;
    s->count = chance(m, 3) ? 0 : between(m, 1, count);
    s->batch = between(m, 1, 4);
    s->ballast = chance(m, 10) ? between(m, 0, MOST_BALLAST) : between(m, 0, 40);
    s->odds.bad = odds(m, m->f.faults, 20, 200);
    s->slow = odds(m, m->f.slow, 20, 200);
    s->cancel = odds(m, m->f.cancels, 70, 400);
    s->lag = below(m, 8);
    s->hands = between(m, 1, 3);
    s->in_flight = chance(m, 70) ? between(m, 1, 8) : 4096;
    s->backwards = s->kind != SPRING && chance(m, 15);
    s->mixed = s->kind == SPRING && chance(m, 50);
    s->priority = below(m, 3);
}

static bool some_open(const struct graph *g)
{
    for (int i = 0; i < g->n; i++)
        for (int p = 0; p < g->s[i].n_ports; p++)
            if (is_open(g, (struct end){i, p})) return true;
    return false;
}

static int n_open(const struct graph *g)
{
    int n = 0;
    for (int i = 0; i < g->n; i++)
        for (int p = 0; p < g->s[i].n_ports; p++) n += is_open(g, (struct end){i, p});
    return n;
}

static void choose_flavour(struct maker *m)
{
    struct flavour *f = &m->f;
    struct graph *g = m->g;
    *f = (struct flavour){
        .joins = chance(m, 60),
        .tees = chance(m, 60),
        .faults = chance(m, 60),
        .retries = chance(m, 15),
        .fatals = chance(m, 4),
        .slow = chance(m, 30),
        .splits = chance(m, 50),
        .limits = chance(m, 15),
        .springs = chance(m, 15),
        .streams = chance(m, 20),
        .threads = chance(m, 70),
        .rejected = chance(m, 40),
    };
    if (f->limits && chance(m, 60)) f->tees = f->rejected = false; /* so that all ways end there, and the source too */
    f->cancels = !f->fatals && chance(m, 15);
    f->large = chance(m, 1);
    if (f->large) f->slow = f->retries = false;
    g->retries = between(m, 0, 3);
    g->retry_after_ms = chance(m, 50) ? 0 : 1;
    g->memory = chance(m, 15) ? between(m, 1, 64) << 10 : 0;
    g->stop_on_error = f->faults && !f->cancels && chance(m, 3);
    g->upside_down = chance(m, 10);
}

static void try_to_make(struct maker *m)
{
    struct graph *g = m->g;
    *g = (struct graph){.seed = g->seed};
    choose_flavour(m);
    bool small = m->f.large || chance(m, 60);
    int size = small ? between(m, LEAST_STAGES, 12) : between(m, 10, MOST_STAGES);
    int sources = chance(m, 60) ? 1 : between(m, 2, 3), count = m->f.large ? 3000 : chance(m, 70) ? 15 : 60;
    for (int i = 0; i < sources; i++) add_source(m, count);
    for (int tries = 0; g->n + n_open(g) < size && tries < 2 * MOST_STAGES; tries++)
        if (chance(m, 15) && m->f.tees)
            add_sink(m, false);
        else
            add_filter(m);
    while (some_open(g) && g->n < MOST_STAGES) add_sink(m, true);
}

/* Calls of process that it takes, as far as can be told. */
static int64_t work(const struct graph *g)
{
    struct outcome o = {0};
    for (int i = 0; i < g->n && is_source(g->s[i].kind); i++) o.begun[i] = g->s[i].count;
    oracle(g, &o);
    int64_t n = 0;
    for (int i = 0; i < g->n; i++) n += o.sum[i].in;
    outcome_free(&o);
    return n;
}

void make(struct graph *g, uint64_t seed)
{
    g->seed = seed;
    struct maker m = {.g = g, .state = seed};
    do try_to_make(&m);
    while (g->n < LEAST_STAGES || some_open(g) || !legal(g) || work(g) > (m.f.large ? 10 : 1) * MOST_WORK);
}
