/* child.c: see child.h. */
#include "child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../utf8.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
#define TICK 10       /* ms between two looks at a process that is to end */
#define PATIENCE 500  /* ms between asking it to end and making it */
#define LAST_WORDS 64 /* reads of what is left of its standard error: more than a pipe holds */

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the command ---- */

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Looks a bare name up in PATH. Entries that are no absolute path are passed over: they would mean another folder. */
static char *search_path(const char *name)
{
    const char *list = getenv("PATH");
    for (const char *s = list ? list : DEFAULT_PATH; *s;) {
        int n = (int)strcspn(s, ":");
        char *path = NULL;
        if (*s == '/' && asprintf(&path, "%.*s/%s", n, s, name) < 0) return NULL;
        if (path && is_program(path)) return path;
        free(path);
        s += n + (s[n] == ':');
    }
    return NULL;
}

/* Whether one letter is another, too many or missing, or two neighbours are in the wrong order. */
static bool is_slip(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    if (!*a || !*b) return strlen(a) + strlen(b) == 1;
    bool swapped = a[0] == b[1] && a[1] == b[0] && !strcmp(a + 2, b + 2);
    return swapped || !strcmp(a + 1, b + 1) || !strcmp(a + 1, b) || !strcmp(a, b + 1);
}

/* The program of a folder whose name is a slip from that one: within `near`, or an empty text. */
static void near_in(int folder, const char *name, char near[256])
{
    DIR *dir = fdopendir(folder);
    struct stat st;
    if (!dir) close(folder);
    for (const struct dirent *e; dir && !*near && (e = readdir(dir));) {
        if (!is_slip(name, e->d_name) || faccessat(folder, e->d_name, X_OK, 0)) continue;
        if (!fstatat(folder, e->d_name, &st, 0) && S_ISREG(st.st_mode)) snprintf(near, 256, "%s", e->d_name);
    }
    if (dir) closedir(dir);
}

static int32_t no_program(const char *name, jv_err *err)
{
    const char *list = getenv("PATH");
    char near[256] = "";
    for (const char *s = list ? list : DEFAULT_PATH; *s && !*near;) {
        size_t n = strcspn(s, ":");
        char *folder = *s == '/' ? strndup(s, n) : NULL;
        int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (fd >= 0) near_in(fd, name, near);
        free(folder);
        s += n + (s[n] == ':');
    }
    struct utf8_shown shown = utf8_show(name, strlen(name)), other = utf8_show(near, strlen(near));
    return jv_fail(err, JV_BAD, "`command`: '%s' is no program in PATH%s%s%s", shown.text,
        *near ? ", did you mean `" : "", other.text, *near ? "`?" : "");
}

static int32_t find_program(struct plan *p, jv_err *err)
{
    const char *name = p->argv[0];
    struct utf8_shown shown = utf8_show(name, strlen(name)), folder = utf8_show(p->folder, strlen(p->folder));
    if (!strchr(name, '/')) {
        p->program = search_path(name);
        return p->program ? JV_OK : no_program(name, err);
    }
    char *from_here = NULL; /* what posix_spawn will find after it has gone to the folder */
    if (asprintf(&from_here, "%s/%s", *name == '/' ? "" : p->folder, name) < 0 || !(p->program = strdup(name))) {
        free(from_here);
        return jv_fail(err, JV_FATAL, "no memory for the command");
    }
    bool good = is_program(from_here);
    free(from_here);
    if (good) return JV_OK;
    return jv_fail(err, JV_BAD, "`command`: '%s', seen from '%s', is no file that can be executed", shown.text,
        folder.text);
}

int32_t plan_make(struct plan *p, const jv_list *command, jv_err *err)
{
    struct stat st;
    if (!command->n || !command->v[0].n) return jv_fail(err, JV_BAD, "`command` is empty");
    if (stat(p->folder, &st) || !S_ISDIR(st.st_mode))
        return jv_fail(err, JV_BAD, "`folder`: '%s' is none", utf8_show(p->folder, strlen(p->folder)).text);
    p->argv = calloc(command->n + 1, sizeof *p->argv);
    for (size_t i = 0; p->argv && i < command->n; i++)
        if (!(p->argv[i] = strdup(command->v[i].p))) return jv_fail(err, JV_FATAL, "no memory for the command");
    return p->argv ? find_program(p, err) : jv_fail(err, JV_FATAL, "no memory for the command");
}

void plan_free(struct plan *p)
{
    for (size_t i = 0; p->argv && p->argv[i]; i++) free(p->argv[i]);
    free(p->argv);
    free(p->program);
    p->argv = NULL;
    p->program = NULL;
}

/* ---- starting ---- */

