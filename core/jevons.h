/*
 * jevons.h: the one interface between the host and its plugins.
 *
 * Six rules, from which the rest follows:
 *   1. One owner per buffer. Who holds a buffer may set its fields; handing it on gives it away, also on error.
 *   2. One verdict per record. `process` says with its return value what becomes of the record it was given.
 *   3. Children for more than one. A stage that makes several records of one forks children and answers DONE.
 *   4. A PARTIAL may vanish, a final never.
 *   5. ORDERED if you remember. A stage whose result depends on earlier records says so and gets source order.
 *   6. `open` touches nothing. It checks and remembers; what can be seen from outside begins with `start`.
 *
 * A plugin is one shared object with one exported symbol, `jv_plugin_desc`, made by JV_PLUGIN at the end of the
 * file. It links neither the host nor another plugin: everything it needs of the host comes through the table given
 * to `open`. It never prints, exits, aborts, changes directory, locale or signal handling, and never starts
 * `process` by itself.
 *
 * A RECORD is one thing on its way (a document, a question); the host keeps it: its id, its parent, its cancel flag,
 * its counters. A BUFFER is the table of fields of one record at one place. Fields are named in the INI file and
 * typed; the memory behind them is shared and counted by the host, so a copied table costs no copy of text.
 *
 * Tags. Each function says [who; when]. who: `host` (called by the host), `stage` (any thread that runs a function
 * of this instance), `any` (any thread at all). when: `open` (during open), `running` (from start to close), or
 * `always`. Every pointer argument is non-null unless its line says otherwise. Strings returned live as long as
 * their line says.
 *
 * Layout rules: fixed-width types, no enum-typed members, no bitfields, structs only grow at the end. The header
 * parses as C11, C17 and C++17.
 */
#ifndef JEVONS_H
#define JEVONS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JV_ABI_MAJOR 1 /* must be equal on both sides */
#define JV_ABI_MINOR 0 /* a plugin's must not be above the host's */
#define JV_MAGIC "jevons"

typedef struct jv_buf jv_buf;   /* opaque; see `begin`, `fork` and rule 1 */
typedef struct jv_host jv_host; /* the host's table, one per stage instance; valid until `close` returns */

/* ---- values ---- */

/* Bytes with a length; not ended by a NUL unless a line says so. p may be null when n is 0. */
typedef struct jv_str {
    const char *p;
    size_t n;
} jv_str;

/* What a function answers with when it fails or drops; owned by the caller, always the last argument. */
typedef struct jv_err {
    int32_t code;       /* one of the verdicts below */
    uint32_t reserved;  /* 0 */
    const char *reason; /* DROP only: a string literal; drops are counted by it */
    char text[496];     /* UTF-8, ends with NUL, one line, no stage name and no full stop: the host adds where */
} jv_err;

/* Verdicts of `process` and `poll`; functions of the host answer JV_OK (or a count >= 0) or one of the negative
 * ones. */
#define JV_OK 0           /* this record goes to port 0; in a sink: delivered. 1..30: to that port */
#define JV_MAX_PORTS 31   /* numbered 0..30 */
#define JV_DONE 100       /* process: the children emitted, one at least, stand for it (JV_SPLIT) */
#define JV_DROP 101       /* process: left out on purpose, err->reason says why (see jv_drop) */
#define JV_END 102        /* poll: nothing more will come. emit in a source: nothing more is wanted */
#define JV_BAD (-1)       /* this record is at fault: it is rejected, the run goes on */
#define JV_RETRY (-2)     /* may work later: called again with the same buffer, then rejected */
#define JV_FATAL (-3)     /* the stage cannot go on (a full disk, a lost device): the run ends with status 1 */
#define JV_CANCELLED (-4) /* the record was cancelled while it was worked on */
#define JV_FULL (-5)      /* begin: the source's window is full */
#define JV_STOPPED (-6)   /* begin, wait: the run is being stopped, or cancelled */

/* Types of fields. A reader of BYTES takes UTF8 and JSON too, a reader of UTF8 takes JSON; all else must be equal. */
#define JV_ANY 0   /* only in `field`: any type */
#define JV_UTF8 1  /* valid UTF-8; the stage that sets it vouches for that */
#define JV_BYTES 2 /* anything */
#define JV_JSON 3  /* one valid JSON value, UTF-8 */
#define JV_I64 4
#define JV_F64 5

/* ---- what a plugin declares: constant tables that the host reads and nobody executes ----
 *
 * Tables end with an empty row, {0}: without it whoever walks them runs into what stands behind. */

