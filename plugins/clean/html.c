/*
 * html.c: from HTML to the text a reader sees, in one pass, without a tree and without a stack.
 *
 * Tags are read as the tokenizer of the HTML Standard does (section 13.2.5); what they enclose matters only as far as
 * it breaks lines. In one thing it differs on purpose: nothing is lost. A comment, tag or script that never ends is
 * text here.
 */
#include <string.h>

#include "clean.h"

enum action { BREAK, CELL, DROP, ITEM, LINE, PARAGRAPH, PRE, ROW };

/* The elements that do something, sorted. DROP: contents and all; LINE begins and ends a line; PARAGRAPH a paragraph.
 * */
static const struct element {
    const char *name;
    enum action action;
} elements[] = {
    {"address", LINE},
    {"article", PARAGRAPH},
    {"aside", PARAGRAPH},
    {"blockquote", PARAGRAPH},
    {"body", PARAGRAPH},
    {"br", BREAK},
    {"caption", LINE},
    {"center", LINE},
    {"dd", LINE},
    {"details", LINE},
    {"div", LINE},
    {"dl", PARAGRAPH},
    {"dt", LINE},
    {"fieldset", LINE},
    {"figcaption", LINE},
    {"figure", PARAGRAPH},
    {"footer", PARAGRAPH},
    {"form", LINE},
    {"h1", PARAGRAPH},
    {"h2", PARAGRAPH},
    {"h3", PARAGRAPH},
    {"h4", PARAGRAPH},
    {"h5", PARAGRAPH},
    {"h6", PARAGRAPH},
    {"head", LINE},
    {"header", PARAGRAPH},
    {"hr", PARAGRAPH},
    {"html", LINE},
    {"iframe", DROP},
    {"legend", LINE},
    {"li", ITEM},
    {"main", PARAGRAPH},
    {"menu", LINE},
    {"nav", PARAGRAPH},
    {"ol", LINE},
    {"optgroup", LINE},
    {"option", LINE},
    {"p", PARAGRAPH},
    {"pre", PRE},
    {"script", DROP},
    {"section", PARAGRAPH},
    {"select", LINE},
    {"style", DROP},
    {"summary", LINE},
    {"svg", DROP},
    {"table", PARAGRAPH},
    {"tbody", ROW},
    {"td", CELL},
    {"template", DROP},
    {"textarea", PRE},
    {"tfoot", ROW},
    {"th", CELL},
    {"thead", ROW},
    {"title", PARAGRAPH},
    {"tr", ROW},
    {"ul", LINE},
};

#define N_ELEMENTS (sizeof elements / sizeof *elements)
#define LONGEST_NAME 10

