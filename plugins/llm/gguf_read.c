/*
 * gguf_read.c: one walk over the bytes of a GGUF file, header to tensors, with every check that can be made in passing:
 * nothing is read that is not there, and no count, length, dimension or offset is believed. Errors name the key or
 * tensor at hand and the numbers.
 */
#include "gguf_file.h"

#include <inttypes.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read as they lie in the file");

#define HEADER_BYTES 24
#define MIN_KEY_BYTES 14    /* length 8, name 1, type 4, value 1 */
#define MIN_TENSOR_BYTES 33 /* length 8, name 1, dimensions 4 + 8, type 4, offset 8 */
#define DEFAULT_ALIGNMENT 32
#define MIN_ALIGNMENT 32
#define MAX_ALIGNMENT 65536

struct reader {
    const gguf *g;
    uint64_t at;
    jv_err *err;
    char about[GGUF_ABOUT];       /* the key or tensor at hand, for messages */
    uint64_t alignment;           /* as the keys so far say */
    uint64_t data_bytes;          /* from the start of the data to the end of the tensor that lies last */
    char last_tensor[GGUF_ABOUT]; /* that one */
};

/* ---- messages ---------------------------------------------------------------------------------------------------- */

void gguf_describe(char out[static GGUF_ABOUT], const char *what, jv_str name)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = (size_t)snprintf(out, GGUF_ABOUT, "%s '", what);
    size_t i = 0;
    for (; i < name.n && n < GGUF_ABOUT - sizeof "\\x00...'"; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c >= 0x20 && c < 0x7f && c != '\'' && c != '\\') {
            out[n++] = (char)c;
        } else {
            memcpy(&out[n], (char[]){'\\', 'x', digits[c >> 4], digits[c & 15]}, 4);
            n += 4;
        }
    }
    strcpy(&out[n], i < name.n ? "...'" : "'");
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Makes sure that n more bytes are there. */
static int32_t need(const struct reader *r, uint64_t n, const char *what)
{
    uint64_t left = r->g->size - r->at;
    if (n <= left) return JV_OK;
    return jv_fail(r->err, JV_BAD,
        "%s: %s takes %" PRIu64 " bytes at byte %" PRIu64 ", the file ends at %" PRIu64 " (bytes missing: %" PRIu64 ")",
        r->about, what, n, r->at, r->g->size, n - left);
}

static int32_t read_u32(struct reader *r, const char *what, uint32_t *out)
{
    if (need(r, sizeof *out, what)) return JV_BAD;
    memcpy(out, r->g->base + r->at, sizeof *out);
    r->at += sizeof *out;
    return JV_OK;
}

static int32_t read_u64(struct reader *r, const char *what, uint64_t *out)
{
    if (need(r, sizeof *out, what)) return JV_BAD;
    memcpy(out, r->g->base + r->at, sizeof *out);
    r->at += sizeof *out;
    return JV_OK;
}

static int32_t read_string(struct reader *r, const char *what, jv_str *out)
{
    uint64_t n;
    if (read_u64(r, "a length", &n) || need(r, n, what)) return JV_BAD;
    *out = (jv_str){(const char *)r->g->base + r->at, n};
    r->at += n;
    return JV_OK;
}

/* The name of key or tensor i; what follows in the walk is about it. */
static int32_t read_name(struct reader *r, const char *what, uint64_t i, jv_str *out)
{
    snprintf(r->about, sizeof r->about, "%s %" PRIu64, what, i);
    if (read_string(r, "its name", out)) return JV_BAD;
    if (out->n < 1 || out->n > GGUF_MAX_NAME)
        return jv_fail(r->err, JV_BAD, "%s: its name has %zu bytes, 1 to %u are allowed", r->about, out->n,
            GGUF_MAX_NAME);
    gguf_describe(r->about, what, *out);
    return JV_OK;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* n values of one size: numbers or bools. */
static int32_t read_numbers(struct reader *r, uint32_t type, uint64_t n, const char *what)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(n, gguf_value_size(type), &bytes))
        return jv_fail(r->err, JV_BAD, "%s: %s has %" PRIu64 " items of type %s, their size does not fit 64 bits",
            r->about, what, n, gguf_value_name(type));
    if (need(r, bytes, what)) return JV_BAD;
    const unsigned char *p = r->g->base + r->at;
    for (uint64_t i = 0; type == GGUF_BOOL && i < n; i++)
        if (p[i] > 1) return jv_fail(r->err, JV_BAD, "%s: a bool is %u, neither 0 nor 1", r->about, p[i]);
    r->at += bytes;
    return JV_OK;
}

