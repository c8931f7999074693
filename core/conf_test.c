/* conf_test.c: INI files and overrides as sections, and their values as options of every type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory_file.h"
#include "option.h"

struct all {
    int64_t number, size, time;
    double share;
    const char *text, *path;
    int32_t choice;
    jv_list list, paths;
    jv_map to, files;
};

static const jv_opt rows[] = {
    JV_OPT(struct all, number, "auto", "auto|1..64", "a number"),
    JV_OPT(struct all, size, "1K", "bytes 1..4G", "a size"),
    JV_OPT(struct all, time, "1s", "ms 0..1h", "a time"),
    JV_OPT(struct all, share, "0.5", "0..1", "a share"),
    JV_OPT(struct all, text, "", "", "a text"),
    JV_OPT(struct all, path, "", "path", "a path"),
    JV_OPT(struct all, choice, "no", "no|yes|maybe", "a choice"),
    JV_OPT(struct all, list, "", "", "texts"),
    JV_OPT(struct all, paths, "", "path", "paths"),
    JV_OPT(struct all, to, "", "", "a map of texts"),
    JV_OPT(struct all, files, "", "path", "a map of paths"),
    {0},
};

/* What stands in the folder of the file is `dir/t.ini`. */
static void read_text(struct jvc_conf *conf, const char *text)
{
    memory_files_clear();
    memory_file("dir/t.ini", text, strlen(text));
    jvc_conf_read(conf, "dir/t.ini", NULL, 0);
}

/* Sets every option from section [s]; answers the text of the last problem, or "". */
static const char *set_all(struct jvc_conf *conf, struct all *to)
{
    struct jvc_section *s = jvc_conf_section(conf, "s");
    memset(to, 0, sizeof *to);
    assert_non_null(s);
    for (const jv_opt *o = rows; o->name; o++) {
        jv_err err;
        if (o->type == JV_OPT_MAP) {
            jvc_option_set_map(o, to, conf, s);
            continue;
        }
        struct jvc_entry *e = jvc_section_take(s, o->name);
        if (jvc_option_set(o, to, conf, e ? e->value : o->def, e ? e->dir : NULL, &err) < 0)
            jvc_problem(conf, s->where, "`%s`: %s", o->name, err.text);
    }
    return conf->n_problems ? conf->problems[conf->n_problems - 1].text : "";
}

static void check_value(const char *line, const char *problem)
{
    struct jvc_conf conf;
    struct all a;
    char text[512];
    snprintf(text, sizeof text, "[s]\n%s\n", line);
    read_text(&conf, text);
    const char *told = set_all(&conf, &a);
    if (!strstr(told, problem) || !*problem != !*told) fail_msg("%s: \"%s\", not \"%s\"", line, told, problem);
    jvc_conf_free(&conf);
}

static void defaults(void **state)
{
    struct jvc_conf conf;
    struct all a;
    read_text(&conf, "[s]\n");
    assert_string_equal(set_all(&conf, &a), "");
    assert_true(a.number == JV_UNSET && a.size == 1024 && a.time == 1000 && a.share == 0.5 && a.choice == 0);
    assert_true(!*a.text && !*a.path && !a.list.n && !a.to.key.n && !a.to.val.n);
    jvc_conf_free(&conf);
}

static void values(void **state)
{
    struct jvc_conf conf;
    struct all a;
    read_text(&conf,
        "[s]\nnumber = 64\nsize = 2M\ntime = 2m\nshare = 1e-1\ntext = a, b ; c\npath = x/y\nchoice = maybe\n");
    assert_string_equal(set_all(&conf, &a), "");
    assert_true(a.number == 64 && a.size == 2 << 20 && a.time == 120000 && a.share == 0.1 && a.choice == 2);
    assert_string_equal(a.text, "a, b ; c");
    assert_string_equal(a.path, "dir/x/y");
    jvc_conf_free(&conf);
}

