/* chat_fuzz.c: any bytes as the messages, the tools and the values of a conversation, for a template that wants the
 * arguments of calls as objects and for one that wants them as strings. It renders or is refused with a reason. */
#include "chat.h"

#include <stdlib.h>
#include <string.h>

#define LOOP(arguments)                                                                                                \
    "{% for m in messages %}{{ m.role }}{{ m.content }}{% for c in m.tool_calls or [] %}{% set f = c.function or c %}" \
    "{{ f.name }}{{ " arguments " }}{% endfor %}{% endfor %}{{ tools | tojson }}{{ x }}"

static chat *make(const char *source)
{
    chat *c = NULL;
    jv_err err;
    if (chat_of_template((jv_str){source, strlen(source)}, (jv_str){0}, (jv_str){0}, &c, &err) != JV_OK) abort();
    return c;
}

static void try(const chat *c, const chat_input *in)
{
    jinja_text out;
    jv_err err = {0};
    int32_t rc = chat_render(c, in, &out, &err);
    if (rc != JV_OK && (rc != err.code || !err.text[0] || out.text)) abort();
    for (size_t i = 0; i < out.n; i++)
        if (out.trusted[i] > 1) abort();
    free(out.text);
    free(out.trusted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static chat *objects, *strings;
    if (!objects) objects = make(LOOP("f.arguments | tojson"));
    if (!strings) strings = make(LOOP("'' + f.arguments"));
    jv_str text = {(const char *)data, size}, none = {"[]", 2};
    try(objects, &(chat_input){.messages = text});
    try(strings, &(chat_input){.messages = text});
    try(objects, &(chat_input){.messages = none, .tools = text});
    try(objects, &(chat_input){.messages = none, .values = text});
    return 0;
}
