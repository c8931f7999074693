/*
 * jevons.h: the one interface between the host and its plugins.
 *
 * Six rules, from which the rest follows:
 *   1. One owner per buffer. Who holds a buffer may set its fields; handing it on gives it away, also on error.
 *   2. One verdict per record. `process` says with its return value what becomes of the record it was given; what it
 *      set before it answers BAD or RETRY is put back by the host.
 *   3. Children for more than one. A stage that makes several records of one forks children and answers DONE.
 *   4. A PARTIAL may vanish, a final never.
 *   5. ORDERED if you remember. A stage whose result depends on earlier records says so and gets source order.
 *   6. `open` touches nothing. It checks and remembers; what can be seen from outside begins with `start`.
 *
 * A plugin is one shared object with one exported symbol, `jv_plugin_desc`, made by JV_PLUGIN at the end of the
 * file. It links neither the host nor another plugin: everything it needs of the host comes through the table given
 * to `open`. It never prints, exits, aborts, changes directory, locale or signal handling.
 *
 * A RECORD is one thing on its way (a document, a question); the host keeps it: its id, its parent, its priority, its
 * cancel flag, its counters. A BUFFER is the table of fields of one record at one place. Fields are named in the INI
 * file and typed; the memory behind them is shared and counted by the host, so a copied table costs no copy of text.
 * Branches of a tee never meet again, so a record comes to a stage at most once.
 *
 * Tags. Each function says [who; when], or [who; when; of which stages].
 *   who   host   the host calls it
 *         stage  a thread that runs a function of this instance, or one of a source's own (of one without poll)
 *         own    one of a source's own threads alone
 *         any    any thread at all
 *   when  open, start, poll, process: while that function of the instance runs
 *         running: from start to close;  always: from open to close
 *         begun: with a buffer just begun, in poll or in an own thread
 * Two functions under one comment share its tag. Every pointer argument is non-null unless its line says otherwise.
 * Strings returned live as long as their line says.
 *
 * Layout rules: fixed-width types, no enum-typed members, no bitfields. Structs only grow at the end; jv_str, jv_err,
 * jv_list, jv_map and jv_ref never do: others hold them by value. Members called `reserved` are 0. What the header of a
 * minor version declares, every host that loads the plugin has. The header parses as C11, C17 and C++17.
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
    char text[496]; /* one line that ends with NUL, no stage name, no full stop: the host adds where; and mends UTF-8 */
} jv_err;

/* Verdicts of `process` and `poll`. Functions of the host that can fail answer one of the negative ones, which then
 * also stands in err->code, else JV_OK or what their line says. `open`, `start` and `flush` answer JV_OK or, with
 * err, JV_BAD (what the user wrote is wrong) or JV_FATAL; either ends the run.
 * END: from `process` as JV_OK (port 0), and this record was the last one the stage wants: the host drops what still
 * comes to it, and stops a source whose records nobody wants any more; not of a JV_SPLIT stage. From `poll`: nothing
 * more will come. From `emit` in a source: nothing more is wanted. */
#define JV_OK 0           /* this record goes to port 0; in a sink: delivered. 1..30: to that port */
#define JV_MAX_PORTS 31   /* numbered 0..30 */
#define JV_DONE 100       /* process of a JV_SPLIT stage, its only good verdict: the children stand for the record */
#define JV_DROP 101       /* process: left out on purpose, err->reason says why (see jv_drop) */
#define JV_END 102        /* process: the last one wanted; poll, emit: see above */
#define JV_BAD (-1)       /* this record is at fault: it is rejected (to the port `rejected` or the dead letters) */
#define JV_RETRY (-2)     /* may work later: called again after a pause (`retries`, `retry_after`), then rejected */
#define JV_FATAL (-3)     /* the stage cannot go on (a full disk, a lost device): the run ends with status 1 */
#define JV_CANCELLED (-4) /* the record, or the run, was cancelled while it was worked on; of no other record */
#define JV_FULL (-5)      /* begin: the source's window is full */
#define JV_STOPPED (-6)   /* begin, wait: the run is being stopped, or cancelled */