static void wrong_values(void **state)
{
    check_value("number = 64", "");
    check_value("number = 65", "65 is outside auto|1..64");
    check_value("number = 0", "outside");
    check_value("number =", "not a number");
    check_value("number = otto", "\"otto\" is not a number, nor the word auto");
    check_value("number = 5.0", "not a whole number");
    check_value("number = 99999999999999999999", "too large for 64 bits");
    check_value("size = 5 K", "not a number with K, M, G or T");
    check_value("size = 9999999999G", "too large for 64 bits");
    check_value("size = 8G", "8G is outside bytes 1..4G");
    check_value("time = 61m", "61m is outside");
    check_value("time = 5 miles", "not a number with ms, s, m or h");
    check_value("share = 1.01", "outside");
    check_value("share = 0x1p-1", "not a number");
    check_value("share = nan", "not a number");
    check_value("share = 1e999", "not a number");
    check_value("share = 0.5x", "not a number");
    check_value("choice = Yes", "\"Yes\" is none of no|yes|maybe");
    check_value("choice = no|yes", "is none of");
    check_value("path = a\n  b", "a path of several lines");
}

static void check_list(const char *value, const char *items)
{
    struct jvc_conf conf;
    struct all a;
    char text[512], got[512] = "";
    snprintf(text, sizeof text, "[s]\nlist = %s\n", value);
    read_text(&conf, text);
    assert_string_equal(set_all(&conf, &a), "");
    for (size_t i = 0; i < a.list.n; i++) {
        assert_int_equal(strlen(a.list.v[i].p), a.list.v[i].n);
        snprintf(got + strlen(got), sizeof got - strlen(got), "<%s>", a.list.v[i].p);
    }
    assert_string_equal(got, items);
    jvc_conf_free(&conf);
}

static void lists(void **state)
{
    check_list("", "");
    check_list("a", "<a>");
    check_list("a, b ,c d", "<a><b><c d>");
    check_list("\"a, b\" , \"say \"\"c\"\"\", \"\"", "<a, b><say \"c\"><>");
    check_list("\n  a, b\n  c", "<a, b><c>");
    check_list("\n  a, b", "<a><b>");
    check_list("a\n\n  \" b \"\n  \"\"", "<a>< b ><>");
    check_list("a \"b\" c, d\"", "<a \"b\" c><d\">");
    check_value("list = a,,b", "an empty item");
    check_value("list = a,", "an empty item");
    check_value("list = ,", "an empty item");
    check_value("list = \"a", "a quote without its end");
    check_value("list = \"a\n  b\"", "a quote without its end");
    check_value("list = \"a\" b", "text after a closing quote");
    check_value("paths = \"\"", "an empty path");
}

static void paths(void **state)
{
    struct jvc_conf conf;
    struct all a;
    char *const overrides[] = {"s.path=x"};
    read_text(&conf, "[s]\npaths = a, /b, \"c, d\"\nfiles.one = a\nfiles.two = /b\npath = a\n");
    assert_string_equal(set_all(&conf, &a), "");
    assert_string_equal(a.paths.v[0].p, "dir/a");
    assert_string_equal(a.paths.v[1].p, "/b");
    assert_string_equal(a.paths.v[2].p, "dir/c, d");
    assert_string_equal(a.files.val.v[0].p, "dir/a");
    assert_string_equal(a.files.val.v[1].p, "/b");
    jvc_conf_free(&conf);
    jvc_conf_read(&conf, "dir/t.ini", overrides, 1);
    assert_string_equal(set_all(&conf, &a), "");
    assert_string_equal(a.path, "x");
    jvc_conf_free(&conf);
}

