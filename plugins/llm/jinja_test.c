/*
 * jinja_test.c: the interpreter against Python's jinja2 (tests/reference/jinja/cases.jsonl, made by make.py beside
 * it), and what Python has not: which bytes are trusted, budgets, depth, errors with their places.
 */
#include "jinja.h"

#include <setjmp.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *source_dir = ".";

/* ---- helpers ---- */

static jinja_value *from_json(const json_t *v)
{
    const char *key;
    json_t *kid;
    size_t i;
    jinja_value *out = NULL;
    switch (json_typeof(v)) {
    case JSON_NULL: return jinja_null();
    case JSON_TRUE: return jinja_bool(true);
    case JSON_FALSE: return jinja_bool(false);
    case JSON_INTEGER: return jinja_int(json_integer_value(v));
    case JSON_REAL: return jinja_float(json_real_value(v));
    case JSON_STRING: return jinja_string((jv_str){json_string_value(v), json_string_length(v)}, false);
    case JSON_ARRAY:
        out = jinja_list();
        json_array_foreach(v, i, kid) assert_int_equal(jinja_append(out, from_json(kid)), JV_OK);
        return out;
    default:
        out = jinja_map();
        json_object_foreach((json_t *)v, key, kid) assert_int_equal(jinja_put(out, key, from_json(kid)), JV_OK);
        return out;
    }
}

static jv_str str(const char *s)
{
    return (jv_str){s, strlen(s)};
}

/* Parses and renders; JV_OK or what went wrong, with err filled. */
static int32_t render(jv_str source, const jinja_value *globals, jinja_text *out, jv_err *err)
{
    jinja *t = NULL;
    memset(err, 0, sizeof *err);
    *out = (jinja_text){0};
    int32_t rc = jinja_parse(source, &t, err);
    if (rc == JV_OK)
        rc = jinja_render(t, globals, out, err);
    else
        assert_null(t);
    jinja_free(t);
    if (rc != JV_OK) {
        assert_int_equal(err->code, rc);
        assert_true(strlen(err->text) > 0);
        assert_null(out->text);
        assert_null(out->trusted);
        assert_int_equal(out->n, 0);
    }
    return rc;
}

static void free_text(jinja_text *t)
{
    free(t->text);
    free(t->trusted);
}

/* The untrusted value `u` and a few more. */
static jinja_value *some_globals(void)
{
    json_t *j = json_loads("{\"u\": \"xyz\", \"w\": \" a b \", \"l\": [\"p\", \"q\"], \"d\": {\"k\": \"v\"}, \"z\": "
                           "\"\xe4\xbd\xa0\xe5\xa5\xbd\","
                           " \"q\": \"\\\"\\n\", \"n\": 12}",
        0, NULL);
    assert_non_null(j);
    jinja_value *v = from_json(j);
    json_decref(j);
    return v;
}

/* Renders with some_globals and wants this error, its place included. */
static void fails(const char *source, const char *error)
{
    jinja_value *globals = some_globals();
    jinja_text out;
    jv_err err;
    assert_int_equal(render(str(source), globals, &out, &err), JV_BAD);
    if (!strstr(err.text, error)) fail_msg("%s\ngives: %s\nnot:   %s", source, err.text, error);
    jinja_value_free(globals);
}

/* ---- against Python ---- */

static char *chat_template(void)
{
    char path[4096];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache)
        snprintf(path, sizeof path, "%s/jevons/SmolLM2-135M-Instruct.Q4_1.gguf", cache);
    else
        snprintf(path, sizeof path, "%s/.cache/jevons/SmolLM2-135M-Instruct.Q4_1.gguf", home ? home : "");
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    static const char key[] = "tokenizer.chat_template";
    size_t size = 8u << 20, n;
    char *head = malloc(size), *text = NULL;
    assert_non_null(head);
    n = fread(head, 1, size, f);
    fclose(f);
    char *at = memmem(head, n, key, strlen(key));
    if (at && (size_t)(head + n - at) > strlen(key) + 12) { /* then a type of 4 bytes, a length of 8, the text */
        uint64_t len;
        at += strlen(key) + 4;
        memcpy(&len, at, sizeof len);
        if (len < (size_t)(head + n - at) - 8) text = strndup(at + 8, len);
    }
    free(head);
    return text;
}

