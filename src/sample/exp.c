#include "sample/exp.h"

#include "kernels/exp.h"

#include <float.h>
#include <stdbool.h>
#include <string.h>

#define LANES  16u
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

/* The same in floats, by the polynomial of the kernels (kernels/exp.h). */
INLINE float exp_low(float x)
{
    float t = __builtin_fmaf(x, RL_EXP_LOG2E, RL_EXP_MAGIC), n = t - RL_EXP_MAGIC;
    float r = __builtin_fmaf(n, -RL_EXP_LN2_LO, __builtin_fmaf(n, -RL_EXP_LN2_HI, x));
    float p = RL_EXP_C6;
    uint32_t exponent, bits;

    p = __builtin_fmaf(p, r, RL_EXP_C5);
    p = __builtin_fmaf(p, r, RL_EXP_C4);
    p = __builtin_fmaf(p, r, RL_EXP_C3);
    p = __builtin_fmaf(p, r, RL_EXP_C2);
    p = __builtin_fmaf(p, r, 1.0f);
    p = __builtin_fmaf(p, r, 1.0f);
    memcpy(&exponent, &t, sizeof exponent);
    memcpy(&bits, &p, sizeof bits);
    bits += exponent << 23;
    bits &= 0u - (uint32_t)(x >= RL_EXP_MIN);
    memcpy(&p, &bits, sizeof p);
    return p;
}

/* Adds a group to the lanes. */
INLINE void add_group(const float *e, double *lanes)
{
    for (uint32_t j = 0; j < LANES; j++)
        lanes[j] += (double)((e[j] + e[j + 16]) + (e[j + 32] + e[j + 48]));
}

INLINE double fold(double *lanes)
{
    for (uint32_t width = LANES / 2; width > 0; width /= 2)
        for (uint32_t j = 0; j < width; j++)
            lanes[j] += lanes[j + width];
    return lanes[0];
}

INLINE double scaled_run(const float *logits, uint32_t n, float max, float per_temperature,
                         float *y)
{
    double lanes[LANES] = { 0 };
    float e[RL_EXP_GROUP];

    for (uint32_t i = 0; i < n; i += RL_EXP_GROUP) {
        for (uint32_t j = 0; j < RL_EXP_GROUP; j++)
            e[j] = exp_low((logits[i + j] - max) * per_temperature);
        add_group(e, lanes);
        if (y)
            memcpy(y + i, e, sizeof e);
    }
    return fold(lanes);
}

INLINE double better_run(const float *logits, uint32_t n, float max, float logit, uint32_t before)
{
    double lanes[LANES] = { 0 };
    float e[RL_EXP_GROUP];

    for (uint32_t i = 0; i < n; i += RL_EXP_GROUP) {
        for (uint32_t j = 0; j < RL_EXP_GROUP; j++) {
            float x = logits[i + j], y = exp_low(x - max);
            uint32_t bits, better = (x > logit) | ((x == logit) & (i + j < before));

            memcpy(&bits, &y, sizeof bits);
            bits &= 0u - better;
            memcpy(&e[j], &bits, sizeof bits);
        }
        add_group(e, lanes);
    }
    return fold(lanes);
}

#if defined(__x86_64__)
#define VECTORS __attribute__((target("avx2,fma")))

VECTORS static double scaled_avx2(const float *logits, uint32_t n, float max, float per_temperature,
                                  float *y)
{
    return scaled_run(logits, n, max, per_temperature, y);
}

VECTORS static double better_avx2(const float *logits, uint32_t n, float max, float logit,
                                  uint32_t before)
{
    return better_run(logits, n, max, logit, before);
}

static bool has_vectors(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

double rl_exp_scaled(const float *logits, uint32_t n, float max, float temperature, float *y)
{
    float per_temperature = 1.0f / temperature;

    per_temperature = per_temperature < FLT_MAX ? per_temperature : FLT_MAX; /* 0 times it is 0 */
#if defined(__x86_64__)
    if (has_vectors())
        return scaled_avx2(logits, n, max, per_temperature, y);
#endif
    return scaled_run(logits, n, max, per_temperature, y);
}

double rl_exp_better(const float *logits, uint32_t n, float max, float logit, uint32_t before)
{
#if defined(__x86_64__)
    if (has_vectors())
        return better_avx2(logits, n, max, logit, before);
#endif
    return better_run(logits, n, max, logit, before);
}

void rl_exp_neg(const double *x, uint32_t n, double *y)
{
    for (uint32_t i = 0; i < n; i++)
        y[i] = exp_neg(x[i]);
}
