/*
 * The token list: checked, indexed by text, and turned into bytes.
 *
 * VOCAB_BYTES: texts are written in GPT-2's byte alphabet: a byte that is printable in Latin-1 stands for itself, the
 * 68 others for U+0100 and up in order, so that a text never holds a space or a control character. A normal token whose
 * text has other characters is taken as it stands.
 *
 * VOCAB_SPACES: texts are text, with U+2581 for spaces; a token of type byte is written "<0x0A>".
 *
 * Costs are bounded by the file: tables are proportional to its counts, and a list of texts made to collide in the hash
 * is refused after MAX_PROBES steps (random texts at this load need under a hundred even at VOCAB_MAX).
 */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PROBES 1024
#define N_LETTERS 0x144 /* one past the last code point of the alphabet */

typedef struct vocab_slot {
    uint32_t hash;
    int32_t id; /* -1: free */
} vocab_slot;

/* Names by which tokens are known where a file does not say what they are for: those that end a turn or a text, and
 * others that only trusted text may hold. */
/* clang-format off */
static const char *const ending_names[] = {
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|calls|>", "<|flush|>",
    "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<end_of_utterance>", "</s>", "<eos>", "<turn|>", "<EOT>",
    "_<EOT>", "[EOT]", "[EOS]", "[e~[", "<｜end▁of▁sentence｜>", "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>",
    "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>"};
static const char *const other_names[] = {
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>",
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>",
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>"};
/* clang-format on */

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), continued over both parts. */
static uint32_t hash_text(jv_str a, jv_str b)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < a.n; i++) h = (h ^ (uint8_t)a.p[i]) * 16777619u;
    for (size_t i = 0; i < b.n; i++) h = (h ^ (uint8_t)b.p[i]) * 16777619u;
    return h;
}

static bool is_text(jv_str s, jv_str a, jv_str b)
{
    return s.n == a.n + b.n && memcmp(s.p, a.p, a.n) == 0 && (b.n == 0 || memcmp(s.p + a.n, b.p, b.n) == 0);
}

int32_t vocab_find(const vocab *v, jv_str a, jv_str b)
{
    if (a.n == 0 || a.n > v->longest || b.n > v->longest - a.n) return -1;
    uint32_t h = hash_text(a, b), mask = v->n_slots - 1;
    for (uint32_t i = h & mask; v->slots[i].id >= 0; i = (i + 1) & mask)
        if (v->slots[i].hash == h && is_text(v->text[v->slots[i].id], a, b)) return v->slots[i].id;
    return -1;
}

/* Empty texts stay outside the index: no text holds them. */
static int32_t index_text(vocab *v, int32_t id, jv_err *err)
{
    jv_str s = v->text[id], none = {0};
    if (s.n == 0) return JV_OK;
    uint32_t h = hash_text(s, none), mask = v->n_slots - 1, i = h & mask;
    for (int probes = 0; v->slots[i].id >= 0; i = (i + 1) & mask) {
        if (v->slots[i].hash == h && is_text(v->text[v->slots[i].id], s, none))
            return jv_fail(err, JV_BAD, "tokens %d and %d have the same text", v->slots[i].id, id);
        if (++probes == MAX_PROBES)
            return jv_fail(err, JV_BAD, "the hashes of over %d tokens collide; token %d is one", MAX_PROBES, id);
    }
    v->slots[i] = (vocab_slot){.hash = h, .id = id};
    return JV_OK;
}

static int32_t allocate(vocab *v, uint32_t n, jv_err *err)
{
    v->n = n;
    v->n_slots = 2;
    while (v->n_slots < 2 * n) v->n_slots *= 2;
    v->text = calloc(n, sizeof *v->text);
    v->piece = calloc(n, sizeof *v->piece);
    v->type = calloc(n, sizeof *v->type);
    v->ends = calloc(n, sizeof *v->ends);
    v->slots = malloc(v->n_slots * sizeof *v->slots);
    if (!v->text || !v->piece || !v->type || !v->ends || !v->slots)
        return jv_fail(err, JV_FATAL, "no memory for a vocabulary of %u tokens", n);
    memset(v->slots, 0xFF, v->n_slots * sizeof *v->slots);
    return JV_OK;
}

static int32_t load_texts(vocab *v, const gguf *g, jv_err *err)
{
    gguf_array a;
    int32_t rc = gguf_get_array(g, "tokenizer.ggml.tokens", GGUF_STRING, &a, err);
    if (rc < 0) return rc;
    if (rc > 0 || a.n == 0) return jv_fail(err, JV_BAD, "the file has no tokenizer.ggml.tokens");
    if (a.n > VOCAB_MAX) return jv_fail(err, JV_BAD, "%llu tokens, over %u", (unsigned long long)a.n, VOCAB_MAX);
    rc = allocate(v, (uint32_t)a.n, err);
    uint64_t at = 0;
    for (uint32_t i = 0; i < v->n && rc >= 0; i++) {
        v->text[i] = gguf_array_string(&a, &at);
        if (v->text[i].n > v->longest) v->longest = v->text[i].n;
        rc = index_text(v, (int32_t)i, err);
    }
    return rc;
}

