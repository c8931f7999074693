/* request.h: from a request to the tokens of its prompt. */
#ifndef REQUEST_H
#define REQUEST_H

#include "chat.h"
#include "llm.h"
#include "reply.h"
#include "tokenizer.h"

/* JV_OK, or BAD: a value out of its range (each is named), or two that exclude each other. What needs the template or
 * the context is not looked at. */
int32_t request_check(const llm_request *req, uint32_t vocabulary, jv_err *err);

typedef struct request_prompt {
    token_list tokens; /* the token for the beginning included, where the file asks for it */
    bool thinking;     /* it ends with an open <think>, as the templates of R1 models do */
} request_prompt;

/* Renders and encodes. JV_OK; BAD: messages, tools or values are not what they should be, or the template refuses them;
 * FATAL. out->tokens.ids is to be freed after each of them. */
int32_t request_encode(const llm_request *req, const chat *c, const tokenizer *t, request_prompt *out, jv_err *err);

#endif
