/*
 * pipeline.h: a pipeline as the host keeps it. Built by graph.c, setup.c and shape.c, run by run.c, reported by report.c.
 *
 * Stages are grouped into STRANDS (strand.c). A strand is what one thread runs: a source and the stages below it, called
 * one after the other over what is waiting; or a PARALLEL stage, with as many threads as it has calls at once; or the
 * stages behind one of those, or behind a join of several strands, with an inbox. So a stage that is not PARALLEL is
 * only ever called by one thread.
 *
 * A record's PLACE (place.c) before a stage that needs to know is one of coming, here, never: before an ORDERED stage
 * where something upstream may disorder, and of a child before the merge that waits for it.
 */
#ifndef JVC_PIPELINE_H
#define JVC_PIPELINE_H

#include "conf.h"
#include "plugin.h"

#include <pthread.h>
#include <stdatomic.h>

enum jvc_kind { JVC_SOURCE, JVC_FILTER, JVC_SINK, JVC_RESOURCE };

#define JVC_BATCH 64 /* buffers a stage works through in one go, at most */

struct jvc_stage;
struct jvc_strand;
struct jvc_pipeline;

/* ---- records and buffers (buf.c) ---- */

/* Memory behind the bytes of fields; shared by tables, counted. */
struct jvc_block {
    atomic_uint refs;
    size_t cap;
    struct jvc_pipeline *pl; /* whose bytes these are counted as */
    _Alignas(16) char data[];
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

/* Where a record stands as seen from one stage that waits for it. Under the lock of that stage's gate. */
struct jvc_place {
    struct jvc_place *prev, *next; /* in the line of its source, before an ORDERED stage */
    jv_buf *here;
    struct jvc_wait *wait; /* of a record that is split: its own, before this merge */
    enum { JVC_NEVER, JVC_COMING, JVC_HERE } state;
};

/* A record that was split, before one of the merges that close the split. Under the lock of the merge's gate. */
struct jvc_wait {
    jv_buf *parent;  /* once the split has answered */
    uint32_t coming; /* children, and 1 for the split until it has answered */
    bool off;        /* the split failed: its record does not come to the merge */
    uint32_t n, cap;
    struct jvc_kid { /* by the child's index */
        jv_buf *b;   /* null: it did not come */
        int32_t code;
        const char *reason; /* of a drop */
        char *text;         /* of an error; may be null for want of memory */
    } * kids;
};

/* One record, as long as a buffer or a child of it lives. */
struct jvc_node {
    struct jvc_node *parent, *root; /* root: itself for a root */
    struct jvc_stage *source;
    atomic_uint refs;     /* buffers and children */
    atomic_int cancelled; /* of a root: stands for all below */
    atomic_int status;    /* JV_OK, JV_DROP or the worst of the errors */
    uint32_t index;
    uint32_t slot;         /* of a root: in its source's window */
    int32_t lane;          /* JVC_LIVE or JVC_LATER, the root's */
    atomic_bool delivered; /* of a root: something of it */
    void *user;
    jv_err *err;             /* of a root with an error status; under the source's lock */
    uint64_t sequence;       /* of a root: the order of its begin */
    atomic_llong *tallies;   /* of a root: by counter of the pipeline, of all that came of it */
    jv_buf *bare;            /* of a root whose source has `done`: a table without fields, for that call */
    struct jvc_place *place; /* by place of the pipeline */
    const char *id;
    size_t id_n;
};

enum { JVC_LIVE, JVC_LATER, JVC_LANES };

struct jv_buf {
    struct jvc_node *node;
    struct jvc_stage *at;       /* while it waits in an inbox: for whom */
    struct jv_buf *next, *prev; /* in a list: of an inbox, of those made and not yet emitted */
    bool partial, open;         /* open: begun or forked, not emitted yet */
    uint8_t lane;               /* the root's */
    int32_t growing;            /* the slot built by `partial`, whose block may be appended to; -1 */
    uint32_t children;          /* forked from this table */
    atomic_llong *counts;       /* what this record was counted on its way here, by counter of the pipeline */
    struct jvc_value v[];
};

struct jvc_list {
    jv_buf *first, *last;
    size_t n;
};

/* ---- stages ---- */

/* What a row of a stage stands for. */
struct jvc_row_of {
    const char *name;
    int32_t type;
    uint32_t access;
    enum { JVC_ABSENT, JVC_SLOT, JVC_ID, JVC_COUNT } kind;
    uint32_t at; /* slot, or counter of the pipeline */
};

/* A column and where it comes from: texts that name stages and ports. */
struct jvc_column {
    jv_column c;
    struct jvc_row_of of;
    const char *by; /* who makes it */
    /* where several ways are joined: */
    const char *missing; /* with JV_OPTIONAL: a way by which it does not come */
    const char *differs; /* who makes it of another type; null: nobody */
    bool moved;          /* it lies in different slots */
};

struct jvc_columns {
    struct jvc_column *v;
    uint32_t n;
};

/* Places, by their number in the pipeline. */
struct jvc_places {
    uint32_t *v, n;
};

/* A port and who reads it. */
struct jvc_port {
    const char *name, *from, *named; /* from: as one reads it, STAGE or STAGE.PORT; named: with its stage's place */
    const char *unread;              /* why a record that goes this way is dropped, where nobody reads it */
    bool optional;
    struct jvc_stage **to;
    uint32_t *input; /* of `to`: the number of that input there */
    uint32_t n;
    struct jvc_places lost; /* what a record that goes this way will never reach */
};

/* One of the inputs of a stage. */
struct jvc_input {
    struct jvc_stage *up;
    uint32_t port;
    struct jvc_where where; /* the line that says so */
    struct jvc_move {       /* a field that lies in another slot by this way than where it is read */
        uint32_t from, to;
    } * moves;
    uint32_t n_moves;
};

struct jvc_drop {
    const char *reason;
    uint64_t n;
};

/* 0 only in a build that shows what counting for the end table costs: meson's option `statistics`. */
#ifndef JVC_STATISTICS
#define JVC_STATISTICS 1
#endif

static inline void jvc_count(atomic_llong *sum, long long n)
{
    if (JVC_STATISTICS) atomic_fetch_add_explicit(sum, n, memory_order_relaxed);
}

/* What went through a stage, by lane. */
struct jvc_flow {
    atomic_llong in, out, dropped, rejected, cancelled, retried;
};

struct jvc_stage {
    jv_host host; /* first: what the plugin is given is this stage */
    struct jvc_pipeline *pl;
    struct jvc_section *sec; /* name and place */
    const char *place;       /* "file:line" */
    const char *named;       /* "name (file:line)" */
    const jv_plugin *desc;
    const jv_stage *def;
    enum jvc_kind kind;
    void *ctx;
    uint32_t at;            /* in the pipeline's stages */
    bool faulty;            /* something in its section is wrong: it is not opened */
    bool cut_off;           /* something it reads, or what that reads, is not known: it is not opened */
    bool bad_path;          /* a path of its is of no use, which was told: it is opened all the same */
    bool unsure;            /* something above it could not be opened: not all columns here are known */
    bool looked;            /* its open has looked at the columns: what it says may follow from them */
    bool open, opened_well; /* open was called, and said yes */
    bool opening, mistaken; /* open is running; it has told of a mistake */
    char *told;             /* what open was last told by `field`, or itself told */
    atomic_bool started;    /* looked at by whoever stops the run */

