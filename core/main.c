/* main.c: the command. */
#include "draw.h"
#include "inspect.h"
#include "new.h"
#include "pipeline.h"
#include "progress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What stands behind the command: words, and the options among them. */
struct words {
    char **v;
    int n;
    uint32_t options;
};

/* The options; each command says which ones it takes. */
#define QUIET 1u
#define JSON 2u
#define ALL 4u
#define MD 8u
#define MERMAID 16u
#define HELP 32u /* every command */

struct command;
static void print_usage(FILE *f, const struct command *only); /* null: of all */

JV_PRINTF(1, 2) static int wrong_usage(const char *fmt, ...)
{
    va_list ap;
    char what[256];
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    jvc_say("%s", what);
    print_usage(stderr, NULL);
    return 2;
}

/* ---- pipelines ---- */

static bool open_pipeline(struct jvc_pipeline *pl, const struct words *w)
{
    bool ok = jvc_pipeline_open(pl, w->v[0], w->v + 1, (size_t)w->n - 1);
    if (!ok) jvc_problems_print(&pl->conf);
    return ok;
}

static int run(const struct words *w)
{
    struct jvc_pipeline pl;
    int status = 2;
    jvc_quiet = (w->options & QUIET) != 0;
    if (open_pipeline(&pl, w)) {
        if (!(w->options & (QUIET | JSON))) jvc_progress_begin(&pl);
        status = jvc_pipeline_run(&pl);
        jvc_progress_end();
        jvc_report(&pl, w->options & JSON);
    }
    jvc_pipeline_close(&pl);
    return status;
}

/* A stage, and those that read it below, a branch a line; one with several inputs stands below the first of them. */
static void print_chain(const struct jvc_stage *s, int depth)
{
    char *plugin = jvc_stage_name(s->desc, s->def);
    printf("%*s%s (%s)", depth * 2, "", s->sec->name, plugin);
    free(plugin);
    if (s->def->process && s->threads > 1) printf(", %lld threads", (long long)s->threads);
    if (s->streams && s->kind == JVC_FILTER) printf(", streams");
    for (uint32_t i = 0; i < s->n_inputs; i++) {
        const struct jvc_stage *up = s->inputs[i].up;
        uint32_t port = s->inputs[i].port;
        if (i || port || !up->n_ports) printf(", reads %s", up->ports[port].from);
    }
    putchar('\n');
    for (uint32_t p = 0; p <= s->n_ports; p++) /* `rejected` stands behind the last */
        for (uint32_t i = 0; i < s->ports[p].n; i++) {
            const struct jvc_stage *reader = s->ports[p].to[i];
            if (reader->inputs[0].up == s && reader->inputs[0].port == p) print_chain(reader, depth + 1);
        }
}

static int check(const struct words *w)
{
    struct jvc_pipeline pl;
    bool ok = open_pipeline(&pl, w);
    for (uint32_t i = 0; ok && i < pl.n; i++)
        if (pl.stages[i]->kind == JVC_SOURCE) print_chain(pl.stages[i], 0);
    if (ok) printf("%s: no problems\n", w->v[0]);
    jvc_pipeline_close(&pl);
    return ok ? 0 : 2;
}

static int graph(const struct words *w)
{
    struct jvc_pipeline pl;
    bool ok = open_pipeline(&pl, w);
    if (ok) (w->options & MERMAID ? jvc_draw_mermaid : jvc_draw_dot)(&pl);
    jvc_pipeline_close(&pl);
    return ok ? 0 : 2;
}

/* ---- plugins ---- */

static int plugins(const struct words *w)
{
    return jvc_inspect_list(w->n ? w->v[0] : NULL, w->options & JSON);
}

static int inspect(const struct words *w)
{
    enum jvc_form form = w->options & JSON ? JVC_AS_JSON : w->options & MD ? JVC_AS_MARKDOWN : JVC_FOR_PEOPLE;
    if ((w->options & JSON) && (w->options & MD)) return wrong_usage("inspect: either --json or --md");
    if (w->options & ALL) return jvc_inspect_every(w->n ? w->v[0] : NULL, form);
    if (!w->n) return wrong_usage("inspect: which plugin?");
    return jvc_inspect_one(w->v[0], form);
}

static int new (const struct words *w)
{
    return jvc_new(w->v[0], w->n > 1 ? w->v[1] : NULL);
}

/* ---- the rest ---- */

static int help(const struct words *w)
{
    print_usage(stdout, NULL);
    return 0;
}

