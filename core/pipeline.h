/*
 * pipeline.h: a pipeline as the host keeps it. Built by graph.c, run by run.c, reported by report.c.
 *
 * Stages hang in trees, one below each source. A stage is called by one thread at a time, the thread of its SEGMENT:
 * the source's own thread runs everything down to the next PARALLEL stage with several threads; that stage has
 * workers, and one more thread, the collector, that takes what they made and runs everything down to the next such
 * stage (farm.c).
 */
#ifndef JVC_PIPELINE_H
#define JVC_PIPELINE_H

#include "conf.h"
#include "plugin.h"

#include <pthread.h>
#include <stdatomic.h>

enum jvc_kind { JVC_SOURCE, JVC_FILTER, JVC_SINK, JVC_RESOURCE };

/* Memory behind the bytes of fields; shared by tables, counted. */
struct jvc_block {
    atomic_uint refs;
    size_t cap;
    char data[];
};

struct jvc_value {
    struct jvc_block *block; /* of a field with bytes; null: absent, or a number */
    union {
        const char *p;
        int64_t i;
        double f;
    } u;
    size_t n;
    bool set;
};

struct jvc_stage;
struct jvc_pipeline;

/* One record, as long as a buffer or a child of it lives. */
struct jvc_node {
    struct jvc_node *parent, *root; /* root: itself for a root */
    struct jvc_stage *source;
    atomic_uint refs;     /* buffers and children */
    atomic_int cancelled; /* of a root: stands for all below */
    atomic_int status;    /* JV_OK, JV_DROP or the worst of the errors */
    uint32_t index;
    uint32_t slot; /* of a root: in its source's window */
    void *user;
    jv_err *err;       /* of a root with an error status; under the source's lock */
    uint64_t sequence; /* of a root: the order of its begin */
    char *id;
    size_t id_n;
};

struct jv_buf {
    struct jvc_node *node;
    struct jv_buf *next; /* in a list of those forked and not yet emitted, or of outputs waiting */
    struct jv_buf *prev;
    int32_t port;          /* while it waits as an output */
    bool partial, open;    /* open: begun or forked, not emitted yet */
    int32_t growing;       /* the slot built by `partial`, whose block may be appended to; -1 */
    struct jvc_task *task; /* while a worker processes it: where its snapshots go */
    uint32_t children;     /* forked from this table */
    atomic_llong *counts;  /* what this record was counted on its way here, by counter of the pipeline */
    struct jvc_value v[];
};

/* What a row of a stage stands for. */
struct jvc_row_of {
    const char *name;
    int32_t type;
    uint32_t access;
    enum { JVC_ABSENT, JVC_SLOT, JVC_ID, JVC_COUNT } kind;
    uint32_t at; /* slot, or counter of the pipeline */
};

/* A column and where it comes from. */
struct jvc_column {
    jv_column c;
    struct jvc_row_of of;
    struct jvc_stage *by; /* null: `id` */
};

struct jvc_columns {
    struct jvc_column *v;
    uint32_t n;
};

struct jvc_edge {
    struct jvc_stage **to;
    uint32_t n;
};

struct jvc_drop {
    const char *reason;
    uint64_t n;
};

struct jvc_stage {
    jv_host host; /* first: what the plugin is given is this stage */
    struct jvc_pipeline *pl;
    struct jvc_section *sec; /* name and place */
    const jv_plugin *desc;
    const jv_stage *def;
    enum jvc_kind kind;
    void *ctx;
    bool faulty;                     /* something in its section is wrong: it is not opened */
    bool open, opened_well, started; /* open was called, and said yes */

    struct jvc_stage *up;
    struct jvc_edge *ports; /* n_ports */
    uint32_t n_ports;
    struct jvc_row_of *rows;
    uint32_t n_rows, n_declared; /* declared by the table; the rest by `field` */
    struct jvc_columns in, out;  /* readable here; readable behind it */
    uint32_t *counters;          /* of the pipeline, by the stage's own number */
    atomic_llong *sums;          /* by the stage's own number */
    uint32_t n_counters;
    struct jvc_stage **refs; /* stages named in ref options: opened and started before this one */
    uint32_t n_refs;

