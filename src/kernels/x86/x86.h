/* Private to x86/: what the matmul files of a level hand to its init function. */
#ifndef RL_KERNELS_X86_H
#define RL_KERNELS_X86_H

#include "kernels/kernels.h"

#define RL_X86_MATMUL(name)                                                                        \
    void rl_matmul_##name(const void *panel, uint32_t k, const rl_acts *a, uint32_t row0,          \
                          uint32_t row1, float *out, size_t ldo)

RL_X86_MATMUL(f32_avx2);
RL_X86_MATMUL(f16_avx2);
RL_X86_MATMUL(bf16_avx2);
RL_X86_MATMUL(q4_0_avx2);
RL_X86_MATMUL(q5_0_avx2);
RL_X86_MATMUL(q8_0_avx2);
RL_X86_MATMUL(q4_k_avx2);
RL_X86_MATMUL(q6_k_avx2);
RL_X86_MATMUL(f32_avx512);
RL_X86_MATMUL(f16_avx512);
RL_X86_MATMUL(bf16_avx512);
RL_X86_MATMUL(q4_0_avx512);
RL_X86_MATMUL(q5_0_avx512);
RL_X86_MATMUL(q8_0_avx512);
RL_X86_MATMUL(q4_k_avx512);
RL_X86_MATMUL(q6_k_avx512);

void rl_quantize_row_avx2(rl_acts *a, uint32_t row, const float *x);
void rl_quantize_row_avx512(rl_acts *a, uint32_t row, const float *x);

#endif
