/* inspect_json.c: plugins for machines: one JSON document with all that stands in their tables. */
#include "inspect.h"
#include "json.h"
#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

/* A text of a plugin's table. Where it is not UTF-8, for which JSON has no place, every such byte becomes a `?`. */
static void string(const char *s)
{
    size_t n = strlen(s), bad;
    char *text = jvc_strndup(s, n);
    while (!jvc_utf8_valid(text, n, &bad)) text[bad] = '?';
    jvc_json_string(stdout, text, n);
    free(text);
}

/* `, "name": "value"`, or null. */
static void member(const char *comma, const char *name, const char *value)
{
    printf("%s\"%s\": ", comma, name);
    if (value)
        string(value);
    else
        fputs("null", stdout);
}

static void flag(const char *name, bool on)
{
    printf(", \"%s\": %s", name, on ? "true" : "false");
}

static void print_options(const jv_plugin *d, const jv_stage *s)
{
    static const char *const types[] = {"none", "i64", "f64", "text", "choice", "list", "ref", "map"};
    fputs(", \"options\": [", stdout);
    for (uint32_t i = 0; JVC_OPT(d, s, i); i++) {
        const jv_opt *o = JVC_OPT(d, s, i);
        member(i ? ", {" : "{", "name", o->name);
        member(", ", "type", types[o->type]); /* checked when the file was loaded */
        flag("required", !o->def);
        member(", ", "default", o->def);
        member(", ", "range", o->range);
        flag("per_record", o->flags & JV_PER_RECORD);
        flag("neutral", o->flags & JV_NEUTRAL);
        member(", ", "help", o->help);
        putchar('}');
    }
    putchar(']');
}

static void print_fields(const jv_plugin *d, const jv_stage *s)
{
    fputs(", \"fields\": [", stdout);
    for (uint32_t i = 0; JVC_FIELD(d, s, i); i++) {
        const jv_field *f = JVC_FIELD(d, s, i);
        member(i ? ", {" : "{", "name", f->name);
        member(", ", "access", f->access & JV_IN ? "in" : "out");
        member(", ", "type", jvc_type_name(f->type));
        member(", ", "field", f->field);
        flag("optional", f->access & JV_OPTIONAL);
        flag("measured", f->access & JV_MEASURED);
        member(", ", "help", f->help);
        putchar('}');
    }
    putchar(']');
}

static void print_port(const char *comma, const jv_port *port, bool implicit)
{
    printf("%s{", comma);
    member("", "name", port->name);
    flag("optional", port->flags & JV_OPTIONAL);
    flag("implicit", implicit);
    member(", ", "help", port->help);
    putchar('}');
}

static void print_ports(const jv_plugin *d, const jv_stage *s)
{
    uint32_t n = 0;
    fputs(", \"ports\": [", stdout);
    for (; JVC_PORT(d, s, n); n++) print_port(n ? ", " : "", JVC_PORT(d, s, n), false);
    if (jvc_rejected_port(s)) print_port(n ? ", " : "", jvc_rejected_port(s), true);
    putchar(']');
}

static void print_counters(const jv_plugin *d, const jv_stage *s)
{
    fputs(", \"counters\": [", stdout);
    for (uint32_t i = 0; JVC_COUNTER(d, s, i); i++) {
        const jv_counter *c = JVC_COUNTER(d, s, i);
        member(i ? ", {" : "{", "name", c->name);
        member(", ", "unit", c->unit);
        flag("measured", c->flags & JV_MEASURED);
        member(", ", "help", c->help);
        putchar('}');
    }
    putchar(']');
}

static void print_services(const jv_plugin *d, const jv_stage *s)
{
    fputs(", \"services\": [", stdout);
    for (uint32_t i = 0; JVC_SERVICE(d, s, i); i++) {
        if (i) fputs(", ", stdout);
        string(JVC_SERVICE(d, s, i)->id);
    }
    putchar(']');
}

static void print_flags(const jv_stage *s)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } flags[] = {{JV_PARALLEL, "parallel"}, {JV_ORDERED, "ordered"}, {JV_PARTIALS, "partials"}, {JV_SPLIT, "split"},
        {JV_ENDLESS, "endless"}, {JV_MERGE, "merge"}, {JV_RESULT, "result"}, {JV_TERMINAL, "terminal"}};
    const char *comma = "";
    fputs(", \"flags\": [", stdout);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (!(s->flags & flags[i].flag)) continue;
        printf("%s\"%s\"", comma, flags[i].name);
        comma = ", ";
    }
    putchar(']');
    if (s->threads == JV_PER_CORE)
        fputs(", \"threads\": \"per core\"", stdout);
    else
        printf(", \"threads\": %u", s->threads ? s->threads : 1);
}

/* What the list has too. */
static void print_head(const struct jvc_shown *x)
{
    char *name = jvc_stage_name(x->p->desc, x->s);
    member("{", "plugin", name);
    member(", ", "kind", jvc_kind_name(x->s));
    member(", ", "brief", x->s->brief);
    member(", ", "version", x->p->desc->version);
    member(", ", "license", x->p->desc->license);
    member(", ", "path", x->p->path);
    free(name);
}

void jvc_print_json(const struct jvc_shown *shown, size_t n)
{
    printf("{\"jevons\": \"%s\", \"abi\": [%d, %d], \"stages\": [", JVC_VERSION, JV_ABI_MAJOR, JV_ABI_MINOR);
    for (size_t i = 0; i < n; i++) {
        const jv_plugin *d = shown[i].p->desc;
        const jv_stage *s = shown[i].s;
        fputs(i ? ",\n" : "\n", stdout);
        print_head(&shown[i]);
        print_flags(s);
        print_options(d, s);
        print_fields(d, s);
        print_ports(d, s);
        print_counters(d, s);
        print_services(d, s);
        putchar('}');
    }
    fputs("\n]}\n", stdout);
}

void jvc_print_json_list(const struct jvc_shown *shown, size_t n)
{
    putchar('[');
    for (size_t i = 0; i < n; i++) {
        fputs(i ? ",\n " : "", stdout);
        print_head(&shown[i]);
        putchar('}');
    }
    fputs("]\n", stdout);
}
