/*
 * gguf_meta.c: the tables of the GGUF format (types of values, types of weights) and the getters of a file's metadata.
 * Nothing here checks the file again: gguf.c has done so before a gguf exists.
 */
#include "gguf_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- types of values --------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t size; /* bytes */
} values[] = {
    [GGUF_U8] = {"u8", 1},
    [GGUF_I8] = {"i8", 1},
    [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},
    [GGUF_U32] = {"u32", 4},
    [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},
    [GGUF_BOOL] = {"bool", 1},
    [GGUF_U64] = {"u64", 8},
    [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
    [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0},
};

const char *gguf_value_name(uint32_t type)
{
    return type < sizeof values / sizeof *values ? values[type].name : "unknown";
}

uint32_t gguf_value_size(uint32_t type)
{
    return type < sizeof values / sizeof *values ? values[type].size : 0;
}

/* ---- types of weights -------------------------------------------------------------------------------------------- */

/* By the format's number; the gaps are types it gave up. */
static const struct {
    const char *name;
    uint16_t weights, bytes; /* of a block */
} types[] = {
    [0] = {"F32", 1, 4},
    [1] = {"F16", 1, 2},
    [2] = {"Q4_0", 32, 18},
    [3] = {"Q4_1", 32, 20},
    [6] = {"Q5_0", 32, 22},
    [7] = {"Q5_1", 32, 24},
    [8] = {"Q8_0", 32, 34},
    [9] = {"Q8_1", 32, 36},
    [10] = {"Q2_K", 256, 84},
    [11] = {"Q3_K", 256, 110},
    [12] = {"Q4_K", 256, 144},
    [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},
    [15] = {"Q8_K", 256, 292},
    [16] = {"IQ2_XXS", 256, 66},
    [17] = {"IQ2_XS", 256, 74},
    [18] = {"IQ3_XXS", 256, 98},
    [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},
    [21] = {"IQ3_S", 256, 110},
    [22] = {"IQ2_S", 256, 82},
    [23] = {"IQ4_XS", 256, 136},
    [24] = {"I8", 1, 1},
    [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},
    [27] = {"I64", 1, 8},
    [28] = {"F64", 1, 8},
    [29] = {"IQ1_M", 256, 56},
    [30] = {"BF16", 1, 2},
    [34] = {"TQ1_0", 256, 54},
    [35] = {"TQ2_0", 256, 66},
    [39] = {"MXFP4", 32, 17},
    [40] = {"NVFP4", 64, 36},
    [41] = {"Q1_0", 128, 18},
};

bool gguf_type_block(uint32_t type, uint32_t *weights, uint32_t *bytes)
{
    if (type >= sizeof types / sizeof *types || !types[type].name) return false;
    *weights = types[type].weights;
    *bytes = types[type].bytes;
    return true;
}

const char *gguf_type_name(uint32_t type)
{
    return type < sizeof types / sizeof *types && types[type].name ? types[type].name : "unknown";
}

bool gguf_type_bytes(uint32_t type, uint64_t n, uint64_t *bytes)
{
    uint32_t block, size;
    uint64_t product;
    if (!gguf_type_block(type, &block, &size) || n % block) return false;
    if (__builtin_mul_overflow(n / block, size, &product)) return false;
    *bytes = product;
    return true;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

int gguf_compare(jv_str a, jv_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int compare_key(const void *name, const void *key)
{
    return gguf_compare(*(const jv_str *)name, ((const gguf_key *)key)->name);
}

static const gguf_key *find_key(const gguf *g, const char *key)
{
    jv_str name = {key, strlen(key)};
    return bsearch(&name, g->keys, g->n_keys, sizeof *g->keys, compare_key);
}

static int32_t wrong_type(const gguf_key *k, const char *wanted, jv_err *err)
{
    bool array = k->type == GGUF_ARRAY;
    return jv_fail(err, JV_BAD, "key '%.*s' is %s%s, not %s", (int)k->name.n, k->name.p,
        array ? "an array of " : "of type ", gguf_value_name(array ? k->array.type : k->type), wanted);
}

/* An integer of any type as 64 bits; those of U64 above INT64_MAX come out negative. */
static int64_t load_integer(uint32_t type, const unsigned char *p)
{
    union {
        int8_t i8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
    } v = {.i64 = 0};
    memcpy(&v, p, gguf_value_size(type));
    switch (type) {
    case GGUF_I8: return v.i8;
    case GGUF_I16: return v.i16;
    case GGUF_I32: return v.i32;
    case GGUF_U8: return v.u8;
    case GGUF_U16: return v.u16;
    case GGUF_U32: return v.u32;
    default: return v.i64;
    }
}

static double load_float(uint32_t type, const unsigned char *p)
{
    float f;
    double d;
    if (type == GGUF_F64) {
        memcpy(&d, p, sizeof d);
        return d;
    }
    memcpy(&f, p, sizeof f);
    return f;
}

int32_t gguf_get_u64(const gguf *g, const char *key, uint64_t *out, jv_err *err)
{
    const gguf_key *k = find_key(g, key);
    if (!k) return 1;
    switch (k->type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64: break;
    default: return wrong_type(k, "an integer", err);
    }
    int64_t v = load_integer(k->type, k->value);
    if (v < 0 && k->type != GGUF_U64)
        return jv_fail(err, JV_BAD, "key '%s' is %" PRId64 ", it must not be negative", key, v);
    *out = (uint64_t)v;
    return JV_OK;
}

int32_t gguf_get_f64(const gguf *g, const char *key, double *out, jv_err *err)
{
    const gguf_key *k = find_key(g, key);
    if (!k) return 1;
    if (k->type != GGUF_F32 && k->type != GGUF_F64) return wrong_type(k, "a float", err);
    *out = load_float(k->type, k->value);
    return JV_OK;
}

int32_t gguf_get_bool(const gguf *g, const char *key, bool *out, jv_err *err)
{
    const gguf_key *k = find_key(g, key);
    if (!k) return 1;
    if (k->type != GGUF_BOOL) return wrong_type(k, "a bool", err);
    *out = *k->value == 1;
    return JV_OK;
}

int32_t gguf_get_string(const gguf *g, const char *key, jv_str *out, jv_err *err)
{
    const gguf_key *k = find_key(g, key);
    if (!k) return 1;
    if (k->type != GGUF_STRING) return wrong_type(k, "a string", err);
    *out = gguf_string_at(k->value);
    return JV_OK;
}

int32_t gguf_get_array(const gguf *g, const char *key, uint32_t type, gguf_array *out, jv_err *err)
{
    const gguf_key *k = find_key(g, key);
    if (!k) return 1;
    if (k->type != GGUF_ARRAY || k->array.type != type) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "an array of %s", gguf_value_name(type));
        return wrong_type(k, wanted, err);
    }
    *out = k->array;
    return JV_OK;
}

/* ---- items of arrays --------------------------------------------------------------------------------------------- */

jv_str gguf_array_string(const gguf_array *a, uint64_t *at)
{
    if (*at >= a->bytes) return (jv_str){0};
    jv_str s = gguf_string_at((const unsigned char *)a->items + *at);
    *at += sizeof(uint64_t) + s.n;
    return s;
}

int64_t gguf_array_i64(const gguf_array *a, uint64_t i)
{
    return load_integer(a->type, (const unsigned char *)a->items + i * gguf_value_size(a->type));
}

double gguf_array_f64(const gguf_array *a, uint64_t i)
{
    return load_float(a->type, (const unsigned char *)a->items + i * gguf_value_size(a->type));
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

uint64_t gguf_file_size(const gguf *g)
{
    return g->size;
}

uint64_t gguf_tensor_count(const gguf *g)
{
    return g->n_tensors;
}

const gguf_tensor *gguf_tensor_at(const gguf *g, uint64_t i)
{
    return &g->tensors[i];
}

static int compare_tensor(const void *name, const void *tensor)
{
    return gguf_compare(*(const jv_str *)name, (*(const gguf_tensor *const *)tensor)->name);
}

const gguf_tensor *gguf_find_tensor(const gguf *g, const char *name)
{
    jv_str wanted = {name, strlen(name)};
    const gguf_tensor *const *found = bsearch(&wanted, g->by_name, g->n_tensors, sizeof *g->by_name, compare_tensor);
    return found ? *found : NULL;
}
