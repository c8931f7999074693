/*
 * ini_fuzz.c: the reader of INI files. The input is a few files, cut apart at 0x1e: the first is the pipeline, the
 * others are what it may include or read with @, the last an override; nothing else is found (tests/memory_file.c).
 * Sections are given to options of every type.
 */
#include "memory_file.h"
#include "option.h"

#include <stdlib.h>
#include <string.h>

struct all {
    int64_t number, size, time;
    double share;
    const char *text, *path;
    int32_t choice;
    jv_list list, paths;
    jv_map to;
};

static const jv_opt rows[] = {
    JV_OPT(struct all, number, "auto", "auto|1..64", ""),
    JV_OPT(struct all, size, "1K", "bytes 1..4G", ""),
    JV_OPT(struct all, time, "1s", "ms 0..1h", ""),
    JV_OPT(struct all, share, "0.5", "0..1", ""),
    JV_OPT(struct all, text, "", "", ""),
    JV_OPT(struct all, path, "", "path", ""),
    JV_OPT(struct all, choice, "no", "no|yes", ""),
    JV_OPT(struct all, list, "", "", ""),
    JV_OPT(struct all, paths, "", "path", ""),
    JV_OPT(struct all, to, "", "", ""),
    {0},
};

static void must(bool holds)
{
    if (!holds) abort();
}

static void check_list(const jv_list *list)
{
    for (size_t i = 0; i < list->n; i++) must(strlen(list->v[i].p) == list->v[i].n);
}

static void set_options(struct jvc_conf *conf, struct jvc_section *s)
{
    struct all all;
    jv_err err;
    memset(&all, 0, sizeof all);
    for (const jv_opt *o = rows; o->name; o++) {
        struct jvc_entry *e = o->type == JV_OPT_MAP ? NULL : jvc_section_take(s, o->name);
        if (e && jvc_option_set(o, &all, conf, e->value, e->dir, &err) < 0) jvc_problem(conf, e->where, "%s", err.text);
        if (o->type == JV_OPT_MAP) jvc_option_set_map(o, &all, conf, s);
    }
    check_list(&all.list);
    check_list(&all.paths);
    check_list(&all.to.key);
    check_list(&all.to.val);
    must(all.to.key.n == all.to.val.n);
}

/* What everybody behind the reader relies on. */
static void check_conf(const struct jvc_conf *conf)
{
    for (size_t i = 0; i < conf->n; i++)
        for (size_t k = 0; k < conf->sections[i].n; k++) {
            const struct jvc_entry *e = &conf->sections[i].entries[k];
            must(e->value || conf->n_problems);
            if (!e->value) continue;
            must(strlen(e->value) <= JVC_VALUE_MOST);
            must(jvc_utf8_valid(e->value, strlen(e->value), NULL));
        }
    for (size_t i = 0; i < conf->n_problems && i < JVC_PROBLEMS_KEPT; i++) {
        const char *text = conf->problems[i].text;
        must(*text && !strchr(text, '\n') && jvc_utf8_valid(text, strlen(text), NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"in/t.ini", "in/a", "in/sub/b", "c"};
    struct jvc_conf conf;
    const char *at = (const char *)data, *end = at + size;
    char *override = NULL;
    memory_files_clear();
    for (size_t i = 0; i <= sizeof names / sizeof *names && at <= end; i++) {
        const char *cut = at < end ? memchr(at, 0x1e, (size_t)(end - at)) : NULL;
        size_t n = (size_t)((cut ? cut : end) - at);
        if (i < sizeof names / sizeof *names)
            memory_file(names[i], at, n);
        else
            override = jvc_strndup(at, n);
        if (!cut) break;
        at = cut + 1;
    }
    jvc_conf_read(&conf, names[0], &override, override ? 1 : 0);
    check_conf(&conf);
    for (size_t i = 0; i < conf.n; i++) set_options(&conf, &conf.sections[i]);
    check_conf(&conf);
    jvc_conf_free(&conf);
    free(override);
    return 0;
}
