/*
 * tokenize: a text as a model's token ids. Nothing is added, and control tokens in the text are text.
 *
 *     [tokenize]
 *     plugin = llm/tokenize
 *     model = model
 *     in = text                   any bytes; out = json: {"tokens":[1,2,3]}
 */
#include "lines.h"
#include "stages.h"

#include <stdlib.h>
#include <string.h>

enum { IN, OUT };
enum { TOKENS, BYTES_LOST };

const jv_field tokenize_fields[] = {
    [IN] = {"in", JV_BYTES, JV_IN, "text", "the text"},
    [OUT] = {"out", JV_JSON, JV_OUT, "json", "its token ids"},
    {0},
};

const jv_counter tokenize_counters[] = {
    [TOKENS] = {"tokens", "token", "tokens made of texts", 0, 0},
    [BYTES_LOST] = {"bytes_lost", "byte", "bytes of texts the vocabulary has no token for: left out", 0, 0},
    {0},
};

const jv_opt tokenize_options[] = {
    JV_OPT(struct tokenize, model, NULL, LLM_SERVICE, "the model's section"),
    {0},
};

int32_t tokenize_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct tokenize *t = ctx;
    t->h = h;
    return JV_OK;
}

static int32_t print_ids(lines *l, const int32_t *ids, size_t n, jv_err *err)
{
    int32_t rc = lines_print(l, err, "{\"tokens\":[");
    for (size_t i = 0; i < n && rc == JV_OK; i++) rc = lines_print(l, err, "%s%d", i ? "," : "", ids[i]);
    return rc == JV_OK ? lines_print(l, err, "]}") : rc;
}

int32_t tokenize_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct tokenize *t = ctx;
    const llm_api *model = t->model.api;
    int32_t *ids = NULL;
    size_t n = 0;
    uint64_t lost = 0;
    lines l = {0};
    int32_t rc = model->tokenize(t->model.self, t->h->get(t->h, b, IN), &ids, &n, &lost, err);
    t->h->count(t->h, b, BYTES_LOST, (int64_t)lost);
    if (rc == JV_OK) rc = print_ids(&l, ids, n, err);
    model->release_ids(t->model.self, ids);
    char *to = rc == JV_OK ? t->h->put(t->h, b, OUT, l.n, err) : NULL;
    if (to) {
        memcpy(to, l.text, l.n);
        t->h->count(t->h, b, TOKENS, (int64_t)n);
    }
    free(l.text);
    return rc != JV_OK ? rc : to ? JV_OK : err->code;
}
