/*
 * gguf.h: a model file in the GGUF format (version 2 and 3, little endian), mapped read-only. The format:
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * The file is hostile until proven: gguf_open walks all of it once, checks every count, length, offset and product
 * against the file's size and the limits below, and only then allocates its tables. What it hands out points into the
 * mapping, lives until gguf_close and needs no further check. Read-only once it is open: any thread.
 */
#ifndef GGUF_H
#define GGUF_H

#include "jevons.h"

#include <stdbool.h>

#define GGUF_MAX_KEYS 65536u
#define GGUF_MAX_TENSORS 65536u
#define GGUF_MAX_NAME 255u /* bytes of a key's or tensor's name */
#define GGUF_MAX_DIMS 4u

typedef struct gguf gguf;

/* Types of values, the numbers of the format. */
enum {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

typedef struct gguf_tensor {
    jv_str name;
    uint32_t type;              /* the format's number, any that gguf_type_name knows: 0 F32, 1 F16, 2 Q4_0, ... */
    uint32_t n_dims;            /* 1..4 */
    uint64_t ne[GGUF_MAX_DIMS]; /* ne[0] runs fastest (columns), ne[1] rows; 1 beyond n_dims; all >= 1 */
    const void *data;           /* a multiple of the alignment (32 to 65536) from the file's start; no other tensor's */
    uint64_t bytes;
} gguf_tensor;

/* An array of strings or numbers. */
typedef struct gguf_array {
    uint32_t type; /* of its items; no arrays of arrays */
    uint64_t n;
    const void *items; /* unaligned; for GGUF_STRING use gguf_array_string in ascending order */
    uint64_t bytes;    /* of all items as the file holds them */
} gguf_array;

/* Maps and checks the file. JV_OK and *out, or BAD (the file is at fault: err names it, the key or tensor and the
 * numbers) or FATAL (cannot be opened, no memory). Bytes of the file in a message are printable ASCII: all else is
 * escaped, and what is long is cut. */
int32_t gguf_open(const char *path, gguf **out, jv_err *err);
/* The same for bytes in memory, which must outlive it and be aligned to 64; for tests and fuzzing. */
int32_t gguf_open_memory(const void *data, size_t size, gguf **out, jv_err *err);
void gguf_close(gguf *g); /* null is fine */

uint64_t gguf_file_size(const gguf *g);
/* Whether tensors lie in a private read-only mapping of a file, of which pages may be let go with MADV_DONTNEED. */
bool gguf_mapped(const gguf *g);
/* A hint: all tensors will be read soon, each from its beginning to its end. */
void gguf_will_read(const gguf *g);
uint64_t gguf_tensor_count(const gguf *g);
const gguf_tensor *gguf_tensor_at(const gguf *g, uint64_t i);
/* The tensor of that name, or null. */
const gguf_tensor *gguf_find_tensor(const gguf *g, const char *name);

/* "F32", "Q4_K", ...; "unknown" for a number the format does not define. Valid for ever. */
const char *gguf_type_name(uint32_t type);
/* Bytes of n weights (a multiple of the block); false when the type is unknown, n is no multiple, or the product does
 * not fit. */
bool gguf_type_bytes(uint32_t type, uint64_t n, uint64_t *bytes);

/* Metadata by key. Each answers JV_OK, or 1 when the key is not there (*out untouched, err untouched), or BAD when its
 * type is another (err names key and both types). U64 takes any integer type whose value fits, F64 takes F32 too. */
int32_t gguf_get_u64(const gguf *g, const char *key, uint64_t *out, jv_err *err);
int32_t gguf_get_f64(const gguf *g, const char *key, double *out, jv_err *err);
int32_t gguf_get_bool(const gguf *g, const char *key, bool *out, jv_err *err);
int32_t gguf_get_string(const gguf *g, const char *key, jv_str *out, jv_err *err); /* any bytes, may hold NULs */
int32_t gguf_get_array(const gguf *g, const char *key, uint32_t type, gguf_array *out, jv_err *err);

/* Item i < n of an array. Strings: *at is a cursor, 0 for the first; each call gives the next item, {0} after the
 * last. */
jv_str gguf_array_string(const gguf_array *a, uint64_t *at);
int64_t gguf_array_i64(const gguf_array *a, uint64_t i); /* integer types */
double gguf_array_f64(const gguf_array *a, uint64_t i);  /* float types */

#endif
