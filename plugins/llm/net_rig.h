/*
 * net_rig.h: tiny models and networks on them, for tests: files changed by a few lines of Python, over the backend of
 * net_backend.c or jv_cpu.so.
 */
#ifndef NET_RIG_H
#define NET_RIG_H

#include "mockhost.h"
#include "net.h"
#include "net_backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[32], cpu_so[4096];
static const char *top;

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
static inline void make(const char *name, const char *family, const char *change)
{
    run("python3 -B - <<'END'\nimport sys\nsys.path.insert(0, '%s/tests')\nimport random\nimport tiny_gguf as T\n"
        "g, r = T.tiny('f32', family='%s'), random.Random(5)\n"
        "def vector(n, v):\n    g.tensors.append(T.Tensor(n, [len(v)], T.T_F32, T.encode(v, T.T_F32)))\n"
        "%s\ng.save('%s/%s.gguf')\nEND\n",
        top, family, change, dir, name);
}

static inline int make_folder(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/net_test.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    run("rm -r %s", dir);
    return 0;
}

/* ---- a network --------------------------------------------------------------------------------------------------- */

enum { BATCH = 24, BLOCKS = 8 };

typedef struct rig {
    net_backend backend;
    mock *cpu; /* or null */
    const bk_api *bk;
    void *self;
    gguf *g;
    net *m;
    bk_kv *kv;
} rig;

static inline void use_cpu(rig *r)
{
    jv_err err = {0};
    r->cpu = mock_new(cpu_so, NULL);
    mock_set(r->cpu, "cores = 2");
    if (mock_open(r->cpu, &err) != JV_OK || mock_start(r->cpu, &err) != JV_OK) fail_msg("%s", err.text);
    r->bk = mock_stage(r->cpu)->services[0].api;
    r->self = mock_context(r->cpu);
}

/* `r` is zero, or uses the cpu. */
static inline int32_t open_net(rig *r, const char *name, jv_err *err)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s.gguf", dir, name);
    r->backend.fail_at = -1;
    if (!r->bk) r->bk = &net_backend_api, r->self = &r->backend;
    int32_t rc = gguf_open(path, &r->g, err);
    return rc == JV_OK ? net_open(r->g, r->bk, r->self, &r->m, err) : rc;
}

static inline void start_net(rig *r, const char *name)
{
    jv_err err = {0};
    if (open_net(r, name, &err) != JV_OK) fail_msg("%s: %s", name, err.text);
    if (net_start(r->m, BATCH, &(net_stop){0}, &err) != JV_OK) fail_msg("%s: %s", name, err.text);
    bk_kv_shape shape = net_cache(r->m, BK_F32, BLOCKS);
    r->kv = r->bk->kv_new(r->self, &shape, &err);
    assert_non_null(r->kv);
}

static inline void close_net(rig *r)
{
    r->bk->kv_free(r->self, r->kv);
    net_free(r->m);
    gguf_close(r->g);
    if (r->cpu)
        mock_free(r->cpu);
    else
        assert_int_equal(r->backend.live, 0);
}

/* What main was given: the built jv_llm.so, beside which jv_cpu.so lies, and the top source folder. */
static inline void set_paths(char **argv)
{
    const char *slash = strrchr(argv[1], '/');
    top = argv[2];
    snprintf(cpu_so, sizeof cpu_so, "%.*sjv_cpu.so", slash ? (int)(slash + 1 - argv[1]) : 0, argv[1]);
}

#endif
