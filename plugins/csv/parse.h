/*
 * parse.h: rows of CSV (RFC 4180): where they end, and their cells.
 *
 * A row ends with LF or CR LF outside quotes. A cell may stand in quotes, and then may hold delimiters, line ends and
 * doubled quotes. Quotes anywhere else are an error; spaces are part of a cell.
 */
#ifndef JV_CSV_PARSE_H
#define JV_CSV_PARSE_H

#include "../rows/source.h"

struct csv_cell {
    jv_str text;
    size_t at; /* where it begins in the row */
    bool quoted;
};

struct csv_cells {
    struct csv_cell *v;
    size_t n, cap;
    char *room; /* the texts, each with a NUL behind it */
    size_t size;
};

/* Whether the row that begins at p ends within n bytes, as the scan of a source_format says. */
int32_t csv_scan(char delimiter, const char *p, size_t n, bool last, struct source_scan *scan, jv_err *err);
/* The cells of a row whose end csv_scan has found; n: with its line end. JV_OK or JV_FATAL. */
int32_t csv_split(struct csv_cells *c, char delimiter, const char *p, size_t n, jv_err *err);
void csv_cells_free(struct csv_cells *c);

#endif
