/* report.c: the table at the end of a run, for people or as JSON. */
#include "json.h"
#include "pipeline.h"

#include <string.h>

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

long long jvc_flow_sum(const struct jvc_stage *s, size_t member)
{
    long long n = 0;
    for (int lane = 0; lane < JVC_LANES; lane++)
        n += atomic_load((const atomic_llong *)(const void *)((const char *)&s->flow[lane] + member));
    return n;
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
    long long live =
        atomic_load(&s->flow[JVC_LIVE].in) + (s->kind == JVC_SOURCE ? atomic_load(&s->flow[JVC_LIVE].out) : 0);
    if (live) fprintf(stderr, "%*s  live %lld\n", width, "", live);
    if (JVC_SUM(s, cancelled)) fprintf(stderr, "%*s  cancelled %lld\n", width, "", JVC_SUM(s, cancelled));
    if (JVC_SUM(s, retried)) fprintf(stderr, "%*s  retried %lld\n", width, "", JVC_SUM(s, retried));
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
        fprintf(stderr, "%-*s %9lld %9lld %9lld %9lld %9.3f %9.3f\n", width, s->sec->name, JVC_SUM(s, in),
            JVC_SUM(s, out), JVC_SUM(s, dropped), JVC_SUM(s, rejected), seconds(atomic_load(&s->busy_ns)),
            seconds(atomic_load(&s->wait_ns)));
        details(s, width, wall);
    }
    fprintf(stderr, "%lld from the sources in %.3f s\n", atomic_load(&pl->roots_done), wall);
}

static void json_key(FILE *f, const char *name, const char *before)
{
    fputs(before, f);
    jvc_json_string(f, name, strlen(name));
    fputs(": ", f);
}

static const char *kind_name(const struct jvc_stage *s)
{
    static const char *const names[] = {"source", "filter", "sink", "resource"};
    return names[s->kind];
}

static void json_flow(FILE *f, const struct jvc_flow *w)
{
    fprintf(f,
        "\"in\": %lld, \"out\": %lld, \"dropped\": %lld, \"rejected\": %lld, \"cancelled\": %lld, \"retried\": %lld",
        atomic_load(&w->in), atomic_load(&w->out), atomic_load(&w->dropped), atomic_load(&w->rejected),
        atomic_load(&w->cancelled), atomic_load(&w->retried));
}

static void json_sums(FILE *f, const struct jvc_stage *s)
{
    struct jvc_flow sum = {JVC_SUM(s, in), JVC_SUM(s, out), JVC_SUM(s, dropped), JVC_SUM(s, rejected),
        JVC_SUM(s, cancelled), JVC_SUM(s, retried)};
    json_flow(f, &sum);
    fputs(", \"live\": {", f);
    json_flow(f, &s->flow[JVC_LIVE]);
    fprintf(f, "}, \"busy_seconds\": %.6f, \"waiting_seconds\": %.6f, \"counters\": {",
        seconds(atomic_load(&s->busy_ns)), seconds(atomic_load(&s->wait_ns)));
    for (uint32_t k = 0; k < s->n_counters; k++) {
        json_key(f, JVC_COUNTER(s->desc, s->def, k)->name, k ? ", " : "");
        fprintf(f, "%lld", atomic_load(&s->sums[k]));
    }
    fputs("}", f);
}

/* Under the stage's lock: reasons come while the pipeline runs. */
static void json_drops(FILE *f, struct jvc_stage *s)
{
    fputs(", \"drops\": {", f);
    pthread_mutex_lock(&s->lock);
    for (size_t k = 0; k < s->n_drops; k++) {
        json_key(f, s->drops[k].reason, k ? ", " : "");
        fprintf(f, "%llu", (unsigned long long)s->drops[k].n);
    }
    pthread_mutex_unlock(&s->lock);
    fputc('}', f);
}

static void json_graph(FILE *f, const struct jvc_stage *s)
{
    fputs(", \"plugin\": ", f);
    jvc_json_string(f, s->desc->name, strlen(s->desc->name));
    fputs(", \"stage\": ", f);
    jvc_json_string(f, s->def->name, strlen(s->def->name));
    fprintf(f, ", \"kind\": \"%s\", \"threads\": %lld, \"from\": [", kind_name(s), (long long)s->threads);
    for (uint32_t i = 0; i < s->n_inputs; i++) {
        const struct jvc_stage *up = s->inputs[i].up;
        char from[300];
        snprintf(from, sizeof from, "%s.%s", up->sec->name, up->ports[s->inputs[i].port].name);
        fputs(i ? ", " : "", f);
        jvc_json_string(f, from, strlen(from));
    }
    fputs("], \"refers_to\": [", f);
    for (uint32_t i = 0; i < s->n_refs; i++) {
        fputs(i ? ", " : "", f);
        jvc_json_string(f, s->refs[i]->sec->name, strlen(s->refs[i]->sec->name));
    }
    fputc(']', f);
    if (s->strand && s->strand->stages[0] == s && s->n_inputs)
        fprintf(f, ", \"queued\": %zu", atomic_load(&s->strand->waiting));
    if (s->kind == JVC_SOURCE) fprintf(f, ", \"in_flight\": %u, \"window\": %u", atomic_load(&s->in_flight), s->window);
}

/* graph: with who reads whom, and resources. */
static void json_stages(const struct jvc_pipeline *pl, FILE *f, bool graph)
{
    const char *comma = "";
    fputs("\"stages\": {", f);
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        if (s->kind == JVC_RESOURCE && !graph) continue;
        json_key(f, s->sec->name, comma);
        comma = ", ";
        fputc('{', f);
        json_sums(f, s);
        json_drops(f, s);
        if (graph) json_graph(f, s);
        fputc('}', f);
    }
    fputs("}}\n", f);
}

static void json_head(const struct jvc_pipeline *pl, FILE *f, double wall)
{
    fprintf(f, "\"records\": %lld, \"cancelled\": %lld, \"rejected\": %llu, \"seconds\": %.6f, ",
        atomic_load(&pl->roots_done), atomic_load(&pl->roots_cancelled), (unsigned long long)jvc_dead_count(pl), wall);
}

void jvc_stats_write(const struct jvc_pipeline *pl, FILE *f)
{
    json_key(f, "name", "{");
    jvc_json_string(f, pl->name, strlen(pl->name));
    fprintf(f, ", \"bytes\": %lld, \"memory\": %lld, ", atomic_load(&pl->bytes), (long long)pl->memory);
    json_head(pl, f, pl->started_ns ? seconds(jvc_now() - pl->started_ns) : 0);
    json_stages(pl, f, true);
}

void jvc_report(const struct jvc_pipeline *pl, bool as_json)
{
    double wall = seconds(pl->ended_ns - pl->started_ns);
    if (wall <= 0) wall = 1e-9;
    if (as_json) {
        fputc('{', stderr);
        json_head(pl, stderr, wall);
        json_stages(pl, stderr, false);
    } else if (!jvc_quiet) {
        table(pl, wall);
    }
}