static size_t check_case(const json_t *c, const json_t *defaults, const char *model_template)
{
    const char *name = json_string_value(json_object_get(c, "name"));
    const json_t *template = json_object_get(c, "template"), *expected = json_object_get(c, "output"),
                 *values = json_object_get(c, "globals");
    jv_str source = {json_string_value(template), json_string_length(template)};
    if (!source.p && !model_template) return 0;
    if (!source.p) source = str(model_template);
    jinja_value *globals = from_json(json_is_null(values) ? defaults : values);
    jinja_text out;
    jv_err err;
    int32_t rc = render(source, globals, &out, &err);
    jinja_value_free(globals);
    if (!expected) {
        if (rc == JV_OK) print_error("%s: Python says %s\n", name, json_string_value(json_object_get(c, "error")));
        if (rc != JV_OK && !strstr(err.text, "line ")) print_error("%s: no place in: %s\n", name, err.text);
        free_text(&out);
        return rc == JV_OK || !strstr(err.text, "line ");
    }
    size_t n = json_string_length(expected);
    bool same = rc == JV_OK && out.n == n && memcmp(out.text, json_string_value(expected), n) == 0 && out.text[n] == 0;
    if (!same) print_error("%s:\n%s\nis:\n%s\n", name, json_string_value(expected), rc == JV_OK ? out.text : err.text);
    free_text(&out);
    return !same;
}

static void test_python(void **state)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/reference/jinja/cases.jsonl", source_dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *model_template = chat_template();
    if (!model_template) print_message("the small model is not there: its own template is not tried\n");
    json_t *c = NULL, *defaults = NULL;
    size_t wrong = 0, n = 0;
    while ((c = json_loadf(f, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL))) {
        if (json_object_get(c, "defaults")) {
            defaults = json_incref(json_object_get(c, "defaults"));
        } else {
            wrong += check_case(c, defaults, model_template);
            n++;
        }
        json_decref(c);
    }
    json_decref(defaults);
    fclose(f);
    free(model_template);
    print_message("%zu cases, %zu wrong\n", n, wrong);
    assert_true(n > 250);
    assert_int_equal(wrong, 0);
}

/* ---- time ---- */

static void tells(const char *now, const char *source, const char *expected)
{
    jinja_value *globals = jinja_map();
    jinja_text out;
    jv_err err;
    if (now) assert_int_equal(jinja_put(globals, "now", jinja_string(str(now), false)), JV_OK);
    int32_t rc = render(str(source), globals, &out, &err);
    const char *said = rc == JV_OK ? out.text : err.text;
    if (rc == JV_OK ? strcmp(said, expected) != 0 : !strstr(said, expected)) fail_msg("%s\nnot: %s", said, expected);
    free_text(&out);
    jinja_value_free(globals);
}

/* The clock is never asked. */
static void test_time(void **state)
{
    tells("2025-01-31", "{{ strftime_now('%d %b %Y|%A, %B %-d|%j %U %%') }}", "31 Jan 2025|Friday, January 31|031 04 %");
    tells("2024-02-29T23:05:59", "{{ strftime_now(\"%H:%M:%S %I %p\") }}", "23:05:59 11 PM");
    tells(NULL, "{{ strftime_now is defined }}", "False");
    tells("2024-02-29", "{{ strftime_now is defined }} {{ strftime_now('') }}.", "True .");
    tells(NULL, "{{ strftime_now('%Y') }}", "the template wants the date");
    tells("2025-02-29", "{{ strftime_now('%Y') }}", "a date is wanted");
    tells("2025-13-01", "{{ strftime_now('%Y') }}", "a date is wanted");
    tells("2025-01-01T24:00:00", "{{ strftime_now('%Y') }}", "a date is wanted");
    tells("today", "{{ strftime_now('%Y') }}", "a date is wanted");
    tells("2025-01-01", "{{ strftime_now('%s') }}", "does not support \"%s\"");
    tells("2025-01-01", "{{ strftime_now('%-Z') }}", "does not support \"%-Z\"");
    tells("2025-01-01", "{{ strftime_now('%') }}", "does not support \"%\"");
    tells("2025-01-01", "{{ strftime_now('%-') }}", "does not support \"%-\"");
    tells("2025-01-01", "{{ strftime_now(1) }}", "line 1");
}

