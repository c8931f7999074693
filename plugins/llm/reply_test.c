/*
 * reply_test.c: scripted answers, cut into tokens at every byte, in portions of every size and at random, give what they
 * give in one piece: thinking, stop strings, characters, and all together; limits; what is told of tokens.
 */
#include "reply.h"
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define R "\xef\xbf\xbd" /* U+FFFD */

enum { OPEN_ID = 1001, CLOSE_ID = 1002, END_ID = 1003 };

static int32_t end_ids[] = {77, CLOSE_ID, 78};
static const reply_tags as_texts = {-1, -1, {end_ids, 3, 3, 0}}, as_tokens = {OPEN_ID, CLOSE_ID, {end_ids, 3, 3, 0}};

static jv_str str(const char *s)
{
    return (jv_str){s, strlen(s)};
}

static llm_request plain(int32_t reasoning)
{
    return (llm_request){.struct_size = sizeof(llm_request),
        .reasoning = reasoning,
        .max_tokens = 100000,
        .thinking_tokens = -1,
        .logprobs = -1,
        .answers = 1};
}

/* ---- a run ---- */

typedef struct run {
    reply *r;
    char text[2][4096]; /* what was handed on */
    size_t n[2];
    int32_t act;
} run;

static void collect(run *s)
{
    llm_more more;
    while (reply_more(s->r, &more)) {
        assert_true(more.text.n > 0 && s->n[more.channel] + more.text.n < sizeof s->text[0]);
        assert_true(more.channel == LLM_CHANNEL_ANSWER || s->n[LLM_CHANNEL_ANSWER] == 0); /* reasoning first */
        assert_true(((unsigned char)more.text.p[0] & 0xc0) != 0x80);                      /* whole code points */
        memcpy(s->text[more.channel] + s->n[more.channel], more.text.p, more.text.n);
        s->n[more.channel] += more.text.n;
    }
}

static run begin(const llm_request *q, const reply_tags *tags, bool thinking)
{
    jv_err err;
    run s = {.r = reply_new(q, tags, 0, thinking, &err)};
    assert_non_null(s.r);
    s.act = reply_begin(s.r, &err);
    collect(&s);
    return s;
}

static void token(run *s, int32_t id, jv_str piece)
{
    jv_err err;
    llm_token t = {.token = id};
    assert_true(s->act == REPLY_DRAW || s->act == REPLY_FEED);
    s->act = reply_token(s->r, &t, piece, &err);
    assert_true(s->act >= 0);
    collect(s);
}

/* The model's turn ends; what was handed on is all there is. */
static llm_reply end(run *s, int32_t finish)
{
    jv_err err;
    if (s->act != REPLY_ENDED) assert_int_equal(s->act = reply_end(s->r, finish, &err), REPLY_ENDED);
    collect(s);
    llm_reply a = reply_result(s->r);
    assert_int_equal(a.text.n, s->n[LLM_CHANNEL_ANSWER]);
    if (a.text.n) assert_memory_equal(a.text.p, s->text[LLM_CHANNEL_ANSWER], a.text.n);
    assert_int_equal(a.reasoning.n, s->n[LLM_CHANNEL_REASONING]);
    if (a.reasoning.n) assert_memory_equal(a.reasoning.p, s->text[LLM_CHANNEL_REASONING], a.reasoning.n);
    return a;
}

static void want(const llm_reply *a, const char *answer, const char *reasoning, int32_t finish)
{
    if (a->text.n != strlen(answer) || (a->text.n && memcmp(a->text.p, answer, a->text.n) != 0))
        fail_msg("answer: %.*s\nnot: %s", (int)a->text.n, a->text.p, answer);
    if (a->reasoning.n != strlen(reasoning) || (a->reasoning.n && memcmp(a->reasoning.p, reasoning, a->reasoning.n) != 0))
        fail_msg("reasoning: %.*s\nnot: %s", (int)a->reasoning.n, a->reasoning.p, reasoning);
    assert_int_equal(a->finish, finish);
}

