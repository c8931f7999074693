/* jinja_tests.c: the tests after `is`, and how the arguments of everything built in are matched with its parameters. */
#include "jinja_impl.h"

#include <string.h>
#include <utf8proc.h>

/* ---- built-in functions ---- */

const builtin *jj_find(const builtin *table, text name)
{
    for (; table->name; table++)
        if (jj_is(name, table->name)) return table;
    return NULL;
}

/* The position of a name among names separated by spaces; their number when it is not there. */
static size_t find_param(const char *params, text name)
{
    size_t i = 0;
    for (const char *p = params; *p; i++) {
        size_t n = strcspn(p, " ");
        if (n == name.n && memcmp(p, name.p, n) == 0) return i;
        p += n;
        p += strspn(p, " ");
    }
    return i;
}

static void bind(call *c, const builtin *b)
{
    size_t max = find_param(b->params, (text){"", NULL, 0});
    if (c->n > max) jj_fail(c->j, "\"%s\" takes at most %zu arguments, not %zu", b->name, max, c->n);
    for (size_t i = 0; i < sizeof c->a / sizeof *c->a; i++) c->a[i] = (value){.type = V_ABSENT};
    for (size_t i = 0; i < c->n; i++) c->a[i] = c->arg[i];
    for (size_t i = 0; i < c->n_kw; i++) {
        size_t at = find_param(b->params, c->kw[i]);
        if (at == max) jj_fail(c->j, "\"%s\" has no argument \"%.*s\"", b->name, JJ_SHOW(c->kw[i]));
        if (jj_given(c->a[at])) jj_fail(c->j, "\"%s\" got its argument \"%.*s\" twice", b->name, JJ_SHOW(c->kw[i]));
        c->a[at] = c->arg[c->n + i];
    }
    for (size_t i = 0; i < b->required; i++)
        if (!jj_given(c->a[i])) jj_fail(c->j, "\"%s\" needs %zu arguments (%s)", b->name, b->required, b->params);
}

value jj_apply(call *c, const builtin *b)
{
    c->name = b->name;
    jj_tick(c->j, 1);
    if (!b->fn) jj_fail(c->j, "\"%s\" of %s is not supported", b->name, jj_type_name(c->self));
    if (b->params) bind(c, b);
    return b->fn(c);
}

int64_t jj_arg_int(call *c, int i, int64_t absent)
{
    int64_t v = absent;
    if (jj_given(c->a[i]) && !jj_as_int(c->a[i], &v))
        jj_fail(c->j, "\"%s\" wants an integer, not %s", c->name, jj_type_name(c->a[i]));
    return v;
}

text jj_arg_text(call *c, int i)
{
    if (c->a[i].type != V_STRING) jj_fail(c->j, "\"%s\" wants a string, not %s", c->name, jj_type_name(c->a[i]));
    return *c->a[i].s;
}

/* ---- tests ---- */

static value is_defined(call *c)
{
    return jj_bool(c->self.type != V_UNDEFINED);
}
static value is_undefined(call *c)
{
    return jj_bool(c->self.type == V_UNDEFINED);
}
static value is_none(call *c)
{
    return jj_bool(c->self.type == V_NONE);
}
static value is_boolean(call *c)
{
    return jj_bool(c->self.type == V_BOOL);
}
static value is_true(call *c)
{
    return jj_bool(c->self.type == V_BOOL && c->self.b);
}
static value is_false(call *c)
{
    return jj_bool(c->self.type == V_BOOL && !c->self.b);
}
static value is_integer(call *c)
{
    return jj_bool(c->self.type == V_INT);
}
static value is_float(call *c)
{
    return jj_bool(c->self.type == V_FLOAT);
}
static value is_string(call *c)
{
    return jj_bool(c->self.type == V_STRING);
}
static value is_mapping(call *c)
{
    return jj_bool(c->self.type == V_MAP);
}

static value is_number(call *c)
{
    double d;
    return jj_bool(jj_as_double(c->self, &d));
}

static value is_iterable(call *c)
{
    int t = c->self.type;
    return jj_bool(t == V_UNDEFINED || t == V_STRING || t == V_LIST || t == V_MAP || t == V_LOOP);
}

static value is_sequence(call *c)
{
    int t = c->self.type;
    return jj_bool(t == V_UNDEFINED || t == V_STRING || t == V_MAP || (t == V_LIST && c->self.list->kind <= K_RANGE));
}

