/*
 * output.h: the file a sink writes rows to. Each row is handed to the operating system before its record counts as
 * delivered, whole or not at all: where the disk is full the file is cut behind the last whole row. A regular file is
 * locked while it is written, so that two sections or two runs cannot write into each other.
 */
#ifndef JV_ROWS_OUTPUT_H
#define JV_ROWS_OUTPUT_H

#include <sys/types.h>

#include "row.h"

#define OUTPUT_EXISTS "replace|append|refuse" /* the range of the option */
enum { OUTPUT_REPLACE, OUTPUT_APPEND, OUTPUT_REFUSE };

struct output {
    const jv_host *h;
    const char *path;
    int32_t exists;
    bool is_open, regular;
    int fd;
    off_t end; /* behind the last whole row of a regular file */
};

/* In `open`: whether output_start would succeed, as far as that can be seen without touching anything. */
int32_t output_check(const struct output *o, jv_err *err);
/* In `start`. A regular file that is appended to has `end` bytes then. */
int32_t output_start(struct output *o, jv_err *err);
int32_t output_write(struct output *o, const struct row *row, jv_err *err);
/* In `flush`: some file systems tell only now that there was no room. */
int32_t output_finish(struct output *o, jv_err *err);
void output_close(struct output *o);

/* FATAL with the path and the reason in errno: "PATH cannot be WHAT: ..." */
int32_t output_cannot(const struct output *o, const char *what, jv_err *err);

#endif
