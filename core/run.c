/* run.c: a run from start to exit status: threads of sources, signals, failure, the end. */
#include "pipeline.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CLOSE_WITHIN_NS 5000000000 /* after a cancel */

static void wake_sources(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        if (s->kind != JVC_SOURCE) continue;
        pthread_mutex_lock(&s->lock);
        pthread_cond_broadcast(&s->room);
        pthread_mutex_unlock(&s->lock);
    }
}

void jvc_pipeline_stop(struct jvc_pipeline *pl)
{
    if (atomic_exchange(&pl->stopping, true)) return;
    eventfd_write(pl->stop_fd, 1);
    wake_sources(pl);
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind == JVC_SOURCE && pl->stages[i]->started && pl->stages[i]->def->stop)
            pl->stages[i]->def->stop(pl->stages[i]->ctx);
}

void jvc_pipeline_cancel(struct jvc_pipeline *pl)
{
    if (!atomic_exchange(&pl->cancelled, true)) eventfd_write(pl->cancel_fd, 1);
    jvc_pipeline_stop(pl);
}

void jvc_pipeline_fail(struct jvc_stage *s, const jv_buf *b, const jv_err *err)
{
    if (atomic_exchange(&s->pl->failed, true)) return; /* what follows from the first failure is not news */
    jvc_say("%s: %s%s%s%s", jvc_stage_place(s), err->text, b ? " (record " : "", b ? b->node->id : "", b ? ")" : "");
    jvc_pipeline_cancel(s->pl);
}

void jvc_root_settled(struct jvc_node *root)
{
    struct jvc_stage *s = root->source;
    int32_t status = atomic_load(&root->status);
    jv_err none = {0};
    atomic_fetch_add(&s->pl->roots_done, 1);
    if (status == JV_CANCELLED) atomic_fetch_add(&s->pl->roots_cancelled, 1);
    none.code = status;
    if (s->def->done) s->def->done(s->ctx, root->user, status, root->err ? root->err : &none);
    pthread_mutex_lock(&s->lock);
    s->slots[root->slot].node = NULL;
    s->slots[root->slot].generation++;
    s->slots[root->slot].next_free = s->first_free;
    s->first_free = root->slot;
    s->in_flight--;
    pthread_cond_signal(&s->room);
    pthread_mutex_unlock(&s->lock);
}

