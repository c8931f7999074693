// plugin.cc: a plugin in C++17, built and run by tests/header_test.py. Its name is `cc`; it says a text `times` times with
// `between` between, drops texts on a list, and rejects those longer than `most`.
#include <cstring>

#include "jevons.h"

namespace {

struct Cc {
    const jv_host *h;
    int64_t times;
    double most;
    const char *between;
    int32_t shape;
    jv_list drop;
    jv_ref other;
    jv_map unused;
};

enum { IN, OUT };
enum { TEXTS };

const jv_field fields[] = {
    {"in", JV_UTF8, JV_IN, "text", "the text"},
    {"out", JV_UTF8, JV_OUT, "text", "the text, said often"},
    {},
};

const jv_port ports[] = {{"out", "the texts", 0, 0}, {}};

const jv_opt opts[] = {
    JV_OPTF(Cc, times, JV_PER_RECORD, "2", "1..9", "how often"),
    JV_OPT(Cc, most, "10", "0..", "the longest text, in bytes"),
    JV_OPT(Cc, between, "-", "", "what stands between"),
    JV_OPT(Cc, shape, "plain", "plain|marked", "marked: a mark at the end"),
    JV_OPT(Cc, drop, "", "", "texts to drop"),
    JV_OPT(Cc, other, "", "test.cc/1", "a section"),
    JV_OPT(Cc, unused, "", "", "a map"),
    {},
};

const jv_counter counters[] = {{"texts", "text", "texts said", 0, 0}, {}};

int32_t open(void *ctx, const jv_host *h, jv_err *err)
{
    auto *c = static_cast<Cc *>(ctx);
    c->h = h;
    return c->other.api ? jv_fail(err, JV_BAD, "nobody offers test.cc/%d", 1) : JV_OK;
}

void add(char *&to, const char *p, size_t n)
{
    if (n) std::memcpy(to, p, n);
    to += n;
}

int32_t process(void *ctx, jv_buf *b, jv_err *err)
{
    const auto *c = static_cast<const Cc *>(ctx);
    const jv_host *h = c->h;
    jv_str text = h->get(h, b, IN);
    for (size_t i = 0; i < c->drop.n; i++)
        if (c->drop.v[i].n == text.n && !std::memcmp(c->drop.v[i].p, text.p, text.n))
            return jv_drop(err, "on the list");
    if (static_cast<double>(text.n) > c->most) return jv_fail(err, JV_BAD, "%zu bytes, at most %g", text.n, c->most);
    Cc p;
    int32_t rc = h->params(h, b, &p, err);
    if (rc < 0) return rc;
    size_t times = static_cast<size_t>(p.times), gap = std::strlen(c->between);
    char *to = h->put(h, b, OUT, times * text.n + (times - 1) * gap + static_cast<size_t>(c->shape), err);
    if (!to) return JV_FATAL;
    for (size_t i = 0; i < times; i++) {
        if (i) add(to, c->between, gap);
        add(to, text.p, text.n);
    }
    if (c->shape) add(to, "!", 1);
    h->count(h, b, TEXTS, 1);
    return JV_OK;
}

const jv_stage stages[] = {{"cc", "says texts often", JV_PARALLEL, sizeof(Cc), 1, 0, fields, ports, opts, counters,
    nullptr, open, nullptr, nullptr, process, nullptr, nullptr, nullptr, nullptr}};

} // namespace

JV_PLUGIN("cc", "1.0", "MIT", stages);
