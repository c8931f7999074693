/*
 * post_socket.c: the thread that reads and writes all sockets.
 */
#include "post.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_UNREAD (1u << 20) /* bytes that a client may leave unread */
#define LAST_WORDS_MS 1000    /* how long a client may take nothing at the end */
#define TAKE_AGAIN_MS 100     /* after a client that could not be taken: it still waits */

void post_wake(struct listen *s)
{
    uint64_t one = 1;
    while (write(s->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static bool make_room(struct client *c, size_t n)
{
    if (n <= c->out_cap) return true;
    char *out = realloc(c->out, 2 * n);
    if (!out) return false;
    c->out = out;
    c->out_cap = 2 * n;
    return true;
}

void post_say(struct listen *s, struct client *c, jv_str id, const char *what, jv_str text)
{
    char head[4096 + 64];
    int n = snprintf(head, sizeof head, "%.*s %s %zu\n", (int)id.n, id.p, what, text.n);
    if (c->gone) return;
    size_t more = (size_t)n + text.n + 1;
    bool fits = n > 0 && (size_t)n < sizeof head && text.n <= MAX_UNREAD && c->out_n + more <= MAX_UNREAD;
    if (!fits || !make_room(c, c->out_n + more)) {
        s->h->log(s->h, JV_LOG_WARN, "client %llu leaves %zu bytes unread, and %zu do not fit in: hung up",
            (unsigned long long)c->number, c->out_n, more);
        c->gone = true;
        post_wake(s);
        return;
    }
    memcpy(c->out + c->out_n, head, (size_t)n);
    if (text.n) memcpy(c->out + c->out_n + n, text.p, text.n);
    c->out[c->out_n + more - 1] = '\n';
    c->out_n += more;
    post_wake(s);
}

static void take_client(struct listen *s)
{
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *c = fd < 0 ? NULL : calloc(1, sizeof *c);
    if (!c) {
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)) {
            s->h->log(s->h, JV_LOG_WARN, "a client could not be taken: %s", strerror(errno));
            poll(NULL, 0, TAKE_AGAIN_MS);
        }
        if (fd >= 0) close(fd);
        return;
    }
    c->fd = fd;
    c->number = ++s->n_clients;
    pthread_mutex_lock(&s->lock);
    c->next = s->clients;
    s->clients = c;
    pthread_mutex_unlock(&s->lock);
}

static void leave(struct listen *s, struct client *c)
{
    pthread_mutex_lock(&s->lock);
    c->gone = true;
    pthread_mutex_unlock(&s->lock);
}

static void read_client(struct listen *s, struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_n, sizeof c->in - c->in_n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) c->in_n += (size_t)n;
    char *from = c->in, *end = c->in + c->in_n, *newline;
    while (n > 0 && (newline = memchr(from, '\n', (size_t)(end - from)))) {
        post_take_line(s, c, from, (size_t)(newline - from));
        from = newline + 1;
    }
    c->in_n = (size_t)(end - from);
    memmove(c->in, from, c->in_n);
    if (n <= 0 || c->in_n == sizeof c->in) leave(s, c);
}

static void write_client(struct listen *s, struct client *c)
{
    pthread_mutex_lock(&s->lock);
    ssize_t n = c->out_n ? send(c->fd, c->out, c->out_n, MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR) c->gone = true;
    if (n > 0) {
        c->out_n -= (size_t)n;
        memmove(c->out, c->out + n, c->out_n);
    }
    pthread_mutex_unlock(&s->lock);
}

/* The handles are copied, so that no lock is held while the host cancels; they do no harm when a record is settled by
 * then. */
static void hang_up(struct listen *s, struct client *c)
{
    uint64_t records[MAX_REQUESTS];
    size_t n = 0;
    if (c->fd < 0) return;
    close(c->fd);
    c->fd = -1;
    pthread_mutex_lock(&s->lock);
    for (const struct request *r = c->requests; r; r = r->next) records[n++] = r->record;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++) s->h->cancel(s->h, records[i]);
}

static void sweep(struct listen *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct client **at = &s->clients, *c; (c = *at);) {
        bool gone = c->gone;
        pthread_mutex_unlock(&s->lock);
        if (gone) hang_up(s, c);
        pthread_mutex_lock(&s->lock);
        if (gone && !c->requests) {
            *at = c->next; /* only this thread changes the list */
            free(c->out);
            free(c);
        } else {
            at = &c->next;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* Fills in what to wait for: the wake-up, new clients, then the clients in the order of the list. */
static nfds_t gather(struct listen *s, struct pollfd *p, bool *over, bool *unsent)
{
    nfds_t n = 2;
    *unsent = false;
    pthread_mutex_lock(&s->lock);
    for (const struct client *c = s->clients; c; c = c->next) {
        if (n < MAX_CLIENTS + 2) p[n++] = (struct pollfd){c->fd, (short)(c->out_n ? POLLIN | POLLOUT : POLLIN), 0};
        *unsent |= c->out_n > 0 && !c->gone;
    }
    *over = s->closing;
    pthread_mutex_unlock(&s->lock);
    p[0] = (struct pollfd){s->wake, POLLIN, 0};
    p[1] = (struct pollfd){n < MAX_CLIENTS + 2 && !*over ? s->fd : -1, POLLIN, 0};
    return n;
}

static void *fail(struct listen *s)
{
    jv_err why;
    jv_fail(&why, JV_FATAL, "poll: %s", strerror(errno));
    s->h->fail(s->h, &why);
    return NULL;
}

void *post_run(void *ctx)
{
    struct listen *s = ctx;
    struct pollfd p[MAX_CLIENTS + 2];
    for (;;) {
        bool over, unsent;
        sweep(s);
        nfds_t n = gather(s, p, &over, &unsent);
        if (over && !unsent) return NULL;
        int ready = poll(p, n, over ? LAST_WORDS_MS : -1);
        if (over && ready == 0) return NULL;
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return fail(s);
        uint64_t woken;
        if (p[0].revents && read(s->wake, &woken, sizeof woken) < 0 && errno != EINTR) continue;
        struct client *c = s->clients;
        for (nfds_t i = 2; i < n; i++, c = c->next) {
            if (p[i].revents & POLLOUT) write_client(s, c);
            if (p[i].revents & ~POLLOUT) read_client(s, c);
        }
        if (p[1].revents) take_client(s);
    }
}
