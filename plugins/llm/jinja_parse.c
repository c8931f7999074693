/* jinja_parse.c: tags to nodes, and the parser's entry. Everything that Jinja has and this interpreter lacks is
 * refused here, by name. */
#include "jinja_impl.h"

#include <stdlib.h>
#include <string.h>

static node *parse_body(parser *p, const char *const *ends);

/* ---- tools, also for jinja_expr.c ---- */

node *jj_node(parser *p, int kind, uint32_t at)
{
    node *n = jj_array(p->j, 1, sizeof *n);
    n->kind = (uint8_t)kind;
    n->at = at;
    return n;
}

void jj_add(parser *p, node *parent, node *kid)
{
    if (parent->n == parent->cap) {
        uint32_t cap = parent->cap > 0 ? 2 * parent->cap : 4;
        node **kids = jj_array(p->j, cap, sizeof *kids);
        const char **op = parent->kind == N_COMPARE || parent->kind == N_ARITH ? jj_array(p->j, cap, sizeof *op) : NULL;
        if (parent->n > 0) memcpy(kids, parent->kid, parent->n * sizeof *kids);
        if (parent->n > 0 && op) memcpy(op, parent->op, parent->n * sizeof *op);
        parent->kid = kids;
        parent->op = op;
        parent->cap = cap;
    }
    parent->kid[parent->n++] = kid;
}

void jj_deeper(parser *p)
{
    p->j->at = p->t->at;
    if (++p->depth > JJ_MAX_DEPTH) jj_fail(p->j, "nested deeper than %d", JJ_MAX_DEPTH);
}

/* FNV-1a. */
uint32_t jj_hash(text name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++) h = (h ^ (unsigned char)name.p[i]) * 16777619u;
    return h;
}

_Noreturn void jj_unexpected(parser *p, const char *wanted)
{
    p->j->at = p->t->at;
    if (p->t->type == T_END) jj_fail(p->j, "the template ends where %s is expected", wanted);
    jj_fail(p->j, "unexpected \"%.*s\" where %s is expected", JJ_SHOW(p->t->text), wanted);
}

bool jj_is_op(const parser *p, const char *op)
{
    return p->t->type == T_OP && jj_is(p->t->text, op);
}

bool jj_is_name(const parser *p, const char *name)
{
    return p->t->type == T_NAME && jj_is(p->t->text, name);
}

bool jj_skip_op(parser *p, const char *op)
{
    bool is = jj_is_op(p, op);
    p->t += is;
    p->j->at = p->t->at;
    return is;
}

bool jj_skip_name(parser *p, const char *name)
{
    bool is = jj_is_name(p, name);
    p->t += is;
    p->j->at = p->t->at;
    return is;
}

void jj_want_op(parser *p, const char *op)
{
    char wanted[8];
    snprintf(wanted, sizeof wanted, "\"%s\"", op);
    if (!jj_skip_op(p, op)) jj_unexpected(p, wanted);
}

const token *jj_want_name(parser *p)
{
    if (p->t->type != T_NAME) jj_unexpected(p, "a name");
    return p->t++;
}

static void want_tag_end(parser *p)
{
    if (p->t->type != T_TAG_END) jj_unexpected(p, "\"%}\"");
    p->t++;
}

/* The body of a tag up to one of `ends`, whose name is the next token then. */
static node *parse_until(parser *p, const char *const *ends)
{
    jj_skip_op(p, ":"); /* as Jinja allows */
    want_tag_end(p);
    node *n = parse_body(p, ends);
    if (p->t->type == T_END) {
        char wanted[40];
        snprintf(wanted, sizeof wanted, "{%% %s %%}", ends[0]);
        jj_unexpected(p, wanted);
    }
    return n;
}

static node *parse_whole(parser *p, const char *end)
{
    node *n = parse_until(p, (const char *const[]){end, NULL});
    p->t++;
    return n;
}

/* ---- assignment ---- */

static node *parse_target_name(parser *p, bool attributes)
{
    const token *t = jj_want_name(p);
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (jj_is(t->text, reserved[i])) jj_fail(p->j, "\"%s\" cannot be set", reserved[i]);
    node *n = jj_node(p, N_NAME, t->at);
    n->name = t->text;
    n->hash = jj_hash(t->text);
    if (!attributes || !jj_skip_op(p, ".")) return n;
    node *attr = jj_node(p, N_ATTR, t->at);
    attr->name = jj_want_name(p)->text;
    jj_add(p, attr, n);
    return attr;
}