static int32_t read_strings(struct reader *r, uint64_t n)
{
    uint64_t least;
    jv_str s;
    if (__builtin_mul_overflow(n, sizeof(uint64_t), &least))
        return jv_fail(r->err, JV_BAD, "%s: an array of %" PRIu64 " strings, their size does not fit 64 bits", r->about,
            n);
    if (need(r, least, "its array (lengths alone)")) return JV_BAD;
    for (uint64_t i = 0; i < n; i++)
        if (read_string(r, "a string of its array", &s)) return JV_BAD;
    return JV_OK;
}

static int32_t read_array(struct reader *r, gguf_array *a)
{
    if (read_u32(r, "the type of its items", &a->type) || read_u64(r, "the length of its array", &a->n)) return JV_BAD;
    uint64_t from = r->at;
    if (a->type == GGUF_ARRAY) return jv_fail(r->err, JV_BAD, "%s: arrays of arrays are not supported", r->about);
    if (a->type != GGUF_STRING && !gguf_value_size(a->type))
        return jv_fail(r->err, JV_BAD, "%s: items of unknown type %" PRIu32, r->about, a->type);
    if (a->type == GGUF_STRING ? read_strings(r, a->n) : read_numbers(r, a->type, a->n, "its array")) return JV_BAD;
    a->items = r->g->base + from;
    a->bytes = r->at - from;
    return JV_OK;
}

static int32_t check_alignment(struct reader *r, const gguf_key *k)
{
    uint32_t v;
    if (k->type != GGUF_U32)
        return jv_fail(r->err, JV_BAD, "%s is of type %s, not u32", r->about, gguf_value_name(k->type));
    memcpy(&v, k->value, sizeof v);
    if (v < MIN_ALIGNMENT || v > MAX_ALIGNMENT || (v & (v - 1)))
        return jv_fail(r->err, JV_BAD, "%s is %" PRIu32 ", not a power of two from %d to %d", r->about, v,
            MIN_ALIGNMENT, MAX_ALIGNMENT);
    r->alignment = v;
    return JV_OK;
}

