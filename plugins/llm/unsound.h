/* unsound.h: which weights of a model file are no finite numbers. Nobody looks for them before they do harm: that would be
 * a pass over the whole file. */
#ifndef UNSOUND_H
#define UNSOUND_H

#include "gguf.h"

/* The first tensor that holds a NaN or an infinity, as a weight or as the scale of a block; null: none does. */
const gguf_tensor *unsound_tensor(const gguf *g);

#endif
