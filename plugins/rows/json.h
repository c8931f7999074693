/*
 * json.h: walks over JSON (RFC 8259) where it stands. Nothing is built and no number is converted, so what is passed
 * on keeps the spelling it came with: 1e400, 12345678901234567890 and 0.10 stay what they are.
 *
 *     struct json j = {.p = text, .n = n};
 *     if (json_value(&j, &value) && json_end(&j)) ...       one value and nothing behind it
 *     else ... j.what at byte j.at
 *
 * The text must be UTF-8. Stricter than the grammar in one point: a \u escape that is half of a surrogate pair is an
 * error, for there is no character that it could mean. Arrays and objects may be JSON_DEPTH deep.
 */
#ifndef JV_ROWS_JSON_H
#define JV_ROWS_JSON_H

#include "row.h"

#define JSON_DEPTH 64

struct json {
    const char *p;
    size_t n, at;
    int depth;
    const char *what; /* null, or why the byte `at` cannot stand there */
};

void json_space(struct json *j);
/* The value at `at`, spaces before it skipped; `at` goes behind it. The span has no spaces around it. */
bool json_value(struct json *j, jv_str *value);
/* Whether only spaces follow. */
bool json_end(struct json *j);

/* Members of an object, elements of an array, one a call: `at` is behind the bracket that opens it. 1: a value; 0: it
 * is closed, and `at` behind it; -1: `what`. `first` is true in the first call. The key is the span with its quotes. */
int json_member(struct json *j, bool first, jv_str *key, jv_str *value);
int json_element(struct json *j, bool first, jv_str *value);

/* What kind of value a valid span is: "an object", "a number", "null", ... */
const char *json_kind(jv_str value);
/* Adds the text that a valid string, given with its quotes, means. */
void json_text(struct row *out, jv_str string);

#endif
