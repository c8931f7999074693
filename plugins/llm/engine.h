/*
 * engine.h: a model file made ready to answer: network, tokenizer, template, one sequence's cache, and the queue of
 * those who want it. Life: engine_open reads and checks the file; engine_fit settles sizes; engine_start takes the
 * memory; then engine_generate, engine_score and engine_tokenize from any thread; engine_close from any state.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "chat.h"
#include "llama.h"
#include "llm.h"
#include "turn.h"

typedef struct engine {
    const bk_api *bk;
    void *bk_self;
    gguf *g;
    llama *net;
    tokenizer *tok;
    chat *chat;
    uint32_t context; /* tokens the cache holds */
    uint32_t batch;   /* tokens of a prompt that go through the network at once */
    uint32_t kv_type; /* BK_F16, BK_F32 */
    bool started;
    turn turn; /* whose it is may touch what follows, and run the network */
    bk_kv *kv;
    float *logits;  /* (LLAMA_LOGIT_ROWS, vocabulary) */
    double *weight; /* (vocabulary): sampler */
    int32_t *heap;  /* (vocabulary): sampler, ranking */
} engine;

int32_t engine_open(engine *e, const char *path, const bk_api *bk, void *bk_self, jv_err *err);
/* context 0: what the model was made for, at most 4096. */
void engine_fit(engine *e, uint32_t context, uint32_t batch, uint32_t kv_type);
llama_need engine_memory(const engine *e);
int32_t engine_start(engine *e, jv_err *err);
void engine_close(engine *e);

/* llm.h */
int32_t engine_generate(engine *e, const llm_request *req, llm_answer *answer, jv_err *err);
int32_t engine_score(engine *e, const llm_score_request *req, llm_score_total *total, jv_err *err);
int32_t engine_tokenize(engine *e, jv_str text, token_list *out, jv_err *err);

/* For those who have the turn: n tokens from position pos on, n <= batch. `stop` as in llama_forward. */
int32_t engine_forward(engine *e, const int32_t *ids, uint32_t pos, uint32_t n, const llama_stop *stop, jv_err *err);
/* Seconds of a clock that only goes forward. */
double engine_clock(void);

#endif