/* Types of fields. A reader of BYTES takes UTF8 and JSON too, a reader of UTF8 takes JSON; all else must be equal. */
#define JV_ANY 0   /* only in `field` with JV_IN: any type */
#define JV_UTF8 1  /* valid UTF-8; the stage that sets it vouches for that */
#define JV_BYTES 2 /* anything */
#define JV_JSON 3  /* one valid JSON value, UTF-8 */
#define JV_I64 4
#define JV_F64 5
#define JV_I32S 6 /* int32_t[], in the order of bytes of the machine; aligned to 4 */
#define JV_F32S 7 /* float[], likewise */

/* ---- what a plugin declares: constant tables that the host reads and nobody executes ----
 *
 * Tables end with an empty row, {0}: without it whoever walks them runs into what stands behind. */

#define JV_IN 1u       /* field: read by this stage; must be there at load */
#define JV_OUT 2u      /* field: set by this stage on what it passes on; left alone, it stays what it was */
#define JV_OPTIONAL 4u /* field: may be missing (reads as absent); port: need not be read */
#define JV_MEASURED 8u /* field that is set, counter: depends on time or load, so it differs from run to run */

#define JV_PER_RECORD 1u /* option: a record may set it for itself (see `params`); not for a REF or a path */
#define JV_NEUTRAL 2u    /* option: no result depends on it (a number of threads, a path of a log) */

/* A field this stage reads or sets. Functions of the host take its number in this array, the row. `name` is also a
 * key in the INI that renames the field: `in = question`; keys of the host (`plugin`, `from`, `threads`, ...) are
 * taken. The array ends with a null name. */
typedef struct jv_field {
    const char *name;  /* of the row: in, out, source, ... */
    int32_t type;      /* JV_UTF8, ... */
    uint32_t access;   /* JV_IN, JV_OUT, JV_OPTIONAL, JV_MEASURED; IN and OUT are two rows */
    const char *field; /* the name of the field unless the INI says otherwise */
    const char *help;
} jv_field;

/* An output. A stage without ports is a sink. Read as `from = STAGE` (port 0) or `from = STAGE.PORT`. A name of the
 * form "to.*" stands for one port for each key of the MAP option `to`, in the order of the file, named as the key and
 * numbered where it stands. At most 31 in all.
 * Besides, every stage has a port `rejected`, which need not be read: the records it rejects, as they came, with a
 * field `error` (utf8). Ends with a null name. */
typedef struct jv_port {
    const char *name;
    const char *help;
    uint32_t flags; /* JV_OPTIONAL */
    uint32_t reserved;
} jv_port;

/* A sum kept per stage, per record and per root, shown at the end of a run and readable like a field (i64) by the
 * stages that follow, so its name must not be that of a field. A child begins at 0; where children are merged, theirs
 * are added to their parent's. Ends with a null name. */
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
    const void *api; /* a constant table of functions: first uint32_t struct_size; all take the context first */
} jv_service;

/* Types of options, taken from the type of the member they fill. */
#define JV_OPT_I64 1    /* int64_t */
#define JV_OPT_F64 2    /* double */
#define JV_OPT_TEXT 3   /* const char *: ends with NUL, never null, valid until close */
#define JV_OPT_CHOICE 4 /* int32_t: the index of one of the words in the range */
#define JV_OPT_LIST 5   /* jv_list */
#define JV_OPT_REF 6    /* jv_ref */
#define JV_OPT_MAP 7    /* jv_map */

typedef struct jv_list { /* a, b, c: or one a line */
    const jv_str *v;     /* each ends with NUL; valid until close; may be null when n is 0 */
    size_t n;
} jv_list;

typedef struct jv_map { /* NAME.KEY = value, in the order of the file; key.n == val.n */
    jv_list key, val;
} jv_map;

typedef struct jv_ref { /* another section; its context is open when this stage's open runs, started when start runs */
    const void *api;    /* the service's table; null only where the option has the default "" and the INI names none */
    void *self;         /* first argument of the table's functions */
} jv_ref;

#define JV_UNSET INT64_MIN /* an I64 option whose value is the word its range begins with, as in "auto|1.." */

