/* unsound.c: a walk over the numbers of a file that are floats: weights, or scales of blocks. Layouts: backend.h. */
#include "unsound.h"
#include "backend.h"

#include <string.h>

/* A number's exponent, all ones where it is not finite. */
#define EXPONENT_F16 0x7c00u
#define EXPONENT_BF16 0x7f80u
#define EXPONENT_F32 0x7f800000u

/* Where the 16-bit floats of a type are: `n` of them from byte `at` on of each block. */
typedef struct floats {
    uint32_t type, block, at, n, exponent;
} floats;

static const floats layouts[] = {
    {BK_F16, 2, 0, 1, EXPONENT_F16},
    {BK_BF16, 2, 0, 1, EXPONENT_BF16},
    {BK_Q4_0, 18, 0, 1, EXPONENT_F16},
    {BK_Q4_1, 20, 0, 2, EXPONENT_F16},
    {BK_Q5_0, 22, 0, 1, EXPONENT_F16},
    {BK_Q5_1, 24, 0, 2, EXPONENT_F16},
    {BK_Q8_0, 34, 0, 1, EXPONENT_F16},
    {BK_Q4_K, 144, 0, 2, EXPONENT_F16},
    {BK_Q5_K, 176, 0, 2, EXPONENT_F16},
    {BK_Q6_K, 210, 208, 1, EXPONENT_F16},
};

static bool unsound_f32(const gguf_tensor *t)
{
    const uint8_t *p = t->data;
    for (uint64_t at = 0; at + 4 <= t->bytes; at += 4) {
        uint32_t bits;
        memcpy(&bits, p + at, sizeof bits);
        if ((bits & EXPONENT_F32) == EXPONENT_F32) return true;
    }
    return false;
}

static bool unsound_16(const gguf_tensor *t, const floats *f)
{
    const uint8_t *p = t->data;
    for (uint64_t at = 0; at + f->block <= t->bytes; at += f->block)
        for (uint32_t i = 0; i < f->n; i++) {
            uint16_t bits;
            memcpy(&bits, p + at + f->at + 2 * i, sizeof bits);
            if ((bits & f->exponent) == f->exponent) return true;
        }
    return false;
}

static bool unsound(const gguf_tensor *t)
{
    if (t->type == BK_F32) return unsound_f32(t);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].type == t->type) return unsound_16(t, &layouts[i]);
    return false; /* a type that no backend takes */
}

const gguf_tensor *unsound_tensor(const gguf *g)
{
    for (uint64_t i = 0; i < gguf_tensor_count(g); i++)
        if (unsound(gguf_tensor_at(g, i))) return gguf_tensor_at(g, i);
    return NULL;
}
