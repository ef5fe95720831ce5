/* Exp: e^x for x <= 0 without libm, the same bits on every CPU. Any thread. */
#ifndef RL_SAMPLE_EXP_H
#define RL_SAMPLE_EXP_H

#include <stdint.h>

/* y[i] = e^x[i] for x <= 0; 0 below -708 and for NaN. */
void rl_exp_neg(const double *x, uint32_t n, double *y);

/* y[i] = e^((logits[i] - max) / temperature), n a multiple of 8; y NULL: only the sum.
 * -> the sum, in 8 lanes folded + 4, + 2, + 1 */
double rl_exp_scaled(const float *logits, uint32_t n, float max, float temperature, double *y);

#endif
