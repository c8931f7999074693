/* json.h: writing JSON, for what the host itself says to machines. */
#ifndef JVC_JSON_H
#define JVC_JSON_H

#include "util.h"

/* A string in quotes. Bytes that are no UTF-8 have no place in JSON: give those to jvc_json_base64. */
void jvc_json_string(FILE *f, const char *s, size_t n);
/* "..." with the bytes in base64 (RFC 4648). */
void jvc_json_base64(FILE *f, const char *s, size_t n);
/* The shortest digits that read back as the same double; null for NaN and infinities, which JSON lacks. */
void jvc_json_double(FILE *f, double d);

#endif