/* ---- scripts ---- */

typedef struct script {
    const char *text;
    const char *stop[3];
    bool thinking;     /* the prompt has opened it */
    int32_t reasoning; /* LLM_REASONING_* */
    const char *answer, *thoughts;
    int32_t finish, which; /* stop string */
} script;

#define STOP LLM_FINISH_STOP, -1
#define STRING(i) LLM_FINISH_STRING, i

static const script scripts[] = {
    {"", {0}, false, 0, "", "", STOP},
    {"plain", {0}, false, 0, "plain", "", STOP},
    {" \n plain ", {0}, false, 0, " \n plain ", "", STOP},
    /* thinking */
    {"<think>\nHm.\n</think>\n\nYes.", {0}, false, 0, "Yes.", "Hm.", STOP},
    {"\n <think>Hm.</think>Yes.\n", {0}, false, 0, "Yes.\n", "Hm.", STOP},
    {"Hm. \n</think>\n\nYes.", {0}, true, 0, "Yes.", "Hm.", STOP},
    {"\n\n a  b\n\n c \n", {0}, true, 0, "", "a  b\n\n c", STOP}, /* never closed */
    {"<think>\n\n</think>\n\nYes.", {0}, false, 0, "Yes.", "", STOP},
    {"</think>", {0}, true, 0, "", "", STOP},
    {"<think>a</thinx></thi</think>b", {0}, false, 0, "b", "a</thinx></thi", STOP},
    {"<think>a < b << c <</think>b</think>c", {0}, false, 0, "b</think>c", "a < b << c <", STOP},
    {"<think>a </thin", {0}, false, 0, "", "a </thin", STOP},
    {"<think>a <", {0}, false, 0, "", "a <", STOP},
    {"<<think>a</think>b", {0}, false, 0, "<<think>a</think>b", "", STOP},
    {"<thin", {0}, false, 0, "<thin", "", STOP},
    {" <", {0}, false, 0, " <", "", STOP},
    {"x<think>a</think>b", {0}, false, 0, "x<think>a</think>b", "", STOP},
    {"<think>a</think>b<think>c</think>", {0}, false, 0, "b<think>c</think>", "a", STOP},
    {"<think>a<think>b</think>c", {0}, false, 0, "c", "a<think>b", STOP},
    {"<think>Hm.</think>Yes.", {0}, false, LLM_REASONING_DROP, "Yes.", "", STOP},
    {"<think>Hm.</think>Yes.", {0}, false, LLM_REASONING_ONLY, "", "Hm.", STOP},
    {"Hm.</think>Yes.", {0}, true, LLM_REASONING_ONLY, "", "Hm.", STOP},
    {"Yes.", {0}, false, LLM_REASONING_ONLY, "", "", STOP},
    {"<think>\nHm.\n</think>\n\nYes.", {0}, false, LLM_REASONING_INLINE, "<think>\nHm.\n</think>\n\nYes.", "", STOP},
    {"Hm.</think>Yes.", {0}, true, LLM_REASONING_INLINE, "Hm.</think>Yes.", "", STOP},
    /* stop strings */
    {"one two three", {"two"}, false, 0, "one ", "", STRING(0)},
    {"one two three", {"twx", "ree", "three"}, false, 0, "one two ", "", STRING(2)}, /* both end there: the longest */
    {"abcd", {"abcd", "bc"}, false, 0, "a", "", STRING(1)},                          /* complete first */
    {"aaab", {"aab"}, false, 0, "a", "", STRING(0)},
    {"ababac", {"abac"}, false, 0, "ab", "", STRING(0)},
    {"ababa", {"abac"}, false, 0, "ababa", "", STOP},
    {"stop", {"stop"}, false, 0, "", "", STRING(0)},
    {"sto", {"stop"}, false, 0, "sto", "", STOP},
    {"a\n\nb", {"\n\n"}, false, 0, "a", "", STRING(0)},
    {"\n\nb", {"\n\n"}, false, 0, "", "", STRING(0)},
    {"<b", {"<"}, false, 0, "", "", STRING(0)},
    {"<thin", {"in"}, false, 0, "<th", "", STRING(0)},
    {"<think>stop</think>\n\n\nYes. stop", {"stop", "\n\n"}, false, 0, "Yes. ", "stop", STRING(0)},
    {"\n<think>a</think>\n\nb\n\nc", {"\n\n", "\n<"}, false, 0, "b", "a", STRING(0)},
    {"<think>a</think>b", {"</think>"}, false, LLM_REASONING_INLINE, "<think>a", "", STRING(0)},
    /* characters */
    {"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", {0}, false, 0, "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z", "", STOP},
    {"a\xe2\x82", {0}, false, 0, "a" R R, "", STOP},
    {"\xff<think>", {0}, false, 0, R "<think>", "", STOP},
    {"\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82\xe5\x86\x8d", {"\xe3\x80\x82"}, false, 0, "\xe4\xbd\xa0\xe5\xa5\xbd", "",
        STRING(0)},
    {"\xc3\xa8\xc3\xa9", {"\xc3\xa9"}, false, 0, "\xc3\xa8", "", STRING(0)},
    {"a\xff", {R}, false, 0, "a", "", STRING(0)},
    {"a\xe2\x82", {R R}, false, 0, "a", "", STRING(0)}, /* at the very end */
    /* all together */
    {" <think>\n\xe5\x97\xaf <\xf0\x9f\x98\x80</thin\xc3</think>\n\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82 END.",
        {"END.", "EN\xc3", "\xe5\xa5\xbe"}, false, 0, "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82 ",
        "\xe5\x97\xaf <\xf0\x9f\x98\x80</thin" R, STRING(0)},
};

