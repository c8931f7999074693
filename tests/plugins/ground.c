/*
 * ground.c: stages for random pipelines (tests/graphs). What each does with a record is a pure function of the record's
 * id and the stage's `salt` (ground.h); each checks by itself what the host promises it, and notes in the ledger what
 * it saw: `S salt id sum steps` for a record delivered, `V salt text` for a promise broken.
 *
 *   well, wells, spring    sources (ground_source.c)
 *   step, queue, route     filters: in many threads, ORDERED, with several ports
 *   split, scatter, deal   children: in many threads, to several ports, ORDERED
 *   merge, gather          their other end: in many threads, ORDERED
 *   stream, relay          a field that grows; a filter that passes snapshots on
 *   limit                  ORDERED; wants no more after so many
 *   sink, log, watch, peek sinks: in many threads, ORDERED, ORDERED with snapshots, snapshots alone
 */
#include "ground_stage.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SOURCES 26 /* one a letter */

/* Where an ORDERED stage stands in a source. */
struct place {
    int64_t turn;
    char id[64];
    bool some, final;
};

/* What a stage that sees snapshots knows of a record. */
struct sight {
    uint64_t hash;
    size_t n; /* bytes of `text` so far */
    uint64_t text;
    bool final;
};

struct tried {
    uint64_t hash;
    int64_t n;
};

struct stage {
    int64_t salt, drop, bad, retry, never, fatal, slow, tries, most, children, limit, pieces, stats;
    jv_map to;
    jv_ref ledger, of;
    const jv_host *h;
    struct notes notes;
    int32_t error_row, steps_row, text_row;
    bool ordered, sink, by_id; /* by_id: the order is that of the ids, since `turn` cannot be read */
    atomic_int inside;
    int64_t passed;
    struct place at[SOURCES], *latest; /* latest: what came last, of any source */
    pthread_mutex_t lock;              /* of the two tables */
    struct tried *tried;
    struct sight *sights;
    size_t n_tried, n_sights;
};

/* Rows of fields: what all read, what all filters set, and what some set besides. */
enum { DIGEST, MARK, BALLAST, TURN, DIGEST_OUT, MARK_OUT, TEXT_OUT, BALLAST_OUT = MARK_OUT };

#define VIOLATION(s, fmt, ...) ground_note(&(s)->notes, "V %lld " fmt, (long long)(s)->salt, __VA_ARGS__)

static uint64_t hash_of(const struct stage *s, const jv_buf *b)
{
    jv_str id = s->h->id(s->h, b);
    return ground_hash(id.p, id.n, (uint64_t)s->salt);
}

static uint64_t field_hash(const struct stage *s, const jv_buf *b, int32_t row)
{
    jv_str v = s->h->get(s->h, b, row);
    return ground_hash(v.p, v.n, 0);
}

/* The number in the error text of the stage that rejected the record last. */
static int64_t error_salt(const struct stage *s, const jv_buf *b)
{
    char text[512];
    jv_str e = s->h->get(s->h, b, s->error_row);
    if (!e.p) return -1;
    size_t n = e.n < sizeof text - 1 ? e.n : sizeof text - 1;
    memcpy(text, e.p, n);
    text[n] = 0;
    const char *at = strstr(text, "salt ");
    return at ? strtoll(at + 5, NULL, 10) : -2;
}

static uint64_t sum_of(const struct stage *s, const jv_buf *b)
{
    return ground_sum(&(struct ground_load){
        .digest = (uint64_t)s->h->get_i64(s->h, b, DIGEST, 0),
        .mark = field_hash(s, b, MARK),
        .ballast = field_hash(s, b, BALLAST),
        .text = field_hash(s, b, s->text_row),
        .priority = s->h->priority(s->h, b),
        .error = error_salt(s, b),
    });
}

/* ---- what the host promises ---- */

/* Ids of one source: the same root, then child by child, by their numbers. */
static int compare_children(const char *a, const char *b)
{
    for (;;) {
        a = strchr(a, '/');
        b = strchr(b, '/');
        if (!a || !b) return (a != NULL) - (b != NULL);
        long x = strtol(++a, NULL, 10), y = strtol(++b, NULL, 10);
        if (x != y) return x < y ? -1 : 1;
    }
}

