/*
 * linear.h: the operations of backend.h that multiply by a weight. Shapes have been checked by their caller.
 *
 * All of an operation is one run of the pool: rows of x are normed and turned into what the kernels read
 * (level_linear.h), shared out by rows and columns; a barrier; then panels of the weights are shared out.
 */
#ifndef LINEAR_H
#define LINEAR_H

#include "pack.h"

/* Bytes of bk_tensor.room for an activation; UINT64_MAX when they do not fit. */
uint64_t linear_room(uint64_t capacity, uint64_t width);

void linear_run(cpu *c, const bk_linear *op);
void linear_gated(cpu *c, const bk_gated *op);
void linear_logits(cpu *c, const bk_logits *op);

#endif
