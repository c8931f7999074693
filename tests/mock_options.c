/*
 * mock_options.c: what a stage declares. Its tables are checked, its options filled from the keys that a test set, its
 * rows bound to fields by name.
 */
#include "mock_impl.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- types of fields --------------------------------------------------------------------------------------------- */

bool mk_is_utf8(const char *s, size_t n)
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

bool mk_is_text(int32_t type)
{
    return type == JV_UTF8 || type == JV_BYTES || type == JV_JSON;
}

bool mk_is_bytes(int32_t type)
{
    return mk_is_text(type) || type == JV_I32S || type == JV_F32S;
}

size_t mk_item(int32_t type)
{
    return type == JV_I32S || type == JV_F32S ? 4 : 1;
}

/* Whether a reader of `want` may read `have`. */
static bool may_read(int32_t want, int32_t have)
{
    if (want == JV_BYTES) return mk_is_text(have);
    return want == JV_ANY || want == have || (want == JV_UTF8 && have == JV_JSON);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

void mk_check_descriptor(const jv_plugin *d, const char *so)
{
    const char *base = strrchr(so, '/') ? strrchr(so, '/') + 1 : so;
    if (memcmp(d->magic, JV_MAGIC, sizeof JV_MAGIC) || d->abi_major != JV_ABI_MAJOR || d->abi_minor > JV_ABI_MINOR)
        mk_die("%s: no plugin of this ABI", so);
    if (d->struct_size != sizeof *d || d->stage_size != sizeof(jv_stage) || d->field_size != sizeof(jv_field) ||
        d->port_size != sizeof(jv_port) || d->opt_size != sizeof(jv_opt) || d->counter_size != sizeof(jv_counter) ||
        d->service_size != sizeof(jv_service))
        mk_die("%s: sizes in the descriptor", so);
    if (strncmp(base, "jv_", 3) || strncmp(base + 3, d->name, strlen(d->name)) ||
        strcmp(base + 3 + strlen(d->name), ".so"))
        mk_die("%s holds a plugin named '%s'", so, d->name);
}

void mk_check_stage(const jv_stage *st)
{
    static const char *const taken[] = {"plugin", "from", "threads", "ordered", "isolate", "timeout", "on_error",
        "retries", "in_flight", "priority"};
    if (st->threads > 1 && !(st->flags & JV_PARALLEL)) mk_die("stage %s: threads without JV_PARALLEL", st->name);
    if (st->process && st->poll) mk_die("stage %s: both poll and process", st->name);
    if (is_source(st) && !st->poll && !(st->flags & JV_ENDLESS && st->stop))
        mk_die("stage %s: a source without poll needs JV_ENDLESS and stop", st->name);
    if (!is_source(st) && (st->done || st->stop)) mk_die("stage %s: done or stop, and it is no source", st->name);
    if (st->flags & JV_SPLIT && (st->flags & JV_MERGE || !st->process || !st->ports))
        mk_die("stage %s: what splits is a filter that merges nothing", st->name);
    if (st->flags & JV_MERGE && !st->process) mk_die("stage %s: a merge without process", st->name);
    for (const jv_service *s = st->services; s && s->id; s++)
        if (!*(const uint32_t *)s->api) mk_die("service %s: its table does not begin with its size", s->id);
    for (const jv_opt *o = st->opts; o && o->name; o++) {
        for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
            if (!strcmp(o->name, taken[i])) mk_die("option %s is a key of the host", o->name);
        for (const jv_field *f = st->fields; f && f->name; f++)
            if (!strcmp(o->name, f->name)) mk_die("%s is both an option and a field row", o->name);
        if (!o->help || !*o->help || !o->range) mk_die("option %s: no help or range", o->name);
        if (o->flags & JV_PER_RECORD && (o->type == JV_OPT_REF || !strncmp(o->range, "path", 4)))
            mk_die("option %s: a record names no section and no file", o->name);
    }
}

/* ---- fields by name, and rows ------------------------------------------------------------------------------------ */

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
    if (m->n_slots == MAX_SLOTS) mk_die("more than %d fields", MAX_SLOTS);
    m->slots[m->n_slots].name = mk_must(strdup(name));
    return m->n_slots++;
}

int mk_slot_of(const jv_buf *b, const char *name)
{
    int i = find_slot(b->m, name);
    if (i < 0) mk_die("the test names field '%s', which neither the stage nor mock_column declared", name);
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
    if (m->n_rows == MAX_ROWS) mk_die("more than %d rows", MAX_ROWS);
    m->rows[m->n_rows] = (struct row){slot, type, access};
    return m->n_rows++;
}

