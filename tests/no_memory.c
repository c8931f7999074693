/*
 * no_memory.c: loaded before everything else (LD_PRELOAD), lets one allocation of a process fail, or all from one on.
 *
 *   NO_MEMORY_AT=k         the k-th, from 1
 *   NO_MEMORY_ALL=yes      and every one after it
 *   NO_MEMORY_COUNT=file   at the end, how many there were before the first signalfd, and in all: what stands between
 *                          the two is a pipeline at work
 *
 * Variables of the test alone. What the library wraps it finds under the names by which glibc offers it besides, so
 * that nothing is allocated in looking for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t align, size_t n);

static atomic_ulong calls, before_run;
static atomic_bool running;
static unsigned long at;
static bool all;

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("NO_MEMORY_AT");
    at = text ? strtoul(text, NULL, 10) : 0;
    all = getenv("NO_MEMORY_ALL") != NULL;
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("NO_MEMORY_COUNT");
    char text[64];
    if (!path) return;
    int n = snprintf(text, sizeof text, "%lu %lu\n", atomic_load(&before_run), atomic_load(&calls));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd)) _exit(99);
}

/* Whether this one fails. Before the constructor has run none does. */
static bool fails(void)
{
    unsigned long nth = atomic_fetch_add(&calls, 1) + 1;
    if (!at || (all ? nth < at : nth != at)) return false;
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t n)
{
    return fails() ? NULL : __libc_malloc(n);
}

EXPORT void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
    return fails() ? NULL : __libc_realloc(p, n);
}

EXPORT void *aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : __libc_memalign(align, n);
}

EXPORT int posix_memalign(void **p, size_t align, size_t n)
{
    if (fails()) return ENOMEM;
    *p = __libc_memalign(align, n);
    return *p ? 0 : ENOMEM;
}

/* The host asks for signals when a run begins. */
EXPORT int signalfd(int fd, const sigset_t *set, int flags)
{
    if (!atomic_exchange(&running, true)) atomic_store(&before_run, atomic_load(&calls));
    return (int)syscall(SYS_signalfd4, fd, set, (size_t)8, flags);
}
