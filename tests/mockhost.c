/*
 * mockhost.c: see mockhost.h. One lock guards all that calls share; fields of a buffer belong to who holds it. Every
 * text has a block of its own, so that a sanitizer sees each overrun, and is filled with 0xA5, so that what a stage
 * forgot to write is no UTF-8.
 */
#include "mockhost.h"

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_SLOTS 96 /* fields and counters by name */
#define MAX_ROWS 128
#define MAX_KEYS 64
#define MAX_COUNTERS 64
#define MAX_SERVICES 8

struct mem {
    int64_t refs;
    size_t n;
    struct mem *next; /* in the list of those to be freed when the stage's function returns */
    char p[];
};

struct value {
    int32_t type; /* 0: absent */
    struct mem *mem;
    size_t at, n;
    int64_t i;
    double f;
};

struct jv_buf {
    mock *m;
    jv_buf *next;         /* of all */
    const jv_buf *parent; /* of a fork */
    char *id, *why;
    void *user;
    uint64_t number;
    int32_t kind, port, partial, out, settled, cancelled; /* out: in the stage's hands, not yet emitted */
    uint32_t forks;
    pthread_t owner; /* of a fork: who must emit it */
    struct value v[MAX_SLOTS];
    int64_t counts[MAX_COUNTERS];
};

struct slot {
    char *name;
    jv_column col; /* name null: nobody upstream sets it */
};

struct row {
    int slot; /* -1: absent for ever */
    int32_t type;
    uint32_t access;
};

struct key {
    char *name, *value;
    bool used;
};

struct service {
    char *section;
    const char *id;
    const void *api;
    void *self;
};

struct mock {
    jv_host h; /* first: what plugins are given */
    pthread_mutex_t lock;
    const jv_plugin *plugin;
    const jv_stage *st;
    void *ctx;
    int32_t state; /* 0 new, 1 opening, 2 open, 3 started, 4 closed */
    struct key keys[MAX_KEYS];
    struct service services[MAX_SERVICES];
    struct slot slots[MAX_SLOTS];
    struct row rows[MAX_ROWS];
    int n_keys, n_services, n_slots, n_rows, n_columns, n_counters;
    int columns[MAX_SLOTS]; /* slots, in the order of the graph */
    void **texts;           /* of options */
    size_t n_texts;
    jv_buf *all, **outs;
    size_t n_outs, n_unsettled, window, left_behind;
    struct mem *dead;
    int64_t n_mem, depth, counts[MAX_COUNTERS], fail_at, emit_at, cancel_at;
    bool failed, stopped;
    int32_t emit_code;
    uint64_t next_number;
    char **logs;
    size_t n_logs;
};

/* A running call of a stage's function in this thread: scratch belongs to it. */
struct call {
    struct call *up;
    mock *m;
    void **scratch;
    size_t n;
};
static _Thread_local struct call *call_now;