/* Each record comes behind the one before it; a snapshot may come again, but not after its final. */
static void check_order(struct stage *s, const jv_buf *b, bool final)
{
    char id[sizeof s->at->id];
    jv_str v = s->h->id(s->h, b);
    snprintf(id, sizeof id, "%.*s", (int)v.n, v.p);
    int letter = id[0] - 'a';
    if (letter < 0 || letter >= SOURCES) {
        VIOLATION(s, "the id %s", id);
        return;
    }
    struct place *at = &s->at[letter], now = {.some = true, .final = final};
    now.turn = s->by_id ? strtoll(id + 1, NULL, 10) : s->h->get_i64(s->h, b, TURN, -1);
    memcpy(now.id, id, sizeof id);
    int order = !at->some ? 1 : now.turn != at->turn ? (now.turn > at->turn) * 2 - 1 : compare_children(id, at->id);
    if (order < 0 || (order == 0 && at->final)) VIOLATION(s, "%s comes after %s", id, at->id);
    *at = now;
    s->latest = at;
}

/* `user` is the source's own, and only for the source that is named. */
static void check_user(struct stage *s, const jv_buf *b)
{
    const struct source_api *api = s->of.api;
    jv_str id = s->h->id(s->h, b);
    if (!api) return;
    const struct root *r = s->h->user(s->h, b, &s->of);
    bool mine = api->letter(s->of.self) == id.p[0];
    if (mine != (r != NULL) || (r && r->number != strtoll(id.p + 1, NULL, 10)))
        VIOLATION(s, "user of %.*s is wrong", (int)id.n, id.p);
}

/* Snapshots of a record only grow, and none comes after the final. */
static void check_sight(struct stage *s, const jv_buf *b, bool final)
{
    jv_str id = s->h->id(s->h, b), text = s->h->get(s->h, b, s->text_row);
    uint64_t hash = hash_of(s, b);
    pthread_mutex_lock(&s->lock);
    struct sight *seen = NULL;
    for (size_t i = s->n_sights; i > 0 && !seen; i--)
        if (s->sights[i - 1].hash == hash) seen = &s->sights[i - 1];
    bool grows = seen && text.n >= seen->n && ground_hash(text.p, seen->n, 0) == seen->text;
    bool back = final && error_salt(s, b) >= 0; /* rejected since then, so the text is as it was before */
    if (seen && (seen->final || !(grows || back)))
        VIOLATION(s, "%s of %.*s after %s of %zu bytes", final ? "final" : "snapshot", (int)id.n, id.p,
            seen->final ? "the final" : "a snapshot", seen->n);
    struct sight *grown = seen ? s->sights : realloc(s->sights, (s->n_sights + 1) * sizeof *s->sights);
    if (grown) {
        s->sights = grown;
        if (!seen) seen = &grown[s->n_sights++];
        *seen = (struct sight){hash, text.n, ground_hash(text.p, text.n, 0), final};
    }
    pthread_mutex_unlock(&s->lock);
}

static void enter(struct stage *s, const jv_buf *b)
{
    int inside = atomic_fetch_add(&s->inside, 1) + 1;
    if (inside > s->most) VIOLATION(s, "%d calls at once", inside);
    if (s->ordered) check_order(s, b, !s->h->is_partial(s->h, b));
}

static int32_t leave(struct stage *s, int32_t verdict)
{
    if (verdict == JV_RETRY && s->ordered) s->latest->final = false; /* it may come again */
    atomic_fetch_sub(&s->inside, 1);
    return verdict;
}

/* ---- what a stage decides ---- */

static void count_bytes(void *arg, const char *text, size_t n)
{
    *(size_t *)arg += n;
}