/* ---- trust ---- */

/* In `trust`, 1 stands for a byte the template wrote and 0 for one that came in. */
static const struct {
    const char *template, *output, *trust;
} trusts[] = {
    {"a{{ u }}b", "axyzb", "10001"},
    {"{{ 'a' ~ u ~ 'b' }}", "axyzb", "10001"},
    {"{{ 'a' + u }}", "axyz", "1000"},
    {"{{ u * 2 }}{{ 'a' * 2 }}", "xyzxyzaa", "00000011"},
    {"{{ ('ab' ~ u)[1:3] }}", "bx", "10"},
    {"{{ ('ab' ~ u)[::-1] }}", "zyxba", "00011"},
    {"{{ ('ab' ~ u)[1] }}{{ ('ab' ~ u)[-1] }}", "bz", "10"},
    {"{{ ('a' ~ u) | upper }}{{ ('A' ~ u).lower() }}", "AXYZaxyz", "10001000"},
    {"{{ ('a ' ~ u) | title }}{{ ('a ' ~ u) | capitalize }}{{ ('a ' ~ u).title() }}", "A XyzA xyzA Xyz",
        "110001100011000"},
    {"{{ ('\xc3\x9f' ~ z) | upper }}", "SS\xe4\xbd\xa0\xe5\xa5\xbd", "11000000"},
    {"{{ (' a' ~ w) | trim }}", "a a b", "10000"},
    {"{{ w.strip() ~ w.lstrip() ~ w.rstrip() }}", "a ba b  a b", "00000000000"},
    {"{{ 'axa' | replace('x', u) }}", "axyza", "10001"},
    {"{{ u | replace('y', 'ab') }}", "xabz", "0110"},
    {"{{ u | replace('', '-') }}", "-x-y-z-", "1010101"},
    {"{{ ('a,' ~ u ~ ',b').split(',') | join('|') }}", "a|xyz|b", "1100011"},
    {"{{ ('a ' ~ u).split() | join('.') }}", "a.xyz", "11000"},
    {"{{ l | join(', ') }}{{ 'ab' | join(u) }}{{ '-'.join(l) }}", "p, qaxyzbp-q", "011010001010"},
    {"{{ u | tojson }}{{ ['a', u] | tojson }}", "\"xyz\"[\"a\", \"xyz\"]", "10001111111100011"},
    {"{{ q | tojson }}", "\"\\\"\\n\"", "100001"},
    {"{{ q | tojson(ensure_ascii=true) ~ z | tojson(ensure_ascii=true) }}", "\"\\\"\\n\"\"\\u4f60\\u597d\"",
        "10000110000000000001"},
    {"{{ d | tojson }}", "{\"k\": \"v\"}", "1101111011"},
    {"{{ d | tojson(indent=1) }}", "{\n \"k\": \"v\"\n}", "1111011110111"},
    {"{{ l }}{{ d }}", "['p', 'q']{'k': 'v'}", "11011110111101111011"},
    {"{{ [q] }}", "['\"\\n']", "1100011"},
    {"{{ {'a': u} }}", "{'a': 'xyz'}", "111111100011"},
    {"{{ u | list | join }}{{ u | reverse }}{{ u | first }}{{ u | last }}", "xyzzyxxz", "00000000"},
    {"{% for c in 'a' ~ u %}{{ c }}.{% endfor %}", "a.x.y.z.", "11010101"},
    {"{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}{% for k in d %}{{ k }}{% endfor %}", "k=vk", "0100"},
    {"{{ d.keys() | list | first }}{{ d.values() | list | first }}{{ d | dictsort | first | first }}", "kvk", "000"},
    {"{% set x %}a{{ u }}{% endset %}{{ x }}{{ x | length }}", "axyz4", "10001"},
    {"{% set x | upper %}a{{ u }}{% endset %}{{ x }}", "AXYZ", "1000"},
    {"{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(u) }}{{ m('a') }}", "<xyz><a>", "10001111"},
    {"{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}{{ u }}!{% endcall %}", "<xyz!>", "100011"},
    {"{% set ns = namespace(s='a') %}{% for x in l %}{% set ns.s = ns.s ~ x %}{% endfor %}{{ ns.s }}", "apq", "100"},
    {"{{ u | default('a') }}{{ no | default('a') }}{{ no | default(u) }}", "xyzaxyz", "0001000"},
    {"{{ ('a\n' ~ u) | indent(2) }}", "a\n  xyz", "1111000"},
    {"{{ (u ~ '\na') | indent(u) }}", "xyz\nxyza", "00010001"},
    {"{{ u | string }}{{ u | safe }}{{ u if true else 'a' }}{{ u or 'a' }}{{ u and 'a' }}", "xyzxyzxyzxyza",
        "0000000000001"},
    {"{{ l | sort | join }}{{ l | map('upper') | join }}{{ l | unique | join }}{{ l | select('string') | join }}{{ l | "
     "max }}",
        "pqPQpqpqq", "000000000"},
    {"{{ namespace(d).k }}{{ dict(d, a='b').k }}{{ dict(a=u).a }}", "vvxyz", "00000"},
    {"{{ z }}{{ '\xe4\xbd\xa0' }}", "\xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0", "000000111"},
    {"{{ n }}{{ 1.5 }}{{ none }}{{ true }}", "121.5NoneTrue", "1111111111111"},
};

