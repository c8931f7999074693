/*
 * llm.h: the service a language model offers to other sections, "jv.model/1", by way of an option of type jv_ref:
 *
 *     const llm_api *m = g->model.api;
 *     int32_t rc = m->generate(g->model.self, &request, &answer, err);
 *
 * Every function may be called from any thread at once and blocks its caller until the work is done; the model decides
 * what runs when. Callbacks run on some thread while the caller waits: they must not block and must not call back in.
 * Texts and arrays in are borrowed for the length of the call. Structs begin with their size, set by the caller, and
 * only grow at the end.
 */
#ifndef LLM_H
#define LLM_H

#include "jevons.h"

#define LLM_SERVICE "jv.model/1"

#define LLM_TEMPLATE_CHAT 0 /* the conversation goes through the chat template of the file */
#define LLM_TEMPLATE_NONE 1 /* the prompt is the text to continue, as it is; special tokens in it are text */

#define LLM_FINISH_STOP 0   /* the model ended its turn; with LLM_REASONING_ONLY also: it has done thinking */
#define LLM_FINISH_STRING 1 /* a stop string came */
#define LLM_FINISH_LENGTH 2 /* max_tokens were made */

/* What becomes of the thinking that stands in front of an answer, between <think> and </think>. */
#define LLM_REASONING_KEEP 0   /* it is given apart from the answer */
#define LLM_REASONING_DROP 1   /* it is not given at all */
#define LLM_REASONING_ONLY 2   /* the answer ends with it */
#define LLM_REASONING_INLINE 3 /* it is part of the answer, with its tags */

#define LLM_CHANNEL_ANSWER 0
#define LLM_CHANNEL_REASONING 1

#define LLM_BOS_AUTO 0 /* as the file says */
#define LLM_BOS_YES 1
#define LLM_BOS_NO 2

#define LLM_MAX_ANSWERS 1024
#define LLM_MAX_STOPS 64        /* strings ... */
#define LLM_MAX_STOP_BYTES 1024 /* ... of so many bytes each */
#define LLM_MAX_LOGPROBS 1000

typedef struct llm_bias {
    int32_t token;
    double bias; /* finite, or -INFINITY: never this one */
} llm_bias;

/* A token that was made. */
typedef struct llm_token {
    int32_t token;
    int32_t channel;    /* LLM_CHANNEL_*: what most of it was part of; tags are reasoning */
    double logprob;     /* natural log of its probability as the model has it: no option of the request touches it */
    const int32_t *top; /* the n_top likeliest ids, best first; lower id first among equals */
    const double *top_logprob;
    size_t n_top;
} llm_token;

/* More of one answer. */
typedef struct llm_more {
    uint32_t struct_size;
    int32_t answer;          /* which one: 0..answers-1 */
    int32_t channel;         /* LLM_CHANNEL_* */
    int32_t reserved;        /* 0 */
    jv_str text;             /* whole code points, at least one */
    const llm_token *tokens; /* those of this channel that came to be since the last call; null unless asked for */
    size_t n_tokens;
} llm_more;

typedef struct llm_request {
    uint32_t struct_size;
    int32_t priority;      /* JV_LIVE: before all others; JV_BATCH or 0 */
    int32_t template_mode; /* LLM_TEMPLATE_* */
    int32_t reasoning;     /* LLM_REASONING_* */

    /* -- what to answer: `prompt` (and `system`), or with LLM_TEMPLATE_CHAT `messages` -- */
    jv_str prompt; /* UTF-8 */
    jv_str system; /* UTF-8; empty: no system message. Only with LLM_TEMPLATE_CHAT */
    /* JSON, a list of messages as OpenAI's chat completions have them: role; content, a string, null or a list of
     * parts {"type": "text", "text": ...}; tool_calls, tool_call_id, name, reasoning_content. p null: none. */
    jv_str messages;
    jv_str tools; /* JSON, a list of tools likewise, for the template to present; p null: none */
    /* JSON, an object: more names for the template, {"enable_thinking": false}. p null: none. */
    jv_str values;

    /* -- how much -- */
    int64_t answers;    /* >= 1: independent answers to the one prompt, which is read once */
    int64_t max_tokens; /* >= 1, of each answer; must fit the context behind the prompt, else BAD with both numbers */
    int64_t thinking_tokens; /* most tokens of thinking, after which it is closed for the model; < 0: no limit */
    const jv_str *stop;      /* UTF-8, none empty; the answer ends before the first that comes up in it */
    size_t n_stop;

    /* -- which tokens; sample.h has the order -- */
    double temperature;                         /* 0: greedy */
    double top_p;                               /* (0, 1]; 1: off */
    double min_p;                               /* [0, 1]; 0: off */
    int64_t top_k;                              /* 0: off */
    double presence_penalty, frequency_penalty; /* 0: off */
    double repetition_penalty;                  /* > 0; 1: off */
    const llm_bias *bias;                       /* each token once */
    size_t n_bias;
    uint64_t seed; /* of the draws of this request; the same request with the same seed gives the same bytes */

    /* -- what to tell -- */
    int64_t logprobs; /* 0..LLM_MAX_LOGPROBS: keep each token with so many of the likeliest beside it; < 0: none */
    /* May be null. < 0 stops: generate answers JV_CANCELLED. */
    int32_t (*on_text)(void *user, const llm_more *more);
    /* 1 when nobody wants the answer any more; polled before each step of the model, and every 50 ms while waiting. May
     * be null. */
    int32_t (*stopped)(void *user);
    void *user;
} llm_request;

/* One answer. Texts are UTF-8, what on_text got, joined; p may be null when n is 0. */
typedef struct llm_reply {
    jv_str text;
    jv_str reasoning; /* without white space around it */
    int32_t finish;   /* LLM_FINISH_*; meaningful when generate answered JV_OK */
    int32_t stop;     /* LLM_FINISH_STRING: the index of the string; else -1 */
    int64_t tokens;   /* made; what closed the thinking for the model is counted, the token that ends the turn is not */
    int64_t tokens_reasoning; /* of those: up to the one that ended the thinking */
    const llm_token *token;   /* (n_token): when logprobs are asked for, those the model chose, in order */
    size_t n_token;
} llm_reply;

typedef struct llm_answer {
    uint32_t struct_size;
    uint32_t reserved;      /* 0 */
    const llm_reply *reply; /* owned by the model: give it back with release_answer */
    size_t n;               /* as many as were asked for when generate answers JV_OK, also fewer when it fails */
    int64_t tokens_in;      /* of the prompt, template included; 0 when the model never came to read it */
    int64_t tokens_cached;  /* of those: not computed, since another request had begun the same */
    int64_t tokens_out, tokens_reasoning; /* sums over the answers, set also when generate fails */
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
    int32_t priority; /* as in llm_request */
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
    /* The following may be called before `start`: they are for checking options while opening. */
    /* JV_OK when requests with LLM_TEMPLATE_CHAT can be served; BAD: err says why not. */
    int32_t (*check_template)(void *self, jv_err *err);
    /* Tokens of prompt and answer together, and most of a window. */
    int64_t (*context)(void *self);
    int64_t (*vocabulary)(void *self); /* ids are 0..vocabulary-1 */
    /* The token with exactly this text, or -1. */
    int32_t (*find)(void *self, jv_str text);
    /* The bytes a token adds to a text, which may be part of a character; empty for control tokens and ids that are
     * none. Valid until close. */
    jv_str (*piece)(void *self, int32_t token);
} llm_api;

#endif
