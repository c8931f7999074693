/* host.c: the table of functions that plugins call, and those that are about neither fields nor records. */
#include "host.h"
#include "params.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 50 /* how often a wait looks whether the record was cancelled */

JV_PRINTF(3, 4) static void host_log(const jv_host *h, int32_t level, const char *fmt, ...)
{
    va_list ap;
    char text[1024];
    if (jvc_quiet && level == JV_LOG_INFO) return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (level == JV_LOG_MISTAKE && self(h)->opening) {
        jvc_stage_mistake(self(h), text);
        return;
    }
    jvc_say("%s: %s%s", self(h)->sec->name, level >= JV_LOG_WARN ? "warning: " : "", text);
}

static int32_t host_field(const jv_host *h, const char *name, int32_t type, uint32_t access, jv_err *err)
{
    struct jvc_stage *s = self(h);
    struct jvc_row_of row = {.name = name, .type = type, .access = access};
    if (s->opened_well) return jv_fail(err, JV_FATAL, "the plugin binds field %s after open", name);
    if (jvc_bind_name(s, &row, err) < 0) {
        jvc_name_unbound(s, name, err->text);
        s->told = jvc_conf_own(&s->pl->conf, jvc_strdup(err->text));
        return JV_BAD;
    }
    row.name = jvc_conf_own(&s->pl->conf, jvc_strdup(name));
    s->rows = jvc_room(s->rows, s->n_rows, sizeof *s->rows);
    s->rows[s->n_rows] = row;
    return (int32_t)s->n_rows++;
}

static const jv_column *host_column(const jv_host *h, uint32_t i)
{
    struct jvc_stage *s = self(h);
    if (!s->opened_well) s->looked = true;
    return i < s->in.n ? &s->in.v[i].c : NULL;
}

/* What this thread has finished goes on before it sleeps. */
static void before_sleep(const struct jvc_stage *s)
{
    if (!jvc_me) return;
    if (jvc_me->strand == s->strand && s->kind == JVC_SOURCE)
        jvc_strand_pass(s->strand);
    else
        jvc_post_all(jvc_me);
}

static int32_t host_wait(const jv_host *h, int32_t fd, int32_t events, int64_t ms)
{
    struct jvc_stage *s = self(h);
    int over = s->kind == JVC_SOURCE ? s->stop_fd : s->pl->cancel_fd;
    struct pollfd p[2] = {{.fd = over, .events = POLLIN}, {.fd = fd, .events = (short)events}};
    int32_t answer = 0;
    if (ms) before_sleep(s);
    int64_t t0 = jvc_now(), until = ms < 0 ? INT64_MAX : t0 / 1000000 + ms;
    const struct jvc_call *c = jvc_current_call;
    const jv_buf *at_work = c && c->stage == s ? c->b : NULL; /* whose cancel is looked for now and then */
    while (!answer) {
        int64_t left = ms < 0 ? 1000000 : until - jvc_now() / 1000000, most = at_work ? LOOK_MS : 1000000;
        int rc = poll(p, fd < 0 ? 1 : 2, (int)(left < 0 ? 0 : left < most ? left : most));
        if (rc > 0) answer = p[0].revents ? JV_STOPPED : 1;
        if (!answer && at_work && jvc_node_cancelled(at_work->node)) answer = JV_STOPPED;
        if (left <= 0 || (rc < 0 && errno != EINTR)) break;
    }
    int64_t took = jvc_now() - t0;
    jvc_count(&s->wait_ns, took);
    if (jvc_current_call) jvc_current_call->nested_ns += took; /* waiting is not being busy */
    return answer;
}

static void host_count(const jv_host *h, jv_buf *b, int32_t counter, int64_t n)
{
    struct jvc_stage *s = self(h);
    if (counter < 0 || (uint32_t)counter >= s->n_counters) jvc_host_broken(h, b, "counts as counter", counter);
    if (counter < 0 || (uint32_t)counter >= s->n_counters || b->partial) return;
    uint32_t at = s->counters[counter];
    jvc_count(&s->sums[counter], n);
    atomic_fetch_add_explicit(&b->counts[at], n, memory_order_relaxed);
    atomic_fetch_add_explicit(&b->node->root->tallies[at], n, memory_order_relaxed);
}

