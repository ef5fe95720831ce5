#include "sample/exp.h"

#include <string.h>

#define LANES  8u
#define BLOCK  64u
#define INLINE static inline __attribute__((always_inline))

/* exp(x) for x <= 0: 2^n times the Taylor series of exp(r) up to r^12, |r| <= ln(2) / 2, whose
 * remainder is under 2e-16. Adding 1.5 * 2^52 rounds to an integer that stands in the low bits.
 * Written so that a loop over it becomes vector code; element by element the operations are the
 * same whatever the vectors' width. */
INLINE double exp_neg(double x)
{
    double round = x * 0x1.71547652b82fep+0 + 0x1.8p52;
    double n = round - 0x1.8p52;
    double r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;
    double p = 1.0 / 479001600, scale;
    uint64_t bits;

    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 1.0 / 2;
    p = p * r + 1.0;
    p = p * r + 1.0;
    memcpy(&bits, &round, sizeof bits);
    bits = (bits << 52) + ((uint64_t)1023 << 52);
    memcpy(&scale, &bits, sizeof scale);
    p *= scale;
    memcpy(&bits, &p, sizeof bits);
    bits &= (uint64_t)0 - (uint64_t)(x >= -708.0); /* no branch: one would keep it scalar */
    memcpy(&p, &bits, sizeof p);
    return p;
}

/* n a multiple of LANES */
INLINE double exp_run(const float *logits, uint32_t n, double max, double per_temperature,
                      double *y)
{
    double lanes[LANES] = { 0 }, block[BLOCK];

    for (uint32_t i = 0; i < n; i += BLOCK) {
        uint32_t m = n - i < BLOCK ? n - i : BLOCK;

        for (uint32_t j = 0; j < m; j++)
            block[j] = exp_neg(((double)logits[i + j] - max) * per_temperature);
        for (uint32_t j = 0; j < m; j += LANES)
            for (uint32_t k = 0; k < LANES; k++)
                /* m is a multiple of LANES: NOLINTNEXTLINE(clang-analyzer-core.*) */
                lanes[k] += block[j + k];
        if (y)
            memcpy(y + i, block, m * sizeof *block);
    }
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

static double exp_plain(const float *logits, uint32_t n, double max, double per_temperature,
                        double *y)
{
    return exp_run(logits, n, max, per_temperature, y);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static double exp_avx2(const float *logits, uint32_t n, double max,
                                                       double per_temperature, double *y)
{
    return exp_run(logits, n, max, per_temperature, y);
}
#endif

double rl_exp_scaled(const float *logits, uint32_t n, float max, float temperature, double *y)
{
    double per_temperature = 1.0 / (double)temperature; /* finite: every float above 0 has one */

#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return exp_avx2(logits, n, (double)max, per_temperature, y);
#endif
    return exp_plain(logits, n, (double)max, per_temperature, y);
}

void rl_exp_neg(const double *x, uint32_t n, double *y)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = exp_neg(x[i]);
}
