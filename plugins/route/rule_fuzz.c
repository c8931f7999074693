/* rule_fuzz.c: any text as a rule, for numbers and for text; one that parses gives each value one answer. */
#include <stdlib.h>
#include <string.h>

#include "../utf8.h"
#include "rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void try_values(const struct rule *r, bool numbers)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct rule_value *v = &r->v[i];
        check(v->text.p[v->text.n] == 0);
        bool fits = numbers ? rule_fits_number(r, v->number) : rule_fits_text(r, v->text);
        bool with = r->op == RULE_IS || r->op == RULE_AT_MOST || r->op == RULE_AT_LEAST;
        check(fits == with); /* a value of the rule's own */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    check(text != NULL);
    if (size) memcpy(text, data, size);
    text[size] = 0;
    if (utf8_valid(text, strlen(text)) < strlen(text)) text[0] = 0; /* the host takes no other */
    for (int numbers = 0; numbers < 2; numbers++) {
        struct rule r;
        jv_err err = {0};
        int32_t rc = rule_parse(&r, text, numbers, &err);
        check(rc == JV_OK || (rc == JV_BAD && err.text[0]));
        if (rc == JV_OK) try_values(&r, numbers);
        rule_free(&r);
    }
    free(text);
    return 0;
}
