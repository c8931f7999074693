/* shrink.c: makes a graph that fails smaller, one simplification at a time, each kept while the graph still fails. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

/* ---- structure ---- */

static void forget_input(struct stage *s, int k)
{
    s->n_from--;
    for (; k < s->n_from; k++) {
        s->from[k] = s->from[k + 1];
        s->from_port[k] = s->from_port[k + 1];
    }
}

/* Removes stages that nothing leads to, numbers the rest anew, and makes `port` follow `from`. */
static void tidy(struct graph *g)
{
    int number[MOST_STAGES], n = 0;
    for (int i = 0; i < g->n; i++) {
        struct stage *s = &g->s[i];
        for (int k = s->n_from; k-- > 0;) {
            const struct stage *up = &g->s[s->from[k]];
            bool there = number[s->from[k]] >= 0 && (s->from_port[k] == REJECTED || s->from_port[k] < up->n_ports);
            if (!there) forget_input(s, k);
        }
        number[i] = is_source(s->kind) ? (s->n_ports ? n++ : -1) : s->n_from ? n++ : -1;
    }
    for (int i = 0; i < g->n; i++) {
        if (number[i] < 0) continue;
        struct stage *s = &g->s[number[i]];
        if (s != &g->s[i]) *s = g->s[i];
        memset(s->port, 0, sizeof s->port);
        for (int k = 0; k < s->n_open; k++) s->open[k] = number[s->open[k]];
        if (s->of >= 0) s->of = number[s->of];
        for (int k = 0; k < s->n_from; k++) {
            s->from[k] = number[s->from[k]];
            struct port *p = &g->s[s->from[k]].port[s->from_port[k]];
            p->to[p->n++] = number[i];
        }
    }
    g->n = n;
}

static void become_sink(struct stage *s)
{
    s->kind = is_ordered(s->kind) ? LOG : SINK;
    s->n_ports = 0;
}

/* Stage i is left out: what it read is read by its readers. */
static bool bypass(struct graph *g, int i)
{
    struct stage *s = &g->s[i];
    if (is_source(s->kind) || is_split(s->kind) || is_merge(s->kind) || s->n_ports != 1 || s->n_from != 1) return false;
    for (int k = i + 1; k < g->n; k++)
        for (int j = 0; j < g->s[k].n_from; j++)
            if (g->s[k].from[j] == i && g->s[k].from_port[j] == 0) {
                g->s[k].from[j] = s->from[0];
                g->s[k].from_port[j] = s->from_port[0];
            }
    s->n_from = 0;
    return true;
}

static bool all_read(const struct graph *g)
{
    for (int i = 0; i < g->n; i++)
        for (int p = 0; p < g->s[i].n_ports; p++)
            if (!g->s[i].port[p].n) return false;
    return g->n > 1;
}

static bool change_structure(struct graph *g, int i, int how)
{
    struct stage *s = &g->s[i];
    switch (how) {
    case 0:
        if (is_sink(s->kind) || is_source(s->kind) || is_merge(s->kind)) return false;
        become_sink(s);
        return true;
    case 1:
        if (is_source(s->kind))
            s->n_ports = 0;
        else
            s->n_from = 0;
        return true;
    case 2: return bypass(g, i);
    case 3:
    case 4:
    case 5:
        if (s->n_from < how - 1) return false;
        forget_input(s, how - 2);
        return true;
    default: return false;
    }
}

/* ---- options ---- */

static bool set(int64_t *v, int64_t simple)
{
    bool changed = *v != simple;
    *v = simple;
    return changed;
}

static bool set_bool(bool *v)
{
    bool changed = *v;
    *v = false;
    return changed;
}

static bool change_option(struct stage *s, int how)
{
    switch (how) {
    case 0: return set(&s->count, s->count / 2);
    case 1: return s->count && set(&s->count, s->count - 1);
    case 2: return set(&s->odds.drop, 0);
    case 3: return set(&s->odds.bad, 0);
    case 4: return set(&s->odds.retry, 0);
    case 5: return set(&s->odds.never, 0);
    case 6: return set(&s->odds.fatal, 0);
    case 7: return set(&s->slow, 0);
    case 8: return set(&s->threads, 1);
    case 9: return set_bool(&s->stats);
    case 10: return set_bool(&s->stop_on_error);
    case 11: return set(&s->batch, 1);
    case 12: return set(&s->cancel, 0);
    case 13: return set_bool(&s->backwards);
    case 14: return set_bool(&s->mixed);
    case 15: return set(&s->ballast, 0);
    case 16: return set(&s->hands, 1);
    case 17: return set(&s->in_flight, 4096);
    case 18: return set(&s->children, s->children > 1 ? s->children - 1 : s->children);
    case 19: return set(&s->tries, 1);
    case 20: return set(&s->lag, 0);
    case 21: return s->of >= 0 && (s->of = -1);
    case 22: return s->priority && !(s->priority = 0);
    case 23: return s->kind == WATCH && (s->kind = LOG);
    case 24: return s->kind == LOG && (s->kind = SINK);
    case 25: return (s->kind == QUEUE || s->kind == RELAY || s->kind == STREAM || s->kind == LIMIT) && (s->kind = STEP);
    case 26: return s->kind == GATHER && (s->kind = MERGE);
    case 27: return s->kind == SPRING && (s->kind = WELL);
    case 28: return set(&s->pieces, 1);
    default: return false;
    }
}

#define OPTIONS 29
#define STRUCTURES 6

static bool change_graph(struct graph *g, int how)
{
    switch (how) {
    case 0: return set(&g->memory, 0);
    case 1: return set(&g->retry_after_ms, 0);
    case 2: return set_bool(&g->stop_on_error);
    case 3: return set_bool(&g->upside_down);
    default: return false;
    }
}

#define SETTINGS 4

/* Simplification number k; false: it changes nothing, or what it makes is no legal graph. */
static bool simplify(struct graph *g, int k)
{
    int structures = g->n * STRUCTURES, options = g->n * OPTIONS;
    bool changed = k < structures ? change_structure(g, k / STRUCTURES, k % STRUCTURES)
                   : k < structures + options
                       ? change_option(&g->s[(k - structures) / OPTIONS], (k - structures) % OPTIONS)
                       : change_graph(g, k - structures - options);
    if (changed && k < structures) tidy(g);
    return changed && all_read(g) && legal(g);
}

void shrink(struct graph *g, bool (*fails)(const struct graph *g))
{
    for (int k = 0; k < g->n * (STRUCTURES + OPTIONS) + SETTINGS;) {
        struct graph smaller = *g;
        if (simplify(&smaller, k) && fails(&smaller)) {
            *g = smaller;
            k = k < g->n * STRUCTURES ? 0 : k;
        } else {
            k++;
        }
    }
}