static void test_trust(void **state)
{
    jinja_value *globals = some_globals();
    for (size_t i = 0; i < sizeof trusts / sizeof *trusts; i++) {
        jinja_text out;
        jv_err err;
        int32_t rc = render(str(trusts[i].template), globals, &out, &err);
        if (rc != JV_OK) fail_msg("%s: %s", trusts[i].template, err.text);
        char trust[64] = "";
        for (size_t k = 0; k < out.n && k < sizeof trust - 1; k++) {
            assert_true(out.trusted[k] <= 1);
            trust[k] = out.trusted[k] ? '1' : '0';
        }
        assert_string_equal(out.text, trusts[i].output);
        if (strcmp(trust, trusts[i].trust) != 0) fail_msg("%s: %s is trusted %s", trusts[i].template, out.text, trust);
        free_text(&out);
    }
    jinja_value_free(globals);
}

static void test_trusted_value(void **state)
{
    jinja_value *globals = jinja_map();
    assert_int_equal(jinja_put(globals, "bos", jinja_string(str("<s>"), true)), JV_OK);
    jinja_text out;
    jv_err err;
    assert_int_equal(render(str("{{ bos }}"), globals, &out, &err), JV_OK);
    assert_string_equal(out.text, "<s>");
    assert_memory_equal(out.trusted, "\1\1\1", 3);
    free_text(&out);
    jinja_value_free(globals);
}

/* ---- errors ---- */

