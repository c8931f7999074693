/*
 * engine.h: a model file made ready to answer: network, tokenizer, template, the cache, and the scheduler that runs
 * them for all who want something. Life: engine_open reads and checks the file; engine_fit settles sizes; engine_start
 * takes the memory; then engine_generate, engine_score and engine_tokenize from any thread; engine_close from any
 * state.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "bench.h"
#include "chat.h"
#include "llm.h"
#include "net.h"
#include "reply.h"
#include "sample.h"
#include "scheduler.h"

typedef struct engine {
    const bk_api *bk;
    void *bk_self;
    gguf *g;
    net *net;
    tokenizer *tok;
    chat *chat;
    reply_tags tags;
    uint32_t context;   /* tokens of a sequence */
    uint32_t chunk;     /* tokens of prompts in a step */
    uint32_t sequences; /* that run at once */
    uint32_t kv_type;   /* BK_F16, BK_Q8_0, BK_F32 */
    uint32_t blocks;    /* of the cache */
    bk_kv *kv;
    sample_room *room; /* the scheduler's thread's */
    sched *sched;
    const gguf_tensor *unsound; /* the scheduler's thread's: null, or what engine_blame has found */
    bool looked;                /* it has */
} engine;

typedef struct engine_size {
    uint32_t context; /* 0: what the model was made for, at most 4096 */
    uint32_t chunk, sequences, kv_type;
    uint64_t memory; /* most bytes of all together; the cache takes what the rest leaves. 0: what the machine has, and a
                        cache of at most four contexts, or `sequences` if these are fewer, and of at least 512
                        tokens, or a context if that is less, for each of `sequences` */
} engine_size;

/* Bytes; a sum that does not fit is UINT64_MAX. */
typedef struct engine_need {
    uint64_t mapped, copied; /* weights: used where they lie in the file, and copied */
    uint64_t cache;          /* keys and values */
    uint64_t scratch;        /* activations, logits, and what the scheduler keeps */
    uint64_t total;
} engine_need;

const char *kv_name(uint32_t type); /* "f16" */

int32_t engine_open(engine *e, const char *path, const bk_api *bk, void *bk_self, jv_err *err);
/* JV_OK, or BAD: not even a cache of one context fits the memory, or the backend cannot keep such heads so. */
int32_t engine_fit(engine *e, const engine_size *size, jv_err *err);
engine_need engine_memory(const engine *e);
/* "weights 93.8 MiB mapped and 0.0 MiB copied, KV ..., scratch ...: 200.0 MiB in all" */
void engine_print_need(const engine_need *n, char *to, size_t size);
/* `stop` as in net_start. */
int32_t engine_start(engine *e, const net_stop *stop, jv_err *err);
void engine_close(engine *e);

/* llm.h */
int32_t engine_generate(engine *e, const llm_request *req, llm_answer *answer, jv_err *err);
void engine_release_answer(llm_answer *answer);
int32_t engine_score(engine *e, const llm_score_request *req, llm_score_total *total, jv_err *err);
int32_t engine_tokenize(engine *e, jv_str text, token_list *out, jv_err *err);
/* bench.h */
int32_t engine_bench(engine *e, const llm_bench_work *work, llm_bench_result *result, jv_err *err);

/* In the scheduler's thread, where logits are of no use: `rc`, and err names the tensor of the file that holds no finite
 * numbers, if one does. */
int32_t engine_blame(engine *e, int32_t rc, jv_err *err);

/* Between these two, nobody else uses the network: the caller may, from this thread. */
void engine_alone(engine *e);
void engine_together(engine *e);

#endif
