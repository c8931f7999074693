/* gguf_build.h: writes GGUF files into memory byte by byte, right ones and broken ones, and opens them; for tests. */
#ifndef GGUF_BUILD_H
#define GGUF_BUILD_H

#include "gguf_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A number in the file that a hostile one may change. */
typedef struct gguf_field {
    size_t at;
    uint32_t width; /* bytes */
} gguf_field;

typedef struct gguf_build {
    unsigned char bytes[8192];
    size_t n;
    gguf_field fields[128];
    size_t n_fields;
} gguf_build;

static inline void put(gguf_build *b, const void *p, size_t n)
{
    if (n > sizeof b->bytes - b->n) abort();
    memcpy(b->bytes + b->n, p, n);
    b->n += n;
}

static inline void put_number(gguf_build *b, uint64_t v, uint32_t width)
{
    if (b->n_fields == sizeof b->fields / sizeof *b->fields) abort();
    b->fields[b->n_fields++] = (gguf_field){b->n, width};
    put(b, &v, width);
}

static inline void put_u32(gguf_build *b, uint32_t v)
{
    put_number(b, v, sizeof v);
}

static inline void put_u64(gguf_build *b, uint64_t v)
{
    put_number(b, v, sizeof v);
}

static inline void put_bytes(gguf_build *b, const char *p, size_t n)
{
    put_u64(b, n);
    put(b, p, n);
}

static inline void put_text(gguf_build *b, const char *s)
{
    put_bytes(b, s, strlen(s));
}

static inline void put_header(gguf_build *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    b->n = b->n_fields = 0;
    put(b, "GGUF", 4);
    put_u32(b, version);
    put_u64(b, n_tensors);
    put_u64(b, n_keys);
}

/* A key up to its value. */
static inline void put_key(gguf_build *b, const char *name, uint32_t type)
{
    put_text(b, name);
    put_u32(b, type);
}

/* A key whose value is a number of `width` bytes. */
static inline void put_key_number(gguf_build *b, const char *name, uint32_t type, uint64_t v)
{
    put_key(b, name, type);
    put(b, &v, gguf_value_size(type));
}

static inline void put_key_array(gguf_build *b, const char *name, uint32_t type, uint64_t n)
{
    put_key(b, name, GGUF_ARRAY);
    put_u32(b, type);
    put_u64(b, n);
}

static inline void put_tensor(gguf_build *b, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *ne,
    uint64_t offset)
{
    put_text(b, name);
    put_u32(b, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) put_u64(b, ne[i]);
    put_u32(b, type);
    put_u64(b, offset);
}

/* Zeros up to a multiple of the alignment, then n bytes that count up from 0. */
static inline void put_data(gguf_build *b, size_t alignment, size_t n)
{
    while (b->n % alignment) put(b, "", 1);
    for (size_t i = 0; i < n; i++) put(b, &(unsigned char){(unsigned char)i}, 1);
}

/* A file held in memory of just its size, so that a sanitizer sees what lies beyond. */
static struct {
    void *copy;
    gguf *g;
    int32_t rc;
    jv_err err;
} held;

static inline void drop(void)
{
    gguf_close(held.g);
    free(held.copy);
    memset(&held, 0, sizeof held);
}

static inline gguf *hold(const void *bytes, size_t n)
{
    drop();
    assert_int_equal(posix_memalign(&held.copy, 64, n ? n : 1), 0);
    memcpy(held.copy, bytes, n);
    held.rc = gguf_open_memory(held.copy, n, &held.g, &held.err);
    if (held.rc != JV_OK) assert_null(held.g);
    return held.g;
}

static inline gguf *sound(const gguf_build *b)
{
    if (!hold(b->bytes, b->n)) fail_msg("refused: %s", held.err.text);
    return held.g;
}

static inline void refused(const gguf_build *b, const char *why)
{
    if (hold(b->bytes, b->n)) fail_msg("opened, though: %s", why);
    assert_int_equal(held.rc, JV_BAD);
    assert_string_equal(held.err.text, why);
}

#endif
