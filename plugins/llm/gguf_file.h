/* gguf_file.h: what gguf.c, gguf_read.c and gguf_meta.c share; not for users of gguf.h. */
#ifndef GGUF_FILE_H
#define GGUF_FILE_H

#include "gguf.h"

typedef struct gguf_key {
    jv_str name;
    uint32_t type;
    const unsigned char *value; /* in the file, unaligned: the number, or a string's length, which its bytes follow */
    gguf_array array;           /* of a GGUF_ARRAY */
} gguf_key;

struct gguf {
    const unsigned char *base;
    uint64_t size;
    bool mapped; /* by gguf_open */
    uint64_t n_keys, n_tensors;
    uint64_t data_at;            /* where the tensors' data begin in the file */
    gguf_key *keys;              /* by name */
    gguf_tensor *tensors;        /* as in the file */
    const gguf_tensor **by_name; /* the same */
};

/* A string as the file holds it; unaligned. */
static inline jv_str gguf_string_at(const unsigned char *p)
{
    uint64_t n;
    __builtin_memcpy(&n, p, sizeof n);
    return (jv_str){(const char *)p + sizeof n, n};
}

/* Walks over the file and checks it. Without tables it stores nothing but the counts; with tables, made for these
 * counts, it fills them. */
int32_t gguf_read(gguf *g, jv_err *err);

#define GGUF_ABOUT 80 /* bytes */
/* "key 'NAME'", with what is not printable ASCII escaped and what is long cut: names are the file's, not ours. */
void gguf_describe(char out[static GGUF_ABOUT], const char *what, jv_str name);

/* As strcmp, of bytes with lengths. */
int gguf_compare(jv_str a, jv_str b);
/* "u8", "string", ...; "unknown" beyond the format's numbers. */
const char *gguf_value_name(uint32_t type);
/* Bytes of one value; 0 for strings, arrays and unknown types. */
uint32_t gguf_value_size(uint32_t type);
/* Weights in a block and bytes of it; false when the type is unknown. */
bool gguf_type_block(uint32_t type, uint32_t *weights, uint32_t *bytes);

#endif
