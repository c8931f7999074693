/*
 * first_ends.c: what stands at the ends of the pipelines of tests/first_test.py, see first.c. say is a source with a list
 * of texts, ring one with a thread of its own, tell a sink that writes lines of a table, book a resource.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "first.h"

static const jv_port one_port[] = {{"out", "all records", 0, 0}, {0}};

/* ---- book: a resource ---- */

struct book {
    const jv_host *h;
    jv_list words;
    int32_t cores, leased;
};

static jv_str book_word(void *self, size_t n)
{
    const struct book *c = self;
    return c->words.v[n % c->words.n];
}

static const struct book_api book_table = {sizeof book_table, book_word};
static const jv_service book_services[] = {{BOOK, &book_table}, {0}};
static const jv_opt book_opts[] = {
    JV_OPT(struct book, words, NULL, "", "words"),
    JV_OPTF(struct book, cores, JV_NEUTRAL, "one", "one|two", "how many threads to ask for"),
    {0},
};

static int32_t book_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct book *c = ctx;
    c->h = h;
    return c->words.n ? JV_OK : jv_fail(err, JV_BAD, "no words");
}

static int32_t book_start(void *ctx, jv_err *err)
{
    struct book *c = ctx;
    c->leased = c->h->lease(c->h, c->cores + 1);
    c->h->log(c->h, JV_LOG_INFO, "%zu words, threads granted: %s", c->words.n, c->leased >= 1 ? "some" : "none");
    return JV_OK;
}

/* ---- say: a source with poll ---- */

struct say {
    const jv_host *h;
    jv_list texts;
    const char *reject, *cancel;
    size_t at;
    size_t *numbers; /* what `user` points to, one for each text */
};

enum { SAY_TEXT, SAY_NUMBER };
enum { SAID };

static const jv_field say_fields[] = {
    [SAY_TEXT] = {"out", JV_UTF8, JV_OUT, "text", "the text"},
    [SAY_NUMBER] = {"number", JV_I64, JV_OUT, "number", "its place, from 0"},
    {0},
};
static const jv_opt say_opts[] = {
    JV_OPT(struct say, texts, NULL, "", "the texts"),
    JV_OPT(struct say, reject, "", "", "the text to reject"),
    JV_OPT(struct say, cancel, "", "", "the text to cancel"),
    {0},
};
static const jv_counter say_counters[] = {[SAID] = {"said", "byte", "bytes of text", 0, 0}, {0}};
static const struct {
    uint32_t struct_size;
} source_table = {sizeof source_table};
static const jv_service source_services[] = {{SOURCE, &source_table}, {0}};

static int32_t say_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct say *)ctx)->h = h;
    return JV_OK;
}

static int32_t say_start(void *ctx, jv_err *err)
{
    struct say *c = ctx;
    c->numbers = calloc(c->texts.n + 1, sizeof *c->numbers);
    return c->numbers ? JV_OK : jv_fail(err, JV_FATAL, "out of memory");
}

static int32_t say_poll(void *ctx, jv_err *err)
{
    struct say *c = ctx;
    const jv_host *h = c->h;
    char id[32];
    if (c->at == c->texts.n) return JV_END;
    jv_str text = c->texts.v[c->at];
    int n = snprintf(id, sizeof id, "t%zu", c->at);
    jv_origin origin = {.struct_size = sizeof origin, .position = {id, (size_t)n}, .user = &c->numbers[c->at]};
    jv_buf *b = h->begin(h, &origin, err);
    if (!b) return err->code;
    c->numbers[c->at] = c->at;
    int32_t rc = put_text(h, b, SAY_TEXT, text, err);
    h->put_i64(h, b, SAY_NUMBER, (int64_t)c->at++);
    h->count(h, b, SAID, (int64_t)text.n);
    jv_err why;
    if (rc < 0 || is(text, c->reject)) {
        if (rc == JV_OK) jv_fail(&why, JV_BAD, "\"%s\" is to be rejected", c->reject);
        return h->reject(h, b, rc < 0 ? err : &why, err);
    }
    if (is(text, c->cancel)) h->cancel(h, h->record(h, b));
    return h->emit(h, b, 0, err);
}

static void say_stop(void *ctx)
{
    const struct say *c = ctx;
    c->h->log(c->h, JV_LOG_INFO, "stopped at text %zu", c->at);
}

