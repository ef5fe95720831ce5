/* Private to x86/: what the AVX-512 matmuls share: the dot product instruction and running a range
 * of rows in tiles.
 *
 * Weights come from memory once per panel, by prefetch into the second level: into the first it
 * would occupy the line fill buffers that the tile's own loads need. When a range takes several
 * tiles, only the last one prefetches, the whole next panel. */
#ifndef RL_KERNELS_VNNI_AVX512_H
#define RL_KERNELS_VNNI_AVX512_H

#include <immintrin.h>

#include "kernels/panel.h"
#include "kernels/x86/x86.h"

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

/* The activations of row i of the tile, from the record it stands at. */
RL_INLINE const rl_act32 *rl_tile_row(const rl_tile_rows *t, uint32_t i)
{
    return (const rl_act32 *)(const void *)(t->x + i * t->stride);
}

/* The tile functions of a type, how high they may be, and up to how many rows it is bound by memory
 * (measured). */
typedef struct rl_tiles {
    rl_type type;
    uint32_t max_rows, near_rows;
    const rl_tile_fn *fns; /* [max_rows] */
} rl_tiles;

/* The matmul of a type: its rows in tiles as equal in height as can be. */
static inline void rl_run_tiles_avx512(const rl_tiles *f, const uint8_t *panel, uint32_t k,
                                       const rl_acts *a, uint32_t row0, uint32_t row1, float *out,
                                       size_t ldo)
{
    const uint32_t block = rl_type_get(f->type)->block;
    const size_t step = rl_panel_step(f->type) / (block / 32);
    uint32_t n_rows = row1 - row0, n_tiles = (n_rows + f->max_rows - 1) / f->max_rows;
    rl_tile_rows t = {
        .x = a->q8 + row0 * a->q8_stride, .stride = a->q8_stride, .out = out, .ldo = ldo
    };

    if (n_rows <= f->max_rows) {
        t.ahead = panel + (n_rows <= f->near_rows ? RL_AHEAD_NEAR : RL_AHEAD_FAR);
        t.step = step;
        f->fns[n_rows - 1](panel, k / block, t);
        return;
    }
    for (; n_tiles; n_tiles--) {
        uint32_t n = (n_rows + n_tiles - 1) / n_tiles;

        t.ahead = n_tiles == 1 ? panel + rl_panel_bytes(f->type, k) : panel;
        t.step = n_tiles == 1 ? step : 0;
        f->fns[n - 1](panel, k / block, t);
        n_rows -= n;
        t.x += n * t.stride;
        t.out += n * t.ldo;
    }
}

/* The tile functions of 1 to 12 rows of a type and its matmul, rl_matmul_<name>_avx512; the file's
 * tile(type, n, ...) is the template. */
#define RL_TILE(name, type, n)                                                                     \
    static void tile_##name##_##n(const uint8_t *panel, uint32_t nb, rl_tile_rows t)               \
    {                                                                                              \
        tile(type, n, panel, nb, t);                                                               \
    }
#define RL_MATMUL_OF_TILES(name, type, max_rows, near_rows)                                        \
    RL_TILE(name, type, 1)                                                                         \
    RL_TILE(name, type, 2)                                                                         \
    RL_TILE(name, type, 3)                                                                         \
    RL_TILE(name, type, 4)                                                                         \
    RL_TILE(name, type, 5)                                                                         \
    RL_TILE(name, type, 6)                                                                         \
    RL_TILE(name, type, 7)                                                                         \
    RL_TILE(name, type, 8)                                                                         \
    RL_TILE(name, type, 9)                                                                         \
    RL_TILE(name, type, 10)                                                                        \
    RL_TILE(name, type, 11)                                                                        \
    RL_TILE(name, type, 12)                                                                        \
    RL_X86_MATMUL(name, avx512)                                                                    \
    {                                                                                              \
        static const rl_tile_fn fns[RL_TILE_ROWS] = {                                              \
            tile_##name##_1, tile_##name##_2,  tile_##name##_3,  tile_##name##_4,                  \
            tile_##name##_5, tile_##name##_6,  tile_##name##_7,  tile_##name##_8,                  \
            tile_##name##_9, tile_##name##_10, tile_##name##_11, tile_##name##_12,                 \
        };                                                                                         \
        static const rl_tiles tiles = { type, max_rows, near_rows, fns };                          \
                                                                                                   \
        rl_run_tiles_avx512(&tiles, panel, k, a, row0, row1, out, ldo);                            \
    }

#endif
