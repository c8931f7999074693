/*
 * template: a conversation as the text a model goes on from, by the chat template of its file. Loads no weights.
 *
 *     [template]
 *     plugin = llm/template
 *     path = MODEL.gguf           or a file with a Jinja template in it
 *     in = messages               a JSON list of messages; out = text
 *     default_tools = @tools.json a JSON list, where a record has no field `tools`
 *     values = {"enable_thinking": false}
 *     bos, eos                    texts of these tokens; of a GGUF file: what it says
 *
 * What the template is given, and what is done to messages before, is said in chat.h. A template that cannot be read is
 * an error at load, with line and column; a conversation it refuses is a rejected record.
 */
#include "stages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { IN, TOOLS, OUT };

const jv_field template_fields[] = {
    [IN] = {"in", JV_JSON, JV_IN, "messages",
        "the conversation, a list of messages as OpenAI's chat completions have them"},
    [TOOLS] = {"tools", JV_JSON, JV_IN | JV_OPTIONAL, "tools", "what the model may call, a list likewise"},
    [OUT] = {"out", JV_UTF8, JV_OUT, "text", "the prompt"},
    {0},
};

const jv_opt template_options[] = {
    JV_OPT(struct template, path, NULL, "path read", "a model, a GGUF file; or a file with a Jinja template"),
    JV_OPT(struct template, default_tools, "", "", "a JSON list of tools, where the record has no field `tools`"),
    JV_OPTF(struct template, values, JV_PER_RECORD, "", "", "a JSON object: more names for the template"),
    JV_OPT(struct template, bos, "", "", "text of the token for the beginning; empty: as a GGUF file says"),
    JV_OPT(struct template, eos, "", "", "text of the token for the end; likewise"),
    {0},
};

static jv_str str(const char *s)
{
    return (jv_str){s, strlen(s)};
}

/* All of a file, and whether it is a GGUF. Those are not read here, so that size is bounded by what a template has. */
static int32_t read_source(struct template *t, bool *is_gguf, jv_err *err)
{
    FILE *f = fopen(t->path, "rb");
    if (!f) return jv_fail(err, JV_BAD, "%s: %s", t->path, strerror(errno));
    t->source = malloc(JINJA_MAX_SOURCE + 1);
    if (t->source) t->n_source = fread(t->source, 1, JINJA_MAX_SOURCE + 1, f);
    bool failed = t->source && ferror(f);
    fclose(f);
    if (!t->source) return jv_fail(err, JV_FATAL, "no memory for a template");
    if (failed) return jv_fail(err, JV_BAD, "%s cannot be read", t->path);
    *is_gguf = t->n_source >= 4 && memcmp(t->source, "GGUF", 4) == 0;
    if (*is_gguf || t->n_source <= JINJA_MAX_SOURCE) return JV_OK;
    return jv_fail(err, JV_BAD, "%s: neither a GGUF file nor a template, which has at most %u bytes", t->path,
        JINJA_MAX_SOURCE);
}

static int32_t open_gguf(struct template *t, jv_err *err)
{
    tokenizer *tok = NULL;
    int32_t rc = gguf_open(t->path, &t->gguf, err);
    if (rc == JV_OK) rc = tokenizer_new(t->gguf, &tok, err);
    if (rc == JV_OK) rc = chat_new(t->gguf, tok, &t->chat, err);
    tokenizer_free(tok);
    jv_err why;
    if (rc == JV_OK && chat_check(t->chat, &why) != JV_OK)
        return jv_fail(err, why.code, "%.200s: %.280s", t->path, why.text);
    return rc;
}

int32_t template_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct template *t = ctx;
    bool is_gguf = false;
    t->h = h;
    int32_t rc = read_source(t, &is_gguf, err);
    if (rc != JV_OK) return rc;
    if (!is_gguf) return chat_of_template((jv_str){t->source, t->n_source}, str(t->bos), str(t->eos), &t->chat, err);
    if (*t->bos || *t->eos) return jv_fail(err, JV_BAD, "%s: a GGUF file says itself what bos and eos are", t->path);
    return open_gguf(t, err);
}

int32_t template_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct template *t = ctx, o;
    const jv_host *h = t->h;
    int32_t rc = h->params(h, b, &o, err);
    if (rc != JV_OK) return rc;
    chat_input in = {.messages = h->get(h, b, IN), .tools = h->get(h, b, TOOLS)};
    if (!in.tools.p && *o.default_tools) in.tools = str(o.default_tools);
    if (*o.values) in.values = str(o.values);
    jinja_text text;
    rc = chat_render(t->chat, &in, &text, err);
    if (rc == JV_OK) rc = ask_put_text(h, b, OUT, (jv_str){text.text, text.n}, err);
    free(text.text);
    free(text.trusted);
    return rc;
}

void template_close(void *ctx)
{
    struct template *t = ctx;
    chat_free(t->chat);
    gguf_close(t->gguf);
    free(t->source);
}
