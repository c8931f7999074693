/* dead_row.c: see dead.h. */
#include "dead.h"
#include "json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a row is made of: a text behind each of these, then the fields. */
enum { ID, STAGE, PLACE, ERROR, N_TEXTS };
static const char *const row_keys[] = {"{\"id\": ", ", \"stage\": ", ", \"place\": ", ", \"error\": "};
#define INPUT_KEY ", \"input\": {"

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
    fputs(INPUT_KEY, f);
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

char *jvc_dead_row(const struct jvc_stage *s, const jv_buf *b, const jv_err *why, size_t *size)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, size);
    if (!f) return NULL;
    size_t n = strnlen(why->text, sizeof why->text - 1), bad;
    const jv_str texts[] = {
        [ID] = {b->node->id, b->node->id_n},
        [STAGE] = {s->sec->name, strlen(s->sec->name)},
        [PLACE] = {s->place, strlen(s->place)},
        [ERROR] = {why->text, jvc_utf8_valid(why->text, n, &bad) ? n : bad},
    };
    for (int i = 0; i < N_TEXTS; i++) {
        fputs(row_keys[i], f);
        jvc_json_string(f, texts[i].p, texts[i].n);
    }
    write_input(f, s, b);
    bool whole = !ferror(f) && !fclose(f);
    if (whole) return text;
    free(text);
    return NULL;
}

static bool skip(FILE *f, const char *text)
{
    while (*text && getc_unlocked(f) == *text) text++;
    return !*text;
}

static bool skip_string(FILE *f)
{
    int c = getc_unlocked(f) == '"' ? ' ' : EOF;
    while (c != EOF && (c = getc_unlocked(f)) != '"')
        if (c == '\\') getc_unlocked(f);
    return c == '"';
}

static bool begins_like_a_row(FILE *f)
{
    for (int i = 0; i < N_TEXTS; i++)
        if (!skip(f, row_keys[i]) || !skip_string(f)) return false;
    return skip(f, INPUT_KEY);
}

/* Whether all it holds are rows of ours. The last may be cut, as a machine that goes down leaves it. */
static bool holds_rows(FILE *f)
{
    int c = getc_unlocked(f);
    for (bool first = true; c != EOF; first = false, c = getc_unlocked(f)) {
        ungetc(c, f);
        if (!begins_like_a_row(f)) return !first && feof(f);
        do c = getc_unlocked(f);
        while (c != '\n' && c != EOF);
    }
    return true;
}

int jvc_dead_is_ours(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    FILE *f = copy < 0 ? NULL : fdopen(copy, "r");
    int reason = errno, ours = f ? holds_rows(f) : -1;
    if (f && ferror(f)) {
        reason = errno;
        ours = -1;
    }
    if (f)
        fclose(f);
    else if (copy >= 0)
        close(copy);
    errno = reason;
    return ours;
}
