/* Private to x86/: 16 lanes of floats by the names that vec.h uses. For *_avx512.c files only. */
#ifndef RL_KERNELS_X86_LANES_AVX512_H
#define RL_KERNELS_X86_LANES_AVX512_H

#include "kernels/x86/exp_avx512.h"

#define LANES 16u
typedef __m512 vec;
typedef __mmask16 lanes_mask;

/* The first n % 16 lanes. */
static inline lanes_mask lanes_tail(uint32_t n)
{
    return (lanes_mask)((1u << n % LANES) - 1);
}

#define vec_load(p)          _mm512_loadu_ps(p)
#define vec_store(p, v)      _mm512_storeu_ps(p, v)
#define vec_load_n(p, m)     _mm512_maskz_loadu_ps(m, p) /* hidden lanes: 0 */
#define vec_store_n(p, m, v) _mm512_mask_storeu_ps(p, m, v)
#define vec_all(x)           _mm512_set1_ps(x)
#define vec_add(a, b)        _mm512_add_ps(a, b)
#define vec_mul(a, b)        _mm512_mul_ps(a, b)
#define vec_div(a, b)        _mm512_div_ps(a, b)
#define vec_fma(a, b, c)     _mm512_fmadd_ps(a, b, c)
#define vec_fms(a, b, c)     _mm512_fmsub_ps(a, b, c)
#define vec_max(a, b)        _mm512_max_ps(a, b) /* b when one is NaN */
#define vec_negate(a)        _mm512_xor_ps(a, _mm512_set1_ps(-0.0f))
#define vec_exp(a)           exp_avx512(a)

#endif