    struct jvc_input *inputs;
    uint32_t n_inputs;
    struct jvc_port *ports; /* n_ports, and one more: `rejected` */
    uint32_t n_ports;
    struct jvc_row_of *rows;
    uint32_t n_rows, n_declared;     /* declared by the table; the rest by `field` */
    struct jvc_columns in, out, bad; /* readable here; behind it; behind its port `rejected` */
    int32_t params_slot;             /* of the field `params` that comes here, or -1 */
    int32_t error_slot;              /* of `error` on the port `rejected`, or -1 */
    uint32_t *counters;              /* of the pipeline, by the stage's own number */
    atomic_llong *sums;              /* by the stage's own number */
    uint32_t n_counters;
    struct jvc_stage **refs; /* stages named in ref options: opened and started before this one */
    uint32_t n_refs;

    struct jvc_move *carries; /* from what came to what is passed on, where the stage did not set it */
    uint32_t n_carries;

    int64_t threads, retries;
    int32_t lane; /* of a source: what its records are unless it says otherwise */
    bool stop_on_error;
    bool streams; /* a snapshot given to port 0 would reach somebody */
    int32_t leased;

    /* shape.c */
    struct jvc_stage *within;  /* the innermost split that is open where this stage reads, or null */
    struct jvc_stage **merges; /* of a split: those that close it */
    uint32_t n_merges;
    struct jvc_gate *gate; /* of an ORDERED stage that has to wait, of a merge; else null */
    bool ordered;          /* the gate puts into order */
    uint32_t order_place, merge_place;
    struct jvc_places reach; /* what a record that comes to this stage, or its children, may reach, this one included */
    struct jvc_places after; /* the same behind it */
    struct jvc_places kids;  /* of a split: what its children may reach */
    struct jvc_places settled; /* of a split that has answered: what it itself will never reach */

