/*
 * ini.c: reading INI files through inih. inih does the parsing; what it would silently misread (DESIGN: its line
 * buffer, cut names, `:` for `=`, comments cut out of values, indented keys) is checked line by line in the reader
 * that feeds it. A value may go on in indented lines; blank lines between them are kept.
 */
#include "conf.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (64u << 20)
#define MAX_VALUE (1u << 20)
#define MAX_LINE (MAX_VALUE + 128) /* with its key */
#define MAX_NAME 49u               /* inih keeps 50 bytes of a name, NUL included */
#define MAX_INCLUDES 8             /* within each other */
#define MAX_ALL_INCLUDES 256

struct reading {
    struct jvc_conf *conf;
    const char *file, *dir; /* owned by conf */
    const char *text;       /* what is not read yet */
    int line;               /* number of the line handed out last */
    int blank;              /* blank lines since the last entry or its continuation */
    int depth;
    struct jvc_section *section;
    struct jvc_entry *last; /* the entry a continuation belongs to */
    bool skip;              /* the line handed out was found wrong: what inih makes of it is not wanted */
};

static void read_file(struct jvc_conf *conf, const char *path, int depth, struct jvc_where from);

static struct jvc_where here(const struct reading *r)
{
    return (struct jvc_where){r->file, r->line};
}

struct jvc_section *jvc_conf_section(struct jvc_conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->n; i++)
        if (!strcmp(conf->sections[i].name, name)) return &conf->sections[i];
    return NULL;
}

struct jvc_entry *jvc_section_entry(struct jvc_section *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strcmp(s->entries[i].name, name)) return &s->entries[i];
    return NULL;
}

struct jvc_entry *jvc_section_take(struct jvc_section *s, const char *name)
{
    struct jvc_entry *e = jvc_section_entry(s, name);
    if (!e) return NULL;
    e->used = true;
    return e->value ? e : NULL;
}

void *jvc_conf_own(struct jvc_conf *conf, void *p)
{
    conf->owned = jvc_room(conf->owned, conf->n_owned, sizeof *conf->owned);
    return conf->owned[conf->n_owned++] = p;
}

void jvc_problem(struct jvc_conf *conf, struct jvc_where where, const char *fmt, ...)
{
    va_list ap;
    char *text;
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0) text = jvc_strdup("out of memory");
    va_end(ap);
    jvc_make_printable(text);
    conf->problems = jvc_room(conf->problems, conf->n_problems, sizeof *conf->problems);
    conf->problems[conf->n_problems++] = (struct jvc_problem){where, jvc_conf_own(conf, text)};
}

/* A name of a section or key: letters, digits, _ and -, and dots where a key may hold them. */
static bool name_ok(const char *s, size_t n, bool dots)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '-' && !(dots && c == '.')) return false;
    }
    return n > 0 && n <= MAX_NAME;
}

static void begin_section(struct reading *r, const char *line, size_t n)
{
    const char *end = memchr(line, ']', n);
    r->last = NULL;
    r->section = NULL;
    r->skip = true;
    if (!end) {
        jvc_problem(r->conf, here(r), "a section's name ends with `]`");
        return;
    }
    size_t len = (size_t)(end - line) - 1, rest = n - len - 2;
    if (!name_ok(line + 1, len, false)) {
        jvc_problem(r->conf, here(r), "`%.*s` is no name for a section: letters, digits, _ and -, at most %u of them",
            (int)(len > 60 ? 60 : len), line + 1, MAX_NAME);
        return;
    }
    if (strspn(end + 1, " \t") < rest && end[1 + strspn(end + 1, " \t")] != ';' &&
        end[1 + strspn(end + 1, " \t")] != '#') {
        jvc_problem(r->conf, here(r), "text after `[%.*s]`", (int)len, line + 1);
        return;
    }
    char *name = jvc_conf_own(r->conf, jvc_strndup(line + 1, len));
    struct jvc_section *old = jvc_conf_section(r->conf, name);
    if (old) {
        jvc_problem(r->conf, here(r), "section [%s] stands at %s:%d already", name, old->where.file, old->where.line);
        return;
    }
    r->conf->sections = jvc_room(r->conf->sections, r->conf->n, sizeof *r->conf->sections);
    r->section = &r->conf->sections[r->conf->n++];
    *r->section = (struct jvc_section){.name = name, .where = here(r)};
    r->skip = false;
}

