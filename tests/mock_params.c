/*
 * mock_params.c: what a record asks for itself, in its field `params`: a flat JSON object over the options of the
 * section. A strict reader of its own: nothing that RFC 8259 does not allow, no key twice, no text with a NUL.
 */
#include "mock_impl.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ITEMS 256 /* of an array or an object */

struct json {
    mock *m;
    const char *p, *end;
    const char *key; /* the one whose value is read, for messages */
    jv_err *err;
};

static int32_t bad(const struct json *j, const char *what)
{
    if (j->key) return jv_fail(j->err, JV_BAD, "params: %s: %s", j->key, what);
    return jv_fail(j->err, JV_BAD, "params: %s", what);
}

static char next(struct json *j)
{
    while (j->p < j->end && strchr(" \t\r\n", *j->p) && *j->p) j->p++;
    return j->p < j->end ? *j->p : 0;
}

static bool take(struct json *j, char c)
{
    if (next(j) != c) return false;
    j->p++;
    return true;
}

/* Four digits behind \u, or -1. */
static int32_t hex4(struct json *j)
{
    int32_t v = 0;
    for (int i = 0; i < 4; i++, j->p++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *d = j->p < j->end && *j->p ? strchr(digits, *j->p) : NULL;
        if (!d) return -1;
        int at = (int)(d - digits);
        v = v << 4 | (at < 16 ? at : at - 6);
    }
    return v;
}

