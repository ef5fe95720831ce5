/* e^x in plain C: the definition of exp.h spelled out. */
#ifndef RL_KERNELS_REF_EXP_H
#define RL_KERNELS_REF_EXP_H

#include "kernels/exp.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float exp_ref(float x)
{
    static const float c[] = { RL_EXP_C5, RL_EXP_C4, RL_EXP_C3, RL_EXP_C2, 1.0f, 1.0f };
    float t, n, r, p = RL_EXP_C6;
    uint32_t tb, pb;

    if (x != x)
        return x;
    if (x < RL_EXP_MIN)
        return 0.0f;
    if (x > RL_EXP_MAX)
        return FLT_MAX;
    t = fmaf(x, RL_EXP_LOG2E, RL_EXP_MAGIC);
    n = t - RL_EXP_MAGIC;
    r = fmaf(n, -RL_EXP_LN2_HI, x);
    r = fmaf(n, -RL_EXP_LN2_LO, r);
    for (int i = 0; i < 6; i++)
        p = fmaf(p, r, c[i]);
    /* p * 2^n by adding n to the exponent: the low bits of t hold n in two's complement. */
    memcpy(&tb, &t, sizeof tb);
    memcpy(&pb, &p, sizeof pb);
    pb += tb << 23;
    memcpy(&p, &pb, sizeof p);
    return p;
}

#endif
