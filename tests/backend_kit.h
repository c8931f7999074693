/*
 * backend_kit.h: what tests of compute backends (plugins/llm/backend.h) are made of: a backend of any plugin, weights
 * of all types with their values by the definition of the format, activations that can be filled and read.
 */
#ifndef BACKEND_KIT_H
#define BACKEND_KIT_H

#include "mockhost.h"

#include "../plugins/llm/backend.h"

#define KIT_ROUNDING 0x1p-24 /* of a float: half a unit in the last place, relative */
#define KIT_TYPES 11

typedef struct kit {
    mock *m;
    const bk_api *api;
    void *self;
} kit;

typedef struct kit_weight {
    uint32_t type;
    uint64_t rows, columns, row_bytes;
    uint8_t *bytes; /* (rows, row_bytes), aligned to 64 */
    bk_tensor *t;
} kit_weight;

typedef struct kit_activation {
    uint64_t rows, width;
    bk_tensor *t;
    kit_weight one; /* the identity, (width, width): by which it is read */
} kit_activation;

extern const uint32_t kit_types[KIT_TYPES];

/* Opens and starts the plugin in file `so`; isa: null, or what its option `isa` is set to. False when the plugin has
 * no such option, or refuses it as what this machine lacks. */
bool kit_open(kit *k, const char *so, int threads, const char *isa);
void kit_close(kit *k);

/* Numbers that are the same at every run. */
void kit_seed(uint32_t seed);
uint32_t kit_random(void);
float kit_uniform(void);                   /* -1..1 */
float *kit_floats(uint64_t n, float most); /* malloc'd, within -most..most */

double kit_half(uint16_t h); /* binary16 by its definition */
float kit_to_half(float f);  /* the nearest value of binary16 */

/* Random weights, rows and columns as asked; columns must be a multiple of the type's block. */
kit_weight kit_weight_new(const kit *k, uint32_t type, uint64_t rows, uint64_t columns);
/* F32, with these values. */
kit_weight kit_vector_new(const kit *k, const float *from, uint64_t rows, uint64_t columns);
void kit_weight_free(const kit *k, kit_weight *w);
double kit_weight_at(const kit_weight *w, uint64_t row, uint64_t column);
uint64_t kit_row_bytes(uint32_t type, uint64_t columns);
uint32_t kit_block(uint32_t type); /* columns */

kit_activation kit_activation_new(const kit *k, uint64_t rows, uint64_t width);
/* Rows 0..n-1 from and to (n, width). */
void kit_fill(const kit *k, const kit_activation *a, const float *from, uint64_t n);
void kit_read(const kit *k, const kit_activation *a, float *to, uint64_t n);
void kit_activation_free(const kit *k, kit_activation *a);

/* Fails the test unless |got - expected| <= bound; a NaN in `got` fails. */
void kit_near(double got, double expected, double bound);

#endif
