/*
 * search.h: patterns, and a search that ends.
 *
 * PCRE2 bounds its steps for each place where a match may begin, not for a text: `\s+$` over a long run of blanks is
 * within any such bound and takes the square of its length. So a search goes window by window (a window is a range of
 * such places), each twice as wide as the one before while they are quick, and looks at its own processor time and at
 * the record's cancel flag in between.
 *
 * PCRE2's machine code (JIT) is not used: it counts steps in another way, or not at all, so that what a record is told
 * would depend on the machine, and in 10.42 it may give a group what an earlier, failed try had left in it:
 * (a+)*+$ in "aa." has no group 1, and with JIT it has.
 */
#ifndef JV_MATCH_SEARCH_H
#define JV_MATCH_SEARCH_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>

#include "jevons.h"

struct pattern {
    pcre2_code *code;
    const char *text; /* ends with a NUL, as the user wrote it */
    uint32_t groups;
    bool at_once; /* it is searched in one window: it matches at the beginning only, or would notice windows */
};

/* The bounds of all searches of a stage. */
struct search {
    const jv_host *h;
    int64_t steps, memory, time; /* bytes, milliseconds of processor time for a record */
    uint32_t groups;             /* the most of any pattern */
};

/* What one record's search works with. */
struct space {
    pcre2_match_data *found;
    pcre2_match_context *bounds;
};

/* < 0: err has the byte where it is wrong. */
int32_t pattern_compile(struct pattern *p, const char *text, bool ignore_case, jv_err *err);
/* The place of a named group of the last match in s->found; false when it took no part. */
bool pattern_group(const struct pattern *p, const struct space *s, const char *name, size_t *at, size_t *n);

/* JV_OK, or JV_FATAL: no memory. space_close takes what it leaves in either case. */
int32_t space_open(const struct search *g, struct space *s, jv_err *err);
void space_close(struct space *s);

/* One record's search: its text, valid UTF-8, and the processor time at which it has to end, in ns. */
struct quest {
    const jv_buf *b;
    jv_str text;
    int64_t until;
};

int64_t quest_now(void);
/* 1: found, and s->found says where; 0: not; < 0: err says which bound it ran into (JV_BAD), or JV_CANCELLED. */
int32_t find_in(const struct search *g, const struct quest *q, const struct pattern *p, struct space *s, jv_err *err);

#endif
