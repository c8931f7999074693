/*
 * all.c: the interface as one library. `./jv abi` compares the types of its variables with those of the last release,
 * which tests/abi/jevons.abi holds; tests/abi_test.py holds the header against the same file without any tool but the
 * compiler. Values that are compiled into plugins stand here by themselves.
 */
#include "jevons.h"

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
IS(JV_TERMINAL, 128);

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
