/* Dequantisation of file blocks: the definition of the weight types Realm computes with. The order
 * of the float operations is part of it (multiply by multiply, no fused operation). */
#include "kernels/quant.h"

#include "base/assert.h"

#include <string.h>

#include "kernels/panel.h"

static void dequant_f32(const uint8_t *b, size_t n, float *out)
{
    memcpy(out, b, n * sizeof *out);
}

static void dequant_f16(const uint8_t *b, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = rl_f16_to_f32(rl_load_u16(b + 2 * i));
}

static void dequant_bf16(const uint8_t *b, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = rl_bf16_to_f32(rl_load_u16(b + 2 * i));
}

/* { f16 d; u8 low nibbles of 0..15 | high nibbles of 16..31 } */
static void dequant_q4_0(const uint8_t *b, size_t n, float *out)
{
    for (; n; n -= 32, b += 18, out += 32) {
        float d = rl_f16_to_f32(rl_load_u16(b));

        for (int i = 0; i < 16; i++) {
            out[i] = (float)((b[2 + i] & 15) - 8) * d;
            out[i + 16] = (float)((b[2 + i] >> 4) - 8) * d;
        }
    }
}

/* { f16 d; u32 fifth bits; nibbles as in Q4_0 } */
static void dequant_q5_0(const uint8_t *b, size_t n, float *out)
{
    for (; n; n -= 32, b += 22, out += 32) {
        float d = rl_f16_to_f32(rl_load_u16(b));
        uint32_t high;

        memcpy(&high, b + 2, sizeof high);
        for (int i = 0; i < 16; i++) {
            int lo = (b[6 + i] & 15) | (int)(high >> i & 1) << 4;
            int hi = b[6 + i] >> 4 | (int)(high >> (i + 16) & 1) << 4;

            out[i] = (float)(lo - 16) * d;
            out[i + 16] = (float)(hi - 16) * d;
        }
    }
}

/* { f16 d; i8 q[32] } */
static void dequant_q8_0(const uint8_t *b, size_t n, float *out)
{
    for (; n; n -= 32, b += 34, out += 32) {
        float d = rl_f16_to_f32(rl_load_u16(b));

        for (int i = 0; i < 32; i++)
            out[i] = (float)(int8_t)b[2 + i] * d;
    }
}

void rl_q4_k_scales(const uint8_t *s, uint32_t i, uint8_t *scale, uint8_t *min)
{
    if (i < 4) {
        *scale = s[i] & 63;
        *min = s[i + 4] & 63;
    } else {
        *scale = (uint8_t)((s[i + 4] & 15) | (s[i - 4] >> 6) << 4);
        *min = (uint8_t)(s[i + 4] >> 4 | (s[i] >> 6) << 4);
    }
}

/* { f16 d, dmin; 6-bit scales and mins in 12 bytes; nibbles: 64 columns per 32 bytes } */
static void dequant_q4_k(const uint8_t *b, size_t n, float *out)
{
    for (; n; n -= 256, b += 144, out += 256) {
        float d = rl_f16_to_f32(rl_load_u16(b)), dmin = rl_f16_to_f32(rl_load_u16(b + 2));

        for (uint32_t s = 0; s < 8; s++) {
            const uint8_t *q = b + 16 + s / 2 * 32;
            uint8_t scale, min;
            float ds, dm;

            rl_q4_k_scales(b + 4, s, &scale, &min);
            ds = d * (float)scale;
            dm = dmin * (float)min;
            for (int i = 0; i < 32; i++)
                out[s * 32 + (uint32_t)i] = ds * (float)(s % 2 ? q[i] >> 4 : q[i] & 15) - dm;
        }
    }
}

uint8_t rl_q6_k_quant(const uint8_t *b, uint32_t c)
{
    uint32_t half = c / 128, quarter = c / 32 % 4, i = c % 32;
    uint8_t lo = b[half * 64 + quarter % 2 * 32 + i], hi = b[128 + half * 32 + i];

    lo = quarter < 2 ? lo & 15 : lo >> 4;
    return (uint8_t)(lo | (hi >> (2 * quarter) & 3) << 4);
}

/* { low nibbles [128]; high bits [64]; i8 scale per 16 [16]; f16 d } */
static void dequant_q6_k(const uint8_t *b, size_t n, float *out)
{
    for (; n; n -= 256, b += 210, out += 256) {
        float d = rl_f16_to_f32(rl_load_u16(b + 208));

        for (uint32_t c = 0; c < 256; c++)
            out[c] = d * (float)(int8_t)b[192 + c / 16] * (float)(rl_q6_k_quant(b, c) - 32);
    }
}

void rl_dequant(rl_type type, const void *blocks, size_t n, float *out)
{
    const rl_type_traits *t = rl_type_get(type);

    RL_ASSERT(t && t->compute && n % t->block == 0);
    switch (type) {
    case RL_TYPE_F32:
        dequant_f32(blocks, n, out);
        break;
    case RL_TYPE_F16:
        dequant_f16(blocks, n, out);
        break;
    case RL_TYPE_BF16:
        dequant_bf16(blocks, n, out);
        break;
    case RL_TYPE_Q4_0:
        dequant_q4_0(blocks, n, out);
        break;
    case RL_TYPE_Q5_0:
        dequant_q5_0(blocks, n, out);
        break;
    case RL_TYPE_Q8_0:
        dequant_q8_0(blocks, n, out);
        break;
    case RL_TYPE_Q4_K:
        dequant_q4_k(blocks, n, out);
        break;
    default: /* the assertion above left this one */
        dequant_q6_k(blocks, n, out);
        break;
    }
}
