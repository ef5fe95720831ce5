/* Vector operations, AVX2 + FMA: what differs by width; the rest is vec.h. */
#include "kernels/attn.h"
#include "kernels/init.h"
#include "kernels/x86/lanes_avx2.h"
#include "kernels/x86/vec.h"

static void rmsnorm(const float *x, const float *w, float eps, uint32_t n, float *y)
{
    __m256 low = _mm256_setzero_ps(), high = low;
    __m256 r;

    for (uint32_t i = 0; i < n; i += 16) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);

        low = _mm256_fmadd_ps(a, a, low);
        high = _mm256_fmadd_ps(b, b, high);
    }
    r = _mm256_set1_ps(
        1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(fold_avx2(low, high) / (float)n + eps))));
    for (uint32_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(
            y + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), r), _mm256_loadu_ps(w + i)));
}

/* (c0 c1 c2 c3) -> (c0 c0 c1 c1 c2 c2 c3 c3) */
static __m256 twice(__m128 v)
{
    return _mm256_set_m128(_mm_unpackhi_ps(v, v), _mm_unpacklo_ps(v, v));
}

/* fmaddsub subtracts in the even lanes: a c - b s, and adds in the odd ones: a s + b c. */
static inline __m256 turn_norm(__m256 v, __m256 f, __m256 g)
{
    __m256 t = _mm256_mul_ps(_mm256_movehdup_ps(v), g);

    return _mm256_fmaddsub_ps(_mm256_moveldup_ps(v), f, t);
}

/* Adjacent pairs, four at a time. Masked stores are slow on some CPUs: only where a tail needs one.
 */
static void rope_norm(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t half,
                      const float *cos, const float *sin)
{
    for (uint32_t i = 0; i < half; i += 4) {
        uint32_t left = half - i;
        __m256i m = lanes_tail(left < 4 ? 2 * left : 0);
        __m128i pairs = _mm_cmpgt_epi32(_mm_set1_epi32((int)left), _mm_setr_epi32(0, 1, 2, 3));
        __m256 c = twice(_mm_maskload_ps(cos + i, pairs));
        __m256 s = twice(_mm_maskload_ps(sin + i, pairs));
        __m256 f = _mm256_blend_ps(c, s, 0xaa), g = _mm256_blend_ps(s, c, 0xaa);

        for (uint32_t h = 0; h < n_heads; h++) {
            float *p = x + (size_t)h * head_dim + (size_t)2 * i;

            if (left >= 4)
                _mm256_storeu_ps(p, turn_norm(_mm256_loadu_ps(p), f, g));
            else
                _mm256_maskstore_ps(p, m, turn_norm(_mm256_maskload_ps(p, m), f, g));
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

void rl_kernels_init_avx2_vec(rl_kernels *kn)
{
    init_shared(kn);
    kn->rmsnorm = rmsnorm;
    kn->rope = rope;
    kn->kv_put = rl_kernels_kv_put_avx2;
    kn->attend = rl_kernels_attend_avx2;
}
