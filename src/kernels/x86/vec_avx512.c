/* Vector operations, AVX-512: what differs by width; the rest is vec.h. */
#include "kernels/attn.h"
#include "kernels/init.h"
#include "kernels/x86/lanes_avx512.h"
#include "kernels/x86/vec.h"

static void rmsnorm(const float *x, const float *w, float eps, uint32_t n, float *y)
{
    __m512 sum = _mm512_setzero_ps();
    __m512 r;

    for (uint32_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i);

        sum = _mm512_fmadd_ps(v, v, sum);
    }
    r = _mm512_set1_ps(1.0f /
                       _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(fold_avx512(sum) / (float)n + eps))));
    for (uint32_t i = 0; i < n; i += 16)
        _mm512_storeu_ps(
            y + i, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(x + i), r), _mm512_loadu_ps(w + i)));
}

/* Adjacent pairs, eight at a time. fmaddsub subtracts in the even lanes: a c - b s, and adds in the
 * odd ones: a s + b c. */
static void rope_norm(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t half,
                      const float *cos, const float *sin)
{
    __m512i cs = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    __m512i sc = _mm512_setr_epi32(16, 0, 17, 1, 18, 2, 19, 3, 20, 4, 21, 5, 22, 6, 23, 7);

    for (uint32_t i = 0; i < half; i += 8) {
        uint32_t left = half - i < 8 ? half - i : 8;
        __mmask16 m = (__mmask16)((1u << 2 * left) - 1);
        __mmask16 pairs = (__mmask16)((1u << left) - 1);
        __m512 c = _mm512_maskz_loadu_ps(pairs, cos + i), s = _mm512_maskz_loadu_ps(pairs, sin + i);
        __m512 f = _mm512_permutex2var_ps(c, cs, s), g = _mm512_permutex2var_ps(c, sc, s);

        for (uint32_t h = 0; h < n_heads; h++) {
            float *p = x + (size_t)h * head_dim + (size_t)2 * i;
            __m512 v = _mm512_maskz_loadu_ps(m, p);
            __m512 t = _mm512_mul_ps(_mm512_movehdup_ps(v), g);

            _mm512_mask_storeu_ps(p, m, _mm512_fmaddsub_ps(_mm512_moveldup_ps(v), f, t));
        }
    }
}

static void rope(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot, const float *cos,
                 const float *sin, rl_rope_kind kind)
{
    if (kind == RL_ROPE_NORM)
        rope_norm(x, n_heads, head_dim, n_rot / 2, cos, sin);
    else
        rope_neox(x, n_heads, head_dim, n_rot / 2, cos, sin);
}

void rl_kernels_init_avx512_vec(rl_kernels *kn)
{
    init_shared(kn);
    kn->rmsnorm = rmsnorm;
    kn->rope = rope;
    kn->attend = rl_kernels_attend_avx512;
}
