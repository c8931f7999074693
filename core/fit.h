/*
 * fit.h: whether a plugin's tables can be what this host takes them for, and the same tables as this host's own
 * jevons.h has them.
 */
#ifndef JVC_FIT_H
#define JVC_FIT_H

#include "util.h"

/* Bytes of a struct up to and with the last member it had in version 1.0; no version has fewer. */
#define JVC_SIZE_1_0(T, last) (offsetof(T, last) + sizeof(((T *)0)->last))

/* A copy of the plugin's description with rows of this host's sizes: what a plugin that was built against an older
 * minor version does not have is zero. Empty tables become null. `name` is that of the file. Everything belongs to mem.
 * Null: refused, err says why, with both sides. */
const jv_plugin *jvc_fit(const jv_plugin *theirs, const char *name, struct jvc_arena *mem, jv_err *err);

#endif
