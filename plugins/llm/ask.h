/* ask.h: what the stages that ask a model have in common: options, the request they make, and what is kept of an
 * answer. */
#ifndef ASK_H
#define ASK_H

#include "lines.h"
#include "llm.h"

/* The context of generate and samples, all options first. */
struct generate {
    jv_ref model;
    int32_t template, input, reasoning;
    const char *system, *default_tools, *values;
    int64_t n, max_tokens, thinking_tokens, top_k, seed, logprobs;
    double temperature, top_p, min_p, presence_penalty, frequency_penalty, repetition_penalty;
    jv_list stop;
    jv_map logit_bias;
    const jv_host *h;
    jv_str *stops; /* (stop.n): of the section, without escapes; malloc'd */
};

/* Rows that both stages have; some rows and counters of generate alone follow. */
enum { ASK_IN, ASK_TOOLS, ASK_OUT, ASK_THINKING, ASK_FINISH, ASK_PROBABILITIES, ASK_ROWS };
enum { ASK_TOKENS_IN, ASK_TOKENS_CACHED, ASK_TOKENS_OUT, ASK_TOKENS_REASONING, ASK_CUT, ASK_BYTES_LOST };

#define ASK_COUNTERS                                                                                                   \
    [ASK_TOKENS_IN] = {"tokens_in", "token", "tokens of the prompts, templates included", 0, 0},                       \
    [ASK_TOKENS_CACHED] = {"tokens_cached", "token", "of those: not computed, another record began alike",             \
        JV_MEASURED, 0},                                                                                               \
    [ASK_TOKENS_OUT] = {"tokens_out", "token", "tokens made, thinking included", 0, 0},                                \
    [ASK_TOKENS_REASONING] = {"tokens_reasoning", "token", "of those: thinking", 0, 0},                                \
    [ASK_CUT] = {"cut", "answer", "answers that max_tokens ended before the model did", 0, 0},                         \
    [ASK_BYTES_LOST] = {"bytes_lost", "byte", "bytes of prompts the vocabulary has no token for: left out", 0, 0},     \
    {                                                                                                                  \
        0                                                                                                              \
    }

#define ASK_PENALTY "-100..100"

#define ASK_OPTIONS                                                                                                    \
    JV_OPT(struct generate, model, NULL, LLM_SERVICE, "the model's section"),                                          \
        JV_OPT(struct generate, template, "chat", "chat|none",                                                         \
            "chat: the file's chat template; none: the prompt is the text to go on with"),                             \
        JV_OPT(struct generate, input, "text", "text|messages",                                                        \
            "what `in` holds: a question, or a JSON list of messages as OpenAI's chat completions have them"),         \
        JV_OPTF(struct generate, system, JV_PER_RECORD, "", "", "a system message; only with input = text"),           \
        JV_OPTF(struct generate, default_tools, JV_PER_RECORD, "", "",                                                 \
            "a JSON list of tools for the template to present, where the record has no field `tools`"),                \
        JV_OPTF(struct generate, values, JV_PER_RECORD, "", "", "a JSON object: more names for the template"),         \
        JV_OPTF(struct generate, max_tokens, JV_PER_RECORD, "256", "1..1048576", "most tokens to make"),               \
        JV_OPTF(struct generate, reasoning, JV_PER_RECORD, "keep", "keep|drop|only|inline",                            \
            "thinking: kept apart, dropped, the only thing wanted, or left in the answer with its tags"),              \
        JV_OPTF(struct generate, thinking_tokens, JV_PER_RECORD, "auto", "auto|0..1048576",                            \
            "most tokens of thinking, which is then closed; auto: no limit"),                                          \
        JV_OPTF(struct generate, stop, JV_PER_RECORD, "", "",                                                          \
            "strings the answer ends before, the thinking aside; in the file \\n is a newline, \\t a tab, \\\\ a \\"), \
        JV_OPTF(struct generate, temperature, JV_PER_RECORD, "0", "0..100",                                            \
            "how far draws stray from the likeliest token; 0: not at all"),                                            \
        JV_OPTF(struct generate, top_k, JV_PER_RECORD, "0", "0..",                                                     \
            "draw among so many of the likeliest tokens; 0: all"),                                                     \
        JV_OPTF(struct generate, top_p, JV_PER_RECORD, "1", "0..1",                                                    \
            "draw among the likeliest tokens that hold this much probability together; above 0"),                      \
        JV_OPTF(struct generate, min_p, JV_PER_RECORD, "0", "0..1",                                                    \
            "draw among tokens at least this much as likely as the likeliest"),                                        \
        JV_OPTF(struct generate, presence_penalty, JV_PER_RECORD, "0", ASK_PENALTY,                                    \
            "off the logit of what is in the answer already"),                                                         \
        JV_OPTF(struct generate, frequency_penalty, JV_PER_RECORD, "0", ASK_PENALTY,                                   \
            "off it for each time it is in the answer"),                                                               \
        JV_OPTF(struct generate, repetition_penalty, JV_PER_RECORD, "1", "0..100",                                     \
            "divides the logit of what is in prompt or answer, or multiplies a negative one; above 0"),                \
        JV_OPTF(struct generate, logit_bias, JV_PER_RECORD, "", "",                                                    \
            "logit_bias.TOKEN = BIAS, onto the logit of an id or of a token's text; never: not this token"),           \
        JV_OPTF(struct generate, logprobs, JV_PER_RECORD, "off", "off|0..1000",                                        \
            "keep each token's log probability, and so many of the likeliest beside it"),                              \
        JV_OPTF(struct generate, seed, JV_PER_RECORD, "auto", "auto|0..",                                              \
            "of the draws; auto: made from the record's id")

/* Checks the section's options; fills g->stops. */
int32_t ask_open(struct generate *g, const jv_host *h, jv_err *err);
void ask_close(struct generate *g);

/* The request of a record, whose options are `o` (as params has them); what it points to is valid until the function of
 * the stage returns. on_text and the like are left to the caller. */
int32_t ask_request(const struct generate *g, const struct generate *o, jv_buf *b, llm_request *req, jv_err *err);
/* One answer into the rows of a buffer. */
int32_t ask_put(const jv_host *h, jv_buf *b, const llm_request *req, const llm_reply *one, jv_err *err);
int32_t ask_put_text(const jv_host *h, jv_buf *b, int32_t row, jv_str text, jv_err *err);

#endif
