/*
 * ground_source.c: the sources of jv_ground.so, and the ledger into which all its stages write what they saw.
 *
 * Record N of a source with the letter a has the id aN. `turn` is its place in the order of the source: the order of
 * emission where the source is polled (`backwards` emits each batch in the opposite order), of begin where the source
 * begins records from threads of its own.
 */
#include "ground_stage.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_AT_ONCE 4 /* records a poll: the range of `batch` */

/* ---- notes ---- */

void ground_notes_init(struct notes *t)
{
    pthread_mutex_init(&t->lock, NULL);
}

/* Notes outlive any call, so they are plain memory. Without memory a line is lost, which the reader will miss. */
void ground_note(struct notes *t, const char *fmt, ...)
{
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
    line[size++] = '\n';
    pthread_mutex_lock(&t->lock);
    if (t->cap - t->n < size) {
        size_t cap = t->cap ? t->cap * 2 : 4096;
        char *p = realloc(t->p, cap);
        if (p) {
            t->p = p;
            t->cap = cap;
        }
    }
    if (t->cap - t->n >= size) {
        memcpy(t->p + t->n, line, size);
        t->n += size;
    }
    pthread_mutex_unlock(&t->lock);
}

void ground_notes_hand_in(struct notes *t, const jv_ref *ledger)
{
    const struct ledger_api *api = ledger->api;
    if (api && t->n) api->hand_in(ledger->self, t->p, t->n);
    free(t->p);
    t->p = NULL;
    t->n = t->cap = 0;
    pthread_mutex_destroy(&t->lock);
}

/* ---- one record ---- */

static jv_str root_id(const struct source *s, int64_t number, char *into, size_t size)
{
    int n = snprintf(into, size, "%s%lld", s->letter, (long long)number);
    return (jv_str){into, (size_t)n};
}

static jv_buf *begin(struct source *s, int64_t number, jv_err *err)
{
    char text[40];
    struct root *r = &s->roots[number];
    jv_str id = root_id(s, number, text, sizeof text);
    int32_t priority = !s->mixed ? 0 : ground_hash(id.p, id.n, s->salt) & 1 ? JV_LIVE : JV_BATCH;
    *r = (struct root){.source = s, .number = number};
    jv_buf *b = s->h->begin(s->h, &(jv_origin){sizeof(jv_origin), priority, id, r}, err);
    if (!b) return NULL;
    r->handle = s->h->record(s->h, b);
    return b;
}

/* Fills a begun record and gives it away: emits it, or rejects it. */
static int32_t hand_on(struct source *s, jv_buf *b, int64_t turn, jv_err *err)
{
    const jv_host *h = s->h;
    jv_str id = h->id(h, b);
    uint64_t hash = ground_hash(id.p, id.n, s->salt);
    char *mark = h->put(h, b, S_MARK, GROUND_MARK, err);
    char *ballast = mark ? h->put(h, b, S_BALLAST, (size_t)s->bytes, err) : NULL;
    if (!ballast) return err->code;
    memset(mark, 'a', GROUND_MARK);
    for (size_t i = 0; i < (size_t)s->bytes; i++) ballast[i] = ground_ballast(hash, i);
    h->put_i64(h, b, S_DIGEST, (int64_t)hash);
    h->put_i64(h, b, S_TURN, turn);
    if (ground_fate(hash, &(struct ground_odds){.bad = s->bad}) == GROUND_BAD) {
        jv_err why;
        jv_fail(&why, JV_BAD, "salt %lld: no", (long long)s->salt);
        return h->reject(h, b, &why, err);
    }
    char text[40];
    memcpy(text, id.p, id.n);
    text[id.n] = 0;
    int32_t rc = h->emit(h, b, (int32_t)ground_port(hash, s->to.key.n ? (uint32_t)s->to.key.n : 1), err);
    if (rc == JV_END) ground_note(&s->notes, "E %lld %s", (long long)s->salt, text);
    return rc;
}

/* Cancels the record that came `lag` before this one, if it is one of those to be cancelled. */
static void cancel_earlier(struct source *s, int64_t number)
{
    char text[40];
    int64_t earlier = number - s->lag;
    if (!s->cancel || earlier < 0) return;
    jv_str id = root_id(s, earlier, text, sizeof text);
    pthread_mutex_lock(&s->lock);
    uint64_t handle = s->roots[earlier].handle;
    pthread_mutex_unlock(&s->lock);
    if (ground_chosen(ground_hash(id.p, id.n, (uint64_t)s->salt), s->cancel)) s->h->cancel(s->h, handle);
}

static void pause_a_little(uint64_t hash, int64_t slow)
{
    if (!ground_chosen(ground_mix(hash, 1), slow)) return;
    nanosleep(&(struct timespec){0, 1000 + (long)(hash >> 20) % 200000}, NULL);
}

/* Tells the ledger once that no record will come any more and none is left. */
static void tell_when_finished(struct source *s, bool by_count)
{
    const struct ledger_api *api = s->ledger.api;
    pthread_mutex_lock(&s->lock);
    bool now = !s->told && !s->hands_left && s->settled == s->next && (by_count || atomic_load(&s->stopped));
    bool counted = s->next == s->count;
    s->told |= now;
    pthread_mutex_unlock(&s->lock);
    if (now) api->finished(s->ledger.self, counted);
}

