/* Exp: e^x for x <= 0 without libm, the same bits on every CPU. In floats where a whole vocabulary
 * is passed through, in doubles for the few that are candidates. Any thread. */
#ifndef RL_SAMPLE_EXP_H
#define RL_SAMPLE_EXP_H

#include <stdint.h>

#define RL_EXP_GROUP 64u

/* y[i] = e^x[i] for x <= 0; 0 below -708 and for NaN. */
void rl_exp_neg(const double *x, uint32_t n, double *y);

/* y[i] = e^((logits[i] - max) / temperature) to about 1e-6 of it, n a multiple of RL_EXP_GROUP; y
 * NULL: only the sum. 0 for what is below e^-87 and for NaN.
 * -> the sum: in 16 lanes, each of four floats at a time, folded + 8, + 4, + 2, + 1 in doubles */
double rl_exp_scaled(const float *logits, uint32_t n, float max, float temperature, float *y);

/* The same sum at temperature 1, only of those that are better than `logit` at index `before`: a
 * larger logit, or an equal one at a lower index. */
double rl_exp_better(const float *logits, uint32_t n, float max, float logit, uint32_t before);

#endif