/* Looks at one line before inih does. Sets r->skip when the line is wrong. */
static void look_at_line(struct reading *r, const char *line, size_t n)
{
    size_t indent = strspn(line, " \t");
    r->skip = false;
    if (indent >= n) {
        r->blank++;
        return;
    }
    char c = line[indent];
    if (indent && r->last && (c == ';' || c == '#')) {
        jvc_problem(r->conf,
            here(r), "`%c` begins an indented line: a comment starts in the first column, a text with such lines belongs in a file (`%s = @FILE`)",
            c, r->last->name);
        r->skip = true;
        return;
    }
    if (c == ';' || c == '#') return;
    if (indent && r->last) return; /* a continuation: anything goes */
    if (c == '[') {
        begin_section(r, line + indent, n - indent);
        return;
    }
    const char *eq = memchr(line, '=', n), *colon = memchr(line, ':', n);
    r->last = NULL;
    r->skip = true;
    if (colon && (!eq || colon < eq))
        jvc_problem(r->conf, here(r), "`:` before the first `=`: write `key = value`");
    else if (!eq)
        jvc_problem(r->conf, here(r), "neither [section] nor key = value nor comment");
    else
        r->skip = false;
}

/* inih's reader: the next line, like fgets. */
static char *next_line(char *buf, int size, void *arg)
{
    struct reading *r = arg;
    if (!*r->text) return NULL;
    size_t n = strcspn(r->text, "\n"), len = n;
    const char *line = r->text;
    r->text += n + (line[n] == '\n');
    r->line++;
    if (len && line[len - 1] == '\r') len--;
    if (len > MAX_LINE || len + 3 > (size_t)size) {
        jvc_problem(r->conf, here(r), "a line of %zu bytes: at most %u fit", len,
            MAX_LINE < (unsigned)size - 3 ? MAX_LINE : (unsigned)size - 3);
        r->skip = true;
        r->last = NULL;
        return strcpy(buf, ";\n");
    }
    memcpy(buf, line, len);
    memcpy(buf + len, "\n", 2);
    char *copy = jvc_strndup(line, len);
    look_at_line(r, copy, len);
    free(copy);
    return r->skip ? strcpy(buf, ";\n") : buf; /* what is wrong is a comment to inih */
}

static bool too_long(struct reading *r, const char *name, size_t n)
{
    if (n <= MAX_VALUE) return false;
    jvc_problem(r->conf, here(r), "the value of `%.60s` is longer than %u bytes", name, MAX_VALUE);
    return true;
}

static void continue_entry(struct reading *r, const char *value)
{
    struct jvc_entry *e = r->last;
    size_t add = strlen(value), old = e->grown ? e->n_grown : strlen(e->raw);
    size_t breaks = old ? (size_t)r->blank + 1 : 0; /* a value that begins on the next line has no empty first line */
    if (too_long(r, e->name, old + breaks + add)) return;
    if (old + breaks + add >= e->cap_grown) {
        char *first = e->grown ? NULL : jvc_strdup(e->raw);
        e->cap_grown = 2 * (old + breaks + add) + 64;
        e->grown = jvc_grow(e->grown, e->cap_grown);
        if (first) strcpy(e->grown, first);
        free(first);
        e->raw = e->grown;
    }
    memset(e->grown + old, '\n', breaks);
    memcpy(e->grown + old + breaks, value, add + 1);
    e->n_grown = old + breaks + add;
    e->more = jvc_room(e->more, e->n_more, sizeof *e->more);
    e->more[e->n_more++] = (struct jvc_more){old + breaks, r->line};
}

static struct jvc_entry *new_entry(struct jvc_section *s, struct jvc_entry e)
{
    s->entries = jvc_room(s->entries, s->n, sizeof *s->entries);
    s->entries[s->n] = e;
    return &s->entries[s->n++];
}

