/* Matmul of the 32-block types with AVX2: the bits of ref/matmul.c (see tile_avx2.h). Q4_0 and Q5_0
 * keep their weights unsigned and take the bias off the total; Q8_0, whose biased bytes would
 * saturate, multiplies |w| by the activations with the sign of w. */
#include "kernels/x86/tile_avx2.h"

/* Reads lane groups g and g + 4 of a Q4_0 or Q5_0 block as unsigned bytes. */
RL_INLINE void load_groups(rl_type type, const uint8_t *q, int g, __m256i *low, __m256i *high)
{
    const __m256i nibble = _mm256_set1_epi8(15), fifth = _mm256_set1_epi8(16);
    __m256i v = rl_load_avx2(q + 64 * g), bits;

    *low = _mm256_and_si256(v, nibble);
    *high = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
    if (type == RL_TYPE_Q4_0)
        return;
    bits = rl_load_avx2(q + 256);
    *low = _mm256_or_si256(
        *low, _mm256_and_si256(_mm256_sll_epi16(bits, _mm_cvtsi32_si128(4 - g)), fifth));
    *high = _mm256_or_si256(*high,
                            _mm256_and_si256(_mm256_srl_epi16(bits, _mm_cvtsi32_si128(g)), fifth));
}

/* dot [n] = totals of a block of unsigned weights, bias taken off. */
RL_INLINE void dots_unsigned(rl_type type, uint32_t n, const uint8_t *q, const rl_tile_avx2 *t,
                             __m256i *dot)
{
    const int groups = type == RL_TYPE_Q4_0 ? 4 : 2; /* loads before widening */
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i part[RL_TILE_ROWS];

    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        dot[i] = _mm256_srai_epi32(_mm256_set1_epi32(rl_tile_row(t, i)->bias),
                                   type == RL_TYPE_Q4_0 ? 4 : 3);
    RL_UNROLL
    for (int g = 0; g < 4; g++) {
        __m256i low, high;

        load_groups(type, q, g, &low, &high);
        RL_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            const int8_t *x = rl_tile_row(t, i)->q + 4 * g;

            part[i] = g % groups
                          ? rl_add16_avx2(part[i], _mm256_maddubs_epi16(low, rl_broadcast4_avx2(x)))
                          : _mm256_maddubs_epi16(low, rl_broadcast4_avx2(x));
            part[i] =
                rl_add16_avx2(part[i], _mm256_maddubs_epi16(high, rl_broadcast4_avx2(x + 16)));
            if (g % groups == groups - 1)
                dot[i] = rl_add32_avx2(dot[i], _mm256_madd_epi16(part[i], ones));
        }
    }
}

RL_INLINE void dots_q8_0(uint32_t n, const uint8_t *q, const rl_tile_avx2 *t, __m256i *dot)
{
    const __m256i ones = _mm256_set1_epi16(1);

    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        dot[i] = _mm256_setzero_si256();
    RL_UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i w = _mm256_xor_si256(rl_load_avx2(q + 64 * g), _mm256_set1_epi8(-128));
        __m256i size = _mm256_abs_epi8(w);

        RL_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            __m256i x = _mm256_sign_epi8(rl_broadcast4_avx2(rl_tile_row(t, i)->q + 4 * g), w);

            dot[i] = rl_add32_avx2(dot[i], _mm256_madd_epi16(_mm256_maddubs_epi16(size, x), ones));
        }
    }
}

RL_INLINE void tile(rl_type type, uint32_t n, const uint8_t *panel, uint32_t half, uint32_t nb,
                    rl_tile_avx2 t)
{
    __m256 sum[RL_TILE_ROWS];
    __m256i dot[RL_TILE_ROWS];

    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        sum[i] = _mm256_setzero_ps();
    for (uint32_t b = 0; b < nb; b++, t.x += sizeof(rl_act32)) {
        const uint8_t *q = panel + rl_panel_body(type, b) + 32 * half;
        const uint8_t *scales = panel + rl_panel_scales(type, b) + 16 * half;
        __m256 d = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)scales));

        rl_tile_prefetch_avx2(&t, rl_panel_step(type) / 2 / 64 + 1);
        if (type == RL_TYPE_Q8_0)
            dots_q8_0(n, q, &t, dot);
        else
            dots_unsigned(type, n, q, &t, dot);
        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            sum[i] =
                _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[i]),
                                _mm256_mul_ps(d, _mm256_set1_ps(rl_tile_row(&t, i)->s)), sum[i]);
    }
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        _mm256_storeu_ps(t.out + i * t.ldo, sum[i]);
}

RL_MATMUL_OF_TILES(q4_0, RL_TYPE_Q4_0)
RL_MATMUL_OF_TILES(q5_0, RL_TYPE_Q5_0)
RL_MATMUL_OF_TILES(q8_0, RL_TYPE_Q8_0)
