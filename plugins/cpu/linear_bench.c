/*
 * linear_bench.c: how fast weights meet rows of x, beside what the machine could do at most at the same moment:
 *
 *     linear_bench [-i LEVEL] [-t THREADS] [-r ROWS] [-c COLUMNS] [-m MIB] [-s SAMPLES] [-n N] [TYPE...]
 *
 * For each type and number of rows of x a line of JSON: products a second, bytes of weights a second, and both as parts
 * of a pass that only reads the same weights and of one that only multiplies (limits.h). Machines are shared and their
 * clocks and memory are not constant: a sample is the operation, the read pass and the multiplications one right after
 * another, and what is told is the median of each ratio. The weights are cycled through so that few rows find them in
 * no cache. With one thread time is that of the processor, so that others who run take none of it.
 */
#include "limits.h"
#include "linear.h"
#include "linear_ref.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROWS 512
#define DOT_MS 8
#define LEAST_NS 10000000 /* an operation is repeated for so long */

static const char *const names[BK_BF16 + 1] = {[BK_F32] = "F32",
    [BK_F16] = "F16",
    [BK_BF16] = "BF16",
    [BK_Q4_0] = "Q4_0",
    [BK_Q4_1] = "Q4_1",
    [BK_Q5_0] = "Q5_0",
    [BK_Q5_1] = "Q5_1",
    [BK_Q8_0] = "Q8_0",
    [BK_Q4_K] = "Q4_K",
    [BK_Q5_K] = "Q5_K",
    [BK_Q6_K] = "Q6_K"};

typedef struct bench {
    cpu c;
    uint64_t rows, columns, bytes; /* bytes: of all weights, about */
    int samples;
    uint32_t only; /* number of rows of x, or 0 for all */
    bk_tensor x, out;
    bk_tensor *w; /* n_w times the same weight */
    uint32_t n_w;
    double pack_seconds;
} bench;

static clockid_t clock_id = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(clock_id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *memory(uint64_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) {
        fprintf(stderr, "no memory for %lu bytes\n", (unsigned long)bytes);
        exit(1);
    }
    memset(p, 0, bytes);
    return p;
}

static bk_tensor activation(uint64_t columns)
{
    bk_tensor t = {.kind = CPU_ACTIVATION, .rows = MOST_ROWS, .columns = columns};
    t.f32 = memory(MOST_ROWS * columns * 4);
    t.room = memory(linear_room(MOST_ROWS, columns));
    for (uint64_t i = 0; i < MOST_ROWS * columns; i++) t.f32[i] = ref_uniform();
    return t;
}

static void make_weights(bench *b, uint32_t type)
{
    uint64_t blocks = b->rows * b->columns / ref_block(type), size = blocks * ref_bytes(type);
    uint8_t *data = memory(size);
    for (uint64_t i = 0; i < blocks; i++) ref_fill(type, data + i * ref_bytes(type));
    bk_source file = {sizeof file, type, b->rows, b->columns, data, size, 0, 0};
    b->n_w = (uint32_t)(b->bytes / size) + 1;
    b->w = memory(b->n_w * sizeof *b->w);
    b->pack_seconds = 0;
    for (uint32_t i = 0; i < b->n_w; i++) {
        bk_tensor *w = &b->w[i];
        *w = (bk_tensor){.kind = CPU_WEIGHT, .type = type, .rows = b->rows, .columns = b->columns};
        w->panel_bytes = pack_panel_bytes(type, b->columns);
        w->panels = memory((b->rows + CPU_LANES - 1) / CPU_LANES * w->panel_bytes);
        double begin = now();
        pack_weight(b->c.pool, &file, w);
        b->pack_seconds += now() - begin;
    }
    printf("{\"type\":\"%s\",\"pack_gbs\":%.2f}\n", names[type], 1e-9 * (double)(size * b->n_w) / b->pack_seconds);
    free(data);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *a, int n)
{
    qsort(a, (size_t)n, sizeof *a, by_size);
    return a[n / 2];
}

