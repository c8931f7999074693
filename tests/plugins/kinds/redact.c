/*
 * redact: hides the digits of a text, in place.
 *
 *     [redact]
 *     plugin = redact
 *     mask = #
 *     keep = 4
 *
 * All but the last `keep` digits of the text become `mask`, one printable character of ASCII. A record may ask for
 * another mask in its field `params`: {"mask": "*", "keep": 0}.
 */
#include <stdbool.h>
#include <string.h>

#include "jevons.h"

enum { IN, OUT };
enum { DIGITS };

struct redact {
    const jv_host *h;
    const char *mask;
    int64_t keep;
};

static const jv_field fields[] = {
    [IN] = {"in", JV_UTF8, JV_IN, "text", "the text"},
    [OUT] = {"out", JV_UTF8, JV_OUT, "text", "the text without digits; the same field as `in`"},
    {0},
};

static const jv_port ports[] = {{"out", "the redacted texts", 0, 0}, {0}};

static const jv_opt opts[] = {
    JV_OPTF(struct redact, mask, JV_PER_RECORD, "#", "", "what stands for a digit: one printable character of ASCII"),
    JV_OPTF(struct redact, keep, JV_PER_RECORD, "0", "0..", "how many digits at the end stay"),
    {0},
};

static const jv_counter counters[] = {[DIGITS] = {"digits", "digit", "digits hidden", 0, 0}, {0}};

static int32_t check_mask(const char *mask, jv_err *err)
{
    if (mask[0] >= ' ' && mask[0] <= '~' && !mask[1]) return JV_OK;
    return jv_fail(err, JV_BAD, "mask has %zu bytes; it is one printable character of ASCII", strlen(mask));
}

static int32_t redact_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct redact *c = ctx;
    c->h = h;
    return check_mask(c->mask, err);
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static int32_t redact_process(void *ctx, jv_buf *b, jv_err *err)
{
    const jv_host *h = ((const struct redact *)ctx)->h;
    struct redact asked;
    int64_t digits = 0;
    int32_t rc = h->params(h, b, &asked, err);
    if (rc == JV_OK) rc = check_mask(asked.mask, err);
    if (rc < 0) return rc;
    jv_str text = h->get(h, b, IN);
    if (!text.p) return jv_fail(err, JV_BAD, "the record has no text");
    for (size_t i = 0; i < text.n; i++) digits += is_digit(text.p[i]);
    if (digits <= asked.keep) return JV_OK; /* nothing to hide: the text stays shared */
    char *p = h->writable(h, b, OUT, err);
    if (!p) return err->code;
    int64_t hide = digits - asked.keep;
    h->count(h, b, DIGITS, hide);
    for (; hide; p++) {
        if (!is_digit(*p)) continue;
        *p = asked.mask[0];
        hide--;
    }
    return JV_OK;
}

static const jv_stage stages[] = {{
    .name = "redact",
    .brief = "hides digits",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct redact),
    .threads = JV_PER_CORE,
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = redact_open,
    .process = redact_process,
}};

JV_PLUGIN("redact", "1.0", "MIT", stages);
