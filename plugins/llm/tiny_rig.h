/*
 * tiny_rig.h: tiny models with random weights in a folder of their own, for tests: what tests/tiny_gguf.py makes, changed
 * by a few lines of Python.
 */
#ifndef TINY_RIG_H
#define TINY_RIG_H

#include "mockhost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[32], cpu_so[4096];
static const char *llm_so, *top;

static inline void run(const char *fmt, ...) JV_PRINTF(1, 2);

static inline void run(const char *fmt, ...)
{
    char line[16384];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    assert_true(n > 0 && (size_t)n < sizeof line);
    if (system(line) != 0) fail_msg("failed: %s", line);
}

/* NAME.gguf in the folder: a model of a family, its weights of a type (tiny_gguf.py lists both), and a change, lines of
 * Python in which `g` is the file, `T` the module and `vector` adds a tensor. */
static inline void make(const char *name, const char *family, const char *type, const char *change)
{
    run("python3 -B - <<'END'\nimport sys\nsys.path.insert(0, '%s/tests')\nimport random\nimport tiny_gguf as T\n"
        "g, r = T.tiny('%s', family='%s'), random.Random(5)\n"
        "def vector(n, v):\n    g.tensors.append(T.Tensor(n, [len(v)], T.T_F32, T.encode(v, T.T_F32)))\n"
        "%s\ng.save('%s/%s.gguf')\nEND\n",
        top, type, family, change, dir, name);
}

static inline int make_folder(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/tiny_model.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    run("rm -r %s", dir);
    return 0;
}

/* What main was given: the built jv_llm.so, beside which jv_cpu.so lies, and the folder of the sources. */
static inline void set_paths(char **argv)
{
    const char *slash = strrchr(argv[1], '/');
    llm_so = argv[1];
    top = argv[2];
    snprintf(cpu_so, sizeof cpu_so, "%.*sjv_cpu.so", slash ? (int)(slash + 1 - llm_so) : 0, llm_so);
}

#endif
