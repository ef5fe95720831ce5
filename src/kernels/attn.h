/* Private to the room: what the levels of attention share. */
#ifndef RL_KERNELS_ATTN_H
#define RL_KERNELS_ATTN_H

#include "kernels/kernels.h"

/* Query rows (token, head) that one tile holds at most, at any level. */
#define RL_ATTN_ROWS 12u

void rl_kernels_kv_put_ref(rl_kv_type type, uint32_t head_dim, const float *k, const float *v,
                           void *k_slab, void *v_slab, uint32_t slot);
void rl_kernels_kv_put_avx2(rl_kv_type type, uint32_t head_dim, const float *k, const float *v,
                            void *k_slab, void *v_slab, uint32_t slot);
void rl_kernels_kv_put_avx512(rl_kv_type type, uint32_t head_dim, const float *k, const float *v,
                              void *k_slab, void *v_slab, uint32_t slot);

void rl_kernels_attend_ref(const rl_attn *a, void *scratch);
void rl_kernels_attend_avx2(const rl_attn *a, void *scratch);
void rl_kernels_attend_avx512(const rl_attn *a, void *scratch);

#endif
