/*
 * dead.c: the dead-letter file: a JSON object a line for each rejected record, with the fields it came with. Rows are
 * written as they come, so that nothing is lost with the process; at the end they are put into source order.
 */
#include "json.h"
#include "pipeline.h"

#include <errno.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_BYTES "{\"id\": "

/* Where a row stands in the file, and its record's place in the order of the source. */
struct row {
    long at, n;
    uint32_t source, depth;
    uint64_t sequence;
    uint32_t *path; /* depth indexes, from the root's child down */
};

struct jvc_dead {
    pthread_mutex_t lock;
    FILE *file;
    long size;
    struct row *rows;
    size_t n, cap;
    bool unordered; /* a row came before one that belongs in front of it */
};

static int by_source_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->sequence != y->sequence) return x->sequence < y->sequence ? -1 : 1;
    for (uint32_t i = 0; i < x->depth && i < y->depth; i++)
        if (x->path[i] != y->path[i]) return x->path[i] < y->path[i] ? -1 : 1;
    if (x->depth != y->depth) return x->depth < y->depth ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* False: no memory. */
static bool place_of(const struct jvc_node *n, struct row *r)
{
    *r = (struct row){.sequence = n->root->sequence, .source = n->source->at};
    for (const struct jvc_node *p = n; p->parent; p = p->parent) r->depth++;
    r->path = malloc((r->depth + 1) * sizeof *r->path);
    for (uint32_t i = r->depth; r->path && i > 0; n = n->parent) r->path[--i] = n->index;
    return r->path;
}

/* Remembers where a row stands; false: no memory. */
static bool remember(struct jvc_dead *d, const struct jvc_node *n, size_t size)
{
    struct row r;
    if (d->n == d->cap) {
        struct row *rows = realloc(d->rows, (2 * d->cap + 16) * sizeof *rows);
        if (!rows) return false;
        d->rows = rows;
        d->cap = 2 * d->cap + 16;
    }
    if (!place_of(n, &r)) return false;
    r.at = d->size;
    r.n = (long)size;
    d->size += r.n;
    if (d->n && by_source_order(&d->rows[d->n - 1], &r) > 0) d->unordered = true;
    d->rows[d->n++] = r;
    return true;
}

static void write_numbers(FILE *f, int32_t type, const struct jvc_value *v)
{
    fputc('[', f);
    for (size_t i = 0; i + 4 <= v->n; i += 4) {
        int32_t whole;
        float part;
        memcpy(&whole, v->u.p + i, 4);
        memcpy(&part, v->u.p + i, 4);
        fputs(i ? ", " : "", f);
        if (type == JV_I32S)
            fprintf(f, "%d", whole);
        else
            jvc_json_double(f, (double)part);
    }
    fputc(']', f);
}

/* A value by its type; bytes that are no UTF-8 as {"base64": ...}. */
static void write_value(FILE *f, int32_t type, const struct jvc_value *v)
{
    if (type == JV_I64)
        fprintf(f, "%lld", (long long)v->u.i);
    else if (type == JV_F64)
        jvc_json_double(f, v->u.f);
    else if (type == JV_I32S || type == JV_F32S)
        write_numbers(f, type, v);
    else if (jvc_utf8_valid(v->u.p, v->n, NULL))
        jvc_json_string(f, v->u.p, v->n);
    else {
        fputs("{\"base64\": ", f);
        jvc_json_base64(f, v->u.p, v->n);
        fputc('}', f);
    }
}

static void write_input(FILE *f, const struct jvc_stage *s, const jv_buf *b)
{
    const struct jvc_columns *c = jvc_stage_input(s);
    const char *comma = "";
    fputs(", \"input\": {", f);
    for (uint32_t i = 0; i < c->n; i++) {
        const struct jvc_row_of *of = &c->v[i].of;
        if (of->kind != JVC_SLOT || !b->v[of->at].set) continue;
        fputs(comma, f);
        jvc_json_string(f, c->v[i].c.name, strlen(c->v[i].c.name));
        fputs(": ", f);
        write_value(f, of->type, &b->v[of->at]);
        comma = ", ";
    }
    fputs("}}\n", f);
}

/* The row as text, to be freed, n bytes; null: no memory. */
static char *row_text(const struct jvc_stage *s, const jv_buf *b, const jv_err *why, size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (!f) return NULL;
    fputs(FIRST_BYTES, f);
    jvc_json_string(f, b->node->id, b->node->id_n);
    fputs(", \"stage\": ", f);
    jvc_json_string(f, s->sec->name, strlen(s->sec->name));
    fputs(", \"place\": ", f);
    jvc_json_string(f, s->place, strlen(s->place));
    fputs(", \"error\": ", f);
    size_t n = strnlen(why->text, sizeof why->text - 1), bad;
    jvc_json_string(f, why->text, jvc_utf8_valid(why->text, n, &bad) ? n : bad);
    write_input(f, s, b);
    bool whole = !ferror(f) && !fclose(f);
    if (whole) return text;
    free(text);
    return NULL;
}

