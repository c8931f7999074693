/*
 * exec: has each record worked on by a command of your own, in any language.
 *
 *     [lang]
 *     plugin = exec
 *     command = python3, guess.py
 *     send = text
 *     returns.lang = utf8
 *     returns.score = f64
 *
 * The command is started once. It reads a line of JSON for each record, {"id": ..., "text": ...}, and writes one for
 * each, in the same order, {"id": ..., "lang": ..., "score": ...}. process only waits: with 64 threads 64 records are
 * on their way to the command and back at once (pump.h), and the host puts them in order again for those who want it.
 */
#include <stdlib.h>
#include <string.h>

#include "../mistakes.h"
#include "../rows/fields.h"
#include "../utf8.h"
#include "pump.h"

struct exec {
    const jv_host *h;
    jv_list command, send;
    jv_map returns;
    const char *folder;
    int64_t answer_within, restarts, max_answer;
    struct sink_fields sent;
    struct columns returned;
    struct pump pump;
    bool opened; /* the pump is to be closed */
};

enum { RESTARTS };

static const jv_opt opts[] = {
    JV_OPT(struct exec, command, NULL, "", "the program, searched in PATH where it has no slash, and its arguments"),
    JV_OPT(struct exec, folder, ".", "path folder", "its working directory, by default that of the INI file"),
    JV_OPT(struct exec, send, NULL, "", "the fields it is given, beside the id"),
    JV_OPT(struct exec, returns, "", "", "what it answers with: utf8, bytes, json, i64, f64; with ? it may be missing"),
    JV_OPT(struct exec, answer_within, "2m", "ms 1..1000h",
        "how long it may take to begin, and from one answer to the next"),
    JV_OPT(struct exec, restarts, "10", "0..1000000", "how often it is started again in a row without having answered"),
    JV_OPT(struct exec, max_answer, "64M", "bytes 1..", "the longest answer"),
    {0},
};

static const jv_counter counters[] = {
    {"exec_restarts", "restart", "how often the command had to be started again", JV_MEASURED, 0},
    {0},
};

/* ---- opening ---- */

static int32_t check_sent(const struct exec *g, size_t i, jv_err *err)
{
    const char *name = g->send.v[i].p;
    if (strcmp(name, "id") == 0) return jv_fail(err, JV_BAD, "`send`: the id is always sent");
    for (size_t k = 0; k < i; k++)
        if (strcmp(name, g->send.v[k].p) == 0)
            return jv_fail(err, JV_BAD, "`send`: '%s' stands there twice", utf8_show(name, strlen(name)).text);
    return JV_OK;
}

static int32_t open_send(struct exec *g, jv_err *err)
{
    if (!g->send.n) return jv_fail(err, JV_BAD, "`send` names no field");
    int32_t rc = JV_OK;
    for (size_t i = 0; i < g->send.n; i++) mistakes_add(g->h, check_sent(g, i, err), err, &rc);
    if (rc < 0) return rc; /* else a name that stands there twice would be told again */
    return fields_bind(&g->sent, g->h, &g->send, NULL, err);
}

static int32_t exec_open(void *ctx, const jv_host *h, jv_err *err)
{
    struct exec *g = ctx;
    g->h = h;
    pump_init(&g->pump);
    g->opened = true;
    g->pump.h = h;
    g->pump.plan = (struct plan){.h = h, .folder = g->folder};
    g->pump.answer_within = g->answer_within;
    g->pump.restarts = g->restarts;
    g->pump.max_answer = g->max_answer;
    int32_t rc = JV_OK;
    mistakes_add(h, plan_make(&g->pump.plan, &g->command, err), err, &rc);
    mistakes_add(h, open_send(g, err), err, &rc);
    mistakes_add(h, returns_open(&g->returned, h, &g->returns, err), err, &rc);
    return rc;
}

