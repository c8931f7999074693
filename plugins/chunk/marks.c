/*
 * marks.c: white space, grapheme clusters and ends of sentences, in three passes over a text.
 *
 * Grapheme clusters are those of UAX #29, by utf8proc. Ends of sentences follow the shape of UAX #29's rules (a
 * terminator, closing marks, white space, and no lower-case letter behind it) with what the standard leaves to the
 * implementer: abbreviations, initials, numbered items. They are a guess, made for cutting: an end that is missed
 * costs a longer sentence, no text.
 */
#include "marks.h"

#include <stdbool.h>
#include <string.h>

#include <utf8proc.h>

#define PARAGRAPH_SEPARATOR 0x2029

/* Words before a full stop that does not end a sentence: never, only before a digit, only before no capital. */
static const char *const titles[] = {"Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Gen", "Col", "Maj", "Capt", "Lt", "Sgt",
    "Rev", "Hon", "Pres", "Gov", "Sen", "Rep", "Messrs", "Mme", "Mlle", "Hr", "Fr", "vs", "cf", "viz", "approx", "resp",
    "bzw"};
static const char *const numbered[] = {"No", "no", "Nos", "Nr", "Fig", "fig", "Figs", "Eq", "Vol", "vol", "Art", "Sec",
    "Ch", "ch", "pp", "p", "ca", "Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec"};
static const char *const lasting[] = {"etc", "Inc", "Ltd", "Co", "Corp", "Jr", "Sr", "al", "ed", "eds", "usw", "Bros"};

#define LENGTH(a) (sizeof(a) / sizeof *(a))
#define LONGEST_WORD 12 /* bytes looked at in front of a full stop */

struct text {
    const char *s;
    size_t n;
    uint8_t *marks;
};

/* The character at i < n; *next: where the one behind it begins. The text has been checked. */
static int32_t char_at(const struct text *t, size_t i, size_t *next)
{
    int32_t c = 0;
    unsigned char lead = (unsigned char)t->s[i];
    if (lead < 0x80) {
        *next = i + 1;
        return lead;
    }
    utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)t->s + i, (utf8proc_ssize_t)(t->n - i), &c);
    *next = i + (size_t)(len > 0 ? len : 1);
    return c;
}

/* The property White_Space. */
static bool is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == PARAGRAPH_SEPARATOR || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool is_glue(int32_t c)
{
    return c == 0xa0 || c == 0x2007 || c == 0x202f;
}

/* Marks that end a sentence without white space behind them. */
static bool is_wide_end(int32_t c)
{
    return c == 0x3002 || c == 0xff01 || c == 0xff0e || c == 0xff1f || c == 0xff61;
}

/* A full stop, or a row of dots. */
static bool is_dot(int32_t c)
{
    return c == '.' || c == 0x2025 || c == 0x2026;
}

static bool is_end(int32_t c)
{
    switch (c) {
    case '!':
    case '?':
    case 0x589:  /* Armenian */
    case 0x61f:  /* Arabic question mark */
    case 0x6d4:  /* Urdu */
    case 0x964:  /* danda */
    case 0x965:  /* double danda */
    case 0x104b: /* Myanmar */
    case 0x1362: /* Ethiopic */
    case 0x17d4: /* Khmer */
    case 0x203c: /* !! */
    case 0x203d: /* interrobang */
    case 0x2047: /* ?? */
    case 0x2048: /* ?! */
    case 0x2049: /* !? */ return true;
    default: return is_dot(c) || is_wide_end(c);
    }
}

/* Whether the character at i closes a sentence: brackets, quotes, the signs with which Markdown closes emphasis.
 * Quotes that open in some languages close in others: here they do in front of white space. */
static bool is_closer(const struct text *t, size_t i, size_t *next)
{
    int32_t c = char_at(t, i, next);
    if (c < 0x80) return c && strchr("\"')]}*_`", c);
    utf8proc_category_t cat = utf8proc_category(c);
    if (cat == UTF8PROC_CATEGORY_PI) return *next == t->n || t->marks[*next] & MARK_SPACE;
    return cat == UTF8PROC_CATEGORY_PE || cat == UTF8PROC_CATEGORY_PF;
}

static bool is_letter_or_digit(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
}

/* First pass: white space, grapheme clusters and words. */
static size_t mark_graphemes(const struct text *t)
{
    int32_t before = 0, state = 0;
    size_t at = 0; /* of `before` */
    for (size_t i = 0; i < t->n;) {
        int32_t c;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)t->s + i, (utf8proc_ssize_t)(t->n - i), &c);
        if (len < 1) return i;
        bool plain = before < 0x80 && c < 0x80 && c != '\n'; /* no rule joins two of these */
        if (plain) state = 0;
        bool cut = i == 0 || plain || utf8proc_grapheme_break_stateful(before, c, &state);
        uint8_t m = cut ? MARK_GRAPHEME : 0;
        if (is_space(c)) {
            m |= MARK_SPACE;
            if (cut && !is_glue(c) && i > 0 && !(t->marks[at] & MARK_SPACE)) m |= MARK_WORD;
        } else if (!cut) {
            t->marks[at] &= (uint8_t)~MARK_SPACE; /* a combining mark on a space */
        }
        memset(t->marks + i, 0, (size_t)len);
        t->marks[i] = m;
        before = c;
        at = i;
        i += (size_t)len;
    }
    t->marks[t->n] = MARK_GRAPHEME | MARK_WORD | MARK_SENTENCE;
    return t->n;
}

/* Whether w[0..n) is one of the words. */
static bool is_one_of(const char *w, size_t n, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) == n && memcmp(words[i], w, n) == 0) return true;
    return false;
}

