/*
 * text: a source of one record with the text that stands in the INI file.
 *
 *     [ask]
 *     plugin = text
 *     text = Why is the sky blue?
 *
 * The smallest source there is: begin, put, emit, end.
 */
#include "../mistakes.h"
#include "../utf8.h"
#include "jevons.h"

#define MAX_ID 4096 /* bytes of a record's position */

enum { OUT };

struct text {
    const jv_host *h;
    const char *text;
    const char *id;
    bool given;
};

static const jv_field text_fields[] = {
    [OUT] = {"out", JV_UTF8, JV_OUT, "text", "the text"},
    {0},
};

static const jv_opt text_opts[] = {
    JV_OPT(struct text, text, NULL, "", "the text of the record"),
    JV_OPT(struct text, id, "0", "", "the record's id"),
    {0},
};

static int32_t check(const char *option, const char *value, jv_err *err)
{
    size_t n = strlen(value), valid = utf8_valid(value, n);
    if (valid == n) return JV_OK;
    return jv_fail(err, JV_BAD, "`%s` is not UTF-8: byte %zu is 0x%02x", option, valid,
        (unsigned)(unsigned char)value[valid]);
}

static int32_t text_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct text *c = ctx;
    c->h = h;
    int32_t rc = JV_OK;
    size_t n = strlen(c->id);
    mistakes_add(h, check("text", c->text, err), err, &rc);
    mistakes_add(h, check("id", c->id, err), err, &rc);
    if (n < 1 || n > MAX_ID)
        mistakes_add(h, jv_fail(err, JV_BAD, "`id` has %zu bytes, 1 to %d are possible", n, MAX_ID), err, &rc);
    return rc;
}

static int32_t text_poll(void *ctx, jv_err *err)
{
    struct text *c = ctx;
    if (c->given) return JV_END;
    jv_origin origin = {.struct_size = sizeof origin, .position = {c->id, strlen(c->id)}};
    jv_buf *b = c->h->begin(c->h, &origin, err);
    if (!b && err->code == JV_STOPPED) return JV_END;
    if (!b && err->code == JV_FULL) return JV_OK;
    if (!b) return err->code = JV_FATAL;
    size_t n = strlen(c->text);
    char *p = c->h->put(c->h, b, OUT, n, err);
    if (!p) return JV_FATAL;
    memcpy(p, c->text, n);
    c->given = true;
    return c->h->emit(c->h, b, 0, err) == JV_FATAL ? JV_FATAL : JV_END;
}

static const jv_port text_ports[] = {{"out", "the record", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "text",
    .brief = "one record with the text of the INI file",
    .ctx_size = sizeof(struct text),
    .fields = text_fields,
    .ports = text_ports,
    .opts = text_opts,
    .open = text_open,
    .poll = text_poll,
}};

JV_PLUGIN("text", "1.0", "MIT", stages);
