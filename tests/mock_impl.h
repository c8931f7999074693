/*
 * mock_impl.h: what the files of the mock host share, and tests do not see. mockhost.c has a stage's life,
 * mock_records.c what tests put in and look at, mock_fields.c and mock_table.c the functions of the jv_host table,
 * mock_options.c what a stage declares, mock_params.c what a record asks for itself. One lock guards all that calls
 * share; fields of a buffer belong to who holds it.
 */
#ifndef MOCK_IMPL_H
#define MOCK_IMPL_H

#include "mockhost.h"

#include <pthread.h>

#define MAX_SLOTS 96 /* fields and counters by name */
#define MAX_ROWS 128
#define MAX_KEYS 64
#define MAX_COUNTERS 64
#define MAX_SERVICES 8
#define MAX_CORES 16 /* the budget that `lease` gives from */

struct mem {
    int64_t refs;
    size_t n;
    struct mem *next; /* in the list of those to be freed when the stage's function returns */
    char p[];
};

struct value {
    int32_t type; /* 0: absent */
    bool built;   /* by `partial`, in the call of process that runs */
    bool here;    /* by this stage, in that call */
    struct mem *mem;
    size_t at, n;
    int64_t i;
    double f;
};

struct jv_buf {
    mock *m;
    jv_buf *next;   /* of all */
    jv_buf *parent; /* of a fork */
    jv_buf *root;   /* itself where it has no parent */
    jv_buf **kids;  /* of a record that comes to a merge; null: missing, for the reason beside it */
    jv_err *missing;
    size_t n_kids;
    char *id, *why;
    void *source, *user; /* of a record that comes from elsewhere: that source's context */
    uint64_t number;
    int32_t kind, port, partial, out, settled, cancelled; /* out: in the stage's hands, not yet emitted */
    int32_t priority;
    bool held; /* by a merge that may read it and no more */
    uint32_t forks;
    pthread_t owner;          /* of a fork: who must emit it */
    const struct value *came; /* while process runs: what stood in v before */
    struct value v[MAX_SLOTS];
    int64_t counts[MAX_COUNTERS];
    int64_t tally[MAX_COUNTERS]; /* of a root */
};

struct slot {
    char *name;
    jv_column col; /* name null: nobody upstream sets it */
};

struct row {
    int slot; /* -1: absent for ever */
    int32_t type;
    uint32_t access;
};

struct key {
    char *name, *value;
    bool used;
};

struct service {
    char *section;
    const char *id;
    const void *api;
    void *self;
};

struct mock {
    jv_host h; /* first: what plugins are given */
    pthread_mutex_t lock;
    pthread_cond_t grew; /* outs */
    const jv_stage *st;
    void *ctx;
    int32_t state; /* 0 new, 1 opening, 2 open, 3 started, 4 closed */
    struct key keys[MAX_KEYS];
    struct service services[MAX_SERVICES];
    struct slot slots[MAX_SLOTS];
    struct row rows[MAX_ROWS];
    int n_keys, n_services, n_slots, n_rows, n_columns, n_counters, n_tallies, n_ports;
    const char *tallies[MAX_COUNTERS]; /* names: the stage's counters, then those of others */
    const char *ports[JV_MAX_PORTS];   /* names; those of "to.*" in its place */
    char *why;                         /* what `fail` said */
    char *others;                      /* options of other stages that a record may set: " a b " */
    int columns[MAX_SLOTS];            /* slots, in the order of the graph */
    void **texts;                      /* of options */
    size_t n_texts;
    jv_buf *all, **outs;
    size_t n_outs, n_unsettled, window;
    struct mem *dead;
    int64_t n_mem, depth, counts[MAX_COUNTERS], fail_at, emit_at, cancel_at;
    bool starting, failed, stopped, gone, ended; /* gone: stop has returned; ended: the stage has answered END */
    int32_t emit_code, leased;
    uint64_t next_number;
    char **logs;
    size_t n_logs;
    char *mistakes; /* that open told of, a line each; null: none */
};

/* A running call of a stage's function in this thread: scratch belongs to it. */
struct call {
    struct call *up;
    mock *m;
    void **scratch;
    size_t n;
    bool polls;      /* it is poll */
    const jv_buf *b; /* what process was given */
    int32_t told;    /* what emit answered other than JV_OK */
};
extern _Thread_local struct call *mk_call_now;

/* ---- mockhost.c ---- */

