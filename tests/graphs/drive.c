/* drive.c: runs one graph through the host, whose messages go into a file, and has it judged. */
#include "graph.h"
#include "pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *plugins; /* the folder of jv_ground.so; lives as long as the process */
static int to_user;   /* stderr, while the host writes its own into a file */

void die(const char *what)
{
    fprintf(stderr, "graphs: %s: %s\n", what, strerror(errno));
    exit(2);
}

void path_in(char *into, size_t size, const char *dir, const char *name)
{
    if ((size_t)snprintf(into, size, "%s/%s", dir, name) >= size) die(name);
}

const char *drive_init(const char *folder)
{
    jvc_quiet = true;
    to_user = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    plugins = realpath(folder, NULL);
    if (!plugins) die(folder);
    return plugins;
}

void save_ini(const struct graph *g, const char *path)
{
    FILE *f = fopen(path, "we");
    if (!f) die(path);
    write_ini(g, f, plugins);
    if (fclose(f)) die(path);
}

/* The host's messages go into a file, for the case that the graph fails. */
static void messages_begin(const char *dir)
{
    char path[128];
    path_in(path, sizeof path, dir, "messages");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    fflush(stderr);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) die(path);
    close(fd);
}

static void messages_end(void)
{
    fflush(stderr);
    dup2(to_user, STDERR_FILENO);
}

/* A report of a sanitizer does not change what a graph answers, so it is looked for. */
static bool messages_are_quiet(const char *dir)
{
    char path[128], line[256];
    bool quiet = true;
    path_in(path, sizeof path, dir, "messages");
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strstr(line, "Sanitizer") || strstr(line, "runtime error")) quiet = false;
    if (f) fclose(f);
    return quiet;
}

static void read_sums(const struct jvc_pipeline *pl, struct run *run)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        const struct jvc_stage *s = pl->stages[i];
        int at = s->sec->name[0] == 's' ? atoi(s->sec->name + 1) : MOST_STAGES;
        if (at >= MOST_STAGES) continue;
        struct sums *sum = &run->sum[at];
        for (int lane = 0; lane < JVC_LANES; lane++) {
            const struct jvc_flow *f = &s->flow[lane];
            sum->in += atomic_load(&f->in);
            sum->out += atomic_load(&f->out);
            sum->dropped += atomic_load(&f->dropped);
            sum->rejected += atomic_load(&f->rejected);
            sum->cancelled += atomic_load(&f->cancelled);
            sum->retried += atomic_load(&f->retried);
        }
        run->in_flight += atomic_load(&s->in_flight);
    }
}

bool run_graph(const struct graph *g, const char *dir, struct cover *cover, FILE *why)
{
    char ini[128], ledger[128], dead[128];
    struct jvc_pipeline pl;
    struct run run = {.status = 2, .dir = dir};
    path_in(ini, sizeof ini, dir, "graph.ini");
    path_in(ledger, sizeof ledger, dir, "ledger");
    path_in(dead, sizeof dead, dir, "dead.jsonl");
    unlink(ledger);
    unlink(dead);
    save_ini(g, ini);
    messages_begin(dir);
    bool loads = jvc_pipeline_open(&pl, ini, NULL, 0);
    if (loads) {
        run.status = jvc_pipeline_run(&pl);
        read_sums(&pl, &run);
    } else {
        jvc_problems_print(&pl.conf);
    }
    jvc_pipeline_close(&pl);
    messages_end();
    if (!loads) fputs("it does not load\n", why);
    if (loads && cover) cover_add(cover, g, &run);
    bool quiet = messages_are_quiet(dir);
    if (!quiet) fputs("a sanitizer complains\n", why);
    return loads && judge(g, &run, why) && quiet;
}
