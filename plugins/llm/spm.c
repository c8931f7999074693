/*
 * spm.c: scores of tokens, and text joined by them.
 *
 * A text is cut into characters by their first bytes alone, as peers cut it: whatever follows a first byte of a
 * character of n bytes belongs to it, be it UTF-8 or not. What is no token in the end becomes tokens of bytes.
 */
#include "spm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPACE "\xE2\x96\x81" /* U+2581 */

/* A score as a number that is less the higher the score is: the bits of an f32 that is not below zero ascend with it,
 * those of one below zero descend. MERGE_NEVER would be a NaN. */
static uint32_t rank_of(float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 and 0 are one score */
    memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : 0x7FFFFFFFu - bits;
}

static int32_t load_scores(spm *s, const gguf *g, jv_err *err)
{
    gguf_array a;
    int32_t rc = gguf_get_array(g, "tokenizer.ggml.scores", GGUF_F32, &a, err);
    if (rc < 0) return rc;
    if (rc > 0) return jv_fail(err, JV_BAD, "the file has no tokenizer.ggml.scores");
    if (a.n != s->v->n)
        return jv_fail(err, JV_BAD, "tokenizer.ggml.scores has %llu items, not %u", (unsigned long long)a.n, s->v->n);
    s->rank = malloc(s->v->n * sizeof *s->rank);
    if (!s->rank) return jv_fail(err, JV_FATAL, "no memory for %u scores", s->v->n);
    for (uint32_t i = 0; i < s->v->n; i++) {
        double score = gguf_array_f64(&a, i);
        if (isnan(score)) return jv_fail(err, JV_BAD, "the score of token %u is no number", i);
        s->rank[i] = rank_of((float)score);
    }
    return JV_OK;
}

int32_t spm_load(spm *s, const vocab *v, const gguf *g, jv_err *err)
{
    s->v = v;
    s->space_before = true;
    if (v->longest > SPM_MAX_TEXT)
        return jv_fail(err, JV_BAD, "a token of %zu bytes, over %d", v->longest, SPM_MAX_TEXT);
    int32_t rc = gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &s->space_before, err);
    return rc < 0 ? rc : load_scores(s, g, err);
}

void spm_free(spm *s)
{
    free(s->rank);
}

/* ---- one text ---- */

typedef struct row {
    const spm *s;
    const char *text;
} row;

/* The token of a text, or -1. Only trusted text may hold control tokens, and the text "<0x0A>" is no byte. */
static int32_t find(const vocab *v, jv_str a, jv_str b)
{
    int32_t id = vocab_find(v, a, b);
    return id >= 0 && (vocab_is_control(v, id) || v->type[id] == TOKEN_BYTE) ? -1 : id;
}

/* Neighbours lie side by side in the text. */
static uint32_t join(const void *self, const merge_symbol *left, const merge_symbol *right, int32_t *made)
{
    const row *r = self;
    int32_t id = find(r->s->v, (jv_str){r->text + left->at, left->n}, (jv_str){r->text + right->at, right->n});
    if (id < 0) return MERGE_NEVER;
    *made = id;
    return r->s->rank[id];
}

/* Bytes of the character that begins with c. */
static uint32_t length_of(uint8_t c)
{
    return c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

/* Cuts n > 0 bytes into characters and returns their number; `w` null: only counts. */
static size_t cut(const row *r, size_t n, merge_work *w)
{
    size_t count = 0;
    for (size_t at = 0; at < n; count++) {
        size_t len = length_of((uint8_t)r->text[at]);
        if (len > n - at) len = n - at;
        if (w) {
            int32_t id = find(r->s->v, (jv_str){r->text + at, len}, (jv_str){0});
            merge_set(w, count, SIZE_MAX, (merge_symbol){.at = (uint32_t)at, .n = (uint32_t)len, .id = id});
        }
        at += len;
    }
    if (w) w->symbols[count - 1].next = MERGE_END;
    return count;
}

static int32_t push_bytes(const spm *s, const char *p, size_t n, token_list *out, jv_err *err)
{
    int32_t rc = JV_OK;
    for (size_t i = 0; i < n && rc >= 0; i++) {
        int32_t id = s->v->byte_token[(uint8_t)p[i]];
        if (id >= 0)
            rc = token_list_push(out, id, err);
        else
            out->lost++;
    }
    return rc;
}

/* The text with its spaces written as U+2581, behind one more where the vocabulary wants it. Returns its length; `to`
 * null: only counts. */
static size_t write_spaces(const spm *s, jv_str text, char *to)
{
    size_t n = 0;
    for (size_t i = s->space_before ? 0 : 1; i <= text.n; i++) {
        char c = i > 0 ? text.p[i - 1] : ' ';
        size_t len = c == ' ' ? 3 : 1;
        if (to) memcpy(to + n, c == ' ' ? SPACE : &c, len);
        n += len;
    }
    return n;
}

int32_t spm_text(const spm *s, jv_str text, merge_work *w, token_list *out, jv_err *err)
{
    if (text.n == 0) return JV_OK;
    size_t n = write_spaces(s, text, NULL);
    if (n > INT32_MAX) return jv_fail(err, JV_BAD, "%zu bytes of text, over %d", n, INT32_MAX);
    char *bytes = malloc(n);
    if (!bytes) return jv_fail(err, JV_FATAL, "no memory for %zu bytes of text", n);
    write_spaces(s, text, bytes);
    row r = {s, bytes};
    int32_t rc = merge_reserve(w, cut(&r, n, NULL), err);
    if (rc >= 0) merge_all(w, cut(&r, n, w), join, &r);
    for (uint32_t i = 0; rc >= 0 && i != MERGE_END; i = w->symbols[i].next) {
        const merge_symbol *m = &w->symbols[i];
        rc = m->id >= 0 ? token_list_push(out, m->id, err) : push_bytes(s, bytes + m->at, m->n, out, err);
    }
    free(bytes);
    return rc;
}
