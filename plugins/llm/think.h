/*
 * think.h: parts what a reasoning model thinks from what it answers: "<think>" THINKING "</think>" ANSWER, as it comes
 * in. Thinking can only stand at the beginning, behind nothing but white space; where the prompt has opened it already,
 * the first tag is not there. A tag anywhere else is text. White space (of ASCII) around the thinking is left out;
 * that in front of an answer without thinking is the answer's.
 */
#ifndef THINK_H
#define THINK_H

#include "jevons.h"

#include <stdbool.h>

#define THINK_OPEN "<think>"
#define THINK_CLOSE "</think>"

typedef struct think_text {
    char *p; /* malloc'd; may be null when n is 0 */
    size_t n, cap;
} think_text;

#define THINK_BEGIN 0  /* nothing but white space and maybe the beginning of a tag, which stand in `answer` meanwhile */
#define THINK_INSIDE 1 /* thinking */
#define THINK_BEHIND 2 /* it is closed, and only white space has come since */
#define THINK_ANSWER 3

typedef struct think {
    int32_t state;    /* THINK_*; never goes back */
    bool thought;     /* it was INSIDE once */
    uint32_t matched; /* bytes at the end that may be the beginning of the tag that is looked for */
    think_text answer, reasoning;
    size_t sure; /* bytes of the reasoning that nothing to come takes back */
} think;

/* state: BEGIN; INSIDE: the prompt has opened it; ANSWER: all is answer, tags and all. */
think think_new(int32_t state);
void think_free(think *t);

int32_t think_byte(think *t, char c, jv_err *err); /* JV_OK or FATAL (no memory) */
/* Nothing more will come: what was taken for the beginning of a tag is text. */
void think_end(think *t);

#endif
