/*
 * rule.h: one rule of route, which a value fits or not.
 *
 *     *                  everything, an absent value too
 *     en, de             one of these;  = en, de  is the same
 *     != en, de          none of these
 *     < 10   <= 10   > 10   >= 10        numbers only, one value
 *
 * Several values stand between commas, or one on each line. A value in double quotes may hold commas, outer blanks and
 * a first character that is an operator's; "" in it is one quote.
 */
#ifndef JV_ROUTE_RULE_H
#define JV_ROUTE_RULE_H

#include <stdbool.h>

#include "jevons.h"

enum { RULE_ALL, RULE_IS, RULE_IS_NOT, RULE_BELOW, RULE_AT_MOST, RULE_ABOVE, RULE_AT_LEAST };

struct rule_number {
    bool whole; /* i is the value, else d */
    int64_t i;
    double d;
};

struct rule_value {
    jv_str text;
    struct rule_number number; /* only in rules for numbers */
};

struct rule {
    int32_t op;
    size_t n; /* values; 1 for an order, 0 for RULE_ALL */
    struct rule_value *v;
    char *texts; /* what v points into */
};

/* Reads a rule for text or for numbers. JV_OK, or < 0 and err; rule_free takes what it leaves in either case. */
int32_t rule_parse(struct rule *r, const char *text, bool numbers, jv_err *err);
bool rule_fits_text(const struct rule *r, jv_str s);
/* NaN fits RULE_ALL alone. */
bool rule_fits_number(const struct rule *r, struct rule_number v);
void rule_free(struct rule *r);

#endif
