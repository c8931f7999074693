/* jinja_job.c: the memory, the budgets and the errors of one parse or one render. */
#include "jinja_impl.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)32 << 10)
#define ALIGN 16

typedef struct chunk {
    struct chunk *next;
    size_t n; /* keeps what follows aligned */
} chunk;

_Static_assert(sizeof(chunk) % ALIGN == 0, "memory after a chunk's head is aligned");

_Noreturn void jj_no_memory(job *j)
{
    j->code = jv_fail(j->err, JV_FATAL, "no memory for the chat template");
    longjmp(j->jump, 1);
}

/* What a template says may hold anything: the text of an error is one line of valid UTF-8. */
static void make_printable(char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        size_t len = jj_next((text){.p = s, .n = n}, i, &c);
        if (len == 1 && (unsigned char)s[i] >= 0x80) {
            if (i + 4 > n) { /* a character cut by the end of the buffer */
                s[i] = 0;
                return;
            }
            s[i] = '?';
        } else if (c < 0x20 || c == 0x7f) {
            s[i] = ' ';
        }
        i += len;
    }
}

_Noreturn void jj_fail(job *j, const char *fmt, ...)
{
    char what[sizeof j->err->text];
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(what, sizeof what, fmt, ap) < 0) what[0] = 0;
    va_end(ap);
    uint32_t line = 1, column = 1;
    for (size_t i = 0; i < j->at && i < j->source.n; i++) {
        if (j->source.p[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)j->source.p[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    j->code = jv_fail(j->err, JV_BAD, "line %u, column %u: %s", line, column, what);
    make_printable(j->err->text);
    longjmp(j->jump, 1);
}

void jj_reserve(job *j, size_t n)
{
    if (n > JJ_MAX_MEMORY - j->memory)
        jj_fail(j, "the template needs more than %zu MiB of memory", JJ_MAX_MEMORY >> 20);
    j->memory += n;
}

void *jj_alloc(job *j, size_t n)
{
    if (n > JJ_MAX_MEMORY) jj_reserve(j, n);
    n = n > 0 ? (n + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    if (n > j->room_n) {
        size_t size = sizeof(chunk) + (n > CHUNK / 4 ? n : CHUNK);
        jj_reserve(j, size);
        chunk *c = malloc(size);
        if (!c) jj_no_memory(j);
        c->next = j->chunks;
        c->n = size;
        j->chunks = c;
        if (n > CHUNK / 4) return c + 1; /* a large one stands alone: the room goes on being used */
        j->room = (char *)(c + 1);
        j->room_n = size - sizeof *c;
    }
    void *p = j->room;
    j->room += n;
    j->room_n -= n;
    return p;
}

void *jj_array(job *j, size_t n, size_t size)
{
    if (n > JJ_MAX_MEMORY / size) jj_reserve(j, JJ_MAX_MEMORY + 1);
    void *p = jj_alloc(j, n * size);
    memset(p, 0, n * size);
    return p;
}

void jj_free_all(job *j)
{
    for (chunk *c = j->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    j->chunks = NULL;
    j->room_n = 0;
    j->memory = 0;
}

void jj_tick(job *j, size_t n)
{
    if (n > JINJA_MAX_STEPS - j->steps) jj_fail(j, "the template takes more than %u steps", JINJA_MAX_STEPS);
    j->steps += (uint32_t)n;
}

void jj_touch(job *j, size_t n)
{
    jj_tick(j, n / 256);
}

void jj_walk(job *j, size_t n)
{
    jj_tick(j, n / 64);
}

void jj_enter(job *j)
{
    if (++j->depth > JJ_MAX_CALLS) jj_fail(j, "nested deeper than %d", JJ_MAX_CALLS);
}
