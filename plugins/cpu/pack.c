/*
 * pack.c: weights from the order of the file to that of the kernels (pack.h) and back. Panels are shared out among the
 * threads; a panel is made of its 16 rows unit by unit, all rows of a unit one after another, so that what is written
 * stays in the first cache.
 *
 * A quantised block is first spread, by type: the low four bits of its integers to a byte each, the others to where they
 * belong; then packed, by bits. The loops have fixed counts: compilers make vectors of them.
 */
#include "pack.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LANES CPU_LANES
#define PANELS_AT_ONCE (256u << 10) /* bytes that a thread takes at a time */

uint64_t pack_panel_bytes(uint32_t type, uint64_t columns)
{
    pack_format f = pack_format_of(type);
    if (f.columns == 0 || columns == 0 || columns % f.block != 0) return 0;
    uint64_t units = columns / f.columns + (columns % f.columns != 0);
    return units > INT64_MAX / pack_unit_bytes(f) ? 0 : units * pack_unit_bytes(f);
}

/* ---- a block of the file, spread ---- */

typedef struct spread {
    uint8_t low[BK_SUPER];        /* 4 bits of each integer, or all 8 */
    uint32_t high[BK_SUPER / 16]; /* of each group what its line of high bits has for this row */
} spread;

static inline uint32_t four_at(const uint8_t *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return four;
}

static inline void spread_nibbles(const uint8_t *restrict p, uint8_t *restrict low, uint8_t *restrict high, int n)
{
    for (int i = 0; i < n; i++) {
        low[i] = p[i] & 15;
        high[i] = p[i] >> 4;
    }
}

/* Every fourth bit of both halves, from bit 0 on, next to each other: 8 bits in each half. */
static inline uint64_t every_fourth(uint64_t x)
{
    x &= 0x1111111111111111;
    x = (x | x >> 3) & 0x0303030303030303;
    x = (x | x >> 6) & 0x000f000f000f000f;
    return (x | x >> 12) & 0x000000ff000000ff;
}

/* Bit 4 j + b of 32 to bit j of byte b. */
static inline uint32_t fifth_bits(const uint8_t *p)
{
    uint32_t word = four_at(p);
    uint64_t both = word | (uint64_t)(word >> 1) << 32, first = every_fourth(both), second = every_fourth(both >> 2);
    return (uint32_t)(first | first >> 24 | second << 16 | second >> 8);
}

/* Of a row of bytes, one for each column of a group, those bits of `mask` from `shift` on. */
static inline uint32_t gather_bits(const uint8_t *p, int columns, int shift, uint32_t mask, int bits)
{
    uint32_t r = 0;
    for (int j = 0; j < columns / 4; j++) r |= (four_at(p + 4 * j) >> shift & mask) << j * bits;
    return r;
}

static inline void spread_q5k(const uint8_t *p, spread *s)
{
    for (int i = 0; i < 4; i++) spread_nibbles(p + 48 + 32 * i, s->low + 64 * i, s->low + 64 * i + 32, 32);
    for (int g = 0; g < 8; g++) s->high[g] = gather_bits(p + 16, 32, g, 0x01010101, 1);
}

static inline void spread_q6k(const uint8_t *p, spread *s)
{
    for (int i = 0; i < 2; i++) spread_nibbles(p + 64 * i, s->low + 128 * i, s->low + 128 * i + 64, 64);
    for (int g = 0; g < 16; g++)
        s->high[g] = gather_bits(p + 128 + g / 8 * 32 + g % 2 * 16, 16, g % 8 / 2 * 2, 0x03030303, 2);
}

static inline __attribute__((always_inline)) void spread_block(uint32_t type, const uint8_t *p, spread *s)
{
    switch (type) {
    case BK_Q4_0: spread_nibbles(p + 2, s->low, s->low + 16, 16); break;
    case BK_Q4_1: spread_nibbles(p + 4, s->low, s->low + 16, 16); break;
    case BK_Q5_0:
        spread_nibbles(p + 6, s->low, s->low + 16, 16);
        s->high[0] = fifth_bits(p + 2);
        break;
    case BK_Q5_1:
        spread_nibbles(p + 8, s->low, s->low + 16, 16);
        s->high[0] = fifth_bits(p + 4);
        break;
    case BK_Q8_0: memcpy(s->low, p + 2, 32); break;
    case BK_Q4_K:
        for (int i = 0; i < 4; i++) spread_nibbles(p + 16 + 32 * i, s->low + 64 * i, s->low + 64 * i + 32, 32);
        break;
    case BK_Q5_K: spread_q5k(p, s); break;
    default: spread_q6k(p, s);
    }
}

