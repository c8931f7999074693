/*
 * new.h: `jevons new`: a plugin to begin with. In a source tree of jevons it becomes plugins/NAME with its test and its
 * row in plugins/meson.build; anywhere else a folder that builds by itself, with a copy of jevons.h.
 */
#ifndef JVC_NEW_H
#define JVC_NEW_H

/* The command; dir may be null: the working directory. Answers the exit status. */
int jvc_new(const char *name, const char *dir);

/* The files of core/new, and jevons.h, as they were when the program was built (see core/new/embed.py). In names and
 * texts NAME stands for the name of the plugin. A text ends with NUL, the table with a null name. */
struct jvc_template {
    const char *name;
    const unsigned char *text;
};
extern const struct jvc_template jvc_templates[];

#endif
