/*
 * all.c: the interface as one library, for two checks that core/jevons.h only ever grows at the ends of its structs.
 * It does not compile where a member has moved, or where a struct that plugins hold by value has grown; and `./jv abi`
 * compares the types of its variables with those of the last release, tests/abi/jevons.abi. The numbers are those of a
 * machine with pointers of 8 bytes. A new member gets a row here when it is released.
 */
#include "jevons.h"

#define AT(type, member, n) _Static_assert(offsetof(type, member) == (n), #type "." #member " has moved")
#define SIZE(type, n) _Static_assert(sizeof(type) == (n), #type " has another size")

_Static_assert(sizeof(void *) == 8, "the numbers below are for pointers of 8 bytes");

AT(jv_str, p, 0);
AT(jv_str, n, 8);
SIZE(jv_str, 16);

AT(jv_err, code, 0);
AT(jv_err, reserved, 4);
AT(jv_err, reason, 8);
AT(jv_err, text, 16);
SIZE(jv_err, 512);

AT(jv_field, name, 0);
AT(jv_field, type, 8);
AT(jv_field, access, 12);
AT(jv_field, field, 16);
AT(jv_field, help, 24);

AT(jv_port, name, 0);
AT(jv_port, help, 8);
AT(jv_port, flags, 16);
AT(jv_port, reserved, 20);

AT(jv_counter, name, 0);
AT(jv_counter, unit, 8);
AT(jv_counter, help, 16);
AT(jv_counter, flags, 24);
AT(jv_counter, reserved, 28);

AT(jv_service, id, 0);
AT(jv_service, api, 8);

AT(jv_list, v, 0);
AT(jv_list, n, 8);
SIZE(jv_list, 16);

AT(jv_map, key, 0);
AT(jv_map, val, 16);
SIZE(jv_map, 32);

AT(jv_ref, api, 0);
AT(jv_ref, self, 8);
SIZE(jv_ref, 16);

AT(jv_opt, name, 0);
AT(jv_opt, type, 8);
AT(jv_opt, flags, 12);
AT(jv_opt, offset, 16);
AT(jv_opt, reserved, 20);
AT(jv_opt, def, 24);
AT(jv_opt, range, 32);
AT(jv_opt, help, 40);

AT(jv_origin, struct_size, 0);
AT(jv_origin, priority, 4);
AT(jv_origin, position, 8);
AT(jv_origin, user, 24);

AT(jv_column, name, 0);
AT(jv_column, type, 8);
AT(jv_column, flags, 12);

AT(jv_host, struct_size, 0);
AT(jv_host, abi_minor, 4);
AT(jv_host, log, 8);
AT(jv_host, field, 16);
AT(jv_host, column, 24);
AT(jv_host, get, 32);
AT(jv_host, get_i64, 40);
AT(jv_host, get_f64, 48);
AT(jv_host, put, 56);
AT(jv_host, view, 64);
AT(jv_host, writable, 72);
AT(jv_host, put_i64, 80);
AT(jv_host, put_f64, 88);
AT(jv_host, scratch, 96);
AT(jv_host, id, 104);
AT(jv_host, is_partial, 112);
AT(jv_host, priority, 120);
AT(jv_host, user, 128);
AT(jv_host, begin, 136);
AT(jv_host, fork, 144);
AT(jv_host, emit, 152);
AT(jv_host, children, 160);
AT(jv_host, child, 168);
AT(jv_host, partial, 176);
AT(jv_host, record, 184);
AT(jv_host, cancel, 192);
AT(jv_host, cancelled, 200);
AT(jv_host, wait, 208);
AT(jv_host, count, 216);
AT(jv_host, tally, 224);
AT(jv_host, reject, 232);
AT(jv_host, params, 240);
AT(jv_host, lease, 248);
AT(jv_host, stats, 256);
AT(jv_host, fail, 264);

AT(jv_stage, name, 0);
AT(jv_stage, brief, 8);
AT(jv_stage, flags, 16);
AT(jv_stage, ctx_size, 20);
AT(jv_stage, threads, 24);
AT(jv_stage, reserved, 28);
AT(jv_stage, fields, 32);
AT(jv_stage, ports, 40);
AT(jv_stage, opts, 48);
AT(jv_stage, counters, 56);
AT(jv_stage, services, 64);
AT(jv_stage, open, 72);
AT(jv_stage, start, 80);
AT(jv_stage, poll, 88);
AT(jv_stage, process, 96);
AT(jv_stage, flush, 104);
AT(jv_stage, stop, 112);
AT(jv_stage, done, 120);
AT(jv_stage, close, 128);

AT(jv_plugin, magic, 0);
AT(jv_plugin, struct_size, 8);
AT(jv_plugin, abi_major, 12);
AT(jv_plugin, abi_minor, 16);
AT(jv_plugin, stage_size, 20);
AT(jv_plugin, field_size, 24);
AT(jv_plugin, port_size, 28);
AT(jv_plugin, opt_size, 32);
AT(jv_plugin, counter_size, 36);
AT(jv_plugin, service_size, 40);
AT(jv_plugin, n_stages, 44);
AT(jv_plugin, name, 48);
AT(jv_plugin, version, 56);
AT(jv_plugin, license, 64);
AT(jv_plugin, stages, 72);

#define IS(name, n) _Static_assert((name) == (n), #name " has another value")

IS(JV_OK, 0);
IS(JV_MAX_PORTS, 31);
IS(JV_DONE, 100);
IS(JV_DROP, 101);
IS(JV_END, 102);
IS(JV_BAD, -1);
IS(JV_RETRY, -2);
IS(JV_FATAL, -3);
IS(JV_CANCELLED, -4);
IS(JV_FULL, -5);
IS(JV_STOPPED, -6);

IS(JV_ANY, 0);
IS(JV_UTF8, 1);
IS(JV_BYTES, 2);
IS(JV_JSON, 3);
IS(JV_I64, 4);
IS(JV_F64, 5);
IS(JV_I32S, 6);
IS(JV_F32S, 7);

IS(JV_IN, 1);
IS(JV_OUT, 2);
IS(JV_OPTIONAL, 4);
IS(JV_MEASURED, 8);
IS(JV_PER_RECORD, 1);
IS(JV_NEUTRAL, 2);

IS(JV_OPT_I64, 1);
IS(JV_OPT_F64, 2);
IS(JV_OPT_TEXT, 3);
IS(JV_OPT_CHOICE, 4);
IS(JV_OPT_LIST, 5);
IS(JV_OPT_REF, 6);
IS(JV_OPT_MAP, 7);

IS(JV_LIVE, 1);
IS(JV_BATCH, 2);
IS(JV_LOG_INFO, 0);
IS(JV_LOG_WARN, 1);

IS(JV_PARALLEL, 1);
IS(JV_ORDERED, 2);
IS(JV_PARTIALS, 4);
IS(JV_SPLIT, 8);
IS(JV_ENDLESS, 16);
IS(JV_MERGE, 32);
IS(JV_RESULT, 64);

/* Each struct by itself, so that a change of one is not told as one of another that points to it. */
#define SHOW(type)                                                                                                     \
    JV_EXTERN const type *const abi_##type;                                                                            \
    const type *const abi_##type = NULL
SHOW(jv_str);
SHOW(jv_err);
SHOW(jv_field);
SHOW(jv_port);
SHOW(jv_counter);
SHOW(jv_service);
SHOW(jv_list);
SHOW(jv_map);
SHOW(jv_ref);
SHOW(jv_opt);
SHOW(jv_origin);
SHOW(jv_column);
SHOW(jv_host);
SHOW(jv_stage);
SHOW(jv_plugin);
