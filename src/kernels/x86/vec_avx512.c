/* Vector operations, AVX-512. Whole vectors first, then one masked tail; the bits are those of
 * ref/vec.c. */
#include "kernels/attn.h"
#include "kernels/init.h"
#include "kernels/x86/exp_avx512.h"

/* The lanes of the last, partial vector of n elements. */
static __mmask16 tail_mask(uint32_t n)
{
    return (__mmask16)((1u << n % 16) - 1);
}

static void rmsnorm_avx512(const float *x, const float *w, float eps, uint32_t n, float *y)
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

static void add_avx512(float *y, const float *x, uint32_t n)
{
    __mmask16 m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_add_ps(_mm512_loadu_ps(y + i), _mm512_loadu_ps(x + i)));
    if (m)
        _mm512_mask_storeu_ps(
            y + i, m,
            _mm512_add_ps(_mm512_maskz_loadu_ps(m, y + i), _mm512_maskz_loadu_ps(m, x + i)));
}

static void scale_avx512(float *y, float s, uint32_t n)
{
    __m512 v = _mm512_set1_ps(s);
    __mmask16 m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_mul_ps(_mm512_loadu_ps(y + i), v));
    if (m)
        _mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(_mm512_maskz_loadu_ps(m, y + i), v));
}

/* x / (1 + e^w) * up */
static inline __m512 gate16(__m512 x, __m512 w, __m512 up)
{
    __m512 den = _mm512_add_ps(_mm512_set1_ps(1.0f), exp_avx512(w));

    return _mm512_mul_ps(_mm512_div_ps(x, den), up);
}

static inline __m512 silu16(__m512 x, __m512 up)
{
    return gate16(x, _mm512_xor_ps(x, _mm512_set1_ps(-0.0f)), up);
}

static inline __m512 gelu16(__m512 x, __m512 up)
{
    __m512 cube = _mm512_mul_ps(_mm512_mul_ps(x, x), x);
    __m512 w = _mm512_fmadd_ps(cube, _mm512_set1_ps(RL_GELU_CUBE), x);

    return gate16(x, _mm512_mul_ps(w, _mm512_set1_ps(RL_GELU_W)), up);
}

static void silu_mul_avx512(const float *gate, const float *up, uint32_t n, float *out)
{
    __mmask16 m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 16 <= n; i += 16)
        _mm512_storeu_ps(out + i, silu16(_mm512_loadu_ps(gate + i), _mm512_loadu_ps(up + i)));
    if (m)
        _mm512_mask_storeu_ps(
            out + i, m,
            silu16(_mm512_maskz_loadu_ps(m, gate + i), _mm512_maskz_loadu_ps(m, up + i)));
}

static void gelu_mul_avx512(const float *gate, const float *up, uint32_t n, float *out)
{
    __mmask16 m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 16 <= n; i += 16)
        _mm512_storeu_ps(out + i, gelu16(_mm512_loadu_ps(gate + i), _mm512_loadu_ps(up + i)));
    if (m)
        _mm512_mask_storeu_ps(
            out + i, m,
            gelu16(_mm512_maskz_loadu_ps(m, gate + i), _mm512_maskz_loadu_ps(m, up + i)));
}

static void exp_n_avx512(const float *x, uint32_t n, float *y)
{
    __mmask16 m = tail_mask(n);
    uint32_t i;

    for (i = 0; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, exp_avx512(_mm512_loadu_ps(x + i)));
    if (m)
        _mm512_mask_storeu_ps(y + i, m, exp_avx512(_mm512_maskz_loadu_ps(m, x + i)));
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

static void rope_neox(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t half,
                      const float *cos, const float *sin)
{
    for (uint32_t i = 0; i < half; i += 16) {
        __mmask16 m = half - i < 16 ? tail_mask(half) : (__mmask16)0xffff;
        __m512 c = _mm512_maskz_loadu_ps(m, cos + i), s = _mm512_maskz_loadu_ps(m, sin + i);

        for (uint32_t h = 0; h < n_heads; h++) {
            float *p = x + (size_t)h * head_dim + i;
            __m512 a = _mm512_maskz_loadu_ps(m, p), b = _mm512_maskz_loadu_ps(m, p + half);

            _mm512_mask_storeu_ps(p, m, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
            _mm512_mask_storeu_ps(p + half, m, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)));
        }
    }
}

static void rope_avx512(float *x, uint32_t n_heads, uint32_t head_dim, uint32_t n_rot,
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
    __m512 low = _mm512_set1_ps(-INFINITY);
    __m512 best[4] = { low, low, low, low };
    uint32_t i = 0;

    for (; i + 64 <= n; i += 64) {
        best[0] = _mm512_max_ps(_mm512_loadu_ps(x + i), best[0]);
        best[1] = _mm512_max_ps(_mm512_loadu_ps(x + i + 16), best[1]);
        best[2] = _mm512_max_ps(_mm512_loadu_ps(x + i + 32), best[2]);
        best[3] = _mm512_max_ps(_mm512_loadu_ps(x + i + 48), best[3]);
    }
    for (; i < n; i += 16) {
        __mmask16 m = n - i < 16 ? tail_mask(n) : (__mmask16)0xffff;

        best[0] = _mm512_max_ps(_mm512_mask_loadu_ps(low, m, x + i), best[0]);
    }
    best[0] = _mm512_max_ps(_mm512_max_ps(best[0], best[1]), _mm512_max_ps(best[2], best[3]));
    return _mm512_reduce_max_ps(best[0]);
}

#define ARGMAX_CHUNK 1024u

/* One pass for the value, which also remembers the chunk, then a search in that chunk alone. */
static uint32_t argmax_avx512(const float *x, uint32_t n)
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

void rl_kernels_init_avx512_vec(rl_kernels *kn)
{
    kn->rmsnorm = rmsnorm_avx512;
    kn->add = add_avx512;
    kn->scale = scale_avx512;
    kn->silu_mul = silu_mul_avx512;
    kn->gelu_mul = gelu_mul_avx512;
    kn->rope = rope_avx512;
    kn->attend = rl_kernels_attend_avx512;
    kn->exp = exp_n_avx512;
    kn->argmax = argmax_avx512;
}
