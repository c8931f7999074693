/*
 * dead.c: the dead-letter file: a JSON object a line for each rejected record, with the fields it came with. Rows are
 * written as they come, so that nothing is lost with the process; at the end they are put into source order.
 *
 * A regular file is taken over at the start, when nobody else has locked it and all it holds is rows of an earlier run,
 * and is this run's until its end: then it is removed if nothing was rejected. Whatever else the path leads to (a device,
 * a fifo, standard output) is opened for the first row, and neither emptied nor removed.
 */
#include "dead.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES (64 * 1024)

/* Where a row stands in the file, and its record's place in the order of the source. */
struct row {
    off_t at;
    size_t n;
    uint32_t source, depth;
    uint64_t sequence;
    uint32_t *path; /* depth indexes, from the root's child down */
};

struct jvc_dead {
    pthread_mutex_t lock;
    int fd;     /* -1: not opened yet */
    bool owned; /* a regular file, locked: cut where a row failed, put into order, removed when it stays empty */
    off_t size; /* of the whole rows in it */
    struct row *rows;
    size_t n, cap;
    bool unordered; /* a row came before one that belongs in front of it */
};

static int by_source_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->sequence != y->sequence) return x->sequence < y->sequence ? -1 : 1;
    for (uint32_t i = 0; i < x->depth && i < y->depth; i++)
        if (x->path[i] != y->path[i]) return x->path[i] < y->path[i] ? -1 : 1;
    if (x->depth != y->depth) return x->depth < y->depth ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* False: no memory. */
static bool place_of(const struct jvc_node *n, struct row *r)
{
    *r = (struct row){.sequence = n->root->sequence, .source = n->source->at};
    for (const struct jvc_node *p = n; p->parent; p = p->parent) r->depth++;
    r->path = malloc((r->depth + 1) * sizeof *r->path);
    for (uint32_t i = r->depth; r->path && i > 0; n = n->parent) r->path[--i] = n->index;
    return r->path;
}

/* Remembers where a row stands; false: no memory. */
static bool remember(struct jvc_dead *d, const struct jvc_node *n, size_t size)
{
    struct row r;
    if (d->n == d->cap) {
        struct row *rows = realloc(d->rows, (2 * d->cap + 16) * sizeof *rows);
        if (!rows) return false;
        d->rows = rows;
        d->cap = 2 * d->cap + 16;
    }
    if (!place_of(n, &r)) return false;
    r.at = d->size;
    r.n = size;
    d->size += (off_t)size;
    if (d->n && by_source_order(&d->rows[d->n - 1], &r) > 0) d->unordered = true;
    d->rows[d->n++] = r;
    return true;
}

/* ---- the file ---- */

static bool failed(const struct jvc_pipeline *pl, jv_err *err)
{
    jv_fail(err, JV_FATAL, "%s: %s", pl->dead_path, strerror(errno));
    return false;
}