JV_PRINTF(1, 2)
static _Noreturn void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("mock host: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}

static void *must(void *p)
{
    if (!p) die("out of memory");
    return p;
}

static mock *mock_of(const jv_host *h)
{
    return (mock *)(uintptr_t)h;
}

static void lock(mock *m)
{
    pthread_mutex_lock(&m->lock);
}

static void unlock(mock *m)
{
    pthread_mutex_unlock(&m->lock);
}

/* Appends to an array that grows by doubling; n is its length before. */
static void *push(void *array, size_t n, size_t size)
{
    return (n & (n - 1)) && n ? array : must(realloc(array, (n ? 2 * n : 1) * size));
}

static bool is_utf8(const char *s, size_t n)
{
    const uint8_t *p = (const uint8_t *)s;
    for (size_t i = 0; i < n;) {
        int more = p[i] < 0x80 ? 0 : p[i] < 0xc2 ? -1 : p[i] < 0xe0 ? 1 : p[i] < 0xf0 ? 2 : p[i] < 0xf5 ? 3 : -1;
        if (more < 0 || n - i <= (size_t)more) return false;
        uint32_t c = more ? p[i] & (0x3fu >> more) : p[i];
        for (int k = 1; k <= more; k++) {
            if ((p[i + (size_t)k] & 0xc0) != 0x80) return false;
            c = c << 6 | (p[i + (size_t)k] & 0x3f);
        }
        if ((more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c < 0xe000))
            return false;
        i += (size_t)more + 1;
    }
    return true;
}

static bool is_bytes(int32_t type)
{
    return type == JV_UTF8 || type == JV_BYTES || type == JV_JSON;
}

/* Whether a reader of `want` may read `have`. */
static bool may_read(int32_t want, int32_t have)
{
    if (want == JV_BYTES) return is_bytes(have);
    return want == JV_ANY || want == have || (want == JV_UTF8 && have == JV_JSON);
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* Counts an allocation; true when it is the one that is to fail. */
static bool fails(mock *m, jv_err *err)
{
    lock(m);
    bool now = m->fail_at == 0;
    if (m->fail_at >= 0) m->fail_at--;
    if (now) m->failed = true;
    unlock(m);
    if (now) jv_fail(err, JV_FATAL, "no memory (injected)");
    return now;
}

static struct mem *mem_new(mock *m, size_t n)
{
    if (n > SIZE_MAX / 2) die("a text of %zu bytes asked for", n);
    struct mem *mem = must(malloc(offsetof(struct mem, p) + n + 1));
    *mem = (struct mem){.refs = 1, .n = n};
    memset(mem->p, 0xa5, n);
    mem->p[n] = 0;
    lock(m);
    m->n_mem++;
    unlock(m);
    return mem;
}

static void mem_free(mock *m, struct mem *mem)
{
    if (mem->p[mem->n]) die("a byte was written behind the %zu bytes of a field", mem->n);
    free(mem);
    m->n_mem--;
}

/* Empties a value. While a function of the stage runs the text stays readable. */
static void value_clear(mock *m, struct value *v)
{
    lock(m);
    if (v->mem && --v->mem->refs == 0) {
        if (m->depth > 0) {
            v->mem->next = m->dead;
            m->dead = v->mem;
        } else {
            mem_free(m, v->mem);
        }
    }
    *v = (struct value){0};
    unlock(m);
}

static void value_share(mock *m, struct value *to, const struct value *from)
{
    struct value v = *from;
    if (v.mem) {
        lock(m);
        v.mem->refs++;
        unlock(m);
    }
    value_clear(m, to);
    *to = v;
}

static jv_buf *buf_new(mock *m, const char *id, size_t n)
{
    jv_buf *b = must(calloc(1, sizeof *b));
    b->m = m;
    b->owner = pthread_self();
    b->id = must(strndup(id, n));
    lock(m);
    b->number = ++m->next_number;
    b->next = m->all;
    m->all = b;
    unlock(m);
    return b;
}

static void record_out(jv_buf *b, int32_t kind)
{
    mock *m = b->m;
    b->kind = kind;
    b->out = 0;
    lock(m);
    m->outs = push(m->outs, m->n_outs, sizeof(jv_buf *));
    m->outs[m->n_outs++] = b;
    unlock(m);
}

void mock_forget(mock *m)
{
    while (m->all) {
        jv_buf *b = m->all;
        m->all = b->next;
        for (int i = 0; i < MAX_SLOTS; i++) value_clear(m, &b->v[i]);
        free(b->id);
        free(b->why);
        free(b);
    }
    free(m->outs);
    m->outs = NULL;
    m->n_outs = 0;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static int find_slot(const mock *m, const char *name)
{
    for (int i = 0; i < m->n_slots; i++)
        if (strcmp(m->slots[i].name, name) == 0) return i;
    return -1;
}

static int need_slot(mock *m, const char *name)
{
    int i = find_slot(m, name);
    if (i >= 0) return i;
    if (m->n_slots == MAX_SLOTS) die("more than %d fields", MAX_SLOTS);
    m->slots[m->n_slots].name = must(strdup(name));
    return m->n_slots++;
}

static int slot_of(const jv_buf *b, const char *name)
{
    int i = find_slot(b->m, name);
    if (i < 0) die("the test names field '%s', which neither the stage nor mock_column declared", name);
    return i;
}

void mock_column(mock *m, const char *name, int32_t type, uint32_t flags)
{
    int i = need_slot(m, name);
    if (m->slots[i].col.name) return;
    m->slots[i].col = (jv_column){m->slots[i].name, type, flags};
    m->columns[m->n_columns++] = i;
}

static int32_t add_row(mock *m, int slot, int32_t type, uint32_t access)
{
    if (m->n_rows == MAX_ROWS) die("more than %d rows", MAX_ROWS);
    m->rows[m->n_rows] = (struct row){slot, type, access};
    return m->n_rows++;
}

static int32_t host_field(const jv_host *h, const char *name, int32_t type, uint32_t access, jv_err *err)
{
    mock *m = mock_of(h);
    if (m->state != 1) die("field() outside open");
    if (!(access & JV_IN) == !(access & JV_OUT)) die("field(%s): access is one of JV_IN and JV_OUT", name);
    if (access & JV_OUT) return add_row(m, need_slot(m, name), type, access);
    int i = find_slot(m, name);
    const jv_column *col = i < 0 ? NULL : &m->slots[i].col;
    if (!col || !col->name) {
        if (access & JV_OPTIONAL) return add_row(m, -1, type, access);
        return jv_fail(err, JV_BAD, "no stage before this one sets a field '%s'", name);
    }
    if (!may_read(type, col->type)) return jv_fail(err, JV_BAD, "field '%s' is of another type", name);
    return add_row(m, i, type == JV_ANY ? col->type : type, access);
}

static const jv_column *host_column(const jv_host *h, uint32_t i)
{
    mock *m = mock_of(h);
    return i < (uint32_t)m->n_columns ? &m->slots[m->columns[i]].col : NULL;
}

/* ---- fields ----------------------------------------------------------------------------------------------------- */

static const struct row *check_row(const mock *m, int32_t row, bool set)
{
    if (m->state < 2) die("a buffer is used before open has returned");
    if (row < 0 || row >= m->n_rows) die("row %d: there are %d", row, m->n_rows);
    if (set && !(m->rows[row].access & JV_OUT)) die("row %d is set, but not declared JV_OUT", row);
    return &m->rows[row];
}

static const struct value *read_row(const jv_buf *b, int32_t row)
{
    static const struct value absent;
    int slot = check_row(b->m, row, false)->slot;
    return slot < 0 ? &absent : &b->v[slot];
}

static struct value *set_row(jv_buf *b, int32_t row, bool bytes)
{
    const struct row *r = check_row(b->m, row, true);
    if (is_bytes(r->type) != bytes) die("row %d is set with a function for another type", row);
    struct value *v = &b->v[r->slot];
    value_clear(b->m, v);
    v->type = r->type;
    return v;
}

static jv_str text_of(const struct value *v)
{
    return v->mem ? (jv_str){v->mem->p + v->at, v->n} : (jv_str){0};
}

static jv_str host_get(const jv_host *h, const jv_buf *b, int32_t row)
{
    const struct value *v = read_row(b, row);
    if (b->m->rows[row].slot == 0) return (jv_str){b->id, strlen(b->id)};
    if (v->type && !is_bytes(v->type)) die("get() of row %d, which is a number", row);
    return text_of(v);
}

static int64_t host_get_i64(const jv_host *h, const jv_buf *b, int32_t row, int64_t absent)
{
    const struct value *v = read_row(b, row);
    if (v->type && v->type != JV_I64) die("get_i64() of row %d, which is of type %d", row, v->type);
    return v->type ? v->i : absent;
}

static double host_get_f64(const jv_host *h, const jv_buf *b, int32_t row, double absent)
{
    const struct value *v = read_row(b, row);
    if (v->type && v->type != JV_F64) die("get_f64() of row %d, which is of type %d", row, v->type);
    return v->type ? v->f : absent;
}

static char *host_put(const jv_host *h, jv_buf *b, int32_t row, size_t n, jv_err *err)
{
    if (fails(b->m, err)) return NULL;
    struct mem *mem = mem_new(b->m, n);
    struct value *v = set_row(b, row, true);
    v->mem = mem;
    v->n = n;
    return mem->p;
}

static bool inside_char(const struct value *v, size_t at)
{
    return at < v->n && (v->mem->p[v->at + at] & 0xc0) == 0x80;
}

static int32_t host_view(const jv_host *h, jv_buf *b, int32_t row, const jv_buf *of, int32_t of_row, size_t at,
    size_t n, jv_err *err)
{
    if (fails(b->m, err)) return JV_FATAL;
    struct value v = *read_row(of, of_row);
    if (!v.mem) return jv_fail(err, JV_FATAL, "view of an absent field");
    if (at > v.n || n > v.n - at)
        return jv_fail(err, JV_FATAL, "view of %zu bytes at %zu: the field has %zu", n, at, v.n);
    int32_t type = check_row(b->m, row, true)->type;
    if (type == JV_UTF8 && (inside_char(&v, at) || inside_char(&v, at + n)))
        return jv_fail(err, JV_FATAL, "view cuts a character at %zu or %zu", at, at + n);
    v.at += at;
    v.n = n;
    lock(b->m);
    v.mem->refs++;
    unlock(b->m);
    *set_row(b, row, true) = v;
    b->v[b->m->rows[row].slot].type = type;
    return JV_OK;
}

static void host_put_i64(const jv_host *h, jv_buf *b, int32_t row, int64_t i)
{
    struct value *v = set_row(b, row, false);
    if (v->type != JV_I64) die("put_i64() on row %d of type %d", row, v->type);
    v->i = i;
}

static void host_put_f64(const jv_host *h, jv_buf *b, int32_t row, double f)
{
    struct value *v = set_row(b, row, false);
    if (v->type != JV_F64) die("put_f64() on row %d of type %d", row, v->type);
    v->f = f;
}

static void *host_scratch(const jv_host *h, size_t n, jv_err *err)
{
    mock *m = mock_of(h);
    struct call *c = call_now;
    while (c && c->m != m) c = c->up;
    if (!c) die("scratch() by a thread that runs no function of this stage");
    if (fails(m, err)) return NULL;
    c->scratch = push(c->scratch, c->n, sizeof(void *));
    void *p = NULL;
    if (n > SIZE_MAX / 2 || posix_memalign(&p, 64, n ? n : 1)) die("scratch of %zu bytes asked for", n);
    memset(p, 0xa5, n);
    return c->scratch[c->n++] = p;
}

/* ---- records ---------------------------------------------------------------------------------------------------- */

/* What a stage passes on keeps its promises: what it declared UTF-8 is UTF-8. */
static void check_fields(const jv_buf *b)
{
    for (int i = 0; i < b->m->n_slots; i++) {
        const struct value *v = &b->v[i];
        if (!v->mem) continue;
        if (v->mem->p[v->mem->n]) die("a byte was written behind field '%s'", b->m->slots[i].name);
        if (v->type != JV_BYTES && !is_utf8(v->mem->p + v->at, v->n))
            die("field '%s' is passed on and is no UTF-8", b->m->slots[i].name);
    }
}

static jv_str host_id(const jv_host *h, const jv_buf *b)
{
    return (jv_str){b->id, strlen(b->id)};
}

static int32_t host_is_partial(const jv_host *h, const jv_buf *b)
{
    return b->partial;
}

static jv_buf *host_begin(const jv_host *h, const jv_origin *o, jv_err *err)
{
    mock *m = mock_of(h);
    if (!m->st->poll) die("begin() by a stage that is no source");
    if (o->struct_size != sizeof *o) die("begin(): struct_size is not set");
    if (m->stopped) return jv_fail(err, JV_STOPPED, "the run is being stopped"), NULL;
    if (m->window && m->n_unsettled >= m->window)
        return jv_fail(err, JV_FULL, "%zu records are on their way", m->window), NULL;
    if (!o->position.n || o->position.n > 4096 || !is_utf8(o->position.p, o->position.n))
        return jv_fail(err, JV_BAD, "a position has 1 to 4096 bytes of UTF-8"), NULL;
    if (fails(m, err)) return NULL;
    jv_buf *b = buf_new(m, o->position.p, o->position.n);
    b->user = o->user;
    b->out = 1;
    lock(m);
    for (jv_buf *other = b->next; other; other = other->next)
        if (!other->parent && !strcmp(other->id, b->id)) die("two records at position '%s'", b->id);
    m->n_unsettled++;
    unlock(m);
    return b;
}

static jv_buf *host_fork(const jv_host *h, const jv_buf *parent, jv_err *err)
{
    mock *m = mock_of(h);
    if (!(m->st->flags & JV_SPLIT)) die("fork() by a stage without JV_SPLIT");
    if (fails(m, err)) return NULL;
    char *id = NULL;
    jv_buf *p = (jv_buf *)(uintptr_t)parent;
    if (asprintf(&id, "%s/%u", p->id, p->forks++) < 0) die("out of memory");
    jv_buf *b = buf_new(m, id, strlen(id));
    free(id);
    for (int i = 0; i < m->n_slots; i++) value_share(m, &b->v[i], &p->v[i]);
    b->parent = p;
    b->out = 1;
    return b;
}

static int n_ports(const jv_stage *st)
{
    int n = 0;
    while (st->ports && st->ports[n].name) n++;
    return n;
}

static int32_t host_emit(const jv_host *h, jv_buf *b, int32_t port, jv_err *err)
{
    mock *m = mock_of(h);
    if (!b->out) die("emit() of '%s', which is not the stage's to give", b->id);
    if (port < 0 || port >= n_ports(m->st)) die("emit() to port %d: there are %d", port, n_ports(m->st));
    check_fields(b);
    b->port = port;
    lock(m);
    bool refuse = m->emit_at == 0;
    if (m->emit_at > 0) m->emit_at--;
    if (refuse) b->out = 0;
    unlock(m);
    if (refuse) return m->emit_code < 0 ? jv_fail(err, m->emit_code, "emit fails (injected)") : m->emit_code;
    record_out(b, b->parent ? MOCK_CHILD : MOCK_ROOT);
    return JV_OK;
}

static int32_t host_reject(const jv_host *h, jv_buf *b, const jv_err *why, jv_err *err)
{
    if (!b->out || b->parent) die("reject() of '%s', which the stage did not begin", b->id);
    if (!why->text[0]) die("reject() without a text");
    b->why = must(strdup(why->text));
    record_out(b, MOCK_REJECT);
    return JV_OK;
}

static int32_t host_partial(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err)
{
    mock *m = b->m;
    const struct row *r = check_row(m, row, true);
    if (r->type != JV_BYTES && !is_utf8(more, n)) die("partial() of what is no UTF-8");
    if (fails(m, err)) return JV_FATAL;
    jv_str had = text_of(&b->v[r->slot]);
    struct mem *mem = mem_new(m, had.n + n);
    if (had.n) memcpy(mem->p, had.p, had.n);
    if (n) memcpy(mem->p + had.n, more, n);
    size_t all = had.n + n;
    struct value *v = set_row(b, row, true);
    v->mem = mem;
    v->n = all;
    jv_buf *snap = buf_new(m, b->id, strlen(b->id));
    for (int i = 0; i < m->n_slots; i++) value_share(m, &snap->v[i], &b->v[i]);
    snap->partial = 1;
    record_out(snap, MOCK_PARTIAL);
    return JV_OK;
}

static uint64_t host_record(const jv_host *h, const jv_buf *b)
{
    return b->number;
}

static void host_cancel(const jv_host *h, uint64_t record)
{
    mock *m = mock_of(h);
    lock(m);
    for (jv_buf *b = m->all; b; b = b->next)
        if (b->number == record) b->cancelled = 1;
    unlock(m);
}

static int32_t host_cancelled(const jv_host *h, const jv_buf *b)
{
    mock *m = mock_of(h);
    lock(m);
    int32_t yes = b->cancelled || m->cancel_at == 0;
    if (m->cancel_at > 0) m->cancel_at--;
    unlock(m);
    return yes;
}

static int32_t host_wait(const jv_host *h, int32_t fd, int32_t events, int64_t ms)
{
    mock *m = mock_of(h);
    for (int64_t left = ms; !m->stopped;) {
        struct pollfd p = {.fd = fd, .events = (short)events};
        int step = left < 0 || left > 10 ? 10 : (int)left;
        if (poll(&p, 1, step) > 0) return 1;
        if (left >= 0 && (left -= step) <= 0) return 0;
    }
    return JV_STOPPED;
}

static void host_count(const jv_host *h, jv_buf *b, int32_t counter, int64_t n)
{
    mock *m = mock_of(h);
    if (counter < 0 || counter >= m->n_counters) die("counter %d: there are %d", counter, m->n_counters);
    lock(m);
    m->counts[counter] += n;
    b->counts[counter] += n;
    unlock(m);
}

JV_PRINTF(3, 4)
static void host_log(const jv_host *h, int32_t level, const char *fmt, ...)
{
    mock *m = mock_of(h);
    char *line = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&line, fmt, ap) < 0) die("out of memory");
    va_end(ap);
    if (strchr(line, '\n')) die("a log line with a newline: %s", line);
    lock(m);
    m->logs = push(m->logs, m->n_logs, sizeof(char *));
    m->logs[m->n_logs++] = line;
    unlock(m);
}

static const jv_host host_table = {.struct_size = sizeof(jv_host),
    .abi_minor = JV_ABI_MINOR,
    .log = host_log,
    .field = host_field,
    .column = host_column,
    .get = host_get,
    .get_i64 = host_get_i64,
    .get_f64 = host_get_f64,
    .put = host_put,
    .view = host_view,
    .put_i64 = host_put_i64,
    .put_f64 = host_put_f64,
    .scratch = host_scratch,
    .id = host_id,
    .is_partial = host_is_partial,
    .begin = host_begin,
    .fork = host_fork,
    .emit = host_emit,
    .partial = host_partial,
    .record = host_record,
    .cancel = host_cancel,
    .cancelled = host_cancelled,
    .wait = host_wait,
    .count = host_count,
    .reject = host_reject};

/* ---- options ---------------------------------------------------------------------------------------------------- */

static char *keep(mock *m, const char *p, size_t n)
{
    m->texts = push(m->texts, m->n_texts, sizeof(void *));
    return m->texts[m->n_texts++] = must(strndup(p, n));
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t' || *s == '\n') s++;
    for (size_t n = strlen(s); n && strchr(" \t\n\r", s[n - 1]); n--) s[n - 1] = 0;
    return s;
}

void mock_set(mock *m, const char *ini)
{
    char *copy = keep(m, ini, strlen(ini)), *line = copy;
    while (line && *line) {
        char *end = line;
        do end = strchr(end + 1, '\n');
        while (end && (end[1] == ' ' || end[1] == '\t'));
        if (end) *end = 0;
        char *eq = strchr(line, '=');
        if (!eq && *trim(line)) die("mock_set: no '=' in '%s'", line);
        if (eq) {
            *eq = 0;
            if (m->n_keys == MAX_KEYS) die("more than %d keys", MAX_KEYS);
            m->keys[m->n_keys++] = (struct key){trim(line), trim(eq + 1), false};
        }
        line = end ? end + 1 : NULL;
    }
}

/* The value a key was last given, or null. */
static const char *key_value(mock *m, const char *name)
{
    const char *v = NULL;
    for (int i = 0; i < m->n_keys; i++) {
        if (strcmp(m->keys[i].name, name)) continue;
        m->keys[i].used = true;
        v = m->keys[i].value;
    }
    return v;
}

/* A number with its unit's suffix: 'b' bytes, 'm' milliseconds, 0 none. Moves *s behind it. */
static bool number(const char **s, char unit, double *v)
{
    static const struct {
        char unit;
        const char *suffix;
        double by;
    } units[] = {{'b', "K", 1024}, {'b', "M", 1048576}, {'b', "G", 1073741824}, {'b', "T", 1099511627776},
        {'m', "ms", 1}, {'m', "s", 1000}, {'m', "m", 60000}, {'m', "h", 3600000}};
    char *end;
    errno = 0;
    *v = strtod(*s, &end);
    if (end == *s || errno || !isfinite(*v)) return false;
    *s = end;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].suffix);
        if (units[i].unit != unit || strncmp(*s, units[i].suffix, n)) continue;
        *v *= units[i].by;
        *s += n;
        break;
    }
    return true;
}

