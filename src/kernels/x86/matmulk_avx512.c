/* Matmul of the 256-block types with AVX-512 VNNI: the bits of ref/matmul.c.
 *
 * A tile is 16 outputs (a panel) times n activation rows, with n dot products of the current
 * sub-block and n totals of the block in registers; the float sums live in `out`, which is touched
 * once per 256 columns. Few rows read the packed weights directly; for many rows the panel is
 * spread once: quants to bytes, scales and mins to lanes. */
#include <immintrin.h>

#include "kernels/panel.h"
#include "kernels/x86/vnni_avx512.h"
#include "kernels/x86/x86.h"

#define Q4_K_TILE 12u
#define Q6_K_TILE 8u /* its unpacking needs more registers */

/* Scales and mins of a block of a panel, in lanes. */
typedef struct block_scales {
    __m512i scale[16]; /* Q4_K: 8 */
    __m512i mins[4];   /* Q4_K: 16-bit pairs of sub-blocks (0, 1), (2, 3) .. */
    __m512 d, dmin;
} block_scales;

/* ---- unpacking ------------------------------------------------------------------------------- */

RL_INLINE __m512i byte_of_lane(__m512i v, int byte)
{
    return _mm512_and_si512(_mm512_srl_epi32(v, _mm_cvtsi32_si128(8 * byte)),
                            _mm512_set1_epi32(255));
}

/* Low 4 bits from `low` (moved down by `down`), bits 4-5 from `high`. */
RL_INLINE __m512i join(__m512i low, __m512i high)
{
    return _mm512_ternarylogic_epi32(high, _mm512_set1_epi8(0x30),
                                     _mm512_and_si512(low, _mm512_set1_epi8(15)), 0xea);
}

RL_INLINE void scales_q4_k(const uint8_t *body, __m512i *scale, __m512i *mins)
{
    const __m512i pairs = _mm512_set1_epi32(0x00ff00ff);
    __m512i high = _mm512_load_si512(body + 128);

    RL_UNROLL
    for (int h = 0; h < 2; h++) {
        __m512i low = _mm512_load_si512(body + 64 * h);
        __m512i sc = join(low, h ? high : _mm512_slli_epi16(high, 4));
        __m512i mn = join(_mm512_srli_epi16(low, 4),
                          h ? _mm512_srli_epi16(high, 2) : _mm512_slli_epi16(high, 2));

        scale[4 * h] = byte_of_lane(sc, 0);
        scale[4 * h + 1] = byte_of_lane(sc, 2);
        scale[4 * h + 2] = byte_of_lane(sc, 1);
        scale[4 * h + 3] = byte_of_lane(sc, 3);
        mins[2 * h] = _mm512_and_si512(mn, pairs);
        mins[2 * h + 1] = _mm512_and_si512(_mm512_srli_epi32(mn, 8), pairs);
    }
}

/* Scales, mins and d of block b, in lanes. */
RL_INLINE void load_scales(rl_type type, const uint8_t *panel, uint32_t b, block_scales *s)
{
    const uint8_t *body = panel + rl_panel_body(type, b), *d = panel + rl_panel_scales(type, b);

    s->d = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)d));
    if (type == RL_TYPE_Q4_K) {
        s->dmin = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(d + 32)));
        scales_q4_k(body, s->scale, s->mins);
        return;
    }
    RL_UNROLL
    for (int i = 0; i < 16; i++)
        s->scale[i] = _mm512_cvtepi8_epi32(_mm_load_si128((const __m128i *)(body + 16 * i)));
}

/* Lane group g (0..3) of half h of a packed run of 32 columns, as unsigned bytes. */
RL_INLINE __m512i load_group(rl_type type, const uint8_t *run, int h, int g)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i v = _mm512_load_si512(run + g * 64), high;

    if (h)
        v = _mm512_srli_epi16(v, 4);
    if (type == RL_TYPE_Q4_K)
        return _mm512_and_si512(v, nibble);
    high = _mm512_load_si512(run + 256 + 64 * h);
    if (g == 0)
        high = _mm512_slli_epi16(high, 4);
    else if (g == 1)
        high = _mm512_slli_epi16(high, 2);
    else if (g == 3)
        high = _mm512_srli_epi16(high, 2);
    return join(v, high);
}

RL_INLINE size_t run_bytes(rl_type type)
{
    return type == RL_TYPE_Q4_K ? 256 : RL_Q6_K_RUN;
}