/* Opens the file and locks it; -1: err says why. */
static int open_locked(const struct jvc_pipeline *pl, jv_err *err)
{
    struct stat st;
    do {
        int fd = open(pl->dead_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
        if (fd < 0 || fstat(fd, &st)) {
            failed(pl, err);
        } else if (!flock(fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK) { /* not all file systems have locks */
            if (!fstat(fd, &st) && st.st_nlink) return fd;
            close(fd); /* the run that had it has ended and removed it */
            continue;
        } else {
            jv_fail(err, JV_FATAL, "%s: rejected records of another run are being written there", pl->dead_path);
        }
        if (fd >= 0) close(fd);
        return -1;
    } while (true);
}

/* Makes the file this run's own. */
static bool take_over(struct jvc_pipeline *pl, jv_err *err)
{
    int fd = open_locked(pl, err);
    if (fd < 0) return false;
    int ours = jvc_dead_is_ours(fd);
    if (ours == 0)
        jv_fail(err, JV_FATAL,
            "%s is there and holds no rejected records: it is left alone; `dead_letter` in [pipeline] names another",
            pl->dead_path);
    if (ours > 0 && !ftruncate(fd, 0) && !lseek(fd, 0, SEEK_SET)) {
        pl->dead->fd = fd;
        pl->dead->owned = true;
        return true;
    }
    if (ours) failed(pl, err);
    close(fd);
    return false;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Standard output or error, where it is this file: it is shared, with its position; else -1. */
static int standard(const struct stat *st)
{
    struct stat other;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (!fstat(fd, &other) && same_file(st, &other)) return fd;
    return -1;
}

bool jvc_dead_begin(struct jvc_pipeline *pl, jv_err *err)
{
    struct stat st;
    bool there = !stat(pl->dead_path, &st);
    struct jvc_dead *d = jvc_alloc(sizeof *d);
    d->fd = -1;
    pthread_mutex_init(&d->lock, NULL);
    pl->dead = d;
    if (there && (!S_ISREG(st.st_mode) || standard(&st) >= 0)) return true;
    pthread_mutex_lock(&d->lock);
    bool taken = take_over(pl, err);
    pthread_mutex_unlock(&d->lock);
    return taken || (!there && access(pl->dead_path, F_OK)); /* where none can be made none is needed before a row */
}

/* What there was nothing to take over of at the start. */
static bool open_late(struct jvc_pipeline *pl, jv_err *err)
{
    struct stat st;
    if (stat(pl->dead_path, &st)) return take_over(pl, err);
    int shared = standard(&st), *fd = &pl->dead->fd;
    if (shared < 0 && S_ISREG(st.st_mode)) return take_over(pl, err);
    if (shared >= 0)
        *fd = fcntl(shared, F_DUPFD_CLOEXEC, 0);
    else /* a fifo that nobody reads is an error, not a reason to wait */
        *fd = open(pl->dead_path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return *fd >= 0 || failed(pl, err);
}

/* ---- rows into it ---- */

/* False: errno says why, and nothing of the row stays in a file of our own. */
static bool append(struct jvc_dead *d, const char *text, size_t n)
{
    struct stat st;
    if (d->owned && !fstat(d->fd, &st) && !st.st_nlink) {
        errno = ENOENT; /* somebody has removed it: nobody would ever read the row */
        return false;
    }
    while (n) {
        ssize_t done = write(d->fd, text, n);
        if (done < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = d->fd, .events = POLLOUT}, 1, -1);
        else if (done < 0 && errno != EINTR)
            return false;
        if (done < 0) continue;
        text += done;
        n -= (size_t)done;
    }
    return true;
}

static void cut_back(struct jvc_dead *d)
{
    int reason = errno;
    if (d->owned && !ftruncate(d->fd, d->size)) lseek(d->fd, d->size, SEEK_SET);
    errno = reason;
}

bool jvc_dead_write(struct jvc_pipeline *pl, const struct jvc_stage *s, const jv_buf *b, const jv_err *why, jv_err *err)
{
    struct jvc_dead *d = pl->dead;
    size_t n;
    char *text = jvc_dead_row(s, b, why, &n);
    pthread_mutex_lock(&d->lock);
    errno = ENOMEM;
    bool ok = text ? d->fd >= 0 || open_late(pl, err) : failed(pl, err);
    if (ok) {
        ok = append(d, text, n);
        if (ok && !remember(d, b->node, n)) {
            errno = ENOMEM;
            ok = false;
        }
        if (!ok) {
            cut_back(d);
            failed(pl, err);
        }
    }
    pthread_mutex_unlock(&d->lock);
    free(text);
    return ok;
}

/* ---- its end ---- */

/* Whether a path, itself no link, is still the file that is open. */
static bool is_at(const struct jvc_dead *d, const char *path)
{
    struct stat open, there;
    return !fstat(d->fd, &open) && !lstat(path, &there) && same_file(&open, &there);
}

static bool copy_row(const struct jvc_dead *d, const struct row *r, FILE *out)
{
    char part[COPY_BYTES];
    for (size_t done = 0; done < r->n;) {
        size_t most = r->n - done < sizeof part ? r->n - done : sizeof part;
        ssize_t n = pread(d->fd, part, most, r->at + (off_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO; /* somebody has cut it */
        if (n <= 0 || fwrite(part, 1, (size_t)n, out) != (size_t)n) return false;
        done += (size_t)n;
    }
    return true;
}

/* The rows in order into an open file, which it closes; false: errno says why. */
static bool write_sorted(struct jvc_dead *d, int fd)
{
    struct stat st;
    FILE *out = fdopen(fd, "w");
    bool ok = out && !fstat(d->fd, &st) && !fchmod(fd, st.st_mode & 07777);
    qsort(d->rows, d->n, sizeof *d->rows, by_source_order);
    for (size_t i = 0; ok && i < d->n; i++) ok = copy_row(d, &d->rows[i], out);
    int reason = errno;
    if ((out ? fclose(out) : close(fd)) == 0 || !ok)
        errno = reason;
    else
        ok = false;
    return ok;
}

/* Writes the rows in order beside the file, where a link leads to it, and puts that in its place. */
static bool rewrite(struct jvc_pipeline *pl)
{
    struct jvc_dead *d = pl->dead;
    char *path = realpath(pl->dead_path, NULL), *beside = NULL;
    int fd = path && asprintf(&beside, "%s.XXXXXX", path) >= 0 ? mkostemp(beside, O_CLOEXEC) : -1;
    bool ok = fd >= 0 && write_sorted(d, fd);
    if (ok && !is_at(d, path)) {
        errno = ENOENT; /* what is there now is somebody else's */
        ok = false;
    }
    ok = ok && !rename(beside, path);
    int reason = errno;
    if (fd >= 0 && !ok) unlink(beside);
    free(beside);
    free(path);
    errno = reason;
    return ok;
}

static void remove_empty(const struct jvc_pipeline *pl, const struct jvc_dead *d)
{
    if (d->owned && !d->n && !d->size && is_at(d, pl->dead_path)) unlink(pl->dead_path);
}

void jvc_dead_leave(struct jvc_pipeline *pl)
{
    struct jvc_dead *d = pl->dead;
    if (!d || pthread_mutex_trylock(&d->lock)) return; /* not empty, if somebody is at it */
    remove_empty(pl, d);
    pthread_mutex_unlock(&d->lock);
}

bool jvc_dead_end(struct jvc_pipeline *pl, jv_err *err)
{
    struct jvc_dead *d = pl->dead;
    bool ok = true;
    pthread_mutex_lock(&d->lock);
    remove_empty(pl, d);
    if (d->owned && d->unordered && !rewrite(pl)) ok = failed(pl, err);
    if (d->fd >= 0 && close(d->fd) && ok) ok = failed(pl, err);
    for (size_t i = 0; i < d->n; i++) free(d->rows[i].path);
    free(d->rows);
    d->rows = NULL;
    d->fd = -1;
    d->owned = false;
    pthread_mutex_unlock(&d->lock);
    return ok;
}

uint64_t jvc_dead_count(const struct jvc_pipeline *pl)
{
    if (!pl->dead) return 0;
    pthread_mutex_lock(&pl->dead->lock);
    uint64_t n = pl->dead->n;
    pthread_mutex_unlock(&pl->dead->lock);
    return n;
}