static int32_t read_key(struct reader *r, uint64_t i, gguf_key *k)
{
    static const jv_str alignment = {"general.alignment", sizeof "general.alignment" - 1};
    jv_str s;
    if (read_name(r, "key", i, &k->name) || read_u32(r, "the type of its value", &k->type)) return JV_BAD;
    k->value = r->g->base + r->at;
    if (k->type == GGUF_STRING) {
        if (read_string(r, "its string", &s)) return JV_BAD;
    } else if (k->type == GGUF_ARRAY) {
        if (read_array(r, &k->array)) return JV_BAD;
    } else if (!gguf_value_size(k->type)) {
        return jv_fail(r->err, JV_BAD, "%s: a value of unknown type %" PRIu32, r->about, k->type);
    } else if (read_numbers(r, k->type, 1, "its value")) {
        return JV_BAD;
    }
    return gguf_compare(k->name, alignment) ? JV_OK : check_alignment(r, k);
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static int32_t read_shape(struct reader *r, gguf_tensor *t)
{
    if (read_u32(r, "its number of dimensions", &t->n_dims)) return JV_BAD;
    if (t->n_dims < 1 || t->n_dims > GGUF_MAX_DIMS)
        return jv_fail(r->err, JV_BAD, "%s: %" PRIu32 " dimensions, 1 to %u are allowed", r->about, t->n_dims,
            GGUF_MAX_DIMS);
    for (uint32_t i = 0; i < GGUF_MAX_DIMS; i++) {
        t->ne[i] = 1;
        if (i >= t->n_dims) continue;
        if (read_u64(r, "a dimension", &t->ne[i])) return JV_BAD;
        if (!t->ne[i]) return jv_fail(r->err, JV_BAD, "%s: dimension %" PRIu32 " is 0", r->about, i);
    }
    return JV_OK;
}

/* The size of a tensor in bytes, from its type and dimensions. */
static int32_t size_tensor(struct reader *r, gguf_tensor *t)
{
    uint32_t block, size;
    if (!gguf_type_block(t->type, &block, &size))
        return jv_fail(r->err, JV_BAD, "%s: unknown type of weights %" PRIu32, r->about, t->type);
    if (t->ne[0] % block)
        return jv_fail(r->err, JV_BAD, "%s: %" PRIu64 " columns, but %s has blocks of %" PRIu32, r->about, t->ne[0],
            gguf_type_name(t->type), block);
    uint64_t n = t->ne[0];
    for (uint32_t i = 1; i < GGUF_MAX_DIMS; i++)
        if (__builtin_mul_overflow(n, t->ne[i], &n)) n = UINT64_MAX;
    if (n > INT64_MAX || !gguf_type_bytes(t->type, n, &t->bytes))
        return jv_fail(r->err, JV_BAD,
            "%s: %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64 " weights are more than any file holds", r->about,
            t->ne[0], t->ne[1], t->ne[2], t->ne[3]);
    return JV_OK;
}

/* offset: from the start of the data, which only the end of the walk tells. */
static int32_t read_tensor(struct reader *r, uint64_t i, gguf_tensor *t, uint64_t *offset)
{
    uint64_t end;
    if (read_name(r, "tensor", i, &t->name) || read_shape(r, t)) return JV_BAD;
    if (read_u32(r, "its type", &t->type) || read_u64(r, "its offset", offset) || size_tensor(r, t)) return JV_BAD;
    if (*offset % r->alignment)
        return jv_fail(r->err, JV_BAD, "%s: offset %" PRIu64 " is no multiple of the alignment %" PRIu64, r->about,
            *offset, r->alignment);
    if (__builtin_add_overflow(*offset, t->bytes, &end) || end > INT64_MAX)
        return jv_fail(r->err, JV_BAD, "%s: %" PRIu64 " bytes at offset %" PRIu64 " are more than any file holds",
            r->about, t->bytes, *offset);
    if (end > r->data_bytes) {
        r->data_bytes = end;
        memcpy(r->last_tensor, r->about, sizeof r->last_tensor);
    }
    return JV_OK;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int32_t read_header(gguf *g, struct reader *r)
{
    uint32_t version = 0;
    if (!g->size) return jv_fail(r->err, JV_BAD, "the file is empty");
    if (memcmp(g->base, "GGUF", g->size < 4 ? g->size : 4))
        return jv_fail(r->err, JV_BAD, "not a GGUF file: it does not begin with those letters");
    snprintf(r->about, sizeof r->about, "the file");
    if (need(r, HEADER_BYTES, "a header")) return JV_BAD;
    r->at = 4;
    read_u32(r, "", &version);
    read_u64(r, "", &g->n_tensors);
    read_u64(r, "", &g->n_keys);
    if (version && !(version & 0xffff))
        return jv_fail(r->err, JV_BAD,
            "a big-endian file (its version reads %#010" PRIx32 "), only little-endian ones are supported", version);
    if (version != 2 && version != 3)
        return jv_fail(r->err, JV_BAD, "GGUF version %" PRIu32 ", only 2 and 3 are supported", version);
    if (g->n_keys > GGUF_MAX_KEYS)
        return jv_fail(r->err, JV_BAD, "%" PRIu64 " keys, at most %u are allowed", g->n_keys, GGUF_MAX_KEYS);
    if (g->n_tensors > GGUF_MAX_TENSORS)
        return jv_fail(r->err, JV_BAD, "%" PRIu64 " tensors, at most %u are allowed", g->n_tensors, GGUF_MAX_TENSORS);
    uint64_t least = g->n_keys * MIN_KEY_BYTES + g->n_tensors * MIN_TENSOR_BYTES;
    snprintf(r->about, sizeof r->about, "%" PRIu64 " keys and %" PRIu64 " tensors", g->n_keys, g->n_tensors);
    return need(r, least, "the smallest list of them");
}

/* Everything after the header. Fills the tables where they are there. */
static int32_t walk(const gguf *g, struct reader *r)
{
    for (uint64_t i = 0; i < g->n_keys; i++) {
        gguf_key k = {0};
        if (read_key(r, i, &k)) return JV_BAD;
        if (g->keys) g->keys[i] = k;
    }
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        gguf_tensor t = {0};
        uint64_t offset;
        if (read_tensor(r, i, &t, &offset)) return JV_BAD;
        if (!g->tensors) continue;
        t.data = g->base + g->data_at + offset;
        g->tensors[i] = t;
    }
    return JV_OK;
}

/* That the data of all tensors lie within the file. */
static int32_t check_data(gguf *g, const struct reader *r)
{
    if (!r->data_bytes) return JV_OK;
    g->data_at = (r->at + r->alignment - 1) / r->alignment * r->alignment;
    uint64_t end = g->data_at + r->data_bytes;
    if (end <= g->size) return JV_OK;
    return jv_fail(r->err, JV_BAD, "%s ends at byte %" PRIu64 ", the file at %" PRIu64 " (bytes missing: %" PRIu64 ")",
        r->last_tensor, end, g->size, end - g->size);
}

int32_t gguf_read(gguf *g, jv_err *err)
{
    struct reader r = {.g = g, .err = err, .alignment = DEFAULT_ALIGNMENT};
    if (!g->keys && read_header(g, &r)) return JV_BAD;
    r.at = HEADER_BYTES;
    if (walk(g, &r)) return JV_BAD;
    return check_data(g, &r);
}
