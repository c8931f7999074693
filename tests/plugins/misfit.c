/*
 * misfit.c: plugins that the host must refuse, one per build: MISFIT_NAME is the file's name, and one of MISFIT_MAGIC,
 * MISFIT_MAJOR, MISFIT_MINOR, MISFIT_SIZE, MISFIT_KEY, MISFIT_DEFAULT, MISFIT_OFFSET, MISFIT_OTHER_NAME says what is wrong with it.
 */
#include "jevons.h"

struct misfit {
    int64_t size;
};

static int32_t process(void *ctx, jv_buf *b, jv_err *err)
{
    return JV_OK;
}

static const jv_opt opts[] = {
#if defined MISFIT_KEY
    {"from", JV_OPT_I64, 0, offsetof(struct misfit, size), 0, "1", "1..", "a key of the host"},
#elif defined MISFIT_DEFAULT
    {"size", JV_OPT_I64, 0, offsetof(struct misfit, size), 0, "0", "1..", "a default outside its range"},
#elif defined MISFIT_OFFSET
    {"size", JV_OPT_I64, 0, 1000, 0, "1", "1..", "a member outside the context"},
#else
    JV_OPT(struct misfit, size, "1", "1..", "unused"),
#endif
    {0},
};

static const jv_stage stages[] = {
    {.name = MISFIT_NAME, .brief = "does not fit", .ctx_size = sizeof(struct misfit), .opts = opts, .process = process}};

const jv_plugin jv_plugin_desc = {
#ifdef MISFIT_MAGIC
    .magic = "jovens",
#else
    .magic = JV_MAGIC,
#endif
    .struct_size = sizeof(jv_plugin),
#ifdef MISFIT_MAJOR
    .abi_major = JV_ABI_MAJOR + 6,
#else
    .abi_major = JV_ABI_MAJOR,
#endif
#ifdef MISFIT_MINOR
    .abi_minor = JV_ABI_MINOR + 8,
#else
    .abi_minor = JV_ABI_MINOR,
#endif
#ifdef MISFIT_SIZE
    .stage_size = sizeof(jv_stage) + 16,
#else
    .stage_size = sizeof(jv_stage),
#endif
    .field_size = sizeof(jv_field),
    .port_size = sizeof(jv_port),
    .opt_size = sizeof(jv_opt),
    .counter_size = sizeof(jv_counter),
    .service_size = sizeof(jv_service),
    .n_stages = 1,
#ifdef MISFIT_OTHER_NAME
    .name = "somebody_else",
#else
    .name = MISFIT_NAME,
#endif
    .version = "1.0",
    .license = "MIT",
    .stages = stages,
};
