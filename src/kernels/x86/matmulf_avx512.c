/* Matmul of F32, F16 and BF16 weights with AVX-512: the bits of ref/matmul.c. A tile is 16 outputs
 * times up to 6 activation rows, each with the four chains that the specification asks for. */
#include "kernels/x86/vnni_avx512.h"
#include "kernels/x86/x86.h"

#define MAX_TILE 6u

/* Column c of the panel as floats. */
RL_INLINE __m512 load_column(rl_type type, const uint8_t *panel, size_t c)
{
    if (type == RL_TYPE_F32)
        return _mm512_loadu_ps(panel + 64 * c);
    if (type == RL_TYPE_F16)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(panel + 32 * c)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(
        _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(panel + 32 * c))), 16));
}

RL_INLINE void add_column(rl_type type, uint32_t n, const uint8_t *panel, size_t c, const float *x,
                          size_t k, uint32_t chain, __m512 sum[][4])
{
    __m512 w = load_column(type, panel, c);

    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        sum[i][chain] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[i * k + c]), sum[i][chain]);
}

RL_INLINE void tile(rl_type type, uint32_t n, const uint8_t *panel, uint32_t k, const float *x,
                    float *out, size_t ldo)
{
    const size_t bytes = type == RL_TYPE_F32 ? 64 : 32; /* of a column */
    __m512 sum[MAX_TILE][4];
    size_t c;

    RL_UNROLL
    for (uint32_t i = 0; i < 4 * n; i++)
        sum[i / 4][i % 4] = _mm512_setzero_ps();
    for (c = 0; c + 4 <= k; c += 4) {
        RL_UNROLL
        for (size_t p = 0; p < 4 * bytes; p += 64)
            _mm_prefetch((const char *)panel + bytes * c + 4096 + p, _MM_HINT_T0);
        RL_UNROLL
        for (uint32_t j = 0; j < 4; j++)
            add_column(type, n, panel, c + j, x, k, j, sum);
    }
    if (c < k)
        add_column(type, n, panel, c, x, k, 0, sum);
    if (c + 1 < k)
        add_column(type, n, panel, c + 1, x, k, 1, sum);
    if (c + 2 < k)
        add_column(type, n, panel, c + 2, x, k, 2, sum);
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        _mm512_storeu_ps(out + i * ldo, _mm512_add_ps(_mm512_add_ps(sum[i][0], sum[i][1]),
                                                      _mm512_add_ps(sum[i][2], sum[i][3])));
}

RL_INLINE void matmul(rl_type type, const uint8_t *panel, uint32_t k, const rl_acts *a,
                      uint32_t row0, uint32_t row1, float *out, size_t ldo)
{
    for (uint32_t n; row0 < row1; row0 += n, out += n * ldo) {
        const float *x = a->f32 + (size_t)row0 * k;

        n = row1 - row0;
        if (n >= 6) {
            n = 6;
            tile(type, 6, panel, k, x, out, ldo);
        } else if (n >= 4) {
            n = 4;
            tile(type, 4, panel, k, x, out, ldo);
        } else if (n >= 2) {
            n = 2;
            tile(type, 2, panel, k, x, out, ldo);
        } else {
            tile(type, 1, panel, k, x, out, ldo);
        }
    }
}

#define ENTRY(type, name)                                                                          \
    RL_X86_MATMUL(name, avx512)                                                                    \
    {                                                                                              \
        matmul(type, panel, k, a, row0, row1, out, ldo);                                           \
    }

ENTRY(RL_TYPE_F32, f32)
ENTRY(RL_TYPE_F16, f16)
ENTRY(RL_TYPE_BF16, bf16)
