/*
 * linear_test.c: weights times activations at every level that this processor has, for all types: against sums in
 * double over the same quantised activations, and byte for byte against each other, whatever the rows at a time, the
 * threads and, from avx2 up, the level.
 *
 * Bound of the first: 1e-5 of the sum of the products' sizes. A value is the sum of one or two floats a block, each
 * rounded to 2^-24, of up to 280 blocks: errors of random sign grow to some 1e-6 of that sum. A wrong scale, a column
 * left out, a sum that saturates are 1e-3 and more.
 */
#include "linear_kit.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define BOUND 1e-5
#define MANY 64

/* ---- tests ---- */

/* Sum of products in double, and of their sizes. */
static double dot(const double *w, const double *x, uint64_t n, double *size)
{
    double sum = 0;
    *size = 0;
    for (uint64_t k = 0; k < n; k++) {
        sum += w[k] * x[k];
        *size += fabs(w[k] * x[k]);
    }
    return sum;
}

static void check_product(const weight *w, const bk_tensor *x, uint32_t n, const bk_tensor *out, const char *level)
{
    uint64_t columns = w->file.columns;
    double *xs = malloc(n * columns * sizeof *xs), *row = malloc(columns * sizeof *row), size;
    for (uint32_t t = 0; t < n; t++) ref_row(x->f32 + t * columns, columns, ref_block(w->file.type), xs + t * columns);
    for (uint64_t r = 0; r < w->file.rows; r++) {
        for (uint64_t k = 0; k < columns; k++) row[k] = weight_at(w, r, k);
        for (uint32_t t = 0; t < n; t++) {
            double want = dot(row, xs + t * columns, columns, &size), got = out->f32[t * w->file.rows + r];
            if (!(fabs(got - want) <= BOUND * size))
                fail_msg("%s, type %u, %lu x %lu, n %u: row %lu of token %u is %.9g, not %.9g (sizes %.3g)", level,
                    w->file.type, (unsigned long)w->file.rows, (unsigned long)columns, n, (unsigned long)r, t, got,
                    want, size);
        }
    }
    free(xs);
    free(row);
}

static void products_are_right(void **state)
{
    static const struct {
        uint32_t rows, columns, n;
    } shape[] = {{1, 32, 1}, {5, 96, 2}, {16, 576, 3}, {23, 64, 9}, {7, 1024, 4}, {33, 256, 67}, {40, 768, 13},
        {17, 8960, 5}, {3, 2304, 31}, {50, 224, 7}};
    pool *p = threads(2);
    for (size_t t = 0; t < REF_TYPES; t++)
        for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) {
            if (shape[s].columns % ref_block(ref_types[t]) != 0) continue;
            weight w = make_weight(p, ref_types[t], shape[s].rows, shape[s].columns);
            bk_tensor x = activation(shape[s].n, shape[s].columns), out = activation(shape[s].n, shape[s].rows);
            for (uint32_t l = 0; l < n_levels; l++) {
                cpu c = context(levels[l], p);
                run(&c, &w, &x, shape[s].n, &out);
                check_product(&w, &x, shape[s].n, &out, levels[l]->name);
            }
            free_weight(&w);
            free_activation(&x);
            free_activation(&out);
        }
    pool_free(p);
}

/* Columns of floats need be no multiple of anything. */
static void floats_of_odd_columns(void **state)
{
    pool *p = threads(2);
    for (uint32_t t = 0; t < 3; t++)
        for (uint32_t columns = 1; columns < 70; columns += 17) {
            weight w = make_weight(p, ref_types[t], 19, columns);
            bk_tensor x = activation(5, columns), out = activation(5, 19);
            for (uint32_t l = 0; l < n_levels; l++) {
                cpu c = context(levels[l], p);
                run(&c, &w, &x, 5, &out);
                check_product(&w, &x, 5, &out, levels[l]->name);
            }
            free_weight(&w);
            free_activation(&x);
            free_activation(&out);
        }
    pool_free(p);
}

