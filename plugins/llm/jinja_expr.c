/* jinja_expr.c: expressions to nodes, by recursive descent with Jinja's precedences: if else, or, and, not,
 * comparisons, + -, ~, * / // %, **, signs, then filters and tests. Equal operators in a row make one node, so
 * that a long sum is not a deep one. */
#include "jinja_impl.h"

#include <string.h>

static node *parse_or(parser *p);
static node *parse_unary(parser *p, bool with_filters);

/* ---- operators ---- */

typedef struct level {
    int kind;
    node *(*operand)(parser *p);
    const char *ops[8]; /* names or signs; ends with null */
} level;

/* operand op operand op ...; a single operand is not wrapped. */
static node *parse_level(parser *p, const level *l)
{
    node *first = l->operand(p), *chain = NULL;
    for (;;) {
        const char *op = NULL;
        uint32_t at = p->t->at;
        if (l->kind == N_COMPARE && jj_is_name(p, "not") && p->t[1].type == T_NAME && jj_is(p->t[1].text, "in")) {
            p->t += 2;
            op = "not in";
        }
        for (const char *const *o = l->ops; !op && *o; o++)
            if (p->t->type == T_NAME ? jj_skip_name(p, *o) : jj_skip_op(p, *o)) op = *o;
        if (!op) return chain ? chain : first;
        if (!chain) {
            chain = jj_node(p, l->kind, at);
            jj_add(p, chain, first);
        }
        jj_add(p, chain, l->operand(p));
        if (chain->op) chain->op[chain->n - 2] = op;
    }
}

static node *parse_signed(parser *p)
{
    return parse_unary(p, true);
}

static node *parse_power(parser *p)
{
    static const level l = {N_ARITH, parse_signed, {"**"}};
    return parse_level(p, &l);
}

static node *parse_product(parser *p)
{
    static const level l = {N_ARITH, parse_power, {"*", "//", "/", "%"}};
    return parse_level(p, &l);
}

static node *parse_concat(parser *p)
{
    static const level l = {N_CONCAT, parse_product, {"~"}};
    return parse_level(p, &l);
}

static node *parse_sum(parser *p)
{
    static const level l = {N_ARITH, parse_concat, {"+", "-"}};
    return parse_level(p, &l);
}

static node *parse_compare(parser *p)
{
    static const level l = {N_COMPARE, parse_sum, {"==", "!=", ">=", "<=", ">", "<", "in"}};
    return parse_level(p, &l);
}

static node *parse_not(parser *p)
{
    if (!jj_is_name(p, "not")) return parse_compare(p);
    node *n = jj_node(p, N_NOT, p->t++->at);
    jj_deeper(p);
    jj_add(p, n, parse_not(p));
    p->depth--;
    return n;
}

static node *parse_and(parser *p)
{
    static const level l = {N_AND, parse_not, {"and"}};
    return parse_level(p, &l);
}

static node *parse_or(parser *p)
{
    static const level l = {N_OR, parse_and, {"or"}};
    return parse_level(p, &l);
}

node *jj_expression_no_if(parser *p)
{
    jj_deeper(p);
    node *n = parse_or(p);
    p->depth--;
    return n;
}

node *jj_expression(parser *p)
{
    jj_deeper(p);
    node *n = parse_or(p);
    while (jj_is_name(p, "if")) {
        node *choice = jj_node(p, N_CHOICE, p->t++->at);
        jj_add(p, choice, parse_or(p));
        jj_add(p, choice, n);
        jj_add(p, choice, jj_skip_name(p, "else") ? jj_expression(p) : NULL);
        n = choice;
    }
    p->depth--;
    return n;
}

node *jj_tuple(parser *p, bool no_if)
{
    node *tuple = NULL, *first = no_if ? jj_expression_no_if(p) : jj_expression(p);
    while (jj_is_op(p, ",")) {
        if (!tuple) {
            tuple = jj_node(p, N_TUPLE, p->t->at);
            jj_add(p, tuple, first);
        }
        p->t++;
        if (p->t->type == T_TAG_END || p->t->type == T_PRINT_END || jj_is_op(p, ")")) break;
        jj_add(p, tuple, no_if ? jj_expression_no_if(p) : jj_expression(p));
    }
    return tuple ? tuple : first;
}

/* ---- operands ---- */

static node *constant(parser *p, value v)
{
    node *n = jj_node(p, N_CONST, p->t->at);
    n->constant = v;
    p->t++;
    return n;
}