/* a; a, b; (a, b), c; with `attributes` also ns.a. */
static node *parse_target(parser *p, bool attributes)
{
    jj_deeper(p);
    node *tuple = NULL, *n = NULL;
    for (;;) {
        if (jj_skip_op(p, "(")) {
            n = parse_target(p, attributes);
            jj_want_op(p, ")");
        } else {
            n = parse_target_name(p, attributes);
        }
        if (tuple) jj_add(p, tuple, n);
        if (!jj_is_op(p, ",")) break;
        if (!tuple) {
            tuple = jj_node(p, N_TUPLE, n->at);
            jj_add(p, tuple, n);
        }
        p->t++;
        if (p->t->type == T_TAG_END || jj_is_op(p, ")") || jj_is_op(p, "=") || jj_is_name(p, "in")) break;
    }
    p->depth--;
    return tuple ? tuple : n;
}

static node *parse_set(parser *p, node *n)
{
    node *target = parse_target(p, true);
    jj_add(p, n, target);
    if (jj_skip_op(p, "=")) {
        jj_add(p, n, jj_tuple(p, false));
        return n;
    }
    n->kind = N_SET_BLOCK;
    node *filter = jj_filters_of(p, NULL);
    uint32_t loops = p->loops;
    p->loops = 0;
    jj_add(p, n, parse_whole(p, "endset"));
    p->loops = loops;
    jj_add(p, n, filter);
    return n;
}

/* ---- control ---- */

static node *parse_if(parser *p, node *n)
{
    static const char *const ends[] = {"endif", "else", "elif", NULL};
    do {
        jj_add(p, n, jj_tuple(p, true));
        jj_add(p, n, parse_until(p, ends));
    } while (jj_skip_name(p, "elif"));
    jj_add(p, n, jj_skip_name(p, "else") ? parse_until(p, (const char *const[]){"endif", NULL}) : NULL);
    p->t++;
    return n;
}

static node *parse_for(parser *p, node *n)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    jj_add(p, n, parse_target(p, false));
    if (!jj_skip_name(p, "in")) jj_unexpected(p, "\"in\"");
    jj_add(p, n, jj_tuple(p, true));
    jj_add(p, n, jj_skip_name(p, "if") ? jj_expression(p) : NULL);
    if (jj_is_name(p, "recursive")) jj_fail(p->j, "recursive loops are not supported");
    p->loops++;
    jj_add(p, n, parse_until(p, ends));
    p->loops--;
    jj_add(p, n, jj_skip_name(p, "else") ? parse_until(p, (const char *const[]){"endfor", NULL}) : NULL);
    p->t++;
    return n;
}

static node *parse_jump(parser *p, node *n)
{
    if (p->loops == 0) jj_fail(p->j, "\"%.*s\" outside a loop", JJ_SHOW(n->name));
    return n;
}

/* ---- macros ---- */

static void parse_parameters(parser *p, node *macro)
{
    macro->kw = jj_array(p->j, JJ_MAX_ARGS, sizeof *macro->kw);
    jj_want_op(p, "(");
    while (!jj_skip_op(p, ")")) {
        if (macro->n_kw > 0) jj_want_op(p, ",");
        if (macro->n_kw == JJ_MAX_ARGS) jj_fail(p->j, "more than %d parameters", JJ_MAX_ARGS);
        text name = parse_target_name(p, false)->name;
        for (uint32_t i = 0; i < macro->n_kw; i++)
            if (jj_same(macro->kw[i], name)) jj_fail(p->j, "parameter \"%.*s\" stands twice", JJ_SHOW(name));
        macro->kw[macro->n_kw++] = name;
        bool has_default = jj_skip_op(p, "=");
        if (!has_default && macro->n > 1 && macro->kid[macro->n - 1])
            jj_fail(p->j, "a parameter without a default after one with a default");
        jj_add(p, macro, has_default ? jj_expression(p) : NULL);
    }
}

/* The body is known last and stands first. */
static void parse_macro_body(parser *p, node *macro, const char *end)
{
    uint32_t loops = p->loops;
    bool outer_uses_caller = p->uses_caller;
    p->loops = 0;
    p->uses_caller = false;
    p->macros++;
    macro->kid[0] = parse_whole(p, end);
    p->macros--;
    macro->uses_caller = p->uses_caller;
    p->uses_caller = p->uses_caller || outer_uses_caller;
    p->loops = loops;
}

static node *parse_macro(parser *p, node *n)
{
    n->name = parse_target_name(p, false)->name;
    n->hash = jj_hash(n->name);
    jj_add(p, n, NULL);
    parse_parameters(p, n);
    parse_macro_body(p, n, "endmacro");
    return n;
}