static void close_end(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Three pipes: [0] is read from, [1] written to; -1 where they could not be made. */
struct pipes {
    int in[2], out[2], log[2];
};

static bool make_pipes(struct pipes *p)
{
    *p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
    return pipe2(p->in, O_CLOEXEC) == 0 && pipe2(p->out, O_CLOEXEC) == 0 && pipe2(p->log, O_CLOEXEC) == 0 &&
           fcntl(p->in[1], F_SETFL, O_NONBLOCK) == 0 && fcntl(p->out[0], F_SETFL, O_NONBLOCK) == 0 &&
           fcntl(p->log[0], F_SETFL, O_NONBLOCK) == 0;
}

/* In this order no end is overwritten before it is copied, whichever of 0, 1 and 2 were free when the pipes were made:
 * the ends copied later were made later, so they are above 2 where an earlier one is not. */
static int add_actions(posix_spawn_file_actions_t *a, const struct pipes *p, const char *folder)
{
    int rc = posix_spawn_file_actions_adddup2(a, p->in[0], 0);
    if (!rc) rc = posix_spawn_file_actions_adddup2(a, p->out[1], 1);
    if (!rc) rc = posix_spawn_file_actions_adddup2(a, p->log[1], 2);
    if (!rc) rc = posix_spawn_file_actions_addclosefrom_np(a, 3); /* what others forgot to mark */
    return rc ? rc : posix_spawn_file_actions_addchdir_np(a, folder);
}

/* Signals as a program expects them, whatever the host does with its own. */
static int set_attributes(posix_spawnattr_t *at)
{
    static const int usual[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGCHLD, SIGUSR1, SIGUSR2, SIGALRM};
    sigset_t none, reset;
    sigemptyset(&none);
    sigemptyset(&reset);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) sigaddset(&reset, usual[i]);
    int rc = posix_spawnattr_setflags(at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!rc) rc = posix_spawnattr_setpgroup(at, 0);
    if (!rc) rc = posix_spawnattr_setsigmask(at, &none);
    return rc ? rc : posix_spawnattr_setsigdefault(at, &reset);
}

static int spawn(pid_t *pid, const struct plan *p, const struct pipes *pipes)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc) return rc;
    rc = posix_spawnattr_init(&attributes);
    if (!rc) {
        rc = add_actions(&actions, pipes, p->folder);
        if (!rc) rc = set_attributes(&attributes);
        if (!rc) rc = posix_spawn(pid, p->program, &actions, &attributes, p->argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

int32_t child_start(struct child *c, const struct plan *p, jv_err *err)
{
    struct pipes pipes;
    int rc = make_pipes(&pipes) ? spawn(&c->pid, p, &pipes) : errno;
    close_end(&pipes.in[0]);
    close_end(&pipes.out[1]);
    close_end(&pipes.log[1]);
    c->in = pipes.in[1];
    c->out = pipes.out[0];
    c->log = pipes.log[0];
    c->n_line = 0;
    c->cut = false;
    if (rc == 0) return JV_OK;
    c->pid = 0;
    close_end(&c->in);
    close_end(&c->out);
    close_end(&c->log);
    char text[128];
    return jv_fail(err, JV_FATAL, "'%s' cannot be started: %s", utf8_show(p->argv[0], strlen(p->argv[0])).text,
        strerror_r(rc, text, sizeof text));
}

/* ---- its standard error ---- */

static void log_line(struct child *c, const jv_host *h)
{
    char shown[sizeof c->line + 200];
    size_t n = utf8_escape(shown, sizeof shown, c->line, c->n_line);
    bool cut = c->cut || n >= sizeof shown;
    if (n) h->log(h, JV_LOG_WARN, "it says: %s%s", shown, cut ? "..." : "");
    c->n_line = 0;
    c->cut = false;
}

bool child_hear(struct child *c, const jv_host *h)
{
    char some[4096];
    ssize_t n = c->log < 0 ? 0 : read(c->log, some, sizeof some);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n <= 0) {
        if (c->log >= 0) log_line(c, h);
        close_end(&c->log);
        return false;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (some[i] == '\n')
            log_line(c, h);
        else if (c->n_line < sizeof c->line)
            c->line[c->n_line++] = some[i];
        else
            c->cut = true;
    }
    return true;
}

/* ---- ending ---- */

/* Reads away what it still writes, so that no full pipe keeps it from ending, for one tick. */
static void drain(struct child *c, const jv_host *h)
{
    char some[4096];
    struct pollfd p[2] = {{.fd = c->out, .events = POLLIN}, {.fd = c->log, .events = POLLIN}};
    poll(p, 2, TICK);
    if (p[1].revents) child_hear(c, h);
    if (p[0].revents && read(c->out, some, sizeof some) == 0) close_end(&c->out);
}

/* It has ended and is not reaped, so its number is still its own. */
static bool has_ended(const struct child *c)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == c->pid;
}

static void wait_for_end(struct child *c, const jv_host *h, int64_t ms, const atomic_bool *hurry)
{
    static const int signals[] = {SIGTERM, SIGKILL};
    int64_t until = now_ms() + ms;
    bool hurried = false;
    for (size_t next = 0; !has_ended(c); drain(c, h)) {
        if (!hurried && next == 0 && hurry && atomic_load(hurry)) {
            hurried = true;
            if (until > now_ms() + PATIENCE) until = now_ms() + PATIENCE;
        }
        if (next == 2 || now_ms() < until) continue;
        kill(-c->pid, signals[next++]);
        until = now_ms() + PATIENCE;
    }
}

bool child_end(struct child *c, const jv_host *h, int64_t ms, const atomic_bool *hurry, char *how, size_t n)
{
    int status = 0;
    close_end(&c->in);
    wait_for_end(c, h, ms, hurry);
    kill(-c->pid, SIGKILL); /* what it started and left behind */
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) continue;
    for (int i = 0; i < LAST_WORDS && child_hear(c, h); i++) continue;
    if (c->log >= 0) log_line(c, h);
    close_end(&c->log);
    close_end(&c->out);
    c->pid = 0;
    if (WIFSIGNALED(status))
        snprintf(how, n, "was ended by signal %d", WTERMSIG(status));
    else
        snprintf(how, n, "exited with status %d", WEXITSTATUS(status));
    return status == 0;
}