/* An option: a key of the section, parsed and checked by the host and stored in the context before `open`.
 * `def` is what an absent key means, parsed like a value; null: the key is required. `range` and `help` are never null.
 * `range` by type:
 *   I64     "1..64", "0.."; "bytes 1M..": a size, suffixes K M G T, powers of 1024; "ms 0..1h": a time, suffixes ms s
 *           m h, the value is in milliseconds; each optionally after a word and a bar, "auto|1..": that word gives
 *           JV_UNSET. Without a suffix a number is bytes, or milliseconds
 *   F64     "0..2", "0.."
 *   TEXT    "" anything; "path" a file name, relative to the INI file, or to the working directory when it comes from
 *           the command line (a default: to the INI file). The host sees to more before `open` where the range says what
 *           for; what it sees then may have changed when the stage comes to it:
 *             "path read"   it is there, no folder, and can be read. An item - of a LIST is standard input: "-"
 *             "path glob"   it is there, unless it is a pattern with *, ? or [: what that matches is the stage's to find,
 *                           and so is what lies in a folder, at any depth
 *             "path folder" it is there, a folder, and can be entered
 *             "path write"  what is there can be written and is no folder; else its folder is there and can be written
 *           Where the default is not "", such a path is not empty. Nobody writes a regular file that a section reads or
 *           another one writes, that is or would be among what a "path glob" finds, or that the pipeline itself is read
 *           from; and standard input has one reader at most
 *   CHOICE  "no|yes", "replace|append|refuse"
 *   LIST    as TEXT, for each item. "include" and "exclude": patterns (fnmatch without flags) for the path that a file
 *           has below a folder of the section's "path glob", or below the part of a pattern before its first wildcard.
 *           Only what matches one of "include" is read, if there are any; nothing that matches one of "exclude" is, nor
 *           what lies in a folder that does. A file that is named, or matches a pattern itself, is meant
 *   MAP     as TEXT, for each value; keys are letters, digits, _ and -. `def` null: one key at least; "": none need be
 *   REF     the id of the service wanted
 * Ends with a null name. */
typedef struct jv_opt {
    const char *name;
    int32_t type;
    uint32_t flags;  /* JV_PER_RECORD, JV_NEUTRAL */
    uint32_t offset; /* of the member in the context */
    uint32_t reserved;
    const char *def;
    const char *range;
    const char *help;
} jv_opt;

/* ---- what the host offers ---- */

#define JV_LIVE 1  /* somebody waits for it: goes first wherever records wait */
#define JV_BATCH 2 /* fills what is left */

/* Where a root record comes from; given to `begin`. */
typedef struct jv_origin {
    uint32_t struct_size; /* sizeof(jv_origin) */
    int32_t priority;     /* 0: as the section says; a source without poll may say JV_LIVE or JV_BATCH */
    /* Its id: the position in the source, the same at every run (a file name, a byte offset), never a count of what was
     * done; UTF-8, 1 to 4096 bytes; unique within the source, which the host does not check. Copied. */
    jv_str position;
    void *user; /* for `done` and `user`; not touched by the host; lives until `done` */
} jv_origin;

/* One thing a stage may read at its place in the graph: `id`, a field set upstream, or a counter declared upstream. */
typedef struct jv_column {
    const char *name; /* valid until close */
    int32_t type;     /* JV_UTF8, ... (a counter: JV_I64) */
    uint32_t flags;   /* JV_MEASURED; JV_OPTIONAL: it does not come by every way that leads here, so bind it so */
} jv_column;

#define JV_LOG_INFO 0
#define JV_LOG_WARN 1
#define JV_LOG_MISTAKE 2

#if defined(__GNUC__)
#define JV_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define JV_PRINTF(f, a)
#endif

struct jv_host {
    uint32_t struct_size;
    uint32_t abi_minor;

    /* [any; always] One line of at most 1000 bytes to the user, after the section's name; JV_LOG_INFO is silent under
     * --quiet. JV_LOG_MISTAKE, [stage; open]: one of several mistakes of the user's, told as the text of `open` would
     * be; open looks for more, and answers JV_BAD in the end, with one of them in err. The same twice in a row, or what
     * `field` has just said, is told once. */
    void (*log)(const jv_host *h, int32_t level, const char *fmt, ...) JV_PRINTF(3, 4);

    /* -- names, while opening -- */

