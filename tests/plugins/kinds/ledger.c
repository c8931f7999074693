/*
 * ledger: a source of the lines of files, which writes down what became of them.
 *
 *     [lines]
 *     plugin = ledger
 *     files = monday.txt, tuesday.txt
 *     ledger = ledger.tsv
 *     cost = tokens
 *
 * A line's id is FILE:OFFSET. A line that is too long or no UTF-8 is rejected, a file that cannot be read ends the
 * run. The ledger has a row for each file, `file lines delivered dropped rejected cancelled cost`, with tabs between:
 * `cost` is the sum of that counter over all that came of the file's lines, lines that were rejected later included.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../../plugins/utf8.h"
#include "jevons.h"

enum { TEXT };
enum { LINES };
enum { DELIVERED, DROPPED, REJECTED, CANCELLED, N_FATES };

struct file {
    const char *path;
    int64_t lines, fate[N_FATES], cost; /* fate and cost: under the lock */
};

struct ledger {
    const jv_host *h;
    jv_list files;
    const char *ledger, *cost;
    int64_t max_line;
    struct file *file; /* one for each of `files` */
    size_t at;         /* the file that is read */
    FILE *in, *out;
    int64_t offset;
    pthread_mutex_t lock; /* records are settled by any thread */
};

static const jv_field fields[] = {
    [TEXT] = {"out", JV_UTF8, JV_OUT, "text", "the line"},
    {0},
};

static const jv_port ports[] = {{"out", "the lines", 0, 0}, {0}};

static const jv_opt opts[] = {
    JV_OPT(struct ledger, files, NULL, "path", "the files to read, one after the other"),
    JV_OPT(struct ledger, ledger, NULL, "path", "where to write what became of the lines"),
    JV_OPT(struct ledger, cost, "", "", "the counter to sum up; none if empty"),
    JV_OPT(struct ledger, max_line, "64K", "bytes 1..1G", "longer lines are rejected"),
    {0},
};

static const jv_counter counters[] = {[LINES] = {"lines", "line", "lines read", 0, 0}, {0}};

static int32_t ledger_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct ledger *c = ctx;
    c->h = h;
    pthread_mutex_init(&c->lock, NULL);
    if (!c->files.n) return jv_fail(err, JV_BAD, "`files` is empty");
    c->file = calloc(c->files.n, sizeof *c->file);
    if (!c->file) return jv_fail(err, JV_FATAL, "no memory for %zu files", c->files.n);
    for (size_t i = 0; i < c->files.n; i++) c->file[i].path = c->files.v[i].p;
    return JV_OK;
}

static int32_t ledger_start(void *ctx, jv_err *err)
{
    struct ledger *c = ctx;
    c->out = fopen(c->ledger, "we");
    return c->out ? JV_OK
                  : jv_fail(err, JV_FATAL, "%s: %s", utf8_show(c->ledger, strlen(c->ledger)).text, strerror(errno));
}

/* One line without its newline, kept as far as max_line; n: its whole length. False at the end of the file. */
static bool read_line(struct ledger *c, char *line, size_t *n, int64_t *bytes)
{
    int byte = 0;
    *n = 0;
    for (*bytes = 0; byte != '\n' && (byte = getc(c->in)) != EOF; ++*bytes) {
        if (byte == '\n') continue;
        if (*n < (size_t)c->max_line) line[*n] = (char)byte;
        ++*n;
    }
    return *bytes > 0;
}