/* How often this record has been tried, this time included. */
static int64_t tries_of(struct stage *s, uint64_t hash)
{
    int64_t n = 1;
    pthread_mutex_lock(&s->lock);
    struct tried *t = s->tried;
    while (t < s->tried + s->n_tried && t->hash != hash) t++;
    if (t < s->tried + s->n_tried) {
        n = ++t->n;
    } else if ((t = realloc(s->tried, (s->n_tried + 1) * sizeof *t))) {
        s->tried = t;
        t[s->n_tried++] = (struct tried){hash, 1};
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

static enum ground_fate fate_of(const struct stage *s, uint64_t hash)
{
    return ground_fate(hash, &(struct ground_odds){s->drop, s->bad, s->retry, s->never, s->fatal});
}

/* Leaves a field behind that nobody may ever see. */
static int32_t fail(struct stage *s, jv_buf *b, int32_t verdict, jv_err *err)
{
    if (!s->sink) s->h->put_i64(s->h, b, DIGEST_OUT, -1);
    return jv_fail(err, verdict, "salt %lld: no", (long long)s->salt);
}

/* JV_OK: the record passes. */
static int32_t decide(struct stage *s, jv_buf *b, uint64_t hash, jv_err *err)
{
    if (ground_chosen(ground_mix(hash, 1), s->slow)) {
        nanosleep(&(struct timespec){0, 1000 + (long)(hash >> 20) % 400000}, NULL);
        if (s->h->cancelled(s->h, b)) return jv_fail(err, JV_CANCELLED, "cancelled");
    }
    if (s->stats && hash % 16 == 0) {
        size_t n = 0;
        if (s->h->stats(s->h, count_bytes, &n, err) != JV_OK || !n) VIOLATION(s, "stats: %zu bytes", n);
    }
    switch (fate_of(s, hash)) {
    case GROUND_DROP: return jv_drop(err, "left out");
    case GROUND_BAD: return fail(s, b, JV_BAD, err);
    case GROUND_RETRY: return tries_of(s, hash) <= s->tries ? fail(s, b, JV_RETRY, err) : JV_OK;
    case GROUND_NEVER: return fail(s, b, JV_RETRY, err);
    case GROUND_FATAL: return fail(s, b, JV_FATAL, err);
    case GROUND_PASS: break;
    }
    return JV_OK;
}

/* The stage's trace on a record: one that lasts if it passes, else one that nobody may ever see. */
static int32_t leave_trace(struct stage *s, jv_buf *b, int32_t verdict, jv_err *err)
{
    jv_err none;
    char *mark = s->h->writable(s->h, b, MARK_OUT, verdict == JV_OK ? err : &none);
    if (verdict != JV_OK || !mark) {
        if (mark) memset(mark, '!', GROUND_MARK);
        return verdict == JV_OK ? err->code : verdict;
    }
    ground_turn(mark, (uint64_t)s->salt);
    uint64_t digest = (uint64_t)s->h->get_i64(s->h, b, DIGEST, 0);
    s->h->put_i64(s->h, b, DIGEST_OUT, (int64_t)ground_mix(digest, (uint64_t)s->salt));
    s->h->count(s->h, b, 0, 1);
    return JV_OK;
}

static int32_t port_of(const struct stage *s, uint64_t hash)
{
    return (int32_t)ground_port(hash, s->to.key.n ? (uint32_t)s->to.key.n : 1);
}

/* ---- filters ---- */

static int32_t step_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct stage *s = ctx;
    uint64_t hash = hash_of(s, b);
    enter(s, b);
    int32_t rc = decide(s, b, hash, err);
    rc = leave_trace(s, b, rc, err);
    return leave(s, rc == JV_OK ? port_of(s, hash) : rc);
}

static int32_t limit_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct stage *s = ctx;
    enter(s, b);
    int32_t rc = leave_trace(s, b, JV_OK, err);
    if (++s->passed > s->limit) VIOLATION(s, "record %lld after the end", (long long)s->passed);
    return leave(s, rc == JV_OK && s->passed == s->limit ? JV_END : rc);
}

static int32_t make_child(struct stage *s, const jv_buf *parent, jv_err *err)
{
    const jv_host *h = s->h;
    jv_buf *b = h->fork(h, parent, err);
    if (!b) return err->code;
    uint64_t hash = hash_of(s, b);
    jv_str ballast = h->get(h, parent, BALLAST);
    int32_t rc = h->view(h, b, BALLAST_OUT, parent, BALLAST, ground_cut(hash, ballast.n), ballast.n / 2, err);
    if (rc != JV_OK) return rc;
    h->put_i64(h, b, DIGEST_OUT, (int64_t)ground_mix((uint64_t)h->get_i64(h, parent, DIGEST, 0), hash));
    return h->emit(h, b, port_of(s, hash), err);
}