    /* [stage; open] Binds a name the INI gave (`{question}`, `fields = id, answer`; copied) to a new row and returns
     * the row's number, >= the number of rows declared. access: JV_IN (| JV_OPTIONAL) or JV_OUT (| JV_MEASURED). A
     * JV_IN name must be a column (below) of that type or JV_ANY; else < 0, with the nearest name in err. With
     * JV_OPTIONAL a name nobody sets gives a row that reads as absent. */
    int32_t (*field)(const jv_host *h, const char *name, int32_t type, uint32_t access, jv_err *err);

    /* [stage; open] What can be read here, in the order of the graph, `id` first: column i, or null past the end. */
    const jv_column *(*column)(const jv_host *h, uint32_t i);

    /* -- fields of a buffer: rows are those declared, then those bound by `field` -- */

    /* [stage; running] The bytes of any field but I64 and F64 (of I32S and F32S: n / 4 numbers); {0, 0} when absent
     * (a row that is none reads so too), p non-null when it is there but empty. Of an OUT row: what was set here so
     * far. Valid until the buffer is given away, at most until the function of the stage that asked returns; also
     * when the field is set meanwhile, but in a source's own threads, where it is then gone at once. */
    jv_str (*get)(const jv_host *h, const jv_buf *b, int32_t row);
    /* [stage; running] The number, or `absent`. A counter reads as this record's own sum. */
    int64_t (*get_i64)(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent);
    double (*get_f64)(const jv_host *h, const jv_buf *b, int32_t row, double absent);

    /* [stage; running] Sets a field to n fresh bytes (of I32S and F32S: n is a multiple of 4), to be filled before the
     * buffer is passed on; a NUL stands after them; aligned to 16. Null and err (FATAL: no memory) on failure. */
    char *(*put)(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err);
    /* [stage; running] Sets a field to n bytes at `at` of another buffer's (or this one's) field, without copying them.
     * Both are of bytes, or both arrays of one type. `at + n` must lie within it, and a cut must not fall inside a
     * character when `row` is UTF8, or a number. Bytes viewed as UTF8 or JSON are vouched for by the stage. JV_OK or
     * < 0. */
    int32_t (*view)(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at, size_t n,
        jv_err *err);
    /* [stage; running] The bytes behind an OUT row, to be changed in place: what was set here, else those of the IN
     * row of the same field (`in = text`, `out = text`), as many as `get` of it says. The first time it copies them,
     * so that others who share them keep theirs and the record can be put back. Null: err has JV_BAD (nothing is
     * there, also where the INI names two fields) or JV_FATAL. */
    char *(*writable)(const jv_host *h, jv_buf *b, int32_t row, jv_err *err);
    /* [stage; running] Sets a number. A row that is no OUT row of that type is the plugin's fault, which ends the
     * run. */
    void (*put_i64)(const jv_host *h, jv_buf *b, int32_t row, int64_t v);
    void (*put_f64)(const jv_host *h, jv_buf *b, int32_t row, double v);

    /* [stage; within a function that the host called] n bytes to work in, aligned to 64, freed when that function
     * returns. Not in a source's own threads. Null and err (FATAL) on failure. */
    void *(*scratch)(const jv_host *h, size_t n, jv_err *err);

    /* -- records -- */

    /* [stage; running] The record's id: the position in its source, for a child followed by /N, counted
     * from 0 by each stage that splits. Valid while the buffer is held. */
    jv_str (*id)(const jv_host *h, const jv_buf *b);
    /* [stage; running] 1 for a snapshot of an unfinished record (only stages with JV_PARTIALS see any), else 0.
     * Snapshots of a record and its final come to a stage one after the other, never two at once, also with
     * JV_PARALLEL. Each holds all that the one before held, unless the record was tried again or took the port
     * `rejected` meanwhile. */
    int32_t (*is_partial)(const jv_host *h, const jv_buf *b);
    /* [stage; running] JV_LIVE or JV_BATCH: of the record's root. */
    int32_t (*priority)(const jv_host *h, const jv_buf *b);
    /* [stage; running] What the source gave as jv_origin.user, or null when the record comes from another source than
     * the one `source` refers to. Of a snapshot and of children too. Alive until `done`, which waits for this
     * buffer. */
    void *(*user)(const jv_host *h, const jv_buf *b, const jv_ref *source);