static void say_done(void *ctx, void *user, const jv_buf *root, int32_t status, const jv_err *err)
{
    const struct say *c = ctx;
    const jv_host *h = c->h;
    jv_str id = h->id(h, root);
    h->log(h, JV_LOG_INFO, "done %.*s %zu %d letters %lld priority %d%s%s%s", (int)id.n, id.p, *(size_t *)user, status,
        (long long)h->tally(h, root, "letters", -1), h->priority(h, root), status ? ": " : "",
        status == JV_DROP ? err->reason : "", status < 0 ? err->text : "");
}

static void say_close(void *ctx)
{
    free(((struct say *)ctx)->numbers);
}

/* ---- ring: a source with a thread of its own ---- */

struct ring {
    const jv_host *h;
    int64_t times;
    int32_t then, running;
    pthread_t thread;
};

enum { RING_TEXT };
enum { THEN_WAIT, THEN_FAIL };

static const jv_field ring_fields[] = {[RING_TEXT] = {"out", JV_UTF8, JV_OUT, "text", "\"ring\""}, {0}};
static const jv_opt ring_opts[] = {
    JV_OPT(struct ring, times, "3", "0..1000", "how many records"),
    JV_OPT(struct ring, then, "wait", "wait|fail", "what to do after that"),
    {0},
};

static int32_t ring_open(void *ctx, const jv_host *h, jv_err *err)
{
    ((struct ring *)ctx)->h = h;
    return JV_OK;
}

static int32_t ring_one(struct ring *c, int64_t i, jv_err *err)
{
    const jv_host *h = c->h;
    char id[32];
    int n = snprintf(id, sizeof id, "r%lld", (long long)i);
    int32_t priority = i & 1 ? JV_BATCH : JV_LIVE;
    jv_buf *b = h->begin(h, &(jv_origin){sizeof(jv_origin), priority, {id, (size_t)n}, NULL}, err);
    if (!b) return err->code;
    if (put_text(h, b, RING_TEXT, (jv_str){"ring", 4}, err) == JV_OK) return h->emit(h, b, 0, err);
    return h->reject(h, b, err, err);
}

static void *ring_run(void *arg)
{
    struct ring *c = arg;
    jv_err err;
    int32_t rc = JV_OK;
    for (int64_t i = 0; i < c->times && rc == JV_OK;) {
        rc = ring_one(c, i, &err);
        if (rc == JV_FULL)
            rc = c->h->wait(c->h, -1, 0, 1);
        else
            i++;
    }
    if (rc == JV_OK && c->then == THEN_FAIL) rc = jv_fail(&err, JV_FATAL, "rung %lld times", (long long)c->times);
    if (rc == JV_BAD || rc == JV_FATAL) c->h->fail(c->h, &err);
    return NULL;
}

static int32_t ring_start(void *ctx, jv_err *err)
{
    struct ring *c = ctx;
    c->running = pthread_create(&c->thread, NULL, ring_run, c) == 0;
    return c->running ? JV_OK : jv_fail(err, JV_FATAL, "no thread");
}

static void ring_stop(void *ctx)
{
    struct ring *c = ctx;
    if (c->running) pthread_join(c->thread, NULL);
    c->running = 0;
}

/* ---- tell: a sink ---- */

struct tell {
    const jv_host *h;
    const char *path;
    jv_list fields;
    jv_ref source;
    FILE *file;
    int32_t *rows, *types;
};

static const jv_opt tell_opts[] = {
    JV_OPT(struct tell, path, NULL, "path", "the file to make"),
    JV_OPT(struct tell, fields, NULL, "", "the fields to write"),
    JV_OPT(struct tell, source, "", SOURCE, "the source whose number to write"),
    {0},
};

static int32_t type_of(const jv_host *h, jv_str name)
{
    const jv_column *col;
    for (uint32_t i = 0; (col = h->column(h, i)); i++)
        if (is(name, col->name)) return col->type;
    return JV_ANY;
}