    /* strand.c */
    struct jvc_strand *strand;
    jv_buf *pending[JVC_BATCH];
    uint32_t n_pending;

    /* sources: the window of records on their way */
    pthread_mutex_t lock;
    pthread_cond_t room;
    struct jvc_slot {
        struct jvc_node *node;
        uint32_t generation, next_free;
    } * slots;
    uint32_t window, first_free, slots_used;
    atomic_uint in_flight;
    uint32_t n_open; /* begun by threads of the source's own and not emitted yet */
    uint32_t source_at;
    uint64_t sequence;
    atomic_bool ended; /* nothing more is wanted of it, or (a source) it has nothing more */
    int stop_fd;       /* of a source: readable once it is to stop */
    atomic_bool told_to_stop;

    /* sums for the end table */
    struct jvc_flow flow[JVC_LANES];
    atomic_llong busy_ns, wait_ns;
    struct jvc_drop *drops; /* under lock */
    size_t n_drops;
};

struct jvc_pipeline {
    struct jvc_conf conf;
    char *name;
    char *dead_path;
    struct jvc_stage **stages; /* in the order of opening: a stage after what it reads and refers to */
    uint32_t n, n_sources;
    struct jvc_strand *strands;
    uint32_t n_strands;
    struct jvc_place_of {
        struct jvc_stage *stage;
        bool merges; /* children wait there for each other; else records for those before them */
    } * places;
    uint32_t n_places;
    uint32_t n_slots;
    struct jvc_counter {
        const char *name, *unit;
        uint32_t flags;
    } * counters;
    uint32_t n_counters;
    const char **per_record; /* the names of all options with JV_PER_RECORD; ends with null */
    bool stop_on_error;
    int64_t retries, retry_after_ms, memory;
    int32_t cores, leased; /* the budget of compute threads */
    bool cores_given;      /* by the file: nobody gets more, whatever it asks for */
    pthread_mutex_t lock;  /* of the budget, and of go */
    pthread_cond_t gone;
    enum { JVC_WAIT, JVC_GO, JVC_NO_GO } go;

