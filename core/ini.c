/*
 * ini.c: reading INI files through inih. inih does the parsing; what it would silently misread (its line buffer, cut
 * names, `:` for `=`, comments cut out of values, indented keys) is looked at line by line in the reader that feeds it,
 * and what it makes of a line is compared with what the line says. A value may go on in indented lines; blank lines
 * between them are kept.
 */
#include "conf.h"

#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_FILE (64u << 20)
#define MAX_LINE (JVC_VALUE_MOST + 128) /* with its key */
#define MAX_INCLUDES 8                  /* within each other */
#define MAX_ALL_INCLUDES 256
#define MAX_SECTIONS 4096
#define MAX_KEYS 20000      /* of all sections */
#define INIH_NO_MEMORY (-2) /* what ini_parse_stream answers then */

struct reading {
    struct jvc_conf *conf;
    const char *file, *dir;      /* owned by conf */
    const char *text;            /* what is not read yet, */
    size_t left;                 /* so many bytes */
    int line;                    /* number of the line handed out last */
    int blank;                   /* blank lines since the last entry or its continuation */
    const struct reading *outer; /* of the file that includes this one; null: none does */
    struct stat st;              /* of the file; zero where that is not known */
    struct jvc_section *section;
    bool lost;              /* in a section that was found wrong: its keys are passed over */
    struct jvc_entry *last; /* the entry that an indented line continues */
    enum {
        AS_A_KEY,     /* no key is above: told in a section; before the first one it stands for itself */
        GOES_ON,      /* continues `last` */
        GOES_ASTRAY,  /* continues a line that was found wrong: told already */
        GOES_NOWHERE  /* continues what takes one line */
    } indented;       /* what an indented line does here */
    char *copy;       /* of the line handed out last */
    const char *says; /* its value as it stands there, while inih has not told its own reading; else null */
    bool skip;        /* it was found wrong: inih gets a comment in its place */
};

static struct jvc_where here(const struct reading *r)
{
    return (struct jvc_where){r->file, r->line};
}

/* The line handed out is wrong, and so is what continues it. */
JV_PRINTF(2, 3) static void wrong_line(struct reading *r, const char *fmt, ...)
{
    va_list ap;
    char *text;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    jvc_problem(r->conf, here(r), "%s", n < 0 ? "out of memory" : text);
    if (n >= 0) free(text);
    r->last = NULL;
    r->indented = GOES_ASTRAY;
    r->skip = true;
}

/* Cuts blanks at both ends; the text is written to. */
static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && strchr(" \t", s[n - 1])) n--;
    s[n] = 0;
    return s;
}

static bool key_ok(const char *s)
{
    const char *end;
    if (strlen(s) > JVC_NAME_MOST) return false;
    for (; *(end = strchrnul(s, '.')); s = end + 1)
        if (!jvc_name_ok(s, (size_t)(end - s))) return false;
    return jvc_name_ok(s, strlen(s));
}

/* ---- lines, before inih sees them ---- */

static void begin_section(struct reading *r, char *line)
{
    char *end = strchr(line, ']');
    bool after_lost = r->lost;
    r->section = NULL;
    r->lost = true;
    if (!end) {
        wrong_line(r, "a section's name ends with `]`");
        return;
    }
    size_t n = (size_t)(end - line) - 1;
    if (n > JVC_NAME_MOST || !jvc_name_ok(line + 1, n)) {
        wrong_line(r, "`%.*s` is no name for a section: letters, digits, _ and -, at most %u of them",
            (int)(n > 60 ? 60 : n), line + 1, JVC_NAME_MOST);
        return;
    }
    char *name = jvc_conf_own(r->conf, jvc_strndup(line + 1, n)), *rest = trim(end + 1);
    if (*rest && *rest != ';' && *rest != '#') {
        wrong_line(r, "text after `[%s]`", name);
        return;
    }
    struct jvc_section *old = jvc_conf_section(r->conf, name);
    if (old) {
        wrong_line(r, "section [%s] stands at %s:%d already", name, old->where.file, old->where.line);
        return;
    }
    r->section = jvc_conf_add_section(r->conf, name, here(r));
    r->section->dir = r->dir;
    r->section->after_lost = after_lost || r->conf->gap;
    r->conf->gap = false;
    r->lost = false;
    r->last = NULL;
    r->indented = AS_A_KEY;
}

