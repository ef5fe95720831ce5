/* The matmul slots of the AVX2 level. */
#include "kernels/init.h"
#include "kernels/x86/x86.h"

static void set(rl_kernels *kn, rl_type type, rl_matmul_fn fn)
{
    kn->matmul[type] = fn;
    kn->matmul_level[type] = RL_LEVEL_AVX2;
}

void rl_kernels_init_avx2_matmul(rl_kernels *kn)
{
    set(kn, RL_TYPE_F32, rl_matmul_f32_avx2);
    set(kn, RL_TYPE_F16, rl_matmul_f16_avx2);
    set(kn, RL_TYPE_BF16, rl_matmul_bf16_avx2);
    set(kn, RL_TYPE_Q4_0, rl_matmul_q4_0_avx2);
    set(kn, RL_TYPE_Q5_0, rl_matmul_q5_0_avx2);
    set(kn, RL_TYPE_Q8_0, rl_matmul_q8_0_avx2);
    set(kn, RL_TYPE_Q4_K, rl_matmul_q4_k_avx2);
    set(kn, RL_TYPE_Q6_K, rl_matmul_q6_k_avx2);
    kn->quantize_row = rl_quantize_row_avx2;
}
