/*
 * inspect.h: what plugins there are and what they take, printed from their tables: for people (inspect.c), as JSON
 * (inspect_json.c) and as Markdown (inspect_md.c). No function of a plugin is called.
 */
#ifndef JVC_INSPECT_H
#define JVC_INSPECT_H

#include "plugin.h"

enum jvc_form { JVC_FOR_PEOPLE, JVC_AS_JSON, JVC_AS_MARKDOWN };

/* The commands; each answers its exit status. */
int jvc_inspect_list(const char *folder, bool json);           /* `plugins`; folder, or null: searched first */
int jvc_inspect_one(const char *name, enum jvc_form form);     /* `inspect NAME`, `inspect PATH/jv_NAME.so` */
int jvc_inspect_every(const char *folder, enum jvc_form form); /* `inspect --all`; folder, or null: that one alone */

/* A stage to be shown, and the file it is in. */
struct jvc_shown {
    const struct jvc_plugin *p;
    const jv_stage *s;
};
void jvc_print_json(const struct jvc_shown *shown, size_t n);
void jvc_print_json_list(const struct jvc_shown *shown, size_t n);
void jvc_print_markdown(const struct jvc_shown *shown, size_t n);

/* ---- words that all forms share ---- */

/* "source", "filter", "sink" or "resource". */
const char *jvc_kind_name(const jv_stage *s);
/* The stage as an INI file names it: "NAME", or "FILE/STAGE" where the file holds several. To be freed. */
char *jvc_stage_name(const jv_plugin *d, const jv_stage *s);
/* What its flags and threads mean, in half a sentence; empty for a resource. To be freed. */
char *jvc_shown_traits(const jv_stage *s);
/* The row of the port `rejected`, which stands in no table. Null for a resource, which has none. */
const jv_port *jvc_rejected_port(const jv_stage *s);
/* A section of an INI file with every key that is required, each line behind `indent`. */
void jvc_print_example(const struct jvc_shown *x, const char *indent);

#endif
