/*
 * tokenizer_build.h: small vocabularies, right ones and broken ones, written into memory as GGUF files; for tests.
 *
 * Every vocabulary begins with the 256 bytes, so that the id of a byte is its value; what a test adds is numbered from
 * 256.
 */
#ifndef TOKENIZER_BUILD_H
#define TOKENIZER_BUILD_H

#include "tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_KEYS 16

typedef struct text_and_type {
    const char *text;
    int32_t type; /* 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte */
    float score;  /* of SentencePiece */
} text_and_type;

typedef struct number_key {
    const char *key;
    uint32_t type; /* GGUF_U32 or GGUF_BOOL */
    uint32_t value;
} number_key;

/* All lists end with a null text. Absent keys: see the lines. */
typedef struct vocab_spec {
    const char *model; /* null: gpt2; "": no such key */
    const char *pre;   /* null: no such key */
    const text_and_type *added;
    const char *const *merges; /* null: an empty list */
    number_key keys[MAX_KEYS];
    uint64_t n_types;        /* how many types to write; 0: as many as tokens */
    bool no_bytes;           /* without the 256 */
    bool no_merges, no_list; /* without these keys */
    int32_t without_byte;    /* > 0: this byte's token has another text */
    bool spm;                /* SentencePiece: model llama, the 256 as <0x00>..<0xFF>, scores, no merges */
    bool no_scores;          /* without that key */
    uint64_t n_scores;       /* how many to write; 0: as many as tokens */
} vocab_spec;

typedef struct bytes {
    uint8_t *p; /* aligned to 64 */
    size_t n, cap;
} bytes;

