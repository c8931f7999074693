/*
 * layout.c: where each member of the interface stands, of what type it is, and what its constants are, as plugins in the
 * field have it compiled in. It does not compile where a member has moved, is gone or has become another, where a struct
 * that plugins hold by value has another size, or where a constant has another value. abidiff sees less: it knows no
 * macros, and the suppression that lets a struct grow hides what changes within its members. The numbers are for
 * pointers of 8 bytes. A new member or constant gets its row with the release that brings it.
 */
#include "jevons.h"

#define AT(at, struct_, member, ...)                                                                                   \
    _Static_assert(offsetof(struct_, member) == (at), #struct_ "." #member " has moved");                              \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((struct_ *)0)->member), __VA_ARGS__),                      \
        #struct_ "." #member " is of another type")
#define SIZE(struct_, n) _Static_assert(sizeof(struct_) == (n), #struct_ " has another size")
#define GROWS(struct_, n) _Static_assert(sizeof(struct_) >= (n), #struct_ " has shrunk")
#define IS(name, n) _Static_assert((name) == (n), #name " has another value")

/* clang-format off */
_Static_assert(sizeof(void *) == 8, "the numbers below are for pointers of 8 bytes");

AT(  0, jv_str, p, const char *);
AT(  8, jv_str, n, size_t);
SIZE(jv_str, 16);

AT(  0, jv_err, code,     int32_t);
AT(  4, jv_err, reserved, uint32_t);
AT(  8, jv_err, reason,   const char *);
AT( 16, jv_err, text,     char[496]);
SIZE(jv_err, 512);

AT(  0, jv_field, name,   const char *);
AT(  8, jv_field, type,   int32_t);
AT( 12, jv_field, access, uint32_t);
AT( 16, jv_field, field,  const char *);
AT( 24, jv_field, help,   const char *);
GROWS(jv_field, 32);

AT(  0, jv_port, name,     const char *);
AT(  8, jv_port, help,     const char *);
AT( 16, jv_port, flags,    uint32_t);
AT( 20, jv_port, reserved, uint32_t);
GROWS(jv_port, 24);

AT(  0, jv_counter, name,     const char *);
AT(  8, jv_counter, unit,     const char *);
AT( 16, jv_counter, help,     const char *);
AT( 24, jv_counter, flags,    uint32_t);
AT( 28, jv_counter, reserved, uint32_t);
GROWS(jv_counter, 32);

AT(  0, jv_service, id,  const char *);
AT(  8, jv_service, api, const void *);
GROWS(jv_service, 16);

AT(  0, jv_list, v, const jv_str *);
AT(  8, jv_list, n, size_t);
SIZE(jv_list, 16);

AT(  0, jv_map, key, jv_list);
AT( 16, jv_map, val, jv_list);
SIZE(jv_map, 32);

AT(  0, jv_ref, api,  const void *);
AT(  8, jv_ref, self, void *);
SIZE(jv_ref, 16);

AT(  0, jv_opt, name,     const char *);
AT(  8, jv_opt, type,     int32_t);
AT( 12, jv_opt, flags,    uint32_t);
AT( 16, jv_opt, offset,   uint32_t);
AT( 20, jv_opt, reserved, uint32_t);
AT( 24, jv_opt, def,      const char *);
AT( 32, jv_opt, range,    const char *);
AT( 40, jv_opt, help,     const char *);
GROWS(jv_opt, 48);

AT(  0, jv_origin, struct_size, uint32_t);
AT(  4, jv_origin, priority,    int32_t);
AT(  8, jv_origin, position,    jv_str);
AT( 24, jv_origin, user,        void *);
GROWS(jv_origin, 32);

AT(  0, jv_column, name,  const char *);
AT(  8, jv_column, type,  int32_t);
AT( 12, jv_column, flags, uint32_t);
GROWS(jv_column, 16);

AT(  0, jv_host, struct_size, uint32_t);
AT(  4, jv_host, abi_minor,   uint32_t);
AT(  8, jv_host, log,         void (*)(const jv_host *, int32_t, const char *, ...));
AT( 16, jv_host, field,       int32_t (*)(const jv_host *, const char *, int32_t, uint32_t, jv_err *));
AT( 24, jv_host, column,      const jv_column *(*)(const jv_host *, uint32_t));
AT( 32, jv_host, get,         jv_str (*)(const jv_host *, const jv_buf *, int32_t));
AT( 40, jv_host, get_i64,     int64_t (*)(const jv_host *, const jv_buf *, int32_t, int64_t));
AT( 48, jv_host, get_f64,     double (*)(const jv_host *, const jv_buf *, int32_t, double));
AT( 56, jv_host, put,         char *(*)(const jv_host *, jv_buf *, int32_t, size_t, jv_err *));
AT( 64, jv_host, view,        int32_t (*)(const jv_host *, jv_buf *, int32_t, const jv_buf *, int32_t, size_t,
    size_t, jv_err *));
AT( 72, jv_host, writable,    char *(*)(const jv_host *, jv_buf *, int32_t, jv_err *));
AT( 80, jv_host, put_i64,     void (*)(const jv_host *, jv_buf *, int32_t, int64_t));
AT( 88, jv_host, put_f64,     void (*)(const jv_host *, jv_buf *, int32_t, double));
AT( 96, jv_host, scratch,     void *(*)(const jv_host *, size_t, jv_err *));
AT(104, jv_host, id,          jv_str (*)(const jv_host *, const jv_buf *));
AT(112, jv_host, is_partial,  int32_t (*)(const jv_host *, const jv_buf *));
AT(120, jv_host, priority,    int32_t (*)(const jv_host *, const jv_buf *));
AT(128, jv_host, user,        void *(*)(const jv_host *, const jv_buf *, const jv_ref *));
AT(136, jv_host, begin,       jv_buf *(*)(const jv_host *, const jv_origin *, jv_err *));
AT(144, jv_host, fork,        jv_buf *(*)(const jv_host *, const jv_buf *, jv_err *));
AT(152, jv_host, emit,        int32_t (*)(const jv_host *, jv_buf *, int32_t, jv_err *));
AT(160, jv_host, reject,      int32_t (*)(const jv_host *, jv_buf *, const jv_err *, jv_err *));
AT(168, jv_host, children,    uint32_t (*)(const jv_host *, const jv_buf *));
AT(176, jv_host, child,       const jv_buf *(*)(const jv_host *, const jv_buf *, uint32_t, jv_err *));
AT(184, jv_host, partial,     int32_t (*)(const jv_host *, jv_buf *, int32_t, const char *, size_t, jv_err *));
AT(192, jv_host, record,      uint64_t (*)(const jv_host *, const jv_buf *));
AT(200, jv_host, cancel,      void (*)(const jv_host *, uint64_t));
AT(208, jv_host, cancelled,   int32_t (*)(const jv_host *, const jv_buf *));
AT(216, jv_host, wait,        int32_t (*)(const jv_host *, int32_t, int32_t, int64_t));
AT(224, jv_host, count,       void (*)(const jv_host *, jv_buf *, int32_t, int64_t));
AT(232, jv_host, tally,       int64_t (*)(const jv_host *, const jv_buf *, const char *, int64_t));
AT(240, jv_host, params,      int32_t (*)(const jv_host *, const jv_buf *, void *, jv_err *));
AT(248, jv_host, lease,       int32_t (*)(const jv_host *, int32_t));
AT(256, jv_host, stats,       int32_t (*)(const jv_host *, void (*)(void *, const char *, size_t), void *, jv_err *));
AT(264, jv_host, fail,        void (*)(const jv_host *, const jv_err *));
GROWS(jv_host, 272);

AT(  0, jv_stage, name,     const char *);
AT(  8, jv_stage, brief,    const char *);
AT( 16, jv_stage, flags,    uint32_t);
AT( 20, jv_stage, ctx_size, uint32_t);
AT( 24, jv_stage, threads,  uint32_t);
AT( 28, jv_stage, reserved, uint32_t);
AT( 32, jv_stage, fields,   const jv_field *);
AT( 40, jv_stage, ports,    const jv_port *);
AT( 48, jv_stage, opts,     const jv_opt *);
AT( 56, jv_stage, counters, const jv_counter *);
AT( 64, jv_stage, services, const jv_service *);
AT( 72, jv_stage, open,     int32_t (*)(void *, const jv_host *, jv_err *));
AT( 80, jv_stage, start,    int32_t (*)(void *, jv_err *));
AT( 88, jv_stage, poll,     int32_t (*)(void *, jv_err *));
AT( 96, jv_stage, process,  int32_t (*)(void *, jv_buf *, jv_err *));
AT(104, jv_stage, flush,    int32_t (*)(void *, jv_err *));
AT(112, jv_stage, stop,     void (*)(void *));
AT(120, jv_stage, done,     void (*)(void *, void *, const jv_buf *, int32_t, const jv_err *));
AT(128, jv_stage, close,    void (*)(void *));
GROWS(jv_stage, 136);

AT(  0, jv_plugin, magic,        char[8]);
AT(  8, jv_plugin, struct_size,  uint32_t);
AT( 12, jv_plugin, abi_major,    uint32_t);
AT( 16, jv_plugin, abi_minor,    uint32_t);
AT( 20, jv_plugin, stage_size,   uint32_t);
AT( 24, jv_plugin, field_size,   uint32_t);
AT( 28, jv_plugin, port_size,    uint32_t);
AT( 32, jv_plugin, opt_size,     uint32_t);
AT( 36, jv_plugin, counter_size, uint32_t);
AT( 40, jv_plugin, service_size, uint32_t);
AT( 44, jv_plugin, n_stages,     uint32_t);
AT( 48, jv_plugin, name,         const char *);
AT( 56, jv_plugin, version,      const char *);
AT( 64, jv_plugin, license,      const char *);
AT( 72, jv_plugin, stages,       const jv_stage *);
GROWS(jv_plugin, 80);

IS(JV_ABI_MAJOR, 1);

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
IS(JV_UNSET, INT64_MIN);

IS(JV_LIVE, 1);
IS(JV_BATCH, 2);
IS(JV_LOG_INFO, 0);
IS(JV_LOG_WARN, 1);
IS(JV_LOG_MISTAKE, 2);

IS(JV_PARALLEL, 1);
IS(JV_ORDERED, 2);
IS(JV_PARTIALS, 4);
IS(JV_SPLIT, 8);
IS(JV_ENDLESS, 16);
IS(JV_MERGE, 32);
IS(JV_RESULT, 64);
IS(JV_TERMINAL, 128);
IS(JV_PER_CORE, UINT32_MAX);
