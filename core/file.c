/* file.c: reading a whole file; the declaration stands in util.h. By itself, so that a fuzz target can bring its own. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *jvc_read_file(const char *path, size_t most, size_t *n, jv_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        jv_fail(err, JV_FATAL, "%s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return NULL;
    }
    size_t cap = S_ISREG(st.st_mode) && (uintmax_t)st.st_size < most ? (size_t)st.st_size + 1 : most, len = 0;
    char *text = jvc_alloc(cap + 2);
    while (len <= cap) {
        ssize_t got = read(fd, text + len, cap + 1 - len);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) jv_fail(err, JV_FATAL, "%s: %s", path, strerror(errno));
        if (got < 0) len = SIZE_MAX;
        if (got <= 0) break;
        len += (size_t)got;
    }
    close(fd);
    if (len == SIZE_MAX || len > most || len > cap) {
        if (len != SIZE_MAX) jv_fail(err, JV_FATAL, "%s: larger than %zu bytes, or growing", path, most);
        free(text);
        return NULL;
    }
    text[len] = 0;
    *n = len;
    return text;
}