    int64_t threads, retries;
    bool stop_on_error;
    bool streams;          /* a snapshot given to port 0 would reach somebody */
    bool order_matters;    /* an ORDERED stage stands behind it */
    struct jvc_farm *farm; /* of a PARALLEL stage with threads > 1 */

    /* sources: the window of records on their way */
    pthread_mutex_t lock;
    pthread_cond_t room;
    struct jvc_slot {
        struct jvc_node *node;
        uint32_t generation, next_free;
    } * slots;
    uint32_t window, in_flight, first_free, slots_used;
    uint64_t sequence;
    atomic_bool ended; /* nothing more is wanted of it, or it has nothing more */
    pthread_t thread;
    bool has_thread;

    /* sums for the end table */
    atomic_llong n_in, n_out, n_rejected, n_cancelled, n_retried, n_delivered, busy_ns, wait_ns;
    struct jvc_drop *drops; /* under lock */
    size_t n_drops;
};

struct jvc_pipeline {
    struct jvc_conf conf;
    char *name;
    char *dead_path;
    struct jvc_stage **stages; /* in the order of opening: a stage after what it reads and refers to */
    uint32_t n;
    uint32_t n_slots;
    struct jvc_counter {
        const char *name, *unit;
        uint32_t flags;
    } * counters;
    uint32_t n_counters;
    bool stop_on_error;
    int64_t retries;

    int stop_fd;   /* readable once the run is being stopped: what a source's `wait` watches */
    int cancel_fd; /* readable once it is cancelled: what any other's does */
    int over_fd;   /* readable once nobody needs to listen for signals any more */
    atomic_bool stopping, cancelled, failed;
    atomic_bool cut_short; /* records were left out because of a signal */
    atomic_llong roots_done, roots_cancelled;
    int64_t started_ns, ended_ns;
    struct jvc_dead *dead;
};

/* ---- graph.c ---- */

/* Reads the file, finds plugins, wires and opens everything; problems stand in pl->conf. Answers whether there were
 * none. */
bool jvc_pipeline_open(struct jvc_pipeline *pl, const char *file, char *const *overrides, size_t n);
/* Closes and frees all. */
void jvc_pipeline_close(struct jvc_pipeline *pl);
/* "clean" or "clean (file:line)" for messages; valid until the pipeline is closed. */
const char *jvc_stage_place(const struct jvc_stage *s);

/* ---- options of a section: setup.c ---- */

/* Sets the stage's options and host keys from its section, finds unknown keys. */
void jvc_stage_configure(struct jvc_stage *s);
/* Makes the declared rows, their names taken from the section. */
void jvc_stage_rows(struct jvc_stage *s);
/* Computes s->in from what stands above, binds declared rows, computes s->out. After the upstream's open. */
bool jvc_stage_bind(struct jvc_stage *s);
/* After the stage's own open: the columns behind it. */
void jvc_stage_columns(struct jvc_stage *s);
int32_t jvc_bind_name(struct jvc_stage *s, struct jvc_row_of *row, jv_err *err);
const char *jvc_type_name(int32_t type);

/* ---- host.c ---- */

extern const jv_host jvc_host_table;

/* ---- buf.c ---- */

struct jvc_node *jvc_node_new(struct jvc_stage *source, struct jvc_node *parent, size_t id_n); /* null: no memory */
void jvc_node_release(struct jvc_node *n);
void jvc_node_worsen(struct jvc_node *n, int32_t status, const jv_err *err);
bool jvc_node_cancelled(const struct jvc_node *n);

/* takes over a reference to node; null: no memory */
jv_buf *jvc_buf_new(struct jvc_pipeline *pl, struct jvc_node *node);
jv_buf *jvc_buf_copy(struct jvc_pipeline *pl, const jv_buf *b); /* same record, own table */
void jvc_buf_release(struct jvc_pipeline *pl, jv_buf *b);       /* null is fine */

struct jvc_block *jvc_block_new(size_t n);
void jvc_block_release(struct jvc_block *b); /* null is fine */

/* ---- run.c ---- */

