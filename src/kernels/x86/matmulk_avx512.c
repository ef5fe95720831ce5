/* Matmul of the 256-block types with AVX-512 VNNI: the bits of ref/matmul.c.
 *
 * A tile is 16 outputs (a panel) times n activation rows, with n dot products of the current
 * sub-block and n sums of the block in registers; the sums over the row live in `out`, which is
 * touched once per 256 columns. Quants are unpacked again for every tile. */
#include "kernels/x86/vnni_avx512.h"

/* Scales and mins of a block of a panel, in lanes. */
typedef struct block_scales {
    __m512i scale[16]; /* Q4_K: 8 */
    __m512 min[8];     /* Q4_K */
    __m512 d, dmin;
} block_scales;

/* ---- unpacking ------------------------------------------------------------------------------- */

RL_INLINE __m512i byte_of_lane(__m512i v, int byte)
{
    const __m512i pick = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 4, 8, 12));

    return _mm512_maskz_shuffle_epi8(0x1111111111111111, v,
                                     _mm512_add_epi8(pick, _mm512_set1_epi8((char)byte)));
}

/* Low 4 bits from `low` (moved down by `down`), bits 4-5 from `high`. */
RL_INLINE __m512i join(__m512i low, __m512i high)
{
    return _mm512_ternarylogic_epi32(high, _mm512_set1_epi8(0x30),
                                     _mm512_and_si512(low, _mm512_set1_epi8(15)), 0xea);
}

RL_INLINE void scales_q4_k(const uint8_t *body, block_scales *s)
{
    static const int order[4] = { 0, 2, 1, 3 }; /* rl_q4_k_lane */
    __m512i high = _mm512_load_si512(body + 128);

    RL_UNROLL
    for (int h = 0; h < 2; h++) {
        __m512i low = _mm512_load_si512(body + 64 * h);
        __m512i sc = join(low, h ? high : _mm512_slli_epi16(high, 4));
        __m512i mn = join(_mm512_srli_epi16(low, 4),
                          h ? _mm512_srli_epi16(high, 2) : _mm512_slli_epi16(high, 2));

        RL_UNROLL
        for (int i = 0; i < 4; i++) {
            s->scale[4 * h + i] = byte_of_lane(sc, order[i]);
            s->min[4 * h + i] = _mm512_cvtepi32_ps(byte_of_lane(mn, order[i]));
        }
    }
}

/* Scales, mins and d of block b, in lanes. */
RL_INLINE void load_scales(rl_type type, const uint8_t *panel, uint32_t b, block_scales *s)
{
    const uint8_t *body = panel + rl_panel_body(type, b), *d = panel + rl_panel_scales(type, b);

    s->d = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)d));
    if (type == RL_TYPE_Q4_K) {
        s->dmin = _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(d + 32)));
        scales_q4_k(body, s);
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

/* Adds to out [n] what the sums of a block come to; the tile stands at the block's first run. */
RL_INLINE void finish_block(rl_type type, uint32_t n, const block_scales *s, const __m512 *sum,
                            const rl_tile_rows *t, bool first)
{
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        const rl_act32 *row = rl_tile_row(t, i);
        float *at = t->out + i * t->ldo;
        __m512 out = first ? _mm512_setzero_ps() : _mm512_loadu_ps(at);

        out = _mm512_fmadd_ps(s->d, sum[i], out);
        if (type == RL_TYPE_Q4_K) {
            __m512 mins = _mm512_setzero_ps();

            RL_UNROLL
            for (int r = 0; r < 8; r++)
                mins = _mm512_fmadd_ps(s->min[r], _mm512_set1_ps(row[r].sum), mins);
            out = _mm512_fnmadd_ps(s->dmin, mins, out);
        }
        _mm512_storeu_ps(at, out);
    }
}

/* total [n] = dot products of sub-block `half` of the run (Q4_K: of the whole run), times its
 * scale; of the second half, added. A group is unpacked right before its use: no registers are
 * left to keep several. */
RL_INLINE void sub_block(rl_type type, uint32_t n, const uint8_t *run, uint32_t half, __m512i scale,
                         const rl_tile_rows *t, __m512i *total)
{
    const uint32_t groups = type == RL_TYPE_Q4_K ? 8 : 4;
    __m512i dot[RL_TILE_ROWS];

    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        dot[i] = type == RL_TYPE_Q4_K ? _mm512_setzero_si512()
                                      : _mm512_set1_epi32(rl_tile_row(t, i)->bias16[half]);
    RL_UNROLL
    for (uint32_t g = 0; g < groups; g++) {
        __m512i w = load_group(type, run, (int)(half + g / 4), g % 4);

        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            dot[i] = rl_dot4_avx512(dot[i], w, rl_tile_row(t, i)->q + 4 * (4 * half + g));
    }
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        dot[i] = _mm512_mullo_epi32(dot[i], scale);
        total[i] = half ? _mm512_add_epi32(total[i], dot[i]) : dot[i];
    }
}

/* Adds run r (32 columns) to sum [n]. */
RL_INLINE void add_run(rl_type type, uint32_t n, const uint8_t *run, uint32_t r,
                       const block_scales *s, const rl_tile_rows *t, __m512 *sum)
{
    __m512i total[RL_TILE_ROWS];

    if (type == RL_TYPE_Q4_K) {
        sub_block(type, n, run, 0, s->scale[r], t, total);
    } else {
        sub_block(type, n, run, 0, s->scale[2 * r], t, total);
        sub_block(type, n, run, 1, s->scale[2 * r + 1], t, total);
    }
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        sum[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[i]), _mm512_set1_ps(rl_tile_row(t, i)->s),
                                 sum[i]);
}

RL_INLINE void tile(rl_type type, uint32_t n, const uint8_t *panel, uint32_t nb, rl_tile_rows t)
{
    const size_t lines = rl_panel_step(type) / 8 / 64 + 1;
    __m512 sum[RL_TILE_ROWS];
    block_scales s;

    rl_tile_prefetch_out(&t, n);
    for (uint32_t b = 0; b < nb; b++) {
        const uint8_t *run = first_run(type, panel, b);
        rl_tile_rows at = t;

        load_scales(type, panel, b, &s);
        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            sum[i] = _mm512_setzero_ps();
        for (uint32_t r = 0; r < 8; r++, run += run_bytes(type), t.x += sizeof(rl_act32)) {
            rl_tile_prefetch(&t, lines);
            add_run(type, n, run, r, &s, &t, sum);
        }
        finish_block(type, n, &s, sum, &at, b == 0);
    }
}

RL_MATMUL_OF_TILES(q4_k, RL_TYPE_Q4_K, RL_TILE_ROWS, 3)
RL_MATMUL_OF_TILES(q6_k, RL_TYPE_Q6_K, 8, 1) /* its unpacking needs more registers */
