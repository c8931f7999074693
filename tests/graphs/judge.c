/*
 * judge.c: compares what came of a run (the ledger, the dead letters, the host's counts, the exit status) with what the
 * oracle says must come. What a cancel or a failure may cut short may be missing; nothing may be there that must not.
 */
#include "graph.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TOLD 12

enum { FAULTY = -1, FATAL = -3, CANCELLED = -4 }; /* statuses of done: the values of jevons.h */

struct trial {
    const struct graph *g;
    const struct run *run;
    FILE *why;
    bool good;
    int told;
    struct outcome came, must;
    struct list unwanted;   /* roots whose emit was answered END: whether they went on is open */
    bool *cut[MOST_STAGES]; /* by source and root: not all of it need have come */
};

__attribute__((format(printf, 2, 3))) static void wrong(struct trial *t, const char *fmt, ...)
{
    va_list ap;
    t->good = false;
    if (++t->told > MOST_TOLD) return;
    va_start(ap, fmt);
    vfprintf(t->why, fmt, ap);
    va_end(ap);
    fputc('\n', t->why);
}

void list_add(struct list *l, int stage, const char *id, uint64_t sum, int64_t steps)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->v = realloc(l->v, l->cap * sizeof *l->v);
        if (!l->v) abort();
    }
    struct seen *s = &l->v[l->n++];
    *s = (struct seen){.stage = stage, .sum = sum, .steps = steps};
    snprintf(s->id, sizeof s->id, "%s", id);
}

void outcome_free(struct outcome *o)
{
    free(o->delivered.v);
    free(o->dead.v);
    free(o->done.v);
}

/* ---- reading what came ---- */

static void read_line(struct trial *t, const char *line)
{
    int stage, status;
    char id[40];
    uint64_t sum;
    int64_t n;
    if (sscanf(line, "S %d %39s %" SCNx64 " %" SCNd64, &stage, id, &sum, &n) == 4)
        list_add(&t->came.delivered, stage, id, sum, n);
    else if (sscanf(line, "D %d %39s %d %" SCNd64, &stage, id, &status, &n) == 4)
        list_add(&t->came.done, stage, id, (uint64_t)status, n);
    else if (sscanf(line, "B %d %39s %" SCNd64, &stage, id, &n) == 3 && stage < MOST_STAGES)
        t->came.begun[stage] = n;
    else if (sscanf(line, "E %d %39s", &stage, id) == 2)
        list_add(&t->unwanted, stage, id, 0, 0);
    else
        wrong(t, "%s", line);
}

static void read_ledger(struct trial *t)
{
    char path[300], line[300] = "";
    snprintf(path, sizeof path, "%s/ledger", t->run->dir);
    FILE *f = fopen(path, "r");
    bool end = false;
    while (f && !end && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        end = !strcmp(line, "end");
        if (!end) read_line(t, line);
    }
    if (f) fclose(f);
    if (!end) wrong(t, "the ledger is not there, or not whole");
}

/* The number behind a key of a row. */
static int64_t number_after(const char *row, const char *key)
{
    const char *at = strstr(row, key);
    return at ? strtoll(at + strlen(key), NULL, 10) : INT64_MIN;
}

/* Dead letters come in the order of their source, so `turn` never falls. */
static void read_dead(struct trial *t)
{
    char path[300], *row = NULL, id[40];
    size_t cap = 0;
    int stage;
    int64_t last[MOST_STAGES];
    for (int i = 0; i < MOST_STAGES; i++) last[i] = INT64_MIN;
    snprintf(path, sizeof path, "%s/dead.jsonl", t->run->dir);
    FILE *f = fopen(path, "r");
    while (f && getline(&row, &cap, f) > 0) {
        if (sscanf(row, "{\"id\": \"%39[^\"]\", \"stage\": \"s%d\"", id, &stage) != 2 || id[0] - 'a' >= MOST_STAGES) {
            wrong(t, "a dead letter that is none: %.200s", row);
            continue;
        }
        int64_t turn = number_after(row, "\"turn\": "), *before = &last[id[0] - 'a'];
        list_add(&t->came.dead, stage, id, (uint64_t)number_after(row, "\"digest\": "), 0);
        if (number_after(row, "salt ") != stage) wrong(t, "the error of the dead letter %s is not of s%d", id, stage);
        if (turn < *before) wrong(t, "the dead letter %s comes too late", id);
        *before = turn;
    }
    free(row);
    if (f) fclose(f);
}