/* ---- into groups ---- */

static inline void put_step(uint8_t *line, uint32_t lane, uint32_t four)
{
    memcpy(line + 4 * lane, &four, sizeof four);
}

/* One row's integers of group g to lane `lane` of the group's lines. */
static inline __attribute__((always_inline)) void put_group(pack_format f, const spread *s, uint32_t g, uint8_t *to,
    uint32_t lane)
{
    const uint32_t n = f.group, half = n / 2;
    const uint8_t *q = s->low + g * n;
    if (f.bits == 8) {
        for (uint32_t i = 0; i < n; i += 4) put_step(to + i * LANES, lane, four_at(q + i));
        return;
    }
    if (f.bits > 4) {
        put_step(to, lane, s->high[g]);
        to += PACK_LINE;
    }
    for (uint32_t i = 0; i < half; i += 4) put_step(to + i * LANES, lane, four_at(q + i) | four_at(q + half + i) << 4);
}

/* The same back. */
static inline void get_group(pack_format f, const uint8_t *from, uint32_t lane, uint8_t *q)
{
    const uint32_t n = f.group, half = n / 2;
    const uint8_t *high = from + 4 * lane, *p = f.bits > 4 && f.bits < 8 ? from + PACK_LINE : from;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = i / 4, b = i % 4;
        const uint8_t *four = p + (f.bits == 8 ? j : i % half / 4) * PACK_LINE + 4 * lane;
        q[i] = f.bits == 8 ? four[b] : four[b] >> (i < half ? 0 : 4) & 15;
        if (f.bits == 5 || f.bits == 6) q[i] |= (uint8_t)((high[b] >> j * (f.bits - 4) << 4) & ((1 << f.bits) - 16));
    }
}

/* ---- headers ---- */

static inline void put_half(uint8_t *to, uint32_t lane, const uint8_t *p)
{
    memcpy(to + 2 * lane, p, 2);
}

/* Scales and minimums 0..7 of a block of type Q4_K or Q5_K, from its 12 bytes: those of groups 0..3 lie in the low 6
 * bits of bytes 0..3 and 4..7, those of groups 4..7 have 4 bits in bytes 8..11 and 2 above the other ones. */
static inline void file_scales(const uint8_t *p, uint8_t *scale, uint8_t *minimum)
{
    for (int i = 0; i < 4; i++) {
        scale[i] = p[i] & 63;
        minimum[i] = p[i + 4] & 63;
        scale[i + 4] = (uint8_t)((p[i + 8] & 15) | p[i] >> 6 << 4);
        minimum[i + 4] = (uint8_t)(p[i + 8] >> 4 | p[i + 4] >> 6 << 4);
    }
}

/* Four of six bits to a lane of a line of scales, without the bits 12-15 of its halves. */
static inline uint32_t four_scales(const uint8_t *s)
{
    return s[0] | (uint32_t)s[2] << 6 | (uint32_t)s[1] << 16 | (uint32_t)s[3] << 22;
}

static inline void put_scales(const uint8_t *p, uint8_t *to, uint32_t lane)
{
    uint8_t s[8], m[8];
    file_scales(p, s, m);
    uint32_t line[3] = {four_scales(s), four_scales(s + 4), four_scales(m)};
    line[0] |= (uint32_t)(m[4] & 15) << 12 | (uint32_t)(m[5] & 15) << 28;
    line[1] |= (uint32_t)(m[6] & 15) << 12 | (uint32_t)(m[7] & 15) << 28;
    line[2] |= (uint32_t)(m[4] >> 4) << 12 | (uint32_t)(m[5] >> 4) << 28;
    line[2] |= (uint32_t)(m[6] >> 4) << 14 | (uint32_t)(m[7] >> 4) << 30;
    for (int i = 0; i < 3; i++) put_step(to + i * PACK_LINE, lane, line[i]);
}

static inline void get_scales(const uint8_t *from, uint32_t lane, uint8_t *s, uint8_t *m)
{
    uint32_t line[3];
    for (int i = 0; i < 3; i++) line[i] = four_at(from + i * PACK_LINE + 4 * lane);
    const int at[4] = {0, 16, 6, 22};
    for (int i = 0; i < 4; i++) {
        s[i] = line[0] >> at[i] & 63;
        s[i + 4] = line[1] >> at[i] & 63;
        m[i] = line[2] >> at[i] & 63;
        uint32_t low = line[i / 2] >> (i % 2 ? 28 : 12) & 15, high = line[2] >> (12 + 16 * (i % 2) + i / 2 * 2) & 3;
        m[i + 4] = (uint8_t)(low | high << 4);
    }
}

