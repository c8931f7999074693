/*
 * plugin.h: finding plugin files, loading them, and refusing those that do not fit. Nothing of a plugin is executed
 * here: its tables are data. A file loaded stays loaded until the process ends.
 */
#ifndef JVC_PLUGIN_H
#define JVC_PLUGIN_H

#include "util.h"

struct jvc_plugin {
    char *path, *name;
    const jv_plugin *desc;
};

/* The folders searched, in order: those of `plugin_path` (a list as in the INI file, may be null), the build tree
 * the program was started from, the install folder. */
void jvc_plugin_folders(const char *const *plugin_path, size_t n);

/* The plugin's stage for "NAME" (a file with one stage) or "FILE/STAGE". Null and err: not found (with the nearest
 * name), refused (with both sides), ambiguous. */
const jv_stage *jvc_plugin_stage(const char *name, struct jvc_plugin **plugin, jv_err *err);

/* Every plugin that is found, sorted by name. Those that do not load are passed to `refused`. */
struct jvc_plugin *const *jvc_plugin_all(size_t *n, void (*refused)(const char *path, const jv_err *why));

/* The keys any section may have; ends with null. No option or field of a plugin may be called so. */
extern const char *const jvc_host_keys[];

/* Row i of a table whose rows are `stride` bytes, or null past its end (a null first member) or when there is no
 * table. */
const void *jvc_row(const void *table, uint32_t stride, uint32_t i);

#define JVC_STAGE(d, i) ((const jv_stage *)(const void *)((const char *)(d)->stages + (size_t)(i) * (d)->stage_size))
#define JVC_FIELD(d, s, i) ((const jv_field *)jvc_row((s)->fields, (d)->field_size, i))
#define JVC_PORT(d, s, i) ((const jv_port *)jvc_row((s)->ports, (d)->port_size, i))
#define JVC_OPT(d, s, i) ((const jv_opt *)jvc_row((s)->opts, (d)->opt_size, i))
#define JVC_COUNTER(d, s, i) ((const jv_counter *)jvc_row((s)->counters, (d)->counter_size, i))
#define JVC_SERVICE(d, s, i) ((const jv_service *)jvc_row((s)->services, (d)->service_size, i))

#endif
