/*
 * jinja.h: a small, bounded interpreter of the Jinja templates that model files carry
 * (https://jinja.palletsprojects.com/templates/, the part that chat templates use). A template is hostile: parsing
 * bounds size and depth; rendering has a budget of steps, of output bytes and of memory; nothing outside the
 * values given can be reached. Every byte of every string remembers whether the template's author wrote it
 * (trusted) or it came in with a value, through concatenation, slicing, filters and all; so that the text of a
 * message can never pass for a control token.
 */
#ifndef JINJA_H
#define JINJA_H

#include "jevons.h"

#include <stdbool.h>

typedef struct jinja jinja;             /* a parsed template; read-only, any thread */
typedef struct jinja_value jinja_value; /* a value to render with; owned by its maker, then by what it was put into */

/* JV_OK and *out; BAD: what the template says is wrong or not supported: err has "line L, column C: ...". FATAL:
 * no memory. */
int32_t jinja_parse(jv_str source, jinja **out, jv_err *err);
void jinja_free(jinja *t); /* null is fine */

/* Values; each maker answers null when out of memory. jinja_put and jinja_append take ownership of `v` also on
 * failure (< 0), and fail when v is null.
 * A key is put once: of two equal ones in a map the first is found. Keys count as untrusted. Values may be nested
 * 64 deep. */
jinja_value *jinja_null(void);
jinja_value *jinja_bool(bool b);
jinja_value *jinja_int(int64_t i);
jinja_value *jinja_float(double d);
jinja_value *jinja_string(jv_str s, bool trusted); /* copied; UTF-8 */
jinja_value *jinja_list(void);
jinja_value *jinja_map(void);
int32_t jinja_append(jinja_value *list, jinja_value *v);
int32_t jinja_put(jinja_value *map, const char *key, jinja_value *v);
void jinja_value_free(jinja_value *v); /* null is fine */

typedef struct jinja_text {
    char *text;       /* n bytes, then a NUL; free() */
    uint8_t *trusted; /* a byte per byte: 1 where the template's author wrote it; free() */
    size_t n;
} jinja_text;

#define JINJA_MAX_SOURCE (1u << 20)
#define JINJA_MAX_STEPS 2000000u
#define JINJA_MAX_OUTPUT (64u << 20)

/* Renders with the names in `globals` (a map). BAD: raise_exception (with its message), a wrong type, a budget
 * used up; err has line and column. out is {0} unless JV_OK. */
int32_t jinja_render(const jinja *t, const jinja_value *globals, jinja_text *out, jv_err *err);

#endif