/* Block number `block` of a unit. */
static inline __attribute__((always_inline)) void put_header(uint32_t type, pack_format f, const uint8_t *p,
    uint8_t *unit, uint32_t block, uint32_t lane)
{
    uint8_t *last = unit + f.header - PACK_LINE;
    if (type == BK_Q6_K) {
        for (int i = 0; i < 4; i++) put_step(unit + i * PACK_LINE, lane, four_at(p + 192 + 4 * i));
        put_half(last, lane, p + 208);
        memset(last + 32, 0, 32);
        return;
    }
    put_half(last + 32 * block, lane, p);
    if (f.minimum) put_half(last + 32, lane, p + 2);
    if (f.block == BK_SUPER) put_scales(p + 4, unit, lane);
}

/* ---- panels ---- */

#define AHEAD 256 /* bytes of a row: sixteen of them at once are too many streams for the processor to see by itself */

typedef struct pack_job {
    const bk_source *from;
    bk_tensor *w;
    uint64_t row_bytes;
    share panels;
} pack_job;

/* Rows [row, row + n) to a panel, which is zeroed where it has more rows or columns. */
static inline __attribute__((always_inline)) void pack_blocks(uint32_t type, const pack_job *j, uint64_t row,
    uint32_t n, uint8_t *to)
{
    const pack_format f = pack_format_of(type);
    const uint32_t groups = f.block / f.group;
    const uint64_t blocks = j->w->columns / f.block, per_unit = f.columns / f.block;
    const uint8_t *from = (const uint8_t *)j->from->data + row * j->row_bytes;
    for (uint64_t b = 0; b < blocks; b++) {
        uint8_t *unit = to + b / per_unit * pack_unit_bytes(f);
        uint32_t nth = (uint32_t)(b % per_unit);
        if (nth == 0 && (n < LANES || blocks - b < per_unit)) memset(unit, 0, pack_unit_bytes(f));
        uint8_t *data = unit + f.header + nth * groups * pack_group_bytes(f);
        for (uint32_t lane = 0; lane < n; lane++) {
            const uint8_t *p = from + lane * j->row_bytes + b * f.file_bytes;
            spread s;
            for (uint32_t i = 0; i < f.file_bytes; i += PACK_LINE) __builtin_prefetch(p + AHEAD + i);
            spread_block(type, p, &s);
            put_header(type, f, p, unit, nth, lane);
            for (uint32_t g = 0; g < groups; g++) put_group(f, &s, g, data + g * pack_group_bytes(f), lane);
        }
    }
}

static inline __attribute__((always_inline)) void pack_floats(uint32_t bytes, const pack_job *j, uint64_t row,
    uint32_t n, uint8_t *to)
{
    const uint8_t *from = (const uint8_t *)j->from->data + row * j->row_bytes;
    const uint64_t columns = j->w->columns;
    memset(to + columns * LANES * bytes, 0, j->w->panel_bytes - columns * LANES * bytes);
    if (n < LANES) memset(to, 0, j->w->panel_bytes);
    for (uint64_t k = 0; k < columns; k += 32) {
        uint64_t end = k + 32 < columns ? k + 32 : columns;
        for (uint32_t lane = 0; lane < n; lane++)
            for (uint64_t i = k; i < end; i++)
                memcpy(to + (i * LANES + lane) * bytes, from + lane * j->row_bytes + i * bytes, bytes);
    }
}

static void pack_panel(const pack_job *j, uint64_t panel)
{
    const bk_tensor *w = j->w;
    uint64_t row = panel * LANES;
    uint32_t n = w->rows - row < LANES ? (uint32_t)(w->rows - row) : LANES;
    uint8_t *to = w->panels + panel * w->panel_bytes;
    switch (w->type) {
    case BK_F32: pack_floats(4, j, row, n, to); break;
    case BK_F16:
    case BK_BF16: pack_floats(2, j, row, n, to); break;
    case BK_Q4_0: pack_blocks(BK_Q4_0, j, row, n, to); break;
    case BK_Q4_1: pack_blocks(BK_Q4_1, j, row, n, to); break;
    case BK_Q5_0: pack_blocks(BK_Q5_0, j, row, n, to); break;
    case BK_Q5_1: pack_blocks(BK_Q5_1, j, row, n, to); break;
    case BK_Q8_0: pack_blocks(BK_Q8_0, j, row, n, to); break;
    case BK_Q4_K: pack_blocks(BK_Q4_K, j, row, n, to); break;
    case BK_Q5_K: pack_blocks(BK_Q5_K, j, row, n, to); break;
    case BK_Q6_K: pack_blocks(BK_Q6_K, j, row, n, to); break;
    default: break; /* pack_panel_bytes refused it */
    }
}

