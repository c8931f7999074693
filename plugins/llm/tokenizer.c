/*
 * tokenizer.c: from a file's vocabulary to the ids of a text. Special tokens are cut out of it (special.c). What is
 * between them is joined by the scores of SentencePiece (spm.c); or, for byte-level BPE, it becomes valid UTF-8, is cut
 * into words (presplit.c), and each word is merged (bpe.c).
 */
#include "tokenizer.h"

#include "bpe.h"
#include "presplit.h"
#include "special.h"
#include "spm.h"
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

struct tokenizer {
    vocab v;
    vocab_kind kind;
    bpe merges;      /* of VOCAB_BYTES */
    presplit *words; /* of VOCAB_BYTES */
    spm scores;      /* of VOCAB_SPACES */
    special specials;
    int32_t bos, eos;
    bool adds_bos;
};

/* ---- from the file ---- */

static int32_t read_kind(const gguf *g, vocab_kind *kind, jv_err *err)
{
    jv_str model = {0};
    int32_t rc = gguf_get_string(g, "tokenizer.ggml.model", &model, err);
    if (rc < 0) return rc;
    if (rc > 0) return jv_fail(err, JV_BAD, "the file has no tokenizer.ggml.model");
    *kind = model.n == 4 && memcmp(model.p, "gpt2", 4) == 0 ? VOCAB_BYTES : VOCAB_SPACES;
    if (*kind == VOCAB_BYTES || (model.n == 5 && memcmp(model.p, "llama", 5) == 0)) return JV_OK;
    char shown[33];
    size_t n = model.n < sizeof shown ? model.n : sizeof shown - 1;
    for (size_t i = 0; i < n; i++) shown[i] = model.p[i] >= 0x20 && model.p[i] < 0x7F ? model.p[i] : '?';
    shown[n] = 0;
    return jv_fail(err, JV_BAD,
        "tokenizer.ggml.model is \"%s\"; known are gpt2 (byte-level BPE) and llama (SentencePiece)", shown);
}

/* -1 where the key is absent. */
static int32_t get_id(const tokenizer *t, const gguf *g, const char *key, int32_t *id, jv_err *err)
{
    uint64_t value;
    *id = -1;
    int32_t rc = gguf_get_u64(g, key, &value, err);
    if (rc != JV_OK) return rc < 0 ? rc : JV_OK;
    if (value >= t->v.n)
        return jv_fail(err, JV_BAD, "%s is %llu, the file has %u tokens", key, (unsigned long long)value, t->v.n);
    *id = (int32_t)value;
    return JV_OK;
}

static int32_t load_ids(tokenizer *t, const gguf *g, jv_err *err)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id", "tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
        "tokenizer.ggml.fim_sep_token_id"};
    int32_t rc = get_id(t, g, "tokenizer.ggml.bos_token_id", &t->bos, err);
    for (size_t i = 0; i < sizeof ends / sizeof *ends && rc >= 0; i++) {
        int32_t id;
        rc = get_id(t, g, ends[i], &id, err);
        if (rc >= 0 && id >= 0) t->v.ends[id] = true;
    }
    if (rc >= 0) rc = get_id(t, g, "tokenizer.ggml.eos_token_id", &t->eos, err);
    if (rc < 0) return rc;
    rc = gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &t->adds_bos, err);
    if (rc < 0) return rc;
    if (rc == JV_OK && t->adds_bos && t->bos < 0)
        return jv_fail(err, JV_BAD,
            "tokenizer.ggml.add_bos_token is true, but the file has no tokenizer.ggml.bos_token_id");
    if (rc > 0) t->adds_bos = (t->kind == VOCAB_SPACES || presplit_adds_bos(t->words)) && t->bos >= 0;
    return JV_OK;
}

