/*
 * source.h: rows out of files, for sources that read text by the row: which files, reading without ever holding one in
 * memory, where rows end and begin, their ids, and what becomes of those that are broken.
 *
 * A row ends with a line end unless its format says otherwise. One that cannot be a row (too long, broken quotes) is
 * rejected together with the rest of its first line alone, and reading goes on with the next line: one stray quote
 * does not swallow the file.
 */
#ifndef JV_ROWS_SOURCE_H
#define JV_ROWS_SOURCE_H

#include "ids.h"
#include "row.h"

/* A row as it stands in the file. The text has its line end, and is valid until the next poll. */
struct source_row {
    const char *p;
    size_t n;
    uint64_t line; /* of its first byte, from 1 */
    bool first;    /* of its file, but for rows that were skipped */
};

/* How far the search for a row's end has come; zeroed for each row. `at` bytes have been looked at, `state` and `mark`
 * are the format's own. */
struct source_scan {
    size_t at, mark;
    int32_t state;
};

/* What a format makes of a row. */
struct source_found {
    jv_str id; /* {0, 0}: the file's name and the byte offset */
    size_t at; /* with JV_BAD: which byte of the row is wrong */
};

struct source_format {
    /* Whether the row in p[0..n) ends there: 1 and scan->at is behind it; 0: more bytes are needed; JV_BAD: it is
     * broken at scan->at, err says why. `last`: no more will come. Null: it ends at the first newline. */
    int32_t (*scan)(void *ctx, const char *p, size_t n, bool last, struct source_scan *scan, jv_err *err);
    /* Reads a whole row and remembers what `put` will put: JV_OK, JV_DROP: it is empty, JV_DONE: it is a header, no
     * record, JV_BAD or JV_FATAL. May be called again for the same row. */
    int32_t (*read)(void *ctx, const struct source_row *row, struct source_found *found, jv_err *err);
    /* Sets the fields for the row last read: JV_OK or JV_FATAL. */
    int32_t (*put)(void *ctx, jv_buf *b, jv_err *err);
    /* Sets a field to the text of a row that is rejected, so that it is not lost: JV_OK or JV_FATAL. */
    int32_t (*keep)(void *ctx, const char *p, size_t n, jv_buf *b, jv_err *err);
};

/* What a stage whose rows have columns declares. Counters of another stage's own begin with these two. */
enum { SOURCE_REST };
extern const jv_field source_fields[];
enum { SOURCE_BYTES, SOURCE_SKIPPED };
extern const jv_counter source_counters[];

struct source {
    const jv_host *h;
    const struct source_format *format;
    void *ctx; /* first argument of the format's functions */
    jv_list path;
    size_t max;        /* bytes of a row, the newline not counted; 2 or more with skip_bom */
    const char *bound; /* the name of the option that says so */
    bool skip_bom;     /* a byte order mark at the beginning of a file is no text */
    bool header;       /* without its first row a file cannot be read */

    /* Its own. */
    size_t common; /* bytes at the front of each path that are not part of ids */
    size_t next;   /* path */
    int fd;
    bool is_open, at_end, first, broken;
    char *buf; /* buf[begin..end) is read and not given away */
    size_t cap, begin, end;
    struct source_scan scan;
    struct ids ids;               /* those that came out of rows */
    size_t looked;                /* of a broken row: bytes searched for its line's end */
    size_t thrown;                /* and those that were not kept, because there were too many */
    size_t bad_at;                /* where it is broken */
    jv_err why;                   /* and how */
    uint64_t offset, line;        /* of the row's first byte */
    int64_t uncounted, n_skipped; /* bytes and rows since the last record */
};

/* Checks the paths; all members above `Its own` are set. */
int32_t source_open(struct source *s, jv_err *err);
int32_t source_poll(struct source *s, jv_err *err);
void source_close(struct source *s);

/* Sets a field to n bytes. JV_OK or JV_FATAL. */
int32_t source_put(const jv_host *h, jv_buf *b, int32_t row, const char *p, size_t n, jv_err *err);
/* Sets a json field to a rejected row, without its line end, as a string, or {"base64": ...} where it is not UTF-8.
 * `text` is room to work in. */
int32_t source_put_kept(const jv_host *h, jv_buf *b, int32_t field, struct row *text, jv_str row, jv_err *err);

#endif