static int64_t host_tally(const jv_host *h, const jv_buf *b, const char *counter, int64_t absent)
{
    const struct jvc_pipeline *pl = self(h)->pl;
    for (uint32_t i = 0; i < pl->n_counters; i++)
        if (!strcmp(pl->counters[i].name, counter))
            return atomic_load_explicit(&b->node->root->tallies[i], memory_order_relaxed);
    return absent;
}

static int32_t host_partial(const jv_host *h, jv_buf *b, int32_t row, const char *more, size_t n, jv_err *err)
{
    struct jvc_stage *s = self(h);
    int32_t rc = jvc_host_append(h, b, row, more, n, err);
    if (rc < 0 || !s->streams || b->partial || jvc_node_cancelled(b->node)) return rc;
    jv_buf *snapshot = jvc_buf_copy(s->pl, b);
    if (!snapshot) return JV_OK; /* a snapshot may vanish */
    snapshot->partial = true;
    if (jvc_me) jvc_post_all(jvc_me);
    jvc_stream(s, 0, snapshot);
    return JV_OK;
}

static int32_t host_params(const jv_host *h, const jv_buf *b, void *into, jv_err *err)
{
    const struct jvc_stage *s = self(h);
    struct jvc_call *c = jvc_current_call;
    jv_str text = {0};
    if (!c || c->stage != s) return jv_fail(err, JV_FATAL, "the plugin asks for params outside of process");
    if (s->params_slot >= 0 && b->v[s->params_slot].set)
        text = (jv_str){b->v[s->params_slot].u.p, b->v[s->params_slot].n};
    struct jvc_params_of of = {s->def->opts, s->ctx, s->def->ctx_size, s->pl->per_record};
    return jvc_params_apply(&of, text, into, &c->arena, err);
}

static void host_fail(const jv_host *h, const jv_err *why)
{
    jv_err err = *why;
    jvc_err_end(&err, JV_FATAL);
    jvc_pipeline_fail(self(h), NULL, &err);
}

static int32_t host_lease(const jv_host *h, int32_t want)
{
    struct jvc_stage *s = self(h);
    struct jvc_pipeline *pl = s->pl;
    pthread_mutex_lock(&pl->lock);
    int32_t left = pl->cores - pl->leased, granted = want > 0 && (want < left || !pl->cores_given) ? want : left;
    if (granted < 1) granted = 1;
    pl->leased += granted;
    s->leased += granted;
    pthread_mutex_unlock(&pl->lock);
    return granted;
}

static int32_t host_stats(const jv_host *h, void (*write)(void *arg, const char *text, size_t n), void *arg, jv_err *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) return no_memory(err);
    jvc_stats_write(self(h)->pl, f);
    bool whole = !ferror(f);
    whole &= !fclose(f);
    if (whole) write(arg, text, n);
    free(text);
    return whole ? JV_OK : no_memory(err);
}

const jv_host jvc_host_table = {
    .struct_size = sizeof(jv_host),
    .abi_minor = JV_ABI_MINOR,
    .log = host_log,
    .field = host_field,
    .column = host_column,
    .get = jvc_host_get,
    .get_i64 = jvc_host_get_i64,
    .get_f64 = jvc_host_get_f64,
    .put = jvc_host_put,
    .view = jvc_host_view,
    .writable = jvc_host_writable,
    .put_i64 = jvc_host_put_i64,
    .put_f64 = jvc_host_put_f64,
    .scratch = jvc_host_scratch,
    .id = jvc_host_id,
    .is_partial = jvc_host_is_partial,
    .begin = jvc_host_begin,
    .fork = jvc_host_fork,
    .emit = jvc_host_emit,
    .partial = host_partial,
    .record = jvc_host_record,
    .cancel = jvc_host_cancel,
    .cancelled = jvc_host_cancelled,
    .wait = host_wait,
    .count = host_count,
    .reject = jvc_host_reject,
    .priority = jvc_host_priority,
    .user = jvc_host_user,
    .children = jvc_host_children,
    .child = jvc_host_child,
    .tally = host_tally,
    .params = host_params,
    .lease = host_lease,
    .stats = host_stats,
    .fail = host_fail,
};
