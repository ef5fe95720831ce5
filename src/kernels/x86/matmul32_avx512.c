/* Matmul of the 32-block types with AVX-512 VNNI: the bits of ref/matmul.c.
 *
 * A tile is 16 outputs (a panel) times n activation rows: n integer and n float accumulators. One
 * load of a lane group serves n `vpdpbusd` whose other operand is 4 activations of a row broadcast
 * from memory. The instruction wants unsigned weights, so they stay biased and the accumulator
 * starts at minus the bias times the sum of the activations (rl_act32.bias). Nibbles are
 * unpacked again for every tile: that costs less than to write bytes out and to read them back. */
#include "kernels/panel.h"
#include "kernels/x86/vnni_avx512.h"
#include "kernels/x86/x86.h"

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

RL_INLINE const rl_act32 *row_at(const rl_tile_rows *t, uint32_t i)
{
    return (const rl_act32 *)(const void *)(t->x + i * t->stride);
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
            dot[i] = start(type, row_at(&t, i));
        RL_UNROLL
        for (uint32_t g = 0; g < 4; g++) {
            __m512i low, high;

            load_groups(type, q, g, &low, &high);
            RL_UNROLL
            for (uint32_t i = 0; i < n; i++)
                dot[i] = rl_dot4_avx512(dot[i], low, row_at(&t, i)->q + 4 * g);
            RL_UNROLL
            for (uint32_t i = 0; i < n; i++)
                dot[i] = rl_dot4_avx512(dot[i], high, row_at(&t, i)->q + 4 * g + 16);
        }
        d = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(panel + rl_panel_scales(type, b))));
        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            sum[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]),
                                     _mm512_mul_ps(d, _mm512_set1_ps(row_at(&t, i)->s)), sum[i]);
    }
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        _mm512_storeu_ps(t.out + i * t.ldo, sum[i]);
}

#define tiles_q4_0_form(...) tile(RL_TYPE_Q4_0, __VA_ARGS__)
#define tiles_q5_0_form(...) tile(RL_TYPE_Q5_0, __VA_ARGS__)
#define tiles_q8_0_form(...) tile(RL_TYPE_Q8_0, __VA_ARGS__)

RL_TILES(tiles_q4_0)
RL_TILES(tiles_q5_0)
RL_TILES(tiles_q8_0)

RL_INLINE void matmul(rl_type type, const rl_tile_fn *tiles, const uint8_t *panel, uint32_t k,
                      const rl_acts *a, uint32_t row0, uint32_t row1, float *out, size_t ldo)
{
    rl_tile_rows t = { .x = a->q8 + row0 * a->q8_stride,
                       .stride = a->q8_stride,
                       .out = out,
                       .ldo = ldo,
                       .step = rl_panel_step(type) };

    rl_run_tiles_avx512(tiles, RL_TILE_ROWS, type == RL_TYPE_Q8_0 ? 3 : 1, panel,
                        rl_panel_bytes(type, k), k / 32, row1 - row0, t);
}

void rl_matmul_q4_0_avx512(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                           uint32_t row1, float *out, size_t ldo)
{
    matmul(RL_TYPE_Q4_0, tiles_q4_0, panel, k, a, row0, row1, out, ldo);
}

void rl_matmul_q5_0_avx512(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                           uint32_t row1, float *out, size_t ldo)
{
    matmul(RL_TYPE_Q5_0, tiles_q5_0, panel, k, a, row0, row1, out, ldo);
}

void rl_matmul_q8_0_avx512(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                           uint32_t row1, float *out, size_t ldo)
{
    matmul(RL_TYPE_Q8_0, tiles_q8_0, panel, k, a, row0, row1, out, ldo);
}
