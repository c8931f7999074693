/*
 * fit_test.c: which plugins fit. Built twice: as the host is, and, with GROWN, against a header of a later minor version
 * (tests/grow.py), as which it must take plugins built against today's. argv[1] is the folder of the test plugins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>

#include "fit.h"
#include "option.h"

static const char *folder;

struct ctx {
    int64_t number;
    jv_map to;
    int32_t flag;
};

static int32_t poll_it(void *ctx, jv_err *err)
{
    return JV_END;
}

static int32_t process_it(void *ctx, jv_buf *b, jv_err *err)
{
    return JV_OK;
}

static void stop_it(void *ctx) {}

/* A filter that fits, to be made wrong in one point; every row has a spare one behind it. */
struct one {
    jv_field fields[4];
    jv_port ports[JV_MAX_PORTS + 3];
    jv_opt opts[4];
    jv_counter counters[4];
    jv_service services[4];
    jv_stage stages[3];
    jv_plugin d;
    char names[JV_MAX_PORTS + 3][16];
};

static void fitting(struct one *o)
{
    *o = (struct one){
        .fields = {{"in", JV_UTF8, JV_IN, "text", "read"}, {"out", JV_F32S, JV_OUT, "vector", "set"}},
        .ports = {{"out", "what comes out", 0, 0}, {"to.*", "one a key", JV_OPTIONAL, 0}},
        .opts = {JV_OPTF(struct ctx, number, JV_PER_RECORD | JV_NEUTRAL, "1", "1..", "a number"),
            JV_OPT(struct ctx, to, NULL, "", "a map")},
        .counters = {{"seen", "record", "records seen", JV_MEASURED, 0}},
        .services = {{"x.y/1", o}},
        .stages = {{.name = "one",
            .brief = "a filter",
            .flags = JV_PARALLEL,
            .ctx_size = sizeof(struct ctx),
            .threads = JV_PER_CORE,
            .process = process_it}},
        .d = {JV_MAGIC, sizeof(jv_plugin), JV_ABI_MAJOR, JV_ABI_MINOR, sizeof(jv_stage), sizeof(jv_field),
            sizeof(jv_port), sizeof(jv_opt), sizeof(jv_counter), sizeof(jv_service), 1, "one", "1.0", "MIT", NULL},
    };
    o->stages[0].fields = o->fields;
    o->stages[0].ports = o->ports;
    o->stages[0].opts = o->opts;
    o->stages[0].counters = o->counters;
    o->stages[0].services = o->services;
    o->d.stages = o->stages;
}

static void source(struct one *o)
{
    fitting(o);
    o->stages[0].flags = 0;
    o->stages[0].threads = 0;
    o->stages[0].process = NULL;
    o->stages[0].poll = poll_it;
}

static void check(const struct one *o, const char *told)
{
    struct jvc_arena mem = {0};
    jv_err err = {0};
    const jv_plugin *d = jvc_fit(&o->d, "one", &mem, &err);
    if (!d != !!*told || !strstr(err.text, told)) fail_msg("\"%s\", not \"%s\"", err.text, told);
    jvc_arena_free(&mem);
}

/* One point made wrong. */
#define WRONG(base, change, told)                                                                                      \
    do {                                                                                                               \
        struct one o;                                                                                                  \
        base(&o);                                                                                                      \
        change;                                                                                                        \
        check(&o, told);                                                                                               \
    } while (0)

static void what_fits(void **state)
{
    WRONG(fitting, (void)0, "");
    WRONG(source, (void)0, "");
    WRONG(source, (o.stages[0].poll = NULL, o.stages[0].flags = JV_ENDLESS, o.stages[0].stop = stop_it), "");
    WRONG(fitting, o.stages[0].ports = NULL, "");
    WRONG(fitting,
        (o.stages[0].ports = NULL, o.stages[0].process = NULL, o.stages[0].flags = 0, o.stages[0].threads = 0), "");
    WRONG(fitting, o.stages[0].flags |= JV_SPLIT, "");
    WRONG(fitting, o.stages[0].flags |= JV_MERGE, "");
    WRONG(fitting, o.stages[0].threads = 1024, "");
}

static void descriptions(void **state)
{
    WRONG(fitting, o.d.magic[2] = 'x', "begins with \"jexons\", not \"jevons\"");
    WRONG(fitting, o.d.abi_major++, "it speaks ABI 2.");
    WRONG(fitting, o.d.abi_minor++, "the host 1.");
    WRONG(fitting, o.d.struct_size += 8, "its jv_plugin has ");
    WRONG(fitting, o.d.stage_size -= 128, "its jv_stage has ");
    WRONG(fitting, o.d.field_size += 8, "its jv_field has ");
    WRONG(fitting, o.d.port_size -= 16, "its jv_port has ");
    WRONG(fitting, o.d.opt_size = 0, "its jv_opt has 0 bytes, the host");
    WRONG(fitting, o.d.counter_size = UINT32_MAX, "built against another jevons.h");
    WRONG(fitting, o.d.service_size -= 1, "its jv_service has ");
    WRONG(fitting, o.d.name = NULL, "lacks a name");
    WRONG(fitting, o.d.n_stages = 0, "lacks a name, a version, a licence or stages (1 to 256; it has 0)");
    WRONG(fitting, o.d.n_stages = 300, "it has 300");
    WRONG(fitting, o.d.name = "two", "it calls itself two: rename the file to jv_two.so");
    WRONG(fitting, o.stages[0].name = "two", "its only stage is called two, not one");
    WRONG(fitting, (o.stages[1] = o.stages[0], o.d.n_stages = 2), "it has two stages one");
    WRONG(fitting, o.d.n_stages = 2, "stage 1 has no brief, or no name");
    WRONG(fitting, o.stages[0].name = "a.b", "stage 0 has no brief, or no name");
}

