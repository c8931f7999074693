/* report.c: the table at the end of a run, for people or as JSON. */
#include "json.h"
#include "pipeline.h"

#include <string.h>

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static long long dropped(const struct jvc_stage *s)
{
    long long n = 0;
    for (size_t i = 0; i < s->n_drops; i++) n += (long long)s->drops[i].n;
    return n;
}

static long long went_out(const struct jvc_stage *s)
{
    return atomic_load(s->kind == JVC_SINK ? &s->n_delivered : &s->n_out);
}

static int name_width(const struct jvc_pipeline *pl)
{
    int width = 5;
    for (uint32_t i = 0; i < pl->n; i++) {
        int n = (int)strlen(pl->stages[i]->sec->name);
        if (n > width) width = n;
    }
    return width < 24 ? width : 24;
}

/* The lines below a stage's row: reasons of drops, sums of counters. */
static void details(const struct jvc_stage *s, int width, double wall)
{
    for (size_t i = 0; i < s->n_drops; i++)
        fprintf(stderr, "%*s  dropped %llu: %s\n", width, "", (unsigned long long)s->drops[i].n, s->drops[i].reason);
    if (atomic_load(&s->n_cancelled)) fprintf(stderr, "%*s  cancelled %lld\n", width, "", atomic_load(&s->n_cancelled));
    if (atomic_load(&s->n_retried)) fprintf(stderr, "%*s  retried %lld\n", width, "", atomic_load(&s->n_retried));
    for (uint32_t i = 0; i < s->n_counters; i++) {
        long long n = atomic_load(&s->sums[i]);
        const jv_counter *c = JVC_COUNTER(s->desc, s->def, i);
        if (n)
            fprintf(stderr, "%*s  %s %lld %s%s, %.1f/s\n", width, "", c->name, n, c->unit, n == 1 ? "" : "s",
                (double)n / wall);
    }
}

static void table(const struct jvc_pipeline *pl, double wall)
{
    int width = name_width(pl);
    fprintf(stderr, "%-*s %9s %9s %9s %9s %9s %9s\n", width, "stage", "in", "out", "dropped", "rejected", "busy s",
        "waiting s");
    for (uint32_t i = 0; i < pl->n; i++) {
        const struct jvc_stage *s = pl->stages[i];
        if (s->kind == JVC_RESOURCE) continue;
        fprintf(stderr, "%-*s %9lld %9lld %9lld %9lld %9.3f %9.3f\n", width, s->sec->name, atomic_load(&s->n_in),
            went_out(s), dropped(s), atomic_load(&s->n_rejected), seconds(atomic_load(&s->busy_ns)),
            seconds(atomic_load(&s->wait_ns)));
        details(s, width, wall);
    }
    fprintf(stderr, "%lld from the sources in %.3f s\n", atomic_load(&pl->roots_done), wall);
}

static void json_key(const char *name, const char *before)
{
    fputs(before, stderr);
    jvc_json_string(stderr, name, strlen(name));
    fputs(": ", stderr);
}

static void json(const struct jvc_pipeline *pl, double wall)
{
    const char *comma = "";
    fprintf(stderr, "{\"records\": %lld, \"cancelled\": %lld, \"rejected\": %llu, \"seconds\": %.6f, \"stages\": {",
        atomic_load(&pl->roots_done), atomic_load(&pl->roots_cancelled), (unsigned long long)jvc_dead_count(pl), wall);
    for (uint32_t i = 0; i < pl->n; i++) {
        const struct jvc_stage *s = pl->stages[i];
        if (s->kind == JVC_RESOURCE) continue;
        json_key(s->sec->name, comma);
        comma = ", ";
        fprintf(stderr,
            "{\"in\": %lld, \"out\": %lld, \"dropped\": %lld, \"rejected\": %lld, \"cancelled\": %lld, \"retried\": "
            "%lld, \"busy_seconds\": %.6f, "
            "\"waiting_seconds\": %.6f, \"counters\": {",
            atomic_load(&s->n_in), went_out(s), dropped(s), atomic_load(&s->n_rejected), atomic_load(&s->n_cancelled),
            atomic_load(&s->n_retried), seconds(atomic_load(&s->busy_ns)), seconds(atomic_load(&s->wait_ns)));
        for (uint32_t k = 0; k < s->n_counters; k++) {
            json_key(JVC_COUNTER(s->desc, s->def, k)->name, k ? ", " : "");
            fprintf(stderr, "%lld", atomic_load(&s->sums[k]));
        }
        fputs("}, \"drops\": {", stderr);
        for (size_t k = 0; k < s->n_drops; k++) {
            json_key(s->drops[k].reason, k ? ", " : "");
            fprintf(stderr, "%llu", (unsigned long long)s->drops[k].n);
        }
        fputs("}}", stderr);
    }
    fputs("}}\n", stderr);
}

void jvc_report(const struct jvc_pipeline *pl, bool as_json)
{
    double wall = seconds(pl->ended_ns - pl->started_ns);
    if (wall <= 0) wall = 1e-9;
    if (as_json)
        json(pl, wall);
    else if (!jvc_quiet)
        table(pl, wall);
}