RL_INLINE const uint8_t *first_run(rl_type type, const uint8_t *panel, uint32_t b)
{
    return panel + rl_panel_body(type, b) +
           (type == RL_TYPE_Q4_K ? RL_Q4_K_QUANTS : RL_Q6_K_QUANTS);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

RL_INLINE const rl_act256 *row_at(const rl_tile_rows *t, uint32_t i)
{
    return (const rl_act256 *)(const void *)(t->x + i * t->stride);
}

/* Adds to out [n] what the totals of a block come to. */
RL_INLINE void finish_block(rl_type type, uint32_t n, const block_scales *s, const __m512i *total,
                            const rl_tile_rows *t, bool first)
{
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        const rl_act256 *row = row_at(t, i);
        float *out = t->out + i * t->ldo;
        __m512 sum = first ? _mm512_setzero_ps() : _mm512_loadu_ps(out);
        __m512 v = _mm512_cvtepi32_ps(total[i]);

        if (type == RL_TYPE_Q4_K) {
            __m512i mins = _mm512_setzero_si512();

            RL_UNROLL
            for (int p = 0; p < 4; p++)
                mins = rl_dot2_avx512(mins, s->mins[p], row->sum32 + 2 * p);
            v = _mm512_fmsub_ps(s->d, v, _mm512_mul_ps(s->dmin, _mm512_cvtepi32_ps(mins)));
        } else {
            v = _mm512_mul_ps(s->d, v);
        }
        _mm512_storeu_ps(out, _mm512_fmadd_ps(_mm512_set1_ps(row->s), v, sum));
    }
}

/* Adds to total [n] sub-block `sub` of the block, in the run of 32 columns at `run`: dot products
 * times the scale. A group is unpacked right before its use: no registers are left to keep several.
 */
RL_INLINE void sub_block(rl_type type, uint32_t n, const uint8_t *run, uint32_t half, uint32_t sub,
                         __m512i scale, const rl_tile_rows *t, __m512i *total)
{
    const uint32_t groups = type == RL_TYPE_Q4_K ? 8 : 4;
    __m512i dot[RL_TILE_ROWS];

    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        dot[i] = type == RL_TYPE_Q4_K ? _mm512_setzero_si512()
                                      : _mm512_set1_epi32(row_at(t, i)->bias16[sub]);
    RL_UNROLL
    for (uint32_t g = 0; g < groups; g++) {
        __m512i w = load_group(type, run, (int)(half + g / 4), g % 4);

        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            dot[i] = rl_dot4_avx512(dot[i], w, row_at(t, i)->q + 4 * (groups * sub + g));
    }
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        total[i] = _mm512_add_epi32(total[i], _mm512_mullo_epi32(dot[i], scale));
}

RL_INLINE void tile(rl_type type, uint32_t n, const uint8_t *panel, uint32_t nb, rl_tile_rows t)
{
    const size_t lines = rl_panel_step(type) / 8 / 64 + 1;
    __m512i total[RL_TILE_ROWS];
    block_scales s;

    rl_tile_prefetch_out(&t, n);
    for (uint32_t b = 0; b < nb; b++, t.x += sizeof(rl_act256)) {
        const uint8_t *run = first_run(type, panel, b);

        load_scales(type, panel, b, &s);
        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            total[i] = _mm512_setzero_si512();
        for (uint32_t r = 0; r < 8; r++, run += run_bytes(type)) {
            rl_tile_prefetch(&t, lines);
            if (type == RL_TYPE_Q4_K) {
                sub_block(type, n, run, 0, r, s.scale[r], &t, total);
            } else {
                sub_block(type, n, run, 0, 2 * r, s.scale[2 * r], &t, total);
                sub_block(type, n, run, 1, 2 * r + 1, s.scale[2 * r + 1], &t, total);
            }
        }
        finish_block(type, n, &s, total, &t, b == 0);
    }
}

#define tiles_q4_k_form(...) tile(RL_TYPE_Q4_K, __VA_ARGS__)
#define tiles_q6_k_form(...) tile(RL_TYPE_Q6_K, __VA_ARGS__)

RL_TILES(tiles_q4_k)
RL_TILES(tiles_q6_k)

RL_INLINE void matmul(rl_type type, const rl_tile_fn *tiles, uint32_t tile_rows,
                      const uint8_t *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                      uint32_t row1, float *out, size_t ldo)
{
    rl_tile_rows t = { .x = a->q256 + row0 * a->q256_stride,
                       .stride = a->q256_stride,
                       .out = out,
                       .ldo = ldo,
                       .step = rl_panel_step(type) / 8 };

    rl_run_tiles_avx512(tiles, tile_rows, type == RL_TYPE_Q4_K ? 3 : 1, panel,
                        rl_panel_bytes(type, k), k / 256, row1 - row0, t);
}

void rl_matmul_q4_k_avx512(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                           uint32_t row1, float *out, size_t ldo)
{
    matmul(RL_TYPE_Q4_K, tiles_q4_k, Q4_K_TILE, panel, k, a, row0, row1, out, ldo);
}

void rl_matmul_q6_k_avx512(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,
                           uint32_t row1, float *out, size_t ldo)
{
    matmul(RL_TYPE_Q6_K, tiles_q6_k, Q6_K_TILE, panel, k, a, row0, row1, out, ldo);
}