#define JV_IN 1u       /* field: read by this stage; must be there at load */
#define JV_OUT 2u      /* field: set by this stage on what it passes on */
#define JV_OPTIONAL 4u /* field: may be missing (reads as absent); port: need not be read */
#define JV_MEASURED 8u /* field, counter: depends on time or load, so it differs from run to run */

/* A field this stage reads or sets. Functions of the host take its number in this array, the row. `name` is also a key
 * in the INI that renames the field: `in = question`. The array ends with a null name. */
typedef struct jv_field {
    const char *name;  /* of the row: in, out, source, ... */
    int32_t type;      /* JV_UTF8, ... */
    uint32_t access;   /* JV_IN, JV_OUT, JV_OPTIONAL, JV_MEASURED; IN and OUT are two rows */
    const char *field; /* the name of the field unless the INI says otherwise */
    const char *help;
} jv_field;

/* An output. A stage without ports is a sink. Read as `from = STAGE` (port 0) or `from = STAGE.PORT`. Ends with a
 * null name. */
typedef struct jv_port {
    const char *name;
    const char *help;
    uint32_t flags; /* JV_OPTIONAL */
    uint32_t reserved;
} jv_port;

/* A sum kept per stage and per record, shown at the end of a run and readable like a field (i64) by the stages that
 * follow, so its name must not be that of a field; a child begins at 0. Ends with a null name. */
typedef struct jv_counter {
    const char *name;
    const char *unit; /* token, character, byte, ...: singular */
    const char *help;
    uint32_t flags; /* JV_MEASURED */
    uint32_t reserved;
} jv_counter;

/* A service other sections can use by naming this one in an option of type jv_ref. Ends with a null id. */
typedef struct jv_service {
    const char *id;  /* "jv.model/1": the number changes when the table becomes incompatible */
    const void *api; /* a constant table of functions whose first member is its size; all take the context first */
} jv_service;

/* Types of options, taken from the type of the member they fill. */
#define JV_OPT_I64 1    /* int64_t */
#define JV_OPT_F64 2    /* double */
#define JV_OPT_TEXT 3   /* const char *: ends with NUL, never null, valid until close */
#define JV_OPT_CHOICE 4 /* int32_t: the index of one of the words in the range */
#define JV_OPT_LIST 5   /* jv_list */
#define JV_OPT_REF 6    /* jv_ref */

typedef struct jv_list { /* a, b, c: or one a line */
    const jv_str *v;     /* each ends with NUL; valid until close */
    size_t n;
} jv_list;

typedef struct jv_ref { /* another section; its context is open when this stage's open runs, started when start runs */
    const void *api;    /* the service's table; null only where the option has the default "" and the INI names none */
    void *self;         /* first argument of the table's functions */
} jv_ref;

#define JV_UNSET INT64_MIN /* an I64 option whose value is the word its range begins with, as in "auto|1.." */

/* An option: a key of the section, parsed and checked by the host and stored in the context before `open`.
 * `def` is what an absent key means, parsed like a value; null: the key is required.
 * `range` by type:
 *   I64     "1..64", "0.."; "bytes 1M..": a size, suffixes K M G T, powers of 1024; "ms 0..1h": a time, suffixes ms s
 *           m h, the value is in milliseconds; each optionally after a word and a bar, "auto|1..": that word gives
 *           JV_UNSET. Without a suffix a number is bytes, or milliseconds
 *   F64     "0..2", "0.."
 *   TEXT    "" anything; "path" a file name, relative to the INI file, or to the working directory when it comes from
 *           the command line
 *   CHOICE  "no|yes", "replace|append|refuse"
 *   LIST    as TEXT, for each item
 *   REF     the id of the service wanted
 * Ends with a null name. */
typedef struct jv_opt {
    const char *name;
    int32_t type;
    uint32_t flags;  /* 0 */
    uint32_t offset; /* of the member in the context */
    uint32_t reserved;
    const char *def;
    const char *range;
    const char *help;
} jv_opt;

/* ---- what the host offers ---- */

/* Where a root record comes from; given to `begin`. */
typedef struct jv_origin {
    uint32_t struct_size; /* sizeof(jv_origin) */
    uint32_t reserved;
    /* Its id: the position in the source, the same at every run (a file name, a byte offset), never a count of what was
     * done; UTF-8, 1 to 4096 bytes; unique within the source, which the host does not check. Copied. */
    jv_str position;
    void *user; /* handed to `done`; not touched by the host */
} jv_origin;

/* One thing a stage may read at its place in the graph: `id`, a field set upstream, or a counter declared upstream. */
typedef struct jv_column {
    const char *name; /* valid until close */
    int32_t type;     /* JV_UTF8, ... (a counter: JV_I64) */
    uint32_t flags;   /* JV_MEASURED */
} jv_column;

