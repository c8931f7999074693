/* main.c: the command. */
#include "inspect.h"
#include "pipeline.h"

#include <errno.h>
#include <string.h>

static const char usage[] =
    "usage: jevons run FILE.ini [section.key=value ...]    run a pipeline; what is given here wins over the file\n"
    "       jevons check FILE.ini [section.key=value ...]  open everything, start nothing, tell every problem\n"
    "       jevons plugins [FOLDER]                        the plugins found, those of a folder of yours first\n"
    "       jevons inspect PLUGIN                          its stages, options, fields and counters; also jv_PLUGIN.so "
    "by path\n"
    "       jevons help | version\n"
    "options of run, before FILE.ini:\n"
    "       --quiet   nothing on stderr but warnings and errors\n"
    "       --json    the table at the end as one JSON object\n"
    "exit status: 0 all delivered; 1 failed or cut short; 2 the file or the command line is wrong; 3 some records "
    "rejected\n";

static int wrong_usage(const char *what, const char *arg)
{
    jvc_say("%s%s", what, arg);
    fputs(usage, stderr);
    return 2;
}

static int run(char **argv, int argc)
{
    struct jvc_pipeline pl;
    bool json = false;
    for (; argc && !strncmp(*argv, "--", 2); argv++, argc--) {
        if (!strcmp(*argv, "--quiet"))
            jvc_quiet = true;
        else if (!strcmp(*argv, "--json"))
            json = true;
        else
            return wrong_usage("run: unknown option ", *argv);
    }
    if (!argc) return wrong_usage("run: which file?", "");
    int status = 2;
    if (jvc_pipeline_open(&pl, argv[0], argv + 1, (size_t)argc - 1)) {
        status = jvc_pipeline_run(&pl);
        jvc_report(&pl, json);
    } else {
        jvc_problems_print(&pl.conf);
    }
    jvc_pipeline_close(&pl);
    return status;
}

/* A chain from its source down, a branch a line. */
static void print_chain(const struct jvc_stage *s, int depth)
{
    printf("%*s%s (%s%s%s)", depth * 2, "", s->sec->name, s->desc->name, s->desc->n_stages > 1 ? "/" : "",
        s->desc->n_stages > 1 ? s->def->name : "");
    if (s->farm) printf(", %lld threads", (long long)s->threads);
    if (s->streams && s->kind == JVC_FILTER) printf(", streams");
    putchar('\n');
    for (uint32_t p = 0; p < s->n_ports; p++)
        for (uint32_t i = 0; i < s->ports[p].n; i++) print_chain(s->ports[p].to[i], depth + 1);
}

static int check(char **argv, int argc)
{
    struct jvc_pipeline pl;
    if (!argc) return wrong_usage("check: which file?", "");
    if (!strncmp(*argv, "--", 2)) return wrong_usage("check takes no option ", *argv);
    bool ok = jvc_pipeline_open(&pl, argv[0], argv + 1, (size_t)argc - 1);
    if (!ok) jvc_problems_print(&pl.conf);
    for (uint32_t i = 0; ok && i < pl.n; i++)
        if (pl.stages[i]->kind == JVC_SOURCE) print_chain(pl.stages[i], 0);
    if (ok) printf("%s: no problems\n", argv[0]);
    jvc_pipeline_close(&pl);
    return ok ? 0 : 2;
}

static int command(int argc, char **argv)
{
    if (argc < 2) return wrong_usage("what is to be done?", "");
    const char *what = argv[1];
    if (!strcmp(what, "run")) return run(argv + 2, argc - 2);
    if (!strcmp(what, "check")) return check(argv + 2, argc - 2);
    if (!strcmp(what, "help") || !strcmp(what, "--help") || !strcmp(what, "-h")) return fputs(usage, stdout) == EOF;
    if (!strcmp(what, "version") || !strcmp(what, "--version"))
        return printf("jevons %s, ABI %d.%d\n", JVC_VERSION, JV_ABI_MAJOR, JV_ABI_MINOR) < 0;
    if (!strcmp(what, "plugins") && argc <= 3) return jvc_inspect_list(argc == 3 ? argv[2] : NULL);
    if (!strcmp(what, "inspect") && argc == 3) return jvc_inspect_one(argv[2]);
    if (!strcmp(what, "plugins") || !strcmp(what, "inspect")) return wrong_usage("wrong number of words after ", what);
    return wrong_usage("unknown command ", what);
}

int main(int argc, char **argv)
{
    int status = command(argc, argv);
    if (fflush(stdout)) {
        jvc_say("standard output: %s", strerror(errno));
        return 1;
    }
    return status;
}
