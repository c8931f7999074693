/* stages.h: what jsonl.c puts together: for each stage its context, its tables and its functions. */
#ifndef JV_JSONL_STAGES_H
#define JV_JSONL_STAGES_H

#include "../rows/fields.h"
#include "../rows/output.h"
#include "../rows/source.h"
#include "parse.h"

struct reader {
    const jv_host *h;
    jv_list path;
    jv_map columns;
    const char *id;
    int64_t max_row;
    struct columns declared;
    struct jsonl_parser parser;
    struct row kept; /* a rejected row, as JSON */
    struct source source;
};

struct writer {
    const jv_host *h;
    const char *path, *rest;
    int32_t exists;
    jv_list fields;
    int32_t rest_row;
    struct sink_fields bound;
    struct output output;
    struct row line, key;
};

extern const jv_opt reader_options[], writer_options[];
extern const jv_counter writer_counters[];

int32_t reader_open(void *ctx, const jv_host *h, jv_err *err);
int32_t reader_poll(void *ctx, jv_err *err);
void reader_close(void *ctx);

int32_t writer_open(void *ctx, const jv_host *h, jv_err *err);
int32_t writer_start(void *ctx, jv_err *err);
int32_t writer_process(void *ctx, jv_buf *b, jv_err *err);
int32_t writer_flush(void *ctx, jv_err *err);
void writer_close(void *ctx);

#endif
