/* chat.c: a conversation rendered with the template in `tokenizer.chat_template`. */
#include "chat.h"
#include "chat_json.h"

#include <stdlib.h>
#include <string.h>

struct chat {
    jinja *template;
    jv_err wrong;    /* why there is no template */
    jv_str bos, eos; /* texts of these tokens, in the file; empty where it names none */
    bool objects;    /* the arguments of tool calls are to be objects, not strings of JSON */
    bool shows_tools;
    chat *with_tools; /* another, for conversations with tools; null: there is none */
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

static jv_str str(const char *s)
{
    return (jv_str){s, strlen(s)};
}

/* Whether what stands for `word` in a conversation comes out as JSON. */
static bool shows(const chat *c, const char *messages, const char *tools, const char *word)
{
    jinja_text out;
    jv_err why;
    chat_input in = {.messages = str(messages), .tools = tools ? str(tools) : (jv_str){0}};
    if (chat_render(c, &in, &out, &why) != JV_OK) return false;
    bool found = strstr(out.text, word) != NULL;
    free(out.text);
    free(out.trusted);
    return found;
}

#define USER "{\"role\":\"user\",\"content\":\"u\"}"
#define CALL                                                                                                           \
    "\"tool_calls\":[{\"id\":\"call00001\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{"         \
    "\"argument\":1}}}]"
#define TOOL                                                                                                           \
    "{\"type\":\"function\",\"function\":{\"name\":\"look_it_up\",\"description\":\"d\",\"parameters\":{\"type\":"     \
    "\"object\","                                                                                                      \
    "\"properties\":{\"of\":{\"type\":\"string\",\"description\":\"o\"}},\"required\":[\"of\"]}}}"

/* What templates can do is said nowhere, so it is tried. Some print a call's arguments with tojson and want them as an
 * object, others put the string of JSON that they are at OpenAI's: an object is right when it comes out as JSON. And
 * some have no place for tools. */
static void find_abilities(chat *c)
{
    c->objects = c->shows_tools = true; /* so that these stay what they are here */
    bool objects = shows(c, "[" USER ",{\"role\":\"assistant\",\"content\":null," CALL "}]", NULL, "\"argument\"") ||
                   shows(c, "[" USER ",{\"role\":\"assistant\",\"content\":\"a\"," CALL "}]", NULL, "\"argument\"");
    c->shows_tools = shows(c, "[" USER "]", "[" TOOL "]", "look_it_up");
    c->objects = objects;
}

int32_t chat_of_template(jv_str source, jv_str bos, jv_str eos, chat **out, jv_err *err)
{
    chat *c = calloc(1, sizeof *c);
    if (!c) return jv_fail(err, JV_FATAL, "no memory for a chat template");
    c->bos = bos;
    c->eos = eos;
    int32_t rc = jinja_parse(source, &c->template, err);
    if (rc == JV_OK) {
        find_abilities(c);
        *out = c;
    } else {
        chat_free(c);
    }
    return rc;
}

/* The template under a key; JV_OK also when there is none or a wrong one. FATAL: no memory. */
static int32_t of_key(const gguf *g, const tokenizer *tok, const char *key, chat **out, jv_err *err)
{
    jv_str source = {0};
    jv_err why;
    int32_t rc = gguf_get_string(g, key, &source, &why);
    bool none = rc == 1;
    if (rc == JV_OK)
        rc = chat_of_template(source, token_text(g, tokenizer_bos(tok)), token_text(g, tokenizer_eos(tok)), out, &why);
    if (rc == JV_OK) return rc;
    if (rc == JV_FATAL) {
        *err = why;
        return rc;
    }
    chat *c = *out = calloc(1, sizeof *c);
    if (!c) return jv_fail(err, JV_FATAL, "no memory for a chat template");
    if (none)
        jv_fail(&c->wrong, JV_BAD, "this file has no chat template");
    else
        jv_fail(&c->wrong, JV_BAD, "the file's chat template: %.440s", why.text);
    return JV_OK;
}

int32_t chat_new(const gguf *g, const tokenizer *tok, chat **out, jv_err *err)
{
    static const char with_tools[] = "tokenizer.chat_template.tool_use";
    jv_str source;
    jv_err why;
    int32_t rc = of_key(g, tok, "tokenizer.chat_template", out, err);
    if (rc != JV_OK || gguf_get_string(g, with_tools, &source, &why) == 1) return rc;
    rc = of_key(g, tok, with_tools, &(*out)->with_tools, err);
    if (rc == JV_OK) return rc;
    chat_free(*out);
    *out = NULL;
    return rc;
}

void chat_free(chat *c)
{
    if (!c) return;
    chat_free(c->with_tools);
    jinja_free(c->template);
    free(c);
}

int32_t chat_check(const chat *c, jv_err *err)
{
    if (c->template) return JV_OK;
    *err = c->wrong;
    return c->wrong.code;
}

/* ---- rendering --------------------------------------------------------------------------------------------------- */

static int32_t no_memory(jv_err *err)
{
    return jv_fail(err, JV_FATAL, "no memory for a conversation");
}

/* Appends {role, content}. */
static int32_t add_message(jinja_value *messages, const char *role, jv_str content)
{
    jinja_value *m = jinja_map();
    int32_t rc = 0;
    if (m) {
        rc |= jinja_put(m, "role", jinja_string(str(role), true));
        rc |= jinja_put(m, "content", jinja_string(content, false));
    }
    if (rc < 0) {
        jinja_value_free(m);
        m = NULL;
    }
    return jinja_append(messages, m);
}

static int32_t make_messages(const chat *c, const chat_input *in, jinja_value **out, jv_err *err)
{
    if (in->messages.p) return chat_json_messages(in->messages, c->objects, out, err);
    jinja_value *messages = *out = jinja_list();
    if (!messages) return no_memory(err);
    if (in->system.n && add_message(messages, "system", in->system) < 0) return no_memory(err);
    return add_message(messages, "user", in->prompt) < 0 ? no_memory(err) : JV_OK;
}

static const char *const names[] = {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token",
    NULL};

/* Into `globals`, an empty map. */
static int32_t put_globals(const chat *c, const chat_input *in, jinja_value *globals, jv_err *err)
{
    jinja_value *messages = NULL, *tools = NULL;
    int32_t rc = make_messages(c, in, &messages, err);
    if (rc != JV_OK) {
        jinja_value_free(messages);
        return rc;
    }
    if (jinja_put(globals, "messages", messages) < 0) return no_memory(err);
    if (in->tools.p) rc = chat_json(in->tools, "tools", CHAT_LIST, &tools, err);
    if (tools && !c->shows_tools) {
        jinja_value_free(tools);
        return jv_fail(err, JV_BAD, "tools: the chat template has no place for them");
    }
    if (rc != JV_OK) return rc;
    rc |= jinja_put(globals, "tools", tools ? tools : jinja_null());
    rc |= jinja_put(globals, "documents", jinja_null());
    rc |= jinja_put(globals, "add_generation_prompt", jinja_bool(true));
    rc |= jinja_put(globals, "bos_token", jinja_string(c->bos, true));
    rc |= jinja_put(globals, "eos_token", jinja_string(c->eos, true));
    if (rc < 0) return no_memory(err);
    return in->values.p ? chat_json_values(in->values, names, globals, err) : JV_OK;
}

int32_t chat_render(const chat *c, const chat_input *in, jinja_text *out, jv_err *err)
{
    *out = (jinja_text){0};
    if (in->tools.p && c->with_tools) c = c->with_tools;
    int32_t rc = chat_check(c, err);
    if (rc != JV_OK) return rc;
    jinja_value *globals = jinja_map();
    if (!globals) return no_memory(err);
    rc = put_globals(c, in, globals, err);
    if (rc == JV_OK) rc = jinja_render(c->template, globals, out, err);
    jinja_value_free(globals);
    return rc;
}
