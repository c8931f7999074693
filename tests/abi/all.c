/*
 * all.c: the interface as one library. `./jv abi` and tests/abi_test.py compare the types of its variables with those of
 * the last release, which tests/abi/jevons.abi holds; what needs no tool but the compiler stands in layout.c.
 */
#include "jevons.h"

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
