/* jinja_seq.h: the filters on sequences, for the table of filters. */
#ifndef JINJA_SEQ_H
#define JINJA_SEQ_H

#include "jinja_impl.h"

value jj_seq_length(call *c);
value jj_seq_first(call *c);
value jj_seq_last(call *c);
value jj_seq_list(call *c);
value jj_seq_items(call *c);
value jj_seq_reverse(call *c);
value jj_seq_join(call *c);
value jj_seq_map(call *c);
value jj_seq_select(call *c);
value jj_seq_reject(call *c);
value jj_seq_selectattr(call *c);
value jj_seq_rejectattr(call *c);
value jj_seq_sort(call *c);
value jj_seq_dictsort(call *c);
value jj_seq_unique(call *c);
value jj_seq_min(call *c);
value jj_seq_max(call *c);
value jj_seq_sum(call *c);

#endif
