/*
 * pump.h: a thread that keeps a command running and hands it lines, and the lines it answers with back.
 *
 * Whoever has a line waits in pump_ask until its answer is there. Up to as many lines as there are such callers are on
 * their way at once, so the command may take several at a time. It answers in the order of the lines, each answer with
 * the id of its line: that is how lines too few or too many are noticed.
 *
 * When the command ends, hangs or loses count, it is started anew. Where it was new and had one line only, it is clear
 * which one did it: that caller gets JV_RETRY. Else it is not: all lines on their way are sent again, one at a time,
 * until they are answered or to blame, and no other caller hears of it.
 */
#ifndef JV_EXEC_PUMP_H
#define JV_EXEC_PUMP_H

#include <pthread.h>

#include "answer.h"
#include "child.h"

/* One line and its answer. Freed when both the caller and the pump have let go of it. */
struct job {
    struct job *next;
    const jv_buf *b; /* to ask whether it is cancelled; not touched once the caller has been told */
    jv_str id;
    struct row line;   /* ends with a newline */
    struct row answer; /* without its newline, when code is JV_OK */
    size_t sent;       /* bytes of the line that have been written */
    bool suspect;      /* it was on its way when the command failed: it goes alone */
    bool told;         /* code is final */
    int32_t code;
    atomic_int holders;
    jv_err err;
    pthread_cond_t done;
};

struct pump {
    /* Set before pump_start, after pump_init. */
    const jv_host *h;
    struct plan plan;
    int64_t answer_within, restarts, max_answer; /* ms, in a row, bytes */

    pthread_mutex_t lock; /* of all below but the pump's own */
    bool has_lock, has_thread;
    pthread_t thread;
    struct job *head, **tail; /* in the order in which they are sent; those on their way are in front */
    int64_t since;            /* ms: when the oldest became the one to be answered */
    int64_t restarted;        /* restarts not yet counted by anybody */
    bool finishing;           /* no more lines will come */
    bool failed;              /* the command is not to be started again, `why` says why */
    jv_err why;
    atomic_bool stopping;
    int wake, over; /* eventfd: something is new for the pump; it has finished */

    /* The pump's own. */
    struct child child;
    struct row in;  /* of its standard output, up to the first newline missing */
    size_t scanned; /* bytes of `in` without a newline */
    bool skipping;  /* the rest of an answer that was too long */
    bool fresh;     /* it has answered nothing since it was started */
    bool finished;
    int64_t failures; /* in a row, without an answer */
    int64_t sweep;    /* ms: when to look again at what has been cancelled */
};

/* All zero but descriptors, which are closed. */
void pump_init(struct pump *p);
/* Starts the command and the thread. */
int32_t pump_start(struct pump *p, jv_err *err);
/* Waits for the answer to job->line. JV_OK: job->answer is it; JV_BAD, JV_RETRY, JV_FATAL, JV_CANCELLED and err. */
int32_t pump_ask(struct pump *p, struct job *job, jv_err *err);
/* How often the command has been started anew since the last call. */
int64_t pump_restarts(struct pump *p);
/* No more lines: closes the command's input and lets it end, as long as it would have for an answer; when the run is
 * cancelled, as pump_close does. */
void pump_finish(struct pump *p);
/* Ends the command and the thread, in less than 2 s. In any state. */
void pump_close(struct pump *p);

/* Null: no memory. The line is still to be written, the caller holds it. */
struct job *job_new(const jv_buf *b, jv_str id);
/* Lets go of it. */
void job_release(struct job *job);

#endif