static int32_t set_number(mock *m, const jv_opt *o, void *at, const char *text, jv_err *err)
{
    const char *r = o->range, *bar = strchr(r, '|');
    int64_t whole = JV_UNSET;
    if (bar && o->type == JV_OPT_I64) {
        if (strlen(text) == (size_t)(bar - r) && !strncmp(text, r, (size_t)(bar - r)))
            return memcpy(at, &whole, 8), JV_OK;
        r = bar + 1;
    }
    char unit = !strncmp(r, "bytes ", 6) ? 'b' : !strncmp(r, "ms ", 3) ? 'm' : 0;
    r += unit == 'b' ? 6 : unit == 'm' ? 3 : 0;
    double lo, hi = INFINITY, v = 0;
    const char *dots = strstr(r, "..");
    if (!dots) die("option %s: range '%s'", o->name, o->range);
    const char *low = keep(m, r, (size_t)(dots - r)); /* "1." would be a number too */
    if (!number(&low, unit, &lo) || *low) die("option %s: range '%s'", o->name, o->range);
    r = dots + 2;
    if (*r && (!number(&r, unit, &hi) || *r)) die("option %s: range '%s'", o->name, o->range);
    const char *s = text;
    char *end;
    if (!number(&s, unit, &v) || *s) return jv_fail(err, JV_BAD, "%s = %s is no number", o->name, text);
    if (v < lo || v > hi) return jv_fail(err, JV_BAD, "%s = %s is outside %s", o->name, text, o->range);
    if (o->type == JV_OPT_F64) return memcpy(at, &v, 8), JV_OK;
    if (v != floor(v)) return jv_fail(err, JV_BAD, "%s = %s is no whole number", o->name, text);
    errno = 0;
    whole = strtoll(text, &end, 10); /* beyond 2^53 a double would round */
    if (errno || *end) whole = (int64_t)v;
    return memcpy(at, &whole, 8), JV_OK;
}

