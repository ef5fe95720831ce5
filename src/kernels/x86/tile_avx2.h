/* Private to x86/: what the AVX2 matmuls share.
 *
 * A tile is 8 outputs (half a panel: the first or second 32 bytes of every lane group) times up to
 * 4 activation rows. Without VNNI a dot product is `vpmaddubsw`: unsigned weights times signed
 * activations, neighbours added in 16 bits with saturation, which exact results must never reach:
 * with |activation| <= 127 a step is at most w_max * 254, so 8, 4 and 2 steps may be added up for
 * weights of 4, 5 and 6 bits before they are widened. */
#ifndef RL_KERNELS_TILE_AVX2_H
#define RL_KERNELS_TILE_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/panel.h"
#include "kernels/x86/x86.h"

#define RL_INLINE    static inline __attribute__((always_inline))
#define RL_UNROLL    _Pragma("GCC unroll 16")
#define RL_TILE_ROWS 4u

typedef struct rl_tile_avx2 {
    const uint8_t *x; /* first record of the first row */
    size_t stride;
    float *out; /* of the half */
    size_t ldo;
    const uint8_t *ahead; /* prefetched next, `step` further each time */
    size_t step;
} rl_tile_avx2;

/* panel: moved on by 32 bytes for the second half; scales stay where they are, `half` tells. */
typedef void (*rl_tile_avx2_fn)(const uint8_t *panel, uint32_t half, uint32_t nb, rl_tile_avx2 t);

RL_INLINE __m256i rl_load_avx2(const void *p)
{
    return _mm256_load_si256((const __m256i *)p);
}

/* 4 activations in every lane. */
RL_INLINE __m256i rl_broadcast4_avx2(const void *p)
{
    int32_t v;

    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

/* sum + v, in this order: GCC otherwise turns the sums of a tile into trees, whose leaves do not
 * fit the 16 registers. */
RL_INLINE __m256i rl_add32_avx2(__m256i sum, __m256i v)
{
    sum = _mm256_add_epi32(sum, v);
    __asm__("" : "+x"(sum));
    return sum;
}

RL_INLINE __m256i rl_add16_avx2(__m256i sum, __m256i v)
{
    sum = _mm256_add_epi16(sum, v);
    __asm__("" : "+x"(sum));
    return sum;
}

/* Prefetches `lines` cache lines into the second level and moves on by one step. */
RL_INLINE void rl_tile_prefetch_avx2(rl_tile_avx2 *t, size_t lines)
{
    RL_UNROLL
    for (size_t i = 0; i < lines; i++)
        _mm_prefetch((const char *)t->ahead + 64 * i, _MM_HINT_T1);
    t->ahead += t->step;
}

/* The activations of row i of the tile, from the record it stands at. */
RL_INLINE const rl_act32 *rl_tile_row(const rl_tile_avx2 *t, uint32_t i)
{
    return (const rl_act32 *)(const void *)(t->x + i * t->stride);
}

/* The matmul of a type: its rows in tiles as equal in height as can be. The two halves of the last
 * tile prefetch the two halves of the next panel, in steps of half of what passes between two calls
 * of rl_tile_prefetch_avx2. */
static inline void rl_run_tiles_avx2(rl_type type, const rl_tile_avx2_fn *tiles,
                                     const uint8_t *panel, uint32_t k, const rl_acts *a,
                                     uint32_t row0, uint32_t row1, float *out, size_t ldo)
{
    const uint32_t block = rl_type_get(type)->block;
    const size_t step = rl_panel_step(type) / (block / 32) / 2, bytes = rl_panel_bytes(type, k);
    uint32_t n_rows = row1 - row0, n_tiles = (n_rows + RL_TILE_ROWS - 1) / RL_TILE_ROWS;
    rl_tile_avx2 t = {
        .x = a->q8 + row0 * a->q8_stride, .stride = a->q8_stride, .out = out, .ldo = ldo
    };

    for (; n_tiles; n_tiles--) {
        uint32_t n = (n_rows + n_tiles - 1) / n_tiles;
        rl_tile_avx2 second = t;

        t.ahead = n_tiles == 1 ? panel + bytes : panel;
        t.step = second.step = n_tiles == 1 ? step : 0;
        second.ahead = n_tiles == 1 ? t.ahead + bytes / 2 : panel;
        second.out += 8;
        tiles[n - 1](panel, 0, k / block, t);
        tiles[n - 1](panel, 1, k / block, second);
        n_rows -= n;
        t.x += n * t.stride;
        t.out += n * t.ldo;
    }
}

/* The tile functions of 1 to 4 rows of a type and its matmul, rl_matmul_<name>_avx2; the file's
 * tile(type, n, ...) is the template. */
#define RL_TILE(name, type, n)                                                                     \
    static void tile_##name##_##n(const uint8_t *panel, uint32_t half, uint32_t nb,                \
                                  rl_tile_avx2 t)                                                  \
    {                                                                                              \
        tile(type, n, panel, half, nb, t);                                                         \
    }
#define RL_MATMUL_OF_TILES(name, type)                                                             \
    RL_TILE(name, type, 1)                                                                         \
    RL_TILE(name, type, 2)                                                                         \
    RL_TILE(name, type, 3)                                                                         \
    RL_TILE(name, type, 4)                                                                         \
    RL_X86_MATMUL(name, avx2)                                                                      \
    {                                                                                              \
        static const rl_tile_avx2_fn tiles[RL_TILE_ROWS] = { tile_##name##_1, tile_##name##_2,     \
                                                             tile_##name##_3, tile_##name##_4 };   \
                                                                                                   \
        rl_run_tiles_avx2(type, tiles, panel, k, a, row0, row1, out, ldo);                         \
    }

#endif