static void test_places(void **state)
{
    fails("a\nb {% nonesuch %}", "line 2, column 6: unknown tag \"nonesuch\"");
    fails("{{ 1 }}\n\n  {{ u | nonesuch }}", "line 3, column 10: unknown filter \"nonesuch\"");
    fails("\xe4\xbd\xa0{{ u is nonesuch }}", "line 1, column 10: unknown test \"nonesuch\"");
    fails("{{ 1 }}\n{{ raise_exception('no ' ~ u) }}", "line 2, column 4: no xyz");
    fails("{{ raise_exception('a\nb') }}", "line 1, column 4: a b");
    fails("{{ nonesuch() }}", "line 1, column 4: \"nonesuch\" is undefined");
    fails("{{ d.a.b }}", "\"a\" is undefined, so it has no \"b\"");
    fails("{{ u.splitlines() }}", "\"splitlines\" of a string is not supported");
    fails("{{ u.format(1) }}", "\"format\" of a string is not supported");
    fails("{{ l.append(1) }}", "\"append\" is undefined");
    fails("{{ '%s' % u }}", "formatting with % is not supported");
    fails("{% raw %}{% endraw %}", "unknown tag \"raw\"");
    fails("{% include 'x' %}", "unknown tag \"include\"");
    fails("{% import 'x' as y %}", "unknown tag \"import\"");
    fails("{% for x in l recursive %}{% endfor %}", "recursive loops are not supported");
    fails("{{ dict(*l) }}", "* or ** are not supported");
    fails("{% macro m() %}{{ varargs }}{% endmacro %}", "\"varargs\" in a macro is not supported");
    fails("{{ cycler('a') }}", "\"cycler\" is not supported");
    fails("{% for x in l %}{{ loop.changed(x) }}{% endfor %}", "loop.changed is not supported");
    fails("{{ 'a\\N{BULLET}' }}", "not supported");
    fails("{{ l | map('upper') }}", "a generator cannot be printed");
    fails("{{ u.upper }}", "a method cannot be printed");
    fails("x{% if u", "line 1, column 2: this tag is not closed by \"%}\"");
    fails("\n{% if u %}", "line 2, column 11: the template ends where {% endif %} is expected");
    fails("{{ '\xff' }}", "not valid UTF-8");
}

static void test_integers(void **state)
{
    fails("{{ 9223372036854775807 + 1 }}", "64 bits");
    fails("{{ -9223372036854775807 - 2 }}", "64 bits");
    fails("{{ 9223372036854775807 * 2 }}", "64 bits");
    fails("{{ 2 ** 64 }}", "64 bits");
    fails("{{ (-9223372036854775807 - 1) // -1 }}", "64 bits");
    fails("{{ -(-9223372036854775807 - 1) }}", "64 bits");
    fails("{{ (-9223372036854775807 - 1) | abs }}", "64 bits");
    fails("{{ 9223372036854775808 }}", "64 bits");
    fails("{{ '9223372036854775808' | int }}", "64 bits");
    fails("{{ 1e300 | int }}", "64 bit");
    jinja_value *globals = some_globals();
    jinja_text out;
    jv_err err;
    assert_int_equal(
        render(
            str("{{ -9223372036854775807 - 1 }}{{ (-9223372036854775807 - 1) % -1 }}{{ '-9223372036854775808' | int }}"
                "{{ range(-9223372036854775807, 9223372036854775807, 9223372036854775807) | list }}"
                "{{ 'abc'[-9223372036854775807:9223372036854775807:9223372036854775807] }}{{ "
                "'abc'[::-9223372036854775807 - 1] }}"),
            globals, &out, &err),
        JV_OK);
    assert_string_equal(out.text, "-92233720368547758080-9223372036854775808[-9223372036854775807, 0]ac");
    free_text(&out);
    jinja_value_free(globals);
}

/* ---- budgets ---- */