/* After emit and reject the record may be settled already, and its line stand in the ledger. */
static int32_t give_line(struct ledger *c, struct file *f, const char *line, size_t n, jv_err *err)
{
    const jv_host *h = c->h;
    char id[4096];
    int id_n = snprintf(id, sizeof id, "%s:%lld", f->path, (long long)c->offset);
    if (id_n < 0 || (size_t)id_n >= sizeof id) return jv_fail(err, JV_FATAL, "a path of %zu bytes", strlen(f->path));
    const jv_origin origin = {.struct_size = sizeof origin, .position = {id, (size_t)id_n}, .user = f};
    jv_buf *b = h->begin(h, &origin, err);
    if (!b) return err->code;
    h->count(h, b, LINES, 1);
    jv_err why = {0};
    size_t good = n > (size_t)c->max_line ? 0 : utf8_valid(line, n);
    if (n > (size_t)c->max_line)
        jv_fail(&why, JV_BAD, "the line has %zu bytes, max_line = %lld", n, (long long)c->max_line);
    else if (good < n)
        jv_fail(&why, JV_BAD, "the line is no UTF-8 at byte %zu", good);
    if (why.code) return h->reject(h, b, &why, err);
    char *text = h->put(h, b, TEXT, n, err);
    if (!text) return JV_FATAL;
    if (n) memcpy(text, line, n);
    return h->emit(h, b, 0, err);
}

static int32_t cannot_read(const struct file *f, jv_err *err)
{
    return jv_fail(err, JV_FATAL, "%s: %s", utf8_show(f->path, strlen(f->path)).text, strerror(errno));
}

/* One line, or the end of a file. One record each time, so `begin` has room for it. */
static int32_t ledger_poll(void *ctx, jv_err *err)
{
    struct ledger *c = ctx;
    size_t n;
    int64_t bytes;
    if (c->at == c->files.n) return JV_END;
    struct file *f = &c->file[c->at];
    if (!c->in && !(c->in = fopen(f->path, "re"))) return cannot_read(f, err);
    char *line = c->h->scratch(c->h, (size_t)c->max_line, err);
    if (!line) return JV_FATAL;
    if (read_line(c, line, &n, &bytes)) {
        int32_t rc = give_line(c, f, line, n, err);
        f->lines++;
        c->offset += bytes;
        return rc;
    }
    if (ferror(c->in)) return cannot_read(f, err);
    fclose(c->in);
    c->in = NULL;
    c->offset = 0;
    c->at++;
    return JV_OK;
}

static void ledger_done(void *ctx, void *user, const jv_buf *root, int32_t status, const jv_err *err)
{
    struct ledger *c = ctx;
    struct file *f = user;
    int fate = status == JV_OK          ? DELIVERED
               : status == JV_DROP      ? DROPPED
               : status == JV_CANCELLED ? CANCELLED
                                        : REJECTED;
    int64_t cost = *c->cost ? c->h->tally(c->h, root, c->cost, 0) : 0;
    pthread_mutex_lock(&c->lock);
    f->fate[fate]++;
    f->cost += cost;
    pthread_mutex_unlock(&c->lock);
}

static int32_t ledger_flush(void *ctx, jv_err *err)
{
    struct ledger *c = ctx;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->files.n; i++) {
        const struct file *f = &c->file[i];
        fprintf(c->out, "%s\t%lld", f->path, (long long)f->lines);
        for (int fate = 0; fate < N_FATES; fate++) fprintf(c->out, "\t%lld", (long long)f->fate[fate]);
        fprintf(c->out, "\t%lld\n", (long long)f->cost);
    }
    pthread_mutex_unlock(&c->lock);
    if (fflush(c->out) == 0 && !ferror(c->out)) return JV_OK;
    return jv_fail(err, JV_FATAL, "%s: cannot be written", utf8_show(c->ledger, strlen(c->ledger)).text);
}

static void ledger_close(void *ctx)
{
    struct ledger *c = ctx;
    if (c->in) fclose(c->in);
    if (c->out) fclose(c->out);
    if (c->h) pthread_mutex_destroy(&c->lock);
    free(c->file);
}

static const jv_stage stages[] = {{
    .name = "ledger",
    .brief = "the lines of files, and what became of them",
    .ctx_size = sizeof(struct ledger),
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = ledger_open,
    .start = ledger_start,
    .poll = ledger_poll,
    .done = ledger_done,
    .flush = ledger_flush,
    .close = ledger_close,
}};

JV_PLUGIN("ledger", "1.0", "MIT", stages);