static void kinds(void **state)
{
    WRONG(fitting, o.stages[0].poll = poll_it, "has poll and process");
    WRONG(source, o.stages[0].ports = NULL, "source one has no port");
    WRONG(source, o.ports[0].name = NULL, "source one has no port");
    WRONG(source, o.stages[0].poll = NULL, "which takes JV_ENDLESS and stop");
    WRONG(source, (o.stages[0].poll = NULL, o.stages[0].stop = stop_it), "which takes JV_ENDLESS and stop");
    WRONG(source, (o.stages[0].poll = NULL, o.stages[0].flags = JV_ENDLESS), "which takes JV_ENDLESS and stop");
    WRONG(fitting, (o.stages[0].ports = NULL, o.stages[0].process = NULL, o.stages[0].services = NULL),
        "neither poll nor process nor services");
    WRONG(source, o.stages[0].flags = JV_ORDERED, "stage one is JV_ORDERED, which takes process");
    WRONG(source, o.stages[0].flags = JV_PARALLEL, "stage one is JV_PARALLEL, which takes process");
    WRONG(source, o.stages[0].flags = JV_PARTIALS, "stage one is JV_PARTIALS, which takes process");
    WRONG(source, o.stages[0].flags = JV_RESULT, "stage one is JV_RESULT, which takes process");
    WRONG(source, o.stages[0].flags = JV_SPLIT, "stage one is JV_SPLIT, which takes process and ports");
    WRONG(fitting, (o.stages[0].ports = NULL, o.stages[0].flags |= JV_MERGE), "JV_MERGE, which takes process and ports");
    WRONG(fitting, o.stages[0].flags |= JV_ENDLESS, "JV_ENDLESS, which takes a source");
    WRONG(fitting, o.stages[0].flags |= JV_SPLIT | JV_MERGE, "JV_SPLIT and JV_MERGE");
    WRONG(fitting, o.stages[0].flags |= JV_ORDERED, "JV_PARALLEL and JV_ORDERED");
    WRONG(fitting, o.stages[0].flags |= 256, "has flags 0x101, the host knows 0xff");
    WRONG(fitting, o.stages[0].threads = 1025, "wants 1025 threads, the host gives 1024");
    WRONG(fitting, o.stages[0].flags = 0, "wants more than 1 thread but is not JV_PARALLEL");
    WRONG(fitting, o.stages[0].ctx_size = (64 << 20) + 1, "67108865 bytes, the host gives 67108864");
}

static void ports(void **state)
{
    WRONG(fitting, o.ports[0].name = "rejected", "a port `rejected` of the host");
    WRONG(fitting, o.ports[0].name = "a.b", "\"a.b\" is no name for a port");
    WRONG(fitting, o.ports[1].name = ".*", "\".*\" is no name for a port");
    WRONG(fitting, o.ports[0].name = "*", "\"*\" is no name for a port");
    WRONG(fitting, o.ports[0].name = "number.*", "the keys of a MAP option `number`, which it does not have");
    WRONG(fitting, o.ports[0].name = "t.*", "the keys of a MAP option `t`, which it does not have");
    WRONG(fitting, o.ports[0].name = "to.*", "two ports `to.*`");
    WRONG(fitting, o.ports[0].help = NULL, "port out has no help");
    WRONG(fitting, o.ports[0].flags = 2, "flags 0x2 where the host knows 0x4");
    struct one o;
    fitting(&o);
    for (int i = 0; i < JV_MAX_PORTS + 1; i++) {
        snprintf(o.names[i], sizeof o.names[i], "p%d", i);
        o.ports[i] = (jv_port){o.names[i], "", 0, 0};
    }
    check(&o, "has 32 ports, the host takes 31");
    o.ports[JV_MAX_PORTS] = (jv_port){"to.*", "", 0, 0};
    check(&o, "");
}