/* Starts everything, runs to the end; answers the exit status. */
int jvc_pipeline_run(struct jvc_pipeline *pl);
/* Sources admit no more; what is on its way is finished. */
void jvc_pipeline_stop(struct jvc_pipeline *pl);
/* Everything on its way ends as cancelled. */
void jvc_pipeline_cancel(struct jvc_pipeline *pl);
/* The run has failed: says why, once, and cancels. */
void jvc_pipeline_fail(struct jvc_stage *s, const jv_buf *b, const jv_err *err);
/* A settled root gives its place in the window back and tells the source. Called when the last reference is gone. */
void jvc_root_settled(struct jvc_node *root);

/* ---- flow.c: one thread's way through the stages ---- */

/* A call of a plugin's function: what it allocated for its own length, what it forked and did not emit. One per
 * nesting, on the stack. */
struct jvc_call {
    struct jvc_call *outer;
    struct jvc_stage *stage;
    struct jvc_task *task; /* of a worker: where its outputs go */
    void **scratch;
    size_t n_scratch;
    struct jvc_block **late; /* blocks replaced by `put`, readable until the call returns */
    size_t n_late;
    jv_buf *open;      /* begun or forked, not emitted */
    int64_t nested_ns; /* spent in stages below, within this call */
};
extern _Thread_local struct jvc_call *jvc_current_call;
void jvc_call_enter(struct jvc_call *c, struct jvc_stage *s);
void jvc_call_leave(struct jvc_call *c);

/* Runs a stage's process on a buffer, retries included, and does what the verdict says; takes b. task: a worker's,
 * else null. */
void jvc_process(struct jvc_stage *s, jv_buf *b, struct jvc_task *task);
/* A stage's output: kept as the task's, or delivered right away; takes b. */
void jvc_give(struct jvc_stage *s, uint32_t port, jv_buf *b, struct jvc_task *task);
/* To all that read the port: called right here, or queued where a farm begins; takes b. */
void jvc_deliver(struct jvc_stage *s, uint32_t port, jv_buf *b);
/* Takes b as rejected. */
void jvc_reject(struct jvc_stage *s, jv_buf *b, const jv_err *err);
/* Takes b as cancelled. */
void jvc_drop_cancelled(struct jvc_stage *s, jv_buf *b);
/* Calls a stage's flush. */
void jvc_flush(struct jvc_stage *s);
/* Input is over for all that reads from s: flushes down to the next farms, and closes those. */
void jvc_finish(struct jvc_stage *s);

/* ---- farm.c: PARALLEL stages ---- */

struct jvc_farm *jvc_farm_new(struct jvc_stage *s);
int jvc_farm_start(struct jvc_farm *f);            /* 0, or the error number for which there is no thread */
void jvc_farm_push(struct jvc_farm *f, jv_buf *b); /* takes b; blocks while the farm is full */
void jvc_farm_close(struct jvc_farm *f);
void jvc_farm_join(struct jvc_farm *f);
void jvc_farm_free(struct jvc_farm *f);
/* A worker's output or snapshot for its task; takes b. */
void jvc_task_output(struct jvc_farm *f, struct jvc_task *t, jv_buf *b);
/* Whether a snapshot of that task would be passed on now. */
bool jvc_task_streams(struct jvc_farm *f, struct jvc_task *t);
void jvc_task_snapshot(struct jvc_farm *f, struct jvc_task *t, jv_buf *b);

/* ---- dead.c ---- */

/* Writes a rejected record: id, stage, place, error, fields. Any thread. False: it could not be written (err). */
bool jvc_dead_write(struct jvc_pipeline *pl, const struct jvc_stage *s, const jv_buf *b, const jv_err *why, jv_err *err);
/* Removes an earlier run's file, and refuses one that is something else. */
bool jvc_dead_begin(struct jvc_pipeline *pl, jv_err *err);
/* Puts the rows into source order and closes. */
bool jvc_dead_end(struct jvc_pipeline *pl, jv_err *err);
uint64_t jvc_dead_count(const struct jvc_pipeline *pl);

/* ---- report.c ---- */
void jvc_report(const struct jvc_pipeline *pl, bool json);

#endif
