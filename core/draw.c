/* draw.c: see draw.h. */
#include "draw.h"
#include "inspect.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

/* How a language writes a node (threads: a text, may be empty) and an edge (the label may be empty). */
struct language {
    void (*node)(const struct jvc_stage *s, const char *plugin, const char *threads);
    void (*edge)(const struct jvc_stage *from, const struct jvc_stage *to, const char *label, bool dashed);
};

/* All stages and resources, in the order of opening, then what each reads and refers to. */
static void draw(const struct jvc_pipeline *pl, const struct language *l)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        const struct jvc_stage *s = pl->stages[i];
        char *name = jvc_stage_name(s->desc, s->def), threads[40] = "";
        if (s->def->process && s->threads > 1) snprintf(threads, sizeof threads, "%lld threads", (long long)s->threads);
        l->node(s, name, threads);
        free(name);
    }
    for (uint32_t i = 0; i < pl->n; i++) {
        const struct jvc_stage *s = pl->stages[i];
        for (uint32_t k = 0; k < s->n_inputs; k++) {
            const struct jvc_stage *up = s->inputs[k].up;
            uint32_t port = s->inputs[k].port;
            l->edge(up, s, up->n_ports != 1 || port ? up->ports[port].name : "", false);
        }
        for (uint32_t k = 0; k < s->n_refs; k++) l->edge(s, s->refs[k], "", true);
    }
}

/* ---- Graphviz ---- */

static void dot_text(const char *s)
{
    for (; *s; s++) {
        if (strchr("\"\\", *s)) putchar('\\');
        putchar(*s == '\n' ? ' ' : *s);
    }
}

static void dot_node(const struct jvc_stage *s, const char *plugin, const char *threads)
{
    static const char *const shapes[] =
        {[JVC_SOURCE] = "ellipse", [JVC_FILTER] = "box", [JVC_SINK] = "ellipse", [JVC_RESOURCE] = "box, style=dashed"};
    printf("    \"");
    dot_text(s->sec->name);
    printf("\" [shape=%s, label=\"", shapes[s->kind]);
    dot_text(s->sec->name);
    printf("\\n");
    dot_text(plugin);
    printf("%s%s\"];\n", *threads ? "\\n" : "", threads);
}

static void dot_edge(const struct jvc_stage *from, const struct jvc_stage *to, const char *label, bool dashed)
{
    printf("    \"");
    dot_text(from->sec->name);
    printf("\" -> \"");
    dot_text(to->sec->name);
    printf("\"%s", dashed ? " [style=dashed, arrowhead=open]" : "");
    if (*label) {
        printf(" [label=\"");
        dot_text(label);
        printf("\"]");
    }
    printf(";\n");
}

void jvc_draw_dot(const struct jvc_pipeline *pl)
{
    printf("digraph \"");
    dot_text(pl->name);
    printf("\" {\n    rankdir=LR;\n");
    draw(pl, &(struct language){dot_node, dot_edge});
    printf("}\n");
}

/* ---- Mermaid: a node has an id, since words like `end` are not free for names ---- */

static void mermaid_text(const char *s)
{
    for (; *s; s++) {
        if (strchr("\"#<>&`\\", *s))
            printf("#%d;", *s);
        else
            putchar(*s == '\n' ? ' ' : *s);
    }
}

static void mermaid_node(const struct jvc_stage *s, const char *plugin, const char *threads)
{
    bool end = s->kind == JVC_SOURCE || s->kind == JVC_SINK;
    printf("    s%u%s\"", s->at, end ? "([" : "[");
    mermaid_text(s->sec->name);
    printf("<br/>");
    mermaid_text(plugin);
    printf("%s%s\"%s\n", *threads ? "<br/>" : "", threads, end ? "])" : "]");
    if (s->kind == JVC_RESOURCE) printf("    style s%u stroke-dasharray: 5 5\n", s->at);
}

static void mermaid_edge(const struct jvc_stage *from, const struct jvc_stage *to, const char *label, bool dashed)
{
    printf("    s%u %s", from->at, dashed ? "-.->" : "-->");
    if (*label) {
        printf("|\"");
        mermaid_text(label);
        printf("\"|");
    }
    printf(" s%u\n", to->at);
}

void jvc_draw_mermaid(const struct jvc_pipeline *pl)
{
    printf("flowchart LR\n    %%%% ");
    mermaid_text(pl->name);
    putchar('\n');
    draw(pl, &(struct language){mermaid_node, mermaid_edge});
}
