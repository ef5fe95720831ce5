/* Private to x86/: what the matmul files of a level hand to its init function. */
#ifndef RL_KERNELS_X86_H
#define RL_KERNELS_X86_H

#include "kernels/kernels.h"

/* X(type, name, level) for every type that the levels have a matmul of: rl_matmul_<name>_<level>.
 */
#define RL_X86_MATMULS(X, level)                                                                   \
    X(F32, f32, level)                                                                             \
    X(F16, f16, level)                                                                             \
    X(BF16, bf16, level)                                                                           \
    X(Q4_0, q4_0, level)                                                                           \
    X(Q5_0, q5_0, level)                                                                           \
    X(Q8_0, q8_0, level)                                                                           \
    X(Q4_K, q4_k, level)                                                                           \
    X(Q6_K, q6_k, level)

#define RL_X86_MATMUL(name, level)                                                                 \
    void rl_matmul_##name##_##level(const void *panel, uint32_t k, const rl_acts *a,               \
                                    uint32_t row0, uint32_t row1, float *out, size_t ldo)

#define RL_X86_DECLARE(type, name, level) RL_X86_MATMUL(name, level);
RL_X86_MATMULS(RL_X86_DECLARE, avx2)
RL_X86_MATMULS(RL_X86_DECLARE, avx512)

void rl_quantize_row_avx2(rl_acts *a, uint32_t row, const float *x);
void rl_quantize_row_avx512(rl_acts *a, uint32_t row, const float *x);

#endif
