/* cover.c: what the graphs of a run were made of and what happened in them: in how many of them each thing occurs. */
#include "graph.h"

#include <stdlib.h>

enum thing {
    SEVERAL_SOURCES,
    EMPTY_SOURCE,
    BACKWARDS,
    HANDS,
    MIXED,
    WINDOW_1,
    WINDOW_8,
    MEMORY,
    TEE,
    JOIN,
    ROUTER_JOIN,
    REJECTED_READ,
    NESTED,
    NESTED_TWICE,
    LEFT_OPEN,
    MERGED_TWICE,
    PARALLEL,
    SLOW,
    UPSIDE_DOWN,
    DROPPED,
    RETRIED,
    TO_PORT_REJECTED,
    DEAD_LETTERS,
    CANCELLED,
    ENDED,
    STOPPED,
    N_THINGS
};
_Static_assert(N_THINGS <= MOST_THINGS, "struct cover has room for all");

static const char *const names[N_THINGS] = {
    [SEVERAL_SOURCES] = "several sources",
    [EMPTY_SOURCE] = "a source of nothing",
    [BACKWARDS] = "records emitted in another order than begun",
    [HANDS] = "several threads of a source",
    [MIXED] = "both priorities in a source",
    [WINDOW_1] = "a window of 1",
    [WINDOW_8] = "a window of 2 to 8",
    [MEMORY] = "a bound on memory",
    [TEE] = "a tee",
    [JOIN] = "a join",
    [ROUTER_JOIN] = "ports of a stage that meet again",
    [REJECTED_READ] = "a reader of a port rejected",
    [NESTED] = "a split within a split",
    [NESTED_TWICE] = "a split within two",
    [LEFT_OPEN] = "a split without a merge",
    [MERGED_TWICE] = "a split with several merges",
    [PARALLEL] = "a stage of several threads",
    [SLOW] = "a slow stage",
    [UPSIDE_DOWN] = "the last stage first in the file",
    [DROPPED] = "records dropped",
    [RETRIED] = "records tried again",
    [TO_PORT_REJECTED] = "records by a port rejected",
    [DEAD_LETTERS] = "dead letters",
    [CANCELLED] = "records cancelled",
    [ENDED] = "a stage that wanted no more",
    [STOPPED] = "a run that failed",
};

static uint64_t reach_of_port(const struct graph *g, const struct port *p)
{
    uint64_t all = 0;
    for (int i = 0; i < p->n; i++) all |= reach(g, p->to[i]);
    return all;
}

static bool ports_meet(const struct graph *g, const struct stage *s)
{
    uint64_t before = 0;
    for (int p = 0; p <= MOST_PORTS; p++) {
        uint64_t all = reach_of_port(g, &s->port[p]);
        if (all & before) return true;
        before |= all;
    }
    return false;
}

static void look_at_source(const struct stage *s, bool *has)
{
    has[EMPTY_SOURCE] |= !s->count;
    has[BACKWARDS] |= s->backwards && s->batch > 1 && s->count > 1;
    has[HANDS] |= s->kind == SPRING && s->hands > 1;
    has[MIXED] |= s->mixed;
    has[WINDOW_1] |= s->in_flight == 1;
    has[WINDOW_8] |= s->in_flight > 1 && s->in_flight <= 8;
}

static void look_at_stage(const struct graph *g, int at, bool *has)
{
    const struct stage *s = &g->s[at];
    int merges[MOST_STAGES], n_merges = is_split(s->kind) ? merges_of(g, at, merges) : 1;
    for (int p = 0; p <= MOST_PORTS; p++) has[TEE] |= s->port[p].n > 1;
    has[JOIN] |= s->n_from > 1;
    has[ROUTER_JOIN] |= ports_meet(g, s);
    has[REJECTED_READ] |= s->port[REJECTED].n > 0;
    has[NESTED] |= is_split(s->kind) && s->n_open == 1;
    has[NESTED_TWICE] |= is_split(s->kind) && s->n_open == 2;
    has[LEFT_OPEN] |= !n_merges;
    has[MERGED_TWICE] |= n_merges > 1;
    has[PARALLEL] |= s->threads > 1;
    has[SLOW] |= s->slow > 0;
}

static void look_at_sums(const struct stage *s, const struct sums *sum, bool *has)
{
    has[DROPPED] |= sum->dropped > 0;
    has[RETRIED] |= sum->retried > 0;
    has[TO_PORT_REJECTED] |= sum->rejected && s->port[REJECTED].n;
    has[CANCELLED] |= sum->cancelled > 0;
    has[ENDED] |= s->kind == LIMIT && sum->out == s->limit;
}

void cover_add(struct cover *c, const struct graph *g, const struct run *run)
{
    bool kind[N_KINDS] = {0}, has[N_THINGS] = {0};
    for (int i = 0; i < g->n; i++) {
        kind[g->s[i].kind] = true;
        if (is_source(g->s[i].kind)) look_at_source(&g->s[i], has);
        look_at_stage(g, i, has);
        look_at_sums(&g->s[i], &run->sum[i], has);
    }
    has[SEVERAL_SOURCES] = is_source(g->s[1].kind); /* they stand first */
    has[MEMORY] = g->memory > 0;
    has[UPSIDE_DOWN] = g->upside_down;
    has[DEAD_LETTERS] = run->status == 3;
    has[STOPPED] = run->status == 1;
    c->size[g->n]++;
    for (int i = 0; i < N_KINDS; i++) c->kind[i] += kind[i];
    for (int i = 0; i < N_THINGS; i++) c->thing[i] += has[i];
}

void cover_join(struct cover *c, const struct cover *more)
{
    for (int i = 0; i <= MOST_STAGES; i++) c->size[i] += more->size[i];
    for (int i = 0; i < N_KINDS; i++) c->kind[i] += more->kind[i];
    for (int i = 0; i < N_THINGS; i++) c->thing[i] += more->thing[i];
}

static bool tell(FILE *f, const char *name, uint64_t n)
{
    fprintf(f, "%8llu  %s\n", (unsigned long long)n, name);
    return n > 0;
}

bool cover_tell(const struct cover *c, FILE *f)
{
    bool whole = c->size[LEAST_STAGES] && c->size[MOST_STAGES];
    int least = 0, most = MOST_STAGES;
    while (least < MOST_STAGES && !c->size[least]) least++;
    while (most > 0 && !c->size[most]) most--;
    fprintf(f, "%d to %d stages; graphs with\n", least, most);
    for (int i = 0; i < N_KINDS; i++) whole &= tell(f, kind_names[i], c->kind[i]);
    for (int i = 0; i < N_THINGS; i++) whole &= tell(f, names[i], c->thing[i]);
    return whole;
}