/* Ends the program with a line that names the rule broken. */
JV_PRINTF(1, 2) _Noreturn void mk_die(const char *fmt, ...);
/* p; null ends the program. */
void *mk_must(void *p);
/* Appends to an array that grows by doubling; n is its length before. */
void *mk_push(void *array, size_t n, size_t size);

static inline void lock(mock *m)
{
    pthread_mutex_lock(&m->lock);
}

static inline void unlock(mock *m)
{
    pthread_mutex_unlock(&m->lock);
}

static inline mock *mock_of(const jv_host *h)
{
    return (mock *)(uintptr_t)h;
}

static inline bool is_source(const jv_stage *st)
{
    return st->ports && !st->process;
}

/* The call of this stage that this thread is in, or null: a thread of the stage's own. */
static inline struct call *call_of(const mock *m)
{
    struct call *c = mk_call_now;
    while (c && c->m != m) c = c->up;
    return c;
}

/* ---- mock_fields.c ---- */

/* Counts an allocation; true when it is the one that is to fail. */
bool mk_fails(mock *m, jv_err *err);
/* n bytes of 0xA5 and a NUL, one reference. */
struct mem *mk_mem_new(mock *m, size_t n);
/* With the lock held. */
void mk_mem_free(mock *m, struct mem *mem);
/* Empties a value. While a function of the stage runs the text stays readable. */
void mk_value_clear(mock *m, struct value *v);
/* Empties `to`, and gives it what `from` has. */
void mk_value_share(mock *m, struct value *to, const struct value *from);
jv_str mk_text_of(const struct value *v);
const struct row *mk_row(const mock *m, int32_t row, bool set);
/* The value behind a row that is to be set to bytes (or to a number), emptied. */
struct value *mk_set_row(jv_buf *b, int32_t row, bool bytes);
/* What a stage passes on keeps its promises: what it declared UTF-8 is UTF-8. */
void mk_check_fields(const jv_buf *b);
jv_str mk_get(const jv_host *h, const jv_buf *b, int32_t row);
int64_t mk_get_i64(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent);
double mk_get_f64(const jv_host *h, const jv_buf *b, int32_t row, double absent);
char *mk_put(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err);
int32_t mk_view(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at, size_t n,
    jv_err *err);
char *mk_writable(const jv_host *h, jv_buf *b, int32_t row, jv_err *err);
void mk_put_i64(const jv_host *h, jv_buf *b, int32_t row, int64_t i);
void mk_put_f64(const jv_host *h, jv_buf *b, int32_t row, double f);
int32_t mk_partial(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err);

/* ---- mock_table.c ---- */

extern const jv_host mk_host_table;

/* parent null: a root. A child begins with its parent's fields. */
jv_buf *mk_buf_new(mock *m, const char *id, size_t n, jv_buf *parent);
void mk_record_out(jv_buf *b, int32_t kind);
/* Whether the run is over for this stage: a source hears that it is being stopped, any other that it is cancelled. */
bool mk_over(mock *m);

/* ---- mock_options.c ---- */

bool mk_is_utf8(const char *s, size_t n);
/* UTF8, BYTES, JSON; and those with the arrays of numbers: whatever has memory. */
bool mk_is_text(int32_t type);
bool mk_is_bytes(int32_t type);
size_t mk_item(int32_t type); /* the size of one: 4 for arrays of numbers */

void mk_check_descriptor(const jv_plugin *d, const char *so);
void mk_check_stage(const jv_stage *st);

/* The slot of a field or counter that a test names. */
int mk_slot_of(const jv_buf *b, const char *name);
/* Two of the host's table. */
int32_t mk_field(const jv_host *h, const char *name, int32_t type, uint32_t access, jv_err *err);
const jv_column *mk_column(const jv_host *h, uint32_t i);

/* A copy that lives as long as the options do. */
char *mk_keep(mock *m, const char *p, size_t n);
/* Fills the context from the keys, binds the declared rows, names the ports. JV_BAD: an option the host would refuse.
 * */
int32_t mk_configure(mock *m, jv_err *err);
/* Parses `text` as the INI file would and stores it at the option's place in a context. */
int32_t mk_set_text(mock *m, const jv_opt *o, void *ctx, const char *text, jv_err *err);
void mk_set_items(mock *m, jv_list *list, const jv_str *v, size_t n);
/* Whether a key of a map may be so named. */
bool mk_is_key(const char *s, size_t n);

/* ---- mock_params.c ---- */

int32_t mk_params(const jv_host *h, const jv_buf *b, void *into, jv_err *err);

#endif
