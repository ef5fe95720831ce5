/* e^x in 16 lanes: exp.h with AVX-512. For *_avx512.c files only. */
#ifndef RL_KERNELS_X86_EXP_AVX512_H
#define RL_KERNELS_X86_EXP_AVX512_H

#include "kernels/exp.h"

#include <float.h>
#include <immintrin.h>
#include <math.h>

/* For x <= RL_EXP_MAX or NaN. scalef is exact here: the result is normal, or masked to 0. */
static inline __m512 exp_low_avx512(__m512 x)
{
    __m512 magic = _mm512_set1_ps(RL_EXP_MAGIC);
    __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(RL_EXP_LOG2E), magic), magic);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(RL_EXP_LN2_HI), x);
    __m512 p = _mm512_set1_ps(RL_EXP_C6);

    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(RL_EXP_LN2_LO), r);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(RL_EXP_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(RL_EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(RL_EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(RL_EXP_C2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(RL_EXP_MIN), _CMP_NLT_UQ), p,
                                  n);
}

static inline __m512 exp_avx512(__m512 x)
{
    __mmask16 over = _mm512_cmp_ps_mask(x, _mm512_set1_ps(RL_EXP_MAX), _CMP_GT_OQ);

    return _mm512_mask_mov_ps(exp_low_avx512(x), over, _mm512_set1_ps(FLT_MAX));
}

/* l[i] += l[i + 8], then + 4, + 2, + 1: the sum of a row's 16 lanes. */
static inline float fold_avx512(__m512 l)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(l), _mm512_extractf32x8_ps(l, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

#endif
