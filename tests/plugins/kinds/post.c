/*
 * post: takes requests on a UNIX socket, and a sink that answers them.
 *
 *     [requests]
 *     plugin = post/listen
 *     path = post.sock
 *
 *     [answers]
 *     plugin = post/reply
 *     in = answer
 *     source = requests
 *
 * A request is a line, `live: TEXT` or `batch: TEXT`, with params before the colon: `live words=3 mask=*: TEXT`. What
 * comes back is messages `ID WHAT LENGTH`, a newline, LENGTH bytes and a newline. WHAT is `begun`; `partial`, all of
 * the answer so far; `final`, the answer; and in the end `done`, once for each request, with what became of it:
 * `delivered COST`, or `dropped`, `rejected`, `cancelled` with cost and reason. A line that is no request, or comes
 * when there is no room, gets `refused` and no more; one whose text is no UTF-8 is a record that is rejected. A client
 * that hangs up (or shuts down its side) cancels what it asked for; one that does not read is hung up on.
 *
 * One thread reads and writes all sockets. A request lives from `begin` to `done`, a client until it is gone and its
 * last request done.
 */
#include "post.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../plugins/utf8.h"

#define NO_SNAPSHOTS 65536 /* bytes left unread from which a client gets no snapshots */
#define SERVICE "kinds.post/1"

/* What the sink calls. False: the client is gone. A snapshot may be left out. */
struct post_api {
    uint32_t struct_size;
    bool (*send)(void *self, void *request, jv_str id, bool partial, jv_str text);
};

/* ---- listen: a source with a thread of its own ------------------------------------------------------------------- */

enum { TEXT, PARAMS };
enum { BYTES };

static const jv_field listen_fields[] = {
    [TEXT] = {"out", JV_UTF8, JV_OUT, "text", "what is asked"},
    [PARAMS] = {"params", JV_JSON, JV_OUT, "params", "the request's own options"},
    {0},
};

static const jv_port listen_ports[] = {{"out", "the requests", 0, 0}, {0}};

static const jv_opt listen_opts[] = {
    JV_OPT(struct listen, path, NULL, "path", "the socket to make"),
    JV_OPT(struct listen, cost, "", "", "the counter that `done` tells; 0 if empty"),
    {0},
};

static const jv_counter listen_counters[] = {[BYTES] = {"asked_bytes", "byte", "read from clients", 0, 0}, {0}};

static int32_t listen_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct listen *s = ctx;
    s->h = h;
    s->fd = s->wake = -1;
    pthread_mutex_init(&s->admits, NULL);
    pthread_mutex_init(&s->lock, NULL);
    s->opened = true;
    size_t n = strlen(s->path), most = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    return n <= most ? JV_OK : jv_fail(err, JV_BAD, "path has %zu bytes; a socket's has %zu at most", n, most);
}

static bool listen_send(void *self, void *user, jv_str id, bool partial, jv_str text)
{
    struct listen *s = self;
    struct client *c = ((struct request *)user)->client;
    pthread_mutex_lock(&s->lock);
    if (!partial || c->out_n < NO_SNAPSHOTS) post_say(s, c, id, partial ? "partial" : "final", text);
    bool there = !c->gone;
    pthread_mutex_unlock(&s->lock);
    return there;
}

static void refuse(struct listen *s, struct client *c, const char *why)
{
    char id[48];
    int n = snprintf(id, sizeof id, "%llu.%llu", (unsigned long long)c->number, (unsigned long long)c->asked);
    pthread_mutex_lock(&s->lock);
    post_say(s, c, (jv_str){id, (size_t)n}, "refused", (jv_str){why, strlen(why)});
    pthread_mutex_unlock(&s->lock);
}

static int32_t fill(struct listen *s, jv_buf *b, const struct asked *a, jv_err *err)
{
    const jv_host *h = s->h;
    if (a->good < a->text.n) return jv_fail(err, JV_BAD, "the text is no UTF-8 at byte %zu", a->good);
    char *text = h->put(h, b, TEXT, a->text.n, err);
    char *params = text ? h->put(h, b, PARAMS, a->params_n, err) : NULL;
    if (!params) return JV_FATAL;
    if (a->text.n) memcpy(text, a->text.p, a->text.n);
    memcpy(params, a->params, a->params_n);
    h->count(h, b, BYTES, (int64_t)a->text.n);
    return JV_OK;
}

/* From emit (or reject) on the request belongs to `done`, which may already have freed it. */
static int32_t admit(struct listen *s, struct client *c, struct request *r, const struct asked *a, jv_err *err)
{
    const jv_host *h = s->h;
    char id[48];
    int n = snprintf(id, sizeof id, "%llu.%llu", (unsigned long long)c->number, (unsigned long long)c->asked);
    if (s->stopped) return free(r), jv_fail(err, JV_STOPPED, "stopped");
    jv_buf *b = h->begin(h, &(jv_origin){sizeof(jv_origin), a->priority, {id, (size_t)n}, r}, err);
    if (!b) return free(r), err->code;
    int32_t rc = fill(s, b, a, err);
    pthread_mutex_lock(&s->lock);
    *r = (struct request){c->requests, c, h->record(h, b)};
    c->requests = r;
    c->n_requests++;
    pthread_mutex_unlock(&s->lock);
    jv_err why = *err;
    bool on = rc == JV_OK && h->emit(h, b, 0, err) == JV_OK;
    if (rc < 0) h->reject(h, b, &why, err);
    if (!on) return JV_OK; /* `done` tells the client */
    pthread_mutex_lock(&s->lock);
    post_say(s, c, (jv_str){id, (size_t)n}, "begun", (jv_str){0});
    pthread_mutex_unlock(&s->lock);
    return JV_OK;
}