static int32_t load_bpe(tokenizer *t, const gguf *g, jv_err *err)
{
    jv_str pre = {"default", 7};
    int32_t rc = gguf_get_string(g, "tokenizer.ggml.pre", &pre, err);
    if (rc >= 0) rc = presplit_new(pre, &t->words, err);
    if (rc >= 0) rc = vocab_load(&t->v, g, VOCAB_BYTES, err);
    return rc >= 0 ? bpe_load(&t->merges, &t->v, g, err) : rc;
}

static int32_t load_spm(tokenizer *t, const gguf *g, jv_err *err)
{
    int32_t rc = vocab_load(&t->v, g, VOCAB_SPACES, err);
    return rc >= 0 ? spm_load(&t->scores, &t->v, g, err) : rc;
}

static int32_t load(tokenizer *t, const gguf *g, jv_err *err)
{
    int32_t rc = read_kind(g, &t->kind, err);
    if (rc >= 0) rc = t->kind == VOCAB_BYTES ? load_bpe(t, g, err) : load_spm(t, g, err);
    if (rc >= 0) rc = load_ids(t, g, err);
    if (rc >= 0) rc = special_load(&t->specials, &t->v, err);
    return rc;
}

int32_t tokenizer_new(const gguf *g, tokenizer **out, jv_err *err)
{
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) return jv_fail(err, JV_FATAL, "no memory for the tokenizer");
    int32_t rc = load(t, g, err);
    if (rc < 0) {
        tokenizer_free(t);
        return rc;
    }
    *out = t;
    return JV_OK;
}

void tokenizer_free(tokenizer *t)
{
    if (!t) return;
    vocab_free(&t->v);
    bpe_free(&t->merges);
    presplit_free(t->words);
    spm_free(&t->scores);
    special_free(&t->specials);
    free(t);
}

/* ---- what it knows ---- */

uint32_t tokenizer_size(const tokenizer *t)
{
    return t->v.n;
}

int32_t tokenizer_bos(const tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const tokenizer *t)
{
    return t->eos;
}

bool tokenizer_adds_bos(const tokenizer *t)
{
    return t->adds_bos;
}

bool tokenizer_ends_turn(const tokenizer *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->v.n && t->v.ends[id];
}

jv_str tokenizer_piece(const tokenizer *t, int32_t id)
{
    return id >= 0 && (uint32_t)id < t->v.n ? t->v.piece[id] : (jv_str){0};
}

int32_t tokenizer_find(const tokenizer *t, jv_str text)
{
    return vocab_find(&t->v, text, (jv_str){0});
}

/* ---- a list of ids ---- */

int32_t token_list_push(token_list *l, int32_t id, jv_err *err)
{
    if (l->n == l->cap) {
        size_t cap = l->cap + l->cap / 2 + 64;
        int32_t *ids = cap <= SIZE_MAX / sizeof *ids ? realloc(l->ids, cap * sizeof *ids) : NULL;
        if (!ids) return jv_fail(err, JV_FATAL, "no memory for %zu tokens", cap);
        l->ids = ids;
        l->cap = cap;
    }
    l->ids[l->n++] = id;
    return JV_OK;
}

/* ---- valid UTF-8 ---- */

/* The code point at p and how many of the n bytes it takes; overlong forms and surrogates pass. 0: none begins here. */
static size_t read_utf8(const uint8_t *p, size_t n, uint32_t *cp)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC0 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF8 ? 4 : 0;
    if (len == 0 || len > n) return 0;
    *cp = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        *cp = *cp << 6 | (p[i] & 0x3F);
    }
    return *cp <= 0x10FFFF ? len : 0;
}

static size_t write_utf8(uint32_t cp, char *out)
{
    size_t len = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    if (!out) return len;
    for (size_t i = len; i-- > 1; cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(len == 1 ? cp : (0xF00u >> len) | cp);
    return len;
}

/* Writes `text` with each code point in its one right form and returns its length; surrogates are written as
 * `surrogate` says, 0: as they are. `out` null: only counts. */
static size_t normalise(jv_str text, uint32_t surrogate, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n;) {
        uint32_t cp = 0;
        size_t len = read_utf8((const uint8_t *)text.p + i, text.n - i, &cp);
        if (len == 0) {
            cp = 0xFFFD;
            len = 1;
        } else if (surrogate && cp >= 0xD800 && cp <= 0xDFFF) {
            cp = surrogate;
        }
        n += write_utf8(cp, out ? out + n : NULL);
        i += len;
    }
    return n;
}

