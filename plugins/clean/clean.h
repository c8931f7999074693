/*
 * clean.h: the fixes of the plugin `clean`. Each reads s[0..n), writes at most LIMIT bytes to out, which does not
 * overlap, adds to its place in count and answers how many bytes it wrote. All take time linear in n, and all but
 * fix_encoding want valid UTF-8 and leave it valid. None keeps a state of its own.
 */
#ifndef CLEAN_H
#define CLEAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COUNT_ENCODING, COUNT_HTML, COUNT_ENTITIES, COUNT_CONTROL, COUNT_INVISIBLE, COUNT_NFC, COUNT_SPACES, N_COUNTS };

typedef size_t clean_fix(const char *s, size_t n, char *out, int64_t *count);

/* Bytes that are no UTF-8 become U+FFFD, a byte order mark at the beginning goes. LIMIT 3 n. Counts both. */
clean_fix fix_encoding;

/* LIMIT 2 n. Counts tags, comments and elements dropped whole; references where they are resolved. */
size_t html_to_text(const char *s, size_t n, char *out, int64_t *count, bool references);
/* Whether s looks like HTML and like nothing else. */
bool is_html(const char *s, size_t n);

/* Character references. LIMIT 2 n. */
clean_fix fix_entities;
/* The reference at s[0..n), which begins with '&': writes its characters to out and their bytes to *len. Answers how
 * many bytes it takes, 0 if there is none. */
#define REFERENCE_MAX 6
size_t read_reference(const char *s, size_t n, char out[REFERENCE_MAX], size_t *len);

/* Control characters. LIMIT n. Counts characters removed and ends of lines made \n. */
clean_fix fix_control;
/* Characters that show nothing. LIMIT n. */
clean_fix fix_invisible;
/* Blanks at ends of lines and rows of blank lines; fix_all_spaces also blanks within lines. LIMIT n. Counts places. */
clean_fix fix_spaces;
clean_fix fix_all_spaces;

/* How much room fix_nfc needs: code points, 0 where it would change nothing. */
size_t nfc_room(const char *s, size_t n);
/* Unicode NFC, line by line. LIMIT 3 n. Counts lines changed. */
size_t fix_nfc(const char *s, size_t n, char *out, int32_t *room, int64_t *count);

#endif