/* ---- polled ---- */

int32_t ground_well_poll(void *ctx, jv_err *err)
{
    struct source *s = ctx;
    jv_buf *begun[MOST_AT_ONCE];
    int64_t first = s->next, n = 0, most = s->count - first < s->batch ? s->count - first : s->batch;
    if (!most) {
        tell_when_finished(s, true);
        return JV_END;
    }
    pause_a_little(ground_mix(s->salt, (uint64_t)first), s->slow);
    int32_t rc = JV_OK;
    while (n < most && (begun[n] = begin(s, first + n, err))) n++;
    if (n < most) rc = err->code;
    if (!n) return rc;
    pthread_mutex_lock(&s->lock);
    s->next += n;
    pthread_mutex_unlock(&s->lock);
    for (int64_t i = 0; i < n; i++) {
        jv_buf *b = begun[s->backwards ? n - 1 - i : i];
        s->h->count(s->h, b, 0, 1);
        int32_t given = hand_on(s, b, s->turn++, err);
        if (rc == JV_OK || rc == JV_FULL) rc = given == JV_OK ? rc : given;
        cancel_earlier(s, first + i);
    }
    return rc;
}

/* ---- from threads of its own ---- */

/* The next record and its number; null: there is none, or none any more. */
static jv_buf *next_record(struct source *s, int64_t *number, jv_err *err)
{
    while (!atomic_load(&s->stopped)) {
        pthread_mutex_lock(&s->lock);
        *number = s->next;
        jv_buf *b = s->next < s->count ? begin(s, s->next, err) : NULL;
        bool full = !b && s->next < s->count && err->code == JV_FULL;
        s->next += b != NULL;
        pthread_mutex_unlock(&s->lock);
        if (!full) return b;
        nanosleep(&(struct timespec){0, 50000}, NULL);
    }
    return NULL;
}

static void *hand_main(void *arg)
{
    struct source *s = arg;
    jv_err err = {0};
    int64_t number;
    for (jv_buf *b; (b = next_record(s, &number, &err));) {
        pause_a_little(ground_mix(s->salt, (uint64_t)number), s->slow);
        int32_t rc = hand_on(s, b, number, &err);
        cancel_earlier(s, number);
        if (rc != JV_OK) break;
    }
    pthread_mutex_lock(&s->lock);
    s->hands_left--;
    bool all = s->next == s->count;
    pthread_mutex_unlock(&s->lock);
    tell_when_finished(s, all);
    return NULL;
}

int32_t ground_spring_start(void *ctx, jv_err *err)
{
    struct source *s = ctx;
    s->hands_left = (int32_t)s->hands;
    for (; s->hands_begun < s->hands; s->hands_begun++) {
        int rc = pthread_create(&s->hand[s->hands_begun], NULL, hand_main, s);
        if (rc) return jv_fail(err, JV_FATAL, "no thread: %s", strerror(rc));
    }
    return JV_OK;
}

void ground_spring_stop(void *ctx)
{
    struct source *s = ctx;
    atomic_store(&s->stopped, true);
    for (int i = 0; i < s->hands_begun; i++) pthread_join(s->hand[i], NULL);
    s->hands_begun = 0;
    tell_when_finished(s, false);
}

/* ---- all sources ---- */

int32_t ground_source_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct source *s = ctx;
    s->h = h;
    ground_notes_init(&s->notes);
    pthread_mutex_init(&s->lock, NULL);
    s->roots = calloc((size_t)s->count + 1, sizeof *s->roots); /* lives until close */
    return s->roots ? JV_OK : jv_fail(err, JV_FATAL, "no memory for %lld records", (long long)s->count);
}

void ground_source_done(void *ctx, void *user, const jv_buf *root, int32_t status, const jv_err *err)
{
    struct source *s = ctx;
    struct root *r = user;
    jv_str id = s->h->id(s->h, root);
    char text[40];
    jv_str want = root_id(s, r->number, text, sizeof text);
    if (r->source != s || id.n != want.n || memcmp(id.p, want.p, id.n))
        ground_note(&s->notes, "V %lld done of %.*s, which is not %s", (long long)s->salt, (int)id.n, id.p, text);
    if (__atomic_add_fetch(&r->done, 1, __ATOMIC_RELAXED) != 1)
        ground_note(&s->notes, "V %lld %s is done twice", (long long)s->salt, text);
    ground_note(&s->notes, "D %lld %s %d %lld", (long long)s->salt, text, status,
        (long long)s->h->tally(s->h, root, "steps", -1));
    pthread_mutex_lock(&s->lock);
    s->settled++;
    bool all = s->next == s->count;
    pthread_mutex_unlock(&s->lock);
    tell_when_finished(s, all);
}

