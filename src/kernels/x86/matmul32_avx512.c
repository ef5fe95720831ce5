/* Matmul of the 32-block types with AVX-512 VNNI: the bits of ref/matmul.c.
 *
 * A tile is 16 outputs (a panel) times n activation rows: n integer and n float accumulators. One
 * load of a lane group serves n `vpdpbusd` whose other operand is 4 activations of a row broadcast
 * from memory. The instruction wants unsigned weights, so they stay biased and the accumulator
 * starts at minus the bias times the sum of the activations (rl_act32.bias). Nibbles are
 * unpacked again for every tile: that costs less than to write bytes out and to read them back. */
#include "kernels/x86/vnni_avx512.h"

/* Reads lane groups g and g + 4 of a block as unsigned bytes. */
RL_INLINE void load_groups(rl_type type, const uint8_t *q, uint32_t g, __m512i *low, __m512i *high)
{
    const __m512i nibble = _mm512_set1_epi8(15), fifth = _mm512_set1_epi8(16);
    __m512i v = _mm512_load_si512(q + g * RL_GROUP_BYTES);

    if (type == RL_TYPE_Q8_0) {
        *low = v;
        *high = _mm512_load_si512(q + (g + 4) * RL_GROUP_BYTES);
        return;
    }
    *low = _mm512_and_si512(v, nibble);
    *high = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);
    if (type == RL_TYPE_Q5_0) { /* 0xea: (a & b) | c */
        __m512i bits = _mm512_load_si512(q + 256);

        *low = _mm512_ternarylogic_epi32(_mm512_slli_epi16(bits, (int)(4 - g)), fifth, *low, 0xea);
        *high = _mm512_ternarylogic_epi32(_mm512_srli_epi16(bits, (int)g), fifth, *high, 0xea);
    }
}

/* -bias * sum of q from -128 * sum of q. */
RL_INLINE __m512i start(rl_type type, const rl_act32 *x)
{
    __m512i bias = _mm512_set1_epi32(x->bias);

    if (type == RL_TYPE_Q4_0)
        return _mm512_srai_epi32(bias, 4);
    if (type == RL_TYPE_Q5_0)
        return _mm512_srai_epi32(bias, 3);
    return bias;
}

RL_INLINE void tile(rl_type type, uint32_t n, const uint8_t *panel, uint32_t nb, rl_tile_rows t)
{
    __m512 sum[RL_TILE_ROWS];
    __m512i dot[RL_TILE_ROWS];

    rl_tile_prefetch_out(&t, n);
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        sum[i] = _mm512_setzero_ps();
    for (uint32_t b = 0; b < nb; b++, t.x += sizeof(rl_act32)) {
        const uint8_t *q = panel + rl_panel_body(type, b);
        __m512 d;

        rl_tile_prefetch(&t, rl_panel_step(type) / 64 + 1);
        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            dot[i] = start(type, rl_tile_row(&t, i));
        RL_UNROLL
        for (uint32_t g = 0; g < 4; g++) {
            __m512i low, high;

            load_groups(type, q, g, &low, &high);
            RL_UNROLL
            for (uint32_t i = 0; i < n; i++)
                dot[i] = rl_dot4_avx512(dot[i], low, rl_tile_row(&t, i)->q + 4 * g);
            RL_UNROLL
            for (uint32_t i = 0; i < n; i++)
                dot[i] = rl_dot4_avx512(dot[i], high, rl_tile_row(&t, i)->q + 4 * g + 16);
        }
        d = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(panel + rl_panel_scales(type, b))));
        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            sum[i] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]),
                                _mm512_mul_ps(d, _mm512_set1_ps(rl_tile_row(&t, i)->s)), sum[i]);
    }
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        _mm512_storeu_ps(t.out + i * t.ldo, sum[i]);
}

RL_MATMUL_OF_TILES(q4_0, RL_TYPE_Q4_0, RL_TILE_ROWS, 1)
RL_MATMUL_OF_TILES(q5_0, RL_TYPE_Q5_0, RL_TILE_ROWS, 1)
RL_MATMUL_OF_TILES(q8_0, RL_TYPE_Q8_0, RL_TILE_ROWS, 3)