static bool failed(const struct jvc_pipeline *pl, jv_err *err)
{
    jv_fail(err, JV_FATAL, "%s: %s", pl->dead_path, strerror(errno));
    return false;
}

/* Whether a file that is there is one of ours: empty, or beginning like a row. */
static bool is_dead_letters(const char *path)
{
    char begin[sizeof FIRST_BYTES - 1];
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(begin, 1, sizeof begin, f) : 1;
    if (f) fclose(f);
    return !n || (n == sizeof begin && !memcmp(begin, FIRST_BYTES, n));
}

bool jvc_dead_begin(struct jvc_pipeline *pl, jv_err *err)
{
    struct stat st;
    bool there = !stat(pl->dead_path, &st) && S_ISREG(st.st_mode); /* never a device */
    if (there && !is_dead_letters(pl->dead_path)) {
        jv_fail(err, JV_FATAL,
            "%s is there and holds no rejected records: it is left alone; `dead_letter` in [pipeline] names another",
            pl->dead_path);
        return false;
    }
    if (there && unlink(pl->dead_path)) {
        failed(pl, err);
        return false;
    }
    pl->dead = jvc_alloc(sizeof *pl->dead);
    pthread_mutex_init(&pl->dead->lock, NULL);
    return true;
}

/* A row that went out in part must not stay, nor what of it is still to go. */
static void cut_back(struct jvc_dead *d)
{
    __fpurge(d->file);
    if (fseek(d->file, d->size, SEEK_SET) || ftruncate(fileno(d->file), d->size)) return; /* a device, a pipe */
}

bool jvc_dead_write(struct jvc_pipeline *pl, const struct jvc_stage *s, const jv_buf *b, const jv_err *why, jv_err *err)
{
    struct jvc_dead *d = pl->dead;
    size_t n;
    char *text = row_text(s, b, why, &n);
    pthread_mutex_lock(&d->lock);
    errno = text ? 0 : ENOMEM;
    if (text && !d->file) d->file = fopen(pl->dead_path, "w+e");
    bool ok = text && d->file && fwrite(text, 1, n, d->file) == n && !fflush(d->file);
    if (ok && !remember(d, b->node, n)) {
        errno = ENOMEM;
        ok = false;
    }
    if (!ok) failed(pl, err);
    if (!ok && d->file) cut_back(d);
    pthread_mutex_unlock(&d->lock);
    free(text);
    return ok;
}

/* Writes the rows in order beside the file and puts that in its place. */
static bool rewrite(struct jvc_pipeline *pl, jv_err *err)
{
    struct jvc_dead *d = pl->dead;
    char *path = NULL;
    FILE *out = asprintf(&path, "%s.sorting", pl->dead_path) < 0 ? NULL : fopen(path, "we");
    bool ok = out != NULL;
    qsort(d->rows, d->n, sizeof *d->rows, by_source_order);
    for (size_t i = 0; ok && i < d->n; i++) {
        ok = !fseek(d->file, d->rows[i].at, SEEK_SET);
        for (long k = 0; ok && k < d->rows[i].n; k++) {
            int c = getc(d->file);
            ok = c != EOF && putc(c, out) != EOF;
        }
    }
    if (out && fclose(out)) ok = false;
    if (!ok || rename(path, pl->dead_path)) {
        failed(pl, err);
        if (out) unlink(path);
        ok = false;
    }
    free(path);
    return ok;
}

bool jvc_dead_end(struct jvc_pipeline *pl, jv_err *err)
{
    struct jvc_dead *d = pl->dead;
    bool ok = true;
    if (!d) return true;
    struct stat st;
    bool seekable = d->file && !fstat(fileno(d->file), &st) && S_ISREG(st.st_mode);
    if (d->unordered && seekable) ok = rewrite(pl, err);
    if (d->file && fclose(d->file) && ok) ok = failed(pl, err);
    for (size_t i = 0; i < d->n; i++) free(d->rows[i].path);
    free(d->rows);
    d->rows = NULL;
    d->file = NULL;
    return ok;
}

uint64_t jvc_dead_count(const struct jvc_pipeline *pl)
{
    if (!pl->dead) return 0;
    pthread_mutex_lock(&pl->dead->lock);
    uint64_t n = pl->dead->n;
    pthread_mutex_unlock(&pl->dead->lock);
    return n;
}
