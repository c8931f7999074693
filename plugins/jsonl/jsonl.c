/* jsonl.c: the stages of jv_jsonl.so. Each has a file of its own, which is its manual: read.c, write.c. */
#include "stages.h"

static const jv_port reader_ports[] = {{"out", "the rows", 0, 0}, {0}};

static const jv_stage stages[] = {
    {
        .name = "read",
        .brief = "one record for each line of JSON of files, fifos or standard input",
        .ctx_size = sizeof(struct reader),
        .fields = source_fields,
        .ports = reader_ports,
        .opts = reader_options,
        .counters = source_counters,
        .open = reader_open,
        .poll = reader_poll,
        .close = reader_close,
    },
    {
        .name = "write",
        .brief = "one line of JSON for each record, in source order",
        .flags = JV_ORDERED,
        .ctx_size = sizeof(struct writer),
        .opts = writer_options,
        .counters = writer_counters,
        .open = writer_open,
        .start = writer_start,
        .process = writer_process,
        .flush = writer_flush,
        .close = writer_close,
    },
};

JV_PLUGIN("jsonl", "1.0", "MIT", stages);