static void test_budgets(void **state)
{
    fails("{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor %}{% endfor %}{% "
          "endfor %}",
        "steps");
    fails("{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}", "steps");
    fails("{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "MiB of memory");
    fails("{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "memory");
    fails("{% set x = 'x' * 9223372036854775807 %}", "memory");
    fails("{% set x = [1] * 9223372036854775807 %}", "memory");
    fails("{% set x = 'x' * 1000000 %}{% for i in range(100) %}{{ x }}{% endfor %}", "longer than 67108864 bytes");
    fails("{% set x = 'x' * 100000 %}{% for i in range(100000) %}{% if x == x ~ 'y' %}{% endif %}{% endfor %}",
        "memory");
    fails("{% set x = 'x' * 1000000 %}{% for i in range(100000) %}{% if x[:-1] in x %}{% endif %}{% endfor %}",
        "steps");
    fails("{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{{ x | length }}{% endfor %}", "steps");
    fails("{% set x = 'b' * 1000000 %}{{ x.strip('a' * 1000000 ~ 'b') }}", "steps");
    fails("{% set x = range(100000) | list %}{% set y = range(100000) | list %}{% for i in range(100000) %}{% if x == "
          "y %}{% endif %}{% endfor %}",
        "steps");
    fails("{% set x = ' ' * 1000000 %}{% for i in range(100000) %}{{ x | trim }}{% endfor %}", "steps");
    fails("{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        "nested deeper");
    fails("{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | tojson "
          "}}",
        "nested deeper");
    fails("{% set ns = namespace(l=[], m=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% set ns.m = [ns.m] "
          "%}{% endfor %}{{ ns.l == ns.m }}",
        "nested deeper");
    fails("{% set ns = namespace(l=[1]) %}{% for i in range(30) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == "
          "ns.l[:] }}{{ [ns.l] }}",
        "steps");
    fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper");
    fails("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}", "nested deeper");
    fails("{{ range(9223372036854775807) }}", "more than 100000");
    fails("{{ [[[['a']]]] | map('map', 'map', 'map', 'nonesuch') | list }}", "unknown filter \"nonesuch\"");
}

/* The text `a` n times, then `b` n times. */
static void fails_when_repeated(const char *begin, const char *a, const char *b, const char *end)
{
    size_t n = 100000, a_n = strlen(a), b_n = strlen(b), at = strlen(begin);
    char *s = malloc(at + n * (a_n + b_n) + strlen(end) + 1);
    assert_non_null(s);
    memcpy(s, begin, at);
    for (size_t i = 0; i < n; i++, at += a_n) memcpy(s + at, a, a_n);
    for (size_t i = 0; i < n; i++, at += b_n) memcpy(s + at, b, b_n);
    strcpy(s + at, end);
    jinja_text out;
    jv_err err;
    jinja_value *globals = some_globals();
    assert_int_equal(render(str(s), globals, &out, &err), JV_BAD);
    jinja_value_free(globals);
    free(s);
}

static void test_depth(void **state)
{
    fails_when_repeated("{{ ", "(", ")", " }}");
    fails_when_repeated("{{ ", "(", "", " }}");
    fails_when_repeated("{{ ", "[", "]", " }}");
    fails_when_repeated("{{ ", "{1:", "}", " }}");
    fails_when_repeated("{{ u", "[0", "]", " }}");
    fails_when_repeated("{{ ", "not ", "", " }}");
    fails_when_repeated("{{ ", "-", "", "1 }}");
    fails_when_repeated("{{ 1", " if 1 else 1", "", " }}");
    fails_when_repeated("{{ u", "|upper", "", " }}");
    fails_when_repeated("{{ u", ".a", "", " }}");
    fails_when_repeated("{{ u", "()", "", " }}");
    fails_when_repeated("", "{% if 1 %}", "", "");
    fails_when_repeated("", "{% for x in l %}", "", "");
    fails_when_repeated("{% set ", "(", ")", " = 1 %}");
    fails_when_repeated("", "{", "", "");
}

/* Long, but not deep: this must work. */
static void test_long(void **state)
{
    char *s = malloc(600000);
    assert_non_null(s);
    strcpy(s, "{{ 0");
    for (size_t i = 0, at = 4; i < 100000; i++, at += 4) strcpy(s + at, " + 1");
    strcat(s, " }}");
    jinja_value *globals = some_globals();
    jinja_text out;
    jv_err err;
    assert_int_equal(render(str(s), globals, &out, &err), JV_OK);
    assert_string_equal(out.text, "100000");
    free_text(&out);
    jinja_value_free(globals);
    free(s);
}

static void test_source_size(void **state)
{
    char *s = malloc(JINJA_MAX_SOURCE + 2);
    assert_non_null(s);
    memset(s, 'x', JINJA_MAX_SOURCE + 1);
    jinja *t = NULL;
    jv_err err;
    assert_int_equal(jinja_parse((jv_str){s, JINJA_MAX_SOURCE}, &t, &err), JV_OK);
    jinja_free(t);
    assert_int_equal(jinja_parse((jv_str){s, JINJA_MAX_SOURCE + 1}, &t, &err), JV_BAD);
    assert_null(t);
    free(s);
}

static void test_deep_value(void **state)
{
    jinja_value *v = jinja_list(), *globals = jinja_map();
    for (int i = 0; i < 100000; i++) {
        jinja_value *outer = jinja_list();
        assert_int_equal(jinja_append(outer, v), JV_OK);
        v = outer;
    }
    assert_int_equal(jinja_put(globals, "v", v), JV_OK);
    jinja_text out;
    jv_err err;
    assert_int_equal(render(str("x"), globals, &out, &err), JV_BAD);
    assert_non_null(strstr(err.text, "deeper than 64"));
    jinja_value_free(globals);
}

static void test_values(void **state)
{
    jinja_value *list = jinja_list(), *map = jinja_map();
    assert_true(jinja_append(list, NULL) < 0);
    assert_true(jinja_put(map, "a", NULL) < 0);
    assert_true(jinja_append(map, jinja_int(1)) < 0);
    assert_true(jinja_put(list, "a", jinja_int(1)) < 0);
    assert_int_equal(jinja_put(map, "l", list), JV_OK);
    assert_int_equal(jinja_append(list, jinja_string((jv_str){"a\0\xff", 3}, false)), JV_OK);
    assert_int_equal(jinja_append(list, jinja_string((jv_str){NULL, 0}, false)), JV_OK);
    jinja_text out;
    jv_err err;
    assert_int_equal(render(str("{{ l[0] | length }}{{ l[0] | upper }}{{ l[0][1:] | reverse }}{{ l[1] }}{{ l[0] | "
                                "trim('\xef\xbf\xbd') }}"),
                         map, &out, &err),
        JV_OK);
    assert_int_equal(out.n, 8); /* a byte that is no UTF-8 is a character and stays what it is */
    assert_memory_equal(out.text, "3A\0\xff\xff\0a\0", 8);
    free_text(&out);
    jinja_value_free(map);
    jinja_value_free(NULL);
    jinja_free(NULL);
}

/* Each beginning of a template parses and renders, or is refused; none does worse. */
static void test_truncations(void **state)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/reference/jinja/chat.txt", source_dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    static char s[1 << 16];
    size_t n = fread(s, 1, sizeof s, f);
    fclose(f);
    assert_true(n > 2000);
    jinja_value *globals = some_globals();
    for (size_t i = 0; i <= n; i++) {
        char *copy = malloc(i + 1); /* of just this size, so that a sanitizer sees what is read behind it */
        assert_non_null(copy);
        memcpy(copy, s, i);
        jinja_text out;
        jv_err err;
        int32_t rc = render((jv_str){copy, i}, globals, &out, &err);
        assert_true(rc == JV_OK || rc == JV_BAD);
        free_text(&out);
        free(copy);
    }
    jinja_value_free(globals);
}

int main(int argc, char **argv)
{
    if (argc > 2) source_dir = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_python),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_trust),
        cmocka_unit_test(test_trusted_value),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_source_size),
        cmocka_unit_test(test_deep_value),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_truncations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
