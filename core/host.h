/*
 * host.h: the functions of the table that plugins call, by what they are about. Their contracts stand at struct jv_host
 * in jevons.h.
 */
#ifndef JVC_HOST_H
#define JVC_HOST_H

#include "pipeline.h"

/* The instance behind the table a plugin was given: the table is its first member. */
static inline struct jvc_stage *self(const jv_host *h)
{
    return (struct jvc_stage *)(uintptr_t)h;
}

static inline int32_t no_memory(jv_err *err)
{
    return jv_fail(err, JV_FATAL, "out of memory");
}

/* A plugin that sets what it did not declare is broken; functions that cannot fail end the run for it. */
void jvc_host_broken(const jv_host *h, const jv_buf *b, const char *what, int32_t number);

jv_str jvc_host_get(const jv_host *h, const jv_buf *b, int32_t row);
int64_t jvc_host_get_i64(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent);
double jvc_host_get_f64(const jv_host *h, const jv_buf *b, int32_t row, double absent);
char *jvc_host_put(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err);
int32_t jvc_host_view(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at, size_t n,
    jv_err *err);
char *jvc_host_writable(const jv_host *h, jv_buf *b, int32_t row, jv_err *err);
void jvc_host_put_i64(const jv_host *h, jv_buf *b, int32_t row, int64_t v);
void jvc_host_put_f64(const jv_host *h, jv_buf *b, int32_t row, double v);
void *jvc_host_scratch(const jv_host *h, size_t n, jv_err *err);
/* What `partial` adds to the field that its snapshots show. */
int32_t jvc_host_append(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err);
jv_str jvc_host_id(const jv_host *h, const jv_buf *b);
int32_t jvc_host_is_partial(const jv_host *h, const jv_buf *b);
jv_buf *jvc_host_begin(const jv_host *h, const jv_origin *o, jv_err *err);
jv_buf *jvc_host_fork(const jv_host *h, const jv_buf *parent, jv_err *err);
int32_t jvc_host_emit(const jv_host *h, jv_buf *b, int32_t port, jv_err *err);
int32_t jvc_host_reject(const jv_host *h, jv_buf *b, const jv_err *why, jv_err *err);
uint64_t jvc_host_record(const jv_host *h, const jv_buf *b);
void jvc_host_cancel(const jv_host *h, uint64_t record);
int32_t jvc_host_cancelled(const jv_host *h, const jv_buf *b);
int32_t jvc_host_priority(const jv_host *h, const jv_buf *b);
void *jvc_host_user(const jv_host *h, const jv_buf *b, const jv_ref *source);
uint32_t jvc_host_children(const jv_host *h, const jv_buf *b);
const jv_buf *jvc_host_child(const jv_host *h, const jv_buf *b, uint32_t i, jv_err *err);

#endif