static int32_t load_types(vocab *v, const gguf *g, jv_err *err)
{
    gguf_array a;
    int32_t rc = gguf_get_array(g, "tokenizer.ggml.token_type", GGUF_I32, &a, err);
    if (rc < 0) return rc;
    if (rc == JV_OK && a.n != v->n)
        return jv_fail(err, JV_BAD, "tokenizer.ggml.token_type has %llu items, not %u", (unsigned long long)a.n, v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        int64_t type = rc == JV_OK ? gguf_array_i64(&a, i) : TOKEN_NORMAL;
        if (type < TOKEN_UNDEFINED || type > TOKEN_BYTE)
            return jv_fail(err, JV_BAD, "token %u has type %lld, not 0..6", i, (long long)type);
        v->type[i] = (uint8_t)type;
    }
    return JV_OK;
}

static void apply_names(vocab *v, const char *const *names, size_t n, bool ends)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id = vocab_find(v, (jv_str){names[i], strlen(names[i])}, (jv_str){0});
        if (id < 0) continue;
        v->type[id] = TOKEN_CONTROL;
        v->ends[id] = ends;
    }
}

/* Fills `letter`, and `byte_of` with its inverse, -1 where a code point is outside the alphabet. */
static void make_alphabet(uint16_t letter[256], int16_t byte_of[N_LETTERS])
{
    uint16_t next = 0x100;
    for (int c = 0; c < N_LETTERS; c++) byte_of[c] = -1;
    for (int b = 0; b < 256; b++) {
        bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
        letter[b] = printable ? (uint16_t)b : next++;
        byte_of[letter[b]] = (int16_t)b;
    }
}

/* Writes the bytes `text` stands for and returns their number; -1 when it has a character outside the alphabet. */
static int64_t to_bytes(jv_str text, const int16_t byte_of[N_LETTERS], char *out)
{
    int64_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned c = (uint8_t)text.p[i];
        if (c >= 0x80) {
            if (c >> 5 != 6 || i + 1 == text.n || ((uint8_t)text.p[i + 1] & 0xC0) != 0x80) return -1;
            c = (c & 0x1F) << 6 | ((uint8_t)text.p[++i] & 0x3F);
        }
        if (c >= N_LETTERS || byte_of[c] < 0) return -1;
        out[n++] = (char)byte_of[c];
    }
    return n;
}

/* A text in GPT-2's alphabet, or as it stands. */
static jv_str bytes_piece(vocab *v, uint32_t id, const int16_t byte_of[N_LETTERS], char *to)
{
    int64_t n = to_bytes(v->text[id], byte_of, to);
    if (n == 1) v->byte_token[(uint8_t)*to] = (int32_t)id;
    return n < 0 ? v->text[id] : (jv_str){to, (size_t)n};
}

/* A text with U+2581 for spaces. */
static jv_str spaces_piece(const vocab *v, uint32_t id, char *to)
{
    jv_str s = v->text[id];
    size_t n = 0;
    for (size_t i = 0; i < s.n; n++) {
        bool space = s.n - i >= 3 && memcmp(s.p + i, "\xE2\x96\x81", 3) == 0;
        to[n] = space ? ' ' : s.p[i];
        i += space ? 3 : 1;
    }
    return (jv_str){to, n};
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "<0x0A>" */
static int32_t byte_piece(vocab *v, uint32_t id, char *to, jv_err *err)
{
    jv_str s = v->text[id];
    bool ok = s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && digit(s.p[3]) >= 0 && digit(s.p[4]) >= 0 && s.p[5] == '>';
    if (!ok) return jv_fail(err, JV_BAD, "token %u is to be a byte, but its text is not <0x00>..<0xFF>", id);
    *to = (char)(digit(s.p[3]) << 4 | digit(s.p[4]));
    v->byte_token[(uint8_t)*to] = (int32_t)id;
    v->piece[id] = (jv_str){to, 1};
    return JV_OK;
}

/* What each token adds to a text. A control token cannot stand for a byte: text that is not trusted must not reach
 * it. */
static int32_t make_pieces(vocab *v, vocab_kind kind, jv_err *err)
{
    int16_t byte_of[N_LETTERS];
    size_t total = 0;
    make_alphabet(v->letter, byte_of);
    memset(v->byte_token, 0xFF, sizeof v->byte_token);
    for (uint32_t i = 0; i < v->n; i++) total += v->text[i].n;
    v->bytes = malloc(total + 1);
    if (!v->bytes) return jv_fail(err, JV_FATAL, "no memory for the %zu bytes of %u tokens", total, v->n);
    char *end = v->bytes;
    int32_t rc = JV_OK;
    for (uint32_t i = 0; i < v->n && rc >= 0; i++) {
        if (v->type[i] == TOKEN_USER) v->piece[i] = v->text[i];
        if (v->type[i] != TOKEN_NORMAL && v->type[i] != TOKEN_BYTE) continue;
        if (kind == VOCAB_BYTES)
            v->piece[i] = bytes_piece(v, i, byte_of, end);
        else if (v->type[i] == TOKEN_NORMAL)
            v->piece[i] = spaces_piece(v, i, end);
        else
            rc = byte_piece(v, i, end, err);
        if (v->piece[i].p == end) end += v->piece[i].n;
    }
    return rc;
}

int32_t vocab_load(vocab *v, const gguf *g, vocab_kind kind, jv_err *err)
{
    int32_t rc = load_texts(v, g, err);
    if (rc >= 0) rc = load_types(v, g, err);
    if (rc < 0) return rc;
    apply_names(v, ending_names, sizeof ending_names / sizeof *ending_names, true);
    apply_names(v, other_names, sizeof other_names / sizeof *other_names, false);
    return make_pieces(v, kind, err);
}

void vocab_free(vocab *v)
{
    free(v->text);
    free(v->piece);
    free(v->type);
    free(v->ends);
    free(v->slots);
    free(v->bytes);
}
