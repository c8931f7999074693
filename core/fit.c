/*
 * fit.c: see fit.h. Nothing of a plugin is executed; what its tables promise each other is checked here, so that all
 * that follows walks plain arrays. What is not noticed now would be met by a user in the middle of a run.
 */
#include "fit.h"
#include "option.h"
#include "plugin.h"

#include <string.h>

#define MAX_STAGES 256
#define MAX_ROWS 1024 /* of one table: beyond that it lacks its end */
#define MAX_CTX (64u << 20)
#define MAX_THREADS 1024

static int32_t check_size(const char *what, uint32_t theirs, size_t first, size_t ours, jv_err *err)
{
    if (theirs >= first && theirs <= ours && theirs % _Alignof(void *) == 0) return JV_OK;
    if (first == ours)
        return jv_fail(err, JV_BAD, "its %s has %u bytes, the host's %zu: it was built against another jevons.h", what,
            theirs, ours);
    return jv_fail(err, JV_BAD, "its %s has %u bytes, the host takes %zu to %zu: it was built against another jevons.h",
        what, theirs, first, ours);
}

static int32_t check_layout(const jv_plugin *d, jv_err *err)
{
    if (memcmp(d->magic, JV_MAGIC, sizeof JV_MAGIC))
        return jv_fail(err, JV_BAD, "its jv_plugin_desc begins with \"%.7s\", not \"" JV_MAGIC "\": no jevons plugin",
            d->magic);
    if (d->abi_major != JV_ABI_MAJOR || d->abi_minor > JV_ABI_MINOR)
        return jv_fail(err, JV_BAD, "it speaks ABI %u.%u, the host %u.%u", d->abi_major, d->abi_minor, JV_ABI_MAJOR,
            JV_ABI_MINOR);
    const struct {
        const char *what;
        uint32_t theirs;
        size_t first, ours;
    } sizes[] = {
        {"jv_plugin", d->struct_size, JVC_SIZE_1_0(jv_plugin, stages), sizeof(jv_plugin)},
        {"jv_stage", d->stage_size, JVC_SIZE_1_0(jv_stage, close), sizeof(jv_stage)},
        {"jv_field", d->field_size, JVC_SIZE_1_0(jv_field, help), sizeof(jv_field)},
        {"jv_port", d->port_size, JVC_SIZE_1_0(jv_port, reserved), sizeof(jv_port)},
        {"jv_opt", d->opt_size, JVC_SIZE_1_0(jv_opt, help), sizeof(jv_opt)},
        {"jv_counter", d->counter_size, JVC_SIZE_1_0(jv_counter, reserved), sizeof(jv_counter)},
        {"jv_service", d->service_size, JVC_SIZE_1_0(jv_service, api), sizeof(jv_service)},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (check_size(sizes[i].what, sizes[i].theirs, sizes[i].first, sizes[i].ours, err) < 0) return JV_BAD;
    if (!d->name || !d->version || !d->license || !d->stages || !d->n_stages || d->n_stages > MAX_STAGES)
        return jv_fail(err, JV_BAD, "its description lacks a name, a version, a licence or stages (1 to %d; it has %u)",
            MAX_STAGES, d->n_stages);
    return JV_OK;
}

/* ---- copying ---- */

/* n rows of `size` bytes as rows of `ours` bytes, and an empty one behind them; null: no memory. */
static void *widen(const void *rows, uint32_t n, uint32_t size, size_t ours, struct jvc_arena *mem)
{
    char *copy = jvc_arena_get(mem, (n + 1) * ours);
    if (!copy) return NULL;
    memset(copy, 0, (n + 1) * ours);
    for (uint32_t i = 0; i < n; i++) memcpy(copy + i * ours, (const char *)rows + (size_t)i * size, size);
    return copy;
}

/* A widened copy of a table whose rows begin with a name and end with a null one; null: it is empty, or err has a
 * code. */
static const void *widen_table(const void *table, uint32_t size, size_t ours, struct jvc_arena *mem, jv_err *err)
{
    uint32_t n = 0;
    const char *rows = table, *name;
    for (; rows && (memcpy(&name, rows + (size_t)n * size, sizeof name), name); n++) {
        if (n < MAX_ROWS) continue;
        jv_fail(err, JV_BAD, "a table of more than %d rows: it should end with {0}", MAX_ROWS);
        return NULL;
    }
    const void *copy = n ? widen(rows, n, size, ours, mem) : NULL;
    if (n && !copy) jv_fail(err, JV_BAD, "no memory for its tables");
    return copy;
}

static int32_t widen_stage(const jv_plugin *d, jv_stage *s, struct jvc_arena *mem, jv_err *err)
{
    err->code = JV_OK;
    s->fields = widen_table(s->fields, d->field_size, sizeof(jv_field), mem, err);
    s->ports = widen_table(s->ports, d->port_size, sizeof(jv_port), mem, err);
    s->opts = widen_table(s->opts, d->opt_size, sizeof(jv_opt), mem, err);
    s->counters = widen_table(s->counters, d->counter_size, sizeof(jv_counter), mem, err);
    s->services = widen_table(s->services, d->service_size, sizeof(jv_service), mem, err);
    return err->code;
}

static jv_plugin *widen_plugin(const jv_plugin *theirs, struct jvc_arena *mem, jv_err *err)
{
    jv_plugin *d = widen(theirs, 1, theirs->struct_size, sizeof *d, mem);
    jv_stage *stages = widen(theirs->stages, theirs->n_stages, theirs->stage_size, sizeof *stages, mem);
    if (!d || !stages) {
        jv_fail(err, JV_BAD, "no memory for its tables");
        return NULL;
    }
    for (uint32_t i = 0; i < theirs->n_stages; i++)
        if (widen_stage(theirs, &stages[i], mem, err) < 0) return NULL;
    d->stages = stages;
    d->struct_size = sizeof *d;
    d->stage_size = sizeof(jv_stage);
    d->field_size = sizeof(jv_field);
    d->port_size = sizeof(jv_port);
    d->opt_size = sizeof(jv_opt);
    d->counter_size = sizeof(jv_counter);
    d->service_size = sizeof(jv_service);
    return d;
}

/* ---- what a stage is ---- */

static int32_t needs(const jv_stage *s, uint32_t flag, const char *name, bool has, const char *what, jv_err *err)
{
    if (!(s->flags & flag) || has) return JV_OK;
    return jv_fail(err, JV_BAD, "stage %s is %s, which takes %s", s->name, name, what);
}

static int32_t check_flags(const jv_stage *s, jv_err *err)
{
    const uint32_t known =
        JV_PARALLEL | JV_ORDERED | JV_PARTIALS | JV_SPLIT | JV_ENDLESS | JV_MERGE | JV_RESULT | JV_TERMINAL;
    bool process = s->process, filter = s->process && s->ports, source = s->ports && !s->process;
    if (s->flags & ~known)
        return jv_fail(err, JV_BAD, "stage %s has flags %#x, the host knows %#x", s->name, s->flags, known);
    if (needs(s, JV_PARALLEL, "JV_PARALLEL", process, "process", err) < 0 ||
        needs(s, JV_ORDERED, "JV_ORDERED", process, "process", err) < 0 ||
        needs(s, JV_PARTIALS, "JV_PARTIALS", process, "process", err) < 0 ||
        needs(s, JV_RESULT, "JV_RESULT", process, "process", err) < 0 ||
        needs(s, JV_SPLIT, "JV_SPLIT", filter, "process and ports", err) < 0 ||
        needs(s, JV_MERGE, "JV_MERGE", filter, "process and ports", err) < 0 ||
        needs(s, JV_ENDLESS, "JV_ENDLESS", source, "a source: ports and no process", err) < 0)
        return JV_BAD;
    if ((s->flags & JV_PARALLEL) && (s->flags & JV_ORDERED))
        return jv_fail(err, JV_BAD, "stage %s is JV_PARALLEL and JV_ORDERED: several calls at once have no order",
            s->name);
    if ((s->flags & JV_SPLIT) && (s->flags & JV_MERGE))
        return jv_fail(err, JV_BAD, "stage %s is JV_SPLIT and JV_MERGE: these are the two ends, two stages", s->name);
    return JV_OK;
}

static int32_t check_functions(const jv_stage *s, jv_err *err)
{
    if (s->poll && s->process)
        return jv_fail(err, JV_BAD, "stage %s has poll and process: a source or a filter?", s->name);
    if (s->poll && !s->ports) return jv_fail(err, JV_BAD, "source %s has no port", s->name);
    if (s->ports && !s->poll && !s->process && !((s->flags & JV_ENDLESS) && s->stop))
        return jv_fail(err, JV_BAD,
            "stage %s has ports but neither poll nor process: without these it is a source with "
            "threads of its own, which takes JV_ENDLESS and stop",
            s->name);
    if (!s->ports && !s->process && !s->services)
        return jv_fail(err, JV_BAD, "stage %s has neither poll nor process nor services: nobody could use it", s->name);
    return JV_OK;
}

static int32_t check_sizes(const jv_stage *s, jv_err *err)
{
    if (s->ctx_size > MAX_CTX)
        return jv_fail(err, JV_BAD, "stage %s wants a context of %u bytes, the host gives %u at most", s->name,
            s->ctx_size, MAX_CTX);
    if (s->threads > MAX_THREADS && s->threads != JV_PER_CORE)
        return jv_fail(err, JV_BAD, "stage %s wants %u threads, the host gives %d at most, or JV_PER_CORE", s->name,
            s->threads, MAX_THREADS);
    if (s->threads > 1 && !(s->flags & JV_PARALLEL))
        return jv_fail(err, JV_BAD, "stage %s wants more than 1 thread but is not JV_PARALLEL", s->name);
    return JV_OK;
}

/* ---- its rows ---- */

const char *const jvc_host_keys[] = {"plugin", "from", "threads", "on_error", "retries", "in_flight", "priority",
    "ordered", "isolate", "timeout", NULL};

static const jv_opt *option_named(const jv_stage *s, const char *name, size_t n)
{
    for (const jv_opt *o = s->opts; o && o->name; o++)
        if (strlen(o->name) == n && !memcmp(o->name, name, n)) return o;
    return NULL;
}

static int32_t check_port(const jv_stage *s, const jv_port *p, jv_err *err)
{
    size_t n = strlen(p->name);
    bool many = n > 2 && !strcmp(p->name + n - 2, ".*");
    const jv_opt *map = many ? option_named(s, p->name, n - 2) : NULL;
    if (!p->help || (p->flags & ~JV_OPTIONAL))
        return jv_fail(err, JV_BAD, "stage %s: port %.60s has no help, or flags %#x where the host knows %#x", s->name,
            p->name, p->flags, JV_OPTIONAL);
    if (many && (!map || map->type != JV_OPT_MAP))
        return jv_fail(err, JV_BAD,
            "stage %s: port %.60s stands for the keys of a MAP option `%.*s`, which it does not have", s->name, p->name,
            (int)(n > 60 ? 60 : n - 2), p->name);
    if (!many && !jvc_name_ok(p->name, n))
        return jv_fail(err, JV_BAD, "stage %s: \"%.60s\" is no name for a port", s->name, p->name);
    if (!strcmp(p->name, "rejected"))
        return jv_fail(err, JV_BAD, "stage %s: every stage has a port `rejected` of the host", s->name);
    for (const jv_port *q = s->ports; q < p; q++)
        if (!strcmp(q->name, p->name)) return jv_fail(err, JV_BAD, "stage %s has two ports `%.60s`", s->name, p->name);
    return JV_OK;
}

static int32_t check_ports(const jv_stage *s, jv_err *err)
{
    int fixed = 0;
    for (const jv_port *p = s->ports; p && p->name; p++) {
        if (check_port(s, p, err) < 0) return JV_BAD;
        fixed += !strchr(p->name, '*');
    }
    if (fixed <= JV_MAX_PORTS) return JV_OK;
    return jv_fail(err, JV_BAD, "stage %s has %d ports, the host takes %d", s->name, fixed, JV_MAX_PORTS);
}

/* A key of a section: of the host, a field's row, or an option. Two of one name could not both be set. */
static int32_t check_key(const jv_stage *s, const char *key, jv_err *err)
{
    int n = 0;
    for (size_t i = 0; jvc_host_keys[i]; i++)
        if (!strcmp(key, jvc_host_keys[i]))
            return jv_fail(err, JV_BAD, "stage %s: `%s` is a key of the host", s->name, key);
    for (const jv_field *f = s->fields; f && f->name; f++) n += !strcmp(key, f->name);
    for (const jv_opt *o = s->opts; o && o->name; o++) n += !strcmp(key, o->name);
    return n > 1 ? jv_fail(err, JV_BAD, "stage %s: `%s` stands twice among its fields and options", s->name, key) : JV_OK;
}

static bool field_name_ok(const char *name)
{
    return jvc_name_ok(name, strlen(name)) && !strchr(name, '-') && !strchr("0123456789", *name);
}

static int32_t check_field(const jv_stage *s, const jv_field *f, jv_err *err)
{
    const uint32_t known = JV_IN | JV_OUT | JV_OPTIONAL | JV_MEASURED;
    if (!jvc_name_ok(f->name, strlen(f->name)) || strlen(f->name) > JVC_NAME_MOST)
        return jv_fail(err, JV_BAD, "stage %s: field row `%.60s` has no name for a key", s->name, f->name);
    if (f->type < JV_UTF8 || f->type > JV_F32S)
        return jv_fail(err, JV_BAD, "stage %s: field row %s has type %d, the host knows %d to %d", s->name, f->name,
            f->type, JV_UTF8, JV_F32S);
    if (f->access & ~known)
        return jv_fail(err, JV_BAD, "stage %s: field row %s has flags %#x, the host knows %#x", s->name, f->name,
            f->access, known);
    if (!(f->access & JV_IN) == !(f->access & JV_OUT))
        return jv_fail(err, JV_BAD, "stage %s: field row %s needs one of JV_IN and JV_OUT", s->name, f->name);
    if (!f->field || !field_name_ok(f->field) || ((f->access & JV_OUT) && !strcmp(f->field, "id")))
        return jv_fail(err, JV_BAD, "stage %s: field row %s has no name for its field: letters, digits and _", s->name,
            f->name);
    if (!f->help) return jv_fail(err, JV_BAD, "stage %s: field row %s has no help", s->name, f->name);
    return check_key(s, f->name, err);
}

/* A counter can be read by name like a field, so the two share their names. */
static int32_t check_counter(const jv_stage *s, const jv_counter *c, jv_err *err)
{
    if (!field_name_ok(c->name) || !strcmp(c->name, "id"))
        return jv_fail(err, JV_BAD, "stage %s: \"%.60s\" is no name for a counter", s->name, c->name);
    if (!c->unit || !*c->unit || !c->help || (c->flags & ~JV_MEASURED))
        return jv_fail(err, JV_BAD, "stage %s: counter %s has no unit, no help, or flags %#x where the host knows %#x",
            s->name, c->name, c->flags, JV_MEASURED);
    for (const jv_counter *q = s->counters; q < c; q++)
        if (!strcmp(q->name, c->name)) return jv_fail(err, JV_BAD, "stage %s has two counters `%s`", s->name, c->name);
    for (const jv_field *f = s->fields; f && f->name; f++)
        if (!strcmp(f->field, c->name))
            return jv_fail(err, JV_BAD, "stage %s: `%s` is a counter and a field", s->name, c->name);
    return JV_OK;
}

static int32_t check_services(const jv_stage *s, jv_err *err)
{
    for (const jv_service *v = s->services; v && v->id; v++) {
        if (!*v->id || !v->api)
            return jv_fail(err, JV_BAD, "stage %s: service \"%.60s\" has no id or no table", s->name, v->id);
        for (const jv_service *q = s->services; q < v; q++)
            if (!strcmp(q->id, v->id)) return jv_fail(err, JV_BAD, "stage %s offers %.60s twice", s->name, v->id);
    }
    return JV_OK;
}

static int32_t check_rows(const jv_stage *s, jv_err *err)
{
    for (const jv_opt *o = s->opts; o && o->name; o++) {
        jv_err why;
        if (jvc_option_check(o, s->ctx_size, &why) < 0) return jv_fail(err, JV_BAD, "stage %s: %s", s->name, why.text);
        if (check_key(s, o->name, err) < 0) return JV_BAD;
    }
    for (const jv_field *f = s->fields; f && f->name; f++)
        if (check_field(s, f, err) < 0) return JV_BAD;
    for (const jv_counter *c = s->counters; c && c->name; c++)
        if (check_counter(s, c, err) < 0) return JV_BAD;
    if (check_ports(s, err) < 0) return JV_BAD;
    return check_services(s, err);
}

static int32_t check_stage(const jv_plugin *d, const jv_stage *s, jv_err *err)
{
    if (!s->name || !s->brief || !jvc_name_ok(s->name, strlen(s->name)))
        return jv_fail(err, JV_BAD, "stage %u has no brief, or no name of letters, digits, _ and -",
            (uint32_t)(s - d->stages));
    for (const jv_stage *q = d->stages; q < s; q++)
        if (!strcmp(q->name, s->name)) return jv_fail(err, JV_BAD, "it has two stages %s", s->name);
    if (check_functions(s, err) < 0 || check_flags(s, err) < 0 || check_sizes(s, err) < 0) return JV_BAD;
    return check_rows(s, err);
}

const jv_plugin *jvc_fit(const jv_plugin *theirs, const char *name, struct jvc_arena *mem, jv_err *err)
{
    if (check_layout(theirs, err) < 0) return NULL;
    const jv_plugin *d = widen_plugin(theirs, mem, err);
    if (!d) return NULL;
    if (strcmp(d->name, name)) {
        jv_fail(err, JV_BAD, "it calls itself %.60s: rename the file to jv_%.60s.so", d->name, d->name);
        return NULL;
    }
    for (uint32_t i = 0; i < d->n_stages; i++)
        if (check_stage(d, &d->stages[i], err) < 0) return NULL;
    if (d->n_stages == 1 && strcmp(d->stages->name, d->name)) {
        jv_fail(err, JV_BAD, "its only stage is called %s, not %s like the plugin", d->stages->name, d->name);
        return NULL;
    }
    return d;
}