/* ---- what may be missing ---- */

static bool *cut_of(struct trial *t, const char *id)
{
    int source = id[0] - 'a';
    int64_t number = strtoll(id + 1, NULL, 10);
    bool known = source >= 0 && source < t->g->n && is_source(t->g->s[source].kind) && number >= 0 &&
                 number < t->g->s[source].count;
    return known ? &t->cut[source][number] : NULL;
}

static void find_cut(struct trial *t)
{
    for (int i = 0; i < t->g->n && is_source(t->g->s[i].kind); i++) {
        t->cut[i] = calloc((size_t)t->g->s[i].count + 1, sizeof *t->cut[i]);
        if (!t->cut[i]) abort();
        for (int64_t k = 0; k < t->g->s[i].count; k++) t->cut[i][k] = t->must.failed;
    }
    for (size_t i = 0; i < t->came.done.n; i++) {
        const struct seen *d = &t->came.done.v[i];
        bool *cut = cut_of(t, d->id);
        int status = (int32_t)d->sum;
        bool chosen =
            cut && ground_chosen(ground_hash(d->id, strlen(d->id), (uint64_t)d->stage), t->g->s[d->stage].cancel);
        if (chosen && (status == CANCELLED || status == FAULTY)) *cut = true;
    }
    for (size_t i = 0; i < t->unwanted.n; i++) {
        bool *cut = cut_of(t, t->unwanted.v[i].id);
        if (cut) *cut = true;
    }
}

/* ---- comparing ---- */

static int by_place(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->stage != y->stage) return x->stage < y->stage ? -1 : 1;
    return strcmp(x->id, y->id);
}

static void tell(struct trial *t, const char *what, const char *how, const struct seen *s)
{
    wrong(t, "%s %s at s%d: %s (%" PRIx64 ", %" PRId64 " steps)", what, s->id, s->stage, how, s->sum, s->steps);
}

static bool may_miss(struct trial *t, const struct seen *s)
{
    const bool *cut = cut_of(t, s->id);
    return cut && *cut;
}

/* Two lists of a record at a stage each: the same ones, but for those that were cut short. */
static void compare(struct trial *t, const char *what, struct list *came, struct list *must)
{
    size_t i = 0, k = 0;
    if (came->n) qsort(came->v, came->n, sizeof *came->v, by_place);
    if (must->n) qsort(must->v, must->n, sizeof *must->v, by_place);
    while (i < came->n || k < must->n) {
        int order = i == came->n ? 1 : k == must->n ? -1 : by_place(&came->v[i], &must->v[k]);
        if (order < 0) {
            tell(t, what, "came and must not, or came twice", &came->v[i++]);
        } else if (order > 0) {
            if (!may_miss(t, &must->v[k])) tell(t, what, "is missing", &must->v[k]);
            k++;
        } else {
            const struct seen *x = &came->v[i++], *y = &must->v[k++];
            if (x->sum != y->sum || x->steps != y->steps) {
                tell(t, what, "is not what it must be", x);
                tell(t, what, "is what it must be", y);
            }
        }
    }
}

/* Whether what comes behind a limit depends on which records a failure cut short before it. */
static bool has_limit(const struct graph *g)
{
    for (int i = 0; i < g->n; i++)
        if (g->s[i].kind == LIMIT) return true;
    return false;
}

static bool status_fits(struct trial *t, const struct seen *came, const struct seen *must)
{
    int status = (int32_t)came->sum;
    if (came->sum == must->sum) return true;
    if (!t->must.failed) return may_miss(t, came);
    return status == FATAL || status == CANCELLED || has_limit(t->g);
}

static void compare_done(struct trial *t)
{
    struct list *came = &t->came.done, *must = &t->must.done;
    bool blamed = !t->must.failed;
    for (size_t i = 0; i < came->n && !blamed; i++)
        blamed = (int32_t)came->v[i].sum == FATAL || (int32_t)came->v[i].sum == FAULTY;
    if (!blamed) wrong(t, "a record ended the run, but none was told so");
    if (came->n) qsort(came->v, came->n, sizeof *came->v, by_place);
    if (must->n) qsort(must->v, must->n, sizeof *must->v, by_place);
    if (came->n != must->n) wrong(t, "%zu roots are done, %zu were begun", came->n, must->n);
    for (size_t i = 0; i < came->n && i < must->n; i++) {
        const struct seen *x = &came->v[i], *y = &must->v[i];
        bool right = !by_place(x, y) && status_fits(t, x, y) && (x->steps == y->steps || may_miss(t, x));
        if (right) continue;
        wrong(t, "done of %s: status %d, tally %" PRId64 "; must be %s: %d, %" PRId64, x->id, (int32_t)x->sum, x->steps,
            y->id, (int32_t)y->sum, y->steps);
    }
}

