/*
 * chat.h: the chat template of a model's file: from a conversation to the text the model goes on from.
 */
#ifndef CHAT_H
#define CHAT_H

#include "gguf.h"
#include "jinja.h"
#include "tokenizer.h"

typedef struct chat chat;

/* `tokenizer.chat_template`, and for conversations with tools `tokenizer.chat_template.tool_use` where a file has both.
 * JV_OK also for a file whose template is missing or wrong: chat_check and chat_render then say what it is, so that
 * requests that need none are served. FATAL: no memory. */
int32_t chat_new(const gguf *g, const tokenizer *tok, chat **out, jv_err *err);
/* Of a template by itself, with the texts of these tokens. All three are to outlive it. BAD: the template is wrong. */
int32_t chat_of_template(jv_str source, jv_str bos, jv_str eos, chat **out, jv_err *err);
void chat_free(chat *c); /* null is fine */

/* JV_OK, or BAD: this file has no template, or one that cannot be read. */
int32_t chat_check(const chat *c, jv_err *err);

/* What to render: `messages`, or a prompt and maybe a system message. JSON as in llm_request; p null: none. */
typedef struct chat_input {
    jv_str prompt, system, messages, tools, values;
} chat_input;

/* out->text with a mark per byte of what is the template's (jinja.h); the texts given are none of it. The names of a
 * template are those that the transformers library gives it: messages, tools, documents (none), add_generation_prompt
 * (true), bos_token, eos_token, and those of `values`; strftime_now tells the date that `values` has as "now", and is not
 * there without. Messages are taken as they come, but for what OpenAI's have and
 * templates do not know:
 *   - content in parts becomes one string, the texts of the parts with newlines between; other parts than texts are BAD
 *   - the arguments of a tool call become an object or a string of JSON, whichever the template can print
 *   - content of an assistant's message with tool calls is null where it is missing or empty
 * BAD also when JSON is wrong or not what is wanted here, when the template refuses, and when it leaves tools out. */
int32_t chat_render(const chat *c, const chat_input *in, jinja_text *out, jv_err *err);

#endif