/* Whole pages that lie in rows [begin, end): of those at the edge a neighbour may not have read its part yet. */
static void let_go(const pack_job *j, uint64_t begin, uint64_t end)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), data = (uintptr_t)j->from->data;
    uintptr_t from = (data + begin * j->row_bytes + page - 1) / page * page;
    uintptr_t to = (data + end * j->row_bytes) / page * page;
    if (from < to) madvise((void *)from, to - from, MADV_DONTNEED); /* a hint: what it answers changes nothing */
}

static void pack_part(void *job, uint32_t thread, uint32_t threads)
{
    pack_job *j = job;
    uint32_t begin, end;
    while (share_next(&j->panels, thread, &begin, &end)) {
        for (uint64_t panel = begin; panel < end; panel++) pack_panel(j, panel);
        uint64_t rows = j->w->rows, last = (uint64_t)end * LANES;
        if (j->from->mapped) let_go(j, (uint64_t)begin * LANES, last < rows ? last : rows);
    }
}

void pack_weight(pool *p, const bk_source *from, bk_tensor *w)
{
    pack_format f = pack_format_of(w->type);
    pack_job job = {.from = from, .w = w, .row_bytes = w->columns / f.block * f.file_bytes};
    uint64_t panels = (w->rows + LANES - 1) / LANES, step = PANELS_AT_ONCE / w->panel_bytes;
    share_init(&job.panels, (uint32_t)panels, step < 1 ? 1 : (uint32_t)step, pool_threads(p));
    pool_run(p, pack_part, &job);
}

/* ---- a row ---- */

/* IEEE 754 binary16 by its bits: exponent and fraction to their places, then a product, which is exact, for the bias. */
static float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, 2);
    bool special = (h & 0x7c00) == 0x7c00; /* infinity, NaN */
    uint32_t bits = (uint32_t)(h & 0x7fff) << 13 | (special ? 0x7f800000 : 0);
    float f;
    memcpy(&f, &bits, sizeof f);
    if (!special) f *= 0x1p112f;
    return h & 0x8000 ? -f : f;
}

static void row_of_floats(const bk_tensor *w, const uint8_t *panel, uint32_t lane, float *to)
{
    for (uint64_t k = 0; k < w->columns; k++) {
        const uint8_t *p = panel + (k * LANES + lane) * (w->type == BK_F32 ? 4 : 2);
        uint16_t upper;
        memcpy(&upper, p, 2);
        uint32_t bits = (uint32_t)upper << 16;
        if (w->type == BK_F16)
            to[k] = half_at(p);
        else
            memcpy(&to[k], w->type == BK_F32 ? p : (const uint8_t *)&bits, 4);
    }
}

/* d and m of group g of a unit: w = d * q + m, offset included. */
static void group_factors(uint32_t type, pack_format f, const uint8_t *unit, uint32_t g, uint32_t lane, float dm[2])
{
    const uint8_t *last = unit + f.header - PACK_LINE + 2 * lane;
    uint8_t s[8], m[8];
    if (type == BK_Q6_K) {
        dm[0] = half_at(last) * (float)(int8_t)unit[g / 4 * PACK_LINE + 4 * lane + g % 4];
    } else if (f.block == BK_SUPER) {
        get_scales(unit, lane, s, m);
        dm[0] = half_at(last) * (float)s[g];
        dm[1] = -(half_at(last + 32) * (float)m[g]);
    } else {
        dm[0] = half_at(last + (f.minimum ? 0 : 32 * g));
        dm[1] = half_at(last + 32);
    }
    if (!f.minimum) dm[1] = -dm[0] * (float)f.offset;
}

void pack_row(const bk_tensor *w, uint64_t row, float *to)
{
    const pack_format f = pack_format_of(w->type);
    const uint8_t *panel = w->panels + row / LANES * w->panel_bytes;
    const uint32_t lane = (uint32_t)(row % LANES);
    if (f.block == 1) {
        row_of_floats(w, panel, lane, to);
        return;
    }
    for (uint64_t k = 0; k < w->columns; k += f.group) {
        const uint8_t *unit = panel + k / f.columns * pack_unit_bytes(f);
        uint32_t g = (uint32_t)(k % f.columns / f.group);
        uint8_t q[32];
        float dm[2] = {0};
        group_factors(w->type, f, unit, g, lane, dm);
        get_group(f, unit + f.header + g * pack_group_bytes(f), lane, q);
        for (uint32_t i = 0; i < f.group; i++) to[k + i] = dm[0] * (float)(f.bits == 8 ? (int8_t)q[i] : q[i]) + dm[1];
    }
}
