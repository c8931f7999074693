/*
 * llama.h: the transformer that files of architecture `llama` hold (Touvron et al., arXiv:2302.13971): root mean
 * square norm, rotary embedding, grouped query attention (Ainslie et al., arXiv:2305.13245), gated feed-forward
 * (Shazeer, arXiv:2002.05202). It names tensors and orders operations; what computes is a backend (backend.h).
 *
 * Life: llama_open checks all of the file and asks the backend only what it can; llama_memory says what llama_start
 * will take; then llama_forward and llama_logits, from one thread at a time.
 */
#ifndef LLAMA_H
#define LLAMA_H

#include "backend.h"
#include "gguf.h"

#define LLAMA_MAX_LAYERS 1024
#define LLAMA_MAX_WIDTH (1u << 20) /* of anything a token is turned into, the vocabulary apart */
#define LLAMA_MAX_VOCABULARY (1u << 24)
#define LLAMA_LOGIT_ROWS 16 /* rows llama_logits takes at a time */

typedef struct llama_shape {
    uint32_t layers, width, heads, kv_heads, head_dim, ff, vocabulary;
    uint32_t rope_dims;
    uint32_t context; /* tokens the model was made for */
    double rope_base;
    float eps;
} llama_shape;

/* Bytes; a sum that does not fit is UINT64_MAX. */
typedef struct llama_need {
    uint64_t mapped;  /* weights where they lie in the file */
    uint64_t copied;  /* what the backend takes for weights beside that */
    uint64_t cache;   /* one sequence's keys and values */
    uint64_t scratch; /* activations */
    uint64_t total;
} llama_need;

typedef struct llama llama;

/* JV_OK and *out; BAD: an architecture or feature not known, a key or tensor that is missing or does not fit, a type
 * the backend cannot use; FATAL: no memory. The gguf must outlive it. */
int32_t llama_open(const gguf *g, const bk_api *bk, void *bk_self, llama **out, jv_err *err);
void llama_free(llama *l); /* null is fine; what llama_start took goes back to the backend */

const llama_shape *llama_shape_of(const llama *l);
uint64_t llama_parameters(const llama *l);
/* "Q4_1 210, F32 61, Q8_0 1": types of the tensors in use, most frequent first. */
void llama_types(const llama *l, char *to, size_t size);
/* How many tensors of the file are not used, and the first one's name. */
uint64_t llama_unused(const llama *l, jv_str *first);

/* A sequence's cache of `capacity` tokens, its elements of type BK_F16 or BK_F32. */
bk_kv_shape llama_cache(const llama *l, uint32_t type, uint32_t capacity);
/* What batches of up to `batch` tokens and one sequence of that shape take. */
llama_need llama_memory(const llama *l, uint32_t batch, const bk_kv_shape *cache);
/* Uploads the weights and makes the activations. */
int32_t llama_start(llama *l, uint32_t batch, jv_err *err);

/* Somebody who may lose interest; `asked` may be null. */
typedef struct llama_stop {
    int32_t (*asked)(void *user); /* nonzero: stop */
    void *user;
} llama_stop;

/* Runs tokens ids[0..batch->n) through all layers; they are in the caches then, and each has a row for llama_logits
 * until the next call. `stop` is asked before each layer, since many tokens of a large model take long: JV_CANCELLED,
 * and what the caches hold at these positions is undefined. */
int32_t llama_forward(llama *l, const int32_t *ids, const bk_batch *batch, const llama_stop *stop, jv_err *err);
/* JV_CANCELLED with err once it is asked for, else JV_OK. */
int32_t llama_stopped(const llama_stop *stop, jv_err *err);
/* Logits (n, vocabulary) of rows index[0..n) of the last llama_forward, n <= LLAMA_LOGIT_ROWS. */
int32_t llama_logits(llama *l, const int32_t *index, uint32_t n, float *to, jv_err *err);

#endif
