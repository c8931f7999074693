/*
 * net_fuzz.c: any bytes as the file of a network: refused with one line of text, or it says what memory it takes, and where
 * that is little it reads tokens in two batches and tells logits, whatever they are.
 */
#include "net.h"
#include "net_backend.h"
#include "unsound.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BYTES (1u << 18) /* of activations, cache and weights for a network that is run */
#define MOST_LAYERS 8
#define BATCH 5
#define BLOCKS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(const jv_err *err)
{
    if (!err->text[0] || err->text[strcspn(err->text, "\n\r\x1b")]) abort();
}

static int32_t read_tokens(net *m, bk_kv *kv, uint32_t pos, uint32_t n, float *logits)
{
    jv_err err = {0};
    const uint32_t blocks[BLOCKS] = {1, 0};
    const int32_t ids[BATCH] = {0}, index[BATCH] = {0, 1, 2, 3, 4};
    bk_run run = {n, pos, blocks};
    bk_batch batch = {sizeof batch, n, 1, 0, &run, kv};
    int32_t rc = net_forward(m, ids, &batch, &(net_stop){0}, &err);
    return rc == JV_OK ? net_logits(m, index, n, logits, &err) : rc;
}

static void run_network(net *m, const net_backend *b)
{
    jv_err err = {0};
    bk_kv_shape shape = net_cache(m, BK_F32, BLOCKS);
    net_need need = net_memory(m, BATCH);
    const net_shape *s = net_shape_of(m);
    if (s->layers > MOST_LAYERS || need.scratch > MOST_BYTES || need.copied > MOST_BYTES || s->vocabulary > 1024)
        return;
    if (net_backend_api.kv_bytes((void *)b, &shape) > MOST_BYTES) return;
    if (net_start(m, BATCH, &(net_stop){0}, &err) != JV_OK) {
        check_refusal(&err);
        return;
    }
    bk_kv *kv = net_backend_api.kv_new((void *)b, &shape, &err);
    float *logits = malloc(BATCH * (size_t)s->vocabulary * sizeof *logits);
    if (!kv || !logits) abort();
    if (read_tokens(m, kv, 0, BATCH, logits) != JV_OK || read_tokens(m, kv, BATCH, 1, logits) != JV_OK) abort();
    free(logits);
    net_backend_api.kv_free((void *)b, kv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *copy = NULL;
    gguf *g = NULL;
    net *m = NULL;
    jv_err err = {0};
    net_backend b = {.fail_at = -1};
    if (posix_memalign(&copy, 64, size ? size : 1)) return 0;
    memcpy(copy, data, size);
    if (gguf_open_memory(copy, size, &g, &err) == JV_OK) {
        const gguf_tensor *unsound = unsound_tensor(g);
        if (unsound && !unsound->name.n) abort();
        if (net_open(g, &net_backend_api, &b, &m, &err) == JV_OK)
            run_network(m, &b);
        else
            check_refusal(&err);
    }
    net_free(m);
    if (b.live) abort();
    gguf_close(g);
    free(copy);
    return 0;
}
