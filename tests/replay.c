/*
 * replay.c: runs a fuzz target over a folder of files, for compilers without a fuzzer: `replay FOLDER`. The files go
 * in by name; the count is printed. A folder that is missing or empty, or a file that cannot be read, is a failure.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fail(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return -1;
}

/* The buffer has the file's size exactly, so that a sanitizer sees a read beyond it. */
static int run_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    if (!f) return fail(path);
    uint8_t *data = malloc(size ? size : 1);
    int ok = data && fread(data, 1, size, f) == size;
    if (ok) LLVMFuzzerTestOneInput(data, size);
    free(data);
    fclose(f);
    return ok ? 1 : fail(path);
}

/* 1: it ran; 0: no file; -1: failed. */
static int run_entry(const char *folder, const char *name)
{
    char path[4096];
    struct stat st;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return fail(name);
    }
    if (stat(path, &st)) return fail(path);
    return S_ISREG(st.st_mode) ? run_file(path, (size_t)st.st_size) : 0;
}

int main(int argc, char **argv)
{
    struct dirent **names;
    int ran = 0, failed = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int n = scandir(argv[1], &names, NULL, alphasort);
    if (n < 0) {
        fail(argv[1]);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        int rc = run_entry(argv[1], names[i]->d_name);
        ran += rc > 0;
        failed += rc < 0;
        free(names[i]);
    }
    free(names);
    printf("%d files\n", ran);
    if (!ran) fprintf(stderr, "%s: no files\n", argv[1]);
    return failed || !ran;
}
