/*
 * stdout: a sink that prints a field of each record to standard output, as it is being made.
 *
 *     [show]
 *     plugin = stdout
 *     in = answer
 *
 * Where the text streams, each snapshot prints what is new in it and the final record the rest; where it does not,
 * or a snapshot was lost on the way, the final record prints all that is missing. So each text stands there once
 * and whole. The only sink that may print: everything else on standard output would be taken for data.
 *
 * To a terminal a text of unknown origin could send commands (move the cursor, set the title, answer back keys), so
 * there control characters other than newline and tab are shown as \xNN. Where the output is no terminal, not a
 * byte is changed.
 */
#include "jevons.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../utf8.h"

#define OUT_CAP 16384 /* bytes on their way to one write(2) */

enum { IN };
enum { BYTES };
enum { NEWLINE_NO, NEWLINE_YES };
enum { RAW_AUTO, RAW_YES, RAW_NO };

struct printer {
    const jv_host *h;
    int32_t newline, raw;
    bool escape;
    bool begun;       /* a snapshot of `record` was printed, its final not yet */
    uint64_t record;  /* the host's number of that record */
    size_t printed;   /* bytes of its text */
    uint64_t hash;    /* of those bytes */
    int broken;       /* errno of a write that failed: what came out is not known, so nothing more may */
    size_t n;         /* bytes in out */
    size_t n_written; /* since process was called */
    char out[OUT_CAP];
};

static const jv_field stdout_fields[] = {
    [IN] = {"in", JV_BYTES, JV_IN, "text", "what to print"},
    {0},
};

static const jv_counter stdout_counters[] = {
    [BYTES] = {"bytes", "byte", "printed, snapshots and newlines included", 0, 0},
    {0},
};

static const jv_opt stdout_opts[] = {
    JV_OPT(struct printer, newline, "yes", "no|yes", "end each record with a newline"),
    JV_OPT(struct printer, raw, "auto", "auto|yes|no", "no: show control characters; auto: yes unless on a terminal"),
    {0},
};

/* ---- output ------------------------------------------------------------------------------------------------------ */

static int32_t say_broken(const struct printer *c, jv_err *err)
{
    if (c->broken == EPIPE) return jv_fail(err, JV_FATAL, "nobody reads standard output any more");
    return jv_fail(err, JV_FATAL, "standard output cannot be written: %s", strerror(c->broken));
}

/* Sends what is in `out`. */
static int32_t send_out(struct printer *c, jv_err *err)
{
    for (size_t done = 0; done < c->n;) {
        ssize_t n = write(STDOUT_FILENO, c->out + done, c->n - done);
        if (n >= 0) {
            done += (size_t)n;
            c->n_written += (size_t)n;
        } else if (errno == EAGAIN) { /* whoever shares the descriptor has made it non-blocking */
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            c->broken = errno;
            return say_broken(c, err);
        }
    }
    c->n = 0;
    return JV_OK;
}

static int32_t add(struct printer *c, const char *p, size_t n, jv_err *err)
{
    while (n) {
        size_t take = n < OUT_CAP - c->n ? n : OUT_CAP - c->n;
        memcpy(c->out + c->n, p, take);
        c->n += take;
        p += take;
        n -= take;
        int32_t rc = c->n == OUT_CAP ? send_out(c, err) : JV_OK;
        if (rc != JV_OK) return rc;
    }
    return JV_OK;
}

