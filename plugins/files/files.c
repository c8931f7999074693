/*
 * files: a source of one record for each file of folders, globs and paths.
 *
 *     [docs]
 *     plugin = files
 *     path = papers, notes/2024-*.txt
 *     include = *.txt, *.md
 *
 * The list is made once, at the start, and sorted by id bytewise, so every run sees the same records in the same
 * order; the files are read one at a time, when the pipeline has room. The id is the path below the folder that was
 * named. A file that cannot be read, is too large or is not what `as` says is rejected and named; the others go on.
 */
#include "jevons.h"
#include "list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../mistakes.h"
#include "../utf8.h"

#define LEAST_READ 4096 /* bytes of room where the size is said to be 0, as in /proc */

enum { SOURCE };
enum { BYTES };
enum { AS_TEXT, AS_BYTES };

struct files {
    const jv_host *h;
    jv_list path, include, exclude;
    int32_t recursive, hidden, as;
    int64_t max_size;
    const char *out;
    int32_t out_row;
    struct file_list list;
    size_t next;
};

static const jv_field files_fields[] = {
    [SOURCE] = {"source", JV_UTF8, JV_OUT, "source", "the path of the file as it was opened"},
    {0},
};

static const jv_counter files_counters[] = {
    [BYTES] = {"bytes", "byte", "read from files", 0, 0},
    {0},
};

static const jv_opt files_opts[] = {
    JV_OPT(struct files, path, NULL, "path glob", "files, folders and globs (*, ?, [a-z])"),
    JV_OPT(struct files, recursive, "yes", "no|yes", "enter the folders in a folder"),
    JV_OPT(struct files, include, "", "include", "of a folder, only files whose path below it matches one of these"),
    JV_OPT(struct files, exclude, "", "exclude",
        "of a folder, no file or folder whose path below it matches one of these"),
    JV_OPT(struct files, hidden, "no", "no|yes", "of a folder, also names that begin with a dot"),
    JV_OPT(struct files, as, "text", "text|bytes", "text: the content must be UTF-8"),
    JV_OPT(struct files, max_size, "64M", "bytes 1..1T", "larger files are rejected"),
    JV_OPT(struct files, out, "text", "", "the field for the content"),
    {0},
};

/* What is read of one file. The bytes are scratch memory of the host. */
struct content {
    char *p;
    size_t n, cap;
};

static int32_t files_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct files *c = ctx;
    c->h = h;
    int32_t rc = JV_OK;
    for (size_t i = 0; i < c->path.n; i++) mistakes_add(h, file_list_check(c->path.v[i].p, err), err, &rc);
    c->out_row = h->field(h, c->out, c->as == AS_TEXT ? JV_UTF8 : JV_BYTES, JV_OUT, err);
    mistakes_add(h, c->out_row, err, &rc);
    return rc;
}

static int32_t files_start(void *ctx, jv_err *err)
{
    struct files *c = ctx;
    const struct file_rules rules = {c->h, c->recursive, c->hidden, c->include, c->exclude};
    for (size_t i = 0; i < c->path.n; i++) {
        int32_t rc = file_list_add(&c->list, &rules, c->path.v[i].p, err);
        if (rc < 0) return rc;
    }
    return file_list_sort(&c->list, err);
}

/* Makes room for at least one more byte. Old memory is freed when poll returns: together at most twice the file. */
static int32_t grow(const struct files *c, struct content *t, size_t cap, jv_err *err)
{
    char *p = c->h->scratch(c->h, cap, err);
    if (!p) return JV_FATAL;
    if (t->n) memcpy(p, t->p, t->n);
    t->p = p;
    t->cap = cap;
    return JV_OK;
}

static int32_t too_large(const struct files *c, long long n, const char *or_more, jv_err *err)
{
    return jv_fail(err, JV_BAD, "the file has %lld bytes%s, max_size is %lld", n, or_more, (long long)c->max_size);
}

/* Reads to the end, whatever the size was said to be: files grow and shrink, and some have a size of 0 and content. */
static int32_t read_all(const struct files *c, int fd, size_t said, struct content *t, jv_err *err)
{
    const size_t max = (size_t)c->max_size;
    int32_t rc = grow(c, t, (said > LEAST_READ ? said : LEAST_READ) + 1, err);
    while (rc == JV_OK) {
        if (t->n > max) return too_large(c, (long long)t->n, " or more", err);
        if (t->n == t->cap) {
            rc = grow(c, t, t->cap < max / 2 ? 2 * t->cap : max + 1, err);
            continue;
        }
        ssize_t got = read(fd, t->p + t->n, t->cap - t->n);
        if (got == 0) break;
        if (got > 0)
            t->n += (size_t)got;
        else if (errno != EINTR)
            return jv_fail(err, JV_BAD, "the file cannot be read: %s", strerror(errno));
    }
    return rc;
}

