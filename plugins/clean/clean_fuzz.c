/* clean_fuzz.c: every fix on any bytes, each in a block of exactly the size it may fill; what comes out is UTF-8. */
#include <stdlib.h>
#include <string.h>

#include "../utf8.h"
#include "clean.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

/* Takes the place of *s, which it frees. */
static void replace(char **s, size_t *n, char *out, size_t len, size_t limit)
{
    check(len <= limit && utf8_valid(out, len) == len);
    free(*s);
    *s = out;
    *n = len;
}

static char *block(size_t n)
{
    char *p = malloc(n ? n : 1);
    check(p != NULL);
    return p;
}

static void apply(clean_fix *fix, size_t limit, char **s, size_t *n, int64_t *count)
{
    char *out = block(limit * *n);
    replace(s, n, out, fix(*s, *n, out, count), limit * *n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    int64_t count[N_COUNTS] = {0};
    uint8_t how = data[0];
    size_t n = size - 1;
    char *s = block(n);
    memcpy(s, data + 1, n);
    apply(fix_encoding, 3, &s, &n, count);
    if (is_html(s, n) || how & 1) {
        char *out = block(2 * n);
        replace(&s, &n, out, html_to_text(s, n, out, count, how & 2), 2 * n);
    } else {
        apply(fix_entities, 2, &s, &n, count);
    }
    apply(fix_control, 1, &s, &n, count);
    apply(fix_invisible, 1, &s, &n, count);
    size_t points = nfc_room(s, n);
    if (points > 0) {
        int32_t *room = (int32_t *)(void *)block(points * sizeof *room);
        char *out = block(3 * n);
        replace(&s, &n, out, fix_nfc(s, n, out, room, count), 3 * n);
        free(room);
    }
    apply(how & 4 ? fix_all_spaces : fix_spaces, 1, &s, &n, count);
    free(s);
    return 0;
}
