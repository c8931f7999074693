/*
 * mistakes.h: for an `open` that looks for all that the user wrote wrong, so that it can be mended in one go.
 */
#ifndef JV_MISTAKES_H
#define JV_MISTAKES_H

#include "jevons.h"

/* What one of its checks answered: a mistake is told and stands in *all, which `open` answers in the end. */
static inline void mistakes_add(const jv_host *h, int32_t rc, const jv_err *err, int32_t *all)
{
    if (rc >= 0) return;
    h->log(h, JV_LOG_MISTAKE, "%s", err->text);
    *all = rc;
}

#endif
