/*
 * post.h: what the files of post share. post.c has the stages, post_line.c takes a request apart, post_socket.c is the
 * thread that reads and writes all sockets.
 */
#ifndef POST_H
#define POST_H

#include <pthread.h>
#include <stdbool.h>

#include "jevons.h"

#define MAX_CLIENTS 32
#define MAX_REQUESTS 64 /* of a client, at once */
#define MAX_LINE 4096   /* bytes of a request */

/* jv_origin.user */
struct request {
    struct request *next;
    struct client *client;
    uint64_t record; /* for `cancel` */
};

struct client {
    struct client *next;
    struct request *requests; /* this and all below: under the lock */
    size_t n_requests;
    char *out; /* not yet written */
    size_t out_n, out_cap;
    bool gone;
    uint64_t number, asked; /* these and all below: of the thread alone */
    int fd;
    size_t in_n;
    char in[MAX_LINE];
};

struct listen {
    const jv_host *h;
    const char *path, *cost;
    int fd, wake;
    pthread_t thread;
    bool opened, bound, started;
    uint64_t n_clients;     /* so far */
    pthread_mutex_t admits; /* held from begin to emit: `stop` waits for the last; `done` leaves it alone */
    bool stopped;
    pthread_mutex_t lock; /* guards clients, requests, and closing */
    struct client *clients;
    bool closing;
};

/* A request, taken apart in place. */
struct asked {
    int32_t priority;
    char params[2 * MAX_LINE];
    size_t params_n;
    jv_str text;
    size_t good; /* so many bytes of the text are UTF-8 */
};

/* Null, or why the line is no request. */
const char *post_take_apart(struct asked *a, char *line, size_t n);

/* A line that a client sent, without its newline. */
void post_take_line(struct listen *s, struct client *c, char *line, size_t n);

/* Appends a message to what the client gets. With the lock held. A client that leaves too much unread is hung up on. */
void post_say(struct listen *s, struct client *c, jv_str id, const char *what, jv_str text);
void post_wake(struct listen *s);
/* The thread; ends after `closing`, when all is sent or nobody takes any more. */
void *post_run(void *s);

#endif
