/*
 * shape.c: what follows from who reads whom. Before anything opens: branches of a tee that meet, brackets of split and
 * merge that do not match. After: which ORDERED stages have to wait (places), what can still be reached from where, and
 * which stages share a thread (strands).
 */
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

/* ---- sets of small numbers ---- */

typedef struct set {
    uint64_t *w;
} set;

static size_t words(uint32_t n)
{
    return (n + 63) / 64 + 1;
}

/* n sets of numbers below `most`, empty, in one piece: free(sets) */
static set *sets_new(uint32_t n, uint32_t most)
{
    set *s = jvc_alloc(n * (sizeof *s + words(most) * sizeof *s->w));
    for (uint32_t i = 0; i < n; i++) s[i].w = (uint64_t *)(void *)(s + n) + i * words(most);
    return s;
}

static void set_add(set s, uint32_t i)
{
    s.w[i / 64] |= UINT64_C(1) << i % 64;
}

static bool set_has(set s, uint32_t i)
{
    return s.w[i / 64] >> i % 64 & 1;
}

static void set_join(set to, set from, uint32_t most)
{
    for (size_t i = 0; i < words(most); i++) to.w[i] |= from.w[i];
}

static struct jvc_places list_of(set s, uint32_t most)
{
    struct jvc_places p = {0};
    for (uint32_t i = 0; i < most; i++) {
        if (!set_has(s, i)) continue;
        p.v = jvc_room(p.v, p.n, sizeof *p.v);
        p.v[p.n++] = i;
    }
    return p;
}

/* ---- tees ---- */

/* By stage, all that stands behind it, itself included. */
static set *all_behind(const struct jvc_pipeline *pl)
{
    set *behind = sets_new(pl->n, pl->n);
    for (uint32_t i = pl->n; i-- > 0;) {
        const struct jvc_stage *s = pl->stages[i];
        set_add(behind[i], i);
        for (uint32_t p = 0; p <= s->n_ports; p++)
            for (uint32_t k = 0; k < s->ports[p].n; k++) set_join(behind[i], behind[s->ports[p].to[k]->at], pl->n);
    }
    return behind;
}

/* Tells, once for the tee, where two branches first meet. */
static void branches_meet(struct jvc_stage *tee, const struct jvc_port *port, const set *behind, struct jvc_stage *a,
    struct jvc_stage *b)
{
    struct jvc_pipeline *pl = tee->pl;
    uint32_t i = 0;
    if (a->at <= tee->at || b->at <= tee->at) return; /* a way back, told as such */
    while (i < pl->n && !(set_has(behind[a->at], i) && set_has(behind[b->at], i))) i++;
    if (i == pl->n) return;
    struct jvc_stage *at = pl->stages[i];
    jvc_problem(&pl->conf, at->n_inputs ? at->inputs[at->n_inputs - 1].where : at->sec->where,
        "[%s] would get each record of [%s] twice, by [%s] and by [%s]: put the stages in sequence with different "
        "`out` fields, or use two sinks",
        at->sec->name, port->from, a->sec->name, b->sec->name);
}

static void check_tees(struct jvc_pipeline *pl)
{
    set *behind = all_behind(pl);
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        for (uint32_t p = 0; p <= s->n_ports; p++)
            for (uint32_t k = 1; k < s->ports[p].n; k++)
                for (uint32_t j = 0; j < k; j++)
                    branches_meet(s, &s->ports[p], behind, s->ports[p].to[j], s->ports[p].to[k]);
        for (uint32_t k = 1; k < s->n_merges; k++)
            for (uint32_t j = 0; j < k; j++) branches_meet(s, &s->ports[0], behind, s->merges[j], s->merges[k]);
    }
    free(behind);
}

/* ---- brackets ---- */

static bool splits(const struct jvc_stage *s)
{
    return s->def->flags & JV_SPLIT;
}

static bool merges(const struct jvc_stage *s)
{
    return s->def->flags & JV_MERGE;
}

/* The innermost split that is open behind a port. */
static struct jvc_stage *open_behind(const struct jvc_input *in)
{
    struct jvc_stage *up = in->up;
    if (splits(up) && in->port < up->n_ports) return up;
    return merges(up) && up->within ? up->within->within : up->within;
}

