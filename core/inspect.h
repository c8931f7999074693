/* inspect.h: what plugins there are and what they take, printed from their tables. Nothing of a plugin is executed. */
#ifndef JVC_INSPECT_H
#define JVC_INSPECT_H

int jvc_inspect_list(const char *folder); /* `jevons plugins [FOLDER]` (or null): exit status */
int jvc_inspect_one(const char *name);    /* `jevons inspect NAME`, `jevons inspect PATH/jv_NAME.so`: exit status */

#endif