static int32_t read_file(const struct files *c, const char *path, struct content *t, jv_err *err)
{
    /* Not blocking: what was a file when the list was made may be a fifo now. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return jv_fail(err, JV_BAD, "the file cannot be opened: %s", strerror(errno));
    struct stat st;
    int32_t rc;
    if (fstat(fd, &st) < 0)
        rc = jv_fail(err, JV_BAD, "the file cannot be read: %s", strerror(errno));
    else if (S_ISDIR(st.st_mode))
        rc = jv_fail(err, JV_BAD, "this is a folder that could not be listed");
    else if (!S_ISREG(st.st_mode))
        rc = jv_fail(err, JV_BAD, "this is no file any more");
    else if (st.st_size > c->max_size)
        rc = too_large(c, (long long)st.st_size, "", err);
    else
        rc = read_all(c, fd, (size_t)st.st_size, t, err);
    close(fd);
    if (rc != JV_OK || c->as == AS_BYTES) return rc;
    size_t valid = utf8_valid(t->p, t->n);
    if (valid == t->n) return JV_OK;
    return jv_fail(err, JV_BAD, "the file is not UTF-8: byte %zu is 0x%02x (`as = bytes` and a clean stage mend it)",
        valid, (unsigned)(unsigned char)t->p[valid]);
}

static int32_t put(const struct files *c, jv_buf *b, int32_t row, const char *p, size_t n, jv_err *err)
{
    char *to = c->h->put(c->h, b, row, n, err);
    if (!to) return JV_FATAL;
    if (n) memcpy(to, p, n);
    return JV_OK;
}

/* Sets `source`; what is not UTF-8 cannot be a field of text, so its escaped form goes along with the rejection. */
static int32_t put_source(const struct files *c, jv_buf *b, const char *path, jv_err *err)
{
    size_t n = strlen(path);
    if (utf8_valid(path, n) == n) return put(c, b, SOURCE, path, n, err);
    size_t want = utf8_escape(NULL, 0, path, n);
    char *escaped = c->h->scratch(c->h, want + 1, err);
    if (!escaped) return JV_FATAL;
    utf8_escape(escaped, want + 1, path, n);
    int32_t rc = put(c, b, SOURCE, escaped, want, err);
    if (rc != JV_OK) return rc;
    return jv_fail(err, JV_BAD, "the file's name is not UTF-8: %s", utf8_show(path, n).text);
}

static int32_t files_poll(void *ctx, jv_err *err)
{
    struct files *c = ctx;
    if (c->next == c->list.n) return JV_END;
    const struct file *f = &c->list.v[c->next];
    jv_origin origin = {.struct_size = sizeof origin, .position = {f->id, strlen(f->id)}};
    jv_buf *b = c->h->begin(c->h, &origin, err);
    if (!b && err->code == JV_STOPPED) return JV_END;
    if (!b && err->code == JV_FULL) return JV_OK;
    if (!b) return err->code = JV_FATAL;
    c->next++;
    struct content t = {0};
    int32_t rc = put_source(c, b, f->path, err);
    if (rc == JV_OK) rc = read_file(c, f->path, &t, err);
    if (rc == JV_OK) rc = put(c, b, c->out_row, t.p, t.n, err);
    if (rc == JV_BAD) {
        const jv_err why = *err;
        return c->h->reject(c->h, b, &why, err);
    }
    if (rc != JV_OK) return rc;
    c->h->count(c->h, b, BYTES, (int64_t)t.n);
    return c->h->emit(c->h, b, 0, err);
}

static void files_close(void *ctx)
{
    file_list_free(&((struct files *)ctx)->list);
}

static const jv_port files_ports[] = {{"out", "the files", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "files",
    .brief = "one record for each file of folders, globs and paths",
    .ctx_size = sizeof(struct files),
    .fields = files_fields,
    .ports = files_ports,
    .opts = files_opts,
    .counters = files_counters,
    .open = files_open,
    .start = files_start,
    .poll = files_poll,
    .close = files_close,
}};

JV_PLUGIN("files", "1.0", "MIT", stages);
