/* output.c: see output.h. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../utf8.h"

static struct utf8_shown show(const char *s)
{
    return utf8_show(s, strlen(s));
}

static bool is_stdout(const struct output *o)
{
    return !strcmp(o->path, "/dev/stdout");
}

int32_t output_cannot(const struct output *o, const char *what, jv_err *err)
{
    return jv_fail(err, JV_FATAL, "%s cannot be %s: %s", show(o->path).text, what, strerror(errno));
}

int32_t output_check(const struct output *o, jv_err *err)
{
    if (is_stdout(o) && fcntl(STDOUT_FILENO, F_GETFD) < 0)
        return jv_fail(err, JV_BAD, "`path`: standard output is closed");
    if (o->exists == OUTPUT_REFUSE && !is_stdout(o) && access(o->path, F_OK) == 0)
        return jv_fail(err, JV_BAD, "`path`: %s is there already (exists = refuse)", show(o->path).text);
    return JV_OK;
}

/* `append` reads the last byte: a line must not be glued to half of another. */
static int32_t go_to_end(struct output *o, off_t size, jv_err *err)
{
    char last = '\n';
    if (size && pread(o->fd, &last, 1, size - 1) != 1) return output_cannot(o, "read", err);
    if (last != '\n')
        return jv_fail(err, JV_FATAL, "%s does not end with a newline (%lld bytes), so nothing can be appended",
            show(o->path).text, (long long)size);
    o->end = lseek(o->fd, 0, SEEK_END);
    return o->end < 0 ? output_cannot(o, "written", err) : JV_OK;
}

int32_t output_start(struct output *o, jv_err *err)
{
    struct stat st;
    bool there = stat(o->path, &st) == 0;
    /* Not O_TRUNC: the file may be another's until it is locked. Standard output is taken as it is, with its
     * position. */
    int mode = o->exists == OUTPUT_APPEND && (!there || S_ISREG(st.st_mode)) ? O_RDWR : O_WRONLY;
    if (is_stdout(o))
        o->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    else
        o->fd = open(o->path, mode | O_CREAT | O_CLOEXEC | O_NOCTTY | (o->exists == OUTPUT_REFUSE ? O_EXCL : 0), 0666);
    if (o->fd < 0) return output_cannot(o, "opened", err);
    o->is_open = true;
    if (fstat(o->fd, &st) < 0) return output_cannot(o, "written", err);
    o->regular = !is_stdout(o) && S_ISREG(st.st_mode);
    if (!o->regular) return JV_OK;
    if (flock(o->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return jv_fail(err, JV_FATAL, "%s is being written by another section or run", show(o->path).text);
        o->h->log(o->h, JV_LOG_WARN, "%s cannot be locked against other writers: %s", show(o->path).text,
            strerror(errno));
    }
    if (fstat(o->fd, &st) < 0) return output_cannot(o, "written", err); /* again: its size is ours only now */
    if (o->exists == OUTPUT_APPEND) return go_to_end(o, st.st_size, err);
    return ftruncate(o->fd, 0) < 0 ? output_cannot(o, "emptied", err) : JV_OK;
}

/* A line that went out in part must not stay: what follows could not be told from it. */
static int32_t undo(struct output *o, int reason, jv_err *err)
{
    if (reason == EPIPE) return jv_fail(err, JV_FATAL, "nobody reads %s any more", show(o->path).text);
    if (o->regular && ftruncate(o->fd, o->end) < 0)
        return jv_fail(err, JV_FATAL, "%s cannot be written: %s; it ends with a broken line, for it cannot be cut: %s",
            show(o->path).text, strerror(reason), strerror(errno));
    errno = reason;
    return output_cannot(o, "written", err);
}

int32_t output_write(struct output *o, const struct row *row, jv_err *err)
{
    for (size_t done = 0; done < row->n;) {
        ssize_t n = write(o->fd, row->p + done, row->n - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN) { /* whoever shares standard output has made it non-blocking */
            poll(&(struct pollfd){.fd = o->fd, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return undo(o, errno, err);
        }
    }
    if (o->regular) o->end += (off_t)row->n;
    return JV_OK;
}

int32_t output_finish(struct output *o, jv_err *err)
{
    if (!o->is_open) return JV_OK;
    o->is_open = false;
    return close(o->fd) < 0 && errno != EINTR ? output_cannot(o, "closed", err) : JV_OK;
}

void output_close(struct output *o)
{
    if (o->is_open) close(o->fd);
    o->is_open = false;
}
