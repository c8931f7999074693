/*
 * graphs.c: runs random pipelines through the host, in processes of their own, and has each judged.
 *
 *   graphs [--jobs N] [--keep FOLDER] [--times N] [--failures N] [--patience SECONDS] PLUGINS FROM TO
 *                                             the seeds FROM to TO - 1, each so many times; PLUGINS: of jv_ground.so
 *   graphs --shrink [--times N] PLUGINS SEED  a smaller graph that fails like that of SEED
 *   graphs --print SEED                       the INI of one seed
 *
 * A seed that fails is named, with what is wrong; its INI is left in FOLDER, by default the working directory. A run
 * that has not ended after so many seconds (20) is one that hangs. A job ends after so many failures (20). At its end
 * it looks for memory and file descriptors that were not given back. At the end it says what the graphs were made of and
 * in how many of them; of many graphs, that something is in none is a failure too.
 */
#include "graph.h"
#include "pipeline.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_JOBS 64
#define SETTLED 64 /* graphs after which a job holds what it will ever hold */
#define MOST_GROWTH (256 << 10)
#define ENOUGH 1500 /* graphs that cover everything */

/* What a job and its parent share. */
struct job {
    uint64_t seed; /* on its way */
    uint64_t failed, ran;
    struct cover cover;
    pid_t pid;
    char dir[64];
};

struct options {
    const char *plugins, *keep;
    uint64_t from, to;
    int jobs, times, failures, patience; /* patience: seconds */
};

static struct options options = {.keep = ".", .jobs = 1, .times = 1, .failures = 20, .patience = 20};

static void copy_file(const char *path, FILE *to)
{
    FILE *f = fopen(path, "re");
    for (int c; f && (c = getc(f)) != EOF;) putc(c, to);
    if (f) fclose(f);
}

/* ---- jobs ---- */

static void tell_failure(const struct graph *g, const char *dir, const char *why)
{
    char name[64], path[512], messages[128];
    snprintf(name, sizeof name, "graph-%llu.ini", (unsigned long long)g->seed);
    path_in(path, sizeof path, options.keep, name);
    path_in(messages, sizeof messages, dir, "messages");
    save_ini(g, path);
    fprintf(stderr, "seed %llu fails (%s):\n%s", (unsigned long long)g->seed, path, why);
    copy_file(messages, stderr);
}

/* What a process holds. */
struct held {
    size_t bytes;
    int files;
};

static struct held held_now(void)
{
    struct held h = {.bytes = mallinfo2().uordblks};
    for (int fd = 0; fd < 1024; fd++) h.files += fcntl(fd, F_GETFD) >= 0;
    return h;
}

static bool gave_back(const struct job *job, struct held before)
{
    struct held after = held_now();
    if (!before.files || (after.bytes < before.bytes + MOST_GROWTH && after.files <= before.files)) return true;
    fprintf(stderr, "after %d graphs %zu bytes and %d files were held, after %llu %zu and %d\n", SETTLED, before.bytes,
        before.files, (unsigned long long)job->ran, after.bytes, after.files);
    return false;
}

static bool run_once(struct job *job, const struct graph *g)
{
    char *text = NULL;
    size_t n;
    FILE *why = open_memstream(&text, &n);
    if (!why) die("memory");
    alarm((unsigned)options.patience);
    bool good = run_graph(g, job->dir, &job->cover, why);
    alarm(0);
    fclose(why);
    if (!good) tell_failure(g, job->dir, text);
    free(text);
    return good;
}

/* Runs every jobs-th seed. Answers whether nothing was left behind. */
static bool run_job(struct job *job)
{
    struct graph g;
    struct held before = {0};
    for (; job->seed < options.to; job->seed += (uint64_t)options.jobs) {
        make(&g, job->seed);
        for (int i = 0; i < options.times && job->failed < (uint64_t)options.failures; i++) {
            job->failed += !run_once(job, &g);
            if (++job->ran == SETTLED) before = held_now();
        }
    }
    return gave_back(job, before);
}

static void start_job(struct job *job)
{
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (!pid) exit(run_job(job) ? 0 : 1);
    job->pid = pid; /* not of the child's doing: it shares *job */
}

