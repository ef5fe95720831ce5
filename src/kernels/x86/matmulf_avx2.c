/* Matmul of F32, F16 and BF16 weights with AVX2: the bits of ref/matmul.c. A tile is 8 outputs
 * (half a panel) times up to 3 activation rows, each with the four chains that the specification
 * asks for. */
#include <immintrin.h>

#include "kernels/x86/x86.h"

#define RL_INLINE static inline __attribute__((always_inline))
#define RL_UNROLL _Pragma("GCC unroll 16")
#define MAX_TILE  3u

/* Column c of half `h` (0, 1) of the panel as floats. */
RL_INLINE __m256 load_column(rl_type type, const uint8_t *panel, size_t c, uint32_t h)
{
    if (type == RL_TYPE_F32)
        return _mm256_loadu_ps((const float *)(const void *)(panel + 64 * c + 32 * h));
    if (type == RL_TYPE_F16)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(panel + 32 * c + 16 * h)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(
        _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(panel + 32 * c + 16 * h))), 16));
}

RL_INLINE void add_column(rl_type type, uint32_t n, const uint8_t *panel, size_t c, uint32_t h,
                          const float *x, size_t k, uint32_t chain, __m256 sum[][4])
{
    __m256 w = load_column(type, panel, c, h);

    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        sum[i][chain] = _mm256_fmadd_ps(w, _mm256_set1_ps(x[i * k + c]), sum[i][chain]);
}

RL_INLINE void tile(rl_type type, uint32_t n, const uint8_t *panel, uint32_t k, uint32_t h,
                    const float *x, float *out, size_t ldo)
{
    __m256 sum[MAX_TILE][4];
    size_t c;

    RL_UNROLL
    for (uint32_t i = 0; i < 4 * n; i++)
        sum[i / 4][i % 4] = _mm256_setzero_ps();
    for (c = 0; c + 4 <= k; c += 4) {
        RL_UNROLL
        for (uint32_t j = 0; j < 4; j++)
            add_column(type, n, panel, c + j, h, x, k, j, sum);
    }
    if (c < k)
        add_column(type, n, panel, c, h, x, k, 0, sum);
    if (c + 1 < k)
        add_column(type, n, panel, c + 1, h, x, k, 1, sum);
    if (c + 2 < k)
        add_column(type, n, panel, c + 2, h, x, k, 2, sum);
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        _mm256_storeu_ps(out + i * ldo, _mm256_add_ps(_mm256_add_ps(sum[i][0], sum[i][1]),
                                                      _mm256_add_ps(sum[i][2], sum[i][3])));
}

RL_INLINE void matmul(rl_type type, const uint8_t *panel, uint32_t k, const rl_acts *a,
                      uint32_t row0, uint32_t row1, float *out, size_t ldo)
{
    for (uint32_t n; row0 < row1; row0 += n, out += n * ldo) {
        const float *x = a->f32 + (size_t)row0 * k;

        n = row1 - row0 < MAX_TILE ? row1 - row0 : MAX_TILE;
        for (uint32_t h = 0; h < 2; h++) {
            if (n == 3)
                tile(type, 3, panel, k, h, x, out + 8 * h, ldo);
            else if (n == 2)
                tile(type, 2, panel, k, h, x, out + 8 * h, ldo);
            else
                tile(type, 1, panel, k, h, x, out + 8 * h, ldo);
        }
    }
}

#define ENTRY(type, name)                                                                          \
    RL_X86_MATMUL(name, avx2)                                                                      \
    {                                                                                              \
        matmul(type, panel, k, a, row0, row1, out, ldo);                                           \
    }

ENTRY(RL_TYPE_F32, f32)
ENTRY(RL_TYPE_F16, f16)
ENTRY(RL_TYPE_BF16, bf16)