/* As `add`, with what a terminal might obey made visible. */
static int32_t add_escaped(struct printer *c, const char *p, size_t n, jv_err *err)
{
    int32_t rc = JV_OK;
    for (size_t i = 0; i < n && rc == JV_OK;) {
        size_t len = utf8_char(p + i, n - i);
        if (len && (p[i] == '\n' || p[i] == '\t' || !utf8_control(p + i, len))) {
            rc = add(c, p + i, len, err);
            i += len;
            continue;
        }
        char shown[4 * 2 + 1];
        size_t whole = len ? len : 1;
        utf8_escape(shown, sizeof shown, p + i, whole);
        rc = add(c, shown, strlen(shown), err);
        i += whole;
    }
    return rc;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* FNV-1a, to see without a copy whether a text begins with what was printed of it. */
static uint64_t hash_more(uint64_t hash, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#define HASH_EMPTY UINT64_C(0xcbf29ce484222325)

/* Bytes at the end of a snapshot that may be the beginning of a character: escaping them would be too early. */
static size_t unfinished(const char *p, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char at = (unsigned char)p[n - back];
        if ((at & 0xc0) == 0x80) continue;
        return utf8_length(at) > back ? back : 0;
    }
    return 0;
}

/* A record of which snapshots were printed never became final (rejected, dropped, cancelled): its line ends here. */
static int32_t end_unfinished(struct printer *c, jv_err *err)
{
    if (!c->begun) return JV_OK;
    c->begun = false;
    c->h->log(c->h, JV_LOG_WARN, "a record of which %zu bytes were printed as it streamed did not come to its end",
        c->printed);
    return c->newline == NEWLINE_YES ? add(c, "\n", 1, err) : JV_OK;
}

static int32_t print(struct printer *c, const jv_buf *b, jv_err *err)
{
    const bool partial = c->h->is_partial(c->h, b) != 0;
    const uint64_t record = c->h->record(c->h, b);
    const jv_str text = c->h->get(c->h, b, IN);
    int32_t rc = JV_OK;
    if (c->begun && c->record != record) rc = end_unfinished(c, err);
    if (rc != JV_OK) return rc;
    if (!c->begun) {
        c->record = record;
        c->printed = 0;
        c->hash = HASH_EMPTY;
    }
    size_t n = text.n;
    if (partial && c->escape) n -= unfinished(text.p, text.n);
    if (partial && n <= c->printed) return JV_OK; /* nothing new */
    if (n < c->printed || (!partial && hash_more(HASH_EMPTY, text.p, c->printed) != c->hash))
        return jv_fail(err, JV_FATAL,
            "the final text (%zu bytes) does not begin with the %zu bytes printed as it streamed", n, c->printed);
    const char *more = n ? text.p + c->printed : "";
    n -= c->printed;
    rc = c->escape ? add_escaped(c, more, n, err) : add(c, more, n, err);
    if (rc == JV_OK && !partial && c->newline == NEWLINE_YES) rc = add(c, "\n", 1, err);
    if (rc != JV_OK) return rc;
    c->begun = partial;
    c->printed += n;
    if (partial) c->hash = hash_more(c->hash, more, n);
    return send_out(c, err);
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static int32_t stdout_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct printer *c = ctx;
    c->h = h;
    int mode = fcntl(STDOUT_FILENO, F_GETFL);
    if (mode < 0) return jv_fail(err, JV_BAD, "standard output is closed");
    if ((mode & O_ACCMODE) == O_RDONLY) return jv_fail(err, JV_BAD, "standard output is not open for writing");
    c->escape = c->raw == RAW_NO || (c->raw == RAW_AUTO && isatty(STDOUT_FILENO));
    return JV_OK;
}

static int32_t stdout_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct printer *c = ctx;
    if (c->broken) return say_broken(c, err); /* a snapshot's verdict is not heard, so its failure is told again */
    c->n = c->n_written = 0;
    int32_t rc = print(c, b, err);
    c->h->count(c->h, b, BYTES, (int64_t)c->n_written);
    return rc;
}

static int32_t stdout_flush(void *ctx, jv_err *err)
{
    struct printer *c = ctx;
    if (c->broken) return say_broken(c, err);
    c->n = 0;
    int32_t rc = end_unfinished(c, err);
    return rc == JV_OK ? send_out(c, err) : rc;
}

static const jv_stage stages[] = {{
    .name = "stdout",
    .brief = "prints a field to standard output as it streams",
    .flags = JV_ORDERED | JV_PARTIALS | JV_TERMINAL,
    .ctx_size = sizeof(struct printer),
    .fields = stdout_fields,
    .opts = stdout_opts,
    .counters = stdout_counters,
    .open = stdout_open,
    .process = stdout_process,
    .flush = stdout_flush,
}};

JV_PLUGIN("stdout", "1.0", "MIT", stages);
