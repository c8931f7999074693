/*
 * net_rig.h: networks on tiny models, over the backend of net_backend.c or jv_cpu.so, for tests.
 */
#ifndef NET_RIG_H
#define NET_RIG_H

#include "net.h"
#include "net_backend.h"
#include "tiny_rig.h"

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

#endif
