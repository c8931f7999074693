/*
 * child.h: a process with pipes to its standard input, output and error.
 *
 * It leads a process group of its own, so that an interrupt typed at the terminal does not reach it (the host drains
 * first) and what it started ends with it. No descriptor of the host's is open in it.
 */
#ifndef JV_EXEC_CHILD_H
#define JV_EXEC_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "jevons.h"

struct plan {
    const jv_host *h;
    char **argv;        /* ends with a null */
    char *program;      /* where argv[0] was found; relative to the folder when it has a slash and is relative */
    const char *folder; /* its working directory */
};

struct child {
    pid_t pid;        /* 0: there is none */
    int in, out, log; /* our ends, which never block; -1: closed */
    char line[1000];  /* of its standard error, until it ends */
    size_t n_line;
    bool cut; /* the rest of that line is thrown away */
};

#define CHILD_NONE                                                                                                     \
    {                                                                                                                  \
        .in = -1, .out = -1, .log = -1                                                                                 \
    }

/* Copies the command and looks for its program, as it will be found. < 0: err. plan_free takes what it leaves. */
int32_t plan_make(struct plan *p, const jv_list *command, jv_err *err);
void plan_free(struct plan *p);

int32_t child_start(struct child *c, const struct plan *p, jv_err *err);
/* Hands what it wrote to its standard error to the log, line by line; false: nothing more is there. */
bool child_hear(struct child *c, const jv_host *h);
/* Closes its input and waits so many ms for it to end; then asks it to (SIGTERM), then makes it (SIGKILL), each half a
 * second later at most. `hurry`: once true, it waits no longer than half a second more. `how`, of n bytes, says how it
 * ended. True: by itself, with status 0. */
bool child_end(struct child *c, const jv_host *h, int64_t ms, const atomic_bool *hurry, char *how, size_t n);

int64_t now_ms(void);

#endif
