/*
 * expand.c: what stands behind a value as written. ${NAME} and ${NAME:-default} come from the environment,
 * ${section.key} from the file, a value that is @path from that file; $${ and a leading @@ stand for ${ and @. What
 * came from the command line is literal. A value that begins with ${section.key} inherits what that one's relative
 * path is relative to, so that `path = ${output.path}.measured` stays beside an output named on the command line.
 */
#include "conf.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ALL (64u << 20) /* all values together */
#define MAX_DEPTH 16

struct text {
    char *p;
    size_t n;
};

struct expansion {
    struct jvc_conf *conf;
    struct jvc_entry *entry;
    const char *dir;
    bool environment; /* nothing else stands for a reference */
    bool failed;
};

static void expand_entry(struct jvc_conf *conf, struct jvc_entry *e, int depth);

static void fail(struct expansion *x, char *text)
{
    if (!x->failed) jvc_problem(x->conf, x->entry->where, "`%s`: %s", x->entry->name, text);
    x->failed = true;
    free(text);
}

static void add(struct expansion *x, struct text *out, const char *s, size_t n)
{
    if (x->failed) return;
    if (n > JVC_VALUE_MOST - out->n) {
        fail(x, jvc_format("longer than %u bytes when expanded", JVC_VALUE_MOST));
        return;
    }
    out->p = jvc_grow(out->p, out->n + n + 1);
    memcpy(out->p + out->n, s, n);
    out->p[out->n += n] = 0;
}

/* The end of a reference that begins at s ("${"), at its closing brace, inner references passed over; null: none. */
static const char *reference_end(const char *s)
{
    int depth = 0;
    for (; *s; s++) {
        if (s[0] == '$' && s[1] == '{')
            depth++, s++;
        else if (*s == '}' && --depth == 0)
            return s;
    }
    return NULL;
}

static void expand_text(struct expansion *x, struct text *out, const char *s, size_t n, int depth);

/* ${section.key} */
static void from_file(struct expansion *x, struct text *out, char *name, int depth)
{
    char *dot = strchr(name, '.');
    if (x->environment) {
        fail(x, jvc_format("${%s}: here only the environment is known", name));
        return;
    }
    *dot = 0;
    struct jvc_section *s = jvc_conf_section(x->conf, name);
    struct jvc_entry *e = s ? jvc_section_entry(s, dot + 1) : NULL;
    *dot = '.';
    if (!e && x->conf->incomplete) {
        x->failed = true; /* it may stand in what was not read */
        return;
    }
    if (!e) {
        fail(x, jvc_format("${%s}: the file has no such %s", name, s ? "key in that section" : "section"));
        return;
    }
    if (e->state == JVC_UNDER_WAY) {
        fail(x, jvc_format("${%s} leads back to itself", name));
        return;
    }
    expand_entry(x->conf, e, depth + 1);
    if (!e->value) {
        x->failed = true; /* told at its own place */
        return;
    }
    if (!out->n) x->dir = e->dir;
    add(x, out, e->value, strlen(e->value));
}

/* ${...} from s to end (the closing brace). */
static void expand_reference(struct expansion *x, struct text *out, const char *s, const char *end, int depth)
{
    const char *inner = s + 2, *fallback = memmem(inner, (size_t)(end - inner), ":-", 2);
    size_t n = (size_t)((fallback ? fallback : end) - inner);
    char *name = jvc_strndup(inner, n);
    if (!n || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != n || *name == '.') {
        fail(x, jvc_format("`${%.60s}` names nothing", name));
    } else if (strchr(name, '.') && fallback) {
        fail(x, jvc_format("`${%s:-`: only a name from the environment takes a default", name));
    } else if (strchr(name, '.')) {
        from_file(x, out, name, depth);
    } else {
        const char *env = getenv(name);
        if (env && (*env || !fallback)) {
            if (!jvc_utf8_valid(env, strlen(env), NULL))
                fail(x, jvc_format("the environment's %s is not UTF-8", name));
            else
                add(x, out, env, strlen(env));
        } else if (fallback) {
            expand_text(x, out, fallback + 2, (size_t)(end - fallback - 2), depth + 1);
        } else {
            fail(x, jvc_format("the environment has no %s; ${%s:-default} gives one", name, name));
        }
    }
    free(name);
}

