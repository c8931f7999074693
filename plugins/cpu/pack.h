/*
 * pack.h: how weights lie in memory for the kernels. The same integers and scales as in the file, in another order.
 *
 * A panel is 16 rows with all their columns, one stream of memory that a kernel reads from front to back; panels follow
 * each other. Rows are padded to whole panels and columns to whole units with weights that are zero.
 *
 * Lane l of a vector is row l of the panel. A line is 64 bytes, a vector of 4 bytes or 2 halves for each lane.
 * "Step" j of a group of columns are its columns 4j .. 4j + 3: the four bytes of a lane.
 *
 * Floats: for each column 16 numbers of the file's type, a row each.
 * Quantised: units of `columns`, each of a header and of groups. A group:
 *     4 bits        line z, low 4 bits: step z; high 4 bits: step z + steps / 2 (z < steps / 2)
 *     5, 6 bits     before these a line of what is above 4 bits: of step j from bit j * (bits - 4) on
 *     8 bits        line j: step j, signed
 * Header of types of 32 (binary16, 16 rows each): d, m where there is an m; else d of two blocks.
 * Header of types of 256: lines of scales, each of four groups, and a line of d (and dmin). For Q6_K byte b of line i is
 * the scale of group 4 i + b, signed. For Q4_K, Q5_K a line has two halves for each lane, each of 16 bits:
 *     line 0, 1     bits 0-5 scale 4i (low half), 4i + 1 (high half), bits 6-11 scale 4i + 2, 4i + 3
 *     line 2        the same of minimums 0..3
 *     bits 12-15    line 0: low 4 bits of minimums 4 (low half), 5 (high half); line 1: of 6, 7;
 *                   line 2: 12-13 high 2 bits of 4 and 5; 14-15 of 6 and 7
 */
#ifndef PACK_H
#define PACK_H

#include "cpu.h"

#define PACK_LINE 64

typedef struct pack_format {
    uint32_t columns;    /* of a unit; 0: no such type */
    uint32_t block;      /* columns that share a d in the file; 1: floats */
    uint32_t file_bytes; /* of a block in the file */
    uint32_t group;      /* columns whose products are summed as integers under one scale */
    uint32_t bits;       /* of a weight's integer; of a float's number */
    uint32_t offset;     /* what is taken off the integer */
    uint32_t minimum;    /* 1: and then m or dmin * min is added or taken off */
    uint32_t header;     /* bytes of a unit before its groups */
} pack_format;

/* All that is known of a type, here and in the kernels, which get it as constants. */
static inline __attribute__((always_inline)) pack_format pack_format_of(uint32_t type)
{
    switch (type) {
    case BK_F32: return (pack_format){.columns = 32, .block = 1, .file_bytes = 4, .group = 1, .bits = 32};
    case BK_F16:
    case BK_BF16: return (pack_format){.columns = 32, .block = 1, .file_bytes = 2, .group = 1, .bits = 16};
    case BK_Q4_0: return (pack_format){64, 32, 18, 32, 4, 8, 0, 64};
    case BK_Q4_1: return (pack_format){32, 32, 20, 32, 4, 0, 1, 64};
    case BK_Q5_0: return (pack_format){64, 32, 22, 32, 5, 16, 0, 64};
    case BK_Q5_1: return (pack_format){32, 32, 24, 32, 5, 0, 1, 64};
    case BK_Q8_0: return (pack_format){64, 32, 34, 32, 8, 0, 0, 64};
    case BK_Q4_K: return (pack_format){256, 256, 144, 32, 4, 0, 1, 256};
    case BK_Q5_K: return (pack_format){256, 256, 176, 32, 5, 0, 1, 256};
    case BK_Q6_K: return (pack_format){256, 256, 210, 16, 6, 32, 0, 320};
    default: return (pack_format){0};
    }
}

static inline __attribute__((always_inline)) uint32_t pack_group_bytes(pack_format f)
{
    return f.group * f.bits * CPU_LANES / 8;
}

static inline __attribute__((always_inline)) uint32_t pack_unit_bytes(pack_format f)
{
    return f.header + f.columns / f.group * pack_group_bytes(f);
}

/* Of one panel; 0 when the type is not known, columns is 0 or no multiple of its block, or the size does not fit. */
uint64_t pack_panel_bytes(uint32_t type, uint64_t columns);

/* Fills w->panels, of which type, rows, columns and panel_bytes are set, from rows as the file has them; all threads
 * take part. Lets go of the source's pages as it goes when they are a mapping's. */
void pack_weight(pool *p, const bk_source *from, bk_tensor *w);

/* Row `row` of a packed weight as floats: to[0..columns). */
void pack_row(const bk_tensor *w, uint64_t row, float *to);

#endif