static llm_request request_of(const script *c, jv_str *stop)
{
    llm_request q = plain(c->reasoning);
    for (size_t i = 0; i < 3 && c->stop[i]; i++) stop[q.n_stop++] = str(c->stop[i]);
    q.stop = stop;
    return q;
}

/* Cut after byte i where bit i % 64 of cuts is set. */
static void play(const script *c, uint64_t cuts, bool whole_tags)
{
    jv_str stop[3];
    llm_request q = request_of(c, stop);
    run s = begin(&q, whole_tags ? &as_tokens : &as_texts, c->thinking);
    size_t n = strlen(c->text);
    for (size_t at = 0, to; at < n && s.act != REPLY_ENDED; at = to) {
        bool open = whole_tags && strncmp(c->text + at, "<think>", 7) == 0;
        bool close = whole_tags && strncmp(c->text + at, "</think>", 8) == 0;
        to = at + (open ? 7 : close ? 8 : 1);
        while (!open && !close && to < n && !(cuts >> (to % 64) & 1) && (!whole_tags || c->text[to] != '<')) to++;
        /* a control token has no bytes of its own */
        token(&s, open ? OPEN_ID : close ? CLOSE_ID : 5, open || close ? (jv_str){0} : (jv_str){c->text + at, to - at});
    }
    llm_reply a = end(&s, LLM_FINISH_STOP);
    want(&a, c->answer, c->thoughts, c->finish);
    assert_int_equal(a.stop, c->which);
    reply_free(s.r);
}

static void test_scripts(void **state)
{
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        const script *c = &scripts[i];
        uint64_t random = i;
        play(c, 0, false);
        play(c, UINT64_MAX, false);
        for (size_t at = 1; at < strlen(c->text); at++) play(c, UINT64_C(1) << at % 64, false);
        for (int portion = 2; portion < 8; portion++) {
            uint64_t cuts = 0;
            for (int at = 0; at < 64; at += portion) cuts |= UINT64_C(1) << at;
            play(c, cuts, false);
        }
        for (int k = 0; k < 500; k++) play(c, random_next(&random), false);
        for (int k = 0; k < 20; k++) play(c, random_next(&random), true);
    }
}