static void expand_text(struct expansion *x, struct text *out, const char *s, size_t n, int depth)
{
    const char *stop = s + n;
    if (depth > MAX_DEPTH) fail(x, jvc_format("${...} leads on more than %d times", MAX_DEPTH));
    while (s < stop && !x->failed) {
        const char *d = memchr(s, '$', (size_t)(stop - s));
        if (!d) d = stop;
        add(x, out, s, (size_t)(d - s));
        if (d == stop) return;
        if (stop - d >= 3 && !strncmp(d, "$${", 3)) {
            add(x, out, "${", 2);
            s = d + 3;
        } else if (stop - d >= 2 && d[1] == '{') {
            const char *end = reference_end(d);
            if (!end || end >= stop) {
                fail(x, jvc_format("`${` without its `}`; `$${` stands for the characters themselves"));
                return;
            }
            expand_reference(x, out, d, end, depth);
            s = end + 1;
        } else {
            add(x, out, d, 1);
            s = d + 1;
        }
    }
}

/* @path: the file's text without its last line break. */
static char *value_from_file(struct expansion *x, const char *path, const char *dir)
{
    jv_err err;
    size_t n;
    if (!*path) {
        fail(x, jvc_strdup("`@` names no file; `@@` stands for the character itself"));
        return NULL;
    }
    char *full = path[0] == '/' || !dir ? jvc_strdup(path) : jvc_format("%s/%s", dir, path);
    char *text = jvc_read_file(full, JVC_VALUE_MOST, &n, &err);
    struct jvc_nearest near;
    if (!text) fail(x, jvc_format("%s%s", err.text, jvc_nearest_file(&near, full)));
    if (text) jvc_conf_reads(x->conf, x->entry->name, full, x->entry->where);
    free(full);
    if (!text) return NULL;
    if (strlen(text) < n || !jvc_utf8_valid(text, n, NULL)) {
        fail(x, jvc_format("@%s is not UTF-8 text", path));
        free(text);
        return NULL;
    }
    if (n && text[n - 1] == '\n') text[--n] = 0;
    if (n && text[n - 1] == '\r') text[--n] = 0;
    return text;
}

static void expand_entry(struct jvc_conf *conf, struct jvc_entry *e, int depth)
{
    if (e->state != JVC_RAW || conf->expanded > MAX_ALL) return;
    if (e->literal) {
        e->value = e->raw;
        e->state = JVC_DONE;
        return;
    }
    struct expansion x = {.conf = conf, .entry = e, .dir = e->dir};
    struct text out = {0};
    const char *raw = e->raw;
    bool file = raw[0] == '@' && raw[1] != '@';
    e->state = JVC_UNDER_WAY;
    if (raw[0] == '@') raw++;
    add(&x, &out, "", 0);
    expand_text(&x, &out, raw, strlen(raw), depth);
    if (file && !x.failed) {
        char *text = value_from_file(&x, out.p, x.dir);
        free(out.p);
        out = (struct text){text, text ? strlen(text) : 0};
    }
    conf->expanded += out.n;
    if (conf->expanded > MAX_ALL) x.failed = true; /* told by jvc_expand_all */
    jvc_conf_own(conf, out.p);
    e->state = x.failed ? JVC_FAILED : JVC_DONE;
    if (x.failed) return;
    e->value = out.p;
    e->dir = x.dir;
}

void jvc_expand_all(struct jvc_conf *conf)
{
    for (size_t i = 0; i < conf->n; i++)
        for (size_t k = 0; k < conf->sections[i].n; k++) {
            struct jvc_entry *e = &conf->sections[i].entries[k];
            if (conf->expanded > MAX_ALL) return;
            expand_entry(conf, e, 0);
            if (conf->expanded > MAX_ALL)
                jvc_problem(conf, (struct jvc_where){e->where.file},
                    "with [%s] %s (%s:%d) all values together are longer than %u bytes", conf->sections[i].name,
                    e->name, e->where.file, e->where.line, MAX_ALL);
        }
}

char *jvc_expand_environment(struct jvc_conf *conf, const char *key, const char *raw, struct jvc_where where)
{
    struct jvc_entry e = {.name = key, .where = where};
    struct expansion x = {.conf = conf, .entry = &e, .environment = true};
    struct text out = {0};
    add(&x, &out, "", 0);
    if (raw[0] == '@' && raw[1] != '@') fail(&x, jvc_strdup("a path from a file: here it stands itself"));
    if (raw[0] == '@') raw++;
    expand_text(&x, &out, raw, strlen(raw), 0);
    jvc_conf_own(conf, out.p);
    return x.failed ? NULL : out.p;
}
