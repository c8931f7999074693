/*
 * mockhost.h: a host for one stage, to test a built plugin by itself. It shares no code with core/: it is a second
 * reading of core/jevons.h, and stricter. A plugin that breaks a rule of the interface (sets a row it never declared, a
 * field that is not UTF-8, a verdict without a text, DONE from a stage that does not split) ends the test program
 * with a line that names the rule.
 *
 *     mock *m = mock_new(argv[1], NULL);              // the file's only stage; else its name
 *     mock_set(m, "size = 10\noverlap = 2\nin = question");
 *     mock_column(m, "question", JV_UTF8, 0);         // only what the declared input rows do not say
 *     jv_err err;
 *     assert_int_equal(mock_open(m, &err), JV_OK);    // options parsed and checked, then the stage's open
 *     assert_int_equal(mock_start(m, &err), JV_OK);
 *     jv_buf *b = mock_record(m, "doc.txt");
 *     mock_put(b, "question", "why?");
 *     assert_int_equal(mock_process(m, b, &err), JV_OK);
 *     assert_string_equal(mock_text(b, "answer"), "because");
 *     mock_free(m);                                   // closes; every buffer and text given back or the program ends
 *
 * A merge is given the record that was split, and its children: mock_child, mock_missing. A source without poll begins
 * records from threads of its own: mock_wait. What process set before it answered BAD or RETRY is taken back.
 *
 * What `emit`, `partial` and `reject` were given is recorded in order: mock_n, mock_at. Those buffers, and those of
 * mock_record, live until mock_forget or mock_free. mock_process may be called by several threads at once, for
 * different buffers of a stage with JV_PARALLEL.
 *
 * All allocations fail in turn:
 *     for (int64_t k = 0;; k++) {
 *         mock_fail_at(m, k);
 *         rc = mock_process(m, b, &err);
 *         if (!mock_failed(m)) break;                 // fewer than k + 1 allocations: all have been tried
 *         assert_int_equal(rc, JV_FATAL);
 *     }
 *     mock_fail_at(m, -1);                            // the last one set is still to come
 */
#ifndef MOCKHOST_H
#define MOCKHOST_H

#include <stdbool.h>

#include "jevons.h"

typedef struct mock mock;

/* Kinds of what was recorded. */
#define MOCK_CHILD 1   /* forked and emitted */
#define MOCK_ROOT 2    /* begun and emitted */
#define MOCK_PARTIAL 3 /* a snapshot */
#define MOCK_REJECT 4  /* begun and rejected; mock_why has the text */

/* ---- a stage's life --------------------------------------------------------------------------------------------- */

/* Loads a plugin and checks its descriptor. stage: null where the file holds one. Ends the program when it cannot. */
mock *mock_new(const char *so, const char *stage);
/* Closes what is open, checks that nothing is left, frees all. */
void mock_free(mock *m);

/* Lines `key = value`, indented lines go on (with a newline between); a key is an option or a field row. Adds to what
 * was set; parsed by mock_open. */
void mock_set(mock *m, const char *ini);
/* A section that options of type ref may name: a table of the test's own, or the service of that id of another mock. */
void mock_service(mock *m, const char *section, const char *id, const void *api, void *self);
void mock_use(mock *m, const char *section, const char *id, mock *other);
/* A field (or counter) set upstream, or the true type of one that a declared row reads. Before mock_open. */
void mock_column(mock *m, const char *name, int32_t type, uint32_t flags);

/* JV_OK, what the stage answered, or JV_BAD for an option the host would refuse. Where the stage has told mistakes, they
 * are the error's text, a line each. */
int32_t mock_open(mock *m, jv_err *err);
int32_t mock_start(mock *m, jv_err *err);
int32_t mock_poll(mock *m, jv_err *err);
/* After an END: JV_DROP, and the stage is not called. Of a snapshot the verdict is not looked at. */
int32_t mock_process(mock *m, jv_buf *b, jv_err *err);
int32_t mock_flush(mock *m, jv_err *err);
/* From now on a source's `wait` and `begin` answer JV_STOPPED, its `emit` JV_END; calls the stage's stop. A `begin`
 * after stop has returned ends the program. */
void mock_stop(mock *m);
void mock_close(mock *m);

/* The options as parsed and the tables behind a stage, for tests that call a service's functions themselves. */
void *mock_context(mock *m);
const jv_host *mock_host(mock *m);
const jv_stage *mock_stage(mock *m);