/* A job that died has a seed to answer for; it goes on with the next one. */
static void bury_job(struct job *job, int status)
{
    struct graph g;
    char why[120];
    if (WIFEXITED(status) && job->seed >= options.to) {
        job->failed += WEXITSTATUS(status) != 0;
        return;
    }
    make(&g, job->seed);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(why, sizeof why, "it hangs: no end after %d seconds\n", options.patience);
    else
        snprintf(why, sizeof why, "its process ends with %s %d\n", WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    tell_failure(&g, job->dir, why);
    job->failed++;
    job->seed += (uint64_t)options.jobs;
    if (job->seed < options.to && job->failed < (uint64_t)options.failures) start_job(job);
}

static struct job *make_jobs(void)
{
    struct job *jobs = mmap(NULL, MOST_JOBS * sizeof *jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (jobs == MAP_FAILED) die("memory");
    for (int i = 0; i < options.jobs; i++) {
        jobs[i].seed = options.from + (uint64_t)i;
        strcpy(jobs[i].dir, "/tmp/graphs-XXXXXX");
        if (!mkdtemp(jobs[i].dir)) die(jobs[i].dir);
    }
    return jobs;
}

static void remove_dir(const char *dir)
{
    static const char *const names[] = {"graph.ini", "ledger", "dead.jsonl", "messages"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_in(path, sizeof path, dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_all(void)
{
    struct job *jobs = make_jobs();
    double begin = now();
    struct cover cover = {0};
    uint64_t ran = 0, failed = 0;
    int status;
    for (int i = 0; i < options.jobs; i++) start_job(&jobs[i]);
    for (pid_t pid; (pid = wait(&status)) > 0;)
        for (int i = 0; i < options.jobs; i++)
            if (jobs[i].pid == pid) bury_job(&jobs[i], status);
    for (int i = 0; i < options.jobs; i++) {
        ran += jobs[i].ran;
        failed += jobs[i].failed;
        cover_join(&cover, &jobs[i].cover);
        remove_dir(jobs[i].dir);
    }
    double took = now() - begin;
    printf("%llu graphs in %.1f s (%.0f a second), %llu failures\n", (unsigned long long)ran, took, (double)ran / took,
        (unsigned long long)failed);
    bool whole = cover_tell(&cover, stdout);
    if (!whole && ran >= ENOUGH) printf("%d graphs and more should have all of it\n", ENOUGH);
    return failed || (!whole && ran >= ENOUGH);
}

/* ---- shrinking ---- */

static char shrink_dir[64] = "/tmp/graphs-XXXXXX";

/* In a process of its own, which may crash or hang. */
static bool fails(const struct graph *g)
{
    int status;
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (!pid) {
        bool good = true;
        FILE *nowhere = fopen("/dev/null", "we");
        if (!nowhere) die("/dev/null");
        for (int i = 0; i < options.times && good; i++) {
            alarm(5);
            good = run_graph(g, shrink_dir, NULL, nowhere);
        }
        exit(good ? 0 : 1);
    }
    return waitpid(pid, &status, 0) == pid && status != 0;
}

/* Shows what is wrong with a graph by running it once more; it may well pass this time. */
static void show_failure(const struct graph *g)
{
    char messages[128];
    int status;
    path_in(messages, sizeof messages, shrink_dir, "messages");
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (!pid) {
        alarm((unsigned)options.patience);
        bool good = true;
        for (int i = 0; i < options.times && good; i++) good = run_graph(g, shrink_dir, NULL, stderr);
        exit(0);
    }
    if (waitpid(pid, &status, 0) == pid && status) fputs("it crashes or hangs\n", stderr);
    copy_file(messages, stderr);
}

static int shrink_one(uint64_t seed)
{
    struct graph g;
    if (!mkdtemp(shrink_dir)) die(shrink_dir);
    make(&g, seed);
    bool failing = fails(&g);
    if (failing) {
        shrink(&g, fails);
        write_ini(&g, stdout, options.plugins);
        fflush(stdout);
        show_failure(&g);
    } else {
        fprintf(stderr, "seed %llu does not fail\n", (unsigned long long)seed);
    }
    remove_dir(shrink_dir);
    return failing;
}

static int print_one(uint64_t seed)
{
    struct graph g;
    make(&g, seed);
    write_ini(&g, stdout, ".");
    return 0;
}

static int *number_option(const char *name)
{
    if (!strcmp(name, "--jobs")) return &options.jobs;
    if (!strcmp(name, "--times")) return &options.times;
    if (!strcmp(name, "--patience")) return &options.patience;
    return strcmp(name, "--failures") ? NULL : &options.failures;
}

static int usage(void)
{
    fputs("usage: graphs [--jobs N] [--keep FOLDER] [--times N] [--failures N] [--patience SECONDS] PLUGINS FROM TO\n"
          "       graphs --shrink [--times N] PLUGINS SEED\n"
          "       graphs --print SEED\n",
        stderr);
    return 2;
}

int main(int argc, char **argv)
{
    bool to_shrink = false, to_print = false;
    for (argv++, argc--; argc && !strncmp(*argv, "--", 2); argv++, argc--) {
        if (!strcmp(*argv, "--shrink")) {
            to_shrink = true;
        } else if (!strcmp(*argv, "--print")) {
            to_print = true;
        } else if (argc > 1 && number_option(argv[0])) {
            *number_option(argv[0]) = atoi(argv[1]);
            argv++, argc--;
        } else if (argc > 1 && !strcmp(*argv, "--keep")) {
            options.keep = argv[1];
            argv++, argc--;
        } else {
            return usage();
        }
    }
    bool ranges = options.jobs > 0 && options.jobs <= MOST_JOBS && options.times > 0 && options.failures > 0 &&
                  options.patience > 0;
    if (!ranges || argc != (to_print ? 1 : to_shrink ? 2 : 3)) return usage();
    if (to_print) return print_one(strtoull(argv[0], NULL, 10));
    options.plugins = drive_init(argv[0]);
    options.from = strtoull(argv[1], NULL, 10);
    options.to = to_shrink ? 0 : strtoull(argv[2], NULL, 10);
    return to_shrink ? shrink_one(options.from) : run_all();
}
