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
    float inverse;
    __m512i q0, q1;
    __mmask16 on;

    scale_of(_mm512_reduce_max_epu32(max), &r->s, &inverse);
    on = inverse > 0.0f ? 0xffff : 0;
    q0 = round16(x, on, _mm512_set1_ps(inverse));
    q1 = round16(x + 16, on, _mm512_set1_ps(inverse));
    _mm_storeu_si128((__m128i *)r->q, _mm512_cvtepi32_epi8(q0));
    _mm_storeu_si128((__m128i *)(r->q + 16), _mm512_cvtepi32_epi8(q1));
    r->bias = -128 * _mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1));
}

/* Sums over 16 of q [64], each in all four lanes of its 128 bits. */
static __m512i sums_of_16(const int8_t *q)
{
    __m512i t =
        _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_loadu_si512(q));

    t = _mm512_add_epi32(t, _mm512_shuffle_epi32(t, _MM_PERM_CDAB));
    return _mm512_add_epi32(t, _mm512_shuffle_epi32(t, _MM_PERM_BADC));
}

static void put_sums(rl_act256 *r)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14);
    __m512i sum = sums_of_16(r->q), sum32;

    sum = _mm512_mask_mov_epi32(sum, 0x2222, sums_of_16(r->q + 64));
    sum = _mm512_mask_mov_epi32(sum, 0x4444, sums_of_16(r->q + 128));
    sum = _mm512_mask_mov_epi32(sum, 0x8888, sums_of_16(r->q + 192));
    sum = _mm512_permutexvar_epi32(order, sum);
    _mm512_storeu_si512(r->bias16,
                        _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sum, 5)));
    sum32 = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_CDAB));
    sum32 = _mm512_permutexvar_epi32(even, sum32);
    _mm_storeu_si128((__m128i *)r->sum32, _mm256_castsi256_si128(_mm512_cvtepi32_epi16(sum32)));
}

static void block256(const float *x, rl_act256 *r)
{
    __m512i max = _mm512_setzero_si512();
    float inverse;
    __mmask16 on;

    for (int i = 0; i < 256; i += 16)
        max = _mm512_max_epu32(max, magnitude(_mm512_loadu_ps(x + i)));
    scale_of(_mm512_reduce_max_epu32(max), &r->s, &inverse);
    on = inverse > 0.0f ? 0xffff : 0;
    for (int i = 0; i < 256; i += 16)
        _mm_storeu_si128((__m128i *)(r->q + i),
                         _mm512_cvtepi32_epi8(round16(x + i, on, _mm512_set1_ps(inverse))));
    put_sums(r);
}

void rl_quantize_row_avx512(rl_acts *a, uint32_t row, const float *x)
{
    if (a->forms >> RL_ACT_F32 & 1)
        memmove(a->f32 + (size_t)row * a->k, x, a->k * sizeof *x);
    if (a->forms >> RL_ACT_Q8_32 & 1)
        for (uint32_t b = 0; b < a->k / 32; b++)
            block32(x + 32 * b, rl_acts_q32(a, row) + b);
    if (a->forms >> RL_ACT_Q8_256 & 1)
        for (uint32_t b = 0; b < a->k / 256; b++)
            block256(x + 256 * b, rl_acts_q256(a, row) + b);
}
