/*
 * level_append.c: norms and turns a token's heads (Su et al., arXiv:2104.09864), and puts its keys and values into the
 * cache.
 */
#include "level_append.h"
#include "simd_math.h"

/* Cosine and sine of the angles of a position: those of its digits, one turn after the other. Digits of 0 turn
 * nothing. */
static void turn_of(const rope *r, uint32_t pos, float *restrict cosine, float *restrict sine)
{
    const uint32_t pairs = r->pairs;
    double c[CPU_MAX_HEAD_DIM / 2], s[CPU_MAX_HEAD_DIM / 2];
    const double *turn = r->turn + (uint64_t)(pos % ROPE_VALUES) * 2 * pairs;
    memcpy(c, turn, pairs * sizeof *c);
    memcpy(s, turn + pairs, pairs * sizeof *s);
    for (uint32_t digit = 1; digit < ROPE_DIGITS; digit++) {
        uint32_t value = digit * ROPE_BITS < 32 ? pos >> digit * ROPE_BITS & (ROPE_VALUES - 1) : 0;
        if (!value) continue;
        const double *restrict more = r->turn + ((uint64_t)digit * ROPE_VALUES + value) * 2 * pairs;
        for (uint32_t i = 0; i < pairs; i++) {
            double x = c[i] * more[i] - s[i] * more[pairs + i];
            s[i] = c[i] * more[pairs + i] + s[i] * more[i];
            c[i] = x;
        }
    }
    for (uint32_t i = 0; i < pairs; i++) {
        cosine[i] = (float)c[i];
        sine[i] = (float)s[i];
    }
}

static void turn_head(const bk_attention *a, float *restrict x, const float *restrict cosine, const float *restrict sine)
{
    uint32_t pairs = a->rope_dims / 2;
    if (a->rope_pairs == BK_ROPE_HALVES) {
        for (uint32_t i = 0; i < pairs; i++) {
            float u = x[i], v = x[i + pairs];
            x[i] = u * cosine[i] - v * sine[i];
            x[i + pairs] = u * sine[i] + v * cosine[i];
        }
        return;
    }
    for (uint32_t i = 0; i < pairs; i++) {
        float u = x[2 * i], v = x[2 * i + 1];
        x[2 * i] = u * cosine[i] - v * sine[i];
        x[2 * i + 1] = u * sine[i] + v * cosine[i];
    }
}

static void norm_head(const bk_attention *a, float *restrict x, const float *restrict norm)
{
    if (!norm) return;
    float scale = simd_inverse_rms(x, a->head_dim, a->eps);
    for (uint32_t d = 0; d < a->head_dim; d++) x[d] = x[d] * scale * norm[d];
}

/* ---- into the cache ---- */

/* BK_BLOCK numbers to int8 and the scale they were divided by, as backend.h has it for activations. */
static float round_block(const float *x, int8_t *q)
{
    vf low = vf_load(x), high = vf_load(x + CPU_LANES);
    const vi no_sign = vi_set(INT32_MAX);
    /* the bits of |x| compare like |x|, with infinity and NaN above all */
    float most =
        simd_float((uint32_t)vi_most(vi_max(vi_and(vi_of_bits(low), no_sign), vi_and(vi_of_bits(high), no_sign))));
    float inverse = 127.0f / most;
    bool special = !isfinite(most), zero = special || !isfinite(inverse);
    vf factor = vf_set(zero ? 0.0f : inverse);
    vi_store_low8(q, zero ? vi_zero() : vi_round(vf_mul(low, factor)));
    vi_store_low8(q + CPU_LANES, zero ? vi_zero() : vi_round(vf_mul(high, factor)));
    return special ? NAN : zero ? 0.0f : most / 127.0f;
}