void ground_source_close(void *ctx)
{
    struct source *s = ctx;
    if (!s->roots) return;
    for (int64_t i = 0; i < s->next; i++)
        if (s->roots[i].done != 1)
            ground_note(&s->notes, "V %lld %s%lld was done %d times", (long long)s->salt, s->letter, (long long)i,
                s->roots[i].done);
    ground_note(&s->notes, "B %lld %s %lld", (long long)s->salt, s->letter, (long long)s->next);
    ground_notes_hand_in(&s->notes, &s->ledger);
    pthread_mutex_destroy(&s->lock);
    free(s->roots);
}

static char source_letter(void *self)
{
    return ((struct source *)self)->letter[0];
}

static const struct source_api source_api = {sizeof(struct source_api), source_letter};
const jv_service ground_source_services[] = {{GROUND_SOURCE, &source_api}, {0}};

const jv_field ground_source_fields[] = {
    [S_DIGEST] = {"digest", JV_I64, JV_OUT, "digest", "what the stages so far made of it"},
    [S_MARK] = {"mark", JV_UTF8, JV_OUT, "mark", "letters that each stage turns in place"},
    [S_BALLAST] = {"ballast", JV_UTF8, JV_OUT, "ballast", "bytes that nobody changes; children keep a part"},
    [S_TURN] = {"turn", JV_I64, JV_OUT, "turn", "the place in the order of the source"},
    {0},
};

#define SOURCE_OPTS                                                                                                    \
    JV_OPT(struct source, salt, NULL, "0..", "what it decides by, and its name in the ledger"),                        \
        JV_OPT(struct source, letter, "a", "", "with which the ids begin"),                                            \
        JV_OPT(struct source, count, "10", "0..1000000", "how many records"),                                          \
        JV_OPT(struct source, bytes, "8", "0..1000000", "bytes"),                                                      \
        JV_OPT(struct source, bad, "0", "0..1000", "per mille rejected"),                                              \
        JV_OPT(struct source, slow, "0", "0..1000", "per mille that take some time"),                                  \
        JV_OPT(struct source, cancel, "0", "0..1000", "per mille cancelled on the way"),                               \
        JV_OPT(struct source, lag, "0", "0..", "how many records later that is"),                                      \
        JV_OPT(struct source, ledger, NULL, GROUND_LEDGER, "where to write what was seen")

#define POLLED_OPTS                                                                                                    \
    JV_OPT(struct source, batch, "1", "1..4", "records a poll"),                                                       \
        JV_OPT(struct source, backwards, "no", "no|yes", "emit each batch in the opposite order")

const jv_opt ground_well_opts[] = {SOURCE_OPTS, POLLED_OPTS, {0}};
const jv_opt ground_wells_opts[] = {SOURCE_OPTS, POLLED_OPTS,
    JV_OPT(struct source, to, NULL, "", "a port for each key, chosen by the id"), {0}};
const jv_opt ground_spring_opts[] = {SOURCE_OPTS, JV_OPT(struct source, hands, "1", "1..4", "threads of its own"),
    JV_OPT(struct source, mixed, "no", "no|yes", "live and batch, by the id"), {0}};

/* ---- the ledger ---- */

static void ledger_hand_in(void *self, const char *text, size_t n)
{
    struct ledger *l = self;
    pthread_mutex_lock(&l->lock);
    if (l->cap - l->n < n) {
        l->cap = (l->cap + n) * 2;
        char *p = realloc(l->p, l->cap);
        if (!p) n = 0;
        if (p) l->p = p;
    }
    if (n) memcpy(l->p + l->n, text, n);
    l->n += n;
    pthread_mutex_unlock(&l->lock);
}

/* A source without an end ends with a signal, so the last one that has made all its records sends it. */
static void ledger_finished(void *self, int32_t by_count)
{
    struct ledger *l = self;
    pthread_mutex_lock(&l->lock);
    l->some_by_count |= by_count;
    bool last = ++l->n_finished == l->springs && l->some_by_count;
    pthread_mutex_unlock(&l->lock);
    if (last) kill(getpid(), SIGTERM);
}

int32_t ground_ledger_open(void *ctx, const jv_host *h, jv_err *err)
{
    pthread_mutex_init(&((struct ledger *)ctx)->lock, NULL);
    return JV_OK;
}

int32_t ground_ledger_start(void *ctx, jv_err *err)
{
    ((struct ledger *)ctx)->started = true;
    return JV_OK;
}

void ground_ledger_close(void *ctx)
{
    struct ledger *l = ctx;
    FILE *f = l->started ? fopen(l->file, "we") : NULL;
    if (f) {
        fwrite(l->p, 1, l->n, f);
        fputs("end\n", f);
        fclose(f);
    }
    free(l->p);
    pthread_mutex_destroy(&l->lock);
}

static const struct ledger_api ledger_api = {sizeof(struct ledger_api), ledger_hand_in, ledger_finished};
const jv_service ground_ledger_services[] = {{GROUND_LEDGER, &ledger_api}, {0}};
const jv_opt ground_ledger_opts[] = {
    JV_OPT(struct ledger, file, NULL, "path", "where to write it"),
    JV_OPT(struct ledger, springs, "0", "0..", "sources that have no end of their own"),
    {0},
};
