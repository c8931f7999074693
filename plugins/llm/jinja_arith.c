/* jinja_arith.c: + - * / // % ** on numbers, texts and lists. As Python has it, but that integers have 64 bits:
 * one that does not fit is an error. */
#include "jinja_impl.h"

#include <math.h>
#include <string.h>

static _Noreturn void bad_operands(job *j, const char *op, value a, value b)
{
    value u = a.type == V_UNDEFINED ? a : b;
    if (u.type == V_UNDEFINED) jj_fail(j, "\"%.*s\" is undefined", JJ_SHOW(*u.s));
    jj_fail(j, "\"%s\" does not work on %s and %s", op, jj_type_name(a), jj_type_name(b));
}

static _Noreturn void overflow(job *j)
{
    jj_fail(j, "an integer does not fit in 64 bits");
}

static int64_t int_power(job *j, int64_t base, int64_t exponent)
{
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) overflow(j);
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow(j);
    }
    return result;
}

static int64_t floor_divide(job *j, int64_t a, int64_t b)
{
    if (a == INT64_MIN && b == -1) overflow(j);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static value int_arith(job *j, const char *op, int64_t a, int64_t b)
{
    int64_t r = 0;
    bool too_large = false;
    switch (op[0]) {
    case '+': too_large = __builtin_add_overflow(a, b, &r); break;
    case '-': too_large = __builtin_sub_overflow(a, b, &r); break;
    case '*':
        if (op[1] == '*' && b < 0) return jj_arith(j, op, jj_float((double)a), jj_int(b));
        if (op[1] == '*')
            r = int_power(j, a, b);
        else
            too_large = __builtin_mul_overflow(a, b, &r);
        break;
    default:
        if (b == 0) jj_fail(j, "division by zero");
        if (strcmp(op, "/") == 0) return jj_float((double)a / (double)b);
        if (op[0] == '%')
            r = b == -1 ? 0 : a - floor_divide(j, a, b) * b;
        else
            r = floor_divide(j, a, b);
    }
    if (too_large) overflow(j);
    return jj_int(r);
}

static double float_power(job *j, double a, double b)
{
    if (a == 0 && b < 0) jj_fail(j, "division by zero");
    if (a < 0 && isfinite(a) && isfinite(b) && floor(b) != b) jj_fail(j, "a negative number has no such power");
    double r = pow(a, b);
    if (isinf(r) && isfinite(a) && isfinite(b)) jj_fail(j, "the power is too large");
    return r;
}

static value float_arith(job *j, const char *op, double a, double b)
{
    if (op[0] == '+') return jj_float(a + b);
    if (op[0] == '-') return jj_float(a - b);
    if (strcmp(op, "*") == 0) return jj_float(a * b);
    if (op[0] == '*') return jj_float(float_power(j, a, b));
    if (b == 0) jj_fail(j, "division by zero");
    if (strcmp(op, "/") == 0) return jj_float(a / b);
    double mod = fmod(a, b); /* of the sign of b, as Python has it */
    double quotient = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0)) {
        mod += b;
        quotient -= 1;
    } else if (mod == 0) {
        mod = copysign(0, b);
    }
    if (op[0] == '%') return jj_float(mod);
    if (quotient == 0) return jj_float(copysign(0, a / b));
    double down = floor(quotient);
    return jj_float(quotient - down > 0.5 ? down + 1 : down);
}

static value repeat(job *j, value v, int64_t times)
{
    size_t n = v.type == V_STRING ? v.s->n : v.list->n, count = times > 0 ? (size_t)times : 0;
    size_t size = v.type == V_STRING ? 1 : sizeof(value);
    if (n > 0 && count > JJ_MAX_MEMORY / size / n) jj_reserve(j, JJ_MAX_MEMORY + 1);
    if (n == 0) count = 0;
    if (v.type == V_STRING) {
        buf b = {.j = j};
        for (size_t i = 0; i < count; i++) jj_put(&b, *v.s);
        jj_touch(j, b.n);
        return jj_string(j, jj_text(&b));
    }
    jj_tick(j, n * count / 16);
    list *l = jj_new_list(j, n * count, v.list->kind);
    for (size_t i = 0; i < l->n; i++) l->v[i] = v.list->v[i % n];
    return jj_list_value(l);
}

static value join_lists(job *j, const list *a, const list *b)
{
    jj_tick(j, (a->n + b->n) / 16);
    list *l = jj_new_list(j, a->n + b->n, a->kind);
    if (a->n > 0) memcpy(l->v, a->v, a->n * sizeof *a->v);
    if (b->n > 0) memcpy(l->v + a->n, b->v, b->n * sizeof *b->v);
    return jj_list_value(l);
}

value jj_arith(job *j, const char *op, value a, value b)
{
    int64_t i, k;
    double x, y;
    if (jj_as_int(a, &i) && jj_as_int(b, &k)) return int_arith(j, op, i, k);
    if (jj_as_double(a, &x) && jj_as_double(b, &y)) return float_arith(j, op, x, y);
    if (strcmp(op, "+") == 0 && a.type == V_STRING && b.type == V_STRING) {
        buf out = {.j = j};
        jj_put(&out, *a.s);
        jj_put(&out, *b.s);
        return jj_string(j, jj_text(&out));
    }
    bool lists = a.type == V_LIST && b.type == V_LIST && jj_is_sequence(a) && a.list->kind == b.list->kind;
    if (strcmp(op, "+") == 0 && lists) return join_lists(j, a.list, b.list);
    if (strcmp(op, "*") == 0 && jj_is_sequence(a) && jj_as_int(b, &k)) return repeat(j, a, k);
    if (strcmp(op, "*") == 0 && jj_is_sequence(b) && jj_as_int(a, &k)) return repeat(j, b, k);
    if (op[0] == '%' && a.type == V_STRING) jj_fail(j, "formatting with %% is not supported");
    bad_operands(j, op, a, b);
}

value jj_negate(job *j, value v)
{
    if (v.type == V_FLOAT) return jj_float(-v.d);
    return jj_arith(j, "-", jj_int(0), v);
}
