/*
 * progress.c: see progress.h. A thread of its own redraws the line, from numbers that the stages keep anyway. The line
 * is erased by blanks, not by an escape sequence: any terminal can do that. The lock of stderr keeps it whole.
 */
#include "progress.h"
#include "pipeline.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EVERY_MS 500
#define SAMPLES 20 /* rates are those of the last ten seconds */
#define UNITS 4

struct sample {
    int64_t ns;
    long long done, cancelled, sums[UNITS];
};

static struct {
    struct jvc_pipeline *pl;
    pthread_t thread;
    int over_fd;         /* readable once the run is over */
    atomic_size_t shown; /* bytes that stand on the line; changed under the lock of stderr */
    int64_t began;
    const char *units[UNITS]; /* what the stages count, the last stage's first */
    uint32_t n_units;
    struct sample ring[SAMPLES];
    uint32_t n_samples;
} p;

/* ---- what is shown ---- */

static uint32_t unit_at(const char *unit)
{
    uint32_t i = 0;
    while (i < p.n_units && strcmp(p.units[i], unit)) i++;
    return i;
}

/* Sinks count what they write: nobody waits for that. */
static void find_units(void)
{
    for (uint32_t i = p.pl->n; i > 0; i--) {
        const struct jvc_stage *s = p.pl->stages[i - 1];
        for (uint32_t k = 0; s->kind == JVC_FILTER && k < s->n_counters && p.n_units < UNITS; k++) {
            const char *unit = JVC_COUNTER(s->desc, s->def, k)->unit;
            if (unit_at(unit) == p.n_units) p.units[p.n_units++] = unit;
        }
    }
}

static void take_sample(struct sample *now)
{
    *now = (struct sample){.ns = jvc_now(), .cancelled = atomic_load(&p.pl->roots_cancelled)};
    now->done = atomic_load(&p.pl->roots_done) - now->cancelled; /* counted before it is counted as cancelled */
    for (uint32_t i = 0; i < p.pl->n; i++) {
        const struct jvc_stage *s = p.pl->stages[i];
        for (uint32_t k = 0; s->kind == JVC_FILTER && k < s->n_counters; k++) {
            uint32_t unit = unit_at(JVC_COUNTER(s->desc, s->def, k)->unit);
            if (unit < p.n_units) now->sums[unit] += atomic_load(&s->sums[k]);
        }
    }
}

/* The strand before which most records wait, or null where none do: it holds the others back. */
static const struct jvc_strand *longest_queue(size_t *n)
{
    const struct jvc_strand *longest = NULL;
    *n = 0;
    for (uint32_t i = 0; i < p.pl->n_strands; i++) {
        size_t waiting = atomic_load(&p.pl->strands[i].waiting);
        if (waiting <= *n) continue;
        longest = &p.pl->strands[i];
        *n = waiting;
    }
    return longest;
}

static void compose(char *text, size_t size)
{
    struct sample now;
    take_sample(&now);
    const struct sample *then = &p.ring[p.n_samples < SAMPLES ? 0 : p.n_samples % SAMPLES];
    double seconds = p.n_samples ? (double)(now.ns - then->ns) / 1e9 : 0;
    long long elapsed = (now.ns - p.began) / 1000000000;
    FILE *f = fmemopen(text, size, "w");
    if (!f) return;
    fprintf(f, "%lld done", now.done);
    if (seconds > 0) fprintf(f, ", %.1f/s", (double)(now.done - then->done) / seconds);
    for (uint32_t i = 0; i < p.n_units && seconds > 0; i++)
        if (now.sums[i]) fprintf(f, "; %.1f %ss/s", (double)(now.sums[i] - then->sums[i]) / seconds, p.units[i]);
    if (now.cancelled) fprintf(f, "; %lld cancelled", now.cancelled);
    size_t waiting;
    const struct jvc_strand *queue = longest_queue(&waiting);
    if (queue) fprintf(f, "; %zu wait for %s", waiting, queue->stages[0]->sec->name);
    fprintf(f, "; %lld:%02lld", elapsed / 60, elapsed % 60);
    fclose(f);
    p.ring[p.n_samples++ % SAMPLES] = now;
}

/* ---- the terminal ---- */

static size_t columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) || w.ws_col < 2 ? 80 : w.ws_col;
}

/* Under the lock of stderr. */
static void erase(void)
{
    if (p.shown) fprintf(stderr, "\r%*s\r", (int)p.shown, "");
    p.shown = 0;
}

static void show(void)
{
    char text[512] = "";
    size_t room = columns() - 1;
    compose(text, sizeof text);
    jvc_make_printable(text);
    if (strlen(text) > room) {
        while (!jvc_utf8_boundary(text, strlen(text), room)) room--;
        text[room] = 0;
    }
    flockfile(stderr);
    size_t before = p.shown, n = strlen(text);
    fprintf(stderr, "\r%s%*s\r%s", text, before > n ? (int)(before - n) : 0, "", text);
    fflush(stderr);
    p.shown = n;
    funlockfile(stderr);
}

static void *redraw(void *arg)
{
    struct pollfd over = {.fd = p.over_fd, .events = POLLIN};
    while (!poll(&over, 1, EVERY_MS)) show();
    return arg;
}

/* Whether a person types what is read, or sees what is written, on a terminal: a line that comes and goes would be in
 * their way. */
static bool in_the_way(const struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        const struct jvc_stage *s = pl->stages[i];
        if (!(s->def->flags & JV_TERMINAL)) continue;
        if (isatty(s->kind == JVC_SOURCE ? STDIN_FILENO : STDOUT_FILENO)) return true;
    }
    return false;
}

void jvc_progress_begin(struct jvc_pipeline *pl)
{
    sigset_t all, before;
    if (!isatty(STDERR_FILENO) || in_the_way(pl)) return;
    if ((p.over_fd = eventfd(0, EFD_CLOEXEC)) < 0) return; /* no line, then */
    p.pl = pl;
    p.began = jvc_now();
    find_units();
    jvc_say_before = erase;
    sigfillset(&all); /* signals are for the thread that waits for them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&p.thread, NULL, redraw, NULL)) p.pl = NULL;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void jvc_progress_end(void)
{
    if (!p.pl) return;
    if (eventfd_write(p.over_fd, 1)) return; /* cannot be: the counter is at 0 */
    pthread_join(p.thread, NULL);
    close(p.over_fd);
    flockfile(stderr);
    erase();
    funlockfile(stderr);
    p.pl = NULL;
}
