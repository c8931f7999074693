/* chat.h: the chat template of a model's file: from a system and a user message to the text the model goes on from. */
#ifndef CHAT_H
#define CHAT_H

#include "gguf.h"
#include "jinja.h"
#include "tokenizer.h"

typedef struct chat chat;

/* JV_OK also for a file whose template is missing or wrong: chat_check and chat_render then say what it is, so that
 * requests that need none are served. FATAL: no memory. */
int32_t chat_new(const gguf *g, const tokenizer *tok, chat **out, jv_err *err);
void chat_free(chat *c); /* null is fine */

/* JV_OK, or BAD: this file has no template, or one that cannot be read. */
int32_t chat_check(const chat *c, jv_err *err);
/* out->text with a mark per byte of what is the template's (jinja.h); the texts given are none of it. No system
 * message when it is empty. */
int32_t chat_render(const chat *c, jv_str system, jv_str prompt, jinja_text *out, jv_err *err);

#endif
