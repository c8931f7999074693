/* vnni.h: for the level avxvnni on a processor that has its two instructions in the encoding of AVX-512 only. What they
 * compute is the same. Included before everything else. */
#ifndef VNNI_H
#define VNNI_H

#include <immintrin.h>

#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
#define _mm256_dpwssd_avx_epi32 _mm256_dpwssd_epi32

#endif
