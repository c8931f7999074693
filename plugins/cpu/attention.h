/* attention.h: the cache of keys and values, and the operation over it (backend.h). */
#ifndef ATTENTION_H
#define ATTENTION_H

#include "level_attention.h"

/* kv.c */
uint64_t cpu_kv_bytes(void *self, const bk_kv_shape *shape);
bk_kv *cpu_kv_new(void *self, const bk_kv_shape *shape, jv_err *err);
void cpu_kv_free(void *self, bk_kv *kv);
int32_t cpu_kv_copy(void *self, bk_kv *kv, uint32_t to, uint32_t from, uint32_t n, jv_err *err);

/* attention.c */
int32_t cpu_check_heads(void *self, const bk_attention *a, jv_err *err);
int32_t cpu_attention(void *self, bk_tensor *out, bk_tensor *q, bk_tensor *k, const bk_tensor *v, const bk_attention *a,
    const bk_batch *batch, jv_err *err);

/* What attention works in, a part of each pool of blocks. */
typedef struct attention_room attention_room;
uint64_t attention_room_bytes(const bk_kv_shape *shape); /* of a shape that can be */
attention_room *attention_room_new(const bk_kv_shape *shape);
void attention_room_free(attention_room *r); /* null is fine */

#endif
