/*
 * level_linear.h: what a level does for weights times activations, by tiles: the 16 rows of a panel (pack.h) times
 * 1, 2, 4, 8 or 16 rows of x, its columns at the same time.
 *
 * Rows of x come in one of three forms, made of them once for all panels. Those of a tile of width w lie together, each
 * number beside that of the other rows, so that a kernel reads them from front to back; columns are padded with zeroes
 * to whole units:
 *     FLOATS    values (columns / 32, w, 32) f32
 *     BLOCKS    values (columns / 32, w, 32) int8, then scale, minus_sum and scaled_sum (columns / 32, w) each
 *     SUPERS    values (columns / 32, w, 32) int8, then scale (columns / 256, w), minus_sum (columns / 16, w), sums
 *               (columns / 256, w, 8)
 */
#ifndef LEVEL_LINEAR_H
#define LEVEL_LINEAR_H

#include "pack.h"

#define LINEAR_FLOATS 0
#define LINEAR_BLOCKS 1
#define LINEAR_SUPERS 2

#define LINEAR_WIDTHS 5 /* widths 1 << i of tiles */
#define LINEAR_MAX_WIDTH 16
#define LINEAR_TYPES (BK_BF16 + 1)

/* Bytes that a row of x takes in a form; columns: padded to 64, or 256 for SUPERS. */
static inline uint64_t linear_row_bytes(uint32_t form, uint64_t columns)
{
    switch (form) {
    case LINEAR_FLOATS: return columns * 4;
    case LINEAR_BLOCKS: return columns / 32 * (32 + 3 * 4);
    default: return columns / 256 * (256 + 4 + 16 * 4 + 8 * 2);
    }
}

typedef struct linear_tile {
    void *values;
    float *scale;       /* d */
    int32_t *minus_sum; /* -(sum of the integers), of 32 columns or of 16 */
    float *scaled_sum;  /* BLOCKS: d * sum */
    int16_t *sums;      /* SUPERS: of 32 columns each */
} linear_tile;

/* The tile at `at`, which takes width * linear_row_bytes. */
static inline linear_tile linear_tile_at(uint8_t *at, uint32_t form, uint64_t columns, uint32_t width)
{
    linear_tile t = {.values = at};
    uint64_t n = columns * width;
    if (form == LINEAR_BLOCKS) {
        t.scale = (float *)(void *)(at + n);
        t.minus_sum = (int32_t *)(void *)(t.scale + n / 32);
        t.scaled_sum = (float *)(void *)(t.minus_sum + n / 32);
    } else if (form == LINEAR_SUPERS) {
        t.scale = (float *)(void *)(at + n);
        t.minus_sum = (int32_t *)(void *)(t.scale + n / 256);
        t.sums = (int16_t *)(void *)(t.minus_sum + n / 16);
    }
    return t;
}

/* Rows of x to a tile: those of numbers 0..n-1, and zero ones up to the tile's width. */
typedef struct linear_rows {
    const float *x[LINEAR_MAX_WIDTH];
    const float *norm; /* or null */
    float eps;
    uint32_t n, width, form;
    uint64_t columns;    /* of x */
    uint64_t begin, end; /* which columns to do, multiples of 256; end: columns padded for the last */
    linear_tile to;
} linear_rows;

/* What becomes of a tile's sums. */
typedef struct linear_sums {
    const float *sum, *up; /* (width, 16); up: of the second weight, or null */
    const float *bias;     /* (16) or null */
    float *out;            /* (n, ld): its first `rows` columns */
    uint64_t ld;
    uint32_t n, rows; /* up to 16 */
    uint32_t act;     /* with up: BK_SILU, BK_GELU */
    bool add;
} linear_sums;

/* to (width, 16) = panel times the tile; columns: as the panel has them, padded. */
typedef void linear_multiply(const uint8_t *panel, uint64_t columns, const linear_tile *x, float *to);

struct linear_kernels {
    uint32_t width; /* of the widest tile that is worth it */
    void (*rows)(const linear_rows *r);
    void (*sums)(const linear_sums *s);
    linear_multiply *multiply[LINEAR_TYPES][LINEAR_WIDTHS];
};

#endif
