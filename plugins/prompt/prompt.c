/*
 * prompt: builds a text from a template and the fields of the record.
 *
 *     [ask]
 *     plugin = prompt
 *     text = Read this page of {id} and name its authors: {text}
 *
 * `{name}` stands for a field, a counter or `id`; `{{` and `}}` are single braces. Names are checked at load; text
 * goes in as it is, whole numbers in decimal, others in the fewest digits that read back as the same number. A record
 * in which a named field is absent is rejected. The template is taken apart once, in open; process only measures and
 * copies, so any number of threads may.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../mistakes.h"
#include "jevons.h"

/* One stretch of the template: literal text, or a field when row >= 0. */
struct part {
    int32_t row, type;
    const char *p; /* the literal, or the field's name, which need not end with a NUL */
    size_t n;
};

struct prompt {
    const jv_host *h;
    struct part *parts;
    size_t n_parts;
    const char *text;
};

enum { OUT };

static const jv_field fields[] = {
    {"out", JV_UTF8, JV_OUT, "prompt", "the finished text"},
    {0},
};

static const jv_opt opts[] = {
    JV_OPT(struct prompt, text, NULL, "", "the template: {field} is replaced by the field, {{ and }} are braces"),
    {0},
};

/* As what a field is read: a number as itself, all else as text. What is neither, or is set by nobody, `field` refuses
 * in the host's words. */
static int32_t column_type(const jv_host *h, const char *name)
{
    const jv_column *c;
    for (uint32_t i = 0; (c = h->column(h, i)); i++)
        if (strcmp(c->name, name) == 0 && (c->type == JV_I64 || c->type == JV_F64)) return c->type;
    return JV_UTF8;
}

/* Binds the name p[0..n) to a row; a name used twice is bound once. */
static int32_t bind(struct prompt *g, struct part *part, const char *p, size_t n, jv_err *err)
{
    for (size_t i = 0; i < g->n_parts; i++) {
        const struct part *old = &g->parts[i];
        if (old->row < 0 || old->n != n || memcmp(old->p, p, n)) continue;
        *part = *old;
        return JV_OK;
    }
    char name[256];
    if (n >= sizeof name) return jv_fail(err, JV_BAD, "`text`: a name of %zu bytes in braces", n);
    memcpy(name, p, n);
    name[n] = 0;
    int32_t type = column_type(g->h, name);
    int32_t row = g->h->field(g->h, name, type, JV_IN, err);
    if (row < 0) return row;
    *part = (struct part){row, type, p, n};
    return JV_OK;
}

/* Takes apart the template at *s: one literal or one {name}. */
static int32_t parse_part(struct prompt *g, const char **s, jv_err *err)
{
    const char *p = *s;
    size_t n;
    struct part *part = &g->parts[g->n_parts];
    if ((*p == '{' || *p == '}') && p[1] == *p) { /* an escaped brace: the second one is the literal */
        *part = (struct part){-1, 0, p, 1};
        *s = p + 2;
    } else if (*p == '}') {
        return jv_fail(err, JV_BAD, "`text`: '}' at byte %td closes nothing: write }}", p - g->text);
    } else if (*p == '{') {
        n = strcspn(p + 1, "{}\n");
        if (p[1 + n] != '}')
            return jv_fail(err, JV_BAD, "`text`: '{' at byte %td is not closed: write {{", p - g->text);
        if (n == 0) return jv_fail(err, JV_BAD, "`text`: {} at byte %td names no field", p - g->text);
        int32_t rc = bind(g, part, p + 1, n, err);
        *s = p + n + 2;
        if (rc < 0) return rc;
    } else {
        n = strcspn(p, "{}");
        *part = (struct part){-1, 0, p, n};
        *s = p + n;
    }
    g->n_parts++;
    return JV_OK;
}

static int32_t prompt_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct prompt *g = ctx;
    g->h = h;
    if (!*g->text) return jv_fail(err, JV_BAD, "`text` is empty");
    size_t braces = 0;
    for (const char *p = g->text; (p = strpbrk(p, "{}")); p++) braces++;
    /* Each brace ends at most one literal and begins at most one part. Kept until close, so not the host's scratch. */
    g->parts = calloc(2 * braces + 1, sizeof *g->parts);
    if (!g->parts) return jv_fail(err, JV_FATAL, "no memory for a template of %zu braces", braces);
    int32_t rc = JV_OK;
    for (const char *s = g->text, *at = NULL; s != at && *(at = s);) /* past an unknown name */
        mistakes_add(h, parse_part(g, &s, err), err, &rc);
    return rc;
}

/* A part of this record: its bytes, or those in `digits`. */
struct piece {
    jv_str s;
    char digits[32];
};

/* The fewest digits, of 15 to 17, that read back as v: 17 always do. */
static void print_f64(struct piece *out, double v)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out->digits, sizeof out->digits, "%.*g", digits, v);
        if (isnan(v) || strtod(out->digits, NULL) == v) break;
    }
}

/* Fills a piece with the value of a field; false when it is absent. Numbers have no value of their own for that, so
 * they are asked twice. */
static int read_field(const jv_host *h, const jv_buf *b, const struct part *part, struct piece *out)
{
    if (part->type == JV_UTF8) {
        out->s = h->get(h, b, part->row);
        return out->s.p != NULL;
    }
    if (part->type == JV_I64) {
        int64_t v = h->get_i64(h, b, part->row, 0);
        if (v == 0 && h->get_i64(h, b, part->row, 1) == 1) return 0;
        snprintf(out->digits, sizeof out->digits, "%lld", (long long)v);
    } else {
        double v = h->get_f64(h, b, part->row, 0);
        if (v == 0 && h->get_f64(h, b, part->row, 1) == 1) return 0;
        print_f64(out, v);
    }
    out->s = (jv_str){out->digits, strlen(out->digits)};
    return 1;
}

static int32_t prompt_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct prompt *g = ctx;
    const jv_host *h = g->h;
    struct piece *pieces = h->scratch(h, g->n_parts * sizeof *pieces, err);
    if (!pieces) return JV_FATAL;
    size_t total = 0;
    for (size_t i = 0; i < g->n_parts; i++) {
        const struct part *part = &g->parts[i];
        pieces[i].s = (jv_str){part->p, part->n};
        if (part->row >= 0 && !read_field(h, b, part, &pieces[i]))
            return jv_fail(err, JV_BAD, "field '%.*s' is absent", (int)part->n, part->p);
        if (pieces[i].s.n > SIZE_MAX / 2 - total) return jv_fail(err, JV_BAD, "the text is too long to address");
        total += pieces[i].s.n;
    }
    char *out = h->put(h, b, OUT, total, err);
    if (!out) return JV_FATAL;
    for (size_t i = 0; i < g->n_parts; i++) {
        if (pieces[i].s.n) memcpy(out, pieces[i].s.p, pieces[i].s.n);
        out += pieces[i].s.n;
    }
    return JV_OK;
}

static void prompt_close(void *ctx)
{
    struct prompt *g = ctx;
    free(g->parts);
    g->parts = NULL;
}

static const jv_port ports[] = {{"out", "records with the text", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "prompt",
    .brief = "builds a text from a template and the fields of the record",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct prompt),
    .threads = 1,
    .fields = fields,
    .ports = ports,
    .opts = opts,
    .open = prompt_open,
    .process = prompt_process,
    .close = prompt_close,
}};

JV_PLUGIN("prompt", "1.0", "MIT", stages);
