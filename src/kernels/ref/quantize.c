/* Quantisation of activation rows in plain C: the specification (rl_act32 in kernels.h). */
#include "kernels/kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/init.h"

/* Largest |x| by its bits: as unsigned numbers, NaN > infinity > every finite magnitude, so what is
 * not finite shows in the result whatever the order. */
static uint32_t max_bits(const float *x)
{
    uint32_t max = 0;

    for (uint32_t i = 0; i < 32; i++) {
        uint32_t u;

        memcpy(&u, &x[i], sizeof u);
        u &= 0x7fffffff;
        if (u > max)
            max = u;
    }
    return max;
}

/* Quantises x [32] to q and returns the scale. */
static float quantize(const float *x, int8_t *q)
{
    uint32_t bits = max_bits(x);
    float max, s;

    memcpy(&max, &bits, sizeof max);
    s = max / 127.0f;
    if (bits >= 0x7f800000 || s < FLT_MIN) {
        memset(q, 0, 32);
        return bits >= 0x7f800000 ? NAN : 0.0f;
    }
    for (uint32_t i = 0; i < 32; i++)
        q[i] = (int8_t)rintf(x[i] * (1.0f / s));
    return s;
}

static int32_t sum(const int8_t q[16])
{
    int32_t total = 0;

    for (uint32_t i = 0; i < 16; i++)
        total += q[i];
    return total;
}

void rl_quantize_row_ref(rl_acts *a, uint32_t row, const float *x)
{
    if (a->forms >> RL_ACT_F32 & 1)
        memmove(a->f32 + (size_t)row * a->k, x, a->k * sizeof *x);
    if (a->forms >> RL_ACT_Q8 & 1) {
        rl_act32 *r = rl_acts_q8(a, row);

        for (uint32_t b = 0; b < a->k / 32; b++, r++) {
            int32_t low, high;

            r->s = quantize(x + 32 * b, r->q);
            low = sum(r->q);
            high = sum(r->q + 16);
            r->sum = r->s * (float)(low + high);
            r->bias = -128 * (low + high);
            r->bias16[0] = -32 * low;
            r->bias16[1] = -32 * high;
        }
    }
}
