/* text.c: a graph as an INI file. */
#include "graph.h"

const char *const kind_names[N_KINDS] = {"well", "wells", "spring", "step", "queue", "route", "split", "scatter",
    "deal", "merge", "gather", "stream", "relay", "limit", "sink", "log", "watch", "peek"};

static bool has_map(enum kind k)
{
    return k == WELLS || k == ROUTE || k == SCATTER || k == DEAL;
}

/* An option, unless it is what the host takes anyhow. */
static void option(FILE *f, const char *name, int64_t value, int64_t otherwise)
{
    if (value != otherwise) fprintf(f, "%s = %lld\n", name, (long long)value);
}

static void write_from(const struct graph *g, FILE *f, int i)
{
    const struct stage *s = &g->s[i];
    bool first_above = s->n_from == 1 && s->from[0] == i - 1 && !s->from_port[0];
    if (first_above && s->implicit && !g->upside_down) return;
    for (int k = 0; k < s->n_from; k++) {
        int port = s->from_port[k];
        fprintf(f, "%s s%d", k ? "," : "from =", s->from[k]);
        if (port == REJECTED)
            fputs(".rejected", f);
        else if (has_map(g->s[s->from[k]].kind) && (port || i % 2))
            fprintf(f, ".%c", 'a' + port);
        else if (!port && i % 2)
            fputs(".out", f);
    }
    fputc('\n', f);
}

static void write_source(FILE *f, const struct stage *s)
{
    static const char *const priorities[] = {"", "live", "batch"};
    option(f, "count", s->count, 10);
    option(f, "bytes", s->ballast, 8);
    option(f, "bad", s->odds.bad, 0);
    option(f, "slow", s->slow, 0);
    option(f, "cancel", s->cancel, 0);
    option(f, "lag", s->lag, 0);
    option(f, "in_flight", s->in_flight, 4096);
    if (s->kind == SPRING) option(f, "hands", s->hands, 1);
    if (s->kind != SPRING) option(f, "batch", s->batch, 1);
    if (s->backwards) fputs("backwards = yes\n", f);
    if (s->mixed) fputs("mixed = yes\n", f);
    if (s->priority) fprintf(f, "priority = %s\n", priorities[s->priority]);
}

static void write_other(FILE *f, const struct stage *s)
{
    option(f, "drop", s->odds.drop, 0);
    option(f, "bad", s->odds.bad, 0);
    option(f, "retry", s->odds.retry, 0);
    option(f, "tries", s->tries, 1);
    option(f, "never", s->odds.never, 0);
    option(f, "fatal", s->odds.fatal, 0);
    option(f, "slow", s->slow, 0);
    option(f, "stats", s->stats, 0);
    option(f, "threads", s->threads, 1);
    option(f, "most", s->threads, 1);
    if (is_split(s->kind)) option(f, "children", s->children, 3);
    if (s->kind == STREAM) option(f, "pieces", s->pieces, 3);
    if (s->kind == LIMIT) option(f, "limit", s->limit, 5);
    if (s->of >= 0) fprintf(f, "of = s%d\n", s->of);
    if (s->stop_on_error) fputs("on_error = stop\n", f);
}

static void write_stage(const struct graph *g, FILE *f, int i)
{
    const struct stage *s = &g->s[i];
    fprintf(f, "\n[s%d]\nplugin = ground/%s\nledger = ledger\nsalt = %d\n", i, kind_names[s->kind], i);
    if (is_source(s->kind)) {
        fprintf(f, "letter = %c\n", 'a' + i);
        write_source(f, s);
    } else {
        write_from(g, f, i);
        write_other(f, s);
    }
    for (int p = 0; has_map(s->kind) && p < s->n_ports; p++) fprintf(f, "to.%c = %d\n", 'a' + p, p);
}

/* Sources whose records end only with a signal wait for all sources. */
static int n_to_finish(const struct graph *g)
{
    bool springs = false;
    int n = 0;
    for (; n < g->n && is_source(g->s[n].kind); n++) springs |= g->s[n].kind == SPRING;
    return springs ? n : 0;
}

void write_ini(const struct graph *g, FILE *f, const char *plugins)
{
    fprintf(f, "# seed %llu\n[pipeline]\nplugin_path = %s\ndead_letter = dead.jsonl\n", (unsigned long long)g->seed,
        plugins);
    option(f, "retries", g->retries, 3);
    fprintf(f, "retry_after = %lldms\n", (long long)g->retry_after_ms);
    option(f, "memory", g->memory, 0);
    if (g->stop_on_error) fputs("on_error = stop\n", f);
    fputs("\n[ledger]\nplugin = ground/ledger\nfile = ledger\n", f);
    option(f, "springs", n_to_finish(g), 0);
    for (int i = 0; i < g->n; i++) write_stage(g, f, g->upside_down ? g->n - 1 - i : i);
}