/* A.B or e.g: single letters with dots between, or one capital: an initial. */
static bool is_dotted(const char *w, size_t n)
{
    if (n == 1) return w[0] >= 'A' && w[0] <= 'Z';
    for (size_t i = 0; i < n; i++)
        if (i & 1 ? w[i] != '.' : !is_letter_or_digit((unsigned char)w[i]) || (w[i] >= '0' && w[i] <= '9'))
            return false;
    return n & 1;
}

static bool is_number(const char *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (w[i] < '0' || w[i] > '9') return false;
    return n > 0;
}

/* z. B: one letter, and behind the white space another one with its own full stop. */
static bool is_spaced(const struct text *t, const char *w, size_t n, size_t after)
{
    return n == 1 && w[0] >= 'a' && w[0] <= 'z' && after + 1 < t->n && t->s[after + 1] == '.' &&
           is_letter_or_digit((unsigned char)t->s[after]) && !is_number(t->s + after, 1);
}

/* Whether the full stop at `dot` belongs to the word in front of it; `after` is where the white space behind it ends. */
static bool is_abbreviation(const struct text *t, size_t dot, size_t after)
{
    size_t unused, from = dot;
    int32_t next = char_at(t, after, &unused);
    while (from > 0 && dot - from <= LONGEST_WORD) {
        int c = (unsigned char)t->s[from - 1];
        if (!is_letter_or_digit(c) && c != '.') break;
        from--;
    }
    size_t n = dot - from;
    const char *w = t->s + from;
    if (n == 0 || n > LONGEST_WORD) return false;
    bool digit = next >= '0' && next <= '9';
    if (is_dotted(w, n) || is_spaced(t, w, n, after) || is_one_of(w, n, titles, LENGTH(titles))) return true;
    if (is_one_of(w, n, numbered, LENGTH(numbered))) return digit;
    if (is_one_of(w, n, lasting, LENGTH(lasting))) return digit || utf8proc_category(next) == UTF8PROC_CATEGORY_LL;
    return is_number(w, n) && (from == 0 || t->s[from - 1] == '\n'); /* `1. ` at the beginning of a line: an item */
}

/* Skips white space from i; *lines counts the ends of lines in it, CR LF as one. */
static size_t skip_space(const struct text *t, size_t i, size_t *lines)
{
    *lines = 0;
    while (i < t->n && t->marks[i] & MARK_SPACE) {
        size_t next;
        int32_t c = char_at(t, i, &next);
        bool crlf = c == '\r' && next < t->n && t->s[next] == '\n';
        if (c == '\n' || (c == '\r' && !crlf) || c == 0x85 || c == 0x2028) ++*lines;
        if (c == PARAGRAPH_SEPARATOR) *lines += 2;
        i = next;
    }
    return i;
}

/* What stood at the end of what may be a sentence. */
struct ending {
    size_t first, end; /* first terminator, behind the closers */
    size_t terminators;
    bool wide, dots, closers; /* one was full-width; all were dots; something closed behind them */
};

static struct ending read_ending(const struct text *t, size_t i)
{
    struct ending e = {.first = i, .dots = true};
    size_t next = i;
    for (; i < t->n; i = next) {
        int32_t c = char_at(t, i, &next);
        if (!is_end(c)) break;
        e.terminators++;
        e.wide |= is_wide_end(c);
        e.dots &= is_dot(c);
    }
    for (; i < t->n; i = next) {
        if (!is_closer(t, i, &next)) break;
        e.closers = true;
    }
    e.end = i;
    return e;
}

/* Whether a sentence ends at e.end; `after` is where the white space behind it ends. */
static bool ends_sentence(const struct text *t, const struct ending *e, size_t after)
{
    if (e->wide || after == t->n) return true;
    if (after == e->end) return false;
    size_t unused;
    int32_t next = char_at(t, after, &unused);
    if (next == ',' || next == ';' || next == ':') return false;
    if ((e->dots || e->closers) && utf8proc_category(next) == UTF8PROC_CATEGORY_LL) return false;
    bool full_stop = e->terminators == 1 && t->s[e->first] == '.' && !e->closers;
    return !full_stop || !is_abbreviation(t, e->first, after);
}

/* Second pass: ends of sentences and blank lines. */
static void mark_sentences(const struct text *t)
{
    for (size_t i = 0; i < t->n;) {
        size_t next, lines;
        if (t->marks[i] & MARK_SPACE) {
            next = skip_space(t, i, &lines);
            if (lines > 1 && t->marks[i] & MARK_GRAPHEME) t->marks[i] |= MARK_SENTENCE;
        } else if (is_end(char_at(t, i, &next))) {
            struct ending e = read_ending(t, i);
            size_t after = skip_space(t, e.end, &lines);
            if (t->marks[e.end] & MARK_GRAPHEME && (lines > 1 || ends_sentence(t, &e, after)))
                t->marks[e.end] |= MARK_SENTENCE;
            next = after;
        }
        i = next;
    }
}

/* Third pass: the first characters of sentences and words. */
static void mark_starts(const struct text *t)
{
    uint8_t starts = MARK_SENTENCE_START | MARK_WORD_START;
    for (size_t i = 0; i < t->n; i++) {
        uint8_t m = t->marks[i];
        if (m & MARK_SENTENCE) starts |= MARK_SENTENCE_START;
        if (m & MARK_SPACE) starts |= MARK_WORD_START;
        if (m & MARK_SPACE || !(m & MARK_GRAPHEME)) continue;
        t->marks[i] |= starts;
        starts = 0;
    }
}

size_t mark_text(const char *s, size_t n, uint8_t *marks)
{
    const struct text t = {s, n, marks};
    size_t good = mark_graphemes(&t);
    if (good < n) return good;
    mark_sentences(&t);
    mark_starts(&t);
    return n;
}