static int32_t set_choice(const jv_opt *o, void *at, const char *text, jv_err *err)
{
    int32_t i = 0;
    for (const char *w = o->range; w; i++) {
        size_t n = strcspn(w, "|");
        if (strlen(text) == n && !strncmp(text, w, n)) return memcpy(at, &i, 4), JV_OK;
        w = w[n] ? w + n + 1 : NULL;
    }
    return jv_fail(err, JV_BAD, "%s = %s: one of %s", o->name, text, o->range);
}

static void set_list(mock *m, void *at, const char *text)
{
    const char *cut = strchr(text, '\n') ? "\n" : ",";
    jv_str *v = NULL;
    size_t n = 0;
    for (const char *s = text; *s;) {
        size_t len = strcspn(s, cut);
        char *item = trim(keep(m, s, len));
        s += len + (s[len] != 0);
        if (*item == '"' && strlen(item) > 1 && item[strlen(item) - 1] == '"') {
            item[strlen(item) - 1] = 0;
            item++;
        } else if (!*item) {
            continue;
        }
        v = push(v, n, sizeof *v);
        v[n++] = (jv_str){item, strlen(item)};
    }
    if (v) {
        m->texts = push(m->texts, m->n_texts, sizeof(void *));
        m->texts[m->n_texts++] = v;
    }
    memcpy(at, &(jv_list){v, n}, sizeof(jv_list));
}

