/*
 * sample.h: from logits to a token: penalties, the likeliest ones, a draw, and probabilities. Knows nothing of models.
 *
 * The order of things, over the logits l of one position:
 *   1. repetition: of each token in the prompt or the answer so far, l / r when l > 0, else l * r (Keskar et al.,
 *      arXiv:1909.05858, section 4.1; the product for negative logits, so that r > 1 makes no token likelier)
 *   2. frequency and presence: of each token c > 0 times in the answer so far, l - c * frequency - presence (as
 *      OpenAI's API defines them)
 *   3. bias: l + bias. What 1 to 3 make is rounded to a float once
 *   4. greedy (temperature 0): the largest l, the lowest id among equals. Done
 *   5. temperature: l / temperature, which counts as at least 1e-30
 *   6. top_k: the k largest, lower ids first among equals
 *   7. top_p: of those, as softmax has them, the smallest set of likeliest ones that holds at least top_p
 *   8. min_p: of those, the ones at least min_p times as likely as the likeliest
 *   9. one draw among what is left, in proportion
 * Sums are doubles in an order that depends on the logits alone, exponentials are this file's own (1e-14), so that a
 * seed gives the same draw on every machine and in any company.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "llm.h"

/* Room to work in, for one thread; shared by all it samples for. */
typedef struct sample_room sample_room;
uint64_t sample_room_bytes(uint32_t vocabulary);
sample_room *sample_room_new(uint32_t vocabulary); /* null: no memory */
void sample_room_free(sample_room *r);             /* null is fine */

/* How one answer's tokens are chosen, and what it needs to remember for it. */
typedef struct sampler sampler;

/* Answer `answer` of a request that request_check has let through; it borrows the request's bias. Answers of one
 * request draw from streams of their own; the first one's is that of the same request with one answer. Null: no
 * memory. */
sampler *sampler_new(const llm_request *req, uint32_t answer);
void sampler_free(sampler *s); /* null is fine */

/* Tokens that stand in front of the next: those of the prompt, then each of the answer, drawn or fed. JV_OK or FATAL
 * (no memory). */
int32_t sampler_prompt(sampler *s, const int32_t *ids, size_t n, jv_err *err);
int32_t sampler_made(sampler *s, int32_t id, jv_err *err);

/* Chooses one of the room's ids. The logits are changed meanwhile, and as they were on return. JV_OK, or BAD: a logit
 * is NaN or +infinity, or all are -infinity (then the draw has not been used up). */
int32_t sampler_draw(sampler *s, sample_room *r, float *logits, int32_t *id, jv_err *err);

/* Fills token t->token's logprob and the `top` likeliest, for a request's logprobs or a score: natural logs of
 * softmax(logits). top > vocabulary: all. What t->top and t->top_logprob point to is the room's, until its next use.
 * JV_OK or BAD, as above. */
int32_t sample_logprobs(sample_room *r, const float *logits, size_t top, llm_token *t, jv_err *err);

/* Random numbers: SplitMix64 (Steele, Lea, Flood, doi:10.1145/2660193.2660195); any seed is as good as another. */
uint64_t random_next(uint64_t *state);
double random_unit(uint64_t *state); /* [0, 1), 53 bits */

#endif
