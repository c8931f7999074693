/*
 * progress.h: the line on a terminal that tells how a run is getting on. Where standard error is none, nothing is
 * shown. The line gives way to every message.
 */
#ifndef JVC_PROGRESS_H
#define JVC_PROGRESS_H

struct jvc_pipeline;

void jvc_progress_begin(struct jvc_pipeline *pl);
/* Erases the line. Nothing happens where none was begun. */
void jvc_progress_end(void);

#endif