/* A line that continues an entry. What was hardly meant so is an error: a comment, a section; that keys are not among
 * these lines can only be seen when the plugin is known (`more` in conf.h). */
static void look_at_more(struct reading *r, char *line)
{
    size_t n = strlen(line);
    const char *name = r->last->name;
    if (*line == ';' || *line == '#')
        wrong_line(r,
            "`%c` begins an indented line: a comment starts in the first column, a text with such lines belongs "
            "in a file (`%s = @FILE`)",
            *line, name);
    else if (n > 2 && *line == '[' && line[n - 1] == ']' && jvc_name_ok(line + 1, n - 2))
        wrong_line(r,
            "`%.60s` is indented, so it belongs to the value of `%s`: unindent it, or put the text into a file "
            "(`%s = @FILE`)",
            line, name, name);
    else
        r->says = line;
}

/* The key is there, its value is not known: that it is missing is not told besides. */
static void keep_key(struct reading *r, const char *key)
{
    if (!r->section || !key_ok(key) || jvc_section_entry(r->section, key)) return;
    jvc_conf_add(r->conf, r->section,
        (struct jvc_entry){
            .name = jvc_conf_own(r->conf, jvc_strdup(key)),
            .where = here(r),
            .used = true,
            .state = JVC_FAILED,
        });
}

/* The key with which a line begins that is not understood otherwise. */
static void keep_named(struct reading *r, char *line)
{
    line[strcspn(line, " \t=:")] = 0;
    keep_key(r, line);
}

static void look_at_key(struct reading *r, char *line)
{
    char *eq = strchr(line, '='), *colon = strchr(line, ':');
    if (colon && (!eq || colon < eq)) {
        wrong_line(r, "`:` before the first `=`: write `key = value`");
        *colon = 0;
        keep_key(r, trim(line));
    } else if (!eq) {
        wrong_line(r, "neither [section] nor key = value nor comment");
        keep_named(r, line);
    } else {
        *eq = 0;
        char *key = trim(line);
        r->says = trim(eq + 1);
        if (!key_ok(key))
            wrong_line(r, "`%.60s` is no name for a key: letters, digits, _ and -, dots between them, at most %u in all",
                key, JVC_NAME_MOST);
    }
}

/* Looks at one line; r->copy is cut up for it. */
static void look_at_line(struct reading *r)
{
    char *line = r->copy;
    bool indent = *line == ' ' || *line == '\t';
    for (const unsigned char *u = (unsigned char *)line; *u; u++)
        if ((*u < 0x20 && *u != '\t') || *u == 0x7f) {
            wrong_line(r, "a control character (0x%02x): a text with such belongs in a file, key = @FILE", *u);
            return;
        }
    line = trim(line);
    r->skip = false;
    r->says = NULL;
    if (!*line) {
        r->blank++;
    } else if (indent && r->indented == GOES_ASTRAY) {
        r->skip = true;
        keep_named(r, line);
    } else if (indent && r->indented == AS_A_KEY && r->section && !strchr("[;#", *line)) {
        wrong_line(r, "an indented line, with no key above in [%s] whose value it could go on with: unindent it",
            r->section->name);
        keep_named(r, line);
    } else if (indent && r->indented == GOES_NOWHERE) {
        wrong_line(r, "an indented line, with nothing above that could go on in it");
    } else if (indent && r->indented == GOES_ON) {
        look_at_more(r, line);
    } else if (*line == '[') {
        begin_section(r, line);
    } else if (*line != ';' && *line != '#') {
        r->last = NULL;
        look_at_key(r, line);
    }
}

