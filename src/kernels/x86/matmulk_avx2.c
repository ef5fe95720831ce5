/* Matmul of the 256-block types with AVX2: the bits of ref/matmul.c (see tile_avx2.h). The scale of
 * a sub-block is multiplied in by the instruction that widens to 32 bits. */
#include "kernels/x86/tile_avx2.h"

/* Scales of half a panel, one block, in lanes. */
typedef struct block_scales {
    __m256i pair[16]; /* the scale in both 16-bit halves of its lane */
    __m256i lane[16]; /* Q6_K: in 32 bits */
    __m256 min[8];    /* Q4_K */
    __m256 d, dmin;
} block_scales;

/* Byte `i` of each lane, in 32 bits. */
RL_INLINE __m256i byte_of_lane(__m256i v, int i)
{
    const __m256i pick = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 4, 8, 12));

    return _mm256_shuffle_epi8(v, _mm256_or_si256(_mm256_add_epi32(pick, _mm256_set1_epi32(i)),
                                                  _mm256_set1_epi32((int)0x80808000u)));
}

/* A 16-bit number in both halves of its lane. */
RL_INLINE __m256i pair_of(__m256i v)
{
    return _mm256_or_si256(_mm256_slli_epi32(v, 16),
                           _mm256_and_si256(v, _mm256_set1_epi32(0xffff)));
}

RL_INLINE void scales_q4_k(const uint8_t *body, block_scales *s)
{
    static const int order[4] = { 0, 2, 1, 3 }; /* rl_q4_k_lane */
    const __m256i nibble = _mm256_set1_epi8(15), two = _mm256_set1_epi8(0x30);
    __m256i high = rl_load_avx2(body + 128);

    RL_UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i low = rl_load_avx2(body + 64 * h);
        __m256i sc = h ? high : _mm256_slli_epi16(high, 4);
        __m256i mn = h ? _mm256_srli_epi16(high, 2) : _mm256_slli_epi16(high, 2);

        sc = _mm256_or_si256(_mm256_and_si256(low, nibble), _mm256_and_si256(sc, two));
        mn = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(low, 4), nibble),
                             _mm256_and_si256(mn, two));
        RL_UNROLL
        for (int i = 0; i < 4; i++) {
            s->pair[4 * h + i] = pair_of(byte_of_lane(sc, order[i]));
            s->min[4 * h + i] = _mm256_cvtepi32_ps(byte_of_lane(mn, order[i]));
        }
    }
}

RL_INLINE void load_scales(rl_type type, const uint8_t *panel, uint32_t half, uint32_t b,
                           block_scales *s)
{
    const uint8_t *body = panel + rl_panel_body(type, b);
    const uint8_t *d = panel + rl_panel_scales(type, b) + 16 * half;

    s->d = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)d));
    if (type == RL_TYPE_Q4_K) {
        s->dmin = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(d + 32)));
        scales_q4_k(body + 32 * half, s);
        return;
    }
    for (int i = 0; i < 16; i++) {
        s->lane[i] =
            _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(body + 16 * i + 8 * half)));
        s->pair[i] = pair_of(s->lane[i]);
    }
}

/* Lane group g (0..3) of half h of a run of 32 columns, as unsigned bytes. */
RL_INLINE __m256i load_group(rl_type type, const uint8_t *run, int h, int g)
{
    __m256i v = rl_load_avx2(run + 64 * g), high;

    if (h)
        v = _mm256_srli_epi16(v, 4);
    v = _mm256_and_si256(v, _mm256_set1_epi8(15));
    if (type == RL_TYPE_Q4_K)
        return v;
    high = rl_load_avx2(run + 256 + 64 * h);
    if (g == 0)
        high = _mm256_slli_epi16(high, 4);
    else if (g == 1)
        high = _mm256_slli_epi16(high, 2);
    else if (g == 3)
        high = _mm256_srli_epi16(high, 2);
    return _mm256_or_si256(v, _mm256_and_si256(high, _mm256_set1_epi8(0x30)));
}

