/* jinja_fuzz.c: a template of any bytes, rendered with values of every kind. Whatever it says, it renders or is
 * refused with a reason; the trust of a byte is 0 or 1. */
#include "jinja.h"

#include <stdlib.h>
#include <string.h>

static jinja_value *text(const char *s)
{
    return jinja_string((jv_str){s, strlen(s)}, false);
}

static jinja_value *make_globals(void)
{
    jinja_value *g = jinja_map(), *messages = jinja_list(), *d = jinja_map(), *l = jinja_list();
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        jinja_value *m = jinja_map();
        jinja_put(m, "role", text(roles[i]));
        jinja_put(m, "content", i == 3 ? jinja_null() : text("  \xe4\xbd\xa0\xe5\xa5\xbd\n<b>\xff\0x' \"quoted\"  "));
        jinja_append(messages, m);
    }
    jinja_append(l, jinja_int(-3));
    jinja_append(l, jinja_float(2.5));
    jinja_append(l, jinja_int(INT64_MIN));
    jinja_append(l, jinja_bool(true));
    jinja_put(d, "a", text("x"));
    jinja_put(d, "b", jinja_list());
    jinja_put(g, "messages", messages);
    jinja_put(g, "d", d);
    jinja_put(g, "l", l);
    jinja_put(g, "s", text("Hello, World"));
    jinja_put(g, "n", jinja_int(7));
    jinja_put(g, "f", jinja_float(-1e300));
    jinja_put(g, "add_generation_prompt", jinja_bool(true));
    return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static jinja_value *globals; /* made once: a render only reads it */
    if (!globals) globals = make_globals();
    jinja *t = NULL;
    jv_err err = {0};
    jinja_text out = {0};
    int32_t rc = jinja_parse((jv_str){(const char *)data, size}, &t, &err);
    if (rc == JV_OK) rc = jinja_render(t, globals, &out, &err);
    if (rc != JV_OK && (rc != err.code || !err.text[0])) abort();
    for (size_t i = 0; i < out.n; i++)
        if (out.trusted[i] > 1) abort();
    free(out.text);
    free(out.trusted);
    jinja_free(t);
    return 0;
}