/* ---- random texts, against their rules read off the whole text ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\n';
}

/* What `text` should become; answer and reasoning have room for it. The finish. */
static int32_t expect(const char *text, const jv_str *stop, size_t n_stop, char *answer, char *reasoning)
{
    const char *p = text, *close = NULL;
    *reasoning = 0;
    while (blank(*p)) p++;
    bool thought = strncmp(p, "<think>", 7) == 0;
    size_t n;
    if (thought) {
        for (p += 7; blank(*p);) p++;
        close = strstr(p, "</think>");
        n = close ? (size_t)(close - p) : strlen(p);
        while (n && blank(p[n - 1])) n--;
        memcpy(reasoning, p, n);
        reasoning[n] = 0;
        p = close ? close + 8 : p + strlen(p);
        while (blank(*p)) p++;
    } else {
        p = text;
    }
    strcpy(answer, p);
    for (n = 1; n <= strlen(answer); n++)
        for (size_t i = 0; i < n_stop; i++)
            if (n >= stop[i].n && strncmp(answer + n - stop[i].n, stop[i].p, stop[i].n) == 0) {
                size_t longest = stop[i].n;
                for (size_t k = i; k < n_stop; k++)
                    if (stop[k].n > longest && n >= stop[k].n &&
                        strncmp(answer + n - stop[k].n, stop[k].p, stop[k].n) == 0)
                        longest = stop[k].n;
                answer[n - longest] = 0;
                return LLM_FINISH_STRING;
            }
    return LLM_FINISH_STOP;
}

/* Stop strings without a blank at their front, since what stands in front of the thinking is watched for them too. */
static void test_random(void **state)
{
    static const char *parts[] = {"<think>", "</think>", "<", "/", "think>", " ", "\n", "a", "b", "ab", "</", "<t"};
    static const char *stops_of[] = {"ab", "b a", "aab", "a<", "bb", "a\n\n", "</"};
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char text[128] = "", answer[128], reasoning[128];
        jv_str stop[2];
        for (uint64_t k = random_next(&random) % 12; k-- > 0;) strcat(text, parts[random_next(&random) % 12]);
        for (int i = 0; i < 2; i++) stop[i] = str(stops_of[random_next(&random) % 7]);
        llm_request q = plain(LLM_REASONING_KEEP);
        q.stop = stop;
        q.n_stop = random_next(&random) % 3;
        int32_t finish = expect(text, stop, q.n_stop, answer, reasoning);
        run s = begin(&q, &as_texts, false);
        for (const char *p = text; *p && s.act != REPLY_ENDED;) {
            size_t n = 1 + random_next(&random) % 6;
            if (n > strlen(p)) n = strlen(p);
            token(&s, 5, (jv_str){p, n});
            p += n;
        }
        llm_reply a = end(&s, LLM_FINISH_STOP);
        want(&a, answer, reasoning, finish);
        reply_free(s.r);
    }
}

/* ---- what is held back ---- */

static void handed(const run *s, int32_t channel, const char *text)
{
    assert_int_equal(s->n[channel], strlen(text));
    assert_memory_equal(s->text[channel], text, strlen(text));
}

static void test_held_back(void **state)
{
    jv_str stop[] = {{"END", 3}};
    llm_request q = plain(LLM_REASONING_KEEP);
    q.stop = stop;
    q.n_stop = 1;
    run s = begin(&q, &as_texts, true);
    token(&s, 5, str("Hm \n"));
    handed(&s, LLM_CHANNEL_REASONING, "Hm");
    token(&s, 5, str("so</thi"));
    handed(&s, LLM_CHANNEL_REASONING, "Hm \nso");
    token(&s, 5, str("s"));
    handed(&s, LLM_CHANNEL_REASONING, "Hm \nso</this");
    token(&s, 5, str("</think>\n\nThe E"));
    handed(&s, LLM_CHANNEL_ANSWER, "The ");
    token(&s, 5, str("N\xe2"));
    handed(&s, LLM_CHANNEL_ANSWER, "The ");
    token(&s, 5, str("\x82\xac"));
    handed(&s, LLM_CHANNEL_ANSWER, "The EN\xe2\x82\xac");
    llm_reply a = end(&s, LLM_FINISH_STOP);
    want(&a, "The EN\xe2\x82\xac", "Hm \nso</this", LLM_FINISH_STOP);
    assert_int_equal(a.tokens, 6);
    assert_int_equal(a.tokens_reasoning, 4);
    reply_free(s.r);
}

