/*
 * linear_kit.h: for the tests of linear.c: weights and activations that are whole by themselves, and the levels that this
 * processor has.
 */
#ifndef LINEAR_KIT_H
#define LINEAR_KIT_H

#include "linear.h"
#include "linear_ref.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- tensors ---- */

static inline void *room_for(uint64_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, (bytes + 127) / 64 * 64); /* NaN: nobody may count on zeroes */
    return p;
}

static inline bk_tensor activation(uint64_t rows, uint64_t columns)
{
    uint64_t n = rows * columns, all = (n + 15) / 16 * 16;
    bk_tensor t = {.kind = CPU_ACTIVATION, .rows = rows, .columns = columns, .f32 = room_for(all * 4)};
    t.room = room_for(linear_room(rows, columns));
    for (uint64_t i = 0; i < all; i++) t.f32[i] = i < n ? ref_uniform() : 0;
    return t;
}

typedef struct weight {
    bk_source file;
    bk_tensor t;
} weight;

static inline void pack(pool *p, weight *w)
{
    w->t = (bk_tensor){.kind = CPU_WEIGHT, .type = w->file.type, .rows = w->file.rows, .columns = w->file.columns};
    w->t.panel_bytes = pack_panel_bytes(w->t.type, w->t.columns);
    w->t.panels = room_for((w->t.rows + 15) / 16 * w->t.panel_bytes);
    pack_weight(p, &w->file, &w->t);
}

static inline weight make_weight(pool *p, uint32_t type, uint64_t rows, uint64_t columns)
{
    uint64_t blocks = rows * columns / ref_block(type), bytes = blocks * ref_bytes(type);
    uint8_t *data = room_for(bytes);
    for (uint64_t i = 0; i < blocks; i++) ref_fill(type, data + i * ref_bytes(type));
    weight w = {.file = {sizeof(bk_source), type, rows, columns, data, bytes, 0, 0}};
    pack(p, &w);
    return w;
}

static inline uint8_t *file_block(const weight *w, uint64_t row, uint64_t k)
{
    uint64_t i = (row * w->file.columns + k) / ref_block(w->file.type);
    return (uint8_t *)w->file.data + i * ref_bytes(w->file.type);
}

static inline double weight_at(const weight *w, uint64_t row, uint64_t k)
{
    return ref_weight(w->file.type, file_block(w, row, k), (uint32_t)(k % ref_block(w->file.type)));
}

static inline void free_weight(weight *w)
{
    free((void *)w->file.data);
    free(w->t.panels);
}

static inline void free_activation(bk_tensor *t)
{
    free(t->f32);
    free(t->room);
}

/* ---- levels ---- */

static const cpu_level *levels[8];
static uint32_t n_levels;

static inline cpu context(const cpu_level *level, pool *p)
{
    return (cpu){.threads = pool_threads(p), .level = level, .pool = p};
}

static inline pool *threads(uint32_t n)
{
    jv_err err = {0};
    pool *p = pool_new(n, &err);
    assert_non_null(p);
    return p;
}

static inline void run(cpu *c, const weight *w, const bk_tensor *x, uint32_t n, const bk_tensor *out)
{
    linear_run(c, &(bk_linear){.struct_size = sizeof(bk_linear),
                      .n = n,
                      .x = x,
                      .n_parts = 1,
                      .part = {{(bk_tensor *)out, &w->t, NULL}}});
}

/* Rounds to the same float the same way: fused operations. */
static inline bool fused(const cpu_level *level)
{
    return strncmp(level->name, "avx", 3) == 0;
}

static inline void find_levels(void)
{
    const cpu_level *level;
    for (uint32_t i = 0; (level = cpu_level_at(i)); i++)
        if (cpu_level_runs(level)) levels[n_levels++] = level;
}

#endif