    int cancel_fd;           /* readable once it is cancelled: what a `wait` that is not a source's watches */
    struct jvc_watch *watch; /* that listens for signals */
    atomic_bool stopping, cancelled, failed, over;
    atomic_bool cut_short; /* records were left out because of a signal */
    atomic_llong roots_done, roots_cancelled;
    atomic_llong bytes; /* of blocks that live */
    int64_t started_ns, ended_ns;
    struct jvc_stage *_Atomic starting; /* whose start is running, or null */
    struct jvc_dead *_Atomic dead;
};

/* ---- graph.c ---- */

/* Reads the file, finds plugins, wires and opens everything; problems stand in pl->conf. Answers whether there were
 * none. */
bool jvc_pipeline_open(struct jvc_pipeline *pl, const char *file, char *const *overrides, size_t n);
/* Closes and frees all. */
void jvc_pipeline_close(struct jvc_pipeline *pl);
/* What a stage's open says is wrong, unless that may only follow from what was told before. */
void jvc_stage_mistake(struct jvc_stage *s, const char *text);
/* "clean" or "clean (file:line)" for messages; valid until the pipeline is closed. */
const char *jvc_stage_place(const struct jvc_stage *s);

/* After all are configured: connects the stages by `from` and puts them in order; wire.c. */
void jvc_pipeline_wire(struct jvc_pipeline *pl);

/* ---- options of a section: setup.c ---- */

/* Sets the stage's options and host keys from its section, finds unknown keys. */
void jvc_stage_configure(struct jvc_stage *s);
/* Makes the declared rows, their names taken from the section. */
void jvc_stage_rows(struct jvc_stage *s);
/* Computes s->in from what its inputs bring and binds declared rows; columns.c. After the open of those. */
bool jvc_stage_bind(struct jvc_stage *s);
/* After the stage's own open: the columns behind it; columns.c. */
void jvc_stage_columns(struct jvc_stage *s);
/* What a record has when it comes to s (a source: what it sets): what is written down of one that is rejected. */
const struct jvc_columns *jvc_stage_input(const struct jvc_stage *s);
int32_t jvc_bind_name(struct jvc_stage *s, struct jvc_row_of *row, jv_err *err);
/* Tells why a name that the plugin's open gave cannot be bound, where the section says that name. */
void jvc_name_unbound(struct jvc_stage *s, const char *name, const char *why);
const char *jvc_type_name(int32_t type);

/* After all are configured: what their paths name, and whether two sections are at one file; paths.c. */
void jvc_paths_check(struct jvc_pipeline *pl);

/* The section [pipeline], and what follows from the file's name; settings.c. */
void jvc_pipeline_settings(struct jvc_pipeline *pl, const char *file);
/* After all have opened: places, what is reached from where, strands. */
void jvc_pipeline_shape(struct jvc_pipeline *pl);
/* What can be known before anything opens: tees that meet, brackets. */
void jvc_shape_check(struct jvc_pipeline *pl);

/* ---- host.c ---- */

extern const jv_host jvc_host_table;

/* ---- buf.c: null is always for want of memory ---- */

/* A child begins without places, a root likewise; id_n bytes of the id are to be filled in. One reference. */
struct jvc_node *jvc_node_new(struct jvc_stage *source, struct jvc_node *parent, size_t id_n);
void jvc_node_release(struct jvc_node *n);
void jvc_node_worsen(struct jvc_node *n, int32_t status, const jv_err *err);

static inline bool jvc_node_cancelled(const struct jvc_node *n)
{
    return atomic_load_explicit(&n->root->cancelled, memory_order_relaxed);
}

/* takes over a reference to node */
jv_buf *jvc_buf_new(struct jvc_pipeline *pl, struct jvc_node *node);
jv_buf *jvc_buf_copy(struct jvc_pipeline *pl, const jv_buf *b); /* same record, own table */
void jvc_buf_release(struct jvc_pipeline *pl, jv_buf *b);       /* null is fine */
void jvc_buf_clear(jv_buf *b, uint32_t slot);

struct jvc_block *jvc_block_new(struct jvc_pipeline *pl, size_t n);
void jvc_block_release(struct jvc_block *b); /* null is fine */

void jvc_list_add(struct jvc_list *l, jv_buf *b);
void jvc_list_join(struct jvc_list *l, struct jvc_list *more); /* empties `more` */
jv_buf *jvc_list_take(struct jvc_list *l);                     /* null: empty */

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
/* A stage wants nothing more: stops the sources that have nobody left to work for. */
void jvc_stage_end(struct jvc_stage *s);
/* What the thread of a source does. */
void jvc_source_run(struct jvc_stage *s);
/* Until all threads are there; false: they are not, and nothing runs. */
bool jvc_wait_for_go(struct jvc_pipeline *pl);
/* Whether a root may be begun now, by the window's records and the pipeline's bytes. */
bool jvc_window_has_room(struct jvc_stage *s);

/* ---- watch.c ---- */

/* Listens for signals until jvc_watch_end, which jvc_pipeline_close calls. False: it cannot, and said why. */
bool jvc_watch_begin(struct jvc_pipeline *pl);
void jvc_watch_end(struct jvc_pipeline *pl);

/* ---- flow.c: verdicts, and where a buffer goes next ---- */

/* Calls of one function of a stage, one after the other: what it allocated for its own length, what it made and did
 * not emit. One per nesting, on the stack. */
struct jvc_call {
    struct jvc_call *outer;
    struct jvc_stage *stage;
    jv_buf *b; /* being processed, or null */
    void **scratch;
    size_t n_scratch;
    struct jvc_block **late; /* blocks replaced by `put`, readable until the call returns */
    size_t n_late;
    struct jvc_arena arena;                 /* of `params` */
    jv_buf *open;                           /* begun or forked, not emitted */
    bool full;                              /* `begin` has said so */
    int64_t nested_ns;                      /* spent in other stages, within this call */
    uint32_t through[JVC_LANES];            /* came and went on, as most records do */
    uint32_t in[JVC_LANES], out[JVC_LANES]; /* of the others */
    jv_err err;
};
extern _Thread_local struct jvc_call *jvc_current_call;
void jvc_call_enter(struct jvc_call *c, struct jvc_stage *s);
/* Between two calls: frees what the first one used. */
void jvc_call_next(struct jvc_call *c);
void jvc_call_leave(struct jvc_call *c);

/* Runs a stage's process on a buffer, retries included, and does what the verdict says; takes b. */
void jvc_process(struct jvc_stage *s, jv_buf *b, struct jvc_call *c);
/* A stage's output to one of its ports; takes b. */
void jvc_give(struct jvc_stage *s, uint32_t port, jv_buf *b);
/* A child, to one of the ports of the stage that splits; takes b. */
void jvc_give_child(struct jvc_stage *s, uint32_t port, jv_buf *b);
/* To the stage, past its gate; takes b. */
void jvc_enqueue(struct jvc_stage *r, jv_buf *b);
/* Takes b as rejected. */
void jvc_reject(struct jvc_stage *s, jv_buf *b, const jv_err *err);
/* Takes b as dropped. */
void jvc_drop(struct jvc_stage *s, jv_buf *b, const char *reason);
/* Takes b as cancelled; places: what it might have reached. */
void jvc_drop_cancelled(struct jvc_stage *s, jv_buf *b, const struct jvc_places *places);
/* Calls a stage's flush. */
void jvc_flush(struct jvc_stage *s);

/* Fields that lie in other slots by this way than where the stage reads them. */
void jvc_move_fields(const struct jvc_input *in, jv_buf *b);

/* ---- stream.c ---- */

/* A snapshot, to those behind the port that want it, right now; takes b. */
void jvc_stream(struct jvc_stage *s, uint32_t port, jv_buf *b);
/* A snapshot that has come to r; takes b. */
void jvc_show(struct jvc_stage *r, jv_buf *b);

/* ---- place.c: coming, here, never ---- */

struct jvc_gate *jvc_gate_new(const struct jvc_pipeline *pl);
void jvc_gate_free(struct jvc_gate *g); /* null is fine */
/* A root is coming to all that its source may reach, in the order of these calls, one at a time. */
void jvc_places_begin(struct jvc_stage *source, struct jvc_node *root);
/* A child is coming to all that children of s may reach, right before its parent. False: no memory. */
bool jvc_places_fork(struct jvc_stage *s, struct jvc_node *child);
/* It will never reach these. why: JV_DROP with its reason, an error with its text, or JV_DONE: it went another way. */
void jvc_places_leave(struct jvc_node *n, const struct jvc_places *places, const jv_err *why);
/* A record has come to a stage with a gate; takes b. */
void jvc_gate_arrive(struct jvc_stage *s, jv_buf *b);
/* Moves what is next in order to the stage's pending buffers. */
void jvc_gate_take(struct jvc_stage *s);
/* Whether all before it have passed, so that a snapshot of it may. */
bool jvc_gate_is_next(struct jvc_stage *s, const struct jvc_node *n);
/* Before a split with merges runs on a record: room for what its children will bring. False: no memory. */
bool jvc_wait_begin(struct jvc_stage *split, struct jvc_node *n);
/* The split has answered: the record waits for its merges (takes b), or (failed) never comes to them (b is left). */
void jvc_wait_answered(struct jvc_stage *split, jv_buf *b, bool failed);
/* A child has come to the merge; takes it. */
void jvc_merge_arrive(struct jvc_stage *s, jv_buf *child);
/* What the children of a record brought to the merge that has it now; null: nothing. */
const struct jvc_wait *jvc_wait_at(const struct jvc_stage *merge, const struct jvc_node *n);
/* The merge is done with the record: gives the children back. */
void jvc_wait_end(struct jvc_stage *merge, struct jvc_node *n);

/* ---- strand.c ---- */

/* What a thread of a strand keeps for itself: what it has for other strands and has not posted yet. */
struct jvc_thread {
    struct jvc_strand *strand;
    struct jvc_list *outs;    /* by strand and lane */
    size_t kept;              /* in all of them */
    jv_buf *batch[JVC_BATCH]; /* of a PARALLEL stage's thread: what it took, n_batch; the next one to begin */
    size_t n_batch;
    atomic_size_t next;
    struct jvc_node *node; /* at work on; only kept for PARALLEL stages that take snapshots; under the strand's lock */
};
extern _Thread_local struct jvc_thread *jvc_me;

struct jvc_strand {
    struct jvc_pipeline *pl;
    uint32_t at;
    struct jvc_stage **stages; /* in the order of the graph; the first is its head */
    uint32_t n;
    bool parallel;
    uint32_t n_threads, n_started, n_running;
    pthread_t *threads;
    struct jvc_thread *mine;
    struct jvc_list *outs;
    uint32_t quota;     /* how many buffers to let wait before working on them: few where a stage is slow */
    int64_t slowest_ns; /* of the stages in this pass */

