/*
 * stage_rig.h: stages of jv_llm.so over jv_cpu.so, on tiny models with random weights, for tests.
 */
#ifndef STAGE_RIG_H
#define STAGE_RIG_H

#include "backend.h"
#include "llm.h"
#include "tiny_rig.h"

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

#endif
