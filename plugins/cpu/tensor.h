/* tensor.h: what backend.h says of tensors. */
#ifndef TENSOR_H
#define TENSOR_H

#include "cpu.h"

int32_t cpu_supports(void *self, uint32_t type);
bk_weight_need cpu_weight_need(void *self, uint32_t type, uint64_t rows, uint64_t columns);
uint64_t cpu_activation_bytes(void *self, uint64_t capacity, uint64_t width);
bk_tensor *cpu_upload(void *self, const bk_source *src, jv_err *err);
bk_tensor *cpu_activation(void *self, uint64_t capacity, uint64_t width, jv_err *err);
void cpu_tensor_free(void *self, bk_tensor *t);

#endif