#define JV_LOG_INFO 0
#define JV_LOG_WARN 1

#if defined(__GNUC__)
#define JV_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define JV_PRINTF(f, a)
#endif

struct jv_host {
    uint32_t struct_size;
    uint32_t abi_minor;

    /* [any; always] One line to the user, after the section's name; JV_LOG_INFO is silent under --quiet. */
    void (*log)(const jv_host *h, int32_t level, const char *fmt, ...) JV_PRINTF(3, 4);

    /* -- names, while opening -- */

    /* [stage; open] Binds a name the INI gave (`{question}`, `fields = id, answer`) to a new row and returns the row's
     * number, >= the number of rows declared. access: JV_IN (maybe | JV_OPTIONAL, | JV_MEASURED) or JV_OUT. A JV_IN
     * name must be a column (below) of that type or JV_ANY; else < 0, with the nearest name in err. With JV_OPTIONAL
     * a name nobody sets gives a row that reads as absent. */
    int32_t (*field)(const jv_host *h, const char *name, int32_t type, uint32_t access, jv_err *err);

    /* [stage; open] What can be read here, in the order of the graph, `id` first: column i, or null past the end. */
    const jv_column *(*column)(const jv_host *h, uint32_t i);

    /* -- fields of a buffer: rows are those declared, then those bound by `field` -- */

    /* [stage; running] The bytes of a UTF8, BYTES or JSON field; {0, 0} when absent (a row that is none reads so
     * too), p non-null when it is there but empty. Valid until the field is set again or the buffer is given away. */
    jv_str (*get)(const jv_host *h, const jv_buf *b, int32_t row);
    /* [stage; running] The number, or `absent`. A counter reads as this record's own sum. */
    int64_t (*get_i64)(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent);
    double (*get_f64)(const jv_host *h, const jv_buf *b, int32_t row, double absent);

    /* [stage; running] Sets a field to n fresh bytes, to be filled before the buffer is passed on; a NUL stands
     * after them. Null and err (FATAL: no memory) on failure. What `get` gave of the same field before stays
     * readable until `process` returns. */
    char *(*put)(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err);
    /* [stage; running] Sets a field to n bytes at `at` of another buffer's (or this one's) field, without copying them.
     * `at + n` must lie within it, and a cut must not fall inside a character when the row is UTF8. JV_OK or < 0. */
    int32_t (*view)(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at, size_t n,
        jv_err *err);
    void (*put_i64)(const jv_host *h, jv_buf *b, int32_t row, int64_t v);
    void (*put_f64)(const jv_host *h, jv_buf *b, int32_t row, double v);

    /* [stage; running] n bytes to work in, aligned to 64, freed by the host when the function of the stage that
     * asked returns. Null and err on failure. */
    void *(*scratch)(const jv_host *h, size_t n, jv_err *err);

    /* -- records -- */

    /* [stage; running] The record's id: the position in its source, for a child followed by /N, counted
     * from 0 in each branch of a tee. Valid while the buffer is held. */
    jv_str (*id)(const jv_host *h, const jv_buf *b);
    /* [stage; running] 1 for a snapshot of an unfinished record (only stages with JV_PARTIALS see any), else 0. */
    int32_t (*is_partial)(const jv_host *h, const jv_buf *b);

    /* [any; running, sources only] Admits a root record and returns its buffer, without fields, owned by the caller
     * until `emit`. Null: err has JV_FULL (the window is full: the record may come later), JV_STOPPED, JV_BAD (a
     * position that is empty, too long or no UTF-8) or JV_FATAL. Within `poll` at least one can be begun each time. */
    jv_buf *(*begin)(const jv_host *h, const jv_origin *origin, jv_err *err);
    /* [stage; process] A child of the record in `parent`: numbered from 0, it begins with the same fields. Owned by
     * the caller until `emit`. Null: err has JV_FATAL (no memory). */
    jv_buf *(*fork)(const jv_host *h, const jv_buf *parent, jv_err *err);
    /* [stage; running] Gives a begun or forked buffer away, to a port; the buffer is gone also when it fails. In a
     * source: JV_OK, or JV_END (the run is being stopped); of a record cancelled meanwhile nothing is said here. In a
     * stage that splits: JV_OK, or JV_CANCELLED (the record, or the run). In both JV_FATAL. Other than JV_OK: the
     * caller stops making more and answers so. A begun or forked buffer that was not emitted when `poll` or `process`
     * returns is lost through the plugin's fault, which ends the run. */
    int32_t (*emit)(const jv_host *h, jv_buf *b, int32_t port, jv_err *err);