static void fields_and_counters(void **state)
{
    WRONG(fitting, o.fields[0].type = JV_ANY, "has type 0, the host knows 1 to 7");
    WRONG(fitting, o.fields[0].type = JV_F32S + 1, "has type 8, the host knows 1 to 7");
    WRONG(fitting, o.fields[0].access = JV_IN | JV_OUT, "needs one of JV_IN and JV_OUT");
    WRONG(fitting, o.fields[0].access = JV_OPTIONAL, "needs one of JV_IN and JV_OUT");
    WRONG(fitting, o.fields[0].access |= 16, "has flags 0x11, the host knows 0xf");
    WRONG(fitting, o.fields[0].field = NULL, "no name for its field");
    WRONG(fitting, o.fields[0].field = "a-b", "no name for its field");
    WRONG(fitting, o.fields[0].field = "id", "");
    WRONG(fitting, o.fields[1].field = "id", "no name for its field");
    WRONG(fitting, o.fields[0].help = NULL, "no help");
    WRONG(fitting, o.fields[0].name = "a.b", "no name for a key");
    WRONG(fitting, o.fields[0].name = "priority", "`priority` is a key of the host");
    WRONG(fitting, o.fields[0].name = "out", "`out` stands twice");
    WRONG(fitting, o.fields[0].name = "to", "`to` stands twice");
    WRONG(fitting, o.opts[0].name = "timeout", "`timeout` is a key of the host");
    WRONG(fitting, o.opts[0].name = "to", "`to` stands twice");
    WRONG(fitting, o.opts[0].offset = 4, "option number lies at 4, no multiple of 8");
    WRONG(fitting, o.opts[0].flags = 4, "stage one: option number has flags 0x4");
    WRONG(fitting, o.counters[0].name = "id", "\"id\" is no name for a counter");
    WRONG(fitting, o.counters[0].name = "text", "`text` is a counter and a field");
    WRONG(fitting, o.counters[1] = o.counters[0], "two counters `seen`");
    WRONG(fitting, o.counters[0].unit = "", "has no unit");
    WRONG(fitting, o.counters[0].flags = 1, "flags 0x1 where the host knows 0x8");
    WRONG(fitting, o.services[0].api = NULL, "has no id or no table");
    WRONG(fitting, o.services[1] = o.services[0], "offers x.y/1 twice");
}

static void a_table_without_end(void **state)
{
    static jv_field endless[2000];
    for (int i = 0; i < 2000; i++) endless[i] = (jv_field){"in", JV_UTF8, JV_IN, "text", ""};
    WRONG(fitting, o.stages[0].fields = endless, "a table of more than 1024 rows: it should end with {0}");
}

static void normal_form(void **state)
{
    struct one o;
    struct jvc_arena mem = {0};
    jv_err err;
    fitting(&o);
    o.fields[0].name = NULL;
    o.stages[0].counters = NULL;
    const jv_plugin *d = jvc_fit(&o.d, "one", &mem, &err);
    assert_non_null(d);
    assert_null(d->stages[0].fields);
    assert_null(d->stages[0].counters);
    assert_string_equal(d->stages[0].opts[1].name, "to");
    assert_null(d->stages[0].opts[2].name);
    assert_null(d->stages[0].ports[2].name);
    assert_true(d->stages[0].process == process_it && d->stages[0].services[0].api == &o);
    jvc_arena_free(&mem);
}

/* The plugin of a file, built against today's header. */
static void a_file(void **state)
{
    char path[4096];
    struct jvc_arena mem = {0};
    jv_err err = {0};
    snprintf(path, sizeof path, "%s/jv_probe.so", folder);
    void *dso = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!dso) fail_msg("%s", dlerror());
    const jv_plugin *theirs = dlsym(dso, "jv_plugin_desc");
    const jv_plugin *d = jvc_fit(theirs, "probe", &mem, &err);
    if (!d) fail_msg("%s", err.text);
    assert_int_equal(d->n_stages, theirs->n_stages);
    assert_int_equal(d->stage_size, sizeof(jv_stage));
    uint32_t i = 0;
    while (i < d->n_stages && strcmp(d->stages[i].name, "verdict")) i++;
    assert_true(i < d->n_stages);
    const jv_stage *s = &d->stages[i];
    assert_string_equal(s->fields[0].field, "text");
    assert_string_equal(s->opts[0].name, "on");
    assert_string_equal(s->opts[2].name, "tries");
    assert_null(s->opts[3].name);
    assert_string_equal(s->counters[0].unit, "record");
    assert_non_null(s->process);
#ifdef GROWN
    assert_int_equal(theirs->abi_minor, JV_ABI_MINOR - 1);
    assert_int_equal(theirs->stage_size, sizeof(jv_stage) - sizeof(void *));
    assert_null(d->later);
    assert_null(s->later);
    assert_null(s->fields[0].later);
    assert_null(s->opts[2].later);
    assert_null(s->counters[0].later);
#endif
    jvc_arena_free(&mem);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits),
        cmocka_unit_test(descriptions),
        cmocka_unit_test(kinds),
        cmocka_unit_test(ports),
        cmocka_unit_test(fields_and_counters),
        cmocka_unit_test(a_table_without_end),
        cmocka_unit_test(normal_form),
        cmocka_unit_test(a_file),
    };
    if (argc != 2) return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
