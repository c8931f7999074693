/*
 * list.h: which files a list of paths, globs and folders means.
 */
#ifndef JV_FILES_LIST_H
#define JV_FILES_LIST_H

#include <stdbool.h>

#include "jevons.h"

/* A file to be read. Folders that could not be entered and links that lead nowhere are in the list too: reading
 * them fails, and then says why. */
struct file {
    char *path; /* what open(2) is given */
    char *id;   /* the path below the folder that was named; UTF-8: other bytes are written \xNN */
};

struct file_rules {
    const jv_host *h; /* for warnings */
    bool recursive;
    bool hidden;
    jv_list include, exclude; /* empty: all, none */
};

struct file_list {
    struct file *v;
    size_t n, cap;
    size_t visited; /* entries of folders seen so far, to bound the walk */
};

/* What does not exist, a glob without a match, what is neither file nor folder: < 0 and err. Reads no folder but a
 * glob's. */
int32_t file_list_check(const char *path, jv_err *err);
/* Adds what a path names: a file, the files of a folder, or a glob's matches. */
int32_t file_list_add(struct file_list *l, const struct file_rules *r, const char *path, jv_err *err);
/* Sorts by id, bytewise; two files with one id are an error that names both. */
int32_t file_list_sort(struct file_list *l, jv_err *err);
void file_list_free(struct file_list *l);

#endif