struct html {
    const char *s;
    size_t n, at;
    char *out;
    size_t len;
    int64_t *count;
    bool references;
    /* What the next text is to be put behind. White space is made when there is text to follow, so none is left at
     * the end. */
    int newlines, tabs; /* at most 2; any */
    bool space, bullet;
    bool cell_fresh;           /* in a cell without text so far: its blocks break no line */
    int cells;                 /* of this row */
    int pre;                   /* pre elements that are open */
    bool unclosed[N_ELEMENTS]; /* an end tag has been looked for in vain: there is none further on */
    bool no_comment_end, no_tag_end;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* The element named s[0..n), null for those that do nothing. */
static const struct element *find_element(const char *s, size_t n)
{
    if (n > LONGEST_NAME) return NULL;
    char name[LONGEST_NAME + 1] = "";
    for (size_t i = 0; i < n; i++) name[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 0x20) : s[i];
    size_t low = 0, high = N_ELEMENTS;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(name, elements[mid].name);
        if (order == 0) return &elements[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

static size_t name_length(const char *s, size_t n)
{
    size_t k = 0;
    while (k < n && !is_space(s[k]) && s[k] != '/' && s[k] != '>') k++;
    return k;
}

/* ---- text out --------------------------------------------------------------------------------------------------- */

static void put_breaks(struct html *h)
{
    int have = 0; /* ends of lines already there: a <pre> may have brought its own */
    while (have < 2 && h->len > (size_t)have && h->out[h->len - 1 - (size_t)have] == '\n') have++;
    bool begins = h->len == 0 || have > 0 || h->newlines > 0;
    for (; h->len > 0 && have < h->newlines; have++) h->out[h->len++] = '\n';
    for (int i = 0; i < h->tabs; i++) h->out[h->len++] = '\t';
    if (h->bullet) {
        h->out[h->len++] = '-';
        h->out[h->len++] = ' ';
    } else if (h->space && !begins && h->tabs == 0) {
        h->out[h->len++] = ' ';
    }
    h->newlines = h->tabs = 0;
    h->space = h->bullet = h->cell_fresh = false;
}

static void put_text(struct html *h, const char *p, size_t n)
{
    put_breaks(h);
    memcpy(h->out + h->len, p, n);
    h->len += n;
}

/* White space, one reference, or the characters up to the next of these or a tag. */
static void read_text(struct html *h)
{
    const char *p = h->s + h->at;
    if (is_space(*p) && h->pre == 0) {
        h->space = true;
        h->at++;
        return;
    }
    char text[REFERENCE_MAX];
    size_t len = 0, took = *p == '&' && h->references ? read_reference(p, h->n - h->at, text, &len) : 0;
    if (took) {
        put_text(h, text, len);
        h->count[COUNT_ENTITIES]++;
    } else {
        for (took = 1; h->at + took < h->n; took++) {
            char c = p[took];
            if (c == '<' || c == '&' || (is_space(c) && h->pre == 0)) break;
        }
        put_text(h, p, took);
    }
    h->at += took;
}

/* ---- tags ------------------------------------------------------------------------------------------------------- */

static void break_lines(struct html *h, int newlines)
{
    if (h->cell_fresh) return;
    if (h->newlines < newlines) h->newlines = newlines;
}

static void begin_cell(struct html *h)
{
    if (h->cells++ > 0) {
        h->tabs++;
        h->newlines = h->len > 0 && !h->cell_fresh ? 0 : h->newlines;
    }
    h->space = h->bullet = false;
    h->cell_fresh = true;
}

static void end_row(struct html *h)
{
    h->cells = h->tabs = 0;
    h->cell_fresh = false;
    break_lines(h, 1);
}

static void apply(struct html *h, enum action action, bool end)
{
    switch (action) {
    case BREAK: h->newlines += h->newlines < 2; break;
    case LINE: break_lines(h, 1); break;
    case PARAGRAPH: break_lines(h, 2); break;
    case ROW: end_row(h); break;
    case CELL:
        if (!end)
            begin_cell(h);
        else if (!h->cell_fresh)
            h->newlines = 0;
        break;
    case ITEM:
        break_lines(h, 1);
        h->bullet = !end;
        break;
    case PRE:
        break_lines(h, 2);
        h->pre += end ? -(h->pre > 0) : 1;
        if (!end && h->at < h->n && h->s[h->at] == '\n') h->at++; /* the first newline is not part of it */
        break;
    case DROP: break;
    }
}

/* Where an attribute's value ends whose '=' ends at i; 0: its quotes never close. */
static size_t value_end(const struct html *h, size_t i)
{
    while (i < h->n && is_space(h->s[i])) i++;
    if (i < h->n && (h->s[i] == '"' || h->s[i] == '\'')) {
        const char *quote = memchr(h->s + i + 1, h->s[i], h->n - i - 1);
        return quote ? (size_t)(quote - h->s) + 1 : 0;
    }
    while (i < h->n && !is_space(h->s[i]) && h->s[i] != '>') i++;
    return i;
}

/* Where the tag ends whose name ends at i: behind its '>', which quotes may hide; 0 if it never does. */
static size_t tag_end(const struct html *h, size_t i)
{
    bool named = false; /* behind an attribute's name: without one '=' begins a name, and quotes are part of it */
    while (i < h->n) {
        char c = h->s[i++];
        if (c == '>') return i;
        if (is_space(c)) continue;
        if (c == '=' && named) {
            i = value_end(h, i);
            if (i == 0) return 0;
        }
        named = c != '/' && !(c == '=' && named);
    }
    return 0;
}

/* Where the next end tag of the element ends; 0 if there is none. */
static size_t close_end(struct html *h, const struct element *e)
{
    if (h->unclosed[e - elements]) return 0;
    const char *end = h->s + h->n, *p = h->s + h->at;
    while ((p = memchr(p, '<', (size_t)(end - p)))) {
        p++;
        if (p == end || *p != '/') continue;
        size_t k = name_length(p + 1, (size_t)(end - p - 1));
        if (find_element(p + 1, k) != e) continue;
        const char *gt = memchr(p, '>', (size_t)(end - p));
        if (gt) return (size_t)(gt - h->s) + 1;
        break; /* no tag ends any more */
    }
    h->unclosed[e - elements] = true;
    return 0;
}

/* <name ...> or </name ...>; false if it is none. */
static bool read_tag(struct html *h)
{
    if (h->no_tag_end) return false;
    size_t end_tag = h->s[h->at + 1] == '/', name = h->at + 1 + end_tag;
    if (name >= h->n || !is_letter(h->s[name])) return false;
    size_t k = name_length(h->s + name, h->n - name), end = tag_end(h, name + k);
    if (!end) {
        h->no_tag_end = true; /* nor do those further on: each begins inside this one */
        return false;
    }
    h->at = end;
    h->count[COUNT_HTML]++;
    const struct element *e = find_element(h->s + name, k);
    if (!e) return true;
    if (e->action == DROP && !end_tag) {
        size_t closed = close_end(h, e);
        if (closed) h->at = closed;
    }
    apply(h, e->action, end_tag);
    return true;
}

/* <!-- -->, <!doctype>, <?xml ?>, </1>; false if it is none. */
static bool read_comment(struct html *h)
{
    const char *p = h->s + h->at, *end = h->s + h->n, *stop = NULL;
    if (end - p >= 4 && memcmp(p, "<!--", 4) == 0) {
        if (h->no_comment_end) return false;
        p += 2; /* <!--> is one too */
        while (!stop && (p = memchr(p + 1, '>', (size_t)(end - p - 1))))
            if (memcmp(p - 2, "--", 2) == 0 || (p - h->s - (ptrdiff_t)h->at >= 7 && memcmp(p - 3, "--!", 3) == 0))
                stop = p;
        h->no_comment_end = !stop;
    } else if (p[1] == '!' || p[1] == '?' || (p[1] == '/' && h->n - h->at > 2 && !is_letter(p[2]))) {
        if (!h->no_tag_end) stop = memchr(p, '>', (size_t)(end - p));
        h->no_tag_end |= !stop;
    }
    if (!stop) return false;
    h->at = (size_t)(stop - h->s) + 1;
    h->count[COUNT_HTML]++;
    return true;
}

size_t html_to_text(const char *s, size_t n, char *out, int64_t *count, bool references)
{
    struct html h = {.s = s, .n = n, .out = out, .count = count, .references = references};
    while (h.at < n) {
        if (s[h.at] == '<' && h.at + 1 < n && (read_tag(&h) || read_comment(&h))) continue;
        read_text(&h);
    }
    return h.len;
}

/* ---- is it HTML? ------------------------------------------------------------------------------------------------ */

static bool begins_with(const char *s, size_t n, const char *word)
{
    for (; *word; word++, s++, n--)
        if (n == 0 || (*s >= 'A' && *s <= 'Z' ? *s | 0x20 : *s) != *word) return false;
    return n > 0 && (is_space(*s) || *s == '>');
}

/* Skips white space, comments and <?xml ?>. */
static size_t skip_prologue(const char *s, size_t n)
{
    size_t i = 0;
    for (;;) {
        while (i < n && is_space(s[i])) i++;
        const char *close = n - i > 4 && !memcmp(s + i, "<!--", 4)    ? "-->"
                            : n - i > 5 && !memcmp(s + i, "<?xml", 5) ? "?>"
                                                                      : NULL;
        if (!close) return i;
        const char *end = memmem(s + i + 4, n - i - 4, close, strlen(close));
        if (!end) return i;
        i = (size_t)(end - s) + strlen(close);
    }
}

/* Whether a line begins as only Markdown's do: with # or ``` */
static bool has_markdown(const char *s, size_t n)
{
    for (const char *p = s, *end = s + n; p; p = memchr(p, '\n', (size_t)(end - p))) {
        if (p != s || *p == '\n') p++;
        if (p < end && (*p == '#' || (end - p > 2 && memcmp(p, "```", 3) == 0))) return true;
    }
    return false;
}

bool is_html(const char *s, size_t n)
{
    size_t i = skip_prologue(s, n);
    const char *p = s + i;
    size_t left = n - i;
    if (begins_with(p, left, "<!doctype html") || begins_with(p, left, "<html") || begins_with(p, left, "<head") ||
        begins_with(p, left, "<body"))
        return true;
    if (left < 2 || *p != '<') return false;
    while (is_space(s[n - 1])) n--;
    const struct element *e = find_element(p + 1, name_length(p + 1, left - 1));
    return e && e->action != DROP && s[n - 1] == '>' && !has_markdown(s, n);
}
