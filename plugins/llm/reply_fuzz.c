/* reply_fuzz.c: a text, cut into tokens in three ways, must become the same answer. The first byte says how; then come a
 * stop string, a zero, and the text, in which bytes below 4 are cuts of the second way. */
#include "reply.h"

#include <stdlib.h>
#include <string.h>

static const reply_tags tags = {-1, -1, {0}};

enum { ONE_PIECE, AT_MARKS, EACH_BYTE };

typedef struct play {
    reply *r;
    char *text[2]; /* handed on */
    size_t n[2];
} play;

static void collect(play *p)
{
    for (llm_more more; reply_more(p->r, &more);) {
        if (!more.text.n) abort();
        memcpy(p->text[more.channel] + p->n[more.channel], more.text.p, more.text.n);
        p->n[more.channel] += more.text.n;
    }
}

static play begin(const llm_request *q, size_t size, bool thinking)
{
    jv_err err;
    play p = {.r = reply_new(q, &tags, 0, thinking, &err)};
    if (!p.r || reply_begin(p.r, &err) != REPLY_DRAW) abort();
    for (int i = 0; i < 2; i++) p.text[i] = malloc(3 * size + 1); /* a byte may become U+FFFD */
    return p;
}

static bool cut(int way, uint8_t c)
{
    return way == EACH_BYTE || (way == AT_MARKS && c < 4);
}

static play run(const llm_request *q, jv_str text, bool thinking, int way)
{
    play p = begin(q, text.n, thinking);
    char *piece = malloc(text.n + 1);
    size_t n = 0;
    jv_err err;
    int32_t act = REPLY_DRAW;
    for (size_t i = 0; i < text.n && act == REPLY_DRAW; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c >= 4) piece[n++] = (char)c;
        if (!cut(way, c) && i + 1 < text.n) continue;
        act = reply_token(p.r, &(llm_token){.token = 1}, (jv_str){piece, n}, &err);
        n = 0;
        collect(&p);
    }
    if (act == REPLY_DRAW) act = reply_end(p.r, LLM_FINISH_STOP, &err);
    if (act != REPLY_ENDED) abort();
    collect(&p);
    free(piece);
    return p;
}

static void same(const play *a, const play *b)
{
    llm_reply x = reply_result(a->r), y = reply_result(b->r);
    if (x.finish != y.finish || x.stop != y.stop || x.text.n != y.text.n || x.reasoning.n != y.reasoning.n) abort();
    for (int i = 0; i < 2; i++)
        if (a->n[i] != b->n[i] || memcmp(a->text[i], b->text[i], a->n[i]) != 0) abort();
    if (x.text.n != a->n[LLM_CHANNEL_ANSWER] || x.reasoning.n != a->n[LLM_CHANNEL_REASONING]) abort();
}

static void end(play *p)
{
    reply_free(p->r);
    free(p->text[0]);
    free(p->text[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size > 1 ? memchr(data + 1, 0, size - 1) : NULL;
    if (!zero || size > 4096) return 0;
    jv_str stop[] = {{(const char *)data + 1, (size_t)(zero - data) - 1}, {"\n\nEnd", 5}};
    jv_str text = {(const char *)zero + 1, size - (size_t)(zero + 1 - data)};
    size_t first = stop[0].n == 0;
    llm_request q = {.struct_size = sizeof q,
        .reasoning = data[0] & 3,
        .max_tokens = INT64_MAX,
        .thinking_tokens = -1,
        .logprobs = -1,
        .stop = stop + first,
        .n_stop = 2 - first};
    play p[3];
    for (int way = ONE_PIECE; way <= EACH_BYTE; way++) p[way] = run(&q, text, data[0] & 4, way);
    same(&p[0], &p[1]);
    same(&p[0], &p[2]);
    for (int i = 0; i < 3; i++) end(&p[i]);
    return 0;
}
