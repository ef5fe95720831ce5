/* Private to x86/: 8 lanes of floats by the names that vec.h uses. For *_avx2.c files only. */
#ifndef RL_KERNELS_X86_LANES_AVX2_H
#define RL_KERNELS_X86_LANES_AVX2_H

#include "kernels/x86/exp_avx2.h"

#define LANES 8u
typedef __m256 vec;
typedef __m256i lanes_mask;

/* The first n % 8 lanes. */
static inline lanes_mask lanes_tail(uint32_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n % LANES)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#define vec_load(p)          _mm256_loadu_ps(p)
#define vec_store(p, v)      _mm256_storeu_ps(p, v)
#define vec_load_n(p, m)     _mm256_maskload_ps(p, m) /* hidden lanes: 0 */
#define vec_store_n(p, m, v) _mm256_maskstore_ps(p, m, v)
#define vec_all(x)           _mm256_set1_ps(x)
#define vec_add(a, b)        _mm256_add_ps(a, b)
#define vec_mul(a, b)        _mm256_mul_ps(a, b)
#define vec_div(a, b)        _mm256_div_ps(a, b)
#define vec_fma(a, b, c)     _mm256_fmadd_ps(a, b, c)
#define vec_fms(a, b, c)     _mm256_fmsub_ps(a, b, c)
#define vec_max(a, b)        _mm256_max_ps(a, b) /* b when one is NaN */
#define vec_negate(a)        _mm256_xor_ps(a, _mm256_set1_ps(-0.0f))
#define vec_exp(a)           exp_avx2(a)

#endif
