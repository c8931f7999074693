/*
 * tensor.c: weights, which are re-laid into panels as they are uploaded, and activations.
 */
#include "tensor.h"
#include "linear.h"

#include <stdlib.h>
#include <string.h>

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

int32_t cpu_supports(void *self, uint32_t type)
{
    return pack_panel_bytes(type, BK_SUPER) != 0;
}

/* Bytes of a weight's panels, and of a vector's elements in order; false: a shape that cannot be, or does not fit. */
static bool weight_sizes(uint32_t type, uint64_t rows, uint64_t columns, uint64_t *panels, uint64_t *vector)
{
    uint64_t panel = pack_panel_bytes(type, columns);
    *vector = type == BK_F32 && rows == 1 && panel ? round_up(columns, CPU_LANES) * sizeof(float) : 0;
    return panel && rows && rows <= UINT32_MAX &&
           !__builtin_mul_overflow(panel, (rows + CPU_LANES - 1) / CPU_LANES, panels) && *panels <= SIZE_MAX / 4;
}

bk_weight_need cpu_weight_need(void *self, uint32_t type, uint64_t rows, uint64_t columns)
{
    uint64_t panels, vector;
    bool can_be = weight_sizes(type, rows, columns, &panels, &vector);
    return (bk_weight_need){.bytes = can_be ? sizeof(bk_tensor) + panels + vector : UINT64_MAX};
}

/* Bytes of an activation's elements and of its room; false as above. */
static bool activation_sizes(uint64_t capacity, uint64_t width, uint64_t *elements, uint64_t *room)
{
    const uint64_t most = UINT64_C(1) << 40; /* far above any memory, far below overflow of what follows */
    uint64_t cells;
    if (!capacity || !width || capacity > UINT32_MAX || width > UINT32_MAX ||
        __builtin_mul_overflow(capacity, width, &cells) || cells > most)
        return false;
    *elements = round_up(cells, CPU_LANES) * sizeof(float);
    *room = linear_room(capacity, width);
    if (*room > most * sizeof(float) * 2) return false;
    *room = round_up(*room, 64);
    return true;
}

uint64_t cpu_activation_bytes(void *self, uint64_t capacity, uint64_t width)
{
    uint64_t elements, room;
    return activation_sizes(capacity, width, &elements, &room) ? sizeof(bk_tensor) + elements + room : UINT64_MAX;
}

void cpu_tensor_free(void *self, bk_tensor *t)
{
    cpu *c = self;
    if (!t) return;
    arena_free(&c->memory, t->panels);
    arena_free(&c->memory, t->f32);
    arena_free(&c->memory, t->room);
    free(t);
}

bk_tensor *cpu_upload(void *self, const bk_source *s, jv_err *err)
{
    cpu *c = self;
    uint64_t panels, vector, row, all;
    pack_format f = pack_format_of(s->type);
    if (!weight_sizes(s->type, s->rows, s->columns, &panels, &vector) ||
        __builtin_mul_overflow(s->columns / f.block, f.file_bytes, &row) ||
        __builtin_mul_overflow(row, s->rows, &all) || all != s->bytes || (uintptr_t)s->data % 32) {
        jv_fail(err, JV_BAD, "a weight of type %u, %llu x %llu in %llu bytes cannot be used", s->type,
            (unsigned long long)s->rows, (unsigned long long)s->columns, (unsigned long long)s->bytes);
        return NULL;
    }
    bk_tensor *t = calloc(1, sizeof *t);
    if (t) {
        *t = (bk_tensor){.kind = CPU_WEIGHT, .type = s->type, .rows = s->rows, .columns = s->columns};
        t->panel_bytes = pack_panel_bytes(s->type, s->columns);
        t->panels = arena_new(&c->memory, panels);
        t->f32 = vector ? arena_new(&c->memory, vector) : NULL;
    }
    if (!t || !t->panels || (vector && !t->f32)) {
        cpu_tensor_free(self, t);
        jv_fail(err, JV_FATAL, "no memory for a weight of %.1f MiB", (double)(panels + vector) / 1048576);
        return NULL;
    }
    if (vector) memcpy(t->f32, s->data, s->bytes);
    pack_weight(c->pool, s, t);
    return t;
}

bk_tensor *cpu_activation(void *self, uint64_t capacity, uint64_t width, jv_err *err)
{
    cpu *c = self;
    uint64_t elements, room;
    if (!activation_sizes(capacity, width, &elements, &room)) {
        jv_fail(err, JV_BAD, "an activation of %llu x %llu cannot be", (unsigned long long)capacity,
            (unsigned long long)width);
        return NULL;
    }
    bk_tensor *t = calloc(1, sizeof *t);
    if (t) {
        *t = (bk_tensor){.kind = CPU_ACTIVATION, .rows = capacity, .columns = width};
        t->f32 = arena_new(&c->memory, elements);
        t->room = arena_new(&c->memory, room);
    }
    if (!t || !t->f32 || !t->room) {
        cpu_tensor_free(self, t);
        jv_fail(err, JV_FATAL, "no memory for an activation of %llu x %llu, %.1f MiB", (unsigned long long)capacity,
            (unsigned long long)width, (double)(elements + room) / 1048576);
        return NULL;
    }
    return t;
}
