/* stages.h: what csv.c puts together: for each stage its context, its tables and its functions. */
#ifndef JV_CSV_STAGES_H
#define JV_CSV_STAGES_H

#include "../rows/column.h"
#include "../rows/fields.h"
#include "../rows/output.h"
#include "parse.h"

#define CSV_DELIMITER_HELP ", ; | tab, or another ASCII character"

/* What becomes of a cell. */
struct csv_place {
    size_t column;       /* SIZE_MAX: none declared it */
    bool id;             /* the record's id */
    size_t name, name_n; /* `"NAME":`, in `names` */
};

struct csv_reader {
    const jv_host *h;
    jv_list path;
    jv_map columns;
    const char *id, *delimiter_name;
    int32_t header;
    int64_t max_row;
    char delimiter;
    struct columns declared;
    struct csv_place *places; /* of the cells of each row in the present file */
    size_t n_places;
    struct row names;
    struct csv_cells cells;
    struct value *values;
    struct row arena, rest, kept;
    struct source source;
};

struct csv_writer {
    const jv_host *h;
    const char *path, *delimiter_name;
    int32_t exists, header, line_end;
    jv_list fields;
    char delimiter;
    struct sink_fields bound;
    struct output output;
    struct row line, number;
    bool begun; /* something stands in the file */
};

extern const jv_opt csv_reader_options[], csv_writer_options[];
extern const jv_counter csv_writer_counters[];

/* What the option `delimiter` says. */
int32_t csv_delimiter(const char *name, char *delimiter, jv_err *err);

int32_t csv_reader_open(void *ctx, const jv_host *h, jv_err *err);
int32_t csv_reader_poll(void *ctx, jv_err *err);
void csv_reader_close(void *ctx);

int32_t csv_writer_open(void *ctx, const jv_host *h, jv_err *err);
int32_t csv_writer_start(void *ctx, jv_err *err);
int32_t csv_writer_process(void *ctx, jv_buf *b, jv_err *err);
int32_t csv_writer_flush(void *ctx, jv_err *err);
void csv_writer_close(void *ctx);

#endif