static int32_t make_children(struct stage *s, const jv_buf *b, uint64_t hash, jv_err *err)
{
    int32_t rc = JV_OK;
    for (uint32_t n = ground_children(hash, (uint32_t)s->children); n && rc == JV_OK; n--) rc = make_child(s, b, err);
    return rc;
}

static int32_t split_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct stage *s = ctx;
    uint64_t hash = hash_of(s, b);
    enum ground_fate fate = fate_of(s, hash);
    bool late = ground_late(hash) && (fate == GROUND_DROP || fate == GROUND_BAD);
    enter(s, b);
    int32_t rc = late ? make_children(s, b, hash, err) : JV_OK;
    if (rc == JV_OK) rc = decide(s, b, hash, err);
    if (rc == JV_OK) {
        s->h->count(s->h, b, 0, 1);
        rc = make_children(s, b, hash, err);
        if (rc == JV_OK) rc = JV_DONE;
    }
    return leave(s, rc);
}

static int32_t merge_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct stage *s = ctx;
    const jv_host *h = s->h;
    uint64_t hash = hash_of(s, b), digest = hash;
    enter(s, b);
    int32_t rc = decide(s, b, hash, err);
    for (uint32_t i = 0; rc == JV_OK && i < h->children(h, b); i++) {
        jv_err why = {0};
        const jv_buf *child = h->child(h, b, i, &why);
        uint64_t dropped = !child && why.code == JV_DROP && why.reason ? strlen(why.reason) : 0;
        digest = ground_mix(digest, child ? sum_of(s, child) : (uint64_t)(uint32_t)why.code + (dropped << 32));
    }
    if (rc == JV_OK) {
        h->put_i64(h, b, DIGEST_OUT, (int64_t)digest);
        h->count(h, b, 0, 1);
    }
    return leave(s, rc);
}

static int32_t stream_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct stage *s = ctx;
    uint64_t hash = hash_of(s, b);
    enter(s, b);
    int32_t rc = fate_of(s, hash) == GROUND_BAD ? JV_OK : decide(s, b, hash, err);
    for (uint32_t i = 0; rc == JV_OK && i < s->pieces; i++) {
        char piece[3];
        size_t n = ground_piece(hash, i, piece);
        rc = s->h->partial(s->h, b, TEXT_OUT, piece, n, err);
    }
    if (rc >= 0 && fate_of(s, hash) == GROUND_BAD) rc = decide(s, b, hash, err);
    rc = leave_trace(s, b, rc, err);
    return leave(s, rc);
}

static int32_t relay_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct stage *s = ctx;
    bool final = !s->h->is_partial(s->h, b);
    check_sight(s, b, final);
    if (final) return step_process(ctx, b, err);
    enter(s, b);
    return leave(s, JV_OK);
}

/* ---- sinks ---- */

static int32_t sink_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct stage *s = ctx;
    enter(s, b);
    check_user(s, b);
    int32_t rc = decide(s, b, hash_of(s, b), err);
    if (rc == JV_OK) {
        jv_str id = s->h->id(s->h, b);
        ground_note(&s->notes, "S %lld %.*s %llx %lld", (long long)s->salt, (int)id.n, id.p,
            (unsigned long long)sum_of(s, b), (long long)s->h->get_i64(s->h, b, s->steps_row, -1));
    }
    return leave(s, rc);
}

static int32_t watch_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct stage *s = ctx;
    bool final = !s->h->is_partial(s->h, b);
    check_sight(s, b, final);
    if (final) return sink_process(ctx, b, err);
    enter(s, b);
    return leave(s, JV_OK);
}

/* ---- life ---- */

static int32_t open_as(struct stage *s, const jv_host *h, bool sink, bool ordered, jv_err *err)
{
    s->h = h;
    s->sink = sink;
    s->ordered = ordered;
    ground_notes_init(&s->notes);
    pthread_mutex_init(&s->lock, NULL);
    s->error_row = h->field(h, "error", JV_UTF8, JV_IN | JV_OPTIONAL, err);
    s->steps_row = s->error_row < 0 ? -1 : h->field(h, "steps", JV_I64, JV_IN | JV_OPTIONAL, err);
    s->text_row = s->steps_row < 0 ? -1 : h->field(h, "text", JV_UTF8, JV_IN | JV_OPTIONAL, err);
    return s->text_row < 0 ? err->code : JV_OK;
}

