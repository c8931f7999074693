/* chat.c: a conversation of one question, rendered with the template in `tokenizer.chat_template`. */
#include "chat.h"

#include <stdlib.h>
#include <string.h>

struct chat {
    jinja *template;
    jv_err wrong;    /* why there is no template */
    jv_str bos, eos; /* texts of these tokens, in the file; empty where it names none */
};

/* The text of a token as the vocabulary has it. */
static jv_str token_text(const gguf *g, int32_t id)
{
    gguf_array tokens;
    jv_err err;
    if (id < 0 || gguf_get_array(g, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, &err) != JV_OK) return (jv_str){0};
    jv_str text = {0};
    uint64_t at = 0;
    for (uint64_t i = 0; i < tokens.n && i <= (uint64_t)id; i++) text = gguf_array_string(&tokens, &at);
    return text;
}

int32_t chat_new(const gguf *g, const tokenizer *tok, chat **out, jv_err *err)
{
    chat *c = calloc(1, sizeof *c);
    if (!c) return jv_fail(err, JV_FATAL, "no memory for a chat template");
    c->bos = token_text(g, tokenizer_bos(tok));
    c->eos = token_text(g, tokenizer_eos(tok));
    jv_str source = {0};
    jv_err why;
    int32_t rc = gguf_get_string(g, "tokenizer.chat_template", &source, &why);
    if (rc == 1) {
        jv_fail(&c->wrong, JV_BAD, "this file has no chat template (use template = none)");
    } else {
        if (rc == JV_OK) rc = jinja_parse(source, &c->template, &why);
        if (rc == JV_FATAL) {
            *err = why;
            chat_free(c);
            return rc;
        }
        if (rc != JV_OK) jv_fail(&c->wrong, JV_BAD, "the file's chat template: %.400s (use template = none)", why.text);
    }
    *out = c;
    return JV_OK;
}

void chat_free(chat *c)
{
    if (!c) return;
    jinja_free(c->template);
    free(c);
}

int32_t chat_check(const chat *c, jv_err *err)
{
    if (c->template) return JV_OK;
    *err = c->wrong;
    return c->wrong.code;
}

/* Appends {role, content}. */
static int32_t add_message(jinja_value *messages, const char *role, jv_str content)
{
    jinja_value *m = jinja_map();
    int32_t rc = 0;
    if (m) {
        rc |= jinja_put(m, "role", jinja_string((jv_str){role, strlen(role)}, true));
        rc |= jinja_put(m, "content", jinja_string(content, false));
    }
    if (rc < 0) {
        jinja_value_free(m);
        m = NULL;
    }
    return jinja_append(messages, m);
}

static jinja_value *make_globals(const chat *c, jv_str system, jv_str prompt)
{
    jinja_value *globals = jinja_map(), *messages = jinja_list();
    if (!globals || !messages) {
        jinja_value_free(globals);
        jinja_value_free(messages);
        return NULL;
    }
    int32_t rc = 0;
    if (system.n) rc |= add_message(messages, "system", system);
    rc |= add_message(messages, "user", prompt);
    rc |= jinja_put(globals, "messages", messages);
    rc |= jinja_put(globals, "add_generation_prompt", jinja_bool(true));
    rc |= jinja_put(globals, "bos_token", jinja_string(c->bos, true));
    rc |= jinja_put(globals, "eos_token", jinja_string(c->eos, true));
    if (rc >= 0) return globals;
    jinja_value_free(globals);
    return NULL;
}

int32_t chat_render(const chat *c, jv_str system, jv_str prompt, jinja_text *out, jv_err *err)
{
    *out = (jinja_text){0};
    int32_t rc = chat_check(c, err);
    if (rc != JV_OK) return rc;
    jinja_value *globals = make_globals(c, system, prompt);
    if (!globals) return jv_fail(err, JV_FATAL, "no memory for a conversation of %zu bytes", system.n + prompt.n);
    rc = jinja_render(c->template, globals, out, err);
    jinja_value_free(globals);
    return rc;
}
