/*
 * The pre-split table and its walk.
 *
 * A family is a list of expressions: the first cuts the text into its matches and the gaps between them, the second
 * cuts each of these pieces again, and so on; an expression sees nothing beyond its piece, so a look-ahead at a piece's
 * end sees the end. Expressions are as the families' own tokenizers publish them, but \s is spelled out: PCRE2's holds
 * U+180E, theirs do not.
 *
 * None of them can backtrack by more than the length of one run of white space, so time is linear; the limits given to
 * PCRE2 grow with the piece and are only there so that a mistake in this table ends in an error and not in a hang.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "presplit.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 12
#define MAX_PATTERNS 4

/* The inside of a class of white space characters. */
#define WS "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|[" WS "]+(?![^" WS "])|[" WS "]+"

/* The later families differ in how many digits make a word. */
#define CL100K(digits)                                                                                                 \
    "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits " ?[^" WS                       \
    "\\p{L}\\p{N}]+[\\r\\n]*|[" WS "]*[\\r\\n]+|[" WS "]+(?![^" WS "])|[" WS "]+"

typedef struct family {
    const char *names[MAX_NAMES + 1]; /* ends with null */
    bool adds_bos, whole_words;
    const char *patterns[MAX_PATTERNS + 1]; /* ends with null */
} family;

static const family families[] = {
    {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"}, false, false, {"\\p{N}", GPT2}},
    {{"gpt-2", "phi-2", "mellum", "a.x-4.0", "gigachat", "modern-bert", "exaone4"}, false, false, {GPT2}},
    {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"}, true, true,
        {CL100K("\\p{N}{1,3}|")}},
    {{"qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan"}, false, false, {CL100K("\\p{N}|")}},
    {{"default"}, false, false, {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

#define N_FAMILIES (sizeof families / sizeof *families)

struct presplit {
    const family *family;
    size_t n;
    pcre2_code *code[MAX_PATTERNS];
};

/* One run over one text. */
typedef struct walk {
    const presplit *p;
    const char *text;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    presplit_word *word;
    void *user;
    jv_err *err;
} walk;

static const family *find_family(jv_str name)
{
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (const char *const *s = families[i].names; *s; s++)
            if (strlen(*s) == name.n && memcmp(*s, name.p, name.n) == 0) return &families[i];
    return NULL;
}

/* The name comes from outside: bytes that would not do in a message are shown as '?', and long ones cut. */
static int32_t unknown_name(jv_str name, jv_err *err)
{
    char shown[41], known[400];
    size_t n = name.n < sizeof shown ? name.n : sizeof shown - 1, used = 0;
    for (size_t i = 0; i < n; i++) shown[i] = name.p[i] >= 0x20 && name.p[i] < 0x7F ? name.p[i] : '?';
    shown[n] = 0;
    known[0] = 0;
    for (size_t i = 0; i < N_FAMILIES; i++)
        for (const char *const *s = families[i].names; *s && used + strlen(*s) + 3 < sizeof known; s++)
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", *s);
    return jv_fail(err, JV_BAD, "tokenizer.ggml.pre is \"%s\"; known are %s", shown, known);
}

static int32_t compile(presplit *p, const char *pattern, jv_err *err)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *c = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
    if (!c) return jv_fail(err, JV_FATAL, "PCRE2 refuses pre-split %zu at %zu (error %d)", p->n, (size_t)at, code);
    p->code[p->n++] = c;
    return JV_OK;
}

int32_t presplit_new(jv_str name, presplit **out, jv_err *err)
{
    const family *f = find_family(name);
    if (!f) return unknown_name(name, err);
    presplit *p = calloc(1, sizeof *p);
    if (!p) return jv_fail(err, JV_FATAL, "no memory for the pre-split");
    p->family = f;
    for (const char *const *s = f->patterns; *s; s++) {
        int32_t rc = compile(p, *s, err);
        if (rc < 0) {
            presplit_free(p);
            return rc;
        }
    }
    *out = p;
    return JV_OK;
}

void presplit_free(presplit *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n; i++) pcre2_code_free(p->code[i]);
    free(p);
}

bool presplit_adds_bos(const presplit *p)
{
    return p->family->adds_bos;
}

bool presplit_whole_words(const presplit *p)
{
    return p->family->whole_words;
}

/* Cuts the n bytes at `at` by expression `level` and what follows it; recursion is as deep as the family's list. */
static int32_t cut(const walk *w, size_t level, size_t at, size_t n)
{
    if (n == 0) return JV_OK;
    if (level == w->p->n) return w->word(w->user, at, n, w->err);
    PCRE2_SPTR piece = (PCRE2_SPTR)(w->text + at);
    size_t done = 0;
    while (done < n) {
        int got = pcre2_match(w->p->code[level], piece, n, done, PCRE2_NO_UTF_CHECK, w->match, w->limits);
        if (got == PCRE2_ERROR_NOMATCH) break;
        if (got < 0) {
            PCRE2_UCHAR why[128] = "";
            pcre2_get_error_message(got, why, sizeof why);
            return jv_fail(w->err, JV_FATAL, "pre-split %zu at byte %zu of %zu: %s", level, at + done, at + n,
                (char *)why);
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(w->match);
        size_t from = span[0], to = span[1]; /* the next level uses the same match data */
        if (to <= done) return jv_fail(w->err, JV_FATAL, "pre-split %zu matches nothing at byte %zu", level, at + done);
        int32_t rc = cut(w, level + 1, at + done, from - done);
        if (rc >= 0) rc = cut(w, level + 1, at + from, to - from);
        if (rc < 0) return rc;
        done = to;
    }
    return cut(w, level + 1, at + done, n - done);
}

int32_t presplit_run(const presplit *p, jv_str text, presplit_word *word, void *user, jv_err *err)
{
    walk w = {.p = p, .text = text.p, .word = word, .user = user, .err = err};
    w.match = pcre2_match_data_create(1, NULL);
    w.limits = pcre2_match_context_create(NULL);
    int32_t rc = JV_FATAL;
    if (!w.match || !w.limits) {
        jv_fail(err, JV_FATAL, "no memory to cut %zu bytes into words", text.n);
    } else {
        pcre2_set_match_limit(w.limits, text.n < (1u << 28) ? 1000 + 8 * (uint32_t)text.n : UINT32_MAX);
        pcre2_set_depth_limit(w.limits, 1000);
        pcre2_set_heap_limit(w.limits, 1 << 16); /* KiB */
        rc = cut(&w, 0, 0, text.n);
    }
    pcre2_match_context_free(w.limits);
    pcre2_match_data_free(w.match);
    return rc;
}
