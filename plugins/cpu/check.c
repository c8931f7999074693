/* check.c: see check.h. */
#include "check.h"

static int32_t misfit(const bk_tensor *t, const char *what, uint64_t rows, uint64_t columns, jv_err *err)
{
    return jv_fail(err, JV_FATAL, "%s is %llu x %llu; %llu x %llu is needed", what, (unsigned long long)t->rows,
        (unsigned long long)t->columns, (unsigned long long)(rows ? rows : t->rows),
        (unsigned long long)(columns ? columns : t->columns));
}

int32_t check_activation(const bk_tensor *t, const char *what, uint64_t width, uint64_t n, jv_err *err)
{
    if (t->kind != CPU_ACTIVATION) return jv_fail(err, JV_FATAL, "%s is a weight, not an activation", what);
    return t->rows < n || (width && t->columns != width) ? misfit(t, what, n, width, err) : JV_OK;
}

int32_t check_weight(const bk_tensor *t, const char *what, uint64_t rows, uint64_t columns, jv_err *err)
{
    if (t->kind != CPU_WEIGHT) return jv_fail(err, JV_FATAL, "%s is an activation, not a weight", what);
    return (rows && t->rows != rows) || (columns && t->columns != columns) ? misfit(t, what, rows, columns, err) : JV_OK;
}

int32_t check_vector(const bk_tensor *t, const char *what, uint64_t n, jv_err *err)
{
    if (!t) return JV_OK;
    int32_t rc = check_weight(t, what, 1, n, err);
    if (rc == JV_OK && t->type != BK_F32)
        return jv_fail(err, JV_FATAL, "%s is of type %u; a vector is of type %u, F32", what, t->type, BK_F32);
    return rc;
}
