/*
 * misfit.c: plugins that the host must refuse, one per build. MISFIT_NAME is the file's name; one of the macros below
 * says what is wrong with it. All else fits.
 */
#include "jevons.h"

struct misfit {
    int64_t size;
    jv_map to;
};

#if defined MISFIT_MAGIC
#define MAGIC "jovens"
#elif defined MISFIT_MAJOR
#define MAJOR JV_ABI_MAJOR + 6
#elif defined MISFIT_MINOR
#define MINOR JV_ABI_MINOR + 8
#elif defined MISFIT_LARGE
#define STAGE_SIZE sizeof(jv_stage) + 16
#elif defined MISFIT_SMALL
#define STAGE_SIZE sizeof(jv_stage) - 16
#elif defined MISFIT_OTHER_NAME
#define NAME "somebody_else"
#elif defined MISFIT_KEY
#define OPTION                                                                                                         \
    {                                                                                                                  \
        "from", JV_OPT_I64, 0, offsetof(struct misfit, size), 0, "1", "1..", "a key of the host"                       \
    }
#elif defined MISFIT_DEFAULT
#define OPTION                                                                                                         \
    {                                                                                                                  \
        "size", JV_OPT_I64, 0, offsetof(struct misfit, size), 0, "0", "1..", "a default outside its range"             \
    }
#elif defined MISFIT_RANGE
#define OPTION                                                                                                         \
    {                                                                                                                  \
        "size", JV_OPT_I64, 0, offsetof(struct misfit, size), 0, "1", "9..1", "a range upside down"                    \
    }
#elif defined MISFIT_OFFSET
#define OPTION                                                                                                         \
    {                                                                                                                  \
        "size", JV_OPT_I64, 0, 1000, 0, "1", "1..", "a member outside the context"                                     \
    }
#elif defined MISFIT_ALIGN
#define OPTION                                                                                                         \
    {                                                                                                                  \
        "size", JV_OPT_I64, 0, 4, 0, "1", "1..", "between two members"                                                 \
    }
#elif defined MISFIT_RECORD
#define OPTION                                                                                                         \
    {                                                                                                                  \
        "size", JV_OPT_TEXT, JV_PER_RECORD, 0, 0, "", "path", "a path that a record may name"                          \
    }
#elif defined MISFIT_FIELD
#define FIELD                                                                                                          \
    {                                                                                                                  \
        "in", JV_ANY, JV_IN, "text", "of any type"                                                                     \
    }
#elif defined MISFIT_COUNTER
#define COUNTER                                                                                                        \
    {                                                                                                                  \
        "text", "byte", "named as a field", 0, 0                                                                       \
    }
#elif defined MISFIT_PORT
#define PORT                                                                                                           \
    {                                                                                                                  \
        "rejected", "the host's own", 0, 0                                                                             \
    }
#elif defined MISFIT_PORTS
#define PORT                                                                                                           \
    {                                                                                                                  \
        "size.*", "one for each key of what is no map", 0, 0                                                           \
    }
#elif defined MISFIT_FLAGS
#define FLAGS JV_SPLIT | JV_MERGE
#elif defined MISFIT_ORDER
#define FLAGS JV_ORDERED | JV_PARALLEL
#elif defined MISFIT_THREADS
#define THREADS 4
#elif defined MISFIT_CONTEXT
#define CONTEXT 100u << 20
#elif defined MISFIT_SOURCE
#define PROCESS NULL
#else
#error which?
#endif

#ifndef MAGIC
#define MAGIC JV_MAGIC
#endif
#ifndef MAJOR
#define MAJOR JV_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR JV_ABI_MINOR
#endif
#ifndef STAGE_SIZE
#define STAGE_SIZE sizeof(jv_stage)
#endif
#ifndef NAME
#define NAME MISFIT_NAME
#endif
#ifndef OPTION
#define OPTION JV_OPT(struct misfit, size, "1", "1..", "unused")
#endif
#ifndef FIELD
#define FIELD                                                                                                          \
    {                                                                                                                  \
        "in", JV_UTF8, JV_IN, "text", "the text"                                                                       \
    }
#endif
#ifndef COUNTER
#define COUNTER                                                                                                        \
    {                                                                                                                  \
        "seen", "record", "records seen", 0, 0                                                                         \
    }
#endif
#ifndef PORT
#define PORT                                                                                                           \
    {                                                                                                                  \
        "out", "what comes out", 0, 0                                                                                  \
    }
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef THREADS
#define THREADS 1
#endif
#ifndef CONTEXT
#define CONTEXT sizeof(struct misfit)
#endif
#ifndef PROCESS
#define PROCESS process
static int32_t process(void *ctx, jv_buf *b, jv_err *err)
{
    return JV_OK;
}
#endif

static const jv_opt opts[] = {OPTION, {0}};
static const jv_field fields[] = {FIELD, {0}};
static const jv_counter counters[] = {COUNTER, {0}};
static const jv_port ports[] = {PORT, {0}};

static const jv_stage stages[] = {{
    .name = MISFIT_NAME,
    .brief = "does not fit",
    .flags = FLAGS,
    .threads = THREADS,
    .ctx_size = CONTEXT,
    .opts = opts,
    .fields = fields,
    .counters = counters,
    .ports = ports,
    .process = PROCESS,
}};

const jv_plugin jv_plugin_desc = {
    .magic = MAGIC,
    .struct_size = sizeof(jv_plugin),
    .abi_major = MAJOR,
    .abi_minor = MINOR,
    .stage_size = STAGE_SIZE,
    .field_size = sizeof(jv_field),
    .port_size = sizeof(jv_port),
    .opt_size = sizeof(jv_opt),
    .counter_size = sizeof(jv_counter),
    .service_size = sizeof(jv_service),
    .n_stages = 1,
    .name = NAME,
    .version = "1.0",
    .license = "MIT",
    .stages = stages,
};
