/* encoding.c: from bytes to UTF-8. */
#include <string.h>

#include "../utf8.h"
#include "clean.h"

#define BOM "\xef\xbb\xbf"
#define REPLACEMENT "\xef\xbf\xbd"

/* The bytes at the front of s[0..n), which is no character, that one U+FFFD stands for: as many as begin some
 * character, else one ("maximal subpart", the Unicode Standard 3.9). */
static size_t broken_length(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t whole = utf8_length(p[0]);
    if (whole < 3) return 1; /* of two bytes the first alone is missing its second */
    /* Only the second byte has limits of its own: behind it, any continuation byte shows whether the beginning is
     * good. */
    for (size_t have = whole - 1; have > 1; have--) {
        if (have > n) continue;
        char low[4] = {(char)0x80, (char)0x80, (char)0x80, (char)0x80};
        memcpy(low, s, have);
        if (utf8_char(low, whole) == whole) return have;
    }
    return 1;
}

size_t fix_encoding(const char *s, size_t n, char *out, int64_t *count)
{
    size_t len = 0, i = 0;
    if (n >= 3 && memcmp(s, BOM, 3) == 0) {
        i = 3;
        count[COUNT_ENCODING]++;
    }
    while (i < n) {
        size_t good = utf8_valid(s + i, n - i);
        memcpy(out + len, s + i, good);
        len += good;
        i += good;
        if (i == n) break;
        memcpy(out + len, REPLACEMENT, 3);
        len += 3;
        i += broken_length(s + i, n - i);
        count[COUNT_ENCODING]++;
    }
    return len;
}