/* total [n] = run r of 32 columns. Q4_K may add up all 8 groups in 16 bits, Q6_K two. */
RL_INLINE void run_totals(rl_type type, uint32_t n, const uint8_t *run, uint32_t r,
                          const block_scales *s, const rl_tile_avx2 *t, __m256i *total)
{
    const int groups = type == RL_TYPE_Q4_K ? 8 : 2;
    __m256i part[RL_TILE_ROWS];

    RL_UNROLL
    for (int g = 0; g < 8; g++) {
        const uint32_t sub = type == RL_TYPE_Q4_K ? r : 2 * r + (uint32_t)g / 4;
        __m256i w = load_group(type, run, g / 4, g % 4);

        RL_UNROLL
        for (uint32_t i = 0; i < n; i++) {
            const rl_act32 *x = rl_tile_row(t, i);
            __m256i p = _mm256_maddubs_epi16(w, rl_broadcast4_avx2(x->q + 4 * g));

            part[i] = g % groups ? rl_add16_avx2(part[i], p) : p;
            if (g % groups == groups - 1) {
                p = _mm256_madd_epi16(part[i], s->pair[sub]);
                total[i] = g == groups - 1 ? p : rl_add32_avx2(total[i], p);
            }
            if (type == RL_TYPE_Q6_K && g % 4 == 3)
                total[i] = rl_add32_avx2(
                    total[i],
                    _mm256_mullo_epi32(s->lane[sub], _mm256_set1_epi32(x->bias16[g / 4])));
        }
    }
}

/* Adds to out [n] what the sums of a block come to; the tile stands at the block's first run. */
RL_INLINE void finish_block(rl_type type, uint32_t n, const block_scales *s, const __m256 *sum,
                            const rl_tile_avx2 *t, bool first)
{
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++) {
        const rl_act32 *row = rl_tile_row(t, i);
        float *at = t->out + i * t->ldo;
        __m256 out = first ? _mm256_setzero_ps() : _mm256_loadu_ps(at);

        out = _mm256_fmadd_ps(s->d, sum[i], out);
        if (type == RL_TYPE_Q4_K) {
            __m256 mins = _mm256_setzero_ps();

            RL_UNROLL
            for (int r = 0; r < 8; r++)
                mins = _mm256_fmadd_ps(s->min[r], _mm256_set1_ps(row[r].sum), mins);
            out = _mm256_fnmadd_ps(s->dmin, mins, out);
        }
        _mm256_storeu_ps(at, out);
    }
}

RL_INLINE void tile(rl_type type, uint32_t n, const uint8_t *panel, uint32_t half, uint32_t nb,
                    rl_tile_avx2 t)
{
    const size_t quants = type == RL_TYPE_Q4_K ? RL_Q4_K_QUANTS : RL_Q6_K_QUANTS;
    const size_t run_bytes = type == RL_TYPE_Q4_K ? 256 : RL_Q6_K_RUN;
    __m256 sum[RL_TILE_ROWS];
    __m256i total[RL_TILE_ROWS];
    block_scales s;

    for (uint32_t b = 0; b < nb; b++) {
        const uint8_t *run = panel + rl_panel_body(type, b) + quants + 32 * half;
        rl_tile_avx2 at = t;

        load_scales(type, panel, half, b, &s);
        RL_UNROLL
        for (uint32_t i = 0; i < n; i++)
            sum[i] = _mm256_setzero_ps();
        for (uint32_t r = 0; r < 8; r++, run += run_bytes, t.x += sizeof(rl_act32)) {
            rl_tile_prefetch_avx2(&t, rl_panel_step(type) / 16 / 64 + 1);
            run_totals(type, n, run, r, &s, &t, total);
            RL_UNROLL
            for (uint32_t i = 0; i < n; i++)
                sum[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total[i]),
                                         _mm256_set1_ps(rl_tile_row(&t, i)->s), sum[i]);
        }
        finish_block(type, n, &s, sum, &at, b == 0);
    }
}

RL_MATMUL_OF_TILES(q4_k, RL_TYPE_Q4_K)
RL_MATMUL_OF_TILES(q6_k, RL_TYPE_Q6_K)
