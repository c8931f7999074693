/*
 * watch.c: signals. The first SIGINT or SIGTERM drains, the next one cancels, and 5 seconds after that it is over. Where
 * stages are still being started and nothing has begun the first one cancels, and a stage that does not hear it (a start
 * may take its time) is left after a second.
 */
#include "pipeline.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define SECOND_NS 1000000000ll
#define CLOSE_WITHIN 5 /* seconds after a cancel */
#define LEAVE_WITHIN 1 /* as long as nothing runs */

static bool all_sources_ended(const struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind == JVC_SOURCE && !atomic_load(&pl->stages[i]->ended)) return false;
    return true;
}

static uint32_t on_their_way(const struct jvc_pipeline *pl)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pl->n; i++) n += atomic_load(&pl->stages[i]->in_flight);
    return n;
}

/* Whether stages are still being started, and not even a source with threads of its own has begun anything. */
static bool nothing_begun(struct jvc_pipeline *pl)
{
    pthread_mutex_lock(&pl->lock);
    bool starting = pl->go == JVC_WAIT;
    pthread_mutex_unlock(&pl->lock);
    return starting && !on_their_way(pl);
}

static void note_cut_short(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        const struct jvc_stage *s = pl->stages[i];
        if (s->kind == JVC_SOURCE && !(s->def->flags & JV_ENDLESS) && !atomic_load(&s->ended))
            atomic_store(&pl->cut_short, true);
    }
}

/* The first signal ends admission; where nothing is left to admit or nothing runs yet, or at the second, it cancels.
 * Answers how many seconds the rest may take; 0: any. */
static int on_signal(struct jvc_pipeline *pl, int nth)
{
    if (atomic_load(&pl->over)) return CLOSE_WITHIN; /* what is left is to close */
    bool nothing = nothing_begun(pl);
    if (nth == 1) note_cut_short(pl);
    if (nth == 1 && !nothing && !all_sources_ended(pl)) {
        jvc_pipeline_stop(pl);
        uint32_t n = on_their_way(pl);
        jvc_say("stopping: %u record%s on the way will be finished; once more cancels", n, n == 1 ? "" : "s");
        return 0;
    }
    if (nothing)
        jvc_say("cancelled before anything began");
    else if (!atomic_load(&pl->cancelled))
        jvc_say("cancelling what is on its way: %u", on_their_way(pl));
    jvc_pipeline_cancel(pl);
    return nothing ? LEAVE_WITHIN : CLOSE_WITHIN;
}

/* A stage is deaf: there is no other way to end. */
static void leave(struct jvc_pipeline *pl, int seconds)
{
    const struct jvc_stage *s = atomic_load(&pl->starting);
    const char *some = seconds == 1 ? "second" : "seconds";
    if (s)
        jvc_say("%s does not hear the cancel as it starts: gone after %d %s", jvc_stage_place(s), seconds, some);
    else
        jvc_say("a stage does not hear the cancel: gone after %d %s", seconds, some);
    long long cancelled = atomic_load(&pl->roots_cancelled);
    jvc_say("cut short: %lld finished, %lld cancelled, %u left on the way", atomic_load(&pl->roots_done) - cancelled,
        cancelled, on_their_way(pl));
    jvc_dead_leave(pl);
    _exit(1);
}

struct jvc_watch {
    struct jvc_pipeline *pl;
    int signals, over; /* over: readable once nobody needs to listen any more */
    pthread_t thread;
};

/* The thread that listens for signals, from before the first start until all is closed. */
static void *watch_main(void *arg)
{
    const struct jvc_watch *w = arg;
    struct pollfd p[2] = {{.fd = w->over, .events = POLLIN}, {.fd = w->signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    int64_t deadline = 0;
    int seconds = 0;
    for (int nth = 0; !p[0].revents;) {
        if (poll(p, 2, deadline ? 100 : -1) < 0) p[0].revents = p[1].revents = 0;
        bool heard = p[1].revents && read(w->signals, &info, sizeof info) == sizeof info;
        if (heard && !deadline && (seconds = on_signal(w->pl, ++nth))) deadline = jvc_now() + seconds * SECOND_NS;
        if (!deadline || p[0].revents || jvc_now() <= deadline) continue;
        if (seconds == CLOSE_WITHIN || atomic_load(&w->pl->starting)) leave(w->pl, seconds);
        deadline += (CLOSE_WITHIN - seconds) * SECOND_NS; /* the start has heard it: what is left is to close */
        seconds = CLOSE_WITHIN;
    }
    return NULL;
}

bool jvc_watch_begin(struct jvc_pipeline *pl)
{
    struct jvc_watch *w = jvc_alloc(sizeof *w);
    sigset_t set;
    bool failed = false;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* inherited by every thread: only signalfd hears them */
    signal(SIGPIPE, SIG_IGN);               /* both are write errors to whom they concern, not the end of the process */
    signal(SIGXFSZ, SIG_IGN);
    *w = (struct jvc_watch){.pl = pl, .over = eventfd(0, EFD_CLOEXEC)};
    w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    pl->cancel_fd = eventfd(0, EFD_CLOEXEC);
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind == JVC_SOURCE) failed |= (pl->stages[i]->stop_fd = eventfd(0, EFD_CLOEXEC)) < 0;
    int rc = failed || w->signals < 0 || pl->cancel_fd < 0 || w->over < 0 ? errno : 0;
    if (!rc) rc = pthread_create(&w->thread, NULL, watch_main, w);
    if (!rc) {
        pl->watch = w;
        return true;
    }
    jvc_say("no file descriptors or threads to be had: %s", strerror(rc));
    if (w->signals >= 0) close(w->signals);
    if (w->over >= 0) close(w->over);
    free(w);
    return false;
}

/* From here on a signal ends the process as it would any other. */
void jvc_watch_end(struct jvc_pipeline *pl)
{
    struct jvc_watch *w = pl->watch;
    sigset_t set;
    struct signalfd_siginfo info;
    if (!w) return;
    eventfd_write(w->over, 1);
    pthread_join(w->thread, NULL);
    while (read(w->signals, &info, sizeof info) == sizeof info) {} /* came too late to change anything */
    close(w->signals);
    close(w->over);
    free(w);
    pl->watch = NULL;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
