/* new.c: see new.h. */
#include "new.h"
#include "plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MOST 32

/* What is made of which template. */
struct made {
    const char *from, *to;
    bool as_it_is;
};
static const struct made inside[] = {{"NAME.c", "NAME.c"}, {"NAME_test.c", "NAME_test.c"}, {"inside.md", "README.md"}};
static const struct made outside[] = {{"NAME.c", "NAME.c"}, {"jevons.h", "jevons.h", .as_it_is = true},
    {"NAME.ini", "NAME.ini"}, {"test.sh", "test.sh"}, {"outside.meson", "meson.build"}, {"outside.md", "README.md"}};

static const char row[] = "  'NAME': {\n"
                          "    'src': 'NAME/NAME.c',\n"
                          "    'tests': {'NAME': 'NAME/NAME_test.c'},\n"
                          "  },\n";

/* A text with the plugin's name in the place of NAME, to be freed. */
static char *filled_in(const char *text, const char *name)
{
    char *out = jvc_strdup("");
    for (const char *next; (next = strstr(text, "NAME")); text = next + 4) {
        char *more = jvc_format("%s%.*s%s", out, (int)(next - text), text, name);
        free(out);
        out = more;
    }
    char *all = jvc_format("%s%s", out, text);
    free(out);
    return all;
}

/* A file that must not be there yet. */
static bool write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    bool ok = f && fputs(text, f) != EOF;
    if (f ? fclose(f) : fd < 0 || close(fd)) ok = false;
    if (!ok) jvc_say("%s: %s", path, strerror(errno));
    return ok;
}

static bool make_one(const char *folder, const struct made *m, const char *name)
{
    const struct jvc_template *t = jvc_templates;
    while (strcmp(t->name, m->from)) t++; /* the tables above name no other */
    char *text = filled_in((const char *)t->text, m->as_it_is ? "NAME" : name);
    char *file = filled_in(m->to, name), *path = jvc_format("%s/%s", folder, file);
    bool script = !strcmp(m->to, "test.sh");
    bool ok = write_file(path, text, script ? 0777 : 0666);
    if (ok) printf(" %s", file);
    free(text);
    free(file);
    free(path);
    return ok;
}

static void remove_made(const char *folder, const struct made *m, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        char *file = filled_in(m[i].to, name), *path = jvc_format("%s/%s", folder, file);
        unlink(path);
        free(file);
        free(path);
    }
    rmdir(folder);
}

/* All files of a table in a folder that must not be there yet; none of them where one cannot be written. */
static bool make(const char *folder, const struct made *m, size_t n, const char *name)
{
    if (mkdir(folder, 0777)) {
        jvc_say("%s: %s", folder, errno == EEXIST ? "is there already, and nothing is written over" : strerror(errno));
        return false;
    }
    printf("made %s:", folder);
    for (size_t i = 0; i < n; i++) {
        if (make_one(folder, &m[i], name)) continue;
        putchar('\n');
        remove_made(folder, m, i + 1, name);
        return false;
    }
    putchar('\n');
    return true;
}

/* ---- in a source tree ---- */

/* The top of the source tree that `dir` is in, to be freed, or null. */
static char *tree_above(const char *dir)
{
    char *top = realpath(dir, NULL);
    while (top && *top) {
        char *header = jvc_format("%s/core/jevons.h", top), *table = jvc_format("%s/plugins/meson.build", top);
        bool both = !access(header, F_OK) && !access(table, F_OK);
        free(header);
        free(table);
        if (both) return top;
        *strrchr(top, '/') = 0; /* an absolute path: there is one */
    }
    free(top);
    return NULL;
}

/* The table of plugins with one row more, to be freed; null where it has not the form it should have. */
static char *with_row(const char *table, const char *name)
{
    const char *begin = strstr(table, "\nplugins = {\n"), *end = begin ? strstr(begin, "\n}\n") : NULL;
    if (!end) return NULL;
    char *more = filled_in(row, name);
    char *text = jvc_format("%.*s%s%s", (int)(end + 1 - table), table, more, end + 1);
    free(more);
    return text;
}

/* Puts another text in the place of a file's, all at once. */
static bool replace_file(const char *path, const char *text)
{
    struct stat st;
    char *beside = jvc_format("%s.new", path);
    bool ok = !stat(path, &st) && write_file(beside, text, st.st_mode & 07777);
    if (ok && rename(beside, path)) {
        jvc_say("%s: %s", path, strerror(errno));
        unlink(beside);
        ok = false;
    }
    free(beside);
    return ok;
}

static int make_inside(const char *top, const char *name)
{
    jv_err err;
    size_t n;
    char *folder = jvc_format("%s/plugins/%s", top, name), *path = jvc_format("%s/plugins/meson.build", top);
    char *table = jvc_read_file(path, 1 << 20, &n, &err), *key = jvc_format("'%s'", name), *text = NULL;
    int status = 1;
    if (!table)
        jvc_say("%s", err.text);
    else if (strstr(table, key))
        jvc_say("%s has %s already: another name, please", path, key);
    else if (make(folder, inside, sizeof inside / sizeof *inside, name))
        status = 0;
    if (!status && (text = with_row(table, name)) && replace_file(path, text)) {
        printf("its row stands in %s\nnext: ./jv test %s; ./jv docs tells plugins/README.md of it\n", path, name);
    } else if (!status) {
        char *more = filled_in(row, name);
        printf("next: this row belongs into the table of %s, then ./jv test %s and ./jv docs\n%s", path, name, more);
        free(more);
    }
    free(folder);
    free(path);
    free(table);
    free(key);
    free(text);
    return status;
}

/* ---- anywhere else ---- */

static int make_outside(const char *dir, const char *name)
{
    char exe[PATH_MAX], *folder = dir ? jvc_format("%s/%s", dir, name) : jvc_strdup(name);
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = 0;
    bool ok = make(folder, outside, sizeof outside / sizeof *outside, name);
    if (ok)
        printf("next: JEVONS=\"%s\" sh %s/test.sh builds and tests it; %s/README.md tells more\n", exe, folder, folder);
    free(folder);
    return ok ? 0 : 1;
}

/* A name must do as the name of a plugin, of a section, and within names in C. */
static bool name_ok(const char *name)
{
    jv_err err;
    struct jvc_plugin *there = NULL;
    size_t n = strlen(name);
    if (!n || n > NAME_MOST || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != n || *name < 'a') {
        jvc_say("`%.60s` is no name for a plugin: small letters, digits and _, a letter first, at most %d", name,
            NAME_MOST);
        return false;
    }
    jvc_plugin_folders(NULL, 0);
    jvc_plugin_stage(name, &there, &err);
    if (there) jvc_say("there is a plugin %s already: %s", name, there->path);
    return !there;
}

int jvc_new(const char *name, const char *dir)
{
    if (!name_ok(name)) return 2;
    char *top = tree_above(dir ? dir : ".");
    int status = top ? make_inside(top, name) : make_outside(dir, name);
    free(top);
    return status;
}
