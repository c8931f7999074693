/*
 * linear.c: the order in which weights meet rows of x. A thread takes some panels at a time, few enough to stay in its
 * second cache, and multiplies them by one tile of rows after another: weights come from memory once, whatever the
 * number of rows.
 */
#include "linear.h"
#include "level_linear.h"

#define LANES CPU_LANES
#define STREAM_STEP (64u << 10) /* bytes of panels a thread takes at a time: one tile, */
#define CACHE_STEP (256u << 10) /* and several */
#define LEAST_STEPS 8           /* for each thread, where there are panels enough: the last to end keeps few waiting */

/* A weight, or gate and up, and where its products go. */
typedef struct part {
    const bk_tensor *w, *up; /* up: or null */
    const bk_tensor *bias;   /* or null */
    float *out;              /* (n, rows of w) */
    bool add;
    bool by_out; /* out holds what gates these products */
} part;

typedef struct input {
    const cpu *c;
    const bk_tensor *x, *norm;
    const int32_t *index; /* which rows of x, or null: from the first on */
    float eps;
    uint32_t n, act;
} input;

/* A round: the parts whose weights take x in one form. */
typedef struct job {
    input in;
    uint32_t form, n_parts;
    part part[BK_PARTS];
    uint64_t columns; /* of a tile, padded */
    uint32_t n_tiles, slices;
    share rows, panels;
} job;

uint64_t linear_room(uint64_t capacity, uint64_t width)
{
    if (capacity > UINT32_MAX || width > UINT32_MAX) return UINT64_MAX;
    uint64_t rows = (capacity + LINEAR_MAX_WIDTH - 1) / LINEAR_MAX_WIDTH * LINEAR_MAX_WIDTH;
    uint64_t columns = (width + BK_SUPER - 1) / BK_SUPER * BK_SUPER, all;
    return __builtin_mul_overflow(rows, columns * sizeof(float), &all) ? UINT64_MAX : all;
}

static uint32_t form_of(const bk_tensor *w)
{
    uint32_t block = pack_format_of(w->type).block;
    return block == 1 ? LINEAR_FLOATS : block == BK_BLOCK ? LINEAR_BLOCKS : LINEAR_SUPERS;
}

static uint64_t count_panels(const bk_tensor *w)
{
    return (w->rows + LANES - 1) / LANES;
}

/* ---- tiles ---- */

/* How many of `left` rows the next tile takes: the largest width that is full, or twice that when it would leave more
 * than half as many; such a tile, the last one, has rows of zeroes. */
static uint32_t tile_width(const job *j, uint32_t left)
{
    uint32_t most = j->in.c->level->linear->width, width = 1;
    while (width < most && width * 2 <= left) width *= 2;
    return width < most && left - width > width / 2 ? width * 2 : width;
}

/* The tile that begins with row `first`. */
static linear_tile tile_at(const job *j, uint32_t first, uint32_t width)
{
    uint8_t *at = j->in.x->room + first * linear_row_bytes(j->form, j->columns);
    return linear_tile_at(at, j->form, j->columns, width);
}

/* Slice `slice` of the columns of the tile from row `first` on. */
static void make_rows(const job *j, uint32_t first, uint32_t slice)
{
    uint32_t width = tile_width(j, j->in.n - first);
    uint64_t supers = (j->columns + BK_SUPER - 1) / BK_SUPER;
    linear_rows r = {.norm = j->in.norm ? j->in.norm->f32 : NULL,
        .eps = j->in.eps,
        .width = width,
        .n = j->in.n - first < width ? j->in.n - first : width,
        .form = j->form,
        .columns = j->in.x->columns,
        .begin = share_cut(supers, slice, j->slices) * BK_SUPER,
        .end = share_cut(supers, slice + 1, j->slices) * BK_SUPER,
        .to = tile_at(j, first, width)};
    if (r.end > j->columns) r.end = j->columns;
    for (uint32_t i = 0; i < r.n; i++)
        r.x[i] = j->in.x->f32 + (j->in.index ? (uint64_t)j->in.index[first + i] : first + i) * j->in.x->columns;
    j->in.c->level->linear->rows(&r);
}

static void make_all_rows(job *j, uint32_t thread)
{
    uint32_t begin, end, most = j->in.c->level->linear->width;
    while (share_next(&j->rows, thread, &begin, &end))
        for (uint32_t i = begin; i < end; i++) {
            uint32_t first = i / j->slices * most; /* all tiles are of the most width, up to less than that many rows */
            uint32_t stop = j->in.n - first < most ? j->in.n : first + most;
            for (; first < stop; first += tile_width(j, j->in.n - first)) make_rows(j, first, i % j->slices);
        }
}

/* ---- panels ---- */

static void multiply_panel(const job *j, const bk_tensor *w, uint64_t panel, uint32_t width, const linear_tile *x,
    float *to)
{
    linear_multiply *kernel = j->in.c->level->linear->multiply[w->type][__builtin_ctz(width)];
    uint32_t unit = pack_format_of(w->type).columns;
    kernel(w->panels + panel * w->panel_bytes, (w->columns + unit - 1) / unit * unit, x, to);
}

