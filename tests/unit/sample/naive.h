/* The sampler's rules once more, written to be read: sort everything, sum in double, libm. */
#ifndef RL_TEST_SAMPLE_NAIVE_H
#define RL_TEST_SAMPLE_NAIVE_H

#include "sample/sample.h"

/* accepted: the whole history. p: with a seed. -> the id */
uint32_t naive_draw(const rl_sample_params *p, const float *logits, uint32_t n_vocab,
                    const uint32_t *accepted, size_t n_accepted, uint64_t position);

/* Numbers for tests, the same on every run. */
uint32_t next_random(uint64_t *state);
float random_logit(uint64_t *state, float spread);

#endif
