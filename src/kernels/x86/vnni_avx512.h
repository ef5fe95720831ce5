/* Private to x86/: what the AVX-512 matmuls share: the dot product instruction and running a range
 * of rows in tiles.
 *
 * Weights come from memory once per panel, by prefetch into the second level: into the first it
 * would occupy the line fill buffers that the tile's own loads need. When a range takes several
 * tiles, only the last one prefetches, the whole next panel. */
#ifndef RL_KERNELS_VNNI_AVX512_H
#define RL_KERNELS_VNNI_AVX512_H

#include <immintrin.h>

#include "kernels/kernels.h"

#define RL_INLINE static inline __attribute__((always_inline))
#define RL_UNROLL _Pragma("GCC unroll 16")

/* Rows of the highest tile: 2 * 12 accumulators of 32 registers. */
#define RL_TILE_ROWS 12u
/* How far ahead a single tile prefetches: a short way where it waits for memory alone. */
#define RL_AHEAD_NEAR 1024u
#define RL_AHEAD_FAR  8192u

/* What a tile works on besides the weights. */
typedef struct rl_tile_rows {
    const uint8_t *x; /* first record of the first row */
    size_t stride;
    float *out;
    size_t ldo;
    const uint8_t *ahead; /* prefetched next, `step` further each time */
    size_t step;
} rl_tile_rows;

typedef void (*rl_tile_fn)(const uint8_t *panel, uint32_t nb, rl_tile_rows t);

/* sum += w (unsigned bytes) times 4 activations broadcast from memory: of the intrinsics GCC 12
 * makes two instructions. */
RL_INLINE __m512i rl_dot4_avx512(__m512i sum, __m512i w, const int8_t *q)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(sum)
            : "v"(w), "m"(*(const int8_t(*)[4])(const void *)q));
    return sum;
}

/* sum += w (pairs of 16 bits) times a pair broadcast from memory. */
RL_INLINE __m512i rl_dot2_avx512(__m512i sum, __m512i w, const int16_t *q)
{
    __asm__("vpdpwssd %2%{1to16%}, %1, %0"
            : "+v"(sum)
            : "v"(w), "m"(*(const int16_t(*)[2])(const void *)q));
    return sum;
}

/* Prefetches `lines` cache lines and moves on by one step. */
RL_INLINE void rl_tile_prefetch(rl_tile_rows *t, size_t lines)
{
    RL_UNROLL
    for (size_t i = 0; i < lines; i++)
        _mm_prefetch((const char *)t->ahead + 64 * i, _MM_HINT_T1);
    t->ahead += t->step;
}

/* The lines that the tile will store to, asked for while it computes. */
RL_INLINE void rl_tile_prefetch_out(const rl_tile_rows *t, uint32_t n)
{
    RL_UNROLL
    for (uint32_t i = 0; i < n; i++)
        _mm_prefetch((const char *)(t->out + i * t->ldo), _MM_HINT_T0);
}

/* Rows `n_rows` from t.x on, in tiles as equal in height as can be, at most max_rows. Up to
 * near_rows the type is bound by memory (measured). */
static inline void rl_run_tiles_avx512(const rl_tile_fn *tiles, uint32_t max_rows,
                                       uint32_t near_rows, const uint8_t *panel, size_t panel_bytes,
                                       uint32_t nb, uint32_t n_rows, rl_tile_rows t)
{
    const size_t step = t.step;
    uint32_t n_tiles = (n_rows + max_rows - 1) / max_rows;

    if (n_rows <= max_rows) {
        t.ahead = panel + (n_rows <= near_rows ? RL_AHEAD_NEAR : RL_AHEAD_FAR);
        tiles[n_rows - 1](panel, nb, t);
        return;
    }
    for (; n_tiles; n_tiles--) {
        uint32_t n = (n_rows + n_tiles - 1) / n_tiles;

        t.ahead = n_tiles == 1 ? panel + panel_bytes : panel;
        t.step = n_tiles == 1 ? step : 0;
        tiles[n - 1](panel, nb, t);
        n_rows -= n;
        t.x += n * t.stride;
        t.out += n * t.ldo;
    }
}

/* The tile functions of 1 to 12 rows of a type; `name`_form(n, ...) is the template. */
#define RL_TILE(name, n)                                                                           \
    static void name##_##n(const uint8_t *panel, uint32_t nb, rl_tile_rows t)                      \
    {                                                                                              \
        name##_form(n, panel, nb, t);                                                              \
    }
#define RL_TILES(name)                                                                             \
    RL_TILE(name, 1)                                                                               \
    RL_TILE(name, 2)                                                                               \
    RL_TILE(name, 3)                                                                               \
    RL_TILE(name, 4)                                                                               \
    RL_TILE(name, 5)                                                                               \
    RL_TILE(name, 6)                                                                               \
    RL_TILE(name, 7)                                                                               \
    RL_TILE(name, 8)                                                                               \
    RL_TILE(name, 9)                                                                               \
    RL_TILE(name, 10)                                                                              \
    RL_TILE(name, 11)                                                                              \
    RL_TILE(name, 12)                                                                              \
    static const rl_tile_fn name[RL_TILE_ROWS] = {                                                 \
        name##_1, name##_2, name##_3, name##_4,  name##_5,  name##_6,                              \
        name##_7, name##_8, name##_9, name##_10, name##_11, name##_12,                             \
    };

#endif