/* Panel `panel` of a part times the tile from row `first` on. */
static void multiply(const job *j, const part *p, uint64_t panel, uint32_t first, uint32_t width, const linear_tile *x)
{
    _Alignas(64) float sum[LINEAR_MAX_WIDTH * LANES], up[LINEAR_MAX_WIDTH * LANES];
    uint64_t row = panel * LANES;
    linear_sums s = {.sum = sum,
        .bias = p->bias ? p->bias->f32 + row : NULL,
        .out = p->out + first * p->w->rows + row,
        .ld = p->w->rows,
        .n = j->in.n - first < width ? j->in.n - first : width,
        .rows = p->w->rows - row < LANES ? (uint32_t)(p->w->rows - row) : LANES,
        .act = j->in.act,
        .add = p->add};
    multiply_panel(j, p->w, panel, width, x, p->by_out ? up : sum);
    if (p->up) multiply_panel(j, p->up, panel, width, x, up);
    if (p->up || p->by_out) s.up = up;
    for (uint32_t c = 0; c < s.n && p->by_out; c++)
        for (uint32_t i = 0; i < LANES; i++) sum[c * LANES + i] = i < s.rows ? s.out[c * s.ld + i] : 0;
    j->in.c->level->linear->sums(&s);
}

/* Panels [begin, end) of a part times all rows. */
static void multiply_all(const job *j, const part *p, uint64_t begin, uint64_t end)
{
    for (uint32_t first = 0, width; first < j->in.n; first += width) {
        width = tile_width(j, j->in.n - first);
        linear_tile x = tile_at(j, first, width);
        for (uint64_t panel = begin; panel < end; panel++) multiply(j, p, panel, first, width, &x);
    }
}

static void work(void *job_, uint32_t thread, uint32_t threads)
{
    job *j = job_;
    make_all_rows(j, thread);
    pool_barrier(j->in.c->pool);
    uint32_t begin, end;
    while (share_next(&j->panels, thread, &begin, &end)) {
        uint64_t before = 0; /* panels of the parts before */
        for (uint32_t i = 0; i < j->n_parts; i++) {
            uint64_t here = count_panels(j->part[i].w);
            uint64_t from = begin > before ? begin - before : 0, to = end > before ? end - before : 0;
            multiply_all(j, &j->part[i], from, to < here ? to : here);
            before += here;
        }
    }
}

/* ---- rounds ---- */

static void run_round(job *j)
{
    const uint32_t threads = pool_threads(j->in.c->pool), most = j->in.c->level->linear->width;
    const uint64_t unit = j->form == LINEAR_FLOATS ? 32 : j->form == LINEAR_BLOCKS ? 64 : BK_SUPER;
    j->columns = (j->in.x->columns + unit - 1) / unit * unit;
    j->n_tiles = (j->in.n + most - 1) / most;
    j->slices = j->n_tiles < threads ? threads : 1;
    share_init(&j->rows, j->n_tiles * j->slices, 1, threads);

    uint64_t panels = 0, bytes = 0;
    for (uint32_t i = 0; i < j->n_parts; i++) {
        const part *p = &j->part[i];
        panels += count_panels(p->w);
        bytes += count_panels(p->w) * (p->w->panel_bytes + (p->up ? p->up->panel_bytes : 0));
    }
    uint64_t step = (j->in.n > most ? CACHE_STEP : STREAM_STEP) / (bytes / panels);
    uint64_t at_most = panels / (threads * LEAST_STEPS);
    if (step > at_most) step = at_most;
    share_init(&j->panels, (uint32_t)panels, step < 1 ? 1 : (uint32_t)step, threads);
    pool_run(j->in.c->pool, work, j);
}

/* A round for each form that the weights take x in: nearly always one. */
static void run_all(const input *in, const part *parts, uint32_t n)
{
    job j; /* not cleared: the shares are large */
    j.in = *in;
    for (j.form = LINEAR_FLOATS; j.form <= LINEAR_SUPERS; j.form++) {
        j.n_parts = 0;
        for (uint32_t i = 0; i < n; i++)
            if (form_of(parts[i].w) == j.form) j.part[j.n_parts++] = parts[i];
        if (j.n_parts > 0) run_round(&j);
    }
}

void linear_run(cpu *c, const bk_linear *op)
{
    if (op->n == 0) return;
    input in = {.c = c, .x = op->x, .norm = op->norm, .eps = op->eps, .n = op->n};
    part parts[BK_PARTS];
    for (uint32_t i = 0; i < op->n_parts; i++)
        parts[i] = (part){.w = op->part[i].w, .bias = op->part[i].bias, .out = op->part[i].out->f32, .add = op->add != 0};
    run_all(&in, parts, op->n_parts);
}

void linear_gated(cpu *c, const bk_gated *op)
{
    if (op->n == 0) return;
    input in = {.c = c, .x = op->x, .norm = op->norm, .eps = op->eps, .n = op->n, .act = op->act};
    part both = {.w = op->gate, .up = op->up, .out = op->out->f32};
    if (form_of(op->gate) == form_of(op->up)) {
        run_all(&in, &both, 1);
        return;
    }
    run_all(&in, &(part){.w = op->gate, .out = op->out->f32}, 1);
    run_all(&in, &(part){.w = op->up, .out = op->out->f32, .by_out = true}, 1);
}

void linear_logits(cpu *c, const bk_logits *op)
{
    if (op->n == 0) return;
    input in = {.c = c, .x = op->x, .norm = op->norm, .index = op->index, .eps = op->eps, .n = op->n};
    run_all(&in, &(part){.w = op->head, .out = op->to}, 1);
}