    /* [stage; poll, or from start to stop without it; a source] Admits a root record and returns its buffer, without
     * fields, owned by the caller until `emit` or `reject`. Null: err has JV_FULL (the window is full: the record
     * may come later), JV_STOPPED, JV_BAD (a position that is empty, too long or no UTF-8) or JV_FATAL. Within
     * `poll` at least one can be begun each time. Never blocks and never calls `done`. */
    jv_buf *(*begin)(const jv_host *h, const jv_origin *origin, jv_err *err);
    /* [stage; process; JV_SPLIT] A child of the record in `parent`, the buffer process was given: numbered from 0,
     * it begins with the same fields, without counts, and stands in the order right after the children before it.
     * Owned by the caller until `emit`. Null: err has JV_FATAL (no memory). */
    jv_buf *(*fork)(const jv_host *h, const jv_buf *parent, jv_err *err);
    /* [stage; as begin, or as fork] Gives a begun or forked buffer away, to a port of this stage; it is gone also on
     * failure. In a source: JV_OK; JV_END (nothing more is wanted: the run is being stopped, or all that read it
     * have ended; the record goes its way all the same); JV_FATAL (and the record is settled as cancelled). Of a
     * record cancelled meanwhile nothing is said there. It does not block where the source has no poll. In a stage
     * that splits: JV_OK, JV_CANCELLED (the record, or the run) or JV_FATAL. Other than JV_OK: the caller stops
     * making more and answers so. A buffer that was made and not emitted when `poll` or `process` returns is lost
     * through the plugin's fault, which ends the run. */
    int32_t (*emit)(const jv_host *h, jv_buf *b, int32_t port, jv_err *err);
    /* [stage; begun; a source] Gives a begun buffer away as rejected, for what `why` says (a file that cannot be
     * read): it is counted and goes where rejected records go, with the fields it has; the run goes on. JV_OK, or
     * JV_CANCELLED (the run has ended): the caller stops making more. */
    int32_t (*reject)(const jv_host *h, jv_buf *b, const jv_err *why, jv_err *err);

    /* [stage; process; JV_MERGE] How many children the record was split into; may be 0. After JV_RETRY the same. */
    uint32_t (*children)(const jv_host *h, const jv_buf *b);
    /* [stage; process; JV_MERGE] Child i as it came here, read with this stage's JV_IN rows; the host's, valid until
     * process returns. Null: it did not come, and err says why: JV_DROP (err->reason), JV_BAD, JV_CANCELLED, or
     * JV_DONE for one that took a way which does not lead here. */
    const jv_buf *(*child)(const jv_host *h, const jv_buf *b, uint32_t i, jv_err *err);

    /* [any; process] Appends n bytes to what `partial` has built so far of a UTF8, BYTES or JSON field (the first
     * takes the place of what was there) and lets a snapshot of the buffer, the one process was given, travel on to
     * port 0. Snapshots may be replaced by newer ones or dropped; each holds all so far. UTF8: whole characters
     * only; JSON: valid in the final only. May be called by a service's callback while `process` waits for it;
     * stages that share its thread then run in the caller's. JV_OK or < 0. The field so built stays in the buffer.
     * Not in a stage that splits. */
    int32_t (*partial)(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err);

    /* [stage; running] A handle for `cancel`, never 0; valid for ever, and harmless once the record is settled. */
    uint64_t (*record)(const jv_host *h, const jv_buf *b);
    /* [any; running; a source] Cancels a root record of this source and all that came of it. Returns at once and never
     * calls `done`; the host settles them at their next step. */
    void (*cancel)(const jv_host *h, uint64_t record);
    /* [any; process] 1 once the record, or the whole run, is cancelled: then process answers JV_CANCELLED soon. */
    int32_t (*cancelled)(const jv_host *h, const jv_buf *b);
    /* [stage; running] Waits until fd has one of `events` (as in poll(2)) or ms milliseconds have passed (< 0: no
     * limit; fd -1: only waits). 1: it has; 0: time is up; JV_STOPPED: in a source, the run is being stopped (or nobody
     * wants more); elsewhere the run, or the record this thread is processing, is cancelled: answer JV_CANCELLED. */
    int32_t (*wait)(const jv_host *h, int32_t fd, int32_t events, int64_t ms);