static void maps(void **state)
{
    struct jvc_conf conf;
    struct all a;
    char *const overrides[] = {"s.to.b=two, too", "s.to.new=4"};
    const char *text = "[s]\nto.b = 2\ntext = between\nto.a-1 = one\n  and more\nto.C_ =\n";
    memory_files_clear();
    memory_file("t.ini", text, strlen(text));
    jvc_conf_read(&conf, "t.ini", overrides, 2);
    assert_string_equal(set_all(&conf, &a), "");
    assert_int_equal(a.to.key.n, 4);
    assert_int_equal(a.to.val.n, 4);
    const char *const keys[] = {"b", "a-1", "C_", "new"}, *const vals[] = {"two, too", "one\nand more", "", "4"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(a.to.key.v[i].p, keys[i]);
        assert_int_equal(a.to.key.v[i].n, strlen(keys[i]));
        assert_string_equal(a.to.val.v[i].p, vals[i]);
        assert_int_equal(a.to.val.v[i].n, strlen(vals[i]));
    }
    struct jvc_section *s = jvc_conf_section(&conf, "s");
    for (size_t i = 0; i < s->n; i++) assert_true(s->entries[i].used);
    jvc_conf_free(&conf);
    check_value("to = x", "`to` is a map: write `to.KEY = value`");
    check_value("to.a.b = x", "what follows `to.` is letters");
    check_value("to.a = 1\nto.a = 2", "`to.a` of [s] stands at dir/t.ini:2 already");
    check_value("files.a = x\n  y", "`files.a`: a path of several lines");
    check_value("to.a = ${s.nix}", "the file has no such key");
}

static void a_map_that_must_be(void **state)
{
    static const jv_opt must = {"to", JV_OPT_MAP, 0, offsetof(struct all, to), 0, NULL, "", "where to"};
    struct jvc_conf conf;
    struct all a;
    read_text(&conf, "[s]\ntoo.a = 1\n");
    assert_false(jvc_option_set_map(&must, &a, &conf, jvc_conf_section(&conf, "s")));
    assert_string_equal(conf.problems[0].text, "[s] needs `to.KEY = value` at least once: where to");
    assert_int_equal(conf.problems[0].where.line, 1);
    assert_false(jvc_section_entry(jvc_conf_section(&conf, "s"), "too.a")->used);
    jvc_conf_free(&conf);
    assert_true(jvc_option_has_key(&must, "to.x", 4) && jvc_option_has_key(&must, "to", 2));
    assert_false(jvc_option_has_key(&must, "too", 3) || jvc_option_has_key(&must, "t", 1));
    assert_false(jvc_option_has_key(&rows[0], "number.x", 8));
}

static void check_row(jv_opt o, const char *problem)
{
    jv_err err = {0};
    int32_t rc = jvc_option_check(&o, sizeof(struct all), &err);
    if (!strstr(err.text, problem) || (rc == JV_OK) != !*problem)
        fail_msg("%s: \"%s\", not \"%s\"", o.name, err.text, problem);
}