static int32_t filter_open(void *ctx, const jv_host *h, jv_err *err)
{
    return open_as(ctx, h, false, false, err);
}

static int32_t ordered_filter_open(void *ctx, const jv_host *h, jv_err *err)
{
    return open_as(ctx, h, false, true, err);
}

/* What a merge can read are its record's children. */
static int32_t ordered_merge_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct stage *)ctx)->by_id = true;
    return open_as(ctx, h, false, true, err);
}

static int32_t sink_open(void *ctx, const jv_host *h, jv_err *err)
{
    return open_as(ctx, h, true, false, err);
}

static int32_t ordered_sink_open(void *ctx, const jv_host *h, jv_err *err)
{
    return open_as(ctx, h, true, true, err);
}

static void stage_close(void *ctx)
{
    struct stage *s = ctx;
    if (!s->h) return;
    ground_notes_hand_in(&s->notes, &s->ledger);
    pthread_mutex_destroy(&s->lock);
    free(s->tried);
    free(s->sights);
}

/* ---- tables ---- */

/* Behind the port `rejected` of a source no field need be there. */
#define MAYBE (JV_IN | JV_OPTIONAL)
#define READ                                                                                                           \
    [DIGEST] = {"digest", JV_I64, MAYBE, "digest", "what the stages so far made of it"},                               \
    [MARK] = {"mark", JV_UTF8, MAYBE, "mark", "letters that each stage turns"},                                        \
    [BALLAST] = {"ballast", JV_UTF8, MAYBE, "ballast", "bytes that nobody changes"},                                   \
    [TURN] = {"turn", JV_I64, MAYBE, "turn", "the place in the order of the source"}
#define DIGEST_ROW [DIGEST_OUT] = {"digest_out", JV_I64, JV_OUT, "digest", "with this stage's salt in it"}
#define MARK_ROW [MARK_OUT] = {"mark_out", JV_UTF8, JV_OUT, "mark", "turned"}

static const jv_field sink_fields[] = {READ, {0}};
static const jv_field filter_fields[] = {READ, DIGEST_ROW, MARK_ROW, {0}};
static const jv_field merge_fields[] = {READ, DIGEST_ROW, {0}};
static const jv_field split_fields[] = {READ,
    DIGEST_ROW, [BALLAST_OUT] = {"ballast_out", JV_UTF8, JV_OUT, "ballast", "a child's part"}, {0}};
static const jv_field stream_fields[] = {READ, DIGEST_ROW,
    MARK_ROW, [TEXT_OUT] = {"text_out", JV_UTF8, JV_OUT, "text", "grows"}, {0}};

#define OPTS                                                                                                           \
    JV_OPT(struct stage, salt, NULL, "0..", "what it decides by, and its name in the ledger"),                         \
        JV_OPT(struct stage, drop, "0", "0..1000", "per mille dropped"),                                               \
        JV_OPT(struct stage, bad, "0", "0..1000", "per mille rejected"),                                               \
        JV_OPT(struct stage, retry, "0", "0..1000", "per mille that pass after some tries"),                           \
        JV_OPT(struct stage, tries, "1", "1..1000", "how many"),                                                       \
        JV_OPT(struct stage, never, "0", "0..1000", "per mille tried in vain"),                                        \
        JV_OPT(struct stage, fatal, "0", "0..1000", "per mille that end the run"),                                     \
        JV_OPT(struct stage, slow, "0", "0..1000", "per mille that take some time"),                                   \
        JV_OPT(struct stage, most, "1", "1..1024", "calls at once, beyond which it complains"),                        \
        JV_OPT(struct stage, stats, "0", "0..1", "ask for the state of the pipeline now and then"),                    \
        JV_OPT(struct stage, ledger, NULL, GROUND_LEDGER, "where to write what was seen")
#define TO JV_OPT(struct stage, to, NULL, "", "a port for each key, chosen by the id")
#define CHILDREN JV_OPT(struct stage, children, "3", "0..5", "most children of one record")

