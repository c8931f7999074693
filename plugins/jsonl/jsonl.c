/*
 * jsonl: a sink that writes each record as one line of JSON.
 *
 *     [output]
 *     plugin = jsonl
 *     path = answers.jsonl
 *     fields = id, answer
 *
 * Lines come in source order. Each is handed to the operating system before its record counts as delivered: it can
 * be followed with `tail -f`, and no kill of the process takes it back. A line is written whole or not at all:
 * where the disk is full the file is cut behind the last whole one and the run ends. A regular file is locked while
 * it is written, so that two sections or two runs cannot write into each other.
 */
#include "jevons.h"
#include "row.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../utf8.h"

#define KEEP_ROW (1 << 20) /* bytes; a row that grew beyond is given back after use */

enum { ROWS, BYTES };
enum { REPLACE, APPEND, REFUSE };

struct column {
    const char *name;
    int32_t row, type;
};

struct jsonl {
    const jv_host *h;
    const char *path;
    int32_t exists;
    jv_list fields;
    struct column *columns;
    size_t n_columns;
    bool is_open, regular;
    int fd;
    off_t end; /* behind the last whole line of a regular file */
    struct row line;
};

static const jv_counter jsonl_counters[] = {
    [ROWS] = {"rows", "row", "lines written", 0, 0},
    [BYTES] = {"bytes", "byte", "written, newlines included", 0, 0},
    {0},
};

static const jv_opt jsonl_opts[] = {
    JV_OPT(struct jsonl, path, NULL, "path", "the file to write; /dev/stdout is standard output"),
    JV_OPT(struct jsonl, exists, "replace", "replace|append|refuse", "what to do with a file that is there"),
    JV_OPT(struct jsonl, fields, "", "", "id, fields and counters to write; empty: id and all that was not measured"),
    {0},
};

