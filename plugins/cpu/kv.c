/*
 * kv.c: the pool of blocks of keys and values. Its pages come from the system as they are first written.
 */
#include "attention.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Sizes of a pool, or false: a shape that cannot be, or one whose bytes do not fit. */
static bool lay_out(const bk_kv_shape *s, bk_kv *kv)
{
    uint64_t size = s->type == BK_F32 ? 4 : s->type == BK_F16 ? 2 : 1;
    if (s->type != BK_F32 && s->type != BK_F16 && s->type != BK_Q8_0) return false;
    if (!s->layers || !s->kv_heads || !s->blocks || !s->head_dim || s->head_dim > CPU_MAX_HEAD_DIM) return false;
    if (s->type == BK_Q8_0 && s->head_dim % BK_BLOCK) return false;
    uint64_t scales = s->type == BK_Q8_0 ? s->head_dim / BK_BLOCK * 4 : 0;
    *kv = (bk_kv){.shape = *s};
    kv->padded = (s->head_dim + CPU_LANES - 1) / CPU_LANES * CPU_LANES;
    kv->key_bytes = BK_KV_BLOCK * (s->head_dim * size + scales);
    kv->chunk_bytes = kv->key_bytes + BK_KV_BLOCK * (kv->padded * size + scales);
    return !__builtin_mul_overflow(kv->chunk_bytes * s->kv_heads, s->blocks, &kv->layer_bytes) &&
           !__builtin_mul_overflow(kv->layer_bytes, s->layers, &kv->bytes) && kv->bytes <= SIZE_MAX / 2;
}

uint64_t cpu_kv_bytes(void *self, const bk_kv_shape *shape)
{
    bk_kv kv;
    return lay_out(shape, &kv) ? sizeof kv + kv.bytes + attention_room_bytes(shape) : UINT64_MAX;
}

bk_kv *cpu_kv_new(void *self, const bk_kv_shape *s, jv_err *err)
{
    bk_kv shape;
    if (!lay_out(s, &shape)) {
        jv_fail(err, JV_BAD,
            "no cache of type %u, %u layers, %u heads of %u, %u blocks; types 0, 1 and, with heads of a multiple of "
            "%d, 8; heads of 1..%d",
            s->type, s->layers, s->kv_heads, s->head_dim, s->blocks, BK_BLOCK, CPU_MAX_HEAD_DIM);
        return NULL;
    }
    bk_kv *kv = malloc(sizeof *kv);
    if (kv) {
        *kv = shape;
        kv->room = attention_room_new(s);
        kv->data = mmap(NULL, kv->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (kv->data == MAP_FAILED) kv->data = NULL;
        if (kv->room && kv->data) return kv;
    }
    cpu_kv_free(self, kv);
    jv_fail(err, JV_FATAL, "no memory for a cache of %.1f MiB", (double)shape.bytes / 1048576);
    return NULL;
}

void cpu_kv_free(void *self, bk_kv *kv)
{
    if (!kv) return;
    if (kv->data) munmap(kv->data, kv->bytes);
    attention_room_free(kv->room);
    free(kv);
}

/* Positions 0..n-1 of a table (group of CPU_LANES positions, rows, CPU_LANES) with elements of `size` bytes. */
static void copy_groups(uint8_t *to, const uint8_t *from, uint32_t rows, uint32_t size, uint32_t n)
{
    uint64_t lanes = CPU_LANES * size, group = rows * lanes;
    uint32_t whole = n / CPU_LANES, rest = n % CPU_LANES;
    memcpy(to, from, whole * group);
    for (uint64_t r = 0; rest && r < rows; r++)
        memcpy(to + whole * group + r * lanes, from + whole * group + r * lanes, rest * size);
}

static void copy_chunk(const bk_kv *kv, uint8_t *to, const uint8_t *from, uint32_t n)
{
    uint32_t dim = kv->shape.head_dim, type = kv->shape.type, size = type == BK_F32 ? 4 : type == BK_F16 ? 2 : 1;
    const uint8_t *from_values = from + kv->key_bytes;
    uint8_t *to_values = to + kv->key_bytes;
    copy_groups(to, from, dim, size, n);
    memcpy(to_values, from_values, (uint64_t)n * kv->padded * size);
    if (type != BK_Q8_0) return;
    uint64_t scales = (uint64_t)BK_KV_BLOCK * dim; /* where they begin */
    copy_groups(to + scales, from + scales, dim / BK_BLOCK, 4, n);
    memcpy(to_values + scales, from_values + scales, (uint64_t)n * (dim / BK_BLOCK) * 4);
}

int32_t cpu_kv_copy(void *self, bk_kv *kv, uint32_t to, uint32_t from, uint32_t n, jv_err *err)
{
    const bk_kv_shape *s = &kv->shape;
    if (to >= s->blocks || from >= s->blocks || n > BK_KV_BLOCK)
        return jv_fail(err, JV_FATAL, "kv_copy: %u positions from block %u to block %u; a pool of %u blocks of %d", n,
            from, to, s->blocks, BK_KV_BLOCK);
    for (uint32_t layer = 0; layer < s->layers && to != from; layer++)
        for (uint32_t h = 0; h < s->kv_heads; h++)
            copy_chunk(kv, kv_chunk(kv, layer, to, h), kv_chunk(kv, layer, from, h), n);
    return JV_OK;
}