static void measure(bench *b, uint32_t type, uint32_t n)
{
    enum { MOST_SAMPLES = 101 };
    double macs[MOST_SAMPLES], of_read[MOST_SAMPLES], of_dot[MOST_SAMPLES];
    double bytes = (double)((b->rows + CPU_LANES - 1) / CPU_LANES * b->w[0].panel_bytes);
    double products = (double)(b->rows * b->columns * n);
    const bk_tensor **all = memory(b->n_w * sizeof *all);
    for (uint32_t i = 0; i < b->n_w; i++) all[i] = &b->w[i];
    int samples = b->samples < MOST_SAMPLES ? b->samples : MOST_SAMPLES;
    for (int s = -1; s < samples; s++) {
        uint32_t times = 0;
        double begin = now(), seconds;
        do {
            linear_run(&b->c, &(bk_linear){.struct_size = sizeof(bk_linear),
                                  .n = n,
                                  .x = &b->x,
                                  .n_parts = 1,
                                  .part = {{&b->out, &b->w[times % b->n_w], NULL}}});
            times++;
            seconds = now() - begin;
        } while (seconds < 1e-9 * LEAST_NS || times < b->n_w / 4);
        begin = now();
        double read = (double)limits_read_pass(&b->c, all, b->n_w) / (now() - begin);
        begin = now();
        double dot = (double)limits_dot_pass(&b->c, DOT_MS) / (now() - begin);
        if (s < 0) continue; /* the first one meets cold caches and a slow clock */
        macs[s] = products * times / seconds;
        of_read[s] = bytes * times / seconds / read;
        of_dot[s] = macs[s] / dot;
    }
    double m = median(macs, samples);
    printf("{\"level\":\"%s\",\"threads\":%u,\"type\":\"%s\",\"rows\":%lu,\"columns\":%lu,\"n\":%u,\"gmacs\":%.1f,"
           "\"gbs\":%.1f,\"of_read\":%.3f,\"of_dot\":%.3f}\n",
        b->c.level->name, b->c.threads, names[type], (unsigned long)b->rows, (unsigned long)b->columns, n, 1e-9 * m,
        1e-9 * m / products * bytes, median(of_read, samples), median(of_dot, samples));
    fflush(stdout);
    free(all);
}

static void measure_type(bench *b, uint32_t type)
{
    static const uint32_t counts[] = {1, 2, 4, 8, 16, 32, 128, MOST_ROWS};
    if (b->columns % ref_block(type) != 0) return;
    make_weights(b, type);
    if (b->only)
        measure(b, type, b->only);
    else
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) measure(b, type, counts[i]);
    for (uint32_t i = 0; i < b->n_w; i++) free(b->w[i].panels);
    free(b->w);
}

static const cpu_level *find_level(const char *name)
{
    const cpu_level *best = NULL, *level;
    for (uint32_t i = 0; (level = cpu_level_at(i)); i++)
        if (cpu_level_runs(level) && (!name || strcmp(name, level->name) == 0)) best = level;
    return best;
}

static bool wanted(uint32_t type, int argc, char **argv)
{
    for (int i = optind; i < argc; i++)
        if (strcmp(argv[i], names[type]) == 0) return true;
    return optind == argc;
}

int main(int argc, char **argv)
{
    bench b = {.c.threads = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN),
        .rows = 8960,
        .columns = 1536,
        .bytes = UINT64_C(300) << 20,
        .samples = 5};
    const char *level = NULL;
    for (int o; (o = getopt(argc, argv, "i:t:r:c:m:s:n:")) != -1;) {
        unsigned long v = o == 'i' || o == '?' ? 1 : strtoul(optarg, NULL, 10);
        if (o == '?' || v == 0 || v > 1u << 24) return fprintf(stderr, "linear_bench: see its source\n"), 2;
        if (o == 'i') level = optarg;
        if (o == 't') b.c.threads = (uint32_t)v;
        if (o == 'r') b.rows = v;
        if (o == 'c') b.columns = v;
        if (o == 'm') b.bytes = (uint64_t)v << 20;
        if (o == 's') b.samples = (int)v;
        if (o == 'n') b.only = v < MOST_ROWS ? (uint32_t)v : MOST_ROWS;
    }
    jv_err err = {0};
    b.c.level = find_level(level);
    if (!b.c.level) return fprintf(stderr, "this processor has no level '%s'\n", level), 1;
    if (b.c.threads > POOL_MAX_THREADS) b.c.threads = POOL_MAX_THREADS;
    if (b.c.threads == 1) clock_id = CLOCK_PROCESS_CPUTIME_ID;
    b.c.pool = pool_new(b.c.threads, &err);
    if (!b.c.pool) return fprintf(stderr, "%s\n", err.text), 1;
    b.x = activation(b.columns);
    b.out = activation(b.rows);
    for (size_t t = 0; t < REF_TYPES; t++)
        if (wanted(ref_types[t], argc, argv)) measure_type(&b, ref_types[t]);
    pool_free(b.c.pool);
    free(b.x.f32);
    free(b.x.room);
    free(b.out.f32);
    free(b.out.room);
    return 0;
}
