/*
 * llama_start.c: what a program on llama.cpp takes from its start to 24 tokens of answer: load, read a short prompt,
 * make tokens, end. Built by peers.py against the library that llama-cpp-python brings, so that no interpreter counts.
 *
 *     llama_start MODEL THREADS PROMPT TOKENS
 */
#include <llama.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void silent(enum ggml_log_level level, const char *text, void *user) {}

static int die(const char *why)
{
    fprintf(stderr, "llama_start: %s\n", why);
    return 1;
}

static llama_token likeliest(const float *logits, int n)
{
    llama_token best = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

int main(int argc, char **argv)
{
    if (argc != 5) return die("usage: llama_start MODEL THREADS PROMPT TOKENS");
    llama_log_set(silent, NULL);
    llama_backend_init();
    struct llama_model *model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (!model) return die("the model cannot be loaded");
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    struct llama_context_params p = llama_context_default_params();
    p.n_ctx = 2048;
    p.n_threads = p.n_threads_batch = atoi(argv[2]);
    struct llama_context *ctx = llama_init_from_model(model, p);
    if (!ctx) return die("no context");
    llama_token ids[1024];
    int n = llama_tokenize(vocab, argv[3], (int)strlen(argv[3]), ids, 1024, true, false);
    if (n <= 0) return die("the prompt is too long");
    struct llama_batch batch = llama_batch_get_one(ids, n);
    for (int made = 0, tokens = atoi(argv[4]); made < tokens; made++) {
        if (llama_decode(ctx, batch) != 0) return die("llama_decode failed");
        ids[0] = likeliest(llama_get_logits_ith(ctx, -1), llama_vocab_n_tokens(vocab));
        char piece[256];
        int bytes = llama_token_to_piece(vocab, ids[0], piece, sizeof piece, 0, false);
        fwrite(piece, 1, bytes > 0 ? (size_t)bytes : 0, stdout);
        batch = llama_batch_get_one(ids, 1);
    }
    puts("");
    llama_free(ctx);
    llama_model_free(model);
    return 0;
}