static node *parse_string(parser *p)
{
    const token *first = p->t;
    buf b = {.j = p->j};
    for (; p->t->type == T_STRING; p->t++) jj_put(&b, p->t->text);
    node *n = jj_node(p, N_CONST, first->at);
    n->constant = jj_string(p->j, p->t == first + 1 ? first->text : jj_text(&b));
    return n;
}

static node *parse_name(parser *p)
{
    text name = p->t->text;
    if (jj_is(name, "true") || jj_is(name, "True")) return constant(p, jj_bool(true));
    if (jj_is(name, "false") || jj_is(name, "False")) return constant(p, jj_bool(false));
    if (jj_is(name, "none") || jj_is(name, "None")) return constant(p, jj_none());
    if (p->macros > 0 && (jj_is(name, "varargs") || jj_is(name, "kwargs")))
        jj_fail(p->j, "\"%.*s\" in a macro is not supported", JJ_SHOW(name));
    p->uses_caller = p->uses_caller || jj_is(name, "caller");
    node *n = jj_node(p, N_NAME, p->t->at);
    n->name = name;
    n->hash = jj_hash(name);
    p->t++;
    return n;
}

static node *parse_items(parser *p, int kind, const char *end)
{
    node *n = jj_node(p, kind, p->t++->at);
    while (!jj_skip_op(p, end)) {
        if (n->n > 0) {
            jj_want_op(p, ",");
            if (jj_skip_op(p, end)) break;
        }
        jj_add(p, n, jj_expression(p));
        if (kind == N_MAP) {
            jj_want_op(p, ":");
            jj_add(p, n, jj_expression(p));
        }
    }
    return n;
}

static node *parse_parentheses(parser *p)
{
    uint32_t at = p->t++->at;
    if (jj_skip_op(p, ")")) return jj_node(p, N_TUPLE, at);
    node *n = jj_tuple(p, false);
    jj_want_op(p, ")");
    return n;
}

static node *parse_primary(parser *p)
{
    switch (p->t->type) {
    case T_NAME: return parse_name(p);
    case T_STRING: return parse_string(p);
    case T_INT: return constant(p, jj_int(p->t->i));
    case T_FLOAT: return constant(p, jj_float(p->t->d));
    default: break;
    }
    if (jj_is_op(p, "(")) return parse_parentheses(p);
    if (jj_is_op(p, "[")) return parse_items(p, N_LIST, "]");
    if (jj_is_op(p, "{")) return parse_items(p, N_MAP, "}");
    jj_unexpected(p, "an expression");
}

/* ---- what follows an operand ---- */

/* (a, b, name=c): added to a call, filter or test. */
static void parse_arguments(parser *p, node *n)
{
    jj_want_op(p, "(");
    text *kw = jj_array(p->j, 4, sizeof *kw);
    size_t cap = 4, fixed = n->n;
    while (!jj_skip_op(p, ")")) {
        if (n->n > fixed) {
            jj_want_op(p, ",");
            if (jj_skip_op(p, ")")) break;
        }
        if (n->n - fixed == JJ_MAX_ARGS) jj_fail(p->j, "more than %d arguments", JJ_MAX_ARGS);
        if (jj_is_op(p, "*") || jj_is_op(p, "**")) jj_fail(p->j, "arguments with * or ** are not supported");
        const token *t = p->t;
        if (t->type == T_NAME && t[1].type == T_OP && jj_is(t[1].text, "=")) {
            for (uint32_t i = 0; i < n->n_kw; i++)
                if (jj_same(kw[i], t->text)) jj_fail(p->j, "argument \"%.*s\" is given twice", JJ_SHOW(t->text));
            if (n->n_kw == cap) {
                text *more = jj_array(p->j, 2 * cap, sizeof *more);
                memcpy(more, kw, cap * sizeof *kw);
                kw = more;
                cap *= 2;
            }
            kw[n->n_kw++] = t->text;
            p->t += 2;
        } else if (n->n_kw > 0) {
            jj_fail(p->j, "an argument by position after one by name");
        }
        jj_add(p, n, jj_expression(p));
    }
    n->kw = kw;
}

static node *parse_subscript(parser *p, node *object)
{
    uint32_t at = p->t++->at;
    node *part[3] = {NULL};
    int n = 0;
    bool slice = false;
    if (jj_is_op(p, "]")) jj_unexpected(p, "a key");
    while (!jj_is_op(p, "]")) {
        if (jj_skip_op(p, ":")) {
            slice = true;
            if (++n > 2) jj_fail(p->j, "a slice has at most three parts");
        } else {
            if (part[n]) jj_unexpected(p, "\"]\"");
            part[n] = jj_expression(p);
        }
    }
    p->t++;
    node *item = jj_node(p, slice ? N_SLICE : N_ITEM, at);
    jj_add(p, item, object);
    for (int i = 0; i < (slice ? 3 : 1); i++) jj_add(p, item, part[i]);
    return item;
}

