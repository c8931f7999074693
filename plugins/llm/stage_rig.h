/*
 * stage_rig.h: stages of jv_llm.so over jv_cpu.so, on tiny models with random weights, for tests.
 */
#ifndef STAGE_RIG_H
#define STAGE_RIG_H

#include "backend.h"
#include "llm.h"
#include "mockhost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char cpu_so[4096], dir[32];
static const char *llm_so, *top;

/* ---- models ------------------------------------------------------------------------------------------------------ */

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

/* A tiny model changed by a few lines of Python; `g` is the file, `T` the module, `vector` adds one. */
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
    snprintf(dir, sizeof dir, "/tmp/stage_test.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    run("rm -r %s", dir);
    return 0;
}

/* ---- a chain ----------------------------------------------------------------------------------------------------- */

typedef struct chain {
    mock *backend, *model, *stage;
} chain;

static inline int32_t open_model(chain *p, const char *name, int threads, const char *options, jv_err *err)
{
    char ini[8192];
    *p = (chain){.backend = mock_new(cpu_so, NULL), .model = mock_new(llm_so, "model")};
    snprintf(ini, sizeof ini, "cores = %d", threads);
    mock_set(p->backend, ini);
    if (mock_open(p->backend, err) != JV_OK || mock_start(p->backend, err) != JV_OK) fail_msg("%s", err->text);
    mock_use(p->model, "backend", BACKEND_SERVICE, p->backend);
    snprintf(ini, sizeof ini, "path = %s/%s.gguf\nbackend = backend\n%s", dir, name, options);
    mock_set(p->model, ini);
    int32_t rc = mock_open(p->model, err);
    return rc == JV_OK ? mock_start(p->model, err) : rc;
}

static inline int32_t open_stage(chain *p, const char *stage, const char *options, jv_err *err)
{
    p->stage = mock_new(llm_so, stage);
    mock_use(p->stage, "model", LLM_SERVICE, p->model);
    mock_set(p->stage, "model = model");
    mock_set(p->stage, options);
    int32_t rc = mock_open(p->stage, err);
    return rc == JV_OK ? mock_start(p->stage, err) : rc;
}

static inline chain open_chain(const char *name, int threads, const char *options, const char *stage,
    const char *stage_options)
{
    chain p;
    jv_err err = {0};
    if (open_model(&p, name, threads, options, &err) != JV_OK) fail_msg("model %s: %s", name, err.text);
    if (stage && open_stage(&p, stage, stage_options, &err) != JV_OK) fail_msg("%s: %s", stage, err.text);
    return p;
}

static inline void close_chain(chain *p)
{
    if (p->stage) mock_free(p->stage);
    mock_free(p->model);
    mock_free(p->backend);
}

static inline const llm_api *api_of(const chain *p)
{
    return mock_stage(p->model)->services[0].api;
}

static inline char *copy(const char *s)
{
    char *c = strdup(s);
    assert_non_null(c);
    return c;
}

#define PROMPT                                                                                                         \
    "The quick brown fox jumps over the lazy dog, and the dog is not amused. What does it do then, and why? "          \
    "\xc3\xa4\xe2\x82\xac"

/* What main was given: the built jv_llm.so, beside which jv_cpu.so lies, and the top source folder. */
static inline void set_paths(char **argv)
{
    llm_so = argv[1];
    top = argv[2];
    const char *slash = strrchr(llm_so, '/');
    snprintf(cpu_so, sizeof cpu_so, "%.*sjv_cpu.so", slash ? (int)(slash + 1 - llm_so) : 0, llm_so);
}

#endif
