/*
 * route: sends each record one of several ways, by what one of its fields says.
 *
 *     [lang]
 *     plugin = route
 *     in = language
 *     to.english = en, en-GB
 *     to.german = de
 *     to.rest = *
 *
 *     [ask_german]
 *     plugin = prompt
 *     from = lang.german
 *
 * Each `to.KEY = rule` is a port called KEY. The rules are tried in the order of the file, and the record goes where
 * the first one fits; where none does, it is dropped. rule.h has their language.
 */
#include <stdlib.h>
#include <string.h>

#include "../mistakes.h"
#include "jevons.h"
#include "rule.h"

struct route {
    const jv_host *h;
    const char *in;
    jv_map to;
    int32_t row, type;
    struct rule *rules; /* to.key.n of them */
};

static const jv_opt opts[] = {
    JV_OPT(struct route, in, NULL, "", "the field (or counter, or id) that the rules look at"),
    JV_OPT(struct route, to, NULL, "", "the rule for the port KEY: *, or values, or one of = != < <= > >= and values"),
    {0},
};

static bool is_number(const struct route *g)
{
    return g->type == JV_I64 || g->type == JV_F64;
}

static int32_t bind(struct route *g, jv_err *err)
{
    const jv_column *c;
    for (uint32_t i = 0; (c = g->h->column(g->h, i)); i++)
        if (strcmp(c->name, g->in) == 0) break;
    g->type = c ? c->type : JV_UTF8; /* nobody sets it: `field` says so, in the host's words */
    if (g->type == JV_I32S || g->type == JV_F32S)
        return jv_fail(err, JV_BAD, "`in = %s`: a rule looks at a text or a number, and this is an array", g->in);
    g->row = g->h->field(g->h, g->in, g->type, JV_IN, err);
    return g->row < 0 ? g->row : JV_OK;
}

/* Puts "`to.KEY`: " in front of what a rule's parser said. */
static int32_t blame(const struct route *g, size_t i, jv_err *err)
{
    jv_err why = *err;
    return jv_fail(err, why.code, "`to.%.64s`: %.400s", g->to.key.v[i].p, why.text);
}

/* Of a field that is not known it is a mistake only where it would be one for a text and for a number. */
static int32_t open_rule(struct route *g, size_t i, bool known, jv_err *err)
{
    struct rule *r = &g->rules[i];
    const char *text = g->to.val.v[i].p;
    if (rule_parse(r, text, is_number(g), err) == JV_OK) return JV_OK;
    jv_err other;
    rule_free(r);
    if (!known && rule_parse(r, text, !is_number(g), &other) == JV_OK) return JV_OK;
    return blame(g, i, err);
}

static int32_t route_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct route *g = ctx;
    g->h = h;
    size_t n = g->to.key.n;
    if (n > JV_MAX_PORTS)
        return jv_fail(err, JV_BAD, "`to.%.64s`: %zu rules, and at most %d can be", g->to.key.v[JV_MAX_PORTS].p, n,
            JV_MAX_PORTS);
    g->rules = calloc(n, sizeof *g->rules);
    if (!g->rules) return jv_fail(err, JV_FATAL, "no memory for %zu rules", n);
    int32_t rc = JV_OK;
    mistakes_add(h, bind(g, err), err, &rc);
    bool known = rc == JV_OK;
    size_t all = n; /* the rule that takes everything */
    for (size_t i = 0; i < n; i++) {
        int32_t one = open_rule(g, i, known, err);
        if (one == JV_OK && all < i)
            one = jv_fail(err, JV_BAD, "`to.%.64s`: nothing comes so far, since `to.%.64s = *` takes everything",
                g->to.key.v[i].p, g->to.key.v[all].p);
        if (one == JV_OK && g->rules[i].op == RULE_ALL && all == n) all = i;
        mistakes_add(h, one, err, &rc);
    }
    return rc;
}

/* A record's value. */
struct value {
    bool absent;
    jv_str text;
    struct rule_number number;
};

/* A number has no value of its own for absent, so it is asked twice. */
static struct value read_value(const struct route *g, const jv_buf *b)
{
    const jv_host *h = g->h;
    struct value v = {0};
    if (g->type == JV_I64) {
        v.number = (struct rule_number){.whole = true, .i = h->get_i64(h, b, g->row, 0)};
        v.absent = v.number.i == 0 && h->get_i64(h, b, g->row, 1) == 1;
    } else if (g->type == JV_F64) {
        v.number = (struct rule_number){.d = h->get_f64(h, b, g->row, 0)};
        v.absent = v.number.d == 0 && h->get_f64(h, b, g->row, 1) == 1;
    } else {
        v.text = h->get(h, b, g->row);
        v.absent = !v.text.p;
    }
    return v;
}

static int32_t route_process(void *ctx, jv_buf *b, jv_err *err)
{
    const struct route *g = ctx;
    struct value v = read_value(g, b);
    for (size_t i = 0; i < g->to.key.n; i++) {
        const struct rule *r = &g->rules[i];
        bool fits = v.absent       ? r->op == RULE_ALL
                    : is_number(g) ? rule_fits_number(r, v.number)
                                   : rule_fits_text(r, v.text);
        if (fits) return (int32_t)i;
    }
    return jv_drop(err, v.absent ? "no rule fits: the field is absent" : "no rule fits");
}

static void route_close(void *ctx)
{
    struct route *g = ctx;
    for (size_t i = 0; g->rules && i < g->to.key.n; i++) rule_free(&g->rules[i]);
    free(g->rules);
    g->rules = NULL;
}

static const jv_port ports[] = {{"to.*", "the records that the rule fits, and none before it", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "route",
    .brief = "sends each record one of several ways, by what one of its fields says",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct route),
    .threads = 1,
    .ports = ports,
    .opts = opts,
    .open = route_open,
    .process = route_process,
    .close = route_close,
}};

JV_PLUGIN("route", "1.0", "MIT", stages);
