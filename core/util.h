/*
 * util.h: the few helpers every part of the host uses: memory that cannot fail while a pipeline is being set up,
 * growing arrays, UTF-8, nearest names, one place where messages go.
 */
#ifndef JVC_UTIL_H
#define JVC_UTIL_H

#include "jevons.h"

#include <stdbool.h>

/* While a pipeline is set up nothing sensible can follow a failed allocation: these say so and end the process with
 * 1. */
void *jvc_alloc(size_t n); /* zeroed */
void *jvc_grow(void *p, size_t n);
char *jvc_strndup(const char *s, size_t n);
char *jvc_strdup(const char *s);
JV_PRINTF(1, 2) char *jvc_format(const char *fmt, ...);
_Noreturn void jvc_no_memory(void);

/* Makes room for one more item: `items = jvc_room(items, n, sizeof *items)`; grows by powers of two. */
void *jvc_room(void *items, size_t n, size_t item_size);

/* Memory that is freed together; begins as {0}. Unlike the above it may fail: for work on records. */
struct jvc_arena {
    struct jvc_piece *pieces;
};
void *jvc_arena_get(struct jvc_arena *a, size_t n);                 /* not zeroed; aligned to 16; null: no memory */
char *jvc_arena_text(struct jvc_arena *a, const char *s, size_t n); /* a copy of n bytes, and a NUL */
void jvc_arena_free(struct jvc_arena *a);

/* A name as sections, keys and the keys of maps have it: n letters, digits, _ and -, at least one. */
bool jvc_name_ok(const char *s, size_t n);

/* Whether n bytes are valid UTF-8 (RFC 3629); *bad, if not null, is the offset of the first byte that is not. */
bool jvc_utf8_valid(const char *s, size_t n, size_t *bad);
/* Whether a cut before s[at] of n bytes of UTF-8 falls between two characters. */
bool jvc_utf8_boundary(const char *s, size_t n, size_t at);

#define JVC_NEAREST_MOST 64 /* bytes of a name; longer ones are near to none */

/* The name among the candidates that is nearest to `name`, or null when none is near. Give one at a time. A letter
 * changed, added or left out is one slip, and so are two neighbours in the wrong order. */
struct jvc_nearest {
    const char *name, *best; /* best lies in this struct */
    size_t distance;
    char kept[JVC_NEAREST_MOST + 1], hint[96];
};
void jvc_nearest_try(struct jvc_nearest *n, const char *candidate);
/* ", did you mean `NAME`?" or an empty text; valid as long as n. */
const char *jvc_nearest_hint(struct jvc_nearest *n);

/* The same for a path of which something is not there: the name in its folder that is nearest to the first such one. */
const char *jvc_nearest_file(struct jvc_nearest *n, const char *path);

/* Makes what a plugin left in err fit to be told: ended, for it may be filled to the brim, and of an error not empty. */
void jvc_err_end(jv_err *err, int32_t rc);

/* A whole file: n bytes and a NUL; free(). Null and err on failure or when it is larger than `most`. */
char *jvc_read_file(const char *path, size_t most, size_t *n, jv_err *err);

/* Nanoseconds of a clock that only goes forward. */
int64_t jvc_now(void);
/* The same clock as it stood at its last tick, some milliseconds ago; a fifth of the price. */
int64_t jvc_tick(void);

extern bool jvc_quiet; /* no lines of information, no table; warnings and errors still */

/* Puts ? in the place of control characters and of what is no UTF-8: a file's name must not command a terminal, and a
 * text that was cut may end within a character. */
void jvc_make_printable(char *text);

/* A line on stderr: "jevons: text", made printable. */
JV_PRINTF(1, 2) void jvc_say(const char *fmt, ...);
/* Called before each line, under the lock of stderr, where it is not null: clears the place of what is in the way. */
extern void (*jvc_say_before)(void);

#endif
