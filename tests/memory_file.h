/*
 * memory_file.h: takes the place of core/file.c in tests of what reads files: jvc_read_file finds those files alone
 * that a test has put here.
 */
#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include <stddef.h>

#define MEMORY_FILES 16

/* Neither name nor text is copied. A file of that name is replaced. */
void memory_file(const char *name, const char *text, size_t n);
void memory_files_clear(void);

#endif