static bool is_full(struct reading *r)
{
    struct jvc_conf *conf = r->conf;
    if (conf->full || (conf->n <= MAX_SECTIONS && conf->n_entries <= MAX_KEYS)) return conf->full;
    jvc_problem(conf, (struct jvc_where){r->file}, "%s:%d: more than %d sections or %d keys: what follows is not read",
        r->file, r->line, MAX_SECTIONS, MAX_KEYS);
    return conf->full = conf->incomplete = conf->gap = true;
}

/* Every line with something to say comes back from inih as an entry. */
static void has_come_back(struct reading *r)
{
    if (r->says && !r->skip)
        wrong_line(r, "inih does not understand this line: put the value into a file, key = @FILE");
    r->says = NULL;
}

/* inih's reader: the next line, like fgets. What is wrong is a comment to inih. */
static char *next_line(char *buf, int size, void *arg)
{
    struct reading *r = arg;
    has_come_back(r);
    if (!*r->text || is_full(r)) return NULL;
    const char *end = memchr(r->text, '\n', r->left);
    size_t n = end ? (size_t)(end - r->text) : r->left, len = n;
    const char *line = r->text;
    r->text += n + (end != NULL);
    r->left -= n + (end != NULL);
    r->line++;
    if (len && line[len - 1] == '\r') len--;
    if (len > MAX_LINE || len + 3 > (size_t)size) {
        wrong_line(r, "a line of %zu bytes: at most %u fit", len,
            MAX_LINE < (unsigned)size - 3 ? MAX_LINE : (unsigned)size - 3);
        return strcpy(buf, ";\n");
    }
    memcpy(buf, line, len);
    memcpy(buf + len, "\n", 2);
    free(r->copy);
    r->copy = jvc_strndup(line, len);
    look_at_line(r);
    return r->skip ? strcpy(buf, ";\n") : buf;
}

/* ---- entries, as inih gives them ---- */