static void include(struct reading *r, const char *value)
{
    char *path =
        jvc_conf_own(r->conf, value[0] == '/' ? jvc_strdup(value) : jvc_format("%s/%s", r->dir ? r->dir : ".", value));
    size_t at = r->section ? (size_t)(r->section - r->conf->sections) : SIZE_MAX;
    read_file(r->conf, path, r->depth + 1, here(r));
    r->section = at == SIZE_MAX ? NULL : &r->conf->sections[at]; /* the array may have moved */
}

/* inih's handler: one key = value, or one more line of the value before. */
static int on_entry(void *arg, const char *section, const char *name, const char *value)
{
    struct reading *r = arg;
    if (r->skip || !name || !value) return 1;
    if (r->last && !strcmp(r->last->name, name) && r->last->where.line != r->line) {
        continue_entry(r, value);
        r->blank = 0;
        return 1;
    }
    r->last = NULL;
    r->blank = 0;
    if (!strcmp(name, "include") && (!r->section || !strcmp(r->section->name, "pipeline"))) {
        include(r, value);
        return 1;
    }
    if (!r->section) {
        if (!*section) jvc_problem(r->conf, here(r), "`%.60s` stands before the first [section]", name);
        return 1;
    }
    if (!name_ok(name, strlen(name), true)) {
        jvc_problem(r->conf, here(r),
            "`%.60s` is no name for a key: letters, digits, _, - and dots, at most %u of them", name, MAX_NAME);
        return 1;
    }
    struct jvc_entry *old = jvc_section_entry(r->section, name);
    if (old) {
        jvc_problem(r->conf, here(r), "`%s` of [%s] stands at %s:%d already", name, r->section->name, old->where.file,
            old->where.line);
        return 1;
    }
    if (too_long(r, name, strlen(value))) return 1;
    r->last = new_entry(r->section, (struct jvc_entry){
                                        .name = jvc_conf_own(r->conf, jvc_strdup(name)),
                                        .raw = jvc_conf_own(r->conf, jvc_strdup(value)),
                                        .dir = r->dir,
                                        .where = here(r),
                                    });
    return 1;
}

