/* chat_json.h: the JSON of a conversation as values for a template. */
#ifndef CHAT_JSON_H
#define CHAT_JSON_H

#include "jinja.h"

#define CHAT_LIST 1
#define CHAT_OBJECT 2

/* Any JSON of this kind. `what` names it in errors. JV_OK and *out, BAD or FATAL. */
int32_t chat_json(jv_str text, const char *what, int32_t kind, jinja_value **out, jv_err *err);
/* A list of messages, changed as chat_render says. objects: the template wants the arguments of tool calls so. */
int32_t chat_json_messages(jv_str text, bool objects, jinja_value **out, jv_err *err);
/* Puts the members of an object into a map that has none of them; `taken` (ends with null) may not be among them. */
int32_t chat_json_values(jv_str text, const char *const *taken, jinja_value *to, jv_err *err);

#endif
