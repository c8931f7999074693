/* inspect_md.c: plugins as Markdown: plugins/README.md is what this prints of the plugins in the tree. */
#include "inspect.h"
#include "option.h"
#include "pipeline.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A text within a cell of a table: a bar would end the cell, a line break the row. */
static void cell(const char *s)
{
    for (; *s; s++) {
        if (*s == '|') putchar('\\');
        putchar(*s == '\n' ? ' ' : *s);
    }
}

/* The same as code; a text that holds a backquote goes between two of them. */
static void code(const char *s)
{
    bool within = strchr(s, '`');
    fputs(within ? "`` " : "`", stdout);
    cell(s);
    fputs(within ? " ``" : "`", stdout);
}

/* The name under which a heading can be linked to: small letters and digits, blanks as hyphens, nothing else. */
static void anchor(const char *s)
{
    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-_", *s)) putchar(tolower((unsigned char)*s));
    }
}

static void print_overview(const struct jvc_shown *shown, size_t n)
{
    printf("| plugin | kind | what it does |\n|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        char *name = jvc_stage_name(shown[i].p->desc, shown[i].s);
        printf("| [%s](#", name);
        anchor(name);
        printf(") | %s | ", jvc_kind_name(shown[i].s));
        cell(shown[i].s->brief);
        printf(" |\n");
        free(name);
    }
}

static void print_options(const jv_plugin *d, const jv_stage *s)
{
    char what[160];
    if (JVC_OPT(d, s, 0)) printf("\n| option | type | default | |\n|---|---|---|---|\n");
    for (uint32_t i = 0; JVC_OPT(d, s, i); i++) {
        const jv_opt *o = JVC_OPT(d, s, i);
        jvc_option_describe(o, what, sizeof what);
        printf("| `%s` | ", o->name);
        cell(what);
        printf(" | ");
        if (!o->def)
            printf("required");
        else if (*o->def)
            code(o->def);
        else
            printf("empty");
        printf(" | ");
        cell(o->help);
        printf("%s%s |\n", o->flags & JV_PER_RECORD ? "; **per record**" : "",
            o->flags & JV_NEUTRAL ? "; **neutral**" : "");
    }
}

static void print_fields(const jv_plugin *d, const jv_stage *s)
{
    if (JVC_FIELD(d, s, 0)) printf("\n| key | field | type | |\n|---|---|---|---|\n");
    for (uint32_t i = 0; JVC_FIELD(d, s, i); i++) {
        const jv_field *f = JVC_FIELD(d, s, i);
        printf("| `%s` | %s `%s` | %s | ", f->name, f->access & JV_IN ? "reads" : "sets", f->field,
            jvc_type_name(f->type));
        cell(f->help);
        printf("%s%s |\n", f->access & JV_OPTIONAL ? "; may be missing" : "",
            f->access & JV_MEASURED ? "; **measured**" : "");
    }
}

static void print_port(const jv_port *port)
{
    printf("| `%s` | ", port->name);
    cell(port->help);
    printf("%s |\n", port->flags & JV_OPTIONAL ? "; need not be read" : "");
}

static void print_ports(const jv_plugin *d, const jv_stage *s)
{
    if (!jvc_rejected_port(s)) return;
    printf("\n| port | |\n|---|---|\n");
    for (uint32_t i = 0; JVC_PORT(d, s, i); i++) print_port(JVC_PORT(d, s, i));
    print_port(jvc_rejected_port(s));
}

static void print_counters(const jv_plugin *d, const jv_stage *s)
{
    if (JVC_COUNTER(d, s, 0)) printf("\n| counter | unit | |\n|---|---|---|\n");
    for (uint32_t i = 0; JVC_COUNTER(d, s, i); i++) {
        const jv_counter *c = JVC_COUNTER(d, s, i);
        printf("| `%s` | %s | ", c->name, c->unit);
        cell(c->help);
        printf("%s |\n", c->flags & JV_MEASURED ? "; **measured**" : "");
    }
}

static void print_services(const jv_plugin *d, const jv_stage *s)
{
    for (uint32_t i = 0; JVC_SERVICE(d, s, i); i++) printf(i ? ", `%s`" : "\nOffers `%s`", JVC_SERVICE(d, s, i)->id);
    if (JVC_SERVICE(d, s, 0)) printf(".\n");
}

static void print_stage(const struct jvc_shown *x)
{
    char *name = jvc_stage_name(x->p->desc, x->s), *traits = jvc_shown_traits(x->s);
    printf("\n## %s\n\nA %s: %s%s%s.\n\n", name, jvc_kind_name(x->s), x->s->brief, *traits ? "; " : "", traits);
    jvc_print_example(x, "    ");
    print_options(x->p->desc, x->s);
    print_fields(x->p->desc, x->s);
    print_ports(x->p->desc, x->s);
    print_counters(x->p->desc, x->s);
    print_services(x->p->desc, x->s);
    free(name);
    free(traits);
}

void jvc_print_markdown(const struct jvc_shown *shown, size_t n)
{
    printf(
        "# Plugins\n\n"
        "Printed by `jevons inspect --all --md` from the tables that the plugins bring; what a table cannot say "
        "stands in the\nREADME of each plugin's folder. A field's key renames the field: `in = question`. An option "
        "marked **per record** may\nstand in a record's field `params`; on a **neutral** one no result depends; what "
        "is **measured** depends on time or load,\nso it differs from run to run. The sections of the examples hold "
        "what is required.\n\n");
    print_overview(shown, n);
    for (size_t i = 0; i < n; i++) print_stage(&shown[i]);
}
