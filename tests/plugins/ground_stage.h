/* ground_stage.h: what the files of jv_ground.so share: the ledger, notes, and the fields of its records. */
#ifndef GROUND_STAGE_H
#define GROUND_STAGE_H

#include "ground.h"
#include "jevons.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The service of [ledger]: takes what the stages noted, a line each, and writes it to a file when it is closed. */
struct ledger_api {
    uint32_t struct_size;
    void (*hand_in)(void *self, const char *text, size_t n);
    /* A source has begun its last record and all are settled. by_count: because it has made as many as it was told. */
    void (*finished)(void *self, int32_t by_count);
};

/* Lines waiting to be handed in. */
struct notes {
    pthread_mutex_t lock;
    char *p;
    size_t n, cap;
};

void ground_notes_init(struct notes *t);
void ground_note(struct notes *t, const char *fmt, ...) JV_PRINTF(2, 3);
void ground_notes_hand_in(struct notes *t, const jv_ref *ledger);

/* A root record as its source keeps it; what `user` gives. */
struct root {
    struct source *source;
    int64_t number;
    uint64_t handle;
    int32_t done; /* how often that was said */
};

/* The service of a source, for `user`. */
struct source_api {
    uint32_t struct_size;
    char (*letter)(void *self);
};

#define GROUND_SOURCE "ground.source/1"
#define GROUND_LEDGER "ground.ledger/1"

/* Rows of fields, the same in all sources. */
enum { S_DIGEST, S_MARK, S_BALLAST, S_TURN };

#define MOST_HANDS 4

struct source {
    int64_t salt, count, batch, bytes, bad, slow, cancel, lag, hands;
    int32_t backwards, mixed;
    const char *letter;
    jv_map to;
    jv_ref ledger;
    const jv_host *h;
    struct notes notes;
    struct root *roots;
    pthread_mutex_t lock; /* next, turn, hands_left, begin */
    int64_t next, turn, settled;
    pthread_t hand[MOST_HANDS];
    int32_t hands_left, hands_begun;
    bool told; /* that all is finished */
    atomic_bool stopped;
};

struct ledger {
    const char *file;
    int64_t springs;
    pthread_mutex_t lock;
    char *p;
    size_t n, cap;
    bool started, some_by_count;
    int64_t n_finished;
};

extern const jv_field ground_source_fields[];
extern const jv_opt ground_well_opts[], ground_wells_opts[], ground_spring_opts[], ground_ledger_opts[];
extern const jv_service ground_source_services[], ground_ledger_services[];

int32_t ground_source_open(void *ctx, const jv_host *h, jv_err *err);
int32_t ground_well_poll(void *ctx, jv_err *err);
int32_t ground_spring_start(void *ctx, jv_err *err);
void ground_spring_stop(void *ctx);
void ground_source_done(void *ctx, void *user, const jv_buf *root, int32_t status, const jv_err *err);
void ground_source_close(void *ctx);

int32_t ground_ledger_open(void *ctx, const jv_host *h, jv_err *err);
int32_t ground_ledger_start(void *ctx, jv_err *err);
void ground_ledger_close(void *ctx);

#endif