/* A row's bytes are those it has among 64, for any number of rows and threads; and those of the levels that fuse. */
static void bytes_depend_on_the_row_alone(void **state)
{
    enum { ROWS = 40, COLUMNS = 512 };
    pool *pools[] = {threads(1), threads(2), threads(3), threads(5)};
    for (size_t t = 0; t < REF_TYPES; t++) {
        weight w = make_weight(pools[0], ref_types[t], ROWS, COLUMNS);
        bk_tensor x = activation(MANY, COLUMNS), first = activation(MANY, ROWS), out = activation(MANY, ROWS);
        bool have = false;
        for (uint32_t l = 0; l < n_levels; l++) {
            cpu c = context(levels[l], pools[0]);
            const bk_tensor *all = have && fused(levels[l]) ? &out : &first;
            run(&c, &w, &x, MANY, all);
            if (all == &out) assert_memory_equal(out.f32, first.f32, MANY * ROWS * 4);
            have |= fused(levels[l]);
            for (uint32_t n = 1; n < MANY; n++) {
                c = context(levels[l], pools[n % 4]);
                memset(out.f32, 0xff, MANY * ROWS * 4);
                run(&c, &w, &x, n, &out);
                if (memcmp(out.f32, first.f32, n * ROWS * 4) != 0)
                    fail_msg("%s, type %u: %u rows differ from the same of %d", levels[l]->name, ref_types[t], n, MANY);
            }
        }
        free_weight(&w);
        free_activation(&x);
        free_activation(&first);
        free_activation(&out);
    }
    for (int i = 0; i < 4; i++) pool_free(pools[i]);
}

/* Every integer as large as it can be, of either sign: nothing saturates or wraps. */
static void largest_integers(void **state)
{
    pool *p = threads(1);
    for (size_t t = 3; t < REF_TYPES; t++)
        for (int pattern = 0; pattern < 4; pattern++) {
            weight w = make_weight(p, ref_types[t], 16, 512);
            for (uint64_t k = 0; k < 16 * 512; k += ref_block(ref_types[t])) {
                uint8_t *b = file_block(&w, 0, k), one[2] = {0, 0x3c};
                uint32_t type = ref_types[t];
                memset(b, pattern < 2 ? 0xff : type == BK_Q8_0 || type == BK_Q6_K ? 0x80 : 0, ref_bytes(type));
                memcpy(type == BK_Q6_K ? b + 208 : b, one, 2);
                if (type == BK_Q4_1 || type == BK_Q5_1 || type == BK_Q4_K || type == BK_Q5_K) memcpy(b + 2, one, 2);
            }
            free(w.t.panels);
            pack(p, &w);
            bk_tensor x = activation(16, 512), out = activation(16, 16);
            for (int i = 0; i < 16 * 512; i++) x.f32[i] = pattern % 2 ? -1 : 1;
            for (uint32_t l = 0; l < n_levels; l++) {
                cpu c = context(levels[l], p);
                run(&c, &w, &x, 16, &out);
                check_product(&w, &x, 16, &out, levels[l]->name);
            }
            free_weight(&w);
            free_activation(&x);
            free_activation(&out);
        }
    pool_free(p);
}

/* What is no number in x is in its own row of the result, what is none in a weight in its own column, nowhere else. */
static void not_a_number_stays_where_it_is(void **state)
{
    enum { ROWS = 37, N = 11, COLUMNS = 768 };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    pool *p = threads(2);
    for (size_t t = 0; t < REF_TYPES; t++)
        for (int b = 0; b < 3; b++) {
            weight w = make_weight(p, ref_types[t], ROWS, COLUMNS);
            uint32_t type = ref_types[t];
            uint8_t *block = file_block(&w, 20, 256), half[2] = {(uint8_t)(b == 0), 0x7c};
            if (type == BK_F32) memcpy(block, &bad[b], 4);
            if (type == BK_BF16) memcpy(block, (const uint8_t *)&bad[b] + 2, 2);
            if (type != BK_F32 && type != BK_BF16) memcpy(type == BK_Q6_K ? block + 208 : block, half, 2);
            free(w.t.panels);
            pack(p, &w);
            bk_tensor x = activation(N, COLUMNS), out = activation(N, ROWS);
            x.f32[7 * COLUMNS + 300] = bad[b];
            for (uint32_t l = 0; l < n_levels; l++) {
                cpu c = context(levels[l], p);
                run(&c, &w, &x, N, &out);
                for (uint32_t i = 0; i < N * ROWS; i++) {
                    if (isfinite(out.f32[i]) == (i / ROWS == 7 || i % ROWS == 20))
                        fail_msg("%s, type %u: %g at %u, %u", levels[l]->name, type, out.f32[i], i / ROWS, i % ROWS);
                    if (i / ROWS == 7 && (b == 0 || ref_block(type) > 1)) assert_true(isnan(out.f32[i]));
                }
            }
            free_weight(&w);
            free_activation(&x);
            free_activation(&out);
        }
    pool_free(p);
}

