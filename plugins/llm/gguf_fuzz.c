/* gguf_fuzz.c: any bytes as a model file: refused with one line of text, or readable through and through. */
#include "gguf_touch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *copy = NULL;
    gguf *g = NULL;
    jv_err err = {0};
    if (posix_memalign(&copy, 64, size ? size : 1)) return 0;
    memcpy(copy, data, size);
    int32_t rc = gguf_open_memory(copy, size, &g, &err);
    if (rc == JV_OK) {
        volatile uint64_t sum = gguf_touch(g);
        (void)sum;
    } else if (!err.text[0] || err.text[strcspn(err.text, "\n\r\x1b")]) {
        abort();
    }
    gguf_close(g);
    free(copy);
    return 0;
}