static size_t put_utf8(char *to, int32_t c)
{
    int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const int lead[] = {0, 0xc0, 0xe0, 0xf0};
    to[0] = (char)(lead[more] | c >> (6 * more));
    for (int i = 1; i <= more; i++) to[i] = (char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
    return (size_t)more + 1;
}

/* What stands behind a backslash; 0: nothing that may. A text with a NUL is none. */
static size_t escape(struct json *j, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char c = j->p < j->end ? *j->p++ : 0;
    const char *at = c ? strchr(from, c) : NULL;
    if (at) return to[0] = into[at - from], 1;
    if (c != 'u') return 0;
    int32_t high = hex4(j), low = 0;
    if (high <= 0 || (high >= 0xdc00 && high < 0xe000)) return 0;
    if (high < 0xd800 || high >= 0xe000) return put_utf8(to, high);
    if (j->end - j->p < 2 || *j->p++ != '\\' || *j->p++ != 'u') return 0;
    low = hex4(j);
    if (low < 0xdc00 || low >= 0xe000) return 0;
    return put_utf8(to, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

static int32_t read_string(struct json *j, jv_str *s)
{
    if (!take(j, '"')) return bad(j, "a string was expected");
    char *text = mk_keep(j->m, j->p, (size_t)(j->end - j->p)); /* what is read is never longer than what stands there */
    size_t n = 0;
    for (; j->p < j->end && *j->p != '"';) {
        char c = *j->p++;
        if ((unsigned char)c < 0x20) return bad(j, "a control character in a string");
        size_t more = 1;
        if (c == '\\')
            more = escape(j, text + n);
        else
            text[n] = c;
        if (!more) return bad(j, "a wrong escape in a string");
        n += more;
    }
    if (j->p++ == j->end) return bad(j, "a string without end");
    text[n] = 0;
    *s = (jv_str){text, n};
    return JV_OK;
}

static size_t digits(struct json *j)
{
    const char *from = j->p;
    while (j->p < j->end && *j->p >= '0' && *j->p <= '9') j->p++;
    return (size_t)(j->p - from);
}

static bool read_number(struct json *j, jv_str *s)
{
    const char *from = j->p;
    if (*j->p == '-') j->p++;
    bool zero = j->p < j->end && *j->p == '0';
    size_t n = digits(j);
    if (!n || (zero && n > 1)) return false;
    if (j->p < j->end && *j->p == '.' && (j->p++, !digits(j))) return false;
    if (j->p < j->end && (*j->p == 'e' || *j->p == 'E')) {
        j->p++;
        if (j->p < j->end && (*j->p == '+' || *j->p == '-')) j->p++;
        if (!digits(j)) return false;
    }
    *s = (jv_str){mk_keep(j->m, from, (size_t)(j->p - from)), (size_t)(j->p - from)};
    return true;
}

static bool read_word(struct json *j, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(j->end - j->p) < n || strncmp(j->p, word, n)) return false;
    j->p += n;
    return true;
}

static const jv_str yes = {"yes", 3}, no = {"no", 2}; /* what true and false stand for */

/* A string, a number, true or false: as it would stand in the INI file. */
static int32_t read_scalar(struct json *j, jv_str *s)
{
    char c = next(j);
    if (c == '"') return read_string(j, s);
    if (read_word(j, "true")) return *s = yes, JV_OK;
    if (read_word(j, "false")) return *s = no, JV_OK;
    if ((c == '-' || (c >= '0' && c <= '9')) && read_number(j, s)) return JV_OK;
    return bad(j, "no value that an option can have");
}

/* The items of an array, or with `keys` the members of an object. */
static int32_t read_items(struct json *j, jv_str *keys, jv_str *vals, size_t *n)
{
    char close = keys ? '}' : ']';
    j->p++;
    *n = 0;
    if (take(j, close)) return JV_OK;
    do {
        if (*n == MAX_ITEMS) return bad(j, "too many items");
        int32_t rc = keys ? read_string(j, &keys[*n]) : JV_OK;
        if (rc < 0) return rc;
        if (keys && !mk_is_key(keys[*n].p, keys[*n].n)) return bad(j, "a key that no map can have");
        for (size_t i = 0; keys && i < *n; i++)
            if (!strcmp(keys[i].p, keys[*n].p)) return bad(j, "a key is there twice");
        if (keys && !take(j, ':')) return bad(j, "':' was expected");
        if ((rc = read_scalar(j, &vals[*n])) < 0) return rc;
        ++*n;
    } while (take(j, ','));
    return take(j, close) ? JV_OK : bad(j, "',' or the end was expected");
}

/* o null: an option of another stage, read over. */
static int32_t read_value(struct json *j, const jv_opt *o, void *into)
{
    jv_str keys[MAX_ITEMS], vals[MAX_ITEMS];
    size_t n;
    char c = next(j);
    if (read_word(j, "null")) return JV_OK;
    int32_t type = c == '[' ? JV_OPT_LIST : c == '{' ? JV_OPT_MAP : 0;
    if (o && type != (o->type == JV_OPT_LIST || o->type == JV_OPT_MAP ? o->type : 0)) return bad(j, "not of its type");
    int32_t rc = type ? read_items(j, type == JV_OPT_MAP ? keys : NULL, vals, &n) : read_scalar(j, vals);
    if (rc < 0 || !o) return rc;
    bool is_bool = !type && (vals[0].p == yes.p || vals[0].p == no.p);
    if (is_bool && (o->type != JV_OPT_CHOICE || strcmp(o->range, "no|yes"))) return bad(j, "not of its type");
    if (!type) return mk_set_text(j->m, o, into, vals[0].p, j->err);
    if (type == JV_OPT_MAP && !n && !o->def) return bad(j, "one key at least");
    jv_map map = {0};
    mk_set_items(j->m, &map.val, vals, n);
    if (type == JV_OPT_MAP) mk_set_items(j->m, &map.key, keys, n);
    if (type == JV_OPT_MAP)
        memcpy((char *)into + o->offset, &map, sizeof map);
    else
        memcpy((char *)into + o->offset, &map.val, sizeof map.val);
    return JV_OK;
}

static int32_t read_member(struct json *j, void *into, bool *seen)
{
    const jv_opt *opts = j->m->st->opts, *o = opts;
    jv_str key;
    j->key = NULL;
    int32_t rc = read_string(j, &key);
    if (rc < 0) return rc;
    j->key = key.p;
    if (!take(j, ':')) return bad(j, "':' was expected");
    while (o && o->name && (strcmp(o->name, key.p) || !(o->flags & JV_PER_RECORD))) o++;
    if (o && o->name) {
        if (seen[o - opts]) return bad(j, "it is there twice");
        seen[o - opts] = true;
        return read_value(j, o, into);
    }
    char *word = NULL;
    if (asprintf(&word, " %s ", key.p) < 0) mk_die("out of memory");
    bool known = j->m->others && strstr(j->m->others, word);
    free(word);
    return known ? read_value(j, NULL, NULL) : bad(j, "no option that a record may set");
}

static void copy_options(const mock *m, void *into)
{
    static const size_t size[] = {[JV_OPT_I64] = sizeof(int64_t),
        [JV_OPT_F64] = sizeof(double),
        [JV_OPT_TEXT] = sizeof(char *),
        [JV_OPT_CHOICE] = sizeof(int32_t),
        [JV_OPT_LIST] = sizeof(jv_list),
        [JV_OPT_REF] = sizeof(jv_ref),
        [JV_OPT_MAP] = sizeof(jv_map)};
    memset(into, 0, m->st->ctx_size);
    for (const jv_opt *o = m->st->opts; o && o->name; o++)
        memcpy((char *)into + o->offset, (char *)m->ctx + o->offset, size[o->type]);
}

int32_t mk_params(const jv_host *h, const jv_buf *b, void *into, jv_err *err)
{
    mock *m = mock_of(h);
    struct call *c = call_of(m);
    bool seen[MAX_KEYS] = {0};
    int slot = 0;
    if (!c || !c->b) mk_die("params() outside process");
    copy_options(m, into);
    while (slot < m->n_slots && strcmp(m->slots[slot].name, "params")) slot++;
    if (slot == m->n_slots || !b->v[slot].mem) return JV_OK;
    if (mk_fails(m, err)) return JV_FATAL;
    jv_str text = mk_text_of(&b->v[slot]);
    struct json j = {.m = m, .p = text.p, .end = text.p + text.n, .err = err};
    if (!take(&j, '{')) return bad(&j, "no JSON object");
    bool more = next(&j) != '}';
    while (more) {
        int32_t rc = read_member(&j, into, seen);
        if (rc < 0) return rc;
        more = take(&j, ',');
    }
    j.key = NULL;
    if (!take(&j, '}')) return bad(&j, "',' or '}' was expected");
    return next(&j) || j.p < j.end ? bad(&j, "something stands behind the object") : JV_OK;
}