static inline void add(bytes *b, const void *p, size_t n)
{
    if (n > b->cap - b->n) {
        void *more = NULL;
        size_t cap = 2 * (b->cap + n) + 4096;
        assert_int_equal(posix_memalign(&more, 64, cap), 0);
        if (b->n) memcpy(more, b->p, b->n);
        free(b->p);
        b->p = more;
        b->cap = cap;
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void add_u32(bytes *b, uint32_t v)
{
    add(b, &v, sizeof v);
}

static inline void add_u64(bytes *b, uint64_t v)
{
    add(b, &v, sizeof v);
}

static inline void add_text(bytes *b, const char *s)
{
    add_u64(b, strlen(s));
    add(b, s, strlen(s));
}

static inline void add_array(bytes *b, const char *key, uint32_t type, uint64_t n)
{
    add_text(b, key);
    add_u32(b, GGUF_ARRAY);
    add_u32(b, type);
    add_u64(b, n);
}

/* The text of a one-byte token. */
static inline void byte_text(int byte, char text[8])
{
    int c = byte, next = 0x100;
    for (int b = 0; b <= byte; b++) {
        bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        if (!printable) c = b == byte ? next : c, next++;
    }
    text[0] = (char)(c < 0x80 ? c : 0xC0 | c >> 6);
    text[1] = (char)(c < 0x80 ? 0 : 0x80 | (c & 0x3F));
    text[2] = 0;
}

static inline uint64_t count_added(const vocab_spec *s)
{
    uint64_t n = 0;
    while (s->added && s->added[n].text) n++;
    return n;
}

static inline uint32_t byte_type(const vocab_spec *s, uint64_t i)
{
    return s->spm && i < 256 && !(s->without_byte && (int)i == s->without_byte) ? 6 : 1;
}

static inline void add_tokens(bytes *b, const vocab_spec *s)
{
    uint64_t n_bytes = s->no_bytes ? 0 : 256, n_added = count_added(s),
             n_types = s->n_types ? s->n_types : n_bytes + n_added;
    add_array(b, "tokenizer.ggml.tokens", GGUF_STRING, n_bytes + n_added);
    for (int i = 0; i < (int)n_bytes; i++) {
        char text[8];
        byte_text(i, text);
        if (s->spm) snprintf(text, sizeof text, "<0x%02X>", (unsigned)i & 0xFF);
        add_text(b, s->without_byte && i == s->without_byte ? "[no byte]" : text);
    }
    for (uint64_t i = 0; i < n_added; i++) add_text(b, s->added[i].text);
    add_array(b, "tokenizer.ggml.token_type", GGUF_I32, n_types);
    for (uint64_t i = 0; i < n_types; i++)
        add_u32(b, i >= n_bytes && i < n_bytes + n_added ? (uint32_t)s->added[i - n_bytes].type : byte_type(s, i));
}

static inline void add_scores(bytes *b, const vocab_spec *s)
{
    uint64_t n_bytes = s->no_bytes ? 0 : 256, n_added = count_added(s), n = s->n_scores ? s->n_scores : n_bytes + n_added;
    add_array(b, "tokenizer.ggml.scores", GGUF_F32, n);
    for (uint64_t i = 0; i < n; i++) {
        float score = i >= n_bytes && i < n_bytes + n_added ? s->added[i - n_bytes].score : 0;
        add(b, &score, sizeof score);
    }
}

static inline void add_merges(bytes *b, const vocab_spec *s)
{
    uint64_t n = 0;
    while (s->merges && s->merges[n]) n++;
    add_array(b, "tokenizer.ggml.merges", GGUF_STRING, n);
    for (uint64_t i = 0; i < n; i++) add_text(b, s->merges[i]);
}

static inline void add_string_key(bytes *b, const char *key, const char *value)
{
    add_text(b, key);
    add_u32(b, GGUF_STRING);
    add_text(b, value);
}

static inline bytes build(const vocab_spec *s)
{
    bytes b = {0};
    bool model = !s->model || s->model[0];
    bool merges = !s->no_merges && !s->spm, scores = s->spm && !s->no_scores;
    uint64_t n_keys = 0;
    while (s->keys[n_keys].key) n_keys++;
    add(&b, "GGUF", 4);
    add_u32(&b, 3);
    add_u64(&b, 0);
    add_u64(&b, n_keys + model + (s->pre != NULL) + 2 * !s->no_list + merges + scores);
    if (model) add_string_key(&b, "tokenizer.ggml.model", s->model ? s->model : s->spm ? "llama" : "gpt2");
    if (s->pre) add_string_key(&b, "tokenizer.ggml.pre", s->pre);
    if (!s->no_list) add_tokens(&b, s);
    if (merges) add_merges(&b, s);
    if (scores) add_scores(&b, s);
    for (uint64_t i = 0; i < n_keys; i++) {
        add_text(&b, s->keys[i].key);
        add_u32(&b, s->keys[i].type);
        add(&b, &s->keys[i].value, s->keys[i].type == GGUF_BOOL ? 1 : 4);
    }
    return b;
}

/* One vocabulary in use at a time. */
static struct {
    bytes file;
    gguf *g;
    tokenizer *t;
    int32_t rc;
    jv_err err;
    token_list list;
} now;

static inline void drop(void)
{
    tokenizer_free(now.t);
    gguf_close(now.g);
    free(now.file.p);
    free(now.list.ids);
    memset(&now, 0, sizeof now);
}

/* The tokenizer of a vocabulary, or null; `now` has the rest. */
static inline tokenizer *load(const vocab_spec *s)
{
    drop();
    now.file = build(s);
    if (gguf_open_memory(now.file.p, now.file.n, &now.g, &now.err) != JV_OK) fail_msg("no file: %s", now.err.text);
    now.rc = tokenizer_new(now.g, &now.t, &now.err);
    assert_true(now.rc == JV_OK ? now.t != NULL : now.t == NULL);
    return now.t;
}

static inline void sound(const vocab_spec *s)
{
    if (!load(s)) fail_msg("refused: %s", now.err.text);
}

/* The ids of n bytes, none of them or all of them trusted. They lie in a block of their size, as a sanitizer wants
 * it. */
static inline const token_list *encode(const char *text, size_t n, bool trust)
{
    char *copy = malloc(n ? n : 1);
    uint8_t *trusted = malloc(n ? n : 1);
    assert_true(copy && trusted);
    memcpy(copy, text, n);
    memset(trusted, 1, n);
    now.list.n = now.list.lost = 0;
    int32_t rc = tokenizer_encode(now.t, (jv_str){copy, n}, trust ? trusted : NULL, &now.list, &now.err);
    if (rc != JV_OK) fail_msg("not encoded: %s", now.err.text);
    free(copy);
    free(trusted);
    return &now.list;
}

#define IDS(...)                                                                                                       \
    (const int32_t[])                                                                                                  \
    {                                                                                                                  \
        __VA_ARGS__, -1                                                                                                \
    }

/* `want` ends with -1. */
static inline void assert_ids(const token_list *got, const int32_t *want)
{
    size_t n = 0;
    while (want[n] >= 0) n++;
    for (size_t i = 0; i < got->n && i < n; i++)
        if (got->ids[i] != want[i]) fail_msg("token %zu is %d, not %d", i, got->ids[i], want[i]);
    assert_int_equal(got->n, n);
}

#endif