/* One head's vector as the cache keeps it: dim elements, and for Q8_0 a scale for each BK_BLOCK of them. */
static void encode(uint32_t type, const float *x, uint32_t dim, uint8_t *to, float *scales)
{
    if (type == BK_F32) {
        memcpy(to, x, dim * sizeof *x);
    } else if (type == BK_F16) {
        for (uint32_t d = 0; d < dim; d += CPU_LANES) vf_store_f16(to + 2 * d, vf_load_part(x + d, dim - d));
    } else {
        for (uint32_t d = 0; d < dim; d += BK_BLOCK) scales[d / BK_BLOCK] = round_block(x + d, (int8_t *)to + d);
    }
}

/* Elements of a key lie CPU_LANES apart, those of the other keys of its group between them. */
static void put_key(const bk_kv *kv, uint8_t *chunk, uint32_t slot, const uint8_t *from, const float *scales)
{
    uint32_t dim = kv->shape.head_dim, type = kv->shape.type, blocks = dim / BK_BLOCK;
    uint64_t at = (uint64_t)slot / CPU_LANES * CPU_LANES * dim + slot % CPU_LANES;
    if (type == BK_F32) {
        float *to = (float *)(void *)chunk + at;
        for (uint32_t d = 0; d < dim; d++) memcpy(to + d * CPU_LANES, from + d * sizeof *to, sizeof *to);
    } else if (type == BK_F16) {
        uint16_t *to = (uint16_t *)(void *)chunk + at;
        for (uint32_t d = 0; d < dim; d++) memcpy(to + d * CPU_LANES, from + d * sizeof *to, sizeof *to);
    } else {
        for (uint32_t d = 0; d < dim; d++) chunk[at + d * CPU_LANES] = from[d];
        float *to = (float *)(void *)(chunk + BK_KV_BLOCK * dim) + slot / CPU_LANES * CPU_LANES * blocks;
        for (uint32_t b = 0; b < blocks; b++) to[b * CPU_LANES + slot % CPU_LANES] = scales[b];
    }
}

static void put_value(const bk_kv *kv, uint8_t *values, uint32_t slot, const uint8_t *from, const float *scales)
{
    uint32_t dim = kv->shape.head_dim, type = kv->shape.type, size = type == BK_F32 ? 4 : type == BK_F16 ? 2 : 1;
    memcpy(values + (uint64_t)slot * kv->padded * size, from, dim * size);
    if (type == BK_Q8_0)
        memcpy(values + BK_KV_BLOCK * dim + slot * (dim / BK_BLOCK) * 4, scales, dim / BK_BLOCK * sizeof *scales);
}

void CPU_NAME(attention_append)(const attention_job *j, const bk_run *run, uint32_t t, uint32_t row, uint32_t kv_head)
{
    const bk_attention *a = j->a;
    const bk_kv *kv = j->kv;
    uint32_t dim = a->head_dim, pos = run->pos + t, slot = pos % BK_KV_BLOCK, type = kv->shape.type;
    float cosine[CPU_MAX_HEAD_DIM / 2], sine[CPU_MAX_HEAD_DIM / 2], scales[CPU_MAX_HEAD_DIM / BK_BLOCK];
    uint8_t code[CPU_MAX_HEAD_DIM * sizeof(float)];
    float *q = j->q + ((uint64_t)row * a->heads + (uint64_t)kv_head * j->group) * dim;
    float *k = j->k + ((uint64_t)row * a->kv_heads + kv_head) * dim;
    const float *v = j->v + ((uint64_t)row * a->kv_heads + kv_head) * dim;
    if (j->rope.pairs) turn_of(&j->rope, pos, cosine, sine);
    for (uint32_t h = 0; h < j->group; h++) {
        norm_head(a, q + h * dim, j->q_norm);
        turn_head(a, q + h * dim, cosine, sine);
    }
    norm_head(a, k, j->k_norm);
    turn_head(a, k, cosine, sine);
    uint8_t *chunk = kv_chunk(kv, a->layer, run->blocks[pos / BK_KV_BLOCK], kv_head);
    encode(type, k, dim, code, scales);
    put_key(kv, chunk, slot, code, scales);
    encode(type, v, dim, code, scales);
    put_value(kv, chunk + kv->key_bytes, slot, code, scales);
}