    pthread_mutex_t lock;
    pthread_cond_t work, room;
    struct jvc_list lanes[JVC_LANES];
    atomic_size_t waiting;
    uint32_t sleepers, feeders; /* feeders: strands and sources that may still post */
    bool kicked;                /* a gate of one of its stages has something */
    struct jvc_strand **feeds;
    uint32_t n_feeds;
};

/* Starts a strand's threads, which wait for the go (run.c). 0, or the error number for which there are none. */
int jvc_strand_start(struct jvc_strand *st);
void jvc_strand_join(struct jvc_strand *st);
/* Without threads: what waits in it ends as cancelled; false: nothing did. */
bool jvc_strand_drain(struct jvc_strand *st);
void jvc_strand_free(struct jvc_strand *st);
/* Whoever sleeps looks again. */
void jvc_strand_wake(struct jvc_strand *st);
/* Works through what is pending for a stage and its pending buffers only. */
void jvc_stage_run(struct jvc_stage *s);
/* What stands behind s in its strand, before s goes on. */
void jvc_run_behind(struct jvc_stage *s);
/* Works through all that is pending in a strand of this thread, and posts what it has for others. */
void jvc_strand_pass(struct jvc_strand *st);
/* Posts b to another strand, after a while. */
void jvc_post(struct jvc_stage *r, jv_buf *b);
void jvc_post_all(struct jvc_thread *me);
/* A gate of one of its stages has something to take. */
void jvc_strand_kick(struct jvc_strand *st);
/* Whether a thread works on a stage alone and hands on by plain calls. */
static inline bool jvc_is_mine(const struct jvc_stage *s)
{
    return jvc_me && jvc_me->strand == s->strand && !s->strand->parallel;
}

/* ---- dead.c ---- */

/* Writes a rejected record: id, stage, place, error, fields. Any thread. False: it could not be written (err). */
bool jvc_dead_write(struct jvc_pipeline *pl, const struct jvc_stage *s, const jv_buf *b, const jv_err *why, jv_err *err);
/* Removes an earlier run's file, and refuses one that is something else. */
bool jvc_dead_begin(struct jvc_pipeline *pl, jv_err *err);
/* Puts the rows into source order and closes. */
bool jvc_dead_end(struct jvc_pipeline *pl, jv_err *err);
/* Before the process is left without an end: removes a file that is empty. */
void jvc_dead_leave(struct jvc_pipeline *pl);
uint64_t jvc_dead_count(const struct jvc_pipeline *pl);

/* ---- report.c ---- */

/* The end table, or the same as JSON, on stderr. */
void jvc_report(const struct jvc_pipeline *pl, bool json);
/* The pipeline as it stands now: its graph and live counters, one JSON object; h->stats. Any thread. */
void jvc_stats_write(const struct jvc_pipeline *pl, FILE *f);
/* Over both lanes. */
long long jvc_flow_sum(const struct jvc_stage *s, size_t member); /* offsetof(struct jvc_flow, in), ... */
#define JVC_SUM(s, member) jvc_flow_sum(s, offsetof(struct jvc_flow, member))

#endif
