/* engine.c: life of a model, and its memory. */
#include "engine.h"
#include "unsound.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AUTO_CONTEXT 4096u
#define AUTO_CONTEXTS 4u /* that the cache holds, */
#define AUTO_TOKENS 512u /* and at least so many for each sequence */
#define MAX_BLOCKS (1u << 24)

int32_t engine_open(engine *e, const char *path, const bk_api *bk, void *bk_self, jv_err *err)
{
    e->bk = bk;
    e->bk_self = bk_self;
    int32_t rc = gguf_open(path, &e->g, err);
    if (rc == JV_OK) rc = net_open(e->g, bk, bk_self, &e->net, err);
    if (rc == JV_OK) rc = tokenizer_new(e->g, &e->tok, err);
    if (rc == JV_OK) rc = chat_new(e->g, e->tok, &e->chat, err);
    if (rc == JV_OK) rc = reply_tags_new(e->tok, &e->tags, err);
    if (rc != JV_OK) return rc;
    uint32_t rows = net_shape_of(e->net)->vocabulary;
    if (tokenizer_size(e->tok) != rows)
        return jv_fail(err, JV_BAD, "the vocabulary has %u tokens, tensor token_embd.weight has %u rows",
            tokenizer_size(e->tok), rows);
    return JV_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static sched_size size_of(const engine *e)
{
    return (sched_size){net_shape_of(e->net)->vocabulary, e->blocks, e->sequences, e->chunk};
}

engine_need engine_memory(const engine *e)
{
    bk_kv_shape cache = net_cache(e->net, e->kv_type, e->blocks);
    net_need n = net_memory(e->net, e->sequences + e->chunk);
    sched_size size = size_of(e);
    engine_need need = {.mapped = n.mapped, .copied = n.copied};
    need.cache = e->bk->kv_bytes(e->bk_self, &cache);
    need.scratch = add(n.scratch, add(sched_bytes(&size), sample_room_bytes(size.vocabulary)));
    need.total = add(add(need.mapped, need.copied), add(need.cache, need.scratch));
    return need;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / 1048576;
}

void engine_print_need(const engine_need *n, char *to, size_t size)
{
    if (n->total == UINT64_MAX)
        snprintf(to, size, "more than can be counted");
    else
        snprintf(to, size, "weights %.1f MiB mapped and %.1f MiB copied, KV %.1f MiB, scratch %.1f MiB: %.1f MiB in all",
            mib(n->mapped), mib(n->copied), mib(n->cache), mib(n->scratch), mib(n->total));
}

const char *kv_name(uint32_t type)
{
    return type == BK_F32 ? "f32" : type == BK_F16 ? "f16" : "q8_0";
}

static uint64_t total_of(engine *e, uint32_t n_blocks)
{
    e->blocks = n_blocks;
    return engine_memory(e).total;
}

/* As many blocks as fit the memory, of least..most; `least` do. */
static uint32_t most_blocks(engine *e, uint32_t least, uint32_t most, uint64_t memory)
{
    while (least < most) {
        uint32_t middle = least + (most - least + 1) / 2;
        if (total_of(e, middle) <= memory)
            least = middle;
        else
            most = middle - 1;
    }
    return least;
}

/* What this machine has at all. */
static uint64_t machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX - 1;
}

/* Some whole contexts, and what sequences take that are short: each of those that are worked on at once. */
static uint32_t auto_blocks(const engine *e)
{
    uint32_t context = blocks_of(e->context), few = blocks_of(AUTO_TOKENS);
    uint32_t whole = context * (e->sequences < AUTO_CONTEXTS ? e->sequences : AUTO_CONTEXTS);
    uint32_t all = e->sequences * (context < few ? context : few);
    return whole > all ? whole : all;
}

