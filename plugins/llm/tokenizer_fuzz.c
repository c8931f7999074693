/*
 * tokenizer_fuzz.c: any vocabulary and any text. The input is two bytes for the length of the text, the text, and a
 * model file: refused with one line of text, or it encodes the text, whatever of it is trusted, to ids that exist.
 */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const jv_err *err)
{
    if (!err->text[0] || err->text[strcspn(err->text, "\n\r\x1b")]) abort();
}

/* trust: of which runs of bytes; 0: none, 1: all, else every other run of that length. */
static void encode(const tokenizer *t, jv_str text, size_t trust)
{
    jv_err err;
    token_list l = {0};
    uint8_t *trusted = malloc(text.n ? text.n : 1);
    for (size_t i = 0; trusted && i < text.n; i++) trusted[i] = trust == 1 || i / (trust + !trust) % 2;
    if (trusted && tokenizer_encode(t, text, trust ? trusted : NULL, &l, &err) != JV_OK) abort();
    for (size_t i = 0; i < l.n; i++)
        if (l.ids[i] < 0 || (uint32_t)l.ids[i] >= tokenizer_size(t)) abort();
    /* three bytes for one that is no UTF-8, or for a space; and a space before each text between special tokens */
    if (l.n > 6 * text.n || l.lost > 6 * text.n) abort();
    free(l.ids);
    free(trusted);
}

static void use(const tokenizer *t, jv_str text)
{
    uint32_t n = tokenizer_size(t);
    volatile uint64_t sum = 0;
    for (int32_t id = -1; id <= (int64_t)n; id++) {
        jv_str piece = tokenizer_piece(t, id);
        for (size_t i = 0; i < piece.n; i++) sum += (uint8_t)piece.p[i];
        sum += tokenizer_ends_turn(t, id);
        if (piece.n && tokenizer_find(t, piece) >= (int64_t)n) abort();
    }
    (void)sum;
    if (tokenizer_bos(t) < -1 || tokenizer_bos(t) >= (int64_t)n || tokenizer_eos(t) >= (int64_t)n) abort();
    if (tokenizer_adds_bos(t) && tokenizer_bos(t) < 0) abort();
    for (size_t trust = 0; trust < 5; trust++) encode(t, text, trust);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t n = data[0] | (size_t)data[1] << 8;
    if (n > size - 2) n = size - 2;
    size_t rest = size - 2 - n;
    void *file = NULL;
    char *text = malloc(n ? n : 1);
    gguf *g = NULL;
    tokenizer *t = NULL;
    jv_err err = {0};
    if (text && posix_memalign(&file, 64, rest ? rest : 1) == 0) {
        memcpy(text, data + 2, n);
        memcpy(file, data + 2 + n, rest);
        if (gguf_open_memory(file, rest, &g, &err) == JV_OK && tokenizer_new(g, &t, &err) == JV_OK)
            use(t, (jv_str){text, n});
        else
            check_refusal(&err);
    }
    tokenizer_free(t);
    gguf_close(g);
    free(file);
    free(text);
    return 0;
}
