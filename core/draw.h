/* draw.h: a pipeline as a graph, for other programs to lay out. On standard output. */
#ifndef JVC_DRAW_H
#define JVC_DRAW_H

struct jvc_pipeline;

void jvc_draw_dot(const struct jvc_pipeline *pl);     /* Graphviz */
void jvc_draw_mermaid(const struct jvc_pipeline *pl); /* Mermaid's flowchart */

#endif