static void check_brackets(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        if (s->cut_off) continue;
        for (uint32_t k = 0; k < s->n_inputs; k++) {
            struct jvc_stage *open = open_behind(&s->inputs[k]);
            if (!k) s->within = open;
            if (s->within == open) continue;
            struct jvc_stage *named = open ? open : s->within;
            jvc_problem(&pl->conf, s->inputs[k].where,
                "[%s] joins parts of what [%s] splits with records that are no such parts", s->sec->name,
                named->sec->name);
            break;
        }
        if (!merges(s) || !s->n_inputs) continue;
        if (!s->within) {
            jvc_problem(&pl->conf, s->sec->where, "[%s] merges, but no stage above it splits", s->sec->name);
            continue;
        }
        struct jvc_stage *split = s->within;
        split->merges = jvc_room(split->merges, split->n_merges, sizeof *split->merges);
        split->merges[split->n_merges++] = s;
    }
}

void jvc_shape_check(struct jvc_pipeline *pl)
{
    check_brackets(pl);
    check_tees(pl);
}

/* ---- order ---- */

/* Whether records of one source may come out of s in another order than they were begun in. */
static bool disorders(const struct jvc_stage *s, const bool *mixed)
{
    if (s->kind == JVC_SOURCE) return false;   /* see own_threads_above */
    if (s->def->flags & JV_MERGE) return true; /* a record whose children all fell early overtakes */
    if (s->def->flags & JV_ORDERED) return false;
    return mixed[s->at] || s->threads > 1;
}

/* Whether a source without poll is above: it may mix priorities, and live records overtake in every inbox. */
static bool own_threads_above(const struct jvc_stage *s, set sources)
{
    for (uint32_t i = 0; i < s->pl->n; i++)
        if (set_has(sources, i) && !s->pl->stages[i]->def->poll) return true;
    return false;
}

/* Whether records of one source may come to s by two ways, or out of order by one. */
static bool is_mixed(const struct jvc_stage *s, const bool *mixed, const set *sources, uint32_t n)
{
    if (own_threads_above(s, sources[s->at])) return true;
    for (uint32_t k = 0; k < s->n_inputs; k++) {
        if (disorders(s->inputs[k].up, mixed)) return true;
        for (uint32_t j = 0; j < k; j++)
            for (size_t w = 0; w < words(n); w++)
                if (sources[s->inputs[j].up->at].w[w] & sources[s->inputs[k].up->at].w[w]) return true;
    }
    return false;
}

static void add_place(struct jvc_stage *s, bool merge)
{
    struct jvc_pipeline *pl = s->pl;
    pl->places = jvc_room(pl->places, pl->n_places, sizeof *pl->places);
    pl->places[pl->n_places] = (struct jvc_place_of){s, merge};
    *(merge ? &s->merge_place : &s->order_place) = pl->n_places++;
    if (!s->gate) s->gate = jvc_gate_new(pl);
}

static void find_places(struct jvc_pipeline *pl)
{
    bool *mixed = jvc_alloc(pl->n);
    set *sources = sets_new(pl->n, pl->n); /* by stage, those whose records may come to it */
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        if (s->kind == JVC_RESOURCE) continue;
        if (s->kind == JVC_SOURCE) set_add(sources[i], i);
        for (uint32_t k = 0; k < s->n_inputs; k++) set_join(sources[i], sources[s->inputs[k].up->at], pl->n);
        mixed[i] = is_mixed(s, mixed, sources, pl->n);
        if (merges(s)) add_place(s, true);
        s->ordered = (s->def->flags & JV_ORDERED) && (mixed[i] || merges(s));
        if (s->ordered) add_place(s, false);
    }
    free(sources);
    free(mixed);
}

/* ---- reach ---- */

struct reaches {
    set *arriving, *after; /* by stage: of a record that comes to it as it is, and behind it; with its children's */
};

/* What is reached by way of a port. */
static void join_port(set to, const struct reaches *r, const struct jvc_port *port, uint32_t most)
{
    for (uint32_t k = 0; k < port->n; k++) set_join(to, r->arriving[port->to[k]->at], most);
}

/* What children reach, without the merges that end them. */
static void join_lines(set to, set kids, const struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n_places; i++)
        if (set_has(kids, i) && !pl->places[i].merges) set_add(to, i);
}

/* What of `all` is not in `kept`. */
static struct jvc_places lost(set all, set kept, uint32_t most)
{
    set *left = sets_new(1, most);
    for (size_t i = 0; i < words(most); i++) left->w[i] = all.w[i] & ~kept.w[i];
    struct jvc_places p = list_of(*left, most);
    free(left);
    return p;
}

static void lost_by_port(struct jvc_stage *s, const struct reaches *r, set kids)
{
    uint32_t most = s->pl->n_places;
    for (uint32_t p = 0; p <= s->n_ports; p++) {
        set *kept = sets_new(1, most);
        join_port(*kept, r, &s->ports[p], most);
        s->ports[p].lost = lost(splits(s) && p < s->n_ports ? kids : r->after[s->at], *kept, most);
        free(kept);
    }
}

