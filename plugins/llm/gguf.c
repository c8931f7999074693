/*
 * gguf.c: opens a model file in the GGUF format and proves it sound, so that what gguf.h hands out needs no check.
 *
 * The bytes are walked twice by the same code. The first walk stores nothing: it bounds every count, length, type,
 * dimension and offset by the file's size and by the limits in gguf.h. Only then are the tables allocated, and the
 * second walk fills them. Sorting finds what a walk cannot see: keys or tensors with the same name, and tensors that
 * overlap.
 *
 * Accepted: versions 2 and 3 (which differ in nothing that a little-endian file shows); names of 1 to GGUF_MAX_NAME
 * bytes; `general.alignment` a u32 and a power of two from 32 (what backends need) to 65536; gaps between tensors and
 * bytes after them. Refused, with the numbers: arrays of arrays, bools other than 0 and 1, types without a known size.
 *
 * Limit: another process that shortens the file while it is mapped makes later reads end in SIGBUS, and one that writes
 * to it changes what was checked. A model file belongs where only trusted hands write.
 */
#include "gguf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_name(const void *a, const void *b)
{
    return gguf_compare((*(const gguf_tensor *const *)a)->name, (*(const gguf_tensor *const *)b)->name);
}

static int by_data(const void *a, const void *b)
{
    const gguf_tensor *x = *(const gguf_tensor *const *)a, *y = *(const gguf_tensor *const *)b;
    return ((const char *)x->data > (const char *)y->data) - ((const char *)x->data < (const char *)y->data);
}

static int by_key(const void *a, const void *b)
{
    return gguf_compare(((const gguf_key *)a)->name, ((const gguf_key *)b)->name);
}

/* Sorts the keys for look-up; equal names are neighbours then. */
static int32_t index_keys(gguf *g, jv_err *err)
{
    char about[GGUF_ABOUT];
    qsort(g->keys, g->n_keys, sizeof *g->keys, by_key);
    for (uint64_t i = 1; i < g->n_keys; i++) {
        if (by_key(&g->keys[i - 1], &g->keys[i])) continue;
        gguf_describe(about, "key", g->keys[i].name);
        return jv_fail(err, JV_BAD, "%s is there more than once", about);
    }
    return JV_OK;
}

/* Sorts the tensors by place, where those that share bytes are neighbours, then by name for look-up. */
static int32_t index_tensors(gguf *g, jv_err *err)
{
    char one[GGUF_ABOUT], other[GGUF_ABOUT];
    for (uint64_t i = 0; i < g->n_tensors; i++) g->by_name[i] = &g->tensors[i];
    qsort(g->by_name, g->n_tensors, sizeof *g->by_name, by_data);
    for (uint64_t i = 1; i < g->n_tensors; i++) {
        const gguf_tensor *a = g->by_name[i - 1], *b = g->by_name[i];
        uint64_t gap = (uint64_t)((const char *)b->data - (const char *)a->data);
        if (gap >= a->bytes) continue;
        gguf_describe(one, "tensor", a->name);
        gguf_describe(other, "tensor", b->name);
        return jv_fail(err, JV_BAD, "%s takes %" PRIu64 " bytes, but %s begins %" PRIu64 " bytes after it does", one,
            a->bytes, other, gap);
    }
    qsort(g->by_name, g->n_tensors, sizeof *g->by_name, by_name);
    for (uint64_t i = 1; i < g->n_tensors; i++) {
        if (by_name(&g->by_name[i - 1], &g->by_name[i])) continue;
        gguf_describe(one, "tensor", g->by_name[i]->name);
        return jv_fail(err, JV_BAD, "%s is there more than once", one);
    }
    return JV_OK;
}

/* One item more than needed: a table of nothing is still a table. */
static int32_t allocate(gguf *g, jv_err *err)
{
    g->keys = calloc(g->n_keys + 1, sizeof *g->keys);
    g->tensors = calloc(g->n_tensors + 1, sizeof *g->tensors);
    g->by_name = calloc(g->n_tensors + 1, sizeof *g->by_name);
    if (g->keys && g->tensors && g->by_name) return JV_OK;
    return jv_fail(err, JV_FATAL, "no memory for %" PRIu64 " keys and %" PRIu64 " tensors", g->n_keys, g->n_tensors);
}

int32_t gguf_open_memory(const void *data, size_t size, gguf **out, jv_err *err)
{
    gguf file = {.base = data, .size = size};
    if (gguf_read(&file, err)) return JV_BAD;
    gguf *g = malloc(sizeof *g);
    if (!g) return jv_fail(err, JV_FATAL, "no memory for a model file's tables");
    int32_t rc = allocate(&file, err);
    if (rc == JV_OK) rc = gguf_read(&file, err);
    if (rc == JV_OK) rc = index_keys(&file, err);
    if (rc == JV_OK) rc = index_tensors(&file, err);
    *g = file;
    if (rc == JV_OK)
        *out = g;
    else
        gguf_close(g);
    return rc;
}

/* The whole path, or where it is too long for a message, the file's name. */
static const char *short_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && strlen(path) > 200 ? slash + 1 : path;
}

/* Maps a regular file; not even an attempt to wait for the writer of a pipe. */
static int32_t map_file(const char *path, const void **data, size_t *size, jv_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) return jv_fail(err, JV_FATAL, "cannot open %s: %s", short_path(path), strerror(errno));
    int32_t rc = JV_OK;
    if (fstat(fd, &st))
        rc = jv_fail(err, JV_FATAL, "cannot look at %s: %s", short_path(path), strerror(errno));
    else if (S_ISDIR(st.st_mode))
        rc = jv_fail(err, JV_BAD, "%s: a folder, not a file", short_path(path));
    else if (!S_ISREG(st.st_mode))
        rc = jv_fail(err, JV_BAD, "%s: not a regular file", short_path(path));
    else if (st.st_size == 0)
        rc = jv_fail(err, JV_BAD, "%s: the file is empty", short_path(path));
    if (rc == JV_OK) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            rc = jv_fail(err, JV_FATAL, "cannot map the %jd bytes of %s: %s", (intmax_t)st.st_size, short_path(path),
                strerror(errno));
        else
            *data = p, *size = (size_t)st.st_size;
    }
    close(fd);
    return rc;
}

int32_t gguf_open(const char *path, gguf **out, jv_err *err)
{
    const void *data = NULL;
    size_t size = 0;
    int32_t rc = map_file(path, &data, &size, err);
    if (rc != JV_OK) return rc;
    rc = gguf_open_memory(data, size, out, err);
    if (rc == JV_OK) {
        (*out)->mapped = true;
        return JV_OK;
    }
    munmap((void *)data, size);
    jv_err why = *err;
    return jv_fail(err, rc, "%s: %s", short_path(path), why.text);
}

void gguf_close(gguf *g)
{
    if (!g) return;
    if (g->mapped) munmap((void *)g->base, g->size);
    free(g->keys);
    free(g->tensors);
    free(g->by_name);
    free(g);
}

bool gguf_mapped(const gguf *g)
{
    return g->mapped;
}

/* Until now pages were read here and there, for keys; the kernel's default suits that. Failing hints do no harm. */
void gguf_will_read(const gguf *g)
{
    if (g->mapped) madvise((void *)g->base, g->size, MADV_SEQUENTIAL);
}