static struct utf8_shown show(const char *s)
{
    return utf8_show(s, strlen(s));
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static const jv_column *find_column(const jv_host *h, const char *name)
{
    const jv_column *col;
    for (uint32_t i = 0; (col = h->column(h, i)); i++)
        if (!strcmp(col->name, name)) return col;
    return NULL;
}

static int32_t bind(struct jsonl *c, const char *name, jv_err *err)
{
    const jv_column *col = find_column(c->h, name);
    if (col && (col->type < JV_UTF8 || col->type > JV_F64))
        return jv_fail(err, JV_BAD, "field `%s` has type %d, which jsonl cannot write", show(name).text, col->type);
    for (size_t i = 0; i < c->n_columns; i++)
        if (!strcmp(c->columns[i].name, name))
            return jv_fail(err, JV_BAD, "`fields` names `%s` twice", show(name).text);
    /* Naming a measured field is asking for it. A name that is no column is refused by the host with the nearest
     * one. */
    uint32_t measured = col ? col->flags & JV_MEASURED : 0;
    int32_t row = c->h->field(c->h, name, JV_ANY, JV_IN | measured, err);
    if (row < 0) return row;
    if (!col) return jv_fail(err, JV_FATAL, "field `%s` is no column", show(name).text);
    c->columns[c->n_columns++] = (struct column){col->name, row, col->type};
    return JV_OK;
}

static int32_t bind_all(struct jsonl *c, jv_err *err)
{
    uint32_t n = 0;
    while (c->h->column(c->h, n)) n++;
    size_t most = c->fields.n > n ? c->fields.n : n;
    c->columns = calloc(most ? most : 1, sizeof *c->columns);
    if (!c->columns) return jv_fail(err, JV_FATAL, "no memory for %zu columns", most);
    int32_t rc = JV_OK;
    for (size_t i = 0; rc == JV_OK && i < c->fields.n; i++) rc = bind(c, c->fields.v[i].p, err);
    for (uint32_t i = 0; rc == JV_OK && !c->fields.n && i < n; i++) {
        const jv_column *col = c->h->column(c->h, i);
        if (!(col->flags & JV_MEASURED)) rc = bind(c, col->name, err);
    }
    return rc;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static bool is_stdout(const struct jsonl *c)
{
    return !strcmp(c->path, "/dev/stdout");
}

static int32_t cannot(const struct jsonl *c, const char *what, jv_err *err)
{
    return jv_fail(err, JV_FATAL, "%s cannot be %s: %s", show(c->path).text, what, strerror(errno));
}

/* Whether `start` would succeed, as far as that can be seen without touching anything. */
static int32_t check_path(const struct jsonl *c, jv_err *err)
{
    struct stat st;
    if (!*c->path) return jv_fail(err, JV_BAD, "`path` is empty");
    if (is_stdout(c)) return fcntl(STDOUT_FILENO, F_GETFD) < 0 ? cannot(c, "written", err) : JV_OK;
    if (stat(c->path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return jv_fail(err, JV_BAD, "%s is a folder", show(c->path).text);
        if (c->exists == REFUSE)
            return jv_fail(err, JV_BAD, "%s is there already (exists = refuse)", show(c->path).text);
        return access(c->path, W_OK) < 0 ? cannot(c, "written", err) : JV_OK;
    }
    const char *slash = strrchr(c->path, '/');
    char *dir = slash ? strndup(c->path, (size_t)(slash - c->path) + 1) : strdup("./");
    if (!dir) return jv_fail(err, JV_FATAL, "no memory for a path");
    int32_t rc = JV_OK;
    if (slash && !slash[1])
        rc = jv_fail(err, JV_BAD, "%s names a folder, not a file", show(c->path).text);
    else if (access(dir, W_OK | X_OK) < 0)
        rc = jv_fail(err, JV_BAD, "%s cannot be made in %s: %s", show(c->path).text, show(dir).text, strerror(errno));
    free(dir);
    return rc;
}

/* `append` reads the last byte: a line must not be glued to half of another. */
static int32_t go_to_end(struct jsonl *c, off_t size, jv_err *err)
{
    char last = '\n';
    if (size && pread(c->fd, &last, 1, size - 1) != 1) return cannot(c, "read", err);
    if (last != '\n')
        return jv_fail(err, JV_FATAL, "%s does not end with a newline (%lld bytes), so nothing can be appended",
            show(c->path).text, (long long)size);
    c->end = lseek(c->fd, 0, SEEK_END);
    return c->end < 0 ? cannot(c, "written", err) : JV_OK;
}

static int32_t jsonl_start(void *ctx, jv_err *err)
{
    struct jsonl *c = ctx;
    struct stat st;
    bool there = stat(c->path, &st) == 0;
    /* Not O_TRUNC: the file may be another's until it is locked. Standard output is taken as it is, with its
     * position. */
    int mode = c->exists == APPEND && (!there || S_ISREG(st.st_mode)) ? O_RDWR : O_WRONLY;
    if (is_stdout(c))
        c->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    else
        c->fd = open(c->path, mode | O_CREAT | O_CLOEXEC | O_NOCTTY | (c->exists == REFUSE ? O_EXCL : 0), 0666);
    if (c->fd < 0) return cannot(c, "opened", err);
    c->is_open = true;
    if (fstat(c->fd, &st) < 0) return cannot(c, "written", err);
    c->regular = !is_stdout(c) && S_ISREG(st.st_mode);
    if (!c->regular) return JV_OK;
    if (flock(c->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return jv_fail(err, JV_FATAL, "%s is being written by another section or run", show(c->path).text);
        c->h->log(c->h, JV_LOG_WARN, "%s cannot be locked against other writers: %s", show(c->path).text,
            strerror(errno));
    }
    if (fstat(c->fd, &st) < 0) return cannot(c, "written", err); /* again: its size is ours only now */
    if (c->exists == APPEND) return go_to_end(c, st.st_size, err);
    return ftruncate(c->fd, 0) < 0 ? cannot(c, "emptied", err) : JV_OK;
}

/* A line that went out in part must not stay: what follows could not be told from it. */
static int32_t undo(struct jsonl *c, int reason, jv_err *err)
{
    if (reason == EPIPE) return jv_fail(err, JV_FATAL, "nobody reads %s any more", show(c->path).text);
    if (c->regular && ftruncate(c->fd, c->end) < 0)
        return jv_fail(err, JV_FATAL, "%s cannot be written: %s; it ends with a broken line, for it cannot be cut: %s",
            show(c->path).text, strerror(reason), strerror(errno));
    errno = reason;
    return cannot(c, "written", err);
}

static int32_t write_line(struct jsonl *c, jv_err *err)
{
    for (size_t done = 0; done < c->line.n;) {
        ssize_t n = write(c->fd, c->line.p + done, c->line.n - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) { /* whoever shares standard output has made it non-blocking */
            poll(&(struct pollfd){.fd = c->fd, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return undo(c, errno, err);
        }
    }
    if (c->regular) c->end += (off_t)c->line.n;
    return JV_OK;
}

/* ---- a line ------------------------------------------------------------------------------------------------------ */

/* A text that is not there is null; `{0, 0}` is that, an empty one points somewhere. */
static int32_t add_text(struct jsonl *c, const struct column *col, jv_str s, jv_err *err)
{
    size_t valid = s.p && col->type != JV_JSON ? utf8_valid(s.p, s.n) : s.n;
    if (!s.p)
        row_add(&c->line, "null", 4);
    else if (col->type == JV_JSON)
        row_json(&c->line, s.p, s.n);
    else if (valid == s.n)
        row_string(&c->line, s.p, s.n);
    else if (col->type == JV_BYTES)
        row_base64(&c->line, s.p, s.n);
    else
        return jv_fail(err, JV_BAD, "field `%s` is not UTF-8 at byte %zu", show(col->name).text, valid);
    return JV_OK;
}

static int32_t add_value(struct jsonl *c, const jv_buf *b, const struct column *col, jv_err *err)
{
    const jv_host *h = c->h;
    if (col->type == JV_I64) {
        int64_t v = h->get_i64(h, b, col->row, 0);
        /* No number means "absent", so two different ones are asked for. */
        if (v == 0 && h->get_i64(h, b, col->row, 1) == 1)
            row_add(&c->line, "null", 4);
        else
            row_i64(&c->line, v);
    } else if (col->type == JV_F64) {
        double v = h->get_f64(h, b, col->row, 0);
        if (!isfinite(v))
            return jv_fail(err, JV_BAD, "field `%s` is %f, which JSON has no number for", show(col->name).text, v);
        if (v == 0 && h->get_f64(h, b, col->row, 1) == 1)
            row_add(&c->line, "null", 4);
        else
            row_f64(&c->line, v);
    } else {
        return add_text(c, col, h->get(h, b, col->row), err);
    }
    return JV_OK;
}

static int32_t make_line(struct jsonl *c, const jv_buf *b, jv_err *err)
{
    c->line.n = 0;
    c->line.failed = false;
    for (size_t i = 0; i < c->n_columns; i++) {
        const struct column *col = &c->columns[i];
        row_add(&c->line, i ? "," : "{", 1);
        row_string(&c->line, col->name, strlen(col->name));
        row_add(&c->line, ":", 1);
        int32_t rc = add_value(c, b, col, err);
        if (rc != JV_OK) return rc;
    }
    row_add(&c->line, "}\n", 2);
    return c->line.failed ? jv_fail(err, JV_FATAL, "no memory for a line of more than %zu bytes", c->line.n) : JV_OK;
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static int32_t jsonl_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct jsonl *c = ctx;
    c->h = h;
    int32_t rc = check_path(c, err);
    return rc == JV_OK ? bind_all(c, err) : rc;
}

static int32_t jsonl_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct jsonl *c = ctx;
    int32_t rc = make_line(c, b, err);
    if (rc == JV_OK) rc = write_line(c, err);
    if (rc == JV_OK) {
        c->h->count(c->h, b, ROWS, 1);
        c->h->count(c->h, b, BYTES, (int64_t)c->line.n);
    }
    if (c->line.cap > KEEP_ROW) {
        free(c->line.p);
        c->line = (struct row){0};
    }
    return rc;
}

/* Some file systems tell only now that there was no room. */
static int32_t jsonl_flush(void *ctx, jv_err *err)
{
    struct jsonl *c = ctx;
    if (!c->is_open) return JV_OK;
    c->is_open = false;
    return close(c->fd) < 0 && errno != EINTR ? cannot(c, "closed", err) : JV_OK;
}

static void jsonl_close(void *ctx)
{
    struct jsonl *c = ctx;
    if (c->is_open) close(c->fd);
    c->is_open = false;
    free(c->columns);
    free(c->line.p);
    c->columns = NULL;
    c->line = (struct row){0};
}

static const jv_stage stages[] = {{
    .name = "jsonl",
    .brief = "one line of JSON for each record, in source order",
    .flags = JV_ORDERED,
    .ctx_size = sizeof(struct jsonl),
    .opts = jsonl_opts,
    .counters = jsonl_counters,
    .open = jsonl_open,
    .start = jsonl_start,
    .process = jsonl_process,
    .flush = jsonl_flush,
    .close = jsonl_close,
}};

JV_PLUGIN("jsonl", "1.0", "MIT", stages);
