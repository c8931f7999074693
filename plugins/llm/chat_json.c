/* chat_json.c: conversations come from anybody: JSON is parsed strictly (jansson: no key twice), and what is wrong with
 * a message is told with its number. */
#include "chat_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 60 /* a template takes values 64 deep (jinja.h), and these stand a few levels down */

/* ---- JSON to values ---------------------------------------------------------------------------------------------- */

static jinja_value *to_value(const json_t *j);

static jinja_value *to_list(const json_t *j)
{
    jinja_value *list = jinja_list();
    for (size_t i = 0; list && i < json_array_size(j); i++) {
        if (jinja_append(list, to_value(json_array_get(j, i))) == JV_OK) continue;
        jinja_value_free(list);
        list = NULL;
    }
    return list;
}

static jinja_value *to_map(const json_t *j)
{
    jinja_value *map = jinja_map();
    for (void *at = json_object_iter((json_t *)j); map && at; at = json_object_iter_next((json_t *)j, at)) {
        if (jinja_put(map, json_object_iter_key(at), to_value(json_object_iter_value(at))) == JV_OK) continue;
        jinja_value_free(map);
        map = NULL;
    }
    return map;
}

/* Null: no memory. */
static jinja_value *to_value(const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_NULL: return jinja_null();
    case JSON_TRUE: return jinja_bool(true);
    case JSON_FALSE: return jinja_bool(false);
    case JSON_INTEGER: return jinja_int(json_integer_value(j));
    case JSON_REAL: return jinja_float(json_real_value(j));
    case JSON_STRING: return jinja_string((jv_str){json_string_value(j), json_string_length(j)}, false);
    case JSON_ARRAY: return to_list(j);
    default: return to_map(j);
    }
}

static bool too_deep(const json_t *j, uint32_t depth)
{
    if (depth > MAX_DEPTH) return true;
    for (size_t i = 0; i < json_array_size(j); i++)
        if (too_deep(json_array_get(j, i), depth + 1)) return true;
    for (void *at = json_object_iter((json_t *)j); at; at = json_object_iter_next((json_t *)j, at))
        if (too_deep(json_object_iter_value(at), depth + 1)) return true;
    return false;
}

static int32_t parse(jv_str text, const char *what, int32_t kind, json_t **out, jv_err *err)
{
    json_error_t e;
    *out = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
    if (!*out && json_error_code(&e) == json_error_out_of_memory)
        return jv_fail(err, JV_FATAL, "no memory for %zu bytes of JSON", text.n);
    if (!*out) return jv_fail(err, JV_BAD, "%s: line %d, column %d: %s", what, e.line, e.column, e.text);
    bool right = kind == CHAT_LIST ? json_is_array(*out) : json_is_object(*out);
    if (right && !too_deep(*out, 0)) return JV_OK;
    json_decref(*out);
    *out = NULL;
    if (right) return jv_fail(err, JV_BAD, "%s: nested more than %d deep", what, MAX_DEPTH);
    return jv_fail(err, JV_BAD, "%s: no JSON %s", what, kind == CHAT_LIST ? "list" : "object");
}

static int32_t finish(json_t *j, jinja_value **out, jv_err *err)
{
    *out = to_value(j);
    json_decref(j);
    return *out ? JV_OK : jv_fail(err, JV_FATAL, "no memory for a conversation");
}

int32_t chat_json(jv_str text, const char *what, int32_t kind, jinja_value **out, jv_err *err)
{
    json_t *j;
    int32_t rc = parse(text, what, kind, &j, err);
    return rc == JV_OK ? finish(j, out, err) : rc;
}

int32_t chat_json_values(jv_str text, const char *const *taken, jinja_value *to, jv_err *err)
{
    json_t *j;
    int32_t rc = parse(text, "values", CHAT_OBJECT, &j, err);
    if (rc != JV_OK) return rc;
    for (void *at = json_object_iter(j); at && rc == JV_OK; at = json_object_iter_next(j, at)) {
        const char *key = json_object_iter_key(at);
        for (size_t i = 0; taken[i]; i++)
            if (strcmp(key, taken[i]) == 0) rc = jv_fail(err, JV_BAD, "values: \"%s\" is given otherwise", key);
        if (rc == JV_OK && jinja_put(to, key, to_value(json_object_iter_value(at))) < 0)
            rc = jv_fail(err, JV_FATAL, "no memory for values");
    }
    json_decref(j);
    return rc;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* How many bytes the texts of the parts have together, newlines between them. < 0: err says what is wrong. */
static int64_t parts_size(const json_t *parts, size_t message, jv_err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i), *text = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!json_is_string(text) || (type && strcmp(type, "text") != 0))
            return jv_fail(err, JV_BAD, "messages: part %zu of message %zu is %s%.40s: only texts can be read", i,
                message, type ? "of type " : "no text", type ? type : "");
        n += json_string_length(text) + (i > 0);
    }
    return (int64_t)n;
}

