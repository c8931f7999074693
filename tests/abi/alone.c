/* alone.c: all that core/jevons.h defines for plugins, used once and without a warning; C, and C++ too. */
#include "jevons.h"

struct ctx {
    int64_t i;
    double f;
    const char *text;
    int32_t choice, unused;
    jv_list list;
    jv_ref ref;
    jv_map map;
};

static const jv_opt opts[] = {
    JV_OPTF(struct ctx, i, JV_PER_RECORD | JV_NEUTRAL, "0", "0..", "i"),
    JV_OPT(struct ctx, f, "0", "0..", "f"),
    JV_OPT(struct ctx, text, "", "", "text"),
    JV_OPT(struct ctx, choice, "no", "no|yes", "choice"),
    JV_OPT(struct ctx, list, "", "", "list"),
    JV_OPT(struct ctx, ref, "", "test.alone/1", "ref"),
    JV_OPT(struct ctx, map, "", "", "map"),
    {0, 0, 0, 0, 0, 0, 0, 0},
};

static int32_t process(void *ctx, jv_buf *b, jv_err *err)
{
    if (!b) return jv_drop(err, "nothing");
    return jv_fail(err, JV_BAD, "%d", (int)((const struct ctx *)ctx)->i);
}

static const jv_stage stages[] = {
    {"alone", "uses the header", 0, sizeof(struct ctx), 0, 0, 0, 0, opts, 0, 0, 0, 0, 0, process, 0, 0, 0, 0}};

JV_PLUGIN("alone", "1.0", "MIT", stages);
