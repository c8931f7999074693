/* level_append.h: how a token's heads come to be asked and remembered. */
#ifndef LEVEL_APPEND_H
#define LEVEL_APPEND_H

#include "level_attention.h"

/* attention_kernels.append */
void CPU_NAME(attention_append)(const attention_job *j, const bk_run *run, uint32_t t, uint32_t row, uint32_t kv_head);

#endif