/* Waits for a place in the window; false when the source is to stop. */
static bool wait_for_room(struct jvc_stage *s)
{
    int64_t t0 = 0;
    pthread_mutex_lock(&s->lock);
    while (s->in_flight == s->window && !atomic_load(&s->pl->stopping) && !atomic_load(&s->ended)) {
        if (!t0) t0 = jvc_now();
        pthread_cond_wait(&s->room, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    if (t0) atomic_fetch_add(&s->wait_ns, jvc_now() - t0);
    return !atomic_load(&s->pl->stopping) && !atomic_load(&s->ended);
}

static void *source_main(void *arg)
{
    struct jvc_stage *s = arg;
    jv_err err = {0};
    int32_t rc = JV_OK;
    while (rc == JV_OK && wait_for_room(s)) {
        struct jvc_call call;
        jvc_call_enter(&call, s);
        int64_t t0 = jvc_now();
        rc = s->def->poll(s->ctx, &err);
        int64_t took = jvc_now() - t0;
        jvc_call_leave(&call);
        atomic_fetch_add_explicit(&s->busy_ns, took - call.nested_ns, memory_order_relaxed);
        if (rc == JV_FULL) rc = JV_OK; /* it wanted to begin several: again when there is room */
    }
    atomic_store(&s->ended, true);
    err.text[sizeof err.text - 1] = 0;
    bool told_to = (rc == JV_STOPPED || rc == JV_CANCELLED) && atomic_load(&s->pl->stopping);
    if (rc != JV_OK && rc != JV_END && rc != JV_FATAL && rc != JV_BAD && !told_to)
        jv_fail(&err, JV_FATAL, "the plugin's poll answers %d, which it may not", rc);
    if (rc != JV_OK && rc != JV_END && !told_to) jvc_pipeline_fail(s, NULL, &err);
    jvc_finish(s);
    return NULL;
}

/* Starts a stage after those it refers to. False: it failed, or the run is being stopped. */
static bool start_stage(struct jvc_stage *s)
{
    jv_err err = {0};
    struct jvc_call call;
    if (s->started) return true;
    for (uint32_t i = 0; i < s->n_refs; i++)
        if (!start_stage(s->refs[i])) return false;
    if (atomic_load(&s->pl->stopping)) return false;
    jvc_call_enter(&call, s);
    int32_t rc = s->def->start ? s->def->start(s->ctx, &err) : JV_OK;
    err.text[sizeof err.text - 1] = 0;
    jvc_call_leave(&call);
    s->started = rc >= 0;
    if (rc < 0) jvc_pipeline_fail(s, NULL, &err);
    return rc >= 0;
}

/* Sources last, but for those that others refer to: what they begin must find everything ready. */
static bool start_stages(struct jvc_pipeline *pl)
{
    for (int sources = 0; sources < 2; sources++)
        for (uint32_t i = 0; i < pl->n; i++)
            if ((pl->stages[i]->kind == JVC_SOURCE) == sources && !start_stage(pl->stages[i])) return false;
    return true;
}

static void no_thread(struct jvc_stage *s, int error)
{
    jv_err err;
    jv_fail(&err, JV_FATAL, "no thread to be had: %s", strerror(error));
    jvc_pipeline_fail(s, NULL, &err);
    if (!s->has_thread) jvc_finish(s); /* what stands behind must hear the end all the same */
}

static void run_threads(struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++) {
        int rc = pl->stages[i]->farm ? jvc_farm_start(pl->stages[i]->farm) : 0;
        if (rc) no_thread(pl->stages[i], rc);
    }
    for (uint32_t i = 0; i < pl->n; i++) {
        struct jvc_stage *s = pl->stages[i];
        int rc = s->kind == JVC_SOURCE ? pthread_create(&s->thread, NULL, source_main, s) : 0;
        s->has_thread |= s->kind == JVC_SOURCE && !rc;
        if (rc) no_thread(s, rc);
    }
    for (uint32_t i = 0; i < pl->n; i++) {
        if (pl->stages[i]->farm)
            jvc_farm_join(pl->stages[i]->farm);
        else if (pl->stages[i]->has_thread)
            pthread_join(pl->stages[i]->thread, NULL);
    }
}

static bool all_sources_ended(const struct jvc_pipeline *pl)
{
    for (uint32_t i = 0; i < pl->n; i++)
        if (pl->stages[i]->kind == JVC_SOURCE && !atomic_load(&pl->stages[i]->ended)) return false;
    return true;
}

static uint32_t on_their_way(const struct jvc_pipeline *pl)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < pl->n; i++) {
        pthread_mutex_lock(&pl->stages[i]->lock);
        n += pl->stages[i]->in_flight;
        pthread_mutex_unlock(&pl->stages[i]->lock);
    }
    return n;
}

/* The first signal ends admission; where nothing is left to admit, or at the second, it cancels. True: cancelled. */
static bool on_signal(struct jvc_pipeline *pl, int nth)
{
    if (nth == 1 && !all_sources_ended(pl)) {
        for (uint32_t i = 0; i < pl->n; i++) {
            const struct jvc_stage *s = pl->stages[i];
            if (s->kind == JVC_SOURCE && !(s->def->flags & JV_ENDLESS) && !atomic_load(&s->ended))
                atomic_store(&pl->cut_short, true);
        }
        jvc_pipeline_stop(pl);
        uint32_t n = on_their_way(pl);
        jvc_say("stopping: %u record%s on the way will be finished; once more cancels", n, n == 1 ? "" : "s");
        return false;
    }
    if (!atomic_load(&pl->cancelled)) jvc_say("cancelling what is on its way: %u", on_their_way(pl));
    jvc_pipeline_cancel(pl);
    return true;
}