int32_t mk_field(const jv_host *h, const char *name, int32_t type, uint32_t access, jv_err *err)
{
    mock *m = mock_of(h);
    if (m->state != 1) mk_die("field() outside open");
    uint32_t may = (access & JV_IN ? JV_IN | JV_OPTIONAL : JV_OUT) | JV_MEASURED; /* a column's flags go with JV_IN */
    if (!(access & (JV_IN | JV_OUT)) || access & ~may) mk_die("field(%s): access %u", name, access);
    if (type == JV_ANY && access & JV_OUT) mk_die("field(%s): sets a field of any type", name);
    if (access & JV_OUT) return add_row(m, need_slot(m, name), type, access);
    int i = find_slot(m, name);
    const jv_column *col = i < 0 ? NULL : &m->slots[i].col;
    if (!col || !col->name) {
        if (access & JV_OPTIONAL) return add_row(m, -1, type, access);
        return jv_fail(err, JV_BAD, "no stage before this one sets a field '%s'", name);
    }
    if (col->flags & JV_OPTIONAL && !(access & JV_OPTIONAL))
        return jv_fail(err, JV_BAD, "field '%s' does not come by every way", name);
    if (!may_read(type, col->type)) return jv_fail(err, JV_BAD, "field '%s' is of another type", name);
    return add_row(m, i, type == JV_ANY ? col->type : type, access);
}

const jv_column *mk_column(const jv_host *h, uint32_t i)
{
    mock *m = mock_of(h);
    return i < (uint32_t)m->n_columns ? &m->slots[m->columns[i]].col : NULL;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

void mock_service(mock *m, const char *section, const char *id, const void *api, void *self)
{
    if (m->n_services == MAX_SERVICES) mk_die("more than %d services", MAX_SERVICES);
    m->services[m->n_services++] = (struct service){mk_must(strdup(section)), id, api, self};
}

void mock_use(mock *m, const char *section, const char *id, mock *other)
{
    for (const jv_service *s = other->st->services; s && s->id; s++)
        if (!strcmp(s->id, id)) {
            mock_service(m, section, s->id, s->api, other->ctx);
            return;
        }
    mk_die("stage %s offers no %s", other->st->name, id);
}

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t' || *s == '\n') s++;
    for (size_t n = strlen(s); n && strchr(" \t\n\r", s[n - 1]); n--) s[n - 1] = 0;
    return s;
}