static int32_t set_ref(mock *m, const jv_opt *o, void *at, const char *text, jv_err *err)
{
    if (!*text && o->def && !*o->def) return JV_OK;
    for (int i = 0; i < m->n_services; i++) {
        const struct service *s = &m->services[i];
        if (strcmp(s->section, text) || strcmp(s->id, o->range)) continue;
        memcpy(at, &(jv_ref){s->api, s->self}, sizeof(jv_ref));
        return JV_OK;
    }
    return jv_fail(err, JV_BAD, "%s = %s: no such section with %s", o->name, text, o->range);
}

static int32_t set_option(mock *m, const jv_opt *o, jv_err *err)
{
    const char *text = key_value(m, o->name);
    if (!text) text = o->def;
    if (!text) return jv_fail(err, JV_BAD, "%s is missing", o->name);
    if (o->offset >= m->st->ctx_size) die("option %s lies outside the context", o->name);
    void *at = (char *)m->ctx + o->offset;
    const char *kept;
    switch (o->type) {
    case JV_OPT_I64:
    case JV_OPT_F64: return set_number(m, o, at, text, err);
    case JV_OPT_CHOICE: return set_choice(o, at, text, err);
    case JV_OPT_LIST: return set_list(m, at, text), JV_OK;
    case JV_OPT_REF: return set_ref(m, o, at, text, err);
    case JV_OPT_TEXT: kept = keep(m, text, strlen(text)); return memcpy(at, &kept, sizeof kept), JV_OK;
    default: die("option %s: type %d", o->name, o->type);
    }
}

