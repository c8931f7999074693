/*
 * net.h: the transformers that model files hold, written once for all families (net.c lists them): it names tensors and
 * orders operations; what computes is a backend (backend.h).
 *
 * Life: net_open checks all of the file and asks the backend only what it can; net_memory says what net_start will
 * take; then net_forward and net_logits, from one thread at a time.
 */
#ifndef NET_H
#define NET_H

#include "backend.h"
#include "gguf.h"

#define NET_MAX_LAYERS 1024
#define NET_MAX_WIDTH (1u << 20) /* of anything a token is turned into, the vocabulary apart */
#define NET_MAX_VOCABULARY (1u << 24)

typedef struct net_shape {
    const char *family; /* "llama", "qwen2", "gemma3" */
    uint32_t layers, width, heads, kv_heads, head_dim, ff, vocabulary;
    uint32_t context; /* tokens the model was made for */
} net_shape;

/* Bytes; a sum that does not fit is UINT64_MAX. */
typedef struct net_need {
    uint64_t mapped;  /* weights the backend reads where they lie in the file */
    uint64_t copied;  /* what the backend takes for weights beside that */
    uint64_t scratch; /* activations */
} net_need;

typedef struct net net;

/* JV_OK and *out; BAD: an architecture or feature not known, a key or tensor that is missing or does not fit, a type
 * the backend cannot use; FATAL: no memory. The gguf must outlive it. */
int32_t net_open(const gguf *g, const bk_api *bk, void *bk_self, net **out, jv_err *err);
void net_free(net *m); /* null is fine; what net_start took goes back to the backend */

const net_shape *net_shape_of(const net *m);
uint64_t net_parameters(const net *m);
/* "Q4_1 210, F32 61, Q8_0 1": types of the tensors in use, most frequent first. */
void net_types(const net *m, char *to, size_t size);
/* How many tensors of the file are not used, and the first one's name. */
uint64_t net_unused(const net *m, jv_str *first);

/* A pool of `blocks` blocks of BK_KV_BLOCK tokens, of type BK_F16, BK_Q8_0 or BK_F32. */
bk_kv_shape net_cache(const net *m, uint32_t type, uint32_t blocks);
/* What batches of up to `batch` tokens take; the cache is apart. */
net_need net_memory(const net *m, uint32_t batch);
/* Uploads the weights and makes the activations. `stop` as below. */
typedef struct net_stop net_stop;
int32_t net_start(net *m, uint32_t batch, const net_stop *stop, jv_err *err);

/* Somebody who may lose interest; `asked` may be null. */
struct net_stop {
    int32_t (*asked)(void *user); /* nonzero: stop */
    void *user;
};

/* Runs tokens ids[0..batch->n) through all layers; they are in the cache then, and each has a row for net_logits until
 * the next call. `stop` is asked before each layer, since many tokens of a large model take long: JV_CANCELLED, and
 * what the cache holds at these positions is undefined. */
int32_t net_forward(net *m, const int32_t *ids, const bk_batch *batch, const net_stop *stop, jv_err *err);
/* JV_CANCELLED with err once it is asked for, else JV_OK. */
int32_t net_stopped(const net_stop *stop, jv_err *err);
/* Logits (n, vocabulary) of rows index[0..n) of the last net_forward. */
int32_t net_logits(net *m, const int32_t *index, uint32_t n, float *to, jv_err *err);

/* What benchmarks count. Weights that every token passes through, the head last; answers how many, and writes up to
 * `room` of them. After net_start. */
uint32_t net_weights(const net *m, const bk_tensor **to, uint32_t room);
/* Multiply-and-adds with weights that a token costs without the head, and those of a row of logits. */
void net_products(const net *m, uint64_t *token, uint64_t *logits);

#endif
