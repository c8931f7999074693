/*
 * json.h: the host's own JSON (RFC 8259): a writer, for what the host itself says to machines, and a strict reader of
 * flat objects, for the parameters of a record.
 */
#ifndef JVC_JSON_H
#define JVC_JSON_H

#include "util.h"

/* A string in quotes. Bytes that are no UTF-8 have no place in JSON: give those to jvc_json_base64. */
void jvc_json_string(FILE *f, const char *s, size_t n);
/* "..." with the bytes in base64 (RFC 4648). */
void jvc_json_base64(FILE *f, const char *s, size_t n);
/* The shortest digits that read back as the same double; null for NaN and infinities, which JSON lacks. */
void jvc_json_double(FILE *f, double d);

#define JVC_JSON_MOST (1u << 20)   /* bytes of a text */
#define JVC_JSON_VALUES (1u << 16) /* in all */
#define JVC_JSON_KEYS 1024u        /* of one object */

enum jvc_json_type {
    JVC_JSON_NULL,
    JVC_JSON_FALSE,
    JVC_JSON_TRUE,
    JVC_JSON_NUMBER,
    JVC_JSON_STRING,
    JVC_JSON_ARRAY,
    JVC_JSON_OBJECT,
};

struct jvc_json_value {
    enum jvc_json_type type;
    uint32_t n;  /* of an array or object: how many scalars are in it; they are the values that follow */
    uint32_t at; /* where it begins in the text, in bytes */
    jv_str key;  /* of a member of an object; ends with NUL */
    jv_str text; /* of a number as it is spelled, of a string without its escapes, else its word; ends with NUL */
};

/* The members of the one object that the text is, in its order: v[i + 1 + v[i].n] follows v[i] on the upper level. */
struct jvc_json {
    struct jvc_json_value *v;
    uint32_t n; /* of both levels */
};

/* Reads an object whose values are scalars, arrays of scalars and objects of scalars. No key stands twice in an object,
 * no string holds a NUL, nothing is read that RFC 8259 does not allow. What it allocates belongs to mem. JV_OK; BAD with
 * the place in bytes; FATAL: no memory. */
int32_t jvc_json_read(struct jvc_json *j, const char *text, size_t n, struct jvc_arena *mem, jv_err *err);

#endif