/* Declared rows: inputs first make columns, so that `field` finds them whatever the order of the array. */
static void bind_rows(mock *m)
{
    for (const jv_field *f = m->st->fields; f && f->name; f++) {
        const char *name = key_value(m, f->name);
        if (!name) name = f->field;
        int i = need_slot(m, name);
        bool known = m->slots[i].col.name != NULL;
        if ((f->access & JV_IN) && !known && !(f->access & JV_OPTIONAL)) mock_column(m, name, f->type, 0);
        if ((f->access & JV_IN) && known && !may_read(f->type, m->slots[i].col.type))
            die("row %s reads '%s' of another type", f->name, name);
        add_row(m, i, f->type, f->access);
    }
}

/* ---- a stage's life --------------------------------------------------------------------------------------------- */

static void call_begin(mock *m, struct call *c)
{
    *c = (struct call){.up = call_now, .m = m};
    call_now = c;
    lock(m);
    m->depth++;
    unlock(m);
}

/* Frees what the call borrowed, counts what it left behind. */
static void call_end(struct call *c, int32_t rc)
{
    mock *m = c->m;
    for (size_t i = 0; i < c->n; i++) free(c->scratch[i]);
    free(c->scratch);
    call_now = c->up;
    lock(m);
    size_t left = 0;
    for (jv_buf *b = m->all; b; b = b->next) {
        if (!b->out || !pthread_equal(b->owner, pthread_self())) continue;
        b->out = 0;
        left++;
    }
    m->left_behind += left;
    m->depth--;
    while (m->depth == 0 && m->dead) {
        struct mem *mem = m->dead;
        m->dead = mem->next;
        mem_free(m, mem);
    }
    unlock(m);
    if (left && rc >= 0) die("%zu forked or begun buffers were not emitted", left);
}

static int32_t checked(int32_t rc, const jv_err *err)
{
    if (rc >= 0) return rc;
    if (err->code != rc) die("answered %d, but err has code %d", rc, err->code);
    if (!err->text[0] || strchr(err->text, '\n')) die("answered %d; err's text is not one line: '%s'", rc, err->text);
    size_t n = strlen(err->text);
    if (err->text[n - 1] == '.' && (n < 2 || err->text[n - 2] != '.'))
        die("err's text ends with a full stop: %s", err->text);
    if (!is_utf8(err->text, n)) die("err's text is no UTF-8");
    return rc;
}

static void check_descriptor(const jv_plugin *d, const char *so)
{
    const char *base = strrchr(so, '/') ? strrchr(so, '/') + 1 : so;
    if (memcmp(d->magic, JV_MAGIC, sizeof JV_MAGIC) || d->abi_major != JV_ABI_MAJOR || d->abi_minor > JV_ABI_MINOR)
        die("%s: no plugin of this ABI", so);
    if (d->struct_size != sizeof *d || d->stage_size != sizeof(jv_stage) || d->field_size != sizeof(jv_field) ||
        d->port_size != sizeof(jv_port) || d->opt_size != sizeof(jv_opt) || d->counter_size != sizeof(jv_counter) ||
        d->service_size != sizeof(jv_service))
        die("%s: sizes in the descriptor", so);
    if (strncmp(base, "jv_", 3) || strncmp(base + 3, d->name, strlen(d->name)) ||
        strcmp(base + 3 + strlen(d->name), ".so"))
        die("%s holds a plugin named '%s'", so, d->name);
}

static void check_stage(const jv_stage *st)
{
    static const char *const taken[] = {"plugin", "from", "threads", "ordered", "isolate", "timeout", "on_error",
        "retries", "in_flight", "priority"};
    if (st->threads > 1 && !(st->flags & JV_PARALLEL)) die("stage %s: threads without JV_PARALLEL", st->name);
    if (st->process && st->poll) die("stage %s: both poll and process", st->name);
    for (const jv_opt *o = st->opts; o && o->name; o++) {
        for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
            if (!strcmp(o->name, taken[i])) die("option %s is a key of the host", o->name);
        for (const jv_field *f = st->fields; f && f->name; f++)
            if (!strcmp(o->name, f->name)) die("%s is both an option and a field row", o->name);
        if (!o->help || !*o->help || !o->range) die("option %s: no help or range", o->name);
    }
}