    /* [any; process or begun] Adds n, which may be negative, to a counter (its number in the stage's array), for
     * this stage, for this record as it travels on from here, and for its root. Not taken back by BAD, and a call
     * after RETRY adds again; nothing on a snapshot. */
    void (*count)(const jv_host *h, jv_buf *b, int32_t counter, int64_t n);
    /* [stage; running] The sum so far of a counter, by its name, over the record's root and all that came of it; of all
     * stages. `absent` where no stage of the pipeline counts so. */
    int64_t (*tally)(const jv_host *h, const jv_buf *b, const char *counter, int64_t absent);

    /* [stage; process] The options as this record wants them. `into`, ctx_size bytes, gets the options of the
     * section, and over them what the record's field `params` says, where it has one: a flat JSON object whose keys
     * are names of options with JV_PER_RECORD, whose values are parsed and checked as in the INI file (true and
     * false for a CHOICE no|yes, an array for a LIST, an object for a MAP; null: as the section says). All else in
     * it becomes zero, so it is no context to work with. What it points to is valid until process returns. JV_OK;
     * JV_BAD: params is no such object, or a key in it is not an option that some stage of this pipeline takes per
     * record, or its value is wrong; FATAL. */
    int32_t (*params)(const jv_host *h, const jv_buf *b, void *into, jv_err *err);

    /* [stage; open, start] How many threads to compute with: takes `want` (>= 0; 0: all that are left) out of the
     * pipeline's budget. That is `[pipeline] threads`, which nobody exceeds, or else the cores this process may use,
     * which bound only 0. Answers what was granted, at least 1. Given back at close. */
    int32_t (*lease)(const jv_host *h, int32_t want);

    /* [any; running] The pipeline as it stands now: its graph and live counters, one JSON object, handed to `write` in
     * pieces before stats returns. JV_OK or < 0. */
    int32_t (*stats)(const jv_host *h, void (*write)(void *arg, const char *text, size_t n), void *arg, jv_err *err);

    /* [own; running; a source] The source cannot go on: the run ends, as if poll had answered JV_FATAL. `stop` still
     * comes. */
    void (*fail)(const jv_host *h, const jv_err *why);
};

/* ---- a stage ---- */

#define JV_PARALLEL 1u   /* process may run in several threads at once, for different buffers */
#define JV_ORDERED 2u    /* wants records in source order, children in their parent's place */
#define JV_PARTIALS 4u   /* wants snapshots too: one goes on to the port its verdict names, or vanishes */
#define JV_SPLIT 8u      /* forks children; without it fork fails and DONE is no verdict */
#define JV_ENDLESS 16u   /* a source without an end of its own: stopping it is a success */
#define JV_MERGE 32u     /* the other end of the nearest JV_SPLIT above, see below */
#define JV_RESULT 64u    /* what it makes is dear and worth keeping */
#define JV_TERMINAL 128u /* a source on standard input, or a sink on standard output; a terminal there is its own */

/* A merge gets the record that was split, once, when none of its children is still coming. Its JV_IN rows are fields of
 * the children, read by `child`; of the record itself such a row reads what it had when it came to the split. What the
 * merge sets it sets on the record, which has the fields it came to the split with; the counts of the children that
 * came are added to its own. Children end here. */

#define JV_PER_CORE UINT32_MAX /* threads: as many as the pipeline has compute threads */

/* The functions all get the instance's context: `ctx_size` zeroed bytes with the options filled in, never null. Those a
 * stage does not need are null. A source has ports and no `process`: it has `poll`, or it begins records from
 * threads of its own, from `start` until `stop` has returned (then JV_ENDLESS and `stop` are required). A filter has
 * `process` and ports; a sink has `process` and no ports; a resource has neither and offers services. A source may
 * offer services too, for the sinks that answer it. No two of open, start, poll, process, flush and close of one
 * instance run at once (but process with JV_PARALLEL), in threads of the host's choice; `stop`, `done` and services
 * may run beside them. */
