/* csv_fuzz.c: any bytes as CSV: a row ends at the same place however it is cut into reads, its cells hold together and
 * come back from a row in which all are quoted, and each can be asked for as a value of any type. */
#include <stdlib.h>
#include <string.h>

#include "../rows/column.h"
#include "../utf8.h"
#include "parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

/* The row's size, or 0 where it is broken; `scan` has where. */
static size_t find(char delimiter, const char *p, size_t n, size_t step, struct source_scan *scan)
{
    jv_err err = {0};
    int32_t rc = 0;
    *scan = (struct source_scan){0};
    for (size_t have = step < n ? step : n; rc == 0; have = n - have < step ? n : have + step) {
        rc = csv_scan(delimiter, p, have, have == n, scan, &err);
        check(rc == 1 || (rc == 0 && have < n) || (rc == JV_BAD && err.text[0]));
        check(scan->at <= n);
    }
    return rc == 1 ? scan->at : 0;
}

static void add_quoted(struct row *row, jv_str s)
{
    row_add(row, "\"", 1);
    for (size_t i = 0; i < s.n; i++) row_add(row, s.p[i] == '"' ? "\"\"" : s.p + i, s.p[i] == '"' ? 2 : 1);
    row_add(row, "\"", 1);
}

static void check_values(const struct csv_cells *cells)
{
    struct row arena = {0};
    for (size_t i = 0; i < cells->n; i++) {
        const struct column c = {.field = "c", .name = {"c", 1}, .type = 1 + (int32_t)(i % JV_F32S), .optional = i & 8};
        jv_err err = {0};
        struct value v;
        int32_t rc = column_from_cell(&c, cells->v[i].text, cells->v[i].quoted, &arena, &v, &err);
        check(rc == JV_OK || (rc == JV_BAD && err.text[0]));
        check(utf8_valid(err.text, strlen(err.text)) == strlen(err.text));
        if (rc == JV_OK && v.there && c.type < JV_I64) check(v.n <= arena.n && v.at <= arena.n - v.n);
    }
    row_free(&arena);
}

static void check_row(char delimiter, const char *p, size_t n)
{
    struct csv_cells cells = {0}, again = {0};
    struct row quoted = {0};
    struct source_scan scan;
    jv_err err;
    check(csv_split(&cells, delimiter, p, n, &err) == JV_OK && cells.n > 0);
    for (size_t i = 0; i < cells.n; i++) {
        check(cells.v[i].at <= n && cells.v[i].text.p[cells.v[i].text.n] == 0);
        if (i) row_add(&quoted, &delimiter, 1);
        add_quoted(&quoted, cells.v[i].text);
    }
    row_add(&quoted, "\n", 1);
    check(find(delimiter, quoted.p, quoted.n, quoted.n, &scan) == quoted.n);
    check(csv_split(&again, delimiter, quoted.p, quoted.n, &err) == JV_OK && again.n == cells.n);
    for (size_t i = 0; i < cells.n; i++) {
        jv_str a = cells.v[i].text, b = again.v[i].text;
        check(a.n == b.n && !memcmp(a.p, b.p, a.n) && again.v[i].quoted);
    }
    check_values(&cells);
    row_free(&quoted);
    csv_cells_free(&cells);
    csv_cells_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char delimiters[] = ",;\t|";
    if (size < 2) return 0;
    char delimiter = delimiters[data[0] % 4];
    size_t step = 1 + data[1] % 16, left = size - 2;
    char *text = malloc(left ? left : 1), *p = text; /* of exactly that size, so that a read beyond is seen */
    check(text != NULL);
    if (left) memcpy(text, data + 2, left);
    while (left) {
        struct source_scan whole, cut;
        size_t n = find(delimiter, p, left, left, &whole);
        check(find(delimiter, p, left, step, &cut) == n && cut.at == whole.at && cut.mark == whole.mark);
        if (n) check_row(delimiter, p, n);
        const char *newline = memchr(p, '\n', left); /* of a broken row the first line is passed over */
        size_t skip = n ? n : newline ? (size_t)(newline - p) + 1 : left;
        p += skip;
        left -= skip;
    }
    free(text);
    return 0;
}