static void reach_of(struct jvc_stage *s, struct reaches *r)
{
    struct jvc_pipeline *pl = s->pl;
    uint32_t most = pl->n_places;
    set *tmp = sets_new(2, most), after = r->after[s->at], kids = tmp[0], itself = tmp[1];
    for (uint32_t p = 0; p < s->n_ports; p++) join_port(splits(s) ? kids : after, r, &s->ports[p], most);
    join_port(after, r, &s->ports[s->n_ports], most);
    if (splits(s)) {
        join_lines(after, kids, pl);
        for (uint32_t i = 0; i < s->n_merges; i++) {
            struct jvc_stage *m = s->merges[i];
            set_join(itself, r->after[m->at], most);
            if (m->ordered) set_add(itself, m->order_place);
        }
        set_join(after, itself, most);
        s->kids = list_of(kids, most);
        s->settled = lost(after, itself, most);
    }
    set arriving = r->arriving[s->at];
    if (merges(s)) {
        set_add(arriving, s->merge_place); /* a child: it ends here */
    } else {
        set_join(arriving, after, most);
        if (s->ordered) set_add(arriving, s->order_place);
    }
    s->after = list_of(after, most);
    s->reach = list_of(arriving, most);
    lost_by_port(s, r, kids);
    free(tmp);
}

static void find_reaches(struct jvc_pipeline *pl)
{
    struct reaches r = {sets_new(pl->n, pl->n_places), sets_new(pl->n, pl->n_places)};
    for (uint32_t i = pl->n; i-- > 0;)
        if (pl->stages[i]->kind != JVC_RESOURCE) reach_of(pl->stages[i], &r);
    free(r.arriving);
    free(r.after);
}

/* ---- strands ---- */

/* The strand whose thread runs all that s reads, and may run s too; null: s begins a strand. */
static struct jvc_strand *strand_above(const struct jvc_stage *s)
{
    if (s->threads > 1) return NULL;
    struct jvc_strand *st = s->inputs[0].up->strand;
    const struct jvc_stage *head = st->stages[0];
    if (st->parallel || (head->kind == JVC_SOURCE && !head->def->poll)) return NULL;
    for (uint32_t k = 1; k < s->n_inputs; k++)
        if (s->inputs[k].up->strand != st) return NULL;
    return st;
}

static void feed(struct jvc_strand *from, struct jvc_strand *to)
{
    for (uint32_t i = 0; i < from->n_feeds; i++)
        if (from->feeds[i] == to) return;
    from->feeds = jvc_room(from->feeds, from->n_feeds, sizeof *from->feeds);
    from->feeds[from->n_feeds++] = to;
    to->feeders++;
}

static void join_strand(struct jvc_strand *st, struct jvc_stage *s)
{
    st->stages = jvc_room(st->stages, st->n, sizeof *st->stages);
    st->stages[st->n++] = s;
    s->strand = st;
}

static void make_strands(struct jvc_pipeline *pl)
{
    pl->strands = jvc_alloc(pl->n * sizeof *pl->strands);
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        if (s->kind == JVC_RESOURCE) continue;
        struct jvc_strand *st = s->n_inputs ? strand_above(s) : NULL;
        if (!st) {
            st = &pl->strands[pl->n_strands];
            *st = (struct jvc_strand){.pl = pl, .at = pl->n_strands++, .quota = 1, .n_threads = 1};
            st->parallel = s->kind != JVC_SOURCE && s->threads > 1;
            if (st->parallel) st->n_threads = (uint32_t)s->threads;
            pthread_mutex_init(&st->lock, NULL);
            pthread_cond_init(&st->work, NULL);
            pthread_cond_init(&st->room, NULL);
        }
        join_strand(st, s);
        for (uint32_t k = 0; k < s->n_inputs; k++)
            if (s->inputs[k].up->strand != st) feed(s->inputs[k].up->strand, st);
    }
}

void jvc_pipeline_shape(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind == JVC_SOURCE) pl->stages[i]->source_at = pl->n_sources++;
    find_places(pl);
    find_reaches(pl);
    make_strands(pl);
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        for (uint32_t k = 0; s->n_ports && k < s->ports[0].n; k++)
            s->streams |= (s->ports[0].to[k]->def->flags & JV_PARTIALS) != 0;
        if (s->kind == JVC_SOURCE) s->slots = jvc_alloc(s->window * sizeof *s->slots);
    }
}