static const jv_opt filter_opts[] = {OPTS, {0}};
static const jv_opt route_opts[] = {OPTS, TO, {0}};
static const jv_opt split_opts[] = {OPTS, CHILDREN, {0}};
static const jv_opt scatter_opts[] = {OPTS, CHILDREN, TO, {0}};
static const jv_opt stream_opts[] = {OPTS, JV_OPT(struct stage, pieces, "3", "0..16", "pieces of the text"), {0}};
static const jv_opt limit_opts[] = {OPTS, JV_OPT(struct stage, limit, "5", "1..", "records wanted"), {0}};
static const jv_opt sink_opts[] = {OPTS,
    JV_OPT(struct stage, of, "", GROUND_SOURCE, "the source whose `user` it checks"), {0}};

static const jv_counter counters[] = {{"steps", "step", "stages that let a record pass", 0, 0}, {0}};
static const jv_port one_port[] = {{"out", "what comes out", 0, 0}, {0}};
static const jv_port some_ports[] = {{"to.*", "one a key", 0, 0}, {0}};

#define SOURCE(name_, ports_, opts_)                                                                                   \
    .name = name_, .brief = "numbered records", .ctx_size = sizeof(struct source), .fields = ground_source_fields,     \
    .ports = ports_, .opts = opts_, .counters = counters, .services = ground_source_services,                          \
    .open = ground_source_open, .done = ground_source_done, .close = ground_source_close
#define STAGE(name_, flags_, open_, process_, opts_)                                                                   \
    .name = name_, .brief = "one of the stages of random pipelines", .flags = flags_,                                  \
    .ctx_size = sizeof(struct stage), .opts = opts_, .open = open_, .process = process_, .close = stage_close
#define FILTER(fields_, ports_, ...) STAGE(__VA_ARGS__), .fields = fields_, .counters = counters, .ports = ports_
#define SINK(...) STAGE(__VA_ARGS__), .fields = sink_fields

static const jv_stage stages[] = {
    {SOURCE("well", one_port, ground_well_opts), .poll = ground_well_poll},
    {SOURCE("wells", some_ports, ground_wells_opts), .poll = ground_well_poll},
    {SOURCE("spring", one_port, ground_spring_opts), .flags = JV_ENDLESS, .start = ground_spring_start,
        .stop = ground_spring_stop},
    {FILTER(filter_fields, one_port, "step", JV_PARALLEL, filter_open, step_process, filter_opts)},
    {FILTER(filter_fields, one_port, "queue", JV_ORDERED, ordered_filter_open, step_process, filter_opts)},
    {FILTER(filter_fields, some_ports, "route", JV_PARALLEL, filter_open, step_process, route_opts)},
    {FILTER(split_fields, one_port, "split", JV_PARALLEL | JV_SPLIT, filter_open, split_process, split_opts)},
    {FILTER(split_fields, some_ports, "scatter", JV_PARALLEL | JV_SPLIT, filter_open, split_process, scatter_opts)},
    {FILTER(split_fields, some_ports, "deal", JV_ORDERED | JV_SPLIT, ordered_filter_open, split_process, scatter_opts)},
    {FILTER(merge_fields, one_port, "merge", JV_PARALLEL | JV_MERGE, filter_open, merge_process, filter_opts)},
    {FILTER(merge_fields, one_port, "gather", JV_ORDERED | JV_MERGE, ordered_merge_open, merge_process, filter_opts)},
    {FILTER(stream_fields, one_port, "stream", JV_PARALLEL, filter_open, stream_process, stream_opts)},
    {FILTER(filter_fields, one_port, "relay", JV_PARALLEL | JV_PARTIALS, filter_open, relay_process, filter_opts)},
    {FILTER(filter_fields, one_port, "limit", JV_ORDERED, ordered_filter_open, limit_process, limit_opts)},
    {SINK("sink", JV_PARALLEL, sink_open, sink_process, sink_opts)},
    {SINK("log", JV_ORDERED, ordered_sink_open, sink_process, sink_opts)},
    {SINK("watch", JV_ORDERED | JV_PARTIALS, ordered_sink_open, watch_process, sink_opts)},
    {SINK("peek", JV_PARTIALS, sink_open, watch_process, sink_opts)},
    {.name = "ledger",
        .brief = "what the stages saw",
        .ctx_size = sizeof(struct ledger),
        .opts = ground_ledger_opts,
        .services = ground_ledger_services,
        .open = ground_ledger_open,
        .start = ground_ledger_start,
        .close = ground_ledger_close},
};

JV_PLUGIN("ground", "1.0", "MIT", stages);