static int32_t exec_start(void *ctx, jv_err *err)
{
    return pump_start(&((struct exec *)ctx)->pump, err);
}

/* ---- a record ---- */

static int32_t add_field(const struct exec *g, const jv_buf *b, const struct sink_field *f, struct row *to, jv_err *err)
{
    bool there = true;
    jv_str text = {0};
    row_add(to, ", ", 2);
    row_string(to, f->name, strlen(f->name));
    row_add(to, ": ", 2);
    int32_t rc =
        fields_is_number(f) ? fields_add_number(g->h, b, f, to, &there, err) : fields_text(g->h, b, f, &text, err);
    if (rc < 0) return rc;
    if (!there || (!text.p && !fields_is_number(f)))
        row_add(to, "null", 4);
    else if (f->type == JV_JSON)
        row_json(to, text.p, text.n);
    else if (f->type == JV_BYTES)
        row_bytes(to, text.p, text.n);
    else if (f->type == JV_UTF8)
        row_string(to, text.p, text.n);
    return JV_OK;
}

static int32_t write_line(const struct exec *g, const jv_buf *b, struct job *job, jv_err *err)
{
    row_add(&job->line, "{\"id\": ", 7);
    row_string(&job->line, job->id.p, job->id.n);
    for (size_t i = 0; i < g->sent.n; i++) {
        int32_t rc = add_field(g, b, &g->sent.v[i], &job->line, err);
        if (rc < 0) return rc;
    }
    row_add(&job->line, "}\n", 2);
    return job->line.failed ? jv_fail(err, JV_FATAL, "no memory for a line of JSON") : JV_OK;
}

static int32_t take_answer(const struct exec *g, jv_buf *b, const struct job *job, jv_err *err)
{
    struct answer a;
    int32_t rc = answer_init(&a, g->returned.n, err);
    if (rc == JV_OK) rc = answer_read(&a, &g->returned, (jv_str){job->answer.p, job->answer.n}, err);
    if (rc == JV_OK && a.has_error)
        rc = jv_fail(err, JV_BAD, "the command says: %s", utf8_show(a.error.p ? a.error.p : "", a.error.n).text);
    if (rc == JV_OK) rc = columns_put(&g->returned, g->h, b, a.values, &a.arena, err);
    answer_free(&a);
    return rc;
}

static int32_t exec_process(void *ctx, jv_buf *b, jv_err *err)
{
    struct exec *g = ctx;
    struct job *job = job_new(b, g->h->id(g->h, b));
    if (!job) return jv_fail(err, JV_FATAL, "no memory for a record");
    int32_t rc = write_line(g, b, job, err);
    if (rc == JV_OK) rc = pump_ask(&g->pump, job, err);
    if (rc == JV_OK) rc = take_answer(g, b, job, err);
    job_release(job);
    int64_t restarts = pump_restarts(&g->pump);
    if (restarts) g->h->count(g->h, b, RESTARTS, restarts);
    return rc;
}

/* ---- ending ---- */

static int32_t exec_flush(void *ctx, jv_err *err)
{
    pump_finish(&((struct exec *)ctx)->pump);
    return JV_OK;
}

static void exec_close(void *ctx)
{
    struct exec *g = ctx;
    if (g->opened) pump_close(&g->pump);
    g->opened = false;
    fields_free(&g->sent);
    columns_free(&g->returned);
}

static const jv_port ports[] = {{"out", "the records with what the command answered", 0, 0}, {0}};

static const jv_stage stages[] = {{
    .name = "exec",
    .brief = "has each record worked on by a command of your own",
    .flags = JV_PARALLEL,
    .ctx_size = sizeof(struct exec),
    .threads = 64,
    .ports = ports,
    .opts = opts,
    .counters = counters,
    .open = exec_open,
    .start = exec_start,
    .process = exec_process,
    .flush = exec_flush,
    .close = exec_close,
}};

JV_PLUGIN("exec", "1.0", "MIT", stages);
