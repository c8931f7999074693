/* pump.c: see pump.h. The lock is held everywhere but while the thread waits. */
#include "pump.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../utf8.h"

#define TICK 50         /* ms between two looks at what has been cancelled */
#define CHUNK 65536     /* bytes read at once */
#define LAST_BREATH 200 /* ms for a command that has closed its output to be found dead */
#define FAREWELL 1000   /* ms at close for it to end by itself */

static void ring(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) continue; /* full: it rings already */
}

static void silence(int fd)
{
    uint64_t n;
    while (read(fd, &n, sizeof n) < 0 && errno == EINTR) continue;
}

/* ---- jobs ---- */

struct job *job_new(const jv_buf *b, jv_str id)
{
    struct job *job = calloc(1, sizeof *job);
    char *copy = job ? malloc(id.n + 1) : NULL;
    if (!copy || pthread_cond_init(&job->done, NULL)) {
        free(copy);
        free(job);
        return NULL;
    }
    memcpy(copy, id.p, id.n);
    job->id = (jv_str){copy, id.n};
    job->b = b;
    atomic_init(&job->holders, 1);
    return job;
}

void job_release(struct job *job)
{
    if (atomic_fetch_sub(&job->holders, 1) > 1) return;
    pthread_cond_destroy(&job->done);
    row_free(&job->line);
    row_free(&job->answer);
    free((char *)(uintptr_t)job->id.p);
    free(job);
}

static void tell(struct job *job, int32_t code)
{
    job->code = code;
    job->told = true;
    pthread_cond_signal(&job->done);
}

/* Takes the job that *at points to out of the queue, and lets go of it. */
static void take_out(struct pump *p, struct job **at)
{
    struct job *job = *at;
    *at = job->next;
    if (p->tail == &job->next) p->tail = at;
    job_release(job);
}

/* The oldest one has been answered, well or badly, or is given up. */
static void settle(struct pump *p, int32_t code)
{
    if (!p->head->told) tell(p->head, code);
    take_out(p, &p->head);
    p->since = now_ms();
}

/* Callers whose records are cancelled wait no longer. What has been sent stays in the queue: it will be answered. */
static void drop_cancelled(struct pump *p)
{
    p->sweep = now_ms() + TICK;
    for (struct job **at = &p->head, *job; (job = *at);) {
        if (!job->told && p->h->cancelled(p->h, job->b)) {
            jv_fail(&job->err, JV_CANCELLED, "cancelled");
            tell(job, JV_CANCELLED);
        }
        if (job->told && !job->sent)
            take_out(p, at);
        else
            at = &job->next;
    }
}

/* ---- failures ---- */

static void fail(struct pump *p, const jv_err *why)
{
    p->failed = true;
    p->why = *why;
    p->why.code = JV_FATAL;
    while (p->head) {
        p->head->err = p->why;
        settle(p, JV_FATAL);
    }
}

/* Blames the only line that the command was ever given, or suspects all that are on their way. */
static void blame(struct pump *p, const jv_err *why)
{
    if (!p->head || !p->head->sent) return;
    bool alone = !p->head->next || !p->head->next->sent;
    if (alone && p->fresh && !p->head->told) {
        p->head->err = *why;
        settle(p, JV_RETRY);
    }
    for (struct job **at = &p->head, *job; (job = *at) && job->sent;) {
        job->sent = 0;
        job->suspect = true;
        if (job->told)
            take_out(p, at);
        else
            at = &job->next;
    }
}

/* Ends the command, which has failed: `what` it did, null when it has ended by itself. */
static void trouble(struct pump *p, const char *what)
{
    char how[64];
    jv_err why;
    pthread_mutex_unlock(&p->lock);
    child_end(&p->child, p->h, what ? 0 : LAST_BREATH, &p->stopping, how, sizeof how);
    pthread_mutex_lock(&p->lock);
    const char *middle = p->in.n && !what ? " in the middle of an answer" : "";
    jv_fail(&why, JV_RETRY, "the command %s%s", what ? what : how, middle);
    row_reset(&p->in);
    p->scanned = 0;
    p->skipping = false;
    p->since = now_ms();
    if (p->stopping) return;
    p->h->log(p->h, JV_LOG_WARN, "%s", why.text);
    if (++p->failures > p->restarts) {
        jv_err last;
        jv_fail(&last, JV_FATAL, "%s; that is failure %lld in a row without an answer, and restarts = %lld",
            utf8_show(why.text, strlen(why.text)).text, (long long)p->failures, (long long)p->restarts);
        fail(p, &last);
    } else {
        blame(p, &why);
    }
}

/* ---- answers ---- */

static bool asked(const struct pump *p)
{
    return p->head && p->head->sent == p->head->line.n;
}

static void unasked(struct pump *p, jv_str text)
{
    char what[300];
    snprintf(what, sizeof what, "wrote what nobody asked for: '%s'", utf8_show(text.p, text.n).text);
    trouble(p, what);
}

