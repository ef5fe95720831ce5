/* Quantisation of activation rows in plain C: the specification (rl_act32 in kernels.h). */
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/init.h"

/* Largest |x| by its bits: as unsigned numbers, NaN > infinity > every finite magnitude, so what is
 * not finite shows in the result whatever the order. */
static uint32_t max_bits(const float *x, uint32_t n)
{
    uint32_t max = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t u;

        memcpy(&u, &x[i], sizeof u);
        u &= 0x7fffffff;
        if (u > max)
            max = u;
    }
    return max;
}

/* Quantises n values to q and returns their scale. */
static float quantize(const float *x, uint32_t n, int8_t *q)
{
    uint32_t bits = max_bits(x, n);
    float max, s;

    memcpy(&max, &bits, sizeof max);
    s = max / 127.0f;
    if (bits >= 0x7f800000 || s < FLT_MIN) {
        memset(q, 0, n);
        return bits >= 0x7f800000 ? NAN : 0.0f;
    }
    for (uint32_t i = 0; i < n; i++)
        q[i] = (int8_t)rintf(x[i] * (1.0f / s));
    return s;
}

static int32_t sum(const int8_t *q, uint32_t n)
{
    int32_t total = 0;

    for (uint32_t i = 0; i < n; i++)
        total += q[i];
    return total;
}

void rl_quantize_row_ref(rl_acts *a, uint32_t row, const float *x)
{
    if (a->forms >> RL_ACT_F32 & 1)
        memmove(a->f32 + (size_t)row * a->k, x, a->k * sizeof *x);
    if (a->forms >> RL_ACT_Q8_32 & 1) {
        rl_act32 *r = rl_acts_q32(a, row);

        for (uint32_t b = 0; b < a->k / 32; b++, r++) {
            r->s = quantize(x + 32 * b, 32, r->q);
            r->bias = -128 * sum(r->q, 32);
        }
    }
    if (a->forms >> RL_ACT_Q8_256 & 1) {
        rl_act256 *r = rl_acts_q256(a, row);

        for (uint32_t b = 0; b < a->k / 256; b++, r++) {
            r->s = quantize(x + 256 * b, 256, r->q);
            for (uint32_t i = 0; i < 16; i++)
                r->bias16[i] = -32 * sum(r->q + 16 * i, 16);
            for (uint32_t i = 0; i < 8; i++)
                r->sum32[i] = (int16_t)sum(r->q + 32 * i, 32);
        }
    }
}
