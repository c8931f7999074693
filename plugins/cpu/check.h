/* check.h: whether the tensors of an operation fit together. Each answers JV_OK, or FATAL naming operation and operand
 * (`what`) and both numbers. */
#ifndef CHECK_H
#define CHECK_H

#include "cpu.h"

/* An activation of at least n rows, of this width (0: any). */
int32_t check_activation(const bk_tensor *t, const char *what, uint64_t width, uint64_t n, jv_err *err);
/* A weight of this shape (0: any). */
int32_t check_weight(const bk_tensor *t, const char *what, uint64_t rows, uint64_t columns, jv_err *err);
/* A vector of n elements, or null. */
int32_t check_vector(const bk_tensor *t, const char *what, uint64_t n, jv_err *err);

#endif