static void too_long(struct pump *p)
{
    jv_fail(&p->head->err, JV_BAD, "its answer is longer than max_answer = %lld bytes", (long long)p->max_answer);
    settle(p, JV_BAD);
}

static void lost_count(struct pump *p, const struct answer *a)
{
    char what[400];
    struct utf8_shown to = utf8_show(p->head->id.p, p->head->id.n), id = utf8_show(a->id.p, a->id.n);
    if (a->has_id)
        snprintf(what, sizeof what, "answered to '%s' with the id '%s'", to.text, id.text);
    else
        snprintf(what, sizeof what, "answered to '%s' without an id", to.text);
    trouble(p, what);
}

/* A whole line. */
static void hear_line(struct pump *p, jv_str line)
{
    struct answer a = {0};
    if (!asked(p)) {
        unasked(p, line);
        return;
    }
    if (line.n > (size_t)p->max_answer) {
        too_long(p);
        return;
    }
    struct job *job = p->head;
    int32_t rc = answer_read(&a, NULL, line, &job->err);
    if (rc == JV_OK && !(a.has_id && a.id.n == job->id.n && !memcmp(a.id.p, job->id.p, a.id.n))) {
        lost_count(p, &a);
    } else {
        if (rc == JV_OK) row_add(&job->answer, line.p, line.n);
        p->failures = 0;
        p->fresh = false;
        if (job->answer.failed) rc = jv_fail(&job->err, JV_FATAL, "no memory for an answer of %zu bytes", line.n);
        settle(p, rc);
    }
    answer_free(&a);
}

/* Takes the lines out of what has been read. */
static void hear_lines(struct pump *p)
{
    size_t from = 0;
    char *end;
    while (p->child.pid && p->in.n > p->scanned && (end = memchr(p->in.p + p->scanned, '\n', p->in.n - p->scanned))) {
        jv_str line = {p->in.p + from, (size_t)(end - p->in.p) - from};
        from += line.n + 1;
        p->scanned = from;
        if (p->skipping)
            p->skipping = false;
        else
            hear_line(p, line);
    }
    if (!p->child.pid) return; /* there was trouble, and nothing is left */
    if (from) memmove(p->in.p, p->in.p + from, p->in.n - from);
    p->in.n -= from;
    p->scanned = p->in.n;
    if (!p->skipping && p->in.n > (size_t)p->max_answer) {
        p->skipping = true;
        if (asked(p))
            too_long(p);
        else
            unasked(p, (jv_str){p->in.p, p->in.n});
    }
    if (!p->skipping) return;
    row_reset(&p->in);
    p->scanned = 0;
}

static void hear(struct pump *p)
{
    char some[CHUNK];
    ssize_t n = read(p->child.out, some, sizeof some);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        trouble(p, NULL);
        return;
    }
    row_add(&p->in, some, (size_t)n);
    if (p->in.failed) {
        jv_err err;
        jv_fail(&err, JV_FATAL, "no memory for an answer of more than %zu bytes", p->in.n);
        fail(p, &err);
        return;
    }
    hear_lines(p);
}

/* ---- lines ---- */

/* The next line to be written, or written on; null: none may be. A suspect goes alone. */
static struct job *to_send(const struct pump *p)
{
    struct job *job = p->head;
    if (job && job->suspect) return job->sent < job->line.n ? job : NULL;
    while (job && job->sent == job->line.n) job = job->next;
    return job;
}

/* Writes until the pipe is full. A command that no longer reads may still answer: its end is seen at its output. */
static void send_lines(struct pump *p)
{
    for (struct job *job; (job = to_send(p));) {
        ssize_t n = write(p->child.in, job->line.p + job->sent, job->line.n - job->sent);
        if (n < 0 && errno == EPIPE) {
            close(p->child.in);
            p->child.in = -1;
        }
        if (n < 0) return;
        job->sent += (size_t)n;
    }
}

/* ---- the thread ---- */

/* How long poll may wait, in ms; -1: until something happens. 0 also when the command has had its time. */
static int patience(const struct pump *p)
{
    if (!p->head) return -1;
    int64_t left = p->since + p->answer_within - now_ms();
    return left <= 0 ? 0 : left < TICK ? (int)left : TICK;
}