/* ---- text between special tokens ---- */

typedef struct encoder {
    const tokenizer *t;
    const char *bytes; /* the fragment */
    char *letters;     /* [longest text + 2] room for a word in the byte alphabet */
    merge_work work;
    token_list *out;
} encoder;

/* The token that is this word, or -1. */
static int32_t find_word(const encoder *e, const char *word, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < n && used <= e->t->v.longest; i++)
        used += write_utf8(e->t->v.letter[(uint8_t)word[i]], e->letters + used);
    int32_t id = vocab_find(&e->t->v, (jv_str){e->letters, used}, (jv_str){0});
    return id >= 0 && e->t->v.type[id] == TOKEN_NORMAL ? id : -1;
}

static int32_t encode_word(void *user, size_t at, size_t n, jv_err *err)
{
    encoder *e = user;
    const char *word = e->bytes + at;
    if (presplit_whole_words(e->t->words)) {
        int32_t id = find_word(e, word, n);
        if (id >= 0) return token_list_push(e->out, id, err);
    }
    return bpe_word(&e->t->merges, word, n, &e->work, e->out, err);
}

/* PCRE2 takes no surrogates; it is shown a private-use character of the same length and of as little meaning
 * instead. */
static int32_t encode_fragment(encoder *e, jv_str text, jv_err *err)
{
    if (text.n == 0) return JV_OK;
    if (e->t->kind == VOCAB_SPACES) return spm_text(&e->t->scores, text, &e->work, e->out, err);
    size_t n = normalise(text, 0, NULL);
    if (n > INT32_MAX) return jv_fail(err, JV_BAD, "%zu bytes of text, over %d", n, INT32_MAX);
    char *bytes = malloc(2 * n + 1);
    if (!bytes) return jv_fail(err, JV_FATAL, "no memory for %zu bytes of text", 2 * n);
    normalise(text, 0, bytes);
    normalise(text, 0xE000, bytes + n);
    e->bytes = bytes;
    int32_t rc = presplit_run(e->t->words, (jv_str){bytes + n, n}, encode_word, e, err);
    free(bytes);
    return rc;
}

static int32_t encode_all(encoder *e, jv_str text, const special_list *l, jv_err *err)
{
    size_t done = 0;
    int32_t rc = JV_OK;
    for (size_t i = 0; i < l->n && rc >= 0; i++) {
        rc = encode_fragment(e, (jv_str){text.p + done, l->v[i].at - done}, err);
        if (rc >= 0) rc = token_list_push(e->out, l->v[i].id, err);
        done = l->v[i].at + l->v[i].n;
    }
    return rc < 0 ? rc : encode_fragment(e, (jv_str){text.p + done, text.n - done}, err);
}

int32_t tokenizer_encode(const tokenizer *t, jv_str text, const uint8_t *trusted, token_list *out, jv_err *err)
{
    if (text.n == 0) return JV_OK;
    if (text.n > INT32_MAX) return jv_fail(err, JV_BAD, "%zu bytes of text, over %d", text.n, INT32_MAX);
    special_list found = {0};
    encoder e = {.t = t, .out = out, .letters = malloc(t->v.longest + 2)};
    int32_t rc = JV_FATAL;
    if (!e.letters)
        jv_fail(err, JV_FATAL, "no memory for a word of %zu bytes", t->v.longest);
    else
        rc = special_find(&t->specials, text, trusted, &found, err);
    if (rc >= 0) rc = encode_all(&e, text, &found, err);
    merge_work_free(&e.work);
    free(e.letters);
    free(found.v);
    return rc;
}
