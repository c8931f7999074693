/*
 * cores.h: how many cores this process may keep busy.
 */
#ifndef JVC_CORES_H
#define JVC_CORES_H

#include <stdint.h>

#define JVC_MAX_CORES 1024

/* The processor's cores by the affinity mask, and the CPU quota of its control groups rounded up: 1..JVC_MAX_CORES. */
int64_t jvc_cores(void);

#endif
