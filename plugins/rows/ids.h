/*
 * ids.h: which ids were given. A source whose ids come out of its rows must not give one twice, and cannot read back
 * what it gave: 128 bits of each are kept, at most 43 bytes of memory with the room for more. Two ids would have to
 * share all 128 for one to be refused wrongly, and it would be told.
 */
#ifndef JV_ROWS_IDS_H
#define JV_ROWS_IDS_H

#include <stdbool.h>

#include "jevons.h"

struct ids {
    uint64_t (*v)[2]; /* open addressing; {0, 0}: free */
    size_t n, cap;    /* cap: 0 or a power of two */
};

bool ids_has(const struct ids *ids, jv_str id);
/* Room for one more; false: no memory. */
bool ids_reserve(struct ids *ids);
/* One that is not there, after ids_reserve. */
void ids_add(struct ids *ids, jv_str id);
void ids_free(struct ids *ids);

#endif