static int version(const struct words *w)
{
    printf("jevons %s, ABI %d.%d\n", JVC_VERSION, JV_ABI_MAJOR, JV_ABI_MINOR);
    return 0;
}

#define ANY 0x7fffffff
static const struct command {
    const char *name, *takes, *help;
    int (*call)(const struct words *w);
    uint32_t options;
    int least, most; /* words */
    const char *missing;
} commands[] = {
    {"run", "FILE.ini [section.key=value ...]", "run a pipeline; what is given here wins over the file", run,
        QUIET | JSON, 1, ANY, "which file?"},
    {"check", "FILE.ini [section.key=value ...]", "open everything, start nothing, tell every problem", check, 0, 1,
        ANY, "which file?"},
    {"graph", "FILE.ini [section.key=value ...]", "the pipeline as a graph in the language of Graphviz", graph, MERMAID,
        1, ANY, "which file?"},
    {"plugins", "[FOLDER]", "the plugins found, those of a folder of yours first", plugins, JSON, 0, 1, ""},
    {"inspect", "PLUGIN", "its stages, options, fields and counters; also jv_PLUGIN.so by path", inspect,
        JSON | ALL | MD, 0, 1, ""},
    {"new", "NAME [DIR]", "a plugin of your own to begin with: source, build file, test", new, 0, 1, 2,
        "what is it to be called?"},
    {"help", "", "this text", help, 0, 0, 0, ""},
    {"version", "", "of the program, and of its interface for plugins", version, 0, 0, 0, ""},
};

static const struct {
    const char *name;
    uint32_t bit;
    const char *help;
} options[] = {
    {"--quiet", QUIET, "run: nothing on stderr but warnings and errors"},
    {"--json", JSON, "run: the table at the end as one JSON object; plugins, inspect: one JSON document"},
    {"--mermaid", MERMAID, "graph: in the language of Mermaid"},
    {"--all", ALL, "inspect: all plugins, or all those in the folder named instead of one"},
    {"--md", MD, "inspect: as Markdown"},
    {"--help", HELP, "any command: what it takes"},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void print_usage(FILE *f, const struct command *only)
{
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (only && only != &commands[i]) continue;
        char *form = jvc_format("%s %s", commands[i].name, commands[i].takes);
        fprintf(f, "%-6s jevons %-39s %s\n", i && !only ? "" : "usage:", form, commands[i].help);
        free(form);
    }
    fputs("options, anywhere behind the command:\n", f);
    for (size_t i = 0; i < COUNT(options); i++)
        if (!only || (only->options | HELP) & options[i].bit)
            fprintf(f, "       %-10s %s\n", options[i].name, options[i].help);
    fputs(
        "exit status: 0 all delivered; 1 failed or cut short; 2 the file or the command line is wrong; 3 some records "
        "rejected\n",
        f);
}

/* Takes the options out from among the words. False: one of them is none, or not this command's. */
static bool take_options(const struct command *c, struct words *w)
{
    int kept = 0;
    for (int i = 0; i < w->n; i++) {
        size_t o = 0;
        if (strncmp(w->v[i], "--", 2)) {
            w->v[kept++] = w->v[i];
            continue;
        }
        while (o < COUNT(options) && strcmp(options[o].name, w->v[i])) o++;
        if (o == COUNT(options) || !(options[o].bit & (c->options | HELP))) {
            wrong_usage("%s takes no option %s", c->name, w->v[i]);
            return false;
        }
        w->options |= options[o].bit;
    }
    w->n = kept;
    return true;
}

static int command(int argc, char **argv)
{
    const char *what = argc < 2 ? "" : argv[1];
    if (!*what) return wrong_usage("what is to be done?");
    if (!strcmp(what, "-h") || !strcmp(what, "--help")) what = "help";
    if (!strcmp(what, "--version")) what = "version";
    for (size_t i = 0; i < COUNT(commands); i++) {
        const struct command *c = &commands[i];
        struct words w = {argv + 2, argc - 2, 0};
        if (strcmp(c->name, what)) continue;
        if (!take_options(c, &w)) return 2;
        if (w.options & HELP) {
            print_usage(stdout, c);
            return 0;
        }
        if (w.n < c->least) return wrong_usage("%s: %s", c->name, c->missing);
        if (w.n > c->most) return wrong_usage("%s: too many words", what);
        return c->call(&w);
    }
    return wrong_usage("unknown command %s", what);
}

int main(int argc, char **argv)
{
    int status = command(argc, argv);
    if (fflush(stdout) || ferror(stdout)) {
        jvc_say("standard output: %s", strerror(errno));
        return 1;
    }
    return status;
}