/* Whether the text can be given to inih at all. */
static bool text_ok(struct jvc_conf *conf, const char *file, const char *text, size_t n)
{
    size_t bad = strlen(text);
    bool nul = bad < n;
    if (!nul && jvc_utf8_valid(text, n, &bad)) return true;
    int line = 1;
    for (size_t i = 0; i < bad; i++) line += text[i] == '\n';
    jvc_problem(conf, (struct jvc_where){file, line}, nul ? "a NUL byte: this is no INI file" : "not UTF-8");
    return false;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return NULL;
    return jvc_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static void parse(struct reading *r)
{
#ifdef JVC_INIH_TUNABLE /* Debian's build of inih has its settings as variables */
    ini_use_stack = 0;
    ini_allow_realloc = 0;
    ini_initial_alloc = ini_max_line = MAX_LINE + 16;
    ini_allow_inline_comments = 0;
#endif
    int rc = ini_parse_stream(next_line, r, on_entry, r);
    if (rc == -2) jvc_problem(r->conf, here(r), "out of memory");
    if (rc > 0) jvc_problem(r->conf, (struct jvc_where){r->file, rc}, "not understood");
}

static void read_file(struct jvc_conf *conf, const char *path, int depth, struct jvc_where from)
{
    jv_err err;
    size_t n;
    if (depth > MAX_INCLUDES || conf->includes++ > MAX_ALL_INCLUDES) {
        jvc_problem(conf, from, "include = %s: files include each other more than %d deep, or %d in all", path,
            MAX_INCLUDES, MAX_ALL_INCLUDES);
        return;
    }
    char *text = jvc_read_file(path, MAX_FILE, &n, &err);
    if (!text) {
        jvc_problem(conf, from, "%s", err.text);
        return;
    }
    struct reading r = {.conf = conf, .file = path, .text = text, .depth = depth};
    r.dir = jvc_conf_own(conf, folder_of(path));
    if (text_ok(conf, path, text, n)) {
        if (!strncmp(text, "\xef\xbb\xbf", 3)) r.text += 3;
        parse(&r);
    }
    free(text);
}

static void override(struct jvc_conf *conf, const char *arg)
{
    struct jvc_where where = {0};
    const char *eq = strchr(arg, '='), *dot = strchr(arg, '.');
    if (!strncmp(arg, "--", 2)) {
        jvc_problem(conf, where, "`%s`: options stand before the file", arg);
        return;
    }
    if (!eq || !dot || dot > eq || dot == arg || dot + 1 == eq) {
        jvc_problem(conf, where, "`%s`: an override is section.key=value", arg);
        return;
    }
    if (!jvc_utf8_valid(eq, strlen(eq), NULL)) {
        jvc_problem(conf, where, "the value of %.*s is not UTF-8", (int)(eq - arg), arg);
        return;
    }
    char *section = jvc_conf_own(conf, jvc_strndup(arg, (size_t)(dot - arg)));
    char *key = jvc_conf_own(conf, jvc_strndup(dot + 1, (size_t)(eq - dot - 1)));
    struct jvc_section *s = jvc_conf_section(conf, section);
    if (!s && !strcmp(section, "pipeline")) {
        conf->sections = jvc_room(conf->sections, conf->n, sizeof *conf->sections);
        s = &conf->sections[conf->n++];
        *s = (struct jvc_section){.name = section, .where = where};
    }
    if (!s) {
        struct jvc_nearest near = {.name = section};
        for (size_t i = 0; i < conf->n; i++) jvc_nearest_try(&near, conf->sections[i].name);
        jvc_problem(conf, where, "%s: no section [%s]%s", arg, section, jvc_nearest_hint(&near));
        return;
    }
    struct jvc_entry *e = jvc_section_entry(s, key);
    if (!e) e = new_entry(s, (struct jvc_entry){.name = key});
    free(e->more);
    free(e->grown);
    where.section = s->name;
    *e = (struct jvc_entry){.name = e->name, .raw = eq + 1, .where = where, .literal = true};
}

void jvc_conf_read(struct jvc_conf *conf, const char *path, char *const *overrides, size_t n)
{
    *conf = (struct jvc_conf){0};
    read_file(conf, path, 0, (struct jvc_where){path, 0});
    for (size_t i = 0; i < n; i++) override(conf, overrides[i]);
    jvc_expand_all(conf);
}

static int by_place(const void *a, const void *b)
{
    const struct jvc_problem *x = a, *y = b;
    int files = !x->where.file - !y->where.file;
    if (!files && x->where.file) files = strcmp(x->where.file, y->where.file);
    return files ? files : x->where.line - y->where.line;
}

size_t jvc_problems_print(const struct jvc_conf *conf)
{
    if (conf->n_problems) qsort(conf->problems, conf->n_problems, sizeof *conf->problems, by_place);
    for (size_t i = 0; i < conf->n_problems; i++) {
        const struct jvc_problem *p = &conf->problems[i];
        if (p->where.file && p->where.line)
            fprintf(stderr, "%s:%d: %s\n", p->where.file, p->where.line, p->text);
        else if (p->where.section)
            fprintf(stderr, "command line: [%s] %s\n", p->where.section, p->text);
        else
            fprintf(stderr, "%s: %s\n", p->where.file ? "jevons" : "command line", p->text);
    }
    return conf->n_problems;
}

void jvc_conf_free(struct jvc_conf *conf)
{
    for (size_t i = 0; i < conf->n; i++) {
        for (size_t k = 0; k < conf->sections[i].n; k++) {
            free(conf->sections[i].entries[k].more);
            free(conf->sections[i].entries[k].grown);
        }
        free(conf->sections[i].entries);
    }
    for (size_t i = 0; i < conf->n_owned; i++) free(conf->owned[i]);
    free(conf->sections);
    free(conf->problems);
    free(conf->owned);
    *conf = (struct jvc_conf){0};
}