/* The host's own counts. Where records were cut short, only that they add up can be said; not of a stage that never ran:
 * where a run fails as it starts, what waits there is cancelled without having come in. A split counts its children as
 * they go out. */
static void judge_sums(struct trial *t)
{
    bool exact = !t->unwanted.n;
    for (size_t i = 0; i < t->came.done.n && exact; i++) exact = !may_miss(t, &t->came.done.v[i]);
    for (int i = 0; i < t->g->n; i++) {
        const struct sums *is = &t->run->sum[i], *must = &t->must.sum[i];
        enum kind k = t->g->s[i].kind;
        int64_t in = is_source(k) ? t->came.begun[i] : is->in;
        if (!is_split(k) && in != is->out + is->dropped + is->rejected + is->cancelled)
            wrong(t,
                "s%d: %" PRId64 " in, but %" PRId64 " out, %" PRId64 " dropped, %" PRId64 " rejected, %" PRId64
                " cancelled",
                i, in, is->out, is->dropped, is->rejected, is->cancelled);
        if (!exact || !memcmp(is, must, sizeof *is)) continue;
        wrong(t,
            "s%d counts in, out, dropped, rejected, cancelled, retried: %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
            " %" PRId64 " %" PRId64,
            i, is->in, is->out, is->dropped, is->rejected, is->cancelled, is->retried);
        wrong(t, "s%d must count %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, i, must->in,
            must->out, must->dropped, must->rejected, must->cancelled, must->retried);
    }
}

/* Whether the stage wants no more: it said so, or nobody behind it wants any. */
static bool ended(const struct trial *t, int at)
{
    const struct stage *s = &t->g->s[at];
    if (t->must.ended[at]) return true;
    if (is_sink(s->kind)) return false;
    for (int p = 0; p <= MOST_PORTS; p++)
        for (int i = 0; i < s->port[p].n; i++)
            if (!ended(t, s->port[p].to[i])) return false;
    return true;
}

/* Each source made all its records, unless nobody wanted them or the run failed. */
static void judge_sources(struct trial *t)
{
    for (int i = 0; i < t->g->n && is_source(t->g->s[i].kind); i++)
        if (t->came.begun[i] != t->g->s[i].count && !ended(t, i) && !t->must.failed)
            wrong(t, "s%d began %" PRId64 " records of %" PRId64, i, t->came.begun[i], t->g->s[i].count);
}

/* A signal is needed where a source has no end of its own; it may come while another one is about to end. */
static void judge_status(struct trial *t)
{
    int must = t->must.failed ? 1 : t->came.dead.n ? 3 : 0;
    bool springs = false, wells = false;
    for (int i = 0; i < t->g->n && is_source(t->g->s[i].kind); i++) {
        springs |= t->g->s[i].kind == SPRING;
        wells |= t->g->s[i].kind != SPRING;
    }
    if (springs && wells && t->run->status == 1) return;
    if (t->run->status != must) wrong(t, "exit status %d, must be %d", t->run->status, must);
}

bool judge(const struct graph *g, const struct run *run, FILE *why)
{
    struct trial t = {.g = g, .run = run, .why = why, .good = true};
    read_ledger(&t);
    read_dead(&t);
    memcpy(t.must.begun, t.came.begun, sizeof t.must.begun);
    oracle(g, &t.must);
    find_cut(&t);
    judge_sources(&t);
    judge_status(&t);
    if (run->in_flight) wrong(&t, "%" PRId64 " places in windows were not given back", run->in_flight);
    judge_sums(&t);
    compare_done(&t);
    compare(&t, "the record", &t.came.delivered, &t.must.delivered);
    compare(&t, "the dead letter", &t.came.dead, &t.must.dead);
    outcome_free(&t.came);
    outcome_free(&t.must);
    free(t.unwanted.v);
    for (int i = 0; i < MOST_STAGES; i++) free(t.cut[i]);
    return t.good;
}