/* {"content": [{"type": "text", "text": T}, ...]} to {"content": "T\n..."} */
static int32_t join_parts(json_t *message, size_t number, jv_err *err)
{
    const json_t *parts = json_object_get(message, "content");
    int64_t size = parts_size(parts, number, err);
    if (size < 0) return JV_BAD;
    char *p = malloc((size_t)size + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < json_array_size(parts); i++) {
        const json_t *text = json_object_get(json_array_get(parts, i), "text");
        if (i > 0) p[n++] = '\n';
        memcpy(p + n, json_string_value(text), json_string_length(text));
        n += json_string_length(text);
    }
    json_t *all = p ? json_stringn(p, n) : NULL;
    free(p);
    return json_object_set_new(message, "content", all) == 0 ? JV_OK : jv_fail(err, JV_FATAL, "no memory for a message");
}

/* Arguments as an object, or as a string of JSON. */
static int32_t convert_arguments(json_t *function, bool objects, size_t message, jv_err *err)
{
    const json_t *given = json_object_get(function, "arguments");
    json_t *wanted = NULL;
    if (objects && json_is_string(given)) {
        jv_str text = {json_string_value(given), json_string_length(given)};
        char what[80];
        snprintf(what, sizeof what, "messages: arguments of a tool call in message %zu", message);
        if (text.n == 0) text = (jv_str){"{}", 2};
        int32_t rc = parse(text, what, CHAT_OBJECT, &wanted, err);
        if (rc != JV_OK) return rc;
    } else if (!objects && json_is_object(given)) {
        char *text = json_dumps(given, 0);
        wanted = text ? json_string(text) : NULL;
        free(text);
    } else {
        return JV_OK;
    }
    return json_object_set_new(function, "arguments", wanted) == 0 ? JV_OK
                                                                   : jv_fail(err, JV_FATAL, "no memory for a tool call");
}

static int32_t convert_calls(json_t *message, bool objects, size_t number, jv_err *err)
{
    const json_t *calls = json_object_get(message, "tool_calls"), *content = json_object_get(message, "content");
    int32_t rc = JV_OK;
    for (size_t i = 0; i < json_array_size(calls) && rc == JV_OK; i++) {
        json_t *call = json_array_get(calls, i), *function = json_object_get(call, "function");
        rc = convert_arguments(json_is_object(function) ? function : call, objects, number, err);
    }
    if (rc != JV_OK || json_array_size(calls) == 0) return rc;
    if (content && !(json_is_string(content) && json_string_length(content) == 0)) return JV_OK;
    return json_object_set_new(message, "content", json_null()) == 0 ? JV_OK
                                                                     : jv_fail(err, JV_FATAL, "no memory for a message");
}

static int32_t convert(json_t *message, bool objects, size_t number, jv_err *err)
{
    if (!json_is_object(message)) return jv_fail(err, JV_BAD, "messages: message %zu is no JSON object", number);
    if (!json_is_string(json_object_get(message, "role")))
        return jv_fail(err, JV_BAD, "messages: message %zu has no role", number);
    const json_t *content = json_object_get(message, "content");
    if (content && !json_is_string(content) && !json_is_null(content) && !json_is_array(content))
        return jv_fail(err, JV_BAD, "messages: the content of message %zu is neither a string nor a list of parts",
            number);
    int32_t rc = json_is_array(content) ? join_parts(message, number, err) : JV_OK;
    return rc == JV_OK ? convert_calls(message, objects, number, err) : rc;
}

int32_t chat_json_messages(jv_str text, bool objects, jinja_value **out, jv_err *err)
{
    json_t *j;
    int32_t rc = parse(text, "messages", CHAT_LIST, &j, err);
    if (rc != JV_OK) return rc;
    for (size_t i = 0; i < json_array_size(j) && rc == JV_OK; i++) rc = convert(json_array_get(j, i), objects, i, err);
    if (rc == JV_OK) return finish(j, out, err);
    json_decref(j);
    return rc;
}