/* ---- records in ------------------------------------------------------------------------------------------------- */

jv_buf *mock_record(mock *m, const char *id);
/* Fields by their names in the graph. mock_put: text up to the NUL. */
void mock_put(jv_buf *b, const char *field, const char *text);
void mock_put_n(jv_buf *b, const char *field, const void *p, size_t n);
void mock_put_i64(jv_buf *b, const char *field, int64_t v);
void mock_put_f64(jv_buf *b, const char *field, double v);
void mock_set_partial(jv_buf *b, bool partial);      /* a snapshot, for a stage with JV_PARTIALS */
void mock_set_priority(jv_buf *b, int32_t priority); /* JV_BATCH unless set */
/* What `user` says to a ref to this source: mock_context of another mock, or the self given to mock_service. */
void mock_set_user(jv_buf *b, const void *self, void *user);
void mock_set_tally(jv_buf *b, const char *counter, int64_t n); /* of any stage; adds the name where it is new */
/* `params` is a field like any other: mock_column(m, "params", JV_JSON, 0), mock_put. This names an option that another
 * stage takes per record, so that the key is allowed here. */
void mock_other_param(mock *m, const char *name);
/* For a merge, before mock_process: the next child of the record as it came, with its parent's fields to begin with;
 * the next one that did not come: JV_DROP and a literal, JV_BAD and a text, JV_CANCELLED, JV_DONE. */
jv_buf *mock_child(jv_buf *parent);
void mock_missing(jv_buf *parent, int32_t code, const char *why);

/* ---- what came out ---------------------------------------------------------------------------------------------- */

size_t mock_n(mock *m);
jv_buf *mock_at(mock *m, size_t i); /* ends the program past the end */
void mock_wait(mock *m, size_t n);  /* until n have come, from whatever thread */
/* Frees what was recorded, and all records of mock_record. */
void mock_forget(mock *m);

int32_t mock_kind(const jv_buf *b); /* MOCK_*, 0 for one of mock_record */
int32_t mock_port(const jv_buf *b);
const char *mock_port_name(const mock *m, int32_t port); /* after mock_open; "to.*" has its keys */
int32_t mock_priority(const jv_buf *b);
void *mock_user(const jv_buf *b); /* what the source gave to begin */
const char *mock_id(const jv_buf *b);
const char *mock_why(const jv_buf *b); /* of MOCK_REJECT */
bool mock_has(const jv_buf *b, const char *field);
int32_t mock_type_of(const jv_buf *b, const char *field); /* JV_UTF8, ...; 0 when absent */
jv_str mock_get(const jv_buf *b, const char *field);
const char *mock_text(const jv_buf *b, const char *field); /* ends with NUL; "(absent)" when absent */
int64_t mock_i64(const jv_buf *b, const char *field);
double mock_f64(const jv_buf *b, const char *field);

int64_t mock_count(mock *m, const char *counter);           /* the stage's sum */
int64_t mock_counted(const jv_buf *b, const char *counter); /* this record's */
size_t mock_logs(mock *m);
bool mock_logged(mock *m, const char *part);

/* ---- trouble ---------------------------------------------------------------------------------------------------- */

/* The k-th allocation from now fails, once (0: the next; put, view, writable, scratch, fork, begin, partial, params,
 * stats). < 0: none. */
void mock_fail_at(mock *m, int64_t k);
bool mock_failed(mock *m); /* whether that one has been reached */
/* The k-th emit from now answers `code`, and all after it: JV_FATAL, in a source JV_END, elsewhere JV_CANCELLED, which
 * cancels the record. What was so emitted is not among mock_at. */
void mock_emit_at(mock *m, int64_t k, int32_t code);
/* The run is cancelled from the k-th question of `cancelled` on; 0: at once, < 0: never. `wait` then answers
 * JV_STOPPED, `reject` and the `emit` of a stage that splits JV_CANCELLED. */
void mock_cancel_at(mock *m, int64_t k);
/* `begin` answers JV_FULL while n roots are not settled. */
void mock_window(mock *m, size_t n);
/* Settles a root: calls the stage's done. Once for each. text: of JV_DROP the reason. */
void mock_settle(mock *m, jv_buf *root, int32_t status, const char *text);
bool mock_cancelled(const jv_buf *b); /* by the stage's `cancel` */
/* What a source without poll said with `fail`, or null. From then on the run is cancelled. */
const char *mock_why_failed(mock *m);

#endif