static bool too_long(struct reading *r, const char *name, size_t n)
{
    if (n <= JVC_VALUE_MOST) return false;
    wrong_line(r, "the value of `%.60s` is longer than %u bytes", name, JVC_VALUE_MOST);
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

static void read_ini(struct jvc_conf *conf, const char *path, const struct reading *outer, struct jvc_where from);

static void include(struct reading *r, const char *value)
{
    char *path = jvc_expand_environment(r->conf, "include", value, here(r));
    size_t at = r->section ? (size_t)(r->section - r->conf->sections) : SIZE_MAX;
    r->indented = GOES_NOWHERE;
    if (path && !*path) jvc_problem(r->conf, here(r), "`include` names no file");
    if (!path || !*path) return;
    if (*path != '/' && r->dir) path = jvc_conf_own(r->conf, jvc_format("%s/%s", r->dir, path));
    read_ini(r->conf, path, r, here(r));
    r->section = at == SIZE_MAX ? NULL : &r->conf->sections[at]; /* the array may have moved */
}

static void begin_entry(struct reading *r, const char *name, const char *value)
{
    struct jvc_entry *old = jvc_section_entry(r->section, name);
    if (old && !old->raw) { /* it was told wrong above: what continues this line is as little known */
        r->last = NULL;
        r->indented = GOES_ASTRAY;
        return;
    }
    if (old) {
        wrong_line(r, "`%s` of [%s] stands at %s:%d already", name, r->section->name, old->where.file, old->where.line);
        return;
    }
    if (too_long(r, name, strlen(value))) return;
    r->last = jvc_conf_add(r->conf, r->section,
        (struct jvc_entry){
            .name = jvc_conf_own(r->conf, jvc_strdup(name)),
            .raw = jvc_conf_own(r->conf, jvc_strdup(value)),
            .dir = r->dir,
            .where = here(r),
        });
    r->indented = GOES_ON;
}

/* inih's handler: one key = value, or one more line of the value before. */
static int on_entry(void *arg, const char *section, const char *name, const char *value)
{
    struct reading *r = arg;
    if (r->skip || !name || !value) return 1;
    bool as_it_stands = r->says && !strcmp(r->says, value);
    r->says = NULL;
    r->conf->lost_reads |= r->lost && !strcmp(name, "from");
    if (!as_it_stands) {
        wrong_line(r,
            "inih reads this line in another way than it stands there: put the value into a file, key = @FILE");
        return 1;
    }
    if (r->lost) {
        r->indented = GOES_ASTRAY;
    } else if (r->last) {
        continue_entry(r, value);
    } else if (!strcmp(name, "include") && (!r->section || !strcmp(r->section->name, "pipeline"))) {
        include(r, value);
    } else if (r->section) {
        begin_entry(r, name, value);
    } else {
        wrong_line(r, "`%.60s` stands before the first [section]", name);
    }
    r->blank = 0;
    return 1;
}

/* ---- files ---- */

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

#ifdef JVC_INIH_TUNABLE
/* Debian's build of inih has its settings as variables. */
static void tune(const char *text, size_t left)
{
    size_t longest = 0;
    for (const char *end; (end = memchr(text, '\n', left)); text = end + 1) {
        if ((size_t)(end - text) > longest) longest = (size_t)(end - text);
        left -= (size_t)(end - text) + 1;
    }
    if (left > longest) longest = left;
    ini_use_stack = 0;
    ini_allow_realloc = 0;
    ini_initial_alloc = ini_max_line = (int)(longest < MAX_LINE ? longest : MAX_LINE) + 16;
    ini_allow_inline_comments = 0;
}
#endif

static void parse(struct reading *r)
{
    size_t before = r->conf->n_problems;
#ifdef JVC_INIH_TUNABLE
    tune(r->text, r->left);
#endif
    int rc = ini_parse_stream(next_line, r, on_entry, r);
    has_come_back(r);
    r->conf->ends_lost |= r->lost || r->conf->gap;
    if (rc == INIH_NO_MEMORY) jvc_no_memory();
    if (rc && r->conf->n_problems == before) jvc_problem(r->conf, here(r), "inih failed: %d", rc);
}

/* Whether the file may be included where it is asked for: by itself it may not, by whatever way. */
static bool may_include(struct reading *r, struct jvc_where from)
{
    int depth = 0;
    for (const struct reading *o = r->outer; o; o = o->outer, depth++) {
        if (!r->st.st_ino || r->st.st_ino != o->st.st_ino || r->st.st_dev != o->st.st_dev) continue;
        jvc_problem(r->conf, from, "include = %s: the file would include itself", r->file);
        return false;
    }
    if (depth <= MAX_INCLUDES && r->conf->includes++ <= MAX_ALL_INCLUDES) return true;
    r->conf->incomplete = r->conf->gap = true;
    jvc_problem(r->conf, from, "include = %s: files include each other more than %d deep, or %d in all", r->file,
        MAX_INCLUDES, MAX_ALL_INCLUDES);
    return false;
}

/* `outer` asks for it at `from`. */
static void read_ini(struct jvc_conf *conf, const char *path, const struct reading *outer, struct jvc_where from)
{
    jv_err err;
    size_t n;
    struct reading r = {.conf = conf, .file = path, .outer = outer};
    if (stat(path, &r.st)) r.st = (struct stat){0}; /* reading it will say why */
    if (!may_include(&r, from)) return;
    struct jvc_nearest near;
    char *text = jvc_read_file(path, MAX_FILE, &n, &err);
    if (!text) {
        jvc_problem(conf, from, "%s%s", err.text, jvc_nearest_file(&near, path));
        conf->incomplete = conf->gap = true;
        return;
    }
    jvc_conf_reads(conf, outer ? "include" : NULL, path, from);
    r.text = text;
    r.left = n;
    r.dir = jvc_conf_own(conf, folder_of(path));
    if (text_ok(conf, path, text, n)) {
        if (!strncmp(text, "\xef\xbb\xbf", 3)) {
            r.text += 3;
            r.left -= 3;
        }
        parse(&r);
    } else {
        conf->incomplete = conf->gap = true;
    }
    free(r.copy);
    free(text);
}

void jvc_ini_read(struct jvc_conf *conf, const char *path)
{
    read_ini(conf, path, NULL, (struct jvc_where){path, 0});
}
