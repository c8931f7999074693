/* csv.c: the stages of jv_csv.so. Each has a file of its own, which is its manual: read.c, write.c. */
#include "stages.h"

#include <string.h>

#include "../utf8.h"

int32_t csv_delimiter(const char *name, char *delimiter, jv_err *err)
{
    *delimiter = strcmp(name, "tab") == 0 ? '\t' : name[0];
    if (*delimiter == '\t') return JV_OK;
    if (strlen(name) == 1 && name[0] > ' ' && name[0] < 0x7f && name[0] != '"') return JV_OK;
    return jv_fail(err, JV_BAD, "`delimiter = %s`: wanted `tab` or one ASCII character other than a quote",
        utf8_show(name, strlen(name)).text);
}

static const jv_port csv_reader_ports[] = {{"out", "the rows", 0, 0}, {0}};

static const jv_stage stages[] = {
    {
        .name = "read",
        .brief = "one record for each row of CSV of files, fifos or standard input",
        .ctx_size = sizeof(struct csv_reader),
        .fields = source_fields,
        .ports = csv_reader_ports,
        .opts = csv_reader_options,
        .counters = source_counters,
        .open = csv_reader_open,
        .poll = csv_reader_poll,
        .close = csv_reader_close,
    },
    {
        .name = "write",
        .brief = "one row of CSV for each record, in source order",
        .flags = JV_ORDERED,
        .ctx_size = sizeof(struct csv_writer),
        .opts = csv_writer_options,
        .counters = csv_writer_counters,
        .open = csv_writer_open,
        .start = csv_writer_start,
        .process = csv_writer_process,
        .flush = csv_writer_flush,
        .close = csv_writer_close,
    },
};

JV_PLUGIN("csv", "1.0", "MIT", stages);
