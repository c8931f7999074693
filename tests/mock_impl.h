/*
 * mock_impl.h: what the files of the mock host share, and tests do not see. mockhost.c has a stage's life and what
 * tests call, mock_table.c the functions of the jv_host table, mock_options.c what a stage declares. One lock guards
 * all that calls share; fields of a buffer belong to who holds it.
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

struct mem {
    int64_t refs;
    size_t n;
    struct mem *next; /* in the list of those to be freed when the stage's function returns */
    char p[];
};

struct value {
    int32_t type; /* 0: absent */
    bool built;   /* by `partial`, in the call of process that runs */
    struct mem *mem;
    size_t at, n;
    int64_t i;
    double f;
};

struct jv_buf {
    mock *m;
    jv_buf *next;   /* of all */
    jv_buf *parent; /* of a fork */
    char *id, *why;
    void *user;
    uint64_t number;
    int32_t kind, port, partial, out, settled, cancelled; /* out: in the stage's hands, not yet emitted */
    uint32_t forks;
    pthread_t owner; /* of a fork: who must emit it */
    struct value v[MAX_SLOTS];
    int64_t counts[MAX_COUNTERS];
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
    const jv_stage *st;
    void *ctx;
    int32_t state; /* 0 new, 1 opening, 2 open, 3 started, 4 closed */
    struct key keys[MAX_KEYS];
    struct service services[MAX_SERVICES];
    struct slot slots[MAX_SLOTS];
    struct row rows[MAX_ROWS];
    int n_keys, n_services, n_slots, n_rows, n_columns, n_counters;
    int columns[MAX_SLOTS]; /* slots, in the order of the graph */
    void **texts;           /* of options */
    size_t n_texts;
    jv_buf *all, **outs;
    size_t n_outs, n_unsettled, window;
    struct mem *dead;
    int64_t n_mem, depth, counts[MAX_COUNTERS], fail_at, emit_at, cancel_at;
    bool failed, stopped;
    int32_t emit_code;
    uint64_t next_number;
    char **logs;
    size_t n_logs;
};

/* A running call of a stage's function in this thread: scratch belongs to it. */
struct call {
    struct call *up;
    mock *m;
    void **scratch;
    size_t n;
    int32_t told; /* what emit answered other than JV_OK */
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

/* ---- mock_table.c ---- */

extern const jv_host mk_host_table;

/* n bytes of 0xA5 and a NUL, one reference. */
struct mem *mk_mem_new(mock *m, size_t n);
/* With the lock held. */
void mk_mem_free(mock *m, struct mem *mem);
/* Empties a value. While a function of the stage runs the text stays readable. */
void mk_value_clear(mock *m, struct value *v);
jv_str mk_text_of(const struct value *v);
jv_buf *mk_buf_new(mock *m, const char *id, size_t n);
/* What a stage passes on keeps its promises: what it declared UTF-8 is UTF-8. */
void mk_check_fields(const jv_buf *b);
/* Whether the run is over for this stage: a source hears that it is being stopped, any other that it is cancelled. */
bool mk_over(mock *m);

/* ---- mock_options.c ---- */

bool mk_is_utf8(const char *s, size_t n);
bool mk_is_bytes(int32_t type);

void mk_check_descriptor(const jv_plugin *d, const char *so);
void mk_check_stage(const jv_stage *st);
int mk_n_ports(const jv_stage *st);

/* The slot of a field or counter that a test names. */
int mk_slot_of(const jv_buf *b, const char *name);
/* Two of the host's table. */
int32_t mk_field(const jv_host *h, const char *name, int32_t type, uint32_t access, jv_err *err);
const jv_column *mk_column(const jv_host *h, uint32_t i);

/* A copy that lives as long as the options do. */
char *mk_keep(mock *m, const char *p, size_t n);
/* Fills the context from the keys and binds the declared rows. JV_BAD: an option the host would refuse. */
int32_t mk_configure(mock *m, jv_err *err);

#endif
