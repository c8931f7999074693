/*
 * reply.h: one answer on its way: what the tokens of a sequence become, and when they end. Tokens come in one by one;
 * bytes become whole code points (whole.h), thinking is parted from the answer (think.h), stop strings are watched for
 * (stops.h), tokens are counted. A pure state machine: no model, no thread, no callback; the result does not depend on
 * where tokens cut the text.
 *
 *     for (act = reply_begin(r, err);; act = reply_token(r, &t, piece, err)) {
 *         while (reply_more(r, &more)) on_text(user, &more);
 *         if (act < 0 || act == REPLY_ENDED) break;
 *         if (act == REPLY_FEED) the model reads reply_feed(r, &n);
 *         t.token = a draw; a token that ends the turn: act = reply_end(r, LLM_FINISH_STOP, err)
 *     }
 */
#ifndef REPLY_H
#define REPLY_H

#include "llm.h"
#include "think.h"
#include "tokenizer.h"

#define THINK_END "\n" THINK_CLOSE "\n\n" /* what closes the thinking, as templates and models write it */

/* What a vocabulary and a template have to do with thinking; the same for all requests of a model.
 * Made in request.c, since the rest knows no vocabulary. */
typedef struct reply_tags {
    int32_t open, close; /* tokens of <think> and </think>, whatever bytes they have; -1: these are texts */
    token_list end;      /* what closes the thinking: tokens of THINK_END */
} reply_tags;

/* reply_tags_free takes what is left of it, and {0}. JV_OK or FATAL (no memory). */
int32_t reply_tags_new(const tokenizer *t, reply_tags *out, jv_err *err);
void reply_tags_free(reply_tags *tags);

typedef struct reply reply;

/* Answer `answer` of a request that request_check has let through; thinking: the prompt ends with an open <think>.
 * Borrows both. Null: err has FATAL (no memory). */
reply *reply_new(const llm_request *req, const reply_tags *tags, uint32_t answer, bool thinking, jv_err *err);
void reply_free(reply *r); /* null is fine */

/* What is to be done next; < 0: JV_FATAL (no memory). */
#define REPLY_DRAW 0  /* the model reads the token just given, and the next is drawn */
#define REPLY_FEED 1  /* it reads that and then the tokens of reply_feed; then the next is drawn */
#define REPLY_ENDED 2 /* nothing more */

/* Before the first token is drawn: DRAW, or FEED when no thinking is allowed and the prompt has opened it. */
int32_t reply_begin(reply *r, jv_err *err);
/* The next token and its bytes. Of t everything but `channel` is read; top only when the request asks for logprobs. */
int32_t reply_token(reply *r, const llm_token *t, jv_str piece, jv_err *err);
/* The model has ended its turn (LLM_FINISH_STOP), or nothing more will come for another reason. REPLY_ENDED or
 * FATAL. */
int32_t reply_end(reply *r, int32_t finish, jv_err *err);

/* After FEED: tokens to be read, counted already; valid until the next call. */
const int32_t *reply_feed(const reply *r, size_t *n);

/* True: *more has text nobody was handed before; valid until the next call with this reply. Reasoning stands before the
 * answer. */
bool reply_more(reply *r, llm_more *more);

/* What has come of it so far; the memory is the reply's. */
llm_reply reply_result(const reply *r);

#endif
