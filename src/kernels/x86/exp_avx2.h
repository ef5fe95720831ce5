/* e^x in 8 lanes: exp.h with AVX2. For *_avx2.c files only. */
#ifndef RL_KERNELS_X86_EXP_AVX2_H
#define RL_KERNELS_X86_EXP_AVX2_H

#include "kernels/exp.h"

#include <float.h>
#include <immintrin.h>
#include <math.h>

/* For x <= RL_EXP_MAX or NaN. 2^n goes into the exponent, as in ref/exp.h. */
static inline __m256 exp_low_avx2(__m256 x)
{
    __m256 magic = _mm256_set1_ps(RL_EXP_MAGIC);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(RL_EXP_LOG2E), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(RL_EXP_LN2_HI), x);
    __m256 p = _mm256_set1_ps(RL_EXP_C6);

    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(RL_EXP_LN2_LO), r);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(RL_EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(RL_EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(RL_EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(RL_EXP_C2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
    p = _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(RL_EXP_MIN), _CMP_LT_OQ), p);
    return _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static inline __m256 exp_avx2(__m256 x)
{
    __m256 over = _mm256_cmp_ps(x, _mm256_set1_ps(RL_EXP_MAX), _CMP_GT_OQ);

    return _mm256_blendv_ps(exp_low_avx2(x), _mm256_set1_ps(FLT_MAX), over);
}

/* l[i] += l[i + 8], then + 4, + 2, + 1: the sum of a row's 16 lanes, low and high half. */
static inline float fold_avx2(__m256 low, __m256 high)
{
    __m256 a = _mm256_add_ps(low, high);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

#endif
