/* arena_test.c: memory of tensors is zero, aligned, apart from each other, and goes back when nobody has it. */
#include "arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)

static void check_zero_then_fill(uint8_t *p, uint64_t bytes, int with)
{
    assert_non_null(p);
    assert_true((uintptr_t)p % 64 == 0);
    for (uint64_t i = 0; i < bytes; i++)
        if (p[i]) fail_msg("byte %lu of %lu is %d", (unsigned long)i, (unsigned long)bytes, p[i]);
    memset(p, with, bytes);
}

static void test_parts_are_zero_and_apart(void **state)
{
    static const uint64_t bytes[] = {1, 64, 65, 3 * MIB, 31 * MIB, 1, 40 * MIB, 100};
    enum { N = sizeof bytes / sizeof *bytes };
    arena a = {0};
    uint8_t *p[N];
    for (int i = 0; i < N; i++) {
        p[i] = arena_new(&a, bytes[i]);
        check_zero_then_fill(p[i], bytes[i], i + 1);
    }
    for (int i = 0; i < N; i++) {
        for (uint64_t k = 0; k < bytes[i]; k++)
            if (p[i][k] != i + 1) fail_msg("part %d has what belongs to part %d", i, p[i][k] - 1);
        arena_free(&a, p[i]);
    }
    assert_null(a.pieces);
}

/* Bytes of memory this process has. */
static uint64_t resident(void)
{
    unsigned long all = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &all, &pages), 2);
    fclose(f);
    return pages * 4096;
}

static void test_a_piece_goes_back_with_its_last_part(void **state)
{
    arena a = {0};
    uint8_t *first = arena_new(&a, 10 * MIB), *second = arena_new(&a, 10 * MIB);
    memset(first, 1, 10 * MIB);
    memset(second, 1, 10 * MIB);
    uint64_t full = resident();
    arena_free(&a, first);
    assert_true(second[10 * MIB - 1] == 1);
    arena_free(&a, second);
    assert_null(a.pieces);
    assert_true(resident() + 15 * MIB < full);
}

static void test_what_cannot_be_is_null(void **state)
{
    arena a = {0};
    assert_null(arena_new(&a, UINT64_MAX));
    assert_null(arena_new(&a, UINT64_C(1) << 60));
    arena_free(&a, NULL);
    assert_null(a.pieces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_are_zero_and_apart),
        cmocka_unit_test(test_a_piece_goes_back_with_its_last_part),
        cmocka_unit_test(test_what_cannot_be_is_null),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
