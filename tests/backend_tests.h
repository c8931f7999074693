/* backend_tests.h: the tests of a compute backend, by what they are about. */
#ifndef BACKEND_TESTS_H
#define BACKEND_TESTS_H

#include "backend_kit.h"

extern const char *tests_plugin; /* the file */
extern const char *tests_isa;    /* or null */

/* backend_attention.c */
void test_attention_values(void **state);
void test_attention_same(void **state);
void test_attention_shared(void **state);
void test_attention_not_numbers(void **state);

/* backend_linear.c */
void test_linear_values(void **state);
void test_gated_values(void **state);
void test_small_values(void **state);
void test_rows_alone(void **state);

#endif