static node *parse_call_block(parser *p, node *n)
{
    node *macro = jj_node(p, N_MACRO, n->at);
    macro->name = (text){"caller", p->j->source.trust, 6};
    jj_add(p, macro, NULL);
    if (jj_is_op(p, "(")) parse_parameters(p, macro);
    node *target = jj_expression(p);
    if (target->kind != N_CALL) jj_fail(p->j, "a call is expected");
    parse_macro_body(p, macro, "endcall");
    jj_add(p, n, macro);
    jj_add(p, n, target);
    return n;
}

/* Marks what the model said, for training; renders as its body, which has a scope of its own. */
static node *parse_generation(parser *p, node *n)
{
    uint32_t loops = p->loops;
    p->loops = 0;
    jj_add(p, n, parse_whole(p, "endgeneration"));
    p->loops = loops;
    return n;
}

/* ---- bodies ---- */

static const struct {
    const char *name;
    int kind;
    node *(*parse)(parser *p, node *n); /* from after the tag's name to before its "%}" */
} tags[] = {
    {"if", N_IF, parse_if},
    {"for", N_FOR, parse_for},
    {"set", N_SET, parse_set},
    {"macro", N_MACRO, parse_macro},
    {"call", N_CALL_BLOCK, parse_call_block},
    {"generation", N_SCOPE, parse_generation},
    {"break", N_BREAK, parse_jump},
    {"continue", N_CONTINUE, parse_jump},
};

static node *parse_tag(parser *p)
{
    const token *t = jj_want_name(p);
    p->j->at = t->at;
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!jj_is(t->text, tags[i].name)) continue;
        node *n = jj_node(p, tags[i].kind, t->at);
        n->name = t->text;
        jj_deeper(p);
        n = tags[i].parse(p, n);
        p->depth--;
        want_tag_end(p);
        return n;
    }
    jj_fail(p->j, "unknown tag \"%.*s\"", JJ_SHOW(t->text));
}

static bool at_end(const parser *p, const char *const *ends)
{
    for (; *ends; ends++)
        if (jj_is_name(p, *ends)) return true;
    return false;
}

static node *parse_body(parser *p, const char *const *ends)
{
    node *body = jj_node(p, N_BODY, p->t->at);
    while (p->t->type != T_END) {
        uint32_t at = p->t->at;
        int type = p->t->type;
        node *n = NULL;
        if (type == T_DATA) {
            n = jj_node(p, N_DATA, at);
            n->name = p->t->text;
        }
        p->t++;
        if (type == T_PRINT) {
            n = jj_node(p, N_PRINT, at);
            jj_add(p, n, jj_tuple(p, false));
            if (p->t->type != T_PRINT_END) jj_unexpected(p, "\"}}\"");
            p->t++;
        } else if (type == T_TAG) {
            if (at_end(p, ends)) return body;
            n = parse_tag(p);
        }
        jj_add(p, body, n);
    }
    return body;
}

/* ---- entry ---- */

/* A copy with Python's line ends, without one at the end of the text, and all of it trusted. */
static text take_source(job *j, jv_str source)
{
    char *p = jj_alloc(j, source.n + 8);
    uint8_t *trust = jj_alloc(j, source.n + 8); /* a few more than the text for names of our own */
    size_t n = 0;
    for (size_t i = 0; i < source.n; i++) {
        if (source.p[i] == '\r' && i + 1 < source.n && source.p[i + 1] == '\n') continue;
        p[n++] = source.p[i] == '\r' ? '\n' : source.p[i];
    }
    if (n > 0 && p[n - 1] == '\n') n--;
    memset(trust, 1, source.n + 8);
    return (text){p, trust, n};
}

static bool parse(jinja *t, jv_str source)
{
    job *j = &t->job;
    if (setjmp(j->jump)) return false;
    if (source.n > JINJA_MAX_SOURCE) jj_fail(j, "the template has %zu bytes, more than %u", source.n, JINJA_MAX_SOURCE);
    if (!jj_valid_utf8(source.p, source.n)) jj_fail(j, "the template is not valid UTF-8");
    j->source = take_source(j, source);
    parser p = {.j = j, .t = jj_lex(j)};
    t->body = parse_body(&p, (const char *const[]){NULL});
    return true;
}

int32_t jinja_parse(jv_str source, jinja **out, jv_err *err)
{
    *out = NULL;
    jinja *t = calloc(1, sizeof *t);
    if (!t) return jv_fail(err, JV_FATAL, "no memory for the chat template");
    t->job.err = err;
    if (!parse(t, source)) {
        int32_t code = t->job.code;
        jinja_free(t);
        return code;
    }
    t->job.err = NULL;
    *out = t;
    return JV_OK;
}

void jinja_free(jinja *t)
{
    if (!t) return;
    jj_free_all(&t->job);
    free(t);
}