struct watch {
    struct jvc_pipeline *pl;
    int signals;
    pthread_t thread;
};

/* The thread that listens for signals, from before the first start until the run is over. */
static void *watch_main(void *arg)
{
    const struct watch *w = arg;
    struct pollfd p[2] = {{.fd = w->pl->over_fd, .events = POLLIN}, {.fd = w->signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    int64_t deadline = 0;
    for (int nth = 0; !p[0].revents;) {
        if (poll(p, 2, deadline ? 100 : -1) < 0) p[0].revents = p[1].revents = 0;
        bool heard = p[1].revents && read(w->signals, &info, sizeof info) == sizeof info;
        if (heard && on_signal(w->pl, ++nth) && !deadline) deadline = jvc_now() + CLOSE_WITHIN_NS;
        if (deadline && !p[0].revents && jvc_now() > deadline) {
            jvc_say("a stage does not hear the cancel: gone after 5 seconds");
            _exit(1);
        }
    }
    return NULL;
}

static bool watch_begin(struct watch *w, struct jvc_pipeline *pl)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* inherited by every thread: only signalfd hears them */
    signal(SIGPIPE, SIG_IGN);               /* both are write errors to whom they concern, not the end of the process */
    signal(SIGXFSZ, SIG_IGN);
    w->pl = pl;
    w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    pl->stop_fd = eventfd(0, EFD_CLOEXEC);
    pl->cancel_fd = eventfd(0, EFD_CLOEXEC);
    pl->over_fd = eventfd(0, EFD_CLOEXEC);
    int rc = w->signals < 0 || pl->stop_fd < 0 || pl->cancel_fd < 0 || pl->over_fd < 0 ? errno : 0;
    if (!rc) rc = pthread_create(&w->thread, NULL, watch_main, w);
    if (rc) jvc_say("no file descriptors or threads to be had: %s", strerror(rc));
    return !rc;
}

/* From here on a signal ends the process as it would any other. */
static void watch_end(struct watch *w)
{
    sigset_t set;
    struct signalfd_siginfo info;
    eventfd_write(w->pl->over_fd, 1);
    pthread_join(w->thread, NULL);
    while (read(w->signals, &info, sizeof info) == sizeof info) {} /* came too late to change anything */
    close(w->signals);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int exit_status(struct jvc_pipeline *pl)
{
    long long cancelled = atomic_load(&pl->roots_cancelled), rejected = (long long)jvc_dead_count(pl);
    if (rejected) jvc_say("%lld rejected: %s", rejected, pl->dead_path);
    if (atomic_load(&pl->failed)) return 1;
    if (atomic_load(&pl->cut_short) || (atomic_load(&pl->cancelled) && cancelled)) {
        jvc_say("cut short: %lld finished, %lld cancelled", atomic_load(&pl->roots_done) - cancelled, cancelled);
        return 1;
    }
    return rejected ? 3 : 0;
}

int jvc_pipeline_run(struct jvc_pipeline *pl)
{
    struct watch watch;
    jv_err err;
    if (!watch_begin(&watch, pl)) return 1;
    pl->started_ns = jvc_now();
    if (!jvc_dead_begin(pl, &err)) {
        jvc_say("%s", err.text);
        atomic_store(&pl->failed, true);
    } else if (start_stages(pl)) {
        run_threads(pl);
    }
    pl->ended_ns = jvc_now();
    watch_end(&watch);
    if (!jvc_dead_end(pl, &err)) {
        jvc_say("%s", err.text);
        atomic_store(&pl->failed, true);
    }
    return exit_status(pl);
}
