/* memory_file.c: see memory_file.h. */
#include "memory_file.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

static struct {
    const char *name, *text;
    size_t n;
} files[MEMORY_FILES];
static size_t n_files;

void memory_file(const char *name, const char *text, size_t n)
{
    size_t i = 0;
    while (i < n_files && strcmp(files[i].name, name)) i++;
    if (i == MEMORY_FILES) abort();
    files[i].name = name;
    files[i].text = text;
    files[i].n = n;
    if (i == n_files) n_files++;
}

void memory_files_clear(void)
{
    n_files = 0;
}

char *jvc_read_file(const char *path, size_t most, size_t *n, jv_err *err)
{
    for (size_t i = 0; i < n_files; i++) {
        if (strcmp(files[i].name, path)) continue;
        if (files[i].n > most) {
            jv_fail(err, JV_FATAL, "%s: larger than %zu bytes", path, most);
            return NULL;
        }
        *n = files[i].n;
        return jvc_strndup(files[i].text, *n);
    }
    jv_fail(err, JV_FATAL, "%s: No such file or directory", path);
    return NULL;
}