static void rows_that_make_no_sense(void **state)
{
    const uint32_t n = offsetof(struct all, number), c = offsetof(struct all, choice);
    for (const jv_opt *o = rows; o->name; o++) check_row(*o, "");
    check_row((jv_opt){"a b", JV_OPT_I64, 0, n, 0, "1", "1..", ""}, "no name for a key");
    check_row((jv_opt){"a", 8, 0, n, 0, "1", "1..", ""}, "has type 8, the host knows 1..7");
    check_row((jv_opt){"a", JV_OPT_I64, 0, n, 0, "1", "1..", NULL}, "no help");
    check_row((jv_opt){"a", JV_OPT_I64, 0, sizeof(struct all), 0, "1", "1..", ""}, "outside the context");
    check_row((jv_opt){"a", JV_OPT_I64, 0, UINT32_MAX, 0, "1", "1..", ""}, "outside the context");
    check_row((jv_opt){"a", JV_OPT_I64, 0, n + 4, 0, "1", "1..", ""}, "no multiple of 8");
    check_row((jv_opt){"a", JV_OPT_CHOICE, 0, c + 2, 0, "no", "no|yes", ""}, "no multiple of 4");
    check_row((jv_opt){"a", JV_OPT_I64, 4, n, 0, "1", "1..", ""}, "flags 0x4, the host knows 0x3");
    check_row((jv_opt){"a", JV_OPT_I64, 0, n, 0, "0", "1..", ""}, "the default of option a: 0 is outside 1..");
    check_row((jv_opt){"a", JV_OPT_MAP, 0, n, 0, "x", "", ""}, "a map has \"\" or none");
    check_row((jv_opt){"a", JV_OPT_REF, JV_PER_RECORD, n, 0, "", "x/1", ""}, "a record cannot name a section");
    check_row((jv_opt){"a", JV_OPT_TEXT, JV_PER_RECORD, n, 0, "", "path", ""}, "a record cannot name a path");
    static const struct {
        int32_t type;
        const char *range;
    } bad[] = {{JV_OPT_I64, NULL}, {JV_OPT_I64, ""}, {JV_OPT_I64, "1"}, {JV_OPT_I64, "2..1"}, {JV_OPT_I64, "a..b"},
        {JV_OPT_I64, "|1.."}, {JV_OPT_I64, "miles 1.."}, {JV_OPT_F64, "auto|0.."}, {JV_OPT_F64, "ms 0.."},
        {JV_OPT_F64, "1..0"}, {JV_OPT_F64, "0..x"}, {JV_OPT_CHOICE, ""}, {JV_OPT_CHOICE, "a|"}, {JV_OPT_CHOICE, "a||b"},
        {JV_OPT_CHOICE, "a|b|a"}, {JV_OPT_TEXT, "file"}, {JV_OPT_LIST, "1.."}, {JV_OPT_MAP, "x"}, {JV_OPT_REF, ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_row((jv_opt){"a", bad[i].type, 0, 0, 0, NULL, bad[i].range, ""}, "is none for its type");
}

static const char *nearest(const char *name, const char *a, const char *b)
{
    static struct jvc_nearest n;
    n = (struct jvc_nearest){.name = name};
    jvc_nearest_try(&n, a);
    jvc_nearest_try(&n, b);
    return n.best ? n.best : "";
}

static void near_names(void **state)
{
    assert_string_equal(nearest("claen", "plain", "clean"), "clean");
    assert_string_equal(nearest("claen", "clean", "plain"), "clean");
    assert_string_equal(nearest("exist", "exists", "fields"), "exists");
    assert_string_equal(nearest("ab", "ba", "xy"), "ba");
    assert_string_equal(nearest("model", "backend", "context"), "");
    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    assert_string_equal(nearest(longer, "x", longer), "");
    assert_string_equal(nearest("x", longer, "y"), "y");
}

static void printable(void **state)
{
    char text[] = "a\nb\x1b\x7f\xc2\x85 \xc3\xa9 \xff\xe2\x82";
    jvc_make_printable(text);
    assert_string_equal(text, "a?b???? \xc3\xa9 ???");
}

static void too_much(void **state)
{
    struct jvc_conf conf;
    char *text = jvc_alloc(1 << 20), *at = text;
    for (int i = 0; i < 5000; i++) at += sprintf(at, "[s%d]\nk = ${s%d.k}\n", i, i);
    memory_files_clear();
    memory_file("t.ini", text, (size_t)(at - text));
    jvc_conf_read(&conf, "t.ini", NULL, 0);
    assert_true(conf.full && conf.n < 4100 && conf.n_problems > JVC_PROBLEMS_KEPT);
    jvc_conf_free(&conf);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(values),
        cmocka_unit_test(wrong_values),
        cmocka_unit_test(lists),
        cmocka_unit_test(paths),
        cmocka_unit_test(maps),
        cmocka_unit_test(a_map_that_must_be),
        cmocka_unit_test(rows_that_make_no_sense),
        cmocka_unit_test(near_names),
        cmocka_unit_test(printable),
        cmocka_unit_test(too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
