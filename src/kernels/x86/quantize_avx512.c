/* Quantisation of activation rows with AVX-512: the bits of ref/quantize.c. */
#include "kernels/kernels.h"

#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/x86/x86.h"

/* The scale for the largest magnitude given as bits, and 1 / scale; both 0 when the block counts as
 * zero, (NaN, 0) when it is not finite. */
static void scale_of(uint32_t bits, float *s, float *inverse)
{
    float max;

    memcpy(&max, &bits, sizeof max);
    *s = max / 127.0f;
    *inverse = 0.0f;
    if (bits >= 0x7f800000)
        *s = NAN;
    else if (*s < FLT_MIN)
        *s = 0.0f;
    else
        *inverse = 1.0f / *s;
}

static __m512i magnitude(__m512 x)
{
    return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
}

/* Rounds 16 values; the mask is empty for blocks that count as zero, where x * inverse may be NaN.
 */
static __m512i round16(const float *x, __mmask16 on, __m512 inverse)
{
    return _mm512_maskz_cvtps_epi32(on, _mm512_mul_ps(_mm512_loadu_ps(x), inverse));
}

static void block32(const float *x, rl_act32 *r)
{
    __m512i max =
        _mm512_max_epu32(magnitude(_mm512_loadu_ps(x)), magnitude(_mm512_loadu_ps(x + 16)));
    int32_t low, high;
    float inverse;
    __m512i q0, q1;
    __mmask16 on;

    scale_of(_mm512_reduce_max_epu32(max), &r->s, &inverse);
    on = inverse > 0.0f ? 0xffff : 0;
    q0 = round16(x, on, _mm512_set1_ps(inverse));
    q1 = round16(x + 16, on, _mm512_set1_ps(inverse));
    _mm_storeu_si128((__m128i *)r->q, _mm512_cvtepi32_epi8(q0));
    _mm_storeu_si128((__m128i *)(r->q + 16), _mm512_cvtepi32_epi8(q1));
    low = _mm512_reduce_add_epi32(q0);
    high = _mm512_reduce_add_epi32(q1);
    r->sum = r->s * (float)(low + high);
    r->bias = -128 * (low + high);
    r->bias16[0] = -32 * low;
    r->bias16[1] = -32 * high;
}

void rl_quantize_row_avx512(rl_acts *a, uint32_t row, const float *x)
{
    if (a->forms >> RL_ACT_F32 & 1)
        memmove(a->f32 + (size_t)row * a->k, x, a->k * sizeof *x);
    if (a->forms >> RL_ACT_Q8 & 1)
        for (uint32_t b = 0; b < a->k / 32; b++)
            block32(x + 32 * b, rl_acts_q8(a, row) + b);
}