mock *mock_new(const char *so, const char *stage)
{
    void *dl = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    const jv_plugin *d = dl ? dlsym(dl, "jv_plugin_desc") : NULL;
    if (!d) die("%s", dlerror());
    check_descriptor(d, so);
    if (!stage && d->n_stages != 1) die("%s holds %u stages: name one", so, d->n_stages);
    mock *m = must(calloc(1, sizeof *m));
    for (uint32_t i = 0; i < d->n_stages; i++)
        if (!stage || !strcmp(d->stages[i].name, stage)) m->st = &d->stages[i];
    if (!m->st) die("%s has no stage '%s'", so, stage);
    check_stage(m->st);
    m->h = host_table;
    m->plugin = d;
    m->fail_at = m->emit_at = m->cancel_at = -1;
    pthread_mutex_init(&m->lock, NULL);
    while (m->st->counters && m->st->counters[m->n_counters].name) m->n_counters++;
    if (m->n_counters > MAX_COUNTERS) die("more than %d counters", MAX_COUNTERS);
    m->ctx = must(calloc(1, m->st->ctx_size ? m->st->ctx_size : 1));
    mock_column(m, "id", JV_UTF8, 0);
    return m;
}

void mock_service(mock *m, const char *section, const char *id, const void *api, void *self)
{
    if (m->n_services == MAX_SERVICES) die("more than %d services", MAX_SERVICES);
    m->services[m->n_services++] = (struct service){must(strdup(section)), id, api, self};
}

void mock_use(mock *m, const char *section, const char *id, mock *other)
{
    for (const jv_service *s = other->st->services; s && s->id; s++)
        if (!strcmp(s->id, id)) {
            mock_service(m, section, s->id, s->api, other->ctx);
            return;
        }
    die("stage %s offers no %s", other->st->name, id);
}

int32_t mock_open(mock *m, jv_err *err)
{
    *err = (jv_err){0};
    if (m->state) die("opened twice");
    m->state = 1;
    for (const jv_opt *o = m->st->opts; o && o->name; o++) {
        int32_t rc = set_option(m, o, err);
        if (rc < 0) return m->state = 4, rc; /* the stage never saw it: no close either */
    }
    bind_rows(m);
    for (int i = 0; i < m->n_keys; i++)
        if (!m->keys[i].used) return m->state = 4, jv_fail(err, JV_BAD, "unknown key %s", m->keys[i].name);
    struct call c;
    call_begin(m, &c);
    int32_t rc = m->st->open ? m->st->open(m->ctx, &m->h, err) : JV_OK;
    call_end(&c, rc);
    m->state = 2;
    return checked(rc, err);
}

static int32_t simple_call(mock *m, int32_t (*f)(void *, jv_err *), jv_err *err)
{
    *err = (jv_err){0};
    if (m->state != 2 && m->state != 3) die("the stage is not open");
    if (!f) return JV_OK;
    struct call c;
    call_begin(m, &c);
    int32_t rc = f(m->ctx, err);
    call_end(&c, rc);
    return checked(rc, err);
}

int32_t mock_start(mock *m, jv_err *err)
{
    int32_t rc = simple_call(m, m->st->start, err);
    m->state = 3;
    return rc;
}

int32_t mock_poll(mock *m, jv_err *err)
{
    if (m->state != 3 || !m->st->poll) die("poll of what is no started source");
    return simple_call(m, m->st->poll, err);
}

int32_t mock_flush(mock *m, jv_err *err)
{
    return simple_call(m, m->st->flush, err);
}

static void check_verdict(const mock *m, const jv_buf *b, int32_t rc, const jv_err *err)
{
    const jv_stage *st = m->st;
    if (rc == JV_DROP && (err->code != JV_DROP || !err->reason)) die("DROP without a reason");
    if (rc == JV_DONE && !(st->flags & JV_SPLIT)) die("DONE by a stage without JV_SPLIT");
    if (rc < JV_CANCELLED) die("process answered %d, which is no verdict", rc);
    if (rc >= 0 && rc < JV_DONE && rc >= n_ports(st) && !(rc == JV_OK && !st->ports))
        die("process answered port %d of %d", rc, n_ports(st));
    if (rc > JV_END) die("process answered %d, which is no verdict", rc);
    if (rc >= 0 && rc <= JV_MAX_PORTS) check_fields(b);
}

int32_t mock_process(mock *m, jv_buf *b, jv_err *err)
{
    if (m->state != 3 || !m->st->process) die("process of what is no started filter or sink");
    struct value before[MAX_SLOTS];
    memcpy(before, b->v, sizeof before);
    *err = (jv_err){0};
    struct call c;
    call_begin(m, &c);
    int32_t rc = m->st->process(m->ctx, b, err);
    if (rc == JV_RETRY && memcmp(before, b->v, sizeof before)) die("RETRY, but the buffer was changed");
    check_verdict(m, b, rc, err);
    call_end(&c, rc);
    return checked(rc, err);
}

void mock_stop(mock *m)
{
    lock(m);
    m->stopped = true;
    unlock(m);
    if (m->st->stop) m->st->stop(m->ctx);
}

void mock_close(mock *m)
{
    if ((m->state == 2 || m->state == 3) && m->st->close) {
        struct call c;
        call_begin(m, &c);
        m->st->close(m->ctx);
        call_end(&c, JV_OK);
    }
    m->state = 4;
}

