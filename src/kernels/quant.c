/* Weight types: traits, sizes, half precision. */
#include "kernels/quant.h"

#include "base/assert.h"

#include <string.h>

/* clang-format off */
static const rl_type_traits traits[RL_TYPE_COUNT] = {
    [RL_TYPE_F32]     = { "F32",       1,   4, true,  RL_ACT_F32 },
    [RL_TYPE_F16]     = { "F16",       1,   2, true,  RL_ACT_F32 },
    [RL_TYPE_Q4_0]    = { "Q4_0",     32,  18, true,  RL_ACT_Q8 },
    [RL_TYPE_Q4_1]    = { "Q4_1",     32,  20, false, RL_ACT_F32 },
    [RL_TYPE_Q5_0]    = { "Q5_0",     32,  22, true,  RL_ACT_Q8 },
    [RL_TYPE_Q5_1]    = { "Q5_1",     32,  24, false, RL_ACT_F32 },
    [RL_TYPE_Q8_0]    = { "Q8_0",     32,  34, true,  RL_ACT_Q8 },
    [RL_TYPE_Q8_1]    = { "Q8_1",     32,  36, false, RL_ACT_F32 },
    [RL_TYPE_Q2_K]    = { "Q2_K",    256,  84, false, RL_ACT_F32 },
    [RL_TYPE_Q3_K]    = { "Q3_K",    256, 110, false, RL_ACT_F32 },
    [RL_TYPE_Q4_K]    = { "Q4_K",    256, 144, true,  RL_ACT_Q8 },
    [RL_TYPE_Q5_K]    = { "Q5_K",    256, 176, false, RL_ACT_F32 },
    [RL_TYPE_Q6_K]    = { "Q6_K",    256, 210, true,  RL_ACT_Q8 },
    [RL_TYPE_Q8_K]    = { "Q8_K",    256, 292, false, RL_ACT_F32 },
    [RL_TYPE_IQ2_XXS] = { "IQ2_XXS", 256,  66, false, RL_ACT_F32 },
    [RL_TYPE_IQ2_XS]  = { "IQ2_XS",  256,  74, false, RL_ACT_F32 },
    [RL_TYPE_IQ3_XXS] = { "IQ3_XXS", 256,  98, false, RL_ACT_F32 },
    [RL_TYPE_IQ1_S]   = { "IQ1_S",   256,  50, false, RL_ACT_F32 },
    [RL_TYPE_IQ4_NL]  = { "IQ4_NL",   32,  18, false, RL_ACT_F32 },
    [RL_TYPE_IQ3_S]   = { "IQ3_S",   256, 110, false, RL_ACT_F32 },
    [RL_TYPE_IQ2_S]   = { "IQ2_S",   256,  82, false, RL_ACT_F32 },
    [RL_TYPE_IQ4_XS]  = { "IQ4_XS",  256, 136, false, RL_ACT_F32 },
    [RL_TYPE_I8]      = { "I8",        1,   1, false, RL_ACT_F32 },
    [RL_TYPE_I16]     = { "I16",       1,   2, false, RL_ACT_F32 },
    [RL_TYPE_I32]     = { "I32",       1,   4, false, RL_ACT_F32 },
    [RL_TYPE_I64]     = { "I64",       1,   8, false, RL_ACT_F32 },
    [RL_TYPE_F64]     = { "F64",       1,   8, false, RL_ACT_F32 },
    [RL_TYPE_IQ1_M]   = { "IQ1_M",   256,  56, false, RL_ACT_F32 },
    [RL_TYPE_BF16]    = { "BF16",      1,   2, true,  RL_ACT_F32 },
    [RL_TYPE_TQ1_0]   = { "TQ1_0",   256,  54, false, RL_ACT_F32 },
    [RL_TYPE_TQ2_0]   = { "TQ2_0",   256,  66, false, RL_ACT_F32 },
    [RL_TYPE_MXFP4]   = { "MXFP4",    32,  17, false, RL_ACT_F32 },
    [RL_TYPE_NVFP4]   = { "NVFP4",    64,  36, false, RL_ACT_F32 },
    [RL_TYPE_Q1_0]    = { "Q1_0",    128,  18, false, RL_ACT_F32 },
};
/* clang-format on */

const rl_type_traits *rl_type_get(uint32_t type)
{
    if (type >= RL_TYPE_COUNT || !traits[type].name)
        return NULL;
    return &traits[type];
}

size_t rl_type_row_bytes(rl_type type, uint64_t k)
{
    const rl_type_traits *t = rl_type_get(type);

    if (!t || k % t->block || k / t->block > SIZE_MAX / t->block_bytes)
        return 0;
    return (size_t)(k / t->block) * t->block_bytes;
}

static uint32_t bits_of(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;

    memcpy(&f, &u, sizeof f);
    return f;
}

float rl_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 0x1f, man = h & 0x3ff;

    if (exp == 0) { /* zero or subnormal: man * 2^-24, exact in single precision */
        float f = (float)man * 0x1p-24f;

        return float_of(bits_of(f) | sign);
    }
    if (exp == 0x1f) /* the hardware quiets a signalling NaN, so does this */
        return float_of(sign | 0x7f800000 | man << 13 | (man ? 0x400000 : 0));
    return float_of(sign | (exp + 112) << 23 | man << 13);
}

/* Shifts the mantissa right by n (1..31), rounding to nearest even; a carry runs on into the
 * exponent, which is what rounding up past the largest mantissa means. */
static uint32_t shift_rne(uint32_t v, uint32_t n)
{
    uint32_t half = 1u << (n - 1), rest = v & ((half << 1) - 1);

    v >>= n;
    if (rest > half || (rest == half && (v & 1)))
        v++;
    return v;
}

uint16_t rl_f32_to_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, mag = u & 0x7fffffff;
    uint32_t exp = mag >> 23;

    if (mag > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 0x1ff));
    if (exp >= 143) /* 65536 and above, infinity */
        return (uint16_t)(sign | 0x7c00);
    if (exp >= 113)
        return (uint16_t)(sign | shift_rne(mag - (112u << 23), 13));
    if (exp < 102) /* below half of the smallest subnormal */
        return (uint16_t)sign;
    return (uint16_t)(sign | shift_rne((mag & 0x7fffff) | 0x800000, 126 - exp));
}

uint16_t rl_f32_to_bf16(float f)
{
    uint32_t u = bits_of(f);

    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)shift_rne(u, 16);
}
