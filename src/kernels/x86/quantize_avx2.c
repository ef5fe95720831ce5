/* Quantisation of activation rows with AVX2: the bits of ref/quantize.c. */
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

static uint32_t reduce_max(__m256i v)
{
    __m128i m = _mm_max_epu32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(m);
}

static uint32_t max_bits32(const float *x)
{
    __m256i max = _mm256_setzero_si256();

    for (int i = 0; i < 32; i += 8) {
        __m256i v = _mm256_castps_si256(_mm256_loadu_ps(x + i));

        max = _mm256_max_epu32(max, _mm256_and_si256(v, _mm256_set1_epi32(0x7fffffff)));
    }
    return reduce_max(max);
}

/* Rounds 32 values to bytes in order. */
static __m256i round32(const float *x, __m256 inverse)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i q[4];

    for (int i = 0; i < 4; i++)
        q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse));
    q[0] = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(q[0], order);
}

/* Sums of q [32] over its halves, in 32-bit lanes 0 and 4. */
static __m256i sums_of_16(__m256i q)
{
    __m256i t = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);

    t = _mm256_madd_epi16(t, _mm256_set1_epi16(1));
    t = _mm256_add_epi32(t, _mm256_shuffle_epi32(t, 0x4e));
    return _mm256_add_epi32(t, _mm256_shuffle_epi32(t, 0xb1));
}

static void block32(const float *x, rl_act32 *r)
{
    __m256i q = _mm256_setzero_si256(), sums;
    float inverse;
    int32_t low, high;

    scale_of(max_bits32(x), &r->s, &inverse);
    if (inverse > 0.0f) /* else x * inverse may be NaN */
        q = round32(x, _mm256_set1_ps(inverse));
    _mm256_storeu_si256((__m256i *)r->q, q);
    sums = sums_of_16(q);
    low = _mm_cvtsi128_si32(_mm256_castsi256_si128(sums));
    high = _mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1));
    r->sum = r->s * (float)(low + high);
    r->bias = -128 * (low + high);
    r->bias16[0] = -32 * low;
    r->bias16[1] = -32 * high;
}

void rl_quantize_row_avx2(rl_acts *a, uint32_t row, const float *x)
{
    if (a->forms >> RL_ACT_F32 & 1)
        memmove(a->f32 + (size_t)row * a->k, x, a->k * sizeof *x);
    if (a->forms >> RL_ACT_Q8 & 1)
        for (uint32_t b = 0; b < a->k / 32; b++)
            block32(x + 32 * b, rl_acts_q8(a, row) + b);
}