    /* [any; while process runs] Appends n bytes to what `partial` has built so far of a field (the first takes the
     * place of what was there) and lets a snapshot of the buffer travel on to port 0.
     * Snapshots may be replaced by newer ones or dropped; each holds all so far. UTF8 rows: whole characters only.
     * May be called by a service's callback while `process` waits for it. JV_OK or < 0. The field so built stays
     * in the buffer. */
    int32_t (*partial)(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err);

    /* [stage; running] A handle for `cancel`; valid for ever, and harmless once the record is settled. */
    uint64_t (*record)(const jv_host *h, const jv_buf *b);
    /* [any; running, sources only] Cancels a root record of this source and all that came of it. Returns at once. */
    void (*cancel)(const jv_host *h, uint64_t record);
    /* [any; while process runs] 1 once the record, or the whole run, is cancelled: then process answers JV_CANCELLED
     * soon. */
    int32_t (*cancelled)(const jv_host *h, const jv_buf *b);

    /* [stage; running] Waits until fd has one of `events` (as in poll(2)) or ms milliseconds have passed (< 0: no
     * limit). 1: it has; 0: time is up; JV_STOPPED: in a source, the run is being stopped, elsewhere, it is cancelled
     * (the stage then answers JV_CANCELLED). fd -1: only waits. */
    int32_t (*wait)(const jv_host *h, int32_t fd, int32_t events, int64_t ms);

    /* [any; while process or poll runs] Adds n to a counter (its number in the stage's array), for this stage and this
     * record as it travels on from here. Counts also when the record is rejected later. */
    void (*count)(const jv_host *h, jv_buf *b, int32_t counter, int64_t n);

    /* [stage; running, sources only] Gives a begun buffer away as rejected, for what `why` says (a file that cannot
     * be read): it is counted and goes where rejected records go, with the fields it has; the run goes on. JV_OK, or
     * JV_CANCELLED (the run has ended): the caller stops making more. */
    int32_t (*reject)(const jv_host *h, jv_buf *b, const jv_err *why, jv_err *err);
};

/* ---- a stage ---- */

#define JV_PARALLEL 1u /* process may run in several threads at once, for different buffers */
#define JV_ORDERED 2u  /* wants records in source order, children in their parent's place */
#define JV_PARTIALS 4u /* wants snapshots too (see is_partial); its verdict on one is ignored */
#define JV_SPLIT 8u    /* forks children; without it fork fails and DONE is no verdict */
#define JV_ENDLESS 16u /* a source without an end of its own: stopping it is a success */

/* The functions all get the instance's context: `ctx_size` zeroed bytes with the options filled in. Those a stage
 * does not need are null. A source has `poll`; a filter has `process` and ports; a sink has `process` and no ports;
 * a resource has neither and offers services. */
typedef struct jv_stage {
    const char *name;  /* the stage's name, equal to the plugin's where a file holds one stage */
    const char *brief; /* one line */
    uint32_t flags;
    uint32_t ctx_size;
    uint32_t threads; /* how many calls of process at once by default; above 1 only with JV_PARALLEL. 0: 1 */
    uint32_t reserved;
    const jv_field *fields;     /* may be null */
    const jv_port *ports;       /* null: a sink or a resource */
    const jv_opt *opts;         /* may be null */
    const jv_counter *counters; /* may be null */
    const jv_service *services; /* may be null */

    /* [host] Checks options against each other, binds names, keeps `h`, which comes only here. Reads files if it
     * must, but creates, writes, binds and loads nothing: `jevons check` opens everything and goes home. < 0: err
     * says why. */
    int32_t (*open)(void *ctx, const jv_host *h, jv_err *err);
    /* [host] Creates files, loads weights, starts threads. After the open of all and the start of what it refers to. */
    int32_t (*start)(void *ctx, jv_err *err);
    /* [host; one thread] A source's next record: begins and emits one (or a few). JV_OK: call again; JV_END; what
     * begin, wait, emit or reject answered other than JV_OK (after JV_FULL it is called again when there is room);
     * JV_FATAL. It blocks only in `wait`. */
    int32_t (*poll)(void *ctx, jv_err *err);
    /* [host; one thread, or as many as `threads` with JV_PARALLEL] The verdict on one record. The buffer stays the
     * host's: a stage changes its fields in place and says where it goes. After JV_RETRY it must be as it came,
     * nothing emitted (what `partial` built is taken away by the host). */
    int32_t (*process)(void *ctx, jv_buf *b, jv_err *err);
    /* [host; one thread] After the last process, also when the run has failed, unless at start. A sink writes what it
     * holds. */
    int32_t (*flush)(void *ctx, jv_err *err);
    /* [host; any thread] A source admits no more. It may be in poll, which returns soon. */
    void (*stop)(void *ctx);
    /* [host; any thread] Once for each root record of this source: it and all its children are settled. status:
     * JV_OK, JV_DROP, or the worst of JV_BAD, JV_FATAL, JV_CANCELLED, and then err says why. */
    void (*done)(void *ctx, void *user, int32_t status, const jv_err *err);
    /* [host] Takes whatever state it finds, half-open too; called once after open, whatever open said. */
    void (*close)(void *ctx);
} jv_stage;