static value is_callable(call *c)
{
    int t = c->self.type;
    return jj_bool(t == V_UNDEFINED || t == V_LOOP || t == V_MACRO || t == V_METHOD || t == V_FUNCTION);
}

static bool rest_is(call *c, value divisor, int64_t rest)
{
    return jj_equal(c->j, jj_arith(c->j, "%", c->self, divisor), jj_int(rest));
}

static value is_odd(call *c)
{
    return jj_bool(rest_is(c, jj_int(2), 1));
}
static value is_even(call *c)
{
    return jj_bool(rest_is(c, jj_int(2), 0));
}
static value is_divisible(call *c)
{
    return jj_bool(rest_is(c, c->a[0], 0));
}
static value is_equal(call *c)
{
    return jj_bool(jj_equal(c->j, c->self, c->a[0]));
}
static value is_not_equal(call *c)
{
    return jj_bool(!jj_equal(c->j, c->self, c->a[0]));
}
static value is_less(call *c)
{
    return jj_bool(jj_compare(c->j, c->self, c->a[0]) == -1);
}
static value is_greater(call *c)
{
    return jj_bool(jj_compare(c->j, c->self, c->a[0]) == 1);
}
static value is_in(call *c)
{
    return jj_bool(jj_contains(c->j, c->a[0], c->self));
}

static value is_at_most(call *c)
{
    int order = jj_compare(c->j, c->self, c->a[0]);
    return jj_bool(order == -1 || order == 0);
}

static value is_at_least(call *c)
{
    int order = jj_compare(c->j, c->self, c->a[0]);
    return jj_bool(order == 1 || order == 0);
}

/* Whether two names stand for one object; Python leaves it open for numbers and strings. */
static value is_same_as(call *c)
{
    value a = c->self, b = c->a[0];
    if (a.type != b.type) return jj_bool(false);
    if (a.type == V_INT || a.type == V_FLOAT || a.type == V_STRING)
        jj_fail(c->j, "\"sameas\" does not work on %s; use ==", jj_type_name(a));
    return jj_bool(a.type == V_NONE || (a.type == V_BOOL ? a.b == b.b : a.list == b.list));
}

/* All letters that have a case are of this one, and there are some. */
static value has_case(call *c, bool upper)
{
    text t = jj_str(c->j, c->self);
    jj_walk(c->j, t.n);
    bool some = false;
    for (size_t i = 0; i < t.n;) {
        uint32_t code;
        i += jj_next(t, i, &code);
        bool is_upper = utf8proc_isupper((utf8proc_int32_t)code), is_lower = utf8proc_islower((utf8proc_int32_t)code);
        if (upper ? is_lower : is_upper) return jj_bool(false);
        some = some || is_upper || is_lower;
    }
    return jj_bool(some);
}

static value is_lower(call *c)
{
    return has_case(c, false);
}
static value is_upper(call *c)
{
    return has_case(c, true);
}

const builtin jj_tests[] = {
    {"defined", is_defined, "", 0},
    {"undefined", is_undefined, "", 0},
    {"none", is_none, "", 0},
    {"boolean", is_boolean, "", 0},
    {"true", is_true, "", 0},
    {"false", is_false, "", 0},
    {"integer", is_integer, "", 0},
    {"float", is_float, "", 0},
    {"number", is_number, "", 0},
    {"string", is_string, "", 0},
    {"mapping", is_mapping, "", 0},
    {"iterable", is_iterable, "", 0},
    {"sequence", is_sequence, "", 0},
    {"callable", is_callable, "", 0},
    {"odd", is_odd, "", 0},
    {"even", is_even, "", 0},
    {"lower", is_lower, "", 0},
    {"upper", is_upper, "", 0},
    {"divisibleby", is_divisible, "num", 1},
    {"sameas", is_same_as, "other", 1},
    {"in", is_in, "seq", 1},
    {"eq", is_equal, "other", 1},
    {"equalto", is_equal, "other", 1},
    {"==", is_equal, "other", 1},
    {"ne", is_not_equal, "other", 1},
    {"!=", is_not_equal, "other", 1},
    {"lt", is_less, "other", 1},
    {"lessthan", is_less, "other", 1},
    {"<", is_less, "other", 1},
    {"le", is_at_most, "other", 1},
    {"<=", is_at_most, "other", 1},
    {"gt", is_greater, "other", 1},
    {"greaterthan", is_greater, "other", 1},
    {">", is_greater, "other", 1},
    {"ge", is_at_least, "other", 1},
    {">=", is_at_least, "other", 1},
    {NULL, NULL, NULL, 0},
};
