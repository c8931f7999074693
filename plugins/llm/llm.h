/*
 * llm.h: the service a language model offers to other sections, "jv.model/1", by way of an option of type jv_ref:
 *
 *     const llm_api *m = g->model.api;
 *     int32_t rc = m->generate(g->model.self, &request, &answer, err);
 *
 * Every function may be called from any thread at once and blocks its caller until the work is done; the model decides
 * what runs when. Callbacks run on some thread while the caller waits: they must not block and must not call back in.
 * Texts in are borrowed for the length of the call. Structs begin with their size, set by the caller, and only grow
 * at the end.
 */
#ifndef LLM_H
#define LLM_H

#include "jevons.h"

#define LLM_SERVICE "jv.model/1"

#define LLM_TEMPLATE_CHAT 0 /* prompt (and system) go through the chat template of the file */
#define LLM_TEMPLATE_NONE 1 /* the prompt is the text to continue, as it is; special tokens in it are text */

#define LLM_FINISH_STOP 0   /* the model ended its turn */
#define LLM_FINISH_LENGTH 1 /* max_tokens were made */

#define LLM_BOS_AUTO 0 /* as the file says */
#define LLM_BOS_YES 1
#define LLM_BOS_NO 2

typedef struct llm_request {
    uint32_t struct_size;
    int32_t template_mode; /* LLM_TEMPLATE_* */
    jv_str prompt;         /* UTF-8 */
    jv_str system;         /* UTF-8; empty: no system message. Only with LLM_TEMPLATE_CHAT */
    int64_t max_tokens;    /* >= 1; prompt and answer must fit the context together, else BAD with both numbers */
    double temperature;    /* 0: greedy */
    double top_p;          /* (0, 1]; 1: off */
    uint64_t seed;         /* of the draws of this request; the same request with the same seed gives the same bytes */
    /* More of the answer: n > 0 bytes, whole code points. May be null. < 0 stops: generate answers JV_CANCELLED. */
    int32_t (*on_text)(void *user, const char *more, size_t n);
    /* 1 when nobody wants the answer any more; polled before each layer of the model, and every 50 ms while waiting.
     * May be null. */
    int32_t (*stopped)(void *user);
    void *user;
} llm_request;

typedef struct llm_answer {
    uint32_t struct_size;
    int32_t finish; /* LLM_FINISH_*; meaningful when generate answered JV_OK */
    /* UTF-8, n bytes: what on_text got, joined. Owned by the model: give it back with release_answer. */
    char *text;
    size_t n;
    int64_t tokens_in;  /* of the prompt, template included; 0 when the model never came to read it */
    int64_t tokens_out; /* made, the end-of-turn token not counted; set also when generate fails */
    double seconds_wait, seconds_prefill, seconds_decode;
    int64_t bytes_lost; /* of the prompt: bytes the vocabulary has no token for, left out */
} llm_answer;

/* One scored token. */
typedef struct llm_score {
    int32_t token;
    double logprob;     /* natural log of its probability, given what stood before it in the window */
    const int32_t *top; /* the n_top likeliest ids, best first; lower id first among equals */
    const double *top_logprob;
    size_t n_top;
} llm_score;

typedef struct llm_score_request {
    uint32_t struct_size;
    int32_t bos;     /* LLM_BOS_* */
    jv_str text;     /* any bytes; special tokens in it are text */
    int64_t top;     /* how many likeliest ids to report per token, 0.. */
    int64_t context; /* tokens in a window, >= 2; 0: the model's context */
    /* Tokens a window moves on by, 1..context; 0: context. Windows start at 0, stride, 2 stride, ... Each token is
     * scored once: in the first window that holds it behind another token; where there is none (stride = context, the
     * first token of a window), in the window that ends before it. */
    int64_t stride;
    /* For each token but the first, in order; < 0 stops: JV_CANCELLED. */
    int32_t (*on_token)(void *user, const llm_score *s);
    int32_t (*stopped)(void *user); /* may be null */
    void *user;
} llm_score_request;

typedef struct llm_score_total {
    uint32_t struct_size;
    int32_t bos;        /* 1: a beginning-of-sequence token was put in front */
    int64_t tokens;     /* of the sequence, that one included; 0 when the model never came to read it */
    double logprob_sum; /* over tokens - 1 of them */
    double seconds;
    int64_t bytes_lost; /* bytes the vocabulary has no token for, left out */
} llm_score_total;

typedef struct llm_api {
    uint32_t struct_size;
    uint32_t reserved;
    /* JV_OK; BAD: this request is at fault (does not fit, no template, ...); CANCELLED; FATAL. `answer` is valid
     * after each of them and must be released. */
    int32_t (*generate)(void *self, const llm_request *req, llm_answer *answer, jv_err *err);
    void (*release_answer)(void *self, llm_answer *answer);
    /* A text of one token or none: JV_OK, on_token is never called. */
    int32_t (*score)(void *self, const llm_score_request *req, llm_score_total *total, jv_err *err);
    /* ids: malloc'd, the caller frees it with release_ids; no special tokens added, none parsed. lost: bytes the
     * vocabulary has no token for, left out. */
    int32_t (*tokenize)(void *self, jv_str text, int32_t **ids, size_t *n, uint64_t *lost, jv_err *err);
    void (*release_ids)(void *self, int32_t *ids);
    /* These two may be called before `start`: they are for checking options while opening. */
    /* JV_OK when requests with LLM_TEMPLATE_CHAT can be served; BAD: err says why not. */
    int32_t (*check_template)(void *self, jv_err *err);
    /* Tokens of prompt and answer together, and most of a window. */
    int64_t (*context)(void *self);
} llm_api;

#endif