void post_take_line(struct listen *s, struct client *c, char *line, size_t n)
{
    struct asked a;
    jv_err err = {0};
    c->asked++;
    const char *why = post_take_apart(&a, line, n);
    pthread_mutex_lock(&s->lock);
    if (!why && c->n_requests == MAX_REQUESTS) why = "too many requests at once";
    pthread_mutex_unlock(&s->lock);
    struct request *r = why ? NULL : malloc(sizeof *r);
    if (!why && !r) why = "no memory";
    if (why) {
        refuse(s, c, why);
        return;
    }
    pthread_mutex_lock(&s->admits);
    int32_t rc = admit(s, c, r, &a, &err);
    pthread_mutex_unlock(&s->admits);
    if (rc != JV_OK) refuse(s, c, rc == JV_FULL ? "full" : rc == JV_STOPPED ? "stopped" : err.text);
}

static void listen_done(void *ctx, void *user, const jv_buf *root, int32_t status, const jv_err *err)
{
    struct listen *s = ctx;
    struct request *r = user;
    struct client *c = r->client;
    const char *what = status == JV_OK          ? "delivered"
                       : status == JV_DROP      ? "dropped"
                       : status == JV_CANCELLED ? "cancelled"
                                                : "rejected";
    const char *why = err->reason ? err->reason : err->text;
    char text[600];
    int64_t cost = *s->cost ? s->h->tally(s->h, root, s->cost, 0) : 0;
    int n = snprintf(text, sizeof text, "%s %lld%s%s", what, (long long)cost, *why ? " " : "", why);
    pthread_mutex_lock(&s->lock);
    struct request **at = &c->requests;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    c->n_requests--;
    post_say(s, c, s->h->id(s->h, root), "done", (jv_str){text, (size_t)n});
    post_wake(s); /* a client that is gone may have waited for this */
    pthread_mutex_unlock(&s->lock);
    free(r);
}

static int32_t bind_socket(struct listen *s, jv_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, s->path, strlen(s->path));
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    s->bound = s->fd >= 0 && bind(s->fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (!s->bound || listen(s->fd, MAX_CLIENTS) < 0)
        return jv_fail(err, JV_FATAL, "%s: %s", utf8_show(s->path, strlen(s->path)).text, strerror(errno));
    return JV_OK;
}

static int32_t listen_start(void *ctx, jv_err *err)
{
    struct listen *s = ctx;
    int32_t rc = bind_socket(s, err);
    if (rc < 0) return rc;
    s->wake = eventfd(0, EFD_CLOEXEC);
    if (s->wake < 0) return jv_fail(err, JV_FATAL, "eventfd: %s", strerror(errno));
    int e = pthread_create(&s->thread, NULL, post_run, s);
    s->started = e == 0;
    return e ? jv_fail(err, JV_FATAL, "no thread: %s", strerror(e)) : JV_OK;
}

/* Answers are still sent, to the last. */
static void listen_stop(void *ctx)
{
    struct listen *s = ctx;
    pthread_mutex_lock(&s->admits);
    s->stopped = true;
    pthread_mutex_unlock(&s->admits);
}

static void listen_close(void *ctx)
{
    struct listen *s = ctx;
    if (!s->opened) return;
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->closing = true;
        pthread_mutex_unlock(&s->lock);
        post_wake(s);
        pthread_join(s->thread, NULL);
    }
    for (struct client *c = s->clients, *next; c; c = next) {
        next = c->next;
        if (c->fd >= 0) close(c->fd);
        free(c->out);
        free(c);
    }
    if (s->bound) unlink(s->path);
    if (s->fd >= 0) close(s->fd);
    if (s->wake >= 0) close(s->wake);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->admits);
}

static const struct post_api listen_api = {sizeof listen_api, listen_send};
static const jv_service listen_services[] = {{SERVICE, &listen_api}, {0}};

/* ---- reply: the sink that answers -------------------------------------------------------------------------------- */

enum { IN };

struct reply {
    const jv_host *h;
    jv_ref source;
};

static const jv_field reply_fields[] = {[IN] = {"in", JV_UTF8, JV_IN, "text", "the answer"}, {0}};

static const jv_opt reply_opts[] = {JV_OPT(struct reply, source, NULL, SERVICE, "whose requests are answered"), {0}};

static int32_t reply_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct reply *)ctx)->h = h;
    return JV_OK;
}

static int32_t reply_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct reply *c = ctx;
    const jv_host *h = c->h;
    const struct post_api *api = c->source.api;
    void *request = h->user(h, b, &c->source);
    if (!request) return jv_fail(err, JV_BAD, "the record comes from another source");
    bool there = api->send(c->source.self, request, h->id(h, b), h->is_partial(h, b), h->get(h, b, IN));
    return there ? JV_OK : jv_drop(err, "the client is gone");
}

static const jv_stage stages[] = {
    {
        .name = "listen",
        .brief = "requests from a UNIX socket",
        .flags = JV_ENDLESS,
        .ctx_size = sizeof(struct listen),
        .fields = listen_fields,
        .ports = listen_ports,
        .opts = listen_opts,
        .counters = listen_counters,
        .services = listen_services,
        .open = listen_open,
        .start = listen_start,
        .stop = listen_stop,
        .done = listen_done,
        .close = listen_close,
    },
    {
        .name = "reply",
        .brief = "answers the requests",
        .flags = JV_PARALLEL | JV_PARTIALS,
        .ctx_size = sizeof(struct reply),
        .threads = 4,
        .fields = reply_fields,
        .opts = reply_opts,
        .open = reply_open,
        .process = reply_process,
    },
};

JV_PLUGIN("post", "1.0", "MIT", stages);