typedef struct jv_stage {
    const char *name;  /* the stage's name, equal to the plugin's where a file holds one stage */
    const char *brief; /* one line */
    uint32_t flags;
    uint32_t ctx_size;
    uint32_t threads; /* how many calls of process at once by default, 1..1024 or JV_PER_CORE; 0: 1. Above 1 only with
                         JV_PARALLEL */
    uint32_t reserved;
    const jv_field *fields;     /* may be null */
    const jv_port *ports;       /* null: a sink or a resource */
    const jv_opt *opts;         /* may be null */
    const jv_counter *counters; /* may be null */
    const jv_service *services; /* may be null */

    /* [host; one call] Checks options against each other, binds names, keeps `h`, which comes only here. Reads files
     * if it must, but creates, writes, binds and loads nothing: `jevons check` opens everything and goes home. < 0: err
     * says why; a text that begins with "`KEY`" or "`KEY = VALUE`" is told at the line of that key. */
    int32_t (*open)(void *ctx, const jv_host *h, jv_err *err);
    /* [host; one call] Creates files, loads weights, starts threads. After the open of all and the start of what it
     * refers to. */
    int32_t (*start)(void *ctx, jv_err *err);
    /* [host; one call at a time; a source] Its next record: begins and emits one (or a few), in this order. JV_OK: call
     * again; JV_END; what begin, wait, emit or reject answered other than JV_OK (after JV_FULL it is called again when
     * there is room); JV_FATAL. A pipe or socket is waited for in `wait`. */
    int32_t (*poll)(void *ctx, jv_err *err);
    /* [host; one call at a time, or `threads` with JV_PARALLEL] The verdict on one record; not before every start has
     * returned. The buffer stays the host's: a stage changes its fields in place and says where it goes. It may
     * block; a cancel is then heard by `wait` or `cancelled`. After JV_RETRY nothing may have been emitted. */
    int32_t (*process)(void *ctx, jv_buf *b, jv_err *err);
    /* [host; one call] After the last process, of a source after the last `done`; also when the run has failed,
     * unless at start. A sink writes what it holds. */
    int32_t (*flush)(void *ctx, jv_err *err);
    /* [host; any thread; a source] It admits no more. It may be in poll, which returns soon. A source without poll
     * has no thread in `begin` and has given away all it began when this returns: it may wait for its threads here,
     * and none of them makes this call. At most once, after `start`; not of a source with poll that came to its end
     * by itself; never within a function of the source's. */
    void (*stop)(void *ctx);
    /* [host; any thread; a source] Once for each root record: it and all its children are settled. status: JV_OK
     * (something of it was delivered and nothing went wrong), JV_DROP (nothing was delivered, err->reason says why),
     * or the worst of JV_FATAL, JV_BAD, JV_CANCELLED, whose err->text says why. `user` may be null if begin got so.
     * `root` has no fields any more; id, tally, priority and record may be asked of it. Must not block. Several
     * roots may be settled at once, and one as early as within its own emit or reject: who calls those holds no lock
     * that `done` takes, and leaves `user` alone after. */
    void (*done)(void *ctx, void *user, const jv_buf *root, int32_t status, const jv_err *err);
    /* [host; one call] Takes whatever state it finds, half-open too; called once after open, whatever open said. */
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
 * seven above does not compile. JV_OPTF has flags before the default. T is a plain struct. */
#ifndef __cplusplus
#define JV_OPT_TYPE(T, member)                                                                                         \
    _Generic(&((T *)0)->member, int64_t *: JV_OPT_I64, double *: JV_OPT_F64, const char **: JV_OPT_TEXT,               \
        int32_t *: JV_OPT_CHOICE, jv_list *: JV_OPT_LIST, jv_ref *: JV_OPT_REF, jv_map *: JV_OPT_MAP)
#endif
#define JV_OPTF(T, member, flags, def, range, help)                                                                    \
    {#member, JV_OPT_TYPE(T, member), flags, (uint32_t)offsetof(T, member), 0, def, range, help}
#define JV_OPT(T, member, def, range, help) JV_OPTF(T, member, 0, def, range, help)

/* clang-format on */

/* ---- helpers ---- */

/* Fills err and returns code: `return jv_fail(err, JV_BAD, "line %d is too long", n);` No argument may lie in err. */
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
static constexpr int32_t jv_opt_type(jv_map *) { return JV_OPT_MAP; }
#define JV_OPT_TYPE(T, member) jv_opt_type(decltype(&((T *)0)->member)(nullptr))
#endif
/* clang-format on */

#endif