/* Rows too small to have a scale count as zeroes, larger ones of all sizes as what they are. */
static void sizes_of_x(void **state)
{
    static const float size[] = {0, 0x1p-149f, 0x1p-130f, 0x1p-122f, 0x1p-60f, 1, 0x1p60f, 0x1p100f};
    enum { N = sizeof size / sizeof *size };
    pool *p = threads(2);
    for (size_t t = 0; t < REF_TYPES; t++) {
        weight w = make_weight(p, ref_types[t], 16, 256);
        bk_tensor x = activation(N, 256), out = activation(N, 16);
        for (uint32_t i = 0; i < N * 256; i++) x.f32[i] *= size[i / 256];
        for (uint32_t l = 0; l < n_levels; l++) {
            cpu c = context(levels[l], p);
            run(&c, &w, &x, N, &out);
            for (int i = 0; i < 16; i++) assert_true(out.f32[i] == 0);
            bk_tensor normal = x, of_normal = out;
            normal.f32 += 4 * 256;
            of_normal.f32 += 4 * 16;
            check_product(&w, &normal, N - 4, &of_normal, levels[l]->name);
            for (int i = 16; i < 64; i++) assert_true(fabsf(out.f32[i]) < 0x1p-100f);
        }
        free_weight(&w);
        free_activation(&x);
        free_activation(&out);
    }
    pool_free(p);
}

/* A row of a packed weight is what the file says, also when the file's pages were let go. */
static void rows_come_back(void **state)
{
    enum { ROWS = 700, COLUMNS = 768 };
    static float row[COLUMNS];
    pool *p = threads(2);
    for (size_t t = 0; t < REF_TYPES; t++) {
        weight w = make_weight(p, ref_types[t], ROWS, COLUMNS), mapped = w;
        FILE *f = tmpfile();
        assert_true(f && fwrite(w.file.data, 1, w.file.bytes, f) == w.file.bytes && fflush(f) == 0);
        mapped.file.data = mmap(NULL, w.file.bytes, PROT_READ, MAP_PRIVATE, fileno(f), 0);
        assert_ptr_not_equal(mapped.file.data, MAP_FAILED);
        mapped.file.mapped = 1;
        pack(p, &mapped);
        assert_memory_equal(w.t.panels, mapped.t.panels, (ROWS + 15) / 16 * w.t.panel_bytes);
        for (uint64_t r = 0; r < ROWS; r += 13) {
            pack_row(&w.t, r, row);
            for (uint64_t k = 0; k < COLUMNS; k++) {
                double want = weight_at(&w, r, k);
                /* d * q and m may be larger than their sum */
                if (!(fabs(row[k] - want) <= 0x1p-22 * (fabs(want) + 0.5)))
                    fail_msg("type %u: weight %lu, %lu is %.9g, not %.9g", ref_types[t], (unsigned long)r,
                        (unsigned long)k, row[k], want);
            }
        }
        munmap((void *)mapped.file.data, w.file.bytes);
        fclose(f);
        free(mapped.t.panels);
        free_weight(&w);
    }
    pool_free(p);
}

static void sizes_that_cannot_be(void **state)
{
    assert_int_equal(pack_panel_bytes(BK_Q4_K, 100), 0);
    assert_int_equal(pack_panel_bytes(BK_Q8_0, 33), 0);
    assert_int_equal(pack_panel_bytes(BK_F32, 0), 0);
    assert_int_equal(pack_panel_bytes(9, 256), 0);
    assert_int_equal(pack_panel_bytes(UINT32_MAX, 256), 0);
    assert_int_equal(pack_panel_bytes(BK_F32, UINT64_MAX), 0);
    assert_int_equal(pack_panel_bytes(BK_Q4_1, 576), 18 * 320);
    assert_int_equal(pack_panel_bytes(BK_Q4_K, 1536), 6 * 2304);
    assert_true(linear_room(UINT64_MAX, 1) == UINT64_MAX);
    assert_true(linear_room(UINT32_MAX, UINT32_MAX) == UINT64_MAX);
}

int main(void)
{
    find_levels();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(floats_of_odd_columns),
        cmocka_unit_test(bytes_depend_on_the_row_alone),
        cmocka_unit_test(largest_integers),
        cmocka_unit_test(not_a_number_stays_where_it_is),
        cmocka_unit_test(sizes_of_x),
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(sizes_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
