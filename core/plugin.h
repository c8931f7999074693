/*
 * plugin.h: finding plugin files, loading them, and refusing those that do not fit. Nothing of a plugin is executed
 * here: its tables are data. A file loaded stays loaded until the process ends.
 */
#ifndef JVC_PLUGIN_H
#define JVC_PLUGIN_H

#include "util.h"

struct jvc_plugin {
    char *path, *name;
    const jv_plugin *desc; /* a copy with rows of this host's sizes: its tables are plain arrays, null when empty */
    struct jvc_arena mem;  /* that it lies in */
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
#define JVC_N_HOST_KEYS 7 /* so many of them, from the first, this version knows what to do with */

/* Row i of a table, or null past its end. */
#define JVC_ROW(table, i) ((table) && (table)[i].name ? &(table)[i] : NULL)
#define JVC_STAGE(d, i) (&(d)->stages[i])
#define JVC_FIELD(d, s, i) ((void)(d), JVC_ROW((s)->fields, i))
#define JVC_PORT(d, s, i) ((void)(d), JVC_ROW((s)->ports, i))
#define JVC_OPT(d, s, i) ((void)(d), JVC_ROW((s)->opts, i))
#define JVC_COUNTER(d, s, i) ((void)(d), JVC_ROW((s)->counters, i))
#define JVC_SERVICE(d, s, i) ((void)(d), (s)->services && (s)->services[i].id ? &(s)->services[i] : NULL)

#endif
