/* Private to x86/: how a level's attend picks the function made for a run's number of rows. The
 * file has score and value functions named scores_<type>_<rows>, values_<type>_<rows>, and ROWS(X,
 * name, type), which is X(rows, name, type) for every number of rows it made. */
#ifndef RL_KERNELS_X86_ATTN_X86_H
#define RL_KERNELS_X86_ATTN_X86_H

#include <immintrin.h>

#include "kernels/attn.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 12")

/* Asks for [p, p + bytes): a cold cache takes longer than a hardware prefetcher looks ahead, which
 * also stops where a slab ends. */
INLINE void fetch(const uint8_t *p, size_t bytes)
{
    UNROLL
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

typedef void (*run_fn)(const rl_attn_run *r);

#define SCORES_OF(rows, name, type) scores_##name##_##rows,
#define VALUES_OF(rows, name, type) values_##name##_##rows,

/* rl_kernels_attend_<level>, with tiles of up to rows_max rows. */
#define ATTEND(level, rows_max)                                                                    \
    static void scores_##level(const rl_attn_run *r)                                               \
    {                                                                                              \
        static const run_fn fns[RL_KV_TYPES][rows_max] = {                                         \
            [RL_KV_BF16] = { ROWS(SCORES_OF, bf16, ) },                                            \
            [RL_KV_F16] = { ROWS(SCORES_OF, f16, ) },                                              \
            [RL_KV_F32] = { ROWS(SCORES_OF, f32, ) },                                              \
        };                                                                                         \
                                                                                                   \
        fns[r->type][r->rows - 1](r);                                                              \
    }                                                                                              \
    static void values_##level(const rl_attn_run *r)                                               \
    {                                                                                              \
        static const run_fn fns[RL_KV_TYPES][rows_max] = {                                         \
            [RL_KV_BF16] = { ROWS(VALUES_OF, bf16, ) },                                            \
            [RL_KV_F16] = { ROWS(VALUES_OF, f16, ) },                                              \
            [RL_KV_F32] = { ROWS(VALUES_OF, f32, ) },                                              \
        };                                                                                         \
                                                                                                   \
        fns[r->type][r->rows - 1](r);                                                              \
    }                                                                                              \
    void rl_kernels_attend_##level(const rl_attn *a, void *scratch)                                \
    {                                                                                              \
        static const rl_attn_ops ops = { rows_max, scores_##level, weights_##level,                \
                                         values_##level };                                         \
                                                                                                   \
        rl_kernels_attend_tiled(a, scratch, &ops);                                                 \
    }

#endif