void mock_free(mock *m)
{
    mock_close(m);
    mock_forget(m);
    if (m->n_mem) die("%lld texts were not given back", (long long)m->n_mem);
    for (size_t i = 0; i < m->n_texts; i++) free(m->texts[i]);
    for (size_t i = 0; i < m->n_logs; i++) free(m->logs[i]);
    for (int i = 0; i < m->n_slots; i++) free(m->slots[i].name);
    for (int i = 0; i < m->n_services; i++) free(m->services[i].section);
    free(m->texts);
    free(m->logs);
    free(m->ctx);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void *mock_context(mock *m)
{
    return m->ctx;
}

const jv_host *mock_host(mock *m)
{
    return &m->h;
}

const jv_stage *mock_stage(mock *m)
{
    return m->st;
}

/* ---- records in ------------------------------------------------------------------------------------------------- */

jv_buf *mock_record(mock *m, const char *id)
{
    return buf_new(m, id, strlen(id));
}

void mock_put_n(jv_buf *b, const char *field, const void *p, size_t n)
{
    int i = slot_of(b, field);
    const jv_column *col = &b->m->slots[i].col;
    struct value *v = &b->v[i];
    value_clear(b->m, v);
    *v = (struct value){.type = col->name ? col->type : JV_UTF8, .mem = mem_new(b->m, n), .n = n};
    if (!is_bytes(v->type)) die("the test puts text into '%s', which is a number", field);
    if (n) memcpy(v->mem->p, p, n);
    if (v->type != JV_BYTES && !is_utf8(v->mem->p, n)) die("the test puts what is no UTF-8 into '%s'", field);
}

void mock_put(jv_buf *b, const char *field, const char *text)
{
    mock_put_n(b, field, text, strlen(text));
}

void mock_put_i64(jv_buf *b, const char *field, int64_t i)
{
    b->v[slot_of(b, field)] = (struct value){.type = JV_I64, .i = i};
}

void mock_put_f64(jv_buf *b, const char *field, double f)
{
    b->v[slot_of(b, field)] = (struct value){.type = JV_F64, .f = f};
}

void mock_set_partial(jv_buf *b, bool partial)
{
    b->partial = partial;
}

/* ---- what came out ---------------------------------------------------------------------------------------------- */

size_t mock_n(mock *m)
{
    return m->n_outs;
}

jv_buf *mock_at(mock *m, size_t i)
{
    if (i >= m->n_outs) die("the test asks for output %zu of %zu", i, m->n_outs);
    return m->outs[i];
}

int32_t mock_kind(const jv_buf *b)
{
    return b->kind;
}

int32_t mock_port(const jv_buf *b)
{
    return b->port;
}

const char *mock_id(const jv_buf *b)
{
    return b->id;
}

const char *mock_why(const jv_buf *b)
{
    return b->why ? b->why : "(not rejected)";
}

bool mock_has(const jv_buf *b, const char *field)
{
    return b->v[slot_of(b, field)].type != 0;
}

int32_t mock_type_of(const jv_buf *b, const char *field)
{
    return b->v[slot_of(b, field)].type;
}

jv_str mock_get(const jv_buf *b, const char *field)
{
    return text_of(&b->v[slot_of(b, field)]);
}

/* A view need not end with a NUL: the copy lives as long as the options do. */
const char *mock_text(const jv_buf *b, const char *field)
{
    if (!mock_has(b, field)) return "(absent)";
    jv_str s = mock_get(b, field);
    return keep(b->m, s.p ? s.p : "", s.n);
}

int64_t mock_i64(const jv_buf *b, const char *field)
{
    const struct value *v = &b->v[slot_of(b, field)];
    if (v->type != JV_I64) die("field '%s' has no i64", field);
    return v->i;
}

double mock_f64(const jv_buf *b, const char *field)
{
    const struct value *v = &b->v[slot_of(b, field)];
    if (v->type != JV_F64) die("field '%s' has no f64", field);
    return v->f;
}

static int counter_of(const mock *m, const char *name)
{
    for (int i = 0; i < m->n_counters; i++)
        if (!strcmp(m->st->counters[i].name, name)) return i;
    die("stage %s has no counter '%s'", m->st->name, name);
}

int64_t mock_count(mock *m, const char *counter)
{
    return m->counts[counter_of(m, counter)];
}

int64_t mock_counted(const jv_buf *b, const char *counter)
{
    return b->counts[counter_of(b->m, counter)];
}

size_t mock_logs(mock *m)
{
    return m->n_logs;
}

const char *mock_log(mock *m, size_t i)
{
    return i < m->n_logs ? m->logs[i] : "(no such line)";
}

bool mock_logged(mock *m, const char *part)
{
    for (size_t i = 0; i < m->n_logs; i++)
        if (strstr(m->logs[i], part)) return true;
    return false;
}

/* ---- trouble ---------------------------------------------------------------------------------------------------- */

void mock_fail_at(mock *m, int64_t k)
{
    m->fail_at = k;
    m->failed = false;
}

bool mock_failed(mock *m)
{
    return m->failed;
}

void mock_emit_at(mock *m, int64_t k, int32_t code)
{
    m->emit_at = k;
    m->emit_code = code;
}

void mock_cancel_at(mock *m, int64_t k)
{
    m->cancel_at = k;
}

void mock_window(mock *m, size_t n)
{
    m->window = n;
}

void mock_settle(mock *m, jv_buf *root, int32_t status, const char *text)
{
    if ((root->kind != MOCK_ROOT && root->kind != MOCK_REJECT) || root->settled)
        die("the test settles what is no open root");
    root->settled = 1;
    lock(m);
    m->n_unsettled--;
    unlock(m);
    jv_err err = {.code = status};
    snprintf(err.text, sizeof err.text, "%s", text ? text : "");
    if (m->st->done) m->st->done(m->ctx, root->user, status, &err);
}

bool mock_cancelled(const jv_buf *b)
{
    return b->cancelled != 0;
}

size_t mock_left_behind(mock *m)
{
    return m->left_behind;
}