/* ---- limits ---- */

static void test_max_tokens(void **state)
{
    llm_request q = plain(LLM_REASONING_KEEP);
    q.max_tokens = 3;
    run s = begin(&q, &as_texts, false);
    token(&s, 5, str("a"));
    token(&s, 5, str("b"));
    assert_int_equal(s.act, REPLY_DRAW);
    token(&s, 5, str("\xe2\x82"));
    assert_int_equal(s.act, REPLY_ENDED);
    llm_reply a = end(&s, LLM_FINISH_STOP);
    want(&a, "ab" R R, "", LLM_FINISH_LENGTH);
    assert_int_equal(a.tokens, 3);
    reply_free(s.r);
}

static void fed(const run *s)
{
    size_t n = 0;
    assert_int_equal(s->act, REPLY_FEED);
    const int32_t *ids = reply_feed(s->r, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(ids, end_ids, sizeof end_ids);
}

static void test_thinking_tokens(void **state)
{
    llm_request q = plain(LLM_REASONING_KEEP);
    q.thinking_tokens = 2;
    run s = begin(&q, &as_texts, false); /* the tag itself is not counted */
    token(&s, 5, str("<thi"));
    token(&s, 5, str("nk>"));
    token(&s, 5, str("a"));
    assert_int_equal(s.act, REPLY_DRAW);
    token(&s, 5, str(" b"));
    fed(&s);
    token(&s, 5, str("\nc"));
    assert_int_equal(s.act, REPLY_DRAW);
    llm_reply a = end(&s, LLM_FINISH_STOP);
    want(&a, "c", "a b", LLM_FINISH_STOP);
    assert_int_equal(a.tokens, 8);
    assert_int_equal(a.tokens_reasoning, 7);
    reply_free(s.r);

    s = begin(&q, &as_texts, true); /* neither a character nor a tag is torn */
    token(&s, 5, str("a"));
    token(&s, 5, str("\xe2"));
    assert_int_equal(s.act, REPLY_DRAW);
    token(&s, 5, str("\x82\xac</"));
    assert_int_equal(s.act, REPLY_DRAW);
    token(&s, 5, str("b"));
    fed(&s);
    a = end(&s, LLM_FINISH_STOP);
    want(&a, "", "a\xe2\x82\xac</b", LLM_FINISH_STOP);
    reply_free(s.r);

    s = begin(&q, &as_texts, true); /* but not for ever */
    for (int i = 0; s.act == REPLY_DRAW && i < 100; i++) token(&s, 5, str("<"));
    fed(&s);
    a = end(&s, LLM_FINISH_STOP);
    want(&a, "", "<<<<<<<<<<", LLM_FINISH_STOP);
    reply_free(s.r);
}

static void test_no_thinking(void **state)
{
    llm_request q = plain(LLM_REASONING_KEEP);
    q.thinking_tokens = 0;
    run s = begin(&q, &as_tokens, true);
    fed(&s);
    token(&s, 5, str("Yes."));
    llm_reply a = end(&s, LLM_FINISH_STOP);
    want(&a, "Yes.", "", LLM_FINISH_STOP);
    assert_int_equal(a.tokens, 4);
    assert_int_equal(a.tokens_reasoning, 3);
    reply_free(s.r);

    s = begin(&q, &as_tokens, false);
    assert_int_equal(s.act, REPLY_DRAW);
    token(&s, OPEN_ID, (jv_str){0});
    fed(&s);
    a = end(&s, LLM_FINISH_STOP);
    want(&a, "", "", LLM_FINISH_STOP);
    reply_free(s.r);

    q.max_tokens = 3; /* closing it leaves no room for an answer */
    s = begin(&q, &as_tokens, true);
    assert_int_equal(s.act, REPLY_ENDED);
    a = end(&s, LLM_FINISH_STOP);
    want(&a, "", "", LLM_FINISH_LENGTH);
    assert_int_equal(a.tokens, 0);
    reply_free(s.r);

    q = plain(LLM_REASONING_ONLY); /* nor is it closed where nobody wants one */
    q.thinking_tokens = 1;
    s = begin(&q, &as_tokens, true);
    token(&s, 5, str("Hm"));
    assert_int_equal(s.act, REPLY_ENDED);
    a = end(&s, LLM_FINISH_STOP);
    want(&a, "", "Hm", LLM_FINISH_LENGTH);
    reply_free(s.r);
}

/* ---- tokens ---- */

typedef struct told {
    int32_t channel, n, first;
} told;

static void tell(reply *r, int32_t id, const char *text, const told *expected)
{
    int32_t top[] = {id, id + 1};
    double logprob[] = {-0.5 * id, -1.0 * id};
    llm_token t = {.token = id, .logprob = -0.5 * id, .top = top, .top_logprob = logprob, .n_top = 2};
    jv_err err;
    llm_more more;
    assert_int_equal(reply_token(r, &t, str(text), &err), REPLY_DRAW);
    for (; expected->n; expected++) {
        assert_true(reply_more(r, &more));
        assert_int_equal(more.channel, expected->channel);
        assert_int_equal(more.n_tokens, expected->n);
        assert_int_equal(more.answer, 3);
        for (size_t i = 0; i < more.n_tokens; i++) {
            const llm_token *x = &more.tokens[i];
            assert_int_equal(x->token, expected->first + (int32_t)i);
            assert_int_equal(x->channel, expected->channel);
            assert_true(x->logprob == -0.5 * x->token && x->n_top == 2 && x->top[1] == x->token + 1);
            assert_true(x->top_logprob[0] == x->logprob && x->top_logprob[1] == -1.0 * x->token);
        }
    }
    assert_false(reply_more(r, &more));
}

static void test_tokens(void **state)
{
    llm_request q = plain(LLM_REASONING_KEEP);
    q.logprobs = 2;
    jv_err err;
    reply *r = reply_new(&q, &as_texts, 3, false, &err);
    assert_non_null(r);
    assert_int_equal(reply_begin(r, &err), REPLY_DRAW);
    tell(r, 10, "<think", (told[]){{0}});
    tell(r, 11, ">", (told[]){{0}});
    tell(r, 12, "a", (told[]){{LLM_CHANNEL_REASONING, 3, 10}, {0}});
    tell(r, 13, " ", (told[]){{0}});
    tell(r, 14, "b", (told[]){{LLM_CHANNEL_REASONING, 2, 13}, {0}});
    tell(r, 15, "</think>", (told[]){{0}});
    tell(r, 16, "\n", (told[]){{0}});
    tell(r, 17, "c", (told[]){{LLM_CHANNEL_ANSWER, 2, 16}, {0}});
    for (int32_t id = 18; id < 300; id++) tell(r, id, "d", (told[]){{LLM_CHANNEL_ANSWER, 1, id}, {0}});
    assert_int_equal(reply_end(r, LLM_FINISH_STOP, &err), REPLY_ENDED);
    llm_reply a = reply_result(r);
    assert_int_equal(a.n_token, 290);
    for (size_t i = 0; i < a.n_token; i++) {
        assert_int_equal(a.token[i].token, 10 + i);
        assert_int_equal(a.token[i].channel, i < 6 ? LLM_CHANNEL_REASONING : LLM_CHANNEL_ANSWER);
        assert_int_equal(a.token[i].top[0], 10 + i);
    }
    reply_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_held_back),
        cmocka_unit_test(test_max_tokens),
        cmocka_unit_test(test_thinking_tokens),
        cmocka_unit_test(test_no_thinking),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
