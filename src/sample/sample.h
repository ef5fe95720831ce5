/* Sampling: logits -> id.
 *
 * 1. A draw is a function of (logits, parameters, accepted history, seed, choice, position) alone:
 *    the random numbers are Philox4x32-10 (Salmon et al., 2011) with key = seed and counter =
 * (choice, absolute position, which), so preemption, speculation and restore do not move it.
 * 2. Order: grammar and mask, logit bias, penalties (last 64 accepted ids, prompt included), top-k,
 * typical, top-p, min-p, temperature, draw. Each filter works on the softmax over what the one
 * before it left and leaves at least one. Ties go to the lower id. The draw walks the candidates in
 * rising id; sums are double, in fixed tiles in rising id. temperature 0 is greedy: the best after
 * bias and penalties. Top-p alone is drawn by rejection up to temperature 1 (draw.c): the same
 * distribution from several numbers of the row.
 * 3. Log-probabilities are of the raw logits. A NaN counts as -inf and is never drawn; a logit of
 *    +inf, or none that is finite, is EMODEL.
 * 4. A text inside a grammar is steered to its end where it would not come in time (ending.h): such
 *    an id is another than the one that was drawn.
 * 5. A sampler belongs to one sequence; one thread at a time. */
#ifndef RL_SAMPLE_SAMPLE_H
#define RL_SAMPLE_SAMPLE_H

#include "realm/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RL_PENALTY_WINDOW 64u

typedef struct rl_logit_bias {
    uint32_t id;
    float bias;
} rl_logit_bias;

/* The zero value is greedy without penalties. */
typedef struct rl_sample_params {
    float temperature;        /* 0: greedy; 0..100 */
    uint32_t top_k;           /* 0: off */
    float top_p;              /* 0 or >= 1: off */
    float min_p;              /* 0: off; < 1 */
    float typical_p;          /* 0 or >= 1: off */
    float repetition_penalty; /* 0 or 1: off; 0..100; divides positive, multiplies negative */
    float presence_penalty, frequency_penalty; /* -2..2 */
    bool has_seed; /* else one is drawn from the system and kept in the sampler */
    uint64_t seed;
    uint32_t choice;
    const rl_logit_bias *bias; /* borrowed until rl_sampler_new returns; -1e6..1e6, no id twice */
    size_t n_bias;
} rl_sample_params;

typedef struct rl_sampler rl_sampler;
typedef struct rl_grammar rl_grammar; /* grammar.h */
typedef struct rl_ending rl_ending;   /* ending.h */

/* -> OK | EINVAL (a value out of range or not finite; err names it) | ENOMEM */
realm_status rl_sampler_new(rl_sampler **out, const rl_sample_params *p, uint32_t n_vocab,
                            realm_error *err) REALM_MUST_USE;
realm_status rl_sampler_clone(rl_sampler **out, const rl_sampler *s,
                              realm_error *err) REALM_MUST_USE;
void rl_sampler_free(rl_sampler *s); /* NULL is fine */
uint64_t rl_sampler_seed(const rl_sampler *s);
uint32_t rl_sampler_choice(const rl_sampler *s);
uint32_t rl_sampler_n_vocab(const rl_sampler *s);

/* Reads parameters from a JSON object text: temperature, top_k, top_p, min_p, typical_p,
 * repetition_penalty, presence_penalty, frequency_penalty, seed, choice, logit_bias {"id": bias}.
 * Unknown keys are ignored, null counts as absent; what is absent keeps what *p holds. With a
 * logit_bias *bias is rl_alloc'ed (the caller rl_frees it) and p->bias points to it, else it is
 * NULL. Ranges are those of rl_sampler_new, told by key. *p is unchanged on failure.
 * -> OK | EINVAL | ENOMEM */
realm_status rl_sample_params_parse(rl_sample_params *p, rl_logit_bias **bias, const char *json,
                                    size_t n, realm_error *err) REALM_MUST_USE;

/* Draws the id at absolute position `position` (of the id itself). logits [n_vocab], not changed.
 * *id gets the id; it is not accepted yet. -> OK | EMODEL (no finite logit) | ENOMEM */
realm_status rl_sampler_draw(rl_sampler *s, const float *logits, uint64_t position, uint32_t *id,
                             realm_error *err) REALM_MUST_USE;

/* Only ids whose bit is set (bit id % 8 of byte id / 8) may be drawn by the next draw that
 * succeeds, and by it alone. bytes: exactly ceil(n_vocab / 8). -> OK | EINVAL (another length, or
 * no id is left) | ENOMEM */
realm_status rl_sampler_mask(rl_sampler *s, const uint8_t *bits, size_t bytes,
                             realm_error *err) REALM_MUST_USE;

/* From here on only ids that the grammar allows are drawn. Takes it, if it succeeds; NULL is none.
 * -> OK | ENOMEM */
realm_status rl_sampler_take_grammar(rl_sampler *s, rl_grammar *g, realm_error *err) REALM_MUST_USE;
/* How its texts end, found ahead; taken. Without one it is looked for in the next draw, with less
 * patience. */
void rl_sampler_take_ending(rl_sampler *s, rl_ending *e);
/* So many ids may be drawn from here on, one that ends the text among them: a text inside a grammar
 * is complete by then, if it can be. For each draw anew; 0, as at first: it is not known. */
void rl_sampler_set_left(rl_sampler *s, uint64_t left);

/* Records ids in the penalty window, prompt ids too. They do not move the grammar. */
void rl_sampler_accept(rl_sampler *s, const uint32_t *ids, size_t n);
/* The id was drawn, or chosen in place of a draw: recorded, and the grammar goes on by it.
 * -> OK | EINVAL (the grammar does not allow it) */
realm_status rl_sampler_advance(rl_sampler *s, uint32_t id, realm_error *err) REALM_MUST_USE;

typedef struct rl_logprob {
    uint32_t id;
    float logprob;
} rl_logprob;

/* Log-probability of `id` and of the k best (best first), from raw logits. log-sum-exp in double,
 * fixed tiles of 4096 in rising order. top [k] may be NULL when k is 0; entries past the vocabulary
 * get id UINT32_MAX and -inf. Without a finite logit all are -inf. -> the log-sum-exp */
double rl_logprobs(const float *logits, uint32_t n_vocab, uint32_t id, float *logprob,
                   rl_logprob *top, uint32_t k);

#endif
