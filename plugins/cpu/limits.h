/* limits.h: the machine's own limits, measured on all threads (backend.h: read_pass, dot_pass). */
#ifndef LIMITS_H
#define LIMITS_H

#include "cpu.h"

uint64_t limits_read_pass(void *self, const bk_tensor *const *w, uint32_t n);
uint64_t limits_dot_pass(void *self, uint32_t ms);

#endif
