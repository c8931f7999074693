/* source.c: see source.h. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../mistakes.h"
#include "../utf8.h"

#define FIRST_BUFFER 65536 /* bytes; doubled as long as a row needs more */
#define MAX_NAME 4000      /* bytes; with an offset it fits into an id */

static const char bom[] = "\xef\xbb\xbf";
#define BOM_SIZE 3

const jv_field source_fields[] = {
    [SOURCE_REST] = {"rest", JV_JSON, JV_OUT, "rest",
        "an object with what is no column; of a rejected row, all of it as a string"},
    {0},
};

const jv_counter source_counters[] = {
    [SOURCE_BYTES] = {"bytes", "byte", "read, line ends included", 0, 0},
    [SOURCE_SKIPPED] = {"skipped", "line", "empty", 0, 0},
    {0},
};

static struct utf8_shown show(const char *s)
{
    return utf8_show(s, strlen(s));
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool is_stdin(const char *path)
{
    return !strcmp(path, "-");
}

/* What ids call a file: its path below the folder that all files named have in common, wherever that lies. */
static const char *name_of(const struct source *s)
{
    const char *path = s->path.v[s->next].p;
    return is_stdin(path) ? "-" : path + s->common;
}

static void find_common(struct source *s)
{
    const char *first = NULL;
    for (size_t i = 0; i < s->path.n; i++) {
        const char *p = s->path.v[i].p;
        if (is_stdin(p)) continue;
        if (!first) {
            first = p;
            s->common = strlen(p);
        }
        size_t same = 0;
        while (same < s->common && p[same] == first[same]) same++;
        while (same && p[same - 1] != '/') same--;
        s->common = same;
    }
}

static int32_t check_path(const struct source *s, size_t i, jv_err *err)
{
    const char *path = s->path.v[i].p;
    size_t n = strlen(path);
    if (utf8_valid(path, n) != n) return jv_fail(err, JV_BAD, "`path`: %s is not UTF-8", show(path).text);
    if (path[n - 1] == '/') return jv_fail(err, JV_BAD, "`path`: %s names no file", show(path).text);
    if (n > MAX_NAME)
        return jv_fail(err, JV_BAD, "`path`: %s has %zu bytes, the most is %d", show(path).text, n, MAX_NAME);
    for (size_t k = 0; k < i && !is_stdin(path); k++) /* the host sees to it that standard input has one reader */
        if (!strcmp(s->path.v[k].p, path)) return jv_fail(err, JV_BAD, "`path` names %s twice", show(path).text);
    return JV_OK;
}

int32_t source_open(struct source *s, jv_err *err)
{
    int32_t rc = JV_OK;
    for (size_t i = 0; i < s->path.n; i++) {
        mistakes_add(s->h, check_path(s, i, err), err, &rc);
    }
    find_common(s);
    return rc;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void close_file(struct source *s)
{
    if (s->is_open && !is_stdin(s->path.v[s->next].p)) close(s->fd);
    s->is_open = false;
    s->next++;
}

void source_close(struct source *s)
{
    if (s->is_open) close_file(s);
    ids_free(&s->ids);
    free(s->buf);
    s->buf = NULL;
}

/* Not blocking: a fifo is waited for like everything else, so that a stop is heard. */
static int32_t open_file(struct source *s, jv_err *err)
{
    const char *path = s->path.v[s->next].p;
    s->fd = is_stdin(path) ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    s->is_open = s->fd >= 0;
    int reason = errno;
    s->first = true;
    s->begin = s->end = s->thrown = 0;
    s->offset = 0;
    s->line = 1;
    s->at_end = s->broken = false;
    s->scan = (struct source_scan){0};
    return s->is_open ? JV_OK : jv_fail(err, JV_BAD, "%s cannot be opened: %s", show(path).text, strerror(reason));
}

static int32_t make_room(struct source *s, jv_err *err)
{
    if (s->begin) memmove(s->buf, s->buf + s->begin, s->end - s->begin);
    s->end -= s->begin;
    s->begin = 0;
    if (s->end < s->cap) return JV_OK;
    size_t cap = s->cap ? 2 * s->cap : FIRST_BUFFER; /* what is beyond max is not kept: no overflow */
    char *buf = realloc(s->buf, cap);
    if (!buf) return jv_fail(err, JV_FATAL, "no memory for a row of %zu bytes", cap);
    s->buf = buf;
    s->cap = cap;
    return JV_OK;
}

/* JV_OK: something was read, or the end was seen. JV_BAD: the file cannot be read. */
static int32_t fill(struct source *s, jv_err *err)
{
    int32_t rc = make_room(s, err);
    while (rc == JV_OK) {
        if (s->h->wait(s->h, s->fd, POLLIN, -1) == JV_STOPPED) return JV_STOPPED;
        ssize_t got = read(s->fd, s->buf + s->end, s->cap - s->end);
        if (got >= 0) {
            s->at_end = got == 0;
            s->end += (size_t)got;
            return JV_OK;
        }
        if (errno != EINTR && errno != EAGAIN)
            return jv_fail(err, JV_BAD, "%s cannot be read: %s", show(s->path.v[s->next].p).text, strerror(errno));
    }
    return rc;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;
    for (const char *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++) lines++;
    return lines;
}

/* Goes behind the n bytes of the row; what stood in the buffer stays there until the next fill. */
static void advance(struct source *s, size_t n)
{
    if (n) s->line += count_lines(s->buf + s->begin, n);
    s->offset += s->thrown + n;
    s->uncounted += (int64_t)(s->thrown + n);
    s->begin += n;
    s->scan = (struct source_scan){0};
    s->broken = false;
    s->looked = s->thrown = 0;
}

static int32_t scan_line(const char *p, size_t n, bool last, struct source_scan *scan)
{
    const char *newline = n > scan->at ? memchr(p + scan->at, '\n', n - scan->at) : NULL;
    scan->at = newline ? (size_t)(newline - p) + 1 : n;
    return newline || last;
}

/* A row that is broken or too long is its first line, whose end may be far: what is too much is not kept. 1: its end
 * was found; 0: more must be read. */
static int32_t find_broken(struct source *s, size_t *n)
{
    size_t have = s->end - s->begin;
    const char *newline = have > s->looked ? memchr(s->buf + s->begin + s->looked, '\n', have - s->looked) : NULL;
    s->looked = have;
    if (newline || s->at_end) {
        *n = newline ? (size_t)(newline - s->buf) - s->begin + 1 : have;
        size_t length = s->thrown + *n - (newline != NULL);
        if (s->why.code == JV_OK && length > s->max)
            jv_fail(&s->why, JV_BAD, "the line has %zu bytes, %s is %zu", length, s->bound, s->max);
        else if (s->why.code == JV_OK)
            jv_fail(&s->why, JV_BAD, "the row that begins here has more than %zu bytes (%s); is a quote not closed?",
                s->max, s->bound);
        return 1;
    }
    if (have > s->max) {
        s->thrown += have;
        s->begin = s->end = s->looked = 0;
    }
    return 0;
}

/* The row in the buffer. 1: all of it is there, n bytes; 0: more must be read. How much was read ahead changes
 * nothing: what is too long is so before it is looked at. */
static int32_t find_row(struct source *s, size_t *n)
{
    if (s->broken) return find_broken(s, n);
    const char *p = s->buf + s->begin;
    size_t have = s->end - s->begin, window = have <= s->max ? have : s->max + 1;
    bool last = s->at_end && have <= s->max;
    s->why = (jv_err){0};
    int32_t rc = s->format->scan ? s->format->scan(s->ctx, p, window, last, &s->scan, &s->why)
                                 : scan_line(p, window, last, &s->scan);
    if (rc == 0 && window <= s->max) return 0;
    *n = s->scan.at;
    if (rc == 1) return 1;
    s->broken = true;
    s->looked = 0;
    s->bad_at = rc < 0 ? s->scan.at : 0;
    return find_broken(s, n);
}

static void pass_bom(struct source *s)
{
    bool there = s->end - s->begin >= BOM_SIZE && !memcmp(s->buf + s->begin, bom, BOM_SIZE);
    if (s->skip_bom && s->offset == 0 && there) advance(s, BOM_SIZE);
}

/* 1: the next row, of n bytes, is in the buffer; 0: the file has none any more; or what `fill` answered. */
static int32_t next_row(struct source *s, size_t *n, jv_err *err)
{
    for (;;) {
        pass_bom(s);
        if (s->at_end && s->begin == s->end && !s->thrown) return 0;
        if (s->buf && find_row(s, n)) return 1;
        int32_t rc = fill(s, err);
        if (rc != JV_OK) return rc;
    }
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* id: {0, 0} for the file's name and the offset. JV_BAD where it cannot be the record's. */
static jv_buf *begin(struct source *s, jv_str id, jv_err *err)
{
    if (id.p && ids_has(&s->ids, id)) return jv_fail(err, JV_BAD, "an earlier row has it"), NULL;
    if (id.p && !ids_reserve(&s->ids)) return jv_fail(err, JV_FATAL, "no memory for %zu ids", s->ids.n), NULL;
    char place[MAX_NAME + 24];
    int n = snprintf(place, sizeof place, "%s:%" PRIu64, name_of(s), s->offset);
    jv_origin origin = {.struct_size = sizeof origin, .position = id.p ? id : (jv_str){place, (size_t)n}};
    jv_buf *b = s->h->begin(s->h, &origin, err);
    if (!b) { /* the same row is looked for again */
        s->scan = (struct source_scan){0};
        s->looked = 0;
    }
    if (b && id.p) ids_add(&s->ids, id);
    return b;
}

/* Counts what was read since the last record, this one's row included. */
static void count(struct source *s, jv_buf *b)
{
    s->h->count(s->h, b, SOURCE_BYTES, s->uncounted);
    s->h->count(s->h, b, SOURCE_SKIPPED, s->n_skipped);
    s->uncounted = s->n_skipped = 0;
}

/* Gives the row of n bytes away as rejected. */
static int32_t reject(struct source *s, jv_str id, size_t n, const jv_err *why, jv_err *err)
{
    jv_buf *b = begin(s, id, err);
    if (!b && err->code == JV_BAD && id.p) b = begin(s, (jv_str){0}, err);
    if (!b) return err->code;
    const char *p = n ? s->buf + s->begin : "";
    bool kept = n && !s->thrown && n - (p[n - 1] == '\n') <= s->max; /* of a longer one, whether all came is chance */
    int32_t rc = kept ? s->format->keep(s->ctx, p, n, b, err) : JV_OK;
    if (rc != JV_OK) return rc;
    advance(s, n);
    count(s, b);
    return s->h->reject(s->h, b, why, err);
}

/* Byte `at` of the row is wrong: says where that is, and passes on. A file without its header is passed over. */
static int32_t reject_row(struct source *s, const struct source_found *found, size_t n, jv_err *why, jv_err *err)
{
    bool over = s->header && s->first;
    size_t at = found->at;
    uint64_t lines = s->thrown ? 0 : count_lines(s->buf + s->begin, at); /* what was thrown away was one line */
    char text[sizeof why->text];
    strcpy(text, why->text);
    jv_fail(why, JV_BAD, "%.250s (%s line %" PRIu64 ", byte %" PRIu64 ")%s", text, show(name_of(s)).text,
        s->line + lines, s->offset + at, over ? ", so the file is not read" : "");
    int32_t rc = reject(s, found->id, n, why, err);
    if (rc != JV_OK) return rc;
    s->first = false;
    if (over) close_file(s);
    return JV_OK;
}

/* JV_DROP: the row was no record. */
static int32_t deliver(struct source *s, size_t n, jv_err *err)
{
    const struct source_row row = {s->buf + s->begin, n, s->line, s->first};
    struct source_found found = {.at = s->bad_at};
    jv_err why = s->why;
    int32_t rc = s->broken ? JV_BAD : s->format->read(s->ctx, &row, &found, &why);
    if (rc == JV_DROP || rc == JV_DONE) {
        s->n_skipped += rc == JV_DROP;
        s->first = s->first && rc == JV_DROP;
        advance(s, n);
        return JV_DROP;
    }
    if (rc == JV_FATAL) return *err = why, rc;
    if (rc == JV_BAD) return reject_row(s, &found, n, &why, err);
    jv_buf *b = begin(s, found.id, err);
    if (!b && err->code == JV_BAD && found.id.p) {
        jv_fail(&why, JV_BAD, "its id cannot be used: %s", err->text);
        return reject_row(s, &(struct source_found){0}, n, &why, err);
    }
    if (!b) return err->code;
    rc = s->format->put(s->ctx, b, err);
    if (rc != JV_OK) return rc;
    s->first = false;
    advance(s, n);
    count(s, b);
    return s->h->emit(s->h, b, 0, err);
}

/* A file that cannot be read, or not any further. */
static int32_t give_up(struct source *s, jv_err *err)
{
    const jv_err why = *err;
    int32_t rc = reject(s, (jv_str){0}, s->end - s->begin, &why, err);
    if (rc == JV_OK) close_file(s);
    return rc;
}

static void end_file(struct source *s)
{
    if (s->first) s->h->log(s->h, JV_LOG_WARN, "%s holds no row", show(name_of(s)).text);
    close_file(s);
}

static int32_t end_all(struct source *s)
{
    if (s->n_skipped)
        s->h->log(s->h, JV_LOG_INFO, "%" PRId64 " empty rows at the end were skipped, besides those counted",
            s->n_skipped);
    s->n_skipped = 0;
    return JV_END;
}

int32_t source_poll(struct source *s, jv_err *err)
{
    for (;;) {
        size_t n = 0;
        if (!s->is_open && s->next == s->path.n) return end_all(s);
        int32_t rc = s->is_open ? JV_OK : open_file(s, err);
        if (rc == JV_OK) rc = next_row(s, &n, err);
        if (rc == JV_BAD) return give_up(s, err);
        if (rc < 0) return rc;
        if (rc == 0)
            end_file(s);
        else if ((rc = deliver(s, n, err)) != JV_DROP)
            return rc;
    }
}

int32_t source_put(const jv_host *h, jv_buf *b, int32_t row, const char *p, size_t n, jv_err *err)
{
    char *to = h->put(h, b, row, n, err);
    if (!to) return JV_FATAL;
    if (n) memcpy(to, p, n);
    return JV_OK;
}

int32_t source_put_kept(const jv_host *h, jv_buf *b, int32_t field, struct row *text, jv_str row, jv_err *err)
{
    row_reset(text);
    if (row.n && row.p[row.n - 1] == '\n') row.n--;
    row_bytes(text, row.p, row.n);
    if (text->failed) return jv_fail(err, JV_FATAL, "no memory for a row of %zu bytes", row.n);
    return source_put(h, b, field, text->p, text->n, err);
}