static node *parse_attribute(parser *p, node *object)
{
    uint32_t at = p->t++->at;
    if (p->t->type == T_INT) { /* a.0 is a[0] */
        node *item = jj_node(p, N_ITEM, at);
        jj_add(p, item, object);
        jj_add(p, item, constant(p, jj_int(p->t->i)));
        return item;
    }
    node *n = jj_node(p, N_ATTR, at);
    n->name = jj_want_name(p)->text;
    jj_add(p, n, object);
    return n;
}

static node *parse_call(parser *p, node *function)
{
    node *n = jj_node(p, N_CALL, function->at);
    jj_add(p, n, function);
    parse_arguments(p, n);
    return n;
}

static void count_link(parser *p, int *links)
{
    if (++*links > JJ_MAX_CHAIN)
        jj_fail(p->j, "more than %d attributes, calls or filters after one another", JJ_MAX_CHAIN);
}

static node *parse_postfix(parser *p, node *n, int *links)
{
    for (;; count_link(p, links)) {
        if (jj_is_op(p, "."))
            n = parse_attribute(p, n);
        else if (jj_is_op(p, "["))
            n = parse_subscript(p, n);
        else if (jj_is_op(p, "("))
            n = parse_call(p, n);
        else
            return n;
    }
}

static node *parse_filter(parser *p, node *input)
{
    p->t++;
    node *n = jj_node(p, N_FILTER, p->t->at);
    n->name = jj_want_name(p)->text;
    n->fn = jj_find(jj_filters, n->name);
    p->j->at = n->at;
    if (!n->fn) jj_fail(p->j, "unknown filter \"%.*s\"", JJ_SHOW(n->name));
    jj_add(p, n, input);
    if (jj_is_op(p, "(")) parse_arguments(p, n);
    return n;
}

node *jj_filters_of(parser *p, node *input)
{
    int links = 0;
    for (; jj_is_op(p, "|"); count_link(p, &links)) input = parse_filter(p, input);
    return input;
}

/* `is name`, `is not name`, with arguments in parentheses or one operand without. */
static node *parse_test(parser *p, node *input)
{
    p->t++;
    bool negated = jj_skip_name(p, "not");
    node *n = jj_node(p, N_TEST, p->t->at);
    n->name = jj_want_name(p)->text;
    n->fn = jj_find(jj_tests, n->name);
    p->j->at = n->at;
    if (!n->fn) jj_fail(p->j, "unknown test \"%.*s\"", JJ_SHOW(n->name));
    jj_add(p, n, input);
    if (jj_is_op(p, "(")) {
        parse_arguments(p, n);
    } else if (p->t->type == T_NAME || p->t->type == T_STRING || p->t->type == T_INT || p->t->type == T_FLOAT ||
               jj_is_op(p, "[") || jj_is_op(p, "{")) {
        if (jj_is_name(p, "is")) jj_fail(p->j, "tests cannot be chained");
        if (!jj_is_name(p, "else") && !jj_is_name(p, "or") && !jj_is_name(p, "and")) {
            int links = 0;
            jj_add(p, n, parse_postfix(p, parse_primary(p), &links));
        }
    }
    if (!negated) return n;
    node *not = jj_node(p, N_NOT, n->at);
    jj_add(p, not, n);
    return not ;
}

static node *parse_unary(parser *p, bool with_filters)
{
    int links = 0;
    node *n;
    if (jj_is_op(p, "-") || jj_is_op(p, "+")) {
        n = jj_node(p, jj_is_op(p, "-") ? N_NEGATE : N_PLUS, p->t->at);
        p->t++;
        jj_deeper(p);
        jj_add(p, n, parse_unary(p, false));
        p->depth--;
    } else {
        n = parse_primary(p);
    }
    n = parse_postfix(p, n, &links);
    for (; with_filters; count_link(p, &links)) {
        if (jj_is_op(p, "|"))
            n = parse_filter(p, n);
        else if (jj_is_name(p, "is"))
            n = parse_test(p, n);
        else if (jj_is_op(p, "("))
            n = parse_call(p, n);
        else
            break;
    }
    return n;
}