/* Waits for something to happen, and hears and sends what can be. */
static void turn(struct pump *p)
{
    enum { WAKE, IN, OUT, LOG, N };
    struct child *c = &p->child;
    struct pollfd fd[N] = {{p->wake, POLLIN, 0}, {to_send(p) ? c->in : -1, POLLOUT, 0}, {c->out, POLLIN, 0},
        {c->log, POLLIN, 0}};
    int ms = patience(p);
    pthread_mutex_unlock(&p->lock);
    int n = poll(fd, N, ms);
    if (n > 0 && fd[LOG].revents) child_hear(c, p->h);
    pthread_mutex_lock(&p->lock);
    if (n > 0 && fd[WAKE].revents) silence(p->wake);
    if (n > 0 && fd[IN].revents) send_lines(p);
    if (n > 0 && fd[OUT].revents) hear(p);
    if (c->pid && p->head && now_ms() >= p->since + p->answer_within) {
        char what[100];
        snprintf(what, sizeof what, "has not answered within %lld ms (does it flush each line?)",
            (long long)p->answer_within);
        trouble(p, what);
    }
}

/* Starts the command anew: it is wanted. */
static void revive(struct pump *p)
{
    jv_err err;
    p->since = now_ms();
    p->restarted++;
    p->fresh = true;
    if (child_start(&p->child, &p->plan, &err) < 0) fail(p, &err);
}

/* Lets the command end as long as an answer may take. */
static void finish(struct pump *p)
{
    char how[64];
    pthread_mutex_unlock(&p->lock);
    bool good = !p->child.pid || child_end(&p->child, p->h, p->answer_within, &p->stopping, how, sizeof how);
    if (!good) p->h->log(p->h, JV_LOG_WARN, "at its end the command %s", how);
    pthread_mutex_lock(&p->lock);
    p->failed = true; /* nobody asks any more */
    jv_fail(&p->why, JV_FATAL, "the command has ended");
    p->finished = true;
    ring(p->over);
}

static void *run(void *arg)
{
    struct pump *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        if (now_ms() >= p->sweep) drop_cancelled(p);
        if (p->head && !p->child.pid && !p->failed) revive(p);
        if (p->finishing && !p->head && !p->finished) finish(p);
        turn(p);
    }
    jv_err err;
    jv_fail(&err, JV_FATAL, "the stage is being closed");
    fail(p, &err);
    pthread_mutex_unlock(&p->lock);
    char how[64];
    if (p->child.pid) child_end(&p->child, p->h, FAREWELL, NULL, how, sizeof how);
    return NULL;
}

/* ---- what the stage calls ---- */

/* The thread takes no signals: they are for the host's threads, and a SIGPIPE of its own then says EPIPE. */
static int start_thread(struct pump *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void pump_init(struct pump *p)
{
    *p = (struct pump){.wake = -1, .over = -1, .child = CHILD_NONE};
    p->tail = &p->head;
}

int32_t pump_start(struct pump *p, jv_err *err)
{
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->over = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->has_lock = pthread_mutex_init(&p->lock, NULL) == 0;
    if (p->wake < 0 || p->over < 0 || !p->has_lock) return jv_fail(err, JV_FATAL, "no room for two more descriptors");
    int32_t rc = child_start(&p->child, &p->plan, err);
    if (rc < 0) return rc;
    p->fresh = true;
    p->has_thread = start_thread(p) == 0;
    return p->has_thread ? JV_OK : jv_fail(err, JV_FATAL, "no room for one more thread");
}

int32_t pump_ask(struct pump *p, struct job *job, jv_err *err)
{
    pthread_mutex_lock(&p->lock);
    if (p->failed) {
        *err = p->why;
        pthread_mutex_unlock(&p->lock);
        return JV_FATAL;
    }
    if (!p->head) p->since = now_ms();
    atomic_fetch_add(&job->holders, 1);
    *p->tail = job;
    p->tail = &job->next;
    ring(p->wake);
    while (!job->told) pthread_cond_wait(&job->done, &p->lock);
    int32_t code = job->code;
    if (code < 0) *err = job->err;
    pthread_mutex_unlock(&p->lock);
    return code;
}

int64_t pump_restarts(struct pump *p)
{
    pthread_mutex_lock(&p->lock);
    int64_t n = p->restarted;
    p->restarted = 0;
    pthread_mutex_unlock(&p->lock);
    return n;
}

static void stop_thread(struct pump *p)
{
    atomic_store(&p->stopping, true);
    ring(p->wake);
    pthread_join(p->thread, NULL);
    p->has_thread = false;
}

void pump_finish(struct pump *p)
{
    if (!p->has_thread) return;
    pthread_mutex_lock(&p->lock);
    p->finishing = true;
    ring(p->wake);
    pthread_mutex_unlock(&p->lock);
    if (p->h->wait(p->h, p->over, POLLIN, -1) == JV_STOPPED) stop_thread(p); /* the run is cancelled */
}

void pump_close(struct pump *p)
{
    char how[64];
    if (p->has_thread) stop_thread(p);
    if (p->child.pid) child_end(&p->child, p->h, 0, NULL, how, sizeof how); /* no thread could be had for it */
    if (p->wake >= 0) close(p->wake);
    if (p->over >= 0) close(p->over);
    if (p->has_lock) pthread_mutex_destroy(&p->lock);
    row_free(&p->in);
    plan_free(&p->plan);
}