int32_t engine_fit(engine *e, const engine_size *size, jv_err *err)
{
    uint32_t made_for = net_shape_of(e->net)->context;
    uint64_t bound = size->memory ? size->memory : machine_memory();
    e->context = size->context ? size->context : made_for < AUTO_CONTEXT ? made_for : AUTO_CONTEXT;
    e->chunk = size->chunk;
    e->sequences = size->sequences;
    e->kv_type = size->kv_type;
    e->blocks = blocks_of(e->context);
    engine_need need = engine_memory(e);
    if (need.cache == UINT64_MAX)
        return jv_fail(err, JV_BAD, "kv = %s: the backend cannot keep heads of %u numbers so", kv_name(e->kv_type),
            net_shape_of(e->net)->head_dim);
    if (need.total > bound) {
        char sum[256];
        engine_print_need(&need, sum, sizeof sum);
        return jv_fail(err, JV_BAD, "memory = %s%.1f MiB is not enough for a context of %u tokens: %s",
            size->memory ? "" : "auto, which is this machine's ", mib(bound), e->context, sum);
    }
    e->blocks = most_blocks(e, e->blocks, size->memory ? MAX_BLOCKS : auto_blocks(e), bound);
    return JV_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t forward(void *self, const int32_t *ids, const bk_run *runs, uint32_t n_runs, uint32_t n,
    const net_stop *stop, jv_err *err)
{
    engine *e = self;
    bk_batch batch = {.struct_size = sizeof batch, .n = n, .n_runs = n_runs, .runs = runs, .kv = e->kv};
    return net_forward(e->net, ids, &batch, stop, err);
}

static int32_t logits(void *self, const int32_t *index, uint32_t n, float *to, jv_err *err)
{
    engine *e = self;
    return net_logits(e->net, index, n, to, err);
}

static int32_t copy(void *self, uint32_t to, uint32_t from, uint32_t n, jv_err *err)
{
    engine *e = self;
    return e->bk->kv_copy(e->bk_self, e->kv, to, from, n, err);
}

int32_t engine_start(engine *e, const net_stop *stop, jv_err *err)
{
    bk_kv_shape cache = net_cache(e->net, e->kv_type, e->blocks);
    sched_size size = size_of(e);
    int32_t rc = net_start(e->net, e->sequences + e->chunk, stop, err);
    if (rc != JV_OK) return rc;
    e->kv = e->bk->kv_new(e->bk_self, &cache, err);
    if (!e->kv) return err->code;
    e->room = sample_room_new(size.vocabulary);
    if (!e->room) return jv_fail(err, JV_FATAL, "no memory to choose among %u tokens", size.vocabulary);
    return sched_new(&(sched_net){e, forward, logits, copy}, &size, &e->sched, err);
}

void engine_close(engine *e)
{
    sched_free(e->sched);
    sample_room_free(e->room);
    if (e->bk) e->bk->kv_free(e->bk_self, e->kv);
    reply_tags_free(&e->tags);
    chat_free(e->chat);
    tokenizer_free(e->tok);
    net_free(e->net);
    gguf_close(e->g);
    *e = (engine){0};
}

int32_t engine_blame(engine *e, int32_t rc, jv_err *err)
{
    jv_err was = *err;
    if (rc != JV_BAD) return rc;
    if (!e->looked) e->unsound = unsound_tensor(e->g);
    e->looked = true;
    if (!e->unsound) return rc;
    return jv_fail(err, rc, "%s; tensor %.*s of the file holds numbers that are not finite", was.text,
        (int)e->unsound->name.n, e->unsound->name.p);
}

void engine_alone(engine *e)
{
    sched_pause(e->sched);
}

void engine_together(engine *e)
{
    sched_go_on(e->sched);
}

int32_t engine_tokenize(engine *e, jv_str text, token_list *out, jv_err *err)
{
    *out = (token_list){0};
    int32_t rc = tokenizer_encode(e->tok, text, NULL, out, err);
    if (rc == JV_OK) return rc;
    free(out->ids);
    *out = (token_list){0};
    return rc;
}