/* ---- a plugin ---- */

typedef struct jv_plugin {
    char magic[8];
    uint32_t struct_size;
    uint32_t abi_major, abi_minor;
    uint32_t stage_size, field_size, port_size, opt_size, counter_size, service_size; /* so that arrays can be walked */
    uint32_t n_stages;
    const char *name; /* of the file jv_NAME.so */
    const char *version;
    const char *license;
    const jv_stage *stages;
} jv_plugin;

#if defined(__GNUC__)
#define JV_EXPORT __attribute__((visibility("default")))
#else
#define JV_EXPORT
#endif

#ifdef __cplusplus
#define JV_EXTERN extern "C" JV_EXPORT
#else
#define JV_EXTERN extern JV_EXPORT
#endif
JV_EXTERN const jv_plugin jv_plugin_desc;

/* clang-format off */
/* JV_PLUGIN("upper", "1.0", "MIT", stages); with `static const jv_stage stages[] = {...};` */
#define JV_PLUGIN(name_, version_, license_, stages_)                                                                  \
    const jv_plugin jv_plugin_desc = {JV_MAGIC, sizeof(jv_plugin), JV_ABI_MAJOR, JV_ABI_MINOR,                         \
        sizeof(jv_stage), sizeof(jv_field), sizeof(jv_port), sizeof(jv_opt), sizeof(jv_counter), sizeof(jv_service),   \
        sizeof(stages_) / sizeof *(stages_), name_, version_, license_, stages_}

/* One row of options: JV_OPT(struct upper, min, "0", "0..", "drop shorter texts"). A member of another type than the
 * six above does not compile. */
#ifndef __cplusplus
#define JV_OPT_TYPE(T, member)                                                                                         \
    _Generic(&((T *)0)->member, int64_t *: JV_OPT_I64, double *: JV_OPT_F64, const char **: JV_OPT_TEXT,               \
        int32_t *: JV_OPT_CHOICE, jv_list *: JV_OPT_LIST, jv_ref *: JV_OPT_REF)
#define JV_OPT(T, member, def, range, help)                                                                            \
    {#member, JV_OPT_TYPE(T, member), 0, (uint32_t)offsetof(T, member), 0, def, range, help}
#endif

/* clang-format on */

/* ---- helpers ---- */

/* Fills err and returns code: `return jv_fail(err, JV_BAD, "line %d is too long", n);` */
JV_PRINTF(3, 4)
static inline int32_t jv_fail(jv_err *err, int32_t code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err->code = code;
    err->reason = NULL;
    if (vsnprintf(err->text, sizeof err->text, fmt, ap) < 0) err->text[0] = 0;
    va_end(ap);
    return code;
}

/* `return jv_drop(err, "too short");` The reason is a literal: the host counts by it. */
static inline int32_t jv_drop(jv_err *err, const char *literal)
{
    err->code = JV_DROP;
    err->reason = literal;
    err->text[0] = 0;
    return JV_DROP;
}

#ifdef __cplusplus
}

/* clang-format off */
static constexpr int32_t jv_opt_type(int64_t *) { return JV_OPT_I64; }
static constexpr int32_t jv_opt_type(double *) { return JV_OPT_F64; }
static constexpr int32_t jv_opt_type(const char **) { return JV_OPT_TEXT; }
static constexpr int32_t jv_opt_type(int32_t *) { return JV_OPT_CHOICE; }
static constexpr int32_t jv_opt_type(jv_list *) { return JV_OPT_LIST; }
static constexpr int32_t jv_opt_type(jv_ref *) { return JV_OPT_REF; }
#define JV_OPT(T, member, def, range, help)                                                                            \
    {#member, jv_opt_type(decltype(&((T *)0)->member)(nullptr)), 0, (uint32_t)offsetof(T, member), 0, def, range, help}
#endif
/* clang-format on */

#endif