static int32_t tell_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct tell *c = ctx;
    c->h = h;
    c->rows = calloc(c->fields.n + 1, sizeof *c->rows);
    c->types = calloc(c->fields.n + 1, sizeof *c->types);
    if (!c->rows || !c->types) return jv_fail(err, JV_FATAL, "out of memory");
    for (size_t i = 0; i < c->fields.n; i++) {
        c->types[i] = type_of(h, c->fields.v[i]);
        c->rows[i] = h->field(h, c->fields.v[i].p, JV_ANY, JV_IN | JV_OPTIONAL, err);
        if (c->rows[i] < 0) return c->rows[i];
    }
    return JV_OK;
}

static int32_t tell_start(void *ctx, jv_err *err)
{
    struct tell *c = ctx;
    c->file = fopen(c->path, "w");
    return c->file ? JV_OK : jv_fail(err, JV_FATAL, "%s: cannot be written", c->path);
}

static void tell_field(const struct tell *c, const jv_buf *b, size_t i)
{
    const jv_host *h = c->h;
    jv_str s = h->get(h, b, c->rows[i]);
    if (c->types[i] == JV_I64)
        fprintf(c->file, "\t%lld", (long long)h->get_i64(h, b, c->rows[i], -1));
    else if (c->types[i] == JV_F64)
        fprintf(c->file, "\t%g", h->get_f64(h, b, c->rows[i], -1));
    else if (c->types[i] == JV_I32S && s.p)
        for (size_t k = 0; k < s.n / 4; k++)
            fprintf(c->file, "%c%d", k ? ' ' : '\t', ((const int32_t *)(const void *)s.p)[k]);
    else
        fprintf(c->file, "\t%.*s", s.p ? (int)s.n : 1, s.p ? s.p : "-");
}

static int32_t tell_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct tell *c = ctx;
    const jv_host *h = c->h;
    jv_str id = h->id(h, b);
    const size_t *number = c->source.api ? h->user(h, b, &c->source) : NULL;
    fprintf(c->file, "%s%.*s\t%d\t%lld", h->is_partial(h, b) ? "~" : "", (int)id.n, id.p, h->priority(h, b),
        number ? (long long)*number : -1);
    for (size_t i = 0; i < c->fields.n; i++) tell_field(c, b, i);
    return fputc('\n', c->file) != EOF ? JV_OK : jv_fail(err, JV_FATAL, "%s: cannot be written", c->path);
}

static void tell_stats(void *arg, const char *text, size_t n)
{
    fwrite(text, 1, n, arg);
}

static int32_t tell_flush(void *ctx, jv_err *err)
{
    struct tell *c = ctx;
    int32_t rc = c->h->stats(c->h, tell_stats, c->file, err);
    if (rc < 0) return rc;
    return fflush(c->file) ? jv_fail(err, JV_FATAL, "%s: cannot be written", c->path) : JV_OK;
}

static void tell_close(void *ctx)
{
    struct tell *c = ctx;
    if (c->file) fclose(c->file);
    free(c->rows);
    free(c->types);
}

/* ---- all of them ---- */

static const jv_stage stages[] = {
    {
        .name = "book",
        .brief = "a resource with words",
        .ctx_size = sizeof(struct book),
        .opts = book_opts,
        .services = book_services,
        .open = book_open,
        .start = book_start,
    },
    {
        .name = "say",
        .brief = "a source of texts",
        .ctx_size = sizeof(struct say),
        .fields = say_fields,
        .ports = one_port,
        .opts = say_opts,
        .counters = say_counters,
        .services = source_services,
        .open = say_open,
        .start = say_start,
        .poll = say_poll,
        .stop = say_stop,
        .done = say_done,
        .close = say_close,
    },
    {
        .name = "ring",
        .brief = "a source with a thread of its own",
        .flags = JV_ENDLESS,
        .ctx_size = sizeof(struct ring),
        .fields = ring_fields,
        .ports = one_port,
        .opts = ring_opts,
        .open = ring_open,
        .start = ring_start,
        .stop = ring_stop,
    },
    {
        .name = "tell",
        .brief = "a sink that writes lines",
        .flags = JV_ORDERED | JV_PARTIALS,
        .ctx_size = sizeof(struct tell),
        .opts = tell_opts,
        .open = tell_open,
        .start = tell_start,
        .process = tell_process,
        .flush = tell_flush,
        .close = tell_close,
    },
};

JV_PLUGIN("first_ends", "1.0", "MIT", stages);
