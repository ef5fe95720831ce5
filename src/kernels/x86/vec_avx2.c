/* Vector operations, AVX2 + FMA. Whole vectors first, then one masked tail; the bits are those of
 * ref/vec.c. */
#include "kernels/attn.h"
#include "kernels/init.h"
#include "kernels/x86/exp_avx2.h"

/* The first n % 8 lanes. */
static __m256i tail_mask(uint32_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n % 8)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static void rmsnorm_avx2(const float *x, const float *w, float eps, uint32_t n, float *y)
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

static void add_avx2(float *y, const float *x, uint32_t n)
{
    __m256i m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    if (i < n)
        _mm256_maskstore_ps(
            y + i, m, _mm256_add_ps(_mm256_maskload_ps(y + i, m), _mm256_maskload_ps(x + i, m)));
}

static void scale_avx2(float *y, float s, uint32_t n)
{
    __m256 v = _mm256_set1_ps(s);
    __m256i m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), v));
    if (i < n)
        _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(_mm256_maskload_ps(y + i, m), v));
}

/* x / (1 + e^w) * up */
static inline __m256 gate8(__m256 x, __m256 w, __m256 up)
{
    __m256 den = _mm256_add_ps(_mm256_set1_ps(1.0f), exp_avx2(w));

    return _mm256_mul_ps(_mm256_div_ps(x, den), up);
}

static inline __m256 silu8(__m256 x, __m256 up)
{
    return gate8(x, _mm256_xor_ps(x, _mm256_set1_ps(-0.0f)), up);
}

static inline __m256 gelu8(__m256 x, __m256 up)
{
    __m256 cube = _mm256_mul_ps(_mm256_mul_ps(x, x), x);
    __m256 w = _mm256_fmadd_ps(cube, _mm256_set1_ps(RL_GELU_CUBE), x);

    return gate8(x, _mm256_mul_ps(w, _mm256_set1_ps(RL_GELU_W)), up);
}

static void silu_mul_avx2(const float *gate, const float *up, uint32_t n, float *out)
{
    __m256i m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, silu8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    if (i < n)
        _mm256_maskstore_ps(out + i, m,
                            silu8(_mm256_maskload_ps(gate + i, m), _mm256_maskload_ps(up + i, m)));
}

static void gelu_mul_avx2(const float *gate, const float *up, uint32_t n, float *out)
{
    __m256i m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, gelu8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    if (i < n)
        _mm256_maskstore_ps(out + i, m,
                            gelu8(_mm256_maskload_ps(gate + i, m), _mm256_maskload_ps(up + i, m)));
}

static void exp_n_avx2(const float *x, uint32_t n, float *y)
{
    __m256i m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, exp_avx2(_mm256_loadu_ps(x + i)));
    if (i < n)
        _mm256_maskstore_ps(y + i, m, exp_avx2(_mm256_maskload_ps(x + i, m)));
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
        __m256i m = tail_mask(left < 4 ? 2 * left : 0);
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

static void rope_neox(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t half,
                      const float *cos, const float *sin)
{
    uint32_t i;
    __m256i m = tail_mask(half);

    for (i = 0; i + 8 <= half; i += 8) {
        __m256 c = _mm256_loadu_ps(cos + i), s = _mm256_loadu_ps(sin + i);

        for (uint32_t h = 0; h < n_heads; h++) {
            float *p = x + (size_t)h * head_dim + i;
            __m256 a = _mm256_loadu_ps(p), b = _mm256_loadu_ps(p + half);

            _mm256_storeu_ps(p, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
            _mm256_storeu_ps(p + half, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
        }
    }
    for (uint32_t h = 0; i < half && h < n_heads; h++) {
        float *p = x + (size_t)h * head_dim + i;
        __m256 c = _mm256_maskload_ps(cos + i, m), s = _mm256_maskload_ps(sin + i, m);
        __m256 a = _mm256_maskload_ps(p, m), b = _mm256_maskload_ps(p + half, m);

        _mm256_maskstore_ps(p, m, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_maskstore_ps(p + half, m, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
    }
}

static void rope_avx2(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot,
                      const float *cos, const float *sin, rl_rope_kind kind)
{
    if (kind == RL_ROPE_NORM)
        rope_norm(x, n_heads, head_dim, n_rot / 2, cos, sin);
    else
        rope_neox(x, n_heads, head_dim, n_rot / 2, cos, sin);
}

/* The largest of x[0..n), NaN left out; -inf when there is nothing else. max(a, b) answers b when a
 * is NaN, so `best` stays clean. */
static float largest(const float *x, uint32_t n)
{
    __m256 low = _mm256_set1_ps(-INFINITY);
    __m256 best[4] = { low, low, low, low };
    float lane[8], top = -INFINITY;
    uint32_t i = 0;

    for (; i + 32 <= n; i += 32) {
        best[0] = _mm256_max_ps(_mm256_loadu_ps(x + i), best[0]);
        best[1] = _mm256_max_ps(_mm256_loadu_ps(x + i + 8), best[1]);
        best[2] = _mm256_max_ps(_mm256_loadu_ps(x + i + 16), best[2]);
        best[3] = _mm256_max_ps(_mm256_loadu_ps(x + i + 24), best[3]);
    }
    best[0] = _mm256_max_ps(_mm256_max_ps(best[0], best[1]), _mm256_max_ps(best[2], best[3]));
    _mm256_storeu_ps(lane, best[0]);
    for (uint32_t k = 0; k < 8; k++)
        top = lane[k] > top ? lane[k] : top;
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

#define ARGMAX_CHUNK 1024u

/* One pass for the value, which also remembers the chunk, then a search in that chunk alone. */
static uint32_t argmax_avx2(const float *x, uint32_t n)
{
    float best = -INFINITY;
    uint32_t at = 0, end;

    for (uint32_t i = 0; i < n; i = end) {
        end = n - i < ARGMAX_CHUNK ? n : i + ARGMAX_CHUNK;
        float top = largest(x + i, end - i);

        if (top > best) {
            best = top;
            at = i;
        }
    }
    while (at < n && !(x[at] == best))
        at++;
    return at < n ? at : 0;
}

void rl_kernels_init_avx2_vec(rl_kernels *kn)
{
    kn->rmsnorm = rmsnorm_avx2;
    kn->add = add_avx2;
    kn->scale = scale_avx2;
    kn->silu_mul = silu_mul_avx2;
    kn->gelu_mul = gelu_mul_avx2;
    kn->rope = rope_avx2;
    kn->kv_put = rl_kernels_kv_put_avx2;
    kn->attend = rl_kernels_attend_avx2;
    kn->exp = exp_n_avx2;
    kn->argmax = argmax_avx2;
}