void mock_set(mock *m, const char *ini)
{
    char *copy = mk_keep(m, ini, strlen(ini)), *line = copy;
    while (line && *line) {
        char *end = line;
        do end = strchr(end + 1, '\n');
        while (end && (end[1] == ' ' || end[1] == '\t'));
        if (end) *end = 0;
        char *eq = strchr(line, '=');
        if (!eq && *trim(line)) mk_die("mock_set: no '=' in '%s'", line);
        if (eq) {
            *eq = 0;
            if (m->n_keys == MAX_KEYS) mk_die("more than %d keys", MAX_KEYS);
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
    if (!dots) mk_die("option %s: range '%s'", o->name, o->range);
    const char *low = mk_keep(m, r, (size_t)(dots - r)); /* "1." would be a number too */
    if (!number(&low, unit, &lo) || *low) mk_die("option %s: range '%s'", o->name, o->range);
    r = dots + 2;
    if (*r && (!number(&r, unit, &hi) || *r)) mk_die("option %s: range '%s'", o->name, o->range);
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

/* Values of options live as long as the stage is open, those that a record asked for until process returns. */
static void own(mock *m, void *p)
{
    struct call *c = call_of(m);
    if (c && c->b) {
        c->scratch = mk_push(c->scratch, c->n, sizeof(void *));
        c->scratch[c->n++] = p;
        return;
    }
    lock(m);
    m->texts = mk_push(m->texts, m->n_texts, sizeof(void *));
    m->texts[m->n_texts++] = p;
    unlock(m);
}

char *mk_keep(mock *m, const char *p, size_t n)
{
    char *copy = mk_must(malloc(n + 1));
    if (n) memcpy(copy, p, n);
    copy[n] = 0;
    own(m, copy);
    return copy;
}

void mk_set_items(mock *m, jv_list *list, const jv_str *v, size_t n)
{
    *list = (jv_list){0};
    if (!n) return;
    jv_str *copy = mk_must(calloc(n, sizeof *copy));
    own(m, copy);
    for (size_t i = 0; i < n; i++) copy[i] = (jv_str){mk_keep(m, v[i].p, v[i].n), v[i].n};
    *list = (jv_list){copy, n};
}

static void set_list(mock *m, void *at, const char *text)
{
    const char *cut = strchr(text, '\n') ? "\n" : ",";
    jv_str *v = NULL;
    size_t n = 0;
    for (const char *s = text; *s;) {
        size_t len = strcspn(s, cut);
        char *item = trim(mk_keep(m, s, len));
        s += len + (s[len] != 0);
        if (*item == '"' && strlen(item) > 1 && item[strlen(item) - 1] == '"') {
            item[strlen(item) - 1] = 0;
            item++;
        } else if (!*item) {
            continue;
        }
        v = mk_push(v, n, sizeof *v);
        v[n++] = (jv_str){item, strlen(item)};
    }
    mk_set_items(m, at, v, n);
    free(v);
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

int32_t mk_set_text(mock *m, const jv_opt *o, void *ctx, const char *text, jv_err *err)
{
    void *at = (char *)ctx + o->offset;
    const char *kept;
    switch (o->type) {
    case JV_OPT_I64:
    case JV_OPT_F64: return set_number(m, o, at, text, err);
    case JV_OPT_CHOICE: return set_choice(o, at, text, err);
    case JV_OPT_LIST: return set_list(m, at, text), JV_OK;
    case JV_OPT_REF: return set_ref(m, o, at, text, err);
    case JV_OPT_TEXT: kept = mk_keep(m, text, strlen(text)); return memcpy(at, &kept, sizeof kept), JV_OK;
    default: mk_die("option %s: type %d", o->name, o->type);
    }
}

bool mk_is_key(const char *s, size_t n)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return n && strspn(s, good) == n;
}

/* All keys `NAME.KEY`, in the order in which the test set them. */
static int32_t set_map(mock *m, const jv_opt *o, void *at, jv_err *err)
{
    jv_str key[MAX_KEYS], val[MAX_KEYS];
    size_t n = 0, dot = strlen(o->name);
    for (int i = 0; i < m->n_keys; i++) {
        struct key *k = &m->keys[i];
        if (strncmp(k->name, o->name, dot) || k->name[dot] != '.') continue;
        const char *name = k->name + dot + 1;
        if (!mk_is_key(name, strlen(name))) return jv_fail(err, JV_BAD, "%s: no such key can be", k->name);
        for (size_t j = 0; j < n; j++)
            if (!strcmp(key[j].p, name)) return jv_fail(err, JV_BAD, "%s is there twice", k->name);
        k->used = true;
        key[n] = (jv_str){name, strlen(name)};
        val[n++] = (jv_str){k->value, strlen(k->value)};
    }
    if (!n && !o->def) return jv_fail(err, JV_BAD, "%s.KEY is missing", o->name);
    jv_map map;
    mk_set_items(m, &map.key, key, n);
    mk_set_items(m, &map.val, val, n);
    return memcpy(at, &map, sizeof map), JV_OK;
}

static int32_t set_option(mock *m, const jv_opt *o, jv_err *err)
{
    if (o->offset >= m->st->ctx_size) mk_die("option %s lies outside the context", o->name);
    if (o->type == JV_OPT_MAP) return set_map(m, o, (char *)m->ctx + o->offset, err);
    const char *text = key_value(m, o->name);
    if (!text) text = o->def;
    if (!text) return jv_fail(err, JV_BAD, "%s is missing", o->name);
    return mk_set_text(m, o, m->ctx, text, err);
}

static void add_port(mock *m, const char *name)
{
    if (m->n_ports == JV_MAX_PORTS) mk_die("more than %d ports", JV_MAX_PORTS);
    for (int i = 0; i < m->n_ports; i++)
        if (!strcmp(m->ports[i], name)) mk_die("two ports named '%s'", name);
    m->ports[m->n_ports++] = name;
}

static const jv_opt *option(const jv_stage *st, const char *name, size_t n)
{
    for (const jv_opt *o = st->opts; o && o->name; o++)
        if (strlen(o->name) == n && !strncmp(o->name, name, n)) return o;
    return NULL;
}

/* A port "to.*" becomes one for each key of the map `to`, where it stands. */
static void name_ports(mock *m)
{
    for (const jv_port *p = m->st->ports; p && p->name; p++) {
        size_t n = strlen(p->name);
        if (n < 3 || strcmp(p->name + n - 2, ".*")) {
            add_port(m, p->name);
            continue;
        }
        const jv_opt *o = option(m->st, p->name, n - 2);
        if (!o || o->type != JV_OPT_MAP) mk_die("port %s: no such option of type MAP", p->name);
        jv_map map;
        memcpy(&map, (char *)m->ctx + o->offset, sizeof map);
        for (size_t i = 0; i < map.key.n; i++) add_port(m, map.key.v[i].p);
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
            mk_die("row %s reads '%s' of another type", f->name, name);
        add_row(m, i, f->type, f->access);
    }
}

int32_t mk_configure(mock *m, jv_err *err)
{
    for (const jv_opt *o = m->st->opts; o && o->name; o++) {
        int32_t rc = set_option(m, o, err);
        if (rc < 0) return rc;
    }
    name_ports(m);
    bind_rows(m);
    for (int i = 0; i < m->n_keys; i++)
        if (!m->keys[i].used) return jv_fail(err, JV_BAD, "unknown key %s", m->keys[i].name);
    return JV_OK;
}
